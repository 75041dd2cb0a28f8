//! Input, a file, a caught panic and the clock: see README.md.

use std::collections::HashMap;
use std::time::{Duration, Instant};
use std::{fs, io, panic, thread};

fn main() -> io::Result<()> {
    let text = io::read_to_string(io::stdin())?;
    let mut counts: HashMap<&str, usize> = HashMap::new();
    for word in text.split_whitespace() {
        *counts.entry(word).or_default() += 1;
    }
    let mut sorted: Vec<_> = counts.into_iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    for (word, count) in sorted.iter().take(3) {
        println!("{count} {word}");
    }

    let path = std::env::temp_dir().join("count");
    fs::write(&path, sorted.len().to_string())?;
    println!("{} different words", fs::read_to_string(&path)?);

    panic::set_hook(Box::new(|_| {}));
    let caught = panic::catch_unwind(|| sorted[sorted.len()].1);
    println!("panic caught: {}", caught.is_err());

    let start = Instant::now();
    thread::sleep(Duration::from_millis(20));
    println!("slept: {}", start.elapsed() >= Duration::from_millis(20));
    Ok(())
}
