//! The picture of the report: a bar for each area, as long as the area has entries that count.

use super::html::safe;
use crate::ltp::score::{Tally, percent};
use crate::ltp::verdict::Verdict;
use std::collections::BTreeMap;

/// What a bar is made of: a class of the style sheet, its name, and how many.
pub(super) fn parts(tally: &Tally) -> [(&'static str, &'static str, usize); 8] {
    let open = |verdict| tally.open[verdict as usize];
    [
        ("covered", "covered", tally.covered),
        ("fewer", "fewer checks", tally.fewer),
        ("conf", "CONF, WARN", open(Verdict::Conf) + open(Verdict::Warn)),
        ("fail", "FAIL", open(Verdict::Fail)),
        ("brok", "BROK", open(Verdict::Brok)),
        ("timeout", "TIMEOUT", open(Verdict::Timeout)),
        ("crash", "CRASH", open(Verdict::Crash)),
        ("none", "not run", tally.not_run + open(Verdict::Missing)),
    ]
}

/// The picture of the coverage by area.
pub(super) fn by_area(areas: &BTreeMap<String, Tally>) -> String {
    let most = areas.values().map(|tally| tally.linux).max().unwrap_or(0);
    let mut html = String::from("<div class=\"picture\">\n");
    for (name, tally) in areas {
        html.push_str(&format!(
            "<div>{}</div><div class=\"line\"><div class=\"bar\" style=\"--part:{:.4}\">",
            safe(name),
            percent(tally.linux, most) / 100.0
        ));
        for (class, words, count) in parts(tally).into_iter().filter(|part| part.2 > 0) {
            html.push_str(&format!(
                "<b class=\"{class}\" style=\"flex-grow:{count}\" title=\"{}: {count} {words}\"></b>",
                safe(name)
            ));
        }
        html.push_str(&format!("</div><span>{}/{}</span></div>\n", tally.covered, tally.linux));
    }
    html.push_str("</div>\n");
    html
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_area_has_a_bar_of_its_parts() {
        let tally = Tally { linux: 3, covered: 1, not_run: 2, ..Tally::default() };
        let html = by_area(&BTreeMap::from([("<x>".to_owned(), tally)]));
        assert_eq!(html.matches("<b ").count(), 2);
        assert!(html.contains("&lt;x&gt;") && !html.contains("<x>"));
        assert!(html.contains("1/3") && html.contains("flex-grow:2"));
        assert!(by_area(&BTreeMap::new()).contains("</div>"));
    }
}
