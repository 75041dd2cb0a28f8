//! Whose frame it is: what of a frame is read before smoltcp gets it, to find its socket.
//!
//! Nothing is verified here but lengths; smoltcp verifies before anything comes of it.

use core::net::{IpAddr, SocketAddr};

use smoltcp::wire::{
    EthernetFrame, EthernetProtocol, IpProtocol, IpVersion, Ipv4Packet, Ipv6Packet, TcpPacket,
    UdpPacket,
};

/// The two ends of a connection, or of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Tuple {
    /// This end.
    pub(super) local: SocketAddr,
    /// The other end.
    pub(super) remote: SocketAddr,
}

/// What a packet is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A segment of TCP, and whether it asks for a connection.
    Segment(Tuple, bool),
    /// A datagram of UDP.
    Datagram(Tuple),
    /// Another packet, or one that comes in pieces; its protocol.
    Packet(IpProtocol),
    /// Business of the network itself: ARP.
    Other,
}

/// The packet of a frame with an Ethernet header.
pub(super) fn packet(frame: &[u8]) -> Option<&[u8]> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    matches!(frame.ethertype(), EthernetProtocol::Ipv4 | EthernetProtocol::Ipv6)
        .then(|| frame.payload())
}

/// What an Ethernet frame is for.
pub(super) fn of_frame(frame: &[u8]) -> Purpose {
    packet(frame).map_or(Purpose::Other, of_packet)
}

/// What an IP packet is for.
pub(super) fn of_packet(packet: &[u8]) -> Purpose {
    let Some(Parts { local, remote, protocol, payload, .. }) = parts(packet) else {
        return Purpose::Other;
    };
    let Some(payload) = payload else { return Purpose::Packet(protocol) };
    let tuple = |local_port, remote_port| Tuple {
        local: SocketAddr::new(local, local_port),
        remote: SocketAddr::new(remote, remote_port),
    };
    let found = match protocol {
        IpProtocol::Tcp => TcpPacket::new_checked(payload).ok().map(|segment| {
            let asks = segment.syn() && !segment.ack() && !segment.rst();
            Purpose::Segment(tuple(segment.dst_port(), segment.src_port()), asks)
        }),
        IpProtocol::Udp => UdpPacket::new_checked(payload)
            .ok()
            .map(|datagram| Purpose::Datagram(tuple(datagram.dst_port(), datagram.src_port()))),
        _ => None,
    };
    found.unwrap_or(Purpose::Packet(protocol))
}

/// The parts of a packet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    /// Where it goes.
    pub(super) local: IpAddr,
    /// Where it comes from.
    pub(super) remote: IpAddr,
    /// What it carries.
    pub(super) protocol: IpProtocol,
    /// That, where it is whole.
    pub(super) payload: Option<&'a [u8]>,
    /// Over how many routers more it may go.
    pub(super) hop_limit: u8,
    /// Its type of service, or traffic class.
    pub(super) service: u8,
}

/// The version of an IP packet; `None` where it is none.
pub(super) fn version(packet: &[u8]) -> Option<IpVersion> {
    // smoltcp takes it for granted that there is a first byte.
    packet.first()?;
    IpVersion::of_packet(packet).ok()
}

/// The parts of an IP packet; `None` where it is none.
pub(super) fn parts(packet: &[u8]) -> Option<Parts<'_>> {
    match version(packet)? {
        IpVersion::Ipv4 => {
            let packet = Ipv4Packet::new_checked(packet).ok()?;
            let is_whole = !packet.more_frags() && packet.frag_offset() == 0;
            Some(Parts {
                local: packet.dst_addr().into(),
                remote: packet.src_addr().into(),
                protocol: packet.next_header(),
                payload: is_whole.then(|| packet.payload()),
                hop_limit: packet.hop_limit(),
                service: packet.dscp() << 2 | packet.ecn(),
            })
        }
        IpVersion::Ipv6 => {
            let packet = Ipv6Packet::new_checked(packet).ok()?;
            Some(Parts {
                local: packet.dst_addr().into(),
                remote: packet.src_addr().into(),
                protocol: packet.next_header(),
                payload: Some(packet.payload()),
                hop_limit: packet.hop_limit(),
                service: packet.traffic_class(),
            })
        }
    }
}
