//! Which files on disk have changed since they were indexed.

use std::collections::HashSet;

use crate::error::Result;
use crate::files::{self, File};
use crate::session::read;
use crate::table::Table;
use crate::types::{FileStat, FreshnessReport, Verdict};

/// How long after its modification a file must have been recorded for an equal
/// modification time to prove that nothing changed since, in seconds.
///
/// A later edit can carry the same time only within one tick of the file
/// system's clock, which is at most 2 s (FAT); the recorded time is read a
/// little after the file was, so callers should record what they have read
/// within the same time. This is the idea of git's racy index entries.
const SAFE_AFTER: f64 = 2.0;

fn verdict(stat: &FileStat, file: &File) -> Verdict {
    if stat.mtime != file.mtime || stat.size != file.size {
        Verdict::Stale
    } else if file.indexed_at - file.mtime >= SAFE_AFTER {
        Verdict::Fresh
    } else {
        // Also where either time is not finite or the clocks disagree.
        Verdict::Racy
    }
}

pub fn check(stats: &[FileStat], root: Option<&str>) -> Result<FreshnessReport> {
    read(|view| {
        let stored = view.get_many(Table::Files, stats.iter().map(|stat| files::key(&stat.path)))?;
        let mut verdicts = Vec::with_capacity(stats.len());
        for (position, stat) in stats.iter().enumerate() {
            verdicts.push(match stored.decode::<File>(position)? {
                None => Verdict::Unknown,
                Some(file) => verdict(stat, &file),
            });
        }
        let mut vanished = Vec::new();
        if let Some(root) = root {
            let present: HashSet<&str> = stats.iter().map(|stat| stat.path.as_str()).collect();
            files::each_under(view, root, None, 4096, |_, path| {
                if !present.contains(path) {
                    vanished.push(path.to_owned());
                }
                true
            })?;
        }
        Ok(FreshnessReport { verdicts, vanished })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_times_prove_freshness_only_when_recorded_safely_later() {
        let stat = FileStat { path: "/a".into(), mtime: 100.0, size: 5 };
        let file = |mtime, size, indexed_at| File { path: "/a", mtime, size, indexed_at, ..File::default() };
        assert_eq!(verdict(&stat, &file(100.0, 5, 102.0)), Verdict::Fresh);
        assert_eq!(verdict(&stat, &file(100.0, 5, 101.9)), Verdict::Racy);
        assert_eq!(verdict(&stat, &file(100.0, 5, 50.0)), Verdict::Racy);
        assert_eq!(verdict(&stat, &file(100.0, 5, f64::NAN)), Verdict::Racy);
        assert_eq!(verdict(&stat, &file(99.0, 5, 200.0)), Verdict::Stale);
        assert_eq!(verdict(&stat, &file(101.0, 5, 200.0)), Verdict::Stale);
        assert_eq!(verdict(&stat, &file(100.0, 6, 200.0)), Verdict::Stale);
    }
}
