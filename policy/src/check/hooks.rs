// SPDX-License-Identifier: GPL-2.0

//! What a hook cannot know, and what cannot be done at it.

use super::{places, Check};
use crate::ast::{Bound, Clause, Place, Rule, Verdict};
use crate::diagnostic::Diagnostic;
use crate::words::PlaceName;
use nftrace_core::policy::{Kind, Unknown};

/// What a rule asks of its hooks: the clause, its word, and why a hook cannot.
type Demand = (Clause, &'static str, fn(Place) -> Option<Unknown>);

fn demands(rule: &Rule) -> Vec<Demand> {
    let mut demands: Vec<Demand> = Vec::new();
    let mut add = |is: bool, demand: Demand| {
        if is {
            demands.push(demand);
        }
    };
    add(
        matches!(rule.verdict, Verdict::Reject(_)),
        (Clause::Verdict, "reject", |place| place.refuses_reject()),
    );
    add(
        matches!(rule.verdict, Verdict::Queue { .. }),
        (Clause::Verdict, "queue", |place| place.refuses_queue()),
    );
    add(
        !rule.states.is_empty(),
        (Clause::States, "the state", |place| {
            place.refuses(Kind::State)
        }),
    );
    add(
        rule.original.is_some(),
        (
            Clause::Addresses(Bound::Original),
            "`original to`",
            |place| place.refuses(Kind::OriginalDestination),
        ),
    );
    add(
        rule.iif.is_some(),
        (Clause::Iif, "`iif`", |place| place.refuses(Kind::Input)),
    );
    add(
        rule.oif.is_some(),
        (Clause::Oif, "`oif`", |place| place.refuses(Kind::Output)),
    );
    add(
        rule.cgroup.is_some(),
        (Clause::Cgroup, "`cgroup`", |place| {
            place.refuses(Kind::Cgroup)
        }),
    );
    add(
        rule.classid.is_some(),
        (Clause::Classid, "`classid`", |place| {
            place.refuses(Kind::Classid)
        }),
    );
    add(
        rule.uid.is_some(),
        (Clause::Uid, "`uid`", |place| place.refuses(Kind::Uid)),
    );
    demands
}

impl Check<'_> {
    pub(super) fn hooks(&mut self) {
        let demands = demands(self.rule);
        let places = places(self.rule);
        let is_good = |place: &Place| {
            demands
                .iter()
                .all(|(_, _, refuses)| refuses(*place).is_none())
        };
        let good: Vec<Place> = Place::all().filter(is_good).collect();
        for (clause, what, refuses) in &demands {
            let bad: Vec<(Place, Unknown)> = places
                .iter()
                .filter_map(|place| Some((*place, refuses(*place)?)))
                .collect();
            let Some((_, reason)) = bad.first() else {
                continue;
            };
            let bad: Vec<Place> = bad.iter().map(|(place, _)| *place).collect();
            let problem = match clause {
                Clause::Verdict => format!("{what} is not possible at {}", list(&bad)),
                _ => format!("{what} is not known at {}", list(&bad)),
            };
            let span = self.at().clause(*clause);
            let mut error = Diagnostic::error(span, format!("{problem}: {}", reason.reason()));
            if let Some(hooks) = self.at().written(Clause::Hooks) {
                error = error.other(hooks, "here the rule is to be asked");
            }
            // Bridge hooks are for rules that name one.
            let on_bridges = self.rule.hooks.iter().any(|place| place.is_bridge);
            let usual: Vec<Place> = good
                .iter()
                .copied()
                .filter(|place| !place.is_bridge || on_bridges)
                .collect();
            let help = if usual.is_empty() {
                "no hook knows all that this rule asks for: make two rules of it".to_string()
            } else if self.rule.hooks.is_empty() {
                format!(
                    "without `at` a rule is at all five IP hooks: say at {}",
                    list(&usual)
                )
            } else {
                format!("say at {}", list(&usual))
            };
            self.report(error.help(help));
        }
    }
}

fn list(places: &[Place]) -> String {
    let names: Vec<String> = places
        .iter()
        .map(|one| PlaceName(*one).to_string())
        .collect();
    names.join(", ")
}
