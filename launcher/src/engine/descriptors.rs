//! Descriptors of QEMU's that are not as they should be.
//!
//! The parent of a process can have its descriptors (pidfd_getfd(2)), and what belongs to the
//! open file description or the socket can be changed by whoever has one:
//!
//! - QEMU's user network lets one connection wait at each port it passes on. Of the others
//!   that come together with it the host drops the handshakes, and they are repeated after
//!   one, three and seven seconds. listen(2) may be called again.
//! - QEMU's console drops what its socket does not take at once, so that output was lost when
//!   this process was slow. Where its end blocks, the machine waits.

use rustix::fs::OFlags;
use rustix::io;
use rustix::net::{listen, sockopt};
use rustix::process::{ForeignRawFd, Pid, PidfdFlags, PidfdGetfdFlags, pidfd_getfd, pidfd_open};
use std::os::fd::OwnedFd;

/// How many connections may wait; the host has a limit of its own (`somaxconn`).
const BACKLOG: i32 = 4096;

/// Makes room at each socket at which `process`, a child, waits for connections; how many there
/// are.
///
/// # Errors
/// The host does not let this process have descriptors of its child.
pub(super) fn widen_backlogs(process: Pid) -> io::Result<usize> {
    let mut count = 0;
    for descriptor in sockets(process) {
        // It may have been closed since it was seen.
        let Ok(socket) = get(process, descriptor) else { continue };
        if sockopt::socket_acceptconn(&socket)? {
            listen(&socket, BACKLOG)?;
            count += 1;
        }
    }
    Ok(count)
}

/// Lets reads and writes of a descriptor of a child wait.
///
/// # Errors
/// As [`widen_backlogs`]; the child has no such descriptor.
pub(super) fn let_wait(process: Pid, descriptor: ForeignRawFd) -> io::Result<()> {
    let file = get(process, descriptor)?;
    let flags = rustix::fs::fcntl_getfl(&file)?;
    rustix::fs::fcntl_setfl(&file, flags.difference(OFlags::NONBLOCK))
}

fn get(process: Pid, descriptor: ForeignRawFd) -> io::Result<OwnedFd> {
    let child = pidfd_open(process, PidfdFlags::empty())?;
    pidfd_getfd(child, descriptor, PidfdGetfdFlags::empty())
}

/// The descriptors of a process that are sockets.
fn sockets(process: Pid) -> Vec<ForeignRawFd> {
    let folder = format!("/proc/{}/fd", process.as_raw_nonzero());
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let is_socket = |path: &std::path::Path| {
        std::fs::read_link(path).is_ok_and(|target| target.to_string_lossy().starts_with("socket:"))
    };
    let sockets = entries.filter(|entry| is_socket(&entry.path()));
    sockets.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    #[test]
    fn a_listener_gets_room_for_more() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listen(&listener, 1).unwrap();
        assert!(widen_backlogs(rustix::process::getpid()).unwrap() > 0);
        let address = listener.local_addr().unwrap();
        let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(500));
        let connections: Result<Vec<_>, _> = (0..32).map(|_| connect()).collect();
        assert!(connections.is_ok());
    }

    #[test]
    fn a_descriptor_waits_again() {
        let (one, _other) = UnixStream::pair().unwrap();
        one.set_nonblocking(true).unwrap();
        let_wait(rustix::process::getpid(), one.as_raw_fd()).unwrap();
        let flags = rustix::fs::fcntl_getfl(&one).unwrap();
        assert!(!flags.contains(OFlags::NONBLOCK));
    }
}
