// SPDX-License-Identifier: GPL-2.0

//! `nftrace agent`

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nftrace_core::policy::control::FLUSH;
use nftrace_policy::ast::NamespaceSpec;
use nftrace_policy::{Document, Resolver};

use super::kept::tables;
use super::resolver::{Live, Unresolved, NOBODY};
use super::safety::own_cut_now;
use super::source::{build, read, Unknown};
use crate::source::DeviceArgs;
use follower::{Follower, Kernel, Meant, World};
use notify::Notify;
use sources::{Engines, Folders, Wake};

mod follower;
mod notify;
mod sources;
#[cfg(test)]
mod tests;

/// Keeps the names in the policy resolved while containers come and go
///
/// Loads the policy and stays in the foreground, for systemd. When a container, pod or
/// named namespace comes, goes, or gets other addresses, the policy is loaded anew with
/// what its names mean then. A name that means nothing now is no error: what rules have of
/// it matches no packet, and a warning says so.
///
/// What would cut the SSH connection over which the agent was started is not loaded, and
/// what is in force stays, unless --force is said.
///
/// SIGHUP has the file read again; where it is wrong, the policy in force stays. SIGTERM
/// ends the agent and leaves the policy in force. When somebody else changes the policy,
/// the agent says so and leaves it alone.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The policy
    #[arg(value_name = "FILE", default_value = "/etc/nftrace/policy")]
    file: String,
    /// Looks at everything so often, whether somebody tells of a change or not
    #[arg(long, value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    interval: u64,
    /// Even if it cuts the SSH connection over which this was started
    #[arg(long)]
    force: bool,
    /// Takes the policy out of force at the end
    #[arg(long)]
    flush_on_exit: bool,
    #[command(flatten)]
    device: DeviceArgs,
}

/// So long others may happen before the first of several events is acted on.
const GATHER: Duration = Duration::from_millis(100);
/// So long behind an event it is looked again: it may have been told early.
const SETTLE: Duration = Duration::from_secs(1);

fn say(text: &str) {
    eprintln!("nftrace: {}", text.trim_end());
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let device = args.device.open()?;
    let (sender, wakes) = mpsc::channel();
    // Before anything is looked up, so that nothing is missed behind it.
    sources::signals(sender.clone()).context("cannot listen to signals")?;
    let folders = Folders::new(sender.clone()).context("cannot watch folders")?;
    let engines = Engines::new(sender);
    engines.look();
    let world = Machine {
        file: args.file.clone(),
    };
    let mut follower = Follower::start(device, world, args.force).map_err(anyhow::Error::msg)?;
    let notify = Notify::new();
    follower.said().iter().for_each(|text| say(text));
    notify.ready(&follower.status());
    let look = || {
        engines.look();
        folders.look();
    };
    follow(
        &mut follower,
        &wakes,
        &notify,
        Duration::from_secs(args.interval),
        look,
    );
    notify.stopping();
    if args.flush_on_exit {
        let device = args.device.open()?;
        device.change_policy(FLUSH, None)?;
        say("the policy is out of force: everything passes");
    }
    Ok(ExitCode::SUCCESS)
}

