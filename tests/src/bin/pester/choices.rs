// SPDX-License-Identifier: GPL-2.0

//! What is chosen for a call: at random, or as it was for one that reached new code, with
//! something else in between.

use std::collections::{HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

use nftrace_tests::random::{Random, Source};

/// Of longer calls only so much is kept: what comes behind is bytes at random.
const MOST: usize = 4096;

/// What all threads found.
#[derive(Default)]
pub(crate) struct Found(Mutex<Finds>);

#[derive(Default)]
struct Finds {
    edges: HashSet<u64>,
    /// The choices of calls that reached an edge that no call before them had.
    calls: Vec<Vec<u64>>,
}

impl Found {
    /// How many edges, and calls that reached one first.
    pub(crate) fn count(&self) -> (usize, usize) {
        self.with(|finds| (finds.edges.len(), finds.calls.len()))
    }

    fn with<T>(&self, act: impl FnOnce(&mut Finds) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The source of a caller's choices.
pub(crate) struct Choices {
    random: Random,
    /// What is chosen next, as far as that goes; all else is at random.
    script: VecDeque<u64>,
    /// What was chosen for this call.
    taken: Vec<u64>,
}

impl Choices {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            random: Random::new(seed),
            script: VecDeque::new(),
            taken: Vec::new(),
        }
    }

    /// A new call: half of them are like one that found something.
    pub(crate) fn begin(&mut self, found: &Found) {
        self.taken.clear();
        self.script.clear();
        if self.random.one_in(2) {
            return;
        }
        let random = &mut self.random;
        let kept = found.with(|finds| {
            let one = (!finds.calls.is_empty()).then(|| random.pick(&finds.calls));
            one.cloned()
        });
        if let Some(mut kept) = kept {
            alter(&mut kept, random);
            self.script.extend(kept);
        }
    }

    /// What the call reached; it is kept if any of that is new.
    pub(crate) fn reached(&self, edges: Vec<u64>, found: &Found) {
        found.with(|finds| {
            let before = finds.edges.len();
            finds.edges.extend(edges);
            if finds.edges.len() > before {
                let kept = self.taken.iter().copied().take(MOST).collect();
                finds.calls.push(kept);
            }
        });
    }
}

impl Source for Choices {
    fn next(&mut self) -> u64 {
        let scripted = self.script.pop_front();
        let number = scripted.unwrap_or_else(|| self.random.number());
        self.taken.push(number);
        number
    }
}

/// Some choices become others, or all from somewhere on.
fn alter(choices: &mut Vec<u64>, random: &mut Random) {
    if choices.is_empty() {
        return;
    }
    for _ in 0..=random.below(4) {
        let at = random.below(choices.len());
        match random.below(6) {
            0 if at > 0 => choices.truncate(at),
            0 | 1 => choices[at] = choices[at].wrapping_add(1),
            2 => choices[at] = choices[at].wrapping_sub(1),
            3 => choices[at] = *random.pick(choices),
            _ => choices[at] = random.number(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The edges of a call that is three numbers: it gets the further, the more of them are
    /// small.
    fn call(choices: &mut Random<Choices>) -> Vec<u64> {
        let small = (0..3).take_while(|_| choices.below(200) == 7);
        (0..=small.count() as u64).collect()
    }

    /// How far 3,000 calls got.
    fn reached(is_told: bool) -> usize {
        let found = Found::default();
        let mut choices = Random::of(Choices::new(1));
        let mut most = 0;
        for _ in 0..3000 {
            choices.source().begin(&found);
            let edges = call(&mut choices);
            most = most.max(edges.len());
            if is_told {
                choices.source().reached(edges, &found);
            }
        }
        most
    }

    #[test]
    fn calls_like_those_that_found_something_find_more() {
        assert_eq!(reached(true), 4);
        assert!(reached(false) < 4);
    }

    #[test]
    fn the_same_choices_make_the_same_call() {
        let mut choices = Random::of(Choices::new(1));
        choices.source().begin(&Found::default());
        let first: Vec<u64> = (0..5).map(|_| choices.number()).collect();
        choices.source().script.extend(&first);
        let second: Vec<u64> = (0..5).map(|_| choices.number()).collect();
        assert_eq!(first, second);
        assert_ne!(first[0], choices.number());
    }
}
