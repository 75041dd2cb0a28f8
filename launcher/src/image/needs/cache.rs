//! The dynamic linker's cache, `/etc/ld.so.cache` (ldconfig(8)): which library is where.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

/// Begins the format that the GNU C library has used since 2.2; the older one may stand
/// before it.
const MAGIC: &[u8] = b"glibc-ld.so.cache1.1";
/// Length in bytes of the header, which begins with [`MAGIC`].
const HEADER_LEN: usize = 48;
/// Length in bytes of an entry: flags, name, path, 4 bytes and a word for the processor.
const ENTRY_LEN: usize = 24;
/// Flags of a library for x86-64 and the GNU C library 2 (`FLAG_X8664_LIB64 | FLAG_ELF_LIBC6`).
const X86_64: u32 = 0x0303;

/// Libraries for x86-64 by name; one that exists for several processors has several paths.
#[derive(Debug, Default)]
pub(super) struct Cache {
    paths: HashMap<Vec<u8>, Vec<PathBuf>>,
}

impl Cache {
    /// Reads a cache; what does not make sense in it is left out.
    pub(super) fn parse(bytes: &[u8]) -> Self {
        let mut cache = Self::default();
        let magic = bytes.windows(MAGIC.len()).position(|window| window == MAGIC);
        let Some(bytes) = magic.and_then(|start| bytes.get(start..)) else { return cache };
        let count = word(bytes, MAGIC.len()).unwrap_or(0) as usize;
        let entries = bytes.get(HEADER_LEN..).unwrap_or_default().chunks_exact(ENTRY_LEN);
        for entry in entries.take(count) {
            if word(entry, 0) != Some(X86_64) {
                continue;
            }
            let text = |at| word(entry, at).and_then(|offset| string(bytes, offset as usize));
            if let (Some(name), Some(path)) = (text(4), text(8)) {
                let path = PathBuf::from(OsStr::from_bytes(path));
                cache.paths.entry(name.to_vec()).or_default().push(path);
            }
        }
        cache
    }

    /// Where the library with this name is.
    pub(super) fn paths(&self, name: &[u8]) -> &[PathBuf] {
        self.paths.get(name).map_or(&[], Vec::as_slice)
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u32::from_le_bytes(*bytes))
}

/// The string that begins at `offset`.
fn string(bytes: &[u8], offset: usize) -> Option<&[u8]> {
    let rest = bytes.get(offset..)?;
    let end = rest.iter().position(|&byte| byte == 0)?;
    Some(&rest[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// A cache with these entries: flags, name, path.
    fn file(entries: &[(u32, &str, &str)]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(u32::try_from(entries.len()).unwrap().to_le_bytes());
        bytes.resize(HEADER_LEN, 0);
        let mut strings: Vec<u8> = Vec::new();
        let start = HEADER_LEN + entries.len() * ENTRY_LEN;
        for (flags, name, path) in entries {
            bytes.extend(flags.to_le_bytes());
            for text in [name, path] {
                let at = u32::try_from(start + strings.len()).unwrap();
                bytes.extend(at.to_le_bytes());
                strings.extend([text.as_bytes(), b"\0"].concat());
            }
            bytes.extend([0; 12]);
        }
        bytes.extend(strings);
        bytes
    }

    #[test]
    fn libraries_for_this_processor_are_found() {
        let entries = [
            (X86_64, "libz.so.1", "/lib/v3/libz.so.1"),
            (X86_64, "libz.so.1", "/lib/libz.so.1"),
            (3, "libz.so.1", "/lib32/libz.so.1"),
            (X86_64, "liby.so", "/lib/liby.so"),
        ];
        let new = file(&entries);
        let old = [b"ld.so-1.7.0\0\0\0\0\0".to_vec(), new.clone()].concat();
        for bytes in [new, old] {
            let cache = Cache::parse(&bytes);
            let expected = [Path::new("/lib/v3/libz.so.1"), Path::new("/lib/libz.so.1")];
            assert_eq!(cache.paths(b"libz.so.1"), expected);
            assert_eq!(cache.paths(b"liby.so").len(), 1);
            assert!(cache.paths(b"libx.so").is_empty());
        }
    }

    #[test]
    fn a_damaged_cache_says_less() {
        let whole = file(&[(X86_64, "a", "/a"), (X86_64, "b", "/b")]);
        for len in 0..whole.len() {
            let cache = Cache::parse(&whole[..len]);
            assert!(cache.paths(b"b").is_empty());
        }
        let mut wild = whole;
        wild[HEADER_LEN + 4..HEADER_LEN + 8].copy_from_slice(&[0xff; 4]);
        assert_eq!(Cache::parse(&wild).paths(b"b").len(), 1);
    }
}
