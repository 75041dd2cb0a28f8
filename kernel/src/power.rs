//! The end of the machine.

use core::arch::asm;

use x86_64::instructions::port::Port;
use x86_64::instructions::tables::lidt;
use x86_64::structures::DescriptorTablePointer;

/// Resets the machine, which ends it where the VMM was told not to reboot: by the keyboard
/// controller where there is one, else by a triple fault.
pub(crate) fn off() -> ! {
    const KEYBOARD_CONTROLLER: u16 = 0x64;
    const PULSE_RESET: u8 = 0xfe;
    let no_gates = DescriptorTablePointer { limit: 0, base: x86_64::VirtAddr::zero() };
    // SAFETY: the machine ends here.
    unsafe {
        Port::<u8>::new(KEYBOARD_CONTROLLER).write(PULSE_RESET);
        lidt(&no_gates);
        asm!("ud2", options(noreturn));
    }
}
