//! The plumbing against a guest that is a thread, over real pipes and a pseudo-terminal. Each
//! run is bounded by a time-out, which none of them but one may reach.

use super::*;
use crate::engine::PostMortem;
use crate::session::WINDOW;
use abi::boot::VERSION;
use abi::boot::channel::{HEADER_LEN, Header, Kind, MAX_PAYLOAD, Stream};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::{self, JoinHandle};
use std::time::Instant;

const PATIENCE: Duration = Duration::from_secs(20);

/// The guest's side of the control channel.
struct Guest {
    wire: UnixStream,
    credit: [usize; 4],
    /// Input that came while something else was awaited; empty at its end.
    input: VecDeque<Vec<u8>>,
}

impl Guest {
    fn say(&mut self, kind: Kind, stream: Stream, payload: &[u8]) {
        let header = Header { kind, stream, len: payload.len() };
        // The host may have gone, which is what some tests are about.
        let _ = self.wire.write_all(&[&header.to_bytes(), payload].concat());
    }

    fn hear(&mut self) -> Option<(Kind, Stream, Vec<u8>)> {
        let mut header = [0; HEADER_LEN];
        self.wire.read_exact(&mut header).ok()?;
        let header = Header::from_bytes(header).unwrap();
        let mut payload = vec![0; header.len];
        self.wire.read_exact(&mut payload).ok()?;
        if header.kind == Kind::Credit {
            let more = u32::from_le_bytes(payload[..].try_into().unwrap());
            self.credit[header.stream as usize] += more as usize;
        }
        Some((header.kind, header.stream, payload))
    }

    /// Hears until a frame of this kind and stream comes: its payload.
    fn await_frame(&mut self, kind: Kind, stream: Stream) -> Vec<u8> {
        loop {
            let (heard, of, payload) = self.hear().expect("the host hung up");
            if (heard, of) == (kind, stream) {
                return payload;
            }
        }
    }

    /// Bytes of the program's input, empty at its end.
    fn read(&mut self) -> Vec<u8> {
        loop {
            if let Some(bytes) = self.input.pop_front() {
                return bytes;
            }
            let (kind, stream, bytes) = self.hear().expect("the host hung up");
            if matches!(kind, Kind::Data | Kind::Close) && stream == Stream::Stdin {
                return bytes;
            }
        }
    }

    fn want(&mut self, stream: Stream, bytes: u32) {
        self.say(Kind::Credit, stream, &bytes.to_le_bytes());
    }

    /// Writes against credit. `false`: the host closed the stream.
    fn write(&mut self, stream: Stream, mut bytes: &[u8]) -> bool {
        while !bytes.is_empty() {
            let len = bytes.len().min(self.credit[stream as usize]).min(MAX_PAYLOAD);
            if len > 0 {
                self.credit[stream as usize] -= len;
                self.say(Kind::Data, stream, &bytes[..len]);
                bytes = &bytes[len..];
                continue;
            }
            match self.hear() {
                Some((Kind::Close, closed, _)) if closed == stream => return false,
                Some((Kind::Data | Kind::Close, Stream::Stdin, bytes)) => {
                    self.input.push_back(bytes);
                }
                Some(_) => {}
                None => return false,
            }
        }
        true
    }

    fn exit(&mut self, status: ExitStatus) {
        self.say(Kind::Exit, Stream::Stdin, &status.to_bytes());
    }
}

struct FakeVm(UnixStream);

impl Vm for FakeVm {
    fn name(&self) -> &'static str {
        "fake"
    }

    fn control(&self) -> io::Result<UnixStream> {
        self.0.try_clone()
    }

    fn suspend(&mut self) {}

    fn resume(&mut self) {}

    fn end(&mut self) -> PostMortem {
        let _ = self.0.shutdown(std::net::Shutdown::Both);
        PostMortem::default()
    }
}

/// The ends of a run that a test holds.
struct Ends {
    stdin: File,
    stdout: File,
    stderr: File,
}

fn pipe() -> (File, OwnedFd) {
    let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).unwrap();
    (reader.into(), writer)
}

fn pipes() -> (Streams, Ends) {
    let (input, stdin) = pipe();
    let ((stdout, output), (stderr, errors)) = (pipe(), pipe());
    let streams = Streams {
        terminals: [false; 3],
        terminal: None,
        stdin: input.into(),
        stdout: output,
        stderr: errors,
    };
    (streams, Ends { stdin: stdin.into(), stdout, stderr })
}

