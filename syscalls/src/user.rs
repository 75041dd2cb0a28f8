//! Application memory as handlers see it: typed pointers, strings and buffers.
//!
//! Nothing here touches memory by itself: everything goes through
//! [`crate::mm::AddressSpace`], which resolves page faults and gives `EFAULT`.

use alloc::sync::Arc;
use alloc::vec::{self, Vec};
use core::fmt::{self, Write};
use core::marker::PhantomData;

use abi::{Errno, PAGE_SIZE};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use crate::args::Argument;
use crate::context::Context;
use crate::error::{Because, Result};
use crate::io::{Sink, Source};
use crate::machine::Page;
use crate::mm::AddressSpace;

/// Longest path name a system call takes, including its final NUL, in bytes.
pub const PATH_MAX: usize = 4096;

/// Longest transfer of one read or write, in bytes (`MAX_RW_COUNT` of Linux).
pub const MAX_TRANSFER: usize = 0x7fff_f000;

/// An address of the application that a system call was given, for a `T` or an array of them.
#[derive(Debug, PartialEq, Eq)]
pub struct UserPtr<T> {
    address: u64,
    pointee: PhantomData<fn() -> T>,
}

impl<T> Clone for UserPtr<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for UserPtr<T> {}

impl<T> UserPtr<T> {
    /// A pointer to `address`, which may be anything.
    #[must_use]
    pub const fn new(address: u64) -> Self {
        Self { address, pointee: PhantomData }
    }

    /// The address.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.address
    }

    /// Whether it is the null pointer.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.address == 0
    }

    /// The pointer, or `None` when it is null.
    #[must_use]
    pub fn non_null(self) -> Option<Self> {
        (!self.is_null()).then_some(self)
    }

    /// The pointer to the element with index `index` of an array.
    #[must_use]
    pub const fn element(self, index: usize) -> Self {
        Self::new(self.address.wrapping_add((index * size_of::<T>()) as u64))
    }
}

impl<T: FromBytes + IntoBytes> UserPtr<T> {
    /// Loads the value.
    ///
    /// # Errors
    /// `EFAULT`.
    pub fn read(self, cx: &Context<'_>) -> Result<T> {
        let mut value = T::new_zeroed();
        cx.memory().read(self.address, value.as_mut_bytes())?;
        Ok(value)
    }

    /// Loads `count` values; the caller has checked that so many are sensible.
    ///
    /// # Errors
    /// `EFAULT`; `ENOMEM` when there is no memory for them.
    pub fn read_array(self, cx: &Context<'_>, count: usize) -> Result<Vec<T>> {
        let mut values = Vec::new();
        values.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
        values.resize_with(count, T::new_zeroed);
        cx.memory().read(self.address, values.as_mut_slice().as_mut_bytes())?;
        Ok(values)
    }
}

impl<T: IntoBytes + Immutable> UserPtr<T> {
    /// Stores the value.
    ///
    /// # Errors
    /// `EFAULT`.
    pub fn write(self, cx: &Context<'_>, value: &T) -> Result<()> {
        cx.memory().write(self.address, value.as_bytes())
    }
}

impl<T> Argument for UserPtr<T> {
    fn from_register(raw: u64) -> Result<Self> {
        Ok(Self::new(raw))
    }

    fn show(raw: u64, _: &Context<'_>, out: &mut dyn Write) -> fmt::Result {
        if raw == 0 { out.write_str("NULL") } else { write!(out, "{raw:#x}") }
    }
}

/// The address of a path name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserPath(u64);

impl UserPath {
    /// The address.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.0
    }

    /// Whether it is the null pointer.
    #[must_use]
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// The path at `address`, which may be anything.
    #[must_use]
    pub const fn new(address: u64) -> Self {
        Self(address)
    }

    /// Loads the path name, without its NUL.
    ///
    /// # Errors
    /// `EFAULT`; `ENAMETOOLONG` when it has [`PATH_MAX`] bytes or more.
    pub fn read(self, cx: &Context<'_>) -> Result<Vec<u8>> {
        read_c_string(cx.memory(), self.0, PATH_MAX)?
            .ok_or_else(|| Errno::ENAMETOOLONG.because("path name is too long"))
    }

    /// The path name, or `None` where the pointer is null.
    ///
    /// # Errors
    /// As [`UserPath::read`].
    pub fn read_if_any(self, cx: &Context<'_>) -> Result<Option<Vec<u8>>> {
        if self.0 == 0 { Ok(None) } else { self.read(cx).map(Some) }
    }
}

