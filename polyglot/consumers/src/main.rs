//! `tracker-consumers c|python|js [<dir>]`: builds a consumer, composes it with
//! the tracker, runs it in the stock `wasmtime` command, and checks its report.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, ensure};
use tracker_consumers::{Language, Tools, component, expected, over_memory, run};

const FILES: u32 = 100;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let named = |name: &String| Language::ALL.into_iter().find(|language| language.name() == name);
    let Some(language) = arguments.first().and_then(named).filter(|_| arguments.len() <= 2) else {
        eprintln!("usage: tracker-consumers c|python|js [<dir>]");
        return ExitCode::from(2);
    };
    let directory = arguments.get(1).map_or_else(|| PathBuf::from("target/consumers/built"), PathBuf::from);
    match show(language, &directory.join(language.name())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn show(language: Language, directory: &std::path::Path) -> anyhow::Result<()> {
    let tools = Tools::from_environment().context("TRACKER_PYTHON is not set; use polyglot/consumers/run.sh")?;
    let began = Instant::now();
    let consumer = component(language, &tools, directory)?;
    println!("component: {} bytes, built in {:.1?}", consumer.len(), began.elapsed());
    let composed = over_memory(&consumer)?;
    let path = directory.join("composed.wasm");
    std::fs::write(&path, &composed).with_context(|| format!("cannot write {}", path.display()))?;
    println!("composed:  {} bytes, {}", composed.len(), path.display());
    let began = Instant::now();
    let report = run(&tools, &path, FILES)?;
    println!("reported:  {report}, in {:.1?}", began.elapsed());
    ensure!(report == expected(FILES), "the report should be {}", expected(FILES));
    Ok(())
}
