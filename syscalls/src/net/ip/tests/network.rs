//! Bad networks, and hostile ones.

use super::wire::{Fate, Host, SECOND, carry, carry_all, frame, hardware};
use super::*;
use alloc::collections::VecDeque;
use core::net::{IpAddr, Ipv4Addr};
use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{IpProtocol, TcpControl, TcpPacket, TcpRepr, TcpSeqNumber};

/// Two hosts with a connection between them: the client's end and the server's.
fn connected() -> (Host, Host, Connection, Connection) {
    let (client, server) = (Host::at(1), Host::at(2));
    let (listener, _) = listen(&server.stack, "0.0.0.0:80", 5);
    let near = connect(&client.stack, "10.0.0.2:80".parse().unwrap());
    carry_all([&client, &server]);
    let far = server.stack.accept(listener).expect("the connection came");
    server.stack.close_listener(listener);
    (client, server, near, far)
}

#[test]
fn a_lossy_wire_that_reorders_and_repeats_carries_all_bytes_in_order() {
    const LEN: usize = 60_000;
    let byte = |at: usize| (at % 251) as u8;
    let (client, server, near, far) = connected();
    let (mut seed, mut late) = (0x2545_f491_4f6c_dd1d_u64, VecDeque::new());
    let mut fate = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        match seed % 16 {
            0 => Fate::IsLost,
            1 => Fate::ArrivesTwice,
            2 => Fate::IsLate,
            _ => Fate::Arrives,
        }
    };
    let (mut sent, mut received) = (0, 0);
    for _ in 0..5000 {
        let bytes: Vec<u8> = (sent..LEN.min(sent + 1000)).map(byte).collect();
        if !bytes.is_empty() {
            sent += client.stack.send(near.id, &bytes).unwrap();
        }
        carry([&client, &server], &mut late, &mut fate);
        while let Some(bytes) =
            receive(&server.stack, far.id).unwrap().filter(|bytes| !bytes.is_empty())
        {
            for one in bytes {
                assert_eq!(one, byte(received));
                received += 1;
            }
        }
        if received == LEN {
            return;
        }
        client.pass(SECOND / 20);
        server.pass(SECOND / 20);
    }
    panic!("only {received} of {sent} bytes came");
}

fn request(from: Ipv4Addr, port: u16) -> Vec<u8> {
    let to = Ipv4Addr::new(10, 0, 0, 2);
    let repr = TcpRepr {
        src_port: port,
        dst_port: 80,
        control: TcpControl::Syn,
        seq_number: TcpSeqNumber(1),
        ack_number: None,
        window_len: 1000,
        window_scale: None,
        max_seg_size: Some(1460),
        sack_permitted: false,
        sack_ranges: [None; 3],
        timestamp: None,
        payload: &[],
    };
    let mut segment = alloc::vec![0; repr.buffer_len()];
    let (source, target) = (from.into(), to.into());
    let mut packet = TcpPacket::new_unchecked(&mut segment);
    repr.emit(&mut packet, &source, &target, &ChecksumCapabilities::default());
    let ends = (IpAddr::V4(from), IpAddr::V4(to));
    frame(hardware(2), ends, IpProtocol::Tcp, 64, &segment)
}

#[test]
fn a_flood_of_requests_costs_little_and_keeps_nobody_out() {
    let (client, server) = (Host::at(1), Host::at(2));
    let (listener, _) = listen(&server.stack, "0.0.0.0:80", 128);
    for number in 0..5000_u16 {
        let [high, low] = number.to_be_bytes();
        server.give(request(Ipv4Addr::new(10, 0, high, low), 1000));
    }
    let held = server.stack.with_state(|state| state.count());
    assert!((1..=128).contains(&held), "{held} connections are held");
    // By then whoever asked in earnest has answered.
    server.pass(SECOND);
    let near = connect(&client.stack, "10.0.0.2:80".parse().unwrap());
    // What the flood made the server say goes to the client as well.
    carry_all([&client, &server]);
    assert_eq!(client.stack.progress(near.id), Progress::Open);
    assert_eq!(server.stack.accept(listener).map(|one| one.remote), Some(near.local));
    for _ in 0..70 {
        server.pass(SECOND);
    }
    assert_eq!(server.stack.with_state(|state| state.count()), 1);
}

#[test]
fn a_burst_of_clients_finds_room_without_asking_again() {
    const CLIENTS: usize = 200;
    let (client, server) = (Host::at(1), Host::at(2));
    let (listener, _) = listen(&server.stack, "0.0.0.0:80", 8);
    let address = "10.0.0.2:80".parse().unwrap();
    let near: Vec<_> = (0..CLIENTS).map(|_| connect(&client.stack, address)).collect();
    let mut accepted = 0;
    for _ in 0..CLIENTS {
        carry_all([&client, &server]);
        accepted += core::iter::from_fn(|| server.stack.accept(listener)).count();
    }
    // No time has passed: nothing was repeated.
    assert_eq!(accepted, CLIENTS);
    assert!(near.iter().all(|one| client.stack.progress(one.id) == Progress::Open));
}