/// Attends to a guest that, after the greetings, does what `guest` says.
fn attend_to(
    streams: Streams,
    manner: Manner,
    guest: impl FnOnce(&mut Guest) + Send + 'static,
) -> JoinHandle<Ending> {
    let (host, theirs) = UnixStream::pair().unwrap();
    thread::spawn(move || {
        let mut at_work = Guest { wire: theirs, credit: [0; 4], input: VecDeque::new() };
        at_work.say(Kind::Hello, Stream::Stdin, &VERSION.to_le_bytes());
        at_work.await_frame(Kind::Hello, Stream::Stdin);
        guest(&mut at_work);
    });
    thread::spawn(move || attend(&mut FakeVm(host), streams, manner).unwrap())
}

fn patient() -> Manner {
    Manner { timeout: Some(PATIENCE), ..Manner::default() }
}

fn exited(code: i32) -> Ending {
    Ending::Exit(ExitStatus::Exited(code))
}

fn read_all(mut file: File) -> Vec<u8> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Bytes in which every misplaced block shows.
fn pattern(len: usize) -> Vec<u8> {
    (0..len / 4).flat_map(|word| (word as u32).to_le_bytes()).collect()
}

#[test]
fn large_streams_arrive_whole_and_in_order() {
    let (streams, mut ends) = pipes();
    let run = attend_to(streams, patient(), |guest| {
        guest.want(Stream::Stdin, 100_000);
        loop {
            let bytes = guest.read();
            if bytes.is_empty() {
                break;
            }
            guest.want(Stream::Stdin, bytes.len() as u32);
            assert!(guest.write(Stream::Stdout, &bytes));
        }
        guest.exit(ExitStatus::Exited(7));
    });
    let sent = pattern(2 << 20);
    let feed = sent.clone();
    let feeder = thread::spawn(move || ends.stdin.write_all(&feed).unwrap());
    assert!(read_all(ends.stdout) == sent);
    feeder.join().unwrap();
    assert_eq!(run.join().unwrap(), exited(7));
}

#[test]
fn a_stream_that_nobody_reads_holds_up_no_other() {
    let (streams, mut ends) = pipes();
    let run = attend_to(streams, patient(), |guest| {
        // More than a pipe holds: the rest waits in the host.
        assert!(guest.write(Stream::Stdout, &pattern(WINDOW)));
        assert!(guest.write(Stream::Stderr, b"heard"));
        guest.want(Stream::Stdin, 1);
        assert_eq!(guest.await_frame(Kind::Data, Stream::Stdin), b"!");
        guest.exit(ExitStatus::Exited(0));
    });
    let mut heard = [0; 5];
    ends.stderr.read_exact(&mut heard).unwrap();
    ends.stdin.write_all(b"!").unwrap();
    assert!(read_all(ends.stdout) == pattern(WINDOW));
    assert_eq!(run.join().unwrap(), exited(0));
}

#[test]
fn a_reader_that_goes_away_is_a_broken_pipe_in_the_guest() {
    let (streams, ends) = pipes();
    drop(ends.stdout);
    let run = attend_to(streams, patient(), |guest| {
        assert!(!guest.write(Stream::Stdout, &pattern(WINDOW * 4)));
        guest.exit(ExitStatus::Killed(13));
    });
    assert_eq!(run.join().unwrap(), Ending::Exit(ExitStatus::Killed(13)));
    assert_eq!(read_all(ends.stderr), b"");
}

#[test]
fn a_full_disk_is_told_and_closes_the_stream() {
    let (mut streams, ends) = pipes();
    streams.stdout = File::options().write(true).open("/dev/full").unwrap().into();
    let run = attend_to(streams, patient(), |guest| {
        assert!(!guest.write(Stream::Stdout, &pattern(WINDOW * 4)));
        guest.exit(ExitStatus::Exited(1));
    });
    assert_eq!(run.join().unwrap(), exited(1));
    let told = String::from_utf8(read_all(ends.stderr)).unwrap();
    assert_eq!(told, "birgus: stdout cannot be written to: No space left on device\n");
}

#[test]
fn the_reader_sees_the_end_when_the_guest_closes_stdout() {
    let (streams, ends) = pipes();
    let run = attend_to(streams, patient(), |guest| {
        assert!(guest.write(Stream::Stdout, b"all"));
        guest.say(Kind::Close, Stream::Stdout, b"");
        guest.want(Stream::Stdin, 1);
        guest.await_frame(Kind::Close, Stream::Stdin);
        guest.exit(ExitStatus::Exited(0));
    });
    // The program goes on until its input ends, and that comes only after this.
    assert_eq!(read_all(ends.stdout), b"all");
    drop(ends.stdin);
    assert_eq!(run.join().unwrap(), exited(0));
}

