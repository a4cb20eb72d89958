//! Lists of records, lifted by hand.
//!
//! The lifting that wasmtime derives is general and costs as much a record as
//! reading it from the store. This one knows that strings are UTF-8 and reads
//! records from linear memory directly, by the layout of the canonical ABI
//! (<https://github.com/WebAssembly/component-model/blob/main/design/mvp/CanonicalABI.md>):
//! fields in order, each at a multiple of its alignment; texts and lists as
//! address and length. Types are still checked by wasmtime, as for the derived
//! lifting, when a session begins.

use wasmtime::component::ComponentType;
use wasmtime::{Result, bail};

use crate::types::*;

/// Linear memory while a result is lifted.
pub(crate) struct Memory<'m> {
    bytes: &'m [u8],
    /// Asked before the host allocates so many bytes for the result.
    spend: &'m mut dyn FnMut(usize) -> Result<()>,
}

impl<'m> Memory<'m> {
    pub(crate) fn new(bytes: &'m [u8], spend: &'m mut dyn FnMut(usize) -> Result<()>) -> Self {
        Memory { bytes, spend }
    }

    /// The bytes of a text or list that `pair` points to.
    fn list(&mut self, pair: &[u8], element: usize, align: usize, host: usize) -> Result<&'m [u8]> {
        let (address, length) = (u32::read(self, pair)? as usize, u32::read(self, &pair[4..])? as usize);
        if address % align != 0 {
            bail!("a list is not aligned");
        }
        let size = length.checked_mul(element);
        let found = size.and_then(|size| self.bytes.get(address..address.checked_add(size)?));
        let Some(found) = found else { bail!("a list is outside of the component's memory") };
        (self.spend)(length.saturating_mul(host))?;
        Ok(found)
    }
}

/// A type that is read from linear memory.
pub(crate) trait Owned: ComponentType + Sized {
    /// Reads it; `bytes` are its own.
    fn read(memory: &mut Memory<'_>, bytes: &[u8]) -> Result<Self>;
}

macro_rules! number {
    ($($t:ty),+) => {$(
        impl Owned for $t {
            #[inline]
            fn read(_: &mut Memory<'_>, bytes: &[u8]) -> Result<Self> {
                match bytes.first_chunk() {
                    Some(bytes) => Ok(<$t>::from_le_bytes(*bytes)),
                    None => bail!("a number is cut off"),
                }
            }
        }
    )+};
}
number!(u8, u32, u64, i64, f64);

impl Owned for bool {
    fn read(memory: &mut Memory<'_>, bytes: &[u8]) -> Result<Self> {
        Ok(u8::read(memory, bytes)? != 0)
    }
}

impl Owned for String {
    #[inline]
    fn read(memory: &mut Memory<'_>, bytes: &[u8]) -> Result<Self> {
        Ok(str::from_utf8(memory.list(bytes, 1, 1, 1)?)?.to_owned())
    }
}

impl<T: Owned> Owned for Vec<T> {
    fn read(memory: &mut Memory<'_>, bytes: &[u8]) -> Result<Self> {
        let elements = memory.list(bytes, T::SIZE32, T::ALIGN32 as usize, size_of::<T>())?;
        let mut list = Vec::with_capacity(elements.len() / T::SIZE32);
        for element in elements.chunks_exact(T::SIZE32) {
            list.push(T::read(memory, element)?);
        }
        Ok(list)
    }
}

impl<T: Owned> Owned for Option<T> {
    #[inline]
    fn read(memory: &mut Memory<'_>, bytes: &[u8]) -> Result<Self> {
        match bytes.first() {
            Some(0) => Ok(None),
            Some(1) => Ok(Some(T::read(memory, &bytes[T::ALIGN32 as usize..])?)),
            _ => bail!("an option is neither there nor not there"),
        }
    }
}

/// The fields of a record, one after the other.
struct Fields<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl Fields<'_> {
    #[inline]
    fn next<T: Owned>(&mut self, memory: &mut Memory<'_>) -> Result<T> {
        let start = self.at.next_multiple_of(T::ALIGN32 as usize);
        self.at = start + T::SIZE32;
        T::read(memory, &self.bytes[start..self.at])
    }
}

