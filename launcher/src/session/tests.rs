//! The session against guests that keep the contract and guests that do not.

use super::*;
use abi::boot::channel::BadHeader;

const PIPES: Terminals = [false; 3];
const TERMINAL: Terminals = [true; 3];

fn frame(kind: Kind, stream: Stream, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Header { kind, stream, len: payload.len() }.to_bytes().to_vec();
    bytes.extend_from_slice(payload);
    bytes
}

fn hello() -> Vec<u8> {
    frame(Kind::Hello, Stream::Stdin, &VERSION.to_le_bytes())
}

fn feed(session: &mut Session, mut input: &[u8]) -> Result<Vec<String>, ProtocolError> {
    let mut events = Vec::new();
    while let Some(event) = session.next(&mut input)? {
        events.push(format!("{event:?}"));
    }
    Ok(events)
}

/// A session whose guest has said hello, and whose own greeting is taken.
fn running(terminals: Terminals) -> Session {
    let mut session = Session::new(terminals);
    session.take_output();
    feed(&mut session, &hello()).unwrap();
    session
}

fn refusal(bytes: &[u8]) -> ProtocolError {
    feed(&mut running(PIPES), bytes).unwrap_err()
}

/// The frames that the host wants to send.
fn sent(session: &mut Session) -> Vec<(Kind, Stream, Vec<u8>)> {
    let bytes = session.take_output();
    let (mut input, mut decoder, mut frames) = (&bytes[..], Decoder::default(), Vec::new());
    while let Some(header) = decoder.next(&mut input).unwrap() {
        frames.push((header.kind, header.stream, decoder.payload().to_vec()));
    }
    frames
}

fn window() -> Vec<u8> {
    (WINDOW as u32).to_le_bytes().to_vec()
}

#[test]
fn the_host_begins_with_its_greeting_and_credit_for_the_output_streams() {
    let greeting = (Kind::Hello, Stream::Stdin, VERSION.to_le_bytes().to_vec());
    assert_eq!(
        sent(&mut Session::new(PIPES)),
        [
            greeting.clone(),
            (Kind::Credit, Stream::Stdout, window()),
            (Kind::Credit, Stream::Stderr, window())
        ]
    );
    assert_eq!(
        sent(&mut Session::new(TERMINAL)),
        [greeting, (Kind::Credit, Stream::Terminal, window())]
    );
}

#[test]
fn every_frame_of_a_run_becomes_an_event_wherever_it_is_cut() {
    let mut bytes = hello();
    bytes.extend(frame(Kind::Credit, Stream::Stdin, &100u32.to_le_bytes()));
    bytes.extend(frame(Kind::Log, Stream::Stdin, b"\x02oh"));
    bytes.extend(frame(Kind::Trace, Stream::Stdin, b"getpid() = 2"));
    bytes.extend(frame(Kind::Entered, Stream::Stdin, b""));
    bytes.extend(frame(Kind::Data, Stream::Stdout, b"out"));
    bytes.extend(frame(Kind::Close, Stream::Stdout, b""));
    bytes.extend(frame(Kind::Exit, Stream::Stdin, &ExitStatus::Exited(7).to_bytes()));
    let whole = feed(&mut Session::new(PIPES), &bytes).unwrap();
    assert_eq!(whole.len(), 8);
    assert_eq!(whole[7], "Exit(Exited(7))");
    for cut in 0..bytes.len() {
        let mut session = Session::new(PIPES);
        let mut events = feed(&mut session, &bytes[..cut]).unwrap();
        events.extend(feed(&mut session, &bytes[cut..]).unwrap());
        assert_eq!(events, whole, "cut at {cut}");
    }
}

