// SPDX-License-Identifier: GPL-2.0

//! What the trace of a scenario must show, and whether it does.
//!
//! A scenario's trace is the list of all records that the module printed while
//! the lab script ran. Each record becomes one line of text in which nothing is
//! left that differs from run to run: the namespace by its role, the client's
//! port as `P`. Such lines are what [`Expected`] is written in.

use std::collections::HashMap;
use std::fmt;

use nftrace_core::hook::{Family, Hook};
use nftrace_core::packet::{Packet, Transport};
use nftrace_core::record::{v1, Record};

use crate::vm::Report;

/// The records of a run.
#[derive(Debug)]
pub struct Trace {
    records: Vec<Traced>,
}

/// One record of a run.
#[derive(Debug, Clone)]
pub struct Traced {
    /// The line of the kernel log, without its time.
    pub message: String,
    /// The record that it holds.
    pub record: Record,
    /// The line to compare.
    pub step: String,
}

/// The ways that packets must take: every packet one of the two, and nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Expected {
    /// From the client to the server, a step a line.
    pub request: &'static str,
    /// From the server to the client.
    pub reply: &'static str,
}

/// One packet's records, in order.
#[derive(Debug, Clone)]
pub struct Journey {
    /// Whether it went from the client to the server.
    pub is_request: bool,
    /// Its records.
    pub records: Vec<Traced>,
}

impl Journey {
    fn tcp_flags(&self) -> u8 {
        match self
            .records
            .first()
            .map(|first| first.record.packet().transport)
        {
            Some(Transport::Tcp(tcp)) => tcp.flags,
            _ => 0,
        }
    }

    /// Whether it is the SYN of a handshake, or its SYN-ACK.
    #[must_use]
    pub fn is_handshake(&self) -> bool {
        self.tcp_flags() & 0x02 != 0
    }

    /// Whether it pushes data.
    #[must_use]
    pub fn has_data(&self) -> bool {
        self.tcp_flags() & 0x08 != 0
    }
}

/// What is wrong with a trace.
#[derive(Debug)]
pub struct Mismatch(String);

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Mismatch {}

fn mismatch<T>(text: impl Into<String>) -> Result<T, Mismatch> {
    Err(Mismatch(text.into()))
}

