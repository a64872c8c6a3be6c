// SPDX-License-Identifier: GPL-2.0

//! Two policies take turns under traffic.
//!
//! They have no rule and no default in common. What both let pass is let pass by a rule
//! of the one and by the default of the other, and the same goes for what both drop: a
//! packet that saw the rules of one with the default of the other, or neither, would
//! show.

use std::fmt::Write as _;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{ensure, Context as _};
use nftrace_core::policy::control::Event;
use nftrace_tests::guest::{compiled, device, plainly, within};
use rustix::thread::{sched_setaffinity, CpuSet};
use serde::Serialize;
use serde_json::{json, Value};

/// Both let it pass.
const PASSES: u16 = 7000;
/// Only the first does.
const FIRST: u16 = 7001;
/// Only the second does.
const SECOND: u16 = 7002;
/// Both drop it at one hook, each port at another: the hook, and whether the sender is told.
const DROPPED: [(u16, &str, bool); 5] = [
    (9100, "pre_routing", false),
    (9101, "local_in", false),
    (9102, "forward", false),
    (9103, "local_out", true),
    (9104, "post_routing", true),
];

/// A network of its own for each sender, so that a lost packet has one owner.
const SENDERS: [Ipv4Addr; 2] = [Ipv4Addr::new(10, 2, 0, 2), Ipv4Addr::new(10, 2, 0, 3)];

fn first() -> anyhow::Result<String> {
    let mut text = "default drop\n".to_owned();
    for port in 2000..2100 {
        writeln!(text, "drop udp to any port {port}")?;
    }
    writeln!(text, "accept udp to any port {{ {PASSES}, {FIRST} }}")?;
    for (port, hook, _) in DROPPED {
        let others = DROPPED.iter().map(|(_, other, _)| *other);
        let others: Vec<&str> = others.filter(|other| *other != hook).collect();
        writeln!(
            text,
            "accept udp to any port {port} at {}",
            others.join(", ")
        )?;
    }
    Ok(text)
}

fn second() -> anyhow::Result<String> {
    let mut text = "default accept\n".to_owned();
    for port in 3000..3150 {
        writeln!(text, "accept udp to any port {port}")?;
    }
    for (port, hook, _) in DROPPED {
        writeln!(text, "drop udp to any port {port} at {hook}")?;
    }
    writeln!(text, "drop udp to any port {FIRST} at local_out")?;
    Ok(text)
}

/// What one sender saw.
#[derive(Default, Serialize)]
struct Account {
    rounds: u64,
    sent: u64,
    arrived: u64,
    /// Sent to where both drop it.
    to_drop: u64,
    /// Of those, that arrived after all, or whose sender was not told as it should be.
    gaps: Vec<String>,
    /// What both let pass and did not arrive.
    mixes: Vec<String>,
}

/// A socket in `right`.
fn receiver(address: Ipv4Addr, port: u16) -> anyhow::Result<UdpSocket> {
    within("right", || Ok(UdpSocket::bind((address, port))?))
}

fn sender() -> anyhow::Result<UdpSocket> {
    within("left", || Ok(UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?))
}

