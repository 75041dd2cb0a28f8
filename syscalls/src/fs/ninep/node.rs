//! A file of the host, whatever it is.
//!
//! The server finds a file by the path on which it was found, as long as that exists; an open
//! one it keeps. So a node whose last name this guest removed lives on in its open fids, and
//! its attributes are kept here ([`super::lost`]).

use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};

use abi::Errno;
use abi::fs::{AccessMode, FileType};
use spin::Mutex;

use crate::error::{Because, Error, Result};
use crate::fs::inode::{Change, Metadata};
use crate::fs::turn::Turn;

use super::fid::{Attributes, Fid, NewAttributes};
use super::lost::Lost;
use super::pages::PageCache;
use super::share::{Share, hosted, shown};

/// A file of the host.
pub(super) struct Node {
    pub(super) share: Arc<Share>,
    kind: FileType,
    number: u64,
    state: Mutex<State>,
    pub(super) pages: PageCache,
    /// Taken by whoever writes, so that appends do not overlap.
    pub(super) writers: Turn,
    is_kept: AtomicBool,
    /// Whether the host has stored for good what was written here.
    is_stored: AtomicBool,
}

struct State {
    /// The file by its path; never open.
    fid: Arc<Fid>,
    attributes: Attributes,
    /// Until when the attributes are taken to be true.
    valid_until_ns: u64,
    /// Grows whenever something is changed from here.
    changes: u64,
    lost: Option<Lost>,
    /// What a create(2) has opened, for the open that follows it: the mode of a new file may
    /// forbid what it was opened for.
    created: Option<Fid>,
    /// For mappings, open for reading.
    reader: Option<Arc<Fid>>,
    /// For mappings that are written, open for writing.
    writer: Option<Arc<Fid>>,
    /// Of a directory, open.
    listing: Option<Arc<Fid>>,
}

impl Node {
    pub(super) fn new(share: Arc<Share>, fid: Fid, attributes: Attributes) -> Arc<Self> {
        let state = State {
            fid: Arc::new(fid),
            attributes,
            valid_until_ns: share.machine.monotonic_ns() + share.trust.attributes_ns,
            changes: 0,
            lost: None,
            created: None,
            reader: None,
            writer: None,
            listing: None,
        };
        Arc::new(Self {
            share,
            kind: attributes.kind,
            number: attributes.qid.path,
            state: Mutex::new(state),
            pages: PageCache::default(),
            writers: Turn::new(),
            is_kept: AtomicBool::new(false),
            is_stored: AtomicBool::new(true),
        })
    }

    /// Its number, which no other file of the share has.
    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn file_type(&self) -> FileType {
        self.kind
    }

    /// Says whether the share keeps it; returns whether it did.
    pub(super) fn set_kept(&self, kept: bool) -> bool {
        self.is_kept.swap(kept, Ordering::Relaxed)
    }

    /// Says whether the host has stored for good what was written here.
    pub(super) fn set_stored(&self, stored: bool) {
        self.is_stored.store(stored, Ordering::Relaxed);
    }

    /// Lets the host store for good what was written here.
    ///
    /// # Errors
    /// Those of the host.
    pub(super) fn sync(&self) -> Result<()> {
        self.tell_written()?;
        if self.is_stored.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let synced = self.reader().or_else(|_| self.writer()).and_then(|fid| fid.sync());
        synced.inspect_err(|_| self.set_stored(false))
    }

    /// Whether a file with these attributes, found now, is this one.
    pub(super) fn is(&self, attributes: &Attributes) -> bool {
        let state = self.state.lock();
        // The number of a file that is gone can be used again.
        let gone = state.lost.is_some() && state.attributes.links == 0;
        attributes.kind == self.kind && attributes.qid.path == self.number && !gone
    }

    /// It was found at the path of `fid`, with these attributes.
    pub(super) fn found(&self, fid: Fid, attributes: Attributes) {
        let valid_until_ns = self.share.machine.monotonic_ns() + self.share.trust.attributes_ns;
        let mut state = self.state.lock();
        let old = core::mem::replace(&mut state.fid, Arc::new(fid));
        state.attributes = attributes;
        state.valid_until_ns = valid_until_ns;
        state.lost = None;
        drop(state);
        drop(old);
    }

