//! Key encodings.
//!
//! A *logical key* is a byte string of any length whose byte order is the order
//! a table is meant to have. It is built from parts:
//!
//! | part | encoding |
//! |---|---|
//! | u64 | 8 bytes, big-endian |
//! | i64 | 8 bytes, big-endian, sign bit flipped |
//! | f64 | 8 bytes, big-endian; sign bit flipped, negative values inverted whole, so that byte order is numeric order (-inf … -0.0, 0.0 … inf, NaN) |
//! | f64, newest first | the same, every bit inverted |
//! | text, followed by more | UTF-8, 0x00 written as 01 01 and 0x01 as 01 02, then a terminating 0x00 |
//! | text, last in the key | UTF-8 as it is |
//! | text that is the whole key | UTF-8 as it is; `""` is 00, a leading 0x00 is written 00 01 |
//!
//! A *physical key* is what the store is given. Its limits are 1 to 511 bytes
//! (LMDB's), so a logical key that is longer is cut: 494 bytes, one 0xFF, and
//! the first 16 bytes of the SHA-256 of the whole. 0xFF occurs nowhere in
//! UTF-8; a shorter key that happens to have the form of a cut one (its numbers
//! can hold any byte) is cut as well, so the form is unambiguous. What was cut
//! off is kept in the value: a record holds its own key fields, any other entry
//! begins with the length of the logical key (u32 big-endian) and the key.
//!
//! Cutting loses the order among keys that share their first 494 bytes;
//! `scan.rs` restores it when it reads.

use std::cmp::Ordering;

use sha2::{Digest, Sha256};

use crate::bytes;

/// The longest physical key.
pub const MAX_PHYSICAL: usize = 511;
/// How much of a long logical key is kept as it is.
pub const KEPT: usize = 494;
const CUT_MARK: u8 = 0xFF;
const HASH: usize = MAX_PHYSICAL - KEPT - 1;

/// Builds logical keys from parts.
#[derive(Default, Clone, Debug)]
pub struct Key(Vec<u8>);

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        bytes::same(&self.0, &other.0)
    }
}

impl Eq for Key {}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Key) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Key) -> Ordering {
        bytes::compare(&self.0, &other.0)
    }
}

impl Key {
    /// An empty key, to be filled.
    pub fn new() -> Self {
        Key(Vec::with_capacity(64))
    }

    /// A key that is one number.
    pub fn of_u64(value: u64) -> Self {
        Key::new().u64(value)
    }

    /// A key that is one text.
    pub fn of_text(text: &str) -> Self {
        let mut key = Key(Vec::with_capacity(text.len() + 1));
        let bytes = text.as_bytes();
        match bytes.first() {
            None => key.0.push(0),
            Some(0) => {
                key.0.extend_from_slice(&[0, 1]);
                key.0.extend_from_slice(&bytes[1..]);
            }
            Some(_) => key.0.extend_from_slice(bytes),
        }
        key
    }

    /// A key from its bytes.
    pub fn from_bytes(bytes: Vec<u8>) -> Self {
        Key(bytes)
    }

    /// Appends one byte.
    pub fn byte(mut self, value: u8) -> Self {
        self.0.push(value);
        self
    }

    /// Appends a number.
    pub fn u64(mut self, value: u64) -> Self {
        self.0.extend_from_slice(&value.to_be_bytes());
        self
    }

    /// Appends a signed number.
    pub fn i64(self, value: i64) -> Self {
        self.u64(value.cast_unsigned() ^ (1 << 63))
    }

    /// Appends a time, smallest first.
    pub fn time(self, value: f64) -> Self {
        self.u64(ordered_bits(value))
    }

    /// Appends a time, newest first.
    pub fn newest(self, value: f64) -> Self {
        self.u64(!ordered_bits(value))
    }

    /// Appends a text that more follows.
    pub fn segment(mut self, text: &str) -> Self {
        if text.as_bytes().iter().any(|&b| b <= 1) {
            for &b in text.as_bytes() {
                match b {
                    0 => self.0.extend_from_slice(&[1, 1]),
                    1 => self.0.extend_from_slice(&[1, 2]),
                    b => self.0.push(b),
                }
            }
        } else {
            self.0.extend_from_slice(text.as_bytes());
        }
        self.0.push(0);
        self
    }

