// SPDX-License-Identifier: GPL-2.0

//! What comes of an attempt to get through, for each verdict at each hook: one port each.

use std::fmt::Write as _;

/// A hook on the way to a port, and from where the attempt comes.
struct Place {
    hook: &'static str,
    namespace: &'static str,
    from: &'static str,
    to: [&'static str; 2],
}

const CTR: [&str; 2] = ["172.17.0.2", "fd00:17::2"];
const HOST: [&str; 2] = ["172.17.0.1", "fd00:17::1"];

const PLACES: [Place; 12] = [
    place("local_out", "netns:outside", "outside", CTR),
    place("post_routing", "netns:outside", "outside", CTR),
    place("pre_routing", "host", "outside", CTR),
    place("forward", "host", "outside", CTR),
    place("post_routing", "host", "outside", CTR),
    place("bridge local_out", "host", "outside", CTR),
    place("bridge post_routing", "host", "outside", CTR),
    place("pre_routing", "netns:ctr", "outside", CTR),
    place("local_in", "netns:ctr", "outside", CTR),
    place("bridge pre_routing", "host", "other", CTR),
    place("bridge forward", "host", "other", CTR),
    place("bridge local_in", "host", "other", HOST),
];

const fn place(
    hook: &'static str,
    namespace: &'static str,
    from: &'static str,
    to: [&'static str; 2],
) -> Place {
    Place {
        hook,
        namespace,
        from,
        to,
    }
}

const VERDICTS: [&str; 13] = [
    "accept",
    "shadow drop",
    "drop",
    "reject",
    "reject with tcp-reset",
    "reject with port-unreachable",
    "reject with host-unreachable",
    "reject with net-unreachable",
    "reject with admin-prohibited",
    // Nobody listens to 9; 5 is accepted by who listens, 6 is dropped.
    "queue 9 else accept",
    "queue 9 else drop",
    "queue 5 else drop",
    "queue 6 else accept",
];

/// Behind these ports, somebody listens in `ctr` and on the host.
pub(crate) const FIRST_PORT: u16 = 9000;

/// An attempt, and what is to come of it.
pub(crate) struct Attempt {
    pub(crate) rule: String,
    pub(crate) from: &'static str,
    pub(crate) protocol: &'static str,
    pub(crate) address: &'static str,
    pub(crate) port: u16,
    pub(crate) expected: &'static str,
}

impl Attempt {
    pub(crate) fn name(&self) -> String {
        format!("{} {} {}", self.protocol, self.address, self.port)
    }
}

/// Why a hook cannot have a verdict.
pub(crate) fn refusal(hook: &str, verdict: &str) -> Option<&'static str> {
    let is_bridge = hook.starts_with("bridge ");
    if verdict.starts_with("reject") {
        return match hook {
            _ if is_bridge => Some("a bridge has no address to answer from"),
            "post_routing" => Some("nobody could be told"),
            _ => None,
        };
    }
    (verdict.starts_with("queue") && is_bridge).then_some("queues are those of the IP families")
}

/// What who connects to, or sends to, the port gets to know.
fn expected(
    hook: &str,
    namespace: &str,
    verdict: &str,
    protocol: &str,
    is_ipv4: bool,
) -> &'static str {
    let is_tcp = protocol == "tcp";
    let told_by_send = !is_tcp && namespace == "netns:outside";
    match verdict {
        "accept" | "shadow drop" | "queue 9 else accept" | "queue 5 else drop" => "passes",
        "drop" if told_by_send => "not-permitted",
        _ if !verdict.starts_with("reject") => "silence",
        // Who connects, or sends, is told at once, whatever others would get.
        _ if hook == "local_out" => "refused",
        "reject with host-unreachable" if is_tcp => "no-host",
        "reject with net-unreachable" if is_tcp => "no-net",
        "reject with admin-prohibited" if is_tcp && is_ipv4 => "no-host",
        "reject with admin-prohibited" if is_tcp => "prohibited",
        // Else only what says that the port is not there reaches a socket of UDP.
        "reject with host-unreachable" | "reject with net-unreachable" if is_ipv4 => "silence",
        "reject with host-unreachable" | "reject with net-unreachable" => "silence",
        "reject with admin-prohibited" if is_ipv4 => "no-host",
        "reject with admin-prohibited" => "prohibited",
        _ => "refused",
    }
}

/// All attempts.
pub(crate) fn attempts() -> Vec<Attempt> {
    let mut all = Vec::new();
    let mut port = FIRST_PORT;
    for place in &PLACES {
        for verdict in VERDICTS {
            if refusal(place.hook, verdict).is_some() {
                continue;
            }
            for protocol in ["tcp", "udp"] {
                if protocol == "udp" && verdict == "reject with tcp-reset" {
                    continue;
                }
                port += 1;
                for (is_ipv4, address) in [true, false].into_iter().zip(place.to) {
                    all.push(Attempt {
                        rule: format!(
                            "{verdict} {protocol} to any port {port} at {} in {}",
                            place.hook, place.namespace
                        ),
                        from: place.from,
                        protocol,
                        address,
                        port,
                        expected: expected(place.hook, place.namespace, verdict, protocol, is_ipv4),
                    });
                }
            }
        }
    }
    all
}

/// The policy that all attempts meet.
pub(crate) fn policy(attempts: &[Attempt]) -> String {
    let mut rules: Vec<&str> = attempts
        .iter()
        .map(|attempt| attempt.rule.as_str())
        .collect();
    rules.dedup();
    rules.join("\n") + "\n"
}

/// The attempts from one namespace, as `knock` reads them.
pub(crate) fn list(attempts: &[Attempt], from: &str) -> String {
    let mut text = String::new();
    for attempt in attempts.iter().filter(|attempt| attempt.from == from) {
        writeln!(text, "{}", attempt.name()).expect("memory");
    }
    text
}

/// Each verdict at each hook that refuses it, and why.
pub(crate) fn refused() -> Vec<(String, &'static str)> {
    let mut all = Vec::new();
    for place in &PLACES {
        for verdict in VERDICTS {
            if let Some(reason) = refusal(place.hook, verdict) {
                all.push((format!("{verdict} tcp at {}", place.hook), reason));
            }
        }
    }
    all
}
