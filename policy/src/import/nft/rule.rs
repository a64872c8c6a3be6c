// SPDX-License-Identifier: GPL-2.0

//! A rule of nftables: what it asks for, and what it does.

use super::super::among::Among;
use super::super::condition::Condition;
use super::super::model::{Action, Entry, Ruleset};
use super::super::Source;
use super::expression::compare;
use super::sets::Sets;
use super::value::Read;
use super::{full, text, Table};
use crate::ast::{Basic, Limit, Otherwise, RejectWith, Unit, Verdict};
use serde_json::Value;

/// Reads a rule. With a verdict map it is one for each element.
pub(super) fn read(
    rule: &Value,
    source: &Source,
    table: Table,
    rules: &mut Ruleset,
    sets: &Sets,
) -> Result<Vec<Entry>, String> {
    let all = Condition {
        family: table.family,
        ..Condition::default()
    };
    let comment = Some(text(rule, "comment").to_string());
    let mut reading = Reading {
        entry: Entry {
            source: source.clone(),
            conditions: Ok(vec![all]),
            comment: comment.filter(|comment| !comment.is_empty()),
            kind: None,
            actions: Vec::new(),
        },
        has_acted: false,
        table: full(rule, "").trim_end().to_string(),
        rules,
        sets,
    };
    let mut entries = Vec::new();
    let none = Vec::new();
    let expressions = rule.get("expr").and_then(Value::as_array);
    for expression in expressions.unwrap_or(&none) {
        if let Some(vmap) = expression.get("vmap") {
            match reading.verdict_map(vmap) {
                Ok(all) => entries.extend(all),
                Err(reason) => reading.entry.actions.push(Action::Unknown(reason)),
            }
        } else {
            reading.expression(expression)?;
        }
    }
    let mut entry = reading.entry;
    if entry.actions.is_empty() && entries.is_empty() {
        entry.actions.push(Action::Count);
    }
    if entries.is_empty() || !entry.actions.is_empty() {
        entries.push(entry);
    }
    Ok(entries)
}

struct Reading<'a> {
    entry: Entry,
    /// Whether it has done something already, which a match behind does not hold for.
    has_acted: bool,
    table: String,
    rules: &'a mut Ruleset,
    sets: &'a Sets,
}

impl Reading<'_> {
    fn expression(&mut self, expression: &Value) -> Result<(), String> {
        let Some((name, what)) = expression
            .as_object()
            .and_then(|object| object.iter().next())
        else {
            return Err(format!("{expression} is no expression of nft"));
        };
        if let Some(action) = self.verdict(name, what) {
            self.act(action?);
            return Ok(());
        }
        match name.as_str() {
            "match" => {
                let none = Value::Null;
                let side = |side| what.get(side).unwrap_or(&none);
                let by = compare(
                    side("left"),
                    text(what, "op"),
                    side("right"),
                    self.sets,
                    &self.table,
                );
                let by = if self.has_acted {
                    Err("it does something before all of its matches are asked".to_string())
                } else {
                    by
                };
                self.entry.narrow(by);
            }
            "limit" => match limit(what) {
                Ok(limit) if !self.has_acted => {
                    self.entry.limit(limit);
                    // A match behind it would not hold for the limit.
                    self.has_acted = true;
                }
                Ok(_) => self
                    .entry
                    .narrow(Err("it has a limit for some of what it does".to_string())),
                Err(reason) => self.entry.narrow(Err(reason)),
            },
            "counter" | "comment" => {}
            "log" if what.get("group").is_some() => self.act(Action::Besides(
                "its log goes to a program: `log` writes to the kernel's log".to_string(),
            )),
            "log" => {
                let prefix = text(what, "prefix");
                let prefix = Some(prefix.to_string()).filter(|prefix| !prefix.is_empty());
                self.act(Action::Log { prefix });
            }
            "reject" => {
                let (differs, with) = reject(what);
                if let Some(reason) = differs {
                    self.act(Action::Differs(reason));
                }
                if with == RejectWith::TcpReset {
                    // nft asks for TCP by itself.
                    self.entry.narrow(Ok(vec![Condition {
                        protocols: Some(Among::one(6_u8)),
                        ..Condition::default()
                    }]));
                }
                self.act(Action::Verdict(Verdict::Reject(with)));
            }
            "queue" => {
                let action = queue(what).map_or_else(Action::Unknown, Action::Verdict);
                self.act(action);
            }
            "mangle" => {
                let key = what.get("key");
                let is_mark = key
                    .and_then(|key| key.get("meta"))
                    .map(|meta| text(meta, "key"));
                let reason = "it changes the packet or its mark, which a policy does not";
                self.act(match is_mark {
                    Some("mark") => Action::Marks(reason.to_string()),
                    _ => Action::Besides(reason.to_string()),
                });
            }
            "set" | "map" if what.get("stmt").is_some() => {
                let reason = "it remembers packets by what they have, or counts them";
                self.entry.actions.push(Action::Unknown(reason.to_string()));
            }
            "notrack" | "ct helper" | "ct timeout" | "ct expectation" | "secmark" | "dup"
            | "set" | "map" | "flow" => {
                self.act(Action::Besides(format!(
                    "`{name}` decides nothing, and is not known here"
                )));
            }
            "snat" | "dnat" | "masquerade" | "redirect" | "tproxy" | "synproxy" | "fwd" => {
                self.act(Action::Unknown(format!(
                    "`{name}` changes where packets go, which is no matter of a policy"
                )));
            }
            "xt" => self.entry.actions.push(Action::Unknown(
                "nft shows no more of a rule of iptables: import what iptables-save writes"
                    .to_string(),
            )),
            other => {
                let reason = format!("there is nothing like `{other}` here");
                self.entry.actions.push(Action::Unknown(reason));
            }
        }
        Ok(())
    }

    fn act(&mut self, action: Action) {
        self.has_acted = true;
        self.entry.actions.push(action);
    }

    /// A verdict of nft; none where it is something else.
    fn verdict(&mut self, name: &str, what: &Value) -> Option<Result<Action, String>> {
        let to = |make: fn(usize) -> Action| {
            let target = format!("{} {}", self.table, text(what, "target"));
            let number = self.rules.find(&target);
            number
                .map(make)
                .ok_or_else(|| format!("there is no chain {target}, to which a rule leads"))
        };
        Some(match name {
            "accept" => Ok(Action::Verdict(Verdict::Accept)),
            "drop" => Ok(Action::Verdict(Verdict::Drop)),
            "return" => Ok(Action::Return),
            "continue" => Ok(Action::Count),
            "jump" => to(Action::Jump),
            "goto" => to(Action::Goto),
            _ => return None,
        })
    }

    /// A rule for each element: no two of them are for one packet.
    fn verdict_map(&mut self, vmap: &Value) -> Read<Vec<Entry>> {
        let key = vmap.get("key").unwrap_or(&Value::Null);
        let data = vmap.get("data").unwrap_or(&Value::Null);
        let sets = self.sets;
        let elements = match data.as_str().and_then(|name| name.strip_prefix('@')) {
            Some(name) => sets.elements(&self.table, name)?.to_vec(),
            None => data
                .get("set")
                .and_then(Value::as_array)
                .cloned()
                .ok_or("the verdict map has no elements")?,
        };
        if matches!(&self.entry.conditions, Ok(all) if all.iter().any(|one| one.limit.is_some())) {
            return Err("it has one limit for several verdicts".to_string());
        }
        let mut entries = Vec::new();
        for element in &elements {
            let Some([value, verdict]) = element.as_array().map(Vec::as_slice) else {
                return Err(format!("{element} is no element of a verdict map"));
            };
            let mut entry = Entry {
                source: self.entry.source.clone(),
                conditions: self.entry.conditions.clone(),
                comment: self.entry.comment.clone(),
                kind: None,
                actions: self.entry.actions.clone(),
            };
            let value = value
                .get("elem")
                .and_then(|elem| elem.get("val"))
                .unwrap_or(value);
            entry.narrow(compare(key, "==", value, sets, &self.table));
            let (name, what) = verdict
                .as_object()
                .and_then(|object| object.iter().next())
                .ok_or_else(|| format!("{verdict} is no verdict"))?;
            let action = self
                .verdict(name, what)
                .ok_or_else(|| format!("{verdict} is no verdict"))??;
            entry.actions.push(action);
            entries.push(entry);
        }
        // What stands before the map is done by the rules that it became.
        self.entry.actions.clear();
        Ok(entries)
    }
}

