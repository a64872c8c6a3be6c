// SPDX-License-Identifier: GPL-2.0

//! What was measured in time.

use nftrace_bench::rules::Family;
use nftrace_bench::shapes::Shape;

use super::table::{number, whole, Table};
use super::targets::as_float;
use super::view::{View, Which};
use super::{against, path_table, AGAINST};
use crate::cell::{Cell, Traffic};
use crate::life;
use crate::native::loads;
use crate::peer::Peer;

const INTRODUCTION: &str = include_str!("native.md");

/// What loading took.
pub(super) struct Loads<'a>(pub(super) &'a View<'a>);

impl Loads<'_> {
    /// By the names of `tests/lab/bench-life.sh`.
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    fn of(&self, what: &str, shape: Shape, count: usize) -> Option<f64> {
        let name = format!("{what}-{}", life::name(shape, count));
        self.0.figures.life.get(&name).map(|value| *value as f64)
    }

    fn milliseconds(&self, what: &str, shape: Shape, count: usize) -> Option<f64> {
        Some(self.of(what, shape, count)? / 1000.0)
    }

    /// Seconds from the text to rules in force.
    pub(super) fn in_force(&self, shape: Shape, count: usize) -> Option<f64> {
        let of = |what| self.of(what, shape, count);
        Some((of("compile")? + of("install")?) / 1e6)
    }

    /// In the kernel.
    pub(super) fn bytes(&self, shape: Shape, count: usize) -> Option<f64> {
        Some(self.of("memory", shape, count)? / as_float(count))
    }
}

/// Of a flood with rings of so many slots.
#[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
pub(super) fn records(view: &View<'_>, slots: u32, what: &str) -> Option<f64> {
    let name = format!("records-{slots}-{what}");
    view.figures.life.get(&name).map(|value| *value as f64)
}

/// All of it.
pub(super) fn section(view: &View<'_>) -> String {
    let machine = &view.figures.machine;
    let mut text = format!(
        "{INTRODUCTION}\nMeasured on {}, {}, kernel {}, {}.\n\n",
        machine.cpu, machine.qemu, machine.kernel, machine.mitigations
    );
    text += &format!("### Hooks, in time\n\n{}\n", hooks(view));
    text += &format!("### Policies, in time\n\n{}\n", policies(view));
    text += &format!(
        "### Against the peers, in time\n\n![Nanoseconds a packet](performance/native.svg)\n\n\
         How many times as many nanoseconds the peer takes as nftrace, {AGAINST}\n\n{}",
        against(&[("", Some(view))]).replace("### ", "#### ")
    );
    text += &format!(
        "### The whole path of a packet that is dropped, in time\n\nNanoseconds, all that the stack does until \
         then included.\n\n{}\n\n",
        path_table(view)
    );
    text += &format!("### Loading, in time\n\n{}\n", loading(view));
    text += &format!("### Records a second\n\n{}\n", floods(view));
    text += &format!("### Not measured in time\n\n{}", elsewhere(view));
    text
}

/// `12.3 (12.1 to 12.9)`
fn spread(view: &View<'_>, cell: &Cell) -> String {
    let Some(figure) = view.figures.get(cell) else {
        return number(None);
    };
    match figure.spread {
        Some([low, high]) => format!("{:.1} ({low:.1} to {high:.1})", figure.insn),
        None => format!("{:.1}", figure.insn),
    }
}

fn hooks(view: &View<'_>) -> String {
    let mut table = Table::new(&["nanoseconds a packet", "IPv4", "IPv6"]);
    for peer in Peer::ALL {
        let of = |family| spread(view, &Cell::plain(*peer, family));
        table.row(peer.about(), [of(Family::V4), of(Family::V6)]);
    }
    format!("The median of the blocks, and the quartiles.\n\n{table}")
}

fn policies(view: &View<'_>) -> String {
    let counts = view.counts(Peer::Policy, false);
    let mut head = vec!["shape, IPv4, rules in order, hit".to_owned()];
    head.extend(counts.iter().map(|count| whole(*count)));
    let head: Vec<&str> = head.iter().map(String::as_str).collect();
    let mut table = Table::new(&head);
    let which = |count| Which {
        peer: Peer::Policy,
        family: Family::V4,
        disjoint: false,
        count,
        traffic: Traffic::Hit,
    };
    for shape in Shape::REALISTIC {
        let of = |count: &usize| number(view.shape(which(*count), shape));
        table.row(shape.to_string(), counts.iter().map(of));
    }
    let mean = |count: &usize| number(view.summary(which(*count)).map(|summary| summary.mean));
    table.row("mean", counts.iter().map(mean));
    format!("Nanoseconds a packet, the drop included.\n\n{table}")
}

/// What was measured in instructions only, and why.
fn elsewhere(view: &View<'_>) -> String {
    let plain = Peer::ALL.iter().filter_map(|peer| {
        let cell = Cell::plain(*peer, Family::V4).to_string();
        let why = view.figures.unable.get(&cell)?;
        Some(format!("- {}: {why}\n", peer.about()))
    });
    plain.collect()
}

