//! A terminal: a line discipline between a [`Transport`] and the programs that use it.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ops::Range;

use abi::Errno;
use abi::fs::Device;
use abi::signal::Signal;
use abi::terminal::{LocalFlags, Termios, Winsize, control};
use spin::Mutex;
use zerocopy::FromZeros;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::PollEvents;
use crate::io::{Sink, Source};
use crate::signal::info;
use crate::system::System;
use crate::wait::{Interruption, Patience, WaitQueue};

use super::discipline::Discipline;
use super::input::Taken;
use super::job::{Job, signal_group};
use super::settings::Settings;

/// How many bytes go between a program and the discipline at once.
const CHUNK: usize = 512;

/// The unit of `VTIME`, in nanoseconds.
const TENTH_OF_SECOND: u64 = 100_000_000;

/// The user's side of a terminal: keyboard and screen.
pub trait Transport: Send + Sync {
    /// Takes bytes that the user typed; returns how many, 0 when there are none.
    fn receive(&self, to: &mut [u8]) -> usize;

    /// Shows bytes to the user; returns how many were taken, 0 when the user's side takes no
    /// more at the moment.
    fn send(&self, bytes: &[u8]) -> usize;

    /// The terminal has one more open file.
    fn opened(&self) {}

    /// The terminal has one open file less.
    fn closed(&self) {}

    /// Something has happened that packet mode tells of: [`abi::terminal::packet`].
    fn tell(&self, event: u8) {
        let _ = event;
    }
}

/// A terminal.
pub struct Terminal {
    transport: Box<dyn Transport>,
    /// Its number.
    device: Device,
    state: Mutex<State>,
    /// Woken when input, output, settings or the connection have changed.
    changed: WaitQueue,
}

/// What the lock of a terminal guards.
pub(super) struct State {
    pub(super) discipline: Discipline,
    pub(super) settings: Settings,
    /// Which settings cannot be changed: what is not 0 in here.
    pub(super) locked: Termios,
    pub(super) window: Winsize,
    pub(super) job: Job,
    /// `TIOCEXCL`.
    pub(super) is_exclusive: bool,
    is_hung_up: bool,
    /// Bytes the user typed that the discipline had no room for.
    arrived: [u8; CHUNK],
    waiting: Range<usize>,
}

impl Terminal {
    /// A terminal that nobody controls yet.
    pub(super) fn new(
        transport: Box<dyn Transport>,
        settings: Settings,
        device: Device,
    ) -> Arc<Self> {
        let state = State {
            discipline: Discipline::new(settings.termios()),
            settings,
            window: Winsize::default(),
            job: Job::default(),
            locked: Termios::new_zeroed(),
            is_exclusive: false,
            is_hung_up: false,
            arrived: [0; CHUNK],
            waiting: 0..0,
        };
        Arc::new(Self { transport, device, state: Mutex::new(state), changed: WaitQueue::new() })
    }

    /// Its number.
    pub(crate) fn device(&self) -> Device {
        self.device
    }

    pub(super) fn transport(&self) -> &dyn Transport {
        &*self.transport
    }

    /// The transport has bytes, or takes bytes again.
    pub fn news(&self, system: &System) {
        self.exchange(system);
        self.changed.wake_all();
    }

    /// The user is gone: reads give end of file, writes `EIO`, and the session is told: it has
    /// no controlling terminal any more.
    pub fn hang_up(&self, system: &System) {
        let job = {
            let mut state = self.state.lock();
            state.is_hung_up = true;
            core::mem::take(&mut state.job)
        };
        self.changed.wake_all();
        if job.session != 0
            && let Some(leader) = system.processes.get(job.session)
        {
            for signal in [Signal::SIGHUP, Signal::SIGCONT] {
                // Standard signals are never refused.
                let _ = leader.send_signal(signal, info::kernel(signal));
            }
        }
        if job.foreground != job.session {
            signal_group(system, job.foreground, Signal::SIGHUP);
            signal_group(system, job.foreground, Signal::SIGCONT);
        }
    }

    /// Sets the size of the window; the foreground is told when it has changed.
    pub fn set_window(&self, system: &System, window: Winsize) {
        let foreground = {
            let mut state = self.state.lock();
            if state.window == window {
                return;
            }
            state.window = window;
            state.job.foreground
        };
        signal_group(system, foreground, Signal::SIGWINCH);
    }

