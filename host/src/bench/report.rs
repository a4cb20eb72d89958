//! What was measured, for people and programs.

use serde::Serialize;

use super::measure::Measured;
use super::subject::Peer;
use super::works::Row;

/// A row of the results.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "snake_case")]
pub struct Line {
    /// The work.
    pub name: String,
    /// Files in the store; none where that has no meaning.
    pub files: Option<usize>,
    /// What the times are of.
    pub per: &'static str,
    /// The tracker's median time, in nanoseconds.
    pub tracker_ns: f64,
    /// The time that 99 of 100 of the tracker's calls stay within, in nanoseconds.
    pub p99_ns: Option<f64>,
    /// Units a second; for a figure that is no time the figure itself.
    pub per_second: f64,
    /// rusqlite's median time.
    pub sqlite_ns: Option<f64>,
    /// Hand-written LMDB's median time.
    pub heed_ns: Option<f64>,
    /// redb's median time.
    pub redb_ns: Option<f64>,
    /// The median ratio of the tracker's time to rusqlite's in the same round.
    pub ratio_sqlite: Option<f64>,
    /// The median ratio to hand-written LMDB's.
    pub ratio_heed: Option<f64>,
    /// The median ratio to redb's.
    pub ratio_redb: Option<f64>,
    /// What the tracker is to reach; none for figures without a target, or whose peers were left out.
    pub target: Option<String>,
    /// Whether it does.
    pub met: Option<bool>,
}

impl Line {
    pub(super) fn of(row: &Row, files: usize, measured: &Measured) -> Self {
        let ours = measured.median(Peer::Tracker).unwrap_or(f64::NAN);
        let (ratio_sqlite, ratio_heed) = (measured.ratio(Peer::Rusqlite), measured.ratio(Peer::Heed));
        // Those that this run can judge: a peer that was left out meets and misses nothing.
        let judged: Vec<(f64, f64, Peer)> =
            [(row.max_sqlite, ratio_sqlite, Peer::Rusqlite), (row.max_heed, ratio_heed, Peer::Heed)]
                .into_iter()
                .filter_map(|(max, ratio, peer)| Some((max?, ratio?, peer)))
                .collect();
        let target: Vec<String> = judged.iter().map(|(max, _, peer)| format!("≤ {max}× {}", peer.name())).collect();
        Line {
            name: row.name.to_owned(),
            files: Some(files),
            per: row.per,
            tracker_ns: ours,
            p99_ns: measured.p99(),
            per_second: 1e9 / ours,
            sqlite_ns: measured.median(Peer::Rusqlite),
            heed_ns: measured.median(Peer::Heed),
            redb_ns: measured.median(Peer::Redb),
            ratio_sqlite,
            ratio_heed,
            ratio_redb: measured.ratio(Peer::Redb),
            target: (!judged.is_empty()).then(|| target.join(", ")),
            met: (!judged.is_empty()).then(|| judged.iter().all(|(max, ratio, _)| ratio <= max)),
        }
    }

    /// A figure of the tracker alone.
    pub(super) fn alone(name: &str, per: &'static str, ns: f64, target: Option<(String, bool)>) -> Self {
        let (target, met) = target.unzip();
        Line {
            name: name.to_owned(),
            files: None,
            per,
            tracker_ns: ns,
            p99_ns: None,
            per_second: 1e9 / ns,
            sqlite_ns: None,
            heed_ns: None,
            redb_ns: None,
            ratio_sqlite: None,
            ratio_heed: None,
            ratio_redb: None,
            target,
            met,
        }
    }

    /// The heading of the table.
    pub fn heading() -> String {
        format!(
            "{:36} {:>8} {:>10} {:>10} {:>11} {:>9} {:>7} {:>7}  {}",
            "work", "files", "time", "p99", "a second", "/rusqlite", "/heed", "/redb", "target"
        )
    }

    /// The row as text.
    pub fn text(&self) -> String {
        let ratio = |ratio: Option<f64>| ratio.map_or_else(String::new, |ratio| format!("{ratio:.2}"));
        let target = match (&self.target, self.met) {
            (Some(target), Some(true)) => format!("{target}: met"),
            (Some(target), _) => format!("{target}: MISSED"),
            (None, _) => String::new(),
        };
        format!(
            "{:36} {:>8} {:>10} {:>10} {:>11} {:>9} {:>7} {:>7}  {target}",
            self.name,
            self.files.map_or_else(String::new, |files| files.to_string()),
            if self.tracker_ns.is_nan() {
                format!("{:.0} {}", self.per_second, self.per)
            } else {
                time(self.tracker_ns)
            },
            self.p99_ns.map_or_else(String::new, time),
            if self.tracker_ns.is_nan() { String::new() } else { format!("{:.0}", self.per_second) },
            ratio(self.ratio_sqlite),
            ratio(self.ratio_heed),
            ratio(self.ratio_redb),
        )
    }
}

/// A time in the unit that suits it.
pub fn time(ns: f64) -> String {
    match ns {
        ns if ns < 1e3 => format!("{ns:.0} ns"),
        ns if ns < 1e6 => format!("{:.2} µs", ns / 1e3),
        ns if ns < 1e9 => format!("{:.2} ms", ns / 1e6),
        ns => format!("{:.2} s", ns / 1e9),
    }
}