fn loading(view: &View<'_>) -> String {
    let loads = Loads(view);
    let mut table = Table::new(&[
        "policy, rules, IPv4; ms",
        "text to rules in force",
        "`nftrace check`",
        "the kernel copies, verifies, swaps",
        "of which verifying",
        "bytes a rule",
    ]);
    for shape in life::SHAPES {
        for count in life::COUNTS {
            let of = |what| number(loads.milliseconds(what, shape, count));
            table.row(
                format!("{shape}, {}", whole(count)),
                [
                    number(loads.in_force(shape, count).map(|seconds| seconds * 1000.0)),
                    of("compile"),
                    of("install"),
                    of("verify"),
                    number(loads.bytes(shape, count)),
                ],
            );
        }
    }
    let life = |name: &str| view.figures.life.get(name).copied();
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let milliseconds = |name: &str| number(life(name).map(|us| us as f64 / 1000.0));
    let mut module = Table::new(&["the module, ms", "`insmod`", "`rmmod`"]);
    module.row(
        "alone on the host",
        [milliseconds("insmod"), milliseconds("rmmod")],
    );
    module.row(
        "with 500 namespaces",
        [milliseconds("insmod-500"), milliseconds("rmmod-500")],
    );
    let mut sets = Table::new(&[
        "dynamic set of so many addresses",
        "all added by one call, ms",
        "one added or deleted, a call each; a second",
        "all deleted by one call, ms",
    ]);
    for count in loads::RANGES {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
        let single = life(&format!("set-single-{count}")).map(|rate| rate as f64);
        sets.row(
            whole(count),
            [
                milliseconds(&format!("set-add-{count}")),
                number(single),
                milliseconds(&format!("set-del-{count}")),
            ],
        );
    }
    format!(
        "`nftrace check` reads, compiles and verifies. It is measured on the same machine outside of User Mode Linux, \
         where a program waits for the host at each page that it touches first: the median of three.\n\n{table}\n{module}\n\
         A change copies the set: one call for many elements costs what one for one does.\n\n{sets}"
    )
}

fn floods(view: &View<'_>) -> String {
    let mut table = Table::new(&[
        "slots of the ring",
        "none lost up to, a second",
        "as fast as it goes, a second",
        "records",
        "read",
        "lost",
        "not accounted for",
    ]);
    for slots in [4096, 131_072] {
        let of = |what| records(view, slots, what);
        let missing = of("produced")
            .zip(of("read").zip(of("lost")))
            .map(|(produced, (read, lost))| format!("{:.0}", produced - read - lost));
        table.row(
            number(Some(f64::from(slots))),
            [
                number(of("lossless")),
                number(of("fastest")),
                number(of("produced")),
                number(of("read")),
                number(of("lost")),
                missing.unwrap_or_else(|| number(None)),
            ],
        );
    }
    format!(
        "A loop in the kernel makes a packet, calls the hook, which writes a record of it, and frees the packet; the \
         reader, a loop around read() that only counts, shares its one CPU. The rate grows by a fifth until one of \
         three half seconds has a loss, or packets cannot be made faster; then three times three million as fast \
         as it goes. A figure is the slowest of three. What was read and what the reader was told is lost has to be \
         what was produced, or the run fails. A small ring holds what is written in the time in which the reader \
         waits for the CPU only where it has one of its own.\n\n{table}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::figures::{Figure, Figures};
    use crate::report::targets;

    fn figures() -> Figures {
        let mut figures = Figures::default();
        figures.machine.cpu = "A processor".to_owned();
        for (name, ns) in [
            ("idle.ipv4", 14.0),
            ("policy.ipv4.acl-disjoint.1000.1.hit", 100.0),
            ("nft-ranges.ipv4.acl-disjoint.1000.1.hit", 120.0),
            ("policy.ipv4.geo-disjoint.10000.1.hit", 100.0),
            ("nft-ranges.ipv4.geo-disjoint.10000.1.hit", 400.0),
        ] {
            let figure = Figure {
                insn: ns,
                packets: 2000,
                dropped: 0,
                setup_kinsn: 0,
                spread: Some([ns - 1.0, ns + 2.5]),
            };
            figures.cells.insert(name.to_owned(), figure);
        }
        let life = [
            ("compile-acl-100000", 300_000),
            ("install-acl-100000", 100_000),
            ("compile-geo-100000", 450_000),
            ("install-geo-100000", 150_000),
            ("memory-acl-100000", 7_000_000),
            ("records-131072-lossless", 1_200_000),
            ("records-131072-produced", 3_000_000),
            ("records-131072-read", 2_900_000),
            ("records-131072-lost", 100_000),
        ];
        figures
            .life
            .extend(life.map(|(name, value)| (name.to_owned(), value)));
        figures
    }

    #[test]
    fn a_section_says_where_it_was_measured_and_how_much_figures_differ() {
        let figures = figures();
        let text = section(&View::new(&figures).unwrap());
        for part in [
            "A processor",
            "14.0 (13.0 to 16.5)",
            "| 1,000 | hit | ipv4 | **1.2** |",
            "| 131,072 | 1,200,000 | – | 3,000,000 | 2,900,000 | 100,000 | 0 |",
            "| acl, 100,000 | 400 |",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
    }

    #[test]
    fn targets_in_time_are_met_or_missed_by_the_slowest_shape() {
        let figures = figures();
        let view = View::new(&figures).unwrap();
        let none = Figures::default();
        let table = targets::table(&View::new(&none).unwrap(), Some(&view)).to_string();
        let outcome = |part: &str| {
            let line = table.lines().find(|line| line.contains(part));
            line.unwrap_or_else(|| panic!("{part}: {table}")).to_owned()
        };
        assert!(outcome("pipapo, disjoint rules, hit, 1,000 | ≥ 1.3 × | 1.2").contains("missed"));
        assert!(
            outcome("pipapo, disjoint rules, hit, 10,000 | ≥ 3.0 × | 4.0").ends_with("| met |")
        );
        assert!(outcome("pipapo, disjoint rules, hit, 30,000").contains("not measured"));
        assert!(outcome("slowest shape, s | ≤ 0.5 | 0.6").contains("missed"));
        assert!(outcome("bytes a rule | ≤ 80 | 70").ends_with("| met |"));
        assert!(outcome("records a second").ends_with("| met |"));
    }
}
