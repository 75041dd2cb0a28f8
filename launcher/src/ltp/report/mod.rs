//! The coverage report: one HTML page that needs nothing else, Markdown, JSON, and the
//! results as TSV.

mod html;
mod json;
mod markdown;
mod picture;

use super::compare::Difference;
use super::files::Kind;
use super::score::Score;
use crate::Error;
use crate::escape::escaped_os;
use std::fs;
use std::path::Path;

pub use json::read;
pub use markdown::totals;

/// What a report is about.
#[derive(Debug)]
pub struct Report<'a> {
    /// Which suite was run.
    pub suite: Kind,
    /// What the results amount to.
    pub score: &'a Score<'a>,
    /// How it was measured: names and values.
    pub circumstances: Vec<(&'static str, String)>,
    /// What has changed since an earlier report.
    pub difference: Option<Difference>,
}

impl Report<'_> {
    /// What stands above it.
    fn title(&self) -> &'static str {
        match self.suite {
            Kind::Ltp => "LTP coverage of Birgus",
            Kind::Posix => "POSIX coverage of Birgus",
        }
    }
}

/// Writes `report.html`, `report.md` and `report.json` into a directory.
///
/// # Errors
/// A file cannot be written.
pub fn write(report: &Report<'_>, directory: &Path) -> Result<(), Error> {
    let files = [
        ("report.html", html::page(report)),
        ("report.md", markdown::text(report)),
        ("report.json", json::text(report)),
    ];
    for (name, text) in files {
        let path = directory.join(name);
        fs::write(&path, text).map_err(|error| {
            Error::io(format_args!("cannot write {}", escaped_os(&path)), &error)
        })?;
    }
    Ok(())
}
