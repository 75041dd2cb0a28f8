//! The threads of a process: who joins them, who leaves, and who stays alone for execve(2).

use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;

use abi::Errno;

use crate::context::Context;
use crate::error::{Because, Result};
use crate::machine::CpuTime;
use crate::wait::Interruption;

use super::{Attention, Process, Thread};

/// The threads of a process.
#[derive(Default)]
pub(super) struct ThreadGroup {
    members: Vec<Weak<Thread>>,
    /// The others are to end, because one of them executes a program.
    is_closing: bool,
    /// The first thread once it has ended, for /proc: until somebody has waited for the
    /// process.
    remains: Option<Arc<Thread>>,
}

impl Process {
    /// Its threads that live, the oldest first.
    #[must_use]
    pub fn threads(&self) -> Vec<Arc<Thread>> {
        self.group_of_threads.lock().members.iter().filter_map(Weak::upgrade).collect()
    }

    /// How many threads it has.
    #[must_use]
    pub(crate) fn thread_count(&self) -> usize {
        self.group_of_threads.lock().members.len()
    }

    /// Adds a thread that will run. It ends at once if the process does.
    pub(super) fn add_thread(&self, thread: &Arc<Thread>) {
        let is_closing = {
            let mut group = self.group_of_threads.lock();
            group.members.push(Arc::downgrade(thread));
            group.is_closing
        };
        // Whoever ends the process later finds the new thread among the others.
        if is_closing || self.is_ending() {
            thread.attention.set(Attention::EXIT);
        }
    }

    /// Removes a thread that ends; returns whether it was the last one.
    pub(super) fn remove_thread(&self, thread: &Thread) -> bool {
        {
            let mut ended = self.ended_cpu.lock();
            *ended = ended.with(thread.cpu_time());
        }
        let is_last = {
            let mut group = self.group_of_threads.lock();
            group.members.retain(|other| !core::ptr::eq(other.as_ptr(), thread));
            group.members.is_empty()
        };
        self.threads_changed.wake_all();
        is_last
    }

    /// Its first thread, if that has ended and nobody has waited for the process yet.
    pub(crate) fn remains(&self) -> Option<Arc<Thread>> {
        self.group_of_threads.lock().remains.clone()
    }

    /// Keeps its first thread, which ends; it holds the process.
    pub(super) fn set_remains(&self, thread: &Thread) {
        self.group_of_threads.lock().remains = thread.downgrade().upgrade();
    }

    /// Lets go of its first thread.
    pub(super) fn forget_remains(&self) {
        let remains = self.group_of_threads.lock().remains.take();
        drop(remains);
    }

    /// For how long its threads have had a processor.
    #[must_use]
    pub fn cpu_time(&self) -> CpuTime {
        let ended = *self.ended_cpu.lock();
        self.threads().iter().fold(ended, |sum, thread| sum.with(thread.cpu_time()))
    }
}

impl Context<'_> {
    /// Ends the other threads of the process and waits until they have gone; the caller has
    /// the number of the process then: execve(2), "Effect on process attributes".
    ///
    /// # Errors
    /// `EAGAIN` when the caller is to end itself.
    pub(super) fn stay_alone(&self) -> Result<()> {
        let process = self.process;
        {
            let mut group = process.group_of_threads.lock();
            if group.is_closing || self.thread.attention.has(Attention::EXIT) {
                return Err(Errno::EAGAIN.because("another thread ends this one"));
            }
            group.is_closing = true;
        }
        for other in process.threads() {
            if !core::ptr::eq(&*other, self.thread) {
                other.end_soon();
            }
        }
        let is_alone = || Ok((process.thread_count() == 1).then_some(()));
        let queues = [&process.threads_changed];
        let alone = self.wait_until(&queues, None, Interruption::Never, is_alone);
        process.group_of_threads.lock().is_closing = false;
        alone?;
        process.forget_remains();
        self.thread.take_number_of_process();
        Ok(())
    }
}
