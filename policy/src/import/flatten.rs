// SPDX-License-Identifier: GPL-2.0

//! Chains to one list of rules a hook, the first of which that matches decides.
//!
//! A jump puts the rules of its chain in its place, each with the condition of the jump as
//! well. A packet that a chain returns, and one that a table accepts while others have still
//! to be asked, goes on in what comes after: that is put there for it, with its condition.
//! So nothing has to be negated, and the meaning stays what it was.

use super::condition::{Condition, Not};
use super::model::{Action, Base, DestinationKind, Entry, Ruleset};
use super::{Left, LeftKind, Options, Source};
use crate::ast::{Basic, IpFamily, Log, NamespaceSpec, Operand, Place, Rule, State, Verdict};
use nftrace_core::hook::Hook;
use std::collections::BTreeMap;

/// What can become of packets: bits.
const ACCEPTED: u8 = 1;
const DROPPED: u8 = 2;
const OTHERWISE: u8 = 4;
/// They are logged on their way.
const LOGGED: u8 = 8;

/// A policy has at most so many rules.
const MOST_RULES: usize = 200_000;
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

/// What can come of the rules of each chain, from each rule on. No chain leads to itself.
fn fates(rules: &Ruleset) -> Result<Vec<Vec<u8>>, String> {
    fn of(rules: &Ruleset, chain: usize, all: &mut Vec<Vec<u8>>, depth: usize) -> bool {
        let entries = &rules.chains[chain].entries;
        let mut fates = vec![0; entries.len() + 1];
        for (index, entry) in entries.iter().enumerate().rev() {
            for target in entry.actions.iter().filter_map(Action::target) {
                let is_known = !all[target].is_empty();
                if !is_known && (depth == DEEPEST || !of(rules, target, all, depth + 1)) {
                    return false;
                }
            }
            fates[index] = fates[index + 1] | fate(entry, all);
        }
        all[chain] = fates;
        true
    }
    let mut all = vec![Vec::new(); rules.chains.len()];
    for chain in 0..rules.chains.len() {
        if all[chain].is_empty() && !of(rules, chain, &mut all, 0) {
            return Err(format!("chains jump more than {DEEPEST} deep"));
        }
    }
    Ok(all)
}

/// What can come of one rule.
fn fate(entry: &Entry, all: &[Vec<u8>]) -> u8 {
    let of = |action: &Action| match action {
        Action::Verdict(Verdict::Accept) => ACCEPTED,
        Action::Verdict(Verdict::Drop) => DROPPED,
        Action::Verdict(_) => OTHERWISE,
        Action::Jump(chain) | Action::Goto(chain) => all[*chain][0],
        Action::Unknown(_) => ACCEPTED | DROPPED | OTHERWISE,
        Action::Log { .. } => LOGGED,
        Action::Return
        | Action::Count
        | Action::Besides(_)
        | Action::Marks(_)
        | Action::Differs(_) => 0,
    };
    entry.actions.iter().map(of).fold(0, |fate, one| fate | one)
}

fn is_one(fate: u8) -> bool {
    fate == ACCEPTED || fate == DROPPED
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

    /// What can come of the tables from one on.
    fn fate_of_tables(&self, first: usize, family: Option<IpFamily>) -> u8 {
        let Some(base) = self.bases.get(first) else {
            return ACCEPTED;
        };
        let later = self.fate_of_tables(first + 1, family);
        if base.family.is_some() && family.is_some() && base.family != family {
            return later;
        }
        let at_end = match base.policy {
            Basic::Drop => DROPPED,
            Basic::Accept => later,
        };
        let of_others = if base.family == family { 0 } else { later };
        self.with_later(self.fates[base.chain][0], later) | at_end | of_others
    }

    /// What one table accepts is up to the later ones.
    fn with_later(&self, fate: u8, later: u8) -> u8 {
        fate & !ACCEPTED | if fate & ACCEPTED == 0 { 0 } else { later }
    }

    fn fate_after(&self, after: &After<'_>, family: Option<IpFamily>) -> u8 {
        match after {
            After::Rest(chain, index, next) => {
                let later = self.fate_of_tables(self.table(after) + 1, family);
                let here = self.with_later(self.fates[*chain][*index], later);
                here | self.fate_after(next, family)
            }
            After::End(number) if self.bases[*number].policy == Basic::Drop => DROPPED,
            After::End(number) => self.fate_of_tables(number + 1, family),
        }
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
            if one.fragment == Some(true)
                && is_early
                && self.rules.tracked.iter().any(is_tracked)
            {
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

    /// Which of the tables a rule is in.
    fn table(&self, mut after: &After<'_>) -> usize {
        loop {
            match after {
                After::Rest(_, _, next) => after = next,
                After::End(number) => return *number,
            }
        }
    }

    fn priority(&self, after: &After<'_>) -> i64 {
        self.bases[self.table(after)].priority
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

    /// Says where a rule asks for addresses that are others at this hook.
    fn compare(
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
    fn leave(
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

    fn note(
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

    fn rule(
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
