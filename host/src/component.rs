//! The component: the embedded one or a file, compiled or from the cache.

use std::borrow::Cow;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;
use std::{fmt, fs};

use sha2::{Digest, Sha256};
use wasmtime::component::Component;
use wasmtime::{Config, Engine};

use crate::{lend, unfold};

/// The component that was built with this crate.
pub static TRACKER_WASM: &[u8] = include_bytes!(env!("TRACKER_WASM"));

/// Where the component comes from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum ComponentSource {
    /// The one that was built with this crate.
    #[default]
    Embedded,
    /// A file.
    File(PathBuf),
}

/// Where compiled code is kept between processes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum CodeCache {
    /// `$XDG_CACHE_HOME/tracker` or `~/.cache/tracker`.
    #[default]
    User,
    /// A directory.
    Directory(PathBuf),
    /// Nowhere: compile each time (about half a second).
    Off,
}

/// Why a component cannot be loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ComponentError {
    /// The file cannot be read.
    #[error("cannot read the component {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: std::io::Error,
    },
    /// It is not a component, or not one that this engine can compile.
    #[error("{what} is not a component that can be compiled")]
    Compile {
        /// The file, or "the embedded component".
        what: String,
        /// What wasmtime says.
        source: wasmtime::Error,
    },
    /// The file is larger than it may be.
    #[error("the component {path} has more than {max} bytes; if it is to be trusted allow more (--component-size)")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        max: u64,
    },
    /// It would unfold to more instances than anybody needs.
    #[error(
        "{what} is made of up to {instances} instances of components, more than the {MAX_INSTANCES} that are compiled"
    )]
    TooManyInstances {
        /// The file, or "the embedded component".
        what: String,
        /// How many it can come to.
        instances: u64,
    },
    /// It asks for more than this host lends.
    #[error("{what} imports {import}, which it is not given; a tracker component is lent {} and {}", IMPORTS[0], IMPORTS[1])]
    Import {
        /// The file, or "the embedded component".
        what: String,
        /// What it imports.
        import: String,
        /// What wasmtime says.
        source: wasmtime::Error,
    },
    /// It is of another version of the package.
    #[error("{what} was built against {interface}, and this host is of {known}; take one of the same version")]
    Version {
        /// The file, or "the embedded component".
        what: String,
        /// The interface that it imports or exports.
        interface: String,
        /// The one that this host knows.
        known: &'static str,
        /// What wasmtime says.
        source: wasmtime::Error,
    },
    /// It does not import and export what a tracker does.
    #[error("{what} is not a tracker component of galaxybrain:tracker@0.1.0")]
    NotATracker {
        /// The file, or "the embedded component".
        what: String,
        /// What wasmtime says.
        source: wasmtime::Error,
    },
}

/// What is compiled in a fraction of a second. `Limits::instances` is for those that are made.
const MAX_INSTANCES: u64 = 1 << 18;

/// What a component is lent.
const IMPORTS: [&str; 2] = ["galaxybrain:tracker/store@0.1.0", "wasi:clocks/wall-clock@0.2.6"];

/// What it has to export.
pub(crate) const EXPORT: &str = "galaxybrain:tracker/tracker@0.1.0";

/// Says why a component does not fit: wasmtime has found that it does not.
pub(crate) fn misfit(component: &Component, what: String, source: wasmtime::Error) -> ComponentError {
    fn base(name: &str) -> &str {
        name.split('@').next().unwrap_or_default()
    }
    let (engine, ty) = (component.engine(), component.component_type());
    let imports = || ty.imports(engine).map(|(name, _)| name);
    if let Some(import) = imports().find(|name| IMPORTS.iter().all(|known| base(known) != base(name))) {
        return ComponentError::Import { what, import: import.to_owned(), source };
    }
    let known = [IMPORTS[0], EXPORT];
    let other = imports().chain(ty.exports(engine).map(|(name, _)| name)).find_map(|name| {
        let known = known.into_iter().find(|known| base(known) == base(name) && *known != name)?;
        Some((name.to_owned(), known))
    });
    match other {
        Some((interface, known)) => ComponentError::Version { what, interface, known, source },
        None => ComponentError::NotATracker { what, source },
    }
}

