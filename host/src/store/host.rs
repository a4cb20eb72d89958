//! The imports, by hand: arguments are read in guest memory and results are
//! lowered from where they are, without the copies of generated bindings.

use std::borrow::Cow;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use wasmtime::component::{Linker, Resource, ResourceType, WasmList};
use wasmtime::{AsContextMut, Result, StoreContextMut, Trap, bail};

use super::engine::{Handle, Range, StoreError, Wanted, check_table_names};
use super::{OpenTransaction, StoreCtx, StoreHostView, StoreView, Tables, packed};
use crate::bindings::galaxybrain::tracker::store::{Access, Direction, Error, Page};
use crate::lend::lend;

const INTERFACE: &str = "galaxybrain:tracker/store@0.1.0";

type Answer<T> = (std::result::Result<T, Error>,);
type Bytes = &'static [u8];

/// A page whose bytes are lowered from the host's buffer.
#[derive(wasmtime::component::ComponentType, wasmtime::component::Lower)]
#[component(record)]
struct LentPage {
    entries: Bytes,
    done: bool,
}

/// Operations are applied in pieces of about so many bytes, between which the
/// guest can be interrupted: some tens of thousands of small ones.
const PIECE: usize = 1 << 20;

type Pieces = Vec<usize>;

/// A buffer with more room is given back and not kept for the next call.
const KEPT: usize = 16 << 20;

/// A shorter wait for the writer lock is the cost of a transaction.
const LONG_WAIT: Duration = Duration::from_millis(1);

/// What the guest is told.
fn convert_error(error: StoreError) -> Error {
    match error {
        StoreError::MapFull { .. } => Error::MapFull,
        StoreError::KeySize { max, .. } => Error::KeySize(max),
        StoreError::ValueTooLarge { max, .. } => Error::ValueTooLarge(max),
        StoreError::ReadOnly => Error::ReadOnly,
        StoreError::Conflict => Error::Conflict,
        StoreError::Foreign { .. } => Error::Foreign,
        StoreError::Closed(_) => Error::Closed,
        StoreError::Corrupted(what) => Error::Corrupted(what),
        error => Error::Other(chain(&error)),
    }
}

/// An error with its causes on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

impl StoreCtx {
    fn handle(&self, table: u32) -> Result<Option<Handle>> {
        match self.tables.as_ref().and_then(|tables| tables.handles.get(table as usize)) {
            Some(handle) => Ok(*handle),
            None => bail!("table {table} was not opened"),
        }
    }

    /// A table's name, for logs.
    fn name(&self, table: u32) -> &str {
        self.tables.as_ref().and_then(|tables| tables.names.get(table as usize)).map_or("?", String::as_str)
    }

    /// Counts a crossing if calls are explained.
    fn note(&mut self, table: Option<u32>, count: impl FnOnce(&mut super::Explain, Option<&mut super::TableUse>)) {
        let Some(explain) = self.explain.as_deref_mut() else { return };
        explain.crossings += 1;
        let name = table.and_then(|table| self.tables.as_ref()?.names.get(table as usize));
        match name {
            None => count(explain, None),
            Some(name) => {
                let mut used = explain.tables.remove(name).unwrap_or_default();
                count(explain, Some(&mut used));
                explain.tables.insert(name.clone(), used);
            }
        }
    }

    fn open(&mut self, names: Vec<String>) -> Result<std::result::Result<(), Error>> {
        if self.tables.is_some() {
            bail!("open was called twice");
        }
        if names.is_empty() || names.len() > self.limits.tables {
            bail!("{} tables were asked for; the limit is {}", names.len(), self.limits.tables);
        }
        self.note(None, |_, _| {});
        Ok(match check_table_names(&names).and_then(|()| self.engine.open_tables(&names)) {
            Ok(handles) => {
                self.tables = Some(Tables { handles, names });
                Ok(())
            }
            Err(error) => Err(convert_error(error)),
        })
    }
}

