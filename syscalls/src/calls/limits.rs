//! Limits of resources.
