//! An instance of the component and what it runs in.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{Component, Instance, InstancePre, Linker, ResourceTable};
use wasmtime::{Store, UpdateDeadline};

use super::code::Code;
use super::ticker::{self, Budget};
use super::typed::FastFuncs;
use super::{Error, Result, Tracker};
use crate::bindings::TrackerComponent;
use crate::clock::{self, Clock};
use crate::component::{self, CodeCache, ComponentSource};
use crate::store::lmdb::Environment;
use crate::store::memory::Memory;
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
    /// What errors call it.
    what: Arc<str>,
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

/// Keeps what a component takes within its limits, over all of its memories and tables.
pub(super) struct MemoryLimit {
    max: usize,
    taken: usize,
    /// What was allowed last: it may turn out that it cannot be had.
    last: usize,
    /// Set when it asked for more.
    pub(super) denied: bool,
    max_entries: usize,
    entries: usize,
    instances: usize,
}

impl MemoryLimit {
    fn new(limits: &Limits) -> Self {
        MemoryLimit {
            max: limits.memory,
            taken: 0,
            last: 0,
            denied: false,
            max_entries: limits.table_entries,
            entries: 0,
            instances: limits.instances,
        }
    }
}

/// What a grown total is, if it stays within a maximum.
fn grown(total: usize, current: usize, desired: usize, max: usize) -> Option<usize> {
    total.checked_add(desired.saturating_sub(current)).filter(|total| *total <= max)
}

impl wasmtime::ResourceLimiter for MemoryLimit {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let taken = grown(self.taken, current, desired, self.max);
        self.last = taken.map_or(0, |taken| taken - self.taken);
        self.taken += self.last;
        self.denied |= taken.is_none();
        Ok(taken.is_some())
    }
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        tracing::debug!(%error, "a memory could not grow");
        self.taken -= std::mem::take(&mut self.last);
        Ok(())
    }
    fn table_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let entries = grown(self.entries, current, desired, self.max_entries);
        self.entries = entries.unwrap_or(self.entries);
        Ok(entries.is_some())
    }
    fn instances(&self) -> usize {
        self.instances
    }
    fn tables(&self) -> usize {
        self.instances
    }
    fn memories(&self) -> usize {
        self.instances
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
    /// When the call has to be over.
    until: ticker::Until,
}

impl Linked {
    /// Loads a component. One that is not the embedded one is tried out on an
    /// empty store that cannot be written: it has to start, to have what a
    /// tracker has and to answer a call before it comes near a real store.
    pub(super) fn load(source: &ComponentSource, origin: &Origin, limits: &Limits) -> Result<Self> {
        let component = component::load(component::engine()?, source, limits.component_size, &origin.cache)?;
        let what = source.to_string();
        let pre = link(component.engine(), origin.clock.clone())
            .and_then(|linker| linker.instantiate_pre(&component))
            .and_then(|pre| crate::bindings::TrackerComponentPre::new(pre.clone()).map(|_| pre))
            .map_err(|error| component::misfit(&component, what.clone(), error))?;
        let linked = Linked { component, pre, what: what.into() };
        if *source != ComponentSource::Embedded {
            linked.try_out(origin, limits)?;
        }
        Ok(linked)
    }

    fn try_out(&self, origin: &Origin, limits: &Limits) -> Result<()> {
        let engine = Memory::new().snapshot()?;
        let backing = Backing { path: "a trial".into(), environment: None, engine };
        let shared = Shared::new(self.clone(), origin.clone(), backing, limits.clone());
        Tracker::new(Arc::new(shared)).get_import_state().map(drop)
    }
}

impl Shared {
    pub(super) fn new(linked: Linked, origin: Origin, backing: Backing, limits: Limits) -> Self {
        let Backing { path, environment, engine } = backing;
        Shared { code: Code::new(linked), origin, path, environment, engine, limits }
    }

    /// What a call with this deadline may use.
    pub(super) fn budget(&self, deadline: Duration) -> Budget {
        Budget { time: deadline, for_server: deadline.saturating_mul(self.limits.server_waits) }
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
        let (Linked { component, pre, what }, generation) = shared.code.current();
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(RESOURCES);
        let mut ctx = StoreCtx::new(shared.engine.clone(), shared.limits.clone());
        ctx.set_explain(explain);
        let until = ticker::Until::default();
        ctx.set_interrupt({
            let until = until.clone();
            move |waited| until.left(waited).is_zero()
        });
        let memory = MemoryLimit::new(&shared.limits);
        let mut store = Store::new(component.engine(), State { store: ctx, resources, memory });
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(shared.limits.copied);
        let extended = until.clone();
        store.epoch_deadline_callback(move |mut store| {
            // A call does not pay for the time that it waited.
            let more = extended.extend(store.data_mut().store.take_waited());
            Ok(if more > 0 { UpdateDeadline::Continue(more) } else { UpdateDeadline::Interrupt })
        });
        let allowed = shared.limits.call_deadline;
        let running = ticker::start(&mut store, shared.budget(allowed), &until);
        let instance = pre.instantiate(&mut store).map_err(|trap| failed(trap, store.data(), allowed))?;
        let misfit = |error| component::misfit(&component, what.to_string(), error);
        let bindings = TrackerComponent::new(&mut store, &instance).map_err(misfit)?;
        let fast = FastFuncs::new(&instance, &mut store).map_err(misfit)?;
        drop(running);
        Ok(Session { store, instance, bindings, fast, ready: false, generation, until })
    }

    /// True if the component was exchanged since and nothing is left to do with the old one.
    pub(super) fn is_outdated(&self, shared: &Shared) -> bool {
        // The transaction of a batch is open between its calls.
        self.generation != shared.code.generation() && self.store.data().store.open_transactions() == 0
    }

    /// What is left to the call that has just ended.
    pub(super) fn rest(&mut self) -> Budget {
        self.until.rest(self.store.data_mut().store.take_waited())
    }

    /// Starts the clock of a call.
    pub(super) fn start(&mut self, budget: Budget) -> ticker::Running {
        let state = self.store.data_mut();
        state.store.take_waited();
        state.memory.denied = false;
        ticker::start(&mut self.store, budget, &self.until)
    }
}

/// Why an instance has ended, or did not come about.
pub(super) fn failed(trap: wasmtime::Error, state: &State, allowed: Duration) -> Error {
    match trap.downcast_ref::<wasmtime::Trap>() {
        Some(wasmtime::Trap::Interrupt) => Error::Deadline(allowed),
        _ if state.memory.denied => Error::OutOfMemory(state.memory.max),
        _ => Error::Trap(trap),
    }
}
