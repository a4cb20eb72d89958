//! What is called besides the recorded calls of the reference: every function,
//! on a store that begins empty, with what is unusual about its arguments.

use serde_json::{Value, json};
use tracker_host::Tracker;
use tracker_host::types::ROW_KINDS;

use super::calls::{self, Recorder};

/// Beyond what a double can hold.
const BIG: u64 = (1 << 53) + 1;

/// A path that is longer than a key of LMDB.
fn long(end: &str) -> String {
    format!("/{}/{end}", "long".repeat(150))
}

/// Makes a call that succeeds. The arguments are written as in `json!`.
macro_rules! ok {
    ($recorder:expr, $name:literal $(, $($argument:tt)*)?) => {
        $recorder.ok($name, json!([$($($argument)*)?]).as_array().unwrap())
    };
}

/// Makes a call that fails with a case.
macro_rules! fails {
    ($recorder:expr, $case:literal, $name:literal, $($argument:tt)*) => {
        $recorder.fails($name, json!([$($argument)*]).as_array().unwrap(), $case)
    };
}

pub fn run(r: &mut Recorder) {
    empty(r);
    files(r);
    symbols(r);
    batches(r);
    checkpoints_metadata_transcripts(r);
    memories(r);
    patterns(r);
    threads(r);
    conventions(r);
    vectors(r);
    rows(r);
}

/// Every read has an answer where there is nothing.
fn empty(r: &mut Recorder) {
    ok!(r, "get-file", "/a");
    ok!(r, "get-file", "");
    ok!(r, "get-files", ["/a", ""]);
    ok!(r, "get-files", []);
    ok!(r, "needs-index", "/a", 1.5, 3);
    ok!(r, "needs-embed", "/a");
    ok!(r, "file-count");
    ok!(r, "list-files", null, 10);
    ok!(r, "get-latest-checkpoint");
    ok!(r, "get-memory", "m");
    ok!(r, "get-thread", 1);
    ok!(r, "get-thread-stats");
    ok!(r, "get-convention", "c");
    ok!(r, "live-vector-stats");
    ok!(r, "get-import-state");
    ok!(r, "verify");
}

