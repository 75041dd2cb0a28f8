//! Programs on a terminal: tmux is the terminal, keys go in, the screen comes out.

use std::process::{Command, id};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use birgus_tests::birgus::path;
use birgus_tests::process::wait_until;

/// Time for one change of the screen.
const LIMIT: Duration = Duration::from_secs(30);

/// A terminal of 24 rows and 80 columns with `birgus run` on it; ends with its owner.
struct Terminal {
    socket: String,
}

impl Terminal {
    fn run(words: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let terminal = Self { socket: format!("birgus-test-{}-{number}", id()) };
        // The shell shows the status and keeps the screen, whatever the keys do.
        let birgus = path().display();
        let script = format!("trap : INT; '{birgus}' run {words}; echo \"status $?\"; sleep 600");
        terminal.tmux(&["new-session", "-d", "-x", "80", "-y", "24", &script]);
        terminal
    }

    fn tmux(&self, arguments: &[&str]) -> String {
        let output = Command::new("tmux")
            .args(["-L", &self.socket, "-f", "/dev/null"])
            .args(arguments)
            .output()
            .expect("tmux is installed");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn keys(&self, keys: &[&str]) {
        self.tmux(&[&["send-keys"], keys].concat());
    }

    #[track_caller]
    fn shows(&self, text: &str) {
        let mut screen = String::new();
        let shown = wait_until(LIMIT, || {
            screen = self.tmux(&["capture-pane", "-p"]);
            screen.contains(text)
        });
        assert!(shown, "{text:?} is not on the screen:\n{screen}");
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
    }
}

#[test]
fn vi_edits_and_writes_a_file() {
    let terminal = Terminal::run("/bin/busybox vi /tmp/new");
    terminal.shows("~");
    terminal.keys(&["i", "hello from vi"]);
    terminal.shows("hello from vi");
    terminal.shows("I /tmp/new");
    // Keys right after the escape key would belong to an escape sequence.
    terminal.keys(&["Escape"]);
    terminal.shows("- /tmp/new");
    terminal.keys(&["yyp", "A", ", twice"]);
    terminal.shows("hello from vi, twice");
    terminal.keys(&["Escape"]);
    terminal.shows("- /tmp/new");
    terminal.keys(&[":w", "Enter"]);
    terminal.shows("2L, 35C");
    terminal.keys(&[":q", "Enter"]);
    terminal.shows("status 0");
}

#[test]
fn the_terminal_is_a_terminal_and_has_its_size() {
    let terminal = Terminal::run("/bin/busybox stty size");
    terminal.shows("24 80");
    terminal.shows("status 0");
    let terminal = Terminal::run("/bin/busybox sh -c 'test -t 0 && test -t 1 && exit 44'");
    terminal.shows("status 44");
}

#[test]
fn the_interrupt_key_reaches_the_program() {
    let terminal = Terminal::run("/bin/busybox sh -c 'echo begins; read x; echo not reached'");
    terminal.shows("begins");
    terminal.keys(&["C-c"]);
    terminal.shows("status 130");
}

#[test]
fn lines_are_edited_and_end_of_file_is_a_key() {
    let terminal = Terminal::run("/bin/busybox cat");
    terminal.keys(&["abd", "BSpace", "c", "Enter"]);
    terminal.shows("abc\nabc\n");
    terminal.keys(&["C-d"]);
    terminal.shows("status 0");
}

#[test]
fn only_the_streams_that_are_the_terminal_are_a_terminal() {
    let terminal = Terminal::run("/bin/busybox sh -c 'test -t 0 && ! test -t 1 && exit 45' | cat");
    terminal.shows("status 0");
    let script =
        "/bin/busybox sh -c 'test -t 1; echo stdout $?; test -t 0; echo stdin $?' </dev/null";
    let terminal = Terminal::run(script);
    terminal.shows("stdout 0");
    terminal.shows("stdin 1");
}