    /// The fid, where a path still leads to the file.
    ///
    /// # Errors
    /// `ESTALE`.
    pub(super) fn reachable(&self) -> Result<Arc<Fid>> {
        let state = self.state.lock();
        if state.lost.is_some() {
            return Err(stale());
        }
        Ok(state.fid.clone())
    }

    /// Whether a path leads to it, as far as is known.
    pub(super) fn is_reachable(&self) -> bool {
        self.state.lock().lost.is_none()
    }

    /// The attributes, as they were a moment ago at most.
    ///
    /// # Errors
    /// Those of the host.
    pub(super) fn attributes(&self) -> Result<Attributes> {
        let now = self.share.machine.monotonic_ns();
        let state = self.state.lock();
        if now < state.valid_until_ns || state.lost.is_some() {
            return Ok(state.attributes);
        }
        drop(state);
        self.ask_attributes()
    }

    /// The attributes, as they are now.
    ///
    /// # Errors
    /// Those of the host.
    pub(super) fn ask_attributes(&self) -> Result<Attributes> {
        let (fid, changes) = {
            let state = self.state.lock();
            if state.lost.is_some() {
                return Ok(state.attributes);
            }
            (state.fid.clone(), state.changes)
        };
        match fid.attributes() {
            Ok(found) if found.qid.path == self.number && found.kind == self.kind => {
                let now = self.share.machine.monotonic_ns();
                let mut state = self.state.lock();
                state.attributes = found;
                // What was changed meanwhile may not be in it.
                let is_newest = state.changes == changes;
                let valid_until_ns = now + self.share.trust.attributes_ns;
                state.valid_until_ns = if is_newest { valid_until_ns } else { 0 };
                Ok(found)
            }
            // The host removed it, or put something else in its place.
            Ok(_) => Ok(self.lose()),
            Err(error) if matches!(error.errno, Errno::ENOENT | Errno::ESTALE) => Ok(self.lose()),
            Err(error) => Err(error),
        }
    }

    /// No path that is known leads to the file any more; returns what is left of it.
    pub(super) fn lose(&self) -> Attributes {
        let mut state = self.state.lock();
        if state.lost.is_none() {
            state.lost = Some(Lost::default());
            let gone = if self.kind == FileType::Directory { u64::MAX } else { 1 };
            state.attributes.links = state.attributes.links.saturating_sub(gone);
        }
        let attributes = state.attributes;
        drop(state);
        self.share.drop_kept(self);
        attributes
    }

    /// What is different about the file where no path leads to it, and its length; `None`
    /// where one does. `look` runs with the lock held.
    pub(super) fn with_lost<T>(&self, look: impl FnOnce(&mut Lost, &mut u64) -> T) -> Option<T> {
        let mut state = self.state.lock();
        let State { lost, attributes, .. } = &mut *state;
        lost.as_mut().map(|lost| look(lost, &mut attributes.size))
    }

    /// Something was changed from here: the attributes are no longer true.
    pub(super) fn was_changed(&self) {
        let mut state = self.state.lock();
        state.changes += 1;
        state.valid_until_ns = 0;
    }

    /// Sets attributes; where no path leads to the file, only here.
    ///
    /// # Errors
    /// Those of the host.
    pub(super) fn set_attributes(&self, new: &NewAttributes) -> Result<()> {
        let mut state = self.state.lock();
        if state.lost.is_some() {
            let known = &mut state.attributes;
            known.mode = new.mode.unwrap_or(known.mode);
            known.owner = new.owner.unwrap_or(known.owner);
            known.group = new.group.unwrap_or(known.group);
            known.accessed = new.accessed.unwrap_or(known.accessed);
            known.modified = new.modified.unwrap_or(known.modified);
            return Ok(());
        }
        let fid = state.fid.clone();
        drop(state);
        let result = fid.set_attributes(new);
        self.was_changed();
        result
    }

