//! Where the bytes of a read go and those of a write come from.
//!
//! A file does not care whether its bytes go to the application or to the kernel itself
//! (execve, sendfile): it reads into a [`Sink`] and writes from a [`Source`]. Application
//! buffers ([`crate::user::Buffers`]) fault their pages in as they go.

use crate::error::Result;
use crate::machine::Page;

/// Where the bytes of a read go.
pub trait Sink {
    /// How many bytes may still be put.
    fn remaining(&self) -> usize;

    /// Puts as many of `bytes` as fit and returns how many.
    ///
    /// # Errors
    /// `EFAULT` when not even one byte could be put because of a bad address.
    fn put(&mut self, bytes: &[u8]) -> Result<usize>;

    /// Puts up to `len` bytes of `page` from `offset` and returns how many.
    ///
    /// # Errors
    /// As [`Sink::put`].
    fn put_page(&mut self, page: &dyn Page, offset: usize, len: usize) -> Result<usize>;

    /// Puts up to `len` zeros and returns how many.
    ///
    /// # Errors
    /// As [`Sink::put`].
    fn put_zeros(&mut self, len: usize) -> Result<usize> {
        static ZEROS: [u8; abi::PAGE_SIZE] = [0; abi::PAGE_SIZE];
        let mut done = 0;
        while done < len && self.remaining() > 0 {
            match self.put(&ZEROS[..ZEROS.len().min(len - done)]) {
                Ok(0) => break,
                Ok(put) => done += put,
                Err(error) if done == 0 => return Err(error),
                Err(_) => break,
            }
        }
        Ok(done)
    }
}

/// Where the bytes of a write come from.
pub trait Source {
    /// How many bytes are left.
    fn remaining(&self) -> usize;

    /// Takes up to `to.len()` bytes and returns how many.
    ///
    /// # Errors
    /// `EFAULT` when not even one byte could be taken because of a bad address.
    fn take(&mut self, to: &mut [u8]) -> Result<usize>;

    /// Takes up to `len` bytes into `page` at `offset` and returns how many.
    ///
    /// # Errors
    /// As [`Source::take`].
    fn take_to_page(&mut self, page: &dyn Page, offset: usize, len: usize) -> Result<usize>;
}

/// A [`Sink`] in the kernel's own memory.
pub struct SliceSink<'a> {
    bytes: &'a mut [u8],
    done: usize,
}

impl<'a> SliceSink<'a> {
    /// A sink that fills `bytes` from the start.
    pub fn new(bytes: &'a mut [u8]) -> Self {
        Self { bytes, done: 0 }
    }
}

impl Sink for SliceSink<'_> {
    fn remaining(&self) -> usize {
        self.bytes.len() - self.done
    }

    fn put(&mut self, bytes: &[u8]) -> Result<usize> {
        let len = bytes.len().min(self.remaining());
        self.bytes[self.done..self.done + len].copy_from_slice(&bytes[..len]);
        self.done += len;
        Ok(len)
    }

    fn put_page(&mut self, page: &dyn Page, offset: usize, len: usize) -> Result<usize> {
        let len = len.min(self.remaining());
        page.read(offset, &mut self.bytes[self.done..self.done + len]);
        self.done += len;
        Ok(len)
    }
}

/// A [`Source`] in the kernel's own memory.
pub struct SliceSource<'a> {
    bytes: &'a [u8],
}

impl<'a> SliceSource<'a> {
    /// A source of `bytes` from the start.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }
}

impl Source for SliceSource<'_> {
    fn remaining(&self) -> usize {
        self.bytes.len()
    }

    fn take(&mut self, to: &mut [u8]) -> Result<usize> {
        let len = to.len().min(self.bytes.len());
        let (taken, rest) = self.bytes.split_at(len);
        to[..len].copy_from_slice(taken);
        self.bytes = rest;
        Ok(len)
    }

    fn take_to_page(&mut self, page: &dyn Page, offset: usize, len: usize) -> Result<usize> {
        let len = len.min(self.bytes.len());
        let (taken, rest) = self.bytes.split_at(len);
        page.write(offset, taken);
        self.bytes = rest;
        Ok(len)
    }
}

/// At most so many bytes of a [`Sink`] or a [`Source`].
pub struct Limited<'a, T: ?Sized> {
    whole: &'a mut T,
    left: usize,
}

impl<'a, T: ?Sized> Limited<'a, T> {
    /// The first `len` bytes of `whole`.
    pub fn new(whole: &'a mut T, len: usize) -> Self {
        Self { whole, left: len }
    }

    /// Notes that so many bytes have gone.
    fn pass(&mut self, result: Result<usize>) -> Result<usize> {
        result.inspect(|done| self.left -= done)
    }
}

impl Sink for Limited<'_, dyn Sink + '_> {
    fn remaining(&self) -> usize {
        self.left.min(self.whole.remaining())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<usize> {
        let put = self.whole.put(&bytes[..bytes.len().min(self.left)]);
        self.pass(put)
    }

    fn put_page(&mut self, page: &dyn Page, offset: usize, len: usize) -> Result<usize> {
        let put = self.whole.put_page(page, offset, len.min(self.left));
        self.pass(put)
    }
}

impl Source for Limited<'_, dyn Source + '_> {
    fn remaining(&self) -> usize {
        self.left.min(self.whole.remaining())
    }

    fn take(&mut self, to: &mut [u8]) -> Result<usize> {
        let len = to.len().min(self.left);
        let taken = self.whole.take(&mut to[..len]);
        self.pass(taken)
    }

    fn take_to_page(&mut self, page: &dyn Page, offset: usize, len: usize) -> Result<usize> {
        let taken = self.whole.take_to_page(page, offset, len.min(self.left));
        self.pass(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_sink_takes_no_more() {
        let mut bytes = [1; 5];
        let mut sink = SliceSink::new(&mut bytes);
        assert_eq!(sink.put(b"abc"), Ok(3));
        assert_eq!(sink.put_zeros(9), Ok(2));
        assert_eq!(sink.put(b"d"), Ok(0));
        assert_eq!(&bytes, b"abc\0\0");
    }

    #[test]
    fn a_limit_ends_sinks_and_sources_early() {
        let mut bytes = [1; 5];
        let mut whole = SliceSink::new(&mut bytes);
        let mut sink: Limited<'_, dyn Sink> = Limited::new(&mut whole, 3);
        assert_eq!((Sink::remaining(&sink), sink.put(b"abcd"), sink.put(b"e")), (3, Ok(3), Ok(0)));
        assert_eq!(Sink::remaining(&whole), 2);
        let mut whole = SliceSource::new(b"abcd");
        let mut source: Limited<'_, dyn Source> = Limited::new(&mut whole, 2);
        assert_eq!((source.take(&mut [0; 9]), Source::remaining(&source)), (Ok(2), 0));
        assert_eq!(Source::remaining(&whole), 2);
    }

    #[test]
    fn a_source_ends() {
        let mut source = SliceSource::new(b"abc");
        let mut to = [0; 2];
        assert_eq!(source.take(&mut to), Ok(2));
        assert_eq!(source.take(&mut to), Ok(1));
        assert_eq!(source.take(&mut to), Ok(0));
    }
}