/// Records with their fields in the order of `wit/types.wit`.
macro_rules! record {
    ($($name:ident { $($field:ident),+ $(,)? })+) => {$(
        impl Owned for $name {
            fn read(memory: &mut Memory<'_>, bytes: &[u8]) -> Result<Self> {
                let mut fields = Fields { bytes, at: 0 };
                Ok($name { $($field: fields.next(memory)?,)+ })
            }
        }
    )+};
}

record! {
    FileRecord {
        path, mtime, size, content_hash, blob_offset, blob_length, key_hash, indexed_at, vector_offset, vector_length,
        detected_contexts, is_team,
    }
    SymbolRecord {
        id, file_path, name, kind, line_start, line_end, blob_offset, blob_length, key_hash, vector_offset,
        vector_length,
    }
    MemoryRecord {
        id, task, insights, context, symbol_keys, text, tags, blob_offset, blob_length, key_hash, created_at,
        updated_at, vector_offset, vector_length, access_count, last_accessed, owner_id, is_team,
    }
    FilePage { items, next }
    SymbolPage { items, next }
    MemoryPage { items, next }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(address: u32, length: u32) -> Vec<u8> {
        [address.to_le_bytes(), length.to_le_bytes()].concat()
    }

    /// What `read` makes of a result in some memory, with a budget; and what is left of that.
    fn lift<T>(bytes: &[u8], mut budget: usize, read: impl FnOnce(&mut Memory) -> Result<T>) -> (Result<T>, usize) {
        let mut spend = |cost| match budget.checked_sub(cost) {
            Some(left) => {
                budget = left;
                Ok(())
            }
            None => bail!("over the budget"),
        };
        let read = read(&mut Memory::new(bytes, &mut spend));
        (read, budget)
    }

    #[test]
    fn texts_and_lists_are_read_where_they_are() {
        let bytes = [b"....text".to_vec(), pair(4, 4), pair(4, 2)].concat();
        let (texts, left) = lift(&bytes, 1000, |memory| Vec::<String>::read(memory, &pair(8, 2)));
        assert_eq!(texts.unwrap(), ["text", "te"]);
        assert_eq!(left, 1000 - 2 * size_of::<String>() - 6);
        let seven = [[1, 0, 0, 0, 0, 0, 0, 0], 7u64.to_le_bytes()].concat();
        assert_eq!(lift(&[], 0, |memory| Option::<u64>::read(memory, &seven)).0.unwrap(), Some(7));
    }

    #[test]
    fn what_a_component_must_not_answer_is_an_error() {
        let bytes = [0xff; 64];
        let refused = |read: fn(&mut Memory) -> Result<()>| lift(&bytes, 100, read).0.is_err();
        assert!(refused(|memory| String::read(memory, &pair(0, 4)).map(drop)), "not UTF-8");
        assert!(refused(|memory| String::read(memory, &pair(60, 5)).map(drop)), "outside");
        assert!(refused(|memory| Vec::<u64>::read(memory, &pair(u32::MAX - 7, u32::MAX)).map(drop)), "far outside");
        assert!(refused(|memory| Vec::<u64>::read(memory, &pair(4, 1)).map(drop)), "not aligned");
        assert!(!refused(|memory| Vec::<u8>::read(memory, &pair(0, 64)).map(drop)));
        assert!(
            refused(|memory| {
                Vec::<u8>::read(memory, &pair(0, 64))?;
                Vec::<u8>::read(memory, &pair(0, 64)).map(drop)
            }),
            "over the budget"
        );
        assert!(refused(|memory| Option::<u8>::read(memory, &[2, 0]).map(drop)), "no option");
    }
}
