// SPDX-License-Identifier: GPL-2.0

//! Connections, and what is remembered of how they are translated.

use std::collections::{BTreeMap, HashMap, HashSet};

use nftrace_core::packet::{Icmp, Protocol, Transport};
use nftrace_core::record::Conntrack;

use crate::model::{Connection, Direction, End, Journey, Tuple};
use crate::observation::{Endpoint, NamespaceId, Observation};

/// A connection that is idle for so long, in nanoseconds, is forgotten where there are many.
const IDLE: u64 = 300_000_000_000;
/// What is many.
const MANY: usize = 65_536;

const SYN: u8 = 0x02;
const ACK: u8 = 0x10;

/// The namespace, the protocol's number, and addresses and ports there.
type Key = (NamespaceId, Option<u8>, Tuple);

/// All connections so far.
#[derive(Debug, Default)]
pub(crate) struct Flows {
    known: BTreeMap<usize, Known>,
    created: usize,
    /// By every tuple that a request had anywhere.
    by_tuple: HashMap<Key, usize>,
    /// With which tuple a packet leaves a namespace that came with this one: what the
    /// packets of the other direction taught.
    exits: HashMap<Key, Tuple>,
    /// What the journeys of first fragments belong to.
    datagrams: BTreeMap<usize, (usize, Direction)>,
    /// Translations that were seen.
    steps: HashSet<(NamespaceId, Tuple, Tuple)>,
}

#[derive(Debug)]
struct Known {
    connection: Connection,
    /// When its last journey began.
    time: u64,
    replied: bool,
    /// A reply has arrived.
    answered: bool,
    conntrack: HashMap<NamespaceId, u32>,
    tuples: Vec<Key>,
    exits: Vec<Key>,
    steps: Vec<(NamespaceId, Tuple, Tuple)>,
}

/// The tuple with which a connection's first packet came, as conntrack has it.
pub(crate) fn original(conntrack: &Conntrack) -> Tuple {
    Tuple {
        src: Endpoint::new(conntrack.src, conntrack.ports.map(|ports| ports.src)),
        dst: Endpoint::new(conntrack.dst, conntrack.ports.map(|ports| ports.dst)),
    }
}

/// Whether an ICMP message asks for an answer or is one.
fn icmp_direction(icmp: &Icmp, protocol: Protocol) -> Option<Direction> {
    match (protocol, icmp.kind) {
        (Protocol::ICMP, 8 | 13 | 15 | 17) | (Protocol::ICMPV6, 128) => Some(Direction::Request),
        (Protocol::ICMP, 0 | 14 | 16 | 18) | (Protocol::ICMPV6, 129) => Some(Direction::Reply),
        _ => None,
    }
}

/// What a packet's own headers tell about its direction.
fn header_direction(record: &Observation) -> Option<Direction> {
    if let Some(tcp) = record.tcp() {
        return match (tcp.flags & SYN != 0, tcp.flags & ACK != 0) {
            (true, false) => Some(Direction::Request),
            (true, true) => Some(Direction::Reply),
            _ => None,
        };
    }
    let packet = record.packet?;
    match packet.transport {
        Transport::Icmp(icmp) => icmp_direction(&icmp, packet.protocol),
        _ => None,
    }
}

/// The records that show the packet itself, with addresses and ports as far as it has some.
pub(crate) fn plain(journey: &Journey) -> impl DoubleEndedIterator<Item = (usize, &Observation)> {
    journey
        .records
        .iter()
        .enumerate()
        .filter(|(index, record)| {
            record.packet.is_some() && journey.outer.get(*index).copied().flatten().is_none()
        })
}

/// Where a journey had which tuple, but for later fragments, which show a part of it only.
fn shown(journey: &Journey) -> Vec<(NamespaceId, Tuple)> {
    plain(journey)
        .filter(|(_, record)| {
            let fragment = record.packet.and_then(|packet| packet.fragment);
            fragment.is_none_or(|fragment| fragment.offset == 0)
        })
        .filter_map(|(_, record)| Some((record.namespace, record.tuple()?)))
        .collect()
}

impl Flows {
    /// Whether packets were seen to be translated so in this namespace.
    pub(crate) fn translates(&self, namespace: &NamespaceId, from: Tuple, to: Tuple) -> bool {
        self.steps.contains(&(*namespace, from, to))
    }

