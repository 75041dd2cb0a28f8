//! Terminals: termios(3), ioctl_tty(2), with the layouts and values of x86-64
//! (`asm-generic/termbits.h`, `asm-generic/ioctls.h`).
//!
//! [`Termios`] is what the kernel calls `struct termios` (36 bytes), not glibc's larger one.

use bitflags::bitflags;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Number of control characters in [`Termios::control`] (`NCCS` of the kernel).
pub const CONTROL_COUNT: usize = 19;

/// The settings of a terminal: `struct termios` of the kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Termios {
    /// `c_iflag`: [`InputFlags`].
    pub input: u32,
    /// `c_oflag`: [`OutputFlags`].
    pub output: u32,
    /// `c_cflag`: [`ControlFlags`].
    pub control_flags: u32,
    /// `c_lflag`: [`LocalFlags`].
    pub local: u32,
    /// `c_line`: the line discipline, 0 for N_TTY.
    pub line: u8,
    /// `c_cc`: the control characters, by their indexes in [`control`].
    pub control: [u8; CONTROL_COUNT],
}

const _: () = assert!(size_of::<Termios>() == 36);

/// [`Termios`] with free speeds: `struct termios2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Termios2 {
    /// The part it shares with the older struct.
    pub termios: Termios,
    /// `c_ispeed`: input speed, in baud.
    pub input_speed: u32,
    /// `c_ospeed`: output speed, in baud.
    pub output_speed: u32,
}

const _: () = assert!(size_of::<Termios2>() == 44);

/// The settings as System V had them: `struct termio`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Termio {
    /// `c_iflag`: the low half of [`InputFlags`].
    pub input: u16,
    /// `c_oflag`: the low half of [`OutputFlags`].
    pub output: u16,
    /// `c_cflag`: the low half of [`ControlFlags`].
    pub control_flags: u16,
    /// `c_lflag`: the low half of [`LocalFlags`].
    pub local: u16,
    /// `c_line`.
    pub line: u8,
    /// `c_cc`: the first control characters.
    pub control: [u8; Self::CONTROL_COUNT],
    /// Zero.
    pub padding: u8,
}

const _: () = assert!(size_of::<Termio>() == 18);

impl Termio {
    /// Number of control characters (`NCC`).
    pub const CONTROL_COUNT: usize = 8;
}

/// Size of a terminal's window: `struct winsize`.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Winsize {
    /// Rows, in characters.
    pub rows: u16,
    /// Columns, in characters.
    pub columns: u16,
    /// Width in pixels, or 0.
    pub width_pixels: u16,
    /// Height in pixels, or 0.
    pub height_pixels: u16,
}

const _: () = assert!(size_of::<Winsize>() == 8);

