// SPDX-License-Identifier: GPL-2.0

//! A policy as it is written. `Display` prints each statement back in its canonical
//! form, which reads as the same statement.
//!
//! Where a statement stands in a file is no part of what it says: places are equal to
//! each other, and whoever builds statements leaves them out (`..Rule::default()`).

mod display;
mod operand;
mod rule;

pub use operand::{
    Address, AddressRange, Device, IdRange, NamespaceSpec, Operand, Port, PortRange, RangeError,
};
pub use rule::{
    Bound, Clause, Endpoint, Flags, Icmp, IcmpFamily, IpFamily, Limit, Log, Mark, Otherwise,
    RejectWith, Rule, State, Unit, Verdict,
};

use crate::source::Span;
/// A hook of the IP families or of the bridge family.
pub use nftrace_core::policy::Place;

/// A whole policy: its statements in order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Policy {
    /// The statements.
    pub statements: Vec<Statement>,
}

impl Policy {
    /// The rules in order.
    pub fn rules(&self) -> impl Iterator<Item = &Rule> {
        self.statements.iter().filter_map(|one| match one {
            Statement::Rule(rule) => Some(&**rule),
            _ => None,
        })
    }
}

/// One statement.
#[derive(Clone, Debug, PartialEq)]
pub enum Statement {
    /// `include "FILE"`
    Include(Include),
    /// `set NAME [dynamic] = …`
    Set(Set),
    /// `default …`
    Default(Default),
    /// A rule.
    Rule(Box<Rule>),
}

impl Statement {
    /// Where it stands.
    #[must_use]
    pub fn span(&self) -> Span {
        match self {
            Self::Include(one) => one.at.span(),
            Self::Set(one) => one.at.span(),
            Self::Default(one) => one.at.span(),
            Self::Rule(one) => one.at.span(),
        }
    }
}

/// `include "FILE"`: the statements of another file, here.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Include {
    /// The file, relative to the one that includes it.
    pub path: String,
    /// Where it stands.
    pub at: Spans,
}

/// `set NAME [dynamic] = …`
#[derive(Clone, Debug, PartialEq)]
pub struct Set {
    /// Its name, without the `@`.
    pub name: String,
    /// Whether it changes while the policy is in force: `nftrace set add`.
    pub dynamic: bool,
    /// What is in it; at first, if it is dynamic.
    pub source: SetSource,
    /// Where it stands.
    pub at: Spans,
}

/// Where a set's elements are.
#[derive(Clone, Debug, PartialEq)]
pub enum SetSource {
    /// `{ …, … }`
    List(Vec<Element>),
    /// `file "FILE"`: an element a line.
    File(String),
}

/// An element of a set. A set has addresses or ports, never both.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Element {
    /// Addresses.
    Addresses(AddressRange),
    /// Ports.
    Ports(PortRange),
    /// All that is in another set.
    Set(String),
}

/// `default …`: what holds where no rule decides.
#[derive(Clone, Debug, PartialEq)]
pub struct Default {
    /// For what.
    pub what: DefaultFor,
    /// Where it stands.
    pub at: Spans,
}

/// What a `default` statement is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DefaultFor {
    /// `default drop [at HOOK, …]`: packets that no rule decides; no hooks: the five IP hooks,
    /// where no statement of their own says otherwise.
    Hooks(Basic, Vec<Place>),
    /// `default malformed drop`: packets whose headers are cut off or contradict themselves.
    Malformed(Basic),
    /// `default fragments drop`: later fragments at a rule that asks for what only the first has.
    Fragments(Basic),
    /// `default drop in new`: namespaces that are born after the policy is loaded.
    New(NewNamespaces),
}

/// Accept or drop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Basic {
    /// Let other netfilter rules decide.
    Accept,
    /// Drop.
    Drop,
}

/// What holds in a namespace that is born after the policy was loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NewNamespaces {
    /// The rules, and accept where none decides.
    Accept,
    /// The rules, and drop where none decides.
    Drop,
    /// Everything is accepted until the policy is loaded again.
    AcceptUntilKnown,
}

/// Where a statement stands, and its clauses. All are equal: see the module.
#[derive(Clone, Debug, Default)]
pub struct Spans {
    pub(crate) whole: Span,
    pub(crate) clauses: Vec<(Clause, Span)>,
}

impl PartialEq for Spans {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Spans {}

impl Spans {
    pub(crate) fn new(whole: Span) -> Self {
        Self {
            whole,
            clauses: Vec::new(),
        }
    }

    /// The whole statement.
    #[must_use]
    pub fn span(&self) -> Span {
        self.whole
    }

    /// One clause; the whole statement where it is not written.
    #[must_use]
    pub fn clause(&self, clause: Clause) -> Span {
        self.written(clause).unwrap_or(self.whole)
    }

    /// One clause, if it is written.
    #[must_use]
    pub fn written(&self, clause: Clause) -> Option<Span> {
        self.clauses
            .iter()
            .find(|(one, _)| *one == clause)
            .map(|(_, span)| *span)
    }
}
