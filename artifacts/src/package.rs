//! The WIT package.

use std::path::Path;

use anyhow::Context;
use wit_parser::Resolve;

/// Where the WIT package is in the repository.
const WIT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../wit");

/// The WIT package and its dependency, encoded as a component.
///
/// # Errors
///
/// If the repository's `wit` folder is not there or does not parse.
pub fn wit_package() -> anyhow::Result<Vec<u8>> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(Path::new(WIT)).with_context(|| format!("cannot read the WIT of {WIT}"))?;
    wit_component::encode(&resolve, package, false)
}
