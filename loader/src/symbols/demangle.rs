//! Names of Rust functions as their authors wrote them.
//!
//! Names of the `v0` scheme (RFC 2603) nest and refer back, and a full parser calls itself for
//! every level, on a stack that may be small. Only the path of identifiers is undone here, in
//! one pass; arguments of types become `<…>`.

use alloc::string::String;
use alloc::vec::Vec;

/// Deepest nesting of a name that is undone.
const MAX_NESTING: usize = 32;

/// The name that Rust's compiler mangled into `name`, without its hash; `None` when it is not
/// Rust's, or is not just a path.
#[must_use]
pub fn demangled(name: &[u8]) -> Option<String> {
    let name = core::str::from_utf8(name).ok()?;
    if let Some(path) = name.strip_prefix("_R") {
        return demangled_path(path);
    }
    if !name.starts_with("_ZN") {
        return None;
    }
    let name = rustc_demangle::try_demangle(name).ok()?;
    // `#` leaves the hash out.
    Some(alloc::format!("{name:#}"))
}

/// What a level of a path is.
enum Level {
    /// `N`: something in a namespace.
    Nested(u8),
    /// `I`: something with arguments for its types.
    Generic,
}

fn demangled_path(path: &str) -> Option<String> {
    let (levels, mut rest) = levels(path)?;
    let mut name = String::from(identifier(&mut rest)?.1);
    for (above, level) in levels.iter().enumerate().rev() {
        let Level::Nested(namespace) = level else {
            // What follows the arguments could be found only by parsing them.
            name.push_str(if above == 0 { "::<…>" } else { "::<…>::…" });
            break;
        };
        let (number, inner) = identifier(&mut rest)?;
        name.push_str("::");
        match namespace {
            b'C' => name.push_str(&alloc::format!("{{closure#{number}}}")),
            b'A'..=b'Z' => name.push_str(&alloc::format!("{{shim:{inner}#{number}}}")),
            _ => name.push_str(inner),
        }
    }
    Some(name)
}

/// The levels above the crate, the outermost first, and what follows the crate's tag.
fn levels(mut path: &str) -> Option<(Vec<Level>, &str)> {
    let mut levels = Vec::new();
    while levels.len() < MAX_NESTING {
        if let Some(rest) = path.strip_prefix('C') {
            return Some((levels, rest));
        } else if let Some(rest) = path.strip_prefix('I') {
            levels.push(Level::Generic);
            path = rest;
        } else {
            let rest = path.strip_prefix('N')?;
            let namespace = rest.bytes().next().filter(u8::is_ascii_alphabetic)?;
            levels.push(Level::Nested(namespace));
            path = rest.get(1..)?;
        }
    }
    None
}

/// Takes an identifier: an optional disambiguator, its length, its bytes. `None` also for
/// those outside of ASCII, which are encoded.
fn identifier<'a>(path: &mut &'a str) -> Option<(u64, &'a str)> {
    let mut rest = *path;
    let mut number = 0;
    if let Some(after) = rest.strip_prefix('s') {
        let (digits, after) = after.split_once('_')?;
        number = disambiguator(digits)?;
        rest = after;
    }
    let digits = rest.len() - rest.trim_start_matches(|digit: char| digit.is_ascii_digit()).len();
    let (len, after) = rest.split_at_checked(digits)?;
    let len: usize = len.parse().ok()?;
    let after = after.strip_prefix('_').unwrap_or(after);
    let (found, after) = after.split_at_checked(len)?;
    *path = after;
    Some((number, found))
}

/// A number of base 62; nothing stands for 0, `0` for 1. One more than it says.
fn disambiguator(digits: &str) -> Option<u64> {
    if digits.is_empty() {
        return Some(1);
    }
    let mut value = 0_u64;
    for digit in digits.bytes() {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'z' => digit - b'a' + 10,
            b'A'..=b'Z' => digit - b'A' + 36,
            _ => return None,
        };
        // Hashes of crates are long; only closures show the number.
        value = value.wrapping_mul(62).wrapping_add(u64::from(digit));
    }
    Some(value.wrapping_add(2))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(name: &str) -> String {
        demangled(name.as_bytes()).unwrap()
    }

    #[test]
    fn both_schemes_of_rust_are_undone() {
        assert_eq!(shown("_ZN1p5inner17hb447051b399632ceE"), "p::inner");
        let plain = "_RNvNtCsgEmfK2I1SDS_4core9panicking19assert_failed_inner";
        assert_eq!(shown(plain), "core::panicking::assert_failed_inner");
        let generic = "_RINvNtCsjrHSEGnQ3l9_3std9panicking11begin_panicReEB4_";
        assert_eq!(shown(generic), "std::panicking::begin_panic::<…>");
        let closure = "_RNCINvNtCsjrHSEGnQ3l9_3std9panicking11begin_panicReE0B6_";
        assert_eq!(shown(closure), "std::panicking::begin_panic::<…>::…");
        assert_eq!(shown("_RNCNvC1a4main0"), "a::main::{closure#0}");
        assert_eq!(shown("_RNCNvC1a4mains0_0"), "a::main::{closure#2}");
    }

    #[test]
    fn the_numbers_of_closures_are_those_of_the_full_parser() {
        for name in ["_RNCNvC1a4main0", "_RNCNvC1a4mains_0", "_RNCNvC1a4mains0_0", "_RNvC1a1b"] {
            let full = rustc_demangle::demangle(name);
            assert_eq!(shown(name), alloc::format!("{full:#}"), "{name}");
        }
    }

    #[test]
    fn other_names_stay() {
        for name in ["main", "_ZN3foo3barEv", "_R", "_RNvC", "_RB_", "", "_RNvCs_99999999999_a"] {
            assert_eq!(demangled(name.as_bytes()), None, "{name}");
        }
        assert_eq!(demangled(b"_ZN\xff"), None);
        assert_eq!(demangled("_RNvC3é".as_bytes()), None);
        let deep = alloc::format!("_R{}C1a{}", "Nv".repeat(100), "1b".repeat(100));
        assert_eq!(demangled(deep.as_bytes()), None);
    }
}
