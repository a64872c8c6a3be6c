// SPDX-License-Identifier: GPL-2.0

//! Our hooks as the lab's `hook_lines` prints what netfilter says of them.

use std::collections::BTreeSet;

/// All hooks of these families (`ip`, `ip6`, `bridge`) in each of these namespaces.
pub fn all<'a>(namespaces: impl Iterator<Item = &'a str>, families: &[&str]) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    for name in namespaces {
        for family in families {
            for hook in ["prerouting", "input", "forward", "output", "postrouting"] {
                all.insert(format!(
                    "{name} {family} {hook} -2147483648 nftrace_hook [nftrace]"
                ));
            }
        }
    }
    all
}
