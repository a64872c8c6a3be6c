// SPDX-License-Identifier: GPL-2.0

//! A [`Program`] to the bytes that the kernel takes.

use crate::ast::{Basic, Bound, Device, Limit, NewNamespaces, Otherwise, RejectWith, Verdict};
use crate::blob::Blob;
use crate::index::{self, Index};
use crate::program::{Condition, Program, ProgramRule, ProgramSet, Test};
use crate::ranges::Addresses;
use nftrace_core::abi::ABI;
use nftrace_core::policy::dynamic::Dynamic;
use nftrace_core::policy::layout::{
    self, Answer, Cgroup, Header, New, Pattern, Range128, Range32, Rate, Span, ELSE_ACCEPT, IPV4,
    IPV6, LOG, MAGIC, MAX_BLOB, SHADOW,
};
use nftrace_core::policy::{Kind, Tables};
use nftrace_core::record;
use std::collections::HashMap;
use std::sync::Arc;

/// Makes the blob that the kernel and the classifier take.
///
/// # Errors
///
/// What is too large, as a sentence.
pub fn compile(program: &Program) -> Result<Blob, String> {
    let mut compiler = Compiler::default();
    for rule in &program.rules {
        compiler.rule(rule)?;
    }
    for set in &program.dynamics {
        compiler.dynamic(set)?;
    }
    let namespaces = compiler.namespaces();
    let mut header = compiler.header(program, &namespaces)?;
    for number in 0..compiler.rules.len() {
        let tables = compiler.tables(&header, &namespaces);
        let (split4, split6) = index::splits(&tables, &compiler.rules[number]);
        let rule = &mut compiler.rules[number];
        (rule.split4, rule.split6) = (split4, split6);
    }
    let index = Index::new(&compiler.tables(&header, &namespaces))?;
    header.boxes4 = number(index.boxes4.len())?;
    header.boxes6 = number(index.boxes6.len())?;
    header.forests = number(index.forests.len())?;
    header.trees = number(index.trees.len())?;
    header.nodes = number(index.nodes.len())?;
    header.entries = number(index.entries.len())?;
    header.homes = number(index.homes.len())?;
    header.roots = index.roots;
    let tables = Tables {
        boxes4: &index.boxes4,
        boxes6: &index.boxes6,
        forests: &index.forests,
        trees: &index.trees,
        nodes: &index.nodes,
        entries: &index.entries,
        homes: &index.homes,
        text: program.text.as_bytes(),
        ..compiler.tables(&header, &namespaces)
    };
    Blob::new(&tables).ok_or_else(too_large)
}

/// Sets of one pool.
struct Sets<T> {
    elements: Vec<T>,
    spans: Vec<Span>,
}

impl<T> Default for Sets<T> {
    fn default() -> Self {
        Self {
            elements: Vec::new(),
            spans: Vec::new(),
        }
    }
}

impl<T: Copy> Sets<T> {
    /// Adds a set; returns its number.
    fn add(&mut self, set: &[T]) -> Result<u32, String> {
        let span = Span {
            first: number(self.elements.len())?,
            count: number(set.len())?,
        };
        self.elements.extend_from_slice(set);
        self.spans.push(span);
        number(self.spans.len() - 1)
    }
}

fn number(number: usize) -> Result<u32, String> {
    u32::try_from(number).map_err(|_| too_large())
}

pub(crate) fn too_large() -> String {
    format!(
        "the policy is too large: compiled it may have {} MiB; a prefix of IPv4 takes 8 bytes, one of IPv6 32",
        MAX_BLOB >> 20
    )
}

#[derive(Default)]
struct Compiler {
    rules: Vec<layout::Rule>,
    conditions: Vec<layout::Condition>,
    ranges32: Sets<Range32>,
    ranges128: Sets<Range128>,
    words: Sets<u64>,
    cgroups: Sets<Cgroup>,
    patterns: Sets<Pattern>,
    dynamics: Vec<Dynamic>,
    /// Named sets that are there already, by where they are in memory.
    addresses: HashMap<*const Addresses, (u32, u32)>,
    ports: HashMap<*const Vec<Range32>, u32>,
}

