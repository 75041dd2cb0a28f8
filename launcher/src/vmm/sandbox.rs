//! What the monitor gives up before the guest's first instruction.
//!
//! [`enclose`], before any thread: the way to more privileges, the host's processes, networks
//! and mounts, all capabilities but those that serving files takes, and (Landlock) all files
//! but those that are served. [`Filter`], by each thread: all system calls but those that its
//! role takes; any other one ends the process.

use super::virtio::Role;
use landlock::{
    ABI, Access, AccessFs, AccessNet, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus,
};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount,
};
use rustix::process::{chdir, chroot, getegid, geteuid, pivot_root};
use rustix::thread::{CapabilitySet, CapabilitySets, UnshareFlags, set_capabilities};
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter,
    SeccompRule, TargetArch, apply_filter,
};
use std::collections::BTreeMap;

/// `KVM_RUN`, `KVM_GET_REGS` and `KVM_GET_SREGS`: the run, and the report of its failure.
const PROCESSOR_IOCTLS: [u64; 3] = [0xae80, 0x8090_ae81, 0x8138_ae83];

/// What every thread does: it waits, wakes others, asks for memory, and ends.
const COMMON: [i64; 12] = [
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_close,
    libc::SYS_futex,
    libc::SYS_brk,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_exit,
    libc::SYS_exit_group,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
];

/// What moving bytes takes besides.
const STREAM: [i64; 3] = [libc::SYS_recvfrom, libc::SYS_sendto, libc::SYS_getrandom];

/// What serving files takes besides.
const FILES: [i64; 21] = [
    libc::SYS_openat,
    libc::SYS_openat2,
    libc::SYS_fstat,
    libc::SYS_fstatfs,
    libc::SYS_pread64,
    libc::SYS_pwrite64,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_ftruncate,
    libc::SYS_fchmodat,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_linkat,
    libc::SYS_renameat,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    libc::SYS_mknodat,
    libc::SYS_symlinkat,
    libc::SYS_readlinkat,
    libc::SYS_getdents64,
    libc::SYS_lseek,
];

/// A directory that stays within reach.
pub struct Reach<'a> {
    /// The directory.
    pub directory: &'a OwnedFd,
    /// Whether nothing in it changes.
    pub read_only: bool,
}

/// Gives up what the process has and the guest is not to get. To be called before any thread
/// is started, and after all descriptors are open. Returns what this host does not let it do.
///
/// # Errors
/// The process cannot even give up the way to more privileges.
pub fn enclose(reach: &[Reach<'_>]) -> Result<Vec<String>, Errno> {
    rustix::thread::set_no_new_privs(true)?;
    let mut lacking = Vec::new();
    if let Err(error) = own_namespaces() {
        lacking.push(format!("namespaces of its own ({})", words(error)));
    }
    let is_serving = !reach.is_empty();
    if let Err(error) = drop_capabilities(is_serving) {
        lacking.push(format!("fewer capabilities ({})", words(error)));
    }
    match landlock(reach) {
        Ok(RulesetStatus::NotEnforced) => lacking.push("Landlock (not in this kernel)".to_owned()),
        Ok(_) => {}
        Err(error) => lacking.push(format!("Landlock ({error})")),
    }
    if !has_seccomp() {
        lacking.push("seccomp (not in this kernel)".to_owned());
    }
    Ok(lacking)
}

/// An empty file system, no network, and nobody to talk to.
fn own_namespaces() -> Result<(), Errno> {
    let spaces = UnshareFlags::NEWNS
        | UnshareFlags::NEWNET
        | UnshareFlags::NEWIPC
        | UnshareFlags::NEWUTS
        | UnshareFlags::NEWCGROUP;
    let (user, group) = (geteuid().as_raw(), getegid().as_raw());
    // SAFETY: no other thread is there that could rely on what is shared; descriptors stay.
    if unsafe { rustix::thread::unshare_unsafe(spaces) }.is_err() {
        // Without privileges, they come with a user namespace, in which everybody stays who
        // they are.
        // SAFETY: as above.
        unsafe { rustix::thread::unshare_unsafe(spaces | UnshareFlags::NEWUSER) }?;
        write_proc("setgroups", "deny")?;
        write_proc("uid_map", &format!("{user} {user} 1"))?;
        write_proc("gid_map", &format!("{group} {group} 1"))?;
    }
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)?;
    // Any directory that every system has will do.
    let place = "/proc";
    let flags = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("none", place, "tmpfs", flags, None)?;
    chdir(place)?;
    match pivot_root(".", ".") {
        Ok(()) => unmount(".", UnmountFlags::DETACH)?,
        // The root of an initial RAM file system cannot be exchanged, only hidden.
        Err(Errno::INVAL) => chroot(".")?,
        Err(error) => return Err(error),
    }
    chdir("/")
}

fn words(error: Errno) -> String {
    crate::error::reason(&error.into())
}

