// SPDX-License-Identifier: GPL-2.0

//! Journeys as a drawing: a lane for each namespace, a station for each hook, and the
//! line of the packet in a colour that changes with its addresses.

use std::fmt::Write as _;

use nftrace_journeys::{Certainty, Direction, End};

use super::lanes::{small, Lanes, HEADER, INDENT, MARGIN};
use super::routes::{Group, Route};
use super::view::{Part, Step, View};
use super::words::{self, Place};

/// How a drawing looks.
pub(crate) const STYLE: &str = include_str!("drawing.css");

/// From one row to the next.
const ROW: usize = 44;
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

/// A drawing in the making: lines below, stations and text above.
struct Drawing {
    lanes: Lanes,
    below: String,
    above: String,
    /// Address pairs by their colours: both directions of a flow have the same.
    colors: Vec<[String; 2]>,
    y: usize,
}

/// Where the line of a packet is.
struct Pen {
    /// The place of the last station; none before the first.
    at: Option<(usize, usize)>,
    lane: usize,
    src: String,
    dst: String,
    color: usize,
    /// By what the next station is joined to this one, where that is only inferred.
    inferred: Option<&'static str>,
    /// The next station is the first one in its namespace.
    crosses: bool,
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

    fn color(&mut self, src: &str, dst: &str) -> usize {
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
        };
        let mut step = 0;
        for part in &view.parts {
            self.part(part, &mut pen, &mut step);
        }
        self.ending(view, &mut pen);
        self.above.push_str("</g>\n");
    }

    fn caption(&mut self, route: &Route) {
        let direction = match route.shown.direction {
            Some(Direction::Request) => "request",
            Some(Direction::Reply) => "reply",
            None => "packet",
        };
        let packets = words::count(route.views().count() as u64, "packet");
        let mut rest = vec![packets];
        rest.extend(Some(route.kinds()).filter(|kinds| !kinds.is_empty()));
        rest.extend(route.shown.relations.iter().cloned());
        let width = self.lanes.width() - MARGIN;
        let _ = writeln!(
            self.above,
            "<rect class=\"band\" x=\"{}\" y=\"{}\" width=\"{width}\" height=\"26\" rx=\"7\"/>\
             <text class=\"caption\" x=\"{}\" y=\"{}\">{direction} <tspan class=\"soft\">· {}</tspan></text>",
            MARGIN / 2,
            self.y,
            2 * MARGIN,
            self.y + 18,
            escape(&rest.join(" · "))
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
    fn advance(&mut self, pen: &mut Pen, class: &str) -> (usize, usize) {
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

    fn station(&mut self, step: &Step, pen: &mut Pen, index: usize) {
        let color = self.color(&step.src, &step.dst);
        let (x, y) = self.advance(pen, "");
        pen.color = color;
        (pen.src, pen.dst) = (step.src.clone(), step.dst.clone());
        let mark = if step.bridge {
            format!(
                "<rect class=\"mark\" x=\"{}\" y=\"{}\" width=\"12\" height=\"12\" rx=\"2\"/>",
                x - 6,
                y - 6
            )
        } else {
            format!("<circle class=\"mark\" cx=\"{x}\" cy=\"{y}\" r=\"6.5\"/>")
        };
        let details: Vec<String> = step
            .details
            .iter()
            .map(|(key, value)| format!("{key}: {value}"))
            .collect();
        let text = x + INDENT;
        let since = step
            .since
            .map_or_else(String::new, |since| format!("+{}", words::span(since)));
        let verdict = step.verdict.map_or_else(String::new, |verdict| {
            format!(" <tspan class=\"lost\">{verdict}</tspan>")
        });
        let between = if step.devices.is_empty() { "" } else { "  " };
        let _ = writeln!(
            self.above,
            "<g class=\"stop t{color}\" tabindex=\"0\" role=\"button\" data-step=\"{index}\" aria-label=\"{hook}\"><title>{hook}\n{tip}</title>\
             <rect class=\"hit\" x=\"{hit_x}\" y=\"{hit_y}\" width=\"{hit_w}\" height=\"36\" rx=\"6\" fill=\"transparent\"/>{mark}\
             <text class=\"hook\" x=\"{text}\" y=\"{hook_y}\">{hook}{verdict}</text>\
             <text class=\"devices\" x=\"{text}\" y=\"{dev_y}\" xml:space=\"preserve\">{devices}{between}<tspan class=\"since\">{since}</tspan></text></g>",
            hook = escape(&step.hook),
            tip = escape(&details.join("\n")),
            hit_x = x - 11,
            hit_y = y - 16,
            hit_w = self.lanes.inner(pen.lane),
            hook_y = y - 1,
            dev_y = y + 14,
            devices = escape(&step.devices),
        );
        self.y += ROW;
    }

    fn nat(&mut self, kind: &str, from: &str, to: &str, certainty: Certainty, pen: &mut Pen) {
        let (x, y) = self.advance(pen, "");
        if pen.src == from {
            to.clone_into(&mut pen.src);
        } else if pen.dst == from {
            to.clone_into(&mut pen.dst);
        }
        let (src, dst) = (pen.src.clone(), pen.dst.clone());
        pen.color = self.color(&src, &dst);
        let kind = kind.to_uppercase();
        let sure = if certainty == Certainty::Inferred {
            " (inferred)"
        } else {
            ""
        };
        let width =
            small((kind.len() + 1 + from.chars().count()).max(to.chars().count() + 2 + sure.len()))
                + 16;
        let text = x + INDENT;
        let _ = writeln!(
            self.above,
            "<g class=\"change t{}\" data-nat=\"{kind}\"><title>{kind}: {from} becomes {to}{sure}</title>\
             <path class=\"mark\" d=\"M{x} {}l7 7l-7 7l-7 -7z\"/>\
             <rect class=\"pill\" x=\"{}\" y=\"{}\" width=\"{width}\" height=\"36\" rx=\"8\"/>\
             <text class=\"nat\" x=\"{text}\" y=\"{}\"><tspan class=\"kind\">{kind}</tspan> {}</text>\
             <text class=\"nat\" x=\"{text}\" y=\"{}\">→ <tspan class=\"to\">{}</tspan>{sure}</text></g>",
            pen.color, y - 7, text - 8, y - 18, y - 4, escape(from), y + 11, escape(to),
        );
        self.y += ROW + 4;
    }

    fn note(&mut self, class: &str, text: &str, pen: &mut Pen) {
        // Before the first station there is no line yet.
        let (x, y) = match pen.at {
            Some(_) => self.advance(pen, ""),
            None => (self.lanes.axis(pen.lane), self.y),
        };
        let _ = writeln!(
            self.above,
            "<path class=\"gap\" d=\"M{} {}h14\"/><text class=\"{class}\" x=\"{}\" y=\"{}\">{}</text>",
            x - 7, y, x + INDENT, y + 4, escape(text)
        );
        self.y += ROW - 10;
    }

    fn ending(&mut self, view: &View, pen: &mut Pen) {
        let ending = &view.ending;
        pen.crosses = false;
        pen.inferred = None;
        let class = if ending.end == End::Dropped {
            " dying"
        } else {
            ""
        };
        let (x, y) = self.advance(pen, class);
        let sign = match ending.end {
            End::Delivered => format!("M{} {y}l4 4l7 -8", x - 5),
            End::Sent => format!("M{x} {}v10m-4.5 -4.5l4.5 4.5l4.5 -4.5", y - 5),
            End::Dropped => format!("M{} {}l9 9m0 -9l-9 9", x.saturating_sub(5), y - 5),
            End::Unknown => format!("M{} {y}h8", x - 4),
        };
        let _ = write!(
            self.above,
            "<g class=\"ending {}\"><title>{}{}</title><circle class=\"endmark\" cx=\"{x}\" cy=\"{y}\" r=\"11\"/><path class=\"endsign\" d=\"{sign}\"/>",
            ending.end.name(),
            escape(&ending.text),
            ending.advice.map_or_else(String::new, |advice| format!("\n{}", escape(advice))),
        );
        for (index, line) in ending.lines.iter().enumerate() {
            let class = if index == 0 { "end" } else { "why" };
            let _ = write!(
                self.above,
                "<text class=\"{class}\" x=\"{}\" y=\"{}\">{}</text>",
                x + INDENT,
                y + 4 + 15 * index,
                escape(line)
            );
        }
        self.above.push_str("</g>\n");
        self.y += 24 + 15 * ending.lines.len();
    }
}
