//! The exported functions that answer with records of files and symbols.
//!
//! Each is what `wit-bindgen` would generate, but for the answer, which is an
//! [`Answer`] in place of generated types. It stays until the host has read it
//! and calls the function's post-return. The functions are named once more in
//! `lib.rs`, as those that are not generated; leaving one out of either list
//! is an error when the component is made.

use std::cell::RefCell;

use super::layout::Answer;
use crate::{files, symbols};

thread_local! {
    /// The answer that the host is reading.
    static ANSWER: RefCell<Option<Answer>> = const { RefCell::new(None) };
}

/// The longest result: a page, or an error. An option of a record is longer
/// than both if there is one; if there is none, what is behind it is not read,
/// but the host looks at its bytes.
const RESULT_WORDS: usize = 24;

fn answer(result: crate::error::Result<Answer>) -> *const u64 {
    let answer = Answer::of(result).padded(RESULT_WORDS);
    let address = answer.address();
    ANSWER.set(Some(answer));
    address
}

/// A text in a list of texts.
#[repr(C)]
struct Pair {
    address: *mut u8,
    length: usize,
}

/// An argument that the host has allocated in this memory.
///
/// # Safety
///
/// `address` and `length` are those of a list of `T`s, allocated with
/// `cabi_realloc` and given up by the caller, as the canonical ABI has it.
unsafe fn list<T>(address: *mut T, length: usize) -> Vec<T> {
    // SAFETY: the host has allocated exactly this, with `T`'s alignment.
    unsafe { Vec::from_raw_parts(address, length, length) }
}

/// # Safety
///
/// As [`list`], and the bytes are UTF-8.
unsafe fn text(address: *mut u8, length: usize) -> String {
    // SAFETY: the host checks texts when it lowers them.
    unsafe { String::from_utf8_unchecked(list(address, length)) }
}

/// # Safety
///
/// As [`list`] if `case` is 1.
unsafe fn optional<T>(case: i32, value: impl FnOnce() -> T) -> Option<T> {
    (case != 0).then(value)
}

macro_rules! exports {
    ($($export:literal, $post:literal, $name:ident($($arg:ident: $type:ty),*) $answer:block)+) => {$(
        const _: () = {
            #[unsafe(export_name = $export)]
            unsafe extern "C" fn $name($($arg: $type),*) -> *const u64 {
                answer($answer)
            }
            #[unsafe(export_name = $post)]
            extern "C" fn post(_: *const u64) {
                ANSWER.set(None);
            }
        };
    )+};
}

// SAFETY, for all: the arguments are those of the function's type in
// `wit/tracker.wit`, flattened, so addresses and lengths belong together.
exports! {
    "galaxybrain:tracker/tracker@0.1.0#get-file", "cabi_post_galaxybrain:tracker/tracker@0.1.0#get-file",
    get_file(path: *mut u8, length: usize) {
        // SAFETY: see above.
        files::get(&unsafe { text(path, length) })
    }
    "galaxybrain:tracker/tracker@0.1.0#get-files", "cabi_post_galaxybrain:tracker/tracker@0.1.0#get-files",
    get_files(paths: *mut Pair, length: usize) {
        // SAFETY: see above.
        let paths: Vec<String> = unsafe { list(paths, length).iter().map(|path| text(path.address, path.length)).collect() };
        files::get_many(&paths)
    }
    "galaxybrain:tracker/tracker@0.1.0#get-file-by-key", "cabi_post_galaxybrain:tracker/tracker@0.1.0#get-file-by-key",
    get_file_by_key(key_hash: u64) { files::get_by_key(key_hash) }
    "galaxybrain:tracker/tracker@0.1.0#list-files", "cabi_post_galaxybrain:tracker/tracker@0.1.0#list-files",
    list_files(case: i32, after: *mut u8, length: usize, limit: u32) {
        // SAFETY: see above.
        let after = unsafe { optional(case, || list(after, length)) };
        files::list(after.as_deref(), limit)
    }
    "galaxybrain:tracker/tracker@0.1.0#list-files-by-context",
    "cabi_post_galaxybrain:tracker/tracker@0.1.0#list-files-by-context",
    list_files_by_context(
        context: *mut u8,
        context_length: usize,
        case: i32,
        after: *mut u8,
        length: usize,
        limit: u32
    ) {
        // SAFETY: see above.
        let (context, after) = unsafe { (text(context, context_length), optional(case, || list(after, length))) };
        files::list_by_context(&context, after.as_deref(), limit)
    }
    "galaxybrain:tracker/tracker@0.1.0#get-recent-files", "cabi_post_galaxybrain:tracker/tracker@0.1.0#get-recent-files",
    get_recent_files(limit: u32) { files::recent(limit) }
    "galaxybrain:tracker/tracker@0.1.0#get-symbols", "cabi_post_galaxybrain:tracker/tracker@0.1.0#get-symbols",
    get_symbols(path: *mut u8, length: usize) {
        // SAFETY: see above.
        symbols::of_file(&unsafe { text(path, length) })
    }
    "galaxybrain:tracker/tracker@0.1.0#get-symbol-by-key",
    "cabi_post_galaxybrain:tracker/tracker@0.1.0#get-symbol-by-key",
    get_symbol_by_key(key_hash: u64) { symbols::get_by_key(key_hash) }
}
