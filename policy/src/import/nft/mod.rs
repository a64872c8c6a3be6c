// SPDX-License-Identifier: GPL-2.0

//! What `nft -j list ruleset` writes.

mod expression;
mod rule;
mod sets;
mod value;

use super::model::{Action, Base, Ruleset};
use super::{Import, Left, LeftKind, Options, Source};
use crate::ast::{Basic, IpFamily, Place, Verdict};
use nftrace_core::hook::Hook;
use serde_json::Value;
use sets::Sets;

/// Makes a policy of what `nft -j list ruleset` has written.
///
/// # Errors
///
/// What is not in its format.
pub fn import(text: &str, options: &Options) -> Result<Import, String> {
    let document: Value = serde_json::from_str(text)
        .map_err(|error| format!("this is not JSON as nft -j writes it: {error}"))?;
    let objects = document
        .get("nftables")
        .and_then(Value::as_array)
        .ok_or("there is no \"nftables\" in it: this is not what nft -j writes")?;
    let mut reader = Reader::default();
    reader.sets = Sets::of(objects, &mut reader.left);
    for (order, object) in objects.iter().enumerate() {
        if let Some(chain) = object.get("chain") {
            reader.chain(order, chain)?;
        }
    }
    for (order, object) in objects.iter().enumerate() {
        if let Some(rule) = object.get("rule") {
            reader.rule(order, rule)?;
        } else if let Some(flowtable) = object.get("flowtable") {
            let what = "packets of offloaded connections pass no hook, and so no rule";
            let source = source(order, flowtable, "");
            reader.leave(source, LeftKind::LeftOut, what, None);
        }
    }
    reader.rules.sets = std::mem::take(&mut reader.sets.named);
    reader.rules.set_families = std::mem::take(&mut reader.sets.families);
    super::policy(reader.rules, reader.left, options, "as nft -j wrote it")
}

#[derive(Default)]
struct Reader {
    rules: Ruleset,
    left: Vec<Left>,
    sets: Sets,
    /// The chains that no hook of a policy begins with.
    foreign: Vec<usize>,
}

/// The family of a table: which packets it sees, and where.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Table {
    /// None: both.
    family: Option<IpFamily>,
    is_bridge: bool,
}

fn table(family: &str) -> Option<Table> {
    let (family, is_bridge) = match family {
        "ip" => (Some(IpFamily::Ipv4), false),
        "ip6" => (Some(IpFamily::Ipv6), false),
        "inet" => (None, false),
        "bridge" => (None, true),
        _ => return None,
    };
    Some(Table { family, is_bridge })
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The full name of what is in a table.
fn full(object: &Value, name: &str) -> String {
    format!(
        "{} {} {name}",
        text(object, "family"),
        text(object, "table")
    )
}

fn source(order: usize, object: &Value, key: &str) -> Source {
    Source {
        order,
        line: None,
        handle: object.get("handle").and_then(Value::as_u64),
        chain: full(
            object,
            text(object, if key.is_empty() { "name" } else { key }),
        ),
        text: match object.get("expr") {
            Some(expressions) if !key.is_empty() => expressions.to_string(),
            _ => object.to_string(),
        },
    }
}

impl Reader {
    fn leave(
        &mut self,
        source: Source,
        kind: LeftKind,
        reason: &str,
        effect: Option<&'static str>,
    ) {
        self.left.push(Left {
            source,
            kind,
            reason: reason.to_string(),
            effect,
        });
    }

    fn chain(&mut self, order: usize, chain: &Value) -> Result<(), String> {
        let name = full(chain, text(chain, "name"));
        if text(chain, "name").is_empty() || text(chain, "table").is_empty() {
            return Err(format!("a chain has no name or no table: {chain}"));
        }
        let number = self.rules.chain(&name);
        let kind = text(chain, "type");
        if kind.is_empty() {
            return Ok(());
        }
        let hook = match text(chain, "hook") {
            "prerouting" => Some(Hook::PreRouting),
            "input" => Some(Hook::LocalIn),
            "forward" => Some(Hook::Forward),
            "output" => Some(Hook::LocalOut),
            "postrouting" => Some(Hook::PostRouting),
            _ => None,
        };
        let table = table(text(chain, "family"));
        let drops = text(chain, "policy") == "drop";
        let (Some(hook), Some(table)) = (hook, table) else {
            self.foreign.push(number);
            let why = format!(
                "a policy has no hook {} of the family {}",
                text(chain, "hook"),
                text(chain, "family")
            );
            let effect = drops.then_some("what it stopped may pass");
            self.leave(source(order, chain, ""), LeftKind::LeftOut, &why, effect);
            return Ok(());
        };
        let place = Place {
            hook,
            is_bridge: table.is_bridge,
        };
        if kind == "nat" {
            self.foreign.push(number);
            self.rules.nat.push(place);
            self.track(table);
            return Ok(());
        }
        if table.is_bridge {
            let why =
                "frames that are neither IPv4 nor IPv6, such as ARP, meet no rule of a policy";
            let effect = "what it stopped of them passes";
            self.leave(
                source(order, chain, ""),
                LeftKind::Differs,
                why,
                Some(effect),
            );
        }
        let priority = chain.get("prio").and_then(Value::as_i64).unwrap_or(0);
        let word = if drops { "drop" } else { "accept" };
        self.rules.bases.push(Base {
            place,
            family: table.family,
            priority,
            policy: if drops { Basic::Drop } else { Basic::Accept },
            chain: number,
            title: format!(
                "nft, table {} {}, chain {}, policy {word}",
                text(chain, "family"),
                text(chain, "table"),
                text(chain, "name")
            ),
        });
        Ok(())
    }

    fn track(&mut self, table: Table) {
        let families = match table.family {
            _ if table.is_bridge => Vec::new(),
            Some(family) => vec![family],
            None => vec![IpFamily::Ipv4, IpFamily::Ipv6],
        };
        for family in families {
            if !self.rules.tracked.contains(&family) {
                self.rules.tracked.push(family);
            }
        }
    }

    fn rule(&mut self, order: usize, rule: &Value) -> Result<(), String> {
        let source = source(order, rule, "chain");
        let name = source.chain.clone();
        let Some(number) = self.rules.find(&name) else {
            return Err(format!("a rule is in the chain {name}, which is not there"));
        };
        let Some(table) = table(text(rule, "family")) else {
            let why = "a policy has no hooks of that family";
            let effect = "what it stopped may pass";
            self.leave(source, LeftKind::LeftOut, why, Some(effect));
            return Ok(());
        };
        let entries = rule::read(rule, &source, table, &mut self.rules, &self.sets)?;
        if entries.iter().any(super::model::Entry::asks_conntrack) {
            self.track(table);
        }
        if self.foreign.contains(&number) {
            let marks = |action: &Action| matches!(action, Action::Jump(_) | Action::Goto(_));
            let why = if entries.iter().any(|entry| entry.actions.iter().any(marks)) {
                "its chain is at no hook that a policy has, or translates addresses, which is no matter of a policy; nor are the rules that it leads to"
            } else {
                "its chain is at no hook that a policy has, or translates addresses, which is no matter of a policy"
            };
            let stops = |action: &Action| matches!(action, Action::Verdict(verdict) if *verdict != Verdict::Accept);
            let effect = entries
                .iter()
                .any(|entry| entry.actions.iter().any(stops))
                .then_some("what it stopped may pass");
            self.leave(source, LeftKind::LeftOut, why, effect);
            return Ok(());
        }
        self.rules.chains[number].entries.extend(entries);
        Ok(())
    }
}
