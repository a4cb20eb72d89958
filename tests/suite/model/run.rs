//! Runs a sequence on the component and on the oracle, call by call.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tracker_host::export::{Import, write_jsonl};
use tracker_host::store::Limits;
use tracker_host::{Clock, Durability, Signature, Tracker, json as encoding};

use super::generate::{Action, Fault, GO_ON, Session, Step};
use super::oracle::{Entity, Function, KINDS, Listing, Meaning, Model, Place, entities};
use super::typed;
use crate::support::engines::{Engine, Opened};

/// The largest record.
const VALUE: usize = 100 << 10;
/// What a transaction may write.
const TRANSACTION: usize = 1 << 20;
/// What an instance may have.
const MEMORY: usize = 16 << 20;

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.value_size = VALUE as u64;
    limits.transaction_bytes = TRANSACTION as u64;
    limits.memory = MEMORY;
    limits
}

/// The interface and what its functions mean.
pub struct Interface {
    pub signatures: Vec<Signature>,
    pub entities: Vec<Entity>,
}

impl Interface {
    pub fn new() -> Self {
        Interface { signatures: Tracker::in_memory().unwrap().functions(), entities: entities() }
    }

    fn signature(&self, name: &str) -> &Signature {
        self.signatures.iter().find(|signature| signature.name == name).unwrap()
    }

    fn function(&self, name: &str) -> &Function {
        let mut functions = self.entities.iter().flat_map(|entity| &entity.functions);
        functions.find(|function| function.name == name).unwrap_or_else(|| panic!("the oracle has no {name}"))
    }
}

/// What a call answered: a value, or the case of an error.
type Answered = Result<Value, &'static str>;

impl Interface {
    /// Makes a call by name.
    fn call(&self, tracker: &mut Tracker, name: &str, arguments: &[Value]) -> Answered {
        let signature = self.signature(name);
        let values = arguments.iter().zip(&signature.params).map(|(value, param)| {
            encoding::to_val(value, &param.ty).unwrap_or_else(|error| panic!("{name}, {}: {error}", param.name))
        });
        let answer = tracker.call_dynamic(name, &values.collect::<Vec<_>>()).map_err(|error| error.case())?;
        let typed = answer.as_ref().zip(signature.result.as_ref());
        let mut answer = typed.map_or(Value::Null, |(value, ty)| encoding::from_val(value, ty));
        if name == "verify"
            && let Some(report) = answer.as_object_mut()
        {
            // How many entries the indexes have is the component's affair, and
            // what the warnings say. Errors are shown.
            report.remove("index-entries");
            if report["errors"] == 0 {
                report.remove("findings");
            }
        }
        Ok(answer)
    }

    /// All records of a list.
    fn all(&self, model: &Model, name: &str, before: &[Value]) -> Listing {
        match &self.function(name).meaning {
            Meaning::Pages(all) => all(model, before),
            _ => panic!("{name} is not paged"),
        }
    }
}

fn expect(what: &str, answer: &Answered, expected: &Answered) -> Result<(), Difference> {
    if answer == expected {
        return Ok(());
    }
    let show = |answer: &Answered| match answer {
        Ok(value) => value.to_string(),
        Err(case) => format!("the error {case}"),
    };
    Err(format!("{what} answers\n  {}\nand should answer\n  {}", show(answer), show(expected)))
}

fn clock() -> (Clock, Arc<AtomicU64>) {
    let time = Arc::new(AtomicU64::new(0));
    (reading(&time), time)
}

/// A clock that says what the run has set.
fn reading(time: &Arc<AtomicU64>) -> Clock {
    let time = time.clone();
    Clock::new(move || Duration::from_nanos(time.load(Ordering::SeqCst)))
}

/// Where a store is.
enum Home {
    /// In a directory: it can be opened again, and all faults be provoked.
    Directory(TempDir),
    /// In an engine of [`crate::support::ENGINES`].
    Elsewhere(Box<Opened>),
}

/// How far a list was read.
#[derive(Clone)]
struct Reading {
    before: Vec<Value>,
    cursor: Value,
    last: Option<Place>,
}

/// A difference between the component and the oracle.
pub type Difference = String;

