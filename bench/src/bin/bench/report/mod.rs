// SPDX-License-Identifier: GPL-2.0

//! `docs/performance.md` and its pictures, made of stored figures.

mod core;
mod native;
mod plot;
mod table;
mod targets;
mod view;

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context, Result};
use nftrace_bench::rules::Family;
use nftrace_bench::shapes::Shape;
use nftrace_tests::checkout::top;

use self::plot::Line;
use self::table::{number, whole, Table};
use self::targets::as_float;
use self::view::{View, Which};
use crate::cell::Traffic;
use crate::figures::Figures;
use crate::life;
use crate::peer::Peer;

/// What stands before the tables.
const INTRODUCTION: &str = include_str!("introduction.md");

/// What stands before ratios, whatever is measured.
const AGAINST: &str = "for the same rules and packets; every verdict was compared with that of a list that asks rule \
     by rule. The geometric mean of the pairs, the interval in which it lies with 95 % (bootstrap), and the worst pair \
     for us: below 1 the peer is ahead.";

/// What stands behind the targets.
const REASONS: &str = include_str!("reasons.md");

/// What stands behind the tables.
const LIMITS: &str = include_str!("limits.md");

/// Writes all of it; `plain` was measured without AVX2, `native` in time, `core` without a
/// kernel.
pub(crate) fn write(
    figures: &Figures,
    plain: Option<&Figures>,
    native: Option<&Figures>,
    core: Option<&Figures>,
) -> Result<()> {
    let docs = top().join("docs");
    let pictures = docs.join("performance");
    fs::create_dir_all(&pictures).with_context(|| pictures.display().to_string())?;
    let view = View::new(figures)?;
    let plain = plain.map(View::new).transpose()?;
    let native = native.map(View::new).transpose()?;
    let mut text = INTRODUCTION.to_owned();
    let mut add = |part: String| writeln!(text, "{part}").expect("memory takes all");
    let machine = &figures.machine;
    add(format!(
        "Measured with kernel {} ({}), {}, `-cpu {}`.\n\n## Targets\n",
        machine.kernel, machine.mitigations, machine.qemu, machine.cpu
    ));
    add(targets::table(&view, native.as_ref()).to_string());
    add(REASONS.to_owned());
    add(format!("## Hooks\n\n{}", hooks(&view)));
    add(format!("## Policies\n\n{}", policies(&view)));
    for (name, title, disjoint) in [
        (
            "disjoint",
            "Rules that do not overlap, packets that hit",
            true,
        ),
        ("ordered", "Rules in order, packets that hit", false),
    ] {
        let lines = lines(&view, disjoint);
        if !lines.is_empty() {
            fs::write(
                pictures.join(format!("{name}.svg")),
                plot::svg(title, "instructions a packet", &lines)?,
            )?;
            add(format!("![{title}](performance/{name}.svg)\n"));
        }
    }
    add(format!(
        "## Against the peers\n\nHow many times as many instructions the peer takes as nftrace, {AGAINST}\n\n{}",
        against(&[("", Some(&view)), (", no AVX2", plain.as_ref())])
    ));
    add(format!(
        "## The whole path of a packet that is dropped\n\n{}",
        path(&view)
    ));
    add(format!("## Setting up\n\n{}", setting_up(&view)));
    if let Some(native) = &native {
        let lines = lines(native, true);
        let title = "On a processor: rules that do not overlap, packets that hit";
        if !lines.is_empty() {
            let picture = plot::svg(title, "nanoseconds a packet", &lines)?;
            fs::write(pictures.join("native.svg"), picture)?;
        }
        add(format!("## On a processor\n\n{}", native::section(native)));
    }
    if let Some(core) = core {
        add(format!("## The core by itself\n\n{}", core::section(core)));
    }
    add(format!("## What a peer cannot hold\n\n{}", unable(&view)));
    text += LIMITS;
    let file = docs.join("performance.md");
    fs::write(&file, text).with_context(|| file.display().to_string())
}

fn hooks(view: &View<'_>) -> String {
    let mut table = Table::new(&["on the hook", "IPv4", "IPv6"]);
    for peer in Peer::ALL.iter().filter(|peer| **peer != Peer::None) {
        let of = |family| number(view.plain(*peer, family));
        table.row(peer.about(), [of(Family::V4), of(Family::V6)]);
    }
    format!(
        "Instructions a packet at one hook, PRE_ROUTING. A record for the kernel's log costs the packet what \
         one for the ring costs: it is printed by a worker, later.\n\n{table}"
    )
}

