//! Servers that speak PostgreSQL's protocol: the one that `TRACKER_POSTGRES`
//! names, and servers of a test's own that can be stopped and killed.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tracker_host::store::postgres::{Options, Postgres};

use super::present;

const INSTALL: &str = "run tests/postgres.sh, or set TRACKER_POSTGRES to a URL";

/// A store of a test's own on a server. Its tables are removed with it.
pub struct Namespace {
    pub url: String,
    /// What its connections call themselves.
    application: String,
    server: String,
}

impl Namespace {
    /// An empty one on the server that is there for all tests.
    pub fn new() -> Option<Self> {
        static SAID: Mutex<bool> = Mutex::new(false);
        match std::env::var("TRACKER_POSTGRES") {
            Ok(server) => Some(Self::on(&server)),
            Err(_) => {
                if !std::mem::replace(&mut *SAID.lock().unwrap(), true) {
                    present("a PostgreSQL server", false, INSTALL);
                }
                None
            }
        }
    }

    /// One on this server.
    pub fn on(server: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, number) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let application = format!("test-{process}-{number}");
        let mark = if server.contains('?') { '&' } else { '?' };
        let url = format!("{server}{mark}application_name={application}&namespace=test%20%22{process}%22%20{number}");
        Namespace { url, application, server: server.to_owned() }
    }

    /// Whether there is a store.
    pub fn is_there(&self) -> bool {
        Postgres::open(&self.url, Options { create: false, ..Options::default() }).is_ok()
    }

    /// Transactions that are open on the server and wait for their client. It
    /// takes PostgreSQL's psql to see them.
    pub fn open_transactions(&self) -> usize {
        let Some(bin) = programs() else { return 0 };
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = '{}' AND state LIKE 'idle in transaction%'",
            self.application
        );
        psql(&bin, &self.server, &sql).parse().unwrap()
    }

    pub fn engine(&self) -> Postgres {
        Postgres::open(&self.url, Options::default()).unwrap()
    }

    /// The same store through another address.
    pub fn through(&self, address: &str) -> String {
        let (before, after) = self.url.split_once('@').unwrap();
        let (_, path) = after.split_once('/').unwrap();
        format!("{before}@{address}/{path}")
    }

    /// Where the server listens.
    pub fn address(&self) -> String {
        let (_, after) = self.url.split_once('@').unwrap();
        after.split_once('/').unwrap().0.to_owned()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // The server may be gone.
        if let Ok(engine) = Postgres::open(&self.url, Options::default()) {
            let _ = engine.remove();
        }
    }
}

/// The directory of PostgreSQL's programs.
fn programs() -> Option<PathBuf> {
    let configured = std::env::var_os("TRACKER_POSTGRES_BIN").map(PathBuf::from);
    let debian = Path::new("/usr/lib/postgresql");
    let installed = std::fs::read_dir(debian).into_iter().flatten().flatten().map(|entry| entry.path().join("bin"));
    let found = configured.into_iter().chain(installed).find(|bin| bin.join("initdb").is_file());
    present("PostgreSQL", found.is_some(), "apt-get install postgresql").then_some(found).flatten()
}

/// A command that does not run as root, as the server does not.
fn unprivileged(program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = if nix::unistd::geteuid().is_root() {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    };
    command.current_dir("/").stdin(Stdio::null());
    command
}

