// SPDX-License-Identifier: GPL-2.0

//! The named sets and maps of nftables.

use super::super::among::Ranges;
use super::super::{Left, LeftKind};
use super::value::{element, Read, Type};
use super::{full, source, text};
use crate::ast::IpFamily;
use serde_json::Value;
use std::cell::RefCell;
use std::collections::BTreeMap;

/// All of them by their full names.
#[derive(Default)]
pub(super) struct Sets {
    objects: BTreeMap<String, Value>,
    /// What sets of a policy are called that were made of them.
    names: BTreeMap<String, String>,
    /// What is in these.
    pub(super) named: BTreeMap<String, Ranges>,
    pub(super) families: BTreeMap<String, Option<IpFamily>>,
    asked: RefCell<BTreeMap<String, Read<Ranges>>>,
}

/// The type of the elements; none where it is none that a set of a policy has.
fn kind(name: &str) -> Option<Type> {
    Some(match name {
        "ipv4_addr" => Type::Address(IpFamily::Ipv4),
        "ipv6_addr" => Type::Address(IpFamily::Ipv6),
        "inet_service" => Type::Port,
        _ => return None,
    })
}

impl Sets {
    /// Says of sets that change by themselves that they do.
    pub(super) fn of(objects: &[Value], left: &mut Vec<Left>) -> Self {
        let mut sets = Self::default();
        for (order, object) in objects.iter().enumerate() {
            let Some(set) = object.get("set").or_else(|| object.get("map")) else {
                continue;
            };
            let name = text(set, "name");
            let key = full(set, name);
            let flags = set.get("flags").and_then(Value::as_array);
            let changes = flags.is_some_and(|flags| {
                let mut flags = flags.iter().filter_map(Value::as_str);
                flags.any(|flag| flag == "dynamic" || flag == "timeout")
            });
            if changes {
                let mut source = source(order, set, "");
                source.text = format!("set {name}");
                left.push(Left {
                    source,
                    kind: LeftKind::Differs,
                    reason: "the set changes while it is in use; where rules ask for it, what was in it now is carried over".to_string(),
                    effect: Some("addresses that come and go later do not count"),
                });
            }
            let elements = set.get("elem").and_then(Value::as_array);
            let kind = set.get("type").and_then(Value::as_str).and_then(kind);
            if let (Some(of), Some(elements)) = (kind, elements) {
                let ranges: Read<Vec<_>> = elements.iter().map(|one| element(one, of)).collect();
                // Those that are not readable are refused where they are asked for.
                if let Ok(ranges) = ranges {
                    let policy_name = sets.policy_name(name);
                    let family = match of {
                        Type::Address(family) => Some(family),
                        _ => None,
                    };
                    sets.named.insert(policy_name.clone(), Ranges::of(ranges));
                    sets.families.insert(policy_name.clone(), family);
                    sets.names.insert(key.clone(), policy_name);
                }
            }
            sets.objects.insert(key, set.clone());
        }
        sets
    }

    /// A name that no other set has, of letters that names have here.
    fn policy_name(&self, name: &str) -> String {
        let is_plain = |one: char| one.is_ascii_alphanumeric() || matches!(one, '_' | '-' | '.');
        let mut plain: String = name
            .chars()
            .map(|one| if is_plain(one) { one } else { '_' })
            .collect();
        if !plain.starts_with(|first: char| first.is_ascii_alphabetic()) {
            plain.insert_str(0, "set_");
        }
        let mut unique = plain.clone();
        let mut number = 2;
        while self.named.contains_key(&unique) {
            unique = format!("{plain}_{number}");
            number += 1;
        }
        unique
    }

    /// The elements of a named set or map.
    pub(super) fn elements(&self, table: &str, name: &str) -> Read<&[Value]> {
        let object = self
            .objects
            .get(&format!("{table} {name}"))
            .ok_or_else(|| format!("there is no set {name}"))?;
        let elements = object.get("elem").and_then(Value::as_array);
        Ok(elements.map_or(&[], Vec::as_slice))
    }

    /// What is in a set, and the name of the set of the policy that is made of it.
    pub(super) fn named(
        &self,
        table: &str,
        name: &str,
        of: Type,
    ) -> Read<(Ranges, Option<String>)> {
        let key = format!("{table} {name}");
        if let Some(known) = self.names.get(&key) {
            let ranges = self.named.get(known).cloned().unwrap_or_default();
            return Ok((ranges, Some(known.clone())));
        }
        let mut asked = self.asked.borrow_mut();
        let read = asked.entry(key).or_insert_with(|| {
            let elements = self.elements(table, name)?;
            let ranges: Read<Vec<_>> = elements.iter().map(|one| element(one, of)).collect();
            Ok(Ranges::of(ranges?))
        });
        read.clone().map(|ranges| (ranges, None))
    }
}
