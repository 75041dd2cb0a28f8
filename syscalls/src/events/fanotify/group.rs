//! A group of fanotify(7): its marks, and the file that its events are read from.

use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::Ordering;

use abi::Errno;
use abi::fanotify::{
    EventMetadata, FanotifyInit, FanotifyMarkFlags, FanotifyMask, METADATA_VERSION, NO_FD,
    RecordHeader, Response, answer, record,
};
use abi::fs::{FileType, OpenFlags};
use abi::process::Resource;
use spin::Mutex;
use zerocopy::{FromBytes, IntoBytes};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::open::open_unwatched;
use crate::fs::{Fd, File, Inode, Location, OnExec, OpenFile, PollEvents, Positions, anonymous};
use crate::io::{Sink, Source};
use crate::process::descriptor::ProcessFile;
use crate::system::System;
use crate::wait::{Interruption, Patience, WaitQueue};

use super::event::{Answer, Event, Question, Subject};
use super::identity::{Ends, Identity};
use super::mark::{Ignoring, Mark, Marked, Role, Target};
use super::queue::Queue;
use super::{Happening, MAX_MARKS};

const READABLE: PollEvents = PollEvents::IN.union(PollEvents::RDNORM);

/// In place of the descriptor of a process that has ended (`FAN_NOPIDFD`).
const NO_PIDFD: i32 = -1;

/// In place of the descriptor of a process, where none could be made (`FAN_EPIDFD`).
const PIDFD_ERROR: i32 = -2;

/// Length of a record with a descriptor of a process, in bytes.
const PIDFD_RECORD: usize = size_of::<RecordHeader>() + size_of::<i32>();

/// A group.
pub struct Group {
    inode: Arc<dyn Inode>,
    system: Weak<System>,
    flags: FanotifyInit,
    /// How the files of events are opened.
    event_flags: OpenFlags,
    /// The process that made it, where it may not know what others are.
    own_process: Option<u32>,
    marks: Mutex<BTreeMap<Target, Mark>>,
    queue: Mutex<Queue>,
    /// Woken when there is an event.
    changed: WaitQueue,
    /// Woken when a question is answered.
    answered: WaitQueue,
}

/// What a mark of a group is to say.
pub(crate) struct Wish {
    pub(crate) target: Target,
    pub(crate) events: FanotifyMask,
    /// Where it says what is not wanted, how that is meant.
    pub(crate) ignoring: Option<Ignoring>,
    pub(crate) is_evictable: bool,
}

impl Group {
    /// A new group as an open file.
    ///
    /// # Errors
    /// `EMFILE` when there are too many.
    pub(crate) fn open(
        cx: &Context<'_>,
        flags: FanotifyInit,
        event_flags: OpenFlags,
        own_process: Option<u32>,
    ) -> Result<Arc<OpenFile>> {
        let group = Arc::new(Self {
            inode: anonymous::inode("[fanotify]"),
            system: Arc::downgrade(cx.system),
            flags,
            event_flags,
            own_process,
            marks: Mutex::default(),
            queue: Mutex::default(),
            changed: WaitQueue::new(),
            answered: WaitQueue::new(),
        });
        cx.system.notifier.fanotify.add(&group)?;
        let waits = !flags.contains(FanotifyInit::NONBLOCK);
        let status = if waits { OpenFlags::empty() } else { OpenFlags::NONBLOCK };
        Ok(Arc::new(OpenFile::new(group, status | OpenFlags::RDWR)))
    }

    /// What it is.
    pub(crate) fn flags(&self) -> FanotifyInit {
        self.flags
    }

    /// Whether its events have handles in place of descriptors.
    pub(crate) fn identifies(&self) -> bool {
        self.flags.intersects(FanotifyInit::IDENTIFY)
    }

