// SPDX-License-Identifier: GPL-2.0

//! A cell: one peer, one rule set, one kind of packets. Its name says all of it:
//! `policy.ipv4.acl.1000.1.hit`, or `idle.ipv6` where there are no rules.

use std::fmt;
use std::str::FromStr;

use anyhow::{bail, Context, Error, Result};
use nftrace_bench::rules::Family;
use nftrace_bench::shapes::Shape;

use crate::peer::Peer;

/// Where the rules of a cell are from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Source {
    pub(crate) shape: Shape,
    /// No two rules overlap, so that peers without an order can hold them.
    pub(crate) disjoint: bool,
    pub(crate) count: usize,
    pub(crate) seed: u64,
}

/// Which packets come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Traffic {
    /// Each is for a rule.
    Hit,
    /// None is for any.
    Miss,
}

impl Traffic {
    pub(crate) const ALL: [Self; 2] = [Self::Hit, Self::Miss];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
        }
    }
}

/// What calls the hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Harness {
    /// hook_bench, and nothing else is counted.
    Hook,
    /// pktgen, which hands each packet to the stack so many times, as if a device received it:
    /// all that the stack does until the packet is dropped is counted.
    Pktgen(u8),
}

/// One thing to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Cell {
    pub(crate) harness: Harness,
    pub(crate) peer: Peer,
    pub(crate) family: Family,
    pub(crate) rules: Option<(Source, Traffic)>,
}

impl Cell {
    /// Without rules.
    pub(crate) const fn plain(peer: Peer, family: Family) -> Self {
        Self {
            harness: Harness::Hook,
            peer,
            family,
            rules: None,
        }
    }

    /// With rules.
    pub(crate) const fn of(peer: Peer, family: Family, source: Source, traffic: Traffic) -> Self {
        Self {
            harness: Harness::Hook,
            peer,
            family,
            rules: Some((source, traffic)),
        }
    }

    /// The loop alone, which is taken off.
    pub(crate) const fn loop_of(family: Family) -> Self {
        Self::plain(Peer::None, family)
    }

    /// The file of its packets.
    pub(crate) fn packets(&self) -> String {
        match self.rules {
            Some((source, traffic)) => {
                format!("packets.{}.{source}.{}", self.family.name(), traffic.name())
            }
            None => {
                let kind = if self.peer.is_hit() { "hit" } else { "miss" };
                format!("packets.{}.port.{kind}", self.family.name())
            }
        }
    }

    /// The file of its rules.
    pub(crate) fn file(&self) -> String {
        match self.rules {
            Some((source, _)) => format!("rules.{}.{}.{source}", self.peer, self.family.name()),
            None => format!("rules.{}.{}", self.peer, self.family.name()),
        }
    }

    /// Whether its rules come compiled where what is counted are instructions: to read and
    /// compile a large policy takes an emulated machine minutes, and once of each shape says
    /// how long.
    pub(crate) fn comes_compiled(&self) -> bool {
        let is_large = |(source, _): (Source, Traffic)| source.count > 1000 && source.seed > 1;
        self.peer == Peer::Policy && self.rules.is_some_and(is_large)
    }

    /// How often it is measured: where a round is long, a few are enough.
    pub(crate) fn rounds(&self) -> u32 {
        match self.rules {
            Some((source, _)) if self.peer.is_linear() && source.count >= 1000 => 2,
            Some((source, _)) if self.peer.is_linear() && source.count >= 100 => 3,
            _ if self.peer.is_slow() => 2,
            _ => 5,
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let disjoint = if self.disjoint { "-disjoint" } else { "" };
        let Self {
            shape, count, seed, ..
        } = self;
        write!(f, "{shape}{disjoint}.{count}.{seed}")
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Harness::Pktgen(burst) = self.harness {
            write!(f, "pktgen{burst}.")?;
        }
        write!(f, "{}.{}", self.peer, self.family.name())?;
        match self.rules {
            Some((source, traffic)) => write!(f, ".{source}.{}", traffic.name()),
            None => Ok(()),
        }
    }
}

impl FromStr for Cell {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let words: Vec<&str> = name.split('.').collect();
        let family = |word: &str| {
            let found = Family::ALL.into_iter().find(|family| family.name() == word);
            found.with_context(|| format!("`{word}` is no family: ipv4 or ipv6"))
        };
        let (harness, words) = match words.split_first() {
            Some((first, rest)) if first.starts_with("pktgen") => {
                let burst = first["pktgen".len()..].parse();
                (
                    Harness::Pktgen(burst.with_context(|| format!("burst of `{first}`"))?),
                    rest,
                )
            }
            _ => (Harness::Hook, &words[..]),
        };
        let cell = match *words {
            [peer, of] => Self::plain(peer.parse()?, family(of)?),
            [peer, of, shape, count, seed, traffic] => {
                let (shape, disjoint) = match shape.strip_suffix("-disjoint") {
                    Some(shape) => (shape, true),
                    None => (shape, false),
                };
                let source = Source {
                    shape: shape.parse()?,
                    disjoint,
                    count: count.parse().with_context(|| format!("`{count}` rules"))?,
                    seed: seed.parse().with_context(|| format!("seed `{seed}`"))?,
                };
                let found = Traffic::ALL.into_iter().find(|it| it.name() == traffic);
                let traffic = found.with_context(|| format!("`{traffic}`: hit or miss"))?;
                Self::of(peer.parse()?, family(of)?, source, traffic)
            }
            _ => bail!(
                "`{name}` is no cell: PEER.FAMILY, or PEER.FAMILY.SHAPE.RULES.SEED.hit (or .miss), \
                 as in policy.ipv4.acl.1000.1.hit"
            ),
        };
        Ok(Self { harness, ..cell })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_which_cell_it_is() {
        for name in [
            "idle.ipv6",
            "pktgen32.tc.ipv4",
            "policy.ipv4.acl.1000.1.hit",
            "nft-ranges.ipv6.catch-all-disjoint.8.3.miss",
        ] {
            assert_eq!(name.parse::<Cell>().unwrap().to_string(), name);
        }
        for name in [
            "",
            "idle",
            "idle.ipv5",
            "policy.ipv4.acl.x.1.hit",
            "policy.ipv4.acl.1.1.some",
        ] {
            assert!(name.parse::<Cell>().is_err(), "{name}");
        }
    }
}
