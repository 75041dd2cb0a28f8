//! The settings of a terminal as programs read and write them: `termios` with its speeds.

use abi::terminal::{BOTHER, ControlFlags, InputFlags, SPEEDS, Termio, Termios, Termios2};

/// How far the input speed's bits in `c_cflag` lie above those of the output speed
/// (`IBSHIFT`).
const INPUT_SHIFT: u32 = 16;

/// The settings and the speeds in baud.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings(Termios2);

impl Settings {
    /// What a console starts with; its screen shows UTF-8.
    pub(super) fn console() -> Self {
        let mut termios = Termios::STANDARD;
        termios.input |= InputFlags::IUTF8.bits();
        Self(Termios2 { termios, input_speed: 38400, output_speed: 38400 })
    }

    /// What the slave of a pseudoterminal starts with: no line to hang up.
    pub(super) fn pseudoterminal() -> Self {
        let mut termios = Termios::STANDARD;
        termios.control_flags &= !ControlFlags::HUPCL.bits();
        Self(Termios2 { termios, input_speed: 38400, output_speed: 38400 })
    }

    pub(super) fn termios(&self) -> Termios {
        self.0.termios
    }

    pub(super) fn termios2(&self) -> Termios2 {
        self.0
    }

    pub(super) fn termio(&self) -> Termio {
        let termios = self.0.termios;
        let mut control = [0; Termio::CONTROL_COUNT];
        control.copy_from_slice(&termios.control[..Termio::CONTROL_COUNT]);
        // The older struct has only the low half of each set of flags.
        Termio {
            input: termios.input as u16,
            output: termios.output as u16,
            control_flags: termios.control_flags as u16,
            local: termios.local as u16,
            line: termios.line,
            control,
            padding: 0,
        }
    }

    /// `TCSETS`: a speed that only [`Termios2`] can say stays as it is.
    pub(super) fn with_termios(&self, termios: Termios) -> Self {
        self.with_termios2(Termios2 { termios, ..self.0 })
    }

    /// `TCSETS2`.
    pub(super) fn with_termios2(&self, new: Termios2) -> Self {
        let flags = new.termios.control_flags;
        let output_speed = speed(flags, new.output_speed);
        let input_speed = match flags >> INPUT_SHIFT & ControlFlags::CBAUD.bits() {
            0 => output_speed,
            _ => speed(flags >> INPUT_SHIFT, new.input_speed),
        };
        Self(Termios2 { termios: new.termios, input_speed, output_speed })
    }

    /// These settings, but for what is set in `locked`: that stays as in `old`
    /// (`TIOCSLCKTRMIOS`).
    pub(super) fn except(mut self, locked: &Termios, old: &Self) -> Self {
        let (new, old) = (&mut self.0.termios, old.0.termios);
        let keep = |new: &mut u32, old: u32, locked: u32| *new = *new & !locked | old & locked;
        keep(&mut new.input, old.input, locked.input);
        keep(&mut new.output, old.output, locked.output);
        keep(&mut new.control_flags, old.control_flags, locked.control_flags);
        keep(&mut new.local, old.local, locked.local);
        if locked.line != 0 {
            new.line = old.line;
        }
        for (index, &locked) in locked.control.iter().enumerate() {
            if locked != 0 {
                new.control[index] = old.control[index];
            }
        }
        self
    }

    /// `TCSETA`: what the older struct does not have stays as it is.
    pub(super) fn with_termio(&self, new: Termio) -> Self {
        const HIGH: u32 = 0xffff_0000;
        let mut termios = self.0.termios;
        termios.input = termios.input & HIGH | u32::from(new.input);
        termios.output = termios.output & HIGH | u32::from(new.output);
        termios.control_flags = termios.control_flags & HIGH | u32::from(new.control_flags);
        termios.local = termios.local & HIGH | u32::from(new.local);
        termios.line = new.line;
        termios.control[..Termio::CONTROL_COUNT].copy_from_slice(&new.control);
        self.with_termios(termios)
    }
}

/// The speed that the low bits of `flags` name, or `free` where they name none.
fn speed(flags: u32, free: u32) -> u32 {
    let code = flags & ControlFlags::CBAUD.bits();
    if code == BOTHER {
        return free;
    }
    let index = if code & BOTHER == 0 { code } else { (code & !BOTHER) + 15 };
    SPEEDS.get(index as usize).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use zerocopy::FromZeros;

    use super::*;

    #[test]
    fn speeds_follow_the_control_flags() {
        let settings = Settings::console();
        let mut termios = settings.termios();
        termios.control_flags = termios.control_flags & !ControlFlags::CBAUD.bits() | 0o10002;
        let new = settings.with_termios(termios).termios2();
        assert_eq!((new.input_speed, new.output_speed), (115_200, 115_200));
    }

    #[test]
    fn any_speed_can_be_set_and_stays() {
        let settings = Settings::console();
        let mut wanted = settings.termios2();
        wanted.termios.control_flags &= !ControlFlags::CBAUD.bits();
        wanted.termios.control_flags |= BOTHER;
        wanted.output_speed = 12345;
        let settings = settings.with_termios2(wanted);
        assert_eq!(settings.termios2().output_speed, 12345);
        let settings = settings.with_termios(settings.termios());
        assert_eq!(settings.termios2().input_speed, 12345);
    }

    #[test]
    fn what_is_locked_stays() {
        let old = Settings::console();
        let mut wanted = old.termios();
        (wanted.local, wanted.control[0], wanted.control[1]) = (0, 7, 7);
        let mut locked = Termios::new_zeroed();
        (locked.local, locked.control[1]) = (1, 1);
        let new = old.with_termios(wanted).except(&locked, &old).termios();
        assert_eq!(new.local, old.termios().local & 1);
        assert_eq!(new.control[..2], [7, old.termios().control[1]]);
    }

    #[test]
    fn the_older_struct_changes_only_what_it_has() {
        let settings = Settings::console();
        let mut termio = settings.termio();
        assert_eq!(termio.control, [3, 28, 127, 21, 4, 0, 1, 0]);
        termio.local = 0;
        let new = settings.with_termio(termio).termios();
        assert_eq!(new.local, 0);
        assert_eq!(new.control, settings.termios().control);
    }
}
