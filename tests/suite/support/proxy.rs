//! A TCP proxy that stands in the way.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// What happens to the next commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// Nothing.
    Never,
    /// It does not arrive.
    Before,
    /// It arrives, and its answer does not.
    After,
    /// The connection is cut, and all that was sent with the commit arrives later.
    LateWhole,
    /// What was sent with the commit arrives, the connection is cut, and the commit itself arrives later.
    LateCommit,
}

/// How much later.
pub const LATE: Duration = Duration::from_millis(400);

#[derive(Default)]
struct Plan {
    cut: Mutex<Option<Cut>>,
    cuts: AtomicU32,
    /// Before each answer.
    delay: AtomicU64,
    /// Nothing is passed on any more.
    deaf: AtomicBool,
}

/// The proxy.
pub struct Proxy {
    pub address: String,
    plan: Arc<Plan>,
}

const COMMIT: &[u8] = b"COMMIT\0";
/// The kind and the length in front of a query.
const HEAD: usize = 5;

impl Proxy {
    /// A proxy in front of a server.
    pub fn to(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let plan = Arc::new(Plan::default());
        let shared = plan.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                let (client, plan, server) = (client.unwrap(), shared.clone(), server.clone());
                thread::spawn(move || {
                    if let Ok(server) = TcpStream::connect(&server) {
                        serve(client, server, &plan);
                    }
                });
            }
        });
        Proxy { address, plan }
    }

    /// Cuts the connection at the next commit.
    pub fn cut_next(&self, cut: Cut) {
        *self.plan.cut.lock().unwrap() = Some(cut).filter(|cut| *cut != Cut::Never);
    }

    /// How many connections were cut.
    pub fn cuts(&self) -> u32 {
        self.plan.cuts.load(Ordering::SeqCst)
    }

    /// Delays each answer.
    pub fn delay(&self, delay: Duration) {
        self.plan.delay.store(delay.as_millis() as u64, Ordering::SeqCst);
    }

    /// Passes nothing on any more, on no connection, and does not say so.
    pub fn be_deaf(&self, deaf: bool) {
        self.plan.deaf.store(deaf, Ordering::SeqCst);
    }
}

fn serve(mut client: TcpStream, mut server: TcpStream, plan: &Arc<Plan>) {
    client.set_nodelay(true).unwrap();
    server.set_nodelay(true).unwrap();
    let answers = {
        let (mut server, mut client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let plan = plan.clone();
        thread::spawn(move || {
            let _ = pass_answers(&mut server, &mut client, &plan);
            let _ = client.shutdown(Shutdown::Both);
        })
    };
    let _ = pass_requests(&mut client, &mut server, plan);
    let _ = server.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
    let _ = answers.join();
}

fn wait_while_deaf(plan: &Plan) {
    while plan.deaf.load(Ordering::SeqCst) {
        thread::sleep(Duration::from_millis(5));
    }
}

fn pass_answers(server: &mut TcpStream, client: &mut TcpStream, plan: &Plan) -> io::Result<()> {
    let mut buffer = [0; 1 << 16];
    loop {
        let read = server.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        thread::sleep(Duration::from_millis(plan.delay.load(Ordering::SeqCst)));
        wait_while_deaf(plan);
        client.write_all(&buffer[..read])?;
    }
}

fn pass_requests(client: &mut TcpStream, server: &mut TcpStream, plan: &Plan) -> io::Result<()> {
    let mut buffer = [0; 1 << 16];
    loop {
        let read = client.read(&mut buffer)?;
        if read == 0 {
            return Ok(());
        }
        wait_while_deaf(plan);
        let request = &buffer[..read];
        let commit = request.windows(COMMIT.len()).position(|window| window == COMMIT);
        let cut = commit.and_then(|_| plan.cut.lock().unwrap().take());
        let (Some(commit), Some(cut)) = (commit, cut) else {
            server.write_all(request)?;
            continue;
        };
        plan.cuts.fetch_add(1, Ordering::SeqCst);
        let begins = commit - HEAD;
        match cut {
            Cut::Never | Cut::Before => return Ok(()),
            Cut::After => {
                client.shutdown(Shutdown::Both)?;
                server.write_all(request)?;
                // Long enough for the server to do it.
                thread::sleep(LATE);
            }
            Cut::LateWhole => {
                client.shutdown(Shutdown::Both)?;
                thread::sleep(LATE);
                server.write_all(request)?;
                thread::sleep(LATE);
            }
            Cut::LateCommit => {
                server.write_all(&request[..begins])?;
                client.shutdown(Shutdown::Both)?;
                thread::sleep(LATE);
                server.write_all(&request[begins..])?;
                thread::sleep(LATE);
            }
        }
        return Ok(());
    }
}