#[test]
fn frames_out_of_order_are_refused() {
    let mut session = Session::new(PIPES);
    let early = frame(Kind::Data, Stream::Stdout, b"x");
    assert_eq!(feed(&mut session, &early), Err(ProtocolError::NoGreeting(Kind::Data)));
    assert_eq!(refusal(&hello()), ProtocolError::NotForHost(Kind::Hello));
    let mut late = frame(Kind::Exit, Stream::Stdin, &ExitStatus::Exited(0).to_bytes());
    late.extend(frame(Kind::Data, Stream::Stdout, b"x"));
    assert_eq!(refusal(&late), ProtocolError::AfterExit(Kind::Data));
}

#[test]
fn a_kernel_of_another_version_is_refused() {
    let greeting = frame(Kind::Hello, Stream::Stdin, &[0xff, 0xff]);
    let refused = feed(&mut Session::new(PIPES), &greeting);
    assert_eq!(refused, Err(ProtocolError::Version(0xffff)));
}

#[test]
fn malformed_frames_are_refused() {
    assert_eq!(refusal(&[99, 0, 0, 0, 0, 0, 0, 0]), ProtocolError::Header(BadHeader::Kind(99)));
    let cases = [
        frame(Kind::Exit, Stream::Stdin, b""),
        frame(Kind::Exit, Stream::Stdin, &[1, 0, 0, 0, 0]),
        frame(Kind::Log, Stream::Stdin, b""),
        frame(Kind::Log, Stream::Stdin, b"\x09text"),
        frame(Kind::Credit, Stream::Stdin, b"abc"),
        frame(Kind::Close, Stream::Stdin, b"x"),
    ];
    for bytes in cases {
        assert!(matches!(refusal(&bytes), ProtocolError::Payload(_)), "{bytes:?}");
    }
    for kind in [Kind::Signal, Kind::WallTime, Kind::WindowSize] {
        assert_eq!(refusal(&frame(kind, Stream::Stdin, &[0; 8])), ProtocolError::NotForHost(kind));
    }
    let credit = frame(Kind::Credit, Stream::Stdout, &1u32.to_le_bytes());
    assert_eq!(refusal(&credit), ProtocolError::Direction(Kind::Credit, Stream::Stdout));
}

#[test]
fn more_bytes_than_granted_are_refused_and_exactly_as_many_are_not() {
    let mut session = running(PIPES);
    for _ in 0..WINDOW / MAX_PAYLOAD {
        feed(&mut session, &frame(Kind::Data, Stream::Stdout, &[0; MAX_PAYLOAD])).unwrap();
    }
    let one_more = frame(Kind::Data, Stream::Stdout, b"x");
    let error = ProtocolError::NoCredit { stream: Stream::Stdout, excess: 1 };
    assert_eq!(feed(&mut session, &one_more), Err(error));
}

#[test]
fn data_after_close_or_for_a_stream_that_is_not_there_is_refused() {
    let mut bytes = frame(Kind::Close, Stream::Stdout, b"");
    bytes.extend(frame(Kind::Data, Stream::Stdout, b"x"));
    assert!(matches!(refusal(&bytes), ProtocolError::NoCredit { .. }));
    for stream in [Stream::Terminal, Stream::Stdin] {
        let error = ProtocolError::NoCredit { stream, excess: 1 };
        assert_eq!(refusal(&frame(Kind::Data, stream, b"x")), error);
    }
}

#[test]
fn credit_comes_back_in_portions_as_bytes_are_written() {
    let mut session = running(PIPES);
    feed(&mut session, &frame(Kind::Data, Stream::Stdout, &[0; MAX_PAYLOAD])).unwrap();
    session.consumed(Stream::Stdout, MAX_PAYLOAD);
    assert_eq!(sent(&mut session), []);
    session.consumed(Stream::Stdout, GRANT - MAX_PAYLOAD);
    let credit = (GRANT as u32).to_le_bytes().to_vec();
    assert_eq!(sent(&mut session), [(Kind::Credit, Stream::Stdout, credit)]);
}

