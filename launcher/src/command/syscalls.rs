//! `birgus syscalls`

use crate::Error;
use crate::escape::escaped;
use crate::kernel::{self, Row};
use abi::boot::table::Support;
use std::fmt::Write;

/// Prints the table of the embedded kernel; status 0.
pub(super) fn print(json: bool) -> Result<u8, Error> {
    let rows =
        kernel::table(kernel::embedded()).map_err(|error| Error::Failed(error.to_string()))?;
    super::print(&if json { as_json(&rows) } else { as_text(&rows) })
}

fn as_text(rows: &[Row]) -> String {
    let mut text = String::new();
    for Row { number, name, support, note } in rows {
        let (name, note) = (escaped(name).to_string(), escaped(note));
        let line = format!("{number:>3}  {name:<24} {:<8} {note}", support.name());
        text.push_str(line.trim_end());
        text.push('\n');
    }
    let count = |level| rows.iter().filter(|row| row.support == level).count();
    let (full, partial, none) =
        (count(Support::Full), count(Support::Partial), count(Support::None));
    // Writing to a string does not fail.
    let _ = writeln!(
        text,
        "\n{} system calls: {full} full, {partial} partial, {none} none",
        rows.len()
    );
    text
}

fn as_json(rows: &[Row]) -> String {
    let objects: Vec<String> = rows
        .iter()
        .map(|Row { number, name, support, note }| {
            let (name, support, note) =
                (json_string(name), json_string(support.name()), json_string(note));
            format!(
                "  {{\"number\": {number}, \"name\": {name}, \"support\": {support}, \
                 \"note\": {note}}}"
            )
        })
        .collect();
    format!("[\n{}\n]\n", objects.join(",\n"))
}

/// A JSON string (RFC 8259, section 7), with everything escaped that could harm a terminal.
fn json_string(text: &str) -> String {
    let mut out = String::from("\"");
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            ' '..='~' => out.push(character),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    let _ = write!(out, "\\u{unit:04x}");
                }
            }
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Row> {
        let row = |number, name: &str, support, note: &str| Row {
            number,
            name: name.into(),
            support,
            note: note.into(),
        };
        vec![
            row(0, "read", Support::Full, ""),
            row(16, "ioctl", Support::Partial, "no \"raw\" disks\x1b"),
        ]
    }

    #[test]
    fn the_text_ends_with_the_counts() {
        let text = as_text(&rows());
        let expected = "  0  read                     full\n \
             16  ioctl                    partial  no \"raw\" disks\\x1b\n\n\
             2 system calls: 1 full, 1 partial, 0 none\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn json_is_escaped() {
        let json = as_json(&rows());
        assert!(json.starts_with("[\n  {\"number\": 0, \"name\": \"read\", \"support\": \"full\""));
        assert!(json.contains(r#""note": "no \"raw\" disks\u001b"}"#));
        assert_eq!(json_string("a\\é𝄞"), r#""a\\\u00e9\ud834\udd1e""#);
    }
}
