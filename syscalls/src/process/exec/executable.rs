//! Finding and reading what execve(2) executes.

use alloc::sync::Arc;
use alloc::vec::Vec;

use abi::fanotify::FanotifyMask;
use abi::fs::{AT_FDCWD, AccessRequest, FileType, OpenFlags, mount_flags};
use abi::memory::{MapFlags, Protection};
use abi::{Errno, PAGE_SIZE};
use loader::elf::{Content, Headers, Image, Mapping};
use loader::script::{MAX_SCRIPTS, START_LEN, Script};

use crate::context::Context;
use crate::error::{Because, Result};
use crate::fs::mount::Location;
use crate::fs::path::{Follow, resolve};
use crate::fs::{Fd, OpenFile, permission};
use crate::landlock::{self, Opening};
use crate::mm::{AddressSpace, MapRequest, MapSource};

use super::ExecError;

/// What execve(2) executes: a program, the interpreter that loads it, and its arguments, to
/// which scripts have added theirs.
pub struct Executable {
    path: Vec<u8>,
    arguments: Vec<Vec<u8>>,
    program: ProgramFile,
    interpreter: Option<ProgramFile>,
    is_script: bool,
}

impl Executable {
    /// Reads the file at `location`, which the caller knows as `path`, to be executed with
    /// `arguments`, its name first; follows scripts to their interpreters and finds the
    /// interpreter of a dynamically linked program.
    ///
    /// # Errors
    /// [`ExecError`].
    pub fn open(
        cx: &Context<'_>,
        location: Location,
        path: Vec<u8>,
        arguments: Vec<Vec<u8>>,
    ) -> Result<Self, ExecError> {
        let mut arguments = arguments;
        let mut file = open(cx, location)?;
        let mut interpreted: Option<Vec<u8>> = None;
        let mut scripts = 0;
        loop {
            let mut start = [0; START_LEN];
            let start = read_start(&file, &mut start)?;
            let Some(script) = Script::parse(start) else { break };
            if scripts == MAX_SCRIPTS {
                return Err(ExecError::TooManyScripts);
            }
            scripts += 1;
            let script = script.map_err(ExecError::Script)?;
            let name = interpreted.as_ref().unwrap_or(&path);
            arguments = arguments_of_script(&script, name, arguments)?;
            file = open_interpreter(cx, script.interpreter)?;
            interpreted = Some(script.interpreter.to_vec());
        }
        // As on Linux, the interpreter of a program can be written all the time.
        file.execute()?;
        let headers = read_headers(&file)?;
        let interpreter = match headers.interpreter() {
            Some(path) => {
                let file = open_interpreter(cx, path)?;
                Some(ProgramFile::read(file).map_err(|error| error.of_interpreter(path))?)
            }
            None => None,
        };
        let program = ProgramFile { image: headers.image()?, file };
        Ok(Self { path, arguments, program, interpreter, is_script: scripts > 0 })
    }

    /// The path it was asked for with (`AT_EXECFN`).
    #[must_use]
    pub fn path(&self) -> &[u8] {
        &self.path
    }

    /// Its arguments, the name first.
    #[must_use]
    pub fn arguments(&self) -> &[Vec<u8>] {
        &self.arguments
    }

    /// The file of the program: for a script, that of its interpreter.
    #[must_use]
    pub fn file(&self) -> &Arc<OpenFile> {
        &self.program.file
    }

    /// Whether a script was asked for, which its interpreter opens by [`Executable::path`].
    #[must_use]
    pub fn is_script(&self) -> bool {
        self.is_script
    }

    /// The name of the thread that executes it: the last part of its path.
    #[must_use]
    pub fn name(&self) -> &[u8] {
        self.path.rsplit(|&byte| byte == b'/').next().unwrap_or(&self.path)
    }

    pub(super) fn program(&self) -> &ProgramFile {
        &self.program
    }

    pub(super) fn interpreter(&self) -> Option<&ProgramFile> {
        self.interpreter.as_ref()
    }
}

/// The arguments of a script's interpreter: its own path, the argument in the script, the
/// path of the script in the place of its name, and the script's other arguments.
fn arguments_of_script(
    script: &Script<'_>,
    path: &[u8],
    arguments: Vec<Vec<u8>>,
) -> Result<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    all.try_reserve(arguments.len() + 3).map_err(|_| Errno::ENOMEM)?;
    all.push(script.interpreter.to_vec());
    all.extend(script.argument.map(<[u8]>::to_vec));
    all.push(path.to_vec());
    all.extend(arguments.into_iter().skip(1));
    Ok(all)
}

