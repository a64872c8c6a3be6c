// SPDX-License-Identifier: GPL-2.0

//! What was read, in a few lines.

use std::fmt::Write as _;

use nftrace_journeys::Names;

use crate::render;
use crate::source::Counts;

/// `12 records, none lost`, and a line for each namespace, the busiest one first.
pub(crate) fn summary(counts: &Counts, names: &dyn Names) -> String {
    let totals = &counts.totals;
    let lost = match totals.lost {
        0 => "none".to_owned(),
        lost => lost.to_string(),
    };
    let mut text = format!("{}, {lost} lost", render::count(totals.records, "record"));
    let mut namespaces: Vec<_> = counts.by_namespace.iter().collect();
    namespaces.sort_by_key(|(namespace, records)| (std::cmp::Reverse(**records), **namespace));
    for (namespace, records) in namespaces {
        let label = namespace.label().unwrap_or_default();
        let name = match names.name(namespace) {
            Some(name) => format!("{} ({label})", name.escape_debug()),
            None => format!("netns {label}"),
        };
        let _ = write!(text, "\n  {records:>8}  {name}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Totals;
    use nftrace_journeys::NamespaceId;

    #[test]
    fn the_busiest_namespace_comes_first_and_losses_are_counted() {
        let namespace = |cookie, inode| NamespaceId::Cookie { cookie, inode };
        let counts = Counts {
            totals: Totals {
                records: 5,
                lost: 7,
            },
            by_namespace: [(namespace(1, 40), 2), (namespace(2, 41), 3)].into(),
        };
        assert_eq!(
            summary(&counts, &()),
            "5 records, 7 lost\n         3  netns 41\n         2  netns 40"
        );
        assert_eq!(summary(&Counts::default(), &()), "0 records, none lost");
    }
}
