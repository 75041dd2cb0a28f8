//! A server whose answers are right but for what the input says.

use alloc::collections::VecDeque;
use alloc::vec;
use alloc::vec::Vec;
use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use crate::machine::{Answer, Message, MessageChannel, Refused};

/// Length of what every message begins with.
const HEADER_LEN: usize = 7;

/// The server: each answer takes one byte of the input that says how wrong it is, and, for
/// all but right ones, more.
pub(super) struct Server {
    state: Mutex<State>,
}

struct State {
    input: VecDeque<u8>,
    /// The fids that are directories.
    directories: HashSet<u32>,
    answers: VecDeque<Answer>,
    is_dead: bool,
}

impl Server {
    pub(super) fn new(input: &[u8]) -> Self {
        let input = input.iter().copied().collect();
        let state =
            State { input, directories: HashSet::new(), answers: VecDeque::new(), is_dead: false };
        Self { state: Mutex::new(state) }
    }

    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl MessageChannel for Server {
    fn name(&self) -> &[u8] {
        b"h"
    }

    fn send(&self, message: Message) -> Result<(), Refused> {
        self.with(|state| {
            if state.is_dead {
                return Err(Refused::Dead);
            }
            state.answer(&message);
            Ok(())
        })
    }

    fn receive(&self) -> Option<Answer> {
        self.with(|state| state.answers.pop_front())
    }

    fn is_alive(&self) -> bool {
        self.with(|state| !state.is_dead)
    }
}

impl State {
    /// The next byte of the input; at its end all answers are right.
    fn next(&mut self) -> u8 {
        self.input.pop_front().unwrap_or(0)
    }

    fn answer(&mut self, message: &Message) {
        let request = &message.request;
        let kind = request.get(4).copied().unwrap_or(0);
        let mut body = self.right(kind, request);
        let (mut token, mut reply) = (message.token, kind + 1);
        match self.next() {
            0..0x80 => {}
            // Some bytes are others.
            wrong @ 0x80..0xe0 => {
                for _ in 0..wrong % 8 {
                    let (at, byte) = (usize::from(self.next()), self.next());
                    let len = body.len().max(1);
                    if let Some(place) = body.get_mut(at % len) {
                        *place ^= byte;
                    }
                }
            }
            0xe0..0xe8 => body.truncate(usize::from(self.next())),
            0xe8..0xf0 => body.resize(usize::from(self.next()) * 64, 0x55),
            0xf0..0xf8 => (reply, body) = (7, vec![self.next(), self.next(), 0, 0]),
            0xf8 => reply = self.next(),
            0xf9 => token = u16::from(self.next()),
            // No answer.
            0xfa => return,
            0xfb => self.is_dead = true,
            _ => {
                let len = usize::from(self.next());
                let bytes = (0..len).map(|_| self.next()).collect();
                self.answers.push_back(Answer { token, bytes });
                return;
            }
        }
        let mut bytes = ((HEADER_LEN + body.len()) as u32).to_le_bytes().to_vec();
        bytes.push(reply);
        bytes.extend(request.get(5..7).unwrap_or_default());
        bytes.extend(body);
        // No device writes more than there is room for.
        bytes.truncate(message.reply.len());
        self.answers.push_back(Answer { token, bytes });
    }

    /// The right answer to a request.
    fn right(&mut self, kind: u8, request: &[u8]) -> Vec<u8> {
        let number = |at: usize| {
            let bytes = request.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
            bytes.map_or(0, u32::from_le_bytes)
        };
        let fid = number(7);
        match kind {
            8 => [&[1, 0, 0, 0, 0, 16, 0, 0][..], &[9; 52]].concat(),
            12 | 14 => [&qid(self.directories.contains(&fid))[..], &[0; 4]].concat(),
            16 | 18 | 72 => qid(kind == 72),
            22 => b"\x01\0f".to_vec(),
            24 => attributes(self.directories.contains(&fid)),
            40 => directory(number(11)),
            100 => [&number(7).to_le_bytes()[..], b"\x08\09P2000.L"].concat(),
            104 => {
                self.directories.insert(fid);
                qid(true)
            }
            110 => self.walk(fid, number(11), request),
            116 => {
                let len = number(19).min(5000);
                [&len.to_le_bytes()[..], &vec![b'x'; len as usize]].concat()
            }
            118 => number(19).to_le_bytes().to_vec(),
            120 => {
                self.directories.remove(&fid);
                Vec::new()
            }
            _ => Vec::new(),
        }
    }

    /// A name that begins with `d` is that of a directory.
    fn walk(&mut self, from: u32, to: u32, request: &[u8]) -> Vec<u8> {
        let is_directory = match request.get(19) {
            Some(first) => *first == b'd',
            None => self.directories.contains(&from),
        };
        if is_directory {
            self.directories.insert(to);
        } else {
            self.directories.remove(&to);
        }
        match request.get(19) {
            Some(_) => [&[1, 0][..], &qid(is_directory)].concat(),
            None => vec![0, 0],
        }
    }
}

fn qid(is_directory: bool) -> Vec<u8> {
    let (kind, path) = if is_directory { (0x80, 1) } else { (0, 2) };
    [&[kind, 1, 0, 0, 0][..], &u64::to_le_bytes(path)].concat()
}

fn attributes(is_directory: bool) -> Vec<u8> {
    let mode: u32 = if is_directory { 0o040_755 } else { 0o100_644 };
    let (ids, sizes) = ([0_u32; 2], [1_u64, 0, 5000, 4096, 16]);
    let mut body = [&[0xff, 7, 0, 0, 0, 0, 0, 0][..], &qid(is_directory)].concat();
    body.extend(mode.to_le_bytes());
    body.extend(ids.iter().flat_map(|id| id.to_le_bytes()));
    body.extend(sizes.iter().flat_map(|size| size.to_le_bytes()));
    body.extend([0; 80]);
    body
}

/// One entry, and then the end.
fn directory(offset: u32) -> Vec<u8> {
    if offset > 0 {
        return vec![0; 4];
    }
    let entry = [&qid(false)[..], &1_u64.to_le_bytes(), b"\x08\x01\0f"].concat();
    [&(entry.len() as u32).to_le_bytes()[..], &entry].concat()
}