#[test]
fn input_that_the_guest_does_not_want_stays_in_the_pipe() {
    let (streams, mut ends) = pipes();
    let input = streams.stdin.try_clone().unwrap();
    ends.stdin.write_all(b"for the next").unwrap();
    drop(ends.stdin);
    let run = attend_to(streams, patient(), |guest| {
        guest.want(Stream::Stdin, 4);
        assert_eq!(guest.await_frame(Kind::Data, Stream::Stdin), b"for ");
        guest.exit(ExitStatus::Exited(0));
    });
    assert_eq!(run.join().unwrap(), exited(0));
    assert_eq!(read_all(input.into()), b"the next");
}

#[test]
fn two_streams_to_one_pipe_keep_their_order() {
    let (mut streams, ends) = pipes();
    streams.stderr = streams.stdout.try_clone().unwrap();
    let run = attend_to(streams, patient(), |guest| {
        for number in 0..500 {
            let stream = if number % 2 == 0 { Stream::Stdout } else { Stream::Stderr };
            assert!(guest.write(stream, format!("{number}\n").as_bytes()));
        }
        guest.exit(ExitStatus::Exited(0));
    });
    let expected: String = (0..500).map(|number| format!("{number}\n")).collect();
    assert_eq!(String::from_utf8(read_all(ends.stdout)).unwrap(), expected);
    assert_eq!(run.join().unwrap(), exited(0));
}

#[test]
fn what_the_kernel_says_is_escaped_and_shown_by_its_level() {
    let log = |guest: &mut Guest| {
        guest.say(Kind::Log, Stream::Stdin, b"\x02no \x1b[2Jsuch\ncall");
        guest.say(Kind::Log, Stream::Stdin, b"\x03a milestone");
        guest.say(Kind::Trace, Stream::Stdin, b"getpid() = 2");
        guest.exit(ExitStatus::Exited(0));
    };
    let (streams, ends) = pipes();
    assert_eq!(attend_to(streams, patient(), log).join().unwrap(), exited(0));
    let quiet = "birgus: kernel: no \\x1b[2Jsuch\\ncall\ngetpid() = 2\n";
    assert_eq!(String::from_utf8(read_all(ends.stderr)).unwrap(), quiet);

    let (streams, ends) = pipes();
    let (trace, file) = pipe();
    let manner = Manner { verbose: true, trace: Some(file), ..patient() };
    assert_eq!(attend_to(streams, manner, log).join().unwrap(), exited(0));
    let told = String::from_utf8(read_all(ends.stderr)).unwrap();
    assert!(told.ends_with("birgus: kernel: a milestone\n"), "{told}");
    assert_eq!(read_all(trace), b"getpid() = 2\n");
}

#[test]
fn a_trace_that_nobody_reads_waits_in_the_guest_and_is_whole_later() {
    const LINES: usize = 40_000;
    let (streams, ends) = pipes();
    let run = attend_to(streams, patient(), |guest| {
        for _ in 0..LINES {
            guest.say(Kind::Trace, Stream::Stdin, &[b'x'; 99]);
        }
        guest.exit(ExitStatus::Exited(0));
    });
    thread::sleep(Duration::from_millis(200));
    assert_eq!(read_all(ends.stderr).len(), LINES * 100);
    assert_eq!(run.join().unwrap(), exited(0));
}

#[test]
fn a_guest_that_ends_without_a_word_or_breaks_the_contract_is_lost() {
    let (streams, _ends) = pipes();
    let run = attend_to(streams, patient(), |_| {});
    assert!(matches!(run.join().unwrap(), Ending::Lost(_)));
    let (streams, _ends) = pipes();
    let run = attend_to(streams, patient(), |guest| {
        guest.credit = [usize::MAX; 4];
        guest.write(Stream::Stdout, &pattern(WINDOW * 4));
    });
    let Ending::Lost(reason) = run.join().unwrap() else { panic!("it was believed") };
    assert!(reason.contains("credit"), "{reason}");
}

#[test]
fn a_guest_that_does_not_end_is_ended_in_time() {
    let (streams, _ends) = pipes();
    let manner = Manner { timeout: Some(Duration::from_millis(200)), ..Manner::default() };
    let begin = Instant::now();
    let run = attend_to(streams, manner, |guest| {
        guest.write(Stream::Stdout, &pattern(WINDOW));
        while guest.hear().is_some() {}
    });
    assert_eq!(run.join().unwrap(), Ending::TimedOut);
    assert!(begin.elapsed() < PATIENCE);
}

