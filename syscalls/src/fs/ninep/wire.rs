//! 9P2000.L on the wire: requests as they are written, replies as they are read.
//!
//! Numbers are little-endian, strings have their length before them (2 bytes), and every
//! message begins with its length (4 bytes), its kind and its tag. Nothing that a server can
//! say panics: a reply that is not what it should be is `EIO`.

use alloc::vec::Vec;

use abi::Errno;

use crate::error::{Because, Error, Result};

/// Length of what every message begins with.
pub(super) const HEADER_LEN: usize = 7;

/// What is in a read or write besides the bytes, rounded up (`P9_IOHDRSZ` of Linux).
pub(super) const IO_HEADER_LEN: usize = 24;

/// The tag of the first message, and the number of no descriptor.
pub(super) const NO_TAG: u16 = u16::MAX;

/// "No file": the authentication that is not there.
pub(super) const NO_FID: u32 = u32::MAX;

/// What kind of request a message is; its reply has the next number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    StatFs = 8,
    Open = 12,
    Create = 14,
    SymbolicLink = 16,
    MakeNode = 18,
    ReadLink = 22,
    GetAttributes = 24,
    SetAttributes = 26,
    ReadDirectory = 40,
    Sync = 50,
    Link = 70,
    MakeDirectory = 72,
    Rename = 74,
    Unlink = 76,
    Version = 100,
    Attach = 104,
    Flush = 108,
    Walk = 110,
    Read = 116,
    Write = 118,
    Clunk = 120,
}

/// The reply of a request that failed.
const ERROR: u8 = 7;

/// What identifies a file of a server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Qid {
    /// Directory, symbolic link or something else.
    pub(super) kind: u8,
    /// Changes with the content.
    pub(super) version: u32,
    /// Number of the file, which no other has at the same time.
    pub(super) path: u64,
}

impl Qid {
    /// [`Qid::kind`] of a directory.
    pub(super) const DIRECTORY: u8 = 0x80;
    /// [`Qid::kind`] of a symbolic link.
    pub(super) const SYMBOLIC_LINK: u8 = 0x02;
}

/// A request that is being written.
pub(super) struct Request {
    kind: Kind,
    bytes: Vec<u8>,
    /// A string was too long.
    too_long: bool,
}

