//! Where the tools are.

use std::path::{Path, PathBuf};

/// What `tests/setup.sh` and `polyglot/consumers/setup.sh` install.
#[derive(Debug, Clone)]
pub struct Tools {
    /// A Python that has zig, for C.
    pub python: PathBuf,
    /// The stock `wasmtime` command.
    pub wasmtime: PathBuf,
    /// The `componentize-py` command.
    pub componentize_py: PathBuf,
    /// The folder with `build.mjs` and the node modules it needs.
    pub js: PathBuf,
}

impl Tools {
    /// The tools beside this Python, which `tests/setup.sh` prints, and in this
    /// folder, which `polyglot/consumers/setup.sh` fills.
    pub fn new(python: &Path, large: &Path) -> Self {
        let beside = |name| python.with_file_name(name);
        Tools {
            python: python.to_owned(),
            wasmtime: beside("wasmtime"),
            componentize_py: large.join("python/bin/componentize-py"),
            js: large.join("js"),
        }
    }

    /// As the environment says: `TRACKER_PYTHON`, and `TRACKER_CONSUMERS`, which
    /// is `target/consumers` where it is not set. None without the former.
    pub fn from_environment() -> Option<Self> {
        let set = |name| std::env::var_os(name).map(PathBuf::from);
        let large = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/consumers");
        Some(Tools::new(&set("TRACKER_PYTHON")?, &set("TRACKER_CONSUMERS").unwrap_or_else(large)))
    }

    /// True if the tools for C are there.
    pub fn has_c(&self) -> bool {
        self.wasmtime.is_file() && self.python.with_file_name("python-zig").is_file()
    }

    /// True if the tools for Python are there.
    pub fn has_python(&self) -> bool {
        self.wasmtime.is_file() && self.componentize_py.is_file()
    }

    /// True if the tools for JavaScript are there.
    pub fn has_js(&self) -> bool {
        self.wasmtime.is_file() && self.js.join("node_modules/@bytecodealliance/componentize-js").is_dir()
    }
}