bitflags! {
    /// Input modes: `c_iflag`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct InputFlags: u32 {
        /// Ignore breaks.
        const IGNBRK = 0o1;
        /// A break is an interrupt.
        const BRKINT = 0o2;
        /// Ignore bytes with framing or parity errors.
        const IGNPAR = 0o4;
        /// Mark bytes with errors, and double 0xff.
        const PARMRK = 0o10;
        /// Check parity.
        const INPCK = 0o20;
        /// Clear the eighth bit.
        const ISTRIP = 0o40;
        /// Turn NL into CR.
        const INLCR = 0o100;
        /// Ignore CR.
        const IGNCR = 0o200;
        /// Turn CR into NL.
        const ICRNL = 0o400;
        /// Turn upper case into lower case.
        const IUCLC = 0o1000;
        /// STOP and START control output.
        const IXON = 0o2000;
        /// Any character restarts stopped output.
        const IXANY = 0o4000;
        /// Send STOP and START to control input.
        const IXOFF = 0o10000;
        /// Ring the bell when the input queue is full.
        const IMAXBEL = 0o20000;
        /// Input is UTF-8: erase whole characters.
        const IUTF8 = 0o40000;
    }

    /// Output modes: `c_oflag`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct OutputFlags: u32 {
        /// Process output; without it the other modes have no effect.
        const OPOST = 0o1;
        /// Turn lower case into upper case.
        const OLCUC = 0o2;
        /// Turn NL into CR NL.
        const ONLCR = 0o4;
        /// Turn CR into NL.
        const OCRNL = 0o10;
        /// No CR in column 0.
        const ONOCR = 0o20;
        /// NL does the work of CR.
        const ONLRET = 0o40;
        /// Send fill characters for a delay.
        const OFILL = 0o100;
        /// The fill character is DEL.
        const OFDEL = 0o200;
        /// Delay of NL.
        const NLDLY = 0o400;
        /// Delay of CR.
        const CRDLY = 0o3000;
        /// All bits set: tabs become spaces (`XTABS`). The other values are delays.
        const TABDLY = 0o14000;
        /// Delay of BS.
        const BSDLY = 0o20000;
        /// Delay of VT.
        const VTDLY = 0o40000;
        /// Delay of FF.
        const FFDLY = 0o100000;
    }

    /// Control modes: `c_cflag`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ControlFlags: u32 {
        /// Output speed; [`B38400`] is one of its values.
        const CBAUD = 0o10017;
        /// Character size; all bits set is eight bits.
        const CSIZE = 0o60;
        /// Two stop bits.
        const CSTOPB = 0o100;
        /// Enable the receiver.
        const CREAD = 0o200;
        /// Generate and check parity.
        const PARENB = 0o400;
        /// Odd parity.
        const PARODD = 0o1000;
        /// Hang up after the last close.
        const HUPCL = 0o2000;
        /// Ignore the modem's lines.
        const CLOCAL = 0o4000;
    }

    /// Local modes: `c_lflag`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct LocalFlags: u32 {
        /// INTR, QUIT and SUSP send signals.
        const ISIG = 0o1;
        /// Input is edited line by line.
        const ICANON = 0o2;
        /// Upper case is shown with a backslash; not implemented by Linux.
        const XCASE = 0o4;
        /// Echo input.
        const ECHO = 0o10;
        /// ERASE and WERASE rub out on the screen.
        const ECHOE = 0o20;
        /// KILL starts a new line on the screen.
        const ECHOK = 0o40;
        /// Echo NL also without ECHO.
        const ECHONL = 0o100;
        /// Signals do not flush the queues.
        const NOFLSH = 0o200;
        /// Background processes that write get SIGTTOU.
        const TOSTOP = 0o400;
        /// Echo control characters as `^X`.
        const ECHOCTL = 0o1000;
        /// Echo erased characters, for printers.
        const ECHOPRT = 0o2000;
        /// KILL rubs the line out on the screen.
        const ECHOKE = 0o4000;
        /// Output is being flushed.
        const FLUSHO = 0o10000;
        /// Reprint the line at the next read or input character.
        const PENDIN = 0o40000;
        /// LNEXT, WERASE, REPRINT and EOL2 have their meaning.
        const IEXTEN = 0o100000;
        /// Lines are edited at the other end.
        const EXTPROC = 0o200000;
    }
}

/// The speed that terminals start with, a value of [`ControlFlags::CBAUD`].
pub const B38400: u32 = 0o17;

/// The value of [`ControlFlags::CBAUD`] that means "see the speeds of [`Termios2`]".
pub const BOTHER: u32 = 0o10000;

/// Speeds in baud by the value of [`ControlFlags::CBAUD`]: first those without the bit
/// 0o10000, from 0, then those with it, from 0o10001.
pub const SPEEDS: [u32; 31] = [
    0, 50, 75, 110, 134, 150, 200, 300, 600, 1200, 1800, 2400, 4800, 9600, 19200, 38400, 57600,
    115_200, 230_400, 460_800, 500_000, 576_000, 921_600, 1_000_000, 1_152_000, 1_500_000,
    2_000_000, 2_500_000, 3_000_000, 3_500_000, 4_000_000,
];

