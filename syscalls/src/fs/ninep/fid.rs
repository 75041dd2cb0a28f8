//! Fids: what the client asks of a file of the server. One method for each request of
//! 9P2000.L (<https://github.com/chaos/diod/blob/master/protocol.md>).

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::Errno;
use abi::fs::{Device, FileType, Mode};

use crate::error::Result;
use crate::fs::inode::{Timestamp, Usage};

use super::client::{Client, SHORT_REPLY};
use super::wire::{IO_HEADER_LEN, Kind, NO_FID, Qid, Reply, Request, broken};

/// Which attributes are asked for: all that stat(2) shows, and the time of creation.
const WANTED: u64 = 0xfff;

/// Room for the answer with the target of a symbolic link.
const LINK_REPLY: usize = 16 * 1024;

/// Room for the answer with entries of a directory.
const DIRECTORY_REPLY: usize = 32 * 1024;

/// Removes a directory: `AT_REMOVEDIR`.
pub(super) const REMOVE_DIRECTORY: u32 = 0x200;

/// A reference to a file of the server, which is given back when it is dropped.
pub(super) struct Fid {
    client: Arc<Client>,
    number: u32,
}

/// What the server tells of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Attributes {
    pub(super) qid: Qid,
    pub(super) kind: FileType,
    pub(super) mode: Mode,
    pub(super) owner: u32,
    pub(super) group: u32,
    pub(super) links: u64,
    pub(super) device: Device,
    pub(super) size: u64,
    pub(super) block_size: u32,
    pub(super) blocks: u64,
    pub(super) accessed: Timestamp,
    pub(super) modified: Timestamp,
    pub(super) changed: Timestamp,
    pub(super) created: Timestamp,
}

/// Attributes to be set: what is `None` stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct NewAttributes {
    pub(super) mode: Option<Mode>,
    pub(super) owner: Option<u32>,
    pub(super) group: Option<u32>,
    pub(super) size: Option<u64>,
    pub(super) accessed: Option<Timestamp>,
    pub(super) modified: Option<Timestamp>,
}

/// An entry of a directory as the server shows it.
pub(super) struct Entry {
    pub(super) qid: Qid,
    /// From where to go on after it.
    pub(super) next: u64,
    /// `d_type` of getdents64(2).
    pub(super) kind: u8,
    pub(super) name: Vec<u8>,
}

impl Drop for Fid {
    fn drop(&mut self) {
        self.client.clunk(self.number);
    }
}

impl Fid {
    /// The root of what the server serves, seen as this user.
    ///
    /// # Errors
    /// Those of the host.
    pub(super) fn attach(client: &Arc<Client>, user: u32) -> Result<Self> {
        Self::establish(client, |number| {
            let request = Request::new(Kind::Attach).u32(number).u32(NO_FID);
            client.call(request.string(b"").string(b"").u32(user), SHORT_REPLY)
        })
        .map(|(fid, _)| fid)
    }

    /// A new fid, which `ask` makes the server know.
    fn establish(
        client: &Arc<Client>,
        ask: impl FnOnce(u32) -> Result<Reply>,
    ) -> Result<(Self, Reply)> {
        let number = client.new_fid();
        match ask(number) {
            Ok(reply) => Ok((Self { client: client.clone(), number }, reply)),
            Err(error) => {
                // Where no answer was seen, the server may know it: then it is never used again.
                if !matches!(error.errno, Errno::EIO | Errno::EINTR) {
                    client.forget_fid(number);
                }
                Err(error)
            }
        }
    }

    fn request(&self, kind: Kind) -> Request {
        Request::new(kind).u32(self.number)
    }

    fn ask(&self, request: Request) -> Result<Reply> {
        self.client.call(request, SHORT_REPLY)
    }

    /// Most bytes that one read or write transfers.
    pub(super) fn transfer_len(&self) -> usize {
        self.client.transfer_len()
    }

    /// Another fid for the same file, not open.
    pub(super) fn duplicate(&self) -> Result<Self> {
        Self::establish(&self.client, |number| {
            self.ask(self.request(Kind::Walk).u32(number).u16(0))
        })
        .map(|(fid, _)| fid)
    }

