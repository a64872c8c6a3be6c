// SPDX-License-Identifier: GPL-2.0

//! What was aimed at, and what came out.

use nftrace_bench::rules::Family;
use nftrace_bench::shapes::Shape;

use super::native::{records, Loads};
use super::table::{number, whole, Table};
use super::view::{View, Which};
use crate::cell::Traffic;
use crate::life;
use crate::peer::Peer;

/// At most so much, or at least, or at least so many times as much.
enum Aim {
    Most(f64),
    Least(f64),
    Times(f64),
}

struct Target {
    what: String,
    aim: Aim,
    measured: Option<f64>,
}

fn policy(family: Family, count: usize) -> Which {
    Which {
        peer: Peer::Policy,
        family,
        disjoint: false,
        count,
        traffic: Traffic::Hit,
    }
}

/// What is aimed at in time.
fn native(view: Option<&View<'_>>) -> Vec<Target> {
    let against = |count| {
        let which = Which {
            peer: Peer::NftRanges,
            disjoint: true,
            ..policy(Family::V4, count)
        };
        view?.ratio(which).map(|ratio| ratio.mean)
    };
    let mut targets: Vec<Target> = [(1000, 1.3), (10_000, 3.0), (30_000, 8.0)]
        .into_iter()
        .map(|(count, least)| Target {
            what: format!(
                "on a processor: times as fast as pipapo, disjoint rules, hit, {}",
                whole(count)
            ),
            aim: Aim::Times(least),
            measured: against(count),
        })
        .collect();
    let most = |of: &dyn Fn(&Loads<'_>, Shape) -> Option<f64>| {
        let loads = Loads(view?);
        let all = life::SHAPES.map(|shape| of(&loads, shape));
        all.into_iter().flatten().reduce(f64::max)
    };
    targets.push(Target {
        what: "on a processor: load of 100,000 rules, the slowest shape, s".to_owned(),
        aim: Aim::Most(0.5),
        measured: most(&|loads, shape| loads.in_force(shape, 100_000)),
    });
    targets.push(Target {
        what: "memory of 100,000 rules, the largest shape, bytes a rule".to_owned(),
        aim: Aim::Most(80.0),
        measured: most(&|loads, shape| loads.bytes(shape, 100_000)),
    });
    targets.push(Target {
        what: "on a processor: records a second from one CPU, none lost".to_owned(),
        aim: Aim::Least(1_000_000.0),
        measured: view.and_then(|view| records(view, 131_072, "lossless")),
    });
    targets
}

fn all(view: &View<'_>) -> Vec<Target> {
    let v4 = Family::V4;
    let over = |what: &str, peer, than, most| Target {
        what: what.to_owned(),
        aim: Aim::Most(most),
        measured: view.over(peer, than, v4),
    };
    let mut targets = vec![
        over(
            "idle hook, over an empty C hook",
            Peer::Idle,
            Peer::Empty,
            10.0,
        ),
        over(
            "trace miss, over an empty C hook",
            Peer::TraceMiss,
            Peer::Empty,
            75.0,
        ),
        over(
            "trace hit into the ring, over a miss",
            Peer::TraceHit,
            Peer::TraceMiss,
            150.0,
        ),
    ];
    let mean = |which| view.summary(which).map(|summary| summary.mean);
    for (count, most) in [
        (100, 350.0),
        (1000, 400.0),
        (10_000, 450.0),
        (100_000, 500.0),
    ] {
        targets.push(Target {
            what: format!(
                "policy of {} rules, IPv4, hit, mean over shapes",
                whole(count)
            ),
            aim: Aim::Most(most),
            measured: mean(policy(v4, count)),
        });
    }
    for count in [100, 1000, 10_000, 100_000] {
        let both = mean(policy(Family::V6, count)).zip(mean(policy(v4, count)));
        targets.push(Target {
            what: format!("IPv6, times IPv4, {} rules", whole(count)),
            aim: Aim::Most(1.4),
            measured: both.map(|(v6, v4)| v6 / v4),
        });
    }
    let against = |peer, disjoint, count| {
        let which = Which {
            peer,
            disjoint,
            ..policy(v4, count)
        };
        view.ratio(which).map(|ratio| ratio.mean)
    };
    for (count, least) in [(100, 6.0), (1000, 8.0), (3000, 12.0)] {
        targets.push(Target {
            what: format!(
                "times fewer than pipapo, disjoint rules, hit, {}",
                whole(count)
            ),
            aim: Aim::Times(least),
            measured: against(Peer::NftRanges, true, count),
        });
    }
    for (count, least) in [(100, 3.0), (1000, 18.0)] {
        targets.push(Target {
            what: format!(
                "times fewer than iptables-legacy, ordered rules, hit, {}",
                whole(count)
            ),
            aim: Aim::Times(least),
            measured: against(Peer::Legacy, false, count),
        });
    }
    targets
}

#[expect(clippy::cast_precision_loss, reason = "numbers of rules are small")]
pub(super) fn as_float(count: usize) -> f64 {
    count as f64
}

/// The table of targets.
pub(super) fn table(view: &View<'_>, in_time: Option<&View<'_>>) -> Table {
    let mut table = Table::new(&["", "target", "measured", ""]);
    for target in all(view).into_iter().chain(native(in_time)) {
        let (aim, is_met): (String, Option<bool>) = match target.aim {
            Aim::Most(most) => (
                format!("≤ {}", number(Some(most))),
                target.measured.map(|it| it <= most),
            ),
            Aim::Least(least) => (
                format!("≥ {}", number(Some(least))),
                target.measured.map(|it| it >= least),
            ),
            Aim::Times(least) => (
                format!("≥ {} ×", number(Some(least))),
                target.measured.map(|it| it >= least),
            ),
        };
        let outcome = match is_met {
            Some(true) => "met",
            Some(false) => "**missed**",
            None => "not measured",
        };
        table.row(
            target.what,
            [aim, number(target.measured), outcome.to_owned()],
        );
    }
    table
}
