// SPDX-License-Identifier: GPL-2.0

//! Namespaces that are made while memory is short: made and held to the policy, or not
//! made at all.

use std::net::UdpSocket;
use std::thread;

use anyhow::{anyhow, Result};
use nftrace_tests::guest::{compiled, device, plainly};
use rustix::thread::UnshareFlags;

use crate::inject::{Fault, Outcome};

/// Holds in every namespace, also for what goes nowhere.
const POLICY: &str = "accept established at local_in\ndrop udp to any port 9100 at local_out\n";

/// Makes a namespace while the nth allocation fails, and sends in it what the policy drops.
fn one(nth: u32) -> Result<(Result<(), rustix::io::Errno>, bool, Option<String>)> {
    let inside = move || -> Result<_> {
        let fault = Fault::of_this_thread()?;
        #[expect(deprecated, reason = "this thread shares no file with what it leaves")]
        let unshare = || rustix::thread::unshare(UnshareFlags::NEWNET);
        let (result, had_one) = fault.during(nth, unshare)?;
        if result.is_err() {
            return Ok((result, had_one, None));
        }
        // Without a device or a route nothing gets as far as the hooks.
        let up = std::process::Command::new("ip")
            .args(["link", "set", "lo", "up"])
            .status()?;
        let socket = UdpSocket::bind("127.0.0.1:0")?;
        let told = socket.send_to(b"x", "127.0.0.1:9100");
        let dropped = told.is_err_and(|error| error.raw_os_error() == Some(1));
        let flaw = (!up.success() || !dropped).then(|| "the policy does not hold there".to_owned());
        Ok((result, had_one, flaw))
    };
    thread::spawn(inside)
        .join()
        .map_err(|_| anyhow!("panicked"))?
}

pub(crate) fn run() -> Result<()> {
    let device = device()?;
    let blob = compiled(POLICY)?;
    device.load_policy(blob.bytes(), &plainly(&device.status()?))?;
    let mut outcome = Outcome {
        action: "namespace".to_owned(),
        ..Outcome::default()
    };
    for nth in 1.. {
        let (result, had_one, flaw) = one(nth)?;
        match result {
            Ok(()) if had_one => outcome.spared.push(nth),
            Ok(()) => {}
            // What of the kernel had no memory may say so in its own words: a sysctl that
            // was not made is ENODEV, a protocol that cannot begin is EEXIST.
            Err(_) => outcome.refused.push(nth),
        }
        outcome.flaws.extend(flaw.map(|flaw| (nth, flaw)));
        if !had_one {
            outcome.allocations = nth - 1;
            break;
        }
    }
    println!("{}", serde_json::to_string(&outcome)?);
    Ok(())
}