    /// The entry `name` of this directory.
    pub(super) fn walk(&self, name: &[u8]) -> Result<(Self, Qid)> {
        let (fid, mut reply) = Self::establish(&self.client, |number| {
            self.ask(self.request(Kind::Walk).u32(number).u16(1).string(name))
        })?;
        if reply.u16()? != 1 {
            return Err(broken());
        }
        Ok((fid, reply.qid()?))
    }

    /// Opens the file, with flags of open(2).
    pub(super) fn open(&self, flags: u32) -> Result<()> {
        self.ask(self.request(Kind::Open).u32(flags)).map(drop)
    }

    /// Makes the regular file `name` in this directory and opens it: the fid is that of the
    /// file from now on.
    pub(super) fn create(&self, name: &[u8], flags: u32, mode: Mode, group: u32) -> Result<()> {
        let request = self.request(Kind::Create).string(name).u32(flags);
        self.ask(request.u32(u32::from(mode.bits())).u32(group)).map(drop)
    }

    pub(super) fn make_directory(&self, name: &[u8], mode: Mode, group: u32) -> Result<()> {
        let request = self.request(Kind::MakeDirectory).string(name);
        self.ask(request.u32(u32::from(mode.bits())).u32(group)).map(drop)
    }

    pub(super) fn make_link(&self, name: &[u8], target: &[u8], group: u32) -> Result<()> {
        let request = self.request(Kind::SymbolicLink).string(name).string(target);
        self.ask(request.u32(group)).map(drop)
    }

    pub(super) fn make_node(
        &self,
        name: &[u8],
        mode: u32,
        device: Device,
        group: u32,
    ) -> Result<()> {
        let request = self.request(Kind::MakeNode).string(name).u32(mode);
        self.ask(request.u32(device.major).u32(device.minor).u32(group)).map(drop)
    }

    /// Gives `file` another name, in this directory.
    pub(super) fn link(&self, file: &Self, name: &[u8]) -> Result<()> {
        self.ask(self.request(Kind::Link).u32(file.number).string(name)).map(drop)
    }

    /// Removes a name of this directory; `flags` is 0 or [`REMOVE_DIRECTORY`].
    pub(super) fn unlink(&self, name: &[u8], flags: u32) -> Result<()> {
        self.ask(self.request(Kind::Unlink).string(name).u32(flags)).map(drop)
    }

    pub(super) fn rename(&self, name: &[u8], to: &Self, new_name: &[u8]) -> Result<()> {
        let request = self.request(Kind::Rename).string(name).u32(to.number).string(new_name);
        self.ask(request).map(drop)
    }

    pub(super) fn read_link(&self) -> Result<Vec<u8>> {
        let mut reply = self.client.call(self.request(Kind::ReadLink), LINK_REPLY)?;
        Ok(reply.string()?.to_vec())
    }

    /// Reads up to `len` bytes, which is [`Fid::transfer_len`] at most, and hands them to
    /// `take`.
    pub(super) fn read<T>(
        &self,
        offset: u64,
        len: usize,
        take: impl FnOnce(&[u8]) -> Result<T>,
    ) -> Result<T> {
        let count = u32::try_from(len).map_err(|_| broken())?;
        let request = self.request(Kind::Read).u64(offset).u32(count);
        take(self.client.call(request, len + IO_HEADER_LEN)?.data(len)?)
    }

    /// Writes the up to `len` bytes that `fill` gives; returns how many it gave, and how many
    /// of them the server took.
    pub(super) fn write(
        &self,
        offset: u64,
        len: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize>,
    ) -> Result<(usize, usize)> {
        let mut request = self.request(Kind::Write).u64(offset);
        let given = request.data(len, fill)?;
        let taken = self.ask(request)?.u32()? as usize;
        if taken > given {
            return Err(broken());
        }
        Ok((given, taken))
    }

    /// Stores what was written for good.
    pub(super) fn sync(&self) -> Result<()> {
        self.ask(self.request(Kind::Sync).u32(0)).map(drop)
    }