impl Compiler {
    fn rule(&mut self, rule: &ProgramRule) -> Result<(), String> {
        let first_condition = number(self.conditions.len())?;
        for condition in &rule.conditions {
            self.condition(condition)?;
        }
        if rule.families == 0 {
            self.never()?;
        }
        let count = self.conditions.len() - first_condition as usize;
        let (verdict, answer, queue, otherwise) = match rule.verdict {
            Verdict::Accept => (record::Verdict::Accept, Answer::Fitting, 0, 0),
            Verdict::Drop => (record::Verdict::Drop, Answer::Fitting, 0, 0),
            Verdict::Reject(with) => (record::Verdict::Reject, answer(with), 0, 0),
            Verdict::Queue {
                number,
                otherwise: Otherwise(otherwise),
            } => {
                let accepts = otherwise == Basic::Accept;
                let otherwise = if accepts { ELSE_ACCEPT } else { 0 };
                (record::Verdict::Queue, Answer::Fitting, number, otherwise)
            }
        };
        let shadow = if rule.shadow { SHADOW } else { 0 };
        let log = if rule.log { LOG } else { 0 };
        let places = rule.places.iter();
        self.rules.push(layout::Rule {
            identity: rule.identity,
            first_condition,
            conditions: u16::try_from(count).map_err(|_| too_large())?,
            places: places.fold(0, |places, place| places | (1 << place.number())),
            families: if rule.families == 0 {
                IPV4 | IPV6
            } else {
                rule.families
            },
            verdict: verdict as u8,
            flags: shadow | log | otherwise,
            answer: answer as u8,
            queue,
            limit: rule.limit.map(rate).unwrap_or_default(),
            burst: rule
                .limit
                .map_or(0, |limit| limit.burst.unwrap_or(limit.count)),
            log_limit: rule.log_limit.map(rate).unwrap_or_default(),
            text: number(rule.text_at)?,
            text_len: number(rule.text.len())?,
            ..layout::Rule::default()
        });
        Ok(())
    }

    fn dynamic(&mut self, set: &ProgramSet) -> Result<(), String> {
        let (first, second) = self.addresses(&set.addresses)?;
        self.dynamics.push(Dynamic {
            name: number(set.name_at)?,
            name_len: number(set.name.len())?,
            first,
            second,
        });
        Ok(())
    }

    /// A condition that is never met.
    fn never(&mut self) -> Result<(), String> {
        let first = self.words.add(&[])?;
        self.push(Kind::Namespace, false, [first, 0], 0);
        Ok(())
    }

    fn push(&mut self, kind: Kind, not: bool, [first, second]: [u32; 2], dynamic: u16) {
        self.conditions.push(layout::Condition {
            kind: kind as u8,
            negated: not.into(),
            dynamic,
            first,
            second,
        });
    }

    fn condition(&mut self, condition: &Condition) -> Result<(), String> {
        let (kind, first, second) = match &condition.test {
            Test::Namespace(cookies) => (Kind::Namespace, self.words.add(cookies)?, 0),
            Test::Protocol(ranges) => (Kind::Protocol, self.ranges32.add(ranges)?, 0),
            Test::Fragment => (Kind::Fragment, 0, 0),
            Test::Icmp(range) => (Kind::Icmp, self.ranges32.add(&[*range])?, 0),
            Test::SourcePort(ports) => (Kind::SourcePort, self.ports(ports)?, 0),
            Test::DestinationPort(ports) => (Kind::DestinationPort, self.ports(ports)?, 0),
            Test::EitherPort(ports) => (Kind::EitherPort, self.ports(ports)?, 0),
            Test::OriginalPort(ports) => (Kind::OriginalDestinationPort, self.ports(ports)?, 0),
            Test::Flags(flags) => (Kind::TcpFlags, flags.value.into(), flags.mask.into()),
            Test::Source(addresses)
            | Test::Destination(addresses)
            | Test::Original(addresses)
            | Test::Dynamic(_, _, addresses) => {
                let (v4, v6) = self.addresses(addresses)?;
                (address_kind(&condition.test), v4, v6)
            }
            Test::Input(devices) => (Kind::Input, self.devices(devices)?, 0),
            Test::Output(devices) => (Kind::Output, self.devices(devices)?, 0),
            Test::Mark(value, mask) => (Kind::Mark, *value, *mask),
            Test::State(bits) => (Kind::State, *bits, 0),
            Test::Cgroup(cgroups) => (Kind::Cgroup, self.cgroups.add(cgroups)?, 0),
            Test::Classid(ranges) => (Kind::Classid, self.ranges32.add(ranges)?, 0),
            Test::Uid(ranges) => (Kind::Uid, self.ranges32.add(ranges)?, 0),
        };
        let dynamic = match &condition.test {
            Test::Dynamic(_, set, _) => u16::try_from(set + 1).map_err(|_| too_large())?,
            _ => 0,
        };
        self.push(kind, condition.not, [first, second], dynamic);
        Ok(())
    }

    fn ports(&mut self, ports: &Arc<Vec<Range32>>) -> Result<u32, String> {
        if let Some(number) = self.ports.get(&Arc::as_ptr(ports)) {
            return Ok(*number);
        }
        let number = self.ranges32.add(ports)?;
        self.ports.insert(Arc::as_ptr(ports), number);
        Ok(number)
    }

    fn addresses(&mut self, addresses: &Arc<Addresses>) -> Result<(u32, u32), String> {
        let known = Arc::as_ptr(addresses);
        if let Some(numbers) = self.addresses.get(&known) {
            return Ok(*numbers);
        }
        let v4 = self.ranges32.add(&addresses.v4)?;
        let v6 = self.ranges128.add(&addresses.v6)?;
        self.addresses.insert(known, (v4, v6));
        Ok((v4, v6))
    }

