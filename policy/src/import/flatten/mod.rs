// SPDX-License-Identifier: GPL-2.0

//! Chains to one list of rules a hook, the first of which that matches decides.
//!
//! A jump puts the rules of its chain in its place, each with the condition of the jump as
//! well. A packet that a chain returns, and one that a table accepts while others have still
//! to be asked, goes on in what comes after: that is put there for it, with its condition.
//! So nothing has to be negated, and the meaning stays what it was.

mod fate;
mod left;
mod write;

use super::condition::{Condition, Not};
use super::model::{Action, Base, DestinationKind, Entry, Ruleset};
use super::{Left, LeftKind, Options};
use crate::ast::{Basic, IpFamily, Place, Rule, Verdict};
use fate::{fates, is_one, ACCEPTED, DROPPED};
use nftrace_core::hook::Hook;
use std::collections::BTreeMap;

/// At most so many chains are followed into each other.
const DEEPEST: usize = 100;
/// At most so many rules are looked at: rules are put at several places.
const MOST_STEPS: usize = 5_000_000;

/// All that there is.
#[derive(Default)]
pub(super) struct Made {
    /// The rules of each hook, under their title.
    pub(super) rules: Vec<(String, Vec<Rule>)>,
    pub(super) left: Vec<Left>,
    /// The named sets that are asked for.
    pub(super) sets: Vec<String>,
}

/// What comes after a rule.
enum After<'a> {
    /// The other rules of its chain, and what comes after that.
    Rest(usize, usize, &'a After<'a>),
    /// The end of the chain of a hook: its policy, and other tables.
    End(usize),
}

/// Which packets of a rule get past it.
enum Past {
    /// All: the next rules are asked.
    All,
    /// None.
    Nothing,
    /// They go on behind the chain.
    Here,
}

struct Flattener<'a> {
    rules: &'a Ruleset,
    options: &'a Options,
    place: Place,
    /// The chains of this hook, in the order in which they are asked.
    bases: Vec<&'a Base>,
    /// What can come of the rules of a chain from one on, by chain and rule.
    fates: &'a [Vec<u8>],
    made: Vec<Rule>,
    sets: &'a mut Vec<String>,
    left: &'a mut BTreeMap<(usize, usize), Vec<Left>>,
    /// How often a rule with a limit was made, by chain and rule.
    limited: &'a mut BTreeMap<(usize, usize), usize>,
    depth: usize,
    steps: usize,
}

/// Makes the rules of all hooks.
pub(super) fn all(rules: &Ruleset, options: &Options) -> Result<Made, String> {
    let fates = fates(rules)?;
    let (mut left, mut limited) = (BTreeMap::new(), BTreeMap::new());
    let mut made = Made::default();
    for place in Place::all() {
        let mut bases: Vec<&Base> = rules.bases.iter().collect();
        bases.retain(|base| base.place == place);
        bases.sort_by_key(|base| base.priority);
        if bases.is_empty() {
            continue;
        }
        let says = |base: &&&Base| {
            base.policy == Basic::Drop || !rules.chains[base.chain].entries.is_empty()
        };
        let titles = bases.iter().filter(says).map(|base| base.title.as_str());
        let title = titles.collect::<Vec<_>>().join("; ");
        let mut flattener = Flattener {
            rules,
            options,
            place,
            bases,
            fates: &fates,
            made: Vec::new(),
            sets: &mut made.sets,
            left: &mut left,
            limited: &mut limited,
            depth: 0,
            steps: 0,
        };
        flattener.fragments()?;
        flattener.tables(0, &Condition::default())?;
        let rules = flattener.made;
        if !rules.is_empty() {
            made.rules.push((title, rules));
        }
    }
    made.left = left.into_values().flatten().collect();
    for ((chain, index), count) in limited {
        if count > 1 {
            made.left.push(Left {
                source: rules.chains[chain].entries[index].source.clone(),
                kind: LeftKind::Differs,
                reason: format!("its limit counts for each of the {count} rules that it became"),
                effect: Some("together they match more often"),
            });
        }
    }
    Ok(made)
}

