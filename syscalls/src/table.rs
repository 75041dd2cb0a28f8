//! The one table of system calls: number, name, handler, support level, note.
//!
//! The dispatcher, the tracer, the coverage report and the documentation all read it. Adding
//! a call touches two places: its handler and its row here. A call without a row is not
//! implemented: `ENOSYS`, and one warning that names it.

use abi::boot::table::Support;
use abi::number;

use crate::args::{Call, typed};
use crate::calls;

/// One system call that has a handler.
pub struct Row {
    /// Its number.
    pub number: u16,
    /// Its manual name.
    pub name: &'static str,
    /// How much of it is there: `Full` or `Partial`.
    pub support: Support,
    /// What is missing, in one sentence; empty for `Full`.
    pub note: &'static str,
    /// The handler with its typed arguments.
    pub handler: &'static dyn Call,
}

/// A row per line: `name = handler, full;` or `name = handler, partial("what is missing");`.
macro_rules! rows {
    ($($name:ident = $handler:path, $level:ident $(($note:literal))?;)*) => {
        &[$(Row {
            number: number::number(stringify!($name)),
            name: stringify!($name),
            support: rows!(@level $level),
            note: concat!($($note)?),
            handler: &typed($handler),
        },)*]
    };
    (@level full) => { Support::Full };
    (@level partial) => { Support::Partial };
}

