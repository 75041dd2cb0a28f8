//! The tracer: each system call as strace(1) prints it.