fn write_proc(name: &str, text: &str) -> Result<(), Errno> {
    let path = format!("/proc/self/{name}");
    let file = rustix::fs::open(path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    rustix::io::write(file, text.as_bytes()).map(drop)
}

/// Serving files as root takes what makes root the owner of them; nothing else takes anything.
fn drop_capabilities(is_serving: bool) -> Result<(), Errno> {
    let serving = CapabilitySet::CHOWN
        | CapabilitySet::DAC_OVERRIDE
        | CapabilitySet::DAC_READ_SEARCH
        | CapabilitySet::FOWNER
        | CapabilitySet::FSETID;
    let now = rustix::thread::capabilities(None)?.permitted;
    let kept = if is_serving { now & serving } else { CapabilitySet::empty() };
    let inheritable = CapabilitySet::empty();
    set_capabilities(None, CapabilitySets { effective: kept, permitted: kept, inheritable })
}

/// No file but those within reach, and no network.
fn landlock(reach: &[Reach<'_>]) -> Result<RulesetStatus, landlock::RulesetError> {
    const VERSION: ABI = ABI::V5;
    let all = AccessFs::from_all(VERSION);
    let mut ruleset = Ruleset::default()
        .handle_access(all)?
        .handle_access(AccessNet::from_all(VERSION))?
        .create()?;
    for Reach { directory, read_only } in reach {
        let wanted = if *read_only { AccessFs::from_read(VERSION) } else { all };
        let wanted = wanted & !(AccessFs::Execute | AccessFs::IoctlDev);
        ruleset = ruleset.add_rule(PathBeneath::new(directory.as_fd(), wanted))?;
    }
    Ok(ruleset.restrict_self()?.ruleset)
}

fn has_seccomp() -> bool {
    // SAFETY: the call only asks.
    unsafe { libc::prctl(libc::PR_GET_SECCOMP) >= 0 }
}

/// The system calls that a role takes, as a program for the kernel.
pub struct Filter(Option<BpfProgram>);

impl Filter {
    /// No filter: everything stays allowed.
    #[must_use]
    pub fn none() -> Self {
        Self(None)
    }

    /// The filter for `role`, where the kernel has filters.
    ///
    /// # Errors
    /// It cannot be compiled.
    pub fn new(role: Role) -> Result<Self, seccompiler::Error> {
        if !has_seccomp() {
            return Ok(Self::none());
        }
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
            COMMON.into_iter().map(|number| (number, Vec::new())).collect();
        // Memory is never executable.
        for number in [libc::SYS_mmap, libc::SYS_mprotect] {
            let executable = libc::PROT_EXEC.cast_unsigned().into();
            rules.insert(number, vec![rule(2, SeccompCmpOp::MaskedEq(executable), 0)?]);
        }
        let more: &[i64] = match role {
            Role::Processor => &[],
            Role::Stream => &STREAM,
            Role::Files => &FILES,
        };
        rules.extend(more.iter().map(|&number| (number, Vec::new())));
        // The standard library may look whether a descriptor is open before it closes it.
        let mut commands = vec![libc::F_GETFD];
        commands.extend((role == Role::Files).then_some(libc::F_DUPFD_CLOEXEC));
        let allowed =
            commands.into_iter().map(|c| rule(1, SeccompCmpOp::Eq, c.cast_unsigned().into()));
        rules.insert(libc::SYS_fcntl, allowed.collect::<Result<_, _>>()?);
        if role == Role::Processor {
            let ioctls = PROCESSOR_IOCTLS.into_iter();
            let allowed = ioctls.map(|request| rule(1, SeccompCmpOp::Eq, request));
            rules.insert(libc::SYS_ioctl, allowed.collect::<Result<_, _>>()?);
        }
        let (otherwise, then) = (SeccompAction::KillProcess, SeccompAction::Allow);
        let filter = SeccompFilter::new(rules, otherwise, then, TargetArch::x86_64)?;
        Ok(Self(Some(filter.try_into()?)))
    }

    /// Applies it to this thread, for ever.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn apply(&self) -> Result<(), seccompiler::Error> {
        self.0.as_ref().map_or(Ok(()), |program| apply_filter(program))
    }
}

/// A call is allowed when this argument compares so.
fn rule(
    argument: u8,
    compare: SeccompCmpOp,
    value: u64,
) -> Result<SeccompRule, seccompiler::BackendError> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, compare, value)?;
    SeccompRule::new(vec![condition])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How a child process ended that applied a filter and then did something.
    fn after_filter(role: Role, act: fn()) -> i32 {
        let filter = Filter::new(role).unwrap();
        // SAFETY: the child makes system calls only, and ends without a way back.
        unsafe {
            let child = libc::fork();
            if child == 0 {
                libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
                if filter.apply().is_ok() {
                    act();
                }
                libc::_exit(0);
            }
            let mut status = 0;
            libc::waitpid(child, &raw mut status, 0);
            status
        }
    }

    fn open_a_file() {
        // SAFETY: the path is a string.
        unsafe { libc::open(c"/etc/passwd".as_ptr(), libc::O_RDONLY) };
    }

    fn ask_kvm_for_a_machine() {
        // SAFETY: the descriptor is none of KVM's.
        unsafe { libc::ioctl(0, 0xae01, 0) };
    }

    fn run_kvm() {
        // SAFETY: as above.
        unsafe { libc::ioctl(0, 0xae80, 0) };
    }

    #[test]
    fn a_call_that_the_role_does_not_take_ends_the_process() {
        for role in [Role::Processor, Role::Stream] {
            assert_eq!(after_filter(role, open_a_file) & 0x7f, libc::SIGSYS, "{role:?}");
        }
        assert_eq!(after_filter(Role::Files, open_a_file), 0);
        assert_eq!(after_filter(Role::Processor, ask_kvm_for_a_machine) & 0x7f, libc::SIGSYS);
        assert_eq!(after_filter(Role::Processor, run_kvm), 0);
        assert_eq!(after_filter(Role::Files, run_kvm) & 0x7f, libc::SIGSYS);
    }
}
