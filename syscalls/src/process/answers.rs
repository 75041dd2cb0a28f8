//! Answers that the machine gives without asking, because they are constant for a thread.

use abi::number::number;

use super::{Attention, Process, Thread};

impl Process {
    /// Publishes the answers of all threads again, after one has changed.
    pub(crate) fn publish_answers(&self) {
        for thread in self.threads() {
            thread.publish_answers();
        }
    }
}

impl Thread {
    /// Publishes what the system calls return that only tell who the thread is. A traced
    /// thread publishes nothing: each of its calls is to be seen.
    pub(crate) fn publish_answers(&self) {
        let Some(machine) = self.machine_if_known() else {
            return;
        };
        if self.attention.has(Attention::TRACE) {
            machine.publish_answers(&[]);
            return;
        }
        let process = self.process();
        let credentials = self.credentials();
        machine.publish_answers(&[
            (const { number("getpid") }, u64::from(process.id())),
            (const { number("gettid") }, u64::from(self.id())),
            (const { number("getppid") }, u64::from(process.parent())),
            (const { number("getpgrp") }, u64::from(process.group())),
            (const { number("getuid") }, u64::from(credentials.users.real)),
            (const { number("geteuid") }, u64::from(credentials.users.effective)),
            (const { number("getgid") }, u64::from(credentials.groups.real)),
            (const { number("getegid") }, u64::from(credentials.groups.effective)),
        ]);
    }
}
