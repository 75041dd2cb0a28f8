//! The one thread that owns the state of a run.

use super::input::{Arrival, Input};
use super::output::{Origin, Outputs};
use super::signals::{Policy, Reaction};
use super::wire::Wire;
use super::{Ending, Limit, Manner, Moments, Notice, Streams, Terminal, note};
use crate::engine::Vm;
use crate::error::reason;
use crate::escape::escaped;
use crate::session::{Event, Session};
use abi::boot::channel::{LogLevel, Stream};
use rustix::io::Errno;
use rustix::process::{self, Signal};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant, SystemTime};

/// Notices that may wait before the threads that send them do.
const NOTICES: usize = 64;

/// While more bytes than this wait for the guest, its streams get no more.
const UNSENT: usize = 128 * 1024;

/// While more bytes than this of log and trace wait to be written, nothing is read from the
/// guest.
const REPORT_BACKLOG: usize = 1 << 20;

/// How often a job in the background looks whether it is in the foreground.
const FOREGROUND_CHECK: Duration = Duration::from_millis(300);

/// How often the limit of the run is asked.
const LIMIT_CHECK: Duration = Duration::from_millis(300);

/// How long the readers of the program's output have after the run was cut short.
const LAST_WRITES: Duration = Duration::from_secs(1);

pub(super) struct Attendant<'a> {
    vm: &'a mut dyn Vm,
    session: Session,
    notices: Receiver<Notice>,
    wire: Wire,
    input: Input,
    outputs: Outputs,
    terminal: Option<Terminal>,
    verbose: bool,
    trace: Origin,
    deadline: Option<Instant>,
    limit: Option<Arc<dyn Limit>>,
    moments: Arc<Moments>,
    policy: Policy,
    /// Read permits of the wire that are held back.
    held_permits: usize,
}

impl<'a> Attendant<'a> {
    pub(super) fn new(
        vm: &'a mut dyn Vm,
        session: Session,
        streams: Streams,
        manner: Manner,
    ) -> io::Result<Self> {
        let (sender, notices) = mpsc::sync_channel(NOTICES);
        let Streams { terminals, terminal, stdin, stdout, stderr } = streams;
        let input_stream = if terminals[0] { Stream::Terminal } else { Stream::Stdin };
        let mut files = Vec::new();
        if let Some(terminal) = &terminal {
            files.push((Origin::Program(Stream::Terminal), terminal.output()?));
        }
        if !terminals[1] {
            files.push((Origin::Program(Stream::Stdout), stdout));
        }
        if !terminals[2] {
            files.push((Origin::Program(Stream::Stderr), stderr.try_clone()?));
        }
        files.push((Origin::Report, manner.report.unwrap_or(stderr)));
        let trace = if manner.trace.is_some() { Origin::Trace } else { Origin::Report };
        files.extend(manner.trace.map(|file| (Origin::Trace, file)));
        if let Some(signals) = manner.signals {
            signals.tell(sender.clone());
        }
        Ok(Self {
            wire: Wire::start(vm.control()?, &sender)?,
            vm,
            session,
            input: Input::start(input_stream, stdin, sender.clone()),
            outputs: Outputs::start(files, &sender),
            notices,
            terminal,
            verbose: manner.verbose,
            trace,
            deadline: manner.timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            limit: manner.limit,
            moments: manner.moments,
            policy: Policy::default(),
            held_permits: 0,
        })
    }

    /// Attends until the end, and until everything that the program wrote is written.
    pub(super) fn attend(mut self) -> Ending {
        let ending = loop {
            self.supply_input();
            self.wire.send(self.session.take_output());
            let notice = self.next_notice(self.next_deadline());
            // A busy guest leaves no moment without a notice: the time is looked at after each.
            let ending = notice.and_then(|notice| self.take(notice));
            if let Some(ending) = ending.or_else(|| self.overdue()) {
                break ending;
            }
        };
        self.vm.end();
        let ending = self.finish(ending);
        if let Some(terminal) = &self.terminal {
            terminal.restore();
        }
        ending
    }

