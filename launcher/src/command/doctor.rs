//! `birgus doctor`

use super::print;
use crate::Error;
use crate::engine::{kvm, link, qemu};
use crate::error::reason;
use crate::escape::{escaped, escaped_os};
use crate::kernel;
use std::process::{Command, Stdio};

/// What the doctor looked at.
enum Finding {
    /// It works.
    Good(String),
    /// It would be nice to have.
    Note(String),
    /// Without it nothing runs.
    Bad(String),
}

/// Prints what this machine can do; status 0 when programs can be run, else 1.
pub(super) fn doctor() -> Result<u8, Error> {
    let kvm = kvm::examine();
    let findings = [kvm_engine(&kvm), qemu_engine(kvm.is_ok()), network(), embedded_kernel()];
    let mut healthy = true;
    let mut report = String::new();
    for finding in &findings {
        let (mark, text) = match finding {
            Finding::Good(text) => ("ok  ", text),
            Finding::Note(text) => ("note", text),
            Finding::Bad(text) => {
                healthy = false;
                ("BAD ", text)
            }
        };
        report.push_str(&format!("{mark}  {text}\n"));
    }
    report.push_str(if healthy {
        "\nThis machine can run programs: birgus run PROGRAM\n"
    } else {
        "\nThis machine cannot run programs yet.\n"
    });
    print(&report)?;
    Ok(u8::from(!healthy))
}

/// QEMU is needed where KVM does not work.
fn qemu_engine(is_dispensable: bool) -> Finding {
    let bad = if is_dispensable { Finding::Note } else { Finding::Bad };
    let Some(program) = qemu::find() else {
        let (name, hint) = (qemu::PROGRAM, qemu::INSTALL_HINT);
        return bad(format!("{name} is not installed: {hint}"));
    };
    let shown = escaped_os(&program).to_string();
    let output = Command::new(&program).arg("--version").stdin(Stdio::null()).output();
    match output {
        Ok(output) if output.status.success() => {
            let first = output.stdout.split(|&byte| byte == b'\n').next().unwrap_or_default();
            Finding::Good(format!("{shown}: {}", escaped(first)))
        }
        Ok(output) => bad(format!("{shown} does not start: {}", output.status)),
        Err(error) => bad(format!("{shown} does not start: {}", reason(&error))),
    }
}

fn kvm_engine(examined: &Result<(), Error>) -> Finding {
    match examined {
        Ok(()) => Finding::Good("KVM: a small guest ran on it, and programs will".to_owned()),
        Err(why) => {
            Finding::Note(format!("{why}; programs run in QEMU's emulation, which is slower"))
        }
    }
}

fn network() -> Finding {
    match link::find() {
        Some(program) => Finding::Good(format!("{}: the network under KVM", escaped_os(&program))),
        None => Finding::Note(format!("{}; programs under KVM have no network", link::MISSING)),
    }
}

fn embedded_kernel() -> Finding {
    let image = kernel::embedded();
    let kib = image.len().div_ceil(1024);
    match kernel::table(image) {
        Ok(rows) => {
            let there =
                rows.iter().filter(|row| row.support != abi::boot::table::Support::None).count();
            Finding::Good(format!("embedded kernel: {kib} KiB, {there} system calls"))
        }
        Err(error) => Finding::Bad(format!("embedded kernel: {kib} KiB, but {error}")),
    }
}
