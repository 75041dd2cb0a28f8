//! The stack against itself, over the loopback and over a wire.

mod addresses;
mod network;
mod wire;

use super::configure::Fixed;
use super::datagrams::Arrival;
use super::*;
use crate::fake::FakeMachine;
use crate::fs::PollEvents;
use crate::time::Timers;
use abi::Errno;
use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;

const WANTS: Wants = Wants {
    receive_len: 4096,
    send_len: 4096,
    no_delay: true,
    keep_alive_s: None,
    hop_limit: None,
    device: None,
};

fn stack() -> Arc<Stack> {
    Stack::new(FakeMachine::new(), Arc::new(Timers::default()))
}

fn wish(address: &str) -> Wish {
    let address = address.parse().unwrap();
    Wish { address, only_v6: false, reuse: Reuse::default() }
}

fn listen(stack: &Stack, address: &str, backlog: usize) -> (u64, SocketAddr) {
    let wish = wish(address);
    let (address, binding) = stack.bind(Transport::Tcp, wish).unwrap();
    let wish = Wish { address, ..wish };
    let id = stack.listen(wish, binding, backlog, WANTS, Arc::default()).unwrap();
    (id, address)
}

fn connect(stack: &Stack, remote: SocketAddr) -> Connection {
    let any = if remote.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    stack.connect(wish(any), None, remote, &WANTS, &Arc::default()).unwrap()
}

fn pair(stack: &Stack) -> (Connection, Connection) {
    let (listener, address) = listen(stack, "127.0.0.1:0", 1);
    let client = connect(stack, address);
    let server = stack.accept(listener).expect("the connection came");
    stack.close_listener(listener);
    (client, server)
}

fn receive(stack: &Stack, id: u64) -> crate::error::Result<Option<Vec<u8>>> {
    let mut bytes = [0; 64];
    let len = stack.peek(id, &mut bytes)?;
    stack.consume(id, len.unwrap_or(0));
    Ok(len.map(|len| bytes[..len].to_vec()))
}

#[test]
fn a_connection_carries_bytes_both_ways_until_each_end_closes() {
    let stack = stack();
    let (client, server) = pair(&stack);
    assert_eq!((client.local, client.remote), (server.remote, server.local));
    assert_eq!(stack.progress(client.id), Progress::Open);
    assert_eq!(stack.send(client.id, b"question"), Ok(8));
    assert!(stack.events(server.id).contains(PollEvents::IN | PollEvents::OUT));
    assert_eq!(receive(&stack, server.id), Ok(Some(b"question".to_vec())));
    assert_eq!(receive(&stack, server.id), Ok(None));
    stack.send(server.id, b"answer").unwrap();
    stack.shut_down(server.id, false, true).unwrap();
    assert_eq!(receive(&stack, client.id), Ok(Some(b"answer".to_vec())));
    assert_eq!(receive(&stack, client.id), Ok(Some(Vec::new())));
    assert!(stack.events(client.id).contains(PollEvents::RDHUP));
    assert!(!stack.events(client.id).contains(PollEvents::HUP));
    assert_eq!(stack.send(client.id, b"more"), Ok(4));
    assert_eq!(receive(&stack, server.id), Ok(Some(b"more".to_vec())));
    stack.close(client.id, false);
    stack.close(server.id, false);
}

#[test]
fn a_connection_to_nobody_is_refused() {
    let stack = stack();
    let client = connect(&stack, "127.0.0.1:9".parse().unwrap());
    assert_eq!(stack.progress(client.id), Progress::Closed);
    assert!(stack.events(client.id).contains(PollEvents::ERR | PollEvents::HUP));
    assert_eq!(stack.take_error(client.id), Some(Errno::ECONNREFUSED));
    assert_eq!(stack.take_error(client.id), None);
}