fn files(r: &mut Recorder) {
    ok!(r, "upsert-file", "/src/a.rs", 1_700_000_000.25, 120, "h1", 0, 120, 42, ["context:cli", "context:cli"]);
    ok!(r, "upsert-file", "/src/ä/😀.rs", -1.5, -1, "", -9, i64::MIN, u64::MAX, ["ünïcode", "\"quoted\\\"", "\u{1}\n"]);
    ok!(r, "upsert-file", "", 0.0, 0, "empty path", 0, 0, 0, []);
    ok!(r, "upsert-file", "\u{0}nul", 1.0, i64::MAX, "h", 0, 0, BIG, [""]);
    ok!(r, "upsert-file", long("b"), 1.0, 1, "h", 0, 0, 42, ["context:cli"]);
    ok!(r, "upsert-file", long("a"), "inf", 1, "h", 0, 0, 1_u64 << 63, []);
    fails!(r, "invalid-argument", "upsert-file", "/nan", "nan", 1, "h", 0, 0, 1, []);
    let upsert = |path: &str, key_hash: u64| {
        json!({ "path": path, "mtime": 5.0, "size": 5, "content-hash": "h5", "blob-offset": 50, "blob-length": 5,
                "key-hash": key_hash, "contexts": ["context:many"] })
    };
    let mut wrong = upsert("/many/3", 3);
    wrong["mtime"] = json!("nan");
    fails!(r, "invalid-argument", "upsert-files", [upsert("/many/2", 2), wrong]);
    ok!(r, "get-file", "/many/2");
    let many: Vec<Value> = (0..12).map(|n| upsert(&format!("/many/{n}"), BIG + n)).collect();
    ok!(r, "upsert-files", many);
    ok!(r, "upsert-files", []);
    for path in ["/src/a.rs", "/src/ä/😀.rs", "", "\u{0}nul", &long("a"), &long("b"), &long("c"), "/src/A.rs"] {
        ok!(r, "get-file", path);
    }
    ok!(r, "get-files", ["/many/3", "/none", "", "/many/3", long("a")]);
    for key in [42, u64::MAX, BIG, BIG - 1, BIG + 1, 1 << 63, 0] {
        ok!(r, "get-file-by-key", key);
    }
    ok!(r, "needs-index", "/src/a.rs", 1_700_000_000.25, 120);
    ok!(r, "needs-index", "/src/a.rs", 1_700_000_000.5, 120);
    ok!(r, "needs-index", "/src/a.rs", 1.0, 120);
    ok!(r, "needs-index", "/src/a.rs", 1.0, 121);
    let stat = |path: &str, mtime: f64, size: i64| json!({ "path": path, "mtime": mtime, "size": size });
    let stats = [stat("/src/a.rs", 1_700_000_000.25, 120), stat("/src/a.rs", 1.0, 120), stat("/new", 1.0, 1)];
    ok!(r, "freshness", stats, null);
    ok!(r, "freshness", [stat("/many/1", 5.0, 5), stat("/many/2", 5.0, 6)], "/many");
    ok!(r, "freshness", [], "");
    ok!(r, "update-file-vector", 42, 4096, 1536);
    ok!(r, "update-file-vector", 43, 1, 1);
    ok!(r, "needs-embed", "/src/a.rs");
    ok!(r, "needs-embed", "/many/1");
    ok!(r, "upsert-file", "/src/a.rs", 1_700_000_001.0, 121, "h2", 0, 121, 42, ["context:cli", "context:api"]);
    ok!(r, "get-file", "/src/a.rs");
    r.all("list-files", &[], 4);
    r.all("list-paths", &[json!("/many")], 5);
    r.all("list-paths", &[json!("")], 100);
    r.all("list-files-by-context", &[json!("context:cli")], 1);
    r.all("list-files-by-context", &[json!("ünïcode")], 10);
    ok!(r, "list-files-by-context", "CONTEXT:CLI", null, 10);
    ok!(r, "list-files", null, 0);
    ok!(r, "file-count");
    ok!(r, "embedded-file-count");
    ok!(r, "get-recent-files", 3);
    ok!(r, "get-recent-files", 0);
    ok!(r, "get-recent-files", u32::MAX);
    ok!(r, "get-context-stats");
    ok!(r, "list-available-contexts");
    ok!(r, "get-contexts-for-file", "/src/ä/😀.rs");
    ok!(r, "get-contexts-for-file", "/none");
    ok!(r, "import-team-file", "/team/1", 7, 1_234.5, ["context:team"], 77);
    ok!(r, "import-team-file", "/team/2", null, null, [], 78);
    ok!(r, "import-team-file", "/src/a.rs", null, null, [], 79);
    ok!(r, "get-file", "/team/1");
    ok!(r, "get-file", "/team/2");
    // A page's next stays valid when the record that it is after is gone.
    let next = ok!(r, "list-files", null, 3)["next"].take();
    ok!(r, "delete-file", "/many/0");
    ok!(r, "delete-file", "/many/0");
    ok!(r, "list-files", next, 3);
    ok!(r, "delete-files", ["/many/1", "/none", "/many/2", ""]);
    ok!(r, "file-count");
}

