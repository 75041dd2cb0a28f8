//! The marks between the entries of a batch, in the stream of what they write.
//!
//! [`sequence`](super::sequence) writes them inside the machine, [`Splitter`] finds them. A
//! word that is new for each machine keeps a test's own words from passing for one.

use abi::boot::channel::ExitStatus;

/// What a mark begins and ends with.
const BOUNDARY: u8 = 0x1e;

/// No mark is longer, in bytes.
const LONGEST: usize = 128;

/// A mark: which entry of the batch begins, or has ended and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It begins.
    Begin(usize),
    /// It has ended.
    End(usize, ExitStatus),
}

impl Mark {
    /// The mark as it is written.
    #[must_use]
    pub fn text(&self, word: &str) -> String {
        let inner = match self {
            Self::Begin(entry) => format!("begin {entry}"),
            Self::End(entry, ExitStatus::Exited(status)) => format!("exited {entry} {status}"),
            Self::End(entry, ExitStatus::Killed(signal)) => format!("killed {entry} {signal}"),
            Self::End(entry, ExitStatus::NotStarted(errno)) => format!("refused {entry} {errno}"),
            Self::End(entry, ExitStatus::KernelFailure) => format!("lost {entry} 0"),
        };
        format!("\x1e{word} {inner}\x1e")
    }

    fn parse(text: &str, word: &str) -> Option<Self> {
        let words: Vec<&str> = text.strip_prefix(word)?.split_whitespace().collect();
        Some(match words[..] {
            ["begin", entry] => Self::Begin(entry.parse().ok()?),
            [how, entry, number] => {
                let status = match how {
                    "exited" => ExitStatus::Exited(number.parse().ok()?),
                    "killed" => ExitStatus::Killed(number.parse().ok()?),
                    "refused" => ExitStatus::NotStarted(number.parse().ok()?),
                    "lost" => ExitStatus::KernelFailure,
                    _ => return None,
                };
                Self::End(entry.parse().ok()?, status)
            }
            _ => return None,
        })
    }
}

/// A piece of the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece<'a> {
    /// What a test wrote.
    Output(&'a [u8]),
    /// A mark.
    Mark(Mark),
}

/// Finds the marks in a stream that comes in pieces of any length.
#[derive(Debug)]
pub struct Splitter {
    word: String,
    /// What may be the beginning of a mark.
    kept: Vec<u8>,
}

impl Splitter {
    /// For the marks with this word.
    #[must_use]
    pub fn new(word: String) -> Self {
        Self { word, kept: Vec::new() }
    }

    /// Takes bytes of the stream.
    pub fn feed(&mut self, bytes: &[u8], take: &mut dyn FnMut(Piece<'_>)) {
        self.kept.extend_from_slice(bytes);
        let kept = std::mem::take(&mut self.kept);
        let mut rest = &kept[..];
        while let Some(at) = rest.iter().position(|&byte| byte == BOUNDARY) {
            output(&rest[..at], take);
            rest = &rest[at..];
            let end = rest.iter().skip(1).take(LONGEST).position(|&byte| byte == BOUNDARY);
            let inner = end.map_or(&rest[1..], |end| &rest[1..=end]);
            let mark = end
                .and_then(|_| std::str::from_utf8(inner).ok())
                .and_then(|text| Mark::parse(text, &self.word));
            if let Some(mark) = mark {
                take(Piece::Mark(mark));
                rest = &rest[inner.len() + 2..];
            } else if end.is_none() && rest.len() <= LONGEST {
                self.kept = rest.to_vec();
                return;
            } else {
                output(&rest[..1], take);
                rest = &rest[1..];
            }
        }
        output(rest, take);
    }

    /// What was held back, at the end of the stream.
    pub fn finish(&mut self, take: &mut dyn FnMut(Piece<'_>)) {
        output(&std::mem::take(&mut self.kept), take);
    }
}

fn output(bytes: &[u8], take: &mut dyn FnMut(Piece<'_>)) {
    if !bytes.is_empty() {
        take(Piece::Output(bytes));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Output, and marks as their debug text, in order.
    fn split(pieces: &[&[u8]]) -> (Vec<u8>, Vec<Mark>) {
        let (mut text, mut marks) = (Vec::new(), Vec::new());
        let mut take = |piece: Piece<'_>| match piece {
            Piece::Output(bytes) => text.extend_from_slice(bytes),
            Piece::Mark(mark) => marks.push(mark),
        };
        let mut splitter = Splitter::new("w0".into());
        for piece in pieces {
            splitter.feed(piece, &mut take);
        }
        splitter.finish(&mut take);
        (text, marks)
    }

    #[test]
    fn marks_are_found_wherever_the_stream_is_cut() {
        let marks = vec![
            Mark::Begin(0),
            Mark::End(0, ExitStatus::Exited(33)),
            Mark::Begin(1),
            Mark::End(1, ExitStatus::Killed(9)),
            Mark::End(2, ExitStatus::NotStarted(8)),
        ];
        let texts: Vec<String> = marks.iter().map(|mark| mark.text("w0")).collect();
        let stream =
            format!("a{}half a line{}{}\n{}{}", texts[0], texts[1], texts[2], texts[3], texts[4]);
        for cut in 0..=stream.len() {
            let (first, second) = stream.as_bytes().split_at(cut);
            assert_eq!(split(&[first, second]), (b"ahalf a line\n".to_vec(), marks.clone()));
        }
        let bytes: Vec<&[u8]> = stream.as_bytes().chunks(1).collect();
        assert_eq!(split(&bytes), (b"ahalf a line\n".to_vec(), marks));
    }

    #[test]
    fn what_only_resembles_a_mark_is_output() {
        let long = [b"\x1e".as_slice(), &[b'x'; 2 * LONGEST], b"\x1e"].concat();
        let odd: [&[u8]; 6] = [
            b"\x1e\x1e\x1e",
            b"\x1ew1 begin 0\x1e",
            b"\x1ew0 begin x\x1e",
            b"\x1ew0",
            &long,
            b"\x1e",
        ];
        for text in odd {
            assert_eq!(split(&[text]), (text.to_vec(), vec![]));
        }
        let near = [b"\x1ew1 b".as_slice(), Mark::Begin(3).text("w0").as_bytes()].concat();
        assert_eq!(split(&[&near]), (b"\x1ew1 b".to_vec(), vec![Mark::Begin(3)]));
    }
}
