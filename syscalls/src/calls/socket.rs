//! Sockets: socket(2), bind(2), connect(2) and their kin. Messages are in `message`.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::fs::OpenFlags;
use abi::net::interface::NAME_LEN;
use abi::net::{
    ADDRESS_MAX, Linger, MessageFlags, SOMAXCONN, SocketFlags, Ucred, kind, level, option,
};
use abi::time::Timeval;
use zerocopy::{Immutable, IntoBytes};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{Fd, OnExec, OpenFile};
use crate::landlock;
use crate::net::{self, Directions, Socket, Value};
use crate::process::Capability;
use crate::user::UserPtr;

use super::open;

/// The longest option that is set, in bytes: a `struct group_req`.
const LONG_OPTION_MAX: usize = 136;

/// An open file that is a socket.
pub(crate) struct Opened {
    open: Arc<OpenFile>,
}

impl Opened {
    /// The socket behind a descriptor of the caller.
    ///
    /// # Errors
    /// `EBADF`; `ENOTSOCK`.
    pub(super) fn find(cx: &Context<'_>, fd: Fd) -> Result<Self> {
        Self::of(cx.files().get(fd)?)
    }

    /// The socket that an open file is.
    ///
    /// # Errors
    /// As [`Opened::find`].
    pub(crate) fn of(open: Arc<OpenFile>) -> Result<Self> {
        if open.is_path() {
            return Err(Errno::EBADF.because("the descriptor only names a place"));
        }
        match open.file.socket() {
            Some(_) => Ok(Self { open }),
            None => Err(not_a_socket()),
        }
    }

    /// The socket.
    pub(crate) fn socket(&self) -> Result<&dyn Socket> {
        self.open.file.socket().map(|socket| &**socket).ok_or_else(not_a_socket)
    }

    /// The flags of a call, with what the descriptor's status flags say.
    pub(super) fn flags(&self, flags: MessageFlags) -> MessageFlags {
        if self.open.is_nonblocking() { flags | MessageFlags::DONTWAIT } else { flags }
    }
}

fn not_a_socket() -> crate::error::Error {
    Errno::ENOTSOCK.because("the descriptor is no socket")
}

/// The flags of accept4(2) and socket(2).
///
/// # Errors
/// `EINVAL` for others.
pub(crate) fn check_flags(flags: u32) -> Result<SocketFlags> {
    let flags = SocketFlags::from_bits_retain(flags);
    if !SocketFlags::all().contains(flags) {
        return Err(Errno::EINVAL.because("unknown flags"));
    }
    Ok(flags)
}

fn add(cx: &Context<'_>, socket: Arc<dyn Socket>, flags: SocketFlags) -> Result<i32> {
    let flags = OpenFlags::from_bits_truncate(flags.bits());
    let opened = net::open(cx, socket, flags.intersection(OpenFlags::NONBLOCK));
    open::add(cx, opened, 0, OnExec::of(flags))
}

/// socket(2): makes a socket.
///
/// # Differences from Linux
/// Only the families of unix(7), ip(7), ipv6(7) and, for reading, rtnetlink(7), without
/// out-of-band data.
pub(crate) fn socket(cx: &Context<'_>, domain: i32, type_: u32, protocol: i32) -> Result<i32> {
    let flags = check_flags(type_ & !kind::MASK)?;
    let socket = net::create(cx, domain, type_ & kind::MASK, protocol)?;
    add(cx, socket, flags)
}

/// socketpair(2): makes two sockets that are connected with each other.
///
/// # Differences from Linux
/// None.
pub(crate) fn socketpair(
    cx: &Context<'_>,
    domain: i32,
    type_: u32,
    protocol: i32,
    descriptors: UserPtr<[i32; 2]>,
) -> Result<()> {
    let flags = check_flags(type_ & !kind::MASK)?;
    let [one, other] = net::create_pair(cx, domain, type_ & kind::MASK, protocol)?;
    let files = &cx.files();
    let one = add(cx, one, flags)?;
    let stored = add(cx, other, flags).and_then(|other| {
        let stored = descriptors.write(cx, &[one, other]);
        if stored.is_err() {
            files.remove(Fd(other))?;
        }
        stored
    });
    if stored.is_err() {
        files.remove(Fd(one))?;
    }
    stored
}

