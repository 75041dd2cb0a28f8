//! [`FakeMachine`]: the seam itself, and what tests see of it.

use alloc::string::String;
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use crate::machine::{
    ExitStatus, Link, Machine, Memory, MessageChannel, OutOfMemory, Page, Processor, Service,
    Space, Stream, Task, Thread, ThreadStart,
};

use super::application::{Application, Program};
use super::frames::Frames;
use super::host::HostEvent;
use super::schedule::{Over, Scheduler};
use super::space::FakeSpace;

/// The processor of every fake machine: x87, SSE and AVX.
pub(super) const PROCESSOR: Processor = Processor {
    hwcap: 0x178b_fbff,
    hwcap2: 2,
    extended_state_len: 832,
    extended_state_components: 7,
    mxcsr_mask: 0xffff,
    count: 1,
};

/// Pages of a machine unless a test sets another limit: 64 MiB.
const PAGES: usize = 16384;

/// Wall-clock time at boot: 2026-01-01 00:00 UTC.
pub(super) const WALL_CLOCK_AT_BOOT_NS: u64 = 1_767_225_600_000_000_000;

/// A time page that tells no time: virtual time has no counter.
#[repr(align(4096))]
struct TimePage([u8; abi::PAGE_SIZE]);

static TIME_PAGE: TimePage = TimePage([0; abi::PAGE_SIZE]);

/// A machine of plain Rust. The thread that makes it is its first thread.
pub struct FakeMachine {
    frames: Arc<Frames>,
    scheduler: Arc<Scheduler>,
    programs: Arc<Mutex<HashMap<u64, Program>>>,
    channels: Mutex<Vec<Arc<dyn MessageChannel>>>,
    links: Mutex<Vec<Arc<dyn Link>>>,
}

impl FakeMachine {
    /// A fresh machine.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::new(Self {
            frames: Frames::new(PAGES),
            scheduler: Scheduler::new(),
            programs: Arc::default(),
            channels: Mutex::default(),
            links: Mutex::default(),
        })
    }

    /// How many pages are allocated now, page tables among them.
    #[must_use]
    pub fn live_pages(&self) -> usize {
        self.frames.used()
    }

    /// Sets how many pages there are.
    pub fn set_page_limit(&self, pages: usize) {
        self.frames.set_limit(pages);
    }

    /// Lets that many more allocations succeed and all later ones fail, until the next call;
    /// `None` ends it.
    pub fn fail_allocations_after(&self, successes: Option<usize>) {
        self.frames.fail_after(successes);
    }

    /// Sets who receives the news of devices, as long as the test keeps it.
    pub fn set_service(&self, service: &Arc<impl Service + 'static>) {
        let service = Arc::downgrade(service) as Weak<dyn Service>;
        self.scheduler.state().service = Some(service);
    }

    /// Lets the host do something now.
    pub fn host(&self, event: HostEvent) {
        self.host_at(0, event);
        self.scheduler.deliver_what_is_due();
    }

    /// Lets the host do something at a monotonic time, in nanoseconds.
    pub fn host_at(&self, at_ns: u64, event: HostEvent) {
        self.scheduler.schedule(at_ns, event);
    }

    /// Takes what the guest has sent on a stream.
    #[must_use]
    pub fn output(&self, stream: Stream) -> Vec<u8> {
        self.scheduler.state().host.stream(stream).take_output()
    }

    /// Limits how many more bytes the guest may send on a stream; `None` for any number, as
    /// at the start.
    pub fn set_credit(&self, stream: Stream, bytes: Option<usize>) {
        self.scheduler.state().host.stream(stream).set_credit(bytes);
    }

    /// Adds a network device.
    pub fn add_link(&self, link: Arc<dyn Link>) {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).push(link);
    }

    /// Adds a channel over which the host answers messages.
    pub fn add_channel(&self, channel: Arc<dyn MessageChannel>) {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).push(channel);
    }

    /// Whether the guest has closed its side of a stream.
    #[must_use]
    pub fn is_closed_by_guest(&self, stream: Stream) -> bool {
        self.scheduler.state().host.stream(stream).is_closed_by_guest()
    }

    /// Takes the trace lines that have been sent.
    #[must_use]
    pub fn trace_lines(&self) -> Vec<String> {
        core::mem::take(&mut self.scheduler.state().trace)
    }

    /// The status of the first [`Machine::power_off`].
    #[must_use]
    pub fn exit_status(&self) -> Option<ExitStatus> {
        self.scheduler.state().exit_status
    }

    /// Lets time pass, with all that happens meanwhile.
    pub fn advance(&self, by_ns: u64) {
        self.scheduler.advance(by_ns);
    }

    /// Lets the thread that runs compute for some time.
    pub fn compute(&self, by_ns: u64) {
        self.scheduler.current().compute(by_ns);
    }

    /// Lets `program` be the code at `address`: what a thread runs that starts or goes on
    /// there.
    pub fn set_program(
        &self,
        address: u64,
        program: impl Fn(&mut Application) + Send + Sync + 'static,
    ) {
        self.programs
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(address, Arc::new(program));
    }

    /// Lets the started threads run until all have ended or the machine is off; returns the
    /// status it was powered off with. Panics as they did.
    pub fn run(&self) -> Option<ExitStatus> {
        self.scheduler.run()
    }
}

