//! Composition: components that are plugged into one another.

use anyhow::Context;
use wac_graph::types::Package;
use wac_graph::{CompositionGraph, EncodeOptions, NodeId};

/// Stacks components, given by name from the bottom up: each one's imports are
/// the exports of those below it, of the nearest that has it. The result
/// exports what the topmost exports and imports what none has.
///
/// # Errors
///
/// If something is not a component, or an import and the export of its name do
/// not fit.
pub fn stack(components: &[(&str, &[u8])]) -> anyhow::Result<Vec<u8>> {
    let mut graph = CompositionGraph::new();
    // Instances with the names of their exports.
    let mut below: Vec<(NodeId, Vec<String>)> = Vec::new();
    for (name, bytes) in components {
        let package = Package::from_bytes(name, None, bytes.to_vec(), graph.types_mut())
            .with_context(|| format!("{name} is not a component"))?;
        let package = graph.register_package(package)?;
        let instance = graph.instantiate(package);
        let world = &graph.types()[graph[package].ty()];
        let imports: Vec<String> = world.imports.keys().cloned().collect();
        let exports: Vec<String> = world.exports.keys().cloned().collect();
        for import in &imports {
            let Some((provider, _)) = below.iter().rev().find(|(_, exports)| exports.contains(import)) else {
                continue;
            };
            let export = graph.alias_instance_export(*provider, import)?;
            graph
                .set_instantiation_argument(instance, import, export)
                .with_context(|| format!("{name} cannot use the {import} that is there"))?;
        }
        below.push((instance, exports));
    }
    let (top, exports) = below.pop().context("there is nothing to compose")?;
    for name in exports {
        let export = graph.alias_instance_export(top, &name)?;
        graph.export(export, &name)?;
    }
    Ok(graph.encode(EncodeOptions::default())?)
}
