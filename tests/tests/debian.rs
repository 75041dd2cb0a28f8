//! Unmodified programs of Debian: the same binary runs on Linux and in Birgus, with the same
//! arguments, files and input, and gives the same output and status.
//!
//! Files are brought with `-v PATH:PATH:ro`. Nothing here forks: that is for later.

use std::fs;
use std::process::Command;

use birgus_tests::program::pattern;
use birgus_tests::run::Status;
use birgus_tests::scratch::Scratch;
use birgus_tests::sides::{Setting, agree, in_birgus, on_linux};

const BUSYBOX: &str = "/bin/busybox";

const POEM: &str = "The crab that outgrew its shell\nwalks on the land,\nclimbs the palm,\n\
                    opens the nut,\nand does not go back\nto the shell.\n";

#[track_caller]
fn agree_on(stdin: &[u8], arguments: &[&str]) {
    agree(BUSYBOX, arguments, &Setting { stdin, ..Setting::default() });
}

#[test]
fn busybox_echo_and_printf() {
    agree_on(b"", &["echo", "hello", "from", "a unikernel"]);
    agree_on(b"", &["printf", "%05d %s %x\\n", "42", "crab", "255"]);
    agree_on(b"", &["true"]);
    agree_on(b"", &["false"]);
    agree_on(b"", &["no-such-applet"]);
}

#[test]
fn busybox_text_tools() {
    let poem = POEM.as_bytes();
    let tools: &[&[&str]] = &[
        &["cat", "-n"],
        &["wc"],
        &["sort"],
        &["sort", "-r", "-k2"],
        &["sed", "s/the/a/g;3d;$!N;P;D"],
        &["sed", "-n", "/palm/,$p"],
        &[
            "awk",
            "{ n += NF; print NR, toupper($1) } END { printf \"%d words, %.2f\\n\", n, n / NR }",
        ],
        &["grep", "-n", "shell"],
        &["grep", "-c", "^[tc].*,$"],
        &["grep", "absent"],
        &["head", "-n", "2"],
        &["tail", "-c", "20"],
        &["tr", "a-z", "A-Z"],
        &["cut", "-d", " ", "-f", "2-3"],
        &["rev"],
        &["tac"],
        &["nl"],
        &["fold", "-w", "10"],
        &["od", "-An", "-tx1"],
        &["hexdump", "-C"],
        &["base64"],
        &["uniq", "-c"],
        &["md5sum"],
        &["sha1sum"],
        &["sha512sum"],
        &["cksum"],
    ];
    for tool in tools {
        agree_on(poem, tool);
    }
    agree_on(b"", &["seq", "1", "3", "20"]);
    agree_on(b"2 3 ^ p\n", &["dc"]);
    agree_on(b"", &["expr", "6", "*", "7"]);
    agree_on(b"", &["basename", "/a/b.c", ".c"]);
}

#[test]
fn busybox_files_of_the_host() {
    let scratch = Scratch::new().unwrap();
    let poem = scratch.file("poem", POEM).unwrap();
    fs::create_dir_all(scratch.path().join("deep/er")).unwrap();
    scratch.file("deep/er/found", "x").unwrap();
    let (poem, directory) = (poem.to_str().unwrap(), scratch.path().to_str().unwrap());
    let setting = Setting { directory: Some(scratch.path()), ..Setting::default() };
    let commands: &[&[&str]] = &[
        &["cat", poem],
        &["wc", "-l", poem],
        &["ls", directory],
        &["ls", "-R", directory],
        &["stat", "-c", "%n %s %a %F %h", poem],
        &["find", directory, "-name", "found"],
        &["test", "-d", directory],
        &["cmp", poem, poem],
        &["cat", "/none/at-all"],
        &["ls", "/none"],
    ];
    for command in commands {
        agree(BUSYBOX, command, &setting);
    }
}

#[test]
fn busybox_shell_without_fork() {
    let scripts = [
        "i=0; while [ $i -lt 5 ]; do echo line $i; i=$((i + 1)); done",
        "for x in a b c; do printf '%s-' $x; done; echo",
        "f() { local y=$1; echo \"f got $y of $#\"; return 3; }; f one two; echo $?",
        "while read -r a b; do echo \"[$b|$a]\"; done <<END\none 1\ntwo 2 $((20 + 3))\nEND",
        "case linux in l*x) echo match;; *) echo none;; esac",
        "echo $((7 * 6)) $((0x1f)) $((1 << 10)) $((17 % 5)) $((3 > 2 ? 10 : 20))",
        "x=abc.tar.gz; echo ${x%.gz} ${x##*.} ${#x} ${none:-default}",
        "cd /tmp; pwd; echo content >file; cat() { read -r l; echo \"read $l\"; }; cat <file",
        "echo one >/tmp/o; echo two >>/tmp/o; while read -r l; do echo $l; done </tmp/o; rm -f /tmp/o",
        "set -- a b c; shift; echo $1 $#; trap 'echo bye' EXIT; exit 42",
        "echo out; echo err >&2; exec 3>&1; echo three >&3",
        "set -e; false; echo not reached",
        "trap 'echo caught' USR1; kill -USR1 $$; echo after",
        "kill -TERM $$",
        "if [ -e /dev/null ] && ! [ -e /none ]; then echo tests; fi; type cd; umask",
    ];
    for script in scripts {
        agree(BUSYBOX, &["sh", "-c", script], &Setting::default());
    }
    let stdin = b"echo from stdin\nread -r line\nthis is data\necho \"got $line\"\nexit 5\n";
    agree(BUSYBOX, &["sh"], &Setting { stdin, ..Setting::default() });
}

