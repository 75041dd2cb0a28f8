//! The locale that the program's environment asks for (locale(7)), where the host has it.
//!
//! Without a variable that names one, programs are in the C locale and need no files.

use super::bring::bring;
use super::tree::Tree;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the GNU C library has its locales.
const FOLDER: &str = "/usr/lib/locale";

/// Brings the locales that the environment names.
pub(super) fn bring_all(tree: &mut Tree, environment: &[(OsString, OsString)]) {
    let is_locale = |name: &str| name == "LANG" || name.starts_with("LC_");
    for (name, value) in environment {
        if name.to_str().is_some_and(is_locale)
            && let Some(value) = value.to_str()
        {
            bring_one(tree, value);
        }
    }
}

fn bring_one(tree: &mut Tree, name: &str) {
    let Some(folder) = folder_name(name) else { return };
    let folder = Path::new(FOLDER).join(folder);
    if folder.is_dir() {
        files(&folder).iter().for_each(|file| {
            let _ = bring(tree, file);
        });
    } else {
        // All other locales are in one file, where there are any.
        let _ = bring(tree, &Path::new(FOLDER).join("locale-archive"));
    }
}

/// The folder of a locale: the codeset in its name is spelled without punctuation, in small
/// letters. `None` for those that are built in, and for what is no name.
fn folder_name(locale: &str) -> Option<String> {
    if matches!(locale, "" | "C" | "POSIX") || locale.contains('/') {
        return None;
    }
    let (name, modifier) =
        locale.split_once('@').map_or((locale, ""), |(name, _)| (name, &locale[name.len()..]));
    let Some((language, codeset)) = name.split_once('.') else { return Some(locale.into()) };
    let codeset: String = codeset.chars().filter(char::is_ascii_alphanumeric).collect();
    Some(format!("{language}.{}{modifier}", codeset.to_ascii_lowercase()))
}

/// The files of a locale: those in its folder and in the one for messages.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = |folder: &Path| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    let mut all = entries(folder);
    all.extend(entries(&folder.join("LC_MESSAGES")));
    all.retain(|path| path.is_file());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codesets_are_spelled_in_one_way() {
        let name = |locale| folder_name(locale);
        assert_eq!(name("C.UTF-8").as_deref(), Some("C.utf8"));
        assert_eq!(name("de_DE.ISO-8859-15@euro").as_deref(), Some("de_DE.iso885915@euro"));
        assert_eq!(name("de_DE@euro").as_deref(), Some("de_DE@euro"));
        for built_in in ["", "C", "POSIX", "../../etc"] {
            assert_eq!(name(built_in), None);
        }
    }
}
