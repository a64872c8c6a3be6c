// SPDX-License-Identifier: GPL-2.0

//! The device and the parameters: what is refused for want of memory has changed nothing,
//! and the policy in force goes on.

use std::cell::RefCell;
use std::fs;
use std::net::UdpSocket;

use anyhow::{ensure, Context, Result};
use nftrace_core::policy::control::{
    ACCEPT_ALL, CONFIRM, DROP_ALL, END_PANIC, FLUSH, PANIC_ACCEPT, PANIC_DROP, PANIC_OFF, ROLLBACK,
};
use nftrace_core::trace::Header;
use nftrace_device::{Device, Loading, Rings, Start};
use nftrace_policy::Blob;
use nftrace_tests::guest::{compiled, device, plainly};
use zerocopy::IntoBytes as _;

use crate::inject::{Fault, Trial};

/// The one drops the first port, the other one the second.
const PORTS: [u16; 2] = [9101, 9102];

/// With sets, conntrack, answers, sockets and the log: all that a policy may need.
fn text(port: u16) -> String {
    format!(
        "set some = {{ 192.0.2.0/24, 198.51.100.7, 2001:db8::/32 }}\n\
         accept established at local_in\n\
         drop udp to any port {port} at local_out log limit 5/s\n\
         reject tcp from @some to any port 1-100 at local_in\n\
         drop udp to any port 9103 uid 12345 at local_in\n\
         queue 7 else accept udp to any port 9104 at local_in\n"
    )
}

const PARAMETERS: [(&str, &str); 3] = [("ports", "8080"), ("format", "v1"), ("log_rate", "1000")];

fn parameter(name: &str) -> String {
    format!("/sys/module/nftrace/parameters/{name}")
}

/// Whether the policy lets a datagram go to that port.
fn passes(port: u16) -> Result<bool> {
    let socket = UdpSocket::bind("127.0.0.1:0")?;
    match socket.send_to(b"x", ("127.0.0.1", port)) {
        Ok(_) => Ok(true),
        Err(error) if error.raw_os_error() == Some(1) => Ok(false),
        Err(error) => Err(error).context("a probe"),
    }
}

/// All that control can change.
#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    policy: Option<Vec<u8>>,
    generation: u32,
    previous: u32,
    trial: bool,
    panic: u32,
    filter: Vec<u8>,
    history: usize,
    parameters: Vec<String>,
    passes: Vec<bool>,
}

struct Guest {
    device: Device,
    blobs: [Blob; 2],
    filter: Vec<u8>,
    /// The state in which the action began.
    before: RefCell<Option<State>>,
}

impl Guest {
    fn state(&self) -> Result<State> {
        let status = self.device.status()?;
        // What is over its length is a ring.
        let entries = self.device.history()?;
        let last = entries.last().map_or(0, |entry| entry.time);
        Ok(State {
            policy: self.device.policy(None)?.map(|(_, bytes)| bytes),
            generation: status.generation,
            previous: status.previous,
            trial: status.trial != 0,
            panic: status.panic,
            filter: self.device.filter()?,
            history: entries.len() ^ usize::try_from(last)?,
            parameters: PARAMETERS
                .iter()
                .map(|(name, _)| Ok(fs::read_to_string(parameter(name))?))
                .collect::<Result<_>>()?,
            passes: PORTS
                .iter()
                .map(|port| passes(*port))
                .collect::<Result<_>>()?,
        })
    }

    fn is(&self, which: usize, state: &State) -> bool {
        state.policy.as_deref() == Some(self.blobs[which].bytes())
            && state.passes == PORTS.map(|port| port != PORTS[which])
    }

    fn load(&self, which: usize, trial: Option<u32>) -> Result<()> {
        let loading = Loading {
            trial,
            ..plainly(&self.device.status()?)
        };
        self.device
            .load_policy(self.blobs[which].bytes(), &loading)?;
        Ok(())
    }

    fn change(&self, what: u32) -> Result<()> {
        self.device.change_policy(what, None)?;
        Ok(())
    }

