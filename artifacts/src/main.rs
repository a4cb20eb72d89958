//! `tracker-artifacts <dir>`: see the library.

use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(directory), None) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: tracker-artifacts <dir>\n\nwrites tracker.wasm, tracker.wit.wasm and tracker-memory.wasm");
        return ExitCode::from(2);
    };
    match tracker_artifacts::write(&PathBuf::from(directory)) {
        Ok(paths) => {
            paths.iter().for_each(|path| println!("{}", path.display()));
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
