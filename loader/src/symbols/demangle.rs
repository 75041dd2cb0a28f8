//! Names of Rust functions as their authors wrote them.

use alloc::string::{String, ToString};

/// Deepest nesting of a name in Rust's `v0` scheme that is undone: the parser calls itself for
/// every level, on a stack that may be small.
const MAX_NESTING: usize = 16;

/// The name that Rust's compiler mangled into `name`, without its hash; `None` when it is not
/// Rust's, or of a form whose nesting has no bound that is easily seen.
#[must_use]
pub fn demangled(name: &[u8]) -> Option<String> {
    let name = core::str::from_utf8(name).ok()?;
    if let Some(path) = name.strip_prefix("_R")
        && !is_plain_path(path.as_bytes())
    {
        return None;
    }
    if !name.starts_with("_R") && !name.starts_with("_ZN") {
        return None;
    }
    let name = rustc_demangle::try_demangle(name).ok()?;
    // `#` leaves the hash out.
    Some(alloc::format!("{name:#}").to_string())
}

/// Whether `path` is one or more identifiers within a crate (RFC 2603: `N`, `C`), without
/// types, implementations or references back, and not nested too deeply.
fn is_plain_path(mut path: &[u8]) -> bool {
    let mut nested = 0;
    while let [b'N', namespace, rest @ ..] = path {
        if !namespace.is_ascii_alphabetic() || nested == MAX_NESTING {
            return false;
        }
        nested += 1;
        path = rest;
    }
    let [b'C', rest @ ..] = path else {
        return false;
    };
    path = rest;
    for _ in 0..=nested {
        let Some(rest) = after_identifier(path) else {
            return false;
        };
        path = rest;
    }
    path.is_empty() || path.starts_with(b".")
}

/// What follows an identifier: an optional disambiguator `s…_`, its length, its bytes.
fn after_identifier(mut path: &[u8]) -> Option<&[u8]> {
    if let [b's', rest @ ..] = path {
        let end = rest.iter().position(|byte| !byte.is_ascii_alphanumeric())?;
        path = rest[end..].strip_prefix(b"_")?;
    }
    let digits = path.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let len: usize = core::str::from_utf8(path.get(..digits)?).ok()?.parse().ok()?;
    let rest = &path[digits..];
    let rest = rest.strip_prefix(b"_").unwrap_or(rest);
    rest.get(len..)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_schemes_of_rust_are_undone() {
        let old = demangled(b"_ZN1p5inner17hb447051b399632ceE");
        assert_eq!(old.as_deref(), Some("p::inner"));
        let new = demangled(b"_RNvNtCsgEmfK2I1SDS_4core9panicking19assert_failed_inner");
        assert_eq!(new.as_deref(), Some("core::panicking::assert_failed_inner"));
    }

    #[test]
    fn other_names_stay() {
        for name in ["main", "_ZN3foo3barEv", "_R", "_RNvC", "_RB_", "", "_RNvCs_99999999999_a"] {
            assert_eq!(demangled(name.as_bytes()), None, "{name}");
        }
        assert_eq!(demangled(b"_ZN\xff"), None);
        let mut deep = b"_R".to_vec();
        deep.extend(b"Nv".repeat(100));
        deep.extend(b"C1a");
        deep.extend(b"1b".repeat(100));
        assert_eq!(demangled(&deep), None);
    }
}
