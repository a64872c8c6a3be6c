// SPDX-License-Identifier: GPL-2.0

//! Journeys as a drawing: a lane for each namespace, a station for each hook, and the
//! line of the packet in a colour that changes with its addresses.

use std::fmt::Write as _;

use nftrace_journeys::{Certainty, Direction};

use super::lanes::{Lanes, HEADER, INDENT, MARGIN};
use super::routes::{Group, Route};
use super::view::Part;
use super::words::{self, Place};

/// How a drawing looks.
pub(crate) const STYLE: &str = include_str!("drawing.css");

/// From one row to the next.
pub(super) const ROW: usize = 44;
/// What is added where the line goes to another lane.
const CROSSING: usize = 14;
/// What is added besides where that is inferred, and says so.
const INFERRED: usize = 18;

/// Text as it stands in HTML and SVG, also within quotes.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

/// The drawing of a group, for a page that has [`STYLE`].
pub(crate) fn inline(group: &Group) -> String {
    Drawing::of(group).svg(group, None)
}

/// The drawing of a group as a file of its own.
pub(crate) fn file(group: &Group) -> String {
    Drawing::of(group).svg(group, Some(STYLE))
}

/// What stands above a way: which way it goes, and what of its packets.
pub(super) fn caption(route: &Route) -> [String; 2] {
    let direction = match route.shown.direction {
        Some(Direction::Request) => "request".to_owned(),
        Some(Direction::Reply) => "reply".to_owned(),
        None => route.shown.protocol.clone(),
    };
    let mut rest = vec![words::count(route.views().count() as u64, "packet")];
    rest.extend(Some(route.kinds()).filter(|kinds| !kinds.is_empty()));
    if route.others.is_empty() {
        rest.extend(route.shown.relations.iter().cloned());
    }
    [direction, rest.join(" · ")]
}

/// A drawing in the making: lines below, stations and text above.
pub(super) struct Drawing {
    pub(super) lanes: Lanes,
    below: String,
    pub(super) above: String,
    /// Address pairs by their colours: both directions of a flow have the same.
    colors: Vec<[String; 2]>,
    pub(super) y: usize,
}

/// Where the line of a packet is.
pub(super) struct Pen {
    /// The place of the last station; none before the first.
    pub(super) at: Option<(usize, usize)>,
    pub(super) lane: usize,
    pub(super) src: String,
    pub(super) dst: String,
    pub(super) color: usize,
    /// By what the next station is joined to this one, where that is only inferred.
    pub(super) inferred: Option<&'static str>,
    /// The next station is the first one in its namespace.
    pub(super) crosses: bool,
    /// It is inside of a tunnel's packet.
    wrapped: bool,
}

impl Drawing {
    fn of(group: &Group) -> Self {
        let mut drawing = Self {
            lanes: Lanes::of(group),
            below: String::new(),
            above: String::new(),
            colors: Vec::new(),
            y: HEADER + 4,
        };
        for route in &group.routes {
            drawing.route(route);
        }
        drawing
    }

