//! How to use `birgus`.

use super::options::Topic;

/// The text for a topic.
pub(super) fn text(topic: Topic) -> &'static str {
    match topic {
        Topic::Birgus => BIRGUS,
        Topic::Run => RUN,
        Topic::Doctor => DOCTOR,
        Topic::Syscalls => SYSCALLS,
        Topic::Kernel => KERNEL,
        Topic::Ltp => LTP,
    }
}

const BIRGUS: &str = "\
birgus runs an unmodified Linux program as a virtual machine of its own.

Usage: birgus run [OPTIONS] PROGRAM [ARGUMENTS]
       birgus doctor
       birgus syscalls [--json]
       birgus kernel --output FILE
       birgus ltp --suite DIR [OPTIONS]

Commands:
  run        Run a program
  doctor     Say what this machine can do, and what to install for the rest
  syscalls   Print which system calls there are, and how much of each
  kernel     Write the embedded kernel to a file
  ltp        Run the Linux Test Project's system call tests and write a coverage report

Options:
  -h, --help      Print this; `birgus run --help` says what `run` takes
  -V, --version   Print the version
";

const RUN: &str = "\
Runs an unmodified Linux program as a virtual machine of its own.

Usage: birgus run [OPTIONS] PROGRAM [ARGUMENTS]

PROGRAM is a file, or a name to look for in PATH. Options end there: what follows belongs
to the program. Its standard input, output and error are those of birgus, a terminal among
them included.

What the program sees:
  -e, --env NAME[=VALUE]      Set an environment variable, or pass the host's on
  -w, --workdir DIR           Begin in this directory of the guest [default: /]
  -v, --volume HOST:GUEST[:ro]
                              Share a directory of the host, or show a copy of a file (:ro)
      --rootfs DIR[:ro]       Share DIR as the root; PROGRAM is a file in it
      --no-usr                Hide this machine's /usr, which a dynamically linked program
                              (or one that such a program executes) sees, read-only

The network:
  -p, --publish [IP:]HOST:GUEST[/udp]
                              Pass a port of the host on [default IP: 127.0.0.1]
      --net NETWORK           user (through the host, as its user), tap=NAME or none
                              [default: user]
      --ip ADDRESS/LEN        The address at a TAP device [default: by DHCP]
      --gateway ADDRESS       Where packets for other networks go
      --dns ADDRESS           Who knows names; may be repeated

The machine:
  -m, --memory SIZE           Its memory, such as 64M or 1G
                              [default: 256M, and room for the files]
      --engine ENGINE         auto, kvm or qemu [default: what BIRGUS_ENGINE says, or auto:
                              KVM where it works]
      --no-sandbox            Leave the engine the rights that it does not need
      --timeout DURATION      End it after that time, such as 10, 500ms or 2m

Looking inside:
      --trace[=FILE]          Print each system call to stderr, or to FILE
      --verbose               Tell more about the run on stderr
      --timings=json          Tell at the end when what happened, in ms since the start
  -h, --help                  Print this

Exit status: the program's; 128 + N when signal N ended it; 124 after a time-out; 125 when
birgus failed; 126 when PROGRAM cannot be executed; 127 when it is not found.

On a terminal, Ctrl-\\ pressed three times ends the machine, whatever the program does.
";

const DOCTOR: &str = "\
Says what this machine can do, and what to install for the rest.

Usage: birgus doctor

Exit status: 0 when programs can be run, 1 when something is missing.
";

const SYSCALLS: &str = "\
Prints the table of system calls of the embedded kernel: number, name, support (full,
partial, none), and what is missing.

Usage: birgus syscalls [--json]

Options:
      --json   Print an array of objects
";

const KERNEL: &str = "\
Writes the embedded kernel, an ELF file for PVH, to FILE, for other virtual machine monitors.

Usage: birgus kernel --output FILE
";

const LTP: &str = "\
Runs the system call tests of the Linux Test Project, each in a machine of its own, compares
with Linux, and writes a coverage report.

Usage: birgus ltp --suite DIR [OPTIONS]
       birgus ltp --posix DIR [OPTIONS]

      --suite DIR          Where LTP is installed: DIR/testcases/bin, DIR/runtest/syscalls
      --posix DIR          Run the open_posix_testsuite, which is built or installed in DIR:
                           DIR/conformance/*/*/*.run-test
      --output DIR         Where results, outputs and the report go [default: ltp-report]
      --filter WORDS       Only these entries: names, with * for anything, or directories or
                           areas; separated by commas; may be repeated
  -j, --jobs N             Machines at the same time [default: 2]
      --batch N            Up to N entries in one machine, one after the other: quicker, but
                           the verdicts are marked, because entries may disturb each other
                           [default: 1]
      --resume             Go on: keep the results of the same kernel that are there
      --baseline FILE|run  Linux's verdicts: from a file, or by running the tests on this
                           host, in namespaces and without the harmful ones
                           [default: the file that comes with birgus]
      --compare FILE       Say what has changed since an earlier report.json or results.tsv
      --check              With --compare: fail when something passes no longer
      --timeout DURATION   The limit for an entry that is not slow on Linux, too
                           [default: as LTP's library has it]
  -m, --memory SIZE        Memory of each machine [default: 1G]
      --engine ENGINE      auto, kvm or qemu [default: auto]
  -h, --help               Print this

A machine gets the entry's program, the programs of the suite and of this host that it names,
and its data. Time that a machine waits for a processor of this host does not count as time of
the test; an entry that ran out of time on a busy host is run once more at the end, alone.
What is done is kept when Ctrl-C ends the run early.

Exit status: 0 when all entries were run; 1 when --check found that something passes no
longer; 125 when birgus failed; 130 after Ctrl-C.
";
