//! Answers made of records, in the layout of the canonical ABI
//! (<https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md>):
//! fields in order, each at a multiple of its alignment; an option or result is
//! a byte and what it holds; a text or list is address and length.
//!
//! The host copies every text of an answer anyway. With generated bindings the
//! guest copies each before that, into a `String` of its own. Here an answer
//! points to the bytes that came from the store, and keeps them until the host
//! has read it.

use crate::error::{Error, Result};
use crate::json;
use crate::store;

/// What an answer points to.
#[derive(Default)]
pub struct Kept {
    buffers: Vec<Vec<u8>>,
    lists: Vec<Vec<u64>>,
}

/// Address and length of something, as one word of memory.
fn pair<T>(items: &[T], length: usize) -> u64 {
    items.as_ptr().addr() as u64 & 0xffff_ffff | (length as u64) << 32
}

/// A value as the canonical ABI stores it.
pub trait Flat {
    /// Its length in bytes.
    const SIZE: usize;
    /// Its alignment in bytes.
    const ALIGN: usize;
    /// Stores it `at` this many bytes into `words`, which are zero there.
    fn store(&self, words: &mut [u64], at: usize, kept: &mut Kept);
}

/// Stores a number of at most eight bytes; it does not cross a word, since it is aligned.
#[inline(always)]
fn put(words: &mut [u64], at: usize, value: u64) {
    words[at / 8] |= value << (at % 8 * 8);
}

macro_rules! number {
    ($($type:ty: $size:literal, |$value:ident| $bits:expr;)+) => {$(
        impl Flat for $type {
            const SIZE: usize = $size;
            const ALIGN: usize = $size;

            #[inline(always)]
            fn store(&self, words: &mut [u64], at: usize, _: &mut Kept) {
                let $value = *self;
                put(words, at, $bits);
            }
        }
    )+};
}
number! {
    bool: 1, |value| u64::from(value);
    u64: 8, |value| value;
    i64: 8, |value| value.cast_unsigned();
    f64: 8, |value| value.to_bits();
}

/// A text that the answer keeps.
impl Flat for &str {
    const SIZE: usize = 8;
    const ALIGN: usize = 4;

    #[inline(always)]
    fn store(&self, words: &mut [u64], at: usize, _: &mut Kept) {
        let pair = pair(self.as_bytes(), self.len());
        put(words, at, pair & 0xffff_ffff);
        put(words, at + 4, pair >> 32);
    }
}

impl<T: Flat> Flat for Option<T> {
    const SIZE: usize = (T::ALIGN + T::SIZE).next_multiple_of(T::ALIGN);
    const ALIGN: usize = T::ALIGN;

    #[inline(always)]
    fn store(&self, words: &mut [u64], at: usize, kept: &mut Kept) {
        if let Some(value) = self {
            put(words, at, 1);
            value.store(words, at + T::ALIGN, kept);
        }
    }
}

/// A JSON text of the answer as the list of texts that it holds.
pub struct Texts<'a>(pub Option<&'a str>);

impl Flat for Texts<'_> {
    const SIZE: usize = 8;
    const ALIGN: usize = 4;

    #[inline]
    fn store(&self, words: &mut [u64], at: usize, kept: &mut Kept) {
        let Some(json) = self.0 else { return };
        let mut list: Vec<u64> = Vec::new();
        if !json::each_plain(json, |text| list.push(pair(text.as_bytes(), text.len()))) {
            list.clear();
            for text in json::texts(Some(json)) {
                let text = text.into_bytes();
                list.push(pair(&text, text.len()));
                kept.buffers.push(text);
            }
        }
        if !list.is_empty() {
            let pair = pair(&list, list.len());
            put(words, at, pair & 0xffff_ffff);
            put(words, at + 4, pair >> 32);
            kept.lists.push(list);
        }
    }
}

/// A record that answers are made of.
pub trait FlatRecord {
    /// Its length in words.
    const WORDS: usize;
    /// Appends it.
    fn append(&self, words: &mut Vec<u64>, kept: &mut Kept);
}

/// Lays a record out. The fields are those of the WIT record, in its order.
macro_rules! flat_record {
    ($name:ident { $($field:ident: $type:ty = |$record:ident| $value:expr,)+ }) => {
        impl $crate::abi::layout::FlatRecord for $name<'_> {
            const WORDS: usize = {
                use $crate::abi::layout::Flat;
                let mut at = 0usize;
                $(at = at.next_multiple_of(<$type>::ALIGN) + <$type>::SIZE;)+
                // A record is aligned as its numbers are: to a word.
                at.div_ceil(8)
            };

            #[inline]
            fn append(&self, words: &mut Vec<u64>, kept: &mut $crate::abi::layout::Kept) {
                use $crate::abi::layout::Flat;
                let mut record = [0; Self::WORDS];
                let mut at = 0usize;
                $(
                    at = at.next_multiple_of(<$type>::ALIGN);
                    let $record = self;
                    let $field: $type = $value;
                    $field.store(&mut record, at, kept);
                    at += <$type>::SIZE;
                )+
                debug_assert!(at.div_ceil(8) == Self::WORDS);
                words.extend_from_slice(&record);
            }
        }
    };
}
pub(crate) use flat_record;

