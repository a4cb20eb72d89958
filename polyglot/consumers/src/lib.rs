//! Programs in C, Python and JavaScript that import `tracker`: the same program
//! in each language, see `wit/consumer.wit`. They are built into components,
//! composed with the tracker, and run in the stock `wasmtime` command.
//!
//! `polyglot/consumers/run.sh c|python|js` does it all; the README there has
//! the figures.

#![deny(missing_docs)]

mod build;
mod tools;

use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use tracker_artifacts::{MEMORY_WASM, TRACKER_WASM, stack};

pub use build::component;
pub use tools::Tools;

/// A language that there is a consumer in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    /// C, by wit-bindgen and zig.
    C,
    /// Python, by componentize-py: a whole interpreter is in the component.
    Python,
    /// JavaScript, by componentize-js: a whole engine is in the component.
    Js,
}

impl Language {
    /// All of them.
    pub const ALL: [Language; 3] = [Language::C, Language::Python, Language::Js];

    /// Its name on command lines, which is its folder's.
    pub fn name(self) -> &'static str {
        match self {
            Language::C => "c",
            Language::Python => "python",
            Language::Js => "js",
        }
    }
}

/// A consumer over a tracker over a store in memory: nothing is left to import
/// but what runtimes have.
///
/// # Errors
///
/// If the components do not fit together.
pub fn over_memory(consumer: &[u8]) -> anyhow::Result<Vec<u8>> {
    stack(&[("memory", MEMORY_WASM), ("tracker", TRACKER_WASM), ("consumer", consumer)])
}

/// A consumer over a tracker, for hosts that lend a store.
///
/// # Errors
///
/// If the components do not fit together.
pub fn over_store(consumer: &[u8]) -> anyhow::Result<Vec<u8>> {
    stack(&[("tracker", TRACKER_WASM), ("consumer", consumer)])
}

/// What a consumer reports of so many files when all is well.
pub fn expected(files: u32) -> String {
    let found = if files > 1 { format!("/src/1.c key={}", (1u64 << 63) + 1) } else { "nothing".into() };
    format!(
        "files={files} symbols={} cli={} deleted={} found={found} error=invalid-argument",
        2 * files,
        files.div_ceil(3),
        files > 0,
    )
}

/// Runs a composed consumer in the stock `wasmtime` command and returns what it reports.
///
/// # Errors
///
/// If the command cannot be run, or the consumer fails.
pub fn run(tools: &Tools, composed: &Path, files: u32) -> anyhow::Result<String> {
    let mut wasmtime = Command::new(&tools.wasmtime);
    wasmtime.args(["run", "--invoke", &format!("report({files})")]).arg(composed);
    let output = wasmtime.output().with_context(|| format!("cannot run {}", tools.wasmtime.display()))?;
    let said = String::from_utf8_lossy(&output.stdout);
    let report = said.trim().strip_prefix("ok(\"").and_then(|rest| rest.strip_suffix("\")"));
    ensure!(
        output.status.success() && report.is_some(),
        "it said {said:?}, {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(report.unwrap_or_default().to_owned())
}
