//! Sizes and durations as the command line states them.

use std::time::Duration;

/// Bytes in one MiB.
pub const MIB: u64 = 1 << 20;

/// A kibibyte, in bytes.
pub const KIB: u64 = 1 << 10;

/// Reads a size in bytes: a whole number with one of the suffixes `k`, `M`, `G` or `T` (of
/// 1024 bytes and its powers, in either case, optionally followed by `B` or `iB`). Without a
/// suffix it is bytes, as docker has it. `None` when it is not a size or too large for a
/// `u64`.
#[must_use]
pub fn parse_size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let shift = match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}

/// Reads a duration as timeout(1) does: a decimal number with the suffix `s` (also without
/// any), `m`, `h` or `d`, and `ms` besides. `None` when it is not a duration, when it is zero
/// or when it is longer than about 10,000 years.
#[must_use]
pub fn parse_duration(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, suffix) = text.split_at(digits);
    let unit_s = match suffix {
        "ms" => 1e-3,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86400.0,
        _ => return None,
    };
    let seconds = number.parse::<f64>().ok()? * unit_s;
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|duration| !duration.is_zero() && seconds < 86400.0 * 366.0 * 10_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_the_usual_suffixes() {
        assert_eq!(parse_size("16M"), Some(16 << 20));
        assert_eq!(parse_size("1g"), Some(1 << 30));
        assert_eq!(parse_size("2GiB"), Some(2 << 30));
        assert_eq!(parse_size("4096"), Some(4096));
        assert_eq!(parse_size("512k"), Some(512 << 10));
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in ["", "M", "-1M", "1.5G", "1X", "99999999999G", "1 M", "0x10", "٣M"] {
            assert_eq!(parse_size(text), None, "{text}");
        }
    }

    #[test]
    fn durations_read_as_timeout_reads_them() {
        assert_eq!(parse_duration("10"), Some(Duration::from_secs(10)));
        assert_eq!(parse_duration("1.5s"), Some(Duration::from_millis(1500)));
        assert_eq!(parse_duration("250ms"), Some(Duration::from_millis(250)));
        assert_eq!(parse_duration("2m"), Some(Duration::from_secs(120)));
        assert_eq!(parse_duration("1d"), Some(Duration::from_secs(86400)));
    }

    #[test]
    fn what_is_not_a_duration_is_refused() {
        for text in ["", "s", "0", "0s", "-1", "1e3", "inf", "nan", "1.2.3", "9999999999999d"] {
            assert_eq!(parse_duration(text), None, "{text}");
        }
    }
}
