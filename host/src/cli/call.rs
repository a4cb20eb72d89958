//! `host call`.

use std::io::BufRead;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::json;
use tracker_host::wasmtime::component::{Val, wasm_wave};
use tracker_host::{Clock, Explain, Signature, Tracker, call, json};

use super::{Exit, OpenArgs, Output};

const AFTER_HELP: &str = "\
Examples:
  host call store 'get-file(\"/src/a.rs\")'
  host call store 'query-memories(some(\"task:debug\"), [], [], [\"parser\"], 10, 0)' --json
  host call store 'get-recent-files(10)' --explain
  printf 'begin-batch()\\nset-metadata(\"a\", \"1\")\\nend-batch()\\n' | host call store -
  printf '{\"call\": \"get-metadata\", \"args\": [\"a\"]}\\n' | host call store - --json
  host call store --list

Expressions are WAVE: \"text\", 42, 1.5, true, some(x), none, [a, b], {field: x}, case(x).
With `-` each line of standard input is a call in one session, and each answer a line:
`ok` where a function returns nothing. A call that fails is reported on standard error
(with --json also as {\"error\": …, \"case\": …} in its place), the session goes on, and the
exit code is 1. A call may also be JSON: {\"call\": name, \"args\": […]}, values as --json prints them.";

/// Call functions of the component
#[derive(clap::Args)]
#[command(after_help = AFTER_HELP)]
pub struct Args {
    /// The store
    store: PathBuf,
    /// Calls, or `-` to read one a line from standard input
    #[arg(required_unless_present = "list", value_name = "CALL")]
    calls: Vec<String>,
    /// Show what each call does in the store: tables, look-ups, rows scanned and returned, crossings, bytes
    #[arg(long)]
    explain: bool,
    /// List the functions instead
    #[arg(long, conflicts_with = "calls")]
    list: bool,
    /// Create the store if it is missing
    #[arg(long)]
    create: bool,
    /// Let time begin at this second and advance by one at each look, for records that can be reproduced
    #[arg(long, value_name = "SECONDS", hide_short_help = true)]
    ticking_clock: Option<u64>,
    #[command(flatten)]
    open: OpenArgs,
}

pub fn run(args: Args, output: &mut Output) -> Result<Exit> {
    let mut options = args.open.options(&args.store).create(args.create);
    if let Some(start) = args.ticking_clock {
        options = options.clock(Clock::ticking(start));
    }
    let mut tracker = options.open()?;
    let functions = tracker.functions();
    if args.list {
        for function in &functions {
            output.line(call::signature(function))?;
        }
        return Ok(Exit::Done);
    }
    tracker.set_explain(args.explain);
    tracker.take_explain();
    let mut session = Session { tracker, functions, explain: args.explain };
    let mut failed = false;
    for call in &args.calls {
        if call == "-" {
            for line in std::io::stdin().lock().split(b'\n') {
                let line = line.context("cannot read standard input")?;
                let line = str::from_utf8(&line).context("a call is not UTF-8");
                if line.as_ref().is_ok_and(|line| line.trim().is_empty() || line.trim_start().starts_with("//")) {
                    continue;
                }
                if let Err(error) = line.and_then(|line| session.call(line, output)) {
                    if super::output::is_closed_pipe(&error) {
                        return Err(error);
                    }
                    failed = true;
                    let message = super::output::one_line(&error);
                    eprintln!("error: {message}");
                    if output.is_json() {
                        let case = error.downcast_ref().map_or("invalid-call", tracker_host::Error::case);
                        output.document(&json!({ "error": message, "case": case }))?;
                    }
                }
                // Whoever drives the session waits for the answer.
                output.flush()?;
            }
        } else {
            session.call(call, output)?;
        }
    }
    if session.tracker.in_batch() {
        session.tracker.abort_batch()?;
        bail!("the session ended inside a batch, which was aborted; end it with end-batch()");
    }
    Ok(if failed { Exit::Failed } else { Exit::Done })
}

struct Session {
    tracker: Tracker,
    functions: Vec<Signature>,
    explain: bool,
}

impl Session {
    fn call(&mut self, expression: &str, output: &mut Output) -> Result<()> {
        let (function, arguments) = call::parse(expression, &self.functions)?;
        let answer = self
            .tracker
            .call_dynamic(&function.name, &arguments)
            .with_context(|| format!("{} failed", function.name))?;
        let typed = answer.as_ref().zip(function.result.as_ref());
        let explain = self.explain.then(|| self.tracker.take_explain());
        if output.is_json() {
            let result = typed.map(|(value, ty)| json::from_val(value, ty));
            match explain {
                Some(explain) => output.document(&json!({
                    "result": result,
                    "rows-returned": rows_returned(answer.as_ref()),
                    "explain": explain,
                })),
                None => output.document(&result),
            }
        } else {
            match &answer {
                Some(value) => output.line(wasm_wave::to_string(value)?)?,
                None => output.line("ok")?,
            }
            match explain {
                Some(explain) => print_explain(&explain, rows_returned(answer.as_ref()), output),
                None => Ok(()),
            }
        }
    }
}

/// How many rows an answer holds: the items of a list or a page, one for
/// anything else, none for none.
pub fn rows_returned(answer: Option<&Val>) -> usize {
    match answer {
        None | Some(Val::Option(None)) => 0,
        Some(Val::Option(Some(value))) => rows_returned(Some(value)),
        Some(Val::List(items)) => items.len(),
        Some(Val::Record(fields)) => match fields.iter().find(|(name, _)| name == "items") {
            Some((_, items)) => rows_returned(Some(items)),
            None => 1,
        },
        Some(_) => 1,
    }
}

fn print_explain(explain: &Explain, rows: usize, output: &mut Output) -> Result<()> {
    for (name, table) in &explain.tables {
        output.line(format!(
            "  {name:24} gets {:>6} ({} found)  scans {:>4}  rows scanned {:>6}  puts {:>6}  deletes {:>6}",
            table.gets, table.hits, table.scans, table.rows_scanned, table.puts, table.deletes
        ))?;
    }
    let trips = match explain.round_trips {
        0 => String::new(),
        trips => format!(", round trips {trips}"),
    };
    output.line(format!(
        "  rows scanned {}, rows returned {rows}, crossings {}, transactions {}, bytes in {}, bytes out {}{trips}",
        explain.rows_scanned(),
        explain.crossings,
        explain.transactions,
        explain.bytes_in,
        explain.bytes_out
    ))
}