pub struct Run<'i> {
    interface: &'i Interface,
    clock: Arc<AtomicU64>,
    snapshot: Option<(Tracker, Model)>,
    other: Option<Tracker>,
    main: Option<Tracker>,
    home: Home,
    /// What the main session sees.
    model: Model,
    /// What is committed while a batch is open.
    committed: Option<Model>,
    /// The batch was ended by an error and has not been closed yet.
    lost: bool,
    readings: HashMap<(Session, String), Reading>,
    /// Calls by function.
    pub calls: BTreeMap<String, u64>,
}

fn open(directory: &TempDir, clock: Clock) -> Tracker {
    let options = Tracker::options(store(directory)).durability(Durability::NoSync);
    options.limits(limits()).clock(clock).open().unwrap()
}

fn store(directory: &TempDir) -> PathBuf {
    directory.path().join("store")
}

impl<'i> Run<'i> {
    /// A run on LMDB.
    pub fn new(interface: &'i Interface) -> Self {
        let (clock, time) = clock();
        let directory = tempfile::tempdir().unwrap();
        let main = open(&directory, clock);
        let other = main.try_clone().unwrap();
        Run::with(interface, Home::Directory(directory), time, Some(main), Some(other))
    }

    /// A run on another engine; none if that is not on this machine.
    pub fn over(interface: &'i Interface, engine: &Engine) -> Option<Self> {
        let (clock, time) = clock();
        let opened = engine.fresh_at(clock)?;
        Some(Run::with(interface, Home::Elsewhere(Box::new(opened)), time, None, None))
    }

    fn with(
        interface: &'i Interface,
        home: Home,
        clock: Arc<AtomicU64>,
        main: Option<Tracker>,
        other: Option<Tracker>,
    ) -> Self {
        Run {
            interface,
            home,
            clock,
            main,
            other,
            snapshot: None,
            model: Model::default(),
            committed: None,
            lost: false,
            readings: HashMap::new(),
            calls: BTreeMap::new(),
        }
    }

    fn tracker(&mut self, session: Session) -> &mut Tracker {
        let tracker = match session {
            Session::Main => match &mut self.home {
                Home::Directory(_) => self.main.as_mut(),
                Home::Elsewhere(opened) => Some(&mut opened.tracker),
            },
            Session::Other => self.other.as_mut(),
            Session::Snapshot => self.snapshot.as_mut().map(|(tracker, _)| tracker),
        };
        tracker.unwrap()
    }

    /// Runs the steps and looks at the whole store in the end.
    pub fn run(&mut self, steps: &[Step]) -> Result<(), Difference> {
        for (position, step) in steps.iter().enumerate() {
            self.step(step).map_err(|difference| format!("step {}: {difference}", position + 1))?;
        }
        self.finish().map_err(|difference| format!("at the end: {difference}"))
    }

    fn step(&mut self, step: &Step) -> Result<(), Difference> {
        self.clock.store(step.now.as_nanos() as u64, Ordering::SeqCst);
        self.model.now = step.now.as_secs_f64();
        match &step.action {
            Action::Call { session, name, arguments } => self.call(*session, name, arguments),
            Action::Reopen => {
                self.reopen();
                Ok(())
            }
            Action::Snapshot => {
                if let Home::Directory(_) = self.home {
                    // The one before goes first: it keeps the environment from growing.
                    self.snapshot = None;
                    self.readings.retain(|(session, _), _| *session != Session::Snapshot);
                    let snapshot = self.tracker(Session::Other).snapshot().unwrap();
                    self.snapshot = Some((snapshot, self.seen(Session::Other).clone()));
                }
                Ok(())
            }
            Action::Fail(fault) => self.fail(*fault),
        }
    }

    /// What a session sees.
    fn seen(&self, session: Session) -> &Model {
        match (session, &self.committed, &self.snapshot) {
            (Session::Snapshot, _, Some((_, model))) => model,
            (Session::Other, Some(committed), _) => committed,
            _ => &self.model,
        }
    }

    /// The batch is gone; what it wrote, too.
    fn discard(&mut self) {
        if let Some(committed) = self.committed.take() {
            let now = self.model.now;
            self.model = committed;
            self.model.now = now;
        }
    }