/// All system calls that have a handler, by topic.
pub static TABLE: &[Row] = rows! {
    // Files and descriptors
    read = calls::transfer::read, full;
    write = calls::transfer::write, full;
    pread64 = calls::transfer::pread64, full;
    pwrite64 = calls::transfer::pwrite64, full;
    readv = calls::transfer::readv, full;
    writev = calls::transfer::writev, full;
    preadv = calls::transfer::preadv, full;
    pwritev = calls::transfer::pwritev, full;
    preadv2 = calls::transfer::preadv2,
        partial("RWF_NOWAIT is refused");
    pwritev2 = calls::transfer::pwritev2,
        partial("RWF_NOWAIT is refused");
    open = calls::open::open, full;
    openat = calls::open::openat, full;
    creat = calls::open::creat, full;
    openat2 = calls::open::openat2,
        partial("RESOLVE_CACHED always gives EAGAIN");
    close = calls::open::close, full;
    close_range = calls::open::close_range,
        partial("CLOSE_RANGE_UNSHARE leaves the threads of a process together");
    memfd_create = calls::open::memfd_create,
        partial("no huge pages");
    lseek = calls::descriptor::lseek, full;
    dup = calls::descriptor::dup, full;
    dup2 = calls::descriptor::dup2, full;
    dup3 = calls::descriptor::dup3, full;
    fcntl = calls::descriptor::fcntl,
        partial("no leases, notification or signals for ready files; a signal may not end F_SETLKW");
    ioctl = calls::descriptor::ioctl,
        partial("requests of particular file systems are missing");
    flock = calls::lock::flock, full;
    stat = calls::metadata::stat, full;
    lstat = calls::metadata::lstat, full;
    fstat = calls::metadata::fstat, full;
    newfstatat = calls::metadata::newfstatat, full;
    statx = calls::metadata::statx,
        partial("no direct I/O alignment");
    access = calls::metadata::access, full;
    faccessat = calls::metadata::faccessat, full;
    faccessat2 = calls::metadata::faccessat2, full;
    statfs = calls::metadata::statfs, full;
    fstatfs = calls::metadata::fstatfs, full;
    truncate = calls::storage::truncate, full;
    ftruncate = calls::storage::ftruncate, full;
    fallocate = calls::storage::fallocate, full;
    sync = calls::storage::sync, full;
    syncfs = calls::storage::syncfs, full;
    fsync = calls::storage::fsync, full;
    fdatasync = calls::storage::fdatasync, full;
    fadvise64 = calls::storage::fadvise64, full;
    readahead = calls::storage::readahead, full;
    sync_file_range = calls::storage::sync_file_range, full;
    cachestat = calls::cache::cachestat, partial("all that is stored in memory is clean");
    io_setup = calls::aio::io_setup, partial("operations are done when they are submitted");
    io_submit = calls::aio::io_submit, partial("operations are done when they are submitted; no IOCB_CMD_POLL");
    io_getevents = calls::aio::io_getevents, full;
    io_pgetevents = calls::aio::io_pgetevents, full;
    io_cancel = calls::aio::io_cancel, full;
    io_destroy = calls::aio::io_destroy, full;
    io_uring_setup = calls::io_uring::io_uring_setup,
        partial("IORING_SETUP_SQPOLL, IOPOLL, SQE128, CQE32 and NO_MMAP are refused");
    io_uring_enter = calls::io_uring::io_uring_enter,
        partial("no splicing, xattrs, messages to rings, futexes, chosen buffers and zero copy");
    io_uring_register = calls::io_uring_register::io_uring_register,
        partial("buffers, files, eventfd, probe, enabling; no tags, personalities, restrictions");
    sendfile = calls::copy::sendfile, full;
    copy_file_range = calls::copy::copy_file_range, full;
    splice = calls::copy::splice, full;
    tee = calls::copy::tee,
        partial("standard streams of the host are no pipes");
    vmsplice = calls::copy::vmsplice,
        partial("memory is copied, and later changes of it are not seen");

    // Paths and directories
    getdents = calls::directory::getdents, full;
    getdents64 = calls::directory::getdents64, full;
    getcwd = calls::directory::getcwd, full;
    chdir = calls::directory::chdir, full;
    fchdir = calls::directory::fchdir, full;
    chroot = calls::directory::chroot, full;
    mount = calls::mount::mount,
        partial("tmpfs, ramfs, proc, sysfs, devtmpfs and bind mounts only; some flags ignored");
    umount2 = calls::mount::umount2,
        partial("the root file system cannot be detached");
    pivot_root = calls::mount::pivot_root,
        partial("the root that the machine began with stays");
    fsopen = calls::mount_api::fsopen,
        partial("no messages; types as for mount");
    fsconfig = calls::mount_api::fsconfig, partial("no type of file system takes descriptors, paths or binary values");
    fsmount = calls::mount_api::fsmount, full;
    fspick = calls::mount_api::fspick, partial("no messages");
    move_mount = calls::mount_api::move_mount, partial("MOVE_MOUNT_SET_GROUP is refused");
    open_tree = calls::mount_api::open_tree, full;
    open_tree_attr = calls::mount_api::open_tree_attr, partial("no maps of users");
    mount_setattr = calls::mount_api::mount_setattr, partial("no maps of users");
    statmount = calls::statmount::statmount, partial("only the namespace of the caller");
    listmount = calls::statmount::listmount, partial("only the namespace of the caller");
    umask = calls::directory::umask, full;
    mkdir = calls::name::mkdir, full;
    mkdirat = calls::name::mkdirat, full;
    mknod = calls::name::mknod, full;
    mknodat = calls::name::mknodat, full;
    symlink = calls::name::symlink, full;
    symlinkat = calls::name::symlinkat, full;
    readlink = calls::name::readlink, full;
    readlinkat = calls::name::readlinkat, full;
    link = calls::name::link, full;
    linkat = calls::name::linkat, partial("AT_EMPTY_PATH needs no privilege");
    unlink = calls::name::unlink, full;
    rmdir = calls::name::rmdir, full;
    unlinkat = calls::name::unlinkat, full;
    rename = calls::name::rename, full;
    renameat = calls::name::renameat, full;
    renameat2 = calls::name::renameat2,
        partial("RENAME_WHITEOUT is refused");
    chmod = calls::attributes::chmod, full;
    fchmod = calls::attributes::fchmod, full;
    fchmodat = calls::attributes::fchmodat, full;
    fchmodat2 = calls::attributes::fchmodat2, full;
    chown = calls::attributes::chown, full;
    lchown = calls::attributes::lchown, full;
    fchown = calls::attributes::fchown, full;
    fchownat = calls::attributes::fchownat, full;
    file_getattr = calls::file_flags::file_getattr, full;
    file_setattr = calls::file_flags::file_setattr, full;
    name_to_handle_at = calls::handle::name_to_handle_at,
        partial("files in memory only");
    open_by_handle_at = calls::handle::open_by_handle_at,
        partial("files in memory only");
    utime = calls::attributes::utime, full;
    utimes = calls::attributes::utimes, full;
    futimesat = calls::attributes::futimesat, full;
    utimensat = calls::attributes::utimensat, full;
    getxattr = calls::xattr::getxattr,
        partial("no access control lists; security attributes have no effect");
    lgetxattr = calls::xattr::lgetxattr,
        partial("no access control lists; security attributes have no effect");
    fgetxattr = calls::xattr::fgetxattr,
        partial("no access control lists; security attributes have no effect");
    setxattr = calls::xattr::setxattr,
        partial("no access control lists; security attributes have no effect");
    lsetxattr = calls::xattr::lsetxattr,
        partial("no access control lists; security attributes have no effect");
    fsetxattr = calls::xattr::fsetxattr,
        partial("no access control lists; security attributes have no effect");
    removexattr = calls::xattr::removexattr,
        partial("no access control lists; security attributes have no effect");
    lremovexattr = calls::xattr::lremovexattr,
        partial("no access control lists; security attributes have no effect");
    fremovexattr = calls::xattr::fremovexattr,
        partial("no access control lists; security attributes have no effect");
    listxattr = calls::xattr::listxattr,
        partial("no access control lists; security attributes have no effect");
    llistxattr = calls::xattr::llistxattr,
        partial("no access control lists; security attributes have no effect");
    flistxattr = calls::xattr::flistxattr,
        partial("no access control lists; security attributes have no effect");

    // Memory
    mmap = calls::memory::mmap, full;
    mprotect = calls::memory::mprotect, full;
    munmap = calls::memory::munmap, full;
    brk = calls::memory::brk, full;
    mremap = calls::memory::mremap, full;
    msync = calls::memory::msync, full;
    mincore = calls::memory::mincore, full;
    madvise = calls::memory::madvise, partial("MADV_COLLAPSE is refused");
    mseal = calls::memory::mseal, full;
    remap_file_pages = calls::memory::remap_file_pages, full;
    mlock = calls::memory::mlock, full;
    munlock = calls::memory::munlock, full;
    mlockall = calls::memory::mlockall, full;
    munlockall = calls::memory::munlockall, full;
    mlock2 = calls::memory::mlock2, full;
    shmget = calls::shm::shmget, full;
    shmat = calls::shm::shmat, full;
    shmdt = calls::shm::shmdt, full;
    shmctl = calls::shm::shmctl, full;

    // Semaphores and messages
    semget = calls::semaphore::semget, full;
    semop = calls::semaphore::semop, full;
    semtimedop = calls::semaphore::semtimedop, full;
    semctl = calls::semaphore::semctl, full;
    msgget = calls::sysv_message::msgget, full;
    msgsnd = calls::sysv_message::msgsnd, full;
    msgrcv = calls::sysv_message::msgrcv, full;
    msgctl = calls::sysv_message::msgctl, full;
    mq_open = calls::message_queue::mq_open, partial("their file system cannot be mounted");
    mq_unlink = calls::message_queue::mq_unlink, full;
    mq_timedsend = calls::message_queue::mq_timedsend, full;
    mq_timedreceive = calls::message_queue::mq_timedreceive, full;
    mq_notify = calls::message_queue::mq_notify, partial("no SIGEV_THREAD");
    mq_getsetattr = calls::message_queue::mq_getsetattr, full;

    // Processes, identity and limits
    getpid = calls::identity::getpid, full;
    gettid = calls::identity::gettid, full;
    getppid = calls::identity::getppid, full;
    getuid = calls::identity::getuid, full;
    geteuid = calls::identity::geteuid, full;
    getgid = calls::identity::getgid, full;
    getegid = calls::identity::getegid, full;
    getresuid = calls::identity::getresuid, full;
    getresgid = calls::identity::getresgid, full;
    setuid = calls::identity::setuid, full;
    setgid = calls::identity::setgid, full;
    setreuid = calls::identity::setreuid, full;
    setregid = calls::identity::setregid, full;
    setresuid = calls::identity::setresuid, full;
    setresgid = calls::identity::setresgid, full;
    setfsuid = calls::identity::setfsuid, full;
    setfsgid = calls::identity::setfsgid, full;
    getgroups = calls::identity::getgroups, full;
    setgroups = calls::identity::setgroups, full;
    getpgrp = calls::identity::getpgrp, full;
    getpgid = calls::identity::getpgid, full;
    setpgid = calls::identity::setpgid, full;
    getsid = calls::identity::getsid, full;
    setsid = calls::identity::setsid, full;
    capget = calls::capability::capget, full;
    capset = calls::capability::capset, full;
    getrlimit = calls::limits::getrlimit, full;
    setrlimit = calls::limits::setrlimit, partial("limits of real-time are kept only");
    prlimit64 = calls::limits::prlimit64, partial("limits of real-time are kept only");
    getrusage = calls::limits::getrusage,
        partial("only CPU time and peak memory");
    ptrace = calls::ptrace::ptrace,
        partial("no filters, thread areas or user dispatch to ask for; no PTRACE_SET_SYSCALL_INFO");
    process_vm_readv = calls::process_memory::process_vm_readv, full;
    process_vm_writev = calls::process_memory::process_vm_writev, full;
    getpriority = calls::limits::getpriority, full;
    setpriority = calls::limits::setpriority, full;
    prctl = calls::prctl::prctl, partial("names, signals, dumpability and capabilities only");
    personality = calls::process::personality,
        partial("only ADDR_NO_RANDOMIZE and STICKY_TIMEOUTS have an effect");
    arch_prctl = calls::process::arch_prctl, partial("only the bases of FS and GS");
    set_tid_address = calls::process::set_tid_address, full;
    set_robust_list = calls::process::set_robust_list, full;
    get_robust_list = calls::process::get_robust_list, full;
    rseq = calls::process::rseq, partial("only on a single processor");
    fork = calls::fork::fork, full;
    vfork = calls::fork::vfork, full;
    clone = calls::fork::clone, partial("no new networks");
    clone3 = calls::fork::clone3, partial("no control groups and no new networks");
    unshare = calls::namespace::unshare, partial("memory and signal actions stay shared; no new networks");
    setns = calls::namespace::setns, full;
    execve = calls::execute::execve, partial("capabilities of files do not count");
    execveat = calls::execute::execveat, partial("capabilities of files do not count");
    wait4 = calls::wait::wait4, partial("of the usage, only CPU time and peak memory");
    waitid = calls::wait::waitid, partial("of the usage, only CPU time and peak memory");
    kcmp = calls::compare::kcmp, partial("no contexts of input and output");
    futex = calls::futex::futex, full;
    futex_waitv = calls::futex::futex_waitv, full;
    futex_wake = calls::futex::futex_wake, full;
    futex_wait = calls::futex::futex_wait, full;
    futex_requeue = calls::futex::futex_requeue, full;
    pidfd_open = calls::pidfd::pidfd_open, partial("no PIDFD_THREAD");
    pidfd_send_signal = calls::pidfd::pidfd_send_signal,
        partial("no flags");
    pidfd_getfd = calls::pidfd::pidfd_getfd, full;
    exit = calls::process::exit, full;
    exit_group = calls::process::exit_group, full;

    // Signals
    rt_sigaction = calls::signal::rt_sigaction, full;
    rt_sigprocmask = calls::signal::rt_sigprocmask, full;
    rt_sigpending = calls::signal::rt_sigpending, full;
    rt_sigsuspend = calls::signal::rt_sigsuspend, full;
    rt_sigtimedwait = calls::signal::rt_sigtimedwait, full;
    rt_sigqueueinfo = calls::signal::rt_sigqueueinfo,
        partial("RLIMIT_SIGPENDING counts those of a process, not of a user");
    rt_tgsigqueueinfo = calls::signal::rt_tgsigqueueinfo, full;
    rt_sigreturn = calls::signal::rt_sigreturn, full;
    sigaltstack = calls::signal::sigaltstack, full;
    restart_syscall = calls::signal::restart_syscall, full;
    kill = calls::signal::kill, full;
    tkill = calls::signal::tkill, full;
    tgkill = calls::signal::tgkill, full;
    pause = calls::signal::pause, full;

    // Time
    clock_gettime = calls::time::clock_gettime, full;
    clock_settime = calls::time::clock_settime, full;
    clock_getres = calls::time::clock_getres, full;
    adjtimex = calls::time::adjtimex, partial("the rate of the clock does not change");
    clock_adjtime = calls::time::clock_adjtime, partial("the rate of the clock does not change");
    clock_nanosleep = calls::time::clock_nanosleep, full;
    nanosleep = calls::time::nanosleep, full;
    gettimeofday = calls::time::gettimeofday, full;
    settimeofday = calls::time::settimeofday, partial("the time zone is UTC");
    time = calls::time::time, full;
    times = calls::time::times, full;
    alarm = calls::time::alarm, full;
    getitimer = calls::time::getitimer, full;
    setitimer = calls::time::setitimer, full;
    timer_create = calls::timer::timer_create, full;
    timer_settime = calls::timer::timer_settime, full;
    timer_gettime = calls::timer::timer_gettime, full;
    timer_getoverrun = calls::timer::timer_getoverrun, full;
    timer_delete = calls::timer::timer_delete, full;
    timerfd_create = calls::timer::timerfd_create, full;
    timerfd_settime = calls::timer::timerfd_settime, full;
    timerfd_gettime = calls::timer::timerfd_gettime, full;

    // Waiting and terminals
    poll = calls::poll::poll, full;
    ppoll = calls::poll::ppoll, full;
    select = calls::poll::select, full;
    pselect6 = calls::poll::pselect6, full;
    epoll_create = calls::epoll::epoll_create, full;
    epoll_create1 = calls::epoll::epoll_create1, full;
    epoll_ctl = calls::epoll::epoll_ctl, full;
    epoll_wait = calls::epoll::epoll_wait, full;
    epoll_pwait = calls::epoll::epoll_pwait, full;
    epoll_pwait2 = calls::epoll::epoll_pwait2, full;
    eventfd = calls::event::eventfd, full;
    eventfd2 = calls::event::eventfd2, full;
    signalfd = calls::event::signalfd,
        partial("epoll hears of the signals of the thread that added the file");
    signalfd4 = calls::event::signalfd4,
        partial("epoll hears of the signals of the thread that added the file");
    userfaultfd = calls::event::userfaultfd,
        partial("writes are watched in private anonymous memory only; not WP_ASYNC, WP_UNPOPULATED");
    inotify_init = calls::inotify::inotify_init, full;
    inotify_init1 = calls::inotify::inotify_init1, full;
    inotify_add_watch = calls::inotify::inotify_add_watch,
        partial("of the host's directories only own changes; IN_DELETE_SELF of open files is early");
    inotify_rm_watch = calls::inotify::inotify_rm_watch, full;
    fanotify_init = calls::fanotify::fanotify_init,
        partial("no events of mounts");
    fanotify_mark = calls::fanotify::fanotify_mark,
        partial("of the host's directories only own changes; DELETE_SELF of open files is early");
    pipe = calls::pipe::pipe,
        partial("no limit on the pages of a user");
    pipe2 = calls::pipe::pipe2,
        partial("no limit on the pages of a user");

    // Sockets
    socket = calls::socket::socket,
        partial("only AF_UNIX, AF_INET, AF_INET6 and NETLINK_ROUTE, without out-of-band data");
    socketpair = calls::socket::socketpair, full;
    bind = calls::socket::bind,
        partial("no UDP-Lite");
    listen = calls::socket::listen, full;
    accept = calls::socket::accept, full;
    accept4 = calls::socket::accept4, full;
    connect = calls::socket::connect, full;
    shutdown = calls::socket::shutdown, full;
    getsockname = calls::socket::getsockname, full;
    getpeername = calls::socket::getpeername, full;
    setsockopt = calls::socket::setsockopt,
        partial("no time stamps, filters or sources of groups; some are only kept");
    getsockopt = calls::socket::getsockopt,
        partial("no time stamps, filters or sources of groups; some are only kept");
    sendto = calls::message::sendto,
        partial("no out-of-band data or control messages over IP");
    sendmsg = calls::message::sendmsg,
        partial("no out-of-band data or control messages over IP");
    sendmmsg = calls::message::sendmmsg,
        partial("no out-of-band data or control messages over IP");
    recvfrom = calls::message::recvfrom,
        partial("no out-of-band data or control messages over IP");
    recvmsg = calls::message::recvmsg,
        partial("no out-of-band data or control messages over IP");
    recvmmsg = calls::message::recvmmsg,
        partial("no out-of-band data or control messages over IP");

    // Keys
    add_key = calls::key::add_key, partial("only the types keyring, user, logon and big_key");
    request_key = calls::key::request_key, partial("no program makes keys that are missing");
    keyctl = calls::keyctl::keyctl,
        partial("no persistent keyrings, cryptography, restrictions or watches");

    // The system
    acct = calls::accounting::acct, partial("records have neither memory nor faults");
    lsm_list_modules = calls::security::lsm_list_modules, full;
    lsm_get_self_attr = calls::security::lsm_get_self_attr, full;
    lsm_set_self_attr = calls::security::lsm_set_self_attr, full;
    landlock_create_ruleset = calls::landlock::landlock_create_ruleset, full;
    landlock_add_rule = calls::landlock::landlock_add_rule, full;
    landlock_restrict_self = calls::landlock::landlock_restrict_self, full;
    sysfs = calls::legacy::sysfs, full;
    ustat = calls::legacy::ustat, full;
    vhangup = calls::legacy::vhangup, partial("only without a controlling terminal");
    uname = calls::system::uname, full;
    sethostname = calls::system::sethostname, full;
    setdomainname = calls::system::setdomainname, full;
    sysinfo = calls::system::sysinfo, partial("the load averages are 0");
    getrandom = calls::system::getrandom, full;
    getcpu = calls::system::getcpu, partial("always processor 0");
    membarrier = calls::system::membarrier, full;
    sched_yield = calls::schedule::sched_yield, full;
    sched_getaffinity = calls::schedule::sched_getaffinity, partial("always all processors");
    sched_setaffinity = calls::schedule::sched_setaffinity, partial("only all processors");
    sched_getscheduler = calls::schedule::sched_getscheduler, full;
    sched_setscheduler = calls::schedule::sched_setscheduler,
        partial("policies are kept and told, and change nothing");
    sched_getparam = calls::schedule::sched_getparam, full;
    sched_setparam = calls::schedule::sched_setparam,
        partial("priorities are kept and told, and change nothing");
    sched_getattr = calls::schedule::sched_getattr, partial("no utilisation, no slice");
    sched_setattr = calls::schedule::sched_setattr,
        partial("policies are kept and told, and change nothing");
    sched_rr_get_interval = calls::schedule::sched_rr_get_interval, full;
    sched_get_priority_max = calls::schedule::sched_get_priority_max, full;
    sched_get_priority_min = calls::schedule::sched_get_priority_min, full;
};