/// Loads an address of the application.
///
/// # Errors
/// `EINVAL` for a length that no address has; `EFAULT`.
pub(crate) fn read_address(cx: &Context<'_>, at: UserPtr<u8>, len: u32) -> Result<Vec<u8>> {
    let len = len as usize;
    if len > ADDRESS_MAX {
        return Err(Errno::EINVAL.because("no address is that long"));
    }
    at.read_array(cx, len)
}

/// Stores an address, cut to the room that the application says it has, and its length.
///
/// # Errors
/// `EINVAL` for a negative length; `EFAULT`.
pub(super) fn write_address(
    cx: &Context<'_>,
    address: &[u8],
    to: UserPtr<u8>,
    len: UserPtr<i32>,
) -> Result<()> {
    let room = usize::try_from(len.read(cx)?)
        .map_err(|_| Errno::EINVAL.because("the length is negative"))?;
    let cut = &address[..address.len().min(room)];
    cx.memory().write(to.address(), cut)?;
    // No address is longer than ADDRESS_MAX.
    len.write(cx, &(address.len() as i32))
}

/// bind(2): gives a socket an address.
///
/// # Differences from Linux
/// None.
pub(crate) fn bind(cx: &Context<'_>, fd: Fd, address: UserPtr<u8>, len: u32) -> Result<()> {
    let opened = Opened::find(cx, fd)?;
    let address = read_address(cx, address, len)?;
    let socket = opened.socket()?;
    landlock::check_bind(cx, socket, &address)?;
    socket.bind(cx, &address)
}

/// listen(2): lets a socket wait for connections.
///
/// # Differences from Linux
/// None.
pub(crate) fn listen(cx: &Context<'_>, fd: Fd, backlog: i32) -> Result<()> {
    // As on Linux, a negative number is a large one.
    let backlog = backlog.cast_unsigned().min(SOMAXCONN);
    Opened::find(cx, fd)?.socket()?.listen(cx, backlog)
}

/// accept(2): takes a connection.
///
/// # Differences from Linux
/// None.
pub(crate) fn accept(
    cx: &Context<'_>,
    fd: Fd,
    address: UserPtr<u8>,
    len: UserPtr<i32>,
) -> Result<i32> {
    accept4(cx, fd, address, len, 0)
}

/// accept4(2): takes a connection, with flags.
///
/// # Differences from Linux
/// None.
pub(crate) fn accept4(
    cx: &Context<'_>,
    fd: Fd,
    address: UserPtr<u8>,
    len: UserPtr<i32>,
    flags: u32,
) -> Result<i32> {
    let flags = check_flags(flags)?;
    accept_from(cx, &Opened::find(cx, fd)?, (address, len), flags)
}

/// Takes a connection, and stores from whom it is.
///
/// # Errors
/// Those of accept(2).
pub(crate) fn accept_from(
    cx: &Context<'_>,
    opened: &Opened,
    (address, len): (UserPtr<u8>, UserPtr<i32>),
    flags: SocketFlags,
) -> Result<i32> {
    let how = opened.flags(MessageFlags::empty());
    let accepted = opened.socket()?.accept(cx, how)?;
    if let Some(to) = address.non_null() {
        let peer = accepted.peer_name();
        let peer = peer.map_err(|_| Errno::ECONNABORTED.because("the peer is gone"))?;
        write_address(cx, &peer, to, len)?;
    }
    add(cx, accepted, flags)
}

/// connect(2): connects a socket.
///
/// # Differences from Linux
/// None.
pub(crate) fn connect(cx: &Context<'_>, fd: Fd, address: UserPtr<u8>, len: u32) -> Result<()> {
    let opened = Opened::find(cx, fd)?;
    let address = read_address(cx, address, len)?;
    connect_to(cx, &opened, &address, MessageFlags::empty())
}