/// Indexes of the control characters in [`Termios::control`].
#[allow(missing_docs)]
pub mod control {
    pub const VINTR: usize = 0;
    pub const VQUIT: usize = 1;
    pub const VERASE: usize = 2;
    pub const VKILL: usize = 3;
    pub const VEOF: usize = 4;
    pub const VTIME: usize = 5;
    pub const VMIN: usize = 6;
    pub const VSWTC: usize = 7;
    pub const VSTART: usize = 8;
    pub const VSTOP: usize = 9;
    pub const VSUSP: usize = 10;
    pub const VEOL: usize = 11;
    pub const VREPRINT: usize = 12;
    pub const VDISCARD: usize = 13;
    pub const VWERASE: usize = 14;
    pub const VLNEXT: usize = 15;
    pub const VEOL2: usize = 16;
}

/// Requests of ioctl(2) on terminals: ioctl_tty(2).
#[allow(missing_docs)]
pub mod request {
    pub const TCGETS: u32 = 0x5401;
    pub const TCSETS: u32 = 0x5402;
    pub const TCSETSW: u32 = 0x5403;
    pub const TCSETSF: u32 = 0x5404;
    pub const TCGETA: u32 = 0x5405;
    pub const TCSETA: u32 = 0x5406;
    pub const TCSETAW: u32 = 0x5407;
    pub const TCSETAF: u32 = 0x5408;
    pub const TCSBRK: u32 = 0x5409;
    pub const TCXONC: u32 = 0x540a;
    pub const TCFLSH: u32 = 0x540b;
    pub const TIOCEXCL: u32 = 0x540c;
    pub const TIOCNXCL: u32 = 0x540d;
    pub const TIOCSCTTY: u32 = 0x540e;
    pub const TIOCGPGRP: u32 = 0x540f;
    pub const TIOCSPGRP: u32 = 0x5410;
    pub const TIOCOUTQ: u32 = 0x5411;
    pub const TIOCSTI: u32 = 0x5412;
    pub const TIOCGWINSZ: u32 = 0x5413;
    pub const TIOCSWINSZ: u32 = 0x5414;
    /// `TIOCINQ` is the same.
    pub const FIONREAD: u32 = 0x541b;
    pub const FIONBIO: u32 = 0x5421;
    pub const TIOCNOTTY: u32 = 0x5422;
    pub const TIOCSETD: u32 = 0x5423;
    pub const TIOCGETD: u32 = 0x5424;
    pub const TCSBRKP: u32 = 0x5425;
    pub const TIOCGSID: u32 = 0x5429;
    pub const TCGETS2: u32 = 0x802c_542a;
    pub const TCSETS2: u32 = 0x402c_542b;
    pub const TCSETSW2: u32 = 0x402c_542c;
    pub const TCSETSF2: u32 = 0x402c_542d;
    pub const TIOCGLCKTRMIOS: u32 = 0x5456;
    pub const TIOCSLCKTRMIOS: u32 = 0x5457;
    pub const TIOCGEXCL: u32 = 0x8004_5440;
    pub const TIOCPKT: u32 = 0x5420;
    pub const TIOCGPTN: u32 = 0x8004_5430;
    pub const TIOCSPTLCK: u32 = 0x4004_5431;
    pub const TIOCSIG: u32 = 0x4004_5436;
    pub const TIOCGPKT: u32 = 0x8004_5438;
    pub const TIOCGPTLCK: u32 = 0x8004_5439;
    pub const TIOCGPTPEER: u32 = 0x5441;
}

/// What the first byte of a read in packet mode tells: ioctl_tty(2), `TIOCPKT`.
pub mod packet {
    /// The queue of input was flushed.
    pub const FLUSHREAD: u8 = 1;
    /// The queue of output was flushed.
    pub const FLUSHWRITE: u8 = 2;
    /// Output was stopped.
    pub const STOP: u8 = 4;
    /// Output goes on.
    pub const START: u8 = 8;
    /// `^S` and `^Q` do not stop output any more.
    pub const NOSTOP: u8 = 16;
    /// `^S` and `^Q` stop output.
    pub const DOSTOP: u8 = 32;
}

/// Arguments of `TCFLSH`: tcflush(3).
#[allow(missing_docs)]
pub mod queue {
    pub const TCIFLUSH: u64 = 0;
    pub const TCOFLUSH: u64 = 1;
    pub const TCIOFLUSH: u64 = 2;
}

