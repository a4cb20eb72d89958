//! The packed buffers that the store answers with: `wit/store.wit` describes
//! them. Lengths are checked before they are added, since a sum of two may not
//! fit into 32 bits.

use std::ops::Range;

/// Where the key and the value of the entry at `at` are in a page of a scan;
/// none if the page does not hold them.
#[inline]
pub fn entry(page: &[u8], at: usize) -> Option<(Range<usize>, Range<usize>)> {
    let (head, rest) = page.get(at..)?.split_first_chunk::<8>()?;
    let [a, b, c, d, e, f, g, h] = *head;
    let key_len = u32::from_le_bytes([a, b, c, d]) as usize;
    let value_len = u32::from_le_bytes([e, f, g, h]) as usize;
    if key_len > rest.len() || value_len > rest.len() - key_len {
        return None;
    }
    let key = at + 8;
    let value = key + key_len;
    Some((key..value, value..value + value_len))
}

/// Where the value at `at` is in an answer of `get-many`, none within if the
/// key has no value; none if the answer does not hold it.
#[inline]
pub fn value(answer: &[u8], at: usize) -> Option<(Option<Range<usize>>, usize)> {
    let (head, rest) = answer.get(at..)?.split_first_chunk::<4>()?;
    let start = at + 4;
    match u32::from_le_bytes(*head) {
        u32::MAX => Some((None, start)),
        length if length as usize > rest.len() => None,
        length => {
            let end = start + length as usize;
            Some((Some(start..end), end))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_cut_off_is_none() {
        let page = [&3u32.to_le_bytes()[..], &2u32.to_le_bytes(), b"keyva"].concat();
        assert_eq!(entry(&page, 0), Some((8..11, 11..13)));
        assert_eq!(entry(&page, 13), None);
        assert_eq!(entry(&page, 14), None);
        for length in 0..page.len() {
            assert_eq!(entry(&page[..length], 0), None, "{length}");
        }
        let answer = [&2u32.to_le_bytes()[..], b"va", &u32::MAX.to_le_bytes()].concat();
        assert_eq!(value(&answer, 0), Some((Some(4..6), 6)));
        assert_eq!(value(&answer, 6), Some((None, 10)));
        for length in 0..6 {
            assert_eq!(value(&answer[..length], 0), None, "{length}");
        }
    }

    #[test]
    fn lengths_whose_sum_does_not_fit_are_none() {
        for (key, value) in [(u32::MAX, 9), (9, u32::MAX), (u32::MAX, u32::MAX), (u32::MAX - 7, 0)] {
            let page = [&key.to_le_bytes()[..], &value.to_le_bytes(), &[0; 64]].concat();
            assert_eq!(entry(&page, 0), None);
        }
        assert_eq!(value(&[0xfe, 0xff, 0xff, 0xff, 1, 2], 0), None);
    }
}
