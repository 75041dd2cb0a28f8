//! The host: the launcher behind the control channel, or a person at the serial port.
//!
//! Without a control channel all output goes to the serial port, and its input is both the
//! terminal and standard input.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::boot::channel::{ExitStatus, Kind, LogLevel, Stream};
use spin::{Mutex, Once};
use syscalls::machine::News;
use virtio_drivers::transport::{DeviceType, Transport as _};

use super::channel::Channel;
use super::virtio::{self, Transport};
use super::{net, ninep, random, serial};
use crate::boot::CommandLine;
use crate::sched;

static HOST: Mutex<Host> = Mutex::new(Host::Serial { input: VecDeque::new() });
/// The thread that looks at devices.
static SERVICE: Once<Arc<sched::Thread>> = Once::new();

enum Host {
    Serial { input: VecDeque<u8> },
    Channel(Box<Channel>),
}

/// Finds the devices and takes up contact with the host. The current thread becomes the
/// service thread.
pub(crate) fn init(command_line: CommandLine) {
    SERVICE.call_once(sched::current);
    let mut console = None;
    let mut entropy = None;
    let mut directories = Vec::new();
    let mut links = Vec::new();
    for device in virtio::devices(command_line) {
        match device.device_type() {
            DeviceType::Console if console.is_none() => console = Some(device),
            DeviceType::EntropySource if entropy.is_none() => entropy = Some(device),
            DeviceType::_9P => directories.push(device),
            DeviceType::Network => links.push(device),
            _ => {}
        }
    }
    match console {
        Some(device) => open_channel(device),
        None => serial::enable_input(),
    }
    random::init(entropy);
    ninep::init(directories);
    net::init(links);
}

fn open_channel(device: Transport) {
    match Channel::new(device) {
        Ok(channel) => *HOST.lock() = Host::Channel(Box::new(channel)),
        Err(error) => log::error!("the virtio console does not work: {error}"),
    }
}

/// A device raised an interrupt: acknowledges it and wakes the service thread.
pub(crate) fn interrupted() {
    match &mut *HOST.lock() {
        Host::Channel(channel) => {
            channel.acknowledge();
        }
        Host::Serial { input } => input.extend(core::iter::from_fn(serial::read)),
    }
    ninep::acknowledge();
    net::acknowledge();
    if let Some(service) = SERVICE.get() {
        sched::unpark(service);
    }
}

/// Wakes the service thread.
pub(crate) fn wake_service() {
    if let Some(service) = SERVICE.get() {
        sched::unpark(service);
    }
}

/// What the devices have to say.
pub(crate) fn news() -> VecDeque<News> {
    let mut news = VecDeque::new();
    match &mut *HOST.lock() {
        Host::Channel(channel) => {
            if let Err(violation) = channel.process(&mut news) {
                panic!("the launcher does not keep to the protocol: {}", violation.0);
            }
        }
        Host::Serial { input } if input.is_empty() => {}
        Host::Serial { .. } => {
            news.extend([News::Readable(Stream::Terminal), News::Readable(Stream::Stdin)]);
        }
    }
    if ninep::take_news() {
        news.push_back(News::Answers);
    }
    if net::take_news() {
        news.push_back(News::Frames);
    }
    news
}

/// Takes bytes of a stream that have arrived.
pub(crate) fn receive(stream: Stream, to: &mut [u8]) -> usize {
    match &mut *HOST.lock() {
        Host::Channel(channel) => channel.receive(stream, to),
        Host::Serial { input } => {
            let len = to.len().min(input.len());
            to.iter_mut().zip(input.drain(..len)).for_each(|(slot, byte)| *slot = byte);
            len
        }
    }
}

/// Whether bytes of a stream have arrived.
pub(crate) fn can_receive(stream: Stream) -> bool {
    match &*HOST.lock() {
        Host::Channel(channel) => channel.can_receive(stream),
        Host::Serial { input } => !input.is_empty(),
    }
}

/// Sends bytes of a stream; returns how many were taken.
pub(crate) fn send(stream: Stream, bytes: &[u8]) -> usize {
    match &mut *HOST.lock() {
        Host::Channel(channel) => channel.send(stream, bytes),
        Host::Serial { .. } => {
            serial::write(bytes);
            bytes.len()
        }
    }
}

/// Whether a byte of a stream would be taken.
pub(crate) fn can_send(stream: Stream) -> bool {
    match &mut *HOST.lock() {
        Host::Channel(channel) => channel.can_send(stream),
        Host::Serial { .. } => true,
    }
}

/// Closes this side of a stream.
pub(crate) fn close(stream: Stream) {
    if let Host::Channel(channel) = &mut *HOST.lock() {
        channel.close(stream);
    }
}

/// Sends a line of the trace.
pub(crate) fn trace(line: &str) {
    match &mut *HOST.lock() {
        Host::Channel(channel) => {
            for part in line.as_bytes().chunks(abi::boot::channel::MAX_PAYLOAD) {
                channel.send_frame(Kind::Trace, Stream::Stdin, part);
            }
        }
        Host::Serial { .. } => {
            serial::write(line.as_bytes());
            serial::write(b"\r\n");
        }
    }
}

/// Sends a message of the kernel. Where the channel is in use by whoever logs, the message
/// goes to the serial port.
pub(crate) fn log(level: LogLevel, text: &[u8]) {
    let text = &text[..text.len().min(abi::boot::channel::MAX_PAYLOAD - 1)];
    if let Some(mut host) = HOST.try_lock()
        && let Host::Channel(channel) = &mut *host
    {
        let mut payload = alloc::vec![level as u8];
        payload.extend_from_slice(text);
        channel.send_frame(Kind::Log, Stream::Stdin, &payload);
        return;
    }
    serial::write(text);
    serial::write(b"\r\n");
}

/// Tells the host that the program is about to run.
pub(crate) fn entered() {
    if let Host::Channel(channel) = &mut *HOST.lock() {
        channel.send_frame(Kind::Entered, Stream::Stdin, &[]);
    }
}

/// Tells the host how the run ended and waits until it knows.
pub(crate) fn exit(status: ExitStatus) {
    if let Host::Channel(channel) = &mut *HOST.lock() {
        channel.send_frame(Kind::Exit, Stream::Stdin, &status.to_bytes());
        channel.flush();
    }
}

/// Makes the host reachable for the last words of a kernel that failed.
///
/// # Safety
/// Nothing else runs any more.
pub(crate) unsafe fn take_over() {
    // SAFETY: whoever held the lock does not go on.
    unsafe { HOST.force_unlock() };
}
