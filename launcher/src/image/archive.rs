//! The root file system as a memory file.

use super::RunConfig;
use super::tree::{Body, Node, Source, Tree, absolute};
use crate::Error;
use crate::escape::escaped_os;
use abi::boot::config::ENTRY;
use loader::archive::{Device, Metadata, REGULAR, Writer};
use rustix::fs::MemfdFlags;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// Writes the archive; the file and its length in bytes.
pub(super) fn write(tree: &Tree, config: &RunConfig) -> Result<(OwnedFd, u64), Error> {
    let cannot = |error: &io::Error| Error::io("cannot write the boot archive", error);
    let file = rustix::fs::memfd_create("birgus-archive", MemfdFlags::CLOEXEC)
        .map_err(|error| cannot(&error.into()))?;
    let mut stream = Stream {
        out: BufWriter::with_capacity(64 * 1024, File::from(file)),
        writer: Writer::new(),
        inodes: 0,
        written: HashMap::new(),
    };
    let config = Node::file(0o400, config.to_bytes());
    stream.node(ENTRY.as_bytes(), &config)?;
    for (path, node) in tree.nodes() {
        let name = if path.is_empty() { b"." } else { path };
        stream.node(name, node)?;
    }
    let last = stream.writer.finish();
    stream.out.write_all(&last).map_err(|error| cannot(&error))?;
    let file = stream.out.into_inner().map_err(|error| cannot(error.error()))?;
    let len = file.metadata().map_err(|error| cannot(&error))?.len();
    Ok((file.into(), len))
}

struct Stream {
    out: BufWriter<File>,
    writer: Writer,
    /// Inode numbers given so far.
    inodes: u32,
    /// Inode numbers of the files with several names whose data is written.
    written: HashMap<(u64, u64), u32>,
}

impl Stream {
    fn node(&mut self, name: &[u8], node: &Node) -> Result<(), Error> {
        let earlier = node.links.and_then(|links| self.written.get(&links).copied());
        let inode = earlier.unwrap_or_else(|| self.next_inode());
        if let Some(links) = node.links {
            self.written.insert(links, inode);
        }
        let rdev = match node.body {
            Body::Device(major, minor) => Device { major, minor },
            _ => Device::default(),
        };
        let metadata = Metadata {
            inode,
            mode: node.mode,
            uid: node.owner.0,
            gid: node.owner.1,
            // The kernel counts the names itself; it has to know only that there are several.
            links: if node.links.is_some() { 2 } else { 1 },
            mtime: node.mtime_s,
            device: Device::default(),
            rdev,
        };
        match &node.body {
            Body::File(_) if earlier.is_some() => self.entry(name, &metadata, &[]),
            Body::File(Source::Bytes(bytes)) => self.entry(name, &metadata, bytes),
            Body::File(Source::Host(path, len)) => self.host_file(name, &metadata, path, *len),
            Body::Link(target) => self.entry(name, &metadata, target.as_bytes()),
            Body::Directory | Body::Device(..) | Body::Empty => self.entry(name, &metadata, &[]),
        }
    }

    fn next_inode(&mut self) -> u32 {
        self.inodes = self.inodes.wrapping_add(1);
        self.inodes
    }

    fn entry(&mut self, name: &[u8], metadata: &Metadata, data: &[u8]) -> Result<(), Error> {
        self.header(name, metadata, data.len() as u64)?;
        self.out.write_all(data).map_err(|error| failed(name, &error))
    }

    fn header(&mut self, name: &[u8], metadata: &Metadata, len: u64) -> Result<(), Error> {
        let header = self.writer.entry(name, metadata, len).map_err(|error| {
            Error::Failed(format!("cannot archive {}: {error}", escaped_os(&absolute(name))))
        })?;
        self.out.write_all(&header).map_err(|error| failed(name, &error))
    }

    fn host_file(
        &mut self,
        name: &[u8],
        metadata: &Metadata,
        path: &Path,
        len: u64,
    ) -> Result<(), Error> {
        debug_assert_eq!(metadata.file_type(), REGULAR);
        let cannot =
            |error: &io::Error| Error::io(format_args!("cannot read {}", escaped_os(path)), error);
        let file = File::open(path).map_err(|error| cannot(&error))?;
        self.header(name, metadata, len)?;
        let copied =
            io::copy(&mut file.take(len), &mut self.out).map_err(|error| cannot(&error))?;
        if copied == len {
            return Ok(());
        }
        let shown = escaped_os(path);
        Err(Error::Failed(format!("cannot read {shown}: it became shorter meanwhile")))
    }
}

fn failed(name: &[u8], error: &io::Error) -> Error {
    Error::io(format_args!("cannot archive {}", escaped_os(&absolute(name))), error)
}