impl Argument for UserPath {
    fn from_register(raw: u64) -> Result<Self> {
        Ok(Self(raw))
    }

    fn show(raw: u64, cx: &Context<'_>, out: &mut dyn Write) -> fmt::Result {
        match Self(raw).read(cx) {
            Ok(path) => write!(out, "\"{}\"", path.escape_ascii()),
            Err(_) => UserPtr::<u8>::show(raw, cx, out),
        }
    }
}

/// Loads a string that ends with a NUL, without it; `None` when there is no NUL in the first
/// `limit` bytes.
///
/// # Errors
/// `EFAULT`.
pub fn read_c_string(memory: &AddressSpace, address: u64, limit: usize) -> Result<Option<Vec<u8>>> {
    let mut string = Vec::new();
    let mut chunk = [0; 256];
    while string.len() < limit {
        let at = address.wrapping_add(string.len() as u64);
        // Never read beyond the page the string may end in.
        let to_page_end = PAGE_SIZE - (at as usize & (PAGE_SIZE - 1));
        let len = chunk.len().min(to_page_end).min(limit - string.len());
        memory.read(at, &mut chunk[..len])?;
        let end = chunk[..len].iter().position(|&byte| byte == 0);
        string.extend_from_slice(&chunk[..end.unwrap_or(len)]);
        if end.is_some() {
            return Ok(Some(string));
        }
    }
    Ok(None)
}

/// One piece of application memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// Its address.
    pub address: u64,
    /// Its length in bytes.
    pub len: usize,
}

/// Application memory as one sequence of bytes: the buffer of read(2), the vector of readv(2).
pub struct Buffers {
    memory: Arc<AddressSpace>,
    /// The piece that comes next, or what is left of it.
    current: Piece,
    /// The pieces after it; no allocation where there is only one.
    others: vec::IntoIter<Piece>,
    remaining: usize,
}

impl Buffers {
    /// One buffer; longer ones than [`MAX_TRANSFER`] are cut, as Linux does.
    #[must_use]
    pub fn one(memory: Arc<AddressSpace>, address: u64, len: usize) -> Self {
        let current = Piece { address, len: len.min(MAX_TRANSFER) };
        Self { memory, current, others: Vec::new().into_iter(), remaining: current.len }
    }

    /// Several buffers, in order; the caller has checked the sum of their lengths.
    #[must_use]
    pub fn new(memory: Arc<AddressSpace>, pieces: Vec<Piece>) -> Self {
        let remaining = pieces.iter().map(|piece| piece.len).sum();
        let current = Piece { address: 0, len: 0 };
        Self { memory, current, others: pieces.into_iter(), remaining }
    }

    /// Copies up to `len` bytes piece by piece: `copy` gets an address, an offset into the
    /// whole and a length, and says how many bytes it copied before an error.
    fn each(
        &mut self,
        len: usize,
        mut copy: impl FnMut(&AddressSpace, u64, usize, usize) -> (usize, Result<()>),
    ) -> Result<usize> {
        let mut done = 0;
        while done < len {
            if self.current.len == 0 {
                match self.others.next() {
                    Some(next) => self.current = next,
                    None => break,
                }
                continue;
            }
            let part = self.current.len.min(len - done);
            let (copied, result) = copy(&self.memory, self.current.address, done, part);
            done += copied;
            self.remaining -= copied;
            self.current.address = self.current.address.wrapping_add(copied as u64);
            self.current.len -= copied;
            match result {
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
                Ok(()) => {}
            }
        }
        Ok(done)
    }
}

