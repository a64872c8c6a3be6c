// SPDX-License-Identifier: GPL-2.0

//! Which fields of a packet a set of the peers is looked up by.

use crate::rules::{BenchRule, Family, Ports, Prefix, RuleSet};

/// Fields of a key, in the order of the key. A fair peer looks at no field that no rule asks
/// for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields {
    /// Source address.
    pub src: bool,
    /// Destination address.
    pub dst: bool,
    /// Protocol.
    pub proto: bool,
    /// Source port.
    pub sport: bool,
    /// Destination port.
    pub dport: bool,
}

impl Fields {
    /// All five.
    pub const ALL: Self = Self {
        src: true,
        dst: true,
        proto: true,
        sport: true,
        dport: true,
    };

    /// Those that some rule asks for.
    #[must_use]
    pub fn of(set: &RuleSet) -> Self {
        let any = |asks: fn(&BenchRule) -> bool| set.rules.iter().any(asks);
        Self {
            src: any(|rule| !rule.src.is_any()),
            dst: any(|rule| !rule.dst.is_any()),
            proto: any(|rule| rule.proto.is_some()),
            sport: any(|rule| rule.sport != Ports::ANY),
            dport: any(|rule| rule.dport != Ports::ANY),
        }
    }

    /// How many.
    #[must_use]
    pub fn count(self) -> usize {
        self.picked([""; 5]).count()
    }

    /// Those of five things, one for each field, that are of these fields.
    fn picked<T>(self, of: [T; 5]) -> impl Iterator<Item = T> {
        let has = [self.src, self.dst, self.proto, self.sport, self.dport];
        of.into_iter()
            .zip(has)
            .filter_map(|(one, has)| has.then_some(one))
    }

    fn joined<T: Into<String>>(self, of: [T; 5]) -> String {
        let parts: Vec<String> = self.picked(of).map(Into::into).collect();
        parts.join(" . ")
    }

    /// The type of a key, as nft says it.
    pub(super) fn types(self, family: Family) -> String {
        let address = match family {
            Family::V4 => "ipv4_addr",
            Family::V6 => "ipv6_addr",
        };
        let port = "inet_service";
        self.joined([address, address, "inet_proto", port, port])
    }

    /// The fields of a packet, as nft says them.
    pub(super) fn expression(self, family: Family) -> String {
        let of = match family {
            Family::V4 => ["ip saddr", "ip daddr", "ip protocol"],
            Family::V6 => ["ip6 saddr", "ip6 daddr", "ip6 nexthdr"],
        };
        let [src, dst, proto] = of;
        self.joined([src, dst, proto, "th sport", "th dport"])
    }

    /// What a rule asks of them, as nft says it. All addresses are a range, not a prefix of
    /// no bits: nft takes that for no condition at all.
    pub(super) fn element(self, rule: &BenchRule) -> String {
        let address = |prefix: Prefix| {
            if prefix.is_any() {
                let family = prefix.family();
                let end = |number| family.address(number);
                format!("{}-{}", end(prefix.first()), end(prefix.last()))
            } else {
                prefix.to_string()
            }
        };
        self.joined([
            address(rule.src),
            address(rule.dst),
            rule.proto
                .map_or_else(|| "0-255".to_owned(), |proto| proto.to_string()),
            rule.sport.text("-"),
            rule.dport.text("-"),
        ])
    }

    /// Whether a rule asks for one value of each.
    pub(super) fn are_exact(self, rule: &BenchRule) -> bool {
        let exact = [
            rule.src.is_host(),
            rule.dst.is_host(),
            rule.proto.is_some(),
            rule.sport.is_one(),
            rule.dport.is_one(),
        ];
        self.picked(exact).all(|exact| exact)
    }
}