impl StoreView<'_> {
    fn begin(self, access: Access) -> Result<std::result::Result<Resource<OpenTransaction>, Error>> {
        let limit = self.ctx.limits.transactions;
        if self.ctx.transactions >= limit {
            return Ok(Err(Error::TooManyTransactions(limit)));
        }
        tracing::trace!(?access, "begin");
        self.ctx.note(None, |explain, _| explain.transactions += 1);
        let begun = match access {
            Access::Read => self.ctx.engine.begin_read(),
            Access::Write => {
                let asked = Instant::now();
                let begun = self.ctx.engine.begin_write();
                let waited = asked.elapsed();
                if waited >= LONG_WAIT {
                    self.ctx.waited_for_writers += waited;
                }
                begun
            }
        };
        match begun {
            Ok(inner) => {
                let writable = access == Access::Write;
                let transaction = self.resources.push(OpenTransaction { inner, writable, over: false, written: 0 })?;
                self.ctx.transactions += 1;
                Ok(Ok(transaction))
            }
            Err(error) => Ok(Err(convert_error(error))),
        }
    }

    fn close(self, transaction: Resource<OpenTransaction>) -> Result<OpenTransaction> {
        let transaction = self.resources.delete(transaction)?;
        self.ctx.transactions = self.ctx.transactions.saturating_sub(1);
        Ok(transaction)
    }
}

/// A transaction that can still be used.
fn usable<'r>(
    resources: &'r wasmtime::component::ResourceTable,
    transaction: &Resource<OpenTransaction>,
) -> Result<std::result::Result<&'r OpenTransaction, Error>> {
    let transaction = resources.get(transaction)?;
    Ok(if transaction.over { Err(Error::Closed) } else { Ok(transaction) })
}

/// Adds the store interface to a linker.
///
/// # Errors
///
/// If the linker has the interface already and does not allow shadowing.
pub fn add_to_linker<T: StoreHostView>(linker: &mut Linker<T>) -> Result<()> {
    let mut interface = linker.instance(INTERFACE)?;
    interface.resource("transaction", ResourceType::host::<OpenTransaction>(), |mut store, rep| {
        drop(store.data_mut().store().close(Resource::new_own(rep))?);
        Ok(())
    })?;
    interface.func_wrap("open", |mut store: StoreContextMut<'_, T>, (names,): (Vec<String>,)| {
        Ok((store.data_mut().store().ctx.open(names)?,)) as Result<Answer<()>>
    })?;
    interface.func_wrap(
        "[static]transaction.begin",
        |mut store: StoreContextMut<'_, T>, (access,): (Access,)| -> Result<Answer<Resource<OpenTransaction>>> {
            Ok((store.data_mut().store().begin(access)?,))
        },
    )?;
    interface.func_wrap("get", get_newest::<T>)?;
    interface.func_wrap("[method]transaction.get", get::<T>)?;
    interface.func_wrap("[method]transaction.get-many", get_many::<T>)?;
    interface.func_wrap("[method]transaction.scan", scan::<T>)?;
    interface.func_wrap("[method]transaction.count", count::<T>)?;
    interface.func_wrap("[method]transaction.write", write::<T>)?;
    interface.func_wrap("[static]transaction.commit", commit::<T>)?;
    Ok(())
}

/// Counts a look-up if calls are explained.
fn note_get(ctx: &mut StoreCtx, table: u32, found: Option<u64>) {
    let key = ctx.input.len() as u64;
    ctx.note(Some(table), |explain, used| {
        explain.bytes_in += key;
        explain.bytes_out += found.unwrap_or(0);
        if let Some(used) = used {
            used.gets += 1;
            used.hits += u64::from(found.is_some());
        }
    });
}

