// SPDX-License-Identifier: GPL-2.0

//! Packets as an attacker makes them: sound but for one thing.

use etherparse::{IpNumber, Ipv4Header, Ipv6FlowLabel, Ipv6Header, TcpHeader, UdpHeader};

/// From whom to whom.
pub(crate) struct Way {
    pub(crate) from4: [u8; 4],
    pub(crate) from6: [u8; 16],
    /// The last byte of the hardware address of the next hop.
    pub(crate) next: u8,
}

/// The one who has to get it.
const TO4: [u8; 4] = [172, 17, 0, 2];
const TO6: [u8; 16] = [0xfd, 0, 0, 0x17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2];

/// Over the host, which routes.
pub(crate) const ROUTED: Way = Way {
    from4: [10, 10, 10, 3],
    from6: [0xfd, 0, 0, 0x10, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3],
    next: 0x10,
};

/// Over the host's bridge.
pub(crate) const BRIDGED: Way = Way {
    from4: [172, 17, 0, 4],
    from6: [0xfd, 0, 0, 0x17, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4],
    next: 0x02,
};

pub(crate) const UDP: u8 = 17;
pub(crate) const TCP: u8 = 6;

/// What the datagrams carry; it has to arrive as it was sent.
pub(crate) fn payload(port: u16) -> Vec<u8> {
    format!("{:<40}", format!("for {port}")).into_bytes()
}

impl Way {
    /// An IPv4 header for so many bytes.
    pub(crate) fn header4(&self, protocol: u8, len: usize) -> Ipv4Header {
        let len = u16::try_from(len).unwrap();
        let mut header =
            Ipv4Header::new(len, 64, IpNumber(protocol), self.from4, TO4).expect("short");
        header.identification = 7;
        header.dont_fragment = false;
        header
    }

    /// An IPv4 packet, its checksum right.
    pub(crate) fn ipv4(&self, protocol: u8, behind: &[u8]) -> Vec<u8> {
        sealed(self.header4(protocol, behind.len()), behind)
    }

    /// A fragment of the datagram `id`, at an offset in units of 8 bytes.
    pub(crate) fn fragment4(
        &self,
        protocol: u8,
        id: u16,
        (offset, more): (u16, bool),
        part: &[u8],
    ) -> Vec<u8> {
        let mut header = self.header4(protocol, part.len());
        header.identification = id;
        header.fragment_offset = offset.try_into().expect("13 bits");
        header.more_fragments = more;
        sealed(header, part)
    }

    fn header6(&self, next: u8, len: usize) -> Ipv6Header {
        Ipv6Header {
            traffic_class: 0,
            flow_label: Ipv6FlowLabel::ZERO,
            payload_length: u16::try_from(len).unwrap(),
            next_header: IpNumber(next),
            hop_limit: 64,
            source: self.from6,
            destination: TO6,
        }
    }

    /// An IPv6 packet; `next` says what `behind` begins with.
    pub(crate) fn ipv6(&self, next: u8, behind: &[u8]) -> Vec<u8> {
        let mut packet = self.header6(next, behind.len()).to_bytes().to_vec();
        packet.extend(behind);
        packet
    }

    /// A fragment; `next` says what the first one begins with.
    pub(crate) fn fragment6(
        &self,
        next: u8,
        id: u16,
        (offset, more): (u16, bool),
        part: &[u8],
    ) -> Vec<u8> {
        let mut behind = vec![next, 0];
        behind.extend(((offset << 3) | u16::from(more)).to_be_bytes());
        behind.extend(u32::from(id).to_be_bytes());
        behind.extend(part);
        self.ipv6(44, &behind)
    }

    pub(crate) fn udp4(&self, port: u16) -> Vec<u8> {
        let (header, data) = (self.header4(UDP, 48), payload(port));
        let udp = UdpHeader::with_ipv4_checksum(5555, port, &header, &data).expect("short");
        [&udp.to_bytes()[..], &data].concat()
    }

    pub(crate) fn udp6(&self, port: u16) -> Vec<u8> {
        let (header, data) = (self.header6(UDP, 48), payload(port));
        let udp = UdpHeader::with_ipv6_checksum(5555, port, &header, &data).expect("short");
        [&udp.to_bytes()[..], &data].concat()
    }

    /// A segment that opens a connection, and has data already.
    pub(crate) fn syn4(&self, port: u16) -> Vec<u8> {
        let (header, data) = (self.header4(TCP, 60), payload(port));
        let mut tcp = TcpHeader::new(5555, port, 1, 1000);
        tcp.syn = true;
        tcp.checksum = tcp.calc_checksum_ipv4(&header, &data).expect("short");
        [&tcp.to_bytes()[..], &data].concat()
    }
}

/// With its checksum.
pub(crate) fn sealed(mut header: Ipv4Header, behind: &[u8]) -> Vec<u8> {
    header.header_checksum = header.calc_header_checksum();
    let mut packet = header.to_bytes().to_vec();
    packet.extend(behind);
    packet
}

/// An extension header of so many bytes, padding and nothing else.
pub(crate) fn padding(next: u8, len: u8) -> Vec<u8> {
    let mut header = vec![0; usize::from(len)];
    header[..2].copy_from_slice(&[next, len / 8 - 1]);
    // The kernel takes up to seven bytes of padding in a row.
    header[2..4].copy_from_slice(&[1, len - 4]);
    header
}

/// A frame; `tags` is what stands between the addresses and what the packet is.
pub(crate) fn frame(way: &Way, tags: &[u8], packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, way.next, 2, 0, 0, 0, 0, 0x99];
    frame.extend(tags);
    if !tags.starts_with(&PPPOE) {
        frame.extend(if packet[0] >> 4 == 6 {
            [0x86, 0xdd]
        } else {
            [8, 0]
        });
    }
    frame.extend(packet);
    frame
}

/// The EtherType of a PPPoE session.
pub(crate) const PPPOE: [u8; 2] = [0x88, 0x64];
