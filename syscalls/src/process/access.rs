//! Who may look into a process: ptrace(2), "Ptrace access mode checking".

use abi::Errno;

use crate::context::Context;
use crate::error::{Because, Result};

use super::{Capability, Process};

impl Context<'_> {
    /// Fails unless the caller may read and write the memory of `target`
    /// (`PTRACE_MODE_ATTACH_REALCREDS`).
    ///
    /// # Errors
    /// `EPERM`.
    pub(crate) fn check_access(&self, target: &Process) -> Result<()> {
        let own = self.credentials();
        let other = target.credentials();
        let may = own.has_in(Capability::SysPtrace, &other.namespace);
        if self.process.id() == target.id() {
            return Ok(());
        }
        own.domain.check_trace(&other.domain)?;
        if may {
            return Ok(());
        }
        let are_same = |ids: &super::credentials::Ids, id| {
            [ids.real, ids.effective, ids.saved].iter().all(|&one| one == id)
        };
        let is_own =
            are_same(&other.users, own.users.real) && are_same(&other.groups, own.groups.real);
        let is_open = target.properties.lock().is_dumpable;
        let is_own = is_own && other.namespace == own.namespace;
        if is_own && is_open && other.permitted.is_subset_of(own.permitted) {
            return Ok(());
        }
        Err(Errno::EPERM.because("the process is not the caller's to look into"))
    }
}
