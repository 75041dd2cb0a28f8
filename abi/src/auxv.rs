//! The auxiliary vector: getauxval(3), `linux/auxvec.h`, System V ABI section 3.4.3.
//!
//! The initial stack builder of `loader` writes these pairs above the environment.

pub use linux_raw_sys::auxvec::*;
