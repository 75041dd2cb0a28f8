//! The picture of the report: a bar for each area, as SVG.

use super::html::safe;
use crate::ltp::score::Tally;
use crate::ltp::verdict::Verdict;
use std::collections::BTreeMap;

/// Height of a row, in the picture's units.
const ROW: usize = 26;

/// Where the bars begin.
const LEFT: usize = 130;

/// How long the longest bar is.
const LENGTH: usize = 500;

/// Width of the picture.
const WIDTH: usize = 720;

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
    let most = areas.values().map(|tally| tally.linux).max().unwrap_or(0).max(1);
    let height = ROW * areas.len() + 4;
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"Coverage by area\">\n"
    );
    for (index, (name, tally)) in areas.iter().enumerate() {
        let (top, middle) = (index * ROW + 4, index * ROW + ROW / 2 + 6);
        svg.push_str(&format!(
            "<text x=\"{}\" y=\"{middle}\" text-anchor=\"end\">{}</text>",
            LEFT - 10,
            safe(name)
        ));
        let mut before = 0;
        for (class, words, count) in parts(tally).into_iter().filter(|part| part.2 > 0) {
            let scale = |count: usize| LENGTH as f64 * count as f64 / most as f64;
            svg.push_str(&format!(
                "<rect class=\"{class}\" x=\"{:.1}\" y=\"{top}\" width=\"{:.1}\" height=\"{}\">\
                 <title>{}: {count} {words}</title></rect>",
                LEFT as f64 + scale(before),
                scale(count),
                ROW - 6,
                safe(name)
            ));
            before += count;
        }
        svg.push_str(&format!(
            "<text x=\"{:.1}\" y=\"{middle}\">{}/{}</text>\n",
            LEFT as f64 + LENGTH as f64 * before as f64 / most as f64 + 8.0,
            tally.covered,
            tally.linux
        ));
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_area_has_a_bar_of_its_parts() {
        let tally = Tally { linux: 3, covered: 1, not_run: 2, ..Tally::default() };
        let svg = by_area(&BTreeMap::from([("<x>".to_owned(), tally)]));
        assert_eq!(svg.matches("<rect").count(), 2);
        assert!(svg.contains("&lt;x&gt;") && !svg.contains("<x>"));
        assert!(svg.contains("1/3"));
        assert!(by_area(&BTreeMap::new()).contains("</svg>"));
    }
}
