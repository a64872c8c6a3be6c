// SPDX-License-Identifier: GPL-2.0

//! Journeys as a mermaid sequence diagram: a namespace is a participant, a hook a
//! note, and the way from one namespace to the next an arrow.

use std::fmt::Write as _;

use nftrace_journeys::{Certainty, End};

use super::routes::Group;
use super::view::{Part, View};
use super::words::{self, Place};

/// The participant that stands for what is not traced.
const OUTSIDE: &str = "outside";

/// The diagram of `groups`.
pub(crate) fn diagram(groups: &[Group]) -> String {
    let mut places: Vec<&Place> = Vec::new();
    let views = || {
        groups
            .iter()
            .flat_map(|group| &group.routes)
            .map(|route| &route.shown)
    };
    for place in views().flat_map(View::places) {
        if !places.contains(&place) {
            places.push(place);
        }
    }
    let id = |place: &Place| {
        let index = places.iter().position(|other| *other == place);
        format!("n{}", index.unwrap_or(0))
    };
    let mut out = "sequenceDiagram\n".to_owned();
    let meets_outside = |view: &View| arrives(view) || view.ending.end == End::Sent;
    if views().any(meets_outside) {
        line(
            &mut out,
            format_args!("participant {OUTSIDE} as (not traced)"),
        );
    }
    for place in &places {
        let label = escape(&place.to_string());
        line(
            &mut out,
            format_args!("participant {} as {label}", id(place)),
        );
    }
    let span = match (places.first(), places.last()) {
        (Some(first), Some(last)) if first != last => format!("{},{}", id(first), id(last)),
        (Some(first), _) => id(first),
        _ => return out,
    };
    for group in groups {
        line(
            &mut out,
            format_args!("Note over {span}: {}", escape(&group.title())),
        );
        for route in &group.routes {
            way(&mut out, &route.shown, &id);
            if let Some(more) = route.more() {
                line(
                    &mut out,
                    format_args!("Note over {span}: {}", escape(&more)),
                );
            }
        }
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    let _ = writeln!(out, "    {text}");
}

/// Whether the first record is of a packet that came through a device.
fn arrives(view: &View) -> bool {
    view.steps()
        .next()
        .is_some_and(|step| step.hook.ends_with("PRE_ROUTING"))
}

fn way(out: &mut String, view: &View, id: &dyn Fn(&Place) -> String) {
    let mut addresses = format!("{} {} → {}", view.title(), view.src, view.dst);
    let mut here: Option<String> = arrives(view).then(|| OUTSIDE.to_owned());
    let mut inferred = None;
    for part in &view.parts {
        let at = here.clone().unwrap_or_else(|| OUTSIDE.to_owned());
        match part {
            Part::Leg(place) => {
                let next = id(place);
                match &here {
                    Some(from) => {
                        let (arrow, why) = match inferred.take() {
                            Some(by) => ("-->>", format!(" (inferred by {by})")),
                            None => ("->>", String::new()),
                        };
                        let text = escape(&format!("{addresses}{why}"));
                        line(out, format_args!("{from}{arrow}{next}: {text}"));
                    }
                    None => {
                        let text = escape(&format!("sends {addresses}"));
                        line(out, format_args!("Note over {next}: {text}"));
                    }
                }
                here = Some(next);
            }
            Part::Step(step) => {
                let mut text = format!("{} {}", step.hook, step.devices);
                if let Some(since) = step.since {
                    let _ = write!(text, " (+{})", words::span(since));
                }
                addresses = format!("{} {} → {}", view.title(), step.src, step.dst);
                line(out, format_args!("Note over {at}: {}", escape(&text)));
            }
            Part::Nat {
                kind,
                from,
                to,
                certainty,
            } => {
                let sure = words::sure(*certainty);
                addresses = addresses.replacen(from, to, 1);
                let text = escape(&format!("{kind} {from} → {to}{sure}"));
                line(out, format_args!("Note right of {at}: {text}"));
            }
            Part::Join { by, certainty } => {
                inferred = (*certainty == Certainty::Inferred).then_some(*by);
            }
            Part::Tunnel { name, enter } => {
                let verb = if *enter { "into" } else { "out of" };
                line(out, format_args!("Note right of {at}: {verb} {name}"));
            }
            Part::Lost(records) => {
                let text = format!("{} lost here", words::count(*records, "record"));
                line(out, format_args!("Note over {at}: {}", escape(&text)));
            }
        }
    }
    let Some(at) = here else { return };
    let text = escape(&view.ending.lines.join(", "));
    match view.ending.end {
        End::Sent => line(out, format_args!("{at}->>{OUTSIDE}: {text}")),
        End::Dropped => line(out, format_args!("{at}-x{at}: ✗ {text}")),
        End::Delivered => line(out, format_args!("Note over {at}: ✓ {text}")),
        End::Unknown => line(out, format_args!("Note over {at}: {text}")),
    }
}

/// Text that mermaid takes for nothing but text: what could mean something to it, or
/// to the page that it draws into, becomes a character reference.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for word in text.split_inclusive(' ') {
        // The word that closes a block, wherever it stands.
        let mut ends_block = word.trim_end().eq_ignore_ascii_case("end");
        for c in word.chars() {
            let plain = c.is_alphanumeric()
                || matches!(
                    c,
                    ' ' | '.' | ':' | ',' | '_' | '/' | '(' | ')' | '→' | '+' | 'µ'
                );
            if plain && !ends_block {
                out.push(c);
            } else {
                let _ = write!(out, "#{};", u32::from(c));
            }
            ends_block = false;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::escape;

    #[test]
    fn what_means_something_to_mermaid_becomes_a_character_reference() {
        assert_eq!(escape("web (4026532300)"), "web (4026532300)");
        assert_eq!(escape("a;b#c"), "a#59;b#35;c");
        assert_eq!(escape("<script>"), "#60;script#62;");
        assert_eq!(escape("the End"), "the #69;nd");
        assert_eq!(escape("a\"b\nc"), "a#34;b#10;c");
        assert_eq!(escape("x->>y"), "x#45;#62;#62;y");
        assert_eq!(escape("%%{init}%%"), "#37;#37;#123;init#125;#37;#37;");
    }
}
