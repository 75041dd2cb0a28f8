//! New processes: fork(2), vfork(2), clone(2), clone3(2).

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::Errno;
use abi::fs::OpenFlags;
use abi::process::{CloneFlags, RLIM_INFINITY, Resource};
use abi::ptrace::event;
use abi::signal::Signal;
use zerocopy::IntoBytes;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::{Fd, OnExec};
use crate::machine::{ExtendedStart, Registers, ThreadStart};
use crate::mm::AddressSpace;
use crate::namespaces::enter::NewMounts;
use crate::namespaces::{Namespaces, PidNamespace};
use crate::wait::{Interruption, WaitQueue};

use super::descriptor::ProcessFile;
use super::limits::MAX_OPEN_FILES;
use super::scheduling::Policy;
use super::shared::OfChild;
use super::{Capability, Process, Thread};

/// What a new process or thread is asked to be. Addresses are 0 where there is none.
#[derive(Clone, Debug, Default)]
pub(crate) struct NewTask {
    /// What it shares, and which of the other fields count.
    pub(crate) flags: CloneFlags,
    /// The signal its parent gets when it ends.
    pub(crate) exit_signal: Option<Signal>,
    /// Its stack pointer; 0 for the caller's.
    pub(crate) stack_pointer: u64,
    /// Where to store its number in the caller's memory.
    pub(crate) parent_id_at: u64,
    /// Where to store its number in its own memory, and to clear it when it ends.
    pub(crate) child_id_at: u64,
    /// Its thread pointer.
    pub(crate) thread_pointer: u64,
    /// Where to store the number of a descriptor of it in the caller's memory.
    pub(crate) descriptor_at: u64,
    /// The numbers it shall have, from the innermost namespace on.
    pub(crate) wanted_ids: Vec<u32>,
}

impl NewTask {
    /// What a tracer calls this: ptrace(2), `PTRACE_O_TRACEFORK` and its like.
    fn event(&self) -> Option<u32> {
        if self.flags.contains(CloneFlags::UNTRACED) {
            None
        } else if self.flags.contains(CloneFlags::VFORK) {
            Some(event::VFORK)
        } else if self.exit_signal == Some(Signal::SIGCHLD) {
            Some(event::FORK)
        } else {
            Some(event::CLONE)
        }
    }
}

/// Memory that a child uses while its parent waits: vfork(2).
#[derive(Default)]
pub(super) struct BorrowedMemory {
    is_returned: AtomicBool,
    returned: WaitQueue,
}

impl Thread {
    /// Lets the parent go on that waits for its memory, if one does.
    pub(super) fn return_memory(&self) {
        let borrowed = self.borrowed.lock().take();
        if let Some(borrowed) = borrowed {
            borrowed.is_returned.store(true, Ordering::SeqCst);
            borrowed.returned.wake_all();
        }
    }
}

