//! The `birgus` command with real QEMU processes and kernels of a few bytes: how runs end,
//! and that nothing is left of them.

use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(20);

/// Where the kernels are loaded.
const BASE: u64 = 0x20_0000;
/// Where their code is in the file, and from [`BASE`].
const CODE: u64 = 0x100;

/// `cli; 1: hlt; jmp 1b`
const HANG: [u8; 4] = [0xfa, 0xf4, 0xeb, 0xfd];
/// `lidt [0]; ud2`: with nothing to handle the fault, the machine resets.
const TRIPLE_FAULT: [u8; 9] = [0x0f, 0x01, 0x1d, 0, 0, 0, 0, 0x0f, 0x0b];

/// Code that writes to the serial port, and then does something else.
fn say_and(text: &str, then: &[u8]) -> Vec<u8> {
    let mut code = vec![0x66, 0xba, 0xf8, 0x03]; // mov dx, 0x3f8
    for byte in text.bytes() {
        code.extend([0xb0, byte, 0xee]); // mov al, byte; out dx, al
    }
    code.extend_from_slice(then);
    code
}

/// An ELF file with one segment, and a PVH entry point where `note` is set.
fn elf(code: &[u8], base: u64, note: bool) -> Vec<u8> {
    let len = CODE + code.len() as u64;
    let mut file = Vec::new();
    file.extend(b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0");
    file.extend([2, 0, 62, 0, 1, 0, 0, 0]);
    for word in [base + CODE, 64, 0] {
        file.extend(word.to_le_bytes());
    }
    file.extend([0, 0, 0, 0, 64, 0, 56, 0, if note { 2 } else { 1 }, 0, 64, 0, 0, 0, 0, 0]);
    let mut header = |kind: u8, flags: u8, offset: u64, len: u64, align: u64| {
        file.extend([kind, 0, 0, 0, flags, 0, 0, 0]);
        for word in [offset, base + offset, base + offset, len, len, align] {
            file.extend(word.to_le_bytes());
        }
    };
    header(1, 5, 0, len, 0x1000);
    header(4, 4, 0xc0, 20, 4);
    file.resize(0xc0, 0);
    file.extend([4, 0, 0, 0, 4, 0, 0, 0, 18, 0, 0, 0]);
    file.extend(b"Xen\0");
    file.extend(((base + CODE) as u32).to_le_bytes());
    file.resize(CODE as usize, 0);
    file.extend_from_slice(code);
    file
}

/// A folder with a kernel and a program, which ends with the test.
struct Bench(PathBuf);

impl Bench {
    fn new(name: &str, kernel: &[u8]) -> Self {
        let folder = std::env::temp_dir().join(format!("birgus-run-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("kernel"), elf(kernel, BASE, true)).unwrap();
        fs::write(folder.join("prog"), elf(&HANG, 0x40_0000, false)).unwrap();
        fs::set_permissions(folder.join("prog"), fs::Permissions::from_mode(0o755)).unwrap();
        Self(folder)
    }

    fn command(&self, options: &[&str]) -> Command {
        let mut command = birgus(&["run"]);
        command.arg("--kernel").arg(self.0.join("kernel")).args(options).arg(self.0.join("prog"));
        command
    }

    /// A run whose virtual machine is up.
    fn start(&self, options: &[&str]) -> Run {
        let child = self.command(options).stderr(Stdio::piped()).spawn().unwrap();
        let children = format!("/proc/{0}/task/{0}/children", child.id());
        let qemu = eventually(|| {
            let id: u32 = fs::read_to_string(&children).ok()?.trim().parse().ok()?;
            let name = fs::read_to_string(format!("/proc/{id}/comm")).ok()?;
            name.starts_with("qemu").then_some(id)
        });
        Run { child, qemu }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Run {
    child: Child,
    qemu: u32,
}

impl Run {
    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &id]).status().unwrap().success());
    }

    /// The state of QEMU as of proc(5); `Z` also when it is gone.
    fn qemu_state(&self) -> char {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.qemu)).unwrap_or_default();
        let state = stat.rsplit_once(") ").and_then(|(_, rest)| rest.chars().next());
        state.unwrap_or('Z')
    }

    fn await_qemu_state(&self, wanted: impl Fn(char) -> bool) {
        eventually(|| wanted(self.qemu_state()).then_some(()));
    }

    fn end(mut self) -> (Option<i32>, String) {
        let status = self.child.wait().unwrap();
        let mut told = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut told).unwrap();
        assert_eq!(self.qemu_state(), 'Z', "QEMU is left behind");
        (status.code().or(status.signal().map(|signal| -signal)), told)
    }
}