#[test]
fn closing_with_unread_input_resets_the_connection() {
    let stack = stack();
    let (client, server) = pair(&stack);
    stack.send(client.id, b"unread").unwrap();
    stack.close(server.id, false);
    assert_eq!(receive(&stack, client.id).unwrap_err().errno, Errno::ECONNRESET);
    assert_eq!(receive(&stack, client.id), Ok(Some(Vec::new())));
}

#[test]
fn no_more_connections_wait_than_the_backlog_says() {
    let stack = stack();
    let (listener, address) = listen(&stack, "[::]:0", 2);
    let clients: Vec<_> = (0..5)
        .map(|_| connect(&stack, SocketAddr::new("127.0.0.1".parse().unwrap(), address.port())))
        .collect();
    let open = clients.iter().filter(|one| stack.progress(one.id) == Progress::Open);
    assert_eq!(open.count(), 3);
    assert_eq!(stack.waiting(listener), 3);
    // Those that found no room come in when there is some.
    let accepted: Vec<_> = core::iter::from_fn(|| stack.accept(listener)).collect();
    assert_eq!(accepted.len(), 5);
    assert!(clients.iter().all(|one| stack.progress(one.id) == Progress::Open));
    assert!(accepted.iter().all(|one| one.local.is_ipv4()));
}

#[test]
fn more_bytes_than_the_buffers_hold_come_through_in_order() {
    let stack = stack();
    let (client, server) = pair(&stack);
    let (mut sent, mut received) = (0_u32, 0_u32);
    while received < 100_000 {
        let bytes: Vec<u8> = (sent..sent + 700).map(|at| (at % 251) as u8).collect();
        sent += stack.send(client.id, &bytes).unwrap() as u32;
        while let Some(bytes) = receive(&stack, server.id).unwrap() {
            for byte in bytes {
                assert_eq!(byte, (received % 251) as u8);
                received += 1;
            }
        }
    }
}

#[test]
fn a_port_is_free_again_when_its_connections_are_forgotten() {
    let stack = stack();
    for _ in 0..100 {
        let (client, server) = pair(&stack);
        stack.close(server.id, false);
        stack.close(client.id, false);
    }
    let left = stack.with_state(|state| state.count());
    assert_eq!(left, 0);
}

#[test]
fn datagrams_find_the_best_fitting_socket() {
    let stack = stack();
    let open = |address: &str| {
        let (id, _) = stack.open_endpoint(Kind::Udp, address.starts_with('['), 4096);
        let address = stack.bind_endpoint(id, wish(address)).unwrap();
        (id, address)
    };
    let (server, address) = open("127.0.0.1:0");
    let (client, from) = open("0.0.0.0:0");
    stack.send_message(client, address, &Route::default(), b"hello").unwrap();
    let message = stack.receive(server, true).unwrap().unwrap();
    assert_eq!(message.bytes, b"hello");
    assert_eq!(message.from.port(), from.port());
    assert!(stack.receive(server, false).unwrap().is_some());
    assert!(stack.receive(server, false).unwrap().is_none());
    let big = alloc::vec![1; 65508];
    assert_eq!(
        stack.send_message(client, address, &Route::default(), &big).unwrap_err().errno,
        Errno::EMSGSIZE
    );
    stack.close_endpoint(server);
    stack.set_remote(client, Some(address)).unwrap();
    stack.send_message(client, address, &Route::default(), b"anybody?").unwrap();
    assert_eq!(stack.receive(client, false).unwrap_err().errno, Errno::ECONNREFUSED);
}

#[test]
fn a_flood_of_datagrams_costs_no_more_than_the_limit() {
    let stack = stack();
    let (server, _) = stack.open_endpoint(Kind::Udp, false, 4096);
    let address = stack.bind_endpoint(server, wish("127.0.0.1:0")).unwrap();
    for _ in 0..1000 {
        stack.send_message(server, address, &Route::default(), &[7; 100]).unwrap();
    }
    let kept = core::iter::from_fn(|| stack.receive(server, false).unwrap()).count();
    assert_eq!(kept, 4096 / (100 + 256));
}