fn symbols(r: &mut Recorder) {
    ok!(r, "upsert-symbol", "/src/a.rs", "main", "function", 1, 9, 0, 90, BIG);
    ok!(r, "upsert-symbol", "/src/a.rs", "main", "function", 1, null, 5, 95, BIG + 1);
    ok!(r, "upsert-symbol", "/src/a.rs", "main", "function", -7, null, 5, 95, BIG + 1);
    ok!(r, "upsert-symbol", "/no/such/file", "Größe_100%", "insight:todo", 3, 3, 0, 1, u64::MAX);
    ok!(r, "upsert-symbol", long("x"), "n".repeat(700), "INSIGHT:Note", i64::MAX, i64::MIN, 0, 1, 5);
    let symbol = |name: &str, line: i64, key_hash: u64| {
        json!({ "name": name, "kind": "method", "line-start": line, "line-end": null, "blob-offset": 0,
                "blob-length": 0, "key-hash": key_hash })
    };
    ok!(r, "replace-symbols", "/src/r.rs", [symbol("x", 1, 1), symbol("y", 2, 2), symbol("Main_x", 3, 3)]);
    ok!(r, "update-symbol-vector", 1, -5, 1536);
    ok!(r, "update-symbol-vector", 999, 1, 1);
    ok!(r, "replace-symbols", "/src/r.rs", [symbol("z", 3, 3), symbol("x", 1, 4), symbol("x", 1, 5)]);
    ok!(r, "get-symbols", "/src/r.rs");
    ok!(r, "get-symbols", "/src/a.rs");
    ok!(r, "get-symbols", "/none");
    ok!(r, "get-symbol-keys", "/src/a.rs");
    for key in [5, BIG, BIG + 1, u64::MAX] {
        ok!(r, "get-symbol-by-key", key);
    }
    ok!(r, "symbol-count");
    ok!(r, "embedded-symbol-count");
    r.all("list-all-symbols", &[Value::Null], 2);
    r.all("list-all-symbols", &[json!("MAIN")], 1);
    ok!(r, "list-all-symbols", "%", null, 10);
    ok!(r, "list-all-symbols", "größe", null, 10);
    ok!(r, "list-all-symbols", "", null, 1);
    ok!(r, "get-recent-symbols", 2);
    ok!(r, "get-insight-stats");
    ok!(r, "list-available-insights");
    r.all("list-insights-by-type", &[json!("function")], 1);
    ok!(r, "list-insights-by-type", "insight:todo", null, 10);
    ok!(r, "delete-symbol-by-key", BIG + 1);
    ok!(r, "delete-symbol-by-key", BIG + 1);
    ok!(r, "delete-symbols", "/src/r.rs");
    ok!(r, "upsert-symbol", "/src/a.rs", "after", "function", 1, null, 0, 0, 1);
    ok!(r, "delete-file", "/src/a.rs");
    ok!(r, "get-symbols", "/src/a.rs");
}

fn batches(r: &mut Recorder) {
    ok!(r, "begin-batch");
    ok!(r, "begin-batch");
    ok!(r, "upsert-file", "/batch/kept", 1.0, 1, "h", 0, 0, 1001, ["context:batch"]);
    fails!(r, "invalid-argument", "upsert-file", "/batch/wrong", "nan", 1, "h", 0, 0, 1002, []);
    ok!(r, "get-file", "/batch/kept");
    ok!(r, "list-files-by-context", "context:batch", null, 10);
    ok!(r, "end-batch");
    ok!(r, "get-file", "/batch/kept");
    ok!(r, "begin-batch");
    ok!(r, "delete-file", "/batch/kept");
    ok!(r, "upsert-symbol", "/batch/dropped", "s", "function", 1, null, 0, 0, 1003);
    ok!(r, "get-file", "/batch/kept");
    ok!(r, "abort-batch");
    ok!(r, "get-file", "/batch/kept");
    ok!(r, "get-symbols", "/batch/dropped");
    ok!(r, "end-batch");
    ok!(r, "abort-batch");
}

fn checkpoints_metadata_transcripts(r: &mut Recorder) {
    ok!(r, "save-checkpoint", 1, 10, "/src/a.rs");
    ok!(r, "save-checkpoint", -2, i64::MAX, "ü");
    ok!(r, "get-latest-checkpoint");
    ok!(r, "clear-checkpoints");
    ok!(r, "clear-checkpoints");
    ok!(r, "save-checkpoint", 3, 10, "");
    ok!(r, "get-latest-checkpoint");
    ok!(r, "set-metadata", "key", "");
    ok!(r, "set-metadata", "", "of the empty key");
    ok!(r, "set-metadata", long("key"), "😀");
    for key in ["key", "", &long("key"), "none"] {
        ok!(r, "get-metadata", key);
    }
    ok!(r, "get-transcript-position", "t");
    ok!(r, "set-transcript-position", "t", -5);
    ok!(r, "set-transcript-position", "ä", i64::MAX);
    ok!(r, "get-transcript-position", "t");
    ok!(r, "get-all-transcript-positions");
    ok!(r, "clear-transcript-positions");
    ok!(r, "set-transcript-position", "u", 9);
}

