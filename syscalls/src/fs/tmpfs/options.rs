//! The options of mount(2) for a file system in memory: tmpfs(5).

use alloc::string::String;
use core::fmt::Write;

use abi::fs::Mode;
use abi::{Errno, PAGE_SIZE};

use crate::error::{Because, Error, Result};

/// What a file system in memory was mounted with; what is `None` was not said.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Most pages.
    pub pages: Option<u64>,
    /// Most inodes.
    pub inodes: Option<u64>,
    /// Permission bits of the root directory.
    pub mode: Option<Mode>,
    /// Owner of the root directory.
    pub owner: Option<u32>,
    /// Group of the root directory.
    pub group: Option<u32>,
}

impl Options {
    /// The permission bits of a root directory of which nothing was said: all may write, and
    /// remove what is theirs.
    pub(super) const DEFAULT_MODE: Mode = Mode::from_bits_retain(0o1777);

    /// Reads `size=`, `nr_blocks=`, `nr_inodes=`, `mode=`, `uid=` and `gid=`, separated by
    /// commas. `size` may be in percent of the machine's memory of so many pages, and 0 is no
    /// limit.
    ///
    /// # Errors
    /// `EINVAL` for what is not known or no number.
    pub fn parse(text: &[u8], memory_pages: u64) -> Result<Self> {
        let mut options = Self::default();
        let text = core::str::from_utf8(text).map_err(|_| invalid())?;
        for option in text.split(',').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            match name {
                "size" => options.pages = Some(size(value, memory_pages)?),
                "nr_blocks" => options.pages = Some(count(value)?),
                "nr_inodes" => options.inodes = Some(count(value)?),
                "mode" => {
                    let bits = u32::from_str_radix(value, 8).map_err(|_| invalid())?;
                    options.mode = Some(Mode::of(bits));
                }
                "uid" => options.owner = Some(value.parse().map_err(|_| invalid())?),
                "gid" => options.group = Some(value.parse().map_err(|_| invalid())?),
                // Numbers of inodes have 64 bits.
                "inode64" if value.is_empty() => {}
                _ => return Err(invalid()),
            }
        }
        Ok(options)
    }

    /// The options as /proc/mounts shows them.
    pub(super) fn show(&self) -> String {
        let mut text = String::new();
        // Writing to a string does not fail.
        if let Some(pages) = self.pages.filter(|&pages| pages < u64::MAX) {
            let _ = write!(text, ",size={}k", pages * (PAGE_SIZE as u64 / 1024));
        }
        if let Some(inodes) = self.inodes.filter(|&inodes| inodes < u64::MAX) {
            let _ = write!(text, ",nr_inodes={inodes}");
        }
        if let Some(mode) = self.mode.filter(|&mode| mode != Self::DEFAULT_MODE) {
            let _ = write!(text, ",mode={:03o}", mode.bits());
        }
        if let Some(owner) = self.owner.filter(|&owner| owner != 0) {
            let _ = write!(text, ",uid={owner}");
        }
        if let Some(group) = self.group.filter(|&group| group != 0) {
            let _ = write!(text, ",gid={group}");
        }
        text
    }
}

fn invalid() -> Error {
    Errno::EINVAL.because("an option is not known or its value not valid")
}

/// A number of pages from a size in bytes or in percent.
fn size(value: &str, memory_pages: u64) -> Result<u64> {
    if let Some(percent) = value.strip_suffix('%') {
        let percent: u64 = percent.parse().map_err(|_| invalid())?;
        return Ok(unlimited_if_zero(memory_pages.saturating_mul(percent) / 100));
    }
    Ok(unlimited_if_zero(number(value)?.div_ceil(PAGE_SIZE as u64)))
}

fn count(value: &str) -> Result<u64> {
    number(value).map(unlimited_if_zero)
}

fn unlimited_if_zero(number: u64) -> u64 {
    // So many pages have a size in bytes that fits an i64.
    const MOST: u64 = i64::MAX as u64 / PAGE_SIZE as u64;
    if number == 0 { u64::MAX } else { number.min(MOST) }
}

/// A number with one of the suffixes k, m, g and t, or without.
fn number(value: &str) -> Result<u64> {
    let shift = match value.bytes().last().map(|byte| byte.to_ascii_lowercase()) {
        Some(b'k') => 10,
        Some(b'm') => 20,
        Some(b'g') => 30,
        Some(b't') => 40,
        _ => 0,
    };
    let digits = if shift == 0 { value } else { &value[..value.len() - 1] };
    let number: u64 = digits.parse().map_err(|_| invalid())?;
    number.checked_mul(1 << shift).ok_or_else(invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_read_and_shown() {
        let options = Options::parse(b"size=1m,nr_inodes=2k,mode=700,uid=1,gid=2", 1000).unwrap();
        assert_eq!((options.pages, options.inodes), (Some(256), Some(2048)));
        assert_eq!(options.show(), ",size=1024k,nr_inodes=2048,mode=700,uid=1,gid=2");
        assert_eq!(Options::parse(b"size=50%", 1000).unwrap().pages, Some(500));
        assert_eq!(Options::parse(b"size=1", 1000).unwrap().pages, Some(1));
        assert_eq!(Options::parse(b"mode=1777", 1000).unwrap().show(), "");
        assert_eq!(Options::parse(b"size=0", 1000).unwrap().show(), "");
    }

    #[test]
    fn what_is_not_known_or_no_number_is_refused() {
        for text in ["size", "size=", "size=x", "size=1kk", "color=red", "mode=9", "uid=-1"] {
            assert_eq!(Options::parse(text.as_bytes(), 1).unwrap_err().errno, Errno::EINVAL);
        }
        assert!(Options::parse(b"size=99999999999999999t", 1).is_err());
        assert!(Options::parse(b"\xff", 1).is_err());
    }
}
