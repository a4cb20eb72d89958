//! The fuzz targets: functions of bytes that panic where a property does not
//! hold. They know nothing of what runs them.

pub mod calls;
pub mod cursors;
pub mod import;
mod input;
pub mod keys;
pub mod lift;
pub mod packed;
pub mod records;
pub mod rows;
pub mod sqlite;
pub mod texts;

use input::Input;

/// Panics where a property does not hold of these bytes.
pub type Target = fn(&[u8]);

/// Every target by name.
pub const ALL: &[(&str, Target)] = &[
    ("records", records::run),
    ("keys", keys::run),
    ("packed", packed::run),
    ("texts", texts::run),
    ("lift", lift::run),
    ("calls", calls::run),
    ("rows", rows::run),
    ("import", import::run),
    ("cursors", cursors::run),
    ("sqlite", sqlite::run),
];
