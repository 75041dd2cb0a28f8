//! Words of the kernel's command line, for a boot by hand or by another tool.
//!
//! They are Linux's own: `init=/bin/busybox -- echo hello` runs `/bin/busybox` of the archive
//! with the arguments after `--`. Words that are not listed here and have the form
//! `NAME=VALUE` without a dot become the program's environment, as on Linux. A run
//! configuration in the archive ([`super::config`]) has precedence.

/// `init=PATH`: the program to run.
pub const INIT: &str = "init=";

/// `ip=`: the address of the machine in the network, as Linux's parameter of this name says it
/// ([`super::config::KEY_IP`]).
pub const IP: &str = "ip=";

/// Everything after this word is the program's arguments.
pub const ARGUMENTS: &str = "--";

/// A virtio-mmio device: `virtio_mmio.device=SIZE@ADDRESS:IRQ`. QEMU's `microvm` appends
/// these at the very end of the line, also after [`ARGUMENTS`]; the kernel strips them from
/// the arguments.
pub const VIRTIO_MMIO_DEVICE: &str = "virtio_mmio.device=";

/// `birgus.log=LEVEL` (error, warn, info, debug, trace): how much the kernel says.
pub const LOG_LEVEL: &str = "birgus.log=";

/// `birgus.time=NANOSECONDS`: the time of day at boot, since 1970 UTC. The control channel
/// tells it more exactly, a little later.
pub const WALL_TIME: &str = "birgus.time=";

/// `birgus.debug=panic`, `=out-of-memory`, `=hang`: make the kernel fail in that way at boot, so that
/// tests can see how failures are reported.
pub const DEBUG: &str = "birgus.debug=";