impl Context<'_> {
    /// Makes a child or a thread that goes on where the caller does, and returns its number.
    ///
    /// # Errors
    /// `EINVAL` for flags that contradict each other or are not offered; `EAGAIN` when the
    /// user has too many processes; `ENOMEM`.
    pub(crate) fn fork(&self, new: &NewTask) -> Result<u32> {
        check(new.flags)?;
        self.check_numbers(new)?;
        self.check_count()?;
        let scheduling = self.thread.scheduling();
        if scheduling.policy == Policy::Deadline && !scheduling.resets_on_fork {
            return Err(Errno::EAGAIN.because("a reservation has no copies"));
        }
        let borrowed = new.flags.contains(CloneFlags::VFORK).then(Arc::<BorrowedMemory>::default);
        let id = match new.flags.contains(CloneFlags::THREAD) {
            true => self.start_thread(new, borrowed.clone())?,
            false => self.start_process(new, borrowed.clone())?,
        };
        self.tell_tracer_of_child(new.event(), id);
        if let Some(borrowed) = borrowed {
            self.wait_for_memory(&borrowed);
            self.tell_tracer_of_child(Some(event::VFORK_DONE), id);
        }
        Ok(id)
    }

    fn start_process(&self, new: &NewTask, borrowed: Option<Arc<BorrowedMemory>>) -> Result<u32> {
        let memory = match new.flags.contains(CloneFlags::VM) {
            true => self.memory().clone(),
            false => self.memory().fork()?,
        };
        if !new.flags.contains(CloneFlags::FILES) {
            self.check_copy_of_files()?;
        }
        let renewed = self.renew(new.flags)?;
        let namespaces = renewed.namespaces.unwrap_or_else(|| (*self.thread.namespaces()).clone());
        let pid_namespace = namespaces.pid_for_children.clone();
        let id = self.new_id(&pid_namespace, &new.wanted_ids)?;
        let credentials = renewed.credentials.map_or_else(|| self.credentials(), Arc::new);
        let of_child = OfChild { id, memory: memory.clone(), credentials, pid_namespace };
        let child = Arc::new(self.process.child(self.thread, of_child, new.flags));
        let started = self.start_child(new, &child, (namespaces, renewed.mounts), borrowed);
        if started.is_err() {
            child.pid_namespace.forget(id);
        }
        started.map(|()| self.shown_id(id))
    }

    fn start_child(
        &self,
        new: &NewTask,
        child: &Arc<Process>,
        (mut namespaces, mounts): (Namespaces, Option<NewMounts>),
        borrowed: Option<Arc<BorrowedMemory>>,
    ) -> Result<()> {
        let (id, memory) = (child.id(), child.memory());
        child.set_exit_signal(new.exit_signal);
        if !new.flags.contains(CloneFlags::PARENT) {
            child.made_by.call_once(|| self.thread.downgrade());
        }
        let thread = Thread::new(self.system.clone(), child.clone());
        if let Some(mounts) = mounts {
            self.separate_mounts(&thread, mounts)?;
        }
        *thread.borrowed.lock() = borrowed;
        if !new.flags.contains(CloneFlags::VM) {
            namespaces.enter_time_of_children(child)?;
        }
        self.prepare(&thread, &memory, new);
        thread.set_namespaces(Arc::new(namespaces));
        let descriptor = self.store_descriptor(child, new)?;
        self.system.processes.insert(child.clone());
        child.pid_namespace.begin(child);
        self.share_tracer(&thread, new.flags, new.event());
        let started = thread.start_from(self.start_of_child(new));
        if started.is_err() {
            self.system.processes.remove(id);
            if let Some(descriptor) = descriptor {
                let _ = self.files().remove(descriptor);
            }
        }
        started
    }

    /// A number for a new process or thread, also in `namespace` and those around it.
    fn new_id(&self, namespace: &PidNamespace, wanted: &[u32]) -> Result<u32> {
        // Each namespace in which a number is wanted has to allow it.
        for one in namespace.outwards().take(wanted.len()) {
            if !self.credentials().has_in(Capability::SysAdmin, &one.owner()) {
                return Err(Errno::EPERM.because("choosing numbers needs CAP_SYS_ADMIN"));
            }
        }
        let level = namespace.level() as usize;
        let id = match wanted.get(level) {
            Some(&wanted) => self.system.processes.claim_id(wanted)?,
            None => self.system.processes.allocate_id(),
        };
        namespace.add(id, &wanted[..level.min(wanted.len())])?;
        Ok(id)
    }

    /// Checks what the flags and the wanted numbers have to do with namespaces.
    fn check_numbers(&self, new: &NewTask) -> Result<()> {
        let children = &self.thread.namespaces().pid_for_children;
        let is_thread = new.flags.contains(CloneFlags::THREAD);
        if is_thread && children != self.pid_namespace() {
            return Err(Errno::EINVAL.because("children are in another namespace"));
        }
        if new.flags.contains(CloneFlags::PARENT) && self.pid_namespace().is_init(self.process) {
            return Err(Errno::EINVAL.because("the first process has no siblings"));
        }
        if new.wanted_ids.is_empty() {
            return Ok(());
        }
        let is_new = new.flags.contains(CloneFlags::NEWPID);
        if new.wanted_ids.len() > children.level() as usize + 1 + usize::from(is_new) {
            return Err(Errno::EINVAL.because("more numbers than namespaces"));
        }
        Ok(())
    }

    /// `CLONE_PIDFD`: gives the caller a descriptor of the child, and stores its number.
    fn store_descriptor(&self, child: &Arc<Process>, new: &NewTask) -> Result<Option<Fd>> {
        if !new.flags.contains(CloneFlags::PIDFD) {
            return Ok(None);
        }
        let limit = self.process.limits().current(Resource::OpenFiles);
        let open = ProcessFile::open(child.clone(), OpenFlags::empty());
        let descriptor = self.files().add(open, 0, OnExec::Close, limit)?;
        let stored = self.memory().write(new.descriptor_at, descriptor.0.as_bytes());
        if stored.is_err() {
            self.files().remove(descriptor)?;
        }
        stored.map(|()| Some(descriptor))
    }

    fn start_thread(&self, new: &NewTask, borrowed: Option<Arc<BorrowedMemory>>) -> Result<u32> {
        let renewed = self.renew(new.flags)?;
        let id = self.new_id(self.pid_namespace(), &new.wanted_ids)?;
        let thread = self.thread.beside(id);
        *thread.borrowed.lock() = borrowed;
        thread.part(self.thread, new.flags);
        self.prepare(&thread, self.memory(), new);
        if let Some(namespaces) = renewed.namespaces {
            thread.set_namespaces(Arc::new(namespaces));
        }
        let separated = match renewed.mounts {
            Some(mounts) => self.separate_mounts(&thread, mounts),
            None => Ok(()),
        };
        self.share_tracer(&thread, new.flags, new.event());
        let started = separated.and_then(|()| thread.start_from(self.start_of_child(new)));
        if started.is_err() {
            self.process.remove_thread(&thread);
            self.system.processes.remove_thread(&thread);
        }
        started.map(|()| self.shown_id(id))
    }

    /// Gives a thread that does not run yet what it has of the caller, and stores its number
    /// where that is wanted: in `memory`, where that is the thread's own. As on Linux, a bad
    /// address shows only in what is missing there.
    fn prepare(&self, thread: &Thread, memory: &AddressSpace, new: &NewTask) {
        let id = thread.process().pid_namespace.shown(thread.id());
        let shown = self.shown_id(thread.id());
        thread.inherit(self.thread, new.flags);
        if new.flags.contains(CloneFlags::PARENT_SETTID) {
            let _ = self.memory().write(new.parent_id_at, shown.as_bytes());
        }
        if new.flags.contains(CloneFlags::CHILD_SETTID) {
            let _ = memory.write(new.child_id_at, id.as_bytes());
        }
        if new.flags.contains(CloneFlags::CHILD_CLEARTID) {
            thread.set_clear_id_at(new.child_id_at);
        }
    }

    /// The state of the caller, in which the call returns 0.
    fn start_of_child(&self, new: &NewTask) -> ThreadStart {
        let caller = self.registers();
        let rsp = if new.stack_pointer == 0 { caller.rsp } else { new.stack_pointer };
        let machine = self.thread.machine();
        let sets_pointer = new.flags.contains(CloneFlags::SETTLS);
        ThreadStart {
            registers: Registers { rax: 0, rsp, ..caller },
            fs_base: if sets_pointer { new.thread_pointer } else { machine.fs_base() },
            gs_base: machine.gs_base(),
            extended_state: ExtendedStart::OfCaller,
        }
    }

    /// Waits until the child does not use the memory any more. Only the end of the caller ends
    /// the wait before.
    fn wait_for_memory(&self, borrowed: &BorrowedMemory) {
        let is_returned = || Ok(borrowed.is_returned.load(Ordering::SeqCst).then_some(()));
        // The error says that the caller ends, and so does its call.
        let _ = self.wait_until(&[&borrowed.returned], None, Interruption::Never, is_returned);
    }

    /// Fails where a table as large as the caller's table of descriptors is more than a process may
    /// have by now.
    ///
    /// # Errors
    /// `EMFILE`.
    pub(crate) fn check_copy_of_files(&self) -> Result<()> {
        /// Tables have room for a multiple of this.
        const STEP: u64 = 64;
        let most = self.system.max_open_files.load(Ordering::Relaxed);
        if most == MAX_OPEN_FILES {
            return Ok(());
        }
        let last = self.files().open_descriptors().last().and_then(|fd| fd.index());
        let room = last.map_or(0, |last| last as u64 + 1).next_multiple_of(STEP);
        if room > STEP && room > most {
            return Err(Errno::EMFILE.because("the table of descriptors is too large"));
        }
        Ok(())
    }

    /// Fails when there are as many threads as there may be, or the user has as many as
    /// `RLIMIT_NPROC` allows.
    fn check_count(&self) -> Result<()> {
        if self.system.processes.task_count() >= self.system.max_threads() {
            return Err(Errno::EAGAIN.because("there are too many threads"));
        }
        let limit = self.process.limits().current(Resource::Processes);
        let who = self.credentials();
        let is_exempt = who.users.real == 0
            || who.has(Capability::SysResource)
            || who.has(Capability::SysAdmin);
        if limit == RLIM_INFINITY || is_exempt {
            return Ok(());
        }
        let is_own = |one: &&Arc<Process>| one.credentials().users.real == who.users.real;
        let threads = |one: &Arc<Process>| one.thread_count().max(1) as u64;
        if self.system.processes.all().iter().filter(is_own).map(threads).sum::<u64>() >= limit {
            return Err(Errno::EAGAIN.because("RLIMIT_NPROC is reached"));
        }
        Ok(())
    }
}

