// SPDX-License-Identifier: GPL-2.0

//! The rules of another firewall, before they become a policy: what iptables and nftables
//! have in common.

use super::condition::Condition;
use super::Source;
use crate::ast::{Basic, IpFamily, Limit, Place, Verdict};
use std::collections::{BTreeMap, HashMap};

/// All chains.
#[derive(Debug, Default)]
pub(super) struct Ruleset {
    pub(super) chains: Vec<Chain>,
    /// The chains' numbers by their names.
    numbers: HashMap<String, usize>,
    /// The chains that hooks begin with.
    pub(super) bases: Vec<Base>,
    /// Where marks are changed, and by a chain of which priority.
    pub(super) marking: Vec<(Place, i64)>,
    /// Where addresses are translated.
    pub(super) nat: Vec<Place>,
    /// The families that conntrack watches, as far as the rules tell.
    pub(super) tracked: Vec<IpFamily>,
    /// Named sets that rules ask for.
    pub(super) sets: BTreeMap<String, super::among::Ranges>,
    /// The families of these sets; none: ports.
    pub(super) set_families: BTreeMap<String, Option<IpFamily>>,
}

/// A chain.
#[derive(Debug, Default)]
pub(super) struct Chain {
    pub(super) name: String,
    pub(super) entries: Vec<Entry>,
}

/// A chain at a hook.
#[derive(Debug)]
pub(super) struct Base {
    pub(super) place: Place,
    /// None: both.
    pub(super) family: Option<IpFamily>,
    pub(super) priority: i64,
    pub(super) policy: Basic,
    pub(super) chain: usize,
    /// As in `table filter, chain INPUT, policy DROP`.
    pub(super) title: String,
}

/// A rule.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) source: Source,
    /// The packets that it is about fulfil one of these; or why that cannot be said.
    pub(super) conditions: Result<Vec<Condition>, String>,
    pub(super) comment: Option<String>,
    /// Which kind of destination it asks for, where that is all that it asks for.
    pub(super) kind: Option<DestinationKind>,
    /// What it does with them, in order.
    pub(super) actions: Vec<Action>,
}

/// How the routing tables see a destination. At `local_in` it is one of these.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum DestinationKind {
    Local,
    Broadcast,
    Multicast,
}

/// What a rule does.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Action {
    Verdict(Verdict),
    /// The chain of that number.
    Jump(usize),
    Goto(usize),
    Return,
    Log {
        prefix: Option<String>,
    },
    Count,
    /// Something that is no verdict and is not carried over: why.
    Besides(String),
    /// The same; it changes the mark.
    Marks(String),
    /// In what the verdict behind it differs.
    Differs(String),
    /// Something that may be a verdict: why it is not carried over.
    Unknown(String),
}

impl Ruleset {
    /// The chain of that name, if it is there.
    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }

    /// The chain of that name, which is made if it is not there.
    pub(super) fn chain(&mut self, name: &str) -> usize {
        if let Some(number) = self.find(name) {
            return number;
        }
        self.numbers.insert(name.to_string(), self.chains.len());
        self.chains.push(Chain {
            name: name.to_string(),
            entries: Vec::new(),
        });
        self.chains.len() - 1
    }

    /// The chains from which hooks can reach a rule for which that holds.
    pub(super) fn bases_reaching(&self, is: impl Fn(&Entry) -> bool) -> Vec<&Base> {
        let reaches = |base: &&Base| {
            let (mut seen, mut next) = (vec![false; self.chains.len()], vec![base.chain]);
            while let Some(number) = next.pop() {
                if std::mem::replace(&mut seen[number], true) {
                    continue;
                }
                for entry in &self.chains[number].entries {
                    if is(entry) {
                        return true;
                    }
                    next.extend(entry.actions.iter().filter_map(Action::target));
                }
            }
            false
        };
        self.bases.iter().filter(reaches).collect()
    }

    /// Finds out where marks are changed.
    pub(super) fn find_marking(&mut self) {
        let marks = |entry: &Entry| {
            let mut actions = entry.actions.iter();
            actions.any(|action| matches!(action, Action::Marks(_)))
        };
        let bases = self.bases_reaching(marks);
        self.marking = bases
            .iter()
            .map(|base| (base.place, base.priority))
            .collect();
    }

    /// The name of a chain that leads back to itself, if there is one.
    pub(super) fn circle(&self) -> Option<&str> {
        let targets = |chain: &Chain| -> Vec<usize> {
            let actions = chain.entries.iter().flat_map(|entry| &entry.actions);
            actions.filter_map(Action::target).collect()
        };
        let targets: Vec<Vec<usize>> = self.chains.iter().map(targets).collect();
        // 0: not seen, 1: being followed, 2: done.
        let mut marks = vec![0_u8; self.chains.len()];
        for start in 0..self.chains.len() {
            let mut stack = vec![(start, 0)];
            while let Some((number, at)) = stack.pop() {
                if at == 0 && std::mem::replace(&mut marks[number], 1) == 2 {
                    marks[number] = 2;
                    continue;
                }
                match targets[number].get(at) {
                    None => marks[number] = 2,
                    Some(target) if marks[*target] == 1 => {
                        return Some(&self.chains[*target].name);
                    }
                    Some(target) => {
                        stack.push((number, at + 1));
                        stack.push((*target, 0));
                    }
                }
            }
        }
        None
    }
}

impl Action {
    pub(super) fn target(&self) -> Option<usize> {
        match self {
            Self::Jump(chain) | Self::Goto(chain) => Some(*chain),
            _ => None,
        }
    }
}

impl Entry {
    /// Whether it needs conntrack, which then is there.
    pub(super) fn asks_conntrack(&self) -> bool {
        self.conditions.iter().flatten().any(|condition| {
            condition.states.is_some()
                || condition.original.is_some()
                || condition.original_port.is_some()
        })
    }

    /// Adds a limit, which goes for the actions behind it.
    pub(super) fn limit(&mut self, limit: Limit) {
        let all = Condition {
            limit: Some(limit),
            ..Condition::default()
        };
        let is_none = limit.count == 0 || limit.burst == Some(0);
        self.narrow(if is_none {
            Err("a limit or a burst of 0 is not known here".to_string())
        } else {
            Ok(vec![all])
        });
    }

    /// Adds a condition: one of these is fulfilled.
    pub(super) fn narrow(&mut self, by: Result<Vec<Condition>, String>) {
        let (Ok(are), Ok(by)) = (&self.conditions, &by) else {
            if let (Ok(_), Err(reason)) = (&self.conditions, by) {
                self.conditions = Err(reason);
            }
            return;
        };
        let mut all = Vec::new();
        for one in are {
            for other in by {
                match one.and(other) {
                    Ok(joined) => all.push(joined),
                    Err(super::condition::Not::Possible) => {}
                    Err(super::condition::Not::Expressible(reason)) => {
                        self.conditions = Err(reason);
                        return;
                    }
                }
            }
        }
        self.conditions = if all.len() > MOST {
            Err(format!("it would become more than {MOST} rules"))
        } else {
            Ok(all)
        };
    }
}

/// One rule may become so many.
const MOST: usize = 1024;
