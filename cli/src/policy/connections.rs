// SPDX-License-Identifier: GPL-2.0

//! The connections that conntrack knows in a namespace: `IPCTNL_MSG_CT_GET`, as in
//! `linux/netfilter/nfnetlink_conntrack.h`.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};

use netlink_sys::protocols::{NETLINK_NETFILTER, NETLINK_ROUTE};
use nftrace_core::packet::Protocol;
use rustix::io::Errno;

use crate::names::device_name;
use crate::netlink::{address, attributes, Dumper};

/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET`.
const CT_GET: u16 = (1 << 8) | 1;
/// `struct nfgenmsg`: family, version, resource.
const NFGENMSG: usize = 4;
const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const TUPLE_IP: u16 = 1;
const TUPLE_PROTO: u16 = 2;
const PROTO_NUM: u16 = 1;
const PROTO_SRC_PORT: u16 = 2;
const PROTO_DST_PORT: u16 = 3;

const RTM_GETROUTE: u16 = 26;
/// `struct rtmsg`.
const RTMSG: usize = 12;
const RTA_DST: u16 = 1;
const RTA_OIF: u16 = 4;

/// The packets of one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tuple {
    pub(crate) src: IpAddr,
    pub(crate) dst: IpAddr,
    pub(crate) ports: Option<(u16, u16)>,
}

/// One connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Connection {
    pub(crate) protocol: Protocol,
    /// As its first packet was, before any NAT.
    pub(crate) original: Tuple,
    /// As the answers are, before NAT is undone.
    pub(crate) reply: Tuple,
}

fn end(address: IpAddr, port: Option<u16>) -> String {
    match port {
        Some(port) => SocketAddr::from((address, port)).to_string(),
        None => address.to_string(),
    }
}

impl fmt::Display for Tuple {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (src, dst) = (
            self.ports.map(|(src, _)| src),
            self.ports.map(|(_, dst)| dst),
        );
        write!(f, "{} > {}", end(self.src, src), end(self.dst, dst))
    }
}

impl fmt::Display for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.protocol.name() {
            Some(name) => f.write_str(name)?,
            None => write!(f, "protocol {}", self.protocol.0)?,
        }
        write!(f, " {}", self.original)
    }
}

fn port(value: &[u8]) -> Option<u16> {
    value.try_into().ok().map(u16::from_be_bytes)
}

/// Source and destination of either family are attributes 1 and 2, or 3 and 4.
fn tuple(raw: &[u8]) -> io::Result<Option<(Protocol, Tuple)>> {
    let (mut src, mut dst, mut protocol) = (None, None, None);
    let (mut src_port, mut dst_port) = (None, None);
    let mut inner = Ok(());
    attributes(raw, |kind, value| {
        let result = match kind {
            TUPLE_IP => attributes(value, |kind, value| match kind {
                1 | 3 => src = address(value),
                2 | 4 => dst = address(value),
                _ => {}
            }),
            TUPLE_PROTO => attributes(value, |kind, value| match kind {
                PROTO_NUM => protocol = value.first().copied().map(Protocol),
                PROTO_SRC_PORT => src_port = port(value),
                PROTO_DST_PORT => dst_port = port(value),
                _ => {}
            }),
            _ => Ok(()),
        };
        if result.is_err() {
            inner = result;
        }
    })?;
    inner?;
    let (Some(src), Some(dst), Some(protocol)) = (src, dst, protocol) else {
        return Ok(None);
    };
    let ports = src_port.zip(dst_port);
    Ok(Some((protocol, Tuple { src, dst, ports })))
}

fn connection(answer: &[u8]) -> io::Result<Option<Connection>> {
    let raw = answer.get(NFGENMSG..).unwrap_or_default();
    let (mut original, mut reply) = (Ok(None), Ok(None));
    attributes(raw, |kind, value| match kind {
        TUPLE_ORIG => original = tuple(value),
        TUPLE_REPLY => reply = tuple(value),
        _ => {}
    })?;
    Ok(original?
        .zip(reply?)
        .map(|((protocol, original), (_, reply))| Connection {
            protocol,
            original,
            reply,
        }))
}

/// All connections in the namespace of this thread; none where conntrack is not there.
pub(crate) fn connections() -> io::Result<Vec<Connection>> {
    let mut dumper = Dumper::new(NETLINK_NETFILTER)?;
    match dumper.dump(CT_GET, vec![0; NFGENMSG]) {
        Ok(answers) => {
            let found = answers.iter().map(|answer| connection(answer));
            found.filter_map(Result::transpose).collect()
        }
        // nfnetlink's answers when nobody serves the request.
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::INVAL | Errno::OPNOTSUPP | Errno::PROTONOSUPPORT) => Ok(Vec::new()),
            _ => Err(error),
        },
    }
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    let mut bytes = [len.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

/// The device through which packets to an address leave the namespace of this thread.
pub(crate) fn device_to(address: IpAddr) -> io::Result<String> {
    const AF_INET: u8 = 2;
    const AF_INET6: u8 = 10;
    let mut dumper = Dumper::new(NETLINK_ROUTE)?;
    let (family, value) = match address {
        IpAddr::V4(address) => (AF_INET, address.octets().to_vec()),
        IpAddr::V6(address) => (AF_INET6, address.octets().to_vec()),
    };
    let bits = u8::try_from(value.len() * 8).unwrap_or(0);
    let mut payload = vec![0; RTMSG];
    (payload[0], payload[1]) = (family, bits);
    payload.extend(attribute(RTA_DST, &value));
    let route = dumper.get(RTM_GETROUTE, payload)?;
    let mut index = None;
    attributes(route.get(RTMSG..).unwrap_or_default(), |kind, value| {
        if kind == RTA_OIF {
            index = value.try_into().ok().map(u32::from_ne_bytes);
        }
    })?;
    device_name(index.ok_or(io::ErrorKind::NotFound)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(src: [u8; 4], dst: [u8; 4], ports: [u16; 2]) -> Vec<u8> {
        let ip = [attribute(1, &src), attribute(2, &dst)].concat();
        let proto = [
            attribute(PROTO_NUM, &[6]),
            attribute(PROTO_SRC_PORT, &ports[0].to_be_bytes()),
            attribute(PROTO_DST_PORT, &ports[1].to_be_bytes()),
        ]
        .concat();
        // As the kernel marks attributes that have others in them.
        let nested = |kind, value: &[u8]| attribute(kind | 0x8000, value);
        [nested(TUPLE_IP, &ip), nested(TUPLE_PROTO, &proto)].concat()
    }

    #[test]
    fn a_connection_behind_nat_has_both_tuples() {
        let (client, host, container) = ([10, 0, 0, 3], [10, 0, 0, 2], [172, 17, 0, 2]);
        let answer = [
            vec![2, 0, 0, 0],
            attribute(TUPLE_ORIG | 0x8000, &side(client, host, [4000, 8081])),
            attribute(TUPLE_REPLY | 0x8000, &side(container, client, [8080, 4000])),
        ]
        .concat();
        let found = connection(&answer).unwrap().unwrap();
        assert_eq!(found.to_string(), "tcp 10.0.0.3:4000 > 10.0.0.2:8081");
        assert_eq!(found.reply.to_string(), "172.17.0.2:8080 > 10.0.0.3:4000");
    }

    #[test]
    fn the_way_to_this_machine_itself_is_lo() {
        assert_eq!(device_to("127.0.0.1".parse().unwrap()).unwrap(), "lo");
    }
}
