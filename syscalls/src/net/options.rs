//! The options that all families have: socket(7), at the level `SOL_SOCKET`.

use abi::Errno;
use abi::net::{Linger, MessageFlags, option};
use abi::time::Timeval;
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::process::Capability;
use crate::wait::Patience;

/// What a buffer can hold at first, in bytes (/proc/sys/net/core/wmem_default).
const DEFAULT_BUFFER: u32 = 212_992;

/// What an unprivileged process can ask for (/proc/sys/net/core/wmem_max).
const LARGEST_BUFFER: u32 = 212_992;

/// What a buffer holds at least, in bytes, for sending and for receiving.
const SMALLEST_SEND_BUFFER: u32 = 4608;
const SMALLEST_RECEIVE_BUFFER: u32 = 2304;

/// Options that are on or off, and that nothing here depends on but a reader of them.
const SWITCHES: [u32; 8] = [
    option::SO_REUSEADDR,
    option::SO_REUSEPORT,
    option::SO_KEEPALIVE,
    option::SO_BROADCAST,
    option::SO_DONTROUTE,
    option::SO_OOBINLINE,
    option::SO_NO_CHECK,
    option::SO_PASSCRED,
];

/// How long a call waits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Timeout {
    /// In nanoseconds; `None` for ever.
    ns: Option<u64>,
}

impl Timeout {
    /// How long a call waits that begins now with these flags.
    pub(crate) fn patience(self, cx: &Context<'_>, flags: MessageFlags) -> Patience {
        match self.ns {
            _ if flags.contains(MessageFlags::DONTWAIT) => Patience::None,
            Some(ns) => Patience::Until(cx.system.machine.monotonic_ns().saturating_add(ns)),
            None => Patience::Forever,
        }
    }

    fn of(time: Timeval) -> Result<Self> {
        const US_PER_SECOND: i64 = 1_000_000;
        if !(0..US_PER_SECOND).contains(&time.microseconds) {
            return Err(Errno::EDOM.because("microseconds are less than a second"));
        }
        match time.to_ns() {
            // As on Linux, a time before now is no time at all.
            None => Ok(Self { ns: Some(0) }),
            Some(0) => Ok(Self { ns: None }),
            Some(ns) => Ok(Self { ns: Some(ns) }),
        }
    }

    fn time(self) -> Timeval {
        Timeval::from_ns(self.ns.unwrap_or(0))
    }
}

/// The options of a socket that all families have.
pub struct Options {
    values: Mutex<Values>,
}

#[derive(Clone, Copy)]
struct Values {
    /// Bit `n` for option `SWITCHES[n]`.
    switches: u32,
    send_buffer: u32,
    receive_buffer: u32,
    send_timeout: Timeout,
    receive_timeout: Timeout,
    linger: Linger,
    priority: u32,
    low_water: u32,
    mark: u32,
    /// The number of an interface; 0 for none.
    device: u32,
}

/// The value of an option, as the application gives and gets it.
pub(crate) enum Value {
    /// An `int`.
    Number(u32),
    /// A `struct timeval`.
    Time(Timeval),
    /// A `struct linger`.
    Linger(Linger),
}

impl Options {
    /// What a new socket has.
    pub(crate) fn new() -> Self {
        Self {
            values: Mutex::new(Values {
                switches: 0,
                send_buffer: DEFAULT_BUFFER,
                receive_buffer: DEFAULT_BUFFER,
                send_timeout: Timeout::default(),
                receive_timeout: Timeout::default(),
                linger: Linger::default(),
                priority: 0,
                low_water: 1,
                mark: 0,
                device: 0,
            }),
        }
    }

    /// The same for a connection that came to the socket of these.
    pub(crate) fn inherited(&self) -> Self {
        Self { values: Mutex::new(*self.values.lock()) }
    }

    /// Whether an option is on.
    pub(crate) fn is_on(&self, number: u32) -> bool {
        self.switch(number).unwrap_or(false)
    }

    /// After how many seconds close(2) gives up; `None` where it does not wait: `SO_LINGER`.
    pub(crate) fn linger_seconds(&self) -> Option<u32> {
        let linger = self.values.lock().linger;
        (linger.is_on != 0).then_some(linger.seconds)
    }

    /// The number of the only interface that is used: `SO_BINDTODEVICE`.
    pub(crate) fn device(&self) -> Option<u32> {
        Some(self.values.lock().device).filter(|&device| device != 0)
    }

    /// Sets that, or takes it back.
    pub(crate) fn set_device(&self, device: Option<u32>) {
        self.values.lock().device = device.unwrap_or(0);
    }

    /// `SO_SNDBUF`, where it was set.
    pub(crate) fn asked_send_buffer(&self) -> Option<usize> {
        Some(self.send_buffer()).filter(|&len| len != DEFAULT_BUFFER as usize)
    }

    /// `SO_RCVBUF`, where it was set.
    pub(crate) fn asked_receive_buffer(&self) -> Option<usize> {
        Some(self.receive_buffer()).filter(|&len| len != DEFAULT_BUFFER as usize)
    }

