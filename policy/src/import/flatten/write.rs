// SPDX-License-Identifier: GPL-2.0

//! The rules that are made.

use super::Flattener;
use crate::ast::{Log, NamespaceSpec, Operand, Rule, State, Verdict};
use crate::import::condition::Condition;
use crate::import::model::Entry;

/// A policy has at most so many rules.
const MOST_RULES: usize = 200_000;

impl Flattener<'_> {
    pub(super) fn rule(
        &mut self,
        of: Option<((usize, usize), &Entry)>,
        verdict: Verdict,
        condition: &Condition,
        shadow: bool,
        log: Option<Option<String>>,
    ) -> Result<(), String> {
        if self.made.len() >= MOST_RULES {
            return Err(format!("it would become more than {MOST_RULES} rules"));
        }
        let mut rule = condition.rule(verdict, self.place, self.sets);
        rule.shadow = shadow;
        rule.namespaces = Some(Operand::of([self.options.namespace.clone()]))
            .filter(|_| self.options.namespace != NamespaceSpec::All);
        rule.log = log.as_ref().map(|_| Log::default());
        rule.name = of.and_then(|(_, entry)| entry.comment.clone());
        if let Some(Some(prefix)) = log {
            let prefix = prefix.trim().to_string();
            rule.name = match rule.name {
                Some(comment) => Some(format!("{prefix} {comment}")),
                None => Some(prefix).filter(|prefix| !prefix.is_empty()),
            };
        }
        if let Some((known, _)) = of.filter(|_| condition.limit.is_some()) {
            *self.limited.entry(known).or_default() += 1;
        }
        if let Some(last) = self.made.last_mut() {
            // Each of several states, as of a verdict map.
            let same = Rule {
                states: rule.states.clone(),
                ..last.clone()
            };
            let is_split = !last.states.is_empty() && !rule.states.is_empty();
            if is_split && same == rule && rule.limit.is_none() {
                let states = last.states.iter().chain(&rule.states);
                let is_in = |state: &State| states.clone().any(|one| one == state);
                last.states = State::ALL.into_iter().filter(is_in).collect();
                return Ok(());
            }
            // A LOG before a DROP of the same packets.
            let logged = Rule {
                verdict,
                shadow: false,
                ..last.clone()
            };
            let both = Rule {
                log: last.log,
                name: last.name.clone(),
                ..rule.clone()
            };
            let is_plain = rule.log.is_none() && rule.name.is_none() && rule.limit.is_none();
            if last.shadow && last.log.is_some() && !shadow && is_plain && logged == both {
                *last = both;
                return Ok(());
            }
        }
        self.made.push(rule);
        Ok(())
    }
}
