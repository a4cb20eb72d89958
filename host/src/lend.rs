//! The one module with `unsafe`: bytes lent to wasmtime, and what heed asks its
//! callers to answer for.

use std::path::Path;

use heed::{Env, EnvFlags, EnvOpenOptions, RwTxn, WithoutTls};
use wasmtime::component::__internal::{CanonicalAbiInfo, InstanceType, InterfaceType, LiftContext, wasmtime_environ};
use wasmtime::component::{ComponentNamedList, ComponentType, Func, Lift, Lower, TypedFunc};
use wasmtime_environ::component::StringEncoding;

use crate::bindings::exports::galaxybrain::tracker::tracker::Error;
use crate::lift::{Memory, Owned};

/// Lends bytes for the lowering of a host function's result.
///
/// wasmtime wants results that are `'static`, but lowers them into the guest's
/// memory before anything else runs. This saves a copy of every value.
///
/// # Safety
///
/// The result must be returned from the host function at once and used for
/// nothing else, and `bytes` must stay where they are until another host
/// function of the same store runs.
pub(crate) unsafe fn lend(bytes: &[u8]) -> &'static [u8] {
    // SAFETY: the caller returns it to wasmtime, which copies it into linear
    // memory and drops it. While it does so the only guest code that runs is
    // `cabi_realloc`, from which calls to imports trap, so no host function can
    // end the transaction or touch the buffer that `bytes` points into.
    unsafe { std::mem::transmute::<&[u8], &'static [u8]>(bytes) }
}

/// Opens an environment. The caller has seen to it that this process has it
/// open once: [`crate::store::lmdb::Environment`] keeps a table.
pub(crate) fn open_env(options: &EnvOpenOptions<WithoutTls>, path: &Path) -> heed::Result<Env<WithoutTls>> {
    // SAFETY: what is mapped may only be changed through LMDB. The files are
    // created with mode 0600, heed refuses to open a path twice in a process,
    // and the documentation tells users to keep their hands off them.
    unsafe { options.open(path) }
}

/// Sets the flags to open with.
pub(crate) fn set_flags(options: &mut EnvOpenOptions<WithoutTls>, flags: EnvFlags) {
    // SAFETY: of the flags the engine uses, READ_ONLY, NO_META_SYNC and NO_SYNC
    // are unsafe only towards the durability that the user has chosen; NO_LOCK is
    // set only for a copy that has no lock file and so no writer.
    unsafe {
        options.flags(flags);
    }
}

/// Resizes the map. Only for [`crate::store::lmdb`]'s gate, which has seen to it that
/// this process has no transaction.
pub(crate) fn resize(env: &Env<WithoutTls>, size: usize) -> heed::Result<()> {
    // SAFETY: every transaction of this process holds a pass of the gate, and
    // the gate calls this only while there is none.
    unsafe { env.resize(size) }
}

/// Gives the pages of the map that are in memory back to the system. Only for
/// [`crate::store::lmdb`], which keeps the map from being resized meanwhile.
#[cfg(unix)]
pub(crate) fn release_pages(env: &Env<WithoutTls>) {
    let info = env.info();
    // SAFETY: the map is a shared, read-only mapping of the data file, so that
    // a page that is given back is read again from the file or its cache when
    // it is needed. The caller holds a pass of the gate, so the map is there.
    unsafe {
        use nix::libc;
        libc::madvise(info.map_addr, info.map_size, libc::MADV_DONTNEED);
    }
}

#[cfg(not(unix))]
pub(crate) fn release_pages(_env: &Env<WithoutTls>) {}

/// Begins a write transaction that owns its environment.
pub(crate) fn static_write_txn(env: &Env<WithoutTls>) -> heed::Result<RwTxn<'static>> {
    let txn = env.write_txn()?;
    // SAFETY: the lifetime stands for the environment, which must not be closed
    // before the transaction ends. Whoever holds the transaction holds a
    // reference-counted `Shared`, with the environment in it, behind it.
    Ok(unsafe { std::mem::transmute::<RwTxn<'_>, RwTxn<'static>>(txn) })
}

/// Loads compiled code that [`crate::component`] has written.
pub(crate) fn deserialize(engine: &wasmtime::Engine, code: &[u8]) -> wasmtime::Result<wasmtime::component::Component> {
    // SAFETY: the code must be what wasmtime's `serialize` returned. It comes
    // from a file that only this user can write (the cache checks owner and
    // mode of directory and file) and that carries a SHA-256 of the code.
    unsafe { wasmtime::component::Component::deserialize(engine, code) }
}

/// A `result<T, error>` whose `T` is lifted by [`crate::lift`].
pub(crate) struct Fast<T>(pub(crate) std::result::Result<T, Error>);

type Derived<T> = std::result::Result<T, Error>;

// SAFETY: everything is that of the type it stands for.
unsafe impl<T: ComponentType> ComponentType for Fast<T> {
    type Lower = <Derived<T> as ComponentType>::Lower;
    const ABI: CanonicalAbiInfo = <Derived<T> as ComponentType>::ABI;

    fn typecheck(ty: &InterfaceType, types: &InstanceType<'_>) -> wasmtime::Result<()> {
        <Derived<T> as ComponentType>::typecheck(ty, types)
    }
}

// SAFETY: reading by hand looks at linear memory within its bounds and nothing
// else; it makes only plain values, so no resource can be forged.
unsafe impl<T: Owned + Lift> Lift for Fast<T> {
    fn linear_lift_from_flat(cx: &mut LiftContext<'_>, ty: InterfaceType, src: &Self::Lower) -> wasmtime::Result<Self> {
        Ok(Fast(Derived::<T>::linear_lift_from_flat(cx, ty, src)?))
    }

    fn linear_lift_from_memory(cx: &mut LiftContext<'_>, ty: InterfaceType, bytes: &[u8]) -> wasmtime::Result<Self> {
        // An error, or a component with strings of another kind.
        if bytes[0] != 0 || cx.options().string_encoding != StringEncoding::Utf8 {
            return Ok(Fast(Derived::<T>::linear_lift_from_memory(cx, ty, bytes)?));
        }
        // What is read counts against the same budget as what is derived.
        let memory = cx.memory();
        let mut spend = |bytes| cx.consume_fuel(bytes);
        let value = T::read(&mut Memory::new(memory, &mut spend), &bytes[Self::ALIGN32 as usize..])?;
        Ok(Fast(Ok(value)))
    }
}

/// Checks that a function has the type with which [`call_fast`] calls it.
pub(crate) fn check_fast<P, T>(func: &Func, store: impl wasmtime::AsContext) -> wasmtime::Result<()>
where
    P: ComponentNamedList + Lower,
    T: Owned + Lift,
{
    func.typed::<P, (Fast<T>,)>(store).map(drop)
}

/// Calls an exported function whose result is lifted by hand.
pub(crate) fn call_fast<S: 'static, P, T>(
    func: &Func,
    store: &mut wasmtime::Store<S>,
    params: P,
) -> wasmtime::Result<std::result::Result<T, Error>>
where
    P: ComponentNamedList + Lower,
    T: Owned + Lift,
{
    // SAFETY: see `check_fast`.
    let typed = unsafe { TypedFunc::<P, (Fast<T>,)>::new_unchecked(*func) };
    Ok(typed.call(store, params)?.0.0)
}