    fn svg(&self, group: &Group, style: Option<&str>) -> String {
        let (width, height) = (self.lanes.width(), self.y + MARGIN);
        let title = escape(&group.title());
        let role = if style.is_some() { "img" } else { "group" };
        let mut out = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"journeys\" role=\"{role}\" aria-label=\"{title}\" \
             width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {width} {height}\">\n"
        );
        if let Some(style) = style {
            let _ = write!(out, "<title>{title}</title>\n<style>{style}.journeys {{ background: var(--paper); }}</style>\n");
        }
        self.lanes.draw(&mut out, height);
        out.push_str(&self.below);
        out.push_str(&self.above);
        out.push_str("</svg>\n");
        out
    }

    pub(super) fn color(&mut self, src: &str, dst: &str) -> usize {
        let mut pair = [src.to_owned(), dst.to_owned()];
        pair.sort();
        let found = self.colors.iter().position(|other| *other == pair);
        found.unwrap_or_else(|| {
            self.colors.push(pair);
            self.colors.len() - 1
        }) % 6
    }

    fn route(&mut self, route: &Route) {
        let view = &route.shown;
        let _ = writeln!(
            self.above,
            "<g class=\"route\" data-journey=\"{}\" data-end=\"{}\">",
            view.number,
            view.ending.end.name()
        );
        self.caption(route);
        let mut pen = Pen {
            at: None,
            lane: 0,
            src: view.src.clone(),
            dst: view.dst.clone(),
            color: self.color(&view.src, &view.dst),
            inferred: None,
            crosses: false,
            wrapped: false,
        };
        let mut step = 0;
        for part in &view.parts {
            self.part(part, &mut pen, &mut step);
        }
        self.ending(view, &mut pen);
        self.above.push_str("</g>\n");
    }

    fn caption(&mut self, route: &Route) {
        let [direction, rest] = caption(route);
        let width = self.lanes.width() - MARGIN;
        let _ = writeln!(
            self.above,
            "<rect class=\"band\" x=\"{}\" y=\"{}\" width=\"{width}\" height=\"26\" rx=\"7\"/>\
             <text class=\"caption\" x=\"{}\" y=\"{}\">{} <tspan class=\"soft\">· {}</tspan></text>",
            MARGIN / 2,
            self.y,
            2 * MARGIN,
            self.y + 18,
            escape(&direction),
            escape(&rest)
        );
        self.y += 52;
    }

    fn part(&mut self, part: &Part, pen: &mut Pen, step: &mut usize) {
        match part {
            Part::Leg(place) => self.leg(place, pen),
            Part::Step(shown) => {
                self.station(shown, pen, *step);
                *step += 1;
            }
            Part::Nat {
                kind,
                from,
                to,
                certainty,
            } => self.nat(kind, from, to, *certainty, pen),
            Part::Join { by, certainty } => {
                pen.inferred = (*certainty == Certainty::Inferred).then_some(*by);
            }
            Part::Tunnel { name, enter } => {
                let verb = if *enter { "into" } else { "out of" };
                self.note("note", &format!("{verb} {name}"), pen);
                pen.wrapped = *enter;
            }
            Part::Lost(records) => {
                let text = format!("{} lost here", words::count(*records, "record"));
                self.note("lost", &text, pen);
            }
        }
    }

    fn leg(&mut self, place: &Place, pen: &mut Pen) {
        pen.lane = self.lanes.index(place);
        if pen.at.is_some() {
            pen.crosses = true;
            return;
        }
        let (x, y) = (self.lanes.axis(pen.lane), self.y);
        let _ = writeln!(
            self.above,
            "<g class=\"t{}\"><circle class=\"start\" cx=\"{x}\" cy=\"{y}\" r=\"4\"/><text class=\"addresses\" x=\"{}\" y=\"{}\">{}</text>\
             <text class=\"addresses\" x=\"{}\" y=\"{}\">→ {}</text></g>",
            pen.color, x + INDENT, y - 2, escape(&pen.src), x + INDENT, y + 13, escape(&pen.dst),
        );
        pen.at = Some((x, y));
        self.y += ROW - 4;
    }

    /// Draws the line on to the next station, and returns where that is.
    pub(super) fn advance(&mut self, pen: &mut Pen, class: &str) -> (usize, usize) {
        let x = self.lanes.axis(pen.lane);
        let inferred = pen.inferred.take();
        if std::mem::take(&mut pen.crosses) {
            self.y += CROSSING;
        }
        if inferred.is_some() {
            self.y += INFERRED;
        }
        let y = self.y;
        if let Some((from_x, from_y)) = pen.at {
            let dashed = if inferred.is_some() { " inferred" } else { "" };
            let bend = y - 26;
            let d = if from_x == x {
                format!("M{x} {from_y}V{y}")
            } else {
                // Round corners of radius 8, to the right or to the left.
                let (out, back) = if x > from_x {
                    (from_x + 8, x - 8)
                } else {
                    (from_x - 8, x + 8)
                };
                format!(
                    "M{from_x} {from_y}V{}Q{from_x} {bend} {out} {bend}H{back}Q{x} {bend} {x} {}V{y}",
                    bend - 8, bend + 8
                )
            };
            if pen.wrapped {
                let _ = writeln!(self.below, "<path class=\"wrap\" d=\"{d}\"/>");
            }
            let _ = writeln!(
                self.below,
                "<path class=\"track t{}{dashed}{class}\" d=\"{d}\"/>",
                pen.color
            );
            if let Some(by) = inferred {
                let left = from_x.min(x) + 14;
                let _ = writeln!(
                    self.above,
                    "<text class=\"note\" x=\"{left}\" y=\"{}\">inferred: {by}</text>",
                    bend - 6
                );
            }
        }
        pen.at = Some((x, y));
        (x, y)
    }
}