/// Does what there is to do, until a signal ends it.
fn follow<K: Kernel, W: World>(
    follower: &mut Follower<K, W>,
    wakes: &Receiver<Wake>,
    notify: &Notify,
    interval: Duration,
    look: impl Fn(),
) {
    let mut tick = Instant::now() + interval;
    let mut due: Option<Instant> = None;
    let mut settled: Option<Instant> = None;
    loop {
        let next = [Some(tick), due, settled].into_iter().flatten().min();
        let left = next.map_or(interval, |next| {
            next.saturating_duration_since(Instant::now())
        });
        match wakes.recv_timeout(left) {
            Ok(Wake::End) | Err(RecvTimeoutError::Disconnected) => return,
            Ok(Wake::Say(text)) => say(&text),
            Ok(Wake::Event(_)) => {
                let now = Instant::now();
                due = due.or(Some(now + GATHER));
                settled = Some(now + SETTLE);
            }
            Ok(Wake::Reload) => {
                notify.reloading();
                follower.reread();
                follower.said().iter().for_each(|text| say(text));
                notify.ready(&follower.status());
            }
            Err(RecvTimeoutError::Timeout) => {
                let now = Instant::now();
                let is_due = |time: Option<Instant>| time.is_some_and(|time| time <= now);
                if tick <= now {
                    tick = now + interval;
                }
                look();
                if is_due(due) {
                    due = None;
                }
                if is_due(settled) {
                    settled = None;
                }
                follower.refresh();
                let said = follower.said();
                said.iter().for_each(|text| say(text));
                if !said.is_empty() {
                    notify.status(&follower.status());
                }
            }
        }
    }
}

/// The running machine.
struct Machine {
    file: String,
}

impl World for Machine {
    fn read(&self) -> Result<Document, String> {
        read(&self.file).map_err(|wrong| wrong.to_string())
    }

    fn mean(&self, document: &Document) -> Result<Meant, String> {
        let live = Live::new().map_err(|error| error.to_string())?;
        let now = Now::of(&live);
        let compiled =
            build(document, &now, Unknown::Refused).map_err(|wrong| wrong.to_string())?;
        let minds_new = compiled.program.new.is_some();
        let tables = tables(&compiled.blob).map_err(|error| error.to_string())?;
        let cut = own_cut_now(&tables).map(|cut| cut.told(&compiled.program));
        Ok(Meant {
            cut,
            blob: compiled.blob,
            namespaces: minds_new.then(|| live.cookies()),
            names: now.names.into_inner(),
            absent: now.absent.into_inner(),
        })
    }
}

/// What names mean now; those that mean nothing are noted, and no error.
struct Now<'a> {
    live: &'a Live,
    names: RefCell<BTreeMap<String, String>>,
    absent: RefCell<BTreeMap<String, String>>,
}

impl<'a> Now<'a> {
    fn of(live: &'a Live) -> Self {
        Self {
            live,
            names: RefCell::default(),
            absent: RefCell::default(),
        }
    }

    fn note<T>(
        &self,
        name: String,
        of: String,
        means: Result<T, Unresolved>,
        shown: impl FnOnce(&T) -> String,
        nothing: T,
    ) -> Result<T, String> {
        match means {
            Ok(means) => {
                self.names.borrow_mut().insert(name, shown(&means));
                Ok(means)
            }
            Err(Unresolved::Absent(why)) => {
                self.absent.borrow_mut().insert(of, why);
                Ok(nothing)
            }
            Err(Unresolved::Failed(why)) => Err(why),
        }
    }
}

impl Resolver for Now<'_> {
    fn addresses(&self, of: &NamespaceSpec) -> Result<Vec<IpAddr>, String> {
        let shown = |addresses: &Vec<IpAddr>| {
            let all: Vec<String> = addresses.iter().map(IpAddr::to_string).collect();
            all.join(", ")
        };
        let name = format!("addresses of {of}");
        let means = self.live.addresses_of(of);
        self.note(name, of.to_string(), means, shown, Vec::new())
    }

    fn namespace(&self, spec: &NamespaceSpec) -> Result<u64, String> {
        let shown = |cookie: &u64| format!("cookie {cookie}");
        let name = spec.to_string();
        self.note(name.clone(), name, self.live.cookie_of(spec), shown, NOBODY)
    }

    fn cgroup(&self, path: &str) -> Result<(u64, u32), String> {
        let shown = |(id, _): &(u64, u32)| format!("id {id}");
        let name = format!("cgroup {path:?}");
        let means = self.live.cgroup_of(path);
        self.note(name.clone(), name, means, shown, (NOBODY, u32::MAX))
    }

    fn host(&self) -> Result<u64, String> {
        Ok(self.live.host_cookie()?)
    }
}
