// SPDX-License-Identifier: GPL-2.0

//! Asks the classifier, and notes what each rule came to.

use super::described::Described;
use super::facts::{condition, fact, is_never, Written};
use super::subject::{Asked, Circumstances};
use super::{action_text, place_name};
use crate::ast::Place;
use crate::blob::rule_text_of;
use nftrace_core::policy::layout::{self, New, IPV4};
use nftrace_core::policy::{
    classify, classify_in_order, By, Decision, Kind, Observer, Outcome, Tables,
};

/// What a policy does with a packet at one hook.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The hook.
    pub place: Place,
    /// The rules that were asked, in order.
    pub tried: Vec<Tried>,
    /// What becomes of the packet.
    pub decision: Decision,
}

/// A rule that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Its number, from 1.
    pub number: u32,
    /// Its text.
    pub text: String,
    /// Its name.
    pub name: Option<String>,
    /// Whether it is evaluated, but not enforced.
    pub is_shadow: bool,
    /// Whether it has a limit.
    pub is_limited: bool,
    /// What it came to; none: it matches.
    pub why: Option<Why>,
}

/// Why a rule does not match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Why {
    /// The clause that is not met; none where no single one is to blame.
    pub clause: Option<String>,
    /// What the packet has instead, as a sentence.
    pub fact: String,
    /// Whether it cannot be known of a later fragment, so that the default for fragments
    /// decides.
    pub is_unknown: bool,
}

impl Explanation {
    /// The verdict in one word, as tests say it.
    #[must_use]
    pub fn verdict(&self) -> &'static str {
        self.decision.action.verdict().name()
    }

    /// What decided, as `rule 3`, or `the default at forward`.
    #[must_use]
    pub fn by(&self) -> String {
        match self.decision.by {
            By::Rule(number) => format!("rule {}", number + 1),
            By::Default => format!("the default at {}", place_name(self.place)),
            By::New => "the default in new namespaces".to_string(),
            By::Malformed => "the default for malformed packets".to_string(),
            By::Fragment(number) => {
                format!("the default for fragments, at rule {}", number + 1)
            }
        }
    }

    /// The rule that decided.
    #[must_use]
    pub fn rule(&self) -> Option<&Tried> {
        match self.decision.by {
            By::Rule(number) => self.tried.iter().find(|tried| tried.number == number + 1),
            _ => None,
        }
    }

    /// What becomes of the packet, as rules say it.
    #[must_use]
    pub fn action(&self) -> String {
        action_text(self.decision.action)
    }
}

struct Noting<'a> {
    tables: &'a Tables<'a>,
    asked: &'a Asked<'a>,
    tried: Vec<Tried>,
}

impl Observer for Noting<'_> {
    fn tried(&mut self, number: u32, rule: &layout::Rule, outcome: Outcome) {
        let written = Written::of(self.tables.rule_text(rule));
        self.tried.push(Tried {
            number: number + 1,
            name: written.name(),
            is_shadow: rule.flags & layout::SHADOW != 0,
            is_limited: rule.limit.events != 0,
            why: self.why(rule, outcome, &written),
            text: rule_text_of(self.tables, rule),
        });
    }

    fn is_within_limit(&mut self, _: u32, _: &layout::Rule) -> bool {
        !self.asked.around.is_over_limit
    }

    fn shadowed(&mut self, _: u32, _: &layout::Rule) {}
}

impl Noting<'_> {
    fn why(&self, rule: &layout::Rule, outcome: Outcome, written: &Written) -> Option<Why> {
        let because = |fact: String| Why {
            clause: None,
            fact,
            is_unknown: false,
        };
        let number = match outcome {
            Outcome::Matched => return None,
            Outcome::OverLimit => {
                return Some(because(
                    "it has matched as often as its limit lets it".to_string(),
                ))
            }
            Outcome::OtherFamily => {
                let family = if rule.families == IPV4 {
                    "IPv4"
                } else {
                    "IPv6"
                };
                return Some(because(format!("it is for {family} only")));
            }
            Outcome::NotMet(number) | Outcome::Unknown(number) => number,
        };
        let is_unknown = matches!(outcome, Outcome::Unknown(_));
        let condition = condition(self.tables, rule, number)?;
        let kind = Kind::from_number(condition.kind)?;
        let clause = written.clause(kind).map(str::to_string);
        if is_never(self.tables, condition) {
            let nothing = "what it names leaves no packet that it could match";
            return Some(because(nothing.to_string()));
        }
        let fact = if is_unknown {
            "a later fragment does not tell".to_string()
        } else {
            fact(kind, self.asked)
        };
        Some(Why {
            clause,
            fact,
            is_unknown,
        })
    }
}

/// Asks a policy that has been verified about a packet at one hook.
#[must_use]
pub fn explain(
    tables: &Tables<'_>,
    place: Place,
    packet: &Described,
    around: &Circumstances,
) -> Explanation {
    let asked = Asked { packet, around };
    let mut noting = Noting {
        tables,
        asked: &asked,
        tried: Vec::new(),
    };
    let decision = classify_in_order(tables, place, packet.packet.as_ref(), &asked, &mut noting);
    Explanation {
        place,
        tried: noting.tried,
        decision,
    }
}

struct Silent<'a>(&'a Circumstances);

impl Observer for Silent<'_> {
    fn is_within_limit(&mut self, _: u32, _: &layout::Rule) -> bool {
        !self.0.is_over_limit
    }

    fn shadowed(&mut self, _: u32, _: &layout::Rule) {}
}

/// The same as [`explain`], without the reasons: for thousands of packets.
#[must_use]
pub fn decide(
    tables: &Tables<'_>,
    place: Place,
    packet: &Described,
    around: &Circumstances,
) -> Decision {
    let asked = Asked { packet, around };
    let mut silent = Silent(around);
    classify(tables, place, packet.packet.as_ref(), &asked, &mut silent)
}

/// Whether the policy says something else of namespaces that are made after its load.
#[must_use]
pub fn minds_new_namespaces(tables: &Tables<'_>) -> bool {
    !matches!(
        New::from_number(tables.header.new),
        None | Some(New::AsElsewhere)
    )
}