    /// The first policy in force and the second one before it, nothing on trial, and
    /// what is traced is what was when we began.
    fn calm(&self) -> Result<()> {
        let state = self.state()?;
        if state.trial {
            self.change(ROLLBACK)?;
        }
        if state.panic != PANIC_OFF {
            self.change(END_PANIC)?;
        }
        for (name, value) in PARAMETERS {
            fs::write(parameter(name), value)?;
        }
        if self.device.filter()? != self.filter {
            self.device.set_filter(&self.filter)?;
        }
        let state = self.state()?;
        let previous = match state.previous {
            0 => None,
            generation => self.device.policy(Some(generation))?,
        };
        let is_second = previous.is_some_and(|(_, bytes)| bytes == self.blobs[1].bytes());
        if !self.is(0, &state) || !is_second {
            self.load(1, None)?;
            self.load(0, None)?;
        }
        ensure!(self.is(0, &self.state()?), "the first policy does not hold");
        Ok(())
    }

    /// Does it, whatever fails, and looks at what is so behind it.
    fn trial(
        &self,
        fault: &Fault,
        action: &str,
        prepare: impl Fn() -> Result<()>,
        act: impl Fn() -> Result<()>,
        done: impl Fn(&State, &State) -> bool,
    ) -> Result<()> {
        let mut prepare = || {
            self.calm()?;
            prepare()?;
            *self.before.borrow_mut() = Some(self.state()?);
            Ok(())
        };
        let mut check = |succeeded: bool| {
            let after = self.state()?;
            let before = self.before.borrow();
            let before = before.as_ref().context("no state before")?;
            let right = if succeeded {
                done(before, &after)
            } else {
                *before == after
            };
            Ok((!right).then(|| format!("before {before:?}, behind it {after:?}")))
        };
        Trial {
            action,
            prepare: &mut prepare,
            act: &mut || act(),
            check: &mut check,
        }
        .run(fault)?;
        Ok(())
    }
}

pub(crate) fn run() -> Result<()> {
    let fault = Fault::of_this_thread()?;
    let device = device()?;
    device.set_nonblocking(true)?;
    let filter = device.filter()?;
    ensure!(
        filter.len() > size_of::<Header>(),
        "the test sets no filter"
    );
    let guest = Guest {
        device,
        blobs: [compiled(&text(PORTS[0]))?, compiled(&text(PORTS[1]))?],
        filter,
        before: RefCell::new(None),
    };
    policies(&guest, &fault)?;
    reading(&guest, &fault)?;
    tracing(&guest, &fault)
}

fn nothing() -> Result<()> {
    Ok(())
}

fn same(before: &State, after: &State) -> bool {
    before == after
}

