//! What a store keeps when its map, its writers, the power or the disk give out.

#[cfg(all(feature = "bench", unix))]
mod bench;
mod damage;
#[cfg(unix)]
mod environment;
mod growth;
mod kills;
mod load;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
mod power;
#[cfg(unix)]
mod signals;

use std::path::Path;
use std::process::{Child, Command, Stdio};

use tracker_host::{Durability, Options, Tracker};

/// A test of this module as a process of its own, told by a variable what to do.
fn another_process(test: &str, variable: &str, value: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args([&format!("crash::{test}"), "--exact", "--nocapture"]).env(variable, value);
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Ends a process without giving it a chance to tidy up.
fn kill(child: &mut Child) {
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The options of a store whose map has to grow from its smallest size.
fn smallest(store: &Path, durability: Durability) -> Options {
    Tracker::options(store).durability(durability).map_size(1)
}
