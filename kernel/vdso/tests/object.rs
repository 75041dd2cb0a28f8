//! The shared object as dynamic linkers see it, and its functions, called in this process.

use std::mem::transmute;
use std::ptr::null_mut;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use abi::PAGE_SIZE;
use abi::time::{Timespec, Timeval, clock};
use abi::time_page::{TimePage, Timebase};
use goblin::elf::dynamic::{DT_NEEDED, DT_REL, DT_RELA, DT_TEXTREL};
use goblin::elf::program_header::{PF_R, PF_X, PT_LOAD};
use goblin::elf::{Elf, Sym};

const FUNCTIONS: [&str; 5] = [
    "__vdso_clock_getres",
    "__vdso_clock_gettime",
    "__vdso_getcpu",
    "__vdso_gettimeofday",
    "__vdso_time",
];

fn elf() -> Elf<'static> {
    Elf::parse(vdso::image()).expect("the image is an ELF file")
}

fn symbol(elf: &Elf<'_>, name: &str) -> (usize, Sym) {
    let find = |(_, symbol): &(usize, Sym)| elf.dynstrtab.get_at(symbol.st_name) == Some(name);
    elf.dynsyms.iter().enumerate().find(find).unwrap_or_else(|| panic!("there is no {name}"))
}

#[test]
fn the_image_is_whole_pages_with_one_segment_and_nothing_to_relocate() {
    let elf = elf();
    assert!(vdso::image().len().is_multiple_of(PAGE_SIZE));
    assert!(vdso::image().as_ptr().addr().is_multiple_of(PAGE_SIZE));
    let loaded: Vec<_> = elf.program_headers.iter().filter(|one| one.p_type == PT_LOAD).collect();
    assert_eq!(loaded.len(), 1);
    assert_eq!((loaded[0].p_flags, loaded[0].p_vaddr, loaded[0].p_offset), (PF_R | PF_X, 0, 0));
    let dynamic = elf.dynamic.as_ref().expect("it is dynamic");
    for tag in [DT_REL, DT_RELA, DT_TEXTREL, DT_NEEDED] {
        assert!(dynamic.dyns.iter().all(|entry| entry.d_tag != tag), "{tag}");
    }
    assert_eq!(elf.soname, Some("linux-vdso.so.1"));
    assert!(dynamic.info.hash.is_some() && dynamic.info.gnu_hash.is_some());
}

#[test]
fn every_function_is_there_with_linuxs_version() {
    let elf = elf();
    let versions = elf.versym.as_ref().expect("symbols have versions");
    let definitions = elf.verdef.as_ref().expect("versions are defined");
    for name in FUNCTIONS.into_iter().chain(FUNCTIONS.map(|name| &name["__vdso_".len()..])) {
        let (at, symbol) = symbol(&elf, name);
        assert!(symbol.is_function() && symbol.st_value != 0, "{name}");
        let version = versions.get_at(at).expect("it has a version").version();
        let defined = definitions.iter().find(|one| one.vd_ndx == version);
        let auxiliary = defined.and_then(|one| one.iter().next()).expect("it is defined");
        assert_eq!(elf.dynstrtab.get_at(auxiliary.vda_name), Some("LINUX_2.6"), "{name}");
    }
}

type Gettime = unsafe extern "C" fn(i32, *mut Timespec) -> i32;
type Gettimeofday = unsafe extern "C" fn(*mut Timeval, *mut [i32; 2]) -> i32;
type Time = unsafe extern "C" fn(*mut i64) -> i64;
type Getcpu = unsafe extern "C" fn(*mut u32, *mut u32, u64) -> i64;

unsafe extern "C" {
    fn mmap(at: *mut u8, len: usize, protection: i32, flags: i32, fd: i32, offset: i64) -> *mut u8;
    fn mprotect(at: *mut u8, len: usize, protection: i32) -> i32;
}

/// The object, loaded behind a time page of the test's own.
struct Loaded(*mut u8);

impl Loaded {
    fn new() -> Self {
        const READ_WRITE: i32 = 3;
        const READ_EXECUTE: i32 = 5;
        const PRIVATE_ANONYMOUS: i32 = 0x22;
        let image = vdso::image();
        // SAFETY: fresh memory of this length, filled before it becomes executable.
        unsafe {
            let len = PAGE_SIZE + image.len();
            let base = mmap(null_mut(), len, READ_WRITE, PRIVATE_ANONYMOUS, -1, 0);
            assert_ne!(base.addr(), usize::MAX);
            let code = base.add(PAGE_SIZE);
            code.copy_from_nonoverlapping(image.as_ptr(), image.len());
            assert_eq!(mprotect(code, image.len(), READ_EXECUTE), 0);
            Self(base)
        }
    }