/// Sends; false where it is told that it may not.
fn send(from: &UdpSocket, payload: u64, to: Ipv4Addr, port: u16) -> anyhow::Result<bool> {
    match from.send_to(&payload.to_be_bytes(), (to, port)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn note(list: &mut Vec<String>, what: String) {
    if list.len() < 20 {
        list.push(what);
    }
}

/// Packets that both let pass, and between them those that both drop.
fn talk(number: usize, over: &AtomicBool) -> anyhow::Result<Account> {
    let to = SENDERS[number];
    let mut cpus = CpuSet::new();
    cpus.set(number);
    sched_setaffinity(None, &cpus).context("a CPU of its own")?;
    let from = sender()?;
    let passes = receiver(to, PASSES)?;
    passes.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut dropped = Vec::new();
    for (port, hook, is_told) in DROPPED {
        let socket = receiver(to, port)?;
        socket.set_nonblocking(true)?;
        dropped.push((socket, port, hook, is_told));
    }
    let mut account = Account::default();
    let mut last = false;
    let mut payload = [0; 8];
    while !last {
        last = over.load(Ordering::Acquire);
        let first = account.sent;
        for (_, port, hook, is_told) in &dropped {
            if !send(&from, account.sent, to, PASSES)? {
                note(&mut account.mixes, format!("{} is refused", account.sent));
            }
            account.sent += 1;
            account.to_drop += 1;
            if send(&from, account.to_drop, to, *port)? == *is_told {
                note(&mut account.gaps, format!("{} at {hook}", account.to_drop));
            }
        }
        for wanted in first..account.sent {
            match passes.recv(&mut payload) {
                Ok(8) if payload == wanted.to_be_bytes() => account.arrived += 1,
                other => note(
                    &mut account.mixes,
                    format!("{wanted}: {other:?}, {payload:?}"),
                ),
            }
        }
        if last {
            thread::sleep(Duration::from_millis(300));
        }
        for (socket, _, hook, _) in &dropped {
            while socket.recv(&mut payload).is_ok() {
                note(
                    &mut account.gaps,
                    format!("{payload:?} came through {hook}"),
                );
            }
        }
        account.rounds += 1;
    }
    Ok(account)
}

pub(crate) fn run(times: u32) -> anyhow::Result<Value> {
    let device = device()?;
    let blobs = [compiled(&first()?)?, compiled(&second()?)?];
    // Where packets are sent to is bound, so that nobody answers that it is not.
    let _bound = [FIRST, SECOND].map(|port| receiver(SENDERS[0], port));
    let probe = sender()?;
    let status = device.status()?;
    let begin = device
        .load_policy(blobs[1].bytes(), &plainly(&status))?
        .generation;
    let over = AtomicBool::new(false);
    let mut took = Vec::new();
    let mut late = Vec::new();
    let accounts = thread::scope(|scope| -> anyhow::Result<Vec<Account>> {
        let talkers = [0, 1].map(|number| {
            scope.spawn({
                let over = &over;
                move || talk(number, over)
            })
        });
        let swapped = (|| -> anyhow::Result<()> {
            thread::sleep(Duration::from_millis(300));
            for turn in 0..times {
                let which = turn as usize % 2;
                let status = device.status()?;
                let start = Instant::now();
                let generation = device
                    .load_policy(blobs[which].bytes(), &plainly(&status))?
                    .generation;
                took.push(start.elapsed());
                ensure!(
                    generation == begin + turn + 1,
                    "{generation} at turn {turn}"
                );
                // From now on it is the new one for everybody.
                let first = send(&probe, 0, SENDERS[0], FIRST)?;
                let second = send(&probe, 0, SENDERS[0], SECOND)?;
                if (first, second) != (which == 0, which == 1) {
                    note(&mut late, format!("turn {turn}: {first} {second}"));
                }
            }
            Ok(())
        })();
        over.store(true, Ordering::Release);
        let joined = talkers.map(|talker| talker.join());
        swapped?;
        let account = |one: thread::Result<anyhow::Result<Account>>| {
            one.map_err(|_| anyhow::anyhow!("a sender panicked"))?
        };
        joined.into_iter().map(account).collect()
    })?;
    let status = device.status()?;
    let history = device.history()?;
    let follows = history.windows(2).all(|two| {
        two[1].event == Event::Load as u32
            && two[1].before == two[0].after
            && two[1].after == two[1].before + 1
    });
    took.sort_unstable();
    let micros = |at: usize| took.get(at).map(Duration::as_micros);
    Ok(json!({
        "begin": begin,
        "generation": status.generation,
        "previous": status.previous,
        "history": history.len(),
        "history_follows": follows,
        "last": history.last().map(|entry| entry.after),
        "late": late,
        "accounts": accounts,
        "median_us": micros(took.len() / 2),
        "longest_us": micros(took.len().saturating_sub(1)),
    }))
}
