//! Lines of an export.

use tracker_host::fuzzing::{read_row, write_row};

/// Input: a line.
pub fn run(data: &[u8]) {
    let row = match read_row(data) {
        Ok(row) => row,
        Err(reason) => {
            assert!(!reason.is_empty());
            return;
        }
    };
    let line = write_row(&row);
    assert_eq!(line.iter().filter(|byte| **byte == b'\n').count(), 1);
    let again = read_row(&line).unwrap_or_else(|reason| panic!("{}: {reason}", String::from_utf8_lossy(&line)));
    // As lines, since nan is not nan.
    assert_eq!(write_row(&again), line);
}
