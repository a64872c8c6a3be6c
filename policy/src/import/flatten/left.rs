// SPDX-License-Identifier: GPL-2.0

//! What is said of rules that are left out, or mean something else here.

use super::fate::{fate, is_one, ACCEPTED, LOGGED};
use super::{After, Flattener};
use crate::ast::IpFamily;
use crate::import::condition::Condition;
use crate::import::model::{Action, Entry};
use crate::import::{Left, LeftKind, Source};
use nftrace_core::hook::Hook;

impl Flattener<'_> {
    /// Says where a rule asks for addresses that are others at this hook.
    pub(super) fn compare(
        &mut self,
        known: (usize, usize),
        entry: &Entry,
        joined: &Condition,
        rest: &After<'_>,
    ) {
        if !self.rules.nat.contains(&self.place) {
            return;
        }
        let priority = self.priority(rest);
        let to = joined.destination.is_some()
            || joined.destination_port.is_some()
            || joined.either_port.is_some()
            || joined.oif.is_some();
        let from =
            joined.source.is_some() || joined.source_port.is_some() || joined.either_port.is_some();
        let decides = entry
            .actions
            .iter()
            .any(|one| matches!(one, Action::Verdict(_)));
        let differs = match self.place.hook {
            Hook::PreRouting | Hook::LocalOut => to && priority > -100,
            Hook::LocalIn | Hook::PostRouting => from && priority > 100,
            Hook::Forward => false,
        };
        if decides && differs {
            let reason = "nat rules of this hook come before it, and after nftrace: it sees what they have not changed yet";
            let effect = "packets that they translate may meet another rule";
            self.note(known, LeftKind::Differs, reason, Some(effect));
        }
    }

    /// Leaves a rule out.
    pub(super) fn leave(
        &mut self,
        known: (usize, usize),
        reason: &str,
        rest: &After<'_>,
        family: Option<IpFamily>,
    ) {
        let rules = self.rules;
        let entry = &rules.chains[known.0].entries[known.1];
        let fate = fate(entry, self.fates);
        let only_decides = entry.actions.iter().all(|action| {
            let decides = matches!(action, Action::Verdict(_) | Action::Return | Action::Count);
            decides || action.target().is_some() && fate & LOGGED == 0
        });
        let all = (fate | self.fate_after(rest, family)) & !LOGGED;
        let fate = fate & !LOGGED;
        let effect = match fate {
            // What comes after does the same.
            _ if is_one(all) && only_decides => return,
            _ if is_one(all) => None,
            _ if fate == ACCEPTED => {
                Some("what it accepted is up to the rules behind it, which may stop it")
            }
            _ if fate & ACCEPTED == 0 && fate != 0 => {
                Some("what it stopped is up to the rules behind it, which may let it pass")
            }
            _ if fate == 0 && !entry.actions.contains(&Action::Return) => None,
            _ => Some("its packets are up to the rules behind it"),
        };
        let mut reason = reason.to_string();
        for chain in entry.actions.iter().filter_map(Action::target) {
            let chain = &rules.chains[chain];
            reason += &format!(
                "; with it goes this way into the chain {} ({} rules)",
                chain.name,
                chain.entries.len()
            );
        }
        self.note(known, LeftKind::LeftOut, &reason, effect);
    }

    pub(super) fn note(
        &mut self,
        known: (usize, usize),
        kind: LeftKind,
        reason: &str,
        effect: Option<&'static str>,
    ) {
        let source: &Source = &self.rules.chains[known.0].entries[known.1].source;
        let notes = self.left.entry(known).or_default();
        if !notes
            .iter()
            .any(|one| one.kind == kind && one.reason == reason)
        {
            notes.push(Left {
                source: source.clone(),
                kind,
                reason: reason.to_string(),
                effect,
            });
        }
    }
}
