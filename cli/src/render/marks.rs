// SPDX-License-Identifier: GPL-2.0

//! What stands along the line of a drawing: hooks, rewritten addresses, notes, ends.

use std::fmt::Write as _;

use nftrace_journeys::{Certainty, End};

use super::lanes::{small, INDENT};
use super::svg::{escape, Drawing, Pen, ROW};
use super::view::{Step, View};
use super::words;

impl Drawing {
    pub(super) fn station(&mut self, step: &Step, pen: &mut Pen, index: usize) {
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
             <text class=\"devices\" x=\"{text}\" y=\"{dev_y}\" xml:space=\"preserve\">{devices}{between}<tspan class=\"since\">{since}</tspan>{tag}</text></g>",
            hook = escape(&step.hook),
            tip = escape(&details.join("\n")),
            hit_x = x - 11,
            hit_y = y - 16,
            hit_w = self.lanes.inner(pen.lane),
            hook_y = y - 1,
            dev_y = y + 14,
            devices = escape(&step.devices),
            tag = step.tag.as_ref().map_or_else(String::new, |tag| format!("  {}", escape(tag))),
        );
        self.y += ROW;
    }

    pub(super) fn nat(
        &mut self,
        kind: &str,
        from: &str,
        to: &str,
        certainty: Certainty,
        pen: &mut Pen,
    ) {
        let (x, y) = self.advance(pen, "");
        if pen.src == from {
            to.clone_into(&mut pen.src);
        } else if pen.dst == from {
            to.clone_into(&mut pen.dst);
        }
        let (src, dst) = (pen.src.clone(), pen.dst.clone());
        pen.color = self.color(&src, &dst);
        let kind = kind.to_uppercase();
        let sure = words::sure(certainty);
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

    pub(super) fn note(&mut self, class: &str, text: &str, pen: &mut Pen) {
        // Before the first station there is no line yet.
        let (x, y) = match pen.at {
            Some(_) => self.advance(pen, ""),
            None => (self.lanes.axis(pen.lane), self.y),
        };
        let _ = writeln!(
            self.above,
            "<path class=\"{class}-mark\" d=\"M{} {}h14\"/><text class=\"{class}\" x=\"{}\" y=\"{}\">{}</text>",
            x - 7, y, x + INDENT, y + 4, escape(text)
        );
        self.y += ROW - 10;
    }

    pub(super) fn ending(&mut self, view: &View, pen: &mut Pen) {
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
