//! A disk that loses its power.

use super::record::Event;

/// What a disk writes at once.
const SECTOR: usize = 512;
/// What the system writes at once.
const PAGE: usize = 4096;
/// LMDB's meta pages.
const META: u64 = 2 * PAGE as u64;

/// Which of the writes that no sync covers are on the disk.
#[derive(Debug, Clone, Copy)]
pub enum Choice {
    None,
    /// None of them, but the length that the file has through them.
    Length,
    All,
    Meta,
    AllButMeta,
    Only(usize),
    AllBut(usize),
    /// Those before this one, and sectors of it.
    Torn(usize),
    /// Any pages.
    Pages,
    /// Any sectors.
    Sectors,
    /// The file's name was not synced.
    NoName,
}

impl Choice {
    pub fn telling() -> Vec<Choice> {
        vec![Choice::None, Choice::Length, Choice::All, Choice::Meta, Choice::AllButMeta, Choice::NoName]
    }

    pub fn random(pending: usize, random: &mut fastrand::Rng) -> Self {
        match random.u32(0..8) {
            0 if pending > 0 => Choice::Only(random.usize(0..pending)),
            1 if pending > 0 => Choice::AllBut(random.usize(0..pending)),
            2 => Choice::Torn(random.usize(0..=pending)),
            3 => Choice::Length,
            4 | 5 => Choice::Pages,
            _ => Choice::Sectors,
        }
    }
}

#[derive(Default)]
pub struct Disk {
    durable: Vec<u8>,
    /// Writes that no sync covers, in order.
    pending: Vec<(u64, Vec<u8>)>,
    name_synced: bool,
    parent_synced: bool,
    /// The last commit that was acknowledged.
    pub acknowledged: u64,
}

fn put(image: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let (start, end) = (offset as usize, offset as usize + bytes.len());
    if image.len() < end {
        image.resize(end, 0);
    }
    image[start..end].copy_from_slice(bytes);
}

impl Disk {
    pub fn apply(&mut self, event: &Event) {
        match event {
            Event::Write { offset, bytes, synced: false } => self.pending.push((*offset, bytes.clone())),
            // It syncs what it writes, and nothing else.
            Event::Write { offset, bytes, synced: true } => put(&mut self.durable, *offset, bytes),
            Event::Sync => {
                for (offset, bytes) in self.pending.drain(..) {
                    put(&mut self.durable, offset, &bytes);
                }
            }
            Event::Create => {}
            Event::SyncDirectory => self.name_synced = true,
            Event::SyncParent => self.parent_synced = true,
            Event::Mark(n) => self.acknowledged = *n,
        }
    }

    /// Creating it is done when all of it is on the disk: then the store is open.
    pub fn is_created(&self) -> bool {
        self.parent_synced || self.acknowledged > 0
    }

    pub fn touches_meta(&self, event: &Event) -> bool {
        matches!(event, Event::Write { offset, .. } if *offset < META)
    }

    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The file as it is found when the power is back; none if there is none.
    pub fn after_loss(&self, choice: Choice, random: &mut fastrand::Rng) -> Option<Vec<u8>> {
        if matches!(choice, Choice::NoName) && !(self.name_synced && self.parent_synced) {
            return None;
        }
        let mut image = self.durable.clone();
        let unit = if matches!(choice, Choice::Pages) { PAGE } else { SECTOR };
        let mut length = image.len();
        for (n, (offset, bytes)) in self.pending.iter().enumerate() {
            length = length.max(*offset as usize + bytes.len());
            // Writes of LMDB begin at a page, or lie within the first sector of one.
            let mut at = 0;
            while at < bytes.len() {
                let end = bytes.len().min((*offset as usize + at) / unit * unit + unit - *offset as usize);
                let there = match choice {
                    Choice::None | Choice::NoName | Choice::Length => false,
                    Choice::All => true,
                    Choice::Meta => *offset < META,
                    Choice::AllButMeta => *offset >= META,
                    Choice::Only(only) => n == only,
                    Choice::AllBut(but) => n != but,
                    Choice::Torn(torn) => n < torn || n == torn && random.bool(),
                    // A write may be overtaken by a later one to the same place:
                    // of its versions any is there.
                    Choice::Pages | Choice::Sectors => random.bool(),
                };
                if there {
                    put(&mut image, *offset + at as u64, &bytes[at..end]);
                }
                at = end;
            }
        }
        let longer =
            matches!(choice, Choice::Length) || matches!(choice, Choice::Pages | Choice::Sectors) && random.bool();
        if longer && image.len() < length {
            image.resize(length, 0);
        }
        Some(image)
    }
}
