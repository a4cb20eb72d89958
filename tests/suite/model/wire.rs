//! Values of calls as JSON, in the encoding of `tracker_host::json`, and as Rust types.

use serde_json::{Map, Value, json};
use tracker_host::types::*;

/// A type that stands in a call's arguments or answer.
pub trait Wire: Sized {
    fn read(value: &Value) -> Self;
    fn write(&self) -> Value;
}

/// The parameters of a function.
pub trait Arguments {
    fn read(values: &[Value]) -> Self;
}

impl Wire for Value {
    fn read(value: &Value) -> Self {
        value.clone()
    }
    fn write(&self) -> Value {
        self.clone()
    }
}

macro_rules! plain {
    ($($type:ty: $read:expr;)+) => {
        $(impl Wire for $type {
            fn read(value: &Value) -> Self {
                let read: fn(&Value) -> Option<$type> = $read;
                read(value).unwrap_or_else(|| panic!("{value} is no {}", stringify!($type)))
            }
            fn write(&self) -> Value {
                json!(self)
            }
        })+
    };
}

plain! {
    bool: Value::as_bool;
    u32: |value| value.as_u64()?.try_into().ok();
    u64: Value::as_u64;
    i64: Value::as_i64;
    String: |value| Some(value.as_str()?.to_owned());
}

impl Wire for f64 {
    fn read(value: &Value) -> Self {
        match value.as_str() {
            Some(text) => text.parse().unwrap(),
            None => value.as_f64().unwrap(),
        }
    }
    fn write(&self) -> Value {
        if self.is_finite() { json!(self) } else { json!(self.to_string().to_lowercase()) }
    }
}

impl Wire for () {
    fn read(_value: &Value) -> Self {}
    fn write(&self) -> Value {
        Value::Null
    }
}

impl<T: Wire> Wire for Option<T> {
    fn read(value: &Value) -> Self {
        (!value.is_null()).then(|| T::read(value))
    }
    fn write(&self) -> Value {
        self.as_ref().map_or(Value::Null, T::write)
    }
}

impl<T: Wire> Wire for Vec<T> {
    fn read(value: &Value) -> Self {
        value.as_array().unwrap().iter().map(T::read).collect()
    }
    fn write(&self) -> Value {
        self.iter().map(T::write).collect()
    }
}

impl<A: Wire, B: Wire> Wire for (A, B) {
    fn read(value: &Value) -> Self {
        (A::read(&value[0]), B::read(&value[1]))
    }
    fn write(&self) -> Value {
        json!([self.0.write(), self.1.write()])
    }
}

fn kebab(name: &str) -> String {
    name.replace('_', "-")
}

macro_rules! records {
    ($($record:ident { $($field:ident)+ })+) => {
        $(impl Wire for $record {
            fn read(value: &Value) -> Self {
                $record { $($field: Wire::read(&value[kebab(stringify!($field))])),+ }
            }
            fn write(&self) -> Value {
                let mut object = Map::new();
                $(object.insert(kebab(stringify!($field)), self.$field.write());)+
                Value::Object(object)
            }
        })+
    };
}

records! {
    FileUpsert { path mtime size content_hash blob_offset blob_length key_hash contexts }
    FileStat { path mtime size }
    FileRow { path mtime size content_hash blob_offset blob_length key_hash indexed_at vector_offset vector_length
        detected_contexts is_team }
    FileRecord { path mtime size content_hash blob_offset blob_length key_hash indexed_at vector_offset vector_length
        detected_contexts is_team }
    SymbolUpsert { name kind line_start line_end blob_offset blob_length key_hash }
    SymbolRecord { id file_path name kind line_start line_end blob_offset blob_length key_hash vector_offset
        vector_length }
    RecentSymbol { symbol indexed_at }
    Checkpoint { id created_at last_path total_files processed_files }
    MetadataRow { key value }
    TranscriptRow { path byte_position updated_at }
    MemoryRow { id task insights context symbol_keys text tags blob_offset blob_length key_hash created_at updated_at
        vector_offset vector_length access_count last_accessed owner_id is_team }
    MemoryRecord { id task insights context symbol_keys text tags blob_offset blob_length key_hash created_at updated_at
        vector_offset vector_length access_count last_accessed owner_id is_team }
    PatternRecord { key_hash pattern tool_type matched_files created_at blob_offset blob_length vector_offset
        vector_length }
    PatternLink { pattern_key_hash file_path }
    ThreadRecord { id session_id title created_at last_touch touches is_active centroid_offset centroid_length }
    ThreadFileRecord { thread_id file_path operation first_access last_access access_count }
    ThreadQueryRecord { id thread_id query_text timestamp embedding_offset embedding_length }
    ThreadToolRecord { id thread_id tool_name tool_count last_used }
    ThreadStats { active_threads inactive_threads session_count file_associations query_count tool_associations
        top_session }
    ConventionRow { id name description category scope priority good_examples bad_examples pattern tags org_id
        blob_offset blob_length key_hash created_at updated_at vector_offset vector_length times_applied last_applied }
    ConventionRecord { id name description category scope priority good_examples bad_examples pattern tags org_id
        blob_offset blob_length key_hash created_at updated_at vector_offset vector_length times_applied last_applied }
    CounterRow { name value }
    LiveVector { key_hash offset length }
    VectorStats { bytes count }
    VectorMove { old_offset new_offset length }
}

/// The row's case and its record.
macro_rules! rows {
    ($($name:literal $case:ident $record:ident)+) => {
        impl Wire for Row {
            fn read(value: &Value) -> Self {
                let (case, record) = value.as_object().unwrap().iter().next().unwrap();
                match case.as_str() {
                    $($name => Row::$case($record::read(record)),)+
                    other => panic!("there is no row {other}"),
                }
            }
            fn write(&self) -> Value {
                match self {
                    $(Row::$case(record) => json!({ $name: record.write() }),)+
                }
            }
        }
    };
}

rows! {
    "file" File FileRow
    "symbol" Symbol SymbolRecord
    "checkpoint" Checkpoint Checkpoint
    "metadata" Metadata MetadataRow
    "memory" Memory MemoryRow
    "transcript-position" TranscriptPosition TranscriptRow
    "pattern" Pattern PatternRecord
    "pattern-link" PatternLink PatternLink
    "thread" Thread ThreadRecord
    "thread-file" ThreadFile ThreadFileRecord
    "thread-query" ThreadQuery ThreadQueryRecord
    "thread-tool" ThreadTool ThreadToolRecord
    "convention" Convention ConventionRow
    "counter" Counter CounterRow
}

macro_rules! arguments {
    ($($name:ident)*) => {
        impl<$($name: Wire),*> Arguments for ($($name,)*) {
            #[allow(non_snake_case, reason = "the names are those of the types")]
            #[allow(clippy::unused_unit, reason = "no arguments are the unit")]
            fn read(values: &[Value]) -> Self {
                let [$($name),*] = values else { panic!("{values:?} are not the arguments") };
                ($($name::read($name),)*)
            }
        }
    };
}

arguments!();
arguments!(A);
arguments!(A B);
arguments!(A B C);
arguments!(A B C D);
arguments!(A B C D E);
arguments!(A B C D E F);
arguments!(A B C D E F G);
arguments!(A B C D E F G H);
arguments!(A B C D E F G H I J K L);
arguments!(A B C D E F G H I J K L M N);