fn get_newest<T: StoreHostView>(
    mut store: StoreContextMut<'_, T>,
    (table, key): (u32, WasmList<u8>),
) -> Result<Answer<Bytes>> {
    let (mut input, mut output) = take_buffers(&mut store);
    input.extend_from_slice(key.as_le_slice(&store));
    let ctx = store.data_mut().store().ctx;
    ctx.input = input;
    tracing::trace!(table = ctx.name(table), "get");
    let Some(handle) = ctx.handle(table)? else { return Ok((Err(Error::NotFound),)) };
    let found = ctx.engine.get(handle, &ctx.input, &mut output);
    ctx.output = output;
    note_get(ctx, table, found.as_ref().is_ok_and(|found| *found).then_some(ctx.output.len() as u64));
    Ok((match found {
        Ok(false) => Err(Error::NotFound),
        // SAFETY: returned at once. The buffer belongs to the context and
        // changes only when the next import runs.
        Ok(true) => Ok(unsafe { lend(&ctx.output) }),
        Err(error) => Err(convert_error(error)),
    },))
}

fn get<T: StoreHostView>(
    mut store: StoreContextMut<'_, T>,
    (transaction, table, key): (Resource<OpenTransaction>, u32, WasmList<u8>),
) -> Result<Answer<Bytes>> {
    let (mut input, output) = take_buffers(&mut store);
    input.extend_from_slice(key.as_le_slice(&store));
    let StoreView { ctx, resources } = store.data_mut().store();
    (ctx.input, ctx.output) = (input, output);
    tracing::trace!(table = ctx.name(table), "get");
    let Some(handle) = ctx.handle(table)? else { return Ok((Err(Error::NotFound),)) };
    let transaction = match usable(resources, &transaction)? {
        Ok(transaction) => transaction,
        Err(error) => return Ok((Err(error),)),
    };
    let found = transaction.inner.get(handle, &ctx.input);
    let length = found.as_ref().ok().and_then(|value| value.as_ref().map(|value| value.len() as u64));
    note_get(ctx, table, length);
    Ok((match found {
        Ok(None) => Err(Error::NotFound),
        // SAFETY: returned at once. The bytes are in the transaction's
        // snapshot, which stays as it is until the guest writes or ends it.
        Ok(Some(Cow::Borrowed(value))) => Ok(unsafe { lend(value) }),
        Ok(Some(Cow::Owned(value))) => {
            ctx.output = value;
            // SAFETY: returned at once. The buffer belongs to the context and
            // changes only when the next import runs.
            Ok(unsafe { lend(&ctx.output) })
        }
        Err(error) => Err(convert_error(error)),
    },))
}

