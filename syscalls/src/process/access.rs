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
        let not_permitted = || Errno::EPERM.because("the process is not the caller's to look into");
        let is_open = {
            let properties = target.properties.lock();
            properties.is_dumpable
                || own.has_in(Capability::SysPtrace, &properties.program_namespace)
        };
        if !is_open {
            return Err(not_permitted());
        }
        if may {
            return Ok(());
        }
        let are_same = |ids: &super::credentials::Ids, id| {
            [ids.real, ids.effective, ids.saved].iter().all(|&one| one == id)
        };
        let is_own =
            are_same(&other.users, own.users.real) && are_same(&other.groups, own.groups.real);
        let is_own = is_own && other.namespace == own.namespace;
        if is_own && other.permitted.is_subset_of(own.permitted) {
            return Ok(());
        }
        Err(not_permitted())
    }
}

#[cfg(test)]
mod tests {
    use alloc::sync::Arc;

    use super::super::Credentials;
    use super::super::credentials::Ids;
    use super::*;
    use crate::fake::kit;
    use crate::namespaces::UserNamespace;

    #[test]
    fn what_keeps_to_itself_is_open_where_its_program_began_only() {
        let kit = kit::process();
        let cx = kit.context();
        let become_user = |credentials: &mut Credentials| {
            credentials.set_users(Ids::all(7));
            Ok(())
        };
        kit.thread.change_credentials(become_user).unwrap();
        let own = UserNamespace::within(&cx, &kit.thread.credentials()).unwrap();
        let (memory, paths) = (kit.process.memory(), kit.process.paths.duplicate());
        let target = Arc::new(Process::new(3, memory, paths));
        // It has come from the first namespace, and has secrets from there.
        let enter = |credentials: &mut Credentials| {
            credentials.enter(own.clone());
            Ok(())
        };
        target.change_credentials(enter).unwrap();
        assert_eq!(cx.check_access(&target), Ok(()));
        target.properties.lock().is_dumpable = false;
        assert_eq!(cx.check_access(&target).unwrap_err().errno, Errno::EPERM);
        target.properties.lock().program_namespace = own.clone();
        assert_eq!(cx.check_access(&target), Ok(()));
    }
}
