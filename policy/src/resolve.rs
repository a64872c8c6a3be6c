// SPDX-License-Identifier: GPL-2.0

//! Names to numbers.

use crate::ast::{
    Address, Basic, Bound, Clause, DefaultFor, Endpoint, NamespaceSpec, Operand, Place, Port, Rule,
    State, Statement,
};
use crate::check;
use crate::diagnostic::{Diagnostic, Report};
use crate::load::Document;
use crate::program::{identity, Condition, Program, ProgramRule, ProgramSet, Test};
use crate::ranges::{range32, sort, Addresses};
use nftrace_core::policy::layout::{Cgroup, Range32, IPV4, IPV6};
use nftrace_core::policy::{
    STATE_ESTABLISHED, STATE_INVALID, STATE_NEW, STATE_RELATED, STATE_UNTRACKED,
};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

/// Knows what names mean on this machine, now. The errors are shown as they are: they say
/// what is not there, and what to do.
pub trait Resolver {
    /// The addresses in a namespace: [`NamespaceSpec::Container`], `Netns`, `Pid`.
    ///
    /// # Errors
    ///
    /// There is none of that name.
    fn addresses(&self, of: &NamespaceSpec) -> Result<Vec<IpAddr>, String>;

    /// The cookie of a namespace, but for `host`, `all` and `cookie:N`.
    ///
    /// # Errors
    ///
    /// There is none of that name.
    fn namespace(&self, spec: &NamespaceSpec) -> Result<u64, String>;

    /// Id and level of a cgroup: 0 is the level of `/`.
    ///
    /// # Errors
    ///
    /// There is none at that path.
    fn cgroup(&self, path: &str) -> Result<(u64, u32), String>;

    /// The cookie of the host's namespace.
    ///
    /// # Errors
    ///
    /// It cannot be found out.
    fn host(&self) -> Result<u64, String>;
}

/// Makes numbers of all names.
///
/// # Errors
///
/// Each name that means nothing now.
pub fn resolve(document: &Document, resolver: &dyn Resolver) -> Result<Program, Report> {
    let mut program = Program {
        rules: Vec::new(),
        defaults: [Basic::Accept; 10],
        malformed: Basic::Drop,
        fragments: Basic::Accept,
        new: None,
        dynamics: Vec::new(),
        text: String::new(),
    };
    let sets = document.sets.dynamics();
    program.dynamics = sets.map(ProgramSet::from).collect();
    defaults(document, &mut program);
    let mut equal = HashMap::<String, u32>::new();
    let mut found = Vec::new();
    for statement in &document.policy.statements {
        let text_at = program.text.len();
        let text = statement.to_string();
        program.text += &text;
        program.text += "\n";
        if let Statement::Set(set) = statement {
            let mut sets = program.dynamics.iter_mut();
            if let Some(dynamic) = sets.find(|dynamic| dynamic.name == set.name) {
                dynamic.name_at = text_at + "set ".len();
            }
        }
        let Statement::Rule(rule) = statement else {
            continue;
        };
        let mut resolving = Resolving {
            document,
            resolver,
            rule,
            families: check::named_families(rule),
            conditions: Vec::new(),
            found: &mut found,
        };
        resolving.conditions();
        let (families, conditions) = (resolving.families, resolving.conditions);
        let before = equal.entry(text.clone()).or_default();
        program.rules.push(ProgramRule {
            identity: identity(&text, *before),
            text,
            text_at,
            position: document.files.position(rule.at.span()),
            name: rule.name.clone(),
            shadow: rule.shadow,
            verdict: rule.verdict,
            places: check::places(rule),
            families,
            conditions,
            limit: rule.limit,
            log: rule.log.is_some(),
            log_limit: rule.log.and_then(|log| log.limit),
        });
        *before += 1;
    }
    if found.is_empty() {
        return Ok(program);
    }
    found.sort_by_key(|one: &Diagnostic| (one.span.file, one.span.start));
    Err(Report {
        files: document.files.clone(),
        diagnostics: found,
    })
}

fn defaults(document: &Document, program: &mut Program) {
    // What is said of one hook goes before what is said of all.
    let statements = || {
        let all = document.policy.statements.iter();
        all.filter_map(|statement| match statement {
            Statement::Default(default) => Some(&default.what),
            _ => None,
        })
    };
    for what in statements() {
        match what {
            DefaultFor::Hooks(verdict, hooks) if hooks.is_empty() => {
                for place in Place::all().filter(|place| !place.is_bridge) {
                    program.defaults[place.number()] = *verdict;
                }
            }
            DefaultFor::Hooks(..) => {}
            DefaultFor::Malformed(verdict) => program.malformed = *verdict,
            DefaultFor::Fragments(verdict) => program.fragments = *verdict,
            DefaultFor::New(new) => program.new = Some(*new),
        }
    }
    for what in statements() {
        if let DefaultFor::Hooks(verdict, hooks) = what {
            for place in hooks {
                program.defaults[place.number()] = *verdict;
            }
        }
    }
}

