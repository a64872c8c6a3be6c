// SPDX-License-Identifier: GPL-2.0

//! Statements as text.

use super::{
    Address, AddressRange, Basic, Default, DefaultFor, Device, Element, Endpoint, Flags, Icmp,
    IcmpFamily, IdRange, Include, IpFamily, Limit, Mark, NamespaceSpec, NewNamespaces, Operand,
    Place, Policy, Port, PortRange, RejectWith, Rule, Set, SetSource, State, Statement, Verdict,
};
use crate::words;
use std::fmt::{self, Display, Formatter, Result};

impl Display for Policy {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        self.statements
            .iter()
            .try_for_each(|statement| writeln!(f, "{statement}"))
    }
}

impl Display for Statement {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Include(one) => one.fmt(f),
            Self::Set(one) => one.fmt(f),
            Self::Default(one) => one.fmt(f),
            Self::Rule(one) => one.fmt(f),
        }
    }
}

impl Display for Include {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "include {}", Quoted(&self.path))
    }
}

impl Display for Set {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let dynamic = if self.dynamic { " dynamic" } else { "" };
        write!(f, "set {}{dynamic} = ", self.name)?;
        match &self.source {
            SetSource::File(path) => write!(f, "file {}", Quoted(path)),
            SetSource::List(elements) if elements.is_empty() => f.write_str("{}"),
            SetSource::List(elements) => write!(f, "{{ {} }}", Commas(elements)),
        }
    }
}

impl Display for Element {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Addresses(range) => range.fmt(f),
            Self::Ports(range) => range.fmt(f),
            Self::Set(name) => write!(f, "@{name}"),
        }
    }
}

impl Display for Default {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.what {
            DefaultFor::Hooks(verdict, hooks) if hooks.is_empty() => write!(f, "default {verdict}"),
            DefaultFor::Hooks(verdict, hooks) => {
                write!(f, "default {verdict} at {}", Commas(&hook_names(hooks)))
            }
            DefaultFor::Malformed(verdict) => write!(f, "default malformed {verdict}"),
            DefaultFor::Fragments(verdict) => write!(f, "default fragments {verdict}"),
            DefaultFor::New(new) => write!(f, "default {new} in new"),
        }
    }
}

impl Display for Basic {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.pad(match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
        })
    }
}

impl Display for NewNamespaces {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.pad(match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
            Self::AcceptUntilKnown => "accept-until-known",
        })
    }
}

impl Display for Rule {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.shadow {
            f.write_str("shadow ")?;
        }
        self.verdict.fmt(f)?;
        if !self.states.is_empty() {
            write!(f, " {}", Commas(&self.states))?;
        }
        clause(f, "", self.family.as_ref())?;
        if let Some(protocols) = &self.protocols {
            f.write_str(" ")?;
            of(protocols, |one| words::Proto(*one)).fmt(f)?;
        }
        clause(f, "", self.icmp.as_ref())?;
        list(f, "port", self.port.as_ref())?;
        clause(f, "from ", self.from.as_ref())?;
        clause(f, "to ", self.to.as_ref())?;
        clause(f, "original to ", self.original.as_ref())?;
        clause(f, "flags ", self.flags.as_ref())?;
        list(f, "iif", self.iif.as_ref())?;
        list(f, "oif", self.oif.as_ref())?;
        clause(f, "mark ", self.mark.as_ref())?;
        let cgroups = self.cgroup.as_ref().map(|one| of(one, |path| Quoted(path)));
        list(f, "cgroup", cgroups.as_ref())?;
        let classids = self
            .classid
            .as_ref()
            .map(|one| of(one, |id| Hexadecimal(*id)));
        list(f, "classid", classids.as_ref())?;
        list(f, "uid", self.uid.as_ref())?;
        if self.fragment {
            f.write_str(" fragment")?;
        }
        if !self.hooks.is_empty() {
            write!(f, " at {}", Commas(&hook_names(&self.hooks)))?;
        }
        list(f, "in", self.namespaces.as_ref())?;
        clause(f, "limit ", self.limit.as_ref())?;
        if let Some(log) = self.log {
            f.write_str(" log")?;
            clause(f, "limit ", log.limit.as_ref())?;
        }
        clause(f, "name ", self.name.as_deref().map(Quoted).as_ref())
    }
}

fn clause(f: &mut Formatter<'_>, word: &str, value: Option<&impl Display>) -> Result {
    value.map_or(Ok(()), |value| write!(f, " {word}{value}"))
}

fn list<T: Display>(f: &mut Formatter<'_>, word: &str, value: Option<&Operand<T>>) -> Result {
    value.map_or(Ok(()), |value| write!(f, " {word} {value}"))
}

impl<T: Display> Display for Operand<T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.not {
            f.write_str("not ")?;
        }
        match &self.items[..] {
            [] => f.write_str("{}"),
            [item] => item.fmt(f),
            items => write!(f, "{{ {} }}", Commas(items)),
        }
    }
}

/// An operand whose items are printed otherwise.
fn of<'a, T, U>(operand: &'a Operand<T>, with: impl Fn(&'a T) -> U) -> Operand<U> {
    Operand {
        not: operand.not,
        items: operand.items.iter().map(with).collect(),
    }
}