/// Runs of white space count as one blank.
fn squeeze(line: &str) -> String {
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn steps(text: &str) -> Vec<String> {
    text.lines()
        .map(squeeze)
        .filter(|line| !line.is_empty())
        .collect()
}

impl Trace {
    /// Reads the records of a run, whose script left `roles.txt` (a line `role
    /// inode` for each namespace) and `flow.txt` (`role client port …`).
    ///
    /// # Errors
    ///
    /// When a file is missing or the log has a line of version 1 that is none.
    pub fn of(report: &Report) -> Result<Self, Mismatch> {
        let read = |name| {
            report
                .file(name)
                .map_err(|error| Mismatch(format!("the script left no {name}: {error}")))
        };
        let flow = read("flow.txt")?;
        let Some(client_port) = flow.split_whitespace().nth(2) else {
            return mismatch("flow.txt names no client port");
        };
        Self::new(report.messages(), &read("roles.txt")?, client_port)
    }

    /// Reads the records among the messages of a kernel log.
    fn new<'a>(
        messages: impl Iterator<Item = &'a str>,
        roles: &str,
        client_port: &str,
    ) -> Result<Self, Mismatch> {
        let roles = roles
            .lines()
            .filter_map(|line| {
                let (role, inode) = line.split_once(' ')?;
                Some((inode.parse().ok()?, role.to_owned()))
            })
            .collect::<HashMap<u32, String>>();
        let records = messages
            .filter(|message| message.starts_with(v1::PREFIX))
            .map(|message| {
                let Some(record) = v1::parse(message) else {
                    return mismatch(format!("not a line of version 1: {message}"));
                };
                let step = step(&record, &roles, client_port);
                Ok(Traced {
                    message: message.to_owned(),
                    record,
                    step,
                })
            })
            .collect::<Result<_, _>>()?;
        Ok(Self { records })
    }

    /// Sorts the records into packets and holds each against what is expected.
    ///
    /// # Errors
    ///
    /// When a packet took another way, a record belongs to no packet, the
    /// handshake was not seen once, or no data went either way.
    pub fn journeys(&self, expected: &Expected) -> Result<Vec<Journey>, Mismatch> {
        let (request, reply) = (steps(expected.request), steps(expected.reply));
        let mut journeys: Vec<Journey> = Vec::new();
        // The address of a freed packet is used again, so a packet is over when
        // all that is expected of it was seen.
        let mut under_way = HashMap::new();
        for traced in &self.records {
            let skb = traced.record.skb;
            let index = match under_way.get(&skb) {
                Some(index) => *index,
                None => {
                    let is_request = match &traced.step {
                        step if Some(step) == request.first() => true,
                        step if Some(step) == reply.first() => false,
                        step => {
                            return mismatch(
                                self.explain(&format!("no packet starts with\n  {step}")),
                            )
                        }
                    };
                    journeys.push(Journey {
                        is_request,
                        records: Vec::new(),
                    });
                    under_way.insert(skb, journeys.len() - 1);
                    journeys.len() - 1
                }
            };
            let journey = &mut journeys[index];
            let way = if journey.is_request { &request } else { &reply };
            let wanted = &way[journey.records.len()];
            if traced.step != *wanted {
                let seen = &traced.step;
                return mismatch(
                    self.explain(&format!("expected\n  {wanted}\nbut there is\n  {seen}")),
                );
            }
            journey.records.push(traced.clone());
            if journey.records.len() == way.len() {
                under_way.remove(&skb);
            }
        }
        if let Some(index) = under_way.values().next() {
            let journey = &journeys[*index];
            let way = if journey.is_request { &request } else { &reply };
            let missing = &way[journey.records.len()];
            return mismatch(self.explain(&format!("a packet ends before\n  {missing}")));
        }
        for is_request in [true, false] {
            let side = || {
                journeys
                    .iter()
                    .filter(move |journey| journey.is_request == is_request)
            };
            let who = if is_request { "client" } else { "server" };
            let handshakes = side().filter(|journey| journey.is_handshake()).count();
            if handshakes != 1 {
                return mismatch(self.explain(&format!("{handshakes} SYN packets of the {who}")));
            }
            if !side().any(Journey::has_data) {
                return mismatch(self.explain(&format!("no data of the {who}")));
            }
        }
        Ok(journeys)
    }

    /// The message with the whole trace behind it.
    fn explain(&self, what: &str) -> String {
        let mut text = format!("{what}\nin the trace\n");
        for traced in &self.records {
            text += &format!("  {:08x} {}\n", traced.record.skb, traced.step);
        }
        text
    }
}

/// A record as a line to compare: `role [bridge] HOOK dev in out source > destination`.
fn step(record: &Record, roles: &HashMap<u32, String>, client_port: &str) -> String {
    let role = roles.get(&record.inode).map_or("unknown", String::as_str);
    let hook = record.hook().map_or("-", Hook::name);
    let bridge = if record.family() == Some(Family::Bridge) {
        "bridge "
    } else {
        ""
    };
    let (src, dst) = ends(&record.packet(), client_port);
    format!(
        "{role} {bridge}{hook} dev={} in={} out={} {src} > {dst}",
        record.dev, record.input, record.output
    )
}

fn ends(packet: &Packet, client_port: &str) -> (String, String) {
    let end = |address, port: Option<u16>| {
        let port = match port {
            Some(port) if port.to_string() == client_port => "P".to_owned(),
            Some(port) => port.to_string(),
            None => "-".to_owned(),
        };
        format!("{address} {port}")
    };
    let ports = packet.ports();
    (
        end(packet.src, ports.map(|ports| ports.src)),
        end(packet.dst, ports.map(|ports| ports.dst)),
    )
}