    /// Adds to a mark, or makes it.
    ///
    /// # Errors
    /// `ENOSPC` when there are too many; `EEXIST` where the mark is of another kind.
    pub(crate) fn mark(&self, cx: &Context<'_>, marked: Marked, wish: &Wish) -> Result<()> {
        let count = &cx.system.notifier.fanotify.marks;
        let mut marks = self.marks.lock();
        let is_new = !marks.contains_key(&wish.target);
        let is_unlimited = self.flags.contains(FanotifyInit::UNLIMITED_MARKS);
        if is_new && !is_unlimited && count.load(Ordering::Relaxed) >= MAX_MARKS {
            return Err(Errno::ENOSPC.because("too many marks"));
        }
        let new = || Mark::new(marked, wish.is_evictable);
        let mark = marks.entry(wish.target).or_insert_with(new);
        if !is_new && wish.is_evictable && !mark.is_evictable {
            return Err(Errno::EEXIST.because("the mark keeps the file in memory"));
        }
        mark.is_evictable &= wish.is_evictable;
        match wish.ignoring {
            None => mark.mask |= wish.events,
            Some(how) => mark.ignore(wish.events, how)?,
        }
        if is_new {
            count.fetch_add(1, Ordering::Relaxed);
        }
        Ok(())
    }

    /// Removes from a mark, which is gone when it says nothing any more.
    ///
    /// # Errors
    /// `ENOENT` when there is none.
    pub(crate) fn unmark(&self, wish: &Wish) -> Result<()> {
        let mut marks = self.marks.lock();
        let mark = marks.get_mut(&wish.target);
        let mark = mark.ok_or_else(|| Errno::ENOENT.because("there is no such mark"))?;
        match wish.ignoring {
            None => mark.mask.remove(wish.events),
            Some(_) => mark.ignored.remove(wish.events),
        }
        if mark.is_empty() {
            let removed = marks.remove(&wish.target);
            self.count_removed(1);
            drop(marks);
            drop(removed);
        }
        Ok(())
    }

    /// Removes all marks of the kind that the flags say.
    pub(crate) fn flush(&self, flags: FanotifyMarkFlags) {
        let mut marks = self.marks.lock();
        let all = core::mem::take(&mut *marks);
        let (removed, kept) = all.into_iter().partition(|(target, _)| target.is_of_kind(flags));
        *marks = kept;
        drop(marks);
        let removed: BTreeMap<Target, Mark> = removed;
        self.count_removed(removed.len());
    }

    fn count_removed(&self, count: usize) {
        if let Some(system) = self.system.upgrade() {
            system.notifier.fanotify.marks.fetch_sub(count, Ordering::Relaxed);
        }
    }

    /// Removes the mark on what is gone.
    pub(super) fn forget(&self, inode: &Arc<dyn Inode>) {
        let removed = Target::inode(inode).ok().and_then(|at| self.marks.lock().remove(&at));
        if removed.is_some() {
            self.count_removed(1);
        }
    }

    /// What of something that happens the group wants, and which ends of a rename.
    fn wanted(&self, happening: &Happening<'_>) -> (FanotifyMask, Ends) {
        let mut wanted = FanotifyMask::empty();
        let mut unwanted = FanotifyMask::empty();
        let mut ends = Ends { old: false, new: false };
        let mut marks = self.marks.lock();
        for (target, role) in targets(happening).into_iter().flatten() {
            let Some(mark) = marks.get_mut(&target).filter(|mark| mark.marked.exists()) else {
                continue;
            };
            if happening.event.contains(FanotifyMask::MODIFY) {
                mark.was_modified(role);
            }
            unwanted |= mark.unwanted(happening.event, role);
            let by_this = mark.wanted(happening.event, role);
            wanted |= by_this;
            if by_this.contains(FanotifyMask::RENAME) {
                ends.old |= matches!(role, Role::Itself | Role::Whole);
                ends.new |= matches!(role, Role::NewParent | Role::Whole);
            }
        }
        let mask = wanted.difference(unwanted.difference(FanotifyMask::CONDITIONS));
        if mask.difference(FanotifyMask::CONDITIONS).is_empty() {
            return (FanotifyMask::empty(), ends);
        }
        let mut shown = mask.difference(FanotifyMask::CONDITIONS);
        shown.set(FanotifyMask::ONDIR, self.identifies() && mask.contains(FanotifyMask::ONDIR));
        (shown, ends)
    }

