//! ioctl(2) on terminals: ioctl_tty(2).

use abi::Errno;
use abi::signal::Signal;
use abi::terminal::request as r;
use abi::terminal::{
    InputFlags, Termio, Termios, Termios2, Winsize, control, flow, packet, queue, request,
};

use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::process::Capability;
use crate::user::UserPtr;

use super::Terminal;
use super::settings::Settings;

/// When new settings take effect.
#[derive(Clone, Copy, PartialEq, Eq)]
enum When {
    /// At once: `TCSANOW`.
    Now,
    /// When all output is written: `TCSADRAIN`.
    Drained,
    /// Then, and input that has not been read is lost: `TCSAFLUSH`.
    Flushed,
}

impl Terminal {
    /// The requests of ioctl_tty(2). Breaks are not sent: there is no line to send them on.
    ///
    /// # Errors
    /// `ENOTTY` for an unknown request, otherwise as the manual page says.
    pub(super) fn ioctl(&self, cx: &Context<'_>, number: u32, argument: u64) -> Result<Outcome> {
        if self.state().is_hung_up() {
            return Err(match number {
                r::TIOCSPGRP => Errno::ENOTTY.because("the terminal is hung up"),
                _ => Errno::EIO.because("the terminal is hung up"),
            });
        }
        match number {
            r::TCGETS | r::TCGETS2 | r::TCGETA => self.get_settings(cx, number, argument)?,
            r::TCSETS | r::TCSETS2 | r::TCSETA => {
                self.set_settings(cx, number, argument, When::Now)?;
            }
            r::TCSETSW | r::TCSETSW2 | r::TCSETAW => {
                self.set_settings(cx, number, argument, When::Drained)?;
            }
            r::TCSETSF | r::TCSETSF2 | r::TCSETAF => {
                self.set_settings(cx, number, argument, When::Flushed)?;
            }
            r::TCSBRK | r::TCSBRKP => {
                self.check_foreground(cx, Signal::SIGTTOU)?;
                self.drain(cx)?;
            }
            r::TCXONC => self.control_flow(cx, argument)?,
            r::TCFLSH => self.flush(cx, argument)?,
            r::TIOCOUTQ => {
                let len = self.state().discipline.output.len();
                UserPtr::new(argument).write(cx, &i32::try_from(len).unwrap_or(i32::MAX))?;
            }
            r::TIOCSTI => self.simulate_input(cx, argument)?,
            r::TIOCGWINSZ => {
                let window = self.state().window;
                UserPtr::new(argument).write(cx, &window)?;
            }
            r::TIOCSWINSZ => {
                let window: Winsize = UserPtr::new(argument).read(cx)?;
                self.set_window(cx.system, window);
            }
            r::TIOCEXCL => self.state().is_exclusive = true,
            r::TIOCNXCL => self.state().is_exclusive = false,
            r::TIOCGEXCL => {
                let is_exclusive = i32::from(self.state().is_exclusive);
                UserPtr::new(argument).write(cx, &is_exclusive)?;
            }
            r::TIOCGLCKTRMIOS => {
                let locked = self.state().locked;
                UserPtr::new(argument).write(cx, &locked)?;
            }
            r::TIOCSLCKTRMIOS => {
                if !cx.credentials().has(Capability::SysAdmin) {
                    return Err(Errno::EPERM.because("locking settings needs CAP_SYS_ADMIN"));
                }
                let locked: Termios = UserPtr::new(argument).read(cx)?;
                self.state().locked = locked;
            }
            r::TIOCGETD => UserPtr::new(argument).write(cx, &0_i32)?,
            r::TIOCSETD => set_discipline(UserPtr::new(argument).read(cx)?)?,
            _ => self.control_jobs(cx, number, argument)?,
        }
        Ok(().into())
    }

    /// The requests of job control.
    fn control_jobs(&self, cx: &Context<'_>, request: u32, argument: u64) -> Result<()> {
        match request {
            request::TIOCSCTTY => self.acquire(cx, argument == 1),
            request::TIOCNOTTY => self.release(cx),
            request::TIOCGPGRP => {
                let group = cx.shown_id(self.check_controlling(cx)?.foreground);
                UserPtr::new(argument).write(cx, &group)
            }
            request::TIOCSPGRP => self.set_foreground(cx, UserPtr::new(argument).read(cx)?),
            request::TIOCGSID => {
                let session = self.check_controlling(cx)?.session;
                UserPtr::new(argument).write(cx, &session)
            }
            _ => Err(Errno::ENOTTY.because("the terminal does not know this request")),
        }
    }