/// Arguments of `TCXONC`: tcflow(3).
#[allow(missing_docs)]
pub mod flow {
    pub const TCOOFF: u64 = 0;
    pub const TCOON: u64 = 1;
    pub const TCIOFF: u64 = 2;
    pub const TCION: u64 = 3;
}

impl Termios {
    /// The settings of a new terminal, as of Linux's `tty_std_termios` and of a console whose
    /// user pressed nothing: 38400 baud, eight bits, line editing, echo and signals.
    pub const STANDARD: Self = Self {
        input: InputFlags::ICRNL.bits() | InputFlags::IXON.bits(),
        output: OutputFlags::OPOST.bits() | OutputFlags::ONLCR.bits(),
        control_flags: B38400
            | ControlFlags::CSIZE.bits()
            | ControlFlags::CREAD.bits()
            | ControlFlags::HUPCL.bits(),
        local: LocalFlags::ISIG.bits()
            | LocalFlags::ICANON.bits()
            | LocalFlags::ECHO.bits()
            | LocalFlags::ECHOE.bits()
            | LocalFlags::ECHOK.bits()
            | LocalFlags::ECHOCTL.bits()
            | LocalFlags::ECHOKE.bits()
            | LocalFlags::IEXTEN.bits(),
        line: 0,
        // ^C ^\ DEL ^U ^D, TIME 0, MIN 1, none, ^Q ^S ^Z, none, ^R ^O ^W ^V, none.
        control: [3, 28, 127, 21, 4, 0, 1, 0, 17, 19, 26, 0, 18, 15, 23, 22, 0, 0, 0],
    };

    /// `c_iflag` without unknown bits.
    #[must_use]
    pub const fn input_flags(&self) -> InputFlags {
        InputFlags::from_bits_truncate(self.input)
    }

    /// `c_oflag` without unknown bits.
    #[must_use]
    pub const fn output_flags(&self) -> OutputFlags {
        OutputFlags::from_bits_truncate(self.output)
    }

    /// `c_lflag` without unknown bits.
    #[must_use]
    pub const fn local_flags(&self) -> LocalFlags {
        LocalFlags::from_bits_truncate(self.local)
    }

    /// Whether `byte` is the control character with index `index`. The value 0 disables a
    /// control character (`_POSIX_VDISABLE`).
    #[must_use]
    pub const fn is(&self, byte: u8, index: usize) -> bool {
        byte != 0 && self.control[index] == byte
    }
}

#[cfg(test)]
mod tests {
    use linux_raw_sys::{general, ioctl};

    use super::*;

    #[test]
    fn requests_are_those_of_the_kernel_headers() {
        assert_eq!(request::TCSETSF, ioctl::TCSETSF);
        assert_eq!(request::TIOCSWINSZ, ioctl::TIOCSWINSZ);
        assert_eq!(request::FIONREAD, ioctl::FIONREAD);
        assert_eq!(request::TIOCGSID, ioctl::TIOCGSID);
        assert_eq!(request::TCGETS2, ioctl::TCGETS2);
        assert_eq!(request::TCSETSF2, ioctl::TCSETSF2);
        assert_eq!(request::TIOCGEXCL, ioctl::TIOCGEXCL);
    }

    #[test]
    fn flags_are_those_of_the_kernel_headers() {
        assert_eq!(InputFlags::IUTF8.bits(), general::IUTF8);
        assert_eq!(OutputFlags::TABDLY.bits(), general::XTABS);
        assert_eq!(ControlFlags::CBAUD.bits(), general::CBAUD);
        assert_eq!(LocalFlags::IEXTEN.bits(), general::IEXTEN);
        assert_eq!(LocalFlags::ECHOKE.bits(), general::ECHOKE);
        assert_eq!(control::VEOL2 as u32, general::VEOL2);
        assert_eq!(CONTROL_COUNT as u32, general::NCCS);
        assert_eq!(SPEEDS[15], 38400);
    }

    #[test]
    fn a_disabled_control_character_is_no_byte() {
        assert!(Termios::STANDARD.is(3, control::VINTR));
        assert!(!Termios::STANDARD.is(0, control::VEOL));
    }
}