fn memories(r: &mut Recorder) {
    let none: [&str; 0] = [];
    ok!(
        r,
        "upsert-memory",
        "m1",
        "task:debug",
        ["bug"],
        ["context:cli"],
        [BIG, 0, u64::MAX],
        "text",
        ["parser", "käse"],
        0,
        4,
        9001,
        null,
        false
    );
    ok!(r, "upsert-memory", "m2", null, none, none, none, "", ["parser"], -1, -4, 9002, "owner", true);
    ok!(
        r,
        "upsert-memory",
        "m3",
        "",
        ["bug", "bug"],
        ["context:cli", "c2"],
        none,
        "three",
        none,
        0,
        0,
        u64::MAX,
        null,
        false
    );
    fails!(r, "key-conflict", "upsert-memory", "m4", null, none, none, none, "", none, 0, 0, 9001, null, false);
    ok!(r, "get-memory", "m4");
    ok!(r, "update-memory-vector", 9001, 4096, 512);
    ok!(r, "update-memory-vector", 1, 1, 1);
    ok!(r, "record-memory-access", "m1");
    ok!(r, "record-memory-access", "m9");
    ok!(r, "get-memory", "m1");
    ok!(r, "get-memory", "m2");
    ok!(r, "get-memory-by-key", u64::MAX);
    ok!(r, "query-memories", null, none, none, ["parser"], 10, 0);
    ok!(r, "query-memories", "task:debug", ["context:cli"], ["bug"], ["käse"], 10, 0);
    ok!(r, "query-memories", "", none, none, none, 1, 1);
    ok!(r, "query-memories", null, none, none, ["PARSER"], 10, 0);
    r.all("list-memories", &[], 2);
    ok!(r, "get-recent-memories", 2);
    ok!(r, "memory-count");
    ok!(r, "upsert-memory", "m1", null, none, none, none, "again", none, 0, 4, 9001, null, false);
    ok!(r, "get-memory", "m1");
    ok!(r, "delete-memory", "m2");
    ok!(r, "delete-memory", "m2");
    // Its key is one of those that are imported later.
    ok!(r, "delete-memory", "m3");
}

fn patterns(r: &mut Recorder) {
    let none: [&str; 0] = [];
    ok!(r, "cache-pattern", BIG, "fn .*", "grep", ["/y", "/x", long("x")], 0, 10);
    ok!(r, "cache-pattern", u64::MAX, "*.rs", "glob", ["/x"], 10, 20);
    ok!(r, "cache-pattern", 0, "", "", none, 0, 0);
    fails!(r, "invalid-argument", "cache-pattern", 7, "p", "grep", ["/x", "/x"], 0, 0);
    ok!(r, "update-pattern-vector", BIG, 100, 200);
    ok!(r, "update-pattern-vector", 1, 100, 200);
    for key in [BIG, BIG - 1, u64::MAX, 0, 7] {
        ok!(r, "get-pattern-cache", key);
    }
    ok!(r, "get-patterns-for-file", "/x");
    ok!(r, "get-patterns-for-file", long("x"));
    ok!(r, "count-pattern-caches");
    ok!(r, "get-recent-patterns", 2);
    r.all("list-patterns", &[], 1);
    ok!(r, "evict-patterns-for-file", "/y");
    ok!(r, "evict-patterns-for-file", "/y");
    fails!(r, "invalid-argument", "evict-patterns-by-ttl", "nan");
    ok!(r, "evict-patterns-by-ttl", 604_800.0);
    ok!(r, "evict-patterns-by-ttl", "-inf");
    ok!(r, "cache-pattern", 1, "p", "grep", ["/x"], 0, 0);
    ok!(r, "clear-pattern-caches");
    ok!(r, "cache-pattern", BIG, "p", "grep", ["/x", "/ü"], 0, 0);
}