/// S1: a published port, `tests/lab/s1.sh`.
///
/// The address of the host is rewritten between its `PRE_ROUTING` and its
/// `FORWARD`, and back behind its `POST_ROUTING`.
pub const S1: Expected = Expected {
    request: "
        outside LOCAL_OUT    dev=-      in=-      out=eth0   10.10.10.3 P > 10.10.10.2 8081
        outside POST_ROUTING dev=eth0   in=-      out=eth0   10.10.10.3 P > 10.10.10.2 8081
        host    PRE_ROUTING  dev=ens160 in=ens160 out=-      10.10.10.3 P > 10.10.10.2 8081
        host    FORWARD      dev=ens160 in=ens160 out=br0    10.10.10.3 P > 172.17.0.2 8080
        host    POST_ROUTING dev=br0    in=ens160 out=br0    10.10.10.3 P > 172.17.0.2 8080
        ctr     PRE_ROUTING  dev=eth0   in=eth0   out=-      10.10.10.3 P > 172.17.0.2 8080
        ctr     LOCAL_IN     dev=eth0   in=eth0   out=-      10.10.10.3 P > 172.17.0.2 8080
    ",
    reply: "
        ctr     LOCAL_OUT    dev=-      in=-      out=eth0   172.17.0.2 8080 > 10.10.10.3 P
        ctr     POST_ROUTING dev=eth0   in=-      out=eth0   172.17.0.2 8080 > 10.10.10.3 P
        host    PRE_ROUTING  dev=br0    in=br0    out=-      172.17.0.2 8080 > 10.10.10.3 P
        host    FORWARD      dev=br0    in=br0    out=ens160 172.17.0.2 8080 > 10.10.10.3 P
        host    POST_ROUTING dev=ens160 in=br0    out=ens160 172.17.0.2 8080 > 10.10.10.3 P
        outside PRE_ROUTING  dev=eth0   in=eth0   out=-      10.10.10.2 8081 > 10.10.10.3 P
        outside LOCAL_IN     dev=eth0   in=eth0   out=-      10.10.10.2 8081 > 10.10.10.3 P
    ",
};

/// Two containers on one bridge: what stands between the two, written once for
/// all of S2 and S3, for each family of addresses.
macro_rules! two_containers {
    ($a:literal, $b:literal, [$($there:literal)*], [$($back:literal)*]) => {
        Expected {
            request: concat!(
                "ctrA LOCAL_OUT    dev=-    in=-    out=eth0 ", $a, " P > ", $b, " 8080\n",
                "ctrA POST_ROUTING dev=eth0 in=-    out=eth0 ", $a, " P > ", $b, " 8080\n",
                $($there, " ", $a, " P > ", $b, " 8080\n",)*
                "ctrB PRE_ROUTING  dev=eth0 in=eth0 out=-    ", $a, " P > ", $b, " 8080\n",
                "ctrB LOCAL_IN     dev=eth0 in=eth0 out=-    ", $a, " P > ", $b, " 8080\n",
            ),
            reply: concat!(
                "ctrB LOCAL_OUT    dev=-    in=-    out=eth0 ", $b, " 8080 > ", $a, " P\n",
                "ctrB POST_ROUTING dev=eth0 in=-    out=eth0 ", $b, " 8080 > ", $a, " P\n",
                $($back, " ", $b, " 8080 > ", $a, " P\n",)*
                "ctrA PRE_ROUTING  dev=eth0 in=eth0 out=-    ", $b, " 8080 > ", $a, " P\n",
                "ctrA LOCAL_IN     dev=eth0 in=eth0 out=-    ", $b, " 8080 > ", $a, " P\n",
            ),
        }
    };
}

/// S2: the host's IP hooks see nothing.
pub const S2_IPV4: Expected = two_containers!("172.17.0.2", "172.17.0.3", [], []);