/// Checks what of the flags contradicts itself: clone(2), "ERRORS".
fn check(flags: CloneFlags) -> Result<()> {
    let has = |flag| flags.contains(flag);
    if has(CloneFlags::SIGHAND) && !has(CloneFlags::VM) {
        return Err(Errno::EINVAL.because("CLONE_SIGHAND needs CLONE_VM"));
    }
    if has(CloneFlags::SIGHAND) && has(CloneFlags::CLEAR_SIGHAND) {
        return Err(Errno::EINVAL.because("handlers are shared or reset, not both"));
    }
    if has(CloneFlags::THREAD) && !has(CloneFlags::SIGHAND) {
        return Err(Errno::EINVAL.because("CLONE_THREAD needs CLONE_SIGHAND"));
    }
    if has(CloneFlags::NEWNS) && has(CloneFlags::FS) {
        return Err(Errno::EINVAL.because("CLONE_NEWNS and CLONE_FS exclude each other"));
    }
    if has(CloneFlags::NEWUSER) && has(CloneFlags::FS) {
        return Err(Errno::EINVAL.because("CLONE_NEWUSER and CLONE_FS exclude each other"));
    }
    if has(CloneFlags::NEWIPC) && has(CloneFlags::SYSVSEM) {
        return Err(Errno::EINVAL.because("CLONE_NEWIPC and CLONE_SYSVSEM exclude each other"));
    }
    if has(CloneFlags::THREAD) && flags.intersects(CloneFlags::NEWUSER | CloneFlags::NEWPID) {
        return Err(Errno::EINVAL.because("threads are in the same namespaces"));
    }
    if has(CloneFlags::INTO_CGROUP) {
        return Err(Errno::EINVAL.because("control groups are not offered"));
    }
    if has(CloneFlags::PIDFD) && flags.intersects(CloneFlags::THREAD | CloneFlags::DETACHED) {
        return Err(Errno::EINVAL.because("a descriptor refers to a process"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::kit;
    use crate::process::Credentials;
    use crate::process::credentials::Ids;

    #[test]
    fn each_namespace_has_to_allow_the_number_that_is_wanted_in_it() {
        let kit = kit::process();
        let cx = kit.context();
        let become_user = |credentials: &mut Credentials| {
            credentials.set_users(Ids::all(7));
            Ok(())
        };
        kit.thread.change_credentials(become_user).unwrap();
        let new = cx.renew(CloneFlags::NEWUSER | CloneFlags::NEWPID).unwrap();
        let numbers = new.namespaces.unwrap().pid_for_children;
        // The first namespace is not the caller's, the new one is.
        let refused = cx.new_id(&numbers, &[1, 77]);
        assert_eq!(refused.unwrap_err().errno, Errno::EPERM);
        assert!(cx.new_id(&numbers, &[1]).is_ok());
    }
}
