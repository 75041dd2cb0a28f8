//! pipe(2), pipe2(2).
