//! What a process does on a signal.

use abi::signal::{SIG_DFL, SIG_IGN, SigAction, Signal};

/// What happens when a signal is delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Disposition {
    /// Nothing.
    Ignore,
    /// The process ends.
    Terminate,
    /// The process ends, on Linux with a core dump if one is asked for.
    Core,
    /// The process stops until `SIGCONT`.
    Stop,
    /// A handler of the application runs.
    Handle(SigAction),
}

impl Disposition {
    /// What a process with this action does on `signal`.
    pub(crate) fn of(signal: Signal, action: SigAction) -> Self {
        match action.handler {
            SIG_DFL => Self::default_of(signal),
            SIG_IGN => Self::Ignore,
            _ => Self::Handle(action),
        }
    }

    /// The default action: signal(7), "Standard signals". To continue is done when
    /// `SIGCONT` is sent; nothing is left to do on its delivery.
    const fn default_of(signal: Signal) -> Self {
        match signal {
            Signal::SIGCHLD | Signal::SIGCONT | Signal::SIGURG | Signal::SIGWINCH => Self::Ignore,
            Signal::SIGSTOP | Signal::SIGTSTP | Signal::SIGTTIN | Signal::SIGTTOU => Self::Stop,
            Signal::SIGQUIT
            | Signal::SIGILL
            | Signal::SIGTRAP
            | Signal::SIGABRT
            | Signal::SIGBUS
            | Signal::SIGFPE
            | Signal::SIGSEGV
            | Signal::SIGXCPU
            | Signal::SIGXFSZ
            | Signal::SIGSYS => Self::Core,
            _ => Self::Terminate,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_manual() {
        let default = SigAction::default();
        assert_eq!(Disposition::of(Signal::SIGTERM, default), Disposition::Terminate);
        assert_eq!(Disposition::of(Signal::SIGABRT, default), Disposition::Core);
        assert_eq!(Disposition::of(Signal::SIGWINCH, default), Disposition::Ignore);
        assert_eq!(Disposition::of(Signal::SIGTSTP, default), Disposition::Stop);
        let real_time = Signal::new(64).unwrap();
        assert_eq!(Disposition::of(real_time, default), Disposition::Terminate);
        let ignored = SigAction { handler: SIG_IGN, ..default };
        assert_eq!(Disposition::of(Signal::SIGTERM, ignored), Disposition::Ignore);
    }
}