/// Connects a socket.
///
/// # Errors
/// Those of connect(2).
pub(crate) fn connect_to(
    cx: &Context<'_>,
    opened: &Opened,
    address: &[u8],
    flags: MessageFlags,
) -> Result<()> {
    let socket = opened.socket()?;
    landlock::check_connect(cx, socket, address)?;
    socket.connect(cx, address, opened.flags(flags))
}

/// shutdown(2): ends directions of a connection.
///
/// # Differences from Linux
/// None.
pub(crate) fn shutdown(cx: &Context<'_>, fd: Fd, how: i32) -> Result<()> {
    shut_down(cx, &Opened::find(cx, fd)?, how)
}

/// Ends directions of a connection.
///
/// # Errors
/// Those of shutdown(2).
pub(crate) fn shut_down(cx: &Context<'_>, opened: &Opened, how: i32) -> Result<()> {
    let directions = match how {
        0 => Directions { receive: true, send: false },
        1 => Directions { receive: false, send: true },
        2 => Directions { receive: true, send: true },
        _ => return Err(Errno::EINVAL.because("no such directions")),
    };
    opened.socket()?.shutdown(cx, directions)
}

/// getsockname(2): the address of a socket.
///
/// # Differences from Linux
/// None.
pub(crate) fn getsockname(
    cx: &Context<'_>,
    fd: Fd,
    to: UserPtr<u8>,
    len: UserPtr<i32>,
) -> Result<()> {
    let opened = Opened::find(cx, fd)?;
    write_address(cx, &opened.socket()?.name(), to, len)
}

/// getpeername(2): the address of the peer.
///
/// # Differences from Linux
/// None.
pub(crate) fn getpeername(
    cx: &Context<'_>,
    fd: Fd,
    to: UserPtr<u8>,
    len: UserPtr<i32>,
) -> Result<()> {
    let opened = Opened::find(cx, fd)?;
    write_address(cx, &opened.socket()?.peer_name()?, to, len)
}

/// setsockopt(2): sets an option.
///
/// # Differences from Linux
/// Options of time stamps, filters and sources of multicast groups are not offered. `SO_MARK`
/// and, of those of IP and TCP, the type of service, the discovery of the MTU, the segment size,
/// and the times and counts of tcp(7) but `TCP_KEEPIDLE` are kept and have no effect. What is
/// corked leaves earlier when a segment arrives. close(2) lingers, but dup2(2) and
/// close_range(2) do not.
pub(crate) fn setsockopt(
    cx: &Context<'_>,
    fd: Fd,
    level: u32,
    number: u32,
    value: UserPtr<u8>,
    len: i32,
) -> Result<()> {
    let opened = Opened::find(cx, fd)?;
    let options = opened.socket()?.options();
    let len = usize::try_from(len).map_err(|_| too_short())?;
    let at = value.address();
    let needs = |needed: usize| if len < needed { Err(too_short()) } else { Ok(()) };
    if level != level::SOCKET {
        let long = || UserPtr::<u8>::new(at).read_array(cx, len.min(LONG_OPTION_MAX));
        if let Some(set) = opened.socket()?.set_long_option(level, number, &long) {
            return set;
        }
        // ip(7): a byte will do.
        let value = match len {
            0 => return Err(too_short()),
            1..4 => value.read(cx)?.into(),
            _ => UserPtr::new(at).read(cx)?,
        };
        return opened.socket()?.set_option(cx, level, number, value);
    }
    if number == option::SO_BINDTODEVICE {
        bind_to_device(cx, opened.socket()?, UserPtr::new(at), len)?;
        opened.socket()?.options_changed();
        return Ok(());
    }
    needs(size_of::<i32>())?;
    match number {
        option::SO_LINGER => {
            needs(size_of::<Linger>())?;
            options.set_linger(UserPtr::new(at).read(cx)?);
        }
        option::SO_RCVTIMEO_OLD
        | option::SO_RCVTIMEO_NEW
        | option::SO_SNDTIMEO_OLD
        | option::SO_SNDTIMEO_NEW => {
            needs(size_of::<Timeval>())?;
            options.set_time(number, UserPtr::new(at).read(cx)?)?;
        }
        _ => options.set_number(cx, number, UserPtr::new(at).read(cx)?)?,
    }
    opened.socket()?.options_changed();
    Ok(())
}

