//! The command line, parsed.

use super::values::{
    address, choice, environment, ipv4, memory, named, network, publish, root, text, timeout,
    usage, value, volume, working_directory,
};
use crate::Error;
use crate::escape::escaped_os;
use crate::ltp::options::LtpOptions;
use crate::ltp::sequence;
use crate::vmm::options as monitor;
use lexopt::prelude::*;
use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::path::PathBuf;
use std::time::Duration;

/// What `birgus` is asked to do.
#[derive(Debug, PartialEq, Eq)]
pub enum Command {
    /// Run a program.
    Run(Box<RunOptions>),
    /// Say what this machine can do.
    Doctor,
    /// Print the table of system calls.
    Syscalls {
        /// As JSON.
        json: bool,
    },
    /// Write the embedded kernel to a file.
    Kernel(PathBuf),
    /// Run the Linux Test Project and write the coverage report.
    Ltp(Box<LtpOptions>),
    /// Inside a machine: run the entries of a batch.
    LtpSequence,
    /// In the process that `run` starts: the KVM engine itself.
    Monitor(Box<monitor::Options>),
    /// Print how to use `birgus`, or one of its commands.
    Help(Topic),
    /// Print the version.
    Version,
}

/// What help is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Topic {
    /// `birgus --help`
    Birgus,
    /// `birgus run --help`
    Run,
    /// `birgus doctor --help`
    Doctor,
    /// `birgus syscalls --help`
    Syscalls,
    /// `birgus kernel --help`
    Kernel,
    /// `birgus ltp --help`
    Ltp,
}

/// The variable that names an engine.
const ENGINE_VARIABLE: &str = "BIRGUS_ENGINE";

/// What runs the virtual machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EngineChoice {
    /// The best that this machine has.
    #[default]
    Auto,
    /// Hardware virtualisation.
    Kvm,
    /// QEMU.
    Qemu,
}

impl EngineChoice {
    /// The words for them.
    pub(super) const NAMES: [(&'static str, Self); 3] =
        [("auto", Self::Auto), ("kvm", Self::Kvm), ("qemu", Self::Qemu)];
}

/// The machine that QEMU emulates.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MachineKind {
    /// Virtio over memory-mapped registers, and nothing that the kernel does not need.
    #[default]
    Microvm,
    /// A PC with PCI.
    Q35,
}

impl MachineKind {
    /// The words for them.
    pub(super) const NAMES: [(&'static str, Self); 2] =
        [("microvm", Self::Microvm), ("q35", Self::Q35)];
}

/// Where the trace of system calls goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum TraceTo {
    /// There is none.
    #[default]
    Off,
    /// To stderr, a line each.
    Stderr,
    /// To this file.
    File(PathBuf),
}

/// A file or directory of the host that the program sees (`-v HOST:GUEST[:ro]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// Its path on the host.
    pub host: PathBuf,
    /// Its path in the guest, absolute.
    pub guest: PathBuf,
    /// Whether the program can only read it.
    pub read_only: bool,
}

/// A directory of the host that becomes the root (`--rootfs DIR[:ro]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    /// Its path on the host.
    pub host: PathBuf,
    /// Whether the program can only read it.
    pub read_only: bool,
}

/// How the program reaches other machines.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// Through the engine, with the rights of the user: no set-up.
    #[default]
    User,
    /// Through this TAP device of the host.
    Tap(String),
    /// Not at all: it only has its loopback.
    None,
}

/// A port of the program that the host passes on (`-p [IP:]HOST:GUEST[/udp]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Publish {
    /// Where the host listens.
    pub host: SocketAddrV4,
    /// The port in the guest.
    pub guest: u16,
    /// Datagrams, not connections.
    pub udp: bool,
}

/// The address that `--ip`, `--gateway` and `--dns` give.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FixedAddress {
    /// The address, and how many of its bits are the network's.
    pub address: Option<(Ipv4Addr, u8)>,
    /// Where packets for other networks go.
    pub gateway: Option<Ipv4Addr>,
    /// Who knows names.
    pub name_servers: Vec<Ipv4Addr>,
}