fn run(command: &mut Command) {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

/// What a statement answers.
fn psql(bin: &Path, server: &str, sql: &str) -> String {
    let output = Command::new(bin.join("psql")).args([server, "-Atqc", sql]).output().unwrap();
    assert!(output.status.success(), "{sql}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// A PostgreSQL server of the test's own.
pub struct Server {
    bin: PathBuf,
    dir: TempDir,
    pub port: u16,
    process: Option<Child>,
    settings: Vec<String>,
}

pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn owner(path: &Path) -> Option<u32> {
    use std::os::unix::fs::MetadataExt;
    Some(std::fs::metadata(path).unwrap().uid())
}

fn directory() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    if nix::unistd::geteuid().is_root() {
        let user = nix::unistd::User::from_name("postgres").unwrap().unwrap();
        nix::unistd::chown(dir.path(), Some(user.uid), Some(user.gid)).unwrap();
    }
    dir
}

impl Server {
    /// A new one that runs; none, and says so, if PostgreSQL is not on this machine.
    pub fn start(settings: &[&str]) -> Option<Self> {
        Self::start_with(settings, &[])
    }

    /// The same with files in its data directory that only it may read.
    pub fn start_with(settings: &[&str], files: &[(&str, &Path)]) -> Option<Self> {
        let mut server = Server::new(settings)?;
        run(unprivileged(server.bin.join("initdb")).arg("-D").arg(server.data()).args([
            "-U",
            "tracker",
            "-A",
            "trust",
            "-E",
            "UTF8",
            "--locale=C",
            "--no-sync",
        ]));
        for (name, from) in files {
            let to = server.data().join(name);
            std::fs::copy(from, &to).unwrap();
            std::os::unix::fs::chown(&to, owner(&server.data()), None).unwrap();
            std::fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
        }
        server.run();
        Some(server)
    }

    fn new(settings: &[&str]) -> Option<Self> {
        let settings = settings.iter().map(|setting| (*setting).to_owned()).collect();
        Some(Server { bin: programs()?, dir: directory(), port: free_port(), process: None, settings })
    }

    /// A standby of this server, which streams to it under this name.
    pub fn standby(&self, name: &str, settings: &[&str]) -> Option<Self> {
        let mut standby = Server::new(settings)?;
        let primary = format!("host=127.0.0.1 port={} user=tracker application_name={name}", self.port);
        run(unprivileged(self.bin.join("pg_basebackup"))
            .args(["-d", &primary, "-R", "-X", "stream", "-c", "fast", "-D"])
            .arg(standby.data()));
        standby.run();
        Some(standby)
    }

    fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    /// Starts it, and waits until it answers.
    pub fn run(&mut self) {
        let mut command = unprivileged(self.bin.join("postgres"));
        command.arg("-D").arg(self.data()).arg("-p").arg(self.port.to_string()).arg("-k").arg(self.dir.path());
        command.args(["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=100"]);
        for setting in &self.settings {
            command.arg("-c").arg(setting);
        }
        let log = std::fs::File::create(self.dir.path().join("log")).unwrap();
        self.process = Some(command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
        let began = Instant::now();
        while !self.answers() {
            let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap();
            assert!(began.elapsed() < Duration::from_secs(60), "the server does not start: {log}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn answers(&self) -> bool {
        let mut ready = Command::new(self.bin.join("pg_isready"));
        ready.args(["-q", "-h", "127.0.0.1", "-p"]).arg(self.port.to_string()).status().unwrap().success()
    }

    fn ctl(&self, arguments: &[&str]) {
        run(unprivileged(self.bin.join("pg_ctl")).arg("-D").arg(self.data()).args(arguments));
    }

    /// Stops it, and starts it again after a while.
    pub fn restart(&mut self, pause: Duration) {
        self.ctl(&["-m", "fast", "-w", "stop"]);
        self.reap();
        std::thread::sleep(pause);
        self.run();
    }

    /// The process that all others belong to.
    fn postmaster(&self) -> nix::unistd::Pid {
        let text = std::fs::read_to_string(self.data().join("postmaster.pid")).unwrap();
        nix::unistd::Pid::from_raw(text.lines().next().unwrap().parse().unwrap())
    }

    /// SIGKILL to it and all its processes.
    pub fn kill(&mut self) {
        let postmaster = self.postmaster();
        let kill = |pid| {
            let _ = nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL);
        };
        let children = format!("/proc/{postmaster}/task/{postmaster}/children");
        let children = std::fs::read_to_string(children).unwrap_or_default();
        kill(postmaster);
        children.split_whitespace().for_each(|pid| kill(nix::unistd::Pid::from_raw(pid.parse().unwrap())));
        self.reap();
    }

    /// Makes a standby the primary.
    pub fn promote(&self) {
        self.ctl(&["-w", "promote"]);
    }

    /// Runs SQL as the owner.
    pub fn sql(&self, sql: &str) -> String {
        psql(&self.bin, &self.url(), sql)
    }

    pub fn url(&self) -> String {
        format!("postgres://tracker@127.0.0.1:{}/postgres?sslmode=disable", self.port)
    }

    fn reap(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.wait();
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.process.is_some() {
            let mut stop = unprivileged(self.bin.join("pg_ctl"));
            let _ = stop.arg("-D").arg(self.data()).args(["-m", "immediate", "-w", "stop"]).output();
            self.reap();
        }
    }
}