impl Request {
    /// A request of this kind, with nothing in it.
    pub(super) fn new(kind: Kind) -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(&[0, 0, 0, 0, kind as u8, 0, 0]);
        Self { kind, bytes, too_long: false }
    }

    pub(super) fn kind(&self) -> Kind {
        self.kind
    }

    pub(super) fn u16(mut self, value: u16) -> Self {
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn u32(mut self, value: u32) -> Self {
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn u64(mut self, value: u64) -> Self {
        self.bytes.extend_from_slice(&value.to_le_bytes());
        self
    }

    pub(super) fn string(mut self, value: &[u8]) -> Self {
        let len = u16::try_from(value.len()).unwrap_or_else(|_| {
            self.too_long = true;
            0
        });
        self.bytes.extend_from_slice(&len.to_le_bytes());
        self.bytes.extend_from_slice(&value[..usize::from(len)]);
        self
    }

    /// Appends a number of bytes (4 bytes) and up to `limit` bytes that `fill` writes; returns
    /// how many it wrote.
    ///
    /// # Errors
    /// `ENOMEM`; those of `fill`.
    pub(super) fn data(
        &mut self,
        limit: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<usize>,
    ) -> Result<usize> {
        self.bytes.try_reserve_exact(limit + 4).map_err(|_| Errno::ENOMEM)?;
        let start = self.bytes.len() + 4;
        self.bytes.resize(start + limit, 0);
        let len = fill(&mut self.bytes[start..])?.min(limit);
        self.bytes.truncate(start + len);
        let count = u32::try_from(len).map_err(|_| Errno::EINVAL)?;
        self.bytes[start - 4..start].copy_from_slice(&count.to_le_bytes());
        Ok(len)
    }

    /// The message, with this tag.
    ///
    /// # Errors
    /// `ENAMETOOLONG`.
    pub(super) fn into_bytes(mut self, tag: u16) -> Result<Vec<u8>> {
        let len = u32::try_from(self.bytes.len()).ok().filter(|_| !self.too_long);
        let len = len.ok_or_else(|| Errno::ENAMETOOLONG.because("too long for the protocol"))?;
        self.bytes[..4].copy_from_slice(&len.to_le_bytes());
        self.bytes[5..7].copy_from_slice(&tag.to_le_bytes());
        Ok(self.bytes)
    }
}

/// A reply that is being read.
pub(super) struct Reply {
    bytes: Vec<u8>,
    at: usize,
}

impl Reply {
    /// The reply to a request of this kind and tag.
    ///
    /// # Errors
    /// The server's error; `EIO` when it is no such reply.
    pub(super) fn parse(bytes: Vec<u8>, kind: Kind, tag: u16) -> Result<Self> {
        let mut reply = Self { bytes, at: 0 };
        let len = reply.u32()?;
        let (replied, replied_tag) = (reply.u8()?, reply.u16()?);
        if len as usize != reply.bytes.len() || replied_tag != tag {
            return Err(broken());
        }
        if replied == ERROR {
            return Err(host_error(reply.u32()?));
        }
        if replied != kind as u8 + 1 {
            return Err(broken());
        }
        Ok(reply)
    }

    fn take(&mut self, len: usize) -> Result<&[u8]> {
        let end = self.at.checked_add(len).ok_or_else(broken)?;
        let taken = self.bytes.get(self.at..end).ok_or_else(broken)?;
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        self.take(N)?.try_into().map_err(|_| broken())
    }

    pub(super) fn u8(&mut self) -> Result<u8> {
        self.array().map(|[byte]| byte)
    }

    pub(super) fn u16(&mut self) -> Result<u16> {
        self.array().map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self) -> Result<u32> {
        self.array().map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self) -> Result<u64> {
        self.array().map(u64::from_le_bytes)
    }

    pub(super) fn qid(&mut self) -> Result<Qid> {
        Ok(Qid { kind: self.u8()?, version: self.u32()?, path: self.u64()? })
    }

    pub(super) fn string(&mut self) -> Result<&[u8]> {
        let len = self.u16()?;
        self.take(usize::from(len))
    }

    /// Bytes with their number (4 bytes) before them, which is `limit` at most.
    pub(super) fn data(&mut self, limit: usize) -> Result<&[u8]> {
        let len = self.u32()? as usize;
        if len > limit {
            return Err(broken());
        }
        self.take(len)
    }

    /// Whether all of it has been read.
    pub(super) fn is_at_end(&self) -> bool {
        self.at == self.bytes.len()
    }

    /// What [`Reply::data`] gave, to be read on as records.
    pub(super) fn of_data(bytes: &[u8]) -> Self {
        Self { bytes: bytes.to_vec(), at: 0 }
    }
}

/// An error number of the host; those that only its kernel knows are `EIO`.
fn host_error(number: u32) -> Error {
    /// `ERESTARTSYS`: from here on a kernel's own.
    const FIRST_INTERNAL: u16 = 512;
    let number = u16::try_from(number).ok().filter(|&number| number < FIRST_INTERNAL);
    let errno = number.and_then(Errno::from_number).unwrap_or(Errno::EIO);
    errno.because("the host says so")
}

/// The server does not keep to the protocol.
pub(super) fn broken() -> Error {
    Errno::EIO.because("the server of the directory breaks the protocol")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_has_its_length_kind_and_tag_first() {
        let request = Request::new(Kind::Walk).u32(1).u32(2).u16(1).string(b"ab");
        let bytes = request.into_bytes(0x0304).unwrap();
        assert_eq!(bytes, b"\x15\0\0\0\x6e\x04\x03\x01\0\0\0\x02\0\0\0\x01\0\x02\0ab");
    }

    #[test]
    fn a_string_that_is_too_long_is_refused() {
        let request = Request::new(Kind::SymbolicLink).string(&[b'x'; 65536]);
        assert_eq!(request.into_bytes(1).unwrap_err().errno, Errno::ENAMETOOLONG);
    }

    #[test]
    fn errors_of_the_host_are_errors_here() {
        let error = |number: u32| {
            let bytes = [&[11, 0, 0, 0, ERROR, 5, 0][..], &number.to_le_bytes()].concat();
            Reply::parse(bytes, Kind::Open, 5).map(drop).unwrap_err().errno
        };
        assert_eq!(error(2), Errno::ENOENT);
        for strange in [0, 41, 512, 516, 70_000, u32::MAX] {
            assert_eq!(error(strange), Errno::EIO);
        }
    }

    #[test]
    fn replies_to_something_else_are_refused() {
        let good = b"\x0b\0\0\0\x77\x05\0\x01\0\0\0";
        assert!(Reply::parse(good.to_vec(), Kind::Write, 5).is_ok());
        assert!(Reply::parse(good.to_vec(), Kind::Write, 6).is_err());
        assert!(Reply::parse(good.to_vec(), Kind::Read, 5).is_err());
        assert!(Reply::parse(good[..10].to_vec(), Kind::Write, 5).is_err());
        assert!(Reply::parse(Vec::new(), Kind::Write, 5).is_err());
    }

    #[test]
    fn data_must_be_there_and_not_be_more_than_was_asked_for() {
        let mut reply = Reply { bytes: b"\x03\0\0\0abc".to_vec(), at: 0 };
        assert_eq!(reply.data(3).unwrap(), b"abc");
        assert!(reply.is_at_end());
        let mut reply = Reply { bytes: b"\x03\0\0\0abc".to_vec(), at: 0 };
        assert!(reply.data(2).is_err());
        let mut reply = Reply { bytes: b"\xff\xff\xff\xffabc".to_vec(), at: 0 };
        assert!(reply.data(usize::MAX).is_err());
    }
}
