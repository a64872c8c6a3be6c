// SPDX-License-Identifier: GPL-2.0

//! A record as one line, for watching.

use nftrace_core::record::{Kind, Verdict};
use nftrace_journeys::{Names, Observation};

use super::style::{Role, Style};
use super::words::{self, Place};

/// Writes records as lines whose columns are as wide as what was in them so far, so
/// that they stay aligned without knowing what will come.
#[derive(Debug)]
pub(crate) struct Lines {
    style: Style,
    place: usize,
    hook: usize,
    devices: usize,
}

/// The most columns that a name may claim for all lines behind it.
const MOST: usize = 28;

impl Lines {
    /// Lines that look so.
    pub(crate) fn new(style: Style) -> Self {
        Self {
            style,
            place: 8,
            hook: "POST_ROUTING".len(),
            devices: 12,
        }
    }

    /// The line of a record, without a line break:
    /// `3612.406210  web      PRE_ROUTING   eth0 →        tcp 10.0.0.1:5000 → 10.0.0.2:80  SYN, 60 bytes`
    pub(crate) fn line(&mut self, record: &Observation, names: &dyn Names) -> String {
        let place = Place::of(record, names).title();
        let hook = words::station(record);
        let devices = words::devices(record);
        for (column, text) in [
            (&mut self.place, &place),
            (&mut self.hook, &hook),
            (&mut self.devices, &devices),
        ] {
            *column = (*column).max(text.chars().count().min(MOST));
        }
        let time = record.time.map_or_else(|| "-".to_owned(), words::clock);
        let paint = |role, text: String| self.style.paint(role, text).to_string();
        let mut line = format!(
            "{}  {}  {hook:hook_width$}  {devices:device_width$}  {} {}",
            paint(Role::Faint, format!("{time:>13}")),
            paint(
                Role::Place,
                format!("{place:place_width$}", place_width = self.place)
            ),
            words::protocol(record.protocol()),
            words::addresses(record),
            hook_width = self.hook,
            device_width = self.devices,
        );
        let mut rest: Vec<String> = words::what(record).into_iter().collect();
        if record.known.len && record.len > 0 {
            rest.push(words::count(record.len.into(), "byte"));
        }
        if !rest.is_empty() {
            line.push_str("  ");
            line.push_str(&paint(Role::Faint, rest.join(", ")));
        }
        if let Some(dropped) = &record.dropped {
            let texts = [&dropped.name, &dropped.location];
            let why: Vec<String> = texts
                .into_iter()
                .filter(|text| !text.is_empty())
                .map(|text| words::clean(text))
                .collect();
            line.push_str("  ");
            line.push_str(&paint(Role::Bad, format!("dropped: {}", why.join(" in "))));
        }
        match record.verdict {
            Some(verdict) if verdict != Verdict::Accept && record.kind == Kind::Entry => {
                line.push_str("  ");
                line.push_str(&paint(Role::Bad, verdict.name().to_owned()));
            }
            _ => {}
        }
        line
    }

    /// The line of a loss: `~~ 12 records lost on CPU 1`.
    pub(crate) fn lost(&self, loss: &nftrace_journeys::Loss) -> String {
        let text = format!("~~ {}", words::lost(loss));
        self.style.paint(Role::Bad, text).to_string()
    }
}
