// SPDX-License-Identifier: GPL-2.0

//! What the core takes outside of a kernel.

use nftrace_bench::rules::Family;
use nftrace_bench::shapes::Shape;

use super::table::{number, whole, Table};
use crate::figures::Figures;

/// Rules of `benches/core.rs`.
const COUNTS: [usize; 5] = [10, 100, 1000, 10_000, 100_000];

fn head(first: &str) -> Table {
    let counts = COUNTS.map(whole);
    let mut head = vec![first];
    head.extend(counts.iter().map(String::as_str));
    Table::new(&head)
}

/// Nanoseconds, by criterion's name.
fn of(core: &Figures, name: &str) -> String {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let nanoseconds = core.life.get(name).map(|ps| *ps as f64 / 1000.0);
    number(nanoseconds)
}

/// All of it.
pub(super) fn section(core: &Figures) -> String {
    let mut each = Table::new(&["nanoseconds", "IPv4", "IPv6"]);
    for (what, group) in [
        ("reading the headers of a packet", "parse"),
        ("writing a record, without a clock", "record"),
    ] {
        each.row(
            what,
            Family::ALL.map(|family| of(core, &format!("{group}/{}", family.name()))),
        );
    }
    let mut hits = head("nanoseconds a packet that hits; rules");
    let mut loads = head("nanoseconds a rule; rules");
    for family in Family::ALL {
        let name = match family {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        };
        for shape in Shape::ALL {
            let group = format!("classify/{}/{shape}", family.name());
            if core.life.keys().any(|name| name.starts_with(&group)) {
                hits.row(
                    format!("{shape}, {name}"),
                    COUNTS.map(|count| of(core, &format!("{group}/hit/{count}"))),
                );
            }
            for (what, kind) in [("compile", "from text"), ("verify", "the proof")] {
                let group = format!("load/{}/{shape}/{what}", family.name());
                if core.life.keys().any(|name| name.starts_with(&group)) {
                    loads.row(
                        format!("{shape}, {name}, {kind}"),
                        COUNTS.map(|count| of(core, &format!("{group}/{count}"))),
                    );
                }
            }
        }
    }
    format!(
        "`cargo bench -p nftrace-bench`: the same code as in the module, as a program on {}, {}; medians of criterion. One \
         rule set of each shape, 2,000 packets by turns; no counters, no verdict is carried out.\n\n{each}\n{hits}\n{loads}",
        core.machine.cpu, core.machine.qemu
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_has_what_was_measured_and_no_other_rows() {
        let mut core = Figures::default();
        core.machine.cpu = "A processor".to_owned();
        for (name, ps) in [
            ("parse/ipv6", 12_300),
            ("classify/ipv4/acl/hit/1000", 45_600),
            ("load/ipv6/fw/verify/100000", 789_000),
        ] {
            core.life.insert(name.to_owned(), ps);
        }
        let text = section(&core);
        for part in [
            "A processor",
            "| reading the headers of a packet | – | 12 |",
            "| acl, IPv4 | – | – | 46 | – | – |",
            "| fw, IPv6, the proof | – | – | – | – | 789 |",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert!(!text.contains("geo"), "{text}");
    }
}
