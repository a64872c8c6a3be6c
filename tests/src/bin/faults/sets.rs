// SPDX-License-Identifier: GPL-2.0

//! Dynamic sets: a change for which there is no memory has changed nothing.

use std::net::UdpSocket;

use anyhow::{ensure, Context as _, Result};
use nftrace_core::policy::control::{SET_ADD, SET_DELETE};
use nftrace_core::policy::dynamic::Elements;
use nftrace_core::policy::layout::{Range128, Range32};
use nftrace_device::{Device, SetContents};
use nftrace_tests::guest::{compiled, device, plainly};
use nftrace_tests::sets::many;

use crate::inject::{Fault, Trial};

const POLICY: &str = "\
set banned dynamic = {}
drop to @banned at local_out
";

/// 127.0.0.9, and nothing.
const ONE: Range32 = Range32 {
    low: 0x7f00_0009,
    high: 0x7f00_0009,
};

const SIX: Range128 = Range128 {
    low: [1, 2],
    high: [1, 9],
};

/// Ranges beside it: more than the module has room for at first.
const OTHERS: usize = 5000;

struct Guest {
    device: Device,
    others: Vec<Range32>,
}

impl Guest {
    fn change(&self, what: u32, v4: &[Range32], v6: &[Range128]) -> Result<()> {
        self.device
            .change_set("banned", what, Elements { v4, v6 }, None)?;
        Ok(())
    }

    /// The set has the others, and nothing else.
    fn calm(&self) -> Result<()> {
        self.change(SET_DELETE, &[ONE], &[SIX])?;
        self.change(SET_ADD, &self.others, &[])
    }

    fn contents(&self) -> Result<SetContents> {
        self.device.set("banned", None)?.context("no set")
    }

    /// What is wrong, if the set is to have the others and, in that case, these too.
    fn flaw(&self, wanted: bool, with: (bool, bool)) -> Result<Option<String>> {
        let contents = self.contents()?;
        let others = if wanted { &self.others[..] } else { &[] };
        let mut v4 = others.to_vec();
        if with.0 {
            v4.push(ONE);
        }
        let v6 = if with.1 { vec![SIX] } else { Vec::new() };
        let drops = drops()?;
        let right = contents.v4 == v4 && contents.v6 == v6 && drops == with.0;
        Ok((!right).then(|| {
            let counts = (contents.v4.len(), contents.v6.len());
            format!("it has {counts:?} ranges, and drops: {drops}")
        }))
    }
}

/// Whether the policy drops what goes to that address.
fn drops() -> Result<bool> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    match socket.send_to(b"x", "127.0.0.9:9105") {
        Ok(_) => Ok(false),
        Err(error) if error.raw_os_error() == Some(1) => Ok(true),
        Err(error) => Err(error).context("a probe"),
    }
}

pub(crate) fn run() -> Result<()> {
    let fault = Fault::of_this_thread()?;
    let device = device()?;
    let blob = compiled(POLICY)?;
    device.load_policy(blob.bytes(), &plainly(&device.status()?))?;
    let guest = Guest {
        device,
        others: many(OTHERS),
    };
    guest.calm()?;
    ensure!(!drops()?, "the set drops what it has not");
    let both = |what| guest.change(what, &[ONE], &[SIX]);
    Trial {
        action: "set add",
        prepare: &mut || guest.calm(),
        act: &mut || both(SET_ADD),
        check: &mut |done| guest.flaw(true, (done, done)),
    }
    .run(&fault)?;
    Trial {
        action: "set delete",
        prepare: &mut || {
            guest.calm()?;
            both(SET_ADD)
        },
        act: &mut || both(SET_DELETE),
        check: &mut |done| guest.flaw(true, (!done, !done)),
    }
    .run(&fault)?;
    Trial {
        action: "set add, the first",
        prepare: &mut || {
            guest.calm()?;
            guest.change(SET_DELETE, &guest.others, &[])
        },
        act: &mut || guest.change(SET_ADD, &guest.others, &[]),
        check: &mut |done| guest.flaw(done, (false, false)),
    }
    .run(&fault)?;
    Trial {
        action: "set list",
        prepare: &mut || guest.calm(),
        act: &mut || guest.contents().map(drop),
        check: &mut |_| guest.flaw(true, (false, false)),
    }
    .run(&fault)?;
    Ok(())
}
