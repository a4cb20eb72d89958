//! Comparing bytes, eight at a time.
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

#[cfg(test)]
mod tests {
    use super::*;

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