    /// The connections that are known.
    pub(crate) fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.known.values().map(|known| &known.connection)
    }

    /// Finds the journey's connection, or makes one.
    pub(crate) fn assign(&mut self, journey: &mut Journey) {
        let protocol = journey.protocol.map(|protocol| protocol.0);
        if let Some(first) = journey.fragment_of {
            // Only the first fragment has ports.
            if let Some((number, direction)) = self.datagrams.get(&first).copied() {
                journey.connection = Some(number);
                journey.direction = Some(direction);
                if let Some(known) = self.known.get_mut(&number) {
                    known.connection.journeys.push(journey.number);
                }
                return;
            }
        }
        let shown = shown(journey);
        let (Some(first), Some(last)) = (shown.first(), shown.last()) else {
            return;
        };
        let error = plain(journey).find_map(|(_, record)| quoted(record));
        if let Some(quoted) = error {
            let found = quoted.and_then(|(protocol, tuple)| {
                let find = |tuple| {
                    let key = |namespace| (namespace, Some(protocol.0), tuple);
                    shown
                        .iter()
                        .find_map(|(namespace, _)| self.by_tuple.get(&key(*namespace)).copied())
                };
                // An error goes back to whoever sent the packet that it quotes.
                let of_request = find(tuple).map(|number| (number, Direction::Reply));
                let of_reply = || find(tuple.reversed()).map(|number| (number, Direction::Request));
                of_request.or_else(of_reply)
            });
            (journey.about, journey.direction) = found.unzip();
            return;
        }
        let header = plain(journey).find_map(|(_, record)| header_direction(record));
        let tracked = plain(journey)
            .filter_map(|(_, record)| record.conntrack)
            .map(|conntrack| {
                if conntrack.reply {
                    Direction::Reply
                } else {
                    Direction::Request
                }
            })
            .next();
        let told = header.or(tracked);
        let find = |direction| {
            shown.iter().find_map(|(namespace, tuple)| {
                let tuple = oriented(*tuple, direction);
                self.by_tuple.get(&(*namespace, protocol, tuple)).copied()
            })
        };
        let found = match told {
            Some(direction) => find(direction).map(|number| (number, direction)),
            None => None,
        };
        let found = found.or_else(|| {
            // Without a header that tells, the connection's own view counts.
            header.is_none().then(|| {
                [Direction::Request, Direction::Reply]
                    .into_iter()
                    .find_map(|direction| find(direction).map(|number| (number, direction)))
            })?
        });
        // Without sequence numbers a SYN seems to be sent again, but no client does that
        // that was answered.
        let answered = found
            .is_some_and(|(number, _)| self.known.get(&number).is_some_and(|known| known.answered));
        if answered && plain(journey).all(|(_, record)| !record.known.seq) {
            journey.retransmission_of = None;
        }
        let starts = header == Some(Direction::Request)
            && plain(journey).any(|(_, record)| record.tcp().is_some())
            && journey.retransmission_of.is_none();
        let found = found.filter(|(number, _)| {
            self.known
                .get(number)
                .is_some_and(|known| !(known.differs(journey) || (starts && known.replied)))
        });
        let (number, direction) = found.unwrap_or_else(|| {
            self.created += 1;
            (self.created, told.unwrap_or(Direction::Request))
        });
        let client = match direction {
            Direction::Request => first.1,
            Direction::Reply => last.1.reversed(),
        };
        let known = self.known.entry(number).or_insert_with(|| Known {
            connection: Connection {
                number,
                protocol: journey.protocol,
                client,
                tuples: Vec::new(),
                journeys: Vec::new(),
            },
            time: 0,
            replied: false,
            answered: false,
            conntrack: HashMap::new(),
            tuples: Vec::new(),
            exits: Vec::new(),
            steps: Vec::new(),
        });
        known.time = journey.records.first().and_then(|r| r.time).unwrap_or(0);
        known.replied |= direction == Direction::Reply;
        known.answered |= direction == Direction::Reply && journey.end == End::Delivered;
        known.connection.journeys.push(journey.number);
        for (_, record) in plain(journey) {
            if let Some(conntrack) = record.conntrack.filter(|conntrack| conntrack.id != 0) {
                known.conntrack.insert(record.namespace, conntrack.id);
            }
        }
        let mut tuples: Vec<_> = shown
            .iter()
            .map(|(namespace, tuple)| (*namespace, oriented(*tuple, direction)))
            .collect();
        if direction == Direction::Reply {
            tuples.reverse();
        }
        for (namespace, tuple) in tuples {
            let key = (namespace, protocol, tuple);
            if self.by_tuple.insert(key, number) != Some(number) {
                known.tuples.push(key);
            }
            if !known.connection.tuples.contains(&tuple) {
                known.connection.tuples.push(tuple);
            }
        }
        journey.connection = Some(number);
        journey.direction = Some(direction);
        if plain(journey).any(|(_, record)| record.is_fragment()) {
            self.datagrams.insert(journey.number, (number, direction));
            if self.datagrams.len() > MANY {
                self.datagrams.pop_first();
            }
        }
        self.learn(journey, number);
    }

    /// Remembers how the journey was translated.
    fn learn(&mut self, journey: &Journey, number: usize) {
        let Some(known) = self.known.get_mut(&number) else {
            return;
        };
        let protocol = journey.protocol.map(|protocol| protocol.0);
        let shown = shown(journey);
        for pair in shown.windows(2) {
            let [(namespace, from), (_, to)] = pair else {
                continue;
            };
            if from != to && self.steps.insert((*namespace, *from, *to)) {
                known.steps.push((*namespace, *from, *to));
            }
        }
        let mut start = 0;
        for leg in shown.chunk_by(|a, b| a.0 == b.0) {
            start += leg.len();
            let (Some((namespace, came)), Some((_, last))) = (leg.first(), leg.last()) else {
                continue;
            };
            let left = shown.get(start).map_or(*last, |(_, next)| *next);
            if left != *came {
                let key = (*namespace, protocol, left.reversed());
                if self.exits.insert(key, came.reversed()).is_none() {
                    known.exits.push(key);
                }
            }
        }
    }

    /// With which tuple a packet leaves the namespace into which it came with `came`.
    pub(crate) fn exit(
        &self,
        namespace: NamespaceId,
        protocol: Option<Protocol>,
        came: Tuple,
    ) -> Option<Tuple> {
        let key = (namespace, protocol.map(|protocol| protocol.0), came);
        self.exits.get(&key).copied()
    }

    /// Forgets connections that are idle, where there are many.
    pub(crate) fn forget(&mut self, now: u64) {
        if self.known.len() < MANY {
            return;
        }
        let idle: Vec<usize> = self
            .known
            .iter()
            .filter(|(_, known)| now.saturating_sub(known.time) > IDLE)
            .map(|(number, _)| *number)
            .collect();
        for number in idle {
            let Some(known) = self.known.remove(&number) else {
                continue;
            };
            for key in known.tuples {
                if self.by_tuple.get(&key) == Some(&number) {
                    self.by_tuple.remove(&key);
                }
            }
            for key in known.exits {
                self.exits.remove(&key);
            }
            for step in known.steps {
                self.steps.remove(&step);
            }
        }
    }
}

