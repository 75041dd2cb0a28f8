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
use std::io;

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

/// Gives up what the process has and the guest is not to get. To be called before any thread
/// is started, and after all descriptors are open. What stays within `reach` are directories,
/// each with whether nothing in it changes. Returns what this host does not let it do.
///
/// # Errors
/// The process cannot even give up the way to more privileges.
pub fn enclose(reach: &[(&OwnedFd, bool)]) -> Result<Vec<String>, Errno> {
    rustix::thread::set_no_new_privs(true)?;
    let absent = || "not in this kernel".to_owned();
    let words = |error: Errno| crate::error::reason(&error.into());
    let given_up = [
        ("namespaces of its own", own_namespaces().map_err(words)),
        ("fewer capabilities", drop_capabilities(!reach.is_empty()).map_err(words)),
        (
            "Landlock",
            match landlock(reach) {
                Ok(RulesetStatus::NotEnforced) => Err(absent()),
                // What an older one lacks, namespaces and filters forbid as well.
                other => other.map(drop).map_err(|error| error.to_string()),
            },
        ),
        ("seccomp", if has_seccomp() { Ok(()) } else { Err(absent()) }),
    ];
    let lacking =
        |(what, done): (&str, Result<(), String>)| Some(format!("{what} ({})", done.err()?));
    Ok(given_up.into_iter().filter_map(lacking).collect())
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
fn landlock(reach: &[(&OwnedFd, bool)]) -> Result<RulesetStatus, landlock::RulesetError> {
    const VERSION: ABI = ABI::V5;
    let all = AccessFs::from_all(VERSION);
    let mut ruleset = Ruleset::default()
        .handle_access(all)?
        .handle_access(AccessNet::from_all(VERSION))?
        .create()?;
    for (directory, read_only) in reach {
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
    pub fn new(role: Role) -> io::Result<Self> {
        let compiled = has_seccomp().then(|| Self::compile(role)).transpose();
        compiled.map(Self).map_err(io::Error::other)
    }

    fn compile(role: Role) -> Result<BpfProgram, seccompiler::Error> {
        // The standard library may look whether a descriptor is open before it closes it.
        const F_GETFD: u64 = libc::F_GETFD.cast_unsigned() as u64;
        const F_DUPFD: u64 = libc::F_DUPFD_CLOEXEC.cast_unsigned() as u64;
        let (more, commands, ioctls): (&[i64], &[u64], &[u64]) = match role {
            Role::Processor => (&[], &[F_GETFD], &PROCESSOR_IOCTLS),
            Role::Stream => (&STREAM, &[F_GETFD], &[]),
            Role::Files => (&FILES, &[F_GETFD, F_DUPFD], &[]),
        };
        let mut rules: BTreeMap<i64, Vec<SeccompRule>> =
            COMMON.iter().chain(more).map(|&number| (number, Vec::new())).collect();
        // Memory is never executable.
        let executable = SeccompCmpOp::MaskedEq(libc::PROT_EXEC.cast_unsigned().into());
        for number in [libc::SYS_mmap, libc::SYS_mprotect] {
            rules.insert(number, vec![rule(2, executable.clone(), 0)?]);
        }
        for (number, values) in [(libc::SYS_fcntl, commands), (libc::SYS_ioctl, ioctls)] {
            let allowed = values.iter().map(|&value| rule(1, SeccompCmpOp::Eq, value));
            // No rule would be every value.
            if !values.is_empty() {
                rules.insert(number, allowed.collect::<Result<_, _>>()?);
            }
        }
        let (otherwise, then) = (SeccompAction::KillProcess, SeccompAction::Allow);
        Ok(SeccompFilter::new(rules, otherwise, then, TargetArch::x86_64)?.try_into()?)
    }

    /// Applies it to this thread, for ever.
    ///
    /// # Errors
    /// The kernel refuses it.
    pub fn apply(&self) -> io::Result<()> {
        self.0.as_ref().map_or(Ok(()), |program| apply_filter(program)).map_err(io::Error::other)
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
