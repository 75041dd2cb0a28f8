//! Programs on a terminal: tmux is the terminal, keys go in, the screen comes out.

use std::process::{Command, id};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use birgus_tests::birgus::path;
use birgus_tests::full;
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

    /// Types a line.
    fn line(&self, line: &str) {
        self.keys(&[line, "Enter"]);
    }

    fn resize(&self, columns: u16, rows: u16) {
        self.tmux(&["resize-window", "-x", &columns.to_string(), "-y", &rows.to_string()]);
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

/// A job that says when it has the terminal, and when it goes on; its words are not what it
/// says.
const JOB: &str = r#"sh -c 'trap "echo goes\ on" CONT; echo be\gins; while :; do sleep 1; done'"#;

/// A shell stops, continues and ends jobs. It calls them so.
fn controls_jobs(terminal: &Terminal, stopped: &str, running: &str) {
    terminal.shows("ready>");
    terminal.line(JOB);
    terminal.shows("begins");
    terminal.keys(&["C-z"]);
    terminal.shows(stopped);
    terminal.line("clear; bg");
    terminal.shows("goes on");
    terminal.line("clear; jobs");
    terminal.shows(running);
    terminal.line("clear; kill -STOP %1");
    terminal.shows("ready>");
    terminal.line("jobs");
    terminal.shows(stopped);
    terminal.line("clear; fg");
    terminal.shows("goes on");
    terminal.keys(&["C-c"]);
    terminal.line("echo ended with $?");
    terminal.shows("ended with 130");
}

#[test]
fn bash_controls_jobs_and_sees_the_window_change() {
    let terminal = Terminal::run("-e 'PS1=ready> ' /bin/bash --norc --noprofile");
    controls_jobs(&terminal, "Stopped                 sh -c", "Running                 sh -c");
    // Who reads in the background stops, and with `tostop` also who writes.
    terminal.line("clear; cat &");
    terminal.line("wait");
    terminal.shows("Stopped                 cat");
    terminal.line("kill -9 %1; wait; clear; stty tostop; (echo x; echo y) &");
    terminal.line("wait");
    terminal.shows("Stopped                 ( echo x; echo y )");
    terminal.line("stty -tostop; clear; fg");
    terminal.shows("x\ny\n");
    terminal.line("trap 'seen=1; stty size' WINCH; clear; echo wa\\its");
    terminal.shows("waits");
    // Without a command that would be in the foreground instead of the shell.
    terminal.line("until [ $seen ]; do :; done");
    terminal.resize(100, 30);
    terminal.shows("30 100");
    terminal.line("exit 47");
    terminal.shows("status 47");
}

#[test]
fn zsh_controls_jobs() {
    let words = "-v /usr:/usr:ro -e PATH=/usr/bin -e 'PS1=ready> ' /bin/zsh-static -f";
    let terminal = Terminal::run(words);
    controls_jobs(&terminal, "suspended", "running    sh -c");
    terminal.line("clear; cat &");
    terminal.shows("suspended (tty input)  cat");
    terminal.line("kill %1; exit 48");
    terminal.line("exit 48");
    terminal.shows("status 48");
}

#[test]
fn tmux_and_script_give_programs_a_terminal_of_their_own() {
    if !full() {
        return;
    }
    let terminal = Terminal::run("/usr/bin/tmux -f /dev/null new-session '/bin/bash --norc'");
    terminal.shows("[0] 0:bash");
    terminal.line("tty; stty size");
    terminal.shows("/dev/pts/0\n23 80");
    terminal.keys(&["C-b", "\""]);
    terminal.line("tty");
    terminal.shows("/dev/pts/1");
    terminal.resize(90, 40);
    // tmux tells its panes somewhat later.
    terminal.line("clear; until [ $(stty size | tr -d ' ') = 1990 ]; do sleep .1; done; stty size");
    terminal.shows("19 90");
    terminal.keys(&["C-b", "&"]);
    terminal.shows("(y/n)");
    terminal.keys(&["y"]);
    terminal.shows("status 0");
    let terminal = Terminal::run("/usr/bin/script -q -e -c 'tty; exit 49' /dev/null");
    terminal.shows("/dev/pts/0");
    terminal.shows("status 49");
}

#[test]
fn top_sees_who_computes() {
    if !full() {
        return;
    }
    let script = "while :; do :; done & top -b -n 2 -d 3 | tail -n 6; kill %1";
    let terminal = Terminal::run(&format!("/bin/bash -c '{script}' 2>/dev/null"));
    terminal.shows("status 0");
    let screen = terminal.tmux(&["capture-pane", "-p"]);
    // PID USER PR NI VIRT RES SHR S %CPU …
    let most = screen.lines().find(|line| line.ends_with(" bash")).unwrap_or_default();
    let share = most.split_whitespace().nth(8).and_then(|share| share.parse::<f32>().ok());
    assert!(share.is_some_and(|share| (50.0..=101.0).contains(&share)), "{screen}");
}

#[test]
fn less_and_vim_use_the_whole_screen() {
    if !full() {
        return;
    }
    let terminal = Terminal::run("-v /etc/services:/services:ro /usr/bin/less /services");
    terminal.shows("/services");
    terminal.line("/^ssh");
    terminal.shows("22/tcp");
    terminal.keys(&["q"]);
    terminal.shows("status 0");
    let terminal = Terminal::run("/usr/bin/vim -u NONE /tmp/new");
    terminal.shows("\"/tmp/new\"");
    terminal.keys(&["i", "hello"]);
    terminal.keys(&["Escape"]);
    terminal.shows("hello");
    terminal.line(":w");
    terminal.shows("6 bytes written");
    terminal.line(":q");
    terminal.shows("status 0");
}