    /// Entries of this directory, which is open, from `offset` on; none at the end.
    pub(super) fn read_directory(&self, offset: u64) -> Result<Vec<Entry>> {
        let len = DIRECTORY_REPLY - IO_HEADER_LEN;
        let request = self.request(Kind::ReadDirectory).u64(offset).u32(len as u32);
        let mut reply = self.client.call(request, DIRECTORY_REPLY)?;
        let mut records = Reply::of_data(reply.data(len)?);
        let mut entries = Vec::new();
        while !records.is_at_end() {
            let (qid, next, kind) = (records.qid()?, records.u64()?, records.u8()?);
            let name = records.string()?.to_vec();
            if name.is_empty() || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
                return Err(broken());
            }
            entries.push(Entry { qid, next, kind, name });
        }
        Ok(entries)
    }

    pub(super) fn attributes(&self) -> Result<Attributes> {
        let mut reply = self.ask(self.request(Kind::GetAttributes).u64(WANTED))?;
        let _valid = reply.u64()?;
        let qid = reply.qid()?;
        let mode = reply.u32()?;
        let (owner, group) = (reply.u32()?, reply.u32()?);
        let (links, device, size) = (reply.u64()?, reply.u64()?, reply.u64()?);
        let (block_size, blocks) = (reply.u64()?, reply.u64()?);
        Ok(Attributes {
            qid,
            kind: FileType::of(mode).ok_or_else(broken)?,
            mode: Mode::of(mode),
            owner,
            group,
            links,
            device: Device::decode(device),
            // No offset is beyond the largest that off_t holds.
            size: size.min(i64::MAX as u64),
            block_size: u32::try_from(block_size).unwrap_or(u32::MAX).max(512),
            blocks,
            accessed: time(&mut reply)?,
            modified: time(&mut reply)?,
            changed: time(&mut reply)?,
            created: time(&mut reply)?,
        })
    }

    pub(super) fn set_attributes(&self, new: &NewAttributes) -> Result<()> {
        const BITS: [u32; 6] = [1, 1 << 1, 1 << 2, 1 << 3, 1 << 4 | 1 << 7, 1 << 5 | 1 << 8];
        let given = [
            new.mode.is_some(),
            new.owner.is_some(),
            new.group.is_some(),
            new.size.is_some(),
            new.accessed.is_some(),
            new.modified.is_some(),
        ];
        let valid = BITS.iter().zip(given).filter(|(_, given)| *given);
        let valid = valid.fold(0, |valid, (bit, _)| valid | bit);
        let mode = new.mode.map_or(0, |mode| u32::from(mode.bits()));
        let mut request = self.request(Kind::SetAttributes).u32(valid).u32(mode);
        request = request.u32(new.owner.unwrap_or(0)).u32(new.group.unwrap_or(0));
        request = request.u64(new.size.unwrap_or(0));
        for time in [new.accessed, new.modified] {
            let time = time.unwrap_or_default();
            request = request.u64(time.seconds as u64).u64(u64::from(time.nanoseconds));
        }
        self.ask(request).map(drop)
    }

    /// How full the host's file system is, without [`Usage::magic`].
    pub(super) fn usage(&self) -> Result<Usage> {
        let mut reply = self.ask(self.request(Kind::StatFs))?;
        let _kind = reply.u32()?;
        let block_size = u64::from(reply.u32()?);
        let pages = |blocks: u64| blocks.saturating_mul(block_size) / abi::PAGE_SIZE as u64;
        let (blocks, _free, available) = (reply.u64()?, reply.u64()?, reply.u64()?);
        let (inodes, free_inodes) = (reply.u64()?, reply.u64()?);
        let (pages, free_pages) = (pages(blocks), pages(available));
        Ok(Usage { pages, free_pages, inodes, free_inodes, ..Usage::default() })
    }
}

fn time(reply: &mut Reply) -> Result<Timestamp> {
    let (seconds, nanoseconds) = (reply.u64()? as i64, reply.u64()?);
    let nanoseconds = u32::try_from(nanoseconds).ok().filter(|&ns| ns < 1_000_000_000);
    Ok(Timestamp { seconds, nanoseconds: nanoseconds.ok_or_else(broken)? })
}