#[test]
fn a_broken_pipe_is_said_once_and_drops_what_is_on_its_way() {
    let mut session = running(PIPES);
    session.close(Stream::Stdout);
    session.close(Stream::Stdout);
    assert_eq!(sent(&mut session), [(Kind::Close, Stream::Stdout, vec![])]);
    let events = feed(&mut session, &frame(Kind::Data, Stream::Stdout, b"late"));
    assert_eq!(events.unwrap(), ["Data(Stdout, [])"]);
    session.consumed(Stream::Stdout, WINDOW);
    assert_eq!(sent(&mut session), []);
}

#[test]
fn input_goes_out_only_against_credit_and_not_after_the_guest_closed_it() {
    let mut session = running(PIPES);
    assert_eq!(session.send(Stream::Stdin, b"abc"), 0);
    feed(&mut session, &frame(Kind::Credit, Stream::Stdin, &2u32.to_le_bytes())).unwrap();
    assert_eq!(session.credit(Stream::Stdin), 2);
    assert_eq!(session.send(Stream::Stdin, b"abc"), 2);
    assert_eq!(sent(&mut session), [(Kind::Data, Stream::Stdin, b"ab".to_vec())]);
    let mut bytes = frame(Kind::Credit, Stream::Stdin, &u32::MAX.to_le_bytes());
    bytes.extend(frame(Kind::Close, Stream::Stdin, b""));
    feed(&mut session, &bytes).unwrap();
    assert_eq!(session.credit(Stream::Stdin), 0);
    assert_eq!(session.send(Stream::Stdin, b"abc"), 0);
    session.close(Stream::Stdin);
    assert_eq!(sent(&mut session), []);
}

#[test]
fn large_input_is_cut_into_frames() {
    let mut session = running(PIPES);
    feed(&mut session, &frame(Kind::Credit, Stream::Stdin, &u32::MAX.to_le_bytes())).unwrap();
    assert_eq!(session.send(Stream::Stdin, &vec![1; MAX_PAYLOAD * 2 + 1]), MAX_PAYLOAD * 2 + 1);
    let lens: Vec<_> = sent(&mut session).iter().map(|(_, _, payload)| payload.len()).collect();
    assert_eq!(lens, [MAX_PAYLOAD, MAX_PAYLOAD, 1]);
}

#[test]
fn credit_of_any_size_does_not_overflow() {
    let mut session = running(PIPES);
    let credit = frame(Kind::Credit, Stream::Stdin, &u32::MAX.to_le_bytes());
    session.outbound[0].credit = usize::MAX - 1;
    feed(&mut session, &credit).unwrap();
    assert_eq!(session.credit(Stream::Stdin), usize::MAX);
}

/// A small generator of numbers (xorshift), so that a failure can be repeated.
fn numbers(mut seed: u64) -> impl FnMut(usize) -> usize {
    move |below| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        (seed % below as u64) as usize
    }
}

#[test]
fn no_sequence_of_frames_panics_or_lets_more_in_than_was_granted() {
    for seed in 1..=2000 {
        let mut number = numbers(0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(seed));
        let mut session = running([number(2) == 0, number(2) == 0, number(2) == 0]);
        let mut taken = [0; 4];
        for _ in 0..50 {
            let kind = Kind::from_byte(number(10) as u8 + 1).unwrap();
            let stream = Stream::ALL[number(4)];
            let mut bytes =
                frame(kind, stream, &vec![number(7) as u8; number(9) * number(3000) / 2]);
            if number(20) == 0 {
                let at = number(bytes.len());
                bytes[at] ^= 1 << number(8);
            }
            let mut input = &bytes[..];
            match session.next(&mut input) {
                Ok(Some(Event::Data(stream, data))) => taken[stream as usize] += data.len(),
                Ok(_) => {}
                Err(_) => break,
            }
            if number(4) == 0 {
                session.close(Stream::ALL[number(4)]);
            }
            session.send(Stream::Stdin, &[0; 10]);
        }
        assert!(taken.iter().all(|&len| len <= WINDOW), "seed {seed}");
    }
}