    fn page(&self) -> &TimePage {
        // SAFETY: zeros are a time page, and only its own methods change it.
        unsafe { &*self.0.cast::<TimePage>() }
    }

    fn function(&self, name: &str) -> *const () {
        let (_, symbol) = symbol(&elf(), name);
        self.0.wrapping_add(PAGE_SIZE + symbol.st_value as usize).cast_const().cast()
    }

    fn gettime(&self, clock: i32) -> u64 {
        let mut time = Timespec::default();
        // SAFETY: the function has this type.
        let result = unsafe {
            transmute::<*const (), Gettime>(self.function("__vdso_clock_gettime"))(clock, &mut time)
        };
        assert_eq!(result, 0);
        time.to_ns().expect("a valid time")
    }

    fn gettimeofday(&self) -> (Timeval, [i32; 2]) {
        let (mut time, mut zone) = (Timeval::default(), [7; 2]);
        // SAFETY: the function has this type.
        let result = unsafe {
            let function = self.function("__vdso_gettimeofday");
            transmute::<*const (), Gettimeofday>(function)(&mut time, &mut zone)
        };
        assert_eq!(result, 0);
        (time, zone)
    }
}

#[test]
fn a_page_that_tells_no_time_leads_to_the_system_calls() {
    let loaded = Loaded::new();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).expect("a time").as_nanos() as u64;
    let before = now();
    let told = loaded.gettime(clock::REALTIME);
    assert!((before..=now()).contains(&told));
    let (time, zone) = loaded.gettimeofday();
    assert!((before / 1000..=now() / 1000).contains(&(time.to_ns().expect("a time") / 1000)));
    assert_eq!(zone[0], 0);
    let mut processor = u32::MAX;
    // SAFETY: the functions have these types.
    let (result, seconds) = unsafe {
        let getcpu = transmute::<*const (), Getcpu>(loaded.function("__vdso_getcpu"));
        let time = transmute::<*const (), Time>(loaded.function("__vdso_time"));
        (getcpu(&mut processor, null_mut(), 0), time(null_mut()))
    };
    assert_eq!(result, 0);
    assert_ne!(processor, u32::MAX);
    assert!((before / 1_000_000_000).abs_diff(seconds as u64) <= 1);
    // Clocks of CPU time are always asked for by system call.
    assert!(loaded.gettime(clock::PROCESS_CPUTIME_ID) > 0);
}

#[test]
fn the_time_is_that_of_the_page_and_of_the_counter() {
    let loaded = Loaded::new();
    // SAFETY: every x86-64 processor has it.
    let ticks = unsafe { core::arch::x86_64::_rdtsc() };
    let (boot_ns, wall_offset_ns) = (5_000_000_000, 1_700_000_000_123_456_789);
    // One nanosecond for each tick.
    loaded.page().publish(&Timebase { ticks, ns: boot_ns, scale: 1 << 32, wall_offset_ns });
    let started = Instant::now();
    let mut last = boot_ns;
    for _ in 0..500 {
        let [now, raw] = [clock::MONOTONIC, clock::MONOTONIC_RAW].map(|one| loaded.gettime(one));
        assert!(last <= now && now <= raw);
        let wall = loaded.gettime(clock::REALTIME);
        assert!(raw + wall_offset_ns <= wall);
        last = wall - wall_offset_ns;
    }
    // No counter is faster than 100 GHz.
    assert!(
        last - boot_ns < 100 * (started.elapsed() + Duration::from_millis(1)).as_nanos() as u64
    );
    let (time, zone) = loaded.gettimeofday();
    let us = time.to_ns().expect("a time") / 1000;
    assert!(us >= (last + wall_offset_ns) / 1000);
    assert_eq!(zone, [0, 0]);

    loaded.page().publish(&Timebase { ticks: u64::MAX, ns: 42, scale: 1 << 32, wall_offset_ns: 1 });
    assert_eq!(loaded.gettime(clock::BOOTTIME), 42);
    assert_eq!(loaded.gettime(clock::TAI), 43);
}
