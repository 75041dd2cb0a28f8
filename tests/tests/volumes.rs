//! Directories of the host in the guest (`-v`, `--rootfs`): each sees what the other does.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use birgus_tests::birgus::path;
use birgus_tests::run::{Given, Outcome, Status, run};
use birgus_tests::scratch::Scratch;

const LIMIT: Duration = Duration::from_secs(120);
const BUSYBOX: &str = "/bin/busybox";

/// Runs busybox with `words` and `scratch/shared` at /data.
fn guest(scratch: &Scratch, words: &str) -> Outcome {
    birgus(scratch, &format!("-v shared:/data {BUSYBOX} {words}"))
}

/// `birgus run` with these words, in `scratch`.
fn birgus(scratch: &Scratch, words: &str) -> Outcome {
    let mut command = Command::new(path());
    command.arg("run").args(words.split_whitespace()).current_dir(scratch.path());
    run(command, Given::limit(LIMIT)).expect("birgus starts")
}

#[track_caller]
fn says(outcome: &Outcome, text: &str) {
    assert_eq!((outcome.text().as_str(), outcome.errors().as_str()), (text, ""));
}

fn shared() -> Scratch {
    let scratch = Scratch::new().unwrap();
    fs::create_dir(scratch.path().join("shared")).unwrap();
    scratch
}

#[test]
fn both_sides_see_what_the_other_writes() {
    let scratch = shared();
    let data = scratch.path().join("shared");
    fs::write(data.join("hello"), "from the host\n").unwrap();
    says(&guest(&scratch, "cat /data/hello"), "from the host\n");
    says(&guest(&scratch, "cp /data/hello /data/copy"), "");
    assert_eq!(fs::read_to_string(data.join("copy")).unwrap(), "from the host\n");
    says(&guest(&scratch, "mkdir -p -m 750 /data/a/b"), "");
    let made = fs::metadata(data.join("a/b")).unwrap();
    assert_eq!(made.permissions().mode() & 0o7777, 0o750);
    says(&guest(&scratch, "mv /data/copy /data/a/b/moved"), "");
    says(&guest(&scratch, "ln /data/hello /data/hard"), "");
    says(&guest(&scratch, "ln -s a/b /data/soft"), "");
    says(&guest(&scratch, "cat /data/soft/moved"), "from the host\n");
    says(&guest(&scratch, "touch -d @77 /data/hello"), "");
    assert_eq!(fs::metadata(data.join("hard")).unwrap().mtime(), 77);
    says(&guest(&scratch, "stat -c %h,%s,%u,%Y /data/hello"), "2,14,0,77\n");
    says(&guest(&scratch, "chmod 600 /data/hello"), "");
    assert_eq!(fs::metadata(data.join("hello")).unwrap().mode() & 0o7777, 0o600);
    says(&guest(&scratch, "rm -r /data/a /data/hard"), "");
    let mut left: Vec<_> =
        fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    left.sort();
    assert_eq!(left, ["hello", "soft"]);
}

/// Each has an interrupt of its own; a machine of the default kind has no more places.
#[test]
fn six_directories_at_once() {
    let scratch = Scratch::new().unwrap();
    let mut options = String::new();
    for number in 0..6 {
        let directory = scratch.path().join(number.to_string());
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("file"), format!("{number}\n")).unwrap();
        options += &format!("-v {number}:/{number} ");
    }
    let files = "/0/file /1/file /2/file /3/file /4/file /5/file";
    let outcome = birgus(&scratch, &format!("{options} {BUSYBOX} cat {files}"));
    says(&outcome, "0\n1\n2\n3\n4\n5\n");
}

#[test]
fn a_large_file_arrives_whole() {
    let scratch = shared();
    let data = scratch.path().join("shared");
    let bytes: Vec<u8> =
        (0..100_u32 << 18).flat_map(|at| at.wrapping_mul(0x9e37_79b9).to_le_bytes()).collect();
    fs::write(data.join("large"), &bytes).unwrap();
    says(&guest(&scratch, "cp /data/large /data/copy"), "");
    assert!(fs::read(data.join("copy")).unwrap() == bytes, "the copy differs");
    let sums = guest(&scratch, "sha256sum /data/large /data/copy").text();
    let sums: Vec<_> = sums.lines().filter_map(|line| line.split_once(' ')).collect();
    assert_eq!(sums.len(), 2);
    assert_eq!(sums[0].0, sums[1].0);
}

#[test]
fn a_tree_is_unpacked_and_found() {
    let scratch = shared();
    let tree = scratch.path().join("tree");
    fs::create_dir_all(tree.join("one/two")).unwrap();
    for number in 0..200 {
        fs::write(tree.join(format!("one/two/{number}")), format!("{number}\n")).unwrap();
    }
    symlink("one/two/7", tree.join("link")).unwrap();
    let pack = Command::new("tar")
        .args(["cf", "shared/tree.tar", "tree"])
        .current_dir(scratch.path())
        .status();
    assert!(pack.unwrap().success());
    says(&guest(&scratch, "tar xf /data/tree.tar -C /data"), "");
    let same = Command::new("diff")
        .args(["-r", "tree", "shared/tree"])
        .current_dir(scratch.path())
        .status();
    assert!(same.unwrap().success());
    let found = guest(&scratch, "find /data/tree -type f");
    assert_eq!(found.text().lines().count(), 200);
}

