use alloc::string::ToString;
use alloc::vec;
use alloc::vec::Vec;

use super::*;
use crate::elf::sample::Sample;

const TOP: u64 = 0x7fff_ffff_0000;
const NONE: &[&[u8]] = &[];

fn contents<'a>(
    arguments: &'a [&'a [u8]],
    environment: &'a [&'a [u8]],
) -> Contents<'a, &'a [u8], &'a [u8]> {
    let auxiliary = Auxiliary {
        vdso: Some(0x7fff_0000),
        hardware: 0x178b_fbff,
        hardware2: auxv::HWCAP2_FSGSBASE,
        uid: Ids { real: 1, effective: 2 },
        gid: Ids { real: 3, effective: 4 },
        rseq: Some(Rseq { feature_size: 28, alignment: 32 }),
        ..Auxiliary::default()
    };
    Contents { program: b"/bin/prog", arguments, environment, random: [0xa5; 16], auxiliary }
}

fn build(arguments: &[&[u8]], environment: &[&[u8]]) -> InitialStack {
    InitialStack::build(TOP, 1 << 20, &contents(arguments, environment)).unwrap()
}

impl InitialStack {
    fn at(&self, address: u64) -> &[u8] {
        &self.bytes[(address - self.stack_pointer) as usize..]
    }

    fn word(&self, address: u64) -> u64 {
        u64::from_le_bytes(self.at(address)[..8].try_into().unwrap())
    }

    fn string(&self, address: u64) -> &[u8] {
        self.at(address).split(|&byte| byte == 0).next().unwrap()
    }

    /// The strings of a list of pointers that ends with a null pointer, and what follows.
    fn strings(&self, mut address: u64) -> (Vec<&[u8]>, u64) {
        let mut strings = Vec::new();
        while self.word(address) != 0 {
            strings.push(self.string(self.word(address)));
            address += 8;
        }
        (strings, address + 8)
    }

    fn auxiliary(&self) -> Vec<(u32, u64)> {
        let pairs = self.auxiliary.clone().step_by(16);
        pairs.map(|address| (self.word(address) as u32, self.word(address + 8))).collect()
    }
}

#[test]
fn a_program_finds_what_it_was_given() {
    let arguments: [&[u8]; 3] = [b"prog", b"", b"two words"];
    let environment: [&[u8]; 2] = [b"HOME=/", b"TERM=vt100"];
    let stack = build(&arguments, &environment);
    assert_eq!(stack.stack_pointer % 16, 0);
    assert_eq!(stack.stack_pointer + stack.bytes.len() as u64, TOP);
    assert_eq!(stack.word(stack.stack_pointer), 3);
    let (found, after) = stack.strings(stack.stack_pointer + 8);
    assert_eq!(found, arguments);
    let (found, after) = stack.strings(after);
    assert_eq!(found, environment);
    assert_eq!(after, stack.auxiliary.start);
}

#[test]
fn the_auxiliary_vector_is_complete_and_in_the_order_of_linux() {
    let stack = build(&[b"prog"], NONE);
    let pairs = stack.auxiliary();
    let keys: Vec<u32> = pairs.iter().map(|pair| pair.0).collect();
    let order =
        [33, 51, 16, 6, 17, 3, 4, 5, 7, 8, 9, 11, 12, 13, 14, 23, 25, 26, 31, 15, 27, 28, 0];
    assert_eq!(keys, order);
    let value = |key| pairs.iter().find(|pair| pair.0 == key).unwrap().1;
    assert_eq!(stack.at(value(auxv::AT_RANDOM))[..16], [0xa5; 16]);
    assert_eq!(stack.string(value(auxv::AT_EXECFN)), b"/bin/prog");
    assert_eq!(stack.string(value(auxv::AT_PLATFORM)), b"x86_64");
    assert_eq!((value(auxv::AT_PAGESZ), value(auxv::AT_CLKTCK)), (4096, 100));
    assert_eq!((value(auxv::AT_UID), value(auxv::AT_EUID)), (1, 2));
    assert_eq!((value(auxv::AT_GID), value(auxv::AT_EGID)), (3, 4));
    assert_eq!((value(auxv::AT_PHENT), value(auxv::AT_FLAGS)), (56, 0));
}

