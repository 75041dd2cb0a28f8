//! Whether KVM really executes: a device that opens proves nothing.
//!
//! On some hosts `/dev/kvm` works and emulates each instruction, slowly, and none of SSE at
//! all. So a small guest at CPL 0 computes with SSE for a while, and it has to be right, in
//! time.

use super::layout::PROBE;
use super::memory::Memory;
use super::vcpu::Vcpu;
use std::time::{Duration, Instant};
use vm_memory::{Bytes, GuestAddress};

/// How long the probe may take: some hundred times what a processor needs, and a fraction of
/// what an emulator does.
const BUDGET: Duration = Duration::from_millis(150);

/// The port the result is written to.
const PORT: u16 = 0xf4;

/// Turns of the loop.
const TURNS: u32 = 20_000;

/// In 32-bit mode: SSE on, then the numbers from [`TURNS`] to 1 added up, as integers and as fractions.
const CODE: [u8; 56] = [
    0x0f, 0x20, 0xe0, // mov eax, cr4
    0x0d, 0x00, 0x06, 0x00, 0x00, // or eax, OSFXSR | OSXMMEXCPT
    0x0f, 0x22, 0xe0, // mov cr4, eax
    0x0f, 0x57, 0xc0, // xorps xmm0, xmm0
    0x66, 0x0f, 0xef, 0xc9, // pxor xmm1, xmm1
    0x31, 0xc0, // xor eax, eax
    0xb9, 0x20, 0x4e, 0x00, 0x00, // mov ecx, TURNS
    0x66, 0x0f, 0x6e, 0xd1, // 1: movd xmm2, ecx
    0x66, 0x0f, 0x70, 0xd2, 0x00, // pshufd xmm2, xmm2, 0
    0x66, 0x0f, 0xfe, 0xca, // paddd xmm1, xmm2
    0x0f, 0x5b, 0xd2, // cvtdq2ps xmm2, xmm2
    0x0f, 0x58, 0xc2, // addps xmm0, xmm2
    0xe2, 0xeb, // loop 1b
    0x66, 0x0f, 0x7e, 0xc8, // movd eax, xmm1
    0x66, 0x0f, 0x7e, 0xc3, // movd ebx, xmm0
    0x31, 0xd8, // xor eax, ebx
];

/// Then the result goes out, and again should that not end it.
const END: [u8; 5] = [0xe7, PORT as u8, 0xf4, 0xeb, 0xfb];

/// Runs the probe; the memory is as before. Where the user insists on KVM, it may be slow.
///
/// # Errors
/// Why KVM cannot be used.
pub fn run(vcpu: &mut Vcpu, memory: &Memory, is_patient: bool) -> Result<(), String> {
    let code = [&CODE[..], &END].concat();
    let place = GuestAddress(PROBE);
    let refused = |error: kvm_ioctls::Error| std::io::Error::from(error).to_string();
    memory.write_slice(&code, place).map_err(|error| error.to_string())?;
    // It is below 4 GiB.
    vcpu.enter_at(PROBE as u32, 0).map_err(refused)?;
    let start = Instant::now();
    let (port, sum) =
        vcpu.run_to_port().map_err(|why| format!("a small guest does not run: {why}"))?;
    let took = start.elapsed();
    memory.write_slice(&vec![0; code.len()], place).map_err(|error| error.to_string())?;
    if (port, sum) != (PORT, expected()) {
        return Err("a small guest computes wrongly".to_owned());
    }
    if took > BUDGET && !is_patient {
        let (took, budget) = (took.as_millis(), BUDGET.as_millis());
        return Err(format!("a small guest took {took} ms of the {budget} it may: it emulates"));
    }
    Ok(())
}

/// What the guest has to find.
fn expected() -> u32 {
    let numbers = || (1..=TURNS).rev();
    let integers = numbers().fold(0_u32, u32::wrapping_add);
    // The processor rounds in the same way.
    let fractions = numbers().fold(0_f32, |sum, number| sum + number as f32);
    integers ^ fractions.to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loop_counts_and_jumps_as_its_comments_say() {
        let code = [&CODE[..], &END].concat();
        let decoded: Vec<_> = iced_x86::Decoder::new(32, &code, 0).into_iter().collect();
        assert!(decoded.iter().all(|instruction| !instruction.is_invalid()));
        let target = decoded.iter().find(|i| i.mnemonic() == iced_x86::Mnemonic::Loop).unwrap();
        let body = decoded.iter().find(|i| i.ip() == target.near_branch_target()).unwrap();
        assert_eq!(body.to_string(), "movd xmm2,ecx");
        assert!(code.windows(5).any(|bytes| bytes == [&[0xb9][..], &TURNS.to_le_bytes()].concat()));
    }
}
