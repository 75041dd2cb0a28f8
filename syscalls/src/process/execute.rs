//! The point of no return of execve(2): the process becomes another program.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use abi::fs::{Mode, mount_flags};
use abi::signal::Signal;

use crate::context::Context;
use crate::error::{Error, Result};
use crate::machine::Registers;
use crate::mm::{AddressSpace, MemoryLimits};
use crate::namespaces::user::Ids;

use super::credentials::SetIds;
use super::exec::{ExecError, Executable, Placement, Program};
use super::{Credentials, Process, Thread};

impl Context<'_> {
    /// Lets the process execute `executable` with this environment; returns the registers to
    /// go on with.
    ///
    /// # Errors
    /// [`super::exec::ExecError`]; the process is as it was.
    pub(crate) fn execute(
        &self,
        executable: &Executable,
        environment: &[Vec<u8>],
    ) -> Result<Registers> {
        let old = self.credentials();
        let ids = match self.thread.is_traced_without_privilege() {
            true => SetIds::default(),
            false => set_ids(executable, &old)?,
        };
        let credentials = old.of_program(ids);
        let secure = credentials.is_secure_after(&old);
        let program = Program {
            executable,
            environment,
            credentials: &credentials,
            secure,
            limits: MemoryLimits::of(self.process.limits(), self.system),
            placement: self.placement(),
        };
        let loaded =
            program.load(&self.system.machine).map_err(|error| self.refuse_program(error))?;
        self.stay_alone()?;
        self.enter_time_of_children(&loaded.memory)?;
        self.thread.replace_memory(self.memory(), loaded.memory);
        self.process.become_program(credentials, &old, secure);
        self.thread.become_program(executable.name());
        self.process.aio.clear();
        self.thread.cancel_requests();
        self.thread.part_from_files();
        for open in self.files().remove_on_exec() {
            // The call has succeeded: nobody can be told of an error.
            let _ = crate::fs::close(self.system, self.process, self.files(), &open);
        }
        Ok(loaded.registers)
    }
}

impl Context<'_> {
    /// Where the parts of the next program go, as personality(2) has said.
    fn placement(&self) -> Placement {
        let personality = self.process.properties.lock().personality;
        let is_fixed = personality & abi::process::ADDR_NO_RANDOMIZE != 0;
        if is_fixed { Placement::Fixed } else { Placement::Random }
    }

    /// The error of execve(2). Where Linux finds it only after the old program is gone, the
    /// process dies, as it does there.
    pub(crate) fn refuse_program(&self, error: ExecError) -> Error {
        if error.is_found_late() {
            self.thread.force_segv(true);
        }
        error.into()
    }
}

/// Which IDs the file gives to who executes it.
fn set_ids(executable: &Executable, who: &Credentials) -> Result<SetIds> {
    let location = executable.file().location();
    let ignores = location.mount.flags() & mount_flags::ST_NOSUID != 0;
    if who.no_new_privileges || ignores {
        return Ok(SetIds::default());
    }
    let file = location.inode().metadata()?;
    // Who is nobody in the user namespace is not become.
    let users = &who.namespace;
    let is_known = users.to_inside(Ids::Users, file.owner).is_some()
        && users.to_inside(Ids::Groups, file.group).is_some();
    if !is_known {
        return Ok(SetIds::default());
    }
    let sets_group = file.mode.contains(Mode::SET_GROUP_ID | Mode::GROUP_EXECUTE);
    Ok(SetIds {
        user: file.mode.contains(Mode::SET_USER_ID).then_some(file.owner),
        group: sets_group.then_some(file.group),
    })
}

impl Process {
    /// What a process keeps to itself changes with its program: execve(2), "Effect on process
    /// attributes".
    fn become_program(&self, new: Credentials, old: &Credentials, secure: bool) {
        let is_dumpable = new.users.effective == new.users.real
            && new.groups.effective == new.groups.real
            && new.users.effective == old.users.effective
            && new.groups.effective == old.groups.effective;
        let program_namespace = new.namespace.clone();
        self.set_credentials(Arc::new(new));
        self.posix_timers.clear();
        self.signals.reset_handlers();
        self.set_exit_signal(Some(Signal::SIGCHLD));
        self.set_executed();
        drop(self.keyrings.lock().become_program());
        self.barriers.store(0, Ordering::Relaxed);
        let mut properties = self.properties.lock();
        properties.is_dumpable = is_dumpable;
        properties.program_namespace = program_namespace;
        if secure {
            properties.parent_death_signal = 0;
        }
    }
}

impl Thread {
    /// Goes over to the memory of the new program. A parent that waited for the old one can
    /// have it back.
    fn replace_memory(&self, old: &Arc<AddressSpace>, new: Arc<AddressSpace>) {
        self.release_robust_futexes();
        /// The process and the present call hold the memory; who else does shares it.
        const OWN: usize = 2;
        if Arc::strong_count(old) > OWN {
            self.clear_thread_id();
        }
        self.set_clear_id_at(0);
        self.machine().set_space(new.space().clone());
        self.process().set_memory(new);
        self.return_memory();
    }

    /// Nothing of the old program's registers and addresses counts any more.
    fn become_program(&self, name: &[u8]) {
        let machine = self.machine();
        machine.set_fs_base(0);
        machine.set_gs_base(0);
        machine.reset_extended_state();
        self.signals.reset_stack();
        self.rseq.reset();
        self.forget_watched();
        drop(self.take_restart_block());
        drop(self.keyring.lock().take());
        self.set_name(name);
        self.publish_answers();
    }
}
