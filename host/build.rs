//! Builds the guest into a component and hands its path to the crate as
//! `TRACKER_WASM`. `TRACKER_COMPONENT=<path>` names a component built elsewhere.

use std::env;
use std::path::PathBuf;

fn main() {
    println!("cargo:rerun-if-env-changed=TRACKER_COMPONENT");
    let component = match env::var_os("TRACKER_COMPONENT") {
        None => tracker_build::component("tracker-guest", "guest", "tracker.wasm"),
        Some(path) => {
            let path = PathBuf::from(path);
            if !path.is_file() {
                tracker_build::fail(&format!("TRACKER_COMPONENT names {}, which is not a file", path.display()));
            }
            println!("cargo:rerun-if-changed={}", path.display());
            path
        }
    };
    println!("cargo:rustc-env=TRACKER_WASM={}", component.display());
}
