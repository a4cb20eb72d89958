//! Metadata.

use super::{Function, read, write};

pub fn functions() -> Vec<Function> {
    vec![
        read("get-metadata", |m, (key,): (String,)| m.metadata.get(&key).cloned()),
        write("set-metadata", |m, (key, value): (String, String)| {
            m.metadata.insert(key, value);
            Ok(())
        }),
    ]
}
