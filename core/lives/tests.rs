// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::packet::{Ports, Tcp};
use std::net::Ipv4Addr;

/// A table, and one more than the last identity that it was given.
struct Table(Lives<Vec<Set>>, ::std::cell::Cell<u64>);

impl Table {
    fn begin(&self, now: &Sighting, packet: &Packet, time: u64) -> u64 {
        let id = self.1.replace(self.1.get() + 1);
        // Who is seen as another one than before is begun anew.
        self.0.end(now.address);
        assert_eq!(self.0.see(now, packet, time, id), id);
        id
    }
}

impl ::std::ops::Deref for Table {
    type Target = Lives<Vec<Set>>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

fn table(entries: usize) -> Table {
    let sets = (0..entries / WAYS).map(|_| Set::default()).collect();
    Table(Lives::new(sets), ::std::cell::Cell::new(7))
}

fn tcp(seq: u32) -> Packet {
    Packet {
        src: Ipv4Addr::new(10, 0, 0, 1).into(),
        dst: Ipv4Addr::new(10, 0, 0, 2).into(),
        protocol: Protocol::TCP,
        fragment: None,
        id: 5,
        transport: Transport::Tcp(Tcp {
            ports: Ports { src: 1, dst: 2 },
            seq,
            ack: 0,
            flags: 2,
        }),
    }
}

fn udp(id: u32) -> Packet {
    Packet {
        protocol: Protocol::UDP,
        id,
        transport: Transport::Ports(Ports { src: 1, dst: 4789 }),
        ..tcp(0)
    }
}

fn at(hook: Hook, len: u32) -> Sighting {
    Sighting {
        address: 0x1000,
        cookie: 1,
        inode: 2,
        hook,
        family: Family::Ipv4,
        kind: Kind::Entry,
        len,
        // The headers are in front: whatever they are, the data end in the same place.
        end: 0x8000,
    }
}

#[test]
fn a_packet_is_the_same_at_every_hook_also_behind_a_nat() {
    let lives = table(64);
    let id = lives.begin(&at(Hook::PreRouting, 60), &tcp(9), 1);
    let mut rewritten = tcp(9);
    rewritten.dst = Ipv4Addr::new(172, 17, 0, 2).into();
    for (time, hook) in [
        (2, Hook::Forward),
        (3, Hook::PostRouting),
        (4, Hook::PreRouting),
    ] {
        assert_eq!(lives.again(&at(hook, 60), &rewritten, || time), Some(id));
    }
}

#[test]
fn an_address_that_was_freed_and_used_again_is_another_packet() {
    let lives = table(64);
    let first = lives.begin(&at(Hook::LocalOut, 60), &tcp(9), 1);
    let death = lives.end(0x1000).unwrap();
    assert_eq!(
        (death.skb, death.hook, death.cookie),
        (first, Hook::LocalOut, 1)
    );
    assert_eq!(lives.end(0x1000), None);
    assert_eq!(lives.again(&at(Hook::LocalOut, 60), &tcp(9), || 2), None);
    assert_ne!(lives.begin(&at(Hook::LocalOut, 60), &tcp(9), 2), first);
}

#[test]
fn what_was_delivered_to_tcp_is_over_although_nobody_tells() {
    let lives = table(64);
    lives.begin(&at(Hook::LocalIn, 60), &tcp(9), 1);
    for hook in [Hook::PreRouting, Hook::LocalOut, Hook::LocalIn] {
        lives.begin(&at(Hook::LocalIn, 60), &tcp(9), 1);
        assert_eq!(lives.again(&at(hook, 60), &tcp(9), || 2), None, "{hook:?}");
    }
}

#[test]
fn another_packet_in_the_same_buffer_is_told_by_its_headers() {
    let lives = table(64);
    lives.begin(&at(Hook::PreRouting, 60), &tcp(9), 1);
    assert_eq!(lives.again(&at(Hook::Forward, 60), &tcp(10), || 2), None);
}

#[test]
fn a_packet_stays_the_same_when_a_tunnel_wraps_it_and_unwraps_it() {
    let lives = table(64);
    let id = lives.begin(&at(Hook::PostRouting, 60), &tcp(9), 1);
    assert_eq!(
        lives.again(&at(Hook::LocalOut, 110), &udp(1), || 2),
        Some(id)
    );
    assert_eq!(
        lives.again(&at(Hook::PreRouting, 110), &udp(1), || 3),
        Some(id)
    );
    assert_eq!(
        lives.again(&at(Hook::LocalIn, 110), &udp(1), || 4),
        Some(id)
    );
    assert_eq!(
        lives.again(&at(Hook::PreRouting, 60), &tcp(9), || 5),
        Some(id)
    );
}

#[test]
fn what_was_delivered_to_another_socket_is_over_although_nobody_tells() {
    let lives = table(64);
    lives.begin(&at(Hook::LocalIn, 100), &udp(1), 1);
    // The next datagram in the same buffer starts where this one did, so it ends earlier.
    let next = Sighting {
        end: 0x8000 - 50,
        ..at(Hook::PreRouting, 50)
    };
    assert_eq!(lives.again(&next, &udp(2), || 2), None);
}

#[test]
fn a_full_set_displaces_the_packet_that_was_not_seen_for_longest() {
    let lives = table(WAYS);
    for n in 1..=5 {
        let sighting = Sighting {
            address: n * 0x1000,
            ..at(Hook::PreRouting, 60)
        };
        lives.begin(&sighting, &tcp(9), n);
    }
    let known: Vec<_> = (1..=5)
        .filter(|n| lives.end(n * 0x1000).is_some())
        .collect();
    assert_eq!(known, [2, 3, 4, 5]);
}

#[test]
fn a_cleared_table_knows_nothing() {
    let lives = table(64);
    lives.begin(&at(Hook::PreRouting, 60), &tcp(9), 1);
    lives.clear();
    assert_eq!(lives.end(0x1000), None);
}

#[test]
fn who_is_seen_once_more_keeps_the_identity_and_another_one_gets_a_new_one() {
    let lives = table(64);
    assert!(!lives.may_know(0x1000));
    assert_eq!(lives.see(&at(Hook::PreRouting, 60), &tcp(9), 1, 5), 5);
    assert!(lives.may_know(0x1000) && !lives.may_know(0x2000));
    assert_eq!(lives.see(&at(Hook::Forward, 60), &tcp(9), 2, 6), 5);
    assert_eq!(lives.see(&at(Hook::PreRouting, 60), &tcp(10), 3, 7), 7);
    assert_eq!(lives.end(0x1000).map(|death| death.skb), Some(7));
    assert!(!lives.may_know(0x1000));
}