/// The row of system call `number`, or `None` where it is not implemented.
#[must_use]
pub fn row(number: u64) -> Option<&'static Row> {
    let at = *BY_NUMBER.get(usize::try_from(number).ok()?)?;
    at.checked_sub(1).map(|at| &TABLE[usize::from(at)])
}

/// Index into [`TABLE`] plus one, by number; 0 where there is no row.
static BY_NUMBER: [u16; number::COUNT] = index();

const fn index() -> [u16; number::COUNT] {
    let mut by_number = [0; number::COUNT];
    let mut at = 0;
    while at < TABLE.len() {
        let number = TABLE[at].number as usize;
        assert!(by_number[number] == 0, "two rows for one system call");
        by_number[number] = at as u16 + 1;
        at += 1;
    }
    by_number
}

/// Length of [`text`] in bytes.
pub const TEXT_LEN: usize = write_text([0; 0]).1;

/// The table as text, in the format of [`abi::boot::table`].
#[must_use]
pub const fn text() -> [u8; TEXT_LEN] {
    write_text([0; TEXT_LEN]).0
}

/// Writes as much of the text as fits into `to`; returns it and the length of the whole.
const fn write_text<const N: usize>(to: [u8; N]) -> ([u8; N], usize) {
    let mut out = Text { to, len: 0 };
    let mut at = 0;
    while at < number::SYSTEM_CALLS.len() {
        let (number, name) = number::SYSTEM_CALLS[at];
        let (support, note) = match BY_NUMBER[number as usize] {
            0 => (Support::None, ""),
            row => (TABLE[row as usize - 1].support, TABLE[row as usize - 1].note),
        };
        out.put_number(number);
        out.put_field(name);
        out.put_field(support.name());
        out.put_field(note);
        out.put(b"\n");
        at += 1;
    }
    (out.to, out.len)
}

