//! What the guest finds when it starts: the boot archive.
//!
//! - [`tree`]: the guest's root file system as a description, without the contents of files
//! - [`shared`]: directories of the host that are mounted in it (`--rootfs`, `-v`)
//! - [`copy`]: files of the host, copied into it (`-v FILE:GUEST:ro`)
//! - [`bring`]: files of the host at the paths they have there
//! - [`program`]: finding and checking the program
//! - [`needs`]: its interpreter and its libraries
//! - [`locale`]: the locale it asks for
//! - [`network`]: its address in the network
//! - [`system`]: what an installed program finds of the host besides `/usr`
//! - [`defaults`]: what every program finds (`/etc`, `/tmp` …)
//! - [`unseen`]: what the program might miss
//! - [`usr`]: the host's `/usr`, for programs that depend on it
//! - [`config`]: the configuration of the run
//! - [`archive`]: all of it as a memory file
//!
//! Only descriptions are held in memory; contents go straight from the host's files into the
//! archive.

mod archive;
mod bring;
mod config;
mod copy;
mod defaults;
mod locale;
mod needs;
mod network;
mod program;
mod shared;
mod system;
mod tree;
mod unseen;
mod usr;

pub use config::RunConfig;
pub use network::user as user_network;
pub use shared::Mount;
pub use tree::{Body, Node, Source, Tree};

use crate::Error;
use crate::command::options::{Network, Root, RunOptions};
use crate::escape::escaped_os;
use crate::session::Terminals;
use needs::{Host, Needs};
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::path::Path;

/// A boot archive.
#[derive(Debug)]
pub struct Archive {
    /// The memory file that holds it.
    pub file: OwnedFd,
    /// Its length in bytes.
    pub len: u64,
    /// The directories of the host that it mounts.
    pub mounts: Vec<Mount>,
    /// The network it expects.
    pub network: Network,
    /// What to tell the user when the program fails.
    pub hint: Option<String>,
}

/// The host as the program will see it.
#[derive(Clone, Copy, Debug, Default)]
pub struct View {
    /// Which of the descriptors 0, 1 and 2 are the terminal.
    pub terminals: Terminals,
    /// Rows and columns of the terminal.
    pub window: Option<(u16, u16)>,
}

/// Finds the program and everything it needs, and makes the archive.
///
/// # Errors
/// [`Error::NotFound`] and [`Error::NotExecutable`] for the program, [`Error::Failed`] for
/// other files that cannot be read.
pub fn build(options: &RunOptions, view: View) -> Result<Archive, Error> {
    build_upon(Tree::default(), options, view)
}

/// As [`build`], in a root file system that has these files already.
///
/// # Errors
/// As [`build`].
pub fn build_upon(files: Tree, options: &RunOptions, view: View) -> Result<Archive, Error> {
    let Description { tree, config, network, missing } = describe(files, options, view)?;
    let directory = config.working_directory.as_deref().unwrap_or(Path::new("/"));
    let hint = missing.or_else(|| unseen::hint(&tree, &options.arguments, directory));
    let (file, len) = archive::write(&tree, &config)?;
    Ok(Archive { file, len, mounts: config.mounts, network, hint })
}

/// What an archive holds.
struct Description {
    tree: Tree,
    config: RunConfig,
    network: Network,
    /// What the program needs and was not found.
    missing: Option<String>,
}

/// The root file system and the run configuration.
fn describe(mut tree: Tree, options: &RunOptions, view: View) -> Result<Description, Error> {
    share(&mut tree, options)?;
    let environment = environment(options, view);
    let program = program::find(&tree, options, value_of(&environment, "PATH"))?;
    let Brought { missing, is_dynamic } = bring_needs(&mut tree, options, &environment, &program)?;
    if is_dynamic && usr::share(&mut tree, options)? {
        system::fill(&mut tree, &program);
    }
    if options.root.is_none() {
        locale::bring_all(&mut tree, &environment);
        defaults::fill(&mut tree);
    }
    defaults::fill_any_root(&mut tree);
    if let Some(terminal) = value_of(&environment, "TERM") {
        defaults::terminal_description(&mut tree, terminal);
    }
    if let Some(directory) = &options.working_directory {
        tree.make_directory(directory, 0o755)
            .map_err(|error| error.at("the working directory", directory))?;
    }
    let network = network::choose(options, tree.mounts().len());
    let config = RunConfig {
        program,
        arguments: std::iter::once(&options.program).chain(&options.arguments).cloned().collect(),
        environment,
        working_directory: options.working_directory.clone(),
        terminals: view.terminals,
        window: view.window,
        mounts: tree.mounts().to_vec(),
        ip: network::address(&network, options),
        trace: options.trace != crate::command::options::TraceTo::Off,
    };
    Ok(Description { tree, config, network, missing })
}

