// SPDX-License-Identifier: GPL-2.0

//! Which sides of a rule are split: each range of the set makes a box of its own.
//!
//! A rule with a few addresses and a few ports is a few small boxes then, which trees
//! tell apart; one with a large set is one box, and its set is searched.

use nftrace_core::policy::layout::{Pool, Rule};
use nftrace_core::policy::{Kind, Tables};

/// Boxes that a rule is split into.
const MOST: usize = 64;

/// As in [`nftrace_core::policy::forest::each_box`].
const ORDER: [Kind; 6] = [
    Kind::Source,
    Kind::Destination,
    Kind::Namespace,
    Kind::Protocol,
    Kind::SourcePort,
    Kind::DestinationPort,
];

/// What [`Rule::split4`] and [`Rule::split6`] are to be: the smallest sets first, as
/// long as there are few boxes.
pub(crate) fn splits(tables: &Tables<'_>, rule: &Rule) -> (u8, u8) {
    let of = |pool: Pool| {
        let mut lens = [1_usize; 6];
        let mut seen = [false; 6];
        for condition in tables.conditions_of(rule) {
            let Some(kind) = Kind::from_number(condition.kind) else {
                continue;
            };
            let Some(side) = ORDER.iter().position(|side| *side == kind) else {
                continue;
            };
            if seen[side] || condition.negated != 0 {
                continue;
            }
            seen[side] = true;
            let (pool, set) = match kind {
                Kind::Namespace => (Pool::Words, condition.first),
                Kind::Source | Kind::Destination if pool == Pool::Ranges128 => {
                    (pool, condition.second)
                }
                _ => (Pool::Ranges32, condition.first),
            };
            lens[side] = tables.spans[pool as usize][set as usize].count as usize;
        }
        let mut sides: Vec<usize> = (0..6).filter(|side| lens[*side] > 1).collect();
        sides.sort_by_key(|side| lens[*side]);
        let (mut boxes, mut split) = (1, 0);
        for side in sides {
            boxes *= lens[side];
            if boxes > MOST {
                break;
            }
            split |= 1 << side;
        }
        split
    };
    (of(Pool::Ranges32), of(Pool::Ranges128))
}