fn policies(guest: &Guest, fault: &Fault) -> Result<()> {
    let on_trial = || guest.load(1, Some(600));
    let second = |_: &State, after: &State| guest.is(1, after) && !after.trial;
    let first = |_: &State, after: &State| guest.is(0, after) && !after.trial;
    let none = |_: &State, after: &State| after.policy.is_none() && after.passes == [true, true];
    let panics = |what: u32, passes: [bool; 2]| {
        move |_: &State, after: &State| after.panic == what && after.passes == passes
    };
    let try_second = |_: &State, after: &State| guest.is(1, after) && after.trial;

    guest.trial(
        fault,
        "policy load",
        nothing,
        || guest.load(1, None),
        second,
    )?;
    let flush = || guest.change(FLUSH);
    // Conntrack's hooks have to be taken for it in every namespace.
    guest.trial(
        fault,
        "policy load, the first",
        flush,
        || guest.load(1, None),
        second,
    )?;
    guest.trial(fault, "policy try", nothing, on_trial, try_second)?;
    guest.trial(fault, "confirm", on_trial, || guest.change(CONFIRM), second)?;
    guest.trial(
        fault,
        "rollback of a trial",
        on_trial,
        || guest.change(ROLLBACK),
        first,
    )?;
    guest.trial(
        fault,
        "rollback",
        nothing,
        || guest.change(ROLLBACK),
        second,
    )?;
    guest.trial(fault, "flush", nothing, flush, none)?;
    let accept = || guest.change(ACCEPT_ALL);
    guest.trial(
        fault,
        "accept all",
        nothing,
        accept,
        panics(PANIC_ACCEPT, [true, true]),
    )?;
    // What stays inside a host on lo is spared.
    let drop = || guest.change(DROP_ALL);
    guest.trial(
        fault,
        "drop all",
        nothing,
        drop,
        panics(PANIC_DROP, [true, true]),
    )?;
    let end = || guest.change(END_PANIC);
    guest.trial(
        fault,
        "end of a panic",
        drop,
        end,
        panics(PANIC_OFF, [false, true]),
    )?;
    guest.trial(
        fault,
        "status",
        nothing,
        || Ok(guest.device.status().map(drop_it)?),
        same,
    )?;
    guest.trial(
        fault,
        "policy",
        nothing,
        || Ok(guest.device.policy(None).map(drop_it)?),
        same,
    )?;
    guest.trial(
        fault,
        "counts",
        nothing,
        || Ok(guest.device.counts().map(drop_it)?),
        same,
    )?;
    guest.trial(
        fault,
        "history",
        nothing,
        || Ok(guest.device.history().map(drop_it)?),
        same,
    )
}

fn drop_it<T>(value: T) {
    drop(value);
}

fn reading(guest: &Guest, fault: &Fault) -> Result<()> {
    let open = || device().map(drop_it);
    guest.trial(fault, "open", nothing, open, same)?;
    let reader = RefCell::new(device()?);
    reader.borrow().set_nonblocking(true)?;
    let send = || passes(8080).map(drop_it);
    let read = || {
        Ok(reader
            .borrow_mut()
            .read()
            .map(|frames| assert!(!frames.is_empty()))?)
    };
    guest.trial(fault, "read", send, read, same)?;
    guest.trial(
        fault,
        "poll",
        send,
        || Ok(reader.borrow().wait(None).map(drop_it)?),
        same,
    )?;
    guest.trial(
        fault,
        "stats",
        nothing,
        || Ok(reader.borrow().stats().map(drop_it)?),
        same,
    )?;
    guest.trial(
        fault,
        "seek",
        nothing,
        || Ok(reader.borrow().seek(Start::Oldest)?),
        same,
    )?;
    guest.trial(
        fault,
        "map",
        nothing,
        || Ok(Rings::map(&reader.borrow()).map(drop_it)?),
        same,
    )
}

fn tracing(guest: &Guest, fault: &Fault) -> Result<()> {
    let none = Header::default();
    let clear = || Ok(guest.device.set_filter(none.as_bytes())?);
    let set = || Ok(guest.device.set_filter(&guest.filter)?);
    let is_set = |_: &State, after: &State| after.filter == guest.filter;
    let is_clear = |_: &State, after: &State| after.filter == none.as_bytes();
    guest.trial(fault, "trace set, the first", clear, set, is_set)?;
    guest.trial(fault, "trace set", nothing, set, is_set)?;
    guest.trial(fault, "trace off", nothing, clear, is_clear)?;
    guest.trial(
        fault,
        "trace show",
        nothing,
        || Ok(guest.device.filter().map(drop_it)?),
        same,
    )?;
    for (at, (name, value)) in [
        ("ports", "1-5,77"),
        ("format", "classic"),
        ("log_rate", "7"),
    ]
    .into_iter()
    .enumerate()
    {
        let write = || Ok(fs::write(parameter(name), value)?);
        let is_so = |_: &State, after: &State| after.parameters[at].trim() == value;
        guest.trial(fault, &format!("parameter {name}"), nothing, write, is_so)?;
        let read = || Ok(fs::read_to_string(parameter(name)).map(drop_it)?);
        guest.trial(fault, &format!("read of {name}"), nothing, read, same)?;
    }
    Ok(())
}