/// What came of bringing what programs need.
struct Brought {
    /// What was not found.
    missing: Option<String>,
    /// The program, or what executes it, is dynamically linked.
    is_dynamic: bool,
}

/// Brings what the program at a path of the guest needs, and what the programs need that were
/// brought as files.
fn bring_needs(
    tree: &mut Tree,
    options: &RunOptions,
    environment: &[(OsString, OsString)],
    program: &Path,
) -> Result<Brought, Error> {
    let host = if options.root.is_some() { Host::Hidden } else { Host::Shared };
    let directory = options.working_directory.as_deref().unwrap_or(Path::new("/"));
    let mut needs = Needs::new(tree, host, environment, directory);
    program::provide(&mut needs, &options.program, program)?;
    let is_dynamic = needs.has_dynamic();
    for volume in options.volumes.iter().filter(|volume| volume.host.is_file()) {
        // Most files are no programs.
        let _ = needs.program(&volume.guest);
    }
    let missing = needs.missing();
    for companion in &options.companions {
        // One that cannot be had here is missing there as well.
        let _ = needs.program(companion);
    }
    Ok(Brought { missing, is_dynamic })
}

/// Mounts the user's directories, and brings the user's files.
fn share(tree: &mut Tree, options: &RunOptions) -> Result<(), Error> {
    if let Some(Root { host, read_only }) = &options.root {
        let mount = Mount::new("--rootfs", "root".into(), host, "/".into(), *read_only)?;
        tree.mount(mount).map_err(|error| error.at("--rootfs", Path::new("/")))?;
    }
    for (number, volume) in options.volumes.iter().enumerate() {
        let host = &volume.host;
        let found = std::fs::metadata(host).map_err(|error| copy::cannot_read(host, &error))?;
        if found.is_dir() {
            let (tag, guest) = (format!("v{number}"), volume.guest.clone());
            let mount = Mount::new("--volume", tag, host, guest, volume.read_only)?;
            tree.mount(mount).map_err(|error| error.at("--volume", &volume.guest))?;
        } else if volume.read_only {
            copy::volume(tree, volume, &found)?;
        } else {
            return Err(Error::Failed(format!(
                "--volume {0}: a file can only be shown as a copy: say `{0}:{1}:ro`, or share \
                 the directory it is in",
                escaped_os(host),
                escaped_os(&volume.guest)
            )));
        }
    }
    shared::check_number(tree.mounts(), options)
}

/// The program's environment: `HOME`, `PATH`, `TERM` where there is a terminal, and what the
/// user asks for.
fn environment(options: &RunOptions, view: View) -> Vec<(OsString, OsString)> {
    let mut variables: Vec<(OsString, OsString)> =
        vec![("HOME".into(), "/root".into()), ("PATH".into(), defaults::PATH.into())];
    if view.terminals.contains(&true)
        && let Some(terminal) = std::env::var_os("TERM").filter(|name| !name.is_empty())
    {
        variables.push(("TERM".into(), terminal));
    }
    for (name, value) in &options.environment {
        let Some(value) = value.clone().or_else(|| std::env::var_os(name)) else { continue };
        variables.retain(|(known, _)| known != name);
        variables.push((name.clone(), value));
    }
    variables
}

fn value_of<'a>(environment: &'a [(OsString, OsString)], name: &str) -> Option<&'a OsStr> {
    environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_os_str())
}

#[cfg(test)]
mod tests;
