//! Rulesets: what a program will allow itself.

use alloc::sync::Arc;
use core::any::Any;

use abi::Errno;
use abi::landlock::{AccessFs, AccessNet, Scope};
use hashbrown::HashMap;
use spin::Mutex;

use crate::error::{Because, Result};
use crate::fs::{Inode, Location};

/// What is denied unless rules allow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Handled {
    /// Rights to files.
    pub(crate) fs: AccessFs,
    /// Rights to ports.
    pub(crate) net: AccessNet,
    /// What does not leave the domain.
    pub(crate) scope: Scope,
}

impl Handled {
    /// Whether it is nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.fs.is_empty() && self.net.is_empty() && self.scope.is_empty()
    }
}

/// What is handled, and what is allowed of that.
#[derive(Default)]
pub(super) struct Rules {
    pub(super) handled: Handled,
    /// By the address of the inode, which the rule keeps.
    beneath: HashMap<usize, Beneath>,
    ports: HashMap<u16, AccessNet>,
}

/// A rule about a file, or a directory and all below it.
#[derive(Clone)]
struct Beneath {
    /// Keeps the name, and with it the inode to which it led. Its type is of no matter here.
    _place: Arc<dyn Any + Send + Sync>,
    access: AccessFs,
}

impl Rules {
    /// The rights to files that it denies where no rule allows them. As on Linux, who says
    /// anything of files does not give files other places without saying so.
    pub(super) fn denied_fs(&self) -> AccessFs {
        match self.handled.fs.is_empty() {
            true => AccessFs::empty(),
            false => self.handled.fs | AccessFs::REFER,
        }
    }

    /// What is allowed with this file, and below it.
    pub(super) fn beneath(&self, inode: &Arc<dyn Inode>) -> AccessFs {
        self.beneath.get(&address(inode)).map_or(AccessFs::empty(), |rule| rule.access)
    }

    /// What is allowed with this port.
    pub(super) fn port(&self, port: u16) -> AccessNet {
        self.ports.get(&port).copied().unwrap_or_default()
    }

    fn try_clone(&self) -> Result<Self> {
        let (mut beneath, mut ports) = (HashMap::new(), HashMap::new());
        beneath.try_reserve(self.beneath.len()).map_err(|_| Errno::ENOMEM)?;
        ports.try_reserve(self.ports.len()).map_err(|_| Errno::ENOMEM)?;
        beneath.extend(self.beneath.iter().map(|(key, rule)| (*key, rule.clone())));
        ports.extend(self.ports.iter().map(|(port, access)| (*port, *access)));
        Ok(Self { handled: self.handled, beneath, ports })
    }
}

fn address(inode: &Arc<dyn Inode>) -> usize {
    Arc::as_ptr(inode).cast::<()>().addr()
}

/// A ruleset that can get more rules; those who are restricted by it keep what they had.
pub(crate) struct Ruleset {
    rules: Mutex<Arc<Rules>>,
}

impl Ruleset {
    /// A ruleset that denies all that it handles.
    pub(crate) fn new(handled: Handled) -> Self {
        Self { rules: Mutex::new(Arc::new(Rules { handled, ..Rules::default() })) }
    }

    /// The rules as they are now.
    pub(super) fn rules(&self) -> Arc<Rules> {
        self.rules.lock().clone()
    }

    /// Allows `access` to what is at `place`, and below it.
    ///
    /// # Errors
    /// `EINVAL` for rights that are not handled, or that only directories have; `ENOMEM`.
    pub(crate) fn allow_beneath(&self, place: &Location, access: AccessFs) -> Result<()> {
        if !place.is_directory() && !AccessFs::OF_FILES.contains(access) {
            return Err(Errno::EINVAL.because("only directories have such rights"));
        }
        let kept: Arc<dyn Any + Send + Sync> = place.dentry.clone();
        self.change(|rules| {
            rules.beneath.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            let none = Beneath { _place: kept, access: AccessFs::empty() };
            rules.beneath.entry(address(place.inode())).or_insert(none).access |= access;
            Ok(())
        })
    }

    /// Allows `access` to a port.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub(crate) fn allow_port(&self, port: u16, access: AccessNet) -> Result<()> {
        self.change(|rules| {
            rules.ports.try_reserve(1).map_err(|_| Errno::ENOMEM)?;
            *rules.ports.entry(port).or_default() |= access;
            Ok(())
        })
    }

    /// What it handles; never changes.
    pub(crate) fn handled(&self) -> Handled {
        self.rules.lock().handled
    }

    fn change(&self, change: impl FnOnce(&mut Rules) -> Result<()>) -> Result<()> {
        let mut rules = self.rules.lock();
        if let Some(own) = Arc::get_mut(&mut rules) {
            return change(own);
        }
        let mut own = rules.try_clone()?;
        change(&mut own)?;
        *rules = Arc::new(own);
        Ok(())
    }
}