    fn get_settings(&self, cx: &Context<'_>, request: u32, argument: u64) -> Result<()> {
        let settings = self.state().settings;
        match request {
            request::TCGETS2 => UserPtr::new(argument).write(cx, &settings.termios2()),
            request::TCGETA => UserPtr::new(argument).write(cx, &settings.termio()),
            _ => UserPtr::new(argument).write(cx, &settings.termios()),
        }
    }

    fn set_settings(
        &self,
        cx: &Context<'_>,
        request: u32,
        argument: u64,
        when: When,
    ) -> Result<()> {
        self.check_foreground(cx, Signal::SIGTTOU)?;
        let (old, locked) = {
            let state = self.state();
            (state.settings, state.locked)
        };
        let new = read_settings(cx, &old, request, argument)?.except(&locked, &old);
        if when != When::Now {
            self.drain(cx)?;
        }
        self.with(cx.system, |state| {
            if when == When::Flushed {
                state.discipline.flush_input();
            }
            state.settings = new;
            state.discipline.set_settings(new.termios());
        });
        if stops_output(&old.termios()) != stops_output(&new.termios()) {
            let stops = stops_output(&new.termios());
            self.transport().tell(if stops { packet::DOSTOP } else { packet::NOSTOP });
        }
        Ok(())
    }

    /// `TCXONC`: tcflow(3).
    fn control_flow(&self, cx: &Context<'_>, action: u64) -> Result<()> {
        self.check_foreground(cx, Signal::SIGTTOU)?;
        match action {
            flow::TCOOFF => self.transport().tell(packet::STOP),
            flow::TCOON => self.transport().tell(packet::START),
            _ => {}
        }
        self.with(cx.system, |state| {
            let key = match action {
                flow::TCOOFF | flow::TCOON => {
                    state.discipline.set_stopped(action == flow::TCOOFF);
                    return Ok(());
                }
                flow::TCIOFF => control::VSTOP,
                flow::TCION => control::VSTART,
                _ => return Err(Errno::EINVAL.because("no such action")),
            };
            match state.discipline.settings.control[key] {
                0 => {}
                byte => state.discipline.output.put_first(byte),
            }
            Ok(())
        })
    }

    /// `TCFLSH`: tcflush(3).
    fn flush(&self, cx: &Context<'_>, which: u64) -> Result<()> {
        self.check_foreground(cx, Signal::SIGTTOU)?;
        if !matches!(which, queue::TCIFLUSH | queue::TCOFLUSH | queue::TCIOFLUSH) {
            return Err(Errno::EINVAL.because("no such queue"));
        }
        self.with(cx.system, |state| {
            if which != queue::TCOFLUSH {
                state.discipline.flush_input();
            }
            if which != queue::TCIFLUSH {
                state.discipline.output.clear();
            }
        });
        if which != queue::TCOFLUSH {
            self.transport().tell(packet::FLUSHREAD);
        }
        if which != queue::TCIFLUSH {
            self.transport().tell(packet::FLUSHWRITE);
        }
        Ok(())
    }

    /// `TIOCSTI`: as if the user had typed a byte.
    fn simulate_input(&self, cx: &Context<'_>, argument: u64) -> Result<()> {
        let byte: u8 = UserPtr::new(argument).read(cx)?;
        self.with(cx.system, |state| state.discipline.receive(&[byte]));
        Ok(())
    }
}

fn read_settings(
    cx: &Context<'_>,
    old: &Settings,
    request: u32,
    argument: u64,
) -> Result<Settings> {
    Ok(match request {
        request::TCSETS2 | request::TCSETSW2 | request::TCSETSF2 => {
            old.with_termios2(UserPtr::<Termios2>::new(argument).read(cx)?)
        }
        request::TCSETA | request::TCSETAW | request::TCSETAF => {
            old.with_termio(UserPtr::<Termio>::new(argument).read(cx)?)
        }
        _ => old.with_termios(UserPtr::<Termios>::new(argument).read(cx)?),
    })
}

/// Whether `^S` and `^Q` stop output and let it go on.
fn stops_output(settings: &Termios) -> bool {
    let (stop, start) = (settings.control[control::VSTOP], settings.control[control::VSTART]);
    settings.input_flags().contains(InputFlags::IXON) && (stop, start) == (0x13, 0x11)
}

/// `TIOCSETD`: there is only one line discipline.
fn set_discipline(number: i32) -> Result<()> {
    if number == 0 { Ok(()) } else { Err(Errno::EINVAL.because("no such line discipline")) }
}
