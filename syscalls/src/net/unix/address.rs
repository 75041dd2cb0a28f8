//! Addresses of unix(7): a path, a name in a space of its own, or none.

use alloc::collections::BTreeMap;
use alloc::format;
use alloc::sync::Arc;
use alloc::sync::Weak;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use abi::Errno;
use abi::fs::{AT_FDCWD, AccessRequest, Device, FileType, Mode};
use abi::net::{UNIX_ADDRESS_MAX, family};
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Error, Result};
use crate::fs::path::{self, Follow};
use crate::fs::{Fd, Inode, NewKind, permission, tree};

use super::UnixSocket;

/// Length of the family in front of each address, in bytes.
const FAMILY_LEN: usize = size_of::<u16>();

/// An address that is not the empty one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Address {
    /// A path.
    Path(Vec<u8>),
    /// A name that is no path; without the NUL before it.
    Abstract(Vec<u8>),
}

impl Address {
    /// The address in these bytes; `None` for one of only a family.
    ///
    /// # Errors
    /// `EINVAL`.
    pub(super) fn decode(bytes: &[u8]) -> Result<Option<Self>> {
        let invalid = || Errno::EINVAL.because("not an address of this family");
        let (head, rest) = bytes.split_at_checked(FAMILY_LEN).ok_or_else(invalid)?;
        if head != family::UNIX.to_ne_bytes() || bytes.len() > UNIX_ADDRESS_MAX {
            return Err(invalid());
        }
        Ok(match rest.split_first() {
            None => None,
            Some((0, name)) => Some(Self::Abstract(name.to_vec())),
            Some(_) => {
                let end = rest.iter().position(|&byte| byte == 0).unwrap_or(rest.len());
                Some(Self::Path(rest[..end].to_vec()))
            }
        })
    }

    /// The address as the application sees it.
    pub(super) fn encode(address: Option<&Self>) -> Vec<u8> {
        let mut bytes = family::UNIX.to_ne_bytes().to_vec();
        match address {
            None => {}
            Some(Self::Path(path)) => {
                bytes.extend_from_slice(path);
                bytes.push(0);
            }
            Some(Self::Abstract(name)) => {
                bytes.push(0);
                bytes.extend_from_slice(name);
            }
        }
        bytes
    }
}

/// An address that a socket has, until it is dropped.
pub(super) struct Bound {
    pub(super) address: Address,
    /// Where it is a path: what is there.
    inode: Option<Arc<dyn Inode>>,
}

impl Bound {
    /// Frees the address: the socket is gone.
    pub(super) fn release(&self, names: &Names) {
        let mut state = names.state.lock();
        match (&self.inode, &self.address) {
            (Some(inode), _) => drop(state.inodes.remove(&address_of(inode))),
            (None, Address::Abstract(name)) => drop(state.names.remove(name)),
            (None, Address::Path(_)) => {}
        }
    }
}

fn address_of(inode: &Arc<dyn Inode>) -> usize {
    Arc::as_ptr(inode).cast::<()>().addr()
}

/// Who has which address.
#[derive(Default)]
pub(crate) struct Names {
    state: Mutex<State>,
    /// Where the search for a free name begins.
    next: AtomicU32,
}

#[derive(Default)]
struct State {
    names: BTreeMap<Vec<u8>, Weak<UnixSocket>>,
    /// By the address of the inode, which the socket keeps.
    inodes: BTreeMap<usize, Weak<UnixSocket>>,
}

impl Names {
    /// Gives `socket` an address: a free name where there is none.
    ///
    /// # Errors
    /// `EADDRINUSE`; those of mknod(2).
    pub(super) fn bind(
        &self,
        cx: &Context<'_>,
        socket: &Weak<UnixSocket>,
        address: Option<Address>,
    ) -> Result<Bound> {
        match address {
            None => self.bind_free_name(socket),
            Some(address @ Address::Abstract(_)) => self.bind_name(socket, address),
            Some(Address::Path(path)) => self.bind_path(cx, socket, path),
        }
    }

    fn bind_name(&self, socket: &Weak<UnixSocket>, address: Address) -> Result<Bound> {
        let Address::Abstract(name) = &address else {
            return Err(in_use());
        };
        let mut state = self.state.lock();
        if state.names.contains_key(name) {
            return Err(in_use());
        }
        state.names.insert(name.clone(), socket.clone());
        Ok(Bound { address, inode: None })
    }

    /// Five hexadecimal digits, as Linux names sockets.
    fn bind_free_name(&self, socket: &Weak<UnixSocket>) -> Result<Bound> {
        const COUNT: u32 = 1 << 20;
        for _ in 0..COUNT {
            let number = self.next.fetch_add(1, Ordering::Relaxed) % COUNT;
            let name = Address::Abstract(format!("{number:05x}").into_bytes());
            if let Ok(bound) = self.bind_name(socket, name) {
                return Ok(bound);
            }
        }
        Err(Errno::ENOSPC.because("no name is free"))
    }

    fn bind_path(
        &self,
        cx: &Context<'_>,
        socket: &Weak<UnixSocket>,
        name: Vec<u8>,
    ) -> Result<Bound> {
        let end = path::parent(cx, Fd(AT_FDCWD), name.clone())?;
        let kind = NewKind::Special(FileType::Socket, Device::default());
        let made = tree::create(cx, &end, kind, Mode::ALL).map_err(|error| match error.errno {
            Errno::EEXIST => in_use(),
            _ => error,
        })?;
        let inode = made.inode().clone();
        self.state.lock().inodes.insert(address_of(&inode), socket.clone());
        Ok(Bound { address: Address::Path(name), inode: Some(inode) })
    }

    /// The socket that has this address.
    ///
    /// # Errors
    /// `ECONNREFUSED` when there is none; those of finding the file.
    pub(super) fn find(&self, cx: &Context<'_>, address: &Address) -> Result<Arc<UnixSocket>> {
        let found = match address {
            Address::Abstract(name) => self.state.lock().names.get(name).and_then(Weak::upgrade),
            Address::Path(name) => {
                let location = path::resolve(cx, Fd(AT_FDCWD), name.clone(), Follow::Last)?;
                let inode = location.inode();
                permission::check_inode(cx, inode, AccessRequest::WRITE)?;
                let state = self.state.lock();
                state.inodes.get(&address_of(inode)).and_then(Weak::upgrade)
            }
        };
        found.ok_or_else(|| Errno::ECONNREFUSED.because("nobody has that address"))
    }
}

fn in_use() -> Error {
    Errno::EADDRINUSE.because("the address is in use")
}
