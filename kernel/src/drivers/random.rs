//! Randomness: ChaCha20, seeded from the processor and virtio-rng.

use core::arch::x86_64::{_rdrand64_step, _rdseed64_step, _rdtsc};

use rand_chacha::ChaCha20Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};
use spin::{Mutex, Once};
use virtio_drivers::device::rng::VirtIORng;

use super::virtio::{Memory, Transport};
use crate::cpu::registers::features;

type Seed = <ChaCha20Rng as SeedableRng>::Seed;

static GENERATOR: Once<Mutex<ChaCha20Rng>> = Once::new();

/// Seeds the generator from all there is; warns when that is only the clock.
pub(crate) fn init(device: Option<Transport>) {
    let mut seed = Seed::default();
    let from_device = device.is_some_and(|transport| mix_device(transport, &mut seed));
    let from_processor = mix_processor(&mut seed);
    // SAFETY: every x86-64 processor has it.
    mix(&mut seed, &unsafe { _rdtsc() }.to_le_bytes());
    if !from_device && !from_processor {
        log::warn!("no source of randomness but the clock: random numbers can be guessed");
    }
    GENERATOR.call_once(|| Mutex::new(ChaCha20Rng::from_seed(seed)));
}

/// Fills `to` with random bytes.
pub(crate) fn fill(to: &mut [u8]) {
    GENERATOR.get().expect("randomness is set up at boot").lock().fill_bytes(to);
}

fn mix(seed: &mut Seed, bytes: &[u8]) {
    for (slot, byte) in seed.iter_mut().zip(bytes) {
        *slot ^= byte;
    }
}

fn mix_device(transport: Transport, seed: &mut Seed) -> bool {
    let Ok(mut device) = VirtIORng::<Memory, _>::new(transport) else {
        return false;
    };
    let mut bytes = Seed::default();
    let received = device.request_entropy(&mut bytes).unwrap_or(0);
    mix(seed, &bytes[..received]);
    received == bytes.len()
}

/// Mixes `rdseed`, or `rdrand` where it has none to give.
fn mix_processor(seed: &mut Seed) -> bool {
    let mut all = true;
    for part in seed.chunks_exact_mut(8) {
        match processor_word() {
            Some(word) => part.iter_mut().zip(word.to_le_bytes()).for_each(|(s, w)| *s ^= w),
            None => all = false,
        }
    }
    all
}

fn processor_word() -> Option<u64> {
    const ATTEMPTS: usize = 10;
    let features = features();
    let mut word = 0;
    for _ in 0..ATTEMPTS {
        // SAFETY: the processor has the instruction.
        if features.rdseed && unsafe { _rdseed64_step(&mut word) } == 1 {
            return Some(word);
        }
        // SAFETY: as above.
        if features.rdrand && unsafe { _rdrand64_step(&mut word) } == 1 {
            return Some(word);
        }
    }
    None
}
