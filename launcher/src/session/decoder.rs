//! Bytes in any portions to whole frames.

use abi::boot::channel::{BadHeader, HEADER_LEN, Header};

/// Collects one frame at a time, however its bytes are cut into portions. Holds at most
/// one frame, whose size the contract bounds.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    header: [u8; HEADER_LEN],
    header_len: usize,
    payload: Vec<u8>,
    /// The header is whole and was valid.
    current: Option<Header>,
    /// The frame was handed out, and the next byte begins another.
    done: bool,
}

impl Decoder {
    /// Takes bytes from the front of `input` until a frame is whole; then its header, with
    /// the payload in [`Self::payload`] until the next call. `None`: all of `input` is taken
    /// and more is wanted.
    pub(super) fn next(&mut self, input: &mut &[u8]) -> Result<Option<Header>, BadHeader> {
        if self.done {
            self.done = false;
            self.current = None;
            self.header_len = 0;
            self.payload.clear();
        }
        let header = match self.current {
            Some(header) => header,
            None => {
                let taken = take(input, HEADER_LEN - self.header_len);
                self.header[self.header_len..][..taken.len()].copy_from_slice(taken);
                self.header_len += taken.len();
                if self.header_len < HEADER_LEN {
                    return Ok(None);
                }
                *self.current.insert(Header::from_bytes(self.header)?)
            }
        };
        self.payload.extend_from_slice(take(input, header.len - self.payload.len()));
        self.done = self.payload.len() == header.len;
        Ok(self.done.then_some(header))
    }

    /// The payload of the frame that [`Self::next`] completed.
    pub(super) fn payload(&self) -> &[u8] {
        &self.payload
    }
}

/// At most `max` bytes from the front of `input`.
fn take<'a>(input: &mut &'a [u8], max: usize) -> &'a [u8] {
    let (taken, rest) = input.split_at(max.min(input.len()));
    *input = rest;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;
    use abi::boot::channel::{Kind, MAX_PAYLOAD, Stream};

    fn frame(kind: Kind, stream: Stream, payload: &[u8]) -> Vec<u8> {
        let mut bytes = Header { kind, stream, len: payload.len() }.to_bytes().to_vec();
        bytes.extend_from_slice(payload);
        bytes
    }

    fn collect(decoder: &mut Decoder, mut input: &[u8]) -> Vec<(Kind, Vec<u8>)> {
        let mut frames = Vec::new();
        while let Some(header) = decoder.next(&mut input).unwrap() {
            frames.push((header.kind, decoder.payload().to_vec()));
        }
        assert!(input.is_empty());
        frames
    }

    #[test]
    fn frames_cut_at_every_byte_are_whole_again() {
        let mut bytes = frame(Kind::Hello, Stream::Stdin, &[1, 0]);
        bytes.extend(frame(Kind::Data, Stream::Stdout, b"hello"));
        bytes.extend(frame(Kind::Close, Stream::Stdout, b""));
        let whole = collect(&mut Decoder::default(), &bytes);
        assert_eq!(whole.len(), 3);
        for cut in 0..=bytes.len() {
            let mut decoder = Decoder::default();
            let mut frames = collect(&mut decoder, &bytes[..cut]);
            frames.extend(collect(&mut decoder, &bytes[cut..]));
            assert_eq!(frames, whole, "cut at {cut}");
        }
        let mut decoder = Decoder::default();
        let single: Vec<_> = bytes.iter().flat_map(|b| collect(&mut decoder, &[*b])).collect();
        assert_eq!(single, whole);
    }

    #[test]
    fn the_largest_payload_is_taken_and_a_larger_one_refused() {
        let bytes = frame(Kind::Data, Stream::Stdout, &vec![7; MAX_PAYLOAD]);
        assert_eq!(collect(&mut Decoder::default(), &bytes)[0].1.len(), MAX_PAYLOAD);
        let header = Header { kind: Kind::Data, stream: Stream::Stdout, len: MAX_PAYLOAD + 1 };
        let error = Decoder::default().next(&mut &header.to_bytes()[..]);
        assert_eq!(error, Err(BadHeader::Length(MAX_PAYLOAD as u32 + 1)));
    }
}
