//! The life and the properties of a process.
