//! From where a process sees the tree: root and working directory, and its umask.

use alloc::sync::Arc;

use abi::fs::Mode;

use crate::error::Result;
use crate::joint::Joint;
use crate::namespaces::UserNamespace;

use super::mount::Location;
use super::mount_table::MountTable;

/// Root, working directory and umask of a process (`fs_struct` of Linux).
pub struct FsContext {
    state: Joint<State>,
}

#[derive(Clone)]
struct State {
    root: Location,
    working: Location,
    umask: Mode,
    /// Which mounts it sees; those that `root` is one of where nobody has said.
    mounts: Option<Arc<MountTable>>,
}

impl FsContext {
    /// Root and working directory at `root`, umask 022.
    #[must_use]
    pub fn new(root: Location) -> Self {
        let umask = Mode::GROUP_WRITE | Mode::OTHERS_WRITE;
        let mounts = root.mount.table();
        Self { state: Joint::new(State { working: root.clone(), root, umask, mounts }) }
    }

    /// The root directory.
    #[must_use]
    pub fn root(&self) -> Location {
        self.state.with(|state| state.root.clone())
    }

    /// The working directory.
    #[must_use]
    pub fn working_directory(&self) -> Location {
        self.state.with(|state| state.working.clone())
    }

    /// The mounts it sees.
    #[must_use]
    pub fn mounts(&self) -> Option<Arc<MountTable>> {
        self.state.with(|state| state.mounts.clone())
    }

    /// Sees a copy of the mounts from now on, which will belong to `owner`: `CLONE_NEWNS`.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn separate_mounts(&self, owner: &UserNamespace) -> Result<()> {
        let Some(mounts) = self.mounts() else {
            return Ok(());
        };
        let (mounts, [root, working]) =
            mounts.duplicate(owner, [self.root(), self.working_directory()])?;
        self.state.separate();
        let umask = self.umask();
        let new = State { root, working, umask, mounts: Some(mounts) };
        let old = self.state.with(|state| core::mem::replace(state, new));
        drop(old);
        Ok(())
    }

    /// Sees these mounts from `root` from now on: setns(2).
    pub(crate) fn see(&self, mounts: Arc<MountTable>, root: Location) {
        let umask = self.umask();
        let new = State { working: root.clone(), root, umask, mounts: Some(mounts) };
        let old = self.state.with(|state| core::mem::replace(state, new));
        drop(old);
    }

    /// Whether several processes have the same.
    pub(crate) fn is_shared(&self) -> bool {
        self.state.is_shared()
    }

    /// Where root or working directory are `old`, they become `new`: pivot_root(2).
    pub(crate) fn pivot(&self, old: &Location, new: &Location) {
        if self.root().is(old) {
            self.set_root(new.clone());
        }
        if self.working_directory().is(old) {
            self.set_working_directory(new.clone());
        }
    }

    /// The permission bits that new files do not get.
    #[must_use]
    pub fn umask(&self) -> Mode {
        self.state.with(|state| state.umask)
    }

    /// Changes the root directory: chroot(2).
    pub fn set_root(&self, root: Location) {
        let old = self.state.with(|state| core::mem::replace(&mut state.root, root));
        drop(old);
    }

    /// Changes the working directory: chdir(2).
    pub fn set_working_directory(&self, working: Location) {
        let old = self.state.with(|state| core::mem::replace(&mut state.working, working));
        drop(old);
    }

    /// Sets the umask and returns what it was: umask(2).
    pub fn set_umask(&self, umask: Mode) -> Mode {
        self.state.with(|state| core::mem::replace(&mut state.umask, umask & Mode::ALL))
    }

    /// A copy: fork(2).
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self { state: self.state.copy() }
    }

    /// The same for one more process: `CLONE_FS`.
    #[must_use]
    pub(crate) fn share(&self) -> Self {
        Self { state: self.state.share() }
    }

    /// Whether both processes have the same.
    pub(crate) fn is_shared_with(&self, other: &Self) -> bool {
        self.state.is_shared_with(&other.state)
    }

    /// Makes it this process's alone: unshare(2).
    pub(crate) fn separate(&self) {
        self.state.separate();
    }

    /// Ends the use of both directories, and leaves `root`: the end of a process.
    pub(crate) fn leave(&self, root: Location) {
        let umask = self.umask();
        let mounts = root.mount.table();
        let old = self.state.leave(State { working: root.clone(), root, umask, mounts });
        drop(old);
    }
}
