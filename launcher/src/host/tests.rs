//! The plumbing against a guest that is a thread.
