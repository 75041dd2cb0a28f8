//! Builds the kernel, so that the `birgus` command can carry it inside itself.
//!
//! The kernel is freestanding, so it needs a cargo invocation of its own: building it
//! together with the host's crates would switch on `std` features of the crates they share.
//! It gets its own target directory (sharing this one would deadlock on cargo's lock) and an
//! environment without whatever the outer invocation set for the host's crates.
//!
//! `BIRGUS_KERNEL=PATH` names a kernel that is already built; then nothing is built here.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;

const PREBUILT: &str = "BIRGUS_KERNEL";
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Folders of the workspace whose sources end up in the kernel.
const SOURCES: [&str; 4] = ["abi", "kernel", "loader", "syscalls"];

fn main() {
    let launcher = PathBuf::from(variable("CARGO_MANIFEST_DIR"));
    let workspace = launcher.parent().expect("the launcher's folder lies in the workspace");
    println!("cargo::rerun-if-env-changed={PREBUILT}");
    let kernel = match env::var_os(PREBUILT).filter(|path| !path.is_empty()) {
        Some(path) => {
            println!("cargo::rerun-if-changed={}", Path::new(&path).display());
            PathBuf::from(path)
        }
        None => build_kernel(workspace),
    };
    let kernel = kernel.canonicalize().unwrap_or_else(|error| {
        fail(&format!("cannot read the kernel {}: {error}", kernel.display()))
    });
    println!("cargo::rustc-env=BIRGUS_KERNEL_IMAGE={}", kernel.display());
}

fn build_kernel(workspace: &Path) -> PathBuf {
    for folder in SOURCES {
        println!("cargo::rerun-if-changed={}", workspace.join(folder).display());
    }
    for file in ["Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", workspace.join(file).display());
    }
    let target_dir = PathBuf::from(variable("OUT_DIR")).join("kernel");
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .args(["build", "--release", "--locked", "--package", "birgus-kernel"])
        .args(["--bin", "birgus-kernel", "--target", TARGET])
        .arg("--manifest-path")
        .arg(workspace.join("kernel/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target_dir)
        .current_dir(workspace);
    for (name, _) in env::vars_os().filter(|(name, _)| is_of_the_outer_build(name)) {
        cargo.env_remove(name);
    }
    // Said explicitly, these win over what a cargo configuration file says.
    cargo.env("CARGO_ENCODED_RUSTFLAGS", "");
    cargo.env("CARGO_PROFILE_RELEASE_DEBUG", "none");
    cargo.env("CARGO_PROFILE_RELEASE_STRIP", "debuginfo");
    match cargo.status() {
        Ok(status) if status.success() => {}
        Ok(status) => fail(&format!("building the kernel failed ({status}): see above")),
        Err(error) => fail(&format!("cannot start cargo to build the kernel: {error}")),
    }
    target_dir.join(TARGET).join("release/birgus-kernel")
}

/// Whether the environment variable `name` describes the build of the launcher, and so must
/// not reach the build of the kernel. Where cargo's home, its registries and its network are
/// stays as it is, and so does the job server.
fn is_of_the_outer_build(name: &OsStr) -> bool {
    const NAMES: [&str; 17] = [
        "DEBUG",
        "HOST",
        "NUM_JOBS",
        "OPT_LEVEL",
        "OUT_DIR",
        "PROFILE",
        "RUSTC_LINKER",
        "RUSTC_WORKSPACE_WRAPPER",
        "RUSTC_WRAPPER",
        "RUSTDOC",
        "RUSTDOCFLAGS",
        "RUSTFLAGS",
        "TARGET",
        "CLIPPY_ARGS",
        "CARGO_CRATE_NAME",
        "CARGO_INCREMENTAL",
        "CARGO_PRIMARY_PACKAGE",
    ];
    const PREFIXES: [&str; 9] = [
        "CARGO_BIN_",
        "CARGO_BUILD_",
        "CARGO_CFG_",
        "CARGO_ENCODED_",
        "CARGO_FEATURE_",
        "CARGO_MANIFEST_",
        "CARGO_PKG_",
        "CARGO_PROFILE_",
        "CARGO_TARGET_",
    ];
    let name = name.to_string_lossy();
    NAMES.contains(&&*name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| fail(&format!("cargo did not set {name}")))
}

fn fail(message: &str) -> ! {
    println!("cargo::error={message}");
    std::process::exit(1)
}