fn threads(r: &mut Recorder) {
    let none = Value::Null;
    ok!(r, "create-thread", "s1", "title", none, none);
    ok!(r, "create-thread", "s1", "", -1, i64::MAX);
    ok!(r, "create-thread", "s\u{0}1", "titre 😀", 5, none);
    for id in [1, 4, u64::MAX] {
        ok!(r, "get-thread", id);
    }
    ok!(r, "touch-thread", 1);
    ok!(r, "touch-thread", 99);
    ok!(r, "update-thread-centroid", 1, 7, 8);
    ok!(r, "update-thread-centroid", 99, 7, 8);
    ok!(r, "get-threads-for-session", "s1");
    ok!(r, "deactivate-thread", 2);
    ok!(r, "deactivate-thread", 99);
    ok!(r, "get-threads-for-session", "s1");
    ok!(r, "get-recent-threads", 20, true);
    ok!(r, "get-recent-threads", 20, false);
    ok!(r, "get-recent-threads", 1, false);
    ok!(r, "thread-count", true);
    ok!(r, "thread-count", false);
    for operation in ["read", "write", "read", "edit"] {
        ok!(r, "add-thread-file", 1, "/src/a.rs", operation);
    }
    ok!(r, "add-thread-file", BIG, "/src/a.rs", "look");
    ok!(r, "add-thread-file", 1, "/ü", "read");
    ok!(r, "get-thread-files", 1);
    ok!(r, "get-thread-files", BIG);
    ok!(r, "get-threads-for-file", "/src/a.rs");
    ok!(r, "add-thread-query", 1, "Where is the parser?", none, none);
    ok!(r, "add-thread-query", BIG, "100% _sure_", 5, 6);
    ok!(r, "get-thread-queries", 1, 50);
    ok!(r, "update-query-embedding", 1, 10, 20);
    ok!(r, "update-query-embedding", 99, 10, 20);
    ok!(r, "search-thread-queries", "PARSER", 20);
    ok!(r, "search-thread-queries", "%", 20);
    ok!(r, "search-thread-queries", "", 1);
    for tool in ["grep", "Read", "grep"] {
        ok!(r, "record-thread-tool", 1, tool);
    }
    ok!(r, "record-thread-tool", BIG, "grep");
    ok!(r, "get-thread-tools", 1);
    ok!(r, "get-thread-stats");
}

fn conventions(r: &mut Recorder) {
    let none: [&str; 0] = [];
    ok!(
        r,
        "upsert-convention",
        "c1",
        "Names",
        "say what it is",
        "naming",
        ["context:cli"],
        "required",
        ["good"],
        ["bad", "ünder"],
        "^x",
        ["t"],
        "org",
        0,
        1,
        BIG
    );
    ok!(
        r,
        "upsert-convention",
        "c2",
        "Errors",
        "",
        "errors",
        none,
        "optional",
        none,
        none,
        null,
        none,
        null,
        -1,
        -1,
        BIG
    );
    ok!(
        r,
        "upsert-convention",
        "c3",
        "Anything",
        "",
        "naming",
        ["context:cli", "x"],
        "whatever",
        none,
        none,
        null,
        none,
        null,
        0,
        0,
        5
    );
    ok!(r, "record-convention-applied", "c1");
    ok!(r, "record-convention-applied", "c9");
    ok!(r, "update-convention-vector", BIG, 1, 2);
    ok!(r, "update-convention-vector", 1, 1, 2);
    ok!(r, "get-convention", "c1");
    ok!(r, "get-convention-by-key", BIG);
    ok!(r, "query-conventions", null, none, null, null, 100, 0);
    ok!(r, "query-conventions", "naming", ["context:cli"], "required", "org", 100, 0);
    ok!(r, "query-conventions", "", ["x"], "", "", 2, 1);
    r.all("list-conventions", &[], 2);
    r.all("list-conventions-by-scope", &[json!("context:cli")], 1);
    r.all("list-conventions-by-category", &[json!("naming")], 1);
    ok!(r, "convention-count");
    ok!(r, "get-convention-stats");
    ok!(
        r,
        "upsert-convention",
        "c1",
        "Names",
        "again",
        "naming",
        none,
        "required",
        none,
        none,
        null,
        none,
        null,
        0,
        1,
        BIG
    );
    ok!(r, "get-convention", "c1");
    ok!(r, "delete-convention", "c2");
    ok!(r, "delete-convention", "c2");
}

