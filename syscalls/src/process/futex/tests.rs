//! Futexes as threads use them, on the fake machine.
