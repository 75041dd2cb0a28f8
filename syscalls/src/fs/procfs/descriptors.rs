//! /proc/PID/fd and /proc/PID/fdinfo: something for each descriptor.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::fs::{AccessMode, OpenFlags};

use crate::context::Context;
use crate::error::Result;
use crate::fs::{Fd, File, Inode, OnExec, OpenFile, Positions};
use crate::io::Sink;

use super::entry::{Descriptors, Subject};
use super::node::Node;
use super::text::{Text, put};

/// The permission bits of what a directory has for a descriptor: links show what the
/// descriptor was opened for.
pub(super) fn mode(form: Descriptors, access: AccessMode) -> u16 {
    match (form, access) {
        (Descriptors::States, _) => 0o444,
        (Descriptors::Links, AccessMode::Read) => 0o500,
        (Descriptors::Links, AccessMode::Write) => 0o300,
        (Descriptors::Links, AccessMode::ReadWrite) => 0o700,
        (Descriptors::Links, AccessMode::Neither) => 0o000,
    }
}

/// Opens the file of `fd` in an fdinfo directory.
pub(super) fn open_state(node: Arc<Node>, fd: Fd) -> Arc<dyn File> {
    Arc::new(StateFile { inode: node.clone(), node, fd })
}

/// /proc/PID/fdinfo/FD.
struct StateFile {
    node: Arc<Node>,
    inode: Arc<dyn Inode>,
    fd: Fd,
}

impl StateFile {
    fn text(&self, cx: &Context<'_>) -> Result<Vec<u8>> {
        let subject = Subject::find(cx, self.node.proc_fs(), self.node.owner())?;
        let files = subject.thread.files();
        let open = files.get(self.fd)?;
        let mut flags = open.flags();
        flags.set(OpenFlags::CLOEXEC, files.on_exec(self.fd)? == OnExec::Close);
        let number = open.file.inode().metadata()?.number;
        let mut text = Text::default();
        put!(text, "pos:\t{}\n", open.position());
        put!(text, "flags:\t0{:o}\n", flags.bits());
        put!(text, "mnt_id:\t{}\n", open.location().mount.id());
        put!(text, "ino:\t{number}\n");
        // Memory for the text is what it can lack; that shows in its end.
        let _ = open.file.describe(cx, &mut text);
        text.finish()
    }
}

impl File for StateFile {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.inode
    }

    fn positions(&self) -> Positions {
        Positions::Kept
    }

    fn read(
        &self,
        cx: &Context<'_>,
        _open: &OpenFile,
        offset: u64,
        to: &mut dyn Sink,
    ) -> Result<usize> {
        let text = self.text(cx)?;
        match usize::try_from(offset).ok().and_then(|offset| text.get(offset..)) {
            Some(rest) if !rest.is_empty() => to.put(rest),
            _ => Ok(0),
        }
    }
}
