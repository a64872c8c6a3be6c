// SPDX-License-Identifier: GPL-2.0

//! The lanes of a drawing: where they stand, and how much room their text takes.

use std::fmt::Write as _;

use super::routes::Group;
use super::svg::{self, escape};
use super::view::{Part, View};
use super::words::{self, Place};

/// Around a drawing, and between its lanes.
pub(super) const MARGIN: usize = 12;
/// Height of what stands above the lanes.
pub(super) const HEADER: usize = 58;
/// From a station to its text.
pub(super) const INDENT: usize = 18;
/// From the left of a lane to its stations.
const AXIS: usize = 24;
/// The most letters of a namespace's name.
const MOST: usize = 30;

/// One namespace's.
struct Lane {
    place: Place,
    x: usize,
    width: usize,
}

/// All of a drawing, from left to right in the order in which packets came to them.
pub(super) struct Lanes {
    lanes: Vec<Lane>,
    /// What the captions need.
    least: usize,
}

/// Width of so many letters of the small font.
pub(super) const fn small(letters: usize) -> usize {
    letters * 69 / 10
}

/// Width of so many letters of the font of hooks.
const fn medium(letters: usize) -> usize {
    letters * 75 / 10
}

/// Width of so many letters of the font of names, which are not all of one width.
const fn large(letters: usize) -> usize {
    letters * 90 / 10
}

fn letters(text: &str) -> usize {
    text.chars().count()
}

impl Lanes {
    pub(super) fn of(group: &Group) -> Self {
        let mut lanes = Self {
            lanes: Vec::new(),
            least: 0,
        };
        for route in &group.routes {
            lanes.measure(&route.shown);
            let caption: usize = svg::caption(route)
                .iter()
                .map(|text| letters(text) + 2)
                .sum();
            lanes.least = lanes.least.max(caption * 76 / 10 + 4 * MARGIN);
        }
        let mut x = MARGIN;
        for lane in &mut lanes.lanes {
            lane.x = x;
            x += lane.width + MARGIN;
        }
        // A drawing without a record has a lane all the same.
        if lanes.lanes.is_empty() {
            let id = nftrace_journeys::NamespaceId::Unknown;
            lanes.lane(&Place { id, name: None });
        }
        lanes
    }

    /// Widens the lanes to what a way has in them.
    fn measure(&mut self, view: &View) {
        let mut lane = None;
        let widen = |lanes: &mut Self, lane: Option<usize>, text: usize| {
            if let Some(lane) = lane.and_then(|lane| lanes.lanes.get_mut(lane)) {
                lane.width = lane.width.max(AXIS + INDENT + text + MARGIN);
            }
        };
        for part in &view.parts {
            let text = match part {
                Part::Leg(place) => {
                    let first = lane.is_none();
                    lane = Some(self.lane(place));
                    if first {
                        small(letters(&view.src).max(letters(&view.dst) + 2))
                    } else {
                        0
                    }
                }
                Part::Step(step) => {
                    let since = step
                        .since
                        .map_or(0, |since| letters(&words::span(since)) + 3);
                    let tag = step.tag.as_ref().map_or(0, |tag| letters(tag) + 2);
                    let since = since + tag;
                    let verdict = step.verdict.map_or(0, |verdict| verdict.len() + 1);
                    medium(letters(&step.hook) + verdict).max(small(letters(&step.devices) + since))
                }
                Part::Nat {
                    kind,
                    from,
                    to,
                    certainty,
                } => {
                    let sure = words::sure(*certainty).len();
                    small((kind.len() + 1 + letters(from)).max(letters(to) + 2 + sure)) + 12
                }
                Part::Tunnel { name, .. } => small(name.len() + 7),
                Part::Lost(_) => small(24),
                Part::Join { .. } => 0,
            };
            widen(self, lane, text);
        }
        for line in &view.ending.lines {
            widen(self, lane, medium(letters(line)));
        }
    }

    /// The lane of a namespace, a new one where it has none yet.
    fn lane(&mut self, place: &Place) -> usize {
        if let Some(index) = self.lanes.iter().position(|lane| lane.place == *place) {
            return index;
        }
        let header = large(letters(&place.title()).min(MOST)) + 2 * MARGIN;
        self.lanes.push(Lane {
            place: place.clone(),
            x: MARGIN,
            width: header.max(180),
        });
        self.lanes.len() - 1
    }

    pub(super) fn index(&self, place: &Place) -> usize {
        self.lanes
            .iter()
            .position(|lane| lane.place == *place)
            .unwrap_or(0)
    }

    /// Where the stations of a lane stand.
    pub(super) fn axis(&self, lane: usize) -> usize {
        self.lanes.get(lane).map_or(MARGIN, |lane| lane.x) + AXIS
    }

    /// The room that a station may take.
    pub(super) fn inner(&self, lane: usize) -> usize {
        self.lanes
            .get(lane)
            .map_or(0, |lane| lane.width)
            .saturating_sub(AXIS)
    }

    pub(super) fn width(&self) -> usize {
        let lanes = self.lanes.last().map_or(MARGIN, |lane| lane.x + lane.width) + MARGIN;
        lanes.max(self.least)
    }

    pub(super) fn draw(&self, out: &mut String, height: usize) {
        for lane in &self.lanes {
            let (x, width, height) = (lane.x, lane.width, height - 2 * MARGIN);
            let title = lane.place.title();
            let mut short: String = title.chars().take(MOST).collect();
            if short != title {
                short.pop();
                short.push('…');
            }
            let text = x + MARGIN;
            let _ = write!(
                out,
                "<g class=\"namespace\"><title>{}</title><rect class=\"lane\" x=\"{x}\" y=\"{MARGIN}\" width=\"{width}\" height=\"{height}\" rx=\"10\"/>\
                 <text class=\"place\" x=\"{text}\" y=\"{}\">{}</text>",
                escape(&lane.place.to_string()), MARGIN + 22, escape(&short),
            );
            if let Some(id) = lane.place.subtitle() {
                let _ = write!(
                    out,
                    "<text class=\"id\" x=\"{text}\" y=\"{}\">netns {}</text>",
                    MARGIN + 39,
                    escape(&id)
                );
            }
            out.push_str("</g>\n");
        }
    }
}
