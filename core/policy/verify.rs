// SPDX-License-Identifier: GPL-2.0

//! Whether a blob is sound: every number in it in its range, every order kept,
//! nothing in it that is used twice or by nobody, no condition at a hook that cannot
//! know it, and an index that is proved to say what the rules say
//! ([`super::forest`]).

use ::core::fmt;

use super::condition::{Kind, Place};
use super::forest::Verifier;
use super::layout::{
    Answer, Condition, New, Pool, Rate, Rule, Span, ELSE_ACCEPT, IPV4, IPV6, LOG, MAX_BLOB,
    MAX_BOUND, PLACES, SHADOW,
};
use super::tables::Tables;
use crate::record::Verdict;

/// What is wrong with a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Flaw {
    /// It does not begin as a blob does.
    NotABlob = 1,
    /// It is of another ABI.
    Abi = 2,
    /// It is longer or shorter than its header says.
    Size = 3,
    /// It is larger than [`MAX_BLOB`].
    TooLarge = 4,
    /// A default is neither accept nor drop, or what should be zero is not.
    Header = 5,
    /// The sets of a pool do not lie one behind the other.
    Spans = 6,
    /// A set is not sorted, or its ranges overlap or are reversed.
    Set = 7,
    /// A rule's conditions do not lie behind those of the rule before.
    Order = 8,
    /// A rule is at no hook, or of no family, or has a verdict that there is not.
    Rule = 9,
    /// A condition of a kind that there is not, or whose operand is out of range.
    Condition = 10,
    /// A condition or verdict at a hook where it cannot be.
    Place = 11,
    /// The namespaces are not sorted, or too many.
    Namespaces = 12,
    /// A rate without a time, or a time or burst without a rate.
    Rate = 13,
    /// The text of a rule lies outside of the text.
    Text = 14,
    /// The boxes of a rule are not those that it has, or too many.
    Boxes = 15,
    /// A forest does not lie behind the one before, or is of nobody.
    Forest = 16,
    /// A tree is none: a node or an entry is of several, or of nobody, or too deep.
    Tree = 17,
    /// A hook has no forest though it has rules, or that of other rules.
    Root = 18,
    /// A leaf names a box that is not of its hook.
    Entry = 19,
    /// A box has no home, or a home has no box.
    Home = 20,
    /// A box is overlooked somewhere in its tree.
    Overlooked = 21,
    /// Some packet would cost more steps than are allowed; as many.
    Bound = 22,
    /// A signal came.
    Interrupted = 23,
    /// A dynamic set without a name, or with that of another, or too large.
    Dynamic = 24,
}

impl Flaw {
    /// That of its number.
    pub fn from_number(number: u8) -> Option<Self> {
        const ALL: [Flaw; 24] = [
            Flaw::NotABlob,
            Flaw::Abi,
            Flaw::Size,
            Flaw::TooLarge,
            Flaw::Header,
            Flaw::Spans,
            Flaw::Set,
            Flaw::Order,
            Flaw::Rule,
            Flaw::Condition,
            Flaw::Place,
            Flaw::Namespaces,
            Flaw::Rate,
            Flaw::Text,
            Flaw::Boxes,
            Flaw::Forest,
            Flaw::Tree,
            Flaw::Root,
            Flaw::Entry,
            Flaw::Home,
            Flaw::Overlooked,
            Flaw::Bound,
            Flaw::Interrupted,
            Flaw::Dynamic,
        ];
        ALL.into_iter().find(|flaw| *flaw as u8 == number)
    }

