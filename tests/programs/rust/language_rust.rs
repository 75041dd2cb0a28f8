//! The Rust standard library: collections, files, time, a panic that is caught.
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

fn main() {
    // The default message names the thread's number, which is not a fact.
    std::panic::set_hook(Box::new(|info| eprintln!("panic: {}", info.payload_as_str().unwrap_or("?"))));
    let words = "one two three two one two";
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for word in words.split(' ') {
        *counts.entry(word).or_default() += 1;
    }
    println!("{:?}", counts.into_iter().collect::<BTreeMap<_, _>>());

    let base = std::env::var_os("SCRATCH").unwrap_or_else(|| "/tmp".into());
    let directory = std::path::Path::new(&base).join(format!("rust-{}", std::process::id()));
    fs::create_dir_all(directory.join("a/b")).unwrap();
    let path = directory.join("a/file");
    fs::write(&path, "first\nsecond\n").unwrap();
    let mut file = fs::OpenOptions::new().append(true).read(true).open(&path).unwrap();
    writeln!(file, "third").unwrap();
    file.seek(SeekFrom::Start(0)).unwrap();
    for line in BufReader::new(&file).lines() {
        println!("line {}", line.unwrap());
    }
    println!("length {}", fs::metadata(&path).unwrap().len());
    fs::copy(&path, directory.join("copy")).unwrap();
    println!("{:?}", fs::read_to_string(directory.join("copy")));
    let mut names: Vec<_> =
        fs::read_dir(directory.join("a")).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    println!("{names:?}");
    println!("{:?}", fs::read("/none").map_err(|error| error.kind()));
    println!("{:?}", fs::create_dir(directory.join("a")).map_err(|error| error.kind()));
    fs::remove_dir_all(&directory).unwrap();
    println!("gone {}", !directory.exists());

    let start = Instant::now();
    std::thread::sleep(Duration::from_millis(20));
    println!("slept {}", start.elapsed() >= Duration::from_millis(20));
    let caught = std::panic::catch_unwind(|| {
        let empty: Vec<u32> = Vec::new();
        empty[std::env::args().count()]
    });
    println!("caught {}", caught.is_err());
    println!("overflow {:?}", std::hint::black_box(i32::MAX).checked_add(1));
    let mut input = String::new();
    std::io::stdin().read_to_string(&mut input).unwrap();
    println!("stdin {input:?}");
    println!("{:.6} {:e}", std::f64::consts::PI.sin().abs(), 1234.5f64);
    std::process::exit(9);
}
