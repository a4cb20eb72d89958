use tracker_host::Tracker;
fn main() {
    let mut args = std::env::args().skip(1);
    let store = args.next().unwrap();
    let what = args.next().unwrap();
    let n: usize = args.next().unwrap().parse().unwrap();
    let mut o = Tracker::options(&store);
    if let Ok(c) = std::env::var("COMP") { o = o.component(tracker_host::ComponentSource::File(c.into())); }
    let mut t = o.open().unwrap();
    let files: Vec<_> = t.files(1000).take(4096).map(|f| f.unwrap()).collect();
    let paths: Vec<String> = files.iter().map(|f| f.path.clone()).collect();
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
