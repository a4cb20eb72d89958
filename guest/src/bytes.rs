//! Comparing and searching bytes, eight at a time.
//!
//! For lengths that the compiler does not know, `==` and `<` of byte strings
//! are a call of a function that compares byte by byte on this target, and keys
//! have long prefixes in common.

use std::cmp::Ordering;

/// Tells whether two byte strings are equal.
#[inline]
pub fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    let (a, a_rest) = a.as_chunks::<8>();
    let (b, b_rest) = b.as_chunks::<8>();
    a.iter().zip(b).all(|(a, b)| u64::from_le_bytes(*a) == u64::from_le_bytes(*b))
        && a_rest.iter().zip(b_rest).all(|(a, b)| a == b)
}

/// Compares two byte strings as `Ord` does.
#[inline]
pub fn compare(a: &[u8], b: &[u8]) -> Ordering {
    let ((a_chunks, _), (b_chunks, _)) = (a.as_chunks::<8>(), b.as_chunks::<8>());
    let equal = a_chunks.iter().zip(b_chunks).take_while(|(a, b)| a == b).count();
    if let (Some(a), Some(b)) = (a_chunks.get(equal), b_chunks.get(equal)) {
        return u64::from_be_bytes(*a).cmp(&u64::from_be_bytes(*b));
    }
    let (a, b) = (&a[equal * 8..], &b[equal * 8..]);
    match a.iter().zip(b).find(|(a, b)| a != b) {
        Some((a, b)) => a.cmp(b),
        None => a.len().cmp(&b.len()),
    }
}

/// A one in each byte.
const ONES: u64 = u64::from_le_bytes([1; 8]);

/// Marks the bytes below `bound`, which is at most 128, by their top bit. The
/// lowest mark is right; above it a borrow may have set others.
fn below(word: u64, bound: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(bound)) & !word & (ONES << 7)
}

/// The position of the first byte that `marks` marks in words of eight.
#[inline]
fn position(bytes: &[u8], marks: impl Fn(u64) -> u64) -> Option<usize> {
    let (chunks, rest) = bytes.as_chunks::<8>();
    let rest_word = || rest.iter().rev().fold(0, |word, b| word << 8 | u64::from(*b));
    for (index, chunk) in chunks.iter().enumerate() {
        let marks = marks(u64::from_le_bytes(*chunk));
        if marks != 0 {
            return Some(index * 8 + marks.trailing_zeros() as usize / 8);
        }
    }
    let at = marks(rest_word()).trailing_zeros() as usize / 8;
    (at < rest.len()).then_some(chunks.len() * 8 + at)
}

/// The position of the first 0 or 1.
#[inline]
pub fn position_of_0_or_1(bytes: &[u8]) -> Option<usize> {
    position(bytes, |word| below(word, 2))
}

/// True if `text` contains `part`, ASCII letters compared without case.
#[inline]
pub fn contains_ignoring_ascii_case(text: &[u8], part: &[u8]) -> bool {
    let Some((first, rest)) = part.split_first() else { return true };
    let Some(starts) = text.len().checked_sub(rest.len()) else { return false };
    // With this bit a letter is the same in both cases, and nothing else becomes it.
    let fold = if first.is_ascii_alphabetic() { 0x20 } else { 0 };
    let (first, fold) = (ONES * u64::from(first | fold), ONES * u64::from(fold));
    let mut at = 0;
    while let Some(found) = position(&text[at..starts], |word| below((word | fold) ^ first, 1)) {
        let start = at + found;
        if text[start + 1..start + part.len()].eq_ignore_ascii_case(rest) {
            return true;
        }
        at = start + 1;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All texts of at most 3 of these bytes, behind none to eleven others.
    fn texts() -> impl Iterator<Item = Vec<u8>> {
        const BYTES: &[u8] = b"\0\x01\x02aAz@`\x80\xff";
        let short = (0..1000).map(|n| [BYTES[n / 100], BYTES[n / 10 % 10], BYTES[n % 10]]);
        short.flat_map(|short| {
            (0..12).flat_map(move |before| (0..=3).map(move |length| [&vec![b'x'; before], &short[..length]].concat()))
        })
    }

    #[test]
    fn the_first_0_or_1_is_found_where_it_is() {
        for text in texts() {
            assert_eq!(position_of_0_or_1(&text), text.iter().position(|b| *b < 2), "{text:?}");
        }
    }

    #[test]
    fn a_part_is_found_in_any_case() {
        for text in texts() {
            for part in [&b""[..], b"a", b"AZ", b"xA", b"@", b"`", b"\0", b"\x80a", b"xxxxxxxxa", b"\xff"] {
                let naive = part.is_empty() || text.windows(part.len()).any(|window| window.eq_ignore_ascii_case(part));
                assert_eq!(contains_ignoring_ascii_case(&text, part), naive, "{text:?} {part:?}");
            }
        }
    }

    #[test]
    fn bytes_compare_as_slices_do() {
        let long: Vec<u8> = (0..40).collect();
        let mut all: Vec<Vec<u8>> = (0..40).map(|n| long[..n].to_vec()).collect();
        for n in 0..40 {
            let mut other = long.clone();
            other[n] = 200;
            all.push(other);
        }
        for a in &all {
            for b in &all {
                assert_eq!(compare(a, b), a.cmp(b), "{a:?} {b:?}");
                assert_eq!(same(a, b), a == b, "{a:?} {b:?}");
            }
        }
    }
}
