use tracker_host::Tracker;
fn main() {
    let mut args = std::env::args().skip(1);
    let store = args.next().unwrap();
    let what = args.next().unwrap();
    let n: usize = args.next().unwrap().parse().unwrap();
    let mut o = Tracker::options(&store).durability(tracker_host::Durability::NoSync);
    if let Ok(c) = std::env::var("COMP") { o = o.component(tracker_host::ComponentSource::File(c.into())); }
    let mut t = o.open().unwrap();
    let files: Vec<_> = t.files(1000).take(4096).map(|f| f.unwrap()).collect();
    let paths: Vec<String> = files.iter().map(|f| f.path.clone()).collect();
    if what == "fresh" || what == "again" {
        use tracker_host::types::*;
        let mk = |r: usize, i: usize| FileUpsert { path: format!("/home/dev/src/r{r}/services/some/src/x{i}/file_{i}.py"), mtime: 1.0, size: 5, content_hash: "ab".repeat(32), blob_offset: 1, blob_length: 2, key_hash: (r * 1_000_003 + i) as u64 * 0x9e3779b97f4a7c15, contexts: vec![format!("c{}", i / 40)] };
        let sy = |r: usize, i: usize| (0..10).map(|k| SymbolUpsert { name: format!("name_{i}_{k}"), kind: ["function", "class", "method"][k % 3].into(), line_start: k as i64 * 20, line_end: Some(5), blob_offset: 3, blob_length: 4, key_hash: ((r * 1_000_003 + i) as u64 * 11 + k as u64).wrapping_mul(0x9e3779b97f4a7c15) }).collect::<Vec<_>>();
        let base = std::process::id() as usize % 10000 * 1000;
        let s = std::time::Instant::now();
        for r in 0..n {
            let r = base + if what == "again" { 0 } else { r };
            let fs: Vec<_> = (0..1000).map(|i| mk(r, i)).collect();
            let mut b = t.batch().unwrap();
            b.upsert_files(&fs).unwrap();
            for (i, f) in fs.iter().enumerate() { b.replace_symbols(&f.path, &sy(r, i)).unwrap(); }
            b.commit().unwrap();
        }
        println!("{what}: {:.0} ns/row", s.elapsed().as_nanos() as f64 / n as f64 / 11000.0);
        return;
    }
    let s = std::time::Instant::now();
    for i in 0..n {
        let p = &paths[(i * 7919) % paths.len()];
        match &*what {
            "get" => drop(t.get_file(p).unwrap()),
            "nop" => drop(t.abort_batch().unwrap()),
            "needs" => drop(t.needs_embed(p).unwrap()),
            "many" => { let a = (i * 101) % 3000; drop(t.get_files(&paths[a..a + 100]).unwrap()) }
            "list" => drop(t.files(1000).count()),
            "symbols" => drop(t.get_symbols(p).unwrap()),
            "find" => drop(t.all_symbols(Some("zz_q_zz"), 1000).count()),
            _ => panic!(),
        }
    }
    println!("{what}: {:.0} ns", s.elapsed().as_nanos() as f64 / n as f64);
}