    /// What the group is told of something that happens; `None` where it does not want that.
    fn event(&self, happening: &Happening<'_>) -> Option<Event> {
        let (mask, ends) = self.wanted(happening);
        if mask.is_empty() {
            return None;
        }
        let actor = happening.actor;
        let shown = match self.flags.contains(FanotifyInit::REPORT_TID) {
            true => actor.thread,
            false => actor.process,
        };
        let is_known = self.own_process.is_none_or(|own| own == actor.process);
        let has_place = happening.entry.is_some() || mask.contains(FanotifyMask::ONDIR);
        let subject = if self.identifies() {
            // Without handles of files, there must be a directory to tell of.
            if !has_place && !self.flags.contains(FanotifyInit::REPORT_FID) {
                return None;
            }
            Subject::Identity(Identity::of(happening, self.flags, ends).ok()?)
        } else {
            let at = happening.at?;
            let is_file = matches!(at.inode().kind(), FileType::Regular | FileType::Directory);
            Subject::File(Some(at).filter(|_| is_file)?.clone())
        };
        Some(Event { mask, actor: if is_known { shown } else { 0 }, subject, question: None })
    }

    /// Queues what has happened, if it is wanted.
    pub(super) fn tell(&self, happening: &Happening<'_>) {
        if let Some(event) = self.event(happening) {
            self.push(event);
        }
    }

    fn push(&self, event: Event) {
        let is_unlimited = self.flags.contains(FanotifyInit::UNLIMITED_QUEUE);
        self.queue.lock().push(event, is_unlimited);
        self.changed.wake(READABLE);
    }

    /// Asks whether the caller may go on, if the group wants to decide that, and waits for the
    /// answer.
    ///
    /// # Errors
    /// `EPERM` when it may not.
    pub(super) fn ask(&self, cx: &Context<'_>, happening: &Happening<'_>) -> Result<()> {
        let Some(event) = self.event(happening) else {
            return Ok(());
        };
        let question = Arc::new(Question::default());
        self.push(Event { question: Some(question.clone()), ..event });
        let answered = || Ok(question.answer());
        let waited = cx.wait_until(&[&self.answered], None, Interruption::Never, answered);
        if waited.is_err() {
            self.queue.lock().withdraw(&question);
        }
        match waited? {
            Some(Answer::Denied) => Err(Errno::EPERM.because("a listener of fanotify denies it")),
            _ => Ok(()),
        }
    }

    /// How many bytes a read gives for an event.
    fn len_of(&self, event: &Event) -> usize {
        let identity = match &event.subject {
            Subject::Identity(identity) => identity.records(event.mask, self.flags).len(),
            _ => 0,
        };
        let has_pidfd = self.flags.contains(FanotifyInit::REPORT_PIDFD)
            && !matches!(event.subject, Subject::Overflow);
        size_of::<EventMetadata>() + identity + if has_pidfd { PIDFD_RECORD } else { 0 }
    }

    /// The first event where it fits into `room`; `None` where there is none.
    fn take(&self, room: usize) -> Result<Option<Event>> {
        let mut queue = self.queue.lock();
        match queue.first() {
            Some(event) if self.len_of(event) > room => {
                Err(Errno::EINVAL.because("no room for the next event"))
            }
            _ => Ok(queue.take()),
        }
    }

    /// Gives an event to the reader, with the descriptors that belong to it. Returns how many
    /// bytes that are.
    fn deliver(&self, cx: &Context<'_>, event: Event, to: &mut dyn Sink) -> Result<usize> {
        let mut descriptors = Descriptors::default();
        let delivered = self.put(cx, &event, to, &mut descriptors);
        if let Some(question) = event.question {
            match (&delivered, descriptors.file) {
                (Ok(_), Some(fd)) => self.queue.lock().was_asked(fd.0, question),
                _ => {
                    // Nobody can answer it any more.
                    question.decide(Answer::Denied);
                    self.answered.wake_all();
                }
            }
        }
        if delivered.is_err() {
            for fd in descriptors.file.into_iter().chain(descriptors.process) {
                // The reader, who does not know it, may have closed it.
                let _ = cx.files().remove(fd);
            }
        }
        delivered
    }

