//! Fields of records: how each type is written to msgpack, read back without a
//! copy, and crosses to and from the WIT types.
//!
//! Numbers are written in their shortest form and times as float64, as Python's
//! msgpack does. The reader takes every form of integer.

use rmp::encode;
use serde::{Deserialize, Deserializer, de};

/// A type that a record field may have.
pub trait Field<'a>: Sized {
    /// Its type in WIT bindings.
    type Wit;

    /// Appends its msgpack form.
    fn write(&self, out: &mut Vec<u8>);
    /// Takes it off the front of `input`; none if something else is there.
    fn read(input: &mut &'a [u8]) -> Option<Self>;
    /// Borrows it from the WIT type.
    fn from_wit(wit: &'a Self::Wit) -> Self;
    /// Copies it into the WIT type.
    fn into_wit(self) -> Self::Wit;
    /// True for the value that a missing field is taken to have.
    fn is_default(&self) -> bool;
}

/// Writing to a `Vec` cannot fail.
macro_rules! written {
    ($e:expr) => {{
        let _ = $e;
    }};
}

/// Writes a text as msgpack.
pub fn write_str(text: &str, out: &mut Vec<u8>) {
    written!(encode::write_str(out, text));
}

/// Writes the head of a map.
pub fn write_map_len(len: usize, out: &mut Vec<u8>) {
    written!(encode::write_map_len(out, len as u32));
}

/// Writes a list of numbers.
pub fn write_u64_list(values: &[u64], out: &mut Vec<u8>) {
    written!(encode::write_array_len(out, values.len() as u32));
    for value in values {
        written!(encode::write_uint(out, *value));
    }
}

/// Items of a list for which room is made before they are read: what a damaged
/// value says of its length is not to be trusted.
const AT_ONCE: usize = 1024;

/// How deep values may be nested in a field that the reader does not know. A
/// record of ours has a list at most.
const DEPTH: usize = 32;

/// Reads a record from a map that fills `bytes`.
pub fn read_map<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Option<T> {
    // serde would take a list of the fields' values, too.
    read_map_len(&mut { bytes })?;
    let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
    deserializer.set_max_depth(DEPTH);
    let record = T::deserialize(&mut deserializer).ok()?;
    // It does not tell how far it has read. At the end, and only there, there
    // is no marker of another value; a flag is one that holds no other.
    let behind = bool::deserialize(&mut deserializer);
    matches!(behind, Err(rmp_serde::decode::Error::InvalidMarkerRead(_))).then_some(record)
}

/// A flag, which SQLite's programs write as a number.
pub fn flag<'de, D: Deserializer<'de>>(from: D) -> Result<bool, D::Error> {
    struct Flag;
    impl de::Visitor<'_> for Flag {
        type Value = bool;

        fn expecting(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
            f.write_str("true, false, 1 or 0")
        }
        fn visit_bool<E: de::Error>(self, value: bool) -> Result<bool, E> {
            Ok(value)
        }
        fn visit_u64<E: de::Error>(self, value: u64) -> Result<bool, E> {
            match value {
                0 => Ok(false),
                1 => Ok(true),
                other => Err(E::invalid_value(de::Unexpected::Unsigned(other), &self)),
            }
        }
    }
    from.deserialize_any(Flag)
}

/// Reads a list of numbers.
pub fn read_u64_list(mut input: &[u8]) -> Option<Vec<u64>> {
    let len = read_array_len(&mut input)?;
    let mut values = Vec::with_capacity(len.min(AT_ONCE));
    for _ in 0..len {
        values.push(u64::read(&mut input)?);
    }
    input.is_empty().then_some(values)
}

#[inline]
fn split<'a>(input: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, rest) = input.split_at_checked(len)?;
    *input = rest;
    Some(head)
}

#[inline]
fn be<const N: usize>(input: &mut &[u8]) -> Option<[u8; N]> {
    let (head, rest) = input.split_first_chunk::<N>()?;
    *input = rest;
    Some(*head)
}

#[inline]
fn byte(input: &mut &[u8]) -> Option<u8> {
    be::<1>(input).map(|[b]| b)
}

fn read_array_len(input: &mut &[u8]) -> Option<usize> {
    Some(match byte(input)? {
        b @ 0x90..=0x9f => usize::from(b & 0x0f),
        0xdc => usize::from(u16::from_be_bytes(be(input)?)),
        0xdd => u32::from_be_bytes(be(input)?) as usize,
        _ => return None,
    })
}

/// Takes the head of a map off the front of `input`.
pub fn read_map_len(input: &mut &[u8]) -> Option<usize> {
    Some(match byte(input)? {
        b @ 0x80..=0x8f => usize::from(b & 0x0f),
        0xde => usize::from(u16::from_be_bytes(be(input)?)),
        0xdf => u32::from_be_bytes(be(input)?) as usize,
        _ => return None,
    })
}

