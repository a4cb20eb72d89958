//! What is done by hand at the component's boundary, where the generated
//! bindings cost too much. Here is all of the component's `unsafe`.
//!
//! - [`layout`]: records as the canonical ABI lays them out, with texts left
//!   where the store's answer has them. Safe.
//! - `alloc`: the allocator.
//! - `exports`: the exported functions that answer with such records.

#[cfg(target_arch = "wasm32")]
mod alloc;
#[cfg(target_arch = "wasm32")]
mod exports;
pub mod layout;