#[test]
fn facts_of_the_image_move_with_its_bias() {
    let image = Image::parse(&Sample::static_pie().bytes()).unwrap();
    let values = Auxiliary::for_image(&image, 0x10_0000);
    assert_eq!((values.program_headers, values.entry), (0x10_0040, 0x10_0180));
    assert_eq!(values.program_header_count, 3);
}

#[test]
fn the_strings_lie_together_below_the_top_as_proc_shows_them() {
    let stack = build(&[b"a", b"bc"], &[b"X=1", b"Y="]);
    let range = |range: &Range<u64>| &stack.at(range.start)[..(range.end - range.start) as usize];
    assert_eq!(range(&stack.arguments), b"a\0bc\0");
    assert_eq!(range(&stack.environment), b"X=1\0Y=\0");
    assert_eq!(stack.arguments.end, stack.environment.start);
    assert_eq!(stack.at(stack.environment.end), b"/bin/prog\0\0\0\0\0\0\0\0\0");
}

#[test]
fn the_stack_pointer_is_aligned_for_every_number_of_strings() {
    for count in 0..20 {
        let stack = build(&vec![&b"x"[..]; count], NONE);
        assert_eq!((stack.stack_pointer % 16, stack.bytes.len() % 16), (0, 0));
    }
}

#[test]
fn no_arguments_become_one_empty_argument() {
    let stack = build(NONE, &[b"X=1"]);
    assert_eq!(stack.word(stack.stack_pointer), 1);
    let (arguments, after) = stack.strings(stack.stack_pointer + 8);
    assert_eq!(arguments, [b""]);
    assert_eq!(stack.strings(after).0, [b"X=1"]);
}

#[test]
fn strings_and_pointers_count_against_the_limit() {
    // Nine letters and a NUL of the program, two strings of two bytes, two pointers.
    let needed = 10 + 4 + 16;
    let (arguments, environment): ([&[u8]; 1], [&[u8]; 1]) = ([b"a"], [b"b"]);
    let contents = contents(&arguments, &environment);
    assert!(InitialStack::build(TOP, needed, &contents).is_ok());
    for limit in 0..needed {
        let error = InitialStack::build(TOP, limit, &contents).unwrap_err();
        assert_eq!((error, error.errno()), (StackError::TooLarge { limit }, Errno::E2BIG));
    }
}

#[test]
fn a_string_may_have_128_kib_with_its_nul() {
    let longest = vec![b'x'; MAX_STRING_LEN - 1];
    let too_long = vec![b'x'; MAX_STRING_LEN];
    assert_eq!(build(&[&longest], NONE).arguments.count(), MAX_STRING_LEN);
    let error = InitialStack::build(TOP, 1 << 20, &contents(NONE, &[&too_long])).unwrap_err();
    assert_eq!(error, StackError::StringTooLong { len: MAX_STRING_LEN });
    assert_eq!(error.errno(), Errno::E2BIG);
    let line = "an argument or environment string of 131072 bytes is longer than 131071";
    assert_eq!(error.to_string(), line);
}

#[test]
fn a_nul_inside_a_string_is_refused() {
    let error = InitialStack::build(TOP, 1 << 20, &contents(&[b"a\0b"], NONE));
    assert_eq!(error, Err(StackError::NulInString));
}

#[test]
fn a_top_that_leaves_no_room_is_refused() {
    for top in [0, 16, 256, TOP + 8, TASK_SIZE + 16, u64::MAX - 15] {
        let error = InitialStack::build(top, 1 << 20, &contents(&[b"prog"], NONE));
        assert_eq!(error, Err(StackError::BadTop { top }));
    }
}

#[test]
fn the_limit_is_a_quarter_of_the_stack_within_bounds() {
    assert_eq!(argument_limit(0), 128 << 10);
    assert_eq!(argument_limit(8 << 20), 2 << 20);
    assert_eq!(argument_limit(u64::MAX), 6 << 20);
}
