//! How each consumer becomes a component.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use wit_bindgen_core::{Files, wit_parser::Resolve};
use wit_component::ComponentEncoder;

use crate::{Language, Tools};

const FOLDER: &str = env!("CARGO_MANIFEST_DIR");
const WORLD: &str = "consumer";

/// Builds a language's consumer in a folder for what comes about on the way,
/// and returns the component.
///
/// # Errors
///
/// If a tool is missing or fails; what it says is in the error.
pub fn component(language: Language, tools: &Tools, work: &Path) -> anyhow::Result<Vec<u8>> {
    fs::create_dir_all(work).with_context(|| format!("cannot create {}", work.display()))?;
    match language {
        Language::C => c(tools, work),
        Language::Python => python(tools, work),
        Language::Js => js(tools, work),
    }
}

/// Runs a tool.
fn done(command: &mut Command) -> anyhow::Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().with_context(|| format!("cannot run {program}"))?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success(), "{program} failed: {}", String::from_utf8_lossy(&said));
    Ok(())
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

/// Bindings from the WIT, zig's clang for a module, and the encoding of that.
fn c(tools: &Tools, work: &Path) -> anyhow::Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(Path::new(FOLDER).join("wit"))?;
    let world = resolve.select_world(&[package], Some(WORLD))?;
    let mut files = Files::default();
    wit_bindgen_c::Opts::default().build().generate(&mut resolve, world, &mut files)?;
    for (name, bytes) in files.iter() {
        let path = work.join(name);
        fs::write(&path, bytes).with_context(|| format!("cannot write {}", path.display()))?;
    }
    // A path of its own: the generated file has the program's name.
    let (program, module) = (Path::new(FOLDER).join("c/consumer.c"), work.join("module.wasm"));
    // Zig compiles the C library at first and keeps it.
    let cache = tools.python.with_file_name("zig-cache");
    let mut zig = Command::new(&tools.python);
    zig.args(["-m", "ziglang", "cc", "-target", "wasm32-wasi", "-mexec-model=reactor"])
        .args(["-Os", "-s", "-std=c11", "-Wall", "-Wextra", "-Werror", "-I"])
        .arg(work)
        .arg(program)
        .args([work.join("consumer.c"), work.join("consumer_component_type.o")])
        .arg("-o")
        .arg(&module)
        .env("ZIG_GLOBAL_CACHE_DIR", &cache)
        .env("ZIG_LOCAL_CACHE_DIR", &cache);
    done(&mut zig)?;
    ComponentEncoder::default().validate(true).module(&read(&module)?)?.encode()
}

fn python(tools: &Tools, work: &Path) -> anyhow::Result<Vec<u8>> {
    let (folder, out) = (Path::new(FOLDER), work.join("consumer.wasm"));
    // A copy with a name that no world has, beside which Python may leave what it compiles.
    fs::copy(folder.join("python/consumer.py"), work.join("app.py"))?;
    let mut componentize = Command::new(&tools.componentize_py);
    componentize.arg("-d").arg(folder.join("wit")).args(["-w", WORLD, "componentize", "-p"]).arg(work);
    componentize.args(["app", "-o"]).arg(&out);
    done(&mut componentize)?;
    read(&out)
}

fn js(tools: &Tools, work: &Path) -> anyhow::Result<Vec<u8>> {
    let out = work.join("consumer.wasm");
    let folder = Path::new(FOLDER);
    let mut node = Command::new("node");
    node.arg(tools.js.join("build.mjs")).args([folder.join("js/consumer.js"), folder.join("wit")]).arg(WORLD).arg(&out);
    done(&mut node)?;
    read(&out)
}
