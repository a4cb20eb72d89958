//! The tracker as files for other tools.
//!
//! `cargo run -p tracker-artifacts -- <dir>` writes:
//!
//! | file | what it is |
//! |---|---|
//! | `tracker.wasm` | the component, the very bytes that the host embeds; imports `store` and the time of day |
//! | `tracker.wit.wasm` | the WIT package as a binary, as `wkg` and `wasm-tools component wit --wasm` make it |
//! | `tracker-memory.wasm` | the same component over a store in memory; imports the time of day alone |
//!
//! What `tracker-memory.wasm` holds is gone with its instance.

#![deny(missing_docs)]

mod compose;
mod package;

use std::path::{Path, PathBuf};

use anyhow::Context;

pub use compose::stack;
pub use package::wit_package;
/// The tracker component.
pub use tracker_host::TRACKER_WASM;

/// The component that exports `store` over a map in memory and imports nothing.
pub static MEMORY_WASM: &[u8] = include_bytes!(env!("MEMORY_WASM"));

/// The tracker over a store in memory.
///
/// # Errors
///
/// If the components do not fit together.
pub fn tracker_memory() -> anyhow::Result<Vec<u8>> {
    stack(&[("memory", MEMORY_WASM), ("tracker", TRACKER_WASM)])
}

/// Writes all artifacts into a directory, which is created if it is missing.
/// Returns their paths.
///
/// # Errors
///
/// If one cannot be made or written.
pub fn write(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let files = [
        ("tracker.wasm", TRACKER_WASM.to_vec()),
        ("tracker.wit.wasm", wit_package()?),
        ("tracker-memory.wasm", tracker_memory()?),
    ];
    std::fs::create_dir_all(directory).with_context(|| format!("cannot create {}", directory.display()))?;
    let write = |(name, bytes): (&str, Vec<u8>)| {
        let path = directory.join(name);
        std::fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    };
    files.into_iter().map(write).collect()
}