    /// Appends a text that ends the key.
    pub fn tail(mut self, text: &str) -> Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// Appends bytes that end the key.
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The logical key.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The logical key.
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}

/// The first logical key that is greater than every key with this prefix; empty if there is none.
pub fn prefix_end(prefix: &[u8]) -> Vec<u8> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if last < 0xFF {
            end.push(last + 1);
            break;
        }
    }
    end
}

/// True if a physical key has the form of a cut one.
pub fn is_cut(physical: &[u8]) -> bool {
    physical.len() == MAX_PHYSICAL && physical[KEPT] == CUT_MARK
}

/// True if the store cannot hold this logical key as it is.
pub fn needs_cut(logical: &[u8]) -> bool {
    logical.len() > MAX_PHYSICAL || is_cut(logical)
}

/// The physical form of a logical key that [`needs_cut`].
pub fn cut(logical: &[u8]) -> [u8; MAX_PHYSICAL] {
    let mut physical = [0; MAX_PHYSICAL];
    physical[..KEPT].copy_from_slice(&logical[..KEPT]);
    physical[KEPT] = CUT_MARK;
    let digest = Sha256::digest(logical);
    physical[KEPT + 1..].copy_from_slice(&digest[..HASH]);
    physical
}

/// True if this cut key is the physical form of a logical key.
pub fn is_cut_of(physical: &[u8], logical: &[u8]) -> bool {
    needs_cut(logical) && cut(logical) == physical
}

/// Calls `f` with the physical form of a logical key.
pub fn with_physical<T>(logical: &[u8], f: impl FnOnce(&[u8]) -> T) -> T {
    if needs_cut(logical) { f(&cut(logical)) } else { f(logical) }
}

fn ordered_bits(value: f64) -> u64 {
    let bits = value.to_bits();
    if bits >> 63 == 0 { bits ^ (1 << 63) } else { !bits }
}

/// The time at the start of `bytes`, which [`Key::newest`] wrote.
pub fn read_newest(bytes: &[u8]) -> Option<f64> {
    let bits = !read_u64(bytes)?;
    Some(f64::from_bits(if bits >> 63 == 1 { bits ^ (1 << 63) } else { !bits }))
}

/// The number at the start of `bytes`.
pub fn read_u64(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(*bytes.first_chunk()?))
}

/// Splits a segment off the start of `bytes`: its text and what follows it.
pub fn read_segment(bytes: &[u8]) -> Option<(String, &[u8])> {
    let end = bytes.iter().position(|&b| b == 0)?;
    let mut text = Vec::with_capacity(end);
    let mut rest = bytes[..end].iter();
    while let Some(&b) = rest.next() {
        text.push(match b {
            1 => match rest.next()? {
                1 => 0,
                2 => 1,
                _ => return None,
            },
            b => b,
        });
    }
    Some((String::from_utf8(text).ok()?, &bytes[end + 1..]))
}

/// The text of a key that [`Key::of_text`] built; none for any other key.
pub fn read_text(logical: &[u8]) -> Option<String> {
    let bytes = match logical {
        [0] => Vec::new(),
        [0, 1, rest @ ..] => [&[0], rest].concat(),
        [] | [0, ..] => return None,
        bytes => bytes.to_vec(),
    };
    String::from_utf8(bytes).ok()
}

/// Removes the logical key from the front of the value of an entry with a cut
/// key: the key and the rest.
pub fn split_value(value: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = value.split_first_chunk::<4>()?;
    rest.split_at_checked(u32::from_be_bytes(*length) as usize)
}

/// Puts the logical key in front of the value of an entry with a cut key.
pub fn join_value(logical: &[u8], value: &[u8]) -> Vec<u8> {
    let mut joined = Vec::with_capacity(4 + logical.len() + value.len());
    joined.extend_from_slice(&(logical.len() as u32).to_be_bytes());
    joined.extend_from_slice(logical);
    joined.extend_from_slice(value);
    joined
}