    fn reopen(&mut self) {
        let Home::Directory(directory) = &self.home else { return };
        (self.snapshot, self.other, self.main) = (None, None, None);
        self.readings.retain(|(session, _), _| *session != Session::Snapshot);
        let main = open(directory, reading(&self.clock));
        self.other = Some(main.try_clone().unwrap());
        self.main = Some(main);
        self.lost = false;
        self.discard();
    }

    fn call(&mut self, session: Session, name: &str, arguments: &[Value]) -> Result<(), Difference> {
        *self.calls.entry(name.to_owned()).or_default() += 1;
        if matches!(name, "begin-batch" | "end-batch" | "abort-batch") {
            return self.batch(name);
        }
        let writes = matches!(self.interface.function(name).meaning, Meaning::Write(_));
        let session = match session {
            Session::Snapshot if self.snapshot.is_some() && !writes => Session::Snapshot,
            // A second writer on the thread of the batch would wait for itself.
            Session::Other if self.other.is_some() && !(writes && self.committed.is_some()) => Session::Other,
            _ => Session::Main,
        };
        if session == Session::Main && self.lost {
            let given = arguments.iter().map(|value| if value == GO_ON { Value::Null } else { value.clone() });
            let answer = self.make(session, name, &given.collect::<Vec<_>>());
            return expect(name, &answer, &Err("batch-aborted"));
        }
        let interface = self.interface;
        match &interface.function(name).meaning {
            Meaning::Read(read) => {
                let expected = Ok(read(self.seen(session), arguments));
                let answer = self.make(session, name, arguments);
                expect(name, &answer, &expected)?;
                if let Some(typed) = typed::call(self.tracker(session), name, arguments) {
                    expect(&format!("{name}, typed,"), &typed.map_err(|error| error.case()), &expected)?;
                }
                Ok(())
            }
            Meaning::Write(write) => {
                let expected = write(&mut self.model, arguments);
                let answer = self.make(session, name, arguments);
                expect(name, &answer, &expected)
            }
            Meaning::Pages(all) => self.page(session, name, arguments, all),
        }
    }

    /// A page: from the beginning, or after the last one of this list.
    fn page(
        &mut self,
        session: Session,
        name: &str,
        arguments: &[Value],
        all: &dyn Fn(&Model, &[Value]) -> Listing,
    ) -> Result<(), Difference> {
        let (before, rest) = arguments.split_at(arguments.len() - 2);
        let limit = rest[1].as_u64().unwrap() as usize;
        let slot = (session, name.to_owned());
        let fresh = Reading { before: before.to_vec(), cursor: Value::Null, last: None };
        let reading = match self.readings.remove(&slot) {
            Some(reading) if rest[0] == GO_ON => reading,
            _ => fresh,
        };
        let mut left = all(self.seen(session), &reading.before);
        if let Some(last) = &reading.last {
            left.retain(|(place, _)| place > last);
        }
        let more = left.len() > limit;
        left.truncate(limit);
        let items: Value = left.iter().map(|(_, item)| item.clone()).collect();
        let arguments = [&reading.before[..], &[reading.cursor.clone(), rest[1].clone()]].concat();
        let page = self.make(session, name, &arguments).map_err(|case| format!("{name}{arguments:?}: {case}"))?;
        if let Some(typed) = typed::call(self.tracker(session), name, &arguments) {
            expect(&format!("{name}, typed,"), &typed.map_err(|error| error.case()), &Ok(page.clone()))?;
        }
        let asked = format!("{name}{arguments:?} after {:?}", reading.last);
        expect(&asked, &Ok(page["items"].clone()), &Ok(items))?;
        let next = page["next"].clone();
        if limit > 0 && more && next.is_null() {
            return Err(format!("{asked}: it says that the page is the last, but there are more"));
        }
        if !next.is_null() && left.len() < limit {
            return Err(format!("{asked}: the page is not full, but it says that there are more"));
        }
        if !next.is_null() {
            let last = left.pop().map(|(place, _)| place).or(reading.last);
            self.readings.insert(slot, Reading { before: reading.before, cursor: next, last });
        }
        Ok(())
    }

