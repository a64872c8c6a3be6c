// SPDX-License-Identifier: GPL-2.0

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::vec::Vec;

use proptest::prelude::*;

use super::*;

/// The sets are in two windows, at both ends of what there is.
const WINDOW: u32 = 40;

fn value(at: u32) -> u32 {
    if at < WINDOW {
        at
    } else {
        u32::MAX - (2 * WINDOW - 1 - at)
    }
}

/// The same far apart: the lower half runs over inside of each window.
fn wide(value: u32) -> [u64; 2] {
    let whole = if value >> 31 == 1 {
        u128::MAX - u128::from(u32::MAX - value)
    } else {
        (7 << 64) + u128::from(u64::MAX - 20) + u128::from(value)
    };
    let bytes = whole.to_be_bytes();
    halves(Ipv6Addr::from(bytes))
}

fn ranges(members: &BTreeSet<u32>) -> Vec<Range32> {
    let mut ranges: Vec<Range32> = Vec::new();
    for at in members {
        let value = value(*at);
        match ranges.last_mut() {
            Some(last) if last.high.checked_add(1) == Some(value) => last.high = value,
            _ => ranges.push(Range32::new(value, value)),
        }
    }
    ranges
}

fn widened(ranges: &[Range32]) -> Vec<Range128> {
    let all = ranges.iter();
    all.map(|range| Range128::new(wide(range.low), wide(range.high)))
        .collect()
}

type Two<R> =
    fn(&[R], &[R], &mut dyn FnMut(&[R]) -> Result<(), Infallible>) -> Result<(), Infallible>;

fn collected<R: Range>(work: Two<R>, a: &[R], b: &[R]) -> Vec<R> {
    let mut all = Vec::new();
    let Ok(()) = work(a, b, &mut |some| {
        all.extend_from_slice(some);
        Ok(())
    });
    assert!(all.len() <= a.len() + b.len());
    all
}

fn united<R: Range>(a: &[R], b: &[R]) -> Vec<R> {
    collected(|a, b, put| union(a, b, put), a, b)
}

fn without<R: Range>(a: &[R], b: &[R]) -> Vec<R> {
    collected(|a, b, put| difference(a, b, put), a, b)
}

fn members() -> impl Strategy<Value = BTreeSet<u32>> {
    // Runs and single values: both make ranges that touch, overlap and hold others.
    let run = (0..2 * WINDOW, 1_u32..12);
    prop::collection::vec(run, 0..12).prop_map(|runs| {
        let values = runs.into_iter();
        values
            .flat_map(|(first, len)| first..(first + len).min(2 * WINDOW))
            .collect()
    })
}

proptest! {
    #[test]
    fn sets_are_added_and_taken_away_address_by_address(a in members(), b in members()) {
        let (set, other) = (ranges(&a), ranges(&b));
        let both: BTreeSet<u32> = &a | &b;
        let left: BTreeSet<u32> = &a - &b;
        prop_assert_eq!(united(&set, &other), ranges(&both));
        prop_assert_eq!(without(&set, &other), ranges(&left));
        let (wide, other_wide) = (widened(&set), widened(&other));
        prop_assert_eq!(united(&wide, &other_wide), widened(&ranges(&both)));
        prop_assert_eq!(without(&wide, &other_wide), widened(&ranges(&left)));
        for at in 0..2 * WINDOW {
            prop_assert_eq!(holds(&set, value(at)), a.contains(&at));
            prop_assert_eq!(holds(&wide, self::wide(value(at))), a.contains(&at));
        }
    }

    #[test]
    fn single_elements_change_a_set_as_all_at_once_do(a in members(), b in members()) {
        let other = ranges(&b);
        let one_by_one = |work: fn(&[Range32], &[Range32]) -> Vec<Range32>| {
            other.iter().fold(ranges(&a), |set, one| work(&set, &[*one]))
        };
        prop_assert_eq!(one_by_one(united), united(&ranges(&a), &other));
        prop_assert_eq!(one_by_one(without), without(&ranges(&a), &other));
    }

    #[test]
    fn it_is_counted_how_many_ranges_change_something(a in members(), b in members()) {
        let (set, other) = (ranges(&a), ranges(&b));
        let changes = |work: fn(&[Range32], &[Range32]) -> Vec<Range32>| {
            let changed = |one: &&Range32| work(&set, &[**one]) != set;
            other.iter().filter(changed).count()
        };
        prop_assert_eq!(not_in(&set, &other), changes(united));
        prop_assert_eq!(met(&set, &other), changes(without));
    }

    #[test]
    fn ranges_that_touched_before_are_the_same_set(a in members(), b in members()) {
        // As somebody else's compiler might make them.
        let split = |members: &BTreeSet<u32>| -> Vec<Range32> {
            members.iter().map(|at| Range32::new(value(*at), value(*at))).collect()
        };
        for (work, wanted) in [
            (united as fn(&[Range32], &[Range32]) -> Vec<Range32>, &a | &b),
            (without, &a - &b),
        ] {
            let found = work(&split(&a), &split(&b));
            prop_assert_eq!(first_out_of_order(&found), None);
            for at in 0..2 * WINDOW {
                prop_assert_eq!(holds(&found, value(at)), wanted.contains(&at));
            }
        }
    }
}

#[test]
fn ranges_out_of_order_are_found() {
    let range = |low, high| Range32 { low, high };
    assert_eq!(first_out_of_order::<Range32>(&[]), None);
    assert_eq!(first_out_of_order(&[range(1, 2), range(3, 3)]), None);
    assert_eq!(first_out_of_order(&[range(2, 1)]), Some(0));
    assert_eq!(first_out_of_order(&[range(1, 2), range(2, 3)]), Some(1));
    assert_eq!(first_out_of_order(&[range(5, 6), range(1, 2)]), Some(1));
}