fn policies(view: &View<'_>) -> String {
    let mut table = Table::new(&[
        "rules",
        "seeds",
        "IPv4 hit",
        "from",
        "to",
        "shape of the highest",
        "IPv4 miss",
        "IPv6 hit",
        "IPv6 miss",
    ]);
    for count in view.counts(Peer::Policy, false) {
        let of = |family, traffic| {
            view.summary(Which {
                peer: Peer::Policy,
                family,
                disjoint: false,
                count,
                traffic,
            })
        };
        let mean = |family, traffic| number(of(family, traffic).map(|it| it.mean));
        let hit = of(Family::V4, Traffic::Hit);
        table.row(
            whole(count),
            [
                hit.map_or(0, |it| it.seeds).to_string(),
                number(hit.map(|it| it.mean)),
                number(hit.map(|it| it.least)),
                number(hit.map(|it| it.most)),
                hit.map_or_else(String::new, |it| it.most_shape.to_string()),
                mean(Family::V4, Traffic::Miss),
                mean(Family::V6, Traffic::Hit),
                mean(Family::V6, Traffic::Miss),
            ],
        );
    }
    let mut shapes = Table::new(&["shape, IPv4, hit", "100", "1,000", "10,000", "100,000"]);
    for shape in Shape::ALL {
        let of = |count| {
            let which = Which {
                peer: Peer::Policy,
                family: Family::V4,
                disjoint: false,
                count,
                traffic: Traffic::Hit,
            };
            number(view.shape(which, shape))
        };
        let name = if shape.held_out() {
            format!("{shape} (held out)")
        } else if Shape::REALISTIC.contains(&shape) {
            shape.to_string()
        } else {
            format!("{shape} (harsh)")
        };
        shapes.row(name, [100, 1000, 10_000, 100_000].map(of));
    }
    format!(
        "Rules in order, all of which drop; instructions a packet, the drop included. Each figure is a mean over the \
         shapes of means over seeds. Nothing was tuned to the shapes that are held out; harsh ones are in no \
         mean.\n\n{table}\n{shapes}"
    )
}

/// Ours first.
fn lines(view: &View<'_>, disjoint: bool) -> Vec<Line> {
    let mut lines = Vec::new();
    let peers = [
        Peer::Policy,
        Peer::NftRanges,
        Peer::NftLayers,
        Peer::Legacy,
        Peer::NftLinear,
        Peer::IptablesNft,
        Peer::Ipset,
    ];
    for peer in peers {
        let points: Vec<(f64, f64)> = view
            .counts(peer, disjoint)
            .into_iter()
            .filter_map(|count| {
                let which = Which {
                    peer,
                    family: Family::V4,
                    disjoint,
                    count,
                    traffic: Traffic::Hit,
                };
                Some((as_float(count), view.summary(which)?.mean))
            })
            .collect();
        if !points.is_empty() {
            let name = peer.about().to_owned();
            lines.push(Line { name, points });
        }
    }
    // Nothing to compare is no picture.
    if lines.len() < 2 {
        lines.clear();
    }
    lines
}

