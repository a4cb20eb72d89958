//! The bytes on disk, read without any of our code: plain heed and rmpv, and
//! py-lmdb and msgpack where Python has them.

use std::path::Path;
use std::process::Command;

use heed::types::Bytes;
use heed::{CommitOrAbort, EnvFlags, EnvOpenOptions};
use rmpv::Value;

use crate::support::{data, present, small};

type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// All entries of a table.
pub fn entries(store: &Path, table: &str) -> Entries {
    let mut options = EnvOpenOptions::new();
    // A copy, since heed opens a path once in a process.
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(store.join("data.mdb"), copy.path().join("data.mdb")).unwrap();
    options.max_dbs(128).map_size(1 << 30);
    // SAFETY: nobody else has the copy.
    let env = unsafe { options.flags(EnvFlags::READ_ONLY | EnvFlags::NO_LOCK).open(copy.path()) }.unwrap();
    let txn = env.read_txn().unwrap();
    let read = env.open_databases_and_commit(txn, |opener, txn| {
        let database = opener.open_database::<Bytes, Bytes>(txn, Some(table))?.expect(table);
        let all: Result<Entries, heed::Error> =
            database.iter(txn)?.map(|entry| entry.map(|(k, v)| (k.to_vec(), v.to_vec()))).collect();
        Ok::<_, heed::Error>(CommitOrAbort::<(), _>::Abort(all?))
    });
    match read.unwrap() {
        CommitOrAbort::Abort(all) => all,
        CommitOrAbort::Commit(()) => unreachable!(),
    }
}

fn map(value: &[u8]) -> Vec<(String, Value)> {
    let mut rest = value;
    let Value::Map(fields) = rmpv::decode::read_value(&mut rest).unwrap() else { panic!("not a map") };
    assert!(rest.is_empty());
    fields.into_iter().map(|(name, value)| (name.as_str().unwrap().to_owned(), value)).collect()
}

fn names(value: &[u8]) -> Vec<String> {
    map(value).into_iter().map(|(name, _)| name).collect()
}

fn field(value: &[u8], name: &str) -> Value {
    map(value).into_iter().find(|(field, _)| field == name).unwrap().1
}

#[test]
fn primaries_are_named_maps_under_plain_keys() {
    let store = &small().store;
    let columns = [
        (
            "files",
            "path mtime size content_hash blob_offset blob_length key_hash indexed_at vector_offset vector_length detected_contexts",
        ),
        (
            "symbols",
            "id file_path name kind line_start line_end blob_offset blob_length key_hash vector_offset vector_length",
        ),
        ("checkpoints", "id created_at last_path total_files processed_files"),
        (
            "memories",
            "id task insights context symbol_keys text tags blob_offset blob_length key_hash created_at updated_at vector_offset vector_length",
        ),
        ("transcript_pos", "path byte_position updated_at"),
        (
            "patterns",
            "key_hash pattern tool_type matched_files created_at blob_offset blob_length vector_offset vector_length",
        ),
        ("threads", "id session_id title created_at last_touch touches is_active centroid_offset centroid_length"),
        ("thread_files", "thread_id file_path operation first_access last_access access_count"),
        ("thread_queries", "id thread_id query_text timestamp embedding_offset embedding_length"),
        ("thread_tools", "id thread_id tool_name tool_count last_used"),
    ];
    for (table, columns) in columns {
        let entries = entries(store, table);
        assert!(!entries.is_empty(), "{table}");
        for (key, value) in entries {
            assert_eq!(names(&value).join(" "), columns, "{table}");
            let id = if table == "thread_tools" { ["thread_id"; 4] } else { ["path", "id", "thread_id", "key_hash"] };
            let first = id.iter().find_map(|name| map(&value).into_iter().find(|(field, _)| field == name)).unwrap().1;
            match (&first, table) {
                (Value::Integer(number), _) => {
                    assert!(key.starts_with(&number.as_u64().unwrap().to_be_bytes()), "{table}");
                }
                (Value::String(text), _) if (1..=511).contains(&text.as_bytes().len()) => {
                    assert_eq!(key, text.as_bytes(), "{table}");
                }
                (Value::String(text), _) if text.as_bytes().is_empty() => assert_eq!(key, [0]),
                (Value::String(text), _) => {
                    // Cut: the beginning, a mark, a hash; the whole is in the record.
                    assert_eq!((key.len(), &key[..494], key[494]), (511, &text.as_bytes()[..494], 0xff));
                }
                (other, _) => panic!("{table}: {other:?}"),
            }
        }
    }
}

