//! JSON-text columns: lists that the reference keeps as text.
//!
//! Written as Python's `json.dumps` writes them, so that a record that a call
//! has written and one that the reference wrote are the same bytes. Read
//! leniently in one respect: a lone surrogate, which Python's JSON can hold and
//! a WIT string cannot, becomes U+FFFD.

use serde::de::{Deserialize, Deserializer, Visitor};

/// Writes a list of texts.
pub fn dump_texts<S: AsRef<str>>(texts: &[S]) -> String {
    dump(texts, |text, out| dump_text(text.as_ref(), out))
}

/// Writes a list of numbers.
pub fn dump_numbers(numbers: &[u64]) -> String {
    dump(numbers, |number, out| out.push_str(&number.to_string()))
}

fn dump<T>(items: &[T], mut write: impl FnMut(&T, &mut String)) -> String {
    let mut out = String::from("[");
    for (position, item) in items.iter().enumerate() {
        if position > 0 {
            out.push_str(", ");
        }
        write(item, &mut out);
    }
    out.push(']');
    out
}

fn dump_text(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            ' '..='\u{7f}' => out.push(c),
            _ => {
                let mut units = [0; 2];
                for unit in c.encode_utf16(&mut units) {
                    out.push_str(&format!("\\u{unit:04x}"));
                }
            }
        }
    }
    out.push('"');
}

/// Reads a list of texts; none if it is anything else.
pub fn parse_texts(json: &str) -> Option<Vec<String>> {
    if let Some(texts) = parse_plain(json) {
        return Some(texts);
    }
    let texts: Vec<Lossy> = serde_json::from_str(json).ok()?;
    Some(texts.into_iter().map(|text| text.0).collect())
}

/// Reads a list of texts without escapes, as nearly all are; none for anything else.
fn parse_plain(json: &str) -> Option<Vec<String>> {
    let mut texts = Vec::new();
    each_plain(json, |text| texts.push(text.to_owned())).then_some(texts)
}

/// Passes the texts of a list without escapes on as they stand there. False
/// for anything else, of which some may have been passed on.
pub fn each_plain<'a>(json: &'a str, mut take: impl FnMut(&'a str)) -> bool {
    let Some(mut rest) = json.strip_prefix('[') else { return false };
    if rest == "]" {
        return true;
    }
    loop {
        let Some(quoted) = rest.strip_prefix('"') else { return false };
        let Some(end) = quoted.bytes().position(|b| b == b'"' || b == b'\\' || b < b' ') else { return false };
        let (text, after) = quoted.split_at(end);
        take(text);
        match after.strip_prefix("\", ") {
            Some(next) => rest = next,
            None => return after == "\"]",
        }
    }
}

/// Reads a list of unsigned numbers; none if it is anything else.
pub fn parse_numbers(json: &str) -> Option<Vec<u64>> {
    serde_json::from_str(json).ok()
}

/// The texts of a column: none where it is empty or malformed.
pub fn texts(json: Option<&str>) -> Vec<String> {
    json.and_then(parse_texts).unwrap_or_default()
}

/// The numbers of a column: none where it is empty or malformed.
pub fn numbers(json: Option<&str>) -> Vec<u64> {
    json.and_then(parse_numbers).unwrap_or_default()
}

/// Tells whether a column that should hold a list of texts does not.
pub fn malformed_texts(json: Option<&str>) -> bool {
    json.is_some_and(|json| parse_texts(json).is_none())
}

/// A text in which lone surrogates were replaced.
struct Lossy(String);

impl<'de> Deserialize<'de> for Lossy {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Lossy;

            fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
                f.write_str("a string")
            }
            fn visit_bytes<E: serde::de::Error>(self, bytes: &[u8]) -> Result<Lossy, E> {
                Ok(Lossy(replace_surrogates(bytes)))
            }
        }
        // As bytes serde_json hands out lone surrogates (as three bytes of
        // WTF-8) instead of refusing them.
        deserializer.deserialize_bytes(Text)
    }
}

fn replace_surrogates(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // The three bytes of a surrogate (ED A0..BF 80..BF) come as three
        // invalid chunks of one byte each.
        if chunk.invalid().first() == Some(&0xED) {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_written_as_python_writes_them() {
        assert_eq!(dump_texts::<&str>(&[]), "[]");
        assert_eq!(
            dump_texts(&["a", "q\"\\/", "\n\r\t\u{8}\u{c}\0\u{7f}", "ünï🦀"]),
            r#"["a", "q\"\\/", "\n\r\t\b\f\u0000"#.to_owned() + "\u{7f}" + r#"", "\u00fcn\u00ef\ud83e\udd80"]"#
        );
        assert_eq!(dump_numbers(&[u64::MAX, 0]), "[18446744073709551615, 0]");
    }

    #[test]
    fn what_was_written_is_read() {
        let texts = ["", "a", "q\"\\/", "\n\0\u{7f}", "ünï🦀", "\u{fffd}"];
        assert_eq!(parse_texts(&dump_texts(&texts)).unwrap(), texts);
        assert_eq!(parse_numbers("[18446744073709551615, 9007199254740993]").unwrap(), [u64::MAX, 9007199254740993]);
    }

    #[test]
    fn lone_surrogates_are_replaced_and_neighbours_kept() {
        assert_eq!(parse_texts(r#"["\udcff", "a\ud800b", "c"]"#).unwrap(), ["\u{fffd}", "a\u{fffd}b", "c"]);
    }

    #[test]
    fn anything_else_is_malformed() {
        for json in ["", "null", "{}", "[1]", "[\"a\"", "[\"a\", 1]", "\"a\"", "not json"] {
            assert_eq!(parse_texts(json), None, "{json}");
        }
        for json in ["[-1]", "[1.5]", "[18446744073709551616]", "[\"1\"]"] {
            assert_eq!(parse_numbers(json), None, "{json}");
        }
    }
}
