//! A file of the host as the kernel itself uses it: what a loop device shows.

use abi::Errno;

use crate::error::{Because, Result};
use crate::fs::storage::Bytes;

use super::node::Node;

impl Bytes for Node {
    fn read_at(&self, offset: u64, to: &mut [u8]) -> Result<usize> {
        self.tell_written()?;
        let reader = self.reader()?;
        let mut done = 0;
        while done < to.len() {
            let len = (to.len() - done).min(reader.transfer_len());
            let to = &mut to[done..done + len];
            let read = reader.read(offset + done as u64, len, |bytes| {
                to[..bytes.len()].copy_from_slice(bytes);
                Ok(bytes.len())
            })?;
            if read == 0 {
                break;
            }
            done += read;
        }
        Ok(done)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.tell_written()?;
        let writer = self.writer()?;
        let mut done = 0;
        while done < bytes.len() {
            let len = (bytes.len() - done).min(writer.transfer_len());
            let from = &bytes[done..done + len];
            let (_, taken) = writer.write(offset + done as u64, len, |to| {
                to.copy_from_slice(from);
                Ok(len)
            })?;
            if taken == 0 {
                return Err(Errno::EIO.because("the host takes no bytes"));
            }
            done += taken;
        }
        let written = offset..offset + done as u64;
        self.with_lost(|lost, size| lost.written(size, &written));
        self.was_changed();
        self.set_stored(false);
        self.pages.changed(&written);
        Ok(())
    }

    fn store(&self) -> Result<()> {
        self.sync()
    }
}
