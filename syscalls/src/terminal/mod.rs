//! The terminal and its line discipline.
