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
        if self.attention.has(Attention::TRACE | Attention::TRACED) {
            machine.publish_answers(&[]);
            return;
        }
        let process = self.process();
        let credentials = self.credentials();
        let shown = |id| u64::from(process.pid_namespace.shown(id));
        let users = &credentials.namespace;
        let user = |id| u64::from(users.shown_user(id));
        let group = |id| u64::from(users.shown_group(id));
        machine.publish_answers(&[
            (const { number("getpid") }, shown(process.id())),
            (const { number("gettid") }, shown(self.id())),
            (const { number("getppid") }, shown(process.parent())),
            (const { number("getpgrp") }, shown(process.group())),
            (const { number("getuid") }, user(credentials.users.real)),
            (const { number("geteuid") }, user(credentials.users.effective)),
            (const { number("getgid") }, group(credentials.groups.real)),
            (const { number("getegid") }, group(credentials.groups.effective)),
        ]);
    }
}
