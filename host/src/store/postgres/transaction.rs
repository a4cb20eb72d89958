//! Transactions of the engine.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::ops::ControlFlow;

use super::changes::{Changes, Known};
use super::commit::commit;
use super::session::Session;
use crate::store::engine::{Handle, Range, StoreError, Transaction, ValueVisitor, Visitor, Wanted, each_op};

/// A snapshot.
pub(super) struct ReadTransaction {
    session: Session,
}

impl ReadTransaction {
    pub(super) fn new(session: Session) -> Self {
        ReadTransaction { session }
    }

    pub(super) fn session(&self) -> &Session {
        &self.session
    }
}

impl Transaction for ReadTransaction {
    fn get(&self, table: Handle, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        Ok(self.session.get(table, key)?.map(Cow::Owned))
    }

    fn get_many(
        &self,
        table: Handle,
        keys: &mut dyn Iterator<Item = &[u8]>,
        visit: &mut ValueVisitor<'_>,
    ) -> Result<(), StoreError> {
        let keys: Vec<&[u8]> = keys.collect();
        self.session.get_many(table, &keys, visit).map(drop)
    }

    fn scan(&self, table: Handle, range: Range<'_>, visit: &mut Visitor<'_>) -> Result<(), StoreError> {
        self.session.scan(table, range, None, visit)
    }

    fn scan_some(
        &self,
        table: Handle,
        range: Range<'_>,
        wanted: Wanted,
        visit: &mut Visitor<'_>,
    ) -> Result<(), StoreError> {
        self.session.scan(table, range, Some(wanted), visit)
    }

    fn count(&self, table: Handle) -> Result<u64, StoreError> {
        self.session.count(table)
    }

    fn write(&mut self, _packed: &[u8], _tables: &[Option<Handle>]) -> Result<(), StoreError> {
        Err(StoreError::ReadOnly)
    }

    fn commit(self: Box<Self>) -> Result<(), StoreError> {
        Ok(())
    }
}

/// Bytes of keys and values that a transaction remembers.
const REMEMBERED: usize = 8 << 20;

/// Keys that were looked up: what a transaction has read stays as it is. A
/// batch reads the same counters in each of its calls.
#[derive(Default)]
struct Memory {
    values: HashMap<(u32, Vec<u8>), Option<Vec<u8>>>,
    size: usize,
}

impl Memory {
    fn note(&mut self, table: Handle, key: &[u8], value: Option<&[u8]>) {
        self.size += key.len() + value.map_or(0, <[u8]>::len);
        if self.size > REMEMBERED {
            *self = Memory::default();
            return;
        }
        self.values.insert((table.0, key.to_vec()), value.map(<[u8]>::to_vec));
    }
}

/// A write transaction. What it writes stays here until the commit.
pub(super) struct WriteTransaction {
    session: Session,
    changes: Changes,
    read: RefCell<Memory>,
}

impl WriteTransaction {
    pub(super) fn new(session: Session) -> Self {
        WriteTransaction { session, changes: Changes::default(), read: RefCell::default() }
    }

    /// A value that was read before.
    fn remembered(&self, table: Handle, key: &[u8]) -> Option<Option<Vec<u8>>> {
        self.read.borrow().values.get(&(table.0, key.to_vec())).cloned()
    }

