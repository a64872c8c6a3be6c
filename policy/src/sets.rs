// SPDX-License-Identifier: GPL-2.0

//! Named sets: what is in them, by their files and by each other.

use crate::ast::{Address, Clause, Element, Policy, Port, SetSource, Statement};
use crate::diagnostic::{Diagnostic, Report};
use crate::parse;
use crate::ranges::{self, Addresses};
use crate::source::Span;
use crate::words;
use nftrace_core::policy::dynamic::{MAX_NAME, MAX_RANGES, MAX_SETS};
use nftrace_core::policy::layout::Range32;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What is in a set.
#[derive(Clone, Debug, Default)]
pub(crate) struct Elements {
    pub(crate) addresses: Addresses,
    pub(crate) ports: Vec<Range32>,
    /// Other sets that are in it.
    sets: Vec<String>,
}

impl Elements {
    fn push(&mut self, element: &Element) {
        match element {
            Element::Addresses(range) => self.addresses.push(*range),
            Element::Ports(range) => self.ports.push(ranges::of_ports(*range)),
            Element::Set(name) => self.sets.push(name.clone()),
        }
    }

    fn kind(&self) -> Option<SetKind> {
        if !self.ports.is_empty() {
            Some(SetKind::Ports)
        } else if !(self.addresses.v4.is_empty() && self.addresses.v6.is_empty()) {
            Some(SetKind::Addresses)
        } else {
            None
        }
    }
}

/// What a set holds; one that is empty may be either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SetKind {
    Addresses,
    Ports,
}

impl SetKind {
    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Addresses => "addresses",
            Self::Ports => "ports",
        }
    }
}

/// A set, with all that is in the sets in it.
#[derive(Clone, Debug)]
pub(crate) struct Set {
    /// Its name, where it is defined.
    pub(crate) span: Span,
    pub(crate) kind: Option<SetKind>,
    pub(crate) addresses: Arc<Addresses>,
    pub(crate) ports: Arc<Vec<Range32>>,
    /// Whether what is in it changes without the policy: it is in a file of its own.
    pub(crate) is_in_file: bool,
    /// Whether it changes while the policy is in force.
    pub(crate) is_dynamic: bool,
}

/// All sets by name.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sets(BTreeMap<String, Set>);

impl Sets {
    pub(crate) fn get(&self, name: &str) -> Option<&Set> {
        self.0.get(name)
    }

    /// The dynamic set of that name.
    pub(crate) fn dynamic(&self, name: &str) -> Option<&Set> {
        self.get(name).filter(|set| set.is_dynamic)
    }

    /// All dynamic sets, in the order of their names.
    pub(crate) fn dynamics(&self) -> impl Iterator<Item = (&str, &Set)> {
        let all = self.0.iter().filter(|(_, set)| set.is_dynamic);
        all.map(|(name, set)| (name.as_str(), set))
    }

    /// The ports that are meant, those of sets among them.
    pub(crate) fn ports(&self, items: &[Port]) -> Arc<Vec<Range32>> {
        if let [Port::Set(name)] = items {
            return self
                .get(name)
                .map(|set| Arc::clone(&set.ports))
                .unwrap_or_default();
        }
        let mut ports = Vec::new();
        for item in items {
            match item {
                Port::Range(range) => ports.push(ranges::of_ports(*range)),
                Port::Set(name) => {
                    if let Some(set) = self.get(name) {
                        ports.extend(set.ports.iter());
                    }
                }
            }
        }
        ranges::sort(&mut ports);
        Arc::new(ports)
    }

    /// The addresses that are written, those of sets among them; not those of containers
    /// and the like, nor those of dynamic sets.
    pub(crate) fn addresses(&self, items: &[Address]) -> Arc<Addresses> {
        if let [Address::Set(name)] = items {
            let set = self.get(name).filter(|set| !set.is_dynamic);
            return set
                .map(|set| Arc::clone(&set.addresses))
                .unwrap_or_default();
        }
        let mut addresses = Addresses::default();
        for item in items {
            match item {
                Address::Range(range) => addresses.push(*range),
                Address::Set(name) => {
                    if let Some(set) = self.get(name).filter(|set| !set.is_dynamic) {
                        addresses.extend(&set.addresses);
                    }
                }
                Address::Container(_) | Address::Netns(_) | Address::Pid(_) => {}
            }
        }
        addresses.sort();
        Arc::new(addresses)
    }

