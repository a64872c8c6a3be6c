// SPDX-License-Identifier: GPL-2.0

//! The headers of the transport protocols that have ports.

use super::{icmp, Error, Header, Network, Ports, Protocol, Reader, Tcp, Transport};

/// Reads the transport header that `header` announces.
#[inline]
pub(super) fn parse(
    network: Network,
    header: &Header,
    reader: &mut Reader<'_>,
) -> Result<Transport, Error> {
    if header.is_later_fragment() {
        return Ok(Transport::None);
    }
    let whole = header.fragment.is_none();
    match (header.protocol, network) {
        (Protocol::TCP, _) => tcp(reader).map(Transport::Tcp),
        (Protocol::UDP, _) => udp(reader, whole).map(Transport::Ports),
        (Protocol::UDPLITE, _) => udplite(reader, whole).map(Transport::Ports),
        (Protocol::SCTP, _) => sctp(reader).map(Transport::Ports),
        (Protocol::DCCP, _) => dccp(reader).map(Transport::Ports),
        (Protocol::ICMP, Network::Ipv4) | (Protocol::ICMPV6, Network::Ipv6) => {
            icmp::parse(network, reader).map(Transport::Icmp)
        }
        _ => Ok(Transport::None),
    }
}

/// Reads the ports of a quoted packet, of which little more may be there.
#[inline]
pub(super) fn quoted_ports(
    header: &Header,
    reader: &mut Reader<'_>,
) -> Result<Option<Ports>, Error> {
    match header.protocol {
        Protocol::TCP | Protocol::UDP | Protocol::UDPLITE | Protocol::SCTP | Protocol::DCCP
            if !header.is_later_fragment() =>
        {
            reader.take().map(|ports| Some(Ports::from_bytes(ports)))
        }
        _ => Ok(None),
    }
}

impl Ports {
    /// All transport headers with ports begin with them.
    #[inline]
    fn from_bytes([src_hi, src_lo, dst_hi, dst_lo]: [u8; 4]) -> Self {
        Self {
            src: u16::from_be_bytes([src_hi, src_lo]),
            dst: u16::from_be_bytes([dst_hi, dst_lo]),
        }
    }
}

#[inline]
fn tcp(reader: &mut Reader<'_>) -> Result<Tcp, Error> {
    let ports = reader.take()?;
    let seq = reader.take()?;
    let ack = reader.take()?;
    let [offset, flags, _, _, _, _, _, _] = reader.take()?;
    reader.skip(options(offset >> 4, 20)?)?;
    Ok(Tcp {
        ports: Ports::from_bytes(ports),
        seq: u32::from_be_bytes(seq),
        ack: u32::from_be_bytes(ack),
        flags,
    })
}

/// How much of a header of `words` times 4 bytes lies behind its `fixed` part.
#[inline]
fn options(words: u8, fixed: usize) -> Result<usize, Error> {
    (usize::from(words) << 2)
        .checked_sub(fixed)
        .ok_or(Error::Malformed)
}

/// The length that UDP announces covers header and payload; 0 stands for "up to
/// the packet's end", which offloaded packets and jumbograms need.
#[inline]
fn udp(reader: &mut Reader<'_>, whole: bool) -> Result<Ports, Error> {
    let there = reader.left();
    let (ports, length) = ports_and_length(reader)?;
    if whole && length > there {
        return Err(Error::Truncated);
    }
    Ok(ports)
}

/// UDP-Lite has the checksum's coverage in place of the length (RFC 3828), and
/// what covers more than there is must be discarded.
#[inline]
fn udplite(reader: &mut Reader<'_>, whole: bool) -> Result<Ports, Error> {
    let there = reader.left();
    let (ports, coverage) = ports_and_length(reader)?;
    if whole && coverage > there {
        return Err(Error::Malformed);
    }
    Ok(ports)
}

/// The common shape of UDP and UDP-Lite: a length is 0 or includes the header.
#[inline]
fn ports_and_length(reader: &mut Reader<'_>) -> Result<(Ports, usize), Error> {
    let ports = reader.take()?;
    let [length_hi, length_lo, _, _] = reader.take()?;
    match u16::from_be_bytes([length_hi, length_lo]) {
        1..=7 => Err(Error::Malformed),
        length => Ok((Ports::from_bytes(ports), usize::from(length))),
    }
}

#[inline]
fn sctp(reader: &mut Reader<'_>) -> Result<Ports, Error> {
    let ports = reader.take()?;
    // The verification tag and the checksum.
    reader.skip(8)?;
    Ok(Ports::from_bytes(ports))
}

#[inline]
fn dccp(reader: &mut Reader<'_>) -> Result<Ports, Error> {
    let ports = reader.take()?;
    let [offset, _, _, _, _, _, _, _] = reader.take()?;
    reader.skip(options(offset, 12)?)?;
    Ok(Ports::from_bytes(ports))
}
