//! From where a process sees the tree: root and working directory, and its umask.

use abi::fs::Mode;
use spin::Mutex;

use super::mount::Location;

/// Root, working directory and umask of a process (`fs_struct` of Linux).
pub struct FsContext {
    state: Mutex<State>,
}

#[derive(Clone)]
struct State {
    root: Location,
    working: Location,
    umask: Mode,
}

impl FsContext {
    /// Root and working directory at `root`, umask 022.
    #[must_use]
    pub fn new(root: Location) -> Self {
        let umask = Mode::GROUP_WRITE | Mode::OTHERS_WRITE;
        Self { state: Mutex::new(State { working: root.clone(), root, umask }) }
    }

    /// The root directory.
    #[must_use]
    pub fn root(&self) -> Location {
        self.state.lock().root.clone()
    }

    /// The working directory.
    #[must_use]
    pub fn working_directory(&self) -> Location {
        self.state.lock().working.clone()
    }

    /// The permission bits that new files do not get.
    #[must_use]
    pub fn umask(&self) -> Mode {
        self.state.lock().umask
    }

    /// Changes the root directory: chroot(2).
    pub fn set_root(&self, root: Location) {
        let old = core::mem::replace(&mut self.state.lock().root, root);
        drop(old);
    }

    /// Changes the working directory: chdir(2).
    pub fn set_working_directory(&self, working: Location) {
        let old = core::mem::replace(&mut self.state.lock().working, working);
        drop(old);
    }

    /// Sets the umask and returns what it was: umask(2).
    pub fn set_umask(&self, umask: Mode) -> Mode {
        core::mem::replace(&mut self.state.lock().umask, umask & Mode::ALL)
    }

    /// A copy: fork(2).
    #[must_use]
    pub fn duplicate(&self) -> Self {
        Self { state: Mutex::new(self.state.lock().clone()) }
    }
}