fn limit(what: &Value) -> Read<Limit> {
    if what.get("inv").and_then(Value::as_bool) == Some(true) {
        return Err("what is over a limit is not known here: only what is within".to_string());
    }
    let unit = |key: &str| what.get(key).map_or("packets", |_| text(what, key));
    if unit("rate_unit") != "packets" || unit("burst_unit") != "packets" {
        return Err("limits count packets here".to_string());
    }
    let number = |key: &str| {
        let number = what.get(key).and_then(Value::as_u64);
        number.and_then(|number| u32::try_from(number).ok())
    };
    let per = match text(what, "per") {
        "second" => Unit::Second,
        "minute" => Unit::Minute,
        "hour" => Unit::Hour,
        other => {
            return Err(format!(
                "a limit per {other} is not known here: second, minute, hour are"
            ))
        }
    };
    Ok(Limit {
        count: number("rate").ok_or("the limit has no rate")?,
        per,
        // nft's own burst.
        burst: Some(number("burst").unwrap_or(5)),
    })
}

fn queue(what: &Value) -> Read<Verdict> {
    let number = match what.get("num") {
        None => Some(0),
        Some(number) => number
            .as_u64()
            .and_then(|number| u16::try_from(number).ok()),
    };
    let flags = match what.get("flags") {
        Some(Value::Array(flags)) => flags.iter().filter_map(Value::as_str).collect(),
        Some(Value::String(flag)) => vec![flag.as_str()],
        _ => Vec::new(),
    };
    let otherwise = if flags.contains(&"bypass") {
        Basic::Accept
    } else {
        Basic::Drop
    };
    Ok(Verdict::Queue {
        number: number.ok_or("packets go to one queue here")?,
        otherwise: Otherwise(otherwise),
    })
}

/// The nearest answer, and what it differs in.
fn reject(what: &Value) -> (Option<String>, RejectWith) {
    if text(what, "type") == "tcp reset" {
        return (None, RejectWith::TcpReset);
    }
    let name = match text(what, "expr") {
        "" => "port-unreachable",
        name => name,
    };
    let with = match name {
        "port-unreachable" => RejectWith::PortUnreachable,
        "host-unreachable" | "addr-unreachable" => RejectWith::HostUnreachable,
        "net-unreachable" | "no-route" => RejectWith::NetUnreachable,
        "admin-prohibited" => RejectWith::AdminProhibited,
        _ => {
            let reason = format!("the sender is told admin-prohibited: {name} is no answer here");
            return (Some(reason), RejectWith::AdminProhibited);
        }
    };
    (None, with)
}
