//! The system as a whole, and the processor.
