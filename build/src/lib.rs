//! Builds packages of this workspace into WebAssembly components, for build
//! scripts: nothing but cargo and the Rust target is needed, and the target is
//! added through rustup where it is missing.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

const TARGET: &str = "wasm32-unknown-unknown";

/// Builds a package whose library is a component, and returns where the
/// component is: `<name>` in the build script's output folder. Ends the build
/// script with a message if that is not possible.
pub fn component(package: &str, folder: &str, name: &str) -> PathBuf {
    let manifest = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let Some(root) = manifest.parent() else { fail("the package has no parent folder") };
    let (source, own) = (format!("{folder}/src"), format!("{folder}/Cargo.toml"));
    for input in [&source, &own, "wit", "Cargo.lock", "Cargo.toml"] {
        println!("cargo:rerun-if-changed={}", root.join(input).display());
    }
    let out = PathBuf::from(variable("OUT_DIR"));
    ensure_target();
    let module = build(root, package, &out.join("guest"));
    let component = out.join(name);
    encode(&module, &component);
    component
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| fail(&format!("{name} is not set; build with cargo")))
}

/// Ends the build script with a message.
pub fn fail(message: &str) -> ! {
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

/// Compiles the package with a cargo of its own and returns the core module.
fn build(root: &Path, package: &str, target_dir: &Path) -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut build = Command::new(cargo);
    build
        .current_dir(root)
        .args(["build", "--package", package, "--profile", "guest", "--target", TARGET, "--target-dir"])
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
        Ok(_) => fail(&format!("{package} does not compile (its errors are above)")),
        Err(error) => fail(&format!("cannot run cargo for {package}: {error}")),
    }
    target_dir.join(TARGET).join("guest").join(package.replace('-', "_")).with_extension("wasm")
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