/// The configuration that this library needs of an engine. An embedder who uses
/// an engine of their own starts from here.
pub fn engine_config() -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    // Async lifts are not used; without them a call costs a third.
    config.concurrency_support(false);
    // Deadlines: cheaper than counting fuel.
    config.epoch_interruption(true);
    config
}

/// The engine of all trackers in this process.
pub(crate) fn engine() -> Result<&'static Engine, ComponentError> {
    static ENGINE: LazyLock<Result<Engine, String>> =
        LazyLock::new(|| Engine::new(&engine_config()).map_err(|e| format!("{e:#}")));
    ENGINE.as_ref().map_err(|message| ComponentError::Compile {
        what: "anything".into(),
        source: wasmtime::Error::msg(message.clone()),
    })
}

impl ComponentSource {
    /// The bytes, if a file has no more than `max`.
    fn read(&self, max: u64) -> Result<Cow<'static, [u8]>, ComponentError> {
        let ComponentSource::File(path) = self else { return Ok(TRACKER_WASM.into()) };
        let mut bytes = Vec::new();
        // A byte more than it may have, to see that it has.
        let read = fs::File::open(path).and_then(|file| file.take(max.saturating_add(1)).read_to_end(&mut bytes));
        match read {
            Ok(length) if length as u64 > max => Err(ComponentError::TooLarge { path: path.clone(), max }),
            Ok(_) => Ok(bytes.into()),
            Err(source) => Err(ComponentError::Read { path: path.clone(), source }),
        }
    }
}

impl fmt::Display for ComponentSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ComponentSource::Embedded => f.write_str("the embedded component"),
            ComponentSource::File(path) => path.display().fmt(f),
        }
    }
}

/// Loads a component of at most `max` bytes, from compiled code if the cache has it.
pub(crate) fn load(
    engine: &Engine,
    source: &ComponentSource,
    max: u64,
    cache: &CodeCache,
) -> Result<Component, ComponentError> {
    let bytes = source.read(max)?;
    let file = cache.directory().map(|directory| Cached::new(engine, &bytes, directory));
    if let Some(component) = file.as_ref().and_then(|file| file.load(engine)) {
        return Ok(component);
    }
    if let Some(instances) = unfold::instances(&bytes).filter(|instances| *instances > MAX_INSTANCES) {
        return Err(ComponentError::TooManyInstances { what: source.to_string(), instances });
    }
    let component = Component::new(engine, &bytes)
        .map_err(|error| ComponentError::Compile { what: source.to_string(), source: error })?;
    if let Some(file) = &file
        && let Err(error) = file.store(&component)
    {
        tracing::debug!(%error, "the compiled component was not cached");
    }
    Ok(component)
}

impl CodeCache {
    fn directory(&self) -> Option<PathBuf> {
        match self {
            CodeCache::Off => None,
            CodeCache::Directory(path) => Some(path.clone()),
            CodeCache::User => {
                let set = |name| std::env::var_os(name).map(PathBuf::from).filter(|path: &PathBuf| path.is_absolute());
                let base = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")))?;
                Some(base.join("tracker"))
            }
        }
    }
}

/// A file of compiled code: a SHA-256 of the code, and the code.
struct Cached {
    directory: PathBuf,
    path: PathBuf,
}

const DIGEST: usize = 32;