/// Options of `birgus run`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// The program, as the user named it.
    pub program: OsString,
    /// Its arguments, without its name.
    pub arguments: Vec<OsString>,
    /// Memory of the virtual machine in bytes; `None` for the default.
    pub memory: Option<u64>,
    /// Environment variables; without a value, the host's is passed on.
    pub environment: Vec<(OsString, Option<OsString>)>,
    /// Working directory in the guest.
    pub working_directory: Option<PathBuf>,
    /// Files and directories of the host.
    pub volumes: Vec<Volume>,
    /// A directory of the host that becomes the root.
    pub root: Option<Root>,
    /// Programs of the host that the program may execute, brought along where they can be.
    pub companions: Vec<PathBuf>,
    /// The program does not see the host's `/usr`, even if it is dynamically linked.
    pub hide_usr: bool,
    /// How it reaches other machines.
    pub network: Network,
    /// Ports that the host passes on.
    pub published: Vec<Publish>,
    /// Its address, where it is told.
    pub fixed_address: FixedAddress,
    /// How long the program may run.
    pub timeout: Option<Duration>,
    /// Tell more.
    pub verbose: bool,
    /// Tell at the end when what happened, as JSON.
    pub timings: bool,
    /// Where the trace goes.
    pub trace: TraceTo,
    /// What runs the virtual machine.
    pub engine: EngineChoice,
    /// The machine that QEMU emulates.
    pub machine: MachineKind,
    /// Leave the engine the rights that it does not need.
    pub without_sandbox: bool,
    /// A kernel to boot in place of the embedded one.
    pub kernel: Option<PathBuf>,
    /// More words for the kernel's command line.
    pub kernel_arguments: Vec<String>,
}

/// Reads the command line, which begins after the name of the command.
///
/// # Errors
/// [`Error::Usage`] says what is wrong with it.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Error> {
    let mut parser = lexopt::Parser::from_args(arguments);
    match parser.next().map_err(usage)? {
        Some(Value(command)) => match command.to_str() {
            Some("run") => parse_run(&mut parser),
            Some("doctor") => parse_plain(&mut parser, Topic::Doctor),
            Some("syscalls") => parse_plain(&mut parser, Topic::Syscalls),
            Some("kernel") => parse_kernel(&mut parser),
            Some("ltp") => super::ltp::parse(&mut parser),
            Some(monitor::COMMAND) => {
                monitor::parse(&mut parser).map(|task| Command::Monitor(Box::new(task)))
            }
            Some(sequence::COMMAND) => Ok(Command::LtpSequence),
            Some("help") => Ok(Command::Help(Topic::Birgus)),
            _ => Err(Error::Usage(format!(
                "no such command: {} (to run a program: birgus run PROGRAM)",
                escaped_os(&command)
            ))),
        },
        Some(Short('h') | Long("help")) => Ok(Command::Help(Topic::Birgus)),
        Some(Short('V') | Long("version")) => Ok(Command::Version),
        Some(other) => Err(usage(other.unexpected())),
        None => Err(Error::Usage(
            "what shall I do? Commands: run, doctor, syscalls, kernel, ltp".into(),
        )),
    }
}

fn parse_plain(parser: &mut lexopt::Parser, topic: Topic) -> Result<Command, Error> {
    let mut json = false;
    while let Some(argument) = parser.next().map_err(usage)? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help(topic)),
            Long("json") if topic == Topic::Syscalls => json = true,
            other => return Err(usage(other.unexpected())),
        }
    }
    Ok(if topic == Topic::Syscalls { Command::Syscalls { json } } else { Command::Doctor })
}

fn parse_kernel(parser: &mut lexopt::Parser) -> Result<Command, Error> {
    let mut output = None;
    while let Some(argument) = parser.next().map_err(usage)? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help(Topic::Kernel)),
            Long("output") => output = Some(value(parser)?.into()),
            other => return Err(usage(other.unexpected())),
        }
    }
    output.map(Command::Kernel).ok_or_else(|| Error::Usage("kernel wants --output FILE".into()))
}

/// The engine that the environment names, for all runs without `--engine`.
fn default_engine() -> Result<EngineChoice, Error> {
    let Some(word) = std::env::var_os(ENGINE_VARIABLE).filter(|word| !word.is_empty()) else {
        return Ok(EngineChoice::Auto);
    };
    named(ENGINE_VARIABLE, &word, &EngineChoice::NAMES)
}

fn parse_run(parser: &mut lexopt::Parser) -> Result<Command, Error> {
    let mut options = RunOptions { engine: default_engine()?, ..RunOptions::default() };
    while let Some(argument) = parser.next().map_err(usage)? {
        match argument {
            Short('h') | Long("help") => return Ok(Command::Help(Topic::Run)),
            Value(program) => {
                if program.is_empty() {
                    return Err(Error::NotFound("the name of the program is empty".into()));
                }
                options.program = program;
                options.arguments = parser.raw_args().map_err(usage)?.collect();
                return Ok(Command::Run(Box::new(options)));
            }
            // The name borrows from the parser, which then has to give the value.
            Short(letter) => {
                let name = format!("-{letter}");
                parse_run_option(parser, &name, &mut options)?;
            }
            Long(name) => {
                let name = format!("--{name}");
                parse_run_option(parser, &name, &mut options)?;
            }
        }
    }
    Err(Error::Usage("no program is named: birgus run [OPTIONS] PROGRAM [ARGUMENTS]".into()))
}

