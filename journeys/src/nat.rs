// SPDX-License-Identifier: GPL-2.0

//! Which addresses were rewritten, and where.

use nftrace_core::hook::Hook;
use nftrace_core::record::Kind;

use crate::fit::same_end;
use crate::flows::{original, Flows};
use crate::model::{Certainty, Direction, End, Journey, Nat, NatKind, Tuple};

/// The translations between `from` and `to`, of a packet that goes in this direction.
fn between(
    after: usize,
    from: Tuple,
    to: Tuple,
    direction: Option<Direction>,
    certainty: Certainty,
) -> impl Iterator<Item = Nat> {
    let (dst, src) = match direction {
        Some(Direction::Reply) => (NatKind::UnSnat, NatKind::UnDnat),
        _ => (NatKind::Dnat, NatKind::Snat),
    };
    [(dst, from.dst, to.dst), (src, from.src, to.src)]
        .into_iter()
        .filter(|(_, from, to)| !same_end(*from, *to))
        .map(move |(kind, from, to)| Nat {
            after,
            kind,
            from,
            to,
            certainty,
        })
}

/// The translations that the records show.
pub(crate) fn seen(journey: &Journey) -> Vec<Nat> {
    let mut nat = Vec::new();
    // The last record of each depth of tunnels; they nest.
    let mut depths: Vec<Option<(usize, Tuple)>> = vec![None];
    for (index, record) in journey.records.iter().enumerate() {
        if let Some(step) = index.checked_sub(1).and_then(|after| {
            journey
                .encapsulation
                .iter()
                .find(|step| step.after == after)
        }) {
            if step.enter {
                depths.push(None);
            } else if depths.len() > 1 {
                depths.pop();
            } else {
                depths = vec![None];
            }
        }
        let (Some(tuple), Some(depth)) = (record.tuple(), depths.last_mut()) else {
            continue;
        };
        // A drop record shows the packet as it was when it died, which is no step of its own.
        if let Some((after, before)) = *depth {
            nat.extend(between(
                after,
                before,
                tuple,
                journey.direction,
                Certainty::Proved,
            ));
        }
        *depth = Some((index, tuple));
    }
    nat
}

/// The translations behind the last record, as the connection is known to be translated.
pub(crate) fn expected(journey: &Journey, flows: &Flows) -> Vec<Nat> {
    let after = journey.records.len() - 1;
    let last = &journey.records[after];
    let behind = matches!(last.hook, Some(Hook::PostRouting | Hook::LocalIn));
    let outer = journey.outer.get(after).copied().flatten().is_some();
    if !behind || last.kind != Kind::Entry || last.is_bridge() || outer {
        return Vec::new();
    }
    let over = !matches!(journey.end, End::Delivered | End::Sent | End::Unknown);
    let (Some(tuple), Some(leg), false) = (last.tuple(), journey.legs.last(), over) else {
        return Vec::new();
    };
    let conntrack = last.conntrack.filter(|conntrack| conntrack.reply);
    let came = journey
        .records
        .get(leg.records.start)
        .and_then(|record| record.tuple());
    let learnt = came.and_then(|came| flows.exit(last.namespace, journey.protocol, came));
    let Some(leaves) = conntrack
        .map(|conntrack| original(&conntrack).reversed())
        .or(learnt)
    else {
        return Vec::new();
    };
    // Behind these hooks nothing but the source is rewritten.
    let leaves = Tuple {
        src: leaves.src,
        dst: tuple.dst,
    };
    let inferred = Certainty::Inferred;
    between(after, tuple, leaves, journey.direction, inferred).collect()
}