/// Takes a field's name off the front of `input` if it is there.
#[inline(always)]
pub fn read_name(input: &mut &[u8], name: &str) -> bool {
    debug_assert!(name.len() < 32);
    let head = 0xa0 | name.len() as u8;
    match input.split_first() {
        Some((&b, rest)) if b == head => match rest.strip_prefix(name.as_bytes()) {
            Some(rest) => {
                *input = rest;
                true
            }
            None => false,
        },
        _ => false,
    }
}

impl<'a> Field<'a> for &'a str {
    type Wit = String;

    fn write(&self, out: &mut Vec<u8>) {
        write_str(self, out);
    }
    #[inline]
    fn read(input: &mut &'a [u8]) -> Option<Self> {
        let len = match byte(input)? {
            b @ 0xa0..=0xbf => usize::from(b & 0x1f),
            0xd9 => usize::from(byte(input)?),
            0xda => usize::from(u16::from_be_bytes(be(input)?)),
            0xdb => u32::from_be_bytes(be(input)?) as usize,
            _ => return None,
        };
        str::from_utf8(split(input, len)?).ok()
    }
    fn from_wit(wit: &'a String) -> Self {
        wit
    }
    fn into_wit(self) -> String {
        self.to_owned()
    }
    fn is_default(&self) -> bool {
        self.is_empty()
    }
}

impl<'a> Field<'a> for Vec<&'a str> {
    type Wit = Vec<String>;

    fn write(&self, out: &mut Vec<u8>) {
        written!(encode::write_array_len(out, self.len() as u32));
        for text in self {
            write_str(text, out);
        }
    }
    fn read(input: &mut &'a [u8]) -> Option<Self> {
        let len = read_array_len(input)?;
        let mut texts = Vec::with_capacity(len.min(AT_ONCE));
        for _ in 0..len {
            texts.push(<&str>::read(input)?);
        }
        Some(texts)
    }
    fn from_wit(wit: &'a Vec<String>) -> Self {
        wit.iter().map(String::as_str).collect()
    }
    fn into_wit(self) -> Vec<String> {
        self.into_iter().map(str::to_owned).collect()
    }
    fn is_default(&self) -> bool {
        self.is_empty()
    }
}

impl<'a, T: Field<'a>> Field<'a> for Option<T> {
    type Wit = Option<T::Wit>;

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Some(value) => value.write(out),
            None => written!(encode::write_nil(out)),
        }
    }
    #[inline]
    fn read(input: &mut &'a [u8]) -> Option<Self> {
        match input.split_first()? {
            (0xc0, rest) => {
                *input = rest;
                Some(None)
            }
            _ => T::read(input).map(Some),
        }
    }
    fn from_wit(wit: &'a Self::Wit) -> Self {
        wit.as_ref().map(T::from_wit)
    }
    fn into_wit(self) -> Self::Wit {
        self.map(T::into_wit)
    }
    fn is_default(&self) -> bool {
        self.is_none()
    }
}

/// Fields that are the same type in WIT.
macro_rules! same {
    ($t:ty) => {
        type Wit = $t;

        fn from_wit(wit: &'a $t) -> Self {
            *wit
        }
        fn into_wit(self) -> $t {
            self
        }
        fn is_default(&self) -> bool {
            *self == <$t>::default()
        }
    };
}

impl<'a> Field<'a> for u64 {
    same!(u64);

    fn write(&self, out: &mut Vec<u8>) {
        written!(encode::write_uint(out, *self));
    }
    #[inline]
    fn read(input: &mut &'a [u8]) -> Option<Self> {
        Some(match byte(input)? {
            b @ 0x00..=0x7f => u64::from(b),
            0xcc => u64::from(byte(input)?),
            0xcd => u64::from(u16::from_be_bytes(be(input)?)),
            0xce => u64::from(u32::from_be_bytes(be(input)?)),
            0xcf => u64::from_be_bytes(be(input)?),
            0xd0 => u64::try_from(i8::from_be_bytes(be(input)?)).ok()?,
            0xd1 => u64::try_from(i16::from_be_bytes(be(input)?)).ok()?,
            0xd2 => u64::try_from(i32::from_be_bytes(be(input)?)).ok()?,
            0xd3 => u64::try_from(i64::from_be_bytes(be(input)?)).ok()?,
            _ => return None,
        })
    }
}

impl<'a> Field<'a> for i64 {
    same!(i64);

    fn write(&self, out: &mut Vec<u8>) {
        written!(encode::write_sint(out, *self));
    }
    #[inline]
    fn read(input: &mut &'a [u8]) -> Option<Self> {
        Some(match *input.first()? {
            0xe0..=0xff => i64::from(i8::from_be_bytes(be(input)?)),
            0xd0 => i64::from(i8::from_be_bytes(be::<2>(input).map(|[_, b]| [b])?)),
            0xd1 => {
                byte(input)?;
                i64::from(i16::from_be_bytes(be(input)?))
            }
            0xd2 => {
                byte(input)?;
                i64::from(i32::from_be_bytes(be(input)?))
            }
            0xd3 => {
                byte(input)?;
                i64::from_be_bytes(be(input)?)
            }
            _ => i64::try_from(u64::read(input)?).ok()?,
        })
    }
}

