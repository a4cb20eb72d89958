//! JSON-text columns, which FileTracker wrote or anybody else.

use tracker_guest::fuzzing::{column, texts};

/// Input: the column.
pub fn run(data: &[u8]) {
    let json = String::from_utf8_lossy(data);
    let (parsed, plain) = texts(&json);
    let strict: Option<Vec<String>> = serde_json::from_str(&json).ok();
    if let Some(plain) = plain {
        assert_eq!(parsed, Some(plain), "the two readers disagree about {json}");
    }
    if let Some(strict) = strict {
        assert_eq!(parsed.as_ref(), Some(&strict), "JSON's own reader disagrees about {json}");
    }
    if let Some(parsed) = parsed {
        let written = column(&parsed);
        assert!(written.is_ascii());
        assert_eq!(texts(&written).0.as_ref(), Some(&parsed));
        assert_eq!(serde_json::from_str::<Vec<String>>(&written).ok(), Some(parsed));
    }
}
