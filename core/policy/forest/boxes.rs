// SPDX-License-Identifier: GPL-2.0

//! The boxes of a rule.
//!
//! Each of its first conditions about source, destination, ports, protocol and
//! namespace that is not negated is a side. Where [`Rule::split4`] (or 6) says so, each
//! range of the condition's set makes boxes of its own; else one box spans them all.

use super::layout::{Rest, DECIDES, DECIDES_FRAGMENTS, EXACT, LEADS, PORTS, SPECIAL, TRANSPORT};
use super::shape::{is_a_side, Shape};
use crate::policy::condition::Kind;
use crate::policy::layout::{Condition, Pool, Rule, SHADOW};
use crate::policy::tables::Tables;
use crate::policy::verify::{Flaw, Refusal};

/// Boxes of one family that a rule may have.
pub const MAX_BOXES: usize = 1024;

/// The six sides in the order in which boxes are made, the last one changing first.
const ORDER: [Kind; 6] = [
    Kind::Source,
    Kind::Destination,
    Kind::Namespace,
    Kind::Protocol,
    Kind::SourcePort,
    Kind::DestinationPort,
];

/// The number of the first side that is a port.
const FIRST_PORT: usize = 4;

/// One side of a rule: its condition, and in how many parts it is.
#[derive(Clone, Copy)]
struct Part<'a> {
    condition: Option<&'a Condition>,
    /// Ranges of its set.
    ranges: usize,
    /// 1, or as many as there are ranges.
    parts: usize,
}

struct Parts<'t, 'a, S> {
    tables: &'t Tables<'a>,
    parts: [Part<'a>; 6],
    shape: ::core::marker::PhantomData<S>,
}

impl<'a, S: Shape> Parts<'_, 'a, S> {
    fn part(&self, side: usize) -> Option<&Part<'a>> {
        self.parts.get(side)
    }

    /// The ranges of a part: the first and the last of those that it spans.
    fn ends(part: &Part<'_>, at: usize) -> (usize, usize) {
        if part.parts == part.ranges {
            (at, at)
        } else {
            (0, part.ranges.wrapping_sub(1))
        }
    }

    fn addresses(&self, side: usize, at: usize) -> Option<(S::Address, S::Address)> {
        let part = self.part(side)?;
        let Some(condition) = part.condition else {
            return Some(S::all());
        };
        let (first, last) = Self::ends(part, at);
        let (low, _) = S::range(self.tables, condition, first)?;
        let (_, high) = S::range(self.tables, condition, last)?;
        Some((low, high))
    }

    fn numbers(&self, side: usize, at: usize, most: u32) -> Option<(u32, u32)> {
        let part = self.part(side)?;
        let Some(condition) = part.condition else {
            return Some((0, most));
        };
        let (first, last) = Self::ends(part, at);
        if condition.kind == Kind::Namespace as u8 {
            let set = self
                .tables
                .set(Pool::Words, self.tables.words, condition.first);
            let number = |at: usize| Some(u32::from(self.tables.namespace(*set.get(at)?)));
            return Some((number(first)?, number(last)?));
        }
        let set = self
            .tables
            .set(Pool::Ranges32, self.tables.ranges32, condition.first);
        Some((set.get(first)?.low, set.get(last)?.high))
    }

    fn pair(&self, side: usize, at: usize) -> Option<[u16; 2]> {
        let (low, high) = self.numbers(side, at, 0xffff)?;
        let low = u16::try_from(low).ok()?;
        Some([low, u16::try_from(high).ok()?.checked_sub(low)?])
    }

    fn make(&self, at: &[usize; 6], rule: u32, flags: u16) -> Option<S> {
        let [src, dst, namespace, protocol, sport, dport] = *at;
        let (low, high) = self.numbers(3, protocol, 0xff)?;
        let low = u8::try_from(low).ok()?;
        let rest = Rest {
            rule,
            sport: self.pair(4, sport)?,
            dport: self.pair(5, dport)?,
            namespace: self.pair(2, namespace)?,
            protocol: [low, u8::try_from(high).ok()?.checked_sub(low)?],
            flags,
        };
        Some(S::new(
            self.addresses(0, src)?,
            self.addresses(1, dst)?,
            rest,
        ))
    }
}

