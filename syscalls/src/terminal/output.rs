//! The output queue of a line discipline, and output processing (`OPOST`).

use alloc::collections::VecDeque;

use abi::terminal::{InputFlags, OutputFlags, Termios};

/// How many bytes of writers the queue holds; echo may go a little beyond.
const CAPACITY: usize = 16 * 1024;

/// How far echo may go beyond [`CAPACITY`]; what does not fit is lost.
const ECHO_CAPACITY: usize = CAPACITY + 4096;

/// Most bytes that one byte becomes: a tab.
const LONGEST: usize = 8;

/// The output queue: bytes on their way to the user's screen.
pub(super) struct Output {
    queue: VecDeque<u8>,
    /// The cursor's column, as far as output processing can know it.
    column: usize,
    /// The column where the line that is being edited began.
    line_column: usize,
    /// Both columns when the queue was last empty: where the cursor is if its bytes are lost.
    sent_columns: (usize, usize),
}

/// Whether `byte` is a control character.
pub(super) const fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

/// Whether `byte` belongs to the character before it.
pub(super) const fn is_continuation(byte: u8, settings: &Termios) -> bool {
    settings.input_flags().contains(InputFlags::IUTF8) && byte & 0xc0 == 0x80
}

impl Output {
    pub(super) fn new() -> Self {
        Self { queue: VecDeque::new(), column: 0, line_column: 0, sent_columns: (0, 0) }
    }

    pub(super) fn len(&self) -> usize {
        self.queue.len()
    }

    /// Forgets what has not been sent.
    pub(super) fn clear(&mut self) {
        self.queue.clear();
        (self.column, self.line_column) = self.sent_columns;
    }

    /// Whether a writer's next byte fits.
    pub(super) fn has_room(&self) -> bool {
        self.queue.len() + LONGEST <= CAPACITY
    }

    /// Takes what a program writes; returns how many bytes.
    pub(super) fn write(&mut self, bytes: &[u8], settings: &Termios) -> usize {
        let mut done = 0;
        while done < bytes.len() && self.has_room() {
            let rest = &bytes[done..];
            let room = CAPACITY - self.queue.len();
            let run = run_length(rest, settings).min(room);
            if run > 0 {
                self.queue.extend(&rest[..run]);
                self.column += run;
                done += run;
            } else {
                self.put(rest[0], settings);
                done += 1;
            }
        }
        done
    }

    /// Gives bytes to `send`, which says how many it took.
    pub(super) fn flush(&mut self, mut send: impl FnMut(&[u8]) -> usize) {
        while !self.queue.is_empty() {
            let bytes = self.queue.as_slices().0;
            let sent = send(bytes).min(bytes.len());
            if sent == 0 {
                return;
            }
            self.queue.drain(..sent);
        }
        self.sent_columns = (self.column, self.line_column);
    }

    /// Appends `byte` as output processing makes it.
    pub(super) fn put(&mut self, byte: u8, settings: &Termios) {
        let flags = settings.output_flags();
        if !flags.contains(OutputFlags::OPOST) {
            return self.push(byte);
        }
        match byte {
            b'\n' => self.put_newline(flags),
            b'\r' => self.put_return(flags),
            b'\t' => self.put_tab(flags),
            b'\x08' => {
                self.move_back();
                self.push(byte);
            }
            _ if is_control(byte) => self.push(byte),
            _ => {
                if !is_continuation(byte, settings) {
                    self.column += 1;
                }
                self.push(if flags.contains(OutputFlags::OLCUC) { upper(byte) } else { byte });
            }
        }
    }

    /// Appends `byte` as it is.
    fn push(&mut self, byte: u8) {
        if self.queue.len() < ECHO_CAPACITY {
            self.queue.push_back(byte);
        }
    }

    /// Appends `byte` unprocessed; it takes a column.
    pub(super) fn put_literal(&mut self, byte: u8) {
        self.push(byte);
        self.column += 1;
    }

    /// Appends a control character as `^X`.
    pub(super) fn put_caret(&mut self, byte: u8) {
        self.push(b'^');
        self.push(byte ^ 0x40);
        self.column += 2;
    }

    /// Puts `byte` before all others, for flow control.
    pub(super) fn put_first(&mut self, byte: u8) {
        self.queue.push_front(byte);
    }

    pub(super) fn move_back(&mut self) {
        self.column = self.column.saturating_sub(1);
    }

    /// Remembers that an edited line begins here.
    pub(super) fn begin_line(&mut self) {
        self.line_column = self.column;
    }

    /// Goes back over a tab. `before` is how many columns the characters before it take, back
    /// to the tab before that (`after_tab`) or to the beginning of the line.
    pub(super) fn erase_tab(&mut self, before: usize, after_tab: bool) {
        let column = if after_tab { before } else { before + self.line_column };
        for _ in 0..8 - column % 8 {
            self.push(b'\x08');
            self.move_back();
        }
    }

    fn put_newline(&mut self, flags: OutputFlags) {
        if flags.intersects(OutputFlags::ONLRET.union(OutputFlags::ONLCR)) {
            self.column = 0;
        }
        if flags.contains(OutputFlags::ONLCR) {
            self.push(b'\r');
        }
        self.line_column = self.column;
        self.push(b'\n');
    }

    fn put_return(&mut self, flags: OutputFlags) {
        if flags.contains(OutputFlags::ONOCR) && self.column == 0 {
            return;
        }
        let becomes_newline = flags.contains(OutputFlags::OCRNL);
        if !becomes_newline || flags.contains(OutputFlags::ONLRET) {
            self.column = 0;
            self.line_column = 0;
        }
        self.push(if becomes_newline { b'\n' } else { b'\r' });
    }

    fn put_tab(&mut self, flags: OutputFlags) {
        let width = 8 - self.column % 8;
        self.column += width;
        if flags.contains(OutputFlags::TABDLY) {
            (0..width).for_each(|_| self.push(b' '));
        } else {
            self.push(b'\t');
        }
    }
}

/// How many bytes at the start of `bytes` output processing leaves alone, one column each.
fn run_length(bytes: &[u8], settings: &Termios) -> usize {
    let flags = settings.output_flags();
    if !flags.contains(OutputFlags::OPOST) || flags.contains(OutputFlags::OLCUC) {
        return 0;
    }
    bytes.iter().position(|byte| !(b' '..=b'~').contains(byte)).unwrap_or(bytes.len())
}

/// Latin-1 to lower case, as the kernel does it.
pub(super) const fn lower(byte: u8) -> u8 {
    match byte {
        b'A'..=b'Z' | 0xc0..=0xd6 | 0xd8..=0xde => byte + 0x20,
        _ => byte,
    }
}

/// Latin-1 to upper case, as the kernel does it.
const fn upper(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | 0xe0..=0xf6 | 0xf8..=0xfe => byte - 0x20,
        _ => byte,
    }
}
