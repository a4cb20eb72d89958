//! Builds the store in memory into a component and hands its path to the crate
//! as `MEMORY_WASM`.

fn main() {
    let component = tracker_build::component("tracker-memory", "memory", "memory.wasm");
    println!("cargo:rustc-env=MEMORY_WASM={}", component.display());
}