impl<'a> Field<'a> for f64 {
    same!(f64);

    fn write(&self, out: &mut Vec<u8>) {
        written!(encode::write_f64(out, *self));
    }
    #[inline]
    fn read(input: &mut &'a [u8]) -> Option<Self> {
        match *input.first()? {
            0xcb => {
                byte(input)?;
                Some(f64::from_be_bytes(be(input)?))
            }
            0xca => {
                byte(input)?;
                Some(f64::from(f32::from_be_bytes(be(input)?)))
            }
            _ => i64::read(input).map(|n| n as f64),
        }
    }
}

impl<'a> Field<'a> for bool {
    same!(bool);

    fn write(&self, out: &mut Vec<u8>) {
        written!(encode::write_bool(out, *self));
    }
    #[inline]
    fn read(input: &mut &'a [u8]) -> Option<Self> {
        match byte(input)? {
            0xc2 | 0 => Some(false),
            0xc3 | 1 => Some(true),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back<'a, T: Field<'a>>(bytes: &'a [u8]) -> Option<T> {
        let mut input = bytes;
        let value = T::read(&mut input)?;
        input.is_empty().then_some(value)
    }

    #[test]
    fn integers_come_back_whatever_their_length() {
        for shift in 0..64 {
            for value in [1i64 << shift, (1i64 << shift).wrapping_neg(), (1i64 << shift).wrapping_sub(1)] {
                let mut bytes = Vec::new();
                value.write(&mut bytes);
                assert_eq!(back::<i64>(&bytes), Some(value), "{bytes:x?}");
                let unsigned = value.cast_unsigned();
                bytes.clear();
                unsigned.write(&mut bytes);
                assert_eq!(back::<u64>(&bytes), Some(unsigned), "{bytes:x?}");
            }
        }
    }

    #[test]
    fn every_signed_form_is_read() {
        assert_eq!(back::<i64>(&[0xd0, 0xfb]), Some(-5));
        assert_eq!(back::<i64>(&[0xd1, 0xff, 0xfb]), Some(-5));
        assert_eq!(back::<i64>(&[0xd2, 0xff, 0xff, 0xff, 0xfb]), Some(-5));
        assert_eq!(back::<u64>(&[0xd0, 5]), Some(5));
        assert_eq!(back::<u64>(&[0xd0, 0xfb]), None);
        assert_eq!(back::<f64>(&[7]), Some(7.0));
    }

    #[test]
    fn a_map_fills_the_value_and_nests_little() {
        #[derive(Debug, Default, PartialEq, Deserialize)]
        #[serde(default)]
        struct One {
            n: u64,
            #[serde(deserialize_with = "flag")]
            f: bool,
        }
        let one = [&[0x81, 0xa1, b'n', 7][..], &[0x82, 0xa1, b'f', 1, 0xa1, b'n', 7]];
        assert_eq!(read_map(one[0]), Some(One { n: 7, f: false }));
        assert_eq!(read_map(one[1]), Some(One { n: 7, f: true }));
        for behind in [&[0xc0][..], &[0xc3], &[0xc1], &[0x91], &[0xcd], &[0xa1, b'x'], &[0]] {
            assert_eq!(read_map::<One>(&[one[0], behind].concat()), None, "{behind:x?}");
        }
        // A list of the fields' values, a flag that is a greater number.
        assert_eq!(read_map::<One>(&[0x92, 7, 0xc3]), None);
        assert_eq!(read_map::<One>(&[0x81, 0xa1, b'f', 2]), None);
        let nested = |depth: usize| [&[0x82, 0xa1, b'n', 7, 0xa1, b'x'][..], &vec![0x91; depth], &[0xc0]].concat();
        assert_eq!(read_map(&nested(8)), Some(One { n: 7, f: false }));
        for depth in [100, 1000, 100_000] {
            assert_eq!(read_map::<One>(&nested(depth)), None, "{depth}");
        }
    }

    #[test]
    fn cut_off_input_is_none_and_never_a_panic() {
        let mut bytes = Vec::new();
        vec!["abc", "d"].write(&mut bytes);
        for len in 0..bytes.len() {
            assert_eq!(back::<Vec<&str>>(&bytes[..len]), None);
        }
        assert_eq!(read_u64_list(&[0xdd, 0xff, 0xff, 0xff, 0xff]), None);
        assert_eq!(back::<&str>(&[0xdb, 0xff, 0xff, 0xff, 0xff, b'x']), None);
        assert_eq!(back::<&str>(&[0xa1, 0xff]), None);
    }
}
