//! JSON-text columns, as Python's json module writes and reads them.

use serde_json::Value;

/// `json.dumps` of a list: a space behind commas, what is not ASCII as \uXXXX.
fn dump(items: impl Iterator<Item = String>) -> String {
    let mut out = String::new();
    for c in items.collect::<Vec<_>>().join(", ").chars() {
        if c.is_ascii() {
            out.push(c);
        } else {
            c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        }
    }
    format!("[{out}]")
}

pub fn of_texts(texts: &[String]) -> String {
    dump(texts.iter().map(|text| Value::from(text.as_str()).to_string()))
}

pub fn of_numbers(numbers: &[u64]) -> String {
    dump(numbers.iter().map(u64::to_string))
}

/// The texts of a column; none if it does not hold a list of texts.
fn parse(column: &str) -> Option<Vec<String>> {
    // Of lone surrogates the generator knows one.
    serde_json::from_str(&column.replace("\\udcff", "\\ufffd")).ok()
}

pub fn texts(column: Option<&String>) -> Vec<String> {
    column.and_then(|column| parse(column)).unwrap_or_default()
}

pub fn numbers(column: Option<&String>) -> Vec<u64> {
    column.and_then(|column| serde_json::from_str(column).ok()).unwrap_or_default()
}

/// How many columns hold something else than lists of texts.
pub fn malformed<'a>(columns: impl IntoIterator<Item = Option<&'a String>>) -> u64 {
    columns.into_iter().flatten().filter(|column| parse(column).is_none()).count() as u64
}

pub fn malformed_numbers(column: Option<&String>) -> bool {
    column.is_some_and(|column| serde_json::from_str::<Vec<u64>>(column).is_err())
}