    /// `SO_RCVBUF`, in bytes.
    pub(crate) fn receive_buffer(&self) -> usize {
        self.values.lock().receive_buffer as usize
    }

    /// `SO_SNDBUF`, in bytes.
    pub(crate) fn send_buffer(&self) -> usize {
        self.values.lock().send_buffer as usize
    }

    /// `SO_SNDTIMEO`.
    pub(crate) fn send_timeout(&self) -> Timeout {
        self.values.lock().send_timeout
    }

    /// `SO_RCVTIMEO`.
    pub(crate) fn receive_timeout(&self) -> Timeout {
        self.values.lock().receive_timeout
    }

    /// `SO_PASSCRED`.
    pub(crate) fn passes_credentials(&self) -> bool {
        self.is_on(option::SO_PASSCRED)
    }

    fn switch(&self, number: u32) -> Option<bool> {
        let at = SWITCHES.iter().position(|&switch| switch == number)?;
        Some(self.values.lock().switches & 1 << at != 0)
    }

    /// The value of an option; `None` where it is none of these.
    pub(crate) fn get(&self, number: u32) -> Option<Value> {
        if let Some(is_on) = self.switch(number) {
            return Some(Value::Number(u32::from(is_on)));
        }
        let values = *self.values.lock();
        Some(match number {
            option::SO_SNDBUF => Value::Number(values.send_buffer),
            option::SO_RCVBUF => Value::Number(values.receive_buffer),
            option::SO_PRIORITY => Value::Number(values.priority),
            option::SO_MARK => Value::Number(values.mark),
            option::SO_RCVLOWAT => Value::Number(values.low_water),
            option::SO_SNDLOWAT => Value::Number(1),
            option::SO_SNDTIMEO_OLD | option::SO_SNDTIMEO_NEW => {
                Value::Time(values.send_timeout.time())
            }
            option::SO_RCVTIMEO_OLD | option::SO_RCVTIMEO_NEW => {
                Value::Time(values.receive_timeout.time())
            }
            option::SO_LINGER => Value::Linger(values.linger),
            _ => return None,
        })
    }

    /// Sets an option that is a number.
    ///
    /// # Errors
    /// `ENOPROTOOPT` for others; `EPERM`.
    pub(crate) fn set_number(&self, cx: &Context<'_>, number: u32, value: u32) -> Result<()> {
        let mut values = self.values.lock();
        if let Some(at) = SWITCHES.iter().position(|&switch| switch == number) {
            values.switches &= !(1 << at);
            values.switches |= u32::from(value != 0) << at;
            return Ok(());
        }
        let is_privileged = || cx.credentials().has(Capability::NetAdmin);
        match number {
            option::SO_SNDBUF => values.send_buffer = send_size(value.min(LARGEST_BUFFER)),
            option::SO_RCVBUF => values.receive_buffer = receive_size(value.min(LARGEST_BUFFER)),
            option::SO_SNDBUFFORCE if is_privileged() => values.send_buffer = send_size(value),
            option::SO_RCVBUFFORCE if is_privileged() => {
                values.receive_buffer = receive_size(value);
            }
            option::SO_PRIORITY if value <= 6 || is_privileged() => values.priority = value,
            option::SO_MARK if is_privileged() || cx.credentials().has(Capability::NetRaw) => {
                values.mark = value;
            }
            option::SO_SNDBUFFORCE
            | option::SO_RCVBUFFORCE
            | option::SO_PRIORITY
            | option::SO_MARK => {
                return Err(Errno::EPERM.because("needs CAP_NET_ADMIN"));
            }
            option::SO_RCVLOWAT => values.low_water = value.clamp(1, i32::MAX as u32),
            _ => return Err(unknown()),
        }
        Ok(())
    }

    /// Sets `SO_RCVTIMEO` or `SO_SNDTIMEO`.
    ///
    /// # Errors
    /// `EDOM`.
    pub(crate) fn set_time(&self, number: u32, time: Timeval) -> Result<()> {
        let timeout = Timeout::of(time)?;
        let mut values = self.values.lock();
        match number {
            option::SO_SNDTIMEO_OLD | option::SO_SNDTIMEO_NEW => values.send_timeout = timeout,
            _ => values.receive_timeout = timeout,
        }
        Ok(())
    }

    /// Sets `SO_LINGER`.
    pub(crate) fn set_linger(&self, linger: Linger) {
        let is_on = u32::from(linger.is_on != 0);
        self.values.lock().linger = Linger { is_on, ..linger };
    }
}

/// Linux doubles what is asked for, to have room for what it keeps beside the bytes.
fn doubled(value: u32) -> u32 {
    value.min(i32::MAX as u32 / 2) * 2
}

fn send_size(value: u32) -> u32 {
    doubled(value).max(SMALLEST_SEND_BUFFER)
}

fn receive_size(value: u32) -> u32 {
    doubled(value).max(SMALLEST_RECEIVE_BUFFER)
}

/// The error for an option that there is not.
pub(crate) fn unknown() -> Error {
    Errno::ENOPROTOOPT.because("there is no such option")
}