/// S2 over IPv6.
pub const S2_IPV6: Expected = two_containers!("fd00:17::2", "fd00:17::3", [], []);

/// S2 with `bridge=1`: the host's bridge hooks see the packet pass.
pub const S2_BRIDGE: Expected = two_containers!(
    "172.17.0.2", "172.17.0.3",
    [
        "host bridge PRE_ROUTING  dev=vethA in=vethA out=-"
        "host bridge FORWARD      dev=vethB in=vethA out=vethB"
        "host bridge POST_ROUTING dev=vethB in=-     out=vethB"
    ],
    [
        "host bridge PRE_ROUTING  dev=vethB in=vethB out=-"
        "host bridge FORWARD      dev=vethA in=vethB out=vethA"
        "host bridge POST_ROUTING dev=vethA in=-     out=vethA"
    ]
);

/// br_netfilter calls the host's IP hooks with the bridge for a device; from
/// `FORWARD` on the packet is already that of the port where it leaves.
macro_rules! through_br_netfilter {
    ($a:literal, $b:literal) => {
        two_containers!(
            $a,
            $b,
            [
                "host PRE_ROUTING  dev=br0   in=br0 out=-"
                "host FORWARD      dev=vethB in=br0 out=br0"
                "host POST_ROUTING dev=vethB in=-   out=br0"
            ],
            [
                "host PRE_ROUTING  dev=br0   in=br0 out=-"
                "host FORWARD      dev=vethA in=br0 out=br0"
                "host POST_ROUTING dev=vethA in=-   out=br0"
            ]
        )
    };
}

/// S3: S2, and the host's IP hooks see each packet once.
pub const S3_IPV4: Expected = through_br_netfilter!("172.17.0.2", "172.17.0.3");

/// S3 over IPv6.
pub const S3_IPV6: Expected = through_br_netfilter!("fd00:17::2", "fd00:17::3");

/// S3, but the second end is the host itself: br_netfilter has the packet pass
/// `PRE_ROUTING` for the bridge and the host would have it pass a second time.
pub const S3_LOCAL: Expected = Expected {
    request: "
        ctrA LOCAL_OUT    dev=-    in=-    out=eth0 172.17.0.2 P > 172.17.0.1 8080
        ctrA POST_ROUTING dev=eth0 in=-    out=eth0 172.17.0.2 P > 172.17.0.1 8080
        host PRE_ROUTING  dev=br0  in=br0  out=-    172.17.0.2 P > 172.17.0.1 8080
        host LOCAL_IN     dev=br0  in=br0  out=-    172.17.0.2 P > 172.17.0.1 8080
    ",
    reply: "
        host LOCAL_OUT    dev=-    in=-    out=br0  172.17.0.1 8080 > 172.17.0.2 P
        host POST_ROUTING dev=br0  in=-    out=br0  172.17.0.1 8080 > 172.17.0.2 P
        ctrA PRE_ROUTING  dev=eth0 in=eth0 out=-    172.17.0.1 8080 > 172.17.0.2 P
        ctrA LOCAL_IN     dev=eth0 in=eth0 out=-    172.17.0.1 8080 > 172.17.0.2 P
    ",
};

#[cfg(test)]
mod tests {
    use super::*;

    const EXPECTED: Expected = Expected {
        request: "
            a LOCAL_OUT   dev=-    in=-    out=eth0 10.0.0.1 P > 10.0.0.2 80
            b PRE_ROUTING dev=eth0 in=eth0 out=-    10.0.0.1 P > 10.0.0.2 80
        ",
        reply: "
            b LOCAL_OUT   dev=-    in=-    out=eth0 10.0.0.2 80 > 10.0.0.1 P
            a PRE_ROUTING dev=eth0 in=eth0 out=-    10.0.0.2 80 > 10.0.0.1 P
        ",
    };

