// SPDX-License-Identifier: GPL-2.0

//! nftrace: shows the way of a packet through every network namespace of a host.

#![deny(unsafe_code)]

use kernel::prelude::*;
use kernel::sync::Arc;

#[expect(
    unsafe_code,
    reason = "the fence: all unsafe code is in there, with its proofs"
)]
mod bindings;
mod module;

use bindings::{chardev, netfilter, param, policy, wakeup, work};
use module::control::{Fail, COUNTERS};
use module::datapath::Datapath;
use module::device::Shared;
use module::dmesg::Printer;
use module::policy::{Control, Ending, Keeper};
use module::rings::Rings;
use module::tracing::{self, Users};

module! {
    type: Nftrace,
    name: "nftrace",
    authors: ["nftrace contributors"],
    description: "Traces packets through the netfilter hooks of every network namespace",
    license: "GPL v2",
}

/// The module while it is loaded.
///
/// The order of the fields is the order in which they are dropped.
struct Nftrace {
    /// First nobody reads or changes anything any more;
    _device: chardev::Registration,
    _users: Attachment,
    /// then the policy goes, since it asks namespaces for what they have of ours only
    /// while the hooks are there;
    _policy: Ending,
    /// then no packet comes any more, on any CPU;
    _hooks: netfilter::Registration,
    _timer: wakeup::Timer,
    /// then what looked after the policy, and what it had of others;
    _keeper: Arc<work::Worker<Keeper>>,
    _helpers: policy::Helpers,
    /// then what is in the rings is printed;
    _printer: Arc<work::Worker<Printer>>,
    /// then we say that we are gone.
    _farewell: Farewell,
}

/// What changes of the filter concern, while it lives.
struct Attachment;

impl Attachment {
    fn new(users: Users) -> Result<Self> {
        let users = Arc::new(users, GFP_KERNEL)?;
        param::with_lock(|locked| tracing::attach(users, locked)).map(|()| Self)
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        drop(param::with_lock(tracing::detach));
    }
}

/// Prints the last line.
struct Farewell;

impl Drop for Farewell {
    fn drop(&mut self) {
        pr_info!("{}\n", format_args!("unloaded: {COUNTERS}"));
    }
}

impl Nftrace {
    fn load() -> Result<Self> {
        let rings = Arc::new(Rings::new(param::ring_slots())?, GFP_KERNEL)?;
        let printer = work::Worker::new(Printer::new(rings.clone())?)?;
        let bridge = param::bridge();
        let helpers = policy::Helpers::new();
        let control = Control::new(printer.clone(), bridge, Fail::is_closed())?;
        let keeper = work::Worker::new(Keeper::new(control.clone()))?;
        let shared = Shared {
            rings: rings.clone(),
            control: control.clone(),
            keeper: keeper.clone(),
        };
        let shared = Arc::new(shared, GFP_KERNEL)?;
        let datapath = Datapath::new(rings, printer.clone(), keeper.clone())?;
        let datapath = Arc::new(datapath, GFP_KERNEL)?;
        let timer = wakeup::Timer::new();
        let hooks = netfilter::Registration::new(datapath.clone(), bridge, param::exit())?;
        let families = if bridge {
            "ipv4,ipv6,bridge"
        } else {
            "ipv4,ipv6"
        };
        pr_info!(
            "{}\n",
            format_args!(
                "{} loaded: ports={} hooks=PRE_ROUTING,LOCAL_IN,FORWARD,LOCAL_OUT,POST_ROUTING \
                 families={families} init_net={} namespaces={}",
                env!("NFTRACE_VERSION"),
                tracing::ports(),
                netfilter::init_net_inode(),
                netfilter::Registration::namespaces(),
            ),
        );
        let users = Attachment::new(Users {
            datapath,
            printer: printer.clone(),
        })?;
        // The first line stands before the first record.
        printer.start();
        keeper.start();
        // The last that may fail: files can be opened from here on.
        let device = chardev::Registration::new(shared)?;
        Ok(Self {
            _device: device,
            _users: users,
            _policy: Ending::new(control),
            _hooks: hooks,
            _timer: timer,
            _keeper: keeper,
            _helpers: helpers,
            _printer: printer,
            _farewell: Farewell,
        })
    }
}

impl kernel::Module for Nftrace {
    fn init(_module: &'static ThisModule) -> Result<Self> {
        Self::load().inspect_err(|error| pr_err!("not loaded: {error:?}\n"))
    }
}
