//! The virtual processor: its first state, its run, and the report when it fails.

use super::bus::Bus;
use kvm_bindings::{
    KVM_MAX_CPUID_ENTRIES, kvm_cpuid_entry2, kvm_fpu, kvm_regs, kvm_segment, kvm_sregs,
};
use kvm_ioctls::{Kvm, VcpuExit, VcpuFd, VmFd};
use std::io;

/// CR0: protected mode, and the bit that is always set.
const CR0_PROTECTED: u64 = 0x11;

/// RFLAGS: the bit that is always set.
const FLAGS_RESET: u64 = 0x2;

/// CPUID leaf 1, ECX: there is a hypervisor; the processor can be one (Intel's).
const HYPERVISOR: u32 = 1 << 31;
const VMX: u32 = 1 << 5;

/// CPUID leaf 0x8000_0001, ECX: the processor can be a hypervisor (AMD's).
const SVM: u32 = 1 << 2;

/// x87 and SSE after a reset.
const X87_CONTROL: u16 = 0x37f;
const MXCSR: u32 = 0x1f80;

/// The processor.
pub struct Vcpu {
    fd: VcpuFd,
    reset: kvm_sregs,
}

impl Vcpu {
    /// The one processor of `vm`, with everything that KVM supports.
    ///
    /// # Errors
    /// KVM refuses.
    pub fn new(kvm: &Kvm, vm: &VmFd) -> Result<Self, kvm_ioctls::Error> {
        let fd = vm.create_vcpu(0)?;
        let mut cpuid = kvm.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES)?;
        cpuid.as_mut_slice().iter_mut().for_each(adapt);
        fd.set_cpuid2(&cpuid)?;
        let reset = fd.get_sregs()?;
        Ok(Self { fd, reset })
    }

    /// Puts the processor before the instruction at `entry`, in 32-bit mode without paging, as
    /// PVH says; `rbx` holds what it is to know.
    ///
    /// # Errors
    /// KVM refuses.
    pub fn enter_at(&self, entry: u32, rbx: u64) -> Result<(), kvm_ioctls::Error> {
        let code = segment(0x08, 0xb);
        let data = segment(0x10, 0x3);
        let task = kvm_segment { limit: 0x67, g: 0, db: 0, s: 0, ..segment(0x18, 0xb) };
        let (cs, ds, es, fs, gs, ss, tr) = (code, data, data, data, data, data, task);
        let sregs = kvm_sregs { cs, ds, es, fs, gs, ss, tr, cr0: CR0_PROTECTED, ..self.reset };
        self.fd.set_sregs(&sregs)?;
        let rip = u64::from(entry);
        self.fd.set_regs(&kvm_regs { rip, rbx, rflags: FLAGS_RESET, ..kvm_regs::default() })?;
        self.fd.set_fpu(&kvm_fpu { fcw: X87_CONTROL, mxcsr: MXCSR, ..kvm_fpu::default() })
    }

    /// Runs until the guest resets the machine, which is how it ends it.
    ///
    /// # Errors
    /// The guest failed, or KVM did; what is known of it.
    pub fn run(&mut self, bus: &mut Bus) -> Result<(), String> {
        let failure = loop {
            match self.fd.run() {
                Ok(VcpuExit::IoOut(port, data)) => {
                    if !bus.port_out(port, data) {
                        return Ok(());
                    }
                }
                Ok(VcpuExit::IoIn(port, data)) => bus.port_in(port, data),
                Ok(VcpuExit::MmioRead(address, data)) => bus.read(address, data),
                Ok(VcpuExit::MmioWrite(address, data)) => bus.write(address, data),
                Ok(VcpuExit::Intr) => {}
                Ok(VcpuExit::Shutdown) => break "a triple fault".to_owned(),
                Ok(VcpuExit::InternalError) => break "an internal error of KVM".to_owned(),
                Ok(VcpuExit::FailEntry(reason, _)) => {
                    break format!("the processor refuses the guest's state ({reason:#x})");
                }
                Ok(other) => break format!("an unexpected exit, {other:?}"),
                Err(error) if matches!(error.errno(), libc::EINTR | libc::EAGAIN) => {}
                Err(error) => break format!("KVM cannot go on: {}", io::Error::from(error)),
            }
        };
        Err(self.report(&failure))
    }

    /// Runs until the first write to a port; its number and the value, or why there is none.
    pub(super) fn run_to_port(&mut self) -> Result<(u16, u32), String> {
        loop {
            return match self.fd.run() {
                Ok(VcpuExit::IoOut(port, data)) => match data.try_into() {
                    Ok(bytes) => Ok((port, u32::from_le_bytes(bytes))),
                    Err(_) => Err("it writes what it was not told to".to_owned()),
                },
                Ok(VcpuExit::InternalError) => {
                    Err("it is emulated, up to an instruction that cannot be".to_owned())
                }
                Ok(other) => Err(format!("it stops with {other:?}")),
                Err(error) if error.errno() == libc::EINTR => continue,
                Err(error) => Err(io::Error::from(error).to_string()),
            };
        }
    }

    /// What happened, and the processor's state (which KVM resets at a triple fault on AMD's).
    fn report(&self, what: &str) -> String {
        match (self.fd.get_regs(), self.fd.get_sregs()) {
            (Ok(r), Ok(s)) => format!(
                "{what}\n{r:x?}\ncr0 {:x} cr2 {:x} cr3 {:x} cr4 {:x} efer {:x} cs {:x}",
                s.cr0, s.cr2, s.cr3, s.cr4, s.efer, s.cs.selector
            ),
            _ => what.to_owned(),
        }
    }
}