/// One rule.
struct Resolving<'a> {
    document: &'a Document,
    resolver: &'a dyn Resolver,
    rule: &'a Rule,
    families: u8,
    conditions: Vec<Condition>,
    found: &'a mut Vec<Diagnostic>,
}

impl Resolving<'_> {
    fn add(&mut self, clause: Clause, not: bool, test: Test) {
        self.conditions.push(Condition { clause, not, test });
    }

    /// What a name means; reports where it means nothing.
    fn known<T: Default>(&mut self, clause: Clause, name: &str, means: Result<T, String>) -> T {
        means.unwrap_or_else(|error| {
            let span = self.rule.at.clause(clause);
            let span = self.document.files.find(span, name);
            self.found.push(Diagnostic::error(span, error));
            T::default()
        })
    }

    /// Cheap and telling tests first.
    fn conditions(&mut self) {
        let rule = self.rule;
        self.namespaces();
        self.protocols();
        if rule.fragment {
            self.add(Clause::Fragment, false, Test::Fragment);
        }
        if let Some(icmp) = rule.icmp {
            let base = u32::from(icmp.kind) << 8;
            let range = match icmp.code {
                Some(code) => range32(base | u32::from(code), base | u32::from(code)),
                None => range32(base, base | 0xff),
            };
            self.add(Clause::Icmp, false, Test::Icmp(range));
        }
        self.ports(rule.port.as_ref(), Clause::Port, Test::EitherPort);
        let ports_of = |end: &'_ Option<Endpoint>| end.as_ref().and_then(|end| end.ports.clone());
        let (from, to) = (ports_of(&rule.from), ports_of(&rule.to));
        self.ports(from.as_ref(), Clause::Ports(Bound::From), Test::SourcePort);
        self.ports(to.as_ref(), Clause::Ports(Bound::To), Test::DestinationPort);
        if let Some(flags) = rule.flags {
            self.add(Clause::Flags, false, Test::Flags(flags));
        }
        self.addresses(Bound::From, rule.from.as_ref(), Test::Source);
        self.addresses(Bound::To, rule.to.as_ref(), Test::Destination);
        if let Some(devices) = &rule.iif {
            self.add(Clause::Iif, devices.not, Test::Input(devices.items.clone()));
        }
        if let Some(devices) = &rule.oif {
            self.add(
                Clause::Oif,
                devices.not,
                Test::Output(devices.items.clone()),
            );
        }
        if let Some(mark) = rule.mark {
            self.add(Clause::Mark, mark.not, Test::Mark(mark.value, mark.mask));
        }
        if !rule.states.is_empty() {
            let bits = rule
                .states
                .iter()
                .fold(0, |bits, one| bits | state_bit(*one));
            self.add(Clause::States, false, Test::State(bits));
        }
        self.addresses(Bound::Original, rule.original.as_ref(), Test::Original);
        let original = ports_of(&rule.original);
        self.ports(
            original.as_ref(),
            Clause::Ports(Bound::Original),
            Test::OriginalPort,
        );
        self.socket();
    }

    fn namespaces(&mut self) {
        let Some(namespaces) = &self.rule.namespaces else {
            return;
        };
        if namespaces.items.contains(&NamespaceSpec::All) {
            return;
        }
        let mut cookies = Vec::new();
        for spec in &namespaces.items {
            let means = match spec {
                NamespaceSpec::Cookie(cookie) => Ok(*cookie),
                NamespaceSpec::Host => self.resolver.host(),
                _ => self.resolver.namespace(spec),
            };
            cookies.push(self.known(Clause::Namespaces, &spec.to_string(), means));
        }
        cookies.sort_unstable();
        cookies.dedup();
        self.add(Clause::Namespaces, namespaces.not, Test::Namespace(cookies));
    }

    fn protocols(&mut self) {
        let possible = check::possible_protocols(self.rule);
        if possible.len() == 256 {
            return;
        }
        let mut ranges: Vec<Range32> = possible.iter().map(|one| range32(one.0, one.0)).collect();
        sort(&mut ranges);
        let clause = if self.rule.protocols.is_some() {
            Clause::Protocols
        } else {
            let parts = [Clause::Icmp, Clause::Flags, Clause::Port];
            let written = |clause: &Clause| self.rule.at.written(*clause).is_some();
            let ends = [Bound::From, Bound::To, Bound::Original].map(Clause::Ports);
            let all = parts.into_iter().chain(ends);
            all.into_iter().find(written).unwrap_or(Clause::Port)
        };
        self.add(clause, false, Test::Protocol(ranges));
    }

    fn ports(
        &mut self,
        ports: Option<&Operand<Port>>,
        clause: Clause,
        test: fn(Arc<Vec<Range32>>) -> Test,
    ) {
        let Some(ports) = ports else {
            return;
        };
        let ranges = self.document.sets.ports(&ports.items);
        self.add(clause, ports.not, test(ranges));
    }

    fn addresses(
        &mut self,
        bound: Bound,
        end: Option<&Endpoint>,
        test: fn(Arc<Addresses>) -> Test,
    ) {
        let Some(addresses) = end.and_then(|end| end.addresses.as_ref()) else {
            return;
        };
        let clause = Clause::Addresses(bound);
        let mut all = self.document.sets.addresses(&addresses.items);
        for item in &addresses.items {
            let Some(of) = namespace_of(item) else {
                continue;
            };
            let means = self.resolver.addresses(&of);
            let means = self.known(clause, &item.to_string(), means);
            let more = Arc::make_mut(&mut all);
            means
                .iter()
                .for_each(|address| more.push((*address).into()));
            more.sort();
        }
        if self.dynamic(bound, addresses, &all) {
            return;
        }
        // Addresses of one family make the rule one of that family, negated or not.
        match (all.v4.is_empty(), all.v6.is_empty()) {
            (false, true) => self.families &= IPV4,
            (true, false) => self.families &= IPV6,
            _ => {}
        }
        self.add(clause, addresses.not, test(all));
    }

    /// Adds conditions about dynamic sets, and about what is named beside them; says whether
    /// there are any. What is in them is of no family.
    fn dynamic(
        &mut self,
        bound: Bound,
        operand: &Operand<Address>,
        besides: &Arc<Addresses>,
    ) -> bool {
        let sets: Vec<usize> = operand
            .items
            .iter()
            .filter_map(|address| match address {
                Address::Set(name) => self.document.sets.number(name),
                _ => None,
            })
            .collect();
        // In none of several, where the operand is negated.
        for set in &sets {
            let test = Test::Dynamic(bound, *set, Arc::clone(besides));
            self.add(Clause::Addresses(bound), operand.not, test);
        }
        !sets.is_empty()
    }

    fn socket(&mut self) {
        let rule = self.rule;
        if let Some(paths) = &rule.cgroup {
            let mut cgroups = Vec::new();
            for path in &paths.items {
                let means = self.resolver.cgroup(path);
                let (id, level) = self.known(Clause::Cgroup, path, means);
                cgroups.push(Cgroup {
                    id,
                    level,
                    reserved: 0,
                });
            }
            cgroups.sort_unstable_by_key(|one| one.id);
            cgroups.dedup_by_key(|one| one.id);
            self.add(Clause::Cgroup, paths.not, Test::Cgroup(cgroups));
        }
        if let Some(classids) = &rule.classid {
            let mut ranges = classids
                .items
                .iter()
                .map(|one| range32(*one, *one))
                .collect();
            sort(&mut ranges);
            self.add(Clause::Classid, classids.not, Test::Classid(ranges));
        }
        if let Some(users) = &rule.uid {
            let range = |one: &crate::ast::IdRange| range32(one.first(), one.last());
            let mut ranges = users.items.iter().map(range).collect();
            sort(&mut ranges);
            self.add(Clause::Uid, users.not, Test::Uid(ranges));
        }
    }
}

/// Whose addresses are meant, where that is not said by numbers.
fn namespace_of(address: &Address) -> Option<NamespaceSpec> {
    match address {
        Address::Container(name) => Some(NamespaceSpec::Container(name.clone())),
        Address::Netns(name) => Some(NamespaceSpec::Netns(name.clone())),
        Address::Pid(pid) => Some(NamespaceSpec::Pid(*pid)),
        Address::Range(_) | Address::Set(_) => None,
    }
}

fn state_bit(state: State) -> u32 {
    match state {
        State::Established => STATE_ESTABLISHED,
        State::Related => STATE_RELATED,
        State::New => STATE_NEW,
        State::Invalid => STATE_INVALID,
        State::Untracked => STATE_UNTRACKED,
    }
}
