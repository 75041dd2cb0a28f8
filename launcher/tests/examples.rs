//! Every example prints what its folder says it prints.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// How long one example may take, with building its program.
const LIMIT: Duration = Duration::from_secs(180);

#[test]
fn examples_print_what_they_say() {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples");
    let mut count = 0;
    for entry in fs::read_dir(&examples).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.join("run").exists() {
            continue;
        }
        let printed = print(&folder);
        let expected = fs::read_to_string(folder.join("expected")).unwrap();
        assert_eq!(printed, expected, "{}", folder.display());
        assert!(folder.join("README.md").exists(), "{}", folder.display());
        count += 1;
    }
    assert!(count >= 3, "only {count} examples in {}", examples.display());
}

/// The standard output of the example in a folder.
fn print(folder: &Path) -> String {
    let output = std::env::temp_dir().join(format!("birgus-example-{}", std::process::id()));
    let mut child = Command::new(folder.join("run"))
        .env("BIRGUS", env!("CARGO_BIN_EXE_birgus"))
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(File::create(&output).unwrap())
        .process_group(0)
        .spawn()
        .unwrap();
    let begin = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if begin.elapsed() > LIMIT {
            end_group(&mut child);
            panic!("{} does not end", folder.display());
        }
        thread::sleep(Duration::from_millis(20));
    }
    let printed = fs::read_to_string(&output).unwrap();
    fs::remove_file(&output).unwrap();
    printed
}

/// Ends the script and what it started.
fn end_group(child: &mut Child) {
    let _ = Command::new("kill").args(["-s", "KILL", "--", &format!("-{}", child.id())]).status();
    let _ = child.wait();
}
