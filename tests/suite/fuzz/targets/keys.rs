//! Keys: any bytes where a key is read, and that keys sort as what they are made of.

use std::cmp::Ordering;

use tracker_guest::fuzzing::{compare, contains_ignoring_ascii_case, position_of_0_or_1};
use tracker_guest::key::{self, Key};

use super::Input;

/// Input: two tuples of parts, then two byte strings.
pub fn run(data: &[u8]) {
    let mut input = Input(data);
    let (a, b) = (Parts::take(&mut input), Parts::take(&mut input));
    a.come_back();
    in_order(&a, &b);
    let (x, y) = (input.bytes(), input.0);
    raw(x);
    raw(y);
    assert_eq!(compare(x, y), (x == y, x.cmp(y)));
    prefixes(x, y);
    physical(x, y);
    let (text, part) = (y.to_ascii_lowercase(), x.to_ascii_lowercase());
    let contains = part.is_empty() || text.windows(part.len()).any(|window| window == part);
    assert_eq!(contains_ignoring_ascii_case(y, x), contains, "{y:x?} {x:x?}");
}

/// What keys are made of.
#[derive(Debug, Clone)]
struct Parts {
    number: u64,
    signed: i64,
    time: f64,
    segment: String,
    tail: String,
}

impl Parts {
    fn take(input: &mut Input) -> Self {
        Parts {
            // Few values, so that the later parts decide.
            number: u64::from(input.byte() % 3),
            signed: i64::from(input.byte().cast_signed()),
            time: f64::from_bits(input.u64()),
            segment: input.text(),
            tail: input.text(),
        }
    }

    fn key(&self) -> Key {
        Key::new().u64(self.number).segment(&self.segment).i64(self.signed).newest(self.time).tail(&self.tail)
    }

    fn come_back(&self) {
        let key = self.key();
        let bytes = key.bytes();
        assert_eq!(key::read_u64(bytes), Some(self.number));
        let (segment, rest) = key::read_segment(&bytes[8..]).expect("a segment");
        assert_eq!(segment, self.segment);
        assert_eq!(key::read_newest(&rest[8..]).map(f64::to_bits), Some(self.time.to_bits()));
        assert_eq!(&rest[16..], self.tail.as_bytes());
        assert_eq!(key::read_text(Key::of_text(&self.tail).bytes()).as_ref(), Some(&self.tail));
    }
}

fn in_order(a: &Parts, b: &Parts) {
    let expected = a
        .number
        .cmp(&b.number)
        .then_with(|| a.segment.as_bytes().cmp(b.segment.as_bytes()))
        .then(a.signed.cmp(&b.signed))
        // Also where a time is no number: by its sign and bits.
        .then_with(|| b.time.total_cmp(&a.time))
        .then_with(|| a.tail.as_bytes().cmp(b.tail.as_bytes()));
    assert_eq!(a.key().cmp(&b.key()), expected, "{a:?} {b:?}");
    let texts = Key::of_text(&a.tail).cmp(&Key::of_text(&b.tail));
    assert_eq!(texts, a.tail.as_bytes().cmp(b.tail.as_bytes()), "{a:?} {b:?}");
    assert_eq!(Key::new().time(a.time).cmp(&Key::new().time(b.time)), a.time.total_cmp(&b.time));
}

/// Any bytes where a key is expected: none, or exactly what makes these bytes.
fn raw(bytes: &[u8]) {
    if let Some(text) = key::read_text(bytes) {
        assert_eq!(Key::of_text(&text).bytes(), bytes);
    }
    if let Some((text, rest)) = key::read_segment(bytes) {
        assert_eq!([Key::new().segment(&text).bytes(), rest].concat(), bytes);
    }
    assert_eq!(key::read_u64(bytes).is_some(), bytes.len() >= 8);
    key::read_newest(bytes);
    if let Some((logical, value)) = key::split_value(bytes) {
        assert_eq!(key::join_value(logical, value), bytes);
    }
    assert!(!key::printable(bytes).contains('\0'));
    let naive = bytes.iter().position(|b| *b <= 1);
    assert_eq!(position_of_0_or_1(bytes), naive);
}

/// `prefix_end` bounds exactly the keys with the prefix.
fn prefixes(prefix: &[u8], other: &[u8]) {
    let end = key::prefix_end(prefix);
    for key in [other.to_vec(), [prefix, other].concat(), prefix.to_vec()] {
        let within = key.as_slice() >= prefix && (end.is_empty() || key < end);
        assert_eq!(within, key.starts_with(prefix), "{prefix:x?} {key:x?}");
    }
}

/// Physical keys fit, are as different as the logical ones, and sort like them
/// up to where they are cut.
fn physical(x: &[u8], y: &[u8]) {
    let long = |bytes: &[u8]| [&[b'p'; 490], bytes, &bytes.repeat(40)].concat();
    let keys = [x.to_vec(), y.to_vec(), long(x), long(y), key::with_physical(&long(x), <[u8]>::to_vec)];
    for a in &keys {
        let physical = key::with_physical(a, <[u8]>::to_vec);
        assert!(physical.len() <= key::MAX_PHYSICAL);
        assert_eq!(key::is_cut(&physical), key::needs_cut(a));
        assert_eq!(key::is_cut_of(&physical, a), key::needs_cut(a));
        for b in &keys {
            let other = key::with_physical(b, <[u8]>::to_vec);
            assert_eq!(physical == other, a == b, "{a:x?} {b:x?}");
            let cut = |key: &[u8]| key[..key.len().min(key::KEPT)].to_vec();
            if cut(a).cmp(&cut(b)) != Ordering::Equal && !cut(a).starts_with(&cut(b)) && !cut(b).starts_with(&cut(a)) {
                assert_eq!(physical.cmp(&other), a.cmp(b));
            }
        }
    }
}