/// Each view with what is added to the names of peers.
fn against(views: &[(&str, Option<&View<'_>>)]) -> String {
    let mut text = String::new();
    for (title, disjoint) in [
        ("Rules that do not overlap", true),
        ("Rules in order", false),
    ] {
        let mut table = Table::new(&[
            "peer", "rules", "packets", "family", "times", "95 %", "worst", "pairs",
        ]);
        for (suffix, view) in views {
            let Some(view) = *view else { continue };
            for peer in Peer::ALL.iter().filter(|peer| **peer != Peer::Policy) {
                for count in view.counts(*peer, disjoint) {
                    for family in Family::ALL {
                        for traffic in Traffic::ALL {
                            let which = Which {
                                peer: *peer,
                                family,
                                disjoint,
                                count,
                                traffic,
                            };
                            let Some(ratio) = view.ratio(which) else {
                                continue;
                            };
                            table.row(
                                format!("{}{suffix}", peer.about()),
                                [
                                    whole(count),
                                    traffic.name().to_owned(),
                                    family.name().to_owned(),
                                    format!("**{}**", number(Some(ratio.mean))),
                                    format!(
                                        "{} to {}",
                                        number(Some(ratio.low)),
                                        number(Some(ratio.high))
                                    ),
                                    number(Some(ratio.worst)),
                                    ratio.pairs.to_string(),
                                ],
                            );
                        }
                    }
                }
            }
        }
        if !table.is_empty() {
            text += &format!("### {title}\n\n{table}\n");
        }
    }
    text
}

fn path_table(view: &View<'_>) -> Table {
    let mut table = Table::new(&[
        "who drops",
        "a new buffer for each packet",
        "one for 32 packets",
    ]);
    for peer in Peer::ALL.iter().filter(|peer| peer.drops()) {
        table.row(
            peer.about(),
            [1, 32].map(|burst| number(view.path(*peer, burst))),
        );
    }
    table
}

fn path(view: &View<'_>) -> String {
    format!(
        "pktgen hands UDP packets to the stack as a device would (`xmit_mode netif_receive`). tc and a chain at the \
         device's ingress come before IP looks at the packet: **for a bare drop they are ahead of every hook at \
         PRE_ROUTING, ours included.** Where one buffer stands for 32 packets, who comes behind IP pays for a clone.\n\n{}",
        path_table(view)
    )
}

fn setting_up(view: &View<'_>) -> String {
    let mut table = Table::new(&[
        "millions of instructions",
        "100",
        "1,000",
        "3,000",
        "10,000",
        "100,000",
    ]);
    for peer in Peer::ALL {
        let of = |count| {
            let of = |disjoint| {
                view::mean(
                    view.of(Which {
                        peer: *peer,
                        family: Family::V4,
                        disjoint,
                        count,
                        traffic: Traffic::Hit,
                    })
                    .filter(|(_, figure)| figure.setup_kinsn > 0)
                    .map(|(_, figure)| setup(figure.setup_kinsn)),
                )
            };
            number(of(false).or_else(|| of(true)))
        };
        table.row(peer.about(), [100, 1000, 3000, 10_000, 100_000].map(of));
    }
    let life = |name: &str| view.figures.life.get(name).copied();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let millions = |name: &str| number(life(name).map(|kinsn| kinsn as f64 / 1000.0));
    let mut loads = Table::new(&["policy of nftrace", "100", "1,000", "10,000", "100,000"]);
    for (row, name) in [
        ("load, millions of instructions", "load"),
        ("load again", "reload"),
    ] {
        loads.row(
            row,
            life::COUNTS
                .map(|count| millions(&format!("{name}-{}", life::name(Shape::Acl, count)))),
        );
    }
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let bytes = |count| {
        let all = life(&format!("memory-{}", life::name(Shape::Acl, count)));
        number(all.map(|bytes| bytes as f64 / as_float(count)))
    };
    loads.row(
        "memory, bytes a rule",
        [number(None), number(None), bytes(10_000), bytes(100_000)],
    );
    let mut module = Table::new(&["the module, millions of instructions", "insmod", "rmmod"]);
    module.row("alone on the host", [millions("insmod"), millions("rmmod")]);
    module.row(
        "with 500 namespaces",
        [millions("insmod-500"), millions("rmmod-500")],
    );
    format!(
        "From nothing to rules in force: the program that reads the text, what it compiles, the kernel's share, modules \
         that it loads. Waiting is not in it. nftrace's has `insmod`, and the proof that what was compiled means the list of rules.\n\n{table}\n\
         An access list of IPv4. Waiting is not in these figures. Memory is what the module has of the\n\
         policy: rules, text and index, and the counters, a table of 896 KiB among them. That of 100 rules is the first\n\
         that is loaded at all, which costs once what loading it again does not.\n\n{loads}\n{module}"
    )
}

#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
fn setup(kinsn: u64) -> f64 {
    kinsn as f64 / 1000.0
}

fn unable(view: &View<'_>) -> String {
    let mut text = String::from("Cells that are missing above, and why:\n\n");
    for (peer, why) in view.unable() {
        writeln!(text, "- {}: {why}", peer.about()).expect("memory takes all");
    }
    text
}
