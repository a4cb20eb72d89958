//! An instance of the component and what it runs in.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{Component, Instance, InstancePre, Linker, ResourceTable};
use wasmtime::{Store, UpdateDeadline};

use super::options::Clock;
use super::typed::FastFuncs;
use super::{Error, Result, ticker};
use crate::bindings::TrackerComponent;
use crate::bindings::wasi::clocks::wall_clock::Datetime;
use crate::component::ComponentError;
use crate::store::lmdb::Environment;
use crate::store::{self, Engine, Limits, StoreCtx, StoreHostView, StoreView};

/// What all sessions of an environment share.
pub(super) struct Shared {
    pub(super) pre: InstancePre<State>,
    pub(super) component: Component,
    pub(super) environment: Environment,
    /// What the component's transactions are of: the environment, or a snapshot of it.
    pub(super) engine: Arc<dyn Engine>,
    pub(super) limits: Limits,
    pub(super) clock: Clock,
}

/// The state of a session's wasmtime store.
pub(super) struct State {
    pub(super) store: StoreCtx,
    resources: ResourceTable,
    pub(super) memory: MemoryLimit,
    clock: Clock,
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
}

impl Shared {
    pub(super) fn new(
        component: Component,
        what: String,
        environment: Environment,
        limits: Limits,
        clock: Clock,
    ) -> Result<Self> {
        let pre = link(component.engine())
            .and_then(|linker| linker.instantiate_pre(&component))
            .and_then(|pre| crate::bindings::TrackerComponentPre::new(pre.clone()).map(|_| pre))
            .map_err(|source| ComponentError::NotATracker { what, source })?;
        let engine = Arc::new(environment.clone());
        Ok(Shared { pre, component, environment, engine, limits, clock })
    }
}

fn link(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    store::add_to_linker(&mut linker)?;
    let mut clock = linker.instance("wasi:clocks/wall-clock@0.2.6")?;
    clock.func_wrap("now", |store: wasmtime::StoreContextMut<'_, State>, (): ()| {
        let since = store.data().clock.now();
        Ok((Datetime { seconds: since.as_secs(), nanoseconds: since.subsec_nanos() },))
    })?;
    clock.func_wrap("resolution", |_: wasmtime::StoreContextMut<'_, State>, (): ()| {
        Ok((Datetime { seconds: 0, nanoseconds: 1 },))
    })?;
    Ok(linker)
}

impl Session {
    pub(super) fn new(shared: &Arc<Shared>, explain: bool) -> Result<Self> {
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(RESOURCES);
        let mut ctx = StoreCtx::new(shared.engine.clone(), shared.limits.clone());
        ctx.set_explain(explain);
        let memory = MemoryLimit { max: shared.limits.memory, denied: false };
        let mut store =
            Store::new(shared.component.engine(), State { store: ctx, resources, memory, clock: shared.clock.clone() });
        store.limiter(|state| &mut state.memory);
        store.set_hostcall_fuel(shared.limits.copied);
        store.epoch_deadline_callback(|mut store| {
            // A call does not pay for the time it waited for other writers.
            let waited = ticker::ticks(store.data_mut().store.take_waited());
            Ok(if waited > 0 { UpdateDeadline::Continue(waited) } else { UpdateDeadline::Interrupt })
        });
        let running = ticker::start(&mut store, shared.limits.call_deadline);
        let instance = shared.pre.instantiate(&mut store).map_err(Error::Trap)?;
        let bindings = TrackerComponent::new(&mut store, &instance).map_err(Error::Trap)?;
        let fast = FastFuncs::new(&instance, &mut store).map_err(Error::Trap)?;
        drop(running);
        Ok(Session { store, instance, bindings, fast, ready: false })
    }

    /// Starts the clock of a call.
    pub(super) fn start(&mut self, allowed: Duration) -> ticker::Running {
        let state = self.store.data_mut();
        state.store.take_waited();
        state.memory.denied = false;
        ticker::start(&mut self.store, allowed)
    }
}
