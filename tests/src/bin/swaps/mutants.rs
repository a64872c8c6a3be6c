// SPDX-License-Identifier: GPL-2.0

//! Damaged blobs: the kernel refuses what userspace refuses, and then the old policy
//! goes on; what it takes does what the same classifier says here.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, UdpSocket};

use anyhow::ensure;
use nftrace_core::policy::{verify, Refusal};
use nftrace_device::netns::socket_cookie;
use nftrace_device::Error;
use nftrace_policy::Blob;
use nftrace_tests::guest::{compiled, device, plainly};
use nftrace_tests::random::Random;
use serde_json::{json, Value};

use super::mutations::{mutant, Parts};
use super::probe::{expected, send, Told};

/// What the old policy does, and no mutant may end.
const GUARD: &str = "drop udp to 127.0.0.0/8 port 9999 at local_out\n";

/// Something of everything that a blob may have.
const SOUND: &str = r#"
set office = { 10.10.10.0/24, 192.0.2.7, 2001:db8::/32, fd00::1-fd00::ff }
set web = { 80, 443, 8000-8999 }
set banned dynamic = { 127.0.0.2, 192.0.2.0/24, fd00::/8 }
set known dynamic = {}
default drop at bridge forward
default fragments drop
accept established,related at local_in, forward, post_routing
drop tcp from @office at pre_routing in cookie:77
drop udp to 127.0.0.0/8 port 7003 at local_out oif lo
drop udp to { @banned, 192.0.2.7 } port 7000-7001 at local_out
accept tcp from not { @banned, @known } to any port 443 at pre_routing
reject udp to 127.0.0.1 port 7004 uid 0 at local_out
reject with host-unreachable udp to 127.0.0.2 port 7004 at local_out
drop udp to 127.0.0.2 port 7005-7006 cgroup "/" at local_out
drop new udp to any port 7007 at post_routing
drop udp original to 127.0.0.2 port 7008 at post_routing
accept tcp to 172.17.0.2 port 8080 iif eth*, ens160 mark 0x10/0xf0 at forward
reject with tcp-reset tcp to any port @web flags syn at local_in log limit 5/s
queue 5 else accept udp to any port 53 at forward
drop icmp type 8 code 0 from not @office at bridge forward
drop icmpv6 type 128 at pre_routing
drop tcp to any port 25 classid 0x100001 uid 1000-1999 at local_out
shadow drop udp to any port 7000-7009 at local_out
drop fragment to fd00::/8 oif not lo at post_routing
accept udp to any port 6379 at forward limit 100/minute burst 20 name "redis"
"#;

/// Why a blob is refused, in words.
fn why(refusal: &Refusal) -> String {
    format!("{:?}", refusal.flaw)
}

fn verdict_here(blob: &Blob) -> Result<(), Refusal> {
    verify(&blob.tables()?).map(|_| ())
}

struct Sockets {
    cookie: u64,
    /// Nobody answers a probe that it went nowhere.
    _receivers: Vec<UdpSocket>,
}

const PORTS: std::ops::Range<u16> = 7000..7010;
const ADDRESSES: [Ipv4Addr; 2] = [Ipv4Addr::new(127, 0, 0, 1), Ipv4Addr::new(127, 0, 0, 2)];

impl Sockets {
    fn new() -> anyhow::Result<Self> {
        let bind = |port| UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port));
        let receivers = PORTS.map(bind).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            cookie: socket_cookie(&receivers[0])?,
            _receivers: receivers,
        })
    }

    /// Sends to everywhere; what is not as the policy says, and how many could be compared.
    fn compare(&self, blob: &Blob) -> anyhow::Result<(Vec<String>, usize, usize)> {
        let tables = blob
            .tables()
            .map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
        let (mut wrong, mut compared, mut dropped) = (Vec::new(), 0, 0);
        for to in ADDRESSES {
            for port in PORTS {
                let (told, from) = send(to, port)?;
                let Some(expected) = expected(&tables, self.cookie, from, to, port)? else {
                    continue;
                };
                compared += 1;
                dropped += usize::from(told != Told::Nothing);
                if told != expected {
                    wrong.push(format!("{to}:{port}: {told:?} instead of {expected:?}"));
                }
            }
        }
        Ok((wrong, compared, dropped))
    }
}

pub(crate) fn run(seed: u64, count: usize) -> anyhow::Result<Value> {
    let device = device()?;
    let guard = compiled(GUARD)?;
    let sound = compiled(SOUND)?;
    let sockets = Sockets::new()?;
    let tables = sound
        .tables()
        .map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
    let parts = Parts::of(tables.rules.len());
    let load = |blob: &Blob| {
        let status = device.status()?;
        device
            .load_policy(blob.bytes(), &plainly(&status))
            .map(|taken| taken.generation)
    };
    load(&sound)?;
    let (wrong, of_sound, dropped_by_sound) = sockets.compare(&sound)?;
    ensure!(wrong.is_empty(), "undamaged: {wrong:?}");
    let mut generation = load(&guard)?;
    let mut random = Random::new(seed);
    let (mut accepted, mut compared, mut dropped) = (0, 0, 0);
    let mut flaws = BTreeMap::<String, usize>::new();
    for number in 0..count {
        let bytes = mutant(&mut random, sound.bytes(), &parts);
        let blob = Blob::from(&bytes[..]);
        let here = verdict_here(&blob);
        let there = load(&blob);
        let told = || {
            format!("mutant {number} of seed {seed}: {here:?} here, {there:?} there: {bytes:02x?}")
        };
        match (&here, &there) {
            (Ok(()), Ok(new)) => {
                ensure!(*new == generation + 1, "{generation}, then {}", told());
                accepted += 1;
                let kept = device.policy(None)?.map(|(_, bytes)| bytes);
                ensure!(
                    kept.as_deref() == Some(&bytes[..]),
                    "another one is kept: {}",
                    told()
                );
                let (wrong, were_compared, were_dropped) = sockets.compare(&blob)?;
                ensure!(wrong.is_empty(), "{wrong:?}: {}", told());
                compared += were_compared;
                dropped += were_dropped;
                generation = load(&guard)?;
                ensure!(generation == new + 1, "{generation} behind {}", told());
            }
            (
                Err(refusal),
                Err(Error::PolicyRefused {
                    refusal: Some(same),
                }),
            ) if refusal == same => {
                *flaws.entry(why(refusal)).or_default() += 1;
            }
            _ => anyhow::bail!("{}", told()),
        }
        let status = device.status()?;
        ensure!(
            status.generation == generation,
            "generation {} behind {}",
            status.generation,
            told()
        );
        let (probe, _) = send(ADDRESSES[0], 9999)?;
        ensure!(
            probe == Told::NotPermitted,
            "the old policy is gone: {}",
            told()
        );
        let (probe, _) = send(ADDRESSES[0], PORTS.start)?;
        ensure!(
            probe == Told::Nothing,
            "more than the old policy: {}",
            told()
        );
    }
    Ok(json!({
        "seed": seed,
        "of_sound": of_sound,
        "dropped_by_sound": dropped_by_sound,
        "accepted": accepted,
        "refused": flaws.values().sum::<usize>(),
        "flaws": flaws,
        "compared": compared,
        "dropped": dropped,
    }))
}
