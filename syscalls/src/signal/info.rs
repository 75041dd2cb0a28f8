//! What a signal says about its origin: sigaction(2), "The siginfo_t argument".

use abi::PAGE_SIZE;
use abi::signal::{SigInfo, Signal, si};
use abi::time::{NS_PER_SECOND, TICKS_PER_SECOND};

use crate::fs::PollEvents;
use crate::process::Process;
use crate::process::wait::Report;

fn new(signal: Signal, code: i32, fields: &[u64]) -> SigInfo {
    let mut all = [0; 14];
    all[..fields.len()].copy_from_slice(fields);
    SigInfo { signo: i32::from(signal.number()), errno: 0, code, padding: 0, fields: all }
}

/// From the kernel, without a cause that the code could name.
#[must_use]
pub fn kernel(signal: Signal) -> SigInfo {
    new(signal, si::KERNEL, &[])
}

/// From process `pid` of user `uid`, by kill(2) or, with the code [`si::TKILL`], tgkill(2).
#[must_use]
pub fn user(signal: Signal, code: i32, pid: u32, uid: u32) -> SigInfo {
    new(signal, code, &[u64::from(pid) | u64::from(uid) << 32])
}

/// To the process `to` from a child, whose end, stop or continuation `report` is. Times are in clock ticks.
#[must_use]
pub(crate) fn child(signal: Signal, child: &Process, to: &Process, report: Report) -> SigInfo {
    let (code, status) = report.code_and_status();
    let id = to.pid_namespace.shown(child.id());
    let user = to.credentials().namespace.shown_user(child.credentials().users.real);
    let sender = u64::from(id) | u64::from(user) << 32;
    let ticks = |ns| ns / (NS_PER_SECOND / TICKS_PER_SECOND);
    let cpu = child.cpu_time();
    let (user, system) = (ticks(cpu.user_ns()), ticks(cpu.system_ns));
    new(signal, code, &[sender, u64::from(status.cast_unsigned()), user, system])
}

/// From timer `timer` of timer_create(2), with what the application gave along.
#[must_use]
pub(crate) fn timer(signal: Signal, timer: i32, value: u64) -> SigInfo {
    new(signal, si::TIMER, &[u64::from(timer.cast_unsigned()), value])
}

/// From an open file that has become ready for `events`, known as `descriptor`.
#[must_use]
pub(crate) fn ready(signal: Signal, events: PollEvents, descriptor: i32) -> SigInfo {
    let code = if events.contains(PollEvents::HUP) {
        si::POLL_HUP
    } else if events.contains(PollEvents::ERR) {
        si::POLL_ERR
    } else if events.contains(PollEvents::MSG) {
        si::POLL_MSG
    } else if events.contains(PollEvents::IN) {
        si::POLL_IN
    } else {
        si::POLL_OUT
    };
    new(signal, code, &[events.bits().into(), descriptor.cast_unsigned().into()])
}

/// From the program's own access to `address`.
#[must_use]
pub fn fault(signal: Signal, code: i32, address: u64) -> SigInfo {
    new(signal, code, &[address])
}

/// Damaged memory in the page at `address`.
pub fn damage(address: u64) -> SigInfo {
    new(Signal::SIGBUS, si::BUS_MCEERR_AR, &[address, u64::from(PAGE_SIZE.trailing_zeros())])
}

/// The signal that `info` is about, or `None` where its number is none.
#[must_use]
pub fn signal(info: &SigInfo) -> Option<Signal> {
    Signal::new(u8::try_from(info.signo).ok()?)
}

/// The sending process, where the code says that there is one.
#[must_use]
pub fn sender(info: &SigInfo) -> Option<u32> {
    (info.code <= 0 && info.code != si::TIMER).then_some(info.fields[0] as u32)
}