#[test]
fn a_guest_that_never_falls_silent_is_ended_in_time() {
    let (mut streams, _ends) = pipes();
    streams.stdout = File::options().write(true).open("/dev/null").unwrap().into();
    let manner = Manner { timeout: Some(Duration::from_millis(300)), ..Manner::default() };
    let begin = Instant::now();
    let run = attend_to(streams, manner, move |guest| {
        while guest.write(Stream::Stdout, &pattern(WINDOW)) && begin.elapsed() < PATIENCE {}
    });
    assert_eq!(run.join().unwrap(), Ending::TimedOut);
    assert!(begin.elapsed() < PATIENCE);
}

#[derive(Debug)]
struct Soon(Instant);

impl Limit for Soon {
    fn is_over(&self) -> bool {
        self.0.elapsed() > Duration::from_millis(200)
    }
}

#[test]
fn a_limit_ends_a_guest_as_a_time_out_does() {
    let (streams, _ends) = pipes();
    let begin = Instant::now();
    let manner = Manner { limit: Some(Arc::new(Soon(begin))), ..patient() };
    let run = attend_to(streams, manner, |guest| while guest.hear().is_some() {});
    assert_eq!(run.join().unwrap(), Ending::TimedOut);
    assert!(begin.elapsed() < PATIENCE);
}

/// A pseudo-terminal: the user's end, and the end that programs have.
fn pseudo_terminal() -> (File, OwnedFd) {
    let user = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&user).unwrap();
    unlockpt(&user).unwrap();
    let name = ptsname(&user, Vec::new()).unwrap();
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    (user.into(), rustix::fs::open(name, flags, Mode::empty()).unwrap())
}

fn on_terminal() -> (Streams, File, OwnedFd) {
    let (user, end) = pseudo_terminal();
    let size = Winsize { ws_row: 33, ws_col: 101, ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(&end, size).unwrap();
    let streams = Streams {
        terminals: [true; 3],
        terminal: Some(Terminal::new(end.try_clone().unwrap(), true, true)),
        stdin: end.try_clone().unwrap(),
        stdout: end.try_clone().unwrap(),
        stderr: end.try_clone().unwrap(),
    };
    (streams, user, end)
}

#[test]
fn a_terminal_is_raw_during_the_run_and_as_before_after_it() {
    let (streams, mut user, end) = on_terminal();
    assert_eq!(streams.terminal.as_ref().unwrap().size(), (33, 101));
    let before = tcgetattr(&end).unwrap();
    let watched = end.try_clone().unwrap();
    let run = attend_to(streams, patient(), move |guest| {
        guest.want(Stream::Terminal, 100);
        assert_eq!(guest.await_frame(Kind::Data, Stream::Terminal), b"\x03\r");
        let during = tcgetattr(&watched).unwrap();
        assert!(!during.local_modes.intersects(LocalModes::ECHO | LocalModes::ISIG));
        assert!(guest.write(Stream::Terminal, b"line\r\n"));
        guest.say(Kind::Log, Stream::Stdin, b"\x01oh");
        guest.exit(ExitStatus::Exited(0));
    });
    while tcgetattr(&end).unwrap().local_modes.contains(LocalModes::ICANON) {
        thread::sleep(Duration::from_millis(1));
    }
    user.write_all(b"\x03\r").unwrap();
    let mut shown = [0; 6];
    user.read_exact(&mut shown).unwrap();
    assert_eq!(&shown, b"line\r\n");
    let mut told = [0; 20];
    user.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"birgus: kernel: oh\r\n");
    assert_eq!(run.join().unwrap(), exited(0));
    let after = tcgetattr(&end).unwrap();
    assert_eq!(after.local_modes, before.local_modes);
    assert_eq!(after.output_modes, before.output_modes);
}

#[test]
fn three_times_the_quit_key_leaves_a_guest_that_takes_no_input() {
    let (streams, mut user, end) = on_terminal();
    let run = attend_to(streams, patient(), |guest| while guest.hear().is_some() {});
    while tcgetattr(&end).unwrap().local_modes.contains(LocalModes::ICANON) {
        thread::sleep(Duration::from_millis(1));
    }
    user.write_all(b"\x1c\x1cx\x1c\x1c").unwrap();
    thread::sleep(Duration::from_millis(20));
    user.write_all(b"\x1c").unwrap();
    assert_eq!(run.join().unwrap(), Ending::Signal(3));
}