#[test]
fn indexes_are_as_the_design_lists_them() {
    let store = &small().store;
    let files = entries(store, "files");
    let short = |path: &Value| {
        path.as_str().is_some_and(|path| (1..200).contains(&path.len()) && !path.contains(['\0', '\u{1}']))
    };
    let (by_mtime, by_context) = (entries(store, "files_by_mtime"), entries(store, "files_by_context"));
    let by_key = entries(store, "files_by_key");
    let has = |entries: &Entries, key: &[u8]| entries.binary_search_by(|(k, _)| k.as_slice().cmp(key)).ok();
    for (_, value) in files.iter().filter(|(_, value)| short(&field(value, "path"))) {
        let path = field(value, "path").as_str().unwrap().to_owned();
        let bits = field(value, "mtime").as_f64().unwrap().to_bits();
        let ordered = if bits >> 63 == 0 { bits ^ (1 << 63) } else { !bits };
        assert!(has(&by_mtime, &[&ordered.to_be_bytes()[..], path.as_bytes()].concat()).is_some(), "{path}");
        if let Some(contexts) = field(value, "detected_contexts").as_str() {
            let contexts: Vec<String> = serde_json::from_str(&contexts.replace("\\udcff", "\\ufffd")).unwrap();
            for context in contexts.iter().filter(|context| !context.contains(['\0', '\u{1}']) && context.len() < 200) {
                let key = [context.as_bytes(), b"\0", path.as_bytes()].concat();
                assert_eq!(by_context[has(&by_context, &key).unwrap()].1, b"", "{context} {path}");
            }
        }
        let key_hash = field(value, "key_hash").as_u64().unwrap();
        let owner = &by_key[has(&by_key, &key_hash.to_be_bytes()).unwrap()].1;
        assert!(owner.as_slice() <= path.as_bytes());
    }
    let (by_name, by_file) = (entries(store, "symbols_by_name"), entries(store, "symbols_by_file"));
    for (id, value) in entries(store, "symbols") {
        let text = |name| field(&value, name).as_str().unwrap().to_owned();
        let (path, name, kind) = (text("file_path"), text("name"), text("kind"));
        if !short(&field(&value, "file_path")) || name.contains(['\0', '\u{1}']) || name.len() > 200 {
            continue;
        }
        // FNV-1a of the path.
        let hash = path.bytes().fold(0xcbf29ce484222325, |h, b| (h ^ u64::from(b)).wrapping_mul(0x100000001b3));
        let key = [name.as_bytes(), b"\0", kind.as_bytes(), b"\0", &hash.to_be_bytes(), &id].concat();
        assert_eq!(by_name[has(&by_name, &key).unwrap()].1, id);
        let ids = &by_file[has(&by_file, path.as_bytes()).unwrap()].1;
        let ids = rmpv::decode::read_value(&mut ids.as_slice()).unwrap();
        let number = u64::from_be_bytes(id.try_into().unwrap());
        assert!(ids.as_array().unwrap().iter().any(|id| id.as_u64() == Some(number)));
    }
    for (key, value) in entries(store, "counters") {
        let sequence = &small().manifest["sqlite_sequence"][str::from_utf8(&key).unwrap()];
        assert_eq!(u64::from_be_bytes(value.try_into().unwrap()), sequence.as_u64().unwrap());
    }
    assert!(
        entries(store, "pattern_files")
            .iter()
            .all(|(key, value)| key.len() > 7 && (value.is_empty() || key.len() == 511))
    );
}

#[test]
fn json_text_is_kept_to_the_byte() {
    let fixture = small();
    let connection = rusqlite::Connection::open(&fixture.database).unwrap();
    for (key, value) in entries(&fixture.store, "memories") {
        let id = field(&value, "id").as_str().unwrap().to_owned();
        for column in ["insights", "context", "symbol_keys", "tags"] {
            let sql = format!("SELECT {column} FROM memories WHERE id = ?1");
            let source: Option<String> = connection.query_row(&sql, [&id], |row| row.get(0)).unwrap();
            assert_eq!(field(&value, column).as_str(), source.as_deref(), "{key:?} {column}");
        }
    }
}

#[test]
fn python_reads_the_store_with_lmdb_and_msgpack() {
    let python = std::env::var("TRACKER_PYTHON").unwrap_or_else(|_| "python3".into());
    let found = Command::new(&python).args(["-c", "import lmdb, msgpack"]).output();
    let found = found.is_ok_and(|output| output.status.success());
    if !present(&format!("lmdb and msgpack of {python}"), found, "tests/setup.sh installs them") {
        return;
    }
    let (_dir, store) = small().copy();
    let script = data::repository().join("tests/layout.py");
    let output = Command::new(&python).arg(script).arg(&store).arg(&small().database).output().unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