fn birgus(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_birgus"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn eventually<T>(mut condition: impl FnMut() -> Option<T>) -> T {
    let begin = Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(begin.elapsed() < PATIENCE, "it did not come about");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_kernel_that_hangs_is_ended_by_the_time_out() {
    let bench = Bench::new("hang", &HANG);
    let output = bench.command(&["--timeout", "300ms"]).output().unwrap();
    assert_eq!(output.status.code(), Some(124));
    assert!(told(&output).ends_with("still running after 0.3 s, ended\n"), "{}", told(&output));
    assert_eq!(told(&output).lines().count(), 1);
    assert_eq!(output.stdout, b"");
}

#[test]
fn a_kernel_that_dies_early_is_lost_and_its_last_words_are_shown_escaped() {
    let bench = Bench::new("triple", &say_and("last \x1b[31m\r\nwords", &TRIPLE_FAULT));
    for machine in ["microvm", "q35"] {
        let output = bench.command(&["--machine", machine]).output().unwrap();
        assert_eq!(output.status.code(), Some(125));
        let told = told(&output);
        let lines: Vec<_> = told.lines().collect();
        assert!(lines[0].contains("the virtual machine is lost: QEMU ended"), "{told}");
        assert_eq!(lines[1], r"birgus: serial port: last \x1b[31m");
        assert_eq!(lines[2], "birgus: serial port: words");
    }
}

#[test]
fn qemu_says_why_it_refuses() {
    let bench = Bench::new("refuse", &HANG);
    let output = bench.command(&["-m", "1024T"]).output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(told(&output).contains("birgus: QEMU: "), "{}", told(&output));
}

#[test]
fn killing_birgus_leaves_nothing_behind() {
    let bench = Bench::new("kill", &HANG);
    let mut run = bench.start(&[]);
    run.child.kill().unwrap();
    run.child.wait().unwrap();
    run.await_qemu_state(|state| state == 'Z');
}

#[test]
fn a_signal_ends_a_machine_whose_kernel_is_not_there_yet() {
    let bench = Bench::new("signal", &HANG);
    for (name, status) in [("TERM", 143), ("INT", 130), ("HUP", 129)] {
        let run = bench.start(&[]);
        run.signal(name);
        let (ended, told) = run.end();
        assert_eq!(ended, Some(status), "{told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn a_stopped_job_stops_its_machine() {
    let bench = Bench::new("stop", &HANG);
    let run = bench.start(&[]);
    run.signal("TSTP");
    run.await_qemu_state(|state| state == 'T');
    run.signal("CONT");
    run.await_qemu_state(|state| state != 'T');
    run.signal("TERM");
    assert_eq!(run.end().0, Some(143));
}

#[test]
fn qemu_learns_nothing_of_the_environment_and_inherits_nothing() {
    let bench = Bench::new("secret", &HANG);
    let child = {
        let mut command = Command::new("sh");
        // Descriptor 9 is one that a shell would leave open.
        command.args(["-c", "exec 9</etc/passwd; exec \"$@\"", "sh"]);
        let own = bench.command(&["-e", "SECRET=hunter2", "-e", "OTHER"]);
        command.arg(own.get_program()).args(own.get_args());
        command.env("OTHER", "hunter3").stdin(Stdio::null()).stderr(Stdio::piped());
        command.spawn().unwrap()
    };
    let children = format!("/proc/{0}/task/{0}/children", child.id());
    let qemu = eventually(|| {
        let id: u32 = fs::read_to_string(&children).ok()?.trim().parse().ok()?;
        fs::read_to_string(format!("/proc/{id}/comm")).ok()?.starts_with("qemu").then_some(id)
    });
    for file in ["cmdline", "environ"] {
        let mut text = Vec::new();
        File::open(format!("/proc/{qemu}/{file}")).unwrap().read_to_end(&mut text).unwrap();
        assert!(!text.escape_ascii().to_string().contains("hunter"), "{file}");
    }
    let open: Vec<_> = fs::read_dir(format!("/proc/{qemu}/fd"))
        .unwrap()
        .filter_map(|entry| fs::read_link(entry.unwrap().path()).ok())
        .collect();
    assert!(open.iter().all(|target| !target.ends_with("passwd")), "{open:?}");
    let run = Run { child, qemu };
    run.signal("TERM");
    assert_eq!(run.end().0, Some(143));
}

#[test]
fn failures_before_the_run_have_their_own_statuses() {
    let cases: [(&[&str], i32); 7] = [
        (&["run", "/nothing/here"], 127),
        (&["run", "no-such-program-anywhere"], 127),
        (&["run", "/etc/passwd"], 126),
        (&["run", "--nonsense", "x"], 125),
        (&["run"], 125),
        (&["run", "--rootfs", "/nothing", "x"], 125),
        (&["run", "--trace=/nothing/file", "x"], 125),
    ];
    for (arguments, status) in cases {
        let output = birgus(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {}", told(&output));
        assert!(told(&output).starts_with("birgus: "), "{arguments:?}");
        assert_eq!(told(&output).lines().count(), 1, "{arguments:?}");
        assert_eq!(output.stdout, b"");
    }
    let bench = Bench::new("noqemu", &HANG);
    let output = bench.command(&[]).env("PATH", "/nothing").output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(told(&output).contains("not installed"), "{}", told(&output));
}

#[test]
fn help_and_version_go_to_stdout() {
    for arguments in [&["--help"][..], &["run", "--help"], &["--version"], &["doctor", "-h"]] {
        let output = birgus(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        assert!(!output.stdout.is_empty() && output.stderr.is_empty(), "{arguments:?}");
    }
}