impl Sink for Buffers {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn put(&mut self, bytes: &[u8]) -> Result<usize> {
        self.each(bytes.len(), |memory, address, done, len| {
            memory.write_partially(address, &bytes[done..done + len])
        })
    }

    fn put_page(&mut self, page: &dyn Page, offset: usize, len: usize) -> Result<usize> {
        self.each(len, |memory, address, done, len| {
            memory.write_from_page(address, page, offset + done, len)
        })
    }
}

impl Source for Buffers {
    fn remaining(&self) -> usize {
        self.remaining
    }

    fn take(&mut self, to: &mut [u8]) -> Result<usize> {
        self.each(to.len(), |memory, address, done, len| {
            memory.read_partially(address, &mut to[done..done + len])
        })
    }

    fn take_to_page(&mut self, page: &dyn Page, offset: usize, len: usize) -> Result<usize> {
        self.each(len, |memory, address, done, len| {
            memory.read_to_page(address, page, offset + done, len)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::kit::{self, AREA, AREA_LEN, BAD_ADDRESS};

    fn piece(address: u64, len: usize) -> Piece {
        Piece { address, len }
    }

    #[test]
    fn pieces_are_one_sequence_of_bytes() {
        let kit = kit::process();
        let (a, b) = (kit.room(3), kit.room(5));
        let pieces = alloc::vec![piece(a, 3), piece(BAD_ADDRESS, 0), piece(b, 5)];
        let mut sink = Buffers::new(kit.process.memory(), pieces.clone());
        assert_eq!(sink.put(b"ab"), Ok(2));
        assert_eq!(sink.put(b"cdefghijk"), Ok(6));
        assert_eq!((Sink::remaining(&sink), sink.put(b"x")), (0, Ok(0)));
        assert_eq!((kit.get(a, 3), kit.get(b, 5)), (b"abc".to_vec(), b"defgh".to_vec()));
        let mut source = Buffers::new(kit.process.memory(), pieces);
        let mut bytes = [0; 4];
        assert_eq!((source.take(&mut bytes), &bytes), (Ok(4), b"abcd"));
        assert_eq!(Source::remaining(&source), 4);
    }

    #[test]
    fn a_copy_ends_at_the_first_bad_address() {
        let kit = kit::process();
        let end = AREA + AREA_LEN;
        let mut sink = Buffers::one(kit.process.memory(), end - 3, 10);
        assert_eq!(sink.put(b"abcdef"), Ok(3));
        assert_eq!(sink.put(b"d").unwrap_err().errno, Errno::EFAULT);
        assert_eq!(Sink::remaining(&sink), 7);
        let mut source = Buffers::one(kit.process.memory(), u64::MAX - 1, usize::MAX);
        assert_eq!(Source::remaining(&source), MAX_TRANSFER);
        assert_eq!(source.take(&mut [0; 9]).unwrap_err().errno, Errno::EFAULT);
    }

    #[test]
    fn strings_end_at_their_nul_or_are_too_long() {
        let kit = kit::process();
        let memory = kit.process.memory();
        let address = AREA + AREA_LEN - 4;
        kit.set(address, b"ab\0c");
        assert_eq!(read_c_string(&memory, address, 100), Ok(Some(b"ab".to_vec())));
        assert_eq!(read_c_string(&memory, address, 2), Ok(None));
        let unterminated = read_c_string(&memory, address + 3, 100);
        assert_eq!(unterminated.unwrap_err().errno, Errno::EFAULT);
        let wrapping = read_c_string(&memory, u64::MAX, 100);
        assert_eq!(wrapping.unwrap_err().errno, Errno::EFAULT);
    }

    #[test]
    fn arrays_are_read_whole() {
        let kit = kit::process();
        let address = kit.put_value(&[7_u32, 8, 9]);
        let cx = kit.context();
        assert_eq!(UserPtr::<u32>::new(address).read_array(&cx, 3), Ok(alloc::vec![7, 8, 9]));
        assert!(UserPtr::<u32>::new(BAD_ADDRESS).read_array(&cx, 1).is_err());
    }
}
