//! The end of threads and processes: exit(2), exit_group(2), death by a signal.

use alloc::sync::Arc;

use crate::machine::{ExitStatus, Flow};

use super::{Attention, Process, Thread};

impl Process {
    /// Lets all threads end, and the process with this status. The first call counts.
    pub(crate) fn begin_exit(&self, status: ExitStatus) {
        self.exit.lock().get_or_insert(status);
        for thread in self.threads() {
            thread.attention.set(Attention::EXIT);
            thread.unpark();
            thread.interrupt();
        }
    }

    /// Notes the status of a thread that ends by itself: that of the process, when it is the
    /// last one.
    pub(crate) fn set_status_of_last_thread(&self, status: i32) {
        *self.last_status.lock() = status;
    }
}

impl Thread {
    /// Ends the thread, which is the one that runs now; with its last thread the process
    /// ends.
    pub(crate) fn end(&self) -> Flow {
        self.clear_thread_id();
        let process = self.process();
        if process.remove_thread(self) {
            let last = ExitStatus::Exited(*process.last_status.lock());
            let status = process.exit.lock().unwrap_or(last);
            crate::trace::exit(self, status);
            self.end_process(process, status);
        }
        Flow::End
    }

    /// The end of the program that the kernel started is the end of the machine.
    fn end_process(&self, process: &Arc<Process>, status: ExitStatus) {
        let system = self.system();
        process.timers.disarm_all(system);
        // The last descriptor of a file may have something to do, also for the host.
        for open in process.files.remove_range(0, usize::MAX) {
            // Nobody is left to be told of an error.
            let _ = crate::fs::close(system, process, &open);
        }
        system.processes.remove(process.id());
        if system.program() == process.id() {
            system.machine.power_off(status);
        }
    }
}