    /// What it is, as a sentence without its subject.
    pub const fn what(self) -> &'static str {
        match self {
            Self::NotABlob => "is no compiled policy",
            Self::Abi => "is of another ABI",
            Self::Size => "is longer or shorter than it says",
            Self::TooLarge => "is larger than 64 MiB",
            Self::Header => "has a header with a value that there is not",
            Self::Spans => "has sets that do not lie one behind the other",
            Self::Set => "has a set that is not sorted",
            Self::Order => "has a rule whose conditions are not its own",
            Self::Rule => "has a rule with a value that there is not",
            Self::Condition => "has a condition with a value that there is not",
            Self::Place => "has a rule at a hook where it cannot be decided",
            Self::Namespaces => "has namespaces that are not sorted",
            Self::Rate => "has a rate that is none",
            Self::Text => "has a rule whose text is not there",
            Self::Boxes => "has a rule whose boxes are not its own",
            Self::Forest => "has a forest that is nobody's, or not in its place",
            Self::Tree => "has a tree that is none",
            Self::Root => "has a hook with the index of other rules",
            Self::Entry => "has an index that names a rule of another hook",
            Self::Home => "has a rule that is in no tree",
            Self::Overlooked => "has an index that overlooks a rule",
            Self::Bound => "costs some packets more steps than are allowed",
            Self::Interrupted => "was not verified to the end",
            Self::Dynamic => {
                "has a dynamic set without a name of its own, or one that is too large"
            }
        }
    }
}

/// Why a blob is refused: what is wrong, and with which element of the section that
/// it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// The number of the rule, condition, set or hook.
    pub offset: u32,
    /// What is wrong.
    pub flaw: Flaw,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the policy ")?;
        f.write_str(self.flaw.what())?;
        match self.flaw {
            Flaw::NotABlob
            | Flaw::Abi
            | Flaw::Size
            | Flaw::TooLarge
            | Flaw::Header
            | Flaw::Namespaces
            | Flaw::Interrupted => Ok(()),
            _ => write!(f, " (number {})", self.offset),
        }
    }
}

/// What a policy asks of the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Some rule asks conntrack.
    pub conntrack: bool,
    /// Some rule asks for the local socket at `LOCAL_IN`.
    pub sockets: bool,
    /// Some rule rejects.
    pub reject: bool,
    /// Some rule hands packets to a queue.
    pub queue: bool,
    /// Some rule writes to the kernel's log.
    pub log: bool,
    /// Some rule is at a hook of the bridge family, or some default there is drop.
    pub bridge: bool,
    /// How many steps a packet costs at most: see [`Limits::max_bound`].
    pub bound: u32,
}

const fn is_default(number: u8) -> bool {
    number == Verdict::Accept as u8 || number == Verdict::Drop as u8
}

const fn is_rate(rate: Rate) -> bool {
    (rate.events == 0) == (rate.seconds == 0)
}

pub(super) fn refuse<T>(number: usize, flaw: Flaw) -> Result<T, Refusal> {
    Err(Refusal {
        offset: u32::try_from(number).unwrap_or(u32::MAX),
        flaw,
    })
}

/// Says of each element whether it may stand behind the one before it.
fn each_in_order<T>(elements: &[T], is_good: impl Fn(Option<&T>, &T) -> bool) -> bool {
    let mut before = None;
    elements.iter().all(|element| {
        let good = is_good(before, element);
        before = Some(element);
        good
    })
}

fn verify_pool<T>(
    spans: &[Span],
    elements: &[T],
    is_good: impl Fn(Option<&T>, &T) -> bool,
) -> Result<(), Refusal> {
    let mut end = 0_usize;
    for (number, span) in spans.iter().enumerate() {
        let first = span.first as usize;
        let behind = first.checked_add(span.count as usize);
        let Some((set, behind)) = behind
            .filter(|_| first == end)
            .and_then(|behind| Some((elements.get(first..behind)?, behind)))
        else {
            return refuse(number, Flaw::Spans);
        };
        if !each_in_order(set, &is_good) {
            return refuse(number, Flaw::Set);
        }
        end = behind;
    }
    if end == elements.len() {
        Ok(())
    } else {
        refuse(spans.len(), Flaw::Spans)
    }
}

