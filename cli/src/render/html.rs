// SPDX-License-Identifier: GPL-2.0

//! Journeys as one page that needs nothing else: a drawing for each connection, and
//! what each record says.

use std::fmt::Write as _;

use serde::Serialize;

use super::routes::{Group, Route};
use super::svg::{self, escape};
use super::view::View;
use super::words;

/// Only the page's own script runs, and nothing is fetched, whatever a name holds.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'nonce-nftrace'; base-uri 'none'; form-action 'none'";

/// So many connections are drawn, as a browser can take.
const MOST_GROUPS: usize = 500;
/// So many packets that went the same way are listed.
const MOST_PACKETS: usize = 200;

/// What the page says of a packet on demand.
#[derive(Serialize)]
struct Packet<'a> {
    steps: Vec<Stop<'a>>,
}

#[derive(Serialize)]
struct Stop<'a> {
    hook: &'a str,
    since: String,
    details: &'a [(&'static str, String)],
}

/// The page of `groups`, which were read from `source`.
pub(crate) fn page(groups: &[Group], source: &str, lost: u64) -> String {
    let packets: usize = groups.iter().map(Group::packets).sum();
    let dropped: usize = groups.iter().map(Group::dropped).sum();
    let connections = groups
        .iter()
        .filter(|group| group.connection.is_some())
        .count();
    let mut summary = vec![
        words::count(packets as u64, "journey"),
        words::count(connections as u64, "connection"),
    ];
    if dropped > 0 {
        summary.push(format!("{dropped} dropped"));
    }
    let mut out = format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"{POLICY}\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <title>Journeys: {source}</title>\n<style>\n{}{}</style>\n</head>\n<body class=\"journeys\">\n\
         <header><h1>Journeys</h1><p>{} · <code>{source}</code></p>",
        svg::STYLE,
        include_str!("page.css"),
        summary.join(" · "),
        source = escape(&words::clean(source)),
    );
    let drawn = groups.get(..MOST_GROUPS).unwrap_or(groups);
    if drawn.len() < groups.len() {
        let _ = write!(
            out,
            "<p>The first {MOST_GROUPS} of {} connections are drawn; choose others with --connection, --port, --ns or --dropped.</p>",
            groups.len()
        );
    }
    if lost > 0 {
        let lost = words::count(lost, "record");
        let _ = write!(out, "<p class=\"lost-summary\">{lost} lost: ways may have holes, and ends may be missing</p>");
    }
    out.push_str(
        "<div class=\"tools\"><input type=\"search\" id=\"search\" placeholder=\"namespace, address, device, hook, reason\" aria-label=\"search\">\
         <label><input type=\"checkbox\" id=\"dropped\">only with drops</label></div></header>\n<main>\n",
    );
    for group in drawn {
        section(&mut out, group);
    }
    let hidden = if groups.is_empty() { "" } else { " hidden" };
    let _ = write!(
        out,
        "<p class=\"none\" id=\"none\"{hidden}>No journey.</p>\n</main>\n"
    );
    let _ = writeln!(
        out,
        "<script type=\"application/json\" id=\"packets\">{}</script>",
        records(drawn)
    );
    let _ = write!(
        out,
        "<script nonce=\"nftrace\">\n{}</script>\n</body>\n</html>\n",
        include_str!("page.js")
    );
    out
}

/// What the page shows on demand, by the number of the journey. Within a script only
/// `<` could end the text.
fn records(groups: &[Group]) -> String {
    let views = groups
        .iter()
        .flat_map(|group| &group.routes)
        .flat_map(listed);
    let packets: std::collections::BTreeMap<usize, Packet<'_>> = views
        .map(|view| {
            let steps = view.steps().map(|step| Stop {
                hook: &step.hook,
                since: since(step.since),
                details: &step.details,
            });
            (
                view.number,
                Packet {
                    steps: steps.collect(),
                },
            )
        })
        .collect();
    serde_json::to_string(&packets)
        .unwrap_or_default()
        .replace('<', "\\u003c")
}

/// The packets of a way that the page has.
fn listed(route: &Route) -> impl Iterator<Item = &View> {
    route.views().take(MOST_PACKETS)
}

fn since(since: Option<u64>) -> String {
    since.map_or_else(String::new, |since| format!("+{}", words::span(since)))
}

fn section(out: &mut String, group: &Group) {
    let dropped = group.dropped();
    let _ = write!(
        out,
        "<section data-dropped=\"{dropped}\" data-text=\"{}\"><h2><span class=\"title\">{}</span> <span class=\"badge\">{}</span>",
        escape(&search_text(group)),
        escape(&group.title()),
        words::count(group.packets() as u64, "packet"),
    );
    if dropped > 0 {
        let _ = write!(
            out,
            " <span class=\"badge dropped\">{dropped} dropped</span>"
        );
    }
    out.push_str("</h2>\n");
    let mut said: Vec<&str> = Vec::new();
    for ending in group.routes.iter().map(|route| &route.shown.ending) {
        if let Some(advice) = ending.advice.filter(|advice| !said.contains(advice)) {
            said.push(advice);
            let (text, advice) = (escape(&ending.text), escape(advice));
            let _ = writeln!(
                out,
                "<p class=\"advice\"><strong>{text}</strong><br>{advice}</p>"
            );
        }
    }
    let _ = writeln!(
        out,
        "<div class=\"view\"><figure>{}</figure><aside hidden aria-live=\"polite\"><h3></h3><dl></dl></aside></div>",
        svg::inline(group)
    );
    table(out, group);
    out.push_str("</section>\n");
}

/// What the search looks at.
fn search_text(group: &Group) -> String {
    let mut words = vec![group.title()];
    for view in group.routes.iter().map(|route| &route.shown) {
        words.push(view.ending.text.clone());
        words.extend(view.places().map(ToString::to_string));
        for step in view.steps() {
            words.extend(
                [&step.hook, &step.devices, &step.src, &step.dst]
                    .into_iter()
                    .cloned(),
            );
        }
    }
    words.sort();
    words.dedup();
    words.join(" ")
}

fn table(out: &mut String, group: &Group) {
    let mut rows: Vec<(&Route, &View)> = Vec::new();
    for route in &group.routes {
        rows.extend(listed(route).map(|view| (route, view)));
    }
    rows.sort_by_key(|(_, view)| view.number);
    let all = words::count(group.packets() as u64, "packet");
    let summary = if rows.len() < group.packets() {
        format!("{all}, of each way the first {MOST_PACKETS}")
    } else {
        all
    };
    let _ = write!(
        out,
        "<details><summary>{summary}</summary><table><thead><tr><th>journey</th><th></th><th>packet</th><th>from</th><th>to</th><th>time</th><th>took</th><th>end</th></tr></thead><tbody>"
    );
    for (route, view) in rows {
        // Of several that went the same way, one is shown.
        let shown = route.shown.number == view.number && !route.others.is_empty();
        let chosen = if shown { " class=\"chosen\"" } else { "" };
        let route = route.shown.number;
        let _ = write!(
            out,
            "<tr tabindex=\"0\" data-journey=\"{}\" data-route=\"{route}\"{chosen}><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            view.number,
            view.number,
            view.direction.map_or("", |direction| direction.name()),
            escape(&[&[view.title()], &view.relations[..]].concat().join(", ")),
            escape(&view.src),
            escape(&view.dst),
            view.start.map_or_else(String::new, words::clock),
            view.duration.map_or_else(String::new, words::span),
            escape(&view.ending.text),
        );
    }
    out.push_str("</tbody></table></details>\n");
}
