// SPDX-License-Identifier: GPL-2.0

//! The hooks that a packet passes.

use nftrace_core::hook::Hook;
use nftrace_core::policy::{Action, Place};
use nftrace_policy::ast::State;
use nftrace_policy::explain::{Circumstances, Described, Explanation};

/// The hooks that a packet with these devices passes, and whether they are its way: without
/// devices nobody knows, and each hook is asked.
pub(crate) fn usual(packet: &Described) -> (Vec<Place>, bool) {
    let hooks: &[Hook] = match (&packet.input, &packet.output) {
        (Some(_), Some(_)) => &[Hook::PreRouting, Hook::Forward, Hook::PostRouting],
        (Some(_), None) => &[Hook::PreRouting, Hook::LocalIn],
        (None, Some(_)) => &[Hook::LocalOut, Hook::PostRouting],
        (None, None) => &Hook::ALL,
    };
    let place = |hook: &Hook| Place {
        hook: *hook,
        is_bridge: false,
    };
    let is_way = hooks.len() < Hook::ALL.len();
    (hooks.iter().map(place).collect(), is_way)
}

/// Asks at one hook after the other; where they are a way, up to that where it ends.
pub(crate) fn ask(
    places: &[Place],
    is_way: bool,
    mut explain: impl FnMut(Place) -> Explanation,
) -> Vec<Explanation> {
    let mut found = Vec::new();
    for place in places {
        let explanation = explain(*place);
        let goes_on = explanation.decision.action == Action::Accept;
        found.push(explanation);
        if is_way && !goes_on {
            break;
        }
    }
    found
}

/// The packet as it looks in these circumstances: no connection begins in its midst.
pub(crate) fn fitting(packet: Described, around: &Circumstances) -> Described {
    if around.state == State::Established {
        packet.of_connection()
    } else {
        packet
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nftrace_policy::explain::{parse_packet, place_name};

    fn way(devices: &str) -> (Vec<String>, bool) {
        let packet = parse_packet(&format!("udp 10.0.0.1:1 > 10.0.0.2:2 {devices}")).unwrap();
        let (places, is_way) = usual(&packet);
        (places.into_iter().map(place_name).collect(), is_way)
    }

    #[test]
    fn the_devices_tell_the_way_of_a_packet() {
        let hooks = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        assert_eq!(way("in eth0"), (hooks(&["pre_routing", "local_in"]), true));
        assert_eq!(
            way("out eth0"),
            (hooks(&["local_out", "post_routing"]), true)
        );
        let routed = hooks(&["pre_routing", "forward", "post_routing"]);
        assert_eq!(way("in eth0 out br0"), (routed, true));
        assert_eq!((way("").0.len(), way("").1), (5, false));
    }
}