    fn put(
        &self,
        cx: &Context<'_>,
        event: &Event,
        to: &mut dyn Sink,
        descriptors: &mut Descriptors,
    ) -> Result<usize> {
        let bytes = self.bytes(cx, event, descriptors)?;
        match to.put(&bytes)? {
            all if all == bytes.len() => Ok(all),
            _ => Err(Errno::EFAULT.because("a part of the event cannot be written")),
        }
    }

    /// An event as the reader gets it, and the descriptors that belong to it.
    fn bytes(
        &self,
        cx: &Context<'_>,
        event: &Event,
        descriptors: &mut Descriptors,
    ) -> Result<Vec<u8>> {
        let tells_errors = self.flags.contains(FanotifyInit::REPORT_FD_ERROR);
        let fd = match &event.subject {
            Subject::File(at) => match self.open_file(cx, at) {
                Err(error) if tells_errors => -(error.errno as i32),
                opened => descriptors.file.insert(opened?).0,
            },
            _ if tells_errors => -(Errno::EBADF as i32),
            _ => NO_FD,
        };
        let mut records = match &event.subject {
            Subject::Identity(identity) => identity.records(event.mask, self.flags),
            _ => Vec::new(),
        };
        let has_pidfd = self.flags.contains(FanotifyInit::REPORT_PIDFD);
        if has_pidfd && !matches!(event.subject, Subject::Overflow) {
            let header = RecordHeader { kind: record::PIDFD, pad: 0, len: PIDFD_RECORD as u16 };
            records.extend_from_slice(header.as_bytes());
            let fd = match process_descriptor(cx, event.actor) {
                Ok(fd) => descriptors.process.insert(fd).0,
                Err(error) if tells_errors => -(error.errno as i32),
                Err(error) if error.errno == Errno::ESRCH => NO_PIDFD,
                Err(_) => PIDFD_ERROR,
            };
            records.extend_from_slice(&fd.to_ne_bytes());
        }
        let metadata = EventMetadata {
            event_len: (size_of::<EventMetadata>() + records.len()) as u32,
            version: METADATA_VERSION,
            reserved: 0,
            metadata_len: size_of::<EventMetadata>() as u16,
            mask: event.mask.bits(),
            fd,
            pid: cx.shown_id(event.actor).cast_signed(),
        };
        Ok([metadata.as_bytes(), &records].concat())
    }

    fn open_file(&self, cx: &Context<'_>, at: &Location) -> Result<Fd> {
        let open = open_unwatched(cx, at.clone(), self.event_flags)?;
        add(cx, open, OnExec::of(self.event_flags))
    }

    /// Takes an answer to a question.
    fn decide(&self, response: Response) -> Result<()> {
        let decision = match response.response & !answer::AUDIT {
            answer::ALLOW => Answer::Allowed,
            answer::DENY => Answer::Denied,
            _ => return Err(Errno::EINVAL.because("neither allowed nor denied")),
        };
        let has_audit = self.flags.contains(FanotifyInit::ENABLE_AUDIT);
        if response.fd < 0 || response.response & answer::AUDIT != 0 && !has_audit {
            return Err(Errno::EINVAL.because("no descriptor, or no audit"));
        }
        let asked = self.queue.lock().take_asked(response.fd);
        asked.ok_or_else(|| Errno::ENOENT.because("there is no such question"))?.decide(decision);
        self.answered.wake_all();
        Ok(())
    }
}

/// The descriptors that belong to an event.
#[derive(Default)]
struct Descriptors {
    file: Option<Fd>,
    process: Option<Fd>,
}

/// What may have marks for something that happens.
fn targets(happening: &Happening<'_>) -> [Option<(Target, Role)>; 4] {
    let inode = |inode: &Arc<dyn Inode>, role| Target::inode(inode).ok().map(|at| (at, role));
    let directory = happening.entry.map(|entry| entry.directory);
    let whole = happening.inode.file_system().device();
    let whole = Some((Target::FileSystem(whole), Role::Whole));
    if happening.is_of_entry() {
        let old = directory.and_then(|directory| inode(directory, Role::Itself));
        let new = happening.to.and_then(|to| inode(to.directory, Role::NewParent));
        return [old, new, whole, None];
    }
    let parent = directory.and_then(|directory| inode(directory, Role::Parent));
    let mount = happening.at.map(|at| (Target::Mount(at.mount.unique_id()), Role::Whole));
    [inode(happening.inode, Role::Itself), parent, mount, whole]
}