/// Makes all boxes of a rule that one family has, in order, for `each`.
///
/// # Errors
///
/// They are too many, or what `each` says.
pub fn each_box<S: Shape>(
    tables: &Tables<'_>,
    number: u32,
    rule: &Rule,
    mut each: impl FnMut(S) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let bad = Refusal {
        offset: number,
        flaw: Flaw::Boxes,
    };
    let (split, family) = if S::IS_IPV6 {
        (rule.split6, crate::policy::layout::IPV6)
    } else {
        (rule.split4, crate::policy::layout::IPV4)
    };
    if rule.families & family == 0 {
        return Ok(());
    }
    let none = Part {
        condition: None,
        ranges: 1,
        parts: 1,
    };
    let mut parts = Parts::<'_, '_, S> {
        tables,
        parts: [none; 6],
        shape: ::core::marker::PhantomData,
    };
    let conditions = tables.conditions_of(rule);
    // Whether boxes say everything, and what is not about the transport header.
    let (mut is_exact, mut is_exact_but_for_transport) = (true, true);
    let (mut asks_transport, mut asks_ports) = (false, false);
    for condition in conditions {
        let Some(kind) = Kind::from_number(condition.kind) else {
            return Err(bad);
        };
        asks_transport |= kind.is_of_transport();
        asks_ports |= kind.is_of_ports();
        let mut bit = 1_u8;
        let side = ORDER.iter().position(|side| {
            let is_it = *side == kind;
            bit = bit.wrapping_shl(u32::from(!is_it));
            is_it
        });
        let part = side.and_then(|side| parts.parts.get_mut(side));
        let is_side = match part {
            Some(part)
                if part.condition.is_none()
                    && condition.negated == 0
                    && (kind != Kind::Namespace || !tables.namespaces.is_empty()) =>
            {
                let ranges = match kind {
                    Kind::Source | Kind::Destination => S::set_len(tables, condition),
                    Kind::Namespace => tables.set(Pool::Words, tables.words, condition.first).len(),
                    _ => tables
                        .set(Pool::Ranges32, tables.ranges32, condition.first)
                        .len(),
                };
                // Nothing is in the empty set, but of a later fragment nobody knows.
                if ranges == 0 && !kind.is_of_ports() {
                    return Ok(());
                }
                let is_split = split & bit != 0;
                if ranges > 0 {
                    *part = Part {
                        condition: Some(condition),
                        ranges,
                        parts: if is_split { ranges } else { 1 },
                    };
                }
                ranges > 0 && (is_split || ranges == 1)
            }
            _ => false,
        };
        debug_assert!(!is_side || is_a_side(kind));
        is_exact &= is_side;
        is_exact_but_for_transport &= is_side || kind.is_of_transport();
    }
    let mut count = 1_usize;
    for part in &parts.parts {
        count = count
            .checked_mul(part.parts)
            .filter(|count| *count <= MAX_BOXES)
            .ok_or(bad)?;
    }
    let is_shadow = rule.flags & SHADOW != 0;
    let is_plain = !is_shadow && rule.limit.events == 0;
    let mut flags = 0;
    let mut set = |flag, is_set: bool| flags |= if is_set { flag } else { 0 };
    set(EXACT, is_exact);
    set(DECIDES, is_exact && is_plain);
    set(
        DECIDES_FRAGMENTS,
        is_exact_but_for_transport && if asks_transport { !is_shadow } else { is_plain },
    );
    set(TRANSPORT, asks_transport);
    set(PORTS, asks_ports);
    set(SPECIAL, !is_plain);
    let mut at = [0_usize; 6];
    for _ in 0..count {
        let leads = at.iter().skip(FIRST_PORT).all(|at| *at == 0);
        let flags = flags | if leads { LEADS } else { 0 };
        each(parts.make(&at, number, flags).ok_or(bad)?)?;
        // Counts one up, the last side first.
        for (at, part) in at.iter_mut().zip(&parts.parts).rev() {
            *at = at.wrapping_add(1);
            if *at < part.parts {
                break;
            }
            *at = 0;
        }
    }
    Ok(())
}
