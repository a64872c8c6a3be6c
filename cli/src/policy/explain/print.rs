// SPDX-License-Identifier: GPL-2.0

//! How explanations are shown.

use std::fmt::Write as _;
use std::io::{self, Write};

use nftrace_policy::explain::{place_name, Circumstances, Described, Explanation, Tried};
use nftrace_policy::Program;
use serde::Serialize;

use crate::render::{Role, Style};

/// What a policy says about a packet at some hooks.
pub(crate) struct Shown<'a> {
    pub(crate) packet: &'a Described,
    pub(crate) around: &'a Circumstances,
    pub(crate) explanations: &'a [Explanation],
    /// With the places of its rules, if it comes from a file.
    pub(crate) program: Option<&'a Program>,
}

/// One hook.
#[derive(Serialize)]
struct Line<'a> {
    at: String,
    namespace: &'a str,
    packet: String,
    verdict: &'static str,
    action: String,
    by: String,
    /// The rule that decided, from 1.
    rule: Option<u32>,
    tried: Vec<Rule<'a>>,
}

#[derive(Serialize)]
struct Rule<'a> {
    number: u32,
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    place: Option<String>,
    shadow: bool,
    matches: bool,
    /// The clause that is not met.
    #[serde(skip_serializing_if = "Option::is_none")]
    clause: Option<&'a str>,
    /// What the packet has instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<&'a str>,
}

impl Shown<'_> {
    /// Where a rule was written.
    fn place(&self, number: u32) -> Option<String> {
        let number = usize::try_from(number).ok()?.checked_sub(1)?;
        let position = &self.program?.rules.get(number)?.position;
        Some(format!("{}:{}", position.file, position.line))
    }

    /// One object a hook.
    pub(crate) fn json(&self, out: &mut impl Write) -> anyhow::Result<()> {
        for found in self.explanations {
            let line = Line {
                at: place_name(found.place),
                namespace: &self.around.namespace,
                packet: self.packet.to_string(),
                verdict: found.verdict(),
                action: found.action(),
                by: found.by(),
                rule: found.rule().map(|rule| rule.number),
                tried: found.tried.iter().map(|tried| self.rule(tried)).collect(),
            };
            writeln!(out, "{}", serde_json::to_string(&line)?)?;
        }
        Ok(())
    }

    fn rule<'a>(&self, tried: &'a Tried) -> Rule<'a> {
        let why = tried.why.as_ref();
        Rule {
            number: tried.number,
            text: &tried.text,
            name: tried.name.as_deref(),
            place: self.place(tried.number),
            shadow: tried.is_shadow,
            matches: why.is_none(),
            clause: why.and_then(|why| why.clause.as_deref()),
            why: why.map(|why| why.fact.as_str()),
        }
    }

    /// For people: without the rules that were tried where it is to be short.
    pub(crate) fn text(&self, out: &mut impl Write, short: bool, style: Style) -> io::Result<()> {
        let state = self.around.state.name();
        let packet = style.paint(Role::Head, self.packet);
        let namespace = style.paint(Role::Place, &self.around.namespace);
        writeln!(out, "{packet}, {state}, in {namespace}")?;
        for found in self.explanations {
            if !short {
                self.tried(out, found, style)?;
            }
            let role = match found.verdict() {
                "accept" => Role::Good,
                "queue" => Role::Nat,
                _ => Role::Bad,
            };
            let action = style.paint(role, found.action());
            writeln!(
                out,
                "{}: {action}, by {}",
                place_name(found.place),
                found.by()
            )?;
        }
        Ok(())
    }

    fn tried(&self, out: &mut impl Write, found: &Explanation, style: Style) -> io::Result<()> {
        let last = found.tried.last().map_or(0, |tried| tried.number);
        let width = last.to_string().len();
        for tried in &found.tried {
            let mut head = format!("  {:>width$}  {}", tried.number, tried.text);
            if let Some(place) = self.place(tried.number) {
                let _ = write!(head, "  {}", style.paint(Role::Faint, format!("({place})")));
            }
            writeln!(out, "{head}")?;
            let indent = " ".repeat(width + 4);
            match &tried.why {
                None if tried.is_shadow => {
                    let said = "matches, and is not enforced: the next rules go on";
                    writeln!(out, "{indent}{}", style.paint(Role::Nat, said))?;
                }
                None => {
                    let limit = if tried.is_limited {
                        ", unless it has matched as often as its limit lets it (--over-limit)"
                    } else {
                        ""
                    };
                    writeln!(out, "{indent}{}{limit}", style.paint(Role::Good, "matches"))?;
                }
                Some(why) => {
                    let word = if why.is_unknown { "unknown" } else { "no" };
                    let clause = why.clause.as_ref();
                    let clause = clause.map_or_else(String::new, |clause| format!("'{clause}': "));
                    let said = format!("{word}: {clause}{}", why.fact);
                    writeln!(out, "{indent}{}", style.paint(Role::Faint, said))?;
                }
            }
        }
        Ok(())
    }
}
