// SPDX-License-Identifier: GPL-2.0

//! Rule sets that mean less than they say.

use nftrace_tests::random::Random;

use super::models;
use crate::rules::{BenchRule, Family};

/// One rule, again and again.
pub(super) fn identical(family: Family, count: usize, random: &mut Random) -> Vec<BenchRule> {
    let mut rules = models::acl().rules(family, 1, random);
    rules.resize(count, rules[0]);
    rules
}

fn access_list(family: Family, count: usize, random: &mut Random) -> Vec<BenchRule> {
    models::acl().rules(family, count, random)
}

/// The first rule takes all that the others are about.
pub(super) fn shadowed(family: Family, count: usize, random: &mut Random) -> Vec<BenchRule> {
    let mut rules = vec![BenchRule::any(family)];
    rules.extend(access_list(family, count - 1, random));
    rules
}

/// The last rule takes all that is left.
pub(super) fn catch_all(family: Family, count: usize, random: &mut Random) -> Vec<BenchRule> {
    let mut rules = access_list(family, count - 1, random);
    rules.push(BenchRule::any(family));
    rules
}
