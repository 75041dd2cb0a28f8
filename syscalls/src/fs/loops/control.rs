//! `/dev/loop-control`.

use alloc::sync::Arc;

use abi::Errno;
use abi::fs::block::loops::request as loop_request;
use abi::fs::{Device, OpenFlags};

use crate::context::Context;
use crate::error::{Because, Outcome, Result};
use crate::fs::device::Driver;
use crate::fs::file::{File, Positions};
use crate::fs::inode::Inode;
use crate::process::Capability;

pub(super) struct ControlDriver;

impl Driver for ControlDriver {
    fn open(
        &self,
        _: &Context<'_>,
        inode: Arc<dyn Inode>,
        _: Device,
        _: OpenFlags,
    ) -> Result<Arc<dyn File>> {
        Ok(Arc::new(Control(inode)))
    }
}

struct Control(Arc<dyn Inode>);

impl File for Control {
    fn inode(&self) -> &Arc<dyn Inode> {
        &self.0
    }

    fn positions(&self) -> Positions {
        Positions::Ignored
    }

    fn ioctl(&self, cx: &Context<'_>, request: u32, argument: u64) -> Result<Outcome> {
        let vfs = &cx.system.vfs;
        let number = u32::try_from(argument as i32);
        match request {
            loop_request::LOOP_CTL_GET_FREE => Ok(vfs.loops.free(vfs)?.number().into()),
            loop_request::LOOP_CTL_ADD => {
                check_privilege(cx)?;
                Ok(vfs.loops.add(vfs, number.ok())?.number().into())
            }
            loop_request::LOOP_CTL_REMOVE => {
                check_privilege(cx)?;
                let number = number.map_err(|_| Errno::EINVAL.because("no number of a device"))?;
                vfs.loops.remove(vfs, number)?;
                Ok(number.into())
            }
            _ => Err(Errno::ENOSYS.because("the file does not know this request")),
        }
    }
}

fn check_privilege(cx: &Context<'_>) -> Result<()> {
    if cx.credentials().has(Capability::SysAdmin) {
        return Ok(());
    }
    Err(Errno::EPERM.because("making and removing devices needs CAP_SYS_ADMIN"))
}
