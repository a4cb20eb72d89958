//! An instance of the component and what it runs in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{Component, Instance, InstancePre, Linker, ResourceTable};
use wasmtime::{Store, UpdateDeadline};

use super::code::Code;
use super::typed::FastFuncs;
use super::{Error, Result, ticker};
use crate::bindings::TrackerComponent;
use crate::clock::{self, Clock};
use crate::component::{self, CodeCache, ComponentError, ComponentSource};
use crate::store::lmdb::Environment;
use crate::store::{self, Engine, Limits, StoreCtx, StoreError, StoreHostView, StoreView};

/// What all sessions of an environment share.
pub(super) struct Shared {
    pub(super) code: Code,
    pub(super) origin: Origin,
    /// The directory of the environment, or what another engine is called.
    pub(super) path: PathBuf,
    /// None over another engine.
    pub(super) environment: Option<Environment>,
    /// What the component's transactions are of: the environment, a snapshot of it, or another engine.
    pub(super) engine: Arc<dyn Engine>,
    pub(super) limits: Limits,
}

/// What is behind the trackers of one store.
pub(super) struct Backing {
    pub(super) path: PathBuf,
    pub(super) environment: Option<Environment>,
    pub(super) engine: Arc<dyn Engine>,
}

impl From<Environment> for Backing {
    fn from(environment: Environment) -> Self {
        Backing {
            path: environment.path().to_owned(),
            engine: Arc::new(environment.clone()),
            environment: Some(environment),
        }
    }
}

/// What components are loaded and linked with.
#[derive(Clone)]
pub(super) struct Origin {
    pub(super) cache: CodeCache,
    pub(super) clock: Clock,
}

/// A component whose imports are there, and which exports what a tracker does.
#[derive(Clone)]
pub(super) struct Linked {
    pub(super) component: Component,
    pre: InstancePre<State>,
}

/// The state of a session's wasmtime store.
pub(super) struct State {
    pub(super) store: StoreCtx,
    resources: ResourceTable,
    pub(super) memory: MemoryLimit,
}

impl StoreHostView for State {
    fn store(&mut self) -> StoreView<'_> {
        StoreView { ctx: &mut self.store, resources: &mut self.resources }
    }
}

/// Stops an instance from taking more memory than it may.
pub(super) struct MemoryLimit {
    max: usize,
    /// Set when it asked for more.
    pub(super) denied: bool,
}

impl wasmtime::ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let allowed = desired <= self.max;
        self.denied |= !allowed;
        Ok(allowed)
    }
    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        // The tracker's function table has a few hundred entries.
        Ok(desired <= 100_000)
    }
}

/// Resources of a session: its transactions, which are limited below that, and slack.
const RESOURCES: usize = 1024;

/// An instance.
pub(super) struct Session {
    pub(super) store: Store<State>,
    pub(super) instance: Instance,
    pub(super) bindings: TrackerComponent,
    pub(super) fast: FastFuncs,
    /// Set by the first call that succeeds. Before it the component may have
    /// opened its tables and failed after that, and would do so twice.
    pub(super) ready: bool,
    /// Of the component.
    generation: u64,
}

impl Linked {
    pub(super) fn load(source: &ComponentSource, origin: &Origin) -> Result<Self> {
        let component = component::load(component::engine()?, source, &origin.cache)?;
        let pre = link(component.engine(), origin.clock.clone())
            .and_then(|linker| linker.instantiate_pre(&component))
            .and_then(|pre| crate::bindings::TrackerComponentPre::new(pre.clone()).map(|_| pre))
            .map_err(|error| ComponentError::NotATracker { what: source.to_string(), source: error })?;
        Ok(Linked { component, pre })
    }
}

impl Shared {
    pub(super) fn new(linked: Linked, origin: Origin, backing: Backing, limits: Limits) -> Self {
        let Backing { path, environment, engine } = backing;
        Shared { code: Code::new(linked), origin, path, environment, engine, limits }
    }

    /// The same over another engine, with the component of now.
    pub(super) fn over(&self, engine: Arc<dyn Engine>) -> Self {
        Shared {
            code: Code::new(self.code.current().0),
            origin: self.origin.clone(),
            path: self.path.clone(),
            environment: self.environment.clone(),
            engine,
            limits: self.limits.clone(),
        }
    }

    /// The environment, for what other engines do not have.
    pub(super) fn environment(&self, what: &'static str) -> Result<&Environment> {
        self.environment.as_ref().ok_or(Error::Engine(StoreError::Unsupported(what)))
    }
}

fn link(engine: &wasmtime::Engine, clock: Clock) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    store::add_to_linker(&mut linker)?;
    clock::add_to_linker(&mut linker, clock)?;
    Ok(linker)
}

impl Session {
    pub(super) fn new(shared: &Shared, explain: bool) -> Result<Self> {
        let (Linked { component, pre }, generation) = shared.code.current();
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(RESOURCES);
        let mut ctx = StoreCtx::new(shared.engine.clone(), shared.limits.clone());
        ctx.set_explain(explain);
        let memory = MemoryLimit { max: shared.limits.memory, denied: false };
        let mut store = Store::new(component.engine(), State { store: ctx, resources, memory });
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(shared.limits.copied);
        store.epoch_deadline_callback(|mut store| {
            // A call does not pay for the time it waited for other writers.
            let waited = ticker::ticks(store.data_mut().store.take_waited());
            Ok(if waited > 0 { UpdateDeadline::Continue(waited) } else { UpdateDeadline::Interrupt })
        });
        let running = ticker::start(&mut store, shared.limits.call_deadline);
        let instance = pre.instantiate(&mut store).map_err(Error::Trap)?;
        let bindings = TrackerComponent::new(&mut store, &instance).map_err(Error::Trap)?;
        let fast = FastFuncs::new(&instance, &mut store).map_err(Error::Trap)?;
        drop(running);
        Ok(Session { store, instance, bindings, fast, ready: false, generation })
    }

    /// True if the component was exchanged since and nothing is left to do with the old one.
    pub(super) fn is_outdated(&self, shared: &Shared) -> bool {
        // The transaction of a batch is open between its calls.
        self.generation != shared.code.generation() && self.store.data().store.open_transactions() == 0
    }

    /// Starts the clock of a call.
    pub(super) fn start(&mut self, allowed: Duration) -> ticker::Running {
        let state = self.store.data_mut();
        state.store.take_waited();
        state.memory.denied = false;
        ticker::start(&mut self.store, allowed)
    }
}
