// SPDX-License-Identifier: GPL-2.0

//! What a policy does with a packet, and why: asked of the kernel's own classifier.

mod described;
mod engine;
mod facts;
mod named;
mod packet;
mod subject;

pub use described::Described;
pub use engine::{decide, explain, minds_new_namespaces, Explanation, Tried, Why};
pub use named::{cgroup_ids, cgroup_paths, Meaning, Named};
pub use packet::parse_packet;
pub use subject::Circumstances;

use crate::ast::{Place, State};
use crate::words::{self, PlaceName};
use nftrace_core::policy::layout::Answer;
use nftrace_core::policy::Action;

/// A hook as rules say it, as in `local_in` and `bridge forward`.
#[must_use]
pub fn place_name(place: Place) -> String {
    PlaceName(place).to_string()
}

/// The hook of that name.
///
/// # Errors
///
/// There is none; with the nearest one.
pub fn place(name: &str) -> Result<Place, String> {
    let words: Vec<&str> = name.split_whitespace().collect();
    let said = words.join(" ");
    let names: Vec<String> = Place::all().map(place_name).collect();
    if let Some(place) = Place::all().find(|place| place_name(*place) == said) {
        return Ok(place);
    }
    let usual = words.last().and_then(|word| words::usual(word));
    let known = names.iter().map(String::as_str);
    let near = usual
        .filter(|usual| names.iter().any(|name| name == usual))
        .or_else(|| words::nearest(&said, known));
    Err(match near {
        Some(near) => format!("`{name}` is no hook: did you mean `{near}`?"),
        None => format!("`{name}` is no hook: there are {}", names.join(", ")),
    })
}

/// The conntrack state of that name.
///
/// # Errors
///
/// There is none; with the nearest one.
pub fn state(name: &str) -> Result<State, String> {
    let names = State::ALL.map(State::name);
    let found = State::ALL.into_iter().find(|state| state.name() == name);
    found.ok_or_else(|| match words::nearest(name, names) {
        Some(near) => format!("`{name}` is no state: did you mean `{near}`?"),
        None => format!("`{name}` is no state: there are {}", names.join(", ")),
    })
}

/// What becomes of a packet, as rules say it.
#[must_use]
pub fn action_text(action: Action) -> String {
    match action {
        Action::Accept => "accept".to_string(),
        Action::Drop => "drop".to_string(),
        Action::Reject(answer) => match answer {
            Answer::Fitting => "reject".to_string(),
            Answer::TcpReset => "reject with tcp-reset".to_string(),
            Answer::PortUnreachable => "reject with port-unreachable".to_string(),
            Answer::HostUnreachable => "reject with host-unreachable".to_string(),
            Answer::NetUnreachable => "reject with net-unreachable".to_string(),
            Answer::AdminProhibited => "reject with admin-prohibited".to_string(),
        },
        Action::Queue {
            number,
            else_accept,
        } => {
            let otherwise = if else_accept { "accept" } else { "drop" };
            format!("queue {number} else {otherwise}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_hook_is_found_by_the_name_that_it_is_shown_with() {
        for one in Place::all() {
            assert_eq!(place(&place_name(one)), Ok(one));
        }
        assert_eq!(place("bridge   forward"), place("bridge forward"));
        let error = place("input").unwrap_err();
        assert!(error.contains("`local_in`"), "{error}");
        let error = place("forwad").unwrap_err();
        assert!(error.contains("`forward`"), "{error}");
    }

    #[test]
    fn a_state_that_is_none_is_answered_with_the_nearest_one() {
        assert_eq!(state("related"), Ok(State::Related));
        let error = state("establised").unwrap_err();
        assert!(error.contains("`established`"), "{error}");
    }
}
