//! Messages of netlink(7) as bytes: requests are taken apart, answers put together.

use alloc::vec::Vec;

use abi::Errno;
use abi::net::netlink::{ALIGNMENT, Attribute, Header, ack, flag, kind};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::error::{Because, Error, Result};

/// A request.
#[derive(Clone, Copy)]
pub(super) struct Request<'a> {
    /// Its head.
    pub(super) header: Header,
    /// What comes after the head.
    pub(super) body: &'a [u8],
    whole: &'a [u8],
}

/// The requests in a datagram, up to the first that is malformed.
pub(super) fn requests(datagram: &[u8]) -> impl Iterator<Item = Request<'_>> {
    let mut rest = datagram;
    core::iter::from_fn(move || {
        let (header, _) = Header::read_from_prefix(rest).ok()?;
        let len = usize::try_from(header.len).ok()?;
        let whole = rest.get(..len)?;
        let body = whole.get(size_of::<Header>()..)?;
        rest = rest.get(len.next_multiple_of(ALIGNMENT)..).unwrap_or_default();
        Some(Request { header, body, whole })
    })
}

impl Request<'_> {
    /// Whether it has a flag, or all of several.
    pub(super) fn has(&self, flags: u16) -> bool {
        self.header.flags & flags == flags
    }

    /// The structure it begins with, filled up with zeros.
    pub(super) fn fixed<T: FromBytes + IntoBytes>(&self) -> T {
        let mut fixed = T::new_zeroed();
        let bytes = fixed.as_mut_bytes();
        let len = bytes.len().min(self.body.len());
        bytes[..len].copy_from_slice(&self.body[..len]);
        fixed
    }

    /// The value of an attribute that comes after a structure of `fixed_len` bytes.
    pub(super) fn attribute(&self, fixed_len: usize, wanted: u16) -> Option<&[u8]> {
        let mut all = self.attributes(fixed_len);
        all.find(|(kind, _)| *kind == wanted).map(|(_, value)| value)
    }

    /// The attributes that come after a structure of `fixed_len` bytes, each with its type.
    pub(super) fn attributes(&self, fixed_len: usize) -> impl Iterator<Item = (u16, &[u8])> {
        let start = fixed_len.next_multiple_of(ALIGNMENT);
        let mut rest = self.body.get(start..).unwrap_or_default();
        core::iter::from_fn(move || {
            let (head, _) = Attribute::read_from_prefix(rest).ok()?;
            let value = rest.get(size_of::<Attribute>()..usize::from(head.len))?;
            rest = rest.get(usize::from(head.len).next_multiple_of(ALIGNMENT)..).unwrap_or(&[]);
            Some((head.kind & Attribute::KIND, value))
        })
    }
}

/// What a socket wants of its acknowledgements.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct AckStyle {
    /// `NETLINK_CAP_ACK`: they do not repeat the request.
    pub(super) is_capped: bool,
    /// `NETLINK_EXT_ACK`: they give a reason in words.
    pub(super) has_reason: bool,
}

/// Messages one after another.
#[derive(Default)]
pub(super) struct Answer {
    bytes: Vec<u8>,
    /// Where the last message begins.
    start: usize,
}

impl Answer {
    /// Begins a message, with the structure at its start.
    pub(super) fn begin<T: IntoBytes + Immutable>(&mut self, header: Header, fixed: &T) {
        self.start = self.bytes.len();
        self.bytes.extend_from_slice(header.as_bytes());
        self.bytes.extend_from_slice(fixed.as_bytes());
        self.end();
    }

    /// Adds an attribute to the message.
    pub(super) fn put(&mut self, kind: u16, value: &[u8]) {
        let head = size_of::<Attribute>();
        // What this kernel says is never as long as a length can be.
        let len = (head + value.len()).min(usize::from(u16::MAX)) as u16;
        self.bytes.extend_from_slice(Attribute { len, kind }.as_bytes());
        self.bytes.extend_from_slice(&value[..usize::from(len) - head]);
        self.end();
    }

    /// Adds an attribute that is a number.
    pub(super) fn put_number(&mut self, kind: u16, number: u32) {
        self.put(kind, &number.to_ne_bytes());
    }

    /// Adds an attribute that is a text, with a NUL.
    pub(super) fn put_text(&mut self, kind: u16, text: &str) {
        let mut bytes = text.as_bytes().to_vec();
        bytes.push(0);
        self.put(kind, &bytes);
    }

    /// Fills up to what the next one begins at, and writes the length of the message.
    fn end(&mut self) {
        let padded = self.bytes.len().next_multiple_of(ALIGNMENT);
        self.bytes.resize(padded, 0);
        // A message is not longer than the request that it repeats, or than what fits.
        let len = (self.bytes.len() - self.start) as u32;
        self.bytes[self.start..self.start + 4].copy_from_slice(&len.to_ne_bytes());
    }

    /// All of it.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}

/// The head of an answer to a request of the socket `port`.
pub(super) fn head(request: &Request<'_>, kind: u16, flags: u16, port: u32) -> Header {
    Header { len: 0, kind, flags, sequence: request.header.sequence, port }
}

/// The end of several answers.
pub(super) fn done(request: &Request<'_>, port: u32) -> Vec<u8> {
    let mut answer = Answer::default();
    answer.begin(head(request, kind::DONE, flag::MULTI, port), &0_u32);
    answer.into_bytes()
}

/// What came of a request.
///
/// # Errors
/// `ENOBUFS`.
pub(super) fn acknowledge(
    request: &Request<'_>,
    result: &Result<()>,
    style: AckStyle,
    port: u32,
) -> Result<Vec<u8>> {
    let error = result.as_ref().err();
    let repeats = error.is_some() && !style.is_capped;
    let reason = error.filter(|_| style.has_reason).and_then(reason_of);
    let mut flags = if repeats { 0 } else { flag::CAPPED };
    flags |= if reason.is_some() { flag::ACK_TLVS } else { 0 };
    let mut answer = Answer::default();
    let len = size_of::<Header>() + 4 + request.whole.len() + reason.map_or(0, str::len);
    answer.bytes.try_reserve(len + 16).map_err(|_| Errno::ENOBUFS)?;
    let number = error.map_or(0, |error| -i32::from(error.errno.number()));
    answer.begin(head(request, kind::ERROR, flags, port), &number);
    let repeated = if repeats { request.whole } else { &request.whole[..size_of::<Header>()] };
    answer.bytes.extend_from_slice(repeated);
    answer.end();
    if let Some(reason) = reason {
        answer.put_text(ack::MESSAGE, reason);
    }
    Ok(answer.into_bytes())
}

/// What is said in words: only what Linux would do, and this kernel does not.
fn reason_of(error: &Error) -> Option<&'static str> {
    Some(error.reason).filter(|reason| *reason == UNCHANGEABLE)
}

const UNCHANGEABLE: &str = "interfaces, addresses and routes cannot be changed";

/// The error for a request to change something.
pub(super) fn unchangeable() -> Error {
    Errno::EOPNOTSUPP.because(UNCHANGEABLE)
}
