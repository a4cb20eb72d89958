//! The gate of the LMDB engine over loom's types: the source is the host's.

#[path = "../../../host/src/store/lmdb/gate.rs"]
#[allow(dead_code, reason = "the host uses all of it")]
pub mod gate;

pub mod sync;
