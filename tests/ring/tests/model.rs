// SPDX-License-Identifier: GPL-2.0

//! In every order in which two producers and a reader can meet: no record is torn, none
//! comes twice or before an earlier one, and what was made is what was read and lost.

use nftrace_ring_model as rings;
use nftrace_ring_model::{sound, Case};

/// One slot: every record takes the place of the one before it.
const ONE_SLOT: Case = Case {
    producers: &[1, 1],
    slots: 1,
    looks: 1,
    preemptions: Some(1),
};

/// Two slots: a producer may be overtaken by a round while it writes.
const TWO_SLOTS: Case = Case {
    producers: &[1, 2],
    slots: 2,
    looks: 1,
    preemptions: Some(1),
};

/// One slot that is overwritten while it is read.
const OVERWRITTEN: Case = Case {
    producers: &[2],
    slots: 1,
    looks: 1,
    preemptions: Some(2),
};

#[test]
fn a_producer_that_overtakes_a_reader() {
    sound::check(OVERWRITTEN);
}

#[test]
fn two_producers_and_a_reader_of_one_slot() {
    sound::check(ONE_SLOT);
}

#[test]
fn two_producers_and_a_reader_of_two_slots() {
    sound::check(TWO_SLOTS);
}

/// Each fault that `build.rs` makes is found: else the tests above would say little.
macro_rules! finds {
    ($($fault:ident in $case:ident),* $(,)?) => {
        mod finds_a_ring_that {
            $(
                #[test]
                #[should_panic(expected = "broken: ")]
                fn $fault() {
                    super::rings::$fault::check(super::$case);
                }
            )*
        }
    };
}

finds!(
    commits_before_the_record_is_there in OVERWRITTEN,
    reads_the_record_before_the_commit_word in OVERWRITTEN,
    leaves_the_old_commit_word_while_it_writes in OVERWRITTEN,
    writes_before_it_takes_the_commit_word_away in OVERWRITTEN,
    looks_at_the_commit_word_again_too_early in OVERWRITTEN,
    looks_at_the_commit_word_once in OVERWRITTEN,
    takes_a_slot_that_is_still_being_written in ONE_SLOT,
    takes_a_position_twice in ONE_SLOT,
    forgets_what_found_no_room in ONE_SLOT,
    forgets_what_was_overwritten in OVERWRITTEN,
    reads_the_clock_once in TWO_SLOTS,
);
