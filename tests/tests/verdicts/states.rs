// SPDX-License-Identifier: GPL-2.0

//! What conntrack says of packets at the hooks that know it. tests/lab/verdicts.sh makes
//! the connections: a datagram and its echo; one to a port where nobody is; one that is
//! not tracked; and one that conntrack has forgotten in the middle.

const STATES: [&str; 5] = ["new", "established", "related", "invalid", "untracked"];

/// Packets of one kind, and the one state that they are in.
struct Kind {
    packets: &'static str,
    state: &'static str,
    at: &'static [&'static str],
}

/// On the way to the container. The container's own conntrack never heard of what the
/// host's does not track.
const THERE: &[&str] = &[
    "forward in host",
    "post_routing in host",
    "local_in in netns:ctr",
];
const BACK: &[&str] = &[
    "forward in host",
    "post_routing in host",
    "local_in in netns:outside",
];
const HOST: &[&str] = &["forward in host", "post_routing in host"];

const KINDS: [Kind; 8] = [
    kind("udp to any port 9000", "new", THERE),
    kind("udp from any port 9000", "established", BACK),
    kind("udp to any port 7", "new", THERE),
    kind("icmp type 3 code 3", "related", BACK),
    kind("icmpv6 type 1 code 4", "related", BACK),
    kind("udp to any port 9001", "untracked", HOST),
    kind("udp from any port 9001", "untracked", HOST),
    // Data behind the handshake, which its flags tell from it.
    kind("tcp flags psh/psh to any port 9002", "invalid", HOST),
];

const fn kind(packets: &'static str, state: &'static str, at: &'static [&'static str]) -> Kind {
    Kind { packets, state, at }
}

/// Each rule, and whether it matches.
pub(crate) fn rules() -> Vec<(String, bool)> {
    let mut rules = Vec::new();
    for Kind { packets, state, at } in &KINDS {
        let families: &[&str] = match packets {
            _ if packets.starts_with("icmpv6") => &["ipv6"],
            _ if packets.starts_with("icmp") => &["ipv4"],
            _ => &["ipv4", "ipv6"],
        };
        for family in families {
            for place in *at {
                for one in STATES {
                    let rule = format!("shadow drop {one} {family} {packets} at {place}");
                    rules.push((rule, one == *state));
                }
                let others: Vec<&str> = STATES.into_iter().filter(|one| one != state).collect();
                let others = others.join(", ");
                let rule = format!("shadow drop {others} {family} {packets} at {place}");
                rules.push((rule, false));
            }
        }
    }
    rules
}
