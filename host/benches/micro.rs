//! What the parts of a call cost: `cargo bench`.
//!
//! Each figure adds one thing to the one before, so that the differences are
//! what the boundary costs. `host bench` compares whole calls with other stores.

#![allow(missing_docs, clippy::unwrap_used)]

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use tracker_host::Tracker;
use tracker_host::types::{FileUpsert, SymbolUpsert};

const FILES: usize = 10_000;

fn file(n: usize) -> FileUpsert {
    FileUpsert {
        path: format!("/home/dev/src/project/services/billing/src/invoices/{:03}/load_invoice_{n}.py", n / 500),
        mtime: 1.7e9,
        size: 12_345,
        content_hash: "5f1c".repeat(16),
        blob_offset: n as i64 * 4096,
        blob_length: 4096,
        key_hash: (n as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15),
        contexts: vec!["context:billing".into()],
    }
}

fn symbols(n: usize) -> Vec<SymbolUpsert> {
    let symbol = |i: usize| SymbolUpsert {
        name: format!("load_invoice_{n}_{i}"),
        kind: "function".into(),
        line_start: i as i64 * 20,
        line_end: Some(i as i64 * 20 + 15),
        blob_offset: 0,
        blob_length: 300,
        key_hash: ((n * 10 + i) as u64).wrapping_mul(0xbf58_476d_1ce4_e5b9),
    };
    (0..10).map(symbol).collect()
}

fn calls(c: &mut Criterion) {
    let directory = tempfile::tempdir().unwrap();
    let mut tracker = Tracker::open(directory.path().join("store")).unwrap();
    let mut batch = tracker.batch().unwrap();
    let files: Vec<FileUpsert> = (0..FILES).map(file).collect();
    files.chunks(500).for_each(|files| batch.upsert_files(files).unwrap());
    for (n, file) in files.iter().enumerate().take(1000) {
        batch.replace_symbols(&file.path, &symbols(n)).unwrap();
    }
    batch.commit().unwrap();
    let paths: Vec<String> = files.into_iter().map(|file| file.path).collect();
    let mut turn = 0;
    let mut next = move |below: usize| {
        turn += 7919;
        turn % below
    };

    let mut group = c.benchmark_group("call");
    group.bench_function("nothing", |b| b.iter(|| tracker.abort_batch().unwrap()));
    group.bench_function("a count", |b| b.iter(|| tracker.file_count().unwrap()));
    group.bench_function("a look-up that finds nothing", |b| {
        b.iter(|| tracker.needs_embed(black_box("/not/there")).unwrap());
    });
    group.bench_function("a look-up, the record decoded, one bit returned", |b| {
        b.iter(|| tracker.needs_embed(&paths[next(FILES)]).unwrap());
    });
    group.bench_function("a look-up, the record returned", |b| {
        b.iter(|| tracker.get_file(&paths[next(FILES)]).unwrap())
    });
    group.bench_function("a look-up in two steps", |b| {
        b.iter(|| tracker.get_file_by_key((next(FILES) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)).unwrap());
    });
    group.bench_function("the ten symbols of a file", |b| b.iter(|| tracker.get_symbols(&paths[next(1000)]).unwrap()));
    group.throughput(Throughput::Elements(100));
    group.bench_function("a hundred look-ups", |b| {
        b.iter(|| {
            let first = next(FILES - 100);
            tracker.get_files(&paths[first..first + 100]).unwrap()
        });
    });
    group.throughput(Throughput::Elements(1000));
    group.bench_function("a page of a thousand files", |b| b.iter(|| tracker.list_files(None, 1000).unwrap()));
    group.bench_function("a page of a thousand paths", |b| b.iter(|| tracker.list_paths("", None, 1000).unwrap()));
    group.finish();

    let mut group = c.benchmark_group("write in a batch");
    group.bench_function("a file", |b| {
        let mut batch = tracker.batch().unwrap();
        b.iter(|| batch.upsert_files(&[file(next(FILES))]).unwrap());
    });
    group.throughput(Throughput::Elements(10));
    group.bench_function("ten symbols, unchanged", |b| {
        let mut batch = tracker.batch().unwrap();
        b.iter(|| {
            let n = next(1000);
            batch.replace_symbols(&paths[n], &symbols(n)).unwrap()
        });
    });
    group.finish();
}

criterion_group!(benches, calls);
criterion_main!(benches);
