//! 9P2000.L on the wire: requests as they are read, replies as they are written.
//!
//! A request is the guest's: whatever is not there is [`Errno::INVAL`], and no length is
//! believed.

use rustix::io::Errno;

/// Length of what every message begins with: length, kind, tag.
pub(super) const HEADER_LEN: usize = 7;

/// The reply of a request that failed.
const ERROR: u8 = 7;

/// What identifies a file to the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Qid {
    /// 0x80 for a directory, 0x02 for a symbolic link.
    pub(super) kind: u8,
    /// Changes with the contents.
    pub(super) version: u32,
    /// No other file has it at the same time.
    pub(super) path: u64,
}

/// A request.
pub(super) struct Request<'a> {
    /// What is asked.
    pub(super) kind: u8,
    /// The guest's number for it.
    pub(super) tag: u16,
    rest: &'a [u8],
}

impl<'a> Request<'a> {
    /// The request in `bytes`, of which it says itself how many are its own.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        let len = u32::from_le_bytes(bytes.get(..4)?.try_into().ok()?);
        let bytes = bytes.get(..usize::try_from(len).ok()?)?;
        let tag = u16::from_le_bytes(bytes.get(5..HEADER_LEN)?.try_into().ok()?);
        Some(Self { kind: bytes[4], tag, rest: &bytes[HEADER_LEN..] })
    }

    pub(super) fn take(&mut self, len: usize) -> Result<&'a [u8], Errno> {
        let (taken, rest) = self.rest.split_at_checked(len).ok_or(Errno::INVAL)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Errno> {
        self.take(N)?.try_into().map_err(|_| Errno::INVAL)
    }

    pub(super) fn u16(&mut self) -> Result<u16, Errno> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32, Errno> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64, Errno> {
        self.array().map(u64::from_le_bytes)
    }

    /// Text without a NUL, as paths are.
    pub(super) fn string(&mut self) -> Result<&'a [u8], Errno> {
        let len = self.u16()?;
        let text = self.take(len.into())?;
        if text.contains(&0) { Err(Errno::INVAL) } else { Ok(text) }
    }

    /// The name of an entry of a directory: one that leads nowhere else.
    pub(super) fn name(&mut self) -> Result<&'a [u8], Errno> {
        match self.string()? {
            b"" | b"." | b".." => Err(Errno::ACCESS),
            name if name.contains(&b'/') => Err(Errno::ACCESS),
            name => Ok(name),
        }
    }
}

/// A reply that is being written.
#[derive(Default)]
pub(super) struct Reply(pub(super) Vec<u8>);

impl Reply {
    pub(super) fn u8(self, value: u8) -> Self {
        self.bytes(&[value])
    }

    pub(super) fn u16(self, value: u16) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(super) fn u32(self, value: u32) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(super) fn u64(self, value: u64) -> Self {
        self.bytes(&value.to_le_bytes())
    }

    pub(super) fn qid(self, qid: Qid) -> Self {
        self.u8(qid.kind).u32(qid.version).u64(qid.path)
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }

    pub(super) fn string(self, text: &[u8]) -> Result<Self, Errno> {
        let len = u16::try_from(text.len()).map_err(|_| Errno::NAMETOOLONG)?;
        Ok(self.u16(len).bytes(text))
    }

    /// The message that answers a request.
    pub(super) fn message(result: Result<Self, Errno>, kind: u8, tag: u16) -> Vec<u8> {
        let (kind, body) = match result {
            Ok(reply) => (kind.wrapping_add(1), reply.0),
            // Numbers of errors are small and positive.
            Err(error) => (ERROR, error.raw_os_error().to_le_bytes().to_vec()),
        };
        // Replies are bounded by the length of messages.
        let len = (HEADER_LEN + body.len()) as u32;
        [&len.to_le_bytes()[..], &[kind], &tag.to_le_bytes(), &body].concat()
    }
}
