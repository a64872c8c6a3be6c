// SPDX-License-Identifier: GPL-2.0

//! A journey as a block of text.

use std::io::{self, Write};

use nftrace_journeys::{Certainty, End};

use super::style::{Role, Style};
use super::view::{Part, Step, View};
use super::words;

/// Below so many columns nothing is aligned.
const NARROW: usize = 60;

/// Writes the block of a journey, without an empty line behind it.
pub(crate) fn block(out: &mut dyn Write, view: &View, style: Style) -> io::Result<()> {
    head(out, view, style)?;
    let columns = Columns::of(view, style);
    for part in &view.parts {
        match part {
            Part::Leg(place) => {
                writeln!(out, "  {}", style.paint(Role::Place, place))?;
            }
            Part::Step(step) => columns.write(out, step, style)?,
            Part::Nat {
                kind,
                from,
                to,
                certainty,
            } => {
                let sure = words::sure(*certainty);
                let nat = format!("{kind}  {from} ⇒ {to}{sure}");
                writeln!(out, "      {}", style.paint(Role::Nat, nat))?;
            }
            Part::Join {
                by,
                certainty: Certainty::Inferred,
            } => {
                let text = format!("┄┄ inferred: the same packet by {by}");
                writeln!(out, "  {}", style.paint(Role::Faint, text))?;
            }
            Part::Join { .. } => {}
            Part::Tunnel { name, enter } => {
                let verb = if *enter { "put into" } else { "taken out of" };
                let text = format!("{verb} {name}");
                writeln!(out, "      {}", style.paint(Role::Nat, text))?;
            }
            Part::Lost(records) => {
                let text = format!("~~ {} lost here", words::count(*records, "record"));
                writeln!(out, "  {}", style.paint(Role::Bad, text))?;
            }
        }
    }
    end(out, view, style)
}

fn head(out: &mut dyn Write, view: &View, style: Style) -> io::Result<()> {
    let mut head = vec![
        format!("journey {}", view.number),
        view.title(),
        format!("{} → {}", view.src, view.dst),
    ];
    head.extend(view.role());
    head.extend(view.relations.iter().cloned());
    let mut used = 0;
    for (index, piece) in head.iter().enumerate() {
        let len = piece.chars().count();
        if index > 0 {
            let wraps = style.width.is_some_and(|width| used + 3 + len > width);
            let between = if wraps { "\n  " } else { " · " };
            out.write_all(between.as_bytes())?;
            used = if wraps { 2 } else { used + 3 };
        }
        used += len;
        let role = if index < 3 { Role::Head } else { Role::Faint };
        write!(out, "{}", style.paint(role, piece))?;
    }
    writeln!(out)
}

fn end(out: &mut dyn Write, view: &View, style: Style) -> io::Result<()> {
    let ending = &view.ending;
    let (mark, role) = match ending.end {
        End::Delivered => ("✓", Role::Good),
        End::Sent => ("→", Role::Good),
        End::Dropped => ("✗", Role::Bad),
        End::Unknown => ("?", Role::Bad),
    };
    write!(
        out,
        "  {}",
        style.paint(role, format!("{mark} {}", ending.text))
    )?;
    match view.duration {
        Some(duration) => {
            let all = format!("  {} in all", words::span(duration));
            writeln!(out, "{}", style.paint(Role::Faint, all))?;
        }
        None => writeln!(out)?,
    }
    match ending.advice {
        Some(advice) => writeln!(out, "    {}", style.paint(Role::Faint, advice)),
        None => Ok(()),
    }
}

/// Where the columns of a journey's hooks begin.
struct Columns {
    hook: usize,
    devices: usize,
    since: usize,
}

impl Columns {
    fn of(view: &View, style: Style) -> Self {
        if style.width.is_some_and(|width| width < NARROW) {
            return Self {
                hook: 0,
                devices: 0,
                since: 0,
            };
        }
        let widest = |text: fn(&Step) -> &str| {
            let lengths = view.steps().map(|step| text(step).chars().count());
            lengths.max().unwrap_or(0)
        };
        Self {
            hook: widest(|step| &step.hook),
            devices: widest(|step| &step.devices),
            since: "+12.34 ms".len(),
        }
    }

    fn write(&self, out: &mut dyn Write, step: &Step, style: Style) -> io::Result<()> {
        let mut line = format!(
            "    {:w$}  {:d$}",
            step.hook,
            step.devices,
            w = self.hook,
            d = self.devices
        );
        match step.since {
            Some(since) => {
                let since = format!("+{}", words::span(since));
                line.push_str(&format!(
                    "  {}",
                    style.paint(Role::Faint, format!("{since:>s$}", s = self.since))
                ));
            }
            None => line.truncate(line.trim_end().len()),
        }
        if let Some(tag) = &step.tag {
            line.push_str(&format!("  {}", style.paint(Role::Nat, tag)));
        }
        if let Some(verdict) = step.verdict {
            line.push_str(&format!("  {}", style.paint(Role::Bad, verdict)));
        }
        writeln!(out, "{line}")
    }
}