fn hook_names(hooks: &[Place]) -> Vec<words::PlaceName> {
    hooks.iter().map(|place| words::PlaceName(*place)).collect()
}

struct Hexadecimal(u32);

impl Display for Hexadecimal {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{:#x}", self.0)
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Accept => f.write_str("accept"),
            Self::Drop => f.write_str("drop"),
            Self::Reject(RejectWith::Usual) => f.write_str("reject"),
            Self::Reject(with) => write!(f, "reject with {}", with.name()),
            Self::Queue { number, otherwise } => write!(f, "queue {number} else {}", otherwise.0),
        }
    }
}

impl Display for State {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.pad(self.name())
    }
}

impl Display for IpFamily {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.pad(match self {
            Self::Ipv4 => "ipv4",
            Self::Ipv6 => "ipv6",
        })
    }
}

impl Display for Icmp {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let word = match self.family {
            IcmpFamily::Icmp => "icmp",
            IcmpFamily::Icmpv6 => "icmpv6",
        };
        match words::icmp_name(self.family, self.kind) {
            Some(name) => write!(f, "{word} type {name}")?,
            None => write!(f, "{word} type {}", self.kind)?,
        }
        self.code.map_or(Ok(()), |code| write!(f, " code {code}"))
    }
}

impl Display for Endpoint {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match &self.addresses {
            None => f.write_str("any")?,
            Some(addresses) => addresses.fmt(f)?,
        }
        list(f, "port", self.ports.as_ref())
    }
}

impl Display for Address {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Range(range) => range.fmt(f),
            Self::Set(name) => write!(f, "@{name}"),
            Self::Container(name) => write!(f, "container:{}", Name(name)),
            Self::Netns(name) => write!(f, "netns:{}", Name(name)),
            Self::Pid(pid) => write!(f, "pid:{pid}"),
        }
    }
}

impl Display for AddressRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        if self.first() == self.last() {
            self.first().fmt(f)
        } else if let Some(length) = self.prefix_length() {
            write!(f, "{}/{length}", self.first())
        } else {
            write!(f, "{}-{}", self.first(), self.last())
        }
    }
}

impl Display for Port {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Range(range) => range.fmt(f),
            Self::Set(name) => write!(f, "@{name}"),
        }
    }
}

impl Display for PortRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        range(f, self.first().into(), self.last().into())
    }
}

impl Display for IdRange {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        range(f, self.first(), self.last())
    }
}

fn range(f: &mut Formatter<'_>, first: u32, last: u32) -> Result {
    if first == last {
        write!(f, "{first}")
    } else {
        write!(f, "{first}-{last}")
    }
}

impl Display for Flags {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        flags(f, self.value)?;
        if self.mask == Self::USUAL_MASK && self.value != 0 && self.value & !self.mask == 0 {
            return Ok(());
        }
        f.write_str("/")?;
        flags(f, self.mask)
    }
}

fn flags(f: &mut Formatter<'_>, flags: u8) -> Result {
    let mut comma = "";
    for (bit, name) in Flags::NAMES.iter().enumerate() {
        if flags & (1 << bit) != 0 {
            write!(f, "{comma}{name}")?;
            comma = ",";
        }
    }
    f.write_str(if flags == 0 { "none" } else { "" })
}

impl Display for Device {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        Name(&self.name).fmt(f)?;
        f.write_str(if self.any_end { "*" } else { "" })
    }
}

impl Display for Mark {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(if self.not { "not " } else { "" })?;
        write!(f, "{:#x}", self.value)?;
        if self.mask != u32::MAX {
            write!(f, "/{:#x}", self.mask)?;
        }
        Ok(())
    }
}

impl Display for NamespaceSpec {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Self::Host => f.write_str("host"),
            Self::All => f.write_str("all"),
            Self::Container(name) => write!(f, "container:{}", Name(name)),
            Self::Netns(name) => write!(f, "netns:{}", Name(name)),
            Self::Pid(pid) => write!(f, "pid:{pid}"),
            Self::Path(path) => write!(f, "path {}", Quoted(path)),
            Self::Cookie(cookie) => write!(f, "cookie:{cookie}"),
            Self::Inode(inode) => write!(f, "inode:{inode}"),
        }
    }
}

impl Display for Limit {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}/{}", self.count, self.per.name())?;
        self.burst
            .map_or(Ok(()), |burst| write!(f, " burst {burst}"))
    }
}

/// With a comma and a space between.
struct Commas<'a, T>(&'a [T]);

impl<T: Display> Display for Commas<'_, T> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let mut comma = "";
        self.0.iter().try_for_each(|item| {
            f.write_str(std::mem::replace(&mut comma, ", "))?;
            item.fmt(f)
        })
    }
}

/// In quotes where it would not be read as one word.
struct Name<'a>(&'a str);

impl Display for Name<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let is_plain = self.0 != "not" && !self.0.is_empty() && self.0.chars().all(words::is_plain);
        if is_plain {
            f.write_str(self.0)
        } else {
            Quoted(self.0).fmt(f)
        }
    }
}

/// In quotes.
struct Quoted<'a>(&'a str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        use fmt::Write;
        f.write_char('"')?;
        for one in self.0.chars() {
            match one {
                '"' | '\\' => write!(f, "\\{one}")?,
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                _ => f.write_char(one)?,
            }
        }
        f.write_char('"')
    }
}