fn vectors(r: &mut Recorder) {
    ok!(r, "live-vector-stats");
    r.all("list-live-vectors", &[], 2);
    let moved = |old: i64, new: i64| json!({ "old-offset": old, "new-offset": new, "length": 512 });
    ok!(r, "update-vector-offsets", [moved(4096, 8192), moved(1, 2)]);
    fails!(r, "invalid-argument", "update-vector-offsets", [moved(5, 6), moved(5, 7)]);
    ok!(r, "update-vector-offsets", []);
    r.all("list-live-vectors", &[], 100);
}

fn rows(r: &mut Recorder) {
    for kind in kinds() {
        ok!(r, "count-rows", kind);
        r.all("export-rows", &[json!(kind)], 4);
    }
    // The database that is imported later has none.
    let conventions = r.all("export-rows", &[json!("convention")], 100);
    ok!(r, "import-rows", conventions);
    ok!(r, "set-import-state", "half of it");
    ok!(r, "get-import-state");
    let metadata = |key: &str| json!({ "metadata": { "key": key, "value": "imported" } });
    let counter = |name: &str| json!({ "counter": { "name": name, "value": 100 } });
    fails!(r, "invalid-argument", "import-rows", [metadata("not kept"), counter("no-such-counter")]);
    ok!(r, "get-metadata", "not kept");
    ok!(r, "import-rows", [metadata("kept"), counter("thread_queries")]);
    ok!(r, "import-rows", []);
    ok!(r, "find-rows", [metadata("kept"), metadata("not kept"), counter("thread_queries")]);
    ok!(r, "add-thread-query", 1, "after the counter", null, null);
    ok!(r, "set-import-state", null);
    ok!(r, "get-import-state");
    ok!(r, "verify");
    ok!(r, "reindex");
    ok!(r, "verify");
}

/// All kinds of rows, as the encoding names them.
fn kinds() -> Vec<String> {
    ROW_KINDS.iter().map(|kind| kebab(&format!("{kind:?}"))).collect()
}

fn kebab(name: &str) -> String {
    let name = name.rsplit("::").next().unwrap();
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.extend(c.to_lowercase());
    }
    out
}

/// How many symbols of the database are taken: one in so many, to keep the file small.
const SYMBOLS: usize = 6;

/// The rows of the small database, in calls of some rows each.
pub fn import(r: &mut Recorder, source: &mut Tracker) {
    for kind in kinds() {
        let mut rows = export(source, &kind);
        if kind == "symbol" {
            rows = rows.into_iter().step_by(SYMBOLS).collect();
        }
        for some in rows.chunks(150) {
            ok!(r, "import-rows", some);
        }
        ok!(r, "count-rows", kind);
    }
}

fn export(source: &mut Tracker, kind: &str) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut after = Value::Null;
    loop {
        let mut page = calls::answer(source, "export-rows", &[json!(kind), after, json!(1000)]);
        rows.append(page["items"].as_array_mut().unwrap());
        after = page["next"].take();
        if after.is_null() {
            return rows;
        }
    }
}

/// The end: what there is now, and that nothing is wrong with it.
pub fn finish(r: &mut Recorder) {
    for kind in kinds() {
        ok!(r, "count-rows", kind);
    }
    ok!(r, "verify");
    ok!(r, "get-thread-stats");
    ok!(r, "live-vector-stats");
    ok!(r, "clear-transcript-positions");
    ok!(r, "clear-checkpoints");
}
