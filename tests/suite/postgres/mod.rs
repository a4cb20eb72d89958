//! Stores on servers that speak PostgreSQL's protocol.

mod command;
mod commits;
mod engine;
mod outages;
mod trips;
mod writers;

use tracker_host::store::postgres::Postgres;
use tracker_host::store::{Engine, Handle, StoreError, Transaction, packed};

fn put(key: &[u8], value: &[u8]) -> Vec<u8> {
    let mut ops = Vec::new();
    packed::push_op(packed::Op::Put { table: 0, key, value }, &mut ops);
    ops
}

fn delete(key: &[u8]) -> Vec<u8> {
    let mut ops = Vec::new();
    packed::push_op(packed::Op::Delete { table: 0, key }, &mut ops);
    ops
}

fn table(engine: &dyn Engine) -> Vec<Option<Handle>> {
    engine.open_tables(&["t".into()]).unwrap()
}

fn value(engine: &Postgres, table: Handle, key: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    engine.get(table, key, &mut out).unwrap().then_some(out)
}

/// Runs a transaction until it is not in anybody's way.
fn transact(
    engine: &dyn Engine,
    mut f: impl FnMut(&mut dyn Transaction) -> Result<(), StoreError>,
) -> Result<u32, StoreError> {
    for attempt in 1.. {
        let mut transaction = engine.begin_write()?;
        match f(&mut *transaction).and_then(|()| transaction.commit()) {
            Err(StoreError::Conflict) => {
                std::thread::sleep(std::time::Duration::from_millis(fastrand::u64(..20)));
                assert!(attempt < 200, "there are conflicts for ever");
            }
            done => return done.map(|()| attempt),
        }
    }
    unreachable!()
}

/// Adds one to the number under a key.
fn increment(engine: &dyn Engine, tables: &[Option<Handle>], key: &[u8]) -> Result<u32, StoreError> {
    transact(engine, |transaction| {
        let now = transaction.get(tables[0].unwrap(), key)?;
        let now: u64 = now.map_or(0, |value| String::from_utf8(value.to_vec()).unwrap().parse().unwrap());
        transaction.write(&put(key, (now + 1).to_string().as_bytes()), tables)
    })
}