fn get_many<T: StoreHostView>(
    mut store: StoreContextMut<'_, T>,
    (transaction, table, keys): (Resource<OpenTransaction>, u32, WasmList<u8>),
) -> Result<Answer<Bytes>> {
    let (mut input, mut output) = take_buffers(&mut store);
    input.extend_from_slice(keys.as_le_slice(&store));
    let StoreView { ctx, resources } = store.data_mut().store();
    let handle = ctx.handle(table)?;
    let transaction = match usable(resources, &transaction)? {
        Ok(transaction) => transaction,
        Err(error) => return Ok((Err(error),)),
    };
    let (mut asked, mut hits) = (0, 0);
    packed::keys(&input).try_for_each(|key| key.map(drop))?;
    let enough = ctx.limits.scan_bytes as usize;
    let mut visit = |value: Option<&[u8]>| {
        asked += 1;
        hits += u64::from(value.is_some());
        packed::push_value(value, &mut output);
        if output.len() >= enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let answered = {
        let mut keys = packed::keys(&input).map_while(std::result::Result::ok);
        match handle {
            None => {
                let _ = keys.try_for_each(|_| visit(None));
                Ok(())
            }
            Some(handle) => transaction.inner.get_many(handle, &mut keys, &mut visit),
        }
    };
    if let Err(error) = answered {
        return Ok((Err(convert_error(error)),));
    }
    tracing::trace!(table = ctx.name(table), keys = asked, hits, "get-many");
    ctx.note(Some(table), |explain, used| {
        explain.bytes_in += input.len() as u64;
        explain.bytes_out += output.len() as u64;
        if let Some(used) = used {
            used.gets += asked;
            used.hits += hits;
        }
    });
    (ctx.input, ctx.output) = (input, output);
    // SAFETY: returned at once. The buffer belongs to the context and changes
    // only when the next import runs.
    Ok((Ok(unsafe { lend(&ctx.output) }),))
}

type ScanArguments = (Resource<OpenTransaction>, u32, WasmList<u8>, WasmList<u8>, Direction, u32, u32);

fn scan<T: StoreHostView>(
    mut store: StoreContextMut<'_, T>,
    (transaction, table, start, end, direction, max_entries, max_bytes): ScanArguments,
) -> Result<Answer<LentPage>> {
    let (mut input, mut output) = take_buffers(&mut store);
    input.extend_from_slice(start.as_le_slice(&store));
    let split = input.len();
    input.extend_from_slice(end.as_le_slice(&store));
    let StoreView { ctx, resources } = store.data_mut().store();
    let handle = ctx.handle(table)?;
    let transaction = match usable(resources, &transaction)? {
        Ok(transaction) => transaction,
        Err(error) => return Ok((Err(error),)),
    };
    let max_entries = max_entries.clamp(1, ctx.limits.scan_entries);
    let max_bytes = max_bytes.clamp(1, ctx.limits.scan_bytes) as usize;
    let range = Range { start: &input[..split], end: &input[split..], descending: direction == Direction::Descending };
    let mut entries = 0;
    let mut done = true;
    if let Some(handle) = handle {
        // One more tells whether the range ends.
        let wanted = Wanted { entries: max_entries.saturating_add(1), bytes: max_bytes };
        let scanned = transaction.inner.scan_some(handle, range, wanted, &mut |key, value| {
            if entries == max_entries || (entries > 0 && output.len() + key.len() + value.len() > max_bytes) {
                done = false;
                return ControlFlow::Break(());
            }
            entries += 1;
            packed::push_entry(key, value, &mut output);
            ControlFlow::Continue(())
        });
        if let Err(error) = scanned {
            return Ok((Err(convert_error(error)),));
        }
    }
    tracing::trace!(table = ctx.name(table), entries, bytes = output.len(), done, "scan");
    ctx.note(Some(table), |explain, used| {
        explain.bytes_in += input.len() as u64;
        explain.bytes_out += output.len() as u64;
        if let Some(used) = used {
            used.scans += 1;
            used.rows_scanned += u64::from(entries);
        }
    });
    (ctx.input, ctx.output) = (input, output);
    // SAFETY: returned at once. The buffer belongs to the context and changes
    // only when the next import runs.
    Ok((Ok(LentPage { entries: unsafe { lend(&ctx.output) }, done }),))
}

fn count<T: StoreHostView>(
    mut store: StoreContextMut<'_, T>,
    (transaction, table): (Resource<OpenTransaction>, u32),
) -> Result<Answer<u64>> {
    let StoreView { ctx, resources } = store.data_mut().store();
    let Some(handle) = ctx.handle(table)? else { return Ok((Ok(0),)) };
    let transaction = match usable(resources, &transaction)? {
        Ok(transaction) => transaction,
        Err(error) => return Ok((Err(error),)),
    };
    ctx.note(Some(table), |_, _| {});
    Ok((transaction.inner.count(handle).map_err(convert_error),))
}

fn write<T: StoreHostView>(
    mut store: StoreContextMut<'_, T>,
    (transaction, ops): (Resource<OpenTransaction>, WasmList<u8>),
) -> Result<Answer<()>> {
    let (mut input, output) = take_buffers(&mut store);
    input.extend_from_slice(ops.as_le_slice(&store));
    let StoreView { ctx, resources } = store.data_mut().store();
    ctx.output = output;
    let transaction = resources.get_mut(&transaction)?;
    if !transaction.writable {
        bail!("a read transaction was written to");
    }
    if transaction.over {
        return Ok((Err(Error::Closed),));
    }
    let pieces = match check(ctx, &input)? {
        Ok(pieces) => pieces,
        Err(refused) => return Ok((Err(convert_error(refused)),)),
    };
    let Some(tables) = &ctx.tables else { bail!("no table was opened") };
    transaction.written += input.len() as u64;
    if transaction.written > ctx.limits.transaction_bytes {
        transaction.over = true;
        let limit = ctx.limits.transaction_bytes;
        return Ok((Err(Error::Other(format!(
            "the transaction writes more than {limit} bytes; write less at a time or allow more (--transaction-size)"
        ))),));
    }
    tracing::trace!(bytes = input.len(), "write");
    let mut written = Ok(());
    let mut rest = &input[..];
    for piece in pieces {
        if ctx.interrupt.as_ref().is_some_and(|is_over| is_over(ctx.waited())) {
            return Err(Trap::Interrupt.into());
        }
        let (now, later) = rest.split_at(piece);
        rest = later;
        written = transaction.inner.write(now, &tables.handles);
        if written.is_err() {
            break;
        }
    }
    transaction.over = written.is_err();
    if ctx.explain.is_some() {
        note_write(ctx, &input);
    }
    ctx.input = input;
    Ok((written.map_err(convert_error),))
}

/// Checks all operations before any is applied: a malformed buffer traps, a
/// size that the store does not take is an error. Returns the lengths of the
/// pieces to apply them in.
fn check(ctx: &StoreCtx, ops: &[u8]) -> Result<std::result::Result<Pieces, StoreError>> {
    let max_key = ctx.engine.max_key_size();
    let mut pieces = Pieces::new();
    let (mut items, mut begun) = (packed::ops(ops), 0);
    while let Some(op) = items.next() {
        let op = op?;
        let end = ops.len() - items.rest().len();
        if end - begun >= PIECE || end == ops.len() {
            pieces.push(end - begun);
            begun = end;
        }
        ctx.handle(u32::from(op.table()))?;
        let (key, value): (&[u8], &[u8]) = match op {
            packed::Op::Put { key, value, .. } => (key, value),
            packed::Op::Delete { key, .. } => (key, &[]),
            packed::Op::Clear { .. } => continue,
        };
        if key.is_empty() || key.len() > max_key as usize {
            return Ok(Err(StoreError::KeySize { length: key.len(), max: max_key }));
        }
        if value.len() as u64 > ctx.limits.value_size {
            return Ok(Err(StoreError::ValueTooLarge { length: value.len(), max: ctx.limits.value_size }));
        }
    }
    Ok(Ok(pieces))
}

fn note_write(ctx: &mut StoreCtx, ops: &[u8]) {
    ctx.note(None, |explain, _| explain.bytes_in += ops.len() as u64);
    let StoreCtx { explain: Some(explain), tables: Some(tables), .. } = ctx else { return };
    for op in packed::ops(ops).flatten() {
        let Some(name) = tables.names.get(usize::from(op.table())) else { continue };
        let used = explain.tables.entry(name.clone()).or_default();
        match op {
            packed::Op::Put { .. } => used.puts += 1,
            packed::Op::Delete { .. } | packed::Op::Clear { .. } => used.deletes += 1,
        }
    }
}

fn commit<T: StoreHostView>(
    mut store: StoreContextMut<'_, T>,
    (transaction,): (Resource<OpenTransaction>,),
) -> Result<Answer<()>> {
    let mut store = store.as_context_mut();
    tracing::trace!("commit");
    store.data_mut().store().ctx.note(None, |_, _| {});
    let transaction = store.data_mut().store().close(transaction)?;
    if transaction.over {
        return Ok((Err(Error::Closed),));
    }
    Ok((transaction.inner.commit().map_err(convert_error),))
}

/// The context's buffers, empty, with their allocations.
fn take_buffers<T: StoreHostView>(store: &mut StoreContextMut<'_, T>) -> (Vec<u8>, Vec<u8>) {
    let ctx = store.data_mut().store().ctx;
    let (mut input, mut output) = (std::mem::take(&mut ctx.input), std::mem::take(&mut ctx.output));
    for buffer in [&mut input, &mut output] {
        buffer.clear();
        buffer.shrink_to(KEPT);
    }
    (input, output)
}

/// Keeps the generated type and the lent one from drifting apart.
const _: fn(LentPage) -> Page = |page| Page { entries: page.entries.to_vec(), done: page.done };
