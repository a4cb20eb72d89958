//! The rows of an SQLite database in the shape of the reference's records.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};
use serde_json::{Map, Value, json};

use super::replay::normalised;
use crate::support::Fixture;

/// All rows of a table in rowid order.
pub fn rows(fixture: &Fixture, table: &str) -> Vec<Value> {
    let connection = Connection::open_with_flags(&fixture.database, OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    let mut statement = connection.prepare(&format!("SELECT * FROM {table} ORDER BY rowid")).unwrap();
    let names: Vec<String> = statement.column_names().into_iter().map(str::to_owned).collect();
    let mut rows = statement.query([]).unwrap();
    let mut all = Vec::new();
    while let Some(row) = rows.next().unwrap() {
        let fields = names.iter().enumerate().map(|(column, name)| {
            let value = match row.get_ref(column).unwrap() {
                ValueRef::Integer(value) if name == "key_hash" => json!(value.cast_unsigned()),
                ValueRef::Integer(value) => json!(value),
                ValueRef::Real(value) if value.is_finite() => json!(value),
                ValueRef::Real(value) => json!({ "$f64": format!("{:016x}", value.to_bits()) }),
                ValueRef::Text(text) => json!(str::from_utf8(text).unwrap()),
                ValueRef::Null => Value::Null,
                ValueRef::Blob(_) => panic!("{table}.{name} is a BLOB"),
            };
            (name.clone(), value)
        });
        all.push(normalised(&Value::Object(fields.collect::<Map<_, _>>())));
    }
    all
}

/// Sorts by a time, newest first, keeping the order of equal times.
pub fn newest_first(rows: &mut [Value], column: &str) {
    rows.sort_by(|a, b| b[column].as_f64().unwrap().total_cmp(&a[column].as_f64().unwrap()));
}

/// Whether a text contains another, ASCII letters compared without case.
pub fn contains(text: &str, part: &str) -> bool {
    text.to_ascii_lowercase().contains(&part.to_ascii_lowercase())
}