    /// Writes what waits to be written. A run that was cut short gives its readers little
    /// time, and a second signal or the time-out ends a complete one, too.
    fn finish(&mut self, ending: Ending) -> Ending {
        let until = match ending {
            Ending::Exit(_) => self.deadline,
            _ => Some(Instant::now() + LAST_WRITES),
        };
        while !self.outputs.is_idle() {
            match self.next_notice(until) {
                Some(Notice::Written(origin, len)) => self.outputs.written(origin, len),
                Some(Notice::Signal(signal)) => {
                    if let Reaction::End(signal) = self.policy.react(signal, false, Instant::now())
                    {
                        return Ending::Signal(signal);
                    }
                }
                Some(_) => {}
                None if matches!(ending, Ending::Exit(_)) => return Ending::TimedOut,
                None => break,
            }
        }
        ending
    }

    /// The next notice, or `None` when `until` has come. The threads never all end: this
    /// side holds what they wait for.
    fn next_notice(&self, until: Option<Instant>) -> Option<Notice> {
        match until {
            None => self.notices.recv().ok(),
            Some(until) => {
                let left = until.saturating_duration_since(Instant::now());
                self.notices.recv_timeout(left).ok()
            }
        }
    }

    fn next_deadline(&self) -> Option<Instant> {
        // A shell moves a running job to the foreground without a word to it.
        let foreground = self.input.is_in_background().then(|| Instant::now() + FOREGROUND_CHECK);
        let limit = self.limit.is_some().then(|| Instant::now() + LIMIT_CHECK);
        [self.deadline, self.policy.deadline(), foreground, limit].into_iter().flatten().min()
    }

    fn overdue(&self) -> Option<Ending> {
        let now = Instant::now();
        let over = self.limit.as_ref().is_some_and(|limit| limit.is_over());
        if over || self.deadline.is_some_and(|deadline| now >= deadline) {
            return Some(Ending::TimedOut);
        }
        self.policy.overdue(now).map(Ending::Signal)
    }

    fn take(&mut self, notice: Notice) -> Option<Ending> {
        match notice {
            Notice::Received(bytes) => {
                self.held_permits += 1;
                let ending = self.received(&bytes);
                self.permit_reads();
                return ending;
            }
            Notice::Disconnected(error) => {
                let reason = error.map_or("its control channel closed".to_owned(), |error| {
                    format!("its control channel failed: {error}")
                });
                return Some(Ending::Lost(reason));
            }
            Notice::Sent(len) => self.wire.sent(len),
            Notice::Read(result) => return self.input_arrived(result),
            Notice::Written(origin, len) => {
                self.outputs.written(origin, len);
                if let Origin::Program(stream) = origin {
                    self.session.consumed(stream, len);
                }
                self.permit_reads();
            }
            Notice::WriteFailed(origin, error) => self.write_failed(origin, error),
            Notice::Signal(signal) => {
                let running = self.session.is_running();
                let reaction = self.policy.react(signal, running, Instant::now());
                return self.react(reaction);
            }
        }
        None
    }

    fn received(&mut self, mut input: &[u8]) -> Option<Ending> {
        if !input.is_empty() {
            self.policy.answered();
        }
        loop {
            match self.session.next(&mut input) {
                Ok(None) => return None,
                Ok(Some(event)) => match event {
                    Event::Hello => {
                        note(&self.moments.booted);
                        self.vm.has_booted();
                        self.tell_time();
                    }
                    Event::Entered => note(&self.moments.entered),
                    Event::Data(stream, bytes) => {
                        note(&self.moments.first_output);
                        let bytes = bytes.to_vec();
                        self.outputs.write(Origin::Program(stream), bytes);
                    }
                    Event::Credit(_) => {}
                    Event::Closed(stream) => self.closed(stream),
                    Event::Log(level, text) => {
                        if self.verbose || level <= LogLevel::Warn {
                            let line = format!("birgus: kernel: {}", escaped(text));
                            self.report(Origin::Report, line);
                        }
                    }
                    Event::Trace(text) => {
                        let line = escaped(text).to_string();
                        self.report(self.trace, line);
                    }
                    Event::Exit(status) => {
                        note(&self.moments.exited);
                        return Some(Ending::Exit(status));
                    }
                },
                Err(error) => return Some(Ending::Lost(error.to_string())),
            }
        }
    }