    fn batch(&mut self, name: &str) -> Result<(), Difference> {
        let answer = self.make(Session::Main, name, &[]);
        let expected = if self.lost && name != "abort-batch" { Err("batch-aborted") } else { Ok(Value::Null) };
        match name {
            "begin-batch" if !self.lost => {
                self.committed.get_or_insert_with(|| self.model.clone());
            }
            "begin-batch" => {}
            "end-batch" => {
                self.committed = None;
                self.lost = false;
            }
            _ => {
                self.discard();
                self.lost = false;
            }
        }
        expect(name, &answer, &expected)
    }

    /// Provokes an error. Whatever it is, the call has no effect.
    fn fail(&mut self, fault: Fault) -> Result<(), Difference> {
        if self.lost || !matches!(self.home, Home::Directory(_)) {
            return Ok(());
        }
        let text = |bytes: usize| "x".repeat(bytes);
        let row = |key: &str, bytes| json!({ "metadata": { "key": key, "value": text(bytes) } });
        let (rows, case) = match fault {
            Fault::Trap => (vec![row("k1", 1), row("k2", MEMORY)], "out-of-memory"),
            Fault::Store => {
                let keys = (0..TRANSACTION / (VALUE / 2) + 1).map(|n| format!("k{n}"));
                (keys.map(|key| row(&key, VALUE / 2)).collect(), "store")
            }
            Fault::Value => (vec![row("k1", 1), row("k2", VALUE + 1)], "invalid-argument"),
        };
        let answer = self.make(Session::Main, "import-rows", &[Value::from(rows)]);
        expect(&format!("{fault:?}"), &answer, &Err(case))?;
        if fault != Fault::Value {
            self.lost = self.committed.is_some();
            self.discard();
        }
        Ok(())
    }

    fn make(&mut self, session: Session, name: &str, arguments: &[Value]) -> Answered {
        let interface = self.interface;
        interface.call(self.tracker(session), name, arguments)
    }

    /// The whole store: it verifies, holds what the oracle does, and an export
    /// of it makes the same store.
    fn finish(&mut self) -> Result<(), Difference> {
        self.call(Session::Main, "abort-batch", &[])?;
        // A store whose import has not ended is not exported.
        self.call(Session::Main, "set-import-state", &[Value::Null])?;
        self.call(Session::Main, "verify", &[])?;
        for kind in KINDS {
            self.call(Session::Main, "export-rows", &[json!(kind), Value::Null, json!(u32::MAX)])?;
        }
        let interface = self.interface;
        let mut copy = self.copy()?;
        for name in ["verify", "get-thread-stats", "get-context-stats", "live-vector-stats"] {
            let Meaning::Read(read) = &interface.function(name).meaning else { continue };
            let expected = read(&self.model, &[]);
            expect(&format!("{name} of the copy"), &interface.call(&mut copy, name, &[]), &Ok(expected))?;
        }
        for kind in KINDS {
            let rows = interface.all(&self.model, "export-rows", &[json!(kind)]).into_iter().map(|(_, row)| row);
            let page = interface.call(&mut copy, "export-rows", &[json!(kind), Value::Null, json!(u32::MAX)]);
            expect(&format!("{kind} rows of the copy"), &page.map(|page| page["items"].clone()), &Ok(rows.collect()))?;
        }
        Ok(())
    }

    /// Another store with the rows of this one.
    fn copy(&mut self) -> Result<Tracker, Difference> {
        let mut copy = Tracker::in_memory().unwrap();
        if let Home::Directory(_) = self.home {
            let mut lines = Vec::new();
            write_jsonl(self.tracker(Session::Main), &mut lines, &|| false).map_err(|error| format!("{error:?}"))?;
            Import::new(&mut copy).run(&mut lines.as_slice()).map_err(|error| format!("{error:?}"))?;
            return Ok(copy);
        }
        // The component may have its store inside, where the host's export does not look.
        for kind in KINDS {
            let all = [json!(kind), Value::Null, json!(u32::MAX)];
            let page = self.make(Session::Main, "export-rows", &all).map_err(|case| format!("exporting: {case}"))?;
            let imported = self.interface.call(&mut copy, "import-rows", &[page["items"].clone()]);
            imported.map_err(|case| format!("importing: {case}"))?;
        }
        Ok(copy)
    }
}