impl Drop for FakeMachine {
    fn drop(&mut self) {
        self.scheduler.stop();
    }
}

impl Machine for FakeMachine {
    fn allocate_page(&self) -> Result<Arc<dyn Page>, OutOfMemory> {
        Ok(self.frames.allocate()?)
    }

    fn copy_page(&self, page: &dyn Page) -> Result<Arc<dyn Page>, OutOfMemory> {
        let copy = self.frames.allocate()?;
        let mut bytes = [0; abi::PAGE_SIZE];
        page.read(0, &mut bytes);
        copy.write(0, &bytes);
        Ok(copy)
    }

    fn archive_page(&self, bytes: &'static [u8]) -> Option<Arc<dyn Page>> {
        Some(self.frames.archive_page(bytes)?)
    }

    fn create_space(&self) -> Result<Arc<dyn Space>, OutOfMemory> {
        Ok(FakeSpace::new(&self.frames)?)
    }

    fn memory(&self) -> Memory {
        let (limit, used) = (self.frames.limit(), self.frames.used());
        Memory { total_pages: limit as u64, free_pages: limit.saturating_sub(used) as u64 }
    }

    fn start_thread(
        &self,
        task: Arc<dyn Task>,
        space: Arc<dyn Space>,
        start: ThreadStart,
    ) -> Result<Arc<dyn Thread>, OutOfMemory> {
        let caller = self.scheduler.current();
        let thread = self.scheduler.start(space);
        thread.begin(&start, &caller);
        thread.set_task(&task);
        let scheduler = self.scheduler.clone();
        let programs = self.programs.clone();
        let of_application = thread.clone();
        std::thread::spawn(move || {
            let id = of_application.id;
            let ended = catch_unwind(AssertUnwindSafe(|| {
                scheduler.wait_for_turn(id);
                Application::new(of_application, task, programs, start.registers).run();
            }));
            if let Err(payload) = ended
                && !payload.is::<Over>()
            {
                scheduler.fail(payload);
            }
            if let Err(standstill) = catch_unwind(AssertUnwindSafe(|| scheduler.end(id))) {
                scheduler.fail(standstill);
            }
        });
        Ok(thread)
    }

    fn current_thread(&self) -> Arc<dyn Thread> {
        self.scheduler.current()
    }

    fn yield_now(&self) {
        self.scheduler.yield_now();
    }

    fn reschedule(&self) {
        self.scheduler.yield_now();
    }

    fn monotonic_ns(&self) -> u64 {
        self.scheduler.state().now_ns
    }

    fn wall_clock_ns(&self) -> u64 {
        let state = self.scheduler.state();
        state.now_ns.wrapping_add(state.wall_offset_ns)
    }

    fn set_wall_clock_ns(&self, wall_ns: u64) {
        let mut state = self.scheduler.state();
        state.wall_offset_ns = wall_ns.wrapping_sub(state.now_ns);
    }

    fn vdso(&self) -> Arc<[Arc<dyn Page>]> {
        let pages = TIME_PAGE.0.chunks(abi::PAGE_SIZE).chain(vdso::image().chunks(abi::PAGE_SIZE));
        pages.filter_map(|bytes| self.archive_page(bytes)).collect()
    }

    fn set_deadline(&self, deadline_ns: Option<u64>) {
        self.scheduler.state().deadline_ns = deadline_ns;
    }

    fn fill_random(&self, to: &mut [u8]) {
        let mut state = self.scheduler.state();
        for byte in to {
            // xorshift64: deterministic, and good enough to look random.
            state.random ^= state.random << 13;
            state.random ^= state.random >> 7;
            state.random ^= state.random << 17;
            *byte = (state.random >> 32) as u8;
        }
    }

    fn receive(&self, stream: Stream, to: &mut [u8]) -> usize {
        self.scheduler.state().host.stream(stream).receive(to)
    }

    fn can_receive(&self, stream: Stream) -> bool {
        self.scheduler.state().host.stream(stream).can_receive()
    }

    fn send(&self, stream: Stream, bytes: &[u8]) -> usize {
        self.scheduler.state().host.stream(stream).send(bytes)
    }

    fn can_send(&self, stream: Stream) -> bool {
        self.scheduler.state().host.stream(stream).can_send()
    }

    fn close(&self, stream: Stream) {
        self.scheduler.state().host.stream(stream).close();
    }