    /// The number of the dynamic set of that name, from 0, in the order of names.
    pub(crate) fn number(&self, name: &str) -> Option<usize> {
        self.dynamics().position(|(one, _)| one == name)
    }

    /// The error for a set that there is not.
    pub(crate) fn unknown(&self, name: &str, span: Span) -> Diagnostic {
        let known = self.0.keys().map(String::as_str);
        let help = match words::nearest(name, known) {
            Some(near) => format!("did you mean `@{near}`?"),
            None => format!("define it: set {name} = {{ … }}"),
        };
        Diagnostic::error(span, format!("there is no set `{name}`")).help(help)
    }

    /// The sets of a policy; `elements` has those that are in files, by number of the
    /// statement.
    pub(crate) fn of(
        policy: &Policy,
        mut elements: BTreeMap<usize, Elements>,
        report: &mut Report,
    ) -> Self {
        let mut defined: BTreeMap<String, Defined> = BTreeMap::new();
        for (number, statement) in policy.statements.iter().enumerate() {
            let Statement::Set(set) = statement else {
                continue;
            };
            let span = set.at.clause(Clause::Subject);
            if let Some(first) = defined.get(&set.name) {
                let message = format!("a second set `{}`", set.name);
                let error = Diagnostic::error(span, message)
                    .other(first.span, "the first one")
                    .help("give it another name, or put all in one");
                report.diagnostics.push(error);
                continue;
            }
            let is_in_file = matches!(set.source, SetSource::File(_));
            let elements = match &set.source {
                SetSource::File(_) => elements.remove(&number).unwrap_or_default(),
                SetSource::List(list) => {
                    let mut elements = Elements::default();
                    list.iter().for_each(|element| elements.push(element));
                    elements
                }
            };
            let whole = set.at.span();
            defined.insert(
                set.name.clone(),
                Defined {
                    span,
                    whole,
                    elements,
                    is_in_file,
                    is_dynamic: set.dynamic,
                },
            );
        }
        let mut sets = Self::default();
        let names: Vec<String> = defined.keys().cloned().collect();
        for name in names {
            sets.complete(&name, &mut defined, &mut Vec::new(), report);
        }
        if let Some((_, set)) = sets.dynamics().nth(MAX_SETS) {
            let message = format!("there are more than {MAX_SETS} dynamic sets");
            let error = Diagnostic::error(set.span, message);
            report
                .diagnostics
                .push(error.help("the packets of one rule may be those of one set"));
        }
        sets
    }

    /// Makes the set of that name, and before it those that are in it.
    fn complete(
        &mut self,
        name: &str,
        defined: &mut BTreeMap<String, Defined>,
        outer: &mut Vec<String>,
        report: &mut Report,
    ) {
        let Some(mut set) = defined.remove(name) else {
            return;
        };
        outer.push(name.to_string());
        for inner in std::mem::take(&mut set.elements.sets) {
            let span = report.files.find(set.whole, &format!("@{inner}"));
            if outer.contains(&inner) {
                let way = outer.join("` has `");
                let message = format!("a set is in itself: `{way}` has `{inner}`");
                report.diagnostics.push(Diagnostic::error(span, message));
                continue;
            }
            if outer.len() >= DEEPEST {
                let message = format!("sets are in each other more than {DEEPEST} deep");
                report.diagnostics.push(Diagnostic::error(span, message));
                continue;
            }
            self.complete(&inner, defined, outer, report);
            match self.get(&inner) {
                Some(dynamic) if dynamic.is_dynamic => {
                    let message = format!("`{inner}` is dynamic: it cannot be in another set");
                    let help = format!("name both in the rule: from {{ @{name}, @{inner} }}");
                    let error = Diagnostic::error(span, message)
                        .other(dynamic.span, "it is defined here")
                        .help(help);
                    report.diagnostics.push(error);
                }
                Some(inner) => {
                    set.elements.addresses.extend(&inner.addresses);
                    set.elements.ports.extend(inner.ports.iter());
                    set.is_in_file |= inner.is_in_file;
                }
                None => {
                    let known = self.0.keys().chain(defined.keys()).map(String::as_str);
                    let help = words::nearest(&inner, known).map_or_else(
                        || format!("define it: set {inner} = {{ … }}"),
                        |near| format!("did you mean `@{near}`?"),
                    );
                    let message = format!("there is no set `{inner}`");
                    report
                        .diagnostics
                        .push(Diagnostic::error(span, message).help(help));
                }
            }
        }
        outer.pop();
        self.insert(name, set, report);
    }

