// SPDX-License-Identifier: GPL-2.0

//! nftrace's own classifier in userspace: the files that the module is compiled from.

use std::net::IpAddr;

use anyhow::{anyhow, Result};
use nftrace_core::hook::Hook;
use nftrace_core::packet::{parse, Network, Packet};
use nftrace_core::policy::layout::{Cgroup, Rule};
use nftrace_core::policy::{classify, verify, Decision, Observer, Place, Subject, Tables};
use nftrace_core::record::Socket;
use nftrace_policy::Blob;
use nftrace_tests::guest::compiled;

use crate::packets::PacketTuple;
use crate::rules::Family;

/// A policy, compiled and found sound.
#[derive(Debug)]
pub struct Judge(Blob);

/// Nothing surrounds the packet: the rules here ask for nothing but its headers.
struct Alone;

impl Subject for Alone {
    fn cookie(&self) -> u64 {
        1
    }

    fn is_in_new_namespace(&self) -> bool {
        false
    }

    fn input(&self) -> [u8; 16] {
        [0; 16]
    }

    fn output(&self) -> [u8; 16] {
        [0; 16]
    }

    fn mark(&self) -> u32 {
        0
    }

    fn state(&self) -> u32 {
        0
    }

    fn original_destination(&self) -> Option<(IpAddr, Option<u16>)> {
        None
    }

    fn socket(&self) -> Option<Socket> {
        None
    }

    fn is_of(&self, _: &Cgroup) -> bool {
        false
    }
}

struct Unlimited;

impl Observer for Unlimited {
    fn is_within_limit(&mut self, _: u32, _: &Rule) -> bool {
        true
    }

    fn shadowed(&mut self, _: u32, _: &Rule) {}
}

impl Judge {
    /// Compiles and verifies the text of a policy.
    ///
    /// # Errors
    ///
    /// All that is wrong with it.
    pub fn new(text: &str) -> Result<Self> {
        let judge = Self(compiled(text)?);
        verify(&judge.tables()).map_err(|refusal| anyhow!("{refusal:?}"))?;
        Ok(judge)
    }

    /// The policy as the kernel is given it.
    #[must_use]
    pub const fn blob(&self) -> &Blob {
        &self.0
    }

    /// Its parts.
    ///
    /// # Panics
    ///
    /// Never: it could be read when it was made.
    #[must_use]
    pub fn tables(&self) -> Tables<'_> {
        self.0.tables().expect("what the compiler makes")
    }

    /// The headers of a packet, as the module reads them.
    ///
    /// # Panics
    ///
    /// Never: the packets here are sound.
    #[must_use]
    pub fn packet(tuple: &PacketTuple) -> Packet {
        let bytes = tuple.bytes();
        let network = match tuple.family {
            Family::V4 => Network::Ipv4,
            Family::V6 => Network::Ipv6,
        };
        parse(network, &bytes, bytes.len()).expect("a sound packet")
    }

    /// What the policy says of it at `pre_routing`.
    #[inline]
    #[must_use]
    pub fn classify(tables: &Tables<'_>, packet: &Packet) -> Decision {
        let place = Place {
            hook: Hook::PreRouting,
            is_bridge: false,
        };
        classify(tables, place, Some(packet), &Alone, &mut Unlimited)
    }
}