#[test]
fn other_shells_with_built_ins() {
    let scripts = [
        "for ((i = 0; i < 3; i++)); do echo $i; done",
        "a=(one two three); echo ${#a[@]} ${a[@]}",
        "typeset -A m; m[x]=1; m[y]=2; echo $((m[x] + m[y]))",
        "[[ foobar =~ o+b ]] && echo matched",
        "while read -r l; do echo \"<$l>\"; done <<< 'here string'",
        "printf '%q %08.3f\\n' 'a b' 3.14159; echo $((2 ** 40))",
        "exit 9",
    ];
    for script in scripts {
        agree("/bin/bash-static", &["-c", script], &Setting::default());
        agree("/bin/zsh-static", &["-fc", script], &Setting::default());
    }
    // Sash forks for everything but its own commands, and for all of `-c`.
    let stdin = b"cd /tmp\n-ls /dev/null\n-mkdir sash\n-ls -d sash\n-rmdir sash\numask\n\
                  -echo hello from sash\n-printenv HOME\nexit\n";
    agree("/bin/sash", &["-q"], &Setting { stdin, ..Setting::default() });
}

#[test]
fn busybox_sees_a_linux_system() {
    let (outcome, _) = in_birgus(BUSYBOX, &["uname", "-a"], &Setting::default());
    let text = outcome.text();
    assert!(text.starts_with("Linux ") && text.contains("x86_64"), "{text}");
    let (outcome, _) = in_birgus(BUSYBOX, &["ls", "-la", "/"], &Setting::default());
    let text = outcome.text();
    for name in [" dev\n", " proc\n", " tmp\n", " etc\n"] {
        assert!(text.contains(name), "{name:?} is not in\n{text}");
    }
    let (outcome, _) = in_birgus(BUSYBOX, &["id", "-un"], &Setting::default());
    assert_eq!(outcome.text(), "root\n");
    let (outcome, _) = in_birgus(BUSYBOX, &["date", "-u", "+%s"], &Setting::default());
    let there: u64 = outcome.text().trim().parse().expect("seconds");
    let here = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
    assert!(here.abs_diff(there) < 30, "{there} there, {here} here");
}

#[test]
fn busybox_echo_needs_little_memory() {
    let setting = Setting { options: &["--memory", "16M"], ..Setting::default() };
    agree(BUSYBOX, &["echo", "small"], &setting);
}

#[test]
fn gzip_and_tar_round_trips_by_two_runs() {
    let scratch = Scratch::new().unwrap();
    scratch.file("poem", POEM).unwrap();
    scratch.file("bytes", pattern(300_000)).unwrap();
    let directory = scratch.path().to_str().unwrap();
    let with_files = Setting { directory: Some(scratch.path()), ..Setting::default() };
    let tar = ["tar", "-cf", "-", "-C", directory, "poem", "bytes"];
    let (archive, _) = in_birgus(BUSYBOX, &tar, &with_files);
    assert_eq!(archive.status, Status::Ended(0), "{}", archive.errors());
    let packed = Setting { stdin: &archive.stdout, ..Setting::default() };
    let (small, _) = in_birgus(BUSYBOX, &["gzip", "-c"], &packed);
    let packed = Setting { stdin: &small.stdout, ..Setting::default() };
    let back = on_linux(BUSYBOX, &["gunzip", "-c"], &packed);
    assert!(back.stdout == archive.stdout, "Linux unpacks something else");
    let (back, _) = in_birgus(BUSYBOX, &["gunzip", "-c"], &packed);
    assert!(back.stdout == archive.stdout, "Birgus unpacks something else");
    let packed = Setting { stdin: &archive.stdout, ..Setting::default() };
    agree(BUSYBOX, &["tar", "-tf", "-"], &packed);
    agree(BUSYBOX, &["tar", "-xOf", "-", "bytes"], &packed);
}

#[test]
fn sha256sum_of_a_large_stream() {
    let length = if birgus_tests::full() { 64 << 20 } else { 8 << 20 };
    let stdin = pattern(length);
    agree(BUSYBOX, &["sha256sum"], &Setting { stdin: &stdin, ..Setting::default() });
}

#[test]
fn e2fsck_checks_an_ext4_image() {
    let scratch = Scratch::new().unwrap();
    let image = scratch.path().join("image");
    let content = Scratch::new().unwrap();
    content.file("poem", POEM).unwrap();
    let made = Command::new("/sbin/mke2fs")
        .args(["-q", "-t", "ext4", "-d"])
        .arg(content.path())
        .arg(&image)
        .arg("4M")
        .output();
    assert!(made.is_ok_and(|made| made.status.success()), "mke2fs makes an image");
    let setting = Setting { directory: Some(scratch.path()), ..Setting::default() };
    let image = image.to_str().unwrap();
    agree("/sbin/e2fsck.static", &["-fn", image], &setting);
    // A spoilt image has to be found spoilt, with the same words.
    let mut bytes = fs::read(image).unwrap();
    bytes[1024 + 0x400..][..512].fill(0xa5);
    fs::write(image, bytes).unwrap();
    agree("/sbin/e2fsck.static", &["-fn", image], &setting);
}