    /// Lets the wire read on, unless too much of the guest's words waits to be written.
    fn permit_reads(&mut self) {
        let backlog = self.outputs.backlog(Origin::Report) + self.outputs.backlog(Origin::Trace);
        if backlog < REPORT_BACKLOG {
            for _ in 0..std::mem::take(&mut self.held_permits) {
                self.wire.permit_read();
            }
        }
    }

    fn report(&mut self, origin: Origin, mut line: String) {
        let raw = self.terminal.as_ref().is_some_and(Terminal::is_raw);
        line.push_str(if raw && origin == Origin::Report { "\r\n" } else { "\n" });
        self.outputs.write(origin, line.into_bytes());
    }

    fn closed(&mut self, stream: Stream) {
        // Birgus's own words still go to stderr and to the terminal.
        if stream == Stream::Stdout {
            self.outputs.close(Origin::Program(stream));
        }
        self.input.closed(stream);
    }

    fn write_failed(&mut self, origin: Origin, error: Errno) {
        let Origin::Program(stream) = origin else { return };
        self.session.close(stream);
        if error != Errno::PIPE {
            let name = match stream {
                Stream::Stdin => "stdin",
                Stream::Stdout => "stdout",
                Stream::Stderr => "stderr",
                Stream::Terminal => "the terminal",
            };
            let line = format!("birgus: {name} cannot be written to: {}", reason(&error.into()));
            self.report(Origin::Report, line);
        }
    }

    fn supply_input(&mut self) {
        if self.wire.unsent() <= UNSENT {
            self.input.supply(&mut self.session, self.terminal.as_ref());
        }
    }

    fn input_arrived(&mut self, result: Result<Vec<u8>, Errno>) -> Option<Ending> {
        match self.input.arrived(result) {
            Arrival::Taken => None,
            Arrival::WayOut => Some(Ending::Signal(Signal::QUIT.as_raw() as u8)),
            Arrival::Failed(error) => {
                let line = format!("birgus: stdin cannot be read: {}", reason(&error.into()));
                self.report(Origin::Report, line);
                None
            }
        }
    }

    fn react(&mut self, reaction: Reaction) -> Option<Ending> {
        match reaction {
            Reaction::Forward(signal) => self.session.signal(signal),
            Reaction::End(signal) => return Some(Ending::Signal(signal)),
            Reaction::Resize => self.tell_window_size(),
            Reaction::Stop => self.stop(),
            Reaction::Continue => self.resume(),
        }
        None
    }

    /// Stops this process as a job of its shell, and the virtual machine with it.
    fn stop(&mut self) {
        if let Some(terminal) = &self.terminal {
            terminal.restore();
        }
        self.vm.suspend();
        // Returns when somebody continues this process.
        let _ = process::kill_process(process::getpid(), Signal::STOP);
        self.resume();
    }

    fn resume(&mut self) {
        self.vm.resume();
        if let Some(terminal) = &self.terminal {
            terminal.enter_raw_mode();
        }
        if self.session.is_running() {
            self.tell_time();
            self.tell_window_size();
        }
    }

    fn tell_time(&mut self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.session.wall_time(u64::try_from(now.as_nanos()).unwrap_or(u64::MAX));
    }

    fn tell_window_size(&mut self) {
        if let Some(terminal) = &self.terminal {
            let (rows, columns) = terminal.size();
            self.session.window_size(rows, columns);
        }
    }
}