/// Makes the host's processor the machine's only one. What is left as KVM has it: it tells of
/// extended states (leaf 0xd) only what a guest may have, looks at what the guest writes to XCR0
/// itself, and keeps OSXSAVE and the sizes as the guest's CR4 and XCR0 are.
fn adapt(entry: &mut kvm_cpuid_entry2) {
    match entry.function {
        // The APIC's number, and how many there are, is not the host's.
        0x1 => {
            entry.ebx = entry.ebx & 0xffff | 1 << 16;
            entry.ecx = entry.ecx & !VMX | HYPERVISOR;
        }
        0xb | 0x1f => entry.edx = 0,
        // KVM's own support of hypervisors in a guest is no business of this one.
        0x8000_0001 => entry.ecx &= !SVM,
        _ => {}
    }
}

/// A flat segment of 4 GiB.
fn segment(selector: u16, kind: u8) -> kvm_segment {
    kvm_segment {
        limit: u32::MAX,
        selector,
        type_: kind,
        present: 1,
        db: 1,
        s: 1,
        g: 1,
        ..kvm_segment::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_processor_is_number_0_of_1_and_keeps_its_extended_states() {
        const XSAVE_AND_AVX: u32 = 1 << 26 | 1 << 28;
        let entry = |function, index, [eax, ebx, ecx, edx]: [u32; 4]| kvm_cpuid_entry2 {
            function,
            index,
            eax,
            ebx,
            ecx,
            edx,
            ..kvm_cpuid_entry2::default()
        };
        let host = [
            entry(0x1, 0, [0x80_0f12, 0x0520_0800, XSAVE_AND_AVX | VMX, 0]),
            entry(0x8000_0001, 0, [0, 0, 0x21 | SVM, 7]),
            entry(0xb, 1, [4, 32, 0x201, 5]),
            entry(0xd, 0, [7, 832, 832, 0]),
            entry(0xd, 2, [256, 576, 0, 0]),
        ];
        let mut guest = host;
        guest.iter_mut().for_each(adapt);
        assert_eq!(guest[0], entry(0x1, 0, [0x80_0f12, 0x1_0800, XSAVE_AND_AVX | HYPERVISOR, 0]));
        assert_eq!(guest[1], entry(0x8000_0001, 0, [0, 0, 0x21, 7]));
        assert_eq!(guest[2].edx, 0);
        assert_eq!(guest[3..], host[3..]);
    }
}
