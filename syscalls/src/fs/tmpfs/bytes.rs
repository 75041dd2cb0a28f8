//! A regular file as the kernel itself uses it: what a loop device shows.

use abi::Errno;

use crate::error::{Because, Result};
use crate::fs::storage::Bytes;
use crate::io::{SliceSink, SliceSource};

use super::content::MAX_SIZE;
use super::node::Node;

impl Bytes for Node {
    fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<usize> {
        self.content()?.read(offset, &mut SliceSink::new(to))
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let from = &mut SliceSource::new(bytes);
        if self.content()?.write(&self.fs, offset, MAX_SIZE, from)? < bytes.len() {
            return Err(Errno::ENOSPC.because("the file system is full"));
        }
        self.was_written(|| true);
        Ok(())
    }

    fn store(&self) -> Result<()> {
        Ok(())
    }
}
