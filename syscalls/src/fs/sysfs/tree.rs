//! What there is: fixed directories, the processors, and the directories of loop devices.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use abi::PAGE_SIZE;
use abi::fs::FileType;
use abi::fs::block::SECTOR_SIZE;
use abi::fs::block::loops::{LoopFlags, MAJOR};

use crate::context::Context;
use crate::fs::loops::LoopDevice;

/// An object of the tree.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// A directory that is always there.
    Fixed(&'static Fixed),
    /// A file that is always there.
    Fact(&'static Fact),
    /// The directory of a processor.
    Processor,
    /// The directory of a loop device.
    Disk(u32),
    /// A directory in that of a loop device.
    Group(u32, &'static Group),
    /// A file about a loop device.
    Attribute(u32, &'static Attribute),
    /// A link to the directory of a loop device; what the path starts with.
    Link(u32, &'static str),
}

/// A directory that is always there.
pub(super) struct Fixed {
    name: &'static str,
    inside: Inside,
}

/// What is in a directory that is always there.
enum Inside {
    /// More of them.
    Fixed(&'static [Fixed]),
    /// Files about the processors, and a directory for each.
    Processors(&'static [Fact]),
    /// The directories of the devices.
    Disks,
    /// Links to them by name.
    Names(&'static str),
    /// Links to them by number.
    Numbers(&'static str),
}

/// A file that is always there.
pub(super) struct Fact {
    name: &'static str,
    show: fn(&Context<'_>) -> Option<Vec<u8>>,
}

/// A directory about one side of a device.
pub(super) struct Group {
    name: &'static str,
    attributes: &'static [Attribute],
    /// It is there only while the device is bound.
    needs_binding: bool,
}

/// A file about a device.
pub(super) struct Attribute {
    name: &'static str,
    show: fn(&Context<'_>, &LoopDevice) -> Option<Vec<u8>>,
}

pub(super) static ROOT: Fixed = Fixed {
    name: "",
    inside: Inside::Fixed(&[
        Fixed { name: "block", inside: Inside::Names("../devices/virtual/block/") },
        Fixed {
            name: "class",
            inside: Inside::Fixed(&[Fixed {
                name: "block",
                inside: Inside::Names("../../devices/virtual/block/"),
            }]),
        },
        Fixed {
            name: "dev",
            inside: Inside::Fixed(&[Fixed {
                name: "block",
                inside: Inside::Numbers("../../devices/virtual/block/"),
            }]),
        },
        Fixed {
            name: "devices",
            inside: Inside::Fixed(&[
                Fixed {
                    name: "system",
                    inside: Inside::Fixed(&[Fixed {
                        name: "cpu",
                        inside: Inside::Processors(PROCESSORS),
                    }]),
                },
                Fixed {
                    name: "virtual",
                    inside: Inside::Fixed(&[Fixed { name: "block", inside: Inside::Disks }]),
                },
            ]),
        },
    ]),
};

/// All processors that there could be are there and at work.
static PROCESSORS: &[Fact] = &[
    Fact { name: "possible", show: processors },
    Fact { name: "present", show: processors },
    Fact { name: "online", show: processors },
    Fact { name: "offline", show: |_| line(String::new()) },
];

static GROUPS: [Group; 2] = [
    Group { name: "queue", attributes: QUEUE, needs_binding: false },
    Group { name: "loop", attributes: LOOP, needs_binding: true },
];

static DISK: &[Attribute] = &[
    Attribute { name: "dev", show: |_, device| line(format!("{MAJOR}:{}", device.number())) },
    Attribute { name: "size", show: |_, device| number(device.size() / SECTOR_SIZE) },
    Attribute { name: "ro", show: |_, device| flag(device.is_read_only()) },
    Attribute { name: "removable", show: |_, _| flag(false) },
    Attribute { name: "hidden", show: |_, _| flag(false) },
    Attribute { name: "range", show: |_, _| number(1) },
    Attribute { name: "alignment_offset", show: |_, _| number(0) },
    Attribute { name: "diskseq", show: |_, device| number(device.sequence()) },
    Attribute { name: "stat", show: statistics },
    Attribute { name: "uevent", show: uevent },
];

static QUEUE: &[Attribute] = &[
    Attribute { name: "logical_block_size", show: block_size },
    Attribute { name: "physical_block_size", show: block_size },
    Attribute { name: "hw_sector_size", show: block_size },
    Attribute { name: "minimum_io_size", show: block_size },
    Attribute { name: "optimal_io_size", show: |_, _| number(0) },
    // Transfers go through caches, whatever their address.
    Attribute { name: "dma_alignment", show: |_, _| number(SECTOR_SIZE - 1) },
    Attribute { name: "rotational", show: |_, _| flag(false) },
    Attribute { name: "read_ahead_kb", show: |_, device| number(device.read_ahead() / 2) },
];

static LOOP: &[Attribute] = &[
    Attribute { name: "backing_file", show: backing_file },
    Attribute { name: "offset", show: |_, device| number(device.binding().ok()?.shape.offset) },
    Attribute {
        name: "sizelimit",
        show: |_, device| number(device.binding().ok()?.shape.size_limit),
    },
    Attribute { name: "autoclear", show: |_, device| loop_flag(device, LoopFlags::AUTOCLEAR) },
    Attribute { name: "partscan", show: |_, device| loop_flag(device, LoopFlags::PARTSCAN) },
    Attribute { name: "dio", show: |_, device| loop_flag(device, LoopFlags::DIRECT_IO) },
];

fn line(text: String) -> Option<Vec<u8>> {
    let mut bytes = text.into_bytes();
    bytes.push(b'\n');
    Some(bytes)
}

/// Requests, merged ones, sectors and milliseconds of reads and writes, how many are under way,
/// milliseconds of all, and the same of discards and flushes, which are not counted:
/// `Documentation/block/stat.rst` of Linux.
fn statistics(_: &Context<'_>, device: &LoopDevice) -> Option<Vec<u8>> {
    let [[reads, read, reading], [writes, written, writing]] = device.transfers();
    let all = reading + writing;
    let counts = [reads, 0, read, reading, writes, 0, written, writing, 0, all, all];
    let columns = counts.into_iter().chain([0; 6]);
    line(columns.map(|count| format!("{count:8}")).collect::<Vec<_>>().join(" "))
}

fn processor_count(cx: &Context<'_>) -> u32 {
    cx.system.machine.processor().count.max(1)
}

/// The range of the numbers of the processors.
fn processors(cx: &Context<'_>) -> Option<Vec<u8>> {
    match processor_count(cx) - 1 {
        0 => number(0),
        last => line(format!("0-{last}")),
    }
}

fn number(number: u64) -> Option<Vec<u8>> {
    line(format!("{number}"))
}

fn flag(flag: bool) -> Option<Vec<u8>> {
    number(u64::from(flag))
}

fn loop_flag(device: &LoopDevice, wanted: LoopFlags) -> Option<Vec<u8>> {
    flag(device.binding().ok()?.shape.flags.contains(wanted))
}

fn block_size(_: &Context<'_>, device: &LoopDevice) -> Option<Vec<u8>> {
    let bound = device.binding().ok();
    number(bound.map_or(SECTOR_SIZE, |binding| u64::from(binding.shape.block_size)))
}

fn backing_file(cx: &Context<'_>, device: &LoopDevice) -> Option<Vec<u8>> {
    let binding = device.binding().ok()?;
    let mut path = binding.file.location().shown_path(&cx.paths().root());
    path.truncate(PAGE_SIZE - 1);
    path.push(b'\n');
    Some(path)
}

fn uevent(_: &Context<'_>, device: &LoopDevice) -> Option<Vec<u8>> {
    let (number, sequence) = (device.number(), device.sequence());
    line(format!(
        "MAJOR={MAJOR}\nMINOR={number}\nDEVNAME=loop{number}\nDEVTYPE=disk\nDISKSEQ={sequence}"
    ))
}

impl Place {
    /// What it is.
    pub(super) fn kind(self) -> FileType {
        match self {
            Self::Fixed(_) | Self::Processor | Self::Disk(_) | Self::Group(..) => {
                FileType::Directory
            }
            Self::Fact(_) | Self::Attribute(..) => FileType::Regular,
            Self::Link(..) => FileType::SymbolicLink,
        }
    }

    /// What is in this directory.
    pub(super) fn entries(self, cx: &Context<'_>) -> Vec<(String, Self)> {
        match self {
            Self::Fixed(fixed) => fixed.entries(cx),
            Self::Disk(number) => {
                let bound = device(cx, number).is_some_and(|device| device.binding().is_ok());
                let groups = GROUPS.iter().filter(|group| bound || !group.needs_binding);
                let groups = groups.map(|group| (group.name.into(), Self::Group(number, group)));
                attributes(number, DISK).chain(groups).collect()
            }
            Self::Group(number, group) => attributes(number, group.attributes).collect(),
            Self::Processor | Self::Fact(_) | Self::Attribute(..) | Self::Link(..) => Vec::new(),
        }
    }

    /// The text of this file; `None` where what it is about is gone.
    pub(super) fn text(self, cx: &Context<'_>) -> Option<Vec<u8>> {
        match self {
            Self::Fact(fact) => (fact.show)(cx),
            Self::Attribute(number, attribute) => (attribute.show)(cx, &*device(cx, number)?),
            _ => None,
        }
    }

    /// Where this link leads.
    pub(super) fn target(self) -> Option<String> {
        let Self::Link(number, start) = self else {
            return None;
        };
        Some(format!("{start}loop{number}"))
    }
}

impl Fixed {
    fn entries(&'static self, cx: &Context<'_>) -> Vec<(String, Place)> {
        let devices = || cx.system.vfs.loops.all().into_iter().map(|device| device.number());
        match &self.inside {
            Inside::Fixed(fixed) => {
                fixed.iter().map(|fixed| (fixed.name.into(), Place::Fixed(fixed))).collect()
            }
            Inside::Processors(facts) => {
                let facts = facts.iter().map(|fact| (fact.name.into(), Place::Fact(fact)));
                let each = 0..processor_count(cx);
                facts.chain(each.map(|at| (format!("cpu{at}"), Place::Processor))).collect()
            }
            Inside::Disks => {
                devices().map(|number| (format!("loop{number}"), Place::Disk(number))).collect()
            }
            Inside::Names(start) => devices()
                .map(|number| (format!("loop{number}"), Place::Link(number, start)))
                .collect(),
            Inside::Numbers(start) => devices()
                .map(|number| (format!("{MAJOR}:{number}"), Place::Link(number, start)))
                .collect(),
        }
    }
}

fn attributes(
    number: u32,
    attributes: &'static [Attribute],
) -> impl Iterator<Item = (String, Place)> {
    attributes
        .iter()
        .map(move |attribute| (attribute.name.into(), Place::Attribute(number, attribute)))
}

fn device(cx: &Context<'_>, number: u32) -> Option<alloc::sync::Arc<LoopDevice>> {
    cx.system.vfs.loops.get(number)
}
