//! Calls as text: WAVE lines and JSON.

use std::sync::LazyLock;

use tracker_host::wasmtime::component::wasm_wave;
use tracker_host::{Signature, Tracker, call, json};

/// The functions of the tracker.
pub static FUNCTIONS: LazyLock<Vec<Signature>> =
    LazyLock::new(|| Tracker::in_memory().expect("it needs nothing").functions());

/// Input: a line of `host call -`.
pub fn run(data: &[u8]) {
    let line = String::from_utf8_lossy(data);
    let (function, arguments) = match call::parse(&line, &FUNCTIONS) {
        Ok(parsed) => parsed,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    assert_eq!(arguments.len(), function.params.len());
    // Both ways to write it are the same call again.
    let wave: Vec<String> =
        arguments.iter().map(|argument| wasm_wave::to_string(argument).expect("a value can be written")).collect();
    let values: Vec<serde_json::Value> =
        arguments.iter().zip(&function.params).map(|(argument, param)| json::from_val(argument, &param.ty)).collect();
    let document = serde_json::json!({ "call": function.name, "args": values }).to_string();
    for text in [format!("{}({})", function.name, wave.join(", ")), document] {
        let (again, back) = call::parse(&text, &FUNCTIONS).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(again.name, function.name);
        // As text, since nan is not nan.
        let back: Vec<String> =
            back.iter().map(|argument| wasm_wave::to_string(argument).expect("a value can be written")).collect();
        assert_eq!(back, wave, "{line} as {text}");
    }
}