    /// Makes it the controlling terminal of a session, with this group in the foreground.
    pub fn set_session(&self, session: u32, foreground: u32) {
        self.state.lock().job = Job { session, foreground };
    }

    /// The process group in the foreground (0 for none), where it is the controlling terminal
    /// of this session.
    #[must_use]
    pub fn foreground_of(&self, session: u32) -> Option<u32> {
        let job = self.state.lock().job;
        job.controls(session).then_some(job.foreground)
    }

    /// The process group in the foreground; 0 for none.
    pub(super) fn foreground(&self) -> u32 {
        self.state.lock().job.foreground
    }

    /// Whether it is the controlling terminal of this session.
    #[must_use]
    pub fn controls(&self, session: u32) -> bool {
        self.state.lock().job.controls(session)
    }

    /// Calls `work` with the state, and then moves what can be moved to and from the user.
    pub(super) fn with<T>(&self, system: &System, work: impl FnOnce(&mut State) -> T) -> T {
        let value = work(&mut self.state.lock());
        self.news(system);
        value
    }

    /// Moves bytes to and from the user as far as that goes now.
    fn exchange(&self, system: &System) {
        let mut state = self.state.lock();
        state.exchange(&*self.transport);
        let foreground = state.job.foreground;
        while let Some(signal) = state.discipline.take_signal() {
            drop(state);
            if let Some(signal) = Signal::new(signal) {
                signal_group(system, foreground, signal);
            }
            state = self.state.lock();
        }
    }

