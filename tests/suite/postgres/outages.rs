//! Servers that restart, die, are slow or do not answer.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tracker_host::store::postgres::{Options, Postgres};
use tracker_host::store::{Engine, StoreError};
use tracker_host::{Error, Tracker};

use super::{increment, table, value};
use crate::support::postgres::{Namespace, Server};
use crate::support::proxy::Proxy;
use crate::support::{figure, scale};

#[test]
fn a_server_that_restarts_is_waited_for() {
    let Some(mut server) = Server::start(&["fsync=off"]) else { return };
    let namespace = Namespace::on(&server.url());
    let mut tracker = Tracker::open(&namespace.url).unwrap();
    tracker.set_metadata("a", "1").unwrap();
    // While nobody looks.
    server.restart(Duration::ZERO);
    assert_eq!(tracker.get_metadata("a").unwrap().as_deref(), Some("1"));
    // In the middle of calls.
    let done = AtomicBool::new(false);
    let made = std::thread::scope(|scope| {
        let calls = scope.spawn(|| {
            let mut made = 0u64;
            while !done.load(Ordering::SeqCst) {
                made += 1;
                let id = tracker.upsert_symbol("/a", &made.to_string(), "function", 1, None, 0, 1, made).unwrap();
                assert_eq!(id, made, "each call is made once");
            }
            made
        });
        for _ in 0..scale(2, 10) {
            std::thread::sleep(Duration::from_millis(300));
            server.restart(Duration::from_millis(500));
        }
        std::thread::sleep(Duration::from_millis(300));
        done.store(true, Ordering::SeqCst);
        calls.join().unwrap()
    });
    assert_eq!(tracker.symbol_count().unwrap(), made);
    assert_eq!(tracker.verify().unwrap().errors, 0);
    // A batch says that it is lost, and the next one works.
    let mut batch = tracker.batch().unwrap();
    batch.get_metadata("a").unwrap();
    batch.set_metadata("b", "1").unwrap();
    server.restart(Duration::ZERO);
    let lost = batch.set_metadata("c", "1").and_then(|()| batch.commit());
    assert!(matches!(lost, Err(Error::Conflict(_))), "{lost:?}");
    assert_eq!(tracker.get_metadata("b").unwrap(), None);
    tracker.set_metadata("b", "2").unwrap();
    figure("calls while a server restarted", made);
}

#[test]
fn a_snapshot_is_lost_with_its_connection_and_says_so() {
    let Some(mut server) = Server::start(&["fsync=off"]) else { return };
    let engine = Namespace::on(&server.url()).engine();
    let t = table(&engine)[0].unwrap();
    let snapshot = engine.snapshot().unwrap();
    assert_eq!(snapshot.begin_read().unwrap().get(t, b"a").unwrap(), None);
    server.restart(Duration::ZERO);
    // For good: what another connection sees is not what this one saw.
    for _ in 0..2 {
        let read = snapshot.begin_read().unwrap();
        let lost = read.get(t, b"a");
        assert!(matches!(lost, Err(StoreError::SnapshotLost)), "{lost:?}");
    }
    assert_eq!(value(&engine, t, b"a"), None);
}

#[test]
fn a_server_that_stays_away_is_an_error_after_a_while() {
    let Some(mut server) = Server::start(&["fsync=off"]) else { return };
    let namespace = Namespace::on(&server.url());
    let mut tracker = Tracker::open(format!("{}&reconnect_timeout=1000", namespace.url)).unwrap();
    tracker.set_metadata("a", "1").unwrap();
    server.kill();
    let began = Instant::now();
    let error = tracker.set_metadata("a", "2").unwrap_err().to_string();
    assert!(error.contains("cannot connect to postgres://tracker@127.0.0.1"), "{error}");
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(500) && waited < Duration::from_secs(30), "{waited:?}");
    // What was never there is not waited for.
    let began = Instant::now();
    assert!(Tracker::open(&namespace.url).is_err());
    assert!(began.elapsed() < Duration::from_secs(5));
    server.run();
    assert_eq!(tracker.get_metadata("a").unwrap().as_deref(), Some("1"));
}

