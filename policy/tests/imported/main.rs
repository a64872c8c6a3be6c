// SPDX-License-Identifier: GPL-2.0

//! Random rulesets of iptables, walked as the kernel walks them, decide as the policies
//! that they become.

mod random;
mod tables;

use nftrace_core::policy::{classify, layout, verify, Action as Decided, Observer, Place};
use nftrace_core::{hook::Hook, policy::layout::Answer};
use nftrace_policy::ast::NamespaceSpec;
use nftrace_policy::import::{iptables, Options};
use nftrace_policy::{compile, load_text, resolve, Memory, Resolver};
use proptest::prelude::*;
use std::net::IpAddr;
use tables::{Verdict, HOST};

struct Names;

impl Resolver for Names {
    fn addresses(&self, of: &NamespaceSpec) -> Result<Vec<IpAddr>, String> {
        Err(format!("there is no {of}"))
    }

    fn namespace(&self, spec: &NamespaceSpec) -> Result<u64, String> {
        Err(format!("there is no {spec}"))
    }

    fn cgroup(&self, path: &str) -> Result<(u64, u32), String> {
        Err(format!("there is no {path}"))
    }

    fn host(&self) -> Result<u64, String> {
        Ok(HOST)
    }
}

struct NoLimits;

impl Observer for NoLimits {
    fn is_within_limit(&mut self, _: u32, _: &layout::Rule) -> bool {
        true
    }

    fn shadowed(&mut self, _: u32, _: &layout::Rule) {}
}

fn verdict(decided: Decided) -> Verdict {
    match decided {
        Decided::Accept => Verdict::Accept,
        Decided::Drop => Verdict::Drop,
        Decided::Reject(Answer::PortUnreachable) => Verdict::Reject,
        other => panic!("no rule says {other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_imported_policy_decides_as_its_tables(
        tables in random::tables(),
        packets in prop::collection::vec(random::packet(), 60),
    ) {
        let text = tables.to_string();
        let import = iptables(&text, &Options::default()).unwrap_or_else(|error| panic!("{error}\n{text}"));
        // What jumps join, such as two lists of ports of either end, may be too much.
        prop_assume!(import.left.is_empty());
        let document = load_text("policy", &import.to_string(), &Memory::default())
            .unwrap_or_else(|report| panic!("{report}\n{text}"));
        let program = resolve(&document, &Names).unwrap_or_else(|report| panic!("{report}"));
        let blob = compile(&program).expect("it is small");
        let compiled = blob.tables().expect("it is a blob");
        prop_assert!(verify(&compiled).is_ok());
        let place = Place { hook: Hook::LocalIn, is_bridge: false };
        for (mut packet, world) in packets {
            if tables.has_conntrack() && packet.fragment.is_some_and(|one| one.offset > 0) {
                // Conntrack has put it together.
                packet.fragment = None;
                continue;
            }
            let decision = classify(&compiled, place, Some(&packet), &world, &mut NoLimits);
            prop_assert_eq!(
                verdict(decision.action),
                tables.decide(&packet, &world),
                "{:?} {:?}\n{}\n{}", packet, world, text, import
            );
            // Other namespaces are not affected.
            let mut other = world;
            other.cookie = HOST + 1;
            let decision = classify(&compiled, place, Some(&packet), &other, &mut NoLimits);
            prop_assert_eq!(decision.action, Decided::Accept);
        }
    }
}