/// A key for people: printable text as it is, other bytes as `\xNN`.
pub fn printable(key: &[u8]) -> String {
    let mut text = String::new();
    for chunk in key.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '\\' {
                let mut utf8 = [0; 4];
                for b in c.encode_utf8(&mut utf8).bytes() {
                    text.push_str(&format!("\\x{b:02x}"));
                }
            } else {
                text.push(c);
            }
        }
        for b in chunk.invalid() {
            text.push_str(&format!("\\x{b:02x}"));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_sort_numerically() {
        let times = [f64::NEG_INFINITY, -1e9, -5.25, -0.0, 0.0, 1e-300, 1.0, 1.5e9, f64::INFINITY, f64::NAN];
        for pair in times.windows(2) {
            assert!(Key::new().time(pair[0]) < Key::new().time(pair[1]), "{pair:?}");
            assert!(Key::new().newest(pair[0]) > Key::new().newest(pair[1]), "{pair:?}");
        }
        for time in &times[..9] {
            assert_eq!(read_newest(Key::new().newest(*time).bytes()).map(f64::to_bits), Some(time.to_bits()));
        }
    }

    #[test]
    fn signed_numbers_sort_numerically() {
        let numbers = [i64::MIN, -5, -1, 0, 1, i64::MAX];
        for pair in numbers.windows(2) {
            assert!(Key::new().i64(pair[0]) < Key::new().i64(pair[1]), "{pair:?}");
        }
    }

    const TEXTS: [&str; 12] =
        ["", "\0", "\0\0", "\0\u{1}", "\0a", "\u{1}", "\u{1}\0", "\u{1}\u{1}", "\u{2}", "a", "a\0b", "a\u{1}"];

    #[test]
    fn texts_sort_by_bytes_and_come_back() {
        for pair in TEXTS.windows(2) {
            assert!(Key::of_text(pair[0]) < Key::of_text(pair[1]), "{pair:?}");
            assert!(Key::new().segment(pair[0]) < Key::new().segment(pair[1]), "{pair:?}");
        }
        for text in TEXTS {
            assert_eq!(read_text(Key::of_text(text).bytes()).as_deref(), Some(text));
            let key = Key::new().segment(text).u64(7);
            let (back, rest) = read_segment(key.bytes()).unwrap();
            assert_eq!((back.as_str(), read_u64(rest)), (text, Some(7)));
        }
    }

    #[test]
    fn no_two_logical_keys_share_a_physical_one() {
        let long = "x".repeat(5000);
        let mut keys: Vec<Vec<u8>> = (490..530).map(|n| long.as_bytes()[..n].to_vec()).collect();
        keys.push(long.clone().into_bytes());
        // A key of 511 bytes that looks exactly like a cut one.
        keys.push(cut(long.as_bytes()).to_vec());
        let mut physical: Vec<Vec<u8>> = keys
            .iter()
            .map(|key| with_physical(key, <[u8]>::to_vec))
            .inspect(|key| assert!(key.len() <= 511))
            .collect();
        physical.sort();
        physical.dedup();
        assert_eq!(physical.len(), keys.len());
    }

    #[test]
    fn cut_values_come_back() {
        let joined = join_value(b"key", b"value");
        assert_eq!(split_value(&joined), Some((&b"key"[..], &b"value"[..])));
        assert_eq!(split_value(&joined[..5]), None);
        assert_eq!(split_value(b""), None);
    }

    #[test]
    fn prefix_end_is_the_least_upper_bound() {
        assert_eq!(prefix_end(b"a"), b"b");
        assert_eq!(prefix_end(b"a\xff"), b"b");
        assert_eq!(prefix_end(b"\xff"), b"");
    }

    #[test]
    fn printable_escapes_what_cannot_be_read() {
        assert_eq!(printable("aé\0\\".as_bytes()), "aé\\x00\\x5c");
        assert_eq!(printable(b"\xff1"), "\\xff1");
    }
}