/// Takes one option and its value.
fn parse_run_option(
    parser: &mut lexopt::Parser,
    name: &str,
    options: &mut RunOptions,
) -> Result<(), Error> {
    match name {
        "-m" | "--memory" => options.memory = Some(memory(parser)?),
        "-e" | "--env" => options.environment.push(environment(&value(parser)?)?),
        "-w" | "--workdir" => options.working_directory = Some(working_directory(parser)?),
        "-v" | "--volume" => options.volumes.push(volume(&value(parser)?)?),
        "--rootfs" => options.root = Some(root(&value(parser)?)?),
        "--no-usr" => options.hide_usr = true,
        "-p" | "--publish" => options.published.push(publish(name, parser)?),
        "--net" => options.network = network(parser)?,
        "--ip" => options.fixed_address.address = Some(address(parser)?),
        "--gateway" => options.fixed_address.gateway = Some(ipv4(name, parser)?),
        "--dns" => options.fixed_address.name_servers.push(ipv4(name, parser)?),
        "--timeout" => options.timeout = Some(timeout(parser)?),
        "--verbose" => options.verbose = true,
        "--timings" => {
            choice(name, parser, &[("json", ())])?;
            options.timings = true;
        }
        "--trace" => {
            options.trace =
                parser.optional_value().map_or(TraceTo::Stderr, |file| TraceTo::File(file.into()));
        }
        "--engine" => {
            options.engine = choice(name, parser, &EngineChoice::NAMES)?;
        }
        "--machine" => {
            options.machine = choice(name, parser, &MachineKind::NAMES)?;
        }
        "--no-sandbox" => options.without_sandbox = true,
        "--kernel" => options.kernel = Some(value(parser)?.into()),
        "--kernel-arg" => options.kernel_arguments.push(text(name, parser)?),
        _ => return Err(Error::Usage(format!("no such option: {}", escaped_os(name)))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(words: &[&str]) -> Result<Command, Error> {
        parse(words.iter().map(OsString::from))
    }

    fn run(words: &[&str]) -> RunOptions {
        let words: Vec<_> = ["run"].iter().chain(words).copied().collect();
        match parse_words(&words) {
            Ok(Command::Run(options)) => *options,
            other => panic!("{words:?}: {other:?}"),
        }
    }

    fn refusal(words: &[&str]) -> String {
        let words: Vec<_> = ["run"].iter().chain(words).copied().collect();
        match parse_words(&words) {
            Err(error @ Error::Usage(_)) => error.to_string(),
            other => panic!("{words:?}: {other:?}"),
        }
    }

    #[test]
    fn everything_after_the_program_belongs_to_it() {
        let options = run(&["-m", "64M", "prog", "-m", "--help", "--", "-x=1", ""]);
        assert_eq!(options.memory, Some(64 << 20));
        assert_eq!(options.program, "prog");
        assert_eq!(options.arguments, ["-m", "--help", "--", "-x=1", ""]);
        assert_eq!(run(&["--", "-odd", "--verbose"]).program, "-odd");
    }

    #[test]
    fn options_take_their_values_in_every_usual_form() {
        let options = run(&["-m64M", "--timeout=1.5s", "-eA=b=c", "-e", "HOME", "--env=X=", "p"]);
        assert_eq!(options.timeout, Some(Duration::from_millis(1500)));
        let expected: [(OsString, Option<OsString>); 3] = [
            ("A".into(), Some("b=c".into())),
            ("HOME".into(), None),
            ("X".into(), Some("".into())),
        ];
        assert_eq!(options.environment, expected);
    }

    #[test]
    fn a_trace_file_is_named_only_with_an_equals_sign() {
        assert_eq!(run(&["--trace", "prog"]).trace, TraceTo::Stderr);
        assert_eq!(run(&["--trace=f", "prog"]).trace, TraceTo::File("f".into()));
        assert_eq!(run(&["prog"]).trace, TraceTo::Off);
    }

    #[test]
    fn volumes_can_be_read_only() {
        let volume = |read_only| Volume { host: "data".into(), guest: "/data".into(), read_only };
        let volumes = run(&["-v", "data:/data:ro", "-v", "data:/data", "-vdata:/data:rw", "p"]);
        assert_eq!(volumes.volumes, [volume(true), volume(false), volume(false)]);
        let root = |word| run(&["--rootfs", word, "p"]).root;
        assert_eq!(root("a:b"), Some(Root { host: "a:b".into(), read_only: false }));
        assert_eq!(root("dir:ro"), Some(Root { host: "dir".into(), read_only: true }));
        for bad in ["data", ":/data:ro", "data:", "data:/x:zz", "data:x:ro", "a:/b:ro:ro", ""] {
            refusal(&["-v", bad, "p"]);
        }
        refusal(&["--rootfs", "", "p"]);
        assert!(run(&["--no-usr", "p"]).hide_usr && !run(&["p"]).hide_usr);
    }

    #[test]
    fn ports_are_published_on_the_loopback_unless_an_address_is_named() {
        let options = run(&["-p", "8080:80", "-p0.0.0.0:5353:53/udp", "p"]);
        let publish = |host: &str, guest, udp| Publish { host: host.parse().unwrap(), guest, udp };
        let expected = [publish("127.0.0.1:8080", 80, false), publish("0.0.0.0:5353", 53, true)];
        assert_eq!(options.published, expected);
        for bad in ["80", "0:80", "80:0", "80:65536", "x:1:2", "1:2:3:4", "1:2/sctp", ""] {
            assert!(refusal(&["-p", bad, "p"]).contains("--publish"), "{bad}");
        }
    }

    #[test]
    fn networks_have_names_and_addresses() {
        assert_eq!(run(&["p"]).network, Network::User);
        assert_eq!(run(&["--net", "none", "p"]).network, Network::None);
        assert_eq!(run(&["--net=tap=vm0", "p"]).network, Network::Tap("vm0".into()));
        let options = run(&["--ip", "10.1.2.3/24", "--gateway", "10.1.2.1", "--dns=9.9.9.9", "p"]);
        assert_eq!(options.fixed_address.address, Some(([10, 1, 2, 3].into(), 24)));
        assert_eq!(options.fixed_address.gateway, Some([10, 1, 2, 1].into()));
        for bad in ["tap", "tap=", "tap=a,b", "tap=longer-than-15-bytes", "bridge", ""] {
            assert!(refusal(&["--net", bad, "p"]).contains("--net"), "{bad}");
        }
        assert!(refusal(&["--ip", "10.1.2.3", "p"]).contains("--ip"));
        assert!(refusal(&["--ip", "10.1.2.3/33", "p"]).contains("--ip"));
        assert!(refusal(&["--ip", "224.0.0.1/24", "p"]).contains("--ip"));
        assert!(refusal(&["--dns", "name", "p"]).contains("--dns"));
    }

    #[test]
    fn wrong_options_are_told_in_one_line_that_names_them() {
        assert!(refusal(&["--nonsense", "p"]).contains("--nonsense"));
        assert!(refusal(&["-m", "lots", "p"]).contains("lots"));
        assert!(refusal(&["-m", "0", "p"]).contains("`0`"));
        assert!(refusal(&["--engine", "xen", "p"]).contains("auto, kvm, qemu"));
        assert!(refusal(&["-w", "tmp", "p"]).contains("absolute"));
        assert!(refusal(&["-e", "=x", "p"]).contains("NAME"));
        assert!(refusal(&["-m"]).contains("-m"));
        assert!(refusal(&["--verbose=1", "p"]).contains("--verbose"));
        assert!(refusal(&[]).contains("no program"));
        assert!(!refusal(&["--x\x1b[2J\n", "p"]).contains(['\x1b', '\n']));
    }

    #[test]
    fn the_other_commands_have_their_options() {
        assert_eq!(parse_words(&["syscalls", "--json"]).unwrap(), Command::Syscalls { json: true });
        assert_eq!(parse_words(&["doctor"]).unwrap(), Command::Doctor);
        let kernel = parse_words(&["kernel", "--output", "k"]).unwrap();
        assert_eq!(kernel, Command::Kernel("k".into()));
        assert!(parse_words(&["kernel"]).is_err());
        assert!(run(&["--timings=json", "p"]).timings);
        assert!(refusal(&["--timings=xml", "p"]).contains("--timings"));
        assert_eq!(parse_words(&["--version"]).unwrap(), Command::Version);
        assert_eq!(parse_words(&["run", "-h"]).unwrap(), Command::Help(Topic::Run));
        assert!(parse_words(&["doctor", "--json"]).is_err());
        assert!(parse_words(&["doctor", "x"]).is_err());
        assert!(parse_words(&[]).is_err());
        assert!(parse_words(&["./prog"]).unwrap_err().to_string().contains("birgus run"));
    }
}