#[test]
fn an_answer_carries_the_acknowledgement_and_input_alone_is_soon_acknowledged() {
    let (client, server, near, far) = connected();
    let pass = |ms| server.pass(ms * SECOND / 1000);
    for _ in 0..2 {
        client.stack.send(near.id, b"question").unwrap();
        carry_all([&client, &server]);
        assert_eq!(receive(&server.stack, far.id), Ok(Some(b"question".to_vec())));
        server.stack.send(far.id, b"answer").unwrap();
        carry_all([&client, &server]);
        pass(100);
        carry_all([&client, &server]);
    }
    client.stack.send(near.id, b"question").unwrap();
    carry_all([&client, &server]);
    assert_eq!(receive(&server.stack, far.id), Ok(Some(b"question".to_vec())));
    pass(39);
    assert!(server.link.sent().is_none());
    server.stack.send(far.id, b"answer").unwrap();
    assert!(server.link.sent().is_some());
    pass(100);
    assert!(server.link.sent().is_none());
    // Two parts without an answer between them.
    for _ in 0..3 {
        client.stack.send(near.id, b"part").unwrap();
        carry_all([&client, &server]);
        pass(11);
        carry_all([&client, &server]);
    }
    client.stack.send(near.id, b"part").unwrap();
    carry_all([&client, &server]);
    assert!(server.link.sent().is_none());
    pass(11);
    assert!(server.link.sent().is_some());
}

#[test]
fn a_peer_that_vanishes_is_forgotten() {
    let (client, server, near, _far) = connected();
    client.stack.send(near.id, b"anybody?").unwrap();
    client.stack.close(near.id, false);
    drop(server);
    for _ in 0..70 {
        client.pass(SECOND);
    }
    assert_eq!(client.stack.with_state(|state| state.count()), 0);
}

#[test]
fn a_datagram_tells_where_it_went_and_goes_from_where_it_is_told_to() {
    let (client, server) = (Host::at(1), Host::at(2));
    let open = |host: &Host, address: &str| {
        let (id, _) = host.stack.open_endpoint(Kind::Udp, false, 4096);
        host.stack.bind_endpoint(id, wish(address)).unwrap();
        id
    };
    let (sender, receiver) = (open(&client, "0.0.0.0:1000"), open(&server, "0.0.0.0:2000"));
    let to = "10.0.0.2:2000".parse().unwrap();
    let send = |way: &Route| client.stack.send_message(sender, to, way, b"hello");
    send(&Route { hop_limit: Some(3), interface: Some(2), ..Route::default() }).unwrap();
    carry_all([&client, &server]);
    let message = server.stack.receive(receiver, false).unwrap().unwrap();
    assert_eq!(message.from, "10.0.0.1:1000".parse().unwrap());
    let to = "10.0.0.2".parse().unwrap();
    assert_eq!(message.arrival, Arrival { to, interface: 2, hop_limit: 3, service: 0 });
    let wrong = |way| send(&way).unwrap_err().errno;
    let source = Some("10.0.0.9".parse().unwrap());
    assert_eq!(wrong(Route { source, ..Route::default() }), Errno::EINVAL);
    assert_eq!(wrong(Route { interface: Some(9), ..Route::default() }), Errno::ENODEV);
    assert_eq!(wrong(Route { interface: Some(1), ..Route::default() }), Errno::ENETUNREACH);
}

#[test]
fn members_of_a_group_hear_what_is_sent_to_it_and_say_that_they_are() {
    let (client, server) = (Host::at(1), Host::at(2));
    let open = |host: &Host| {
        let (id, _) = host.stack.open_endpoint(Kind::Udp, false, 4096);
        host.stack.bind_endpoint(id, wish("0.0.0.0:2000")).unwrap();
        id
    };
    let (sender, receiver) = (open(&client), open(&server));
    for group in ["239.1.2.3", "239.1.2.4"] {
        let group: IpAddr = group.parse().unwrap();
        let heard = |host: &Host, id| host.stack.receive(id, false).unwrap().is_some();
        let send = |comes_back| {
            let (to, way) =
                (SocketAddr::new(group, 2000), Route { comes_back, ..Route::default() });
            client.stack.send_message(sender, to, &way, b"hello").unwrap();
            carry_all([&client, &server]);
        };
        send(true);
        assert!(!heard(&client, sender) && !heard(&server, receiver));
        let membership = Membership { interface: 2, group };
        for host in [&client, &server] {
            host.stack.join_group(membership).unwrap();
            // The protocol of a packet of IPv4 is IGMP.
            let mut sent = core::iter::from_fn(|| host.link.sent());
            assert!(sent.any(|frame| frame[12..14] == [8, 0] && frame[23] == 2));
            host.stack.join_group(membership).unwrap();
        }
        send(false);
        assert!(!heard(&client, sender) && heard(&server, receiver));
        send(true);
        assert!(heard(&client, sender) && heard(&server, receiver));
        server.stack.leave_group(&membership);
        send(true);
        assert!(heard(&client, sender) && heard(&server, receiver));
        server.stack.set_groups(receiver, &[], OtherGroups::Ignored).unwrap();
        send(true);
        assert!(heard(&client, sender) && !heard(&server, receiver));
        server.stack.set_groups(receiver, &[membership], OtherGroups::Ignored).unwrap();
        server.stack.leave_group(&membership);
        send(true);
        assert!(heard(&client, sender) && !heard(&server, receiver));
        server.stack.set_groups(receiver, &[], OtherGroups::Taken).unwrap();
    }
}
