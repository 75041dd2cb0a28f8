//! Signals: dispositions, masks, pending sets, delivery. signal(7).
//!
//! - [`SignalSet`]: a mask
//! - [`ProcessSignals`]: what threads share: dispositions, signals for the process
//! - [`ThreadSignals`]: what each thread has: mask, own signals, alternate stack
//! - [`info`]: the `siginfo_t` of each kind of sender
//!
//! A signal is sent in `send`, chosen and acted upon in `deliver` on the way back to the
//! application (or stops all threads in `job`), and becomes a frame on its stack in `frame`. Traps become signals in `trap`.
//!
//! # Locks
//! [`ProcessSignals`] before [`ThreadSignals`]; nothing below them.

mod altstack;
mod deliver;
mod disposition;
pub(crate) mod frame;
pub mod info;
mod job;
mod pending;
mod restart;
mod send;
mod set;
mod state;
mod trap;

pub use abi::signal::Signal;
pub(crate) use altstack::AlternateStack;
pub(crate) use disposition::Disposition;
pub(crate) use restart::RestartBlock;
pub(crate) use send::Target;
pub use set::SignalSet;
pub use state::{ProcessSignals, ThreadSignals};
