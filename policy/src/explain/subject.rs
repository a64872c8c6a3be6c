// SPDX-License-Identifier: GPL-2.0

//! What surrounds a packet that somebody described.

use super::described::Described;
use crate::ast::State;
use nftrace_core::policy::layout::Cgroup;
use nftrace_core::policy::{
    Subject, STATE_ESTABLISHED, STATE_INVALID, STATE_NEW, STATE_RELATED, STATE_UNTRACKED,
};
use nftrace_core::record::Socket;
use std::net::IpAddr;

/// Where and when the packet is seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Circumstances {
    /// The cookie of the namespace.
    pub cookie: u64,
    /// What people call the namespace.
    pub namespace: String,
    /// Whether it was made after the policy was loaded.
    pub is_new_namespace: bool,
    /// The firewall mark.
    pub mark: u32,
    /// How conntrack sees it.
    pub state: State,
    /// Where its connection went before NAT; none: where the packet goes.
    pub original: Option<(IpAddr, Option<u16>)>,
    /// The user of the local socket; none: there is no local socket, or another part of
    /// it is known.
    pub uid: Option<u32>,
    /// The classid of the local socket.
    pub classid: Option<u32>,
    /// The path of the local socket's cgroup, and the ids of all cgroups from the root to it.
    pub cgroup: Option<(String, Vec<u64>)>,
    /// Whether rules with a limit have matched as often as they may.
    pub is_over_limit: bool,
}

impl Circumstances {
    /// The first packet of a connection, in this namespace.
    #[must_use]
    pub fn new(cookie: u64, namespace: impl Into<String>) -> Self {
        Self {
            cookie,
            namespace: namespace.into(),
            is_new_namespace: false,
            mark: 0,
            state: State::New,
            original: None,
            uid: None,
            classid: None,
            cgroup: None,
            is_over_limit: false,
        }
    }
}

/// What the classifier asks.
pub(super) struct Asked<'a> {
    pub(super) packet: &'a Described,
    pub(super) around: &'a Circumstances,
}

impl Asked<'_> {
    pub(super) fn socket_is_known(&self) -> bool {
        let around = self.around;
        around.uid.is_some() || around.classid.is_some() || around.cgroup.is_some()
    }
}

fn padded(device: Option<&String>) -> [u8; 16] {
    let mut name = [0; 16];
    for (to, from) in name
        .iter_mut()
        .zip(device.into_iter().flat_map(|name| name.bytes()))
    {
        *to = from;
    }
    name
}

impl Subject for Asked<'_> {
    fn cookie(&self) -> u64 {
        self.around.cookie
    }

    fn is_in_new_namespace(&self) -> bool {
        self.around.is_new_namespace
    }

    fn input(&self) -> [u8; 16] {
        padded(self.packet.input.as_ref())
    }

    fn output(&self) -> [u8; 16] {
        padded(self.packet.output.as_ref())
    }

    fn mark(&self) -> u32 {
        self.around.mark
    }

    fn state(&self) -> u32 {
        match self.around.state {
            State::Established => STATE_ESTABLISHED,
            State::Related => STATE_RELATED,
            State::New => STATE_NEW,
            State::Invalid => STATE_INVALID,
            State::Untracked => STATE_UNTRACKED,
        }
    }

    fn original_destination(&self) -> Option<(IpAddr, Option<u16>)> {
        // Conntrack has none of what it makes nothing of.
        if matches!(self.around.state, State::Invalid | State::Untracked) {
            return None;
        }
        let packet = self.packet.packet.as_ref()?;
        let as_it_is = || (packet.dst, packet.ports().map(|ports| ports.dst));
        Some(self.around.original.unwrap_or_else(as_it_is))
    }

    fn socket(&self) -> Option<Socket> {
        let cgroups = self.around.cgroup.as_ref().map(|(_, ids)| ids);
        self.socket_is_known().then(|| Socket {
            uid: self.around.uid.unwrap_or(0),
            classid: self.around.classid.unwrap_or(0),
            cgroup: cgroups.and_then(|ids| ids.last()).copied().unwrap_or(0),
        })
    }

    fn is_of(&self, cgroup: &Cgroup) -> bool {
        let cgroups = self.around.cgroup.as_ref();
        cgroups.is_some_and(|(_, ids)| ids.contains(&cgroup.id))
    }
}
