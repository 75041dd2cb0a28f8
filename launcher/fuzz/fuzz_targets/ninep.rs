//! Arbitrary bytes as messages to the server of directories, which serves one of its own.
#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;

static SHARE: LazyLock<PathBuf> = LazyLock::new(|| {
    let share = std::env::temp_dir().join(format!("birgus-fuzz-{}/share", std::process::id()));
    std::fs::create_dir_all(&share).expect("the directory for temporary files can be written to");
    share
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    birgus::vmm::fuzz::ninep(&SHARE, input);
    let beside = SHARE.parent().map(std::fs::read_dir);
    assert!(beside.is_some_and(|entries| entries.is_ok_and(|entries| entries.count() == 1)));
});
