//! How much a component's file unfolds to.
//!
//! A component instantiates components that instantiate components: a kilobyte
//! that does so a thousand times on each of three levels is a billion instances,
//! and wasmtime lists them all while it compiles. This looks at no more than the
//! lengths of sections, before anything is compiled.

/// A component's first bytes; a core module has others after the fourth.
const PREAMBLE: &[u8; 8] = b"\0asm\x0d\0\x01\0";

/// Sections of instances of core modules, components, and instances of these.
const CORE_INSTANCES: u8 = 2;
const COMPONENT: u8 = 4;
const INSTANCES: u8 = 5;

/// How many instances, of components and of core modules, a component can come
/// to at most. None if it is not a component or its sections cannot be read.
pub(crate) fn instances(component: &[u8]) -> Option<u64> {
    let (mut ways, mut parts) = (1u64, 0u64);
    let mut components = vec![component.strip_prefix(PREAMBLE)?];
    while let Some(mut rest) = components.pop() {
        let (mut inner, mut core) = (0u64, 0u64);
        while let Some((id, after)) = rest.split_first() {
            let (length, after) = number(after)?;
            let (mut body, after) = after.split_at_checked(length as usize)?;
            rest = after;
            match *id {
                COMPONENT => components.push(body.strip_prefix(PREAMBLE)?),
                CORE_INSTANCES => core += u64::from(number(body)?.0),
                INSTANCES => {
                    let count;
                    (count, body) = number(body)?;
                    // Each takes a byte and more: a count beyond that is not to be believed.
                    inner += u64::from(count).min(body.len() as u64);
                }
                _ => {}
            }
        }
        // Whatever of the file this one instantiates, it does so `inner` times
        // at most, so that no component has more instances than the product.
        ways = ways.saturating_mul(inner.max(1));
        parts = parts.saturating_add(core + 1);
    }
    Some(ways.saturating_mul(parts))
}

/// A LEB128 number of 32 bits, and what follows it.
fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let mut value = 0u64;
    for (position, byte) in bytes.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            return Some((u32::try_from(value).ok()?, &bytes[position + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A component of one section, `count` times the same entry of three bytes.
    fn with(inner: &[u8], section: u8, count: u8) -> Vec<u8> {
        let mut bytes = [PREAMBLE, inner].concat();
        // A length with more digits than it needs, as some tools write them.
        bytes.extend([section, (count * 3 + 1) | 0x80, 0x80, 0x00, count]);
        bytes.extend([0, 0, 0].repeat(count.into()));
        bytes
    }

    fn nested(component: &[u8]) -> Vec<u8> {
        assert!(component.len() < 0x4000);
        let length = component.len();
        [&[COMPONENT, (length & 0x7f) as u8 | 0x80, (length >> 7) as u8], component].concat()
    }

    #[test]
    fn levels_multiply() {
        let leaf = with(&[], CORE_INSTANCES, 20);
        assert_eq!(instances(&leaf), Some(21));
        let middle = with(&nested(&leaf), INSTANCES, 30);
        assert_eq!(instances(&middle), Some(30 * 22));
        assert_eq!(instances(&with(&nested(&middle), INSTANCES, 40)), Some(40 * 30 * 23));
    }

    #[test]
    fn the_tracker_is_small() {
        assert!(instances(crate::TRACKER_WASM).unwrap() < 100);
    }

    #[test]
    fn what_cannot_be_read_is_nothing() {
        let good = with(&nested(&with(&[], CORE_INSTANCES, 20)), INSTANCES, 30);
        assert_eq!(instances(b"\0asm\x01\0\0\0"), None);
        let cut = (0..good.len()).filter(|length| instances(&good[..*length]).is_some()).count();
        // After the preamble, and after the nested component.
        assert_eq!(cut, 2);
        assert_eq!(number(&[0xff, 0xff, 0xff, 0xff, 0x0f]), Some((u32::MAX, &[][..])));
        assert_eq!(number(&[0xff, 0xff, 0xff, 0xff, 0x1f]), None);
    }
}
