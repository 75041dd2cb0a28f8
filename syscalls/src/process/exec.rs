//! From an executable file to a new address space and the registers to enter it with.
