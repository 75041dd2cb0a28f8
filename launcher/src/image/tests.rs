//! What ends up in an archive.

use super::*;
use crate::command::options::{Root, Volume};
use loader::archive::{DIRECTORY, REGULAR, SYMLINK, entries};
use std::fs::{self, File};
use std::io::{Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

/// A folder of its own for each test, which ends with it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("birgus-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).unwrap();
        Self(path.canonicalize().unwrap())
    }

    fn file(&self, name: &str, text: &str, mode: u32) -> PathBuf {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    /// A program that passes for a static one: a header and one segment.
    fn program(&self, name: &str) -> PathBuf {
        let mut elf = vec![0; 64 + 56];
        elf[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        elf[16..24].copy_from_slice(&[2, 0, 62, 0, 1, 0, 0, 0]);
        elf[24..32].copy_from_slice(&0x40_0078_u64.to_le_bytes());
        elf[32..40].copy_from_slice(&64_u64.to_le_bytes());
        elf[52..58].copy_from_slice(&[64, 0, 56, 0, 1, 0]);
        elf[64..72].copy_from_slice(&[1, 0, 0, 0, 5, 0, 0, 0]);
        let words = [0, 0x40_0000, 0x40_0000, 0x80, 0x80, 0x1000_u64];
        for (index, word) in words.into_iter().enumerate() {
            elf[72 + index * 8..][..8].copy_from_slice(&word.to_le_bytes());
        }
        elf.extend_from_slice(&[0xf4; 8]);
        let path = self.file(name, "", 0o755);
        fs::write(&path, elf).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn options(program: impl Into<OsString>) -> RunOptions {
    RunOptions { program: program.into(), ..RunOptions::default() }
}

/// Entries of the archive: path, mode, inode, data.
fn archive(options: &RunOptions) -> Vec<(String, u32, u32, Vec<u8>)> {
    let archive = build(options, View::default()).unwrap();
    let mut file = File::from(archive.file);
    file.rewind().unwrap();
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, archive.len);
    entries(&bytes)
        .map(|entry| {
            let entry = entry.unwrap();
            let name = String::from_utf8(entry.name.to_vec()).unwrap();
            (name, entry.metadata.mode, entry.metadata.inode, entry.data.to_vec())
        })
        .collect()
}

fn relative(path: &Path) -> String {
    path.strip_prefix("/").unwrap().to_str().unwrap().to_owned()
}

#[test]
fn the_program_and_its_configuration_and_the_usual_files_are_there() {
    let folder = Folder::new("usual");
    let program = folder.program("bin/prog");
    let mut options = options(&program);
    options.arguments = vec!["x".into()];
    options.environment = vec![("A".into(), Some("1".into())), ("NOT_SET_ANYWHERE".into(), None)];
    options.working_directory = Some("/work/here".into());
    let entries = archive(&options);
    let find = |name: &str| entries.iter().find(|(known, ..)| known == name);
    let (_, _, _, config) = find(".birgus/config").unwrap();
    let config = String::from_utf8(config.clone()).unwrap();
    let expected = format!(
        "version=1|program={0}|arg={0}|arg=x|env=HOME=/root|env=PATH={1}|env=A=1|\
         cwd=/work/here|terminal=|ip=10.0.2.15::10.0.2.2:255.255.255.0::eth0:off:10.0.2.3|",
        program.display(),
        defaults::PATH
    );
    assert_eq!(config.replace('\0', "|"), expected);
    assert_eq!(find(&relative(&program)).unwrap().1, REGULAR | 0o755);
    assert_eq!(find("tmp").unwrap().1 & 0o7777, 0o1777);
    assert_eq!(find("work/here").unwrap().1, DIRECTORY | 0o755);
    assert!(find("etc/passwd").unwrap().3.starts_with(b"root:x:0:0:"));
    for name in [".", "dev", "proc", "sys", "root", "etc/hosts", "etc/nsswitch.conf"] {
        assert!(find(name).is_some(), "{name}");
    }
    for name in ["etc/protocols", "etc/services"] {
        let on_host = fs::read(Path::new("/").join(name)).ok();
        assert_eq!(find(name).map(|file| &file.3), on_host.as_ref(), "{name}");
    }
    for name in ["bin", "lib"] {
        let target = fs::read_link(Path::new("/").join(name)).ok();
        let link = find(name).filter(|link| link.1 & 0o170_000 == SYMLINK);
        assert_eq!(
            link.map(|link| &link.3[..]),
            target.as_ref().map(|path| path.as_os_str().as_bytes())
        );
    }
}

#[test]
fn a_program_behind_symbolic_links_is_at_the_path_that_was_named() {
    let folder = Folder::new("links");
    folder.program("usr/bin/prog");
    symlink("usr/bin", folder.0.join("bin")).unwrap();
    symlink("../bin/prog", folder.0.join("usr/link")).unwrap();
    let named = folder.0.join("usr/../usr/link");
    let Description { tree, config, .. } =
        describe(Tree::default(), &options(&named), View::default()).unwrap();
    assert_eq!(config.program, named);
    let (path, node) = tree.find(&named).unwrap();
    assert_eq!(path, folder.0.join("usr/bin/prog"));
    assert!(matches!(node.body, Body::File(Source::Host(..))));
    assert_eq!(tree.at(&folder.0.join("bin")).unwrap().mode & 0o170_000, SYMLINK);
}

#[test]
fn a_root_directory_is_mounted_and_has_the_program() {
    let folder = Folder::new("root");
    folder.program("root/bin/prog");
    symlink("/bin/prog", folder.0.join("root/prog")).unwrap();
    symlink(folder.0.join("root/bin"), folder.0.join("root/out")).unwrap();
    let mut options = options("prog");
    options.root = Some(Root { host: folder.0.join("root"), read_only: true });
    let Description { tree, config, .. } =
        describe(Tree::default(), &options, View::default()).unwrap();
    assert_eq!(config.program, Path::new("/bin/prog"));
    let mount = Mount {
        tag: "root".into(),
        host: folder.0.join("root"),
        guest: "/".into(),
        read_only: true,
    };
    assert_eq!(config.mounts, [mount]);
    assert_eq!(tree.find(Path::new("/prog")).unwrap().0, Path::new("/bin/prog"));
    // Links lead where they lead in the guest.
    assert!(tree.find(Path::new("/out/prog")).is_none());
    let names: Vec<_> = archive(&options).into_iter().map(|(name, ..)| name).collect();
    assert_eq!(names, [".birgus/config", "."]);
}

#[test]
fn with_a_root_directory_the_host_has_no_programs() {
    let folder = Folder::new("noprog");
    let program = folder.program("prog");
    fs::create_dir(folder.0.join("root")).unwrap();
    let mut options = options(&program);
    options.root = Some(Root { host: folder.0.join("root"), read_only: false });
    assert_eq!(build(&options, View::default()).unwrap_err().status(), 127);
}

#[test]
fn a_directory_is_mounted_and_a_file_is_copied() {
    let folder = Folder::new("volume");
    let program = folder.program("new/sub/prog");
    let file = folder.file("file", "text", 0o640);
    let volume = |host: &Path, guest: &str, read_only| Volume {
        host: host.into(),
        guest: guest.into(),
        read_only,
    };
    let mut options = options("/data/sub/prog");
    options.volumes =
        vec![volume(&folder.0.join("new"), "/data", false), volume(&file, "/etc/one", true)];
    let entries = archive(&options);
    let find = |name: &str| entries.iter().find(|(known, ..)| known == name);
    assert_eq!(find("data").unwrap().1, DIRECTORY | 0o755);
    assert!(find("data/sub").is_none());
    assert_eq!(find("etc/one").unwrap().3, b"text");
    let failure = |options: &RunOptions| build(options, View::default()).unwrap_err();
    for wrong in [
        volume(&file, "/etc/one", false),
        volume(&file, "/data/one", true),
        volume(&folder.0.join("nothing"), "/x", true),
    ] {
        options.volumes[1] = wrong;
        assert_eq!(failure(&options).status(), 125);
    }
    options.volumes = vec![volume(program.parent().unwrap(), "/data/sub", true); 7];
    assert!(failure(&options).to_string().contains("--machine q35"));
}

#[test]
fn the_description_of_the_terminal_is_brought() {
    let mut tree = Tree::default();
    defaults::terminal_description(&mut tree, OsStr::new("linux"));
    defaults::terminal_description(&mut tree, OsStr::new("../../etc/passwd"));
    defaults::terminal_description(&mut tree, OsStr::new(""));
    assert!(tree.nodes().any(|(path, _)| path.ends_with(b"/l/linux")));
    assert!(!tree.nodes().any(|(path, _)| path.ends_with(b"passwd")));
}

#[test]
fn a_programs_conflicts_with_volumes_are_told() {
    let folder = Folder::new("conflict");
    let program = folder.program("dir/prog");
    let file = folder.file("file", "", 0o644);
    let mut options = options(&program);
    options.volumes = vec![Volume { host: file, guest: folder.0.join("dir"), read_only: true }];
    assert_eq!(build(&options, View::default()).unwrap_err().status(), 126);
}

/// The interpreter of this test, a dynamic program of the host.
const INTERPRETER: &str = "/lib64/ld-linux-x86-64.so.2";

#[test]
fn a_dynamic_program_comes_with_its_interpreter_and_libraries() {
    let program = std::env::current_exe().unwrap();
    let mut options = options(&program);
    options.hide_usr = true;
    let description = describe(Tree::default(), &options, View::default()).unwrap();
    assert_eq!(description.missing, None);
    let tree = description.tree;
    assert!(tree.find(Path::new(INTERPRETER)).is_some());
    for library in ["libc.so.6", "libgcc_s.so.1"] {
        let name = format!("/{library}");
        let is_it = |path: &[u8]| path.ends_with(name.as_bytes());
        assert!(tree.nodes().any(|(path, _)| is_it(path)), "{library}");
    }
}

#[test]
fn a_dynamic_program_sees_usr_unless_the_user_has_other_plans() {
    let folder = Folder::new("usr");
    let mounts = |options: &RunOptions| -> Vec<(PathBuf, bool)> {
        let description = describe(Tree::default(), options, View::default()).unwrap();
        // What is mounted is not copied as well.
        let inside = description.tree.nodes().any(|(path, _)| path.starts_with(b"usr/lib/"));
        let mounts = description.config.mounts;
        let has_usr = mounts.iter().any(|mount| mount.host == Path::new("/usr"));
        assert!(!(has_usr && inside));
        mounts.into_iter().map(|mount| (mount.guest, mount.read_only)).collect()
    };
    let volume = |host: &Path, guest: &str| Volume {
        host: host.into(),
        guest: guest.into(),
        read_only: false,
    };
    let usr = (PathBuf::from("/usr"), true);
    let dynamic = std::env::current_exe().unwrap();
    let script = folder.file("script", &format!("#!{}\n", dynamic.display()), 0o755);
    let mut options = options(&dynamic);
    assert_eq!(mounts(&options), std::slice::from_ref(&usr));
    options.program = script.into();
    options.volumes = vec![volume(&folder.0, "/data")];
    assert_eq!(mounts(&options), [("/data".into(), false), usr]);
    options.volumes = vec![volume(&folder.0, "/usr/local")];
    assert_eq!(mounts(&options), [("/usr/local".into(), false)]);
    options.volumes = (0..6).map(|at| volume(&folder.0, &format!("/{at}"))).collect();
    assert_eq!(mounts(&options).len(), 6);
    options.volumes.clear();
    options.hide_usr = true;
    assert_eq!(mounts(&options), []);
    options.hide_usr = false;
    options.program = folder.program("static").into();
    assert_eq!(mounts(&options), []);
}

#[test]
fn what_a_dynamic_program_needs_and_a_root_directory_lacks_is_told() {
    let folder = Folder::new("lacks");
    let root = folder.0.join("root");
    fs::create_dir_all(root.join("lib64")).unwrap();
    fs::copy("/proc/self/exe", root.join("prog")).unwrap();
    let mut options = options("/prog");
    options.root = Some(Root { host: root.clone(), read_only: false });
    let Err(error) = build(&options, View::default()) else { panic!("it has no interpreter") };
    assert_eq!(error.status(), 127);
    assert!(error.to_string().contains(INTERPRETER), "{error}");
    fs::copy(INTERPRETER, root.join(&INTERPRETER[1..])).unwrap();
    let missing = describe(Tree::default(), &options, View::default()).unwrap().missing.unwrap();
    assert!(missing.contains(".so.") && missing.contains("which /prog needs"), "{missing}");
}

#[test]
fn a_script_comes_with_what_executes_it() {
    let folder = Folder::new("script");
    let program = folder.program("bin/prog");
    let inner = folder.file("inner", &format!("#! {} -x\n", program.display()), 0o755);
    let outer = folder.file("outer", &format!("#!{}", inner.display()), 0o755);
    let description = describe(Tree::default(), &options(&outer), View::default()).unwrap();
    assert_eq!(description.config.program, outer);
    for path in [&program, &inner, &outer] {
        assert!(description.tree.find(path).is_some());
    }
    let status = |text: &str| {
        let script = folder.file("bad", text, 0o755);
        build(&options(&script), View::default()).unwrap_err().status()
    };
    assert_eq!(status("#!/nothing/here\n"), 127);
    assert_eq!(status("#!\n"), 126);
    assert_eq!(status(&format!("#!{}\n", folder.0.join("bad").display())), 126);
}

#[test]
fn env_in_a_script_brings_the_program_it_starts() {
    let folder = Folder::new("env");
    let env = folder.program("bin/env");
    folder.program("path/prog");
    let script = folder.file("script", &format!("#!{} prog\n", env.display()), 0o755);
    let mut options = options(&script);
    let path = folder.0.join("path");
    options.environment = vec![("PATH".into(), Some(path.clone().into()))];
    let tree = describe(Tree::default(), &options, View::default()).unwrap().tree;
    assert!(tree.find(&path.join("prog")).is_some());
}
