//! Builds the guest into a component and hands its path to the crate as
//! `TRACKER_WASM`. `TRACKER_COMPONENT=<path>` names a component built elsewhere.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

const TARGET: &str = "wasm32-unknown-unknown";

fn main() {
    println!("cargo:rerun-if-env-changed=TRACKER_COMPONENT");
    if let Some(path) = env::var_os("TRACKER_COMPONENT") {
        let path = PathBuf::from(path);
        if !path.is_file() {
            fail(&format!("TRACKER_COMPONENT names {}, which is not a file", path.display()));
        }
        println!("cargo:rerun-if-changed={}", path.display());
        println!("cargo:rustc-env=TRACKER_WASM={}", path.display());
        return;
    }
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let Some(root) = manifest.parent() else { fail("the host crate has no parent folder") };
    for input in ["guest/src", "guest/Cargo.toml", "wit", "Cargo.lock", "Cargo.toml"] {
        println!("cargo:rerun-if-changed={}", root.join(input).display());
    }
    let out = PathBuf::from(variable("OUT_DIR"));
    ensure_target();
    let module = build_guest(root, &out.join("guest"));
    let component = out.join("tracker.wasm");
    encode(&module, &component);
    println!("cargo:rustc-env=TRACKER_WASM={}", component.display());
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("{name} is not set; build with cargo")))
}

fn fail(message: &str) -> ! {
    eprintln!("error: {message}");
    exit(1)
}

/// Adds the wasm target through rustup where it is missing.
fn ensure_target() {
    let rustc = env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let installed = Command::new(&rustc).args(["--print", "target-libdir", "--target", TARGET]).output();
    let present = installed.as_ref().is_ok_and(|output| {
        output.status.success() && Path::new(String::from_utf8_lossy(&output.stdout).trim()).is_dir()
    });
    if present {
        return;
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]);
    if let Ok(toolchain) = env::var("RUSTUP_TOOLCHAIN") {
        rustup.args(["--toolchain", &toolchain]);
    }
    match rustup.status() {
        Ok(status) if status.success() => {}
        Ok(_) => fail(&format!(
            "the Rust target {TARGET} is missing and `rustup target add {TARGET}` failed (its output is above)"
        )),
        Err(_) => fail(&format!(
            "the Rust target {TARGET} is missing and there is no rustup to add it; install the standard library for \
             {TARGET} with your Rust distribution, or set TRACKER_COMPONENT to a tracker.wasm built elsewhere"
        )),
    }
}

/// Compiles the guest with a cargo of its own and returns the core module.
fn build_guest(root: &Path, target_dir: &Path) -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .current_dir(root)
        .args(["build", "--package", "tracker-guest", "--profile", "guest", "--target", TARGET, "--target-dir"])
        .arg(target_dir)
        // What the outer cargo set for the native build does not hold for the guest.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env_remove("RUSTFLAGS")
        .env_remove("RUSTC_WRAPPER")
        .env_remove("RUSTC_WORKSPACE_WRAPPER")
        .env_remove("CLIPPY_ARGS")
        .env_remove("CARGO_BUILD_TARGET")
        .env_remove("CARGO_TARGET_DIR");
    if root.join("Cargo.lock").is_file() {
        build.arg("--locked");
    }
    match build.status() {
        Ok(status) if status.success() => {}
        Ok(_) => fail("the guest does not compile (its errors are above)"),
        Err(error) => fail(&format!("cannot run cargo for the guest: {error}")),
    }
    target_dir.join(TARGET).join("guest").join("tracker_guest.wasm")
}

fn encode(module: &Path, component: &Path) {
    let bytes = std::fs::read(module).unwrap_or_else(|e| fail(&format!("cannot read {}: {e}", module.display())));
    let encoded = wit_component::ComponentEncoder::default()
        .validate(true)
        .module(&bytes)
        .and_then(|encoder| encoder.encode())
        .unwrap_or_else(|e| fail(&format!("cannot make a component of {}: {e:#}", module.display())));
    std::fs::write(component, encoded).unwrap_or_else(|e| fail(&format!("cannot write {}: {e}", component.display())));
}