    fn lines(request: bool, skb: u32, flags: &str) -> [String; 2] {
        let (from, to, src, dst) = if request {
            (1, 2, "10.0.0.1:5000", "10.0.0.2:80")
        } else {
            (2, 1, "10.0.0.2:80", "10.0.0.1:5000")
        };
        let line = |hook, ns, devices| {
            format!(
                "nftrace: v1 hook={hook} pf=ipv4 ns={ns} cookie={ns} {devices} proto=tcp src={src} \
                 dst={dst} flags={flags} len=60 skb={skb:08x} mark=0x0 verdict=accept rule=-"
            )
        };
        [
            line("LOCAL_OUT", from, "dev=- in=- out=eth0"),
            line("PRE_ROUTING", to, "dev=eth0 in=eth0 out=-"),
        ]
    }

    /// A connection: SYN, SYN-ACK, data each way; packets that are freed leave their address to others.
    fn connection() -> Vec<String> {
        [
            lines(true, 1, "S"),
            lines(false, 2, "SA"),
            lines(true, 1, "PA"),
            lines(false, 1, "PA"),
        ]
        .concat()
    }

    fn journeys(messages: &[String]) -> Result<Vec<Journey>, Mismatch> {
        Trace::new(messages.iter().map(String::as_str), "a 1\nb 2\n", "5000")?.journeys(&EXPECTED)
    }

    fn error(messages: &[String]) -> String {
        journeys(messages).unwrap_err().to_string()
    }

    #[test]
    fn a_trace_in_which_every_packet_takes_its_way_is_sorted_into_packets() {
        let journeys = journeys(&connection()).unwrap();
        let ways: Vec<_> = journeys.iter().map(|journey| journey.is_request).collect();
        assert_eq!(ways, [true, false, true, false]);
        assert!(journeys.iter().all(|journey| journey.records.len() == 2));
    }

    #[test]
    fn packets_that_are_under_way_at_once_are_told_apart() {
        let mut messages = connection();
        messages.swap(3, 4);
        assert_eq!(journeys(&messages).unwrap().len(), 4);
    }

    #[test]
    fn a_missing_record_is_found_wherever_it_is() {
        for index in 0..8 {
            let mut messages = connection();
            messages.remove(index);
            assert!(journeys(&messages).is_err(), "without record {index}");
        }
    }

    #[test]
    fn a_doubled_record_is_found_wherever_it_is() {
        for index in 0..8 {
            let mut messages = connection();
            messages.insert(index, messages[index].clone());
            assert!(journeys(&messages).is_err(), "with record {index} twice");
        }
    }

    #[test]
    fn records_in_the_wrong_order_are_found() {
        let mut messages = connection();
        messages.swap(0, 1);
        assert!(error(&messages).starts_with("no packet starts with"));
    }

    #[test]
    fn another_device_another_address_and_another_namespace_are_found() {
        for (old, new) in [
            ("in=eth0", "in=eth1"),
            ("src=10.0.0.1", "src=10.0.0.3"),
            (" ns=2", " ns=3"),
        ] {
            let mut messages = connection();
            messages[1] = messages[1].replace(old, new);
            assert!(error(&messages).starts_with("expected"), "{new}");
        }
    }

    #[test]
    fn a_connection_without_handshake_or_without_data_is_found() {
        assert!(error(&connection()[2..]).starts_with("0 SYN packets of the client"));
        assert!(error(&connection()[..6]).starts_with("no data of the server"));
        assert!(error(&[]).starts_with("0 SYN packets of the client"));
        let twice = [lines(true, 7, "S").to_vec(), connection()].concat();
        assert!(error(&twice).starts_with("2 SYN packets of the client"));
    }

    #[test]
    fn a_line_that_claims_to_be_a_record_and_is_none_is_found() {
        let messages = ["nftrace: v1 hook=NOWHERE".to_owned()];
        assert!(error(&messages).starts_with("not a line of version 1"));
    }
}
