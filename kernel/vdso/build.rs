//! Builds the shared object: `object/vdso.rs`, compiled by itself and linked with the host's
//! linker by `object/vdso.ld`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// What the object is compiled from, relative to the package; the last one is shared with
/// the kernel.
const SOURCES: [&str; 3] = ["object/vdso.rs", "object/vdso.ld", "../../abi/src/time_page.rs"];

const PAGE_SIZE: usize = 4096;

fn main() {
    let package = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(variable("OUT_DIR"));
    for source in SOURCES {
        println!("cargo::rerun-if-changed={}", package.join(source).display());
    }
    let (object, image) = (out.join("vdso.o"), out.join("vdso.so"));
    compile(&package.join(SOURCES[0]), &object);
    link(&object, &package.join(SOURCES[1]), &image);
    fill_last_page(&image);
    println!("cargo::rustc-env=BIRGUS_VDSO={}", image.display());
}

fn compile(source: &Path, object: &Path) {
    let mut rustc = Command::new(variable("RUSTC"));
    rustc
        .args(["--crate-name", "vdso", "--crate-type", "lib", "--edition", "2024"])
        .arg("--target")
        .arg(variable("TARGET"))
        .args(["-C", "opt-level=3", "-C", "codegen-units=1", "-C", "panic=abort"])
        .args(["-C", "overflow-checks=no", "-C", "debug-assertions=no"])
        .args(["-C", "relocation-model=pic", "-C", "force-unwind-tables=yes"])
        .arg(prefixed("--emit=obj=", object))
        .arg(source);
    run(rustc);
}

fn link(object: &Path, script: &Path, image: &Path) {
    let linker = env::var_os("RUSTC_LINKER").unwrap_or_else(|| OsString::from("cc"));
    let mut cc = Command::new(linker);
    cc.args(["-shared", "-nostdlib", "-nostartfiles"])
        .arg(prefixed("-Wl,--script=", script))
        .args(["-Wl,-soname,linux-vdso.so.1", "-Wl,--hash-style=both", "-Wl,--build-id=none"])
        .args(["-Wl,--eh-frame-hdr", "-Wl,-Bsymbolic", "-Wl,--gc-sections"])
        .args(["-Wl,-z,defs", "-Wl,-z,text", "-Wl,-z,norelro", "-Wl,-z,noexecstack"])
        .args(["-Wl,-z,max-page-size=4096", "-Wl,--strip-debug", "-o"])
        .args([image, object]);
    run(cc);
}

/// The image is mapped page by page.
fn fill_last_page(image: &Path) {
    let filled = fs::read(image).and_then(|mut bytes| {
        bytes.resize(bytes.len().next_multiple_of(PAGE_SIZE), 0);
        fs::write(image, bytes)
    });
    if let Err(error) = filled {
        fail(&format!("cannot fill the last page of {}: {error}", image.display()));
    }
}

fn run(mut command: Command) {
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("building the vDSO failed ({status}): see above")),
        Err(error) => {
            fail(&format!("cannot start {}: {error}", command.get_program().to_string_lossy()))
        }
    }
}

fn prefixed(prefix: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(prefix);
    argument.push::<&OsStr>(path.as_ref());
    argument
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| fail(&format!("cargo did not set {name}")))
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    std::process::exit(1)
}
