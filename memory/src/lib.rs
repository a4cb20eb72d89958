//! A transactional, ordered key-value store in memory.
//!
//! [`Memory`] is what the interface `store` of `wit/store.wit` asks for: named
//! tables of bytes to bytes, any number of readers, each on a snapshot, and one
//! writer. The tables are persistent trees, so that beginning a transaction
//! copies nothing and a write copies the path to what it changes.
//!
//! ```
//! use tracker_memory::{Memory, packed};
//!
//! let memory = Memory::new();
//! let tables = memory.open(&["words".into()]).unwrap();
//! let before = memory.read();
//! let mut write = memory.write().unwrap();
//! write.put(tables[0], b"key", b"value");
//! assert_eq!(write.get(tables[0], b"key"), Some(&b"value"[..]));
//! write.commit();
//! assert_eq!(before.get(tables[0], b"key"), None);
//! assert_eq!(memory.read().get(tables[0], b"key"), Some(&b"value"[..]));
//! ```
//!
//! Natively this is an engine of `tracker_host`. Built for
//! `wasm32-unknown-unknown` it is a component that exports `store` and imports
//! nothing: composed with the tracker it makes a component that needs no host
//! adapter. What such an instance holds is gone when the instance is.
//!
//! [`packed`] has the packed buffers of the interface.

#![deny(missing_docs)]

#[cfg(target_family = "wasm")]
mod component;
mod map;
pub mod packed;

pub use map::{Busy, Foreign, MAX_KEY_SIZE, Memory, Read, Table, Write};
