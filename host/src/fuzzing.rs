//! What fuzz targets reach of the decoders. It may change at any time.

use crate::lift::{Memory, Owned};
use crate::types::{FilePage, FileRecord, MemoryPage, Row, SymbolPage, SymbolRecord};

/// Reads a line of an export.
pub fn read_row(line: &[u8]) -> Result<Row, String> {
    crate::export::read_line(line)
}

/// Writes a line of an export.
pub fn write_row(row: &Row) -> Vec<u8> {
    crate::export::line(row)
}

/// Lifts an answer that a component left in its memory: the case of `which`,
/// at the start of `memory`. The bytes that it was charged, and those that its
/// records have without their texts; or the error.
pub fn lift(which: u8, memory: &[u8], budget: usize) -> wasmtime::Result<(usize, usize)> {
    let mut left = budget;
    let mut spend = |cost: usize| match left.checked_sub(cost) {
        Some(rest) => {
            left = rest;
            Ok(())
        }
        None => wasmtime::bail!("over the budget"),
    };
    fn read<T: Owned>(memory: &[u8], spend: &mut dyn FnMut(usize) -> wasmtime::Result<()>) -> wasmtime::Result<T> {
        let Some(own) = memory.get(..T::SIZE32) else { wasmtime::bail!("the memory is too small") };
        T::read(&mut Memory::new(memory, spend), own)
    }
    let records = match which % 6 {
        0 => size_of_val(read::<FilePage>(memory, &mut spend)?.items.as_slice()),
        1 => size_of_val(read::<SymbolPage>(memory, &mut spend)?.items.as_slice()),
        2 => size_of_val(read::<MemoryPage>(memory, &mut spend)?.items.as_slice()),
        3 => size_of_val(read::<Vec<SymbolRecord>>(memory, &mut spend)?.as_slice()),
        4 => read::<Option<FileRecord>>(memory, &mut spend)?.map_or(0, |file| file.path.len()),
        _ => size_of_val(read::<Vec<Option<FileRecord>>>(memory, &mut spend)?.as_slice()),
    };
    Ok((budget - left, records))
}