    fn message_channels(&self) -> Vec<Arc<dyn MessageChannel>> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn links(&self) -> Vec<Arc<dyn Link>> {
        self.links.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn trace(&self, line: &str) {
        self.scheduler.state().trace.push(line.into());
    }

    fn processor(&self) -> Processor {
        PROCESSOR
    }

    fn power_off(&self, status: ExitStatus) {
        self.scheduler.state().exit_status.get_or_insert(status);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::machine::{Flow, Registers, Trap};
    use core::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn parking_lets_time_jump_to_the_deadline() {
        let machine = FakeMachine::new();
        machine.current_thread().park(Some(5_000));
        assert_eq!(machine.monotonic_ns(), 5_000);
    }

    #[test]
    fn an_earlier_unpark_is_not_lost() {
        let machine = FakeMachine::new();
        machine.current_thread().unpark();
        machine.current_thread().park(None);
        assert_eq!(machine.monotonic_ns(), 0);
    }

    #[test]
    #[should_panic(expected = "standstill at 0 ns")]
    fn parking_for_ever_fails_the_test() {
        FakeMachine::new().current_thread().park(None);
    }

    struct Unparks(Arc<dyn Thread>, AtomicU64);

    impl Service for Unparks {
        fn news(&self, _: crate::machine::News) {
            self.0.unpark();
        }

        fn deadline(&self) {
            self.1.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn scheduled_bytes_and_deadlines_arrive_while_parked() {
        let machine = FakeMachine::new();
        let service = Arc::new(Unparks(machine.current_thread(), AtomicU64::new(0)));
        machine.set_service(&service);
        machine.host_at(700, HostEvent::Feed(Stream::Stdin, b"abc".to_vec()));
        machine.set_deadline(Some(300));
        machine.current_thread().park(None);
        assert_eq!(machine.monotonic_ns(), 700);
        assert_eq!(service.1.load(Ordering::Relaxed), 1);
        let mut bytes = [0; 8];
        assert_eq!(machine.receive(Stream::Stdin, &mut bytes), 3);
        assert_eq!(&bytes[..3], b"abc");
    }

    #[test]
    fn credit_limits_what_is_sent() {
        let machine = FakeMachine::new();
        machine.set_credit(Stream::Stdout, Some(2));
        assert_eq!(machine.send(Stream::Stdout, b"abc"), 2);
        assert!(!machine.can_send(Stream::Stdout));
        machine.host(HostEvent::Credit(Stream::Stdout, 5));
        assert_eq!(machine.send(Stream::Stdout, b"c"), 1);
        assert_eq!(machine.output(Stream::Stdout), b"abc");
    }

    #[test]
    fn pages_are_counted_and_limited() {
        let machine = FakeMachine::new();
        machine.set_page_limit(1);
        let page = machine.allocate_page().unwrap();
        assert!(machine.allocate_page().is_err());
        assert_eq!(machine.live_pages(), 1);
        drop(page);
        assert_eq!(machine.live_pages(), 0);
    }

    #[test]
    #[should_panic(expected = "freed while it is mapped")]
    fn freeing_a_mapped_page_fails_the_test() {
        let machine = FakeMachine::new();
        let space = machine.create_space().unwrap();
        let page = machine.allocate_page().unwrap();
        space.map(0x1000, &*page, crate::machine::Access::Read).unwrap();
        drop(page);
    }

    /// A task whose system calls park until the time in their first argument.
    struct Sleeps(Arc<FakeMachine>);

    impl Task for Sleeps {
        fn syscall(&self, registers: &mut Registers) -> Flow {
            self.0.current_thread().park(Some(registers.rdi));
            registers.rax = self.0.monotonic_ns();
            Flow::Return
        }

        fn trap(&self, _: Trap, _: &mut Registers) -> Flow {
            Flow::End
        }

        fn resume(&self, _: &mut Registers) -> Flow {
            Flow::Restore
        }
    }

    #[test]
    fn threads_take_turns_in_the_order_of_time() {
        let machine = FakeMachine::new();
        let seen: Arc<Mutex<Vec<u64>>> = Arc::default();
        for (program, times) in [(0x1000, [100, 400]), (0x2000, [200, 300])] {
            let seen = seen.clone();
            machine.set_program(program, move |application| {
                for time in times {
                    let now = application.call("nanosleep", &[time]);
                    seen.lock().unwrap().push(now);
                }
                application.trap(Trap { vector: 6, error_code: 0, address: 0 });
            });
            let space = machine.create_space().unwrap();
            let registers = Registers { rip: program, ..Registers::default() };
            let start = ThreadStart { registers, ..ThreadStart::default() };
            let task = Arc::new(Sleeps(machine.clone()));
            machine.start_thread(task, space, start).unwrap();
        }
        assert_eq!(machine.run(), None);
        assert_eq!(*seen.lock().unwrap(), [100, 200, 300, 400]);
    }
}
