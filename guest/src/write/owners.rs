//! Who owns a key hash. The first owner, in order, stands in one table, which
//! answers nearly every look-up; the others, which few hashes have, in another.

use std::collections::BTreeSet;

use super::{Net, Writer, net};
use crate::error::Result;
use crate::index;
use crate::key::{self, Key};
use crate::record;
use crate::scan::Scan;
use crate::table::Table;

/// How many entries a scan for key hashes passes over before it looks for the next one.
const PASSED: u32 = 64;

/// The first owner of a key hash before a change.
struct First {
    stored: Option<Vec<u8>>,
    /// True if the change takes it away.
    lost: bool,
    /// The next one that stays, if it does.
    successor: Option<Vec<u8>>,
}

impl Writer<'_> {
    /// All records that have a key hash, first owner first, as this call sees them.
    pub fn all_owners(&mut self, owners: Table, key_hash: u64) -> Result<Vec<Vec<u8>>> {
        if !self.owners.is_empty() {
            self.settle_owners()?;
        }
        let Some(first) = self.get_physical(owners, &key_hash.to_be_bytes())? else { return Ok(Vec::new()) };
        let mut all = vec![first];
        all.extend(self.more(owners, key_hash)?);
        Ok(all)
    }

    /// The owners that are not the first, in order.
    fn more(&mut self, owners: Table, key_hash: u64) -> Result<Vec<Vec<u8>>> {
        Ok(self.more_of_many(owners, &[(key_hash, usize::MAX)])?.pop().unwrap_or_default())
    }

    /// The same of many key hashes, which are in ascending order, of each at
    /// most so many. Few hashes have any, so that a page of the scan answers
    /// for many of them.
    fn more_of_many(&mut self, owners: Table, wanted: &[(u64, usize)]) -> Result<Vec<Vec<Vec<u8>>>> {
        let mut more = vec![Vec::new(); wanted.len()];
        let table = index::more_owners(owners);
        let mut at = 0;
        'seek: while let ([(start, _), ..], Some((last, _))) = (&wanted[at..], wanted.last()) {
            let end = key::prefix_end(&last.to_be_bytes());
            let mut scan = Scan::range(self.view_for(table)?, table, start.to_be_bytes().into(), end).wanted(PASSED);
            let mut passed = 0;
            while let Some(entry) = scan.next()? {
                let Some((key_hash, owner)) = entry.key.split_first_chunk::<8>() else {
                    return Err(record::corrupt(table, entry.physical));
                };
                let key_hash = u64::from_be_bytes(*key_hash);
                while wanted.get(at).is_some_and(|(next, limit)| *next < key_hash || more[at].len() >= *limit) {
                    at += 1;
                }
                let Some((next, _)) = wanted.get(at) else { break 'seek };
                if *next == key_hash {
                    more[at].push(owner.to_vec());
                } else {
                    passed += 1;
                    if passed == PASSED {
                        continue 'seek;
                    }
                }
            }
            break;
        }
        Ok(more)
    }

    /// The first owners of the key hashes of these changes, in their order.
    fn firsts(&mut self, changes: &[(Table, u64, Net)]) -> Result<Vec<First>> {
        let mut firsts = Vec::with_capacity(changes.len());
        for of_table in changes.chunk_by(|(a, ..), (b, ..)| a == b) {
            let [(table, ..), ..] = of_table else { continue };
            let from = firsts.len();
            let mut wanted = Vec::new();
            for (_, key_hash, Net { removed, .. }) in of_table {
                let stored = self.get_physical(*table, &key_hash.to_be_bytes())?;
                let lost = stored.as_ref().is_some_and(|first| removed.contains(first));
                if lost {
                    // Even if all others that are removed come before it.
                    wanted.push((*key_hash, removed.len() + 1));
                }
                firsts.push(First { stored, lost, successor: None });
            }
            let mut more = self.more_of_many(*table, &wanted)?.into_iter();
            for (first, (.., Net { removed, .. })) in firsts[from..].iter_mut().zip(of_table) {
                if first.lost {
                    first.successor = more.next().into_iter().flatten().find(|owner| !removed.contains(owner));
                }
            }
        }
        Ok(firsts)
    }

    /// Applies the collected changes of owners.
    pub(super) fn settle_owners(&mut self) -> Result<()> {
        let changes = net(std::mem::take(&mut self.owners));
        self.read_ahead_sorted(&changes, |key_hash| key_hash.to_be_bytes().to_vec())?;
        let firsts = self.firsts(&changes)?;
        for ((table, key_hash, Net { added, removed }), first) in changes.into_iter().zip(firsts) {
            let key = key_hash.to_be_bytes();
            let First { stored, lost, successor } = first;
            if let (None, [], [owner]) = (&stored, &removed[..], &added[..]) {
                // As nearly always: the first and only one.
                self.put_physical(table, &key, owner);
                continue;
            }
            let more = index::more_owners(table);
            for owner in removed.iter().filter(|owner| Some(*owner) != stored.as_ref()) {
                self.delete(more, &Key::of_u64(key_hash).raw(owner));
            }
            let mut candidates: BTreeSet<Vec<u8>> = added.iter().cloned().collect();
            candidates.extend(if lost { successor } else { stored.clone() });
            let first = candidates.pop_first();
            // Of the candidates all but the first belong into the other table;
            // one that was there already is put again with the same empty value.
            for owner in &candidates {
                self.put(more, &Key::of_u64(key_hash).raw(owner), &[]);
            }
            match first {
                Some(first) if Some(&first) == stored.as_ref() => {}
                Some(first) => {
                    if lost && !added.contains(&first) {
                        self.delete(more, &Key::of_u64(key_hash).raw(&first));
                    }
                    self.put_physical(table, &key, &first);
                }
                None => self.pending.delete(table, &key),
            }
        }
        Ok(())
    }
}
