// SPDX-License-Identifier: GPL-2.0

//! Any bytes as what `iptables-save` or `nft -j` wrote: refused, or a policy comes of it
//! that nftrace itself reads and the kernel takes, with each of its complaints on a line.

use nftrace_policy::import::{iptables, nft_json, Import, Options};
use nftrace_policy::{parse, Memory};

use crate::files;
use crate::policy::taken;

fn run(input: &[u8], import: fn(&str, &Options) -> Result<Import, String>) {
    let text = String::from_utf8_lossy(input);
    match import(&text, &Options::default()) {
        Ok(import) => {
            let printed = import.to_string();
            let again = parse(&printed).unwrap_or_else(|report| panic!("{report}\n{printed}"));
            assert_eq!(again, import.policy, "{printed}");
            assert!(taken(&printed, &Memory::default()), "{printed}");
            for left in &import.left {
                assert_eq!(left.to_string().lines().count(), 2, "{left:?}");
            }
        }
        Err(error) => assert!(!error.is_empty()),
    }
}

pub(crate) fn iptables_run(input: &[u8]) {
    run(input, iptables);
}

pub(crate) fn nft_run(input: &[u8]) {
    run(input, nft_json);
}

/// The vectors, and each of their tables alone.
pub(crate) fn iptables_seeds() -> Vec<Vec<u8>> {
    let mut seeds = files("policy/tests/vectors/import", ".iptables");
    for whole in seeds.clone() {
        let text = String::from_utf8_lossy(&whole);
        let tables = text
            .split_inclusive("COMMIT\n")
            .filter(|one| one.contains('*'));
        seeds.extend(tables.map(|table| table.as_bytes().to_vec()));
    }
    seeds
}

/// The vectors, and documents of one rule each with the chains and sets of its file.
pub(crate) fn nft_seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for whole in files("policy/tests/vectors/import", ".nft.json") {
        let document: serde_json::Value = serde_json::from_slice(&whole).expect("a vector");
        let objects = document["nftables"].as_array().cloned().unwrap_or_default();
        let (rules, others): (Vec<_>, Vec<_>) = objects
            .into_iter()
            .partition(|one| one.get("rule").is_some());
        for rule in rules {
            let of = |one: &serde_json::Value, key: &str| one["rule"][key].clone();
            let mut kept: Vec<_> = others.clone();
            kept.retain(|one| {
                let chain = &one["chain"];
                chain.is_null() && one["set"]["table"] == of(&rule, "table")
                    || chain["table"] == of(&rule, "table") && chain["name"] == of(&rule, "chain")
            });
            kept.push(rule);
            let one = serde_json::json!({ "nftables": kept });
            seeds.push(one.to_string().into_bytes());
        }
    }
    seeds
}
