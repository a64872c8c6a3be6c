// SPDX-License-Identifier: GPL-2.0

//! What can become of packets, by all the rules that they may still meet.

use super::{After, Flattener, DEEPEST};
use crate::ast::{Basic, IpFamily, Verdict};
use crate::import::model::{Action, Entry, Ruleset};

/// What can become of packets: bits.
pub(super) const ACCEPTED: u8 = 1;
pub(super) const DROPPED: u8 = 2;
pub(super) const OTHERWISE: u8 = 4;
/// They are logged on their way.
pub(super) const LOGGED: u8 = 8;

/// What can come of the rules of each chain, from each rule on. No chain leads to itself.
pub(super) fn fates(rules: &Ruleset) -> Result<Vec<Vec<u8>>, String> {
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
pub(super) fn fate(entry: &Entry, all: &[Vec<u8>]) -> u8 {
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

pub(super) fn is_one(fate: u8) -> bool {
    fate == ACCEPTED || fate == DROPPED
}

impl Flattener<'_> {
    /// What can come of the tables from one on.
    pub(super) fn fate_of_tables(&self, first: usize, family: Option<IpFamily>) -> u8 {
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
    pub(super) fn with_later(&self, fate: u8, later: u8) -> u8 {
        fate & !ACCEPTED | if fate & ACCEPTED == 0 { 0 } else { later }
    }

    pub(super) fn fate_after(&self, after: &After<'_>, family: Option<IpFamily>) -> u8 {
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

    /// Which of the tables a rule is in.
    pub(super) fn table(&self, mut after: &After<'_>) -> usize {
        loop {
            match after {
                After::Rest(_, _, next) => after = next,
                After::End(number) => return *number,
            }
        }
    }

    pub(super) fn priority(&self, after: &After<'_>) -> i64 {
        self.bases[self.table(after)].priority
    }
}