    /// Visits the keys that are known, up to the next that is not.
    fn visit_known(
        &self,
        table: Handle,
        keys: &[&[u8]],
        known: &[bool],
        next: &mut usize,
        visit: &mut ValueVisitor<'_>,
    ) -> Result<ControlFlow<()>, StoreError> {
        while let (Some(key), Some(true)) = (keys.get(*next), known.get(*next)) {
            *next += 1;
            if visit(self.get(table, key)?.as_deref()).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    fn scan_merged(
        &self,
        table: Handle,
        range: Range<'_>,
        wanted: Option<Wanted>,
        visit: &mut Visitor<'_>,
    ) -> Result<(), StoreError> {
        let Some(changes) = self.changes.of(table) else { return self.session.scan(table, range, wanted, visit) };
        let mut overlay = changes.overlay(range);
        let mut flow = ControlFlow::Continue(());
        if !changes.cleared {
            self.session.scan(table, range, wanted, &mut |key, value| {
                flow = overlay.pass(key, value, visit);
                flow
            })?;
        }
        if flow.is_continue() {
            let _ = overlay.rest(visit);
        }
        Ok(())
    }
}

impl Transaction for WriteTransaction {
    fn get(&self, table: Handle, key: &[u8]) -> Result<Option<Cow<'_, [u8]>>, StoreError> {
        if let Known::Value(value) = self.changes.known(table, key) {
            return Ok(value.map(Cow::Borrowed));
        }
        if let Some(value) = self.remembered(table, key) {
            return Ok(value.map(Cow::Owned));
        }
        let value = self.session.get(table, key)?;
        self.read.borrow_mut().note(table, key, value.as_deref());
        Ok(value.map(Cow::Owned))
    }

    fn get_many(
        &self,
        table: Handle,
        keys: &mut dyn Iterator<Item = &[u8]>,
        visit: &mut ValueVisitor<'_>,
    ) -> Result<(), StoreError> {
        let keys: Vec<&[u8]> = keys.collect();
        let is_known = |key: &&[u8]| {
            matches!(self.changes.known(table, key), Known::Value(_)) || self.remembered(table, key).is_some()
        };
        let known: Vec<bool> = keys.iter().map(is_known).collect();
        let unknown: Vec<&[u8]> = keys.iter().zip(&known).filter(|(_, known)| !**known).map(|(key, _)| *key).collect();
        let mut next = 0;
        let mut failed = Ok(());
        let flow = self.session.get_many(table, &unknown, &mut |value| {
            match self.visit_known(table, &keys, &known, &mut next, visit) {
                Ok(ControlFlow::Continue(())) => {}
                Ok(ControlFlow::Break(())) => return ControlFlow::Break(()),
                Err(error) => {
                    failed = Err(error);
                    return ControlFlow::Break(());
                }
            }
            if let Some(key) = keys.get(next) {
                self.read.borrow_mut().note(table, key, value);
            }
            next += 1;
            visit(value)
        })?;
        failed?;
        if flow.is_continue() {
            let _ = self.visit_known(table, &keys, &known, &mut next, visit)?;
        }
        Ok(())
    }

    fn scan(&self, table: Handle, range: Range<'_>, visit: &mut Visitor<'_>) -> Result<(), StoreError> {
        self.scan_merged(table, range, None, visit)
    }

    fn scan_some(
        &self,
        table: Handle,
        range: Range<'_>,
        wanted: Wanted,
        visit: &mut Visitor<'_>,
    ) -> Result<(), StoreError> {
        self.scan_merged(table, range, Some(wanted), visit)
    }

    fn count(&self, table: Handle) -> Result<u64, StoreError> {
        let Some(changes) = self.changes.of(table) else { return self.session.count(table) };
        let now = changes.values.values().filter(|value| value.is_some()).count() as u64;
        if changes.cleared {
            return Ok(now);
        }
        let keys: Vec<&[u8]> = changes.values.keys().map(Vec::as_slice).collect();
        let before = self.session.count_of(table, &keys)?;
        Ok((self.session.count(table)? + now).saturating_sub(before))
    }

    fn write(&mut self, packed: &[u8], tables: &[Option<Handle>]) -> Result<(), StoreError> {
        let changes = &mut self.changes;
        each_op(packed, tables, |table, op| {
            changes.apply(table, op);
            Ok(())
        })
    }

    fn commit(self: Box<Self>) -> Result<(), StoreError> {
        let WriteTransaction { session, changes, .. } = *self;
        if changes.is_empty() { Ok(()) } else { commit(session, &changes) }
    }
}