    fn insert(&mut self, name: &str, set: Defined, report: &mut Report) {
        let mut elements = set.elements;
        let kind = elements.kind();
        let has_addresses = !(elements.addresses.v4.is_empty() && elements.addresses.v6.is_empty());
        if kind == Some(SetKind::Ports) && has_addresses {
            let message = format!("the set `{name}` has addresses and ports");
            let error = Diagnostic::error(set.span, message).help("make two sets of it");
            report.diagnostics.push(error);
        }
        elements.addresses.sort();
        ranges::sort(&mut elements.ports);
        let mut kind = kind;
        if set.is_dynamic {
            if let Some((message, help)) = not_dynamic(name, &elements) {
                let error = Diagnostic::error(set.span, message).help(help);
                report.diagnostics.push(error);
            }
            kind = Some(SetKind::Addresses);
        }
        self.0.insert(
            name.to_string(),
            Set {
                span: set.span,
                kind,
                addresses: Arc::new(elements.addresses),
                ports: Arc::new(elements.ports),
                is_in_file: set.is_in_file,
                is_dynamic: set.is_dynamic,
            },
        );
    }
}

/// Why a set cannot be dynamic, and what to do about it.
fn not_dynamic(name: &str, elements: &Elements) -> Option<(String, String)> {
    let ranges = elements.addresses.v4.len() + elements.addresses.v6.len();
    if !elements.ports.is_empty() {
        let help = "leave `dynamic` out: only sets of addresses can change while a policy holds";
        Some((format!("the dynamic set `{name}` has ports"), help.into()))
    } else if name.len() > MAX_NAME {
        let message = format!("the name of a dynamic set has at most {MAX_NAME} letters");
        Some((message, "find a shorter one".into()))
    } else if ranges > MAX_RANGES {
        let message = format!("the dynamic set `{name}` has {ranges} ranges");
        let help = format!("it can have {MAX_RANGES}; make two of it");
        Some((message, help))
    } else {
        None
    }
}

/// Sets may be in each other so deep.
const DEEPEST: usize = 32;

/// A set as its statement says it.
struct Defined {
    span: Span,
    whole: Span,
    elements: Elements,
    is_in_file: bool,
    is_dynamic: bool,
}

/// So many errors of one file are shown.
const MOST_ERRORS: usize = 20;

/// The elements of a file that has one a line.
pub(crate) fn read_file(file: u32, report: &mut Report) -> Elements {
    let mut elements = Elements::default();
    let mut errors = Vec::new();
    let text = report.files.get(file).map_or("", |file| file.text.as_str());
    let mut start = 0_usize;
    for line in text.split_inclusive('\n') {
        let said = line.split('#').next().unwrap_or("").trim();
        if !said.is_empty() {
            let indent = line.len() - line.trim_start().len();
            let from = u32::try_from(start + indent).unwrap_or(u32::MAX);
            let to = from.saturating_add(u32::try_from(said.len()).unwrap_or(u32::MAX));
            let span = Span {
                file,
                start: from,
                end: to,
            };
            match parse::element(span, said) {
                Ok(element) => elements.push(&element),
                Err(error) => errors.push(error),
            }
        }
        start += line.len();
    }
    let left_out = errors.len().saturating_sub(MOST_ERRORS);
    errors.truncate(MOST_ERRORS);
    if let (Some(last), true) = (errors.last_mut(), left_out > 0) {
        last.help = Some(format!("{left_out} more lines of this file are wrong"));
    }
    report.diagnostics.append(&mut errors);
    elements
}
