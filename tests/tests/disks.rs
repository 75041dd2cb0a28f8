//! Disk images on a volume, mounted in the guest: what the host made is found there, and what
//! the guest wrote is found, and found to be sound, by the host's e2fsprogs.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use birgus_tests::birgus::birgus_with;
use birgus_tests::run::{Given, Outcome, Status};
use birgus_tests::scratch::Scratch;

const LIMIT: Duration = Duration::from_secs(180);

/// Types, and how mke2fs(8) makes them.
const KINDS: [(&str, &str); 5] = [
    ("ext2", "-b 1024"),
    ("ext2", "-b 4096"),
    ("ext3", "-b 1024"),
    ("ext4", ""),
    ("ext4", "-b 1024 -O ^metadata_csum,^64bit"),
];

/// A volume with a file system in it that holds the file `host`.
fn volume(kind: &str, options: &str) -> (Scratch, PathBuf) {
    let scratch = Scratch::new().unwrap();
    let tree = scratch.path().join("tree");
    fs::create_dir(&tree).unwrap();
    fs::write(tree.join("host"), "from the host\n").unwrap();
    let shared = scratch.path().join("shared");
    fs::create_dir(&shared).unwrap();
    let image = shared.join("disk.img");
    let mut mke2fs = Command::new("/usr/sbin/mke2fs");
    mke2fs.args(["-q", "-t", kind]).args(options.split_whitespace());
    let made = mke2fs.arg("-d").arg(&tree).arg(&image).arg("32m").status();
    assert!(made.expect("e2fsprogs are installed").success());
    (scratch, image)
}

/// Runs `script` with busybox's shell, the volume at /data.
fn guest(scratch: &Scratch, script: &str) -> Outcome {
    let words = ["run", "-v", "shared:/data", "/bin/busybox", "sh", "-ec", script];
    birgus_with(words, Given::limit(LIMIT), |command| {
        command.current_dir(scratch.path());
    })
    .expect("birgus starts")
}

#[track_caller]
fn says(outcome: &Outcome, text: &str) {
    assert_eq!((outcome.text().as_str(), outcome.errors().as_str()), (text, ""));
    assert_eq!(outcome.status, Status::Ended(0));
}

/// Fails unless e2fsck(8) finds nothing.
#[track_caller]
fn check(image: &Path) {
    let checked = Command::new("/usr/sbin/e2fsck").arg("-fn").arg(image).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
}

/// What debugfs(8) answers.
fn debugfs(image: &Path, request: &str) -> String {
    let told = Command::new("/usr/sbin/debugfs").args(["-R", request]).arg(image).output();
    String::from_utf8_lossy(&told.unwrap().stdout).into_owned()
}

const WORK: &str = r#"
mkdir /mnt
mount -o loop /data/disk.img /mnt
cat /mnt/host
cd /mnt
mkdir -m 750 a a/b
echo one > a/one
ln a/one a/b/two
ln -s b/two a/soft
mv a/one a/three
cat a/soft
for i in $(seq 300); do : > a/b/a-file-with-a-longer-name-$i; done
rm a/b/a-file-with-a-longer-name-1*
ls a/b | wc -l
dd if=/dev/zero bs=64k count=40 2>/dev/null | tr '\0' x > big
echo tail | dd of=big bs=1 seek=5000000 conv=notrunc 2>/dev/null
truncate -s 3000001 big
wc -c < big
cp /bin/busybox a/busybox
cmp /bin/busybox a/busybox
./a/busybox echo executed
touch -d @77 host
chown 70000:80000 host
stat -c %h,%s,%u,%g,%Y,%a host a
(exec 3>gone; rm gone; echo lost >&3)
mkfifo fifo
mknod node c 5 1
cd /
"#;

const SAID: &str = "from the host\none\n190\n3000001\nexecuted\n1,14,70000,80000,77,644\n3,";

#[test]
fn both_sides_see_what_the_other_writes() {
    for (kind, options) in KINDS {
        let (scratch, image) = volume(kind, options);
        let outcome = guest(&scratch, &format!("{WORK} umount /mnt; losetup -a"));
        assert!(outcome.text().starts_with(SAID), "{kind}: {}", outcome.text());
        assert_eq!((outcome.errors().as_str(), outcome.status), ("", Status::Ended(0)));
        check(&image);
        assert_eq!(debugfs(&image, "cat /a/b/two"), "one\n");
        assert!(debugfs(&image, "stat /a/soft").contains("b/two"));
        assert!(debugfs(&image, "stat /host").contains("User: 70000   Group: 80000"));
        let big = debugfs(&image, "cat /big");
        assert_eq!(big.len(), 3_000_001);
        assert!(big.starts_with("xxxx") && big.ends_with('\0'), "{kind}");
        let again = "mount -o loop /data/disk.img /media; cat /media/a/three; rm -r /media/a";
        says(&guest(&scratch, &format!("mkdir /media; {again}")), "one\n");
        // The machine has ended, and has unmounted what was mounted.
        check(&image);
    }
}

#[test]
fn what_cannot_be_done_is_refused() {
    let (scratch, image) = volume("ext4", "");
    let script = r#"
        mkdir /mnt /other
        mount -o loop,ro /data/disk.img /mnt
        touch /mnt/x 2>&1 || cat /mnt/host
        umount /mnt
        mount -o loop /data/disk.img /mnt
        grep -c '^/dev/loop[0-9]* /mnt ext4 rw,relatime 0 0$' /proc/mounts
        exec 3>/mnt/open
        mount -o remount,ro /mnt 2>&1 || umount /mnt 2>&1 || exec 3>&-
        mount -o remount,ro /mnt
        touch /mnt/x 2>&1 || umount /mnt
        mount -t ext4 /dev/null /mnt 2>&1 || mount -t ext4 /data/disk.img /mnt 2>&1 || true
        dd if=/dev/zero of=/empty bs=1M count=1 2>/dev/null
        mount -t ext4 -o loop /empty /mnt 2>&1 || true
    "#;
    let expected = "touch: /mnt/x: Read-only file system
from the host
1
mount: mounting /dev/loop0 on /mnt failed: Device or resource busy
umount: can't unmount /mnt: Device or resource busy
touch: /mnt/x: Read-only file system
";
    let outcome = guest(&scratch, script);
    let text = outcome.text();
    assert!(text.starts_with(expected), "{text}");
    assert!(text.contains("mounting /dev/null on /mnt failed: Block device required"), "{text}");
    assert!(text.ends_with("failed: Invalid argument\n"), "{text}");
    assert!(outcome.errors().is_empty() || outcome.errors().starts_with("birgus: "));
    check(&image);
}