impl Cached {
    fn new(engine: &Engine, component: &[u8], directory: PathBuf) -> Self {
        use std::hash::{DefaultHasher, Hash, Hasher};
        // Code depends on the component and on version and settings of the compiler.
        let mut compiler = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut compiler);
        let digest = Sha256::digest(component);
        let name: String = digest[..12].iter().map(|b| format!("{b:02x}")).collect();
        let path = directory.join(format!("{name}-{:016x}.cwasm", compiler.finish()));
        Cached { directory, path }
    }

    fn load(&self, engine: &Engine) -> Option<Component> {
        if !is_private(&self.directory) || !is_private(&self.path) {
            return None;
        }
        let bytes = fs::read(&self.path).ok()?;
        let (digest, code) = bytes.split_first_chunk::<DIGEST>()?;
        if Sha256::digest(code).as_slice() != digest {
            tracing::warn!(path = %self.path.display(), "the cached code is damaged and will be written again");
            return None;
        }
        lend::deserialize(engine, code).ok()
    }

    /// Writes the file whole or not at all.
    fn store(&self, component: &Component) -> wasmtime::Result<()> {
        let code = component.serialize()?;
        create_private_dir(&self.directory)?;
        let temporary = self.path.with_extension(format!("{}.tmp", std::process::id()));
        let written = create_private_file(&temporary).and_then(|mut file| {
            file.write_all(Sha256::digest(&code).as_slice())?;
            file.write_all(&code)?;
            fs::rename(&temporary, &self.path)
        });
        if written.is_err() {
            // Best effort: the file may not even be there.
            let _ = fs::remove_file(&temporary);
        }
        Ok(written?)
    }
}

/// True if only this user can write here.
#[cfg(unix)]
fn is_private(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    // The owner of our own process's files, asked of the system without libc.
    let me = fs::metadata("/proc/self").map(|own| own.uid());
    match (fs::metadata(path), me) {
        (Ok(metadata), Ok(me)) => metadata.uid() == me && metadata.mode() & 0o022 == 0,
        (Ok(metadata), Err(_)) => metadata.mode() & 0o022 == 0,
        (Err(_), _) => false,
    }
}

#[cfg(not(unix))]
fn is_private(path: &Path) -> bool {
    path.exists()
}

#[cfg(unix)]
fn create_private_dir(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path)
}

#[cfg(not(unix))]
fn create_private_dir(path: &Path) -> std::io::Result<()> {
    fs::create_dir_all(path)
}

fn create_private_file(path: &Path) -> std::io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt;
        options.mode(0o600);
    }
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damaged_cache_files_are_written_again() {
        let directory = tempfile::tempdir().unwrap();
        let cache = CodeCache::Directory(directory.path().join("code"));
        let engine = engine().unwrap();
        let wasm = wat_component();
        let file = directory.path().join("empty.wasm");
        fs::write(&file, &wasm).unwrap();
        let source = ComponentSource::File(file);
        load(engine, &source, 1000, &cache).unwrap();
        let cached = Cached::new(engine, &wasm, directory.path().join("code"));
        let good = fs::read(&cached.path).unwrap();
        assert!(cached.load(engine).is_some());
        for damage in [0, DIGEST + 1, good.len() - 1] {
            let mut bad = good.clone();
            bad[damage] ^= 1;
            fs::write(&cached.path, bad).unwrap();
            assert!(cached.load(engine).is_none(), "byte {damage}");
        }
        fs::write(&cached.path, &good[..10]).unwrap();
        assert!(cached.load(engine).is_none());
        load(engine, &source, 1000, &cache).unwrap();
        assert_eq!(fs::read(&cached.path).unwrap(), good);
    }

    #[cfg(unix)]
    #[test]
    fn code_that_others_could_have_written_is_not_loaded() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        let cache = directory.path().join("code");
        let engine = engine().unwrap();
        let wasm = wat_component();
        let cached = Cached::new(engine, &wasm, cache.clone());
        cached.store(&Component::new(engine, &wasm).unwrap()).unwrap();
        assert!(cached.load(engine).is_some());
        fs::set_permissions(&cache, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(cached.load(engine).is_none());
    }

    /// The smallest component: the preamble alone.
    fn wat_component() -> Vec<u8> {
        b"\0asm\x0d\0\x01\0".to_vec()
    }
}