/// Records that an answer is made of.
#[derive(Default)]
pub struct Records {
    words: Vec<u64>,
    count: usize,
    kept: Kept,
}

impl Records {
    /// None yet, with room for so many of a type.
    pub fn with_capacity<R: FlatRecord>(count: usize) -> Self {
        Records { words: Vec::with_capacity(count * (R::WORDS + 1)), ..Records::default() }
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Appends a record whose texts will be [kept](Records::keeping).
    pub fn push<R: FlatRecord>(&mut self, record: &R) {
        record.append(&mut self.words, &mut self.kept);
        self.count += 1;
    }

    /// The same for lists of options.
    pub fn push_option<R: FlatRecord>(&mut self, record: Option<&R>) {
        match record {
            Some(record) => {
                self.words.push(1);
                record.append(&mut self.words, &mut self.kept);
            }
            None => self.words.resize(self.words.len() + R::WORDS + 1, 0),
        }
        self.count += 1;
    }

    /// Keeps the bytes that texts of the records are in. They stay where they are.
    pub fn keeping(mut self, buffers: Vec<Vec<u8>>) -> Self {
        if self.kept.buffers.is_empty() {
            self.kept.buffers = buffers;
        } else {
            self.kept.buffers.extend(buffers);
        }
        self
    }

    /// A list of them.
    pub fn list(self) -> Answer {
        self.answer(vec![OK, 0, 0, 0])
    }

    /// A page of them.
    pub fn page(mut self, next: Option<Vec<u8>>) -> Answer {
        let mut words = vec![OK, 0, 0, 0];
        if let Some(next) = next {
            let cursor = pair(&next, next.len());
            words[2] = 1 | cursor << 32;
            words[3] = cursor >> 32;
            self.kept.buffers.push(next);
        }
        self.answer(words)
    }

    fn answer(self, mut words: Vec<u64>) -> Answer {
        words[1] = pair(&self.words, self.count);
        let mut kept = self.kept;
        kept.lists.push(self.words);
        Answer { words, kept }
    }
}

/// The case of a result that holds the answer, and the other.
const OK: u64 = 0;
const ERR: u64 = 1;

/// The result of an exported function, and all it points to.
#[derive(Default)]
pub struct Answer {
    words: Vec<u64>,
    #[allow(dead_code, reason = "the host reads it")]
    kept: Kept,
}

impl Answer {
    /// A record whose texts will be [kept](Answer::keeping).
    pub fn record<R: FlatRecord>(record: &R) -> Self {
        let mut answer = Answer { words: Vec::with_capacity(2 + R::WORDS), kept: Kept::default() };
        answer.words.extend([OK, 1]);
        record.append(&mut answer.words, &mut answer.kept);
        answer
    }

    /// No record.
    pub fn none() -> Self {
        Answer { words: vec![OK, 0], kept: Kept::default() }
    }

    /// Keeps the bytes that texts of the record are in. They stay where they are.
    pub fn keeping(mut self, buffer: Vec<u8>) -> Self {
        self.kept.buffers.push(buffer);
        self
    }

    /// The answer to a call.
    pub fn of(result: Result<Answer>) -> Self {
        result.unwrap_or_else(|error| Answer::error(&error))
    }

    /// An error.
    fn error(error: &Error) -> Self {
        let mut kept = Kept::default();
        let mut text = |text: &String| {
            let text = text.clone().into_bytes();
            let pair = pair(&text, text.len());
            kept.buffers.push(text);
            pair
        };
        use store::Error as S;
        let words = match error {
            Error::InvalidArgument(what) => vec![ERR, 0, text(what), 0],
            Error::KeyConflict(what) => vec![ERR, 1, text(what), 0],
            Error::Corrupt(what) => vec![ERR, 2, text(what), 0],
            Error::Incompatible(what) => vec![ERR, 3, text(what), 0],
            Error::Store(error) => {
                let (case, payload) = match error {
                    S::NotFound => (0, 0),
                    S::MapFull => (1, 0),
                    S::KeySize(max) => (2, u64::from(*max)),
                    S::ValueTooLarge(max) => (3, *max),
                    S::ReadOnly => (4, 0),
                    S::Conflict => (5, 0),
                    S::TooManyTransactions(max) => (6, u64::from(*max)),
                    S::Foreign => (7, 0),
                    S::Closed => (8, 0),
                    S::Corrupted(what) => (9, text(what)),
                    S::Other(what) => (10, text(what)),
                };
                vec![ERR, 4, case, payload]
            }
        };
        Answer { words, kept }
    }

    /// Where the answer begins.
    pub fn address(&self) -> *const u64 {
        self.words.as_ptr()
    }

    /// Makes sure that the whole of a result of so many words can be read.
    pub fn padded(mut self, words: usize) -> Self {
        if self.words.len() < words {
            self.words.resize(words, 0);
        }
        self
    }
}
