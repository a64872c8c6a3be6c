// SPDX-License-Identifier: GPL-2.0

//! What is in dynamic sets while a policy is in force.

use crate::blob::Blob;
use crate::diagnostic::{Diagnostic, Report};
use crate::ranges::Addresses;
use crate::sets;
use crate::source::Span;
use nftrace_core::policy::dynamic::Dynamic;
use nftrace_core::policy::layout::{Header, Pool, Span as Set};
use nftrace_core::policy::Tables;

/// The elements of a text that has one a line, as the file of a set does: those that overlap
/// are one, those that touch are not. `name` stands for the text in errors.
///
/// # Errors
///
/// All that is wrong.
pub fn elements(name: &str, text: &str) -> Result<Addresses, Report> {
    let mut report = Report::default();
    let file = report.files.add(name, text.to_string());
    let elements = sets::read_file(file, &mut report);
    if !elements.ports.is_empty() {
        let error = Diagnostic::error(Span::NOWHERE, "a dynamic set has addresses, not ports");
        let help = "as in 192.0.2.7, 192.0.2.0/24, 192.0.2.7-192.0.2.9, 2001:db8::/32";
        report.diagnostics.push(error.help(help));
    }
    if report.has_errors() {
        return Err(report);
    }
    let mut addresses = elements.addresses;
    addresses.sort_apart();
    Ok(addresses)
}

/// The name of a dynamic set.
#[must_use]
pub fn dynamic_name_of(tables: &Tables<'_>, dynamic: &Dynamic) -> String {
    String::from_utf8_lossy(tables.dynamic_name(dynamic)).into_owned()
}

/// The same policy, whose dynamic sets begin with other elements: those that `elements`
/// has for a name. No other part of it depends on them. It may be larger than the kernel
/// takes.
#[must_use]
pub fn with_elements(
    tables: &Tables<'_>,
    mut elements: impl FnMut(&[u8]) -> Option<Addresses>,
) -> Blob {
    let mut spans4 = tables.spans[Pool::Ranges32 as usize].to_vec();
    let mut spans6 = tables.spans[Pool::Ranges128 as usize].to_vec();
    let (mut ranges4, mut ranges6) = (tables.ranges32.to_vec(), tables.ranges128.to_vec());
    let mut dynamics = tables.dynamics.to_vec();
    for dynamic in &mut dynamics {
        let Some(now) = elements(tables.dynamic_name(dynamic)) else {
            continue;
        };
        dynamic.first = add(&mut spans4, &mut ranges4, &now.v4);
        dynamic.second = add(&mut spans6, &mut ranges6, &now.v6);
    }
    let mut header = Header { ..*tables.header };
    let pools = [
        (Pool::Ranges32, spans4.len(), ranges4.len()),
        (Pool::Ranges128, spans6.len(), ranges6.len()),
    ];
    for (pool, sets, ranges) in pools {
        header.sets[pool as usize] = number(sets);
        header.elements[pool as usize] = number(ranges);
    }
    let [_, _, words, cgroups, patterns] = tables.spans;
    Blob::of(&Tables {
        header: &header,
        spans: [&spans4, &spans6, words, cgroups, patterns],
        ranges32: &ranges4,
        ranges128: &ranges6,
        dynamics: &dynamics,
        ..*tables
    })
}

/// Adds a set to a pool; returns its number.
fn add<R: Copy>(spans: &mut Vec<Set>, pool: &mut Vec<R>, set: &[R]) -> u32 {
    spans.push(Set {
        first: number(pool.len()),
        count: number(set.len()),
    });
    pool.extend_from_slice(set);
    number(spans.len() - 1)
}

/// A policy and its sets have far fewer.
fn number(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}