#[test]
fn what_is_read_only_stays_as_it_is() {
    let scratch = shared();
    fs::write(scratch.path().join("shared/file"), "text").unwrap();
    for words in ["touch /data/new", "rm /data/file", "mkdir /data/dir", "chmod 0 /data/file"] {
        let outcome = birgus(&scratch, &format!("-v shared:/data:ro {BUSYBOX} {words}"));
        assert!(outcome.errors().contains("Read-only file system"), "{}", outcome.errors());
    }
    assert_eq!(fs::read_dir(scratch.path().join("shared")).unwrap().count(), 1);
}

#[test]
fn links_do_not_lead_out_of_what_is_shared() {
    let scratch = shared();
    let data = scratch.path().join("shared");
    fs::write(scratch.path().join("secret"), "secret\n").unwrap();
    symlink("../secret", data.join("up")).unwrap();
    symlink(scratch.path().join("secret"), data.join("away")).unwrap();
    symlink("/data/inside", data.join("in")).unwrap();
    fs::write(data.join("inside"), "of the guest\n").unwrap();
    for name in ["up", "away", "../secret"] {
        let outcome = guest(&scratch, &format!("cat /data/{name}"));
        assert!(outcome.errors().contains("No such file"), "{}", outcome.errors());
    }
    says(&guest(&scratch, "cat /data/in"), "of the guest\n");
}

#[test]
fn a_directory_of_the_host_is_the_root() {
    let scratch = shared();
    let root = scratch.path().join("root");
    fs::create_dir_all(root.join("bin")).unwrap();
    fs::copy(BUSYBOX, root.join("bin/busybox")).unwrap();
    symlink("busybox", root.join("bin/cat")).unwrap();
    symlink("/bin/cat", root.join("bin/show")).unwrap();
    fs::write(root.join("file"), "of the root\n").unwrap();
    fs::write(scratch.path().join("shared/file"), "of the volume\n").unwrap();
    says(&birgus(&scratch, "--rootfs root cat /file"), "of the root\n");
    for machine in ["microvm", "q35"] {
        let words = format!("--machine {machine} --rootfs root -v shared:/mnt/new:ro");
        says(&birgus(&scratch, &format!("{words} cat /mnt/new/file")), "of the volume\n");
    }
    says(&birgus(&scratch, "--rootfs root busybox touch /made /tmp/made /dev/made"), "");
    let mut names: Vec<_> =
        fs::read_dir(&root).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["bin", "file", "made"]);
    let outcome = birgus(&scratch, "--rootfs root:ro busybox touch /more");
    assert!(outcome.errors().contains("Read-only file system"));
    assert_eq!(birgus(&scratch, "--rootfs root nothing").status, Status::Ended(127));
}

#[test]
fn what_was_written_survives_a_machine_that_is_killed() {
    let scratch = shared();
    let target = scratch.path().join("shared/out");
    let mut machine = Command::new(path())
        .args(["run", "-v", "shared:/data", BUSYBOX, "dd", "if=/dev/zero", "of=/data/out"])
        .args(["bs=65536", "count=100000"])
        .current_dir(scratch.path())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    let written = || fs::metadata(&target).map_or(0, |file| file.len());
    while written() < 1 << 20 && started.elapsed() < LIMIT {
        std::thread::sleep(Duration::from_millis(20));
    }
    machine.kill().unwrap();
    machine.wait().unwrap();
    let len = written();
    assert!(len >= 1 << 20, "{len} bytes");
    // Nothing is left of the machine that could still write.
    std::thread::sleep(Duration::from_millis(500));
    assert_eq!(written(), len);
    assert!(fs::read(&target).unwrap().iter().all(|&byte| byte == 0));
    says(&guest(&scratch, "rm /data/out"), "");
    assert!(!Path::new(&target).exists());
}

/// Whoever these tests run as: no privileges are needed. As root they run as nobody here.
#[test]
fn an_ordinary_user_shares_a_directory() {
    let scratch = shared();
    let data = scratch.path().join("shared");
    if fs::metadata(&data).unwrap().uid() != 0 {
        return;
    }
    fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).unwrap();
    fs::write(data.join("of-root"), "text\n").unwrap();
    let birgus = scratch.path().join("birgus");
    fs::copy(path(), &birgus).unwrap();
    let script = "ls -ln /data/of-root; cat /data/of-root; echo new >/data/new; mkdir /data/dir;
        chmod 640 /data/new; mv /data/new /data/dir; stat -c '%u %g %a' /data/dir/new /data/dir;
        echo >>/data/of-root || echo refused; chown 5 /data/dir || echo refused";
    let mut command = Command::new("setpriv");
    command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]);
    command.arg(birgus).args(["run", "-v", "shared:/data", BUSYBOX, "sh", "-c", script]);
    command.current_dir(scratch.path());
    let outcome = run(command, Given::limit(LIMIT)).unwrap();
    let text = outcome.text();
    let (listed, rest) = text.split_once('\n').unwrap_or_else(|| panic!("{}", outcome.errors()));
    assert!(listed.starts_with("-rw-r--r--    1 65534    65534 "), "{listed}");
    assert_eq!(rest, "text\n0 0 640\n0 0 755\nrefused\nrefused\n", "{}", outcome.errors());
    let made = fs::metadata(data.join("dir/new")).unwrap();
    assert_eq!((made.uid(), made.gid(), made.permissions().mode() & 0o777), (65534, 65534, 0o640));
}
