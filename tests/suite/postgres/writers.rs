//! Many writers in several processes, and whether their history is one of a single writer.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use serde_json::{Value, json};
use tracker_host::Tracker;

use crate::support::postgres::Namespace;
use crate::support::{figure, scale};

/// A process with a session: calls as JSON over its pipes.
pub struct Host {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Host {
    pub fn session(url: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_host"))
            .args(["call", url, "-", "--json"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        Host { child, stdin, stdout: BufReader::new(stdout) }
    }

    /// The answer, or the case of the error.
    pub fn call(&mut self, name: &str, args: Value) -> Result<Value, String> {
        writeln!(self.stdin, "{}", json!({ "call": name, "args": args })).map_err(|error| error.to_string())?;
        let mut line = String::new();
        self.stdout.read_line(&mut line).map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_str(&line).map_err(|error| error.to_string())?;
        match answer.get("error") {
            Some(error) => Err(format!("{}: {}", answer["case"].as_str().unwrap_or_default(), error)),
            None => Ok(answer),
        }
    }

    fn number(&mut self, key: &str) -> Result<i64, String> {
        let value = self.call("get-metadata", json!([key]))?;
        Ok(value.as_str().map_or(0, |text| text.parse().unwrap()))
    }

    fn set(&mut self, key: &str, value: i64) -> Result<(), String> {
        self.call("set-metadata", json!([key, value.to_string()])).map(drop)
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const ACCOUNTS: u64 = 8;
const BALANCE: i64 = 100;

/// What a transaction saw and left of each account that it used.
struct Transfer {
    before: BTreeMap<u64, (i64, i64)>,
}

/// Moves an amount within a batch; each account has a balance and a version.
/// None if the balance does not allow it.
fn transfer(host: &mut Host, from: u64, to: u64, amount: i64) -> Result<Option<Transfer>, String> {
    host.call("begin-batch", json!([]))?;
    let mut before = BTreeMap::new();
    for account in [from, to] {
        let balance = host.number(&format!("balance{account}"))?;
        before.insert(account, (balance, host.number(&format!("version{account}"))?));
    }
    if before[&from].0 < amount {
        host.call("abort-batch", json!([]))?;
        return Ok(None);
    }
    for (account, change) in [(from, -amount), (to, amount)] {
        let (balance, version) = before[&account];
        host.set(&format!("balance{account}"), balance + change)?;
        host.set(&format!("version{account}"), version + 1)?;
    }
    host.call("end-batch", json!([]))?;
    Ok(Some(Transfer { before }))
}

#[test]
fn transfers_of_many_processes_are_as_if_one_came_after_the_other() {
    let Some(namespace) = Namespace::new() else { return };
    let mut tracker = Tracker::open(&namespace.url).unwrap();
    for account in 0..ACCOUNTS {
        tracker.set_metadata(&format!("balance{account}"), &BALANCE.to_string()).unwrap();
        tracker.set_metadata(&format!("version{account}"), "0").unwrap();
    }
    let (processes, rounds) = (scale(4, 16), scale(15, 150));
    let results: Vec<(Vec<Transfer>, usize)> = std::thread::scope(|scope| {
        let work = |seed: usize| {
            let mut host = Host::session(&namespace.url);
            let mut random = fastrand::Rng::with_seed(seed as u64);
            let (mut done, mut conflicts) = (Vec::new(), 0);
            while done.len() < rounds {
                let from = random.u64(..ACCOUNTS);
                let to = (from + random.u64(1..ACCOUNTS)) % ACCOUNTS;
                match transfer(&mut host, from, to, random.i64(1..40)) {
                    Ok(transfer) => done.extend(transfer),
                    Err(error) => {
                        assert!(error.starts_with("conflict") || error.starts_with("batch-aborted"), "{error}");
                        conflicts += 1;
                        // The batch is over; what is left of it is told so.
                        let _ = host.call("abort-batch", json!([]));
                        std::thread::sleep(std::time::Duration::from_millis(random.u64(..30)));
                    }
                }
            }
            (done, conflicts)
        };
        let threads: Vec<_> = (0..processes).map(|seed| scope.spawn(move || work(seed))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let balances: i64 = (0..ACCOUNTS)
        .map(|account| tracker.get_metadata(&format!("balance{account}")).unwrap().unwrap().parse::<i64>().unwrap())
        .sum();
    assert_eq!(balances, ACCOUNTS as i64 * BALANCE, "money was made or lost");
    // Each version of an account was read by one writer: no update is lost. And
    // what comes before what on one account never comes after it on another.
    let transfers: Vec<&Transfer> = results.iter().flat_map(|(done, _)| done).collect();
    let mut writers = BTreeMap::new();
    for (n, transfer) in transfers.iter().enumerate() {
        for (account, (_, version)) in &transfer.before {
            assert_eq!(writers.insert((*account, *version), n), None, "two wrote version {version} of {account}");
        }
    }
    for account in 0..ACCOUNTS {
        let version = tracker.get_metadata(&format!("version{account}")).unwrap().unwrap().parse::<usize>().unwrap();
        assert_eq!(writers.range((account, 0)..(account, i64::MAX)).count(), version, "versions of {account}");
    }
    let mut after: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); transfers.len()];
    for ((account, version), n) in &writers {
        if let Some(next) = writers.get(&(*account, version + 1)) {
            after[*n].insert(*next);
        }
    }
    assert!(is_acyclic(&after), "no order of the transfers explains what they saw");
    figure("transfers of processes", transfers.len());
    figure("transfers that were done again", results.iter().map(|(_, conflicts)| conflicts).sum::<usize>());
}

/// Whether a graph has an order.
fn is_acyclic(after: &[BTreeSet<usize>]) -> bool {
    let mut incoming = vec![0; after.len()];
    after.iter().flatten().for_each(|next| incoming[*next] += 1);
    let mut free: Vec<usize> = (0..after.len()).filter(|n| incoming[*n] == 0).collect();
    let mut seen = 0;
    while let Some(n) = free.pop() {
        seen += 1;
        for next in &after[n] {
            incoming[*next] -= 1;
            if incoming[*next] == 0 {
                free.push(*next);
            }
        }
    }
    seen == after.len()
}

#[test]
fn calls_of_many_processes_all_take_effect_and_indexes_fit_the_records() {
    let Some(namespace) = Namespace::new() else { return };
    let mut tracker = Tracker::open(&namespace.url).unwrap();
    tracker.set_metadata("a", "1").unwrap();
    let (processes, rounds) = (scale(4, 16), scale(15, 100));
    let ids: Vec<u64> = std::thread::scope(|scope| {
        let work = |process: usize| {
            let mut host = Host::session(&namespace.url);
            let mut ids = Vec::new();
            for n in 0..rounds {
                // All of them write the same file, owner and counters.
                let path = format!("/shared/{}.rs", n % 3);
                let file = json!([path, n as f64, process, "hash", 0, 1, 7, ["context"]]);
                host.call("upsert-file", file).unwrap();
                let symbol = json!([path, format!("p{process}n{n}"), "function", n, null, 0, 1, 9]);
                ids.push(host.call("upsert-symbol", symbol).unwrap().as_u64().unwrap());
            }
            ids
        };
        let threads: Vec<_> = (0..processes).map(|process| scope.spawn(move || work(process))).collect();
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let distinct: BTreeSet<u64> = ids.iter().copied().collect();
    assert_eq!(distinct.len(), processes * rounds, "an id was given out twice");
    let found: BTreeSet<u64> = tracker.all_symbols(None, 1000).map(|symbol| symbol.unwrap().id).collect();
    assert_eq!(found, distinct, "what was acknowledged is there, and nothing else");
    assert_eq!(tracker.symbol_count().unwrap(), (processes * rounds) as u64);
    assert_eq!(tracker.verify().unwrap().errors, 0);
    figure("calls of processes", 2 * processes * rounds);
}