struct Text<const N: usize> {
    to: [u8; N],
    len: usize,
}

impl<const N: usize> Text<N> {
    const fn put(&mut self, bytes: &[u8]) {
        let mut at = 0;
        while at < bytes.len() {
            if self.len < N {
                self.to[self.len] = bytes[at];
            }
            self.len += 1;
            at += 1;
        }
    }

    const fn put_field(&mut self, field: &str) {
        self.put(b"\t");
        self.put(field.as_bytes());
    }

    const fn put_number(&mut self, number: u16) {
        if number >= 10 {
            self.put_number(number / 10);
        }
        self.put(&[b'0' + (number % 10) as u8]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_found_by_its_number() {
        for expected in TABLE {
            assert_eq!(row(u64::from(expected.number)).map(|row| row.name), Some(expected.name));
        }
        assert!(row(u64::MAX).is_none());
        assert!(row(335).is_none());
    }

    #[test]
    fn a_partial_row_says_what_is_missing_and_a_full_one_needs_not() {
        for row in TABLE {
            assert_eq!(row.note.is_empty(), row.support == Support::Full, "{}", row.name);
        }
    }

    #[test]
    fn the_text_has_a_line_for_every_system_call() {
        let text = text();
        let text = core::str::from_utf8(&text).unwrap();
        assert_eq!(text.lines().count(), number::SYSTEM_CALLS.len());
        assert!(text.starts_with("0\tread\t"));
        assert!(text.lines().any(|line| line.starts_with("39\tgetpid\tfull\t")));
        assert!(text.lines().all(|line| line.split('\t').count() == 4));
    }
}