/// `SO_BINDTODEVICE`: the name of an interface, or none.
fn bind_to_device(
    cx: &Context<'_>,
    socket: &dyn Socket,
    name: UserPtr<u8>,
    len: usize,
) -> Result<()> {
    let options = socket.options();
    if options.device().is_some() && !cx.credentials().has(Capability::NetRaw) {
        return Err(Errno::EPERM.because("needs CAP_NET_RAW"));
    }
    let name = name.read_array(cx, len.min(NAME_LEN - 1))?;
    let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
    if name.is_empty() {
        options.set_device(None);
        return Ok(());
    }
    let all = cx.system.net.interfaces();
    let found = all.iter().find(|interface| interface.name.as_bytes() == name);
    let found = found.ok_or_else(|| Errno::ENODEV.because("there is no such interface"))?;
    options.set_device(Some(found.index));
    Ok(())
}

/// The name of the interface that a socket is bound to, with a NUL; nothing where it is to none.
fn device_name(cx: &Context<'_>, socket: &dyn Socket) -> Vec<u8> {
    let Some(device) = socket.options().device() else { return Vec::new() };
    let all = cx.system.net.interfaces();
    let found = all.into_iter().find(|interface| interface.index == device);
    let mut name = found.map(|interface| interface.name.into_bytes()).unwrap_or_default();
    name.push(0);
    name
}

fn too_short() -> crate::error::Error {
    Errno::EINVAL.because("the value is too short")
}

/// getsockopt(2): the value of an option.
///
/// # Differences from Linux
/// As setsockopt(2).
pub(crate) fn getsockopt(
    cx: &Context<'_>,
    fd: Fd,
    level: u32,
    number: u32,
    to: UserPtr<u8>,
    len: UserPtr<i32>,
) -> Result<()> {
    let opened = Opened::find(cx, fd)?;
    let socket = opened.socket()?;
    let room = usize::try_from(len.read(cx)?).map_err(|_| too_short())?;
    let out = Out { cx, to, len, room };
    if level != level::SOCKET {
        return match socket.long_option(level, number) {
            Some(value) => out.put(&value[..]),
            None => out.put(&socket.option(level, number)?),
        };
    }
    match socket.options().get(number) {
        Some(Value::Number(value)) => return out.put(&value),
        Some(Value::Time(time)) => return out.put(&time),
        Some(Value::Linger(linger)) => return out.put(&linger),
        None => {}
    }
    match number {
        option::SO_BINDTODEVICE => {
            let name = device_name(cx, socket);
            if !name.is_empty() && room < NAME_LEN {
                return Err(too_short());
            }
            out.put(&name[..])
        }
        option::SO_TYPE => out.put(&socket.kind().number()),
        option::SO_DOMAIN => out.put(&u32::from(socket.family())),
        option::SO_PROTOCOL => out.put(&socket.protocol()),
        option::SO_ACCEPTCONN => out.put(&u32::from(socket.is_listening())),
        option::SO_ERROR => {
            let error = socket.take_error();
            out.put(&error.map_or(0, |error| u32::from(error.number())))
        }
        option::SO_PEERCRED => {
            out.put::<Ucred>(&super::control::shown(cx, socket.peer_credentials()))
        }
        _ => Err(net::unknown_option()),
    }
}

/// Where the value of an option goes.
struct Out<'a> {
    cx: &'a Context<'a>,
    to: UserPtr<u8>,
    len: UserPtr<i32>,
    room: usize,
}

impl Out<'_> {
    /// Stores a value, cut to the room there is, and its length.
    fn put<T: IntoBytes + Immutable + ?Sized>(&self, value: &T) -> Result<()> {
        let bytes = value.as_bytes();
        let cut = &bytes[..bytes.len().min(self.room)];
        self.cx.memory().write(self.to.address(), cut)?;
        // No option is long.
        self.len.write(self.cx, &(cut.len() as i32))
    }
}