impl Tables<'_> {
    fn verify_pools(&self) -> Result<(), Refusal> {
        let [ranges32, ranges128, words, cgroups, patterns] = self.spans;
        verify_pool(ranges32, self.ranges32, |before, range| {
            range.low <= range.high && before.is_none_or(|before| before.high < range.low)
        })?;
        verify_pool(ranges128, self.ranges128, |before, range| {
            range.low <= range.high && before.is_none_or(|before| before.high < range.low)
        })?;
        verify_pool(words, self.words, |before, word| {
            before.is_none_or(|before| before < word)
        })?;
        verify_pool(cgroups, self.cgroups, |before, cgroup| {
            cgroup.reserved == 0 && before.is_none_or(|before| before.id < cgroup.id)
        })?;
        verify_pool(patterns, self.patterns, |_, pattern| {
            let len = usize::from(pattern.len);
            let is_name = |(at, byte): (usize, &u8)| (*byte == 0) == (at >= len);
            (1..=15).contains(&len)
                && pattern.is_prefix <= 1
                && pattern.reserved == [0; 6]
                && pattern.name.iter().enumerate().all(is_name)
        })
    }

    fn verify_condition(&self, condition: &Condition, rule: &Rule) -> Option<Flaw> {
        let Some(kind) = Kind::from_number(condition.kind) else {
            return Some(Flaw::Condition);
        };
        let operands = [condition.first, condition.second];
        let mut is_good = condition.negated <= 1
            && kind.is_dynamic() == (condition.dynamic != 0)
            && usize::from(condition.dynamic) <= self.dynamics.len();
        for (pool, operand) in kind.pools().iter().zip(operands) {
            if let Some(pool) = pool {
                let sets = self
                    .spans
                    .get(*pool as usize)
                    .map_or(0, |spans| spans.len());
                is_good &= (operand as usize) < sets;
            } else if !matches!(kind, Kind::TcpFlags | Kind::State | Kind::Mark) {
                is_good &= operand == 0;
            }
        }
        let [first, second] = operands;
        is_good &= match kind {
            Kind::TcpFlags => second <= 0xff && first & !second == 0,
            Kind::State => (1..32).contains(&first) && second == 0,
            Kind::Mark => first & !second == 0,
            _ => true,
        };
        if kind.most() < u32::MAX {
            // They are sorted.
            let set = self.set(Pool::Ranges32, self.ranges32, first);
            is_good &= set.last().is_none_or(|range| range.high <= kind.most());
        }
        if !is_good {
            return Some(Flaw::Condition);
        }
        Place::all()
            .filter(|place| rule.is_at(*place))
            .any(|place| place.refuses(kind).is_some())
            .then_some(Flaw::Place)
    }

    fn verify_rule(&self, rule: &Rule) -> Option<Flaw> {
        let is_good = rule.places != 0
            && usize::from(rule.places) < 1 << PLACES
            && rule.families != 0
            && rule.families & !(IPV4 | IPV6) == 0
            && rule.flags & !(SHADOW | LOG | ELSE_ACCEPT) == 0
            && Answer::from_number(rule.answer).is_some()
            && rule.split4 | rule.split6 < 1 << 6
            && rule.reserved2 == 0;
        let queues = rule.verdict == Verdict::Queue as u8;
        let rejects = rule.verdict == Verdict::Reject as u8;
        let has_operands = (queues || (rule.queue == 0 && rule.flags & ELSE_ACCEPT == 0))
            && (rejects || rule.answer == 0);
        if !is_good || !has_operands || rule.verdict > Verdict::Queue as u8 {
            return Some(Flaw::Rule);
        }
        for place in Place::all().filter(|place| rule.is_at(*place)) {
            if (rejects && place.refuses_reject().is_some())
                || (queues && place.refuses_queue().is_some())
            {
                return Some(Flaw::Place);
            }
        }
        let logs = rule.flags & LOG != 0;
        if !is_rate(rule.limit)
            || !is_rate(rule.log_limit)
            || (rule.limit.events == 0) != (rule.burst == 0)
            || (!logs && rule.log_limit.events != 0)
        {
            return Some(Flaw::Rate);
        }
        let end = rule.text.checked_add(rule.text_len);
        if end.is_none_or(|end| end as usize > self.text.len()) {
            return Some(Flaw::Text);
        }
        None
    }

    fn verify_rules(&self) -> Result<(), Refusal> {
        let mut end = 0_usize;
        for (number, rule) in self.rules.iter().enumerate() {
            let first = rule.first_condition as usize;
            let behind = first.wrapping_add(usize::from(rule.conditions));
            let Some(conditions) = self.conditions.get(first..behind).filter(|_| first == end)
            else {
                return refuse(number, Flaw::Order);
            };
            end = behind;
            let of_conditions = |c| self.verify_condition(c, rule);
            let flaw = self
                .verify_rule(rule)
                .or_else(|| conditions.iter().find_map(of_conditions));
            if let Some(flaw) = flaw {
                return refuse(number, flaw);
            }
        }
        if end == self.conditions.len() {
            Ok(())
        } else {
            refuse(self.rules.len(), Flaw::Order)
        }
    }

    fn needs(&self) -> Needs {
        let mut needs = Needs::default();
        for rule in self.rules {
            needs.reject |= rule.verdict == Verdict::Reject as u8;
            needs.queue |= rule.verdict == Verdict::Queue as u8;
            needs.log |= rule.flags & LOG != 0;
            for place in Place::all().filter(|place| rule.is_at(*place)) {
                needs.bridge |= place.is_bridge;
            }
            for condition in self.conditions_of(rule) {
                let Some(kind) = Kind::from_number(condition.kind) else {
                    continue;
                };
                needs.conntrack |= kind.needs_conntrack();
                needs.sockets |= kind.needs_socket() && rule.places & LOCAL_IN != 0;
            }
        }
        let [_, _, _, _, _, bridge @ ..] = self.header.defaults;
        needs.bridge |= bridge.contains(&(Verdict::Drop as u8));
        needs
    }
}