/// Opens an interpreter, whose path the caller's working directory counts for.
fn open_interpreter(cx: &Context<'_>, path: &[u8]) -> Result<Arc<OpenFile>, ExecError> {
    let opened = if path.is_empty() {
        Err(Errno::EACCES.because("the script names an empty path"))
    } else {
        let location = resolve(cx, Fd(AT_FDCWD), path.to_vec(), Follow::Last);
        location.and_then(|location| open(cx, location))
    };
    opened.map_err(|error| ExecError::Interpreter(path.to_vec(), error))
}

/// Opens a file to be executed; that it can be read is not required.
fn open(cx: &Context<'_>, location: Location) -> Result<Arc<OpenFile>> {
    let inode = location.inode().clone();
    match inode.kind() {
        FileType::Regular => {}
        FileType::SymbolicLink => return Err(Errno::ELOOP.because("a symbolic link")),
        _ => return Err(Errno::EACCES.because("not a regular file")),
    }
    if location.mount.has(mount_flags::ST_NOEXEC) {
        return Err(Errno::EACCES.because("the file system is mounted without execution"));
    }
    permission::check_inode(cx, &inode, AccessRequest::EXECUTE)?;
    landlock::open(&cx.credentials(), &location, Opening::ToExecute)?;
    let notifier = &cx.system.notifier;
    for question in [FanotifyMask::OPEN_EXEC_PERM, FanotifyMask::OPEN_PERM] {
        notifier.fanotify.ask(cx, &location, question)?;
    }
    let flags = OpenFlags::empty();
    let file = inode.open(cx, flags)?;
    notifier.opened_to_execute(cx.into(), &location);
    Ok(Arc::new(OpenFile::at(location, file, flags)))
}

/// Reads the first bytes of a file, as many as there are.
fn read_start<'a>(file: &OpenFile, to: &'a mut [u8; START_LEN]) -> Result<&'a [u8]> {
    let len = file.file.inode().metadata()?.size;
    let len = usize::try_from(len).map_or(START_LEN, |len| len.min(START_LEN));
    read_at(file, 0, &mut to[..len])?;
    Ok(&to[..len])
}

/// Reads bytes of the file by its pages; all are there.
fn read_at(file: &OpenFile, offset: u64, to: &mut [u8]) -> Result<()> {
    let inode = file.file.inode();
    let mut done = 0;
    while done < to.len() {
        let at = offset + done as u64;
        let in_page = (at % PAGE_SIZE as u64) as usize;
        let len = (PAGE_SIZE - in_page).min(to.len() - done);
        let page = inode
            .page(at / PAGE_SIZE as u64)?
            .ok_or_else(|| Errno::EIO.because("the file became shorter"))?;
        page.read(in_page, &mut to[done..done + len]);
        done += len;
    }
    Ok(())
}

fn read_headers(file: &OpenFile) -> Result<Headers, ExecError> {
    let len = file.file.inode().metadata()?.size;
    Ok(Headers::read(len, &mut |offset, to: &mut [u8]| read_at(file, offset, to))?)
}

/// An ELF file and the plan of how it becomes memory.
pub(super) struct ProgramFile {
    file: Arc<OpenFile>,
    pub(super) image: Image,
}

impl ProgramFile {
    fn read(file: Arc<OpenFile>) -> Result<Self, ExecError> {
        let image = read_headers(&file)?.image()?;
        Ok(Self { file, image })
    }

    /// Maps all segments.
    pub(super) fn map(&self, memory: &AddressSpace, bias: u64) -> Result<(), ExecError> {
        for mapping in self.image.mappings(bias)? {
            self.map_one(memory, &mapping)?;
        }
        Ok(())
    }

    fn map_one(&self, memory: &AddressSpace, mapping: &Mapping) -> Result<()> {
        let mut protection = Protection::empty();
        protection.set(Protection::READ, mapping.access.read);
        protection.set(Protection::WRITE, mapping.access.write);
        protection.set(Protection::EXEC, mapping.access.execute);
        let mut flags = MapFlags::PRIVATE | MapFlags::FIXED;
        let (source, zero_from) = match mapping.content {
            Content::File { offset, zero_from } => {
                (MapSource::File(self.file.clone(), offset), zero_from)
            }
            Content::Zero => {
                flags |= MapFlags::ANONYMOUS;
                (MapSource::Anonymous, None)
            }
        };
        memory.map(&MapRequest {
            address: mapping.address,
            len: mapping.len,
            protection,
            flags,
            source,
            lock_limit: 0,
        })?;
        if let Some(from) = zero_from {
            let zeros = [0; PAGE_SIZE];
            let end = mapping.address + mapping.len;
            let len = usize::try_from(end - from).unwrap_or(PAGE_SIZE).min(PAGE_SIZE);
            memory.write(from, &zeros[..len])?;
        }
        Ok(())
    }
}