    fn devices(&mut self, devices: &[Device]) -> Result<u32, String> {
        let patterns = devices.iter().map(pattern).collect::<Result<Vec<_>, _>>()?;
        self.patterns.add(&patterns)
    }

    fn header(&self, program: &Program, namespaces: &[u64]) -> Result<Header, String> {
        let spans = [
            self.ranges32.spans.len(),
            self.ranges128.spans.len(),
            self.words.spans.len(),
            self.cgroups.spans.len(),
            self.patterns.spans.len(),
        ];
        let elements = [
            self.ranges32.elements.len(),
            self.ranges128.elements.len(),
            self.words.elements.len(),
            self.cgroups.elements.len(),
            self.patterns.elements.len(),
        ];
        let mut header = Header {
            magic: MAGIC,
            abi: ABI,
            rules: number(self.rules.len())?,
            conditions: number(self.conditions.len())?,
            namespaces: number(namespaces.len())?,
            text: number(program.text.len())?,
            dynamics: number(self.dynamics.len())?,
            defaults: program.defaults.map(basic),
            malformed: basic(program.malformed),
            fragments: basic(program.fragments),
            new: new_namespaces(program.new) as u8,
            ..Header::default()
        };
        for (to, from) in header.sets.iter_mut().zip(spans) {
            *to = number(from)?;
        }
        for (to, from) in header.elements.iter_mut().zip(elements) {
            *to = number(from)?;
        }
        Ok(header)
    }

    /// The namespaces that rules name; none where there are too many to number.
    fn namespaces(&self) -> Vec<u64> {
        let mut cookies = self.words.elements.clone();
        cookies.sort_unstable();
        cookies.dedup();
        if cookies.len() < usize::from(u16::MAX) {
            cookies
        } else {
            Vec::new()
        }
    }

    /// All that there is without an index.
    fn tables<'a>(&'a self, header: &'a Header, namespaces: &'a [u64]) -> Tables<'a> {
        Tables {
            header,
            rules: &self.rules,
            conditions: &self.conditions,
            spans: [
                &self.ranges32.spans,
                &self.ranges128.spans,
                &self.words.spans,
                &self.cgroups.spans,
                &self.patterns.spans,
            ],
            ranges32: &self.ranges32.elements,
            ranges128: &self.ranges128.elements,
            words: &self.words.elements,
            cgroups: &self.cgroups.elements,
            patterns: &self.patterns.elements,
            namespaces,
            boxes4: &[],
            boxes6: &[],
            forests: &[],
            trees: &[],
            nodes: &[],
            entries: &[],
            dynamics: &self.dynamics,
            homes: &[],
            text: &[],
        }
    }
}

/// What a test of an address is about.
fn address_kind(test: &Test) -> Kind {
    match test {
        Test::Dynamic(Bound::From, ..) => Kind::DynamicSource,
        Test::Dynamic(Bound::To, ..) => Kind::DynamicDestination,
        Test::Dynamic(Bound::Original, ..) => Kind::DynamicOriginalDestination,
        Test::Destination(_) => Kind::Destination,
        Test::Original(_) => Kind::OriginalDestination,
        _ => Kind::Source,
    }
}

fn basic(verdict: Basic) -> u8 {
    match verdict {
        Basic::Accept => record::Verdict::Accept as u8,
        Basic::Drop => record::Verdict::Drop as u8,
    }
}

/// What holds in new namespaces where nothing is said of them is what holds everywhere.
fn new_namespaces(new: Option<NewNamespaces>) -> New {
    match new {
        None => New::AsElsewhere,
        Some(NewNamespaces::Accept) => New::Accept,
        Some(NewNamespaces::Drop) => New::Drop,
        Some(NewNamespaces::AcceptUntilKnown) => New::AcceptUntilKnown,
    }
}

fn answer(with: RejectWith) -> Answer {
    match with {
        RejectWith::Usual => Answer::Fitting,
        RejectWith::TcpReset => Answer::TcpReset,
        RejectWith::PortUnreachable => Answer::PortUnreachable,
        RejectWith::HostUnreachable => Answer::HostUnreachable,
        RejectWith::NetUnreachable => Answer::NetUnreachable,
        RejectWith::AdminProhibited => Answer::AdminProhibited,
    }
}

fn rate(limit: Limit) -> Rate {
    Rate {
        events: limit.count,
        seconds: u32::try_from(limit.per.nanoseconds() / 1_000_000_000).unwrap_or(u32::MAX),
    }
}

/// A name is taken as it is: a star at its end is one only where the rule meant it so.
fn pattern(device: &Device) -> Result<Pattern, String> {
    let name = device.name.as_bytes();
    let problem = || format!("no device can have the name {:?}", device.name);
    let mut pattern = Pattern {
        len: u8::try_from(name.len()).map_err(|_| problem())?,
        is_prefix: device.any_end.into(),
        ..Pattern::default()
    };
    if name.is_empty() || name.len() > 15 || name.contains(&0) {
        return Err(problem());
    }
    pattern.name[..name.len()].copy_from_slice(name);
    Ok(pattern)
}
