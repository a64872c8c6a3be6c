// SPDX-License-Identifier: GPL-2.0

//! Policies from the rules of iptables and nftables. What cannot be said in the language,
//! or would mean something else, is listed: nothing changes its meaning in silence.

mod among;
mod condition;
mod emit;
mod flatten;
mod iptables;
mod model;
mod nft;

use crate::ast::{
    AddressRange, Basic, Default, DefaultFor, Element, IpFamily, NamespaceSpec, Policy, PortRange,
    Rule, Set, SetSource, Spans, Statement, Verdict,
};
use std::fmt::{self, Write as _};

pub use iptables::import as iptables;
pub use nft::import as nft_json;

/// How to import.
#[derive(Clone, Debug)]
pub struct Options {
    /// The namespace whose rules they are.
    pub namespace: NamespaceSpec,
    /// The family of iptables rules that do not show it.
    pub family: Option<IpFamily>,
    /// The name of what is imported, for the first line of the policy.
    pub name: String,
}

impl std::default::Default for Options {
    fn default() -> Self {
        Self {
            namespace: NamespaceSpec::Host,
            family: None,
            name: "-".to_string(),
        }
    }
}

/// What came of it.
#[derive(Clone, Debug)]
pub struct Import {
    /// The equivalent of what could be carried over.
    pub policy: Policy,
    /// The rest, in the order of the original.
    pub left: Vec<Left>,
    /// What stands above a statement, by its number.
    titles: Vec<(usize, String)>,
    from: String,
}

/// Where a rule stands in the original.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Its place among all that is read, which a line or an object may be.
    pub order: usize,
    /// The line, from 1.
    pub line: Option<usize>,
    /// The handle by which nft names it.
    pub handle: Option<u64>,
    /// Table and chain.
    pub chain: String,
    /// As it is written.
    pub text: String,
}

/// Something that was not carried over, or not quite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// What it is.
    pub source: Source,
    /// Whether it is missing, or there and not quite the same.
    pub kind: LeftKind,
    /// Why.
    pub reason: String,
    /// What that means for packets; none: nothing.
    pub effect: Option<&'static str>,
}

/// How something was not carried over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeftKind {
    /// It is not in the policy.
    LeftOut,
    /// It is in the policy, and means something else in some cases.
    Differs,
}

impl LeftKind {
    /// As a word of JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LeftOut => "left-out",
            Self::Differs => "differs",
        }
    }
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.source.line, self.source.handle) {
            (Some(line), _) => write!(f, "line {line}")?,
            (None, Some(handle)) => write!(f, "handle {handle}")?,
            (None, None) => f.write_str("all")?,
        }
        if !self.source.chain.is_empty() {
            write!(f, " ({})", self.source.chain)?;
        }
        writeln!(f, ": {}", one_line(&self.source.text))?;
        let kind = match self.kind {
            LeftKind::LeftOut => "left out",
            LeftKind::Differs => "differs",
        };
        write!(f, "  {kind}: {}", one_line(&self.reason))?;
        self.effect.map_or(Ok(()), |effect| write!(f, "; {effect}"))
    }
}

/// A comment is one line.
fn one_line(text: &str) -> String {
    let visible = |one: char| if one.is_control() { ' ' } else { one };
    text.chars().map(visible).collect()
}

impl fmt::Display for Import {
    /// As the file of a policy.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "# Made by `nftrace import` of {}.", one_line(&self.from))?;
        if self.left.is_empty() {
            writeln!(f, "# All rules were carried over.")?;
        } else {
            writeln!(f, "#\n# Not carried over, or not quite:")?;
        }
        for left in &self.left {
            for line in left.to_string().lines() {
                writeln!(f, "#   {line}")?;
            }
        }
        let mut titles = self.titles.iter().peekable();
        for (number, statement) in self.policy.statements.iter().enumerate() {
            while let Some((_, title)) = titles.next_if(|(at, _)| *at <= number) {
                writeln!(f, "\n# {}", one_line(title))?;
            }
            writeln!(f, "{statement}")?;
        }
        Ok(())
    }
}

/// Makes the policy of a ruleset, all of whose chains are there.
fn policy(
    mut rules: model::Ruleset,
    mut left: Vec<Left>,
    options: &Options,
    from: &str,
) -> Result<Import, String> {
    if let Some(chain) = rules.circle() {
        return Err(format!("the chain {chain} leads back to itself"));
    }
    rules.find_marking();
    let rules = &rules;
    let mut statements = Vec::new();
    let mut titles = vec![(0, "What no rule decides".to_string())];
    let made = flatten::all(rules, options)?;
    // Malformed packets meet no rule: they go the way of those that none is for.
    let drops_rest = made
        .rules
        .iter()
        .flat_map(|(_, rules)| rules)
        .any(is_for_all);
    let malformed = if drops_rest {
        Basic::Drop
    } else {
        Basic::Accept
    };
    for what in [
        DefaultFor::Hooks(Basic::Accept, Vec::new()),
        DefaultFor::Malformed(malformed),
        DefaultFor::Fragments(Basic::Accept),
    ] {
        let at = Spans::default();
        statements.push(Statement::Default(Default { what, at }));
    }
    left.extend(made.left);
    if !made.sets.is_empty() {
        titles.push((statements.len(), "Sets".to_string()));
    }
    for name in &made.sets {
        statements.push(set(rules, name)?);
    }
    for (title, rules) in made.rules {
        titles.push((statements.len(), title));
        let rules = rules.into_iter().map(Box::new);
        statements.extend(rules.map(Statement::Rule));
    }
    left.sort_by(|one, other| (&one.source, one.kind).cmp(&(&other.source, other.kind)));
    left.dedup();
    let mut name = options.name.clone();
    if name == "-" {
        name = String::from("its standard input");
    }
    let mut described = String::new();
    let _ = write!(described, "{name}, {from}");
    Ok(Import {
        policy: Policy { statements },
        left,
        titles,
        from: described,
    })
}

/// Whether it stops all packets of a hook and a family that no rule before it is for.
fn is_for_all(rule: &Rule) -> bool {
    let plain = Rule {
        verdict: rule.verdict,
        family: rule.family,
        hooks: rule.hooks.clone(),
        namespaces: rule.namespaces.clone(),
        log: rule.log,
        name: rule.name.clone(),
        ..Rule::default()
    };
    *rule == plain && matches!(rule.verdict, Verdict::Drop | Verdict::Reject(_))
}

/// A named set as a statement.
fn set(rules: &model::Ruleset, name: &str) -> Result<Statement, String> {
    let problem = || format!("the set {name} cannot be read");
    let ranges = rules.sets.get(name).ok_or_else(problem)?;
    let family = rules.set_families.get(name).copied().flatten();
    let element = |(low, high): (u128, u128)| -> Option<Element> {
        if let Some(family) = family {
            let (low, high) = (emit::address(family, low)?, emit::address(family, high)?);
            return Some(Element::Addresses(AddressRange::new(low, high).ok()?));
        }
        let (low, high) = (u16::try_from(low).ok()?, u16::try_from(high).ok()?);
        Some(Element::Ports(PortRange::new(low, high).ok()?))
    };
    let elements: Option<Vec<Element>> = ranges.iter().map(element).collect();
    Ok(Statement::Set(Set {
        dynamic: false,
        name: name.to_string(),
        source: SetSource::List(elements.ok_or_else(problem)?),
        at: Spans::default(),
    }))
}
