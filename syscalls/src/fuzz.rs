//! The bodies of the fuzz targets in `syscalls/fuzz`: they take arbitrary bytes and panic when
//! a promise of this crate is broken. The tests run them over inputs of their own.

mod net;
mod server;
#[cfg(test)]
mod tests;

use alloc::sync::Arc;

use abi::Errno;
use abi::fs::Device;

use crate::fake::kit::{self, Kit};
use crate::fs::mount::MountAccess;
use crate::fs::ninep::{Owner, Share};
use crate::machine::Machine;

use server::Server;

pub use net::net;

const AT_FDCWD: u64 = -100_i64 as u64;

/// Uses a directory of the host whose server says what `input` makes of right answers.
///
/// # Panics
/// When a system call panics, or memory is lost.
pub fn ninep(input: &[u8]) {
    let kit = kit::process();
    let (machine, server) = (kit.machine.clone(), Arc::new(Server::new(input)));
    machine.add_channel(server.clone());
    let as_machine: Arc<dyn Machine> = machine.clone();
    let writes = input.len().is_multiple_of(2);
    let access = if writes { MountAccess::ReadWrite } else { MountAccess::ReadOnly };
    let connected =
        Share::connect(&as_machine, server, Device::new(0, 99), Owner::default(), access);
    if let Ok((share, root)) = connected {
        kit.system.vfs.shares.add(share);
        kit.system.vfs.mount_in_root("tmp", root, "9p", 0).expect("a mount");
        // What was not believed once may be believed the next time.
        for _ in 0..2 {
            use_files(&kit);
            use_names(&kit);
            machine.advance(2_000_000_000);
        }
    }
    drop((kit, as_machine));
    assert_eq!(machine.live_pages(), 0, "pages are lost");
}

fn call(kit: &Kit, name: &str, arguments: &[u64]) -> Result<u64, Errno> {
    let mut all = [0; 6];
    all[..arguments.len()].copy_from_slice(arguments);
    kit.call(name, all)
}

fn open(kit: &Kit, path: &str, flags: u64) -> Result<u64, Errno> {
    call(kit, "openat", &[AT_FDCWD, kit.string(path), flags, 0o644])
}

fn use_files(kit: &Kit) {
    const O_RDWR: u64 = 2;
    const O_CREAT: u64 = 0o100;
    let room = kit.room(8192);
    for (path, flags) in [("/tmp/f", O_RDWR), ("/tmp/d/f", 0), ("/tmp/d/new", O_CREAT | O_RDWR)] {
        let Ok(fd) = open(kit, path, flags) else { continue };
        let _ = call(kit, "read", &[fd, room, 8000]);
        let _ = call(kit, "pwrite64", &[fd, room, 5000, 3000]);
        let _ = call(kit, "fstat", &[fd, room]);
        if let Ok(address) = call(kit, "mmap", &[0, 8192, 3, 1, fd, 0]) {
            let memory = kit.process.memory();
            let _ = memory.read(address, &mut [0; 8192]);
            let _ = memory.write(address + 4000, &[7; 200]);
            let _ = call(kit, "msync", &[address, 8192, 4]);
            let _ = call(kit, "munmap", &[address, 8192]);
        }
        let _ = call(kit, "fsync", &[fd]);
        let _ = call(kit, "ftruncate", &[fd, 100]);
        let _ = call(kit, "close", &[fd]);
    }
}

fn use_names(kit: &Kit) {
    let (room, string) = (kit.room(4096), |text: &str| kit.string(text));
    for path in ["/tmp", "/tmp/d"] {
        if let Ok(directory) = open(kit, path, 0) {
            // A directory may well have no end.
            for _ in 0..4 {
                let _ = call(kit, "getdents64", &[directory, room, 200]);
            }
            let _ = call(kit, "close", &[directory]);
        }
    }
    let _ = call(kit, "stat", &[string("/tmp/d/d/d/f"), room]);
    let _ = call(kit, "mkdir", &[string("/tmp/dir"), 0o755]);
    let _ = call(kit, "symlink", &[string("f"), string("/tmp/link")]);
    let _ = call(kit, "readlink", &[string("/tmp/link"), room, 64]);
    let _ = call(kit, "link", &[string("/tmp/f"), string("/tmp/hard")]);
    let _ = call(kit, "chmod", &[string("/tmp/f"), 0o600]);
    let _ = call(kit, "rename", &[string("/tmp/f"), string("/tmp/d/x")]);
    let _ = call(kit, "unlink", &[string("/tmp/d/x")]);
    let _ = call(kit, "rmdir", &[string("/tmp/dir")]);
    let _ = call(kit, "statfs", &[string("/tmp"), room]);
    let _ = call(kit, "sync", &[]);
}
