// SPDX-License-Identifier: GPL-2.0

//! Calls the module at random: every command of the device and others, with requests that
//! are right, nearly right or wrong, and addresses that lead somewhere or nowhere; reads,
//! mappings, parameters; and hands it packets, by the TUN devices pester0 and pester1; from
//! two threads at once, under traffic.
//!
//! `pester CALLS SEED` says in JSON how often each kind of call was done and refused, and
//! which errors came that no document knows. The same seed makes the same calls, but for
//! how the threads meet. `pester CALLS SEED coverage` also asks the kernel, by KCOV, which
//! of the module's code each call reached, and makes more of those that reached new code.
//! CALLS may be a time, such as 600s.

mod caller;
mod choices;
mod told;

use std::net::UdpSocket;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{anyhow, Context as _, Result};
use nftrace_core::policy::control::{CONFIRM, END_PANIC, FLUSH};
use nftrace_core::trace;
use nftrace_tests::guest::{compiled, device, plainly};
use zerocopy::IntoBytes as _;

use caller::Caller;
use choices::Found;

pub(crate) const PARAMETERS: &str = "/sys/module/nftrace/parameters";

/// How long there are calls.
#[derive(Clone, Copy)]
pub(crate) enum Budget {
    Calls(u64),
    Until(Instant),
}

impl Budget {
    fn of(text: &str) -> Result<Self> {
        Ok(match text.strip_suffix('s') {
            Some(seconds) => Self::Until(Instant::now() + Duration::from_secs(seconds.parse()?)),
            // Of two threads.
            None => Self::Calls(text.parse::<u64>()? / 2),
        })
    }

    /// Whether there is one more, behind so many.
    pub(crate) fn allows(self, done: u64) -> bool {
        match self {
            Self::Calls(all) => done < all,
            Self::Until(end) => Instant::now() < end,
        }
    }
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (budget, seed, is_guided) = match &arguments[..] {
        [budget, seed] => (budget, seed, false),
        [budget, seed, word] if word == "coverage" => (budget, seed, true),
        _ => anyhow::bail!("usage: pester CALLS SEED [coverage]"),
    };
    let (budget, seed) = (Budget::of(budget)?, seed.parse::<u64>()?);
    let found = Found::default();
    let is_over = AtomicBool::new(false);
    // Policies cost what they may by default again, when all is over.
    let bound = Path::new(PARAMETERS).join("max_bound");
    let allowed = std::fs::read_to_string(&bound).context("max_bound")?;
    let told = thread::scope(|scope| {
        let traffic = scope.spawn(|| send_until(&is_over));
        let threads = [0, 1].map(|thread| {
            let found = &found;
            scope.spawn(move || Caller::new(seed, thread)?.calls(budget, is_guided, found))
        });
        let told = threads.map(|thread| {
            let joined = thread.join().map_err(|_| anyhow!("a caller panicked"));
            joined.and_then(|told| told)
        });
        is_over.store(true, Ordering::Relaxed);
        let sent = traffic
            .join()
            .map_err(|_| anyhow!("the sender panicked"))??;
        let [one, other] = told;
        Ok::<_, anyhow::Error>((one?.and(other?), sent))
    });
    let (told, sent) = told?;
    std::fs::write(&bound, allowed.trim()).context("max_bound")?;
    println!("{}", told.json(sent, found.count(), still_works()?));
    Ok(())
}

/// Datagrams to oneself, whatever becomes of them.
fn send_until(is_over: &AtomicBool) -> Result<u64> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let mut sent = 0;
    for port in (1..1024).cycle() {
        if is_over.load(Ordering::Relaxed) {
            break;
        }
        sent += u64::from(socket.send_to(b"x", ("127.0.0.1", port)).is_ok());
        thread::yield_now();
    }
    Ok(sent)
}

/// After all that: a policy is loaded and in force, and flushed again.
fn still_works() -> Result<bool> {
    let device = device()?;
    // Where there is nothing to be ended, that is no error here.
    for what in [END_PANIC, CONFIRM, FLUSH] {
        let _ = device.change_policy(what, None);
    }
    device.set_filter(trace::Header::default().as_bytes())?;
    let policy = compiled("drop udp to any port 9 at local_out")?;
    device.load_policy(policy.bytes(), &plainly(&device.status()?))?;
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    let is_dropped = socket.send_to(b"x", ("127.0.0.1", 9)).is_err();
    let other_passes = socket.send_to(b"x", ("127.0.0.1", 10)).is_ok();
    device.change_policy(FLUSH, None)?;
    Ok(is_dropped && other_passes)
}
