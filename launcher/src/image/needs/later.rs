//! What is not named in a program and needed all the same, because others name it.

use loader::script::Script;
use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

/// The name of the GNU C library.
pub(super) const GNU_C_LIBRARY: &[u8] = b"libc.so.6";

/// Services of the name service switch where no configuration names others.
const SERVICES: &[u8] = b"all: files dns";

/// Libraries that the GNU C library loads by name: for pthread_exit(3), and the services of
/// the name service switch that `nsswitch`, the text of nsswitch.conf(5), names.
pub(super) fn libraries(nsswitch: Option<&[u8]>) -> Vec<Vec<u8>> {
    let services = services(nsswitch.unwrap_or(SERVICES));
    let of_services = services.into_iter().map(|name| [b"libnss_", name, b".so.2"].concat());
    of_services.chain([b"libgcc_s.so.1".to_vec()]).collect()
}

fn services(text: &[u8]) -> BTreeSet<&[u8]> {
    let is_name = |name: &&[u8]| {
        !name.is_empty() && name.iter().all(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
    };
    text.split(|&byte| byte == b'\n')
        .map(|line| line.split(|&byte| byte == b'#').next().unwrap_or_default())
        .filter_map(|line| Some(&line[line.iter().position(|&byte| byte == b':')? + 1..]))
        .flat_map(|line| line.split(u8::is_ascii_whitespace))
        .filter(is_name)
        .collect()
}

/// The libraries in `LD_PRELOAD`.
pub(super) fn preloaded(list: &OsStr) -> Vec<Vec<u8>> {
    let names = list.as_bytes().split(|byte| matches!(byte, b' ' | b':'));
    names.filter(|name| !name.is_empty()).map(<[u8]>::to_vec).collect()
}

/// The program that a script executed by env(1) asks for: `#!/usr/bin/env python3`.
pub(super) fn program_of_env<'a>(script: &Script<'a>) -> Option<&'a [u8]> {
    if !script.interpreter.ends_with(b"/env") {
        return None;
    }
    let words = script.argument?.split(|byte| matches!(byte, b' ' | b'\t'));
    let mut words = words.filter(|word| !word.is_empty() && *word != b"-S");
    words.find(|word| !word.starts_with(b"-") && !word.contains(&b'=') && !word.contains(&b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_those_of_the_configuration() {
        let names = |text: Option<&str>| -> Vec<String> {
            let all = libraries(text.map(str::as_bytes));
            all.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect()
        };
        let text =
            "# passwd: nothing\npasswd:  files systemd\nhosts: files [!UNAVAIL=return] dns # x\n";
        let expected =
            ["libnss_dns.so.2", "libnss_files.so.2", "libnss_systemd.so.2", "libgcc_s.so.1"];
        assert_eq!(names(Some(text)), expected);
        assert_eq!(names(None).len(), 3);
    }

    #[test]
    fn env_names_a_program() {
        let named = |line: &str| {
            let line = format!("{line}\n");
            let script = Script::parse(line.as_bytes()).unwrap().unwrap();
            program_of_env(&script).map(|name| String::from_utf8_lossy(name).into_owned())
        };
        assert_eq!(named("#!/usr/bin/env python3").as_deref(), Some("python3"));
        assert_eq!(named("#!/usr/bin/env -S A=1 perl -w").as_deref(), Some("perl"));
        assert_eq!(named("#!/usr/bin/env"), None);
        assert_eq!(named("#!/bin/sh python3"), None);
    }

    #[test]
    fn preloaded_libraries_are_separated_by_blanks_and_colons() {
        let found = preloaded(OsStr::new("a.so:/b.so  c.so"));
        assert_eq!(found, [&b"a.so"[..], b"/b.so", b"c.so"]);
    }
}
