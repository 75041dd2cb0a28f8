//! The Internet protocols: TCP, UDP and ICMP over IPv4 and IPv6.
//!
//! smoltcp does the work of each connection; around it is what it does not have. It looks
//! through all sockets of a set for each frame, so every connection has a set of its own, and
//! the tuple of a frame finds it (`frame`, `state`). A request for a connection becomes one
//! only within the backlog of its listener (`listener`), a connection that has ended is no
//! more than its tuple (`time_wait`), and messages wait in queues of their own (`datagrams`).
//!
//! All is under one lock, which is never held while a thread waits or touches the memory of a
//! program. Who waits for a socket is woken once the lock is free.

mod bindings;
mod configure;
mod datagrams;
mod device;
mod flow;
mod frame;
mod groups;
mod guard;
mod held;
mod interface;
mod listener;
mod packets;
mod stack;
mod state;
mod time_wait;
mod view;

#[cfg(test)]
mod tests;

pub(crate) use bindings::{BindingId, Reuse, Transport, Wish};
pub(crate) use configure::Addressing;
pub(crate) use datagrams::{Kind, Message, Route};
pub(crate) use flow::{Readiness, Wants};
pub(crate) use groups::{Membership, OtherGroups};
pub(crate) use stack::{Connection, Progress, Stack};
pub(crate) use view::{AddressView, InterfaceView, RouteView};
