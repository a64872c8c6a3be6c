// SPDX-License-Identifier: GPL-2.0

//! Rules by their identities: which rule of one policy is which of another.

use super::layout::Rule;

/// Finds a rule by its identity, at the cost of a look or two.
///
/// A hash table. Identities come from outside: where they lie depends on a key that nobody
/// knows, so that nobody can have all of them lie in one place.
pub struct Identities<'a> {
    rules: &'a [Rule],
    /// The number of a rule, from 1; 0 where there is none.
    places: &'a [u32],
    key: u64,
}

impl<'a> Identities<'a> {
    /// How many places so many rules need.
    pub const fn places(rules: usize) -> usize {
        rules.saturating_mul(2).saturating_add(1)
    }

    /// Those of `rules`. Of several that have the same, the last one is found. `places` are
    /// as many as [`Self::places`] says, all zero; `key` is random.
    pub fn new(rules: &'a [Rule], places: &'a mut [u32], key: u64) -> Self {
        let len = places.len();
        for (number, rule) in (1_u32..=u32::MAX).zip(rules) {
            for at in probes(rule.identity, key, len) {
                let Some(place) = places.get_mut(at) else {
                    break;
                };
                if *place == 0 || of(rules, *place).is_some_and(|of| of == rule.identity) {
                    *place = number;
                    break;
                }
            }
        }
        Self { rules, places, key }
    }

    /// The number of the rule, from 0.
    pub fn find(&self, identity: u64) -> Option<u32> {
        for at in probes(identity, self.key, self.places.len()) {
            let place = *self.places.get(at)?;
            if of(self.rules, place)? == identity {
                return place.checked_sub(1);
            }
        }
        None
    }
}

/// The identity of the rule in a place; none where there is none.
#[inline]
fn of(rules: &[Rule], place: u32) -> Option<u64> {
    let number = place.checked_sub(1)?;
    Some(rules.get(number as usize)?.identity)
}

/// Where to look, one after the other: every place once.
#[inline]
fn probes(identity: u64, key: u64, len: usize) -> impl Iterator<Item = usize> {
    // The upper half has a part in all bits; of its range, a share for each place.
    let hash = identity.wrapping_mul(key | 1) >> 32;
    let home = (hash.wrapping_mul(len as u64) >> 32) as usize;
    (home..len).chain(0..home)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::vec;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn rules(identities: &[u64]) -> Vec<Rule> {
        let rule = |identity: &u64| Rule {
            identity: *identity,
            ..Rule::default()
        };
        identities.iter().map(rule).collect()
    }

    fn found(mine: &[u64], key: u64, wanted: &[u64]) -> Vec<Option<u32>> {
        let rules = rules(mine);
        let mut places = vec![0; Identities::places(rules.len())];
        let identities = Identities::new(&rules, &mut places, key);
        wanted.iter().map(|one| identities.find(*one)).collect()
    }

    proptest! {
        #[test]
        fn what_is_found_is_what_a_map_has(
            mine in prop::collection::vec(prop_oneof![0..40_u64, any::<u64>()], 0..60),
            wanted in prop::collection::vec(prop_oneof![0..40_u64, any::<u64>()], 0..60),
            key: u64,
        ) {
            let map: BTreeMap<u64, u32> = mine.iter().copied().zip(0..).collect();
            let wanted: Vec<u64> = wanted.into_iter().chain(mine.iter().copied()).collect();
            let expected: Vec<_> = wanted.iter().map(|one| map.get(one).copied()).collect();
            prop_assert_eq!(found(&mine, key, &wanted), expected);
        }
    }

    #[test]
    fn what_all_lies_in_one_place_is_found_too() {
        // With the key 1, their upper halves are all 0.
        let mine: Vec<u64> = (0..500).collect();
        let expected: Vec<_> = (0..500).map(Some).collect();
        assert_eq!(found(&mine, 1, &mine), expected);
        assert_eq!(found(&mine, 1, &[500, u64::MAX]), [None, None]);
    }

    #[test]
    fn of_no_rules_none_is_found() {
        assert_eq!(found(&[], 7, &[0, 1]), [None, None]);
    }
}
