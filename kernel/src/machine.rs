//! The machine as the personality sees it: [`syscalls::machine::Machine`] on real hardware.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use syscalls::machine::{
    ExitStatus, Link, Machine, Memory, MessageChannel, OutOfMemory, Page, Processor, Space, Stream,
    Task, Thread, ThreadStart,
};

use crate::cpu::registers::features;
use crate::drivers::{host, net, ninep, random};
use crate::memory::space::PageTables;
use crate::memory::{frames, page};
use crate::{power, sched, time, vdso};

/// Number of processors.
pub(crate) const PROCESSORS: u32 = 1;

/// When the service thread has to call the personality; `u64::MAX` for never.
static DEADLINE: AtomicU64 = AtomicU64::new(u64::MAX);

/// The deadline the personality asked for.
pub(crate) fn deadline_ns() -> Option<u64> {
    Some(DEADLINE.load(Ordering::Relaxed)).filter(|&deadline| deadline != u64::MAX)
}

/// Takes the deadline back, once it has come.
pub(crate) fn clear_deadline() {
    DEADLINE.store(u64::MAX, Ordering::Relaxed);
}

/// The one machine.
pub(crate) struct Hardware;

impl Machine for Hardware {
    fn allocate_page(&self) -> Result<Arc<dyn Page>, OutOfMemory> {
        page::allocate()
    }

    fn copy_page(&self, page: &dyn Page) -> Result<Arc<dyn Page>, OutOfMemory> {
        page::copy(page)
    }

    fn archive_page(&self, bytes: &'static [u8]) -> Option<Arc<dyn Page>> {
        page::of_static(bytes)
    }

    fn create_space(&self) -> Result<Arc<dyn Space>, OutOfMemory> {
        Ok(Arc::new(PageTables::new()?))
    }

    fn memory(&self) -> Memory {
        let (total_pages, free_pages) = frames::count();
        Memory { total_pages, free_pages }
    }

    fn start_thread(
        &self,
        task: Arc<dyn Task>,
        space: Arc<dyn Space>,
        start: ThreadStart,
    ) -> Result<Arc<dyn Thread>, OutOfMemory> {
        Ok(sched::start(task, space, start)?)
    }

    fn current_thread(&self) -> Arc<dyn Thread> {
        sched::current()
    }

    fn yield_now(&self) {
        sched::yield_now();
    }

    fn reschedule(&self) {
        sched::reschedule();
    }

    fn monotonic_ns(&self) -> u64 {
        time::now_ns()
    }

    fn wall_clock_ns(&self) -> u64 {
        time::wall_clock_ns()
    }

    fn set_wall_clock_ns(&self, wall_ns: u64) {
        time::set_wall_clock(wall_ns);
    }

    fn vdso(&self) -> Arc<[Arc<dyn Page>]> {
        vdso::pages()
    }

    fn set_deadline(&self, deadline_ns: Option<u64>) {
        let deadline = deadline_ns.unwrap_or(u64::MAX);
        let previous = DEADLINE.swap(deadline, Ordering::Relaxed);
        if deadline < previous {
            host::wake_service();
        }
    }

    fn fill_random(&self, to: &mut [u8]) {
        random::fill(to);
    }

    fn receive(&self, stream: Stream, to: &mut [u8]) -> usize {
        host::receive(stream, to)
    }

    fn can_receive(&self, stream: Stream) -> bool {
        host::can_receive(stream)
    }

    fn send(&self, stream: Stream, bytes: &[u8]) -> usize {
        host::send(stream, bytes)
    }

    fn can_send(&self, stream: Stream) -> bool {
        host::can_send(stream)
    }

    fn close(&self, stream: Stream) {
        host::close(stream);
    }

    fn links(&self) -> Vec<Arc<dyn Link>> {
        net::links()
    }

    fn message_channels(&self) -> Vec<Arc<dyn MessageChannel>> {
        ninep::channels()
    }

    fn trace(&self, line: &str) {
        host::trace(line);
    }

    fn processor(&self) -> Processor {
        features().processor()
    }

    fn power_off(&self, status: ExitStatus) {
        host::exit(status);
        power::off();
    }
}