fn add(cx: &Context<'_>, open: Arc<OpenFile>, on_exec: OnExec) -> Result<Fd> {
    let limit = cx.process.limits().current(Resource::OpenFiles);
    cx.files().add(open, 0, on_exec, limit)
}

/// A descriptor of a process, if it is still there.
fn process_descriptor(cx: &Context<'_>, id: u32) -> Result<Fd> {
    let process = cx.system.processes.of_task(id).filter(|process| !process.has_ended());
    let process = process.ok_or_else(|| Errno::ESRCH.because("the process has ended"))?;
    add(cx, ProcessFile::open(process, OpenFlags::empty()), OnExec::Close)
}

impl Drop for Group {
    fn drop(&mut self) {
        self.queue.lock().allow_all();
        self.answered.wake_all();
        let marks = core::mem::take(&mut *self.marks.lock());
        self.count_removed(marks.len());
    }
}

impl File for Group {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn positions(&self) -> Positions {
        Positions::Ignored
    }

    fn read(
        &self,
        cx: &Context<'_>,
        open: &OpenFile,
        _offset: u64,
        to: &mut dyn Sink,
    ) -> Result<usize> {
        let mut done = 0;
        loop {
            let room = to.remaining();
            let patience = if done > 0 { Patience::None } else { open.patience() };
            let event = cx.block_on(&[&self.changed], patience, || self.take(room));
            match event.and_then(|event| self.deliver(cx, event, to)) {
                Ok(bytes) => done += bytes,
                Err(error) if done == 0 => return Err(error),
                Err(_) => return Ok(done),
            }
        }
    }

    fn write(
        &self,
        _cx: &Context<'_>,
        _open: &OpenFile,
        _offset: u64,
        from: &mut dyn Source,
    ) -> Result<usize> {
        let mut bytes = [0; size_of::<Response>()];
        if from.remaining() < bytes.len() {
            return Err(Errno::EINVAL.because("the answer is too short"));
        }
        from.take(&mut bytes)?;
        let response = Response::read_from_bytes(&bytes);
        let response = response.map_err(|_| Errno::EINVAL.because("the answer is too short"))?;
        self.decide(response)?;
        Ok(bytes.len())
    }

    fn readable_bytes(&self) -> Result<usize> {
        Ok(self.queue.lock().len() * size_of::<EventMetadata>())
    }

    fn poll(&self) -> PollEvents {
        let can_read = self.queue.lock().first().is_some();
        if can_read { READABLE } else { PollEvents::empty() }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.changed)
    }

    fn fanotify(&self) -> Option<&Self> {
        Some(self)
    }

    fn describe(&self, _: &Context<'_>, out: &mut dyn fmt::Write) -> fmt::Result {
        let (flags, events) = (self.flags.bits(), self.event_flags.bits());
        writeln!(out, "fanotify flags:{flags:x} event-flags:{events:x}")?;
        for (target, mark) in &*self.marks.lock() {
            match target {
                Target::Inode(device, number) => {
                    write!(out, "fanotify ino:{number:x} sdev:{:x} ", device.encode())?;
                }
                Target::Mount(_) => match &mark.marked {
                    Marked::Mount(mount) => {
                        let id = mount.upgrade().map_or(0, |mount| mount.id());
                        write!(out, "fanotify mnt_id:{id:x} ")?;
                    }
                    _ => continue,
                },
                Target::FileSystem(device) => write!(out, "fanotify sdev:{:x} ", device.encode())?,
            }
            let mut kind = 0;
            if mark.ignoring.survives {
                kind |= FanotifyMarkFlags::IGNORED_SURV_MODIFY.bits();
            }
            if mark.is_evictable {
                kind |= FanotifyMarkFlags::EVICTABLE.bits();
            }
            if mark.ignoring.has_conditions {
                kind |= FanotifyMarkFlags::IGNORE.bits();
            }
            let (mask, ignored) = (mark.mask.bits(), mark.ignored.bits());
            writeln!(out, "mflags:{kind:x} mask:{mask:x} ignored_mask:{ignored:x} ")?;
        }
        Ok(())
    }
}
