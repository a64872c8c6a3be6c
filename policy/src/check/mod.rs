// SPDX-License-Identifier: GPL-2.0

//! What cannot be meant: checks of whole statements.

mod families;
mod hooks;
mod protocols;
mod reach;

pub(crate) use families::named_families;
pub(crate) use protocols::possible_protocols;

use crate::ast::{
    Address, Bound, Clause, Default, DefaultFor, NamespaceSpec, Operand, Place, Policy, Port, Rule,
    Spans, Statement,
};
use crate::diagnostic::{Diagnostic, Report};
use crate::sets::{SetKind, Sets};
use crate::source::{Files, Span};
use crate::words;

/// Checks all statements.
pub(crate) fn all(policy: &Policy, sets: &Sets, report: &mut Report) {
    let mut found = Vec::new();
    defaults(policy, &mut found);
    for rule in policy.rules() {
        let mut check = Check {
            rule,
            sets,
            files: &report.files,
            found: &mut found,
        };
        check.rule();
    }
    reach::warnings(policy, sets, &mut found);
    report.diagnostics.append(&mut found);
}

/// Two defaults for one thing.
fn defaults(policy: &Policy, found: &mut Vec<Diagnostic>) {
    let mut seen: Vec<(String, Span)> = Vec::new();
    for statement in &policy.statements {
        let Statement::Default(default) = statement else {
            continue;
        };
        for subject in subjects(default) {
            match seen.iter().find(|(other, _)| *other == subject) {
                Some((_, first)) => found.push(
                    Diagnostic::error(default.at.span(), format!("a second default {subject}"))
                        .other(*first, "the first one")
                        .help("leave one of them out: the order of defaults means nothing"),
                ),
                None => seen.push((subject, default.at.span())),
            }
        }
    }
}

/// What a default is about, for people.
fn subjects(default: &Default) -> Vec<String> {
    match &default.what {
        DefaultFor::Hooks(_, hooks) if hooks.is_empty() => vec!["of all hooks".to_string()],
        DefaultFor::Hooks(_, hooks) => hooks
            .iter()
            .map(|place| format!("at {}", words::PlaceName(*place)))
            .collect(),
        DefaultFor::Malformed(_) => vec!["for malformed packets".to_string()],
        DefaultFor::Fragments(_) => vec!["for fragments".to_string()],
        DefaultFor::New(_) => vec!["in new namespaces".to_string()],
    }
}

/// Where a rule is asked.
pub(crate) fn places(rule: &Rule) -> Vec<Place> {
    if rule.hooks.is_empty() {
        Place::all().filter(|place| !place.is_bridge).collect()
    } else {
        rule.hooks.clone()
    }
}

/// The checks of one rule.
struct Check<'a> {
    rule: &'a Rule,
    sets: &'a Sets,
    files: &'a Files,
    found: &'a mut Vec<Diagnostic>,
}

impl Check<'_> {
    fn at(&self) -> &Spans {
        &self.rule.at
    }

    fn report(&mut self, error: Diagnostic) {
        self.found.push(error);
    }

    fn rule(&mut self) {
        self.sets();
        self.hooks();
        self.protocols();
        self.families();
        self.namespaces();
        if self
            .rule
            .log
            .and_then(|log| log.limit)
            .is_some_and(|limit| limit.burst.is_some())
        {
            let span = self.at().clause(Clause::Log);
            let error = Diagnostic::error(span, "a log's limit has no burst");
            self.report(error.help("leave `burst` out"));
        }
    }

    /// Sets that there are not, or that hold something else.
    fn sets(&mut self) {
        let rule = self.rule;
        let ends = [
            (Bound::From, &rule.from),
            (Bound::To, &rule.to),
            (Bound::Original, &rule.original),
        ];
        for (bound, end) in ends {
            let Some(end) = end else {
                continue;
            };
            for address in items(end.addresses.as_ref()) {
                if let Address::Set(name) = address {
                    self.set(name, SetKind::Addresses, Clause::Addresses(bound));
                }
            }
            self.dynamic(end.addresses.as_ref(), bound);
            for port in items(end.ports.as_ref()) {
                self.port(port, Clause::Ports(bound));
            }
        }
        for port in items(rule.port.as_ref()) {
            self.port(port, Clause::Port);
        }
    }

    fn port(&mut self, port: &Port, clause: Clause) {
        if let Port::Set(name) = port {
            self.set(name, SetKind::Ports, clause);
        }
    }

    fn set(&mut self, name: &str, wanted: SetKind, clause: Clause) {
        let span = self
            .files
            .find(self.at().clause(clause), &format!("@{name}"));
        let Some(set) = self.sets.get(name) else {
            let error = self.sets.unknown(name, span);
            return self.report(error);
        };
        if let Some(kind) = set.kind.filter(|kind| *kind != wanted) {
            let (kind, wanted) = (kind.plural(), wanted.plural());
            let message = format!("the set `{name}` has {kind}, not {wanted}");
            let error = Diagnostic::error(span, message).other(set.span, "it is defined here");
            self.report(error);
        }
    }

    /// A packet is compared with one dynamic set at a time; that it is in none of several
    /// is more than one comparison.
    fn dynamic(&mut self, operand: Option<&Operand<Address>>, bound: Bound) {
        let all = items(operand).iter();
        let mut dynamic = all.filter_map(|address| match address {
            Address::Set(name) => self.sets.dynamic(name).map(|_| name),
            _ => None,
        });
        let (Some(first), Some(second)) = (dynamic.next(), dynamic.next()) else {
            return;
        };
        if operand.is_some_and(|operand| operand.not) {
            return;
        }
        let span = self.at().clause(Clause::Addresses(bound));
        let span = self.files.find(span, &format!("@{second}"));
        let message = format!("`{first}` and `{second}` are both dynamic");
        let error = Diagnostic::error(span, message);
        self.report(error.help("make two rules of it, one for each"));
    }

    fn namespaces(&mut self) {
        let Some(namespaces) = &self.rule.namespaces else {
            return;
        };
        if namespaces.not && namespaces.items.contains(&NamespaceSpec::All) {
            let span = self.at().clause(Clause::Namespaces);
            let message = "`not all` is no namespace at all: the rule could never match";
            self.report(Diagnostic::error(span, message));
        }
    }
}

fn items<T>(operand: Option<&Operand<T>>) -> &[T] {
    operand.map_or(&[], |operand| &operand.items)
}