    /// As [`Node::set_attributes`], for a change by the guest.
    pub(super) fn change_attributes(&self, change: &Change) -> Result<()> {
        let owner = self.share.owner;
        let mut new = NewAttributes {
            mode: change.mode,
            owner: change.owner.map(|user| hosted(user, owner.user)),
            group: change.group.map(|group| hosted(group, owner.group)),
            size: None,
            accessed: change.accessed,
            modified: change.modified,
        };
        // Who does not own a file may not even confirm its owner.
        if new.owner.is_some() || new.group.is_some() {
            let now = self.attributes()?;
            new.owner = new.owner.filter(|&owner| owner != now.owner);
            new.group = new.group.filter(|&group| group != now.group);
        }
        if new == NewAttributes::default() {
            return Ok(());
        }
        self.set_attributes(&new)
    }

    /// What stat(2) shows.
    pub(super) fn shown_metadata(&self) -> Result<Metadata> {
        let found = self.attributes()?;
        let owner = self.share.owner;
        Ok(Metadata {
            links: found.links,
            owner: shown(found.owner, owner.user),
            group: shown(found.group, owner.group),
            device: found.device,
            size: found.size,
            blocks: found.blocks,
            block_size: found.block_size,
            accessed: found.accessed,
            modified: found.modified,
            changed: found.changed,
            created: found.created,
            ..Metadata::new(self.number, self.kind, found.mode)
        })
    }

    /// A fid that is open for `mode`.
    ///
    /// # Errors
    /// Those of the host; `ESTALE`.
    pub(super) fn open_fid(&self, mode: AccessMode) -> Result<Fid> {
        let created = self.state.lock().created.take();
        if let Some(created) = created {
            return Ok(created);
        }
        let fid = self.reachable()?.duplicate()?;
        fid.open(match mode {
            AccessMode::Read => 0,
            AccessMode::Write => 1,
            AccessMode::ReadWrite | AccessMode::Neither => 2,
        })?;
        Ok(fid)
    }

    /// Remembers what a create(2) has opened.
    pub(super) fn set_created(&self, fid: Fid) {
        self.state.lock().created = Some(fid);
    }

    /// The fid through which mappings read; opened when it is first wanted.
    ///
    /// # Errors
    /// Those of the host; `ESTALE`.
    pub(super) fn reader(&self) -> Result<Arc<Fid>> {
        if let Some(reader) = self.state.lock().reader.clone() {
            return Ok(reader);
        }
        let fid = self.reachable()?.duplicate()?;
        fid.open(0)?;
        Ok(self.state.lock().reader.get_or_insert_with(|| Arc::new(fid)).clone())
    }

    /// The fid through which what mappings write is written; opened when it is first wanted.
    ///
    /// # Errors
    /// Those of the host; `ESTALE`.
    pub(super) fn writer(&self) -> Result<Arc<Fid>> {
        if let Some(writer) = self.state.lock().writer.clone() {
            return Ok(writer);
        }
        let fid = self.reachable()?.duplicate()?;
        fid.open(1)?;
        Ok(self.state.lock().writer.get_or_insert_with(|| Arc::new(fid)).clone())
    }

    /// Lets the server know all that mappings have written. Called with no lock held.
    ///
    /// # Errors
    /// Those of the host.
    pub(super) fn tell_written(&self) -> Result<()> {
        if !self.pages.is_ahead() {
            return Ok(());
        }
        let writer = self.writer()?;
        self.pages.tell(&writer, self.ask_attributes()?.size)?;
        self.set_stored(false);
        self.was_changed();
        while self.pages.is_being_told() {
            self.share.news();
            self.share.machine.yield_now();
        }
        Ok(())
    }

    /// The fid with which this directory is listed; opened when it is first wanted.
    ///
    /// # Errors
    /// Those of the host; `ESTALE`.
    pub(super) fn listing(&self) -> Result<Arc<Fid>> {
        if let Some(listing) = self.state.lock().listing.clone() {
            return Ok(listing);
        }
        let fid = self.reachable()?.duplicate()?;
        fid.open(abi::fs::OpenFlags::DIRECTORY.bits())?;
        Ok(self.state.lock().listing.get_or_insert_with(|| Arc::new(fid)).clone())
    }

    /// The listing has come to its end.
    pub(super) fn end_listing(&self) {
        let listing = self.state.lock().listing.take();
        drop(listing);
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.share.dropped(self.number, self);
    }
}

fn stale() -> Error {
    Errno::ESTALE.because("no name of the file is known any more")
}