#[test]
fn a_statement_that_takes_too_long_and_a_server_that_is_silent_are_told_apart() {
    let Some(namespace) = Namespace::new() else { return };
    let proxy = Proxy::to(namespace.address());
    let url =
        format!("{}&statement_timeout=700&reconnect_timeout=1500&connect_timeout=1", namespace.through(&proxy.address));
    let mut tracker = Tracker::open(&url).unwrap();
    tracker.set_metadata("a", "1").unwrap();
    // Slow, but answering: calls succeed.
    proxy.delay(Duration::from_millis(60));
    assert_eq!(tracker.get_metadata("a").unwrap().as_deref(), Some("1"));
    tracker.set_metadata("a", "2").unwrap();
    proxy.delay(Duration::ZERO);
    // Silent: an error that says so, in bounded time.
    proxy.be_deaf(true);
    let began = Instant::now();
    let error = tracker.get_metadata("a").unwrap_err().to_string();
    assert!(error.contains("did not answer within") && error.contains("statement_timeout"), "{error}");
    let error = tracker.set_metadata("a", "3").unwrap_err().to_string();
    assert!(error.contains("did not answer") || error.contains("no answer"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    proxy.be_deaf(false);
    assert_eq!(tracker.get_metadata("a").unwrap().as_deref(), Some("2"));
    tracker.set_metadata("a", "4").unwrap();
    assert_eq!(tracker.verify().unwrap().errors, 0);
}

#[test]
fn what_waits_for_a_lock_too_long_is_ended_by_the_server() {
    let Some(server) = Server::start(&["fsync=off"]) else { return };
    let namespace = Namespace::on(&server.url());
    let engine = Postgres::open(&format!("{}&statement_timeout=500", namespace.url), Options::default()).unwrap();
    let tables = table(&engine);
    increment(&engine, &tables, b"n").unwrap();
    let schema =
        server.sql("SELECT quote_ident(table_schema) FROM information_schema.tables WHERE table_name = 'kv1_entries'");
    let lock = format!("BEGIN; LOCK TABLE {schema}.kv1_entries; SELECT pg_sleep(4); COMMIT");
    std::thread::scope(|scope| {
        let locked = scope.spawn(|| server.sql(&lock));
        std::thread::sleep(Duration::from_millis(1000));
        let error = increment(&engine, &tables, b"n").unwrap_err().to_string();
        assert!(error.contains("the server ended the statement") && error.contains("statement_timeout"), "{error}");
        locked.join().unwrap();
    });
    increment(&engine, &tables, b"n").unwrap();
    assert_eq!(value(&engine, tables[0].unwrap(), b"n").as_deref(), Some(&b"2"[..]));
}

#[test]
fn what_a_primary_that_dies_has_acknowledged_is_on_the_standby() {
    for round in 0..scale(1, 8) {
        let settings = ["synchronous_standby_names=one", "synchronous_commit=on", "wal_level=replica"];
        let Some(mut primary) = Server::start(&settings) else { return };
        let Some(standby) = primary.standby("one", &["hot_standby=on"]) else { return };
        let namespace = Namespace::on(&primary.url());
        // Both are named: which of them is the primary is found out.
        let both = namespace.through(&format!("127.0.0.1:{},127.0.0.1:{}", primary.port, standby.port));
        let mut first = Tracker::open(&both).unwrap();
        first.set_metadata("a", "1").unwrap();
        let dead = AtomicBool::new(false);
        let writers = 4;
        let (acknowledged, downtime) = std::thread::scope(|scope| {
            let write = |writer: u64| {
                let (both, dead) = (&both, &dead);
                move || {
                    let mut tracker = Tracker::open(both).unwrap();
                    let (mut names, mut after) = (Vec::new(), 0);
                    // On, until some calls were answered by the new primary.
                    while after < 5 {
                        let name = format!("w{writer}n{}", names.len());
                        let was_dead = dead.load(Ordering::SeqCst);
                        tracker.upsert_symbol("/a", &name, "function", 1, None, 0, 1, writer).unwrap();
                        names.push(name);
                        after += u32::from(was_dead);
                    }
                    names
                }
            };
            let threads: Vec<_> = (0..writers).map(|writer| scope.spawn(write(writer))).collect();
            std::thread::sleep(Duration::from_millis(800 + 137 * round as u64));
            primary.kill();
            let began = Instant::now();
            standby.promote();
            dead.store(true, Ordering::SeqCst);
            let names: Vec<String> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
            (names, began.elapsed())
        });
        let survivor = namespace.through(&format!("127.0.0.1:{}", standby.port));
        let mut tracker = Tracker::open(&survivor).unwrap();
        let mut found: Vec<String> = tracker.all_symbols(None, 1000).map(|symbol| symbol.unwrap().name).collect();
        let mut expected = acknowledged;
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "every acknowledged commit once, and nothing else");
        assert_eq!(tracker.verify().unwrap().errors, 0);
        figure("commits acknowledged around a failover", expected.len());
        figure("milliseconds until writers went on", downtime.as_millis());
    }
}

#[test]
fn an_encrypted_connection_checks_whom_it_talks_to() {
    let dir = tempfile::tempdir().unwrap();
    let made = |arguments: &[&str]| {
        let made = std::process::Command::new("openssl").current_dir(dir.path()).args(arguments).output();
        made.is_ok_and(|output| output.status.success())
    };
    let root = |name: &str, subject: &str| {
        let (key, certificate) = (format!("{name}.key"), format!("{name}.crt"));
        made(&[
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-subj",
            subject,
            "-keyout",
            &key,
            "-out",
            &certificate,
        ])
    };
    if !crate::support::present("openssl", root("root", "/CN=root"), "apt-get install openssl") {
        return;
    }
    assert!(root("other", "/CN=other"));
    std::fs::write(dir.path().join("names"), "subjectAltName=DNS:localhost\n").unwrap();
    assert!(made(&[
        "req",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=server",
        "-keyout",
        "server.key",
        "-out",
        "server.csr"
    ]));
    assert!(made(&[
        "x509",
        "-req",
        "-in",
        "server.csr",
        "-CA",
        "root.crt",
        "-CAkey",
        "root.key",
        "-CAcreateserial",
        "-days",
        "2",
        "-extfile",
        "names",
        "-out",
        "server.crt",
    ]));
    let Some(server) = Server::start_with(
        &["fsync=off", "ssl=on"],
        &[("server.crt", &dir.path().join("server.crt")), ("server.key", &dir.path().join("server.key"))],
    ) else {
        return;
    };
    let file = |name: &str| dir.path().join(name).display().to_string();
    let open = |host: &str, parameters: &str| {
        let url = format!("postgres://tracker@{host}:{}/postgres?{parameters}", server.port);
        Postgres::open(&url, Options::default()).map(drop)
    };
    let (root, other) = (file("root.crt"), file("other.crt"));
    open("localhost", &format!("sslmode=verify-full&sslrootcert={root}")).unwrap();
    open("127.0.0.1", &format!("sslmode=verify-ca&sslrootcert={root}")).unwrap();
    open("127.0.0.1", "sslmode=require").unwrap();
    open("127.0.0.1", "sslmode=prefer").unwrap();
    for (host, parameters) in [
        ("127.0.0.1", format!("sslmode=verify-full&sslrootcert={root}")),
        ("localhost", format!("sslmode=verify-full&sslrootcert={other}")),
        ("localhost", format!("sslmode=verify-ca&sslrootcert={other}")),
        ("localhost", "sslmode=verify-full".to_owned()),
    ] {
        let error = open(host, &parameters).expect_err(&parameters);
        let text = format!("{error:?} {error}");
        assert!(text.contains("ertificate"), "{parameters}: {text}");
    }
    // Encrypted or not is what the server sees.
    let engine = Postgres::open(
        &format!("postgres://tracker@localhost:{}/postgres?sslmode=verify-full&sslrootcert={root}", server.port),
        Options::default(),
    )
    .unwrap();
    let plain = "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                 WHERE NOT ssl AND application_name = 'tracker'";
    assert_eq!(server.sql(plain), "0");
    assert_eq!(engine.max_key_size(), 2048);
}