const LOCAL_IN: u16 = 1 << crate::hook::Hook::LocalIn as u16;

/// What the verifier allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Steps that a packet may cost: nodes, boxes and conditions that it is compared with.
    pub max_bound: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_bound: MAX_BOUND,
        }
    }
}

/// Says what is wrong with a blob, or else what it asks of the kernel.
///
/// # Errors
///
/// The first [`Flaw`] that is found.
pub fn verify(tables: &Tables<'_>) -> Result<Needs, Refusal> {
    verify_within(tables, &Limits::default(), || true)
}

/// The same within other limits. `pause` is called every few thousand steps, and ends the
/// work by returning no.
///
/// # Errors
///
/// The first [`Flaw`] that is found.
pub fn verify_within(
    tables: &Tables<'_>,
    limits: &Limits,
    pause: impl FnMut() -> bool,
) -> Result<Needs, Refusal> {
    let header = tables.header;
    if size_of_val(tables.rules) > MAX_BLOB || tables.text.len() > MAX_BLOB {
        return refuse(0, Flaw::TooLarge);
    }
    let is_good = header.defaults.iter().all(|number| is_default(*number))
        && is_default(header.malformed)
        && is_default(header.fragments)
        && New::from_number(header.new).is_some()
        && header.reserved == [0; 3];
    if !is_good {
        return refuse(0, Flaw::Header);
    }
    let is_sorted =
        |before: Option<&u64>, cookie: &u64| before.is_none_or(|before| before < cookie);
    if tables.namespaces.len() >= usize::from(u16::MAX)
        || !each_in_order(tables.namespaces, is_sorted)
    {
        return refuse(0, Flaw::Namespaces);
    }
    tables.verify_pools()?;
    tables.verify_dynamics()?;
    tables.verify_rules()?;
    let mut verifier = Verifier {
        tables,
        limits,
        pause,
        steps: 0,
    };
    let bound = verifier.run()?;
    Ok(Needs {
        bound,
        ..tables.needs()
    })
}