impl Known {
    /// Whether conntrack says that the journey belongs to another connection.
    fn differs(&self, journey: &Journey) -> bool {
        plain(journey).any(|(_, record)| {
            record.conntrack.is_some_and(|conntrack| {
                let known = self.conntrack.get(&record.namespace);
                conntrack.id != 0 && known.is_some_and(|id| *id != conntrack.id)
            })
        })
    }
}

fn oriented(tuple: Tuple, direction: Direction) -> Tuple {
    match direction {
        Direction::Request => tuple,
        Direction::Reply => tuple.reversed(),
    }
}

/// For an ICMP error: what it is about, where it says that.
#[allow(
    clippy::option_option,
    reason = "no error, an error about we do not know what"
)]
fn quoted(record: &Observation) -> Option<Option<(Protocol, Tuple)>> {
    let packet = record.packet?;
    let Transport::Icmp(icmp) = packet.transport else {
        return None;
    };
    let error = match packet.protocol {
        Protocol::ICMP => matches!(icmp.kind, 3 | 4 | 5 | 11 | 12),
        _ => icmp.kind < 128 && packet.protocol == Protocol::ICMPV6,
    };
    error.then(|| {
        let quoted = icmp.quoted?;
        let tuple = Tuple {
            src: Endpoint::new(quoted.src, quoted.ports.map(|ports| ports.src)),
            dst: Endpoint::new(quoted.dst, quoted.ports.map(|ports| ports.dst)),
        };
        Some((quoted.protocol, tuple))
    })
}