impl Flattener<'_> {
    /// Where conntrack does not put fragments together, rules that ask for ports or the like
    /// do not see later fragments, which nftrace decides by one default: so others decide
    /// them here, before.
    fn fragments(&mut self) -> Result<(), String> {
        for family in [IpFamily::Ipv4, IpFamily::Ipv6] {
            let is_whole = self.rules.tracked.contains(&family) && !self.place.is_bridge;
            let asks = |entry: &Entry| {
                let mut all = entry.conditions.iter().flatten();
                all.any(|one| one.asks_for_transport() || one.fragment == Some(false))
            };
            let asked = self.rules.bases_reaching(asks);
            let is_asked = asked.iter().any(|base| {
                base.place == self.place && base.family.is_none_or(|one| one == family)
            });
            if is_whole || !is_asked || self.fate_of_tables(0, Some(family)) == ACCEPTED {
                continue;
            }
            let later = Condition {
                family: Some(family),
                fragment: Some(true),
                ..Condition::default()
            };
            self.tables(0, &later)?;
        }
        Ok(())
    }

    /// Asks the tables from one on. What they do not decide goes on to the next hook function.
    fn tables(&mut self, first: usize, condition: &Condition) -> Result<(), String> {
        let mut decided = Vec::new();
        for number in first..self.bases.len() {
            let base = self.bases[number];
            let of_family = Condition {
                family: base.family,
                ..Condition::default()
            };
            let Ok(joined) = condition.and(&of_family) else {
                continue;
            };
            if decided.contains(&joined.family) {
                continue;
            }
            let mut is_decided = self.chain(base.chain, 0, &joined, &After::End(number))?;
            if base.policy == Basic::Drop && !is_decided {
                self.rule(None, Verdict::Drop, &joined, false, None)?;
                is_decided = true;
            }
            if is_decided && joined.family == condition.family {
                return Ok(());
            }
            if is_decided {
                decided.push(joined.family);
            }
        }
        // What is accepted here may not meet the rules that stand below for others.
        if !condition.is_trivial() {
            self.rule(None, Verdict::Accept, condition, false, None)?;
        }
        Ok(())
    }

    /// Lets packets go on in what comes after a rule that may stand above others.
    fn go_on(&mut self, after: &After<'_>, condition: &Condition) -> Result<(), String> {
        let verdict = match self.fate_after(after, condition.family) {
            ACCEPTED => Verdict::Accept,
            DROPPED => Verdict::Drop,
            _ => {
                return self.deeper(|this| match after {
                    After::Rest(chain, index, next) => {
                        if this.chain(*chain, *index, condition, next)? {
                            return Ok(());
                        }
                        this.go_on(next, condition)
                    }
                    After::End(number) if this.bases[*number].policy == Basic::Drop => {
                        this.rule(None, Verdict::Drop, condition, false, None)
                    }
                    After::End(number) => this.tables(number + 1, condition),
                });
            }
        };
        self.rule(None, verdict, condition, false, None)
    }

    fn deeper<T>(&mut self, go: impl FnOnce(&mut Self) -> Result<T, String>) -> Result<T, String> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(format!("chains jump and return more than {DEEPEST} deep"));
        }
        let done = go(self);
        self.depth -= 1;
        done
    }

    /// The rules of a chain from one on. What they do not decide falls through; returns
    /// whether nothing does.
    fn chain(
        &mut self,
        chain: usize,
        first: usize,
        condition: &Condition,
        after: &After<'_>,
    ) -> Result<bool, String> {
        let rules = self.rules;
        let entries = &rules.chains[chain].entries;
        // Returning at the end changes nothing.
        let returns = |entry: &&Entry| entry.actions == [Action::Return];
        let end = entries.len() - entries.iter().rev().take_while(returns).count();
        for (index, entry) in entries.iter().enumerate().take(end).skip(first) {
            self.steps += 1;
            if self.steps > MOST_STEPS {
                return Err("the chains jump to each other too often to be one list".to_string());
            }
            let rest = After::Rest(chain, index + 1, after);
            let known = (chain, index);
            if self.returns_all(&entries[index..]) {
                let reason = "each packet at local_in is taken for one to an address that is local, of a broadcast or of a multicast, which this rule and the next two return";
                let effect =
                    "with routes of the type local outside of the table local others may come";
                self.note(known, LeftKind::Differs, reason, Some(effect));
                return Ok(false);
            }
            match self.joined(entry, condition, &rest) {
                Ok(all) => {
                    for joined in all {
                        match self.actions(known, entry, &joined, &rest, after)? {
                            Past::Nothing if joined == *condition => return Ok(true),
                            Past::Here if joined == *condition => return Ok(false),
                            Past::Here => self.go_on(after, &joined)?,
                            Past::Nothing | Past::All => {}
                        }
                    }
                }
                Err(reason) => self.leave(known, &reason, &rest, condition.family),
            }
        }
        Ok(false)
    }

    /// Whether the next rules return all packets, each those to one kind of destination.
    fn returns_all(&self, entries: &[Entry]) -> bool {
        use DestinationKind::{Broadcast, Local, Multicast};
        let is_here = self.place.hook == Hook::LocalIn && !self.place.is_bridge;
        let returns =
            |entry: &Entry, kind| entry.kind == Some(kind) && entry.actions == [Action::Return];
        let Some(next) = entries.get(..3).filter(|_| is_here) else {
            return false;
        };
        let mut kinds = [Local, Broadcast, Multicast].into_iter();
        kinds.all(|kind| next.iter().any(|entry| returns(entry, kind)))
    }

    /// The conditions of a rule together with those under which it is reached; or why a
    /// rule here cannot ask for them, or not do what it does.
    fn joined(
        &self,
        entry: &Entry,
        condition: &Condition,
        rest: &After<'_>,
    ) -> Result<Vec<Condition>, String> {
        let mut all = Vec::new();
        for one in entry.conditions.as_ref().map_err(Clone::clone)? {
            let joined = match condition.and(one) {
                Ok(joined) => joined,
                Err(Not::Possible) => continue,
                Err(Not::Expressible(reason)) => return Err(reason),
            };
            if let Some(reason) = joined.refusal(self.place) {
                return Err(reason);
            }
            let marked = |(place, priority): &(Place, i64)| {
                *place == self.place && *priority <= self.priority(rest)
            };
            if one.mark.is_some() && self.rules.marking.iter().any(marked) {
                return Err("other rules at this hook change the mark before it is asked for, and nftrace runs before them".to_string());
            }
            let is_tracked = |family: &IpFamily| joined.family.is_none_or(|one| one == *family);
            let is_early = matches!(self.place.hook, Hook::PreRouting | Hook::LocalOut);
            if one.fragment == Some(true) && is_early && self.rules.tracked.iter().any(is_tracked) {
                return Err("conntrack puts fragments together before this is asked, and nftrace runs before conntrack".to_string());
            }
            for action in &entry.actions {
                let later = self.fate_of_tables(self.table(rest) + 1, joined.family);
                let is_simple = match action {
                    Action::Verdict(Verdict::Queue { .. }) if later != ACCEPTED => {
                        return Err("what the queue accepts would not meet the tables that are asked after this one".to_string());
                    }
                    Action::Verdict(Verdict::Accept) => later == ACCEPTED,
                    Action::Return => is_one(self.fate_after(rest, joined.family)),
                    Action::Jump(_) | Action::Goto(_) => false,
                    _ => true,
                };
                if joined.limit.is_some() && !is_simple {
                    return Err("it limits how often other rules are asked".to_string());
                }
                if let Action::Verdict(verdict) = action {
                    if let Some(reason) = joined.refusal_of(*verdict, self.place) {
                        return Err(reason);
                    }
                }
                if let Action::Unknown(reason) = action {
                    return Err(reason.clone());
                }
            }
            all.push(joined);
        }
        Ok(all)
    }

    /// Does what a rule does with packets of one condition.
    fn actions(
        &mut self,
        known: (usize, usize),
        entry: &Entry,
        joined: &Condition,
        rest: &After<'_>,
        after: &After<'_>,
    ) -> Result<Past, String> {
        self.compare(known, entry, joined, rest);
        let next_table = self.table(rest) + 1;
        let later = self.fate_of_tables(next_table, joined.family);
        let this = Some((known, entry));
        let mut log = None;
        let mut actions = entry.actions.iter().peekable();
        while let Some(action) = actions.next() {
            match action {
                Action::Log { prefix } => match actions.peek() {
                    // One rule does both.
                    Some(Action::Verdict(verdict))
                        if *verdict != Verdict::Accept || later == ACCEPTED =>
                    {
                        log = Some(prefix.clone());
                    }
                    _ => {
                        let log = Some(prefix.clone());
                        self.rule(this, Verdict::Accept, joined, true, log)?;
                    }
                },
                Action::Count => self.rule(this, Verdict::Accept, joined, true, None)?,
                Action::Verdict(Verdict::Accept) if later != ACCEPTED => {
                    self.deeper(|this| this.tables(next_table, joined))?;
                    return Ok(Past::Nothing);
                }
                Action::Verdict(verdict) => {
                    self.rule(this, *verdict, joined, false, log)?;
                    return Ok(Past::Nothing);
                }
                Action::Jump(chain) => {
                    if self.deeper(|this| this.chain(*chain, 0, joined, rest))? {
                        return Ok(Past::Nothing);
                    }
                }
                Action::Goto(chain) => {
                    let is_decided = self.deeper(|this| this.chain(*chain, 0, joined, after))?;
                    return Ok(if is_decided {
                        Past::Nothing
                    } else {
                        Past::Here
                    });
                }
                Action::Return => return Ok(Past::Here),
                Action::Besides(reason) | Action::Marks(reason) => {
                    self.note(known, LeftKind::LeftOut, reason, None);
                }
                Action::Differs(reason) => self.note(known, LeftKind::Differs, reason, None),
                Action::Unknown(_) => {}
            }
        }
        Ok(Past::All)
    }
}
