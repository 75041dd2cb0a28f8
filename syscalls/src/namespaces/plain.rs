//! Namespaces of host names, of System V objects, of control groups and of networks.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::namespaces::first;
use spin::Mutex;

use crate::context::Context;
use crate::error::Result;
use crate::ipc::Ipc;

use super::{Common, Kind, UserNamespace};

/// What uname(2) tells that can be set: uts_namespaces(7).
pub(crate) struct UtsNamespace {
    pub(crate) common: Common,
    names: Mutex<Names>,
}

#[derive(Clone)]
struct Names {
    host: Vec<u8>,
    domain: Vec<u8>,
}

impl UtsNamespace {
    pub(super) fn first() -> Self {
        let names = Names { host: b"birgus".to_vec(), domain: b"(none)".to_vec() };
        Self { common: Common::first(first::UTS), names: Mutex::new(names) }
    }

    /// One that has the names of `old` at first.
    pub(super) fn copy(cx: &Context<'_>, old: &Self, owner: &UserNamespace) -> Result<Self> {
        let common = Common::new(cx, Kind::Uts, owner)?;
        Ok(Self { common, names: Mutex::new(old.names.lock().clone()) })
    }

    /// The host name, without a NUL.
    pub(crate) fn host_name(&self) -> Vec<u8> {
        self.names.lock().host.clone()
    }

    /// Sets the host name.
    pub(crate) fn set_host_name(&self, name: Vec<u8>) {
        self.names.lock().host = name;
    }

    /// The NIS domain name, without a NUL.
    pub(crate) fn domain_name(&self) -> Vec<u8> {
        self.names.lock().domain.clone()
    }

    /// Sets the NIS domain name.
    pub(crate) fn set_domain_name(&self, name: Vec<u8>) {
        self.names.lock().domain = name;
    }
}

/// Objects of System V and message queues of POSIX: ipc_namespaces(7).
pub(crate) struct IpcNamespace {
    pub(crate) common: Common,
    pub(crate) objects: Arc<Ipc>,
}

impl IpcNamespace {
    pub(super) fn first() -> Self {
        Self { common: Common::first(first::IPC), objects: Arc::default() }
    }

    /// One without objects.
    pub(super) fn new(cx: &Context<'_>, owner: &UserNamespace) -> Result<Self> {
        Ok(Self { common: Common::new(cx, Kind::Ipc, owner)?, objects: Arc::default() })
    }
}

/// Control groups, of which there are none: cgroup_namespaces(7).
pub(crate) struct CgroupNamespace(pub(super) Common);

/// Networks: network_namespaces(7). There is one.
pub(crate) struct NetNamespace(pub(super) Common);

impl NetNamespace {
    /// The user namespace that owns it.
    pub(crate) fn owner(&self) -> &UserNamespace {
        &self.0.owner
    }
}
