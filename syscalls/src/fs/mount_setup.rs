//! File systems on their way to be mounted: fsopen(2), fspick(2).

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use spin::Mutex;

use crate::context::Context;
use crate::error::{Because, Error, Result};

use super::anonymous;
use super::file::File;
use super::inode::Inode;
use super::mount::{MountAccess, SuperBlock};
use super::mount_type;

/// Longest value of an option, in bytes.
const VALUE_MAX: usize = 256;

/// Options that change nothing: everything is stored at once, and locks are never mandatory.
const IGNORED: [&[u8]; 7] =
    [b"sync", b"async", b"dirsync", b"lazytime", b"nolazytime", b"mand", b"nomand"];

/// What a descriptor of fsopen(2) or fspick(2) refers to.
pub struct MountSetup {
    inode: Arc<dyn Inode>,
    state: Mutex<State>,
}

struct State {
    phase: Phase,
    /// Its type, as mount(2) knows it.
    kind: Vec<u8>,
    source: Option<Vec<u8>>,
    /// The options, each with a comma before it.
    options: Vec<u8>,
    access: Option<MountAccess>,
}

#[derive(Clone)]
enum Phase {
    /// It is said what it is to be.
    Creating,
    /// It can be mounted.
    Created(Arc<SuperBlock>),
    /// It can be changed.
    Changing(Arc<SuperBlock>),
}

impl MountSetup {
    /// A file system of this type is to be made.
    ///
    /// # Errors
    /// `ENODEV` for a type that is not known.
    pub(crate) fn create(kind: Vec<u8>) -> Result<Arc<Self>> {
        if !mount_type::names().any(|name| name.as_bytes() == kind) {
            return Err(Errno::ENODEV.because("the type of file system is not known"));
        }
        Ok(Self::new(kind, Phase::Creating))
    }

    /// What is mounted is to be changed.
    pub(crate) fn pick(super_block: &Arc<SuperBlock>) -> Arc<Self> {
        Self::new(Vec::new(), Phase::Changing(super_block.clone()))
    }

    fn new(kind: Vec<u8>, phase: Phase) -> Arc<Self> {
        let state = State { phase, kind, source: None, options: Vec::new(), access: None };
        Arc::new(Self { inode: anonymous::inode("[fscontext]"), state: Mutex::new(state) })
    }

    /// Whether `key` is one of the options that every file system takes.
    pub(crate) fn is_flag(key: &[u8]) -> bool {
        matches!(key, b"ro" | b"rw") || IGNORED.contains(&key)
    }

    /// Sets an option, with a value or without.
    ///
    /// # Errors
    /// `EINVAL` for a value that cannot be; `EBUSY` when it is too late.
    pub(crate) fn set(&self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Created(_)) {
            return Err(too_late());
        }
        match key {
            b"ro" => state.access = Some(MountAccess::ReadOnly),
            b"rw" => state.access = Some(MountAccess::ReadWrite),
            key if IGNORED.contains(&key) => {}
            b"source" => {
                let value = value.filter(|_| state.source.is_none());
                let source = value.ok_or_else(|| Errno::EINVAL.because("one source"))?;
                state.source = Some(source.to_vec());
            }
            _ => state.add_option(key, value)?,
        }
        Ok(())
    }

    /// Makes the file system.
    ///
    /// # Errors
    /// `EBUSY` when that has been done; those of mount(2).
    pub(crate) fn finish(&self, cx: &Context<'_>) -> Result<()> {
        let mut state = self.state.lock();
        if !matches!(state.phase, Phase::Creating) {
            return Err(too_late());
        }
        let default = || mount_type::default_source(&state.kind).to_vec();
        let source = state.source.clone().unwrap_or_else(default);
        let options = state.options.get(1..).unwrap_or_default();
        let access = state.access.unwrap_or(MountAccess::ReadWrite);
        let super_block = mount_type::create(cx, &state.kind, &source, (access, options))?;
        state.phase = Phase::Created(super_block);
        Ok(())
    }

    /// Changes what is mounted.
    ///
    /// # Errors
    /// `EBUSY` when it is not mounted yet; those of mount(2) with `MS_REMOUNT`.
    pub(crate) fn change(&self, cx: &Context<'_>) -> Result<()> {
        let mut state = self.state.lock();
        let Phase::Changing(super_block) = state.phase.clone() else {
            return Err(too_late());
        };
        super_block.check_privilege(&cx.credentials())?;
        super_block.file_system().remount(state.options.get(1..).unwrap_or_default())?;
        if let Some(access) = state.access {
            super_block.set_access(access)?;
        }
        state.options.clear();
        Ok(())
    }

    /// The file system that was made, which can be mounted once.
    ///
    /// # Errors
    /// `EINVAL` before it is made; `EBUSY` after it is mounted.
    pub(crate) fn take(&self) -> Result<Arc<SuperBlock>> {
        let mut state = self.state.lock();
        match state.phase.clone() {
            Phase::Creating => Err(Errno::EINVAL.because("the file system is not made yet")),
            Phase::Changing(_) => Err(too_late()),
            Phase::Created(super_block) => {
                state.options.clear();
                state.phase = Phase::Changing(super_block.clone());
                Ok(super_block)
            }
        }
    }
}

impl State {
    fn add_option(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let len = value.map_or(0, <[u8]>::len);
        let separate = |byte: &u8| *byte == b',';
        if len > VALUE_MAX || key.iter().chain(value.unwrap_or_default()).any(separate) {
            return Err(Errno::EINVAL.because("the option is too long, or several"));
        }
        if self.options.len() + key.len() + len + 2 > abi::PAGE_SIZE {
            return Err(Errno::EINVAL.because("the options are too long"));
        }
        self.options.push(b',');
        self.options.extend_from_slice(key);
        if let Some(value) = value {
            self.options.push(b'=');
            self.options.extend_from_slice(value);
        }
        Ok(())
    }
}

fn too_late() -> Error {
    Errno::EBUSY.because("not at this stage")
}

/// A [`MountSetup`] that is open.
pub(crate) struct OpenSetup(pub(crate) Arc<MountSetup>);

impl File for OpenSetup {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.0.inode
    }

    fn mount_setup(&self) -> Option<&Arc<MountSetup>> {
        Some(&self.0)
    }

    fn read(
        &self,
        _: &Context<'_>,
        _: &super::open_file::OpenFile,
        _: u64,
        _: &mut dyn crate::io::Sink,
    ) -> Result<usize> {
        Err(Errno::ENODATA.because("there are no messages"))
    }
}