    /// Reads as read(2) of a terminal does: a line, or as `VMIN` and `VTIME` say.
    pub(super) fn read(
        &self,
        cx: &Context<'_>,
        is_nonblocking: bool,
        to: &mut dyn Sink,
    ) -> Result<usize> {
        let mut chunk = [0; CHUNK];
        let mut done = 0;
        while to.remaining() > 0 {
            let len = chunk.len().min(to.remaining());
            let taken = match self.next(cx, is_nonblocking, done, &mut chunk[..len]) {
                Ok(Some(taken)) => taken,
                Ok(None) => break,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            };
            match to.put(&chunk[..taken.len]) {
                Ok(put) => done += put,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
            if self.is_enough(done, taken) {
                break;
            }
        }
        self.exchange(cx.system);
        Ok(done)
    }

    /// The next chunk of a read that has `done` bytes, or `None` when that is all.
    fn next(
        &self,
        cx: &Context<'_>,
        is_nonblocking: bool,
        done: usize,
        to: &mut [u8],
    ) -> Result<Option<Taken>> {
        let patience = self.patience(cx, done)?;
        if let Some(taken) = self.state.lock().discipline.read(to) {
            return Ok(Some(taken));
        }
        let Some(deadline_ns) = patience else {
            return Ok(None);
        };
        let ready = || {
            let mut state = self.state.lock();
            match state.discipline.read(to) {
                None if state.is_hung_up => Ok(Some(None)),
                None => Ok(None),
                taken => Ok(Some(taken)),
            }
        };
        if is_nonblocking {
            let mut ready = ready;
            return ready()?.ok_or_else(|| Errno::EAGAIN.because("it would block"));
        }
        let queues = [&self.changed];
        Ok(cx.wait_until(&queues, deadline_ns, Interruption::Restart, ready)?.flatten())
    }

    /// Until when a read that has `done` bytes may wait for more; `None` when it may not.
    #[allow(clippy::option_option)]
    fn patience(&self, cx: &Context<'_>, done: usize) -> Result<Option<Option<u64>>> {
        let state = self.state.lock();
        let after = |tenths: u8| {
            Some(cx.system.machine.monotonic_ns() + u64::from(tenths) * TENTH_OF_SECOND)
        };
        if state.discipline.is_canonical() {
            return Ok((done == 0).then_some(None));
        }
        let settings = &state.discipline.settings;
        let minimum = usize::from(settings.control[control::VMIN]);
        Ok(match settings.control[control::VTIME] {
            _ if done > 0 && done >= minimum => None,
            0 => (minimum > 0).then_some(None),
            time if minimum == 0 || done > 0 => Some(after(time)),
            _ => Some(None),
        })
    }

    /// Whether a read that has `done` bytes need not look for more.
    fn is_enough(&self, done: usize, taken: Taken) -> bool {
        let state = self.state.lock();
        if state.discipline.is_canonical() {
            return !taken.is_partial;
        }
        let minimum = usize::from(state.discipline.settings.control[control::VMIN]);
        !taken.is_partial && done >= minimum
    }

    /// Writes as write(2) of a terminal does.
    pub(super) fn write(
        &self,
        cx: &Context<'_>,
        patience: Patience,
        from: &mut dyn Source,
    ) -> Result<usize> {
        self.check_background_write(cx)?;
        let mut chunk = [0; CHUNK];
        let mut done = 0;
        while from.remaining() > 0 {
            let (written, result) = match from.take(&mut chunk) {
                Ok(taken) => self.write_chunk(cx, patience, &chunk[..taken]),
                Err(error) => (0, Err(error)),
            };
            done += written;
            match result {
                Ok(()) if written > 0 => {}
                Ok(()) => break,
                Err(_) if done > 0 => break,
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    /// Writes all of `bytes`, unless it must not wait or is interrupted; how many, and why
    /// not all.
    fn write_chunk(
        &self,
        cx: &Context<'_>,
        patience: Patience,
        bytes: &[u8],
    ) -> (usize, Result<()>) {
        let mut done = 0;
        while done < bytes.len() {
            let ready = || {
                let mut state = self.state.lock();
                if state.is_hung_up {
                    return Err(Errno::EIO.because("the terminal is hung up"));
                }
                let written = state.discipline.write(&bytes[done..]);
                state.discipline.flush(|bytes| self.transport.send(bytes));
                Ok((written > 0).then_some(written))
            };
            match cx.block_on(&[&self.changed], patience, ready) {
                Ok(written) => done += written,
                Err(error) => return (done, Err(error)),
            }
        }
        (done, Ok(()))
    }

    /// Waits until all output is on its way: tcdrain(3).
    pub(super) fn drain(&self, cx: &Context<'_>) -> Result<()> {
        cx.wait_until(&[&self.changed], None, Interruption::Restart, || {
            let mut state = self.state.lock();
            state.discipline.flush(|bytes| self.transport.send(bytes));
            Ok((state.discipline.output.len() == 0 || state.is_hung_up).then_some(()))
        })?;
        Ok(())
    }

    pub(super) fn poll(&self) -> PollEvents {
        let state = self.state.lock();
        let mut events = PollEvents::empty();
        if state.is_hung_up {
            return PollEvents::ALWAYS | PollEvents::ERR | PollEvents::HUP;
        }
        if state.discipline.can_read() {
            events |= PollEvents::IN | PollEvents::RDNORM;
        }
        if state.discipline.can_write() {
            events |= PollEvents::OUT | PollEvents::WRNORM;
        }
        events
    }

    pub(super) fn readable_len(&self) -> usize {
        self.state.lock().discipline.readable_len()
    }

    pub(super) fn changed(&self) -> &WaitQueue {
        &self.changed
    }

    pub(super) fn state(&self) -> spin::MutexGuard<'_, State> {
        self.state.lock()
    }

    /// `TOSTOP`: background processes stop before they write.
    fn check_background_write(&self, cx: &Context<'_>) -> Result<()> {
        if self.state.lock().discipline.local(LocalFlags::TOSTOP) {
            self.check_foreground(cx, Signal::SIGTTOU)?;
        }
        Ok(())
    }
}

impl State {
    /// Whether the user is gone.
    pub(super) fn is_hung_up(&self) -> bool {
        self.is_hung_up
    }

    fn exchange(&mut self, transport: &dyn Transport) {
        loop {
            if self.waiting.is_empty() {
                self.waiting = 0..transport.receive(&mut self.arrived).min(CHUNK);
            }
            let taken = self.discipline.receive(&self.arrived[self.waiting.clone()]);
            self.waiting.start += taken;
            self.discipline.flush(|bytes| transport.send(bytes));
            if taken == 0 {
                break;
            }
        }
    }
}
