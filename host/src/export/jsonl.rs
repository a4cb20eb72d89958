//! Rows as JSON.
//!
//! The structs repeat those of the bindings, which have no serde; the compiler
//! checks that no field is missing. Unknown names are refused, so that a
//! misspelt or newer field is not lost in silence.

use std::io::{self, Write};

use serde::{Deserialize, Deserializer, Serialize};

use crate::types::{
    Checkpoint, ConventionRow, CounterRow, FileRow, MemoryRow, MetadataRow, PatternLink, PatternRecord, Row,
    SymbolRecord, ThreadFileRecord, ThreadQueryRecord, ThreadRecord, ThreadToolRecord, TranscriptRow,
};

/// Writes a row and the end of the line.
pub fn write(row: &Row, out: &mut dyn Write) -> io::Result<()> {
    #[derive(Serialize)]
    struct Line<'r>(#[serde(with = "RowJson")] &'r Row);
    serde_json::to_writer(&mut *out, &Line(row))?;
    out.write_all(b"\n")
}

/// Reads a row.
pub fn read(line: &[u8]) -> Result<Row, String> {
    #[derive(Deserialize)]
    struct Line(#[serde(with = "RowJson")] Row);
    // To the parser this is line 1.
    let reason = |error: serde_json::Error| error.to_string().replace(" at line 1 column ", " at column ");
    serde_json::from_slice(line).map(|Line(row)| row).map_err(reason)
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Row", rename_all = "kebab-case")]
enum RowJson {
    File(#[serde(with = "FileRowJson")] FileRow),
    Symbol(#[serde(with = "SymbolRecordJson")] SymbolRecord),
    Checkpoint(#[serde(with = "CheckpointJson")] Checkpoint),
    Metadata(#[serde(with = "MetadataRowJson")] MetadataRow),
    Memory(#[serde(with = "MemoryRowJson")] MemoryRow),
    TranscriptPosition(#[serde(with = "TranscriptRowJson")] TranscriptRow),
    Pattern(#[serde(with = "PatternRecordJson")] PatternRecord),
    PatternLink(#[serde(with = "PatternLinkJson")] PatternLink),
    Thread(#[serde(with = "ThreadRecordJson")] ThreadRecord),
    ThreadFile(#[serde(with = "ThreadFileRecordJson")] ThreadFileRecord),
    ThreadQuery(#[serde(with = "ThreadQueryRecordJson")] ThreadQueryRecord),
    ThreadTool(#[serde(with = "ThreadToolRecordJson")] ThreadToolRecord),
    Convention(#[serde(with = "ConventionRowJson")] ConventionRow),
    Counter(#[serde(with = "CounterRowJson")] CounterRow),
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "FileRow", rename_all = "kebab-case", deny_unknown_fields)]
struct FileRowJson {
    path: String,
    #[serde(with = "float")]
    mtime: f64,
    size: i64,
    content_hash: String,
    blob_offset: i64,
    blob_length: i64,
    key_hash: u64,
    #[serde(with = "float")]
    indexed_at: f64,
    #[serde(deserialize_with = "present")]
    vector_offset: Option<i64>,
    #[serde(deserialize_with = "present")]
    vector_length: Option<i64>,
    #[serde(deserialize_with = "present")]
    detected_contexts: Option<String>,
    is_team: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "SymbolRecord", rename_all = "kebab-case", deny_unknown_fields)]
struct SymbolRecordJson {
    id: u64,
    file_path: String,
    name: String,
    kind: String,
    line_start: i64,
    #[serde(deserialize_with = "present")]
    line_end: Option<i64>,
    blob_offset: i64,
    blob_length: i64,
    key_hash: u64,
    #[serde(deserialize_with = "present")]
    vector_offset: Option<i64>,
    #[serde(deserialize_with = "present")]
    vector_length: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "Checkpoint", rename_all = "kebab-case", deny_unknown_fields)]
struct CheckpointJson {
    id: u64,
    #[serde(with = "float")]
    created_at: f64,
    last_path: String,
    total_files: i64,
    processed_files: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "MetadataRow", rename_all = "kebab-case", deny_unknown_fields)]
struct MetadataRowJson {
    key: String,
    value: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "MemoryRow", rename_all = "kebab-case", deny_unknown_fields)]
struct MemoryRowJson {
    id: String,
    #[serde(deserialize_with = "present")]
    task: Option<String>,
    #[serde(deserialize_with = "present")]
    insights: Option<String>,
    #[serde(deserialize_with = "present")]
    context: Option<String>,
    #[serde(deserialize_with = "present")]
    symbol_keys: Option<String>,
    text: String,
    #[serde(deserialize_with = "present")]
    tags: Option<String>,
    blob_offset: i64,
    blob_length: i64,
    key_hash: u64,
    #[serde(with = "float")]
    created_at: f64,
    #[serde(with = "float::optional")]
    updated_at: Option<f64>,
    #[serde(deserialize_with = "present")]
    vector_offset: Option<i64>,
    #[serde(deserialize_with = "present")]
    vector_length: Option<i64>,
    access_count: u64,
    #[serde(with = "float::optional")]
    last_accessed: Option<f64>,
    #[serde(deserialize_with = "present")]
    owner_id: Option<String>,
    is_team: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "TranscriptRow", rename_all = "kebab-case", deny_unknown_fields)]
struct TranscriptRowJson {
    path: String,
    byte_position: i64,
    #[serde(with = "float")]
    updated_at: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PatternRecord", rename_all = "kebab-case", deny_unknown_fields)]
struct PatternRecordJson {
    key_hash: u64,
    pattern: String,
    tool_type: String,
    matched_files: Vec<String>,
    #[serde(with = "float")]
    created_at: f64,
    blob_offset: i64,
    blob_length: i64,
    #[serde(deserialize_with = "present")]
    vector_offset: Option<i64>,
    #[serde(deserialize_with = "present")]
    vector_length: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "PatternLink", rename_all = "kebab-case", deny_unknown_fields)]
struct PatternLinkJson {
    pattern_key_hash: u64,
    file_path: String,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ThreadRecord", rename_all = "kebab-case", deny_unknown_fields)]
struct ThreadRecordJson {
    id: u64,
    session_id: String,
    title: String,
    #[serde(with = "float")]
    created_at: f64,
    #[serde(with = "float")]
    last_touch: f64,
    touches: i64,
    is_active: bool,
    #[serde(deserialize_with = "present")]
    centroid_offset: Option<i64>,
    #[serde(deserialize_with = "present")]
    centroid_length: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ThreadFileRecord", rename_all = "kebab-case", deny_unknown_fields)]
struct ThreadFileRecordJson {
    thread_id: u64,
    file_path: String,
    operation: String,
    #[serde(with = "float")]
    first_access: f64,
    #[serde(with = "float")]
    last_access: f64,
    access_count: i64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ThreadQueryRecord", rename_all = "kebab-case", deny_unknown_fields)]
struct ThreadQueryRecordJson {
    id: u64,
    thread_id: u64,
    query_text: String,
    #[serde(with = "float")]
    timestamp: f64,
    #[serde(deserialize_with = "present")]
    embedding_offset: Option<i64>,
    #[serde(deserialize_with = "present")]
    embedding_length: Option<i64>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ThreadToolRecord", rename_all = "kebab-case", deny_unknown_fields)]
struct ThreadToolRecordJson {
    id: u64,
    thread_id: u64,
    tool_name: String,
    tool_count: i64,
    #[serde(with = "float")]
    last_used: f64,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "ConventionRow", rename_all = "kebab-case", deny_unknown_fields)]
struct ConventionRowJson {
    id: String,
    name: String,
    description: String,
    category: String,
    scope: String,
    priority: String,
    good_examples: String,
    bad_examples: String,
    #[serde(deserialize_with = "present")]
    pattern: Option<String>,
    tags: String,
    #[serde(deserialize_with = "present")]
    org_id: Option<String>,
    blob_offset: i64,
    blob_length: i64,
    key_hash: u64,
    #[serde(with = "float")]
    created_at: f64,
    #[serde(with = "float::optional")]
    updated_at: Option<f64>,
    #[serde(deserialize_with = "present")]
    vector_offset: Option<i64>,
    #[serde(deserialize_with = "present")]
    vector_length: Option<i64>,
    times_applied: u64,
    #[serde(with = "float::optional")]
    last_applied: Option<f64>,
}

#[derive(Serialize, Deserialize)]
#[serde(remote = "CounterRow", rename_all = "kebab-case", deny_unknown_fields)]
struct CounterRowJson {
    name: String,
    value: u64,
}

/// An option whose name may not be left out: a line that was cut is no row.
fn present<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(from)
}

/// Doubles, of which JSON cannot write all.
mod float {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

    #[derive(Serialize, Deserialize)]
    #[serde(untagged, expecting = "expected a number, \"inf\", \"-inf\" or \"nan\"")]
    enum Json {
        Number(f64),
        Name(String),
    }

    impl Json {
        fn of(value: f64) -> Self {
            match value {
                f64::INFINITY => Json::Name("inf".into()),
                f64::NEG_INFINITY => Json::Name("-inf".into()),
                value if value.is_nan() => Json::Name("nan".into()),
                value => Json::Number(value),
            }
        }

        fn value<E: de::Error>(self) -> Result<f64, E> {
            match self {
                Json::Number(value) => Ok(value),
                Json::Name(name) => match name.as_str() {
                    "inf" => Ok(f64::INFINITY),
                    "-inf" => Ok(f64::NEG_INFINITY),
                    "nan" => Ok(f64::NAN),
                    name => Err(E::custom(format!("{name:?} is not a number"))),
                },
            }
        }
    }

    pub fn serialize<S: Serializer>(value: &f64, to: S) -> Result<S::Ok, S::Error> {
        Json::of(*value).serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<f64, D::Error> {
        Json::deserialize(from)?.value()
    }

    pub mod optional {
        use super::{Deserialize, Deserializer, Json, Serialize, Serializer};

        pub fn serialize<S: Serializer>(value: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
            value.map(Json::of).serialize(to)
        }

        pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
            Option::<Json>::deserialize(from)?.map(Json::value).transpose()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(row: &Row) -> (String, Row) {
        let mut line = Vec::new();
        write(row, &mut line).unwrap();
        assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
        let back = read(&line).unwrap();
        (String::from_utf8(line).unwrap(), back)
    }

    #[test]
    fn every_value_comes_back_to_the_bit() {
        let times =
            [0.1, -0.0, f64::MIN_POSITIVE, 5e-324, f64::MAX, f64::INFINITY, f64::NEG_INFINITY, 1734400000.1953125];
        for time in times {
            let row = Row::TranscriptPosition(TranscriptRow {
                path: "a\0b\n\"\u{2028}é".into(),
                byte_position: i64::MIN,
                updated_at: time,
            });
            let (line, back) = round(&row);
            assert_eq!(back, row, "{line}");
            let Row::TranscriptPosition(back) = back else { panic!("{line}") };
            assert_eq!(back.updated_at.to_bits(), time.to_bits(), "{line}");
        }
        let row = Row::Counter(CounterRow { name: "symbols".into(), value: u64::MAX });
        assert_eq!(round(&row), (format!("{{\"counter\":{{\"name\":\"symbols\",\"value\":{}}}}}\n", u64::MAX), row));
    }

    #[test]
    fn what_is_not_a_row_is_refused() {
        let good = br#"{"counter":{"name":"symbols","value":1}}"#;
        read(good).unwrap();
        for bad in [
            "",
            "{}",
            "null",
            r#"{"counter":{"name":"symbols"}}"#,
            r#"{"counter":{"name":"symbols","value":-1}}"#,
            r#"{"counter":{"name":"symbols","value":1,"more":2}}"#,
            r#"{"counter":{"name":"symbols","value":1}} {}"#,
            r#"{"counters":{"name":"symbols","value":1}}"#,
            r#"{"thread-query":{"id":1,"thread-id":1,"query-text":"","timestamp":0.0,"embedding-offset":null}}"#,
            r#"{"transcript-position":{"path":"a","byte-position":1,"updated-at":"soon"}}"#,
        ] {
            assert!(read(bad.as_bytes()).is_err(), "{bad}");
        }
    }
}
