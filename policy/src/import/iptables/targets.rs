// SPDX-License-Identifier: GPL-2.0

//! The targets of iptables.

use super::super::model::Action;
use crate::ast::{Basic, Otherwise, RejectWith, Verdict};

/// What stands behind `-j`.
pub(super) enum Target {
    Actions(Vec<Action>),
    /// A chain, if there is one of that name.
    Chain {
        name: String,
        is_goto: bool,
        /// What it is if not.
        otherwise: Option<Action>,
    },
}

/// Reads a target and its options.
pub(super) fn read(name: &str, is_goto: bool, options: &[String]) -> Target {
    let only = |action| Target::Actions(vec![action]);
    if is_goto {
        return Target::Chain {
            name: name.to_string(),
            is_goto,
            otherwise: None,
        };
    }
    let value = |option: &str| {
        let at = options.iter().position(|one| one == option)?;
        options.get(at + 1).map(String::as_str)
    };
    match name {
        "ACCEPT" => only(Action::Verdict(Verdict::Accept)),
        "DROP" => only(Action::Verdict(Verdict::Drop)),
        "RETURN" => only(Action::Return),
        "REJECT" => Target::Actions(reject(value("--reject-with"))),
        "NFQUEUE" => only(queue(options)),
        "QUEUE" => only(Action::Verdict(Verdict::Queue {
            number: 0,
            otherwise: Otherwise(Basic::Drop),
        })),
        "LOG" => only(Action::Log {
            prefix: value("--log-prefix").map(str::to_string),
        }),
        "MARK" | "CONNMARK" => only(Action::Marks(
            "it changes marks, which a policy does not".to_string(),
        )),
        _ => Target::Chain {
            name: name.to_string(),
            is_goto,
            otherwise: other(name),
        },
    }
}

/// A target that is carried over in no way.
fn other(name: &str) -> Option<Action> {
    let besides = |why: &str| Some(Action::Besides(format!("{name} {why}")));
    match name {
        "NFLOG" | "ULOG" => besides("sends packets to a program: `log` writes to the kernel's log"),
        "CT" | "NOTRACK" => besides("says how conntrack works, which a policy does not"),
        "TCPMSS" | "TCPOPTSTRIP" | "TOS" | "DSCP" | "TTL" | "HL" | "ECN" | "CHECKSUM"
        | "CLASSIFY" => besides("changes the packet, which a policy does not"),
        "SECMARK" | "CONNSECMARK" | "SET" | "TRACE" | "AUDIT" | "RATEEST" | "LED" | "IDLETIMER"
        | "TEE" => besides("decides nothing"),
        "SYNPROXY" | "TARPIT" | "TPROXY" | "DELUDE" | "CHAOS" | "STEAL" => Some(Action::Unknown(
            format!("the target {name}: there is no verdict like it here"),
        )),
        _ => None,
    }
}

/// The nearest answer, and what it differs in.
fn reject(with: Option<&str>) -> Vec<Action> {
    let with = with.unwrap_or("port-unreachable");
    let name = with
        .strip_prefix("icmp6-")
        .or_else(|| with.strip_prefix("icmp-"));
    let (with, is_same) = match name.unwrap_or(with) {
        "tcp-reset" | "tcp-rst" => (RejectWith::TcpReset, true),
        "port-unreachable" | "port-unreach" => (RejectWith::PortUnreachable, true),
        "host-unreachable" | "host-unreach" | "addr-unreachable" | "addr-unreach" => {
            (RejectWith::HostUnreachable, true)
        }
        "net-unreachable" | "net-unreach" | "no-route" => (RejectWith::NetUnreachable, true),
        "admin-prohibited" | "admin-prohib" | "adm-prohibited" => {
            (RejectWith::AdminProhibited, true)
        }
        _ => (RejectWith::AdminProhibited, false),
    };
    let verdict = Action::Verdict(Verdict::Reject(with));
    if is_same {
        return vec![verdict];
    }
    let name = name.unwrap_or_default();
    vec![
        Action::Differs(format!(
            "the sender is told admin-prohibited: {name} is no answer here"
        )),
        verdict,
    ]
}

fn queue(options: &[String]) -> Action {
    let mut number = 0;
    let mut otherwise = Basic::Drop;
    let mut words = options.iter();
    while let Some(word) = words.next() {
        match word.as_str() {
            "--queue-num" => match words.next().map(|text| text.parse()) {
                Some(Ok(said)) => number = said,
                _ => return Action::Unknown("the queue has no number".to_string()),
            },
            "--queue-bypass" => otherwise = Basic::Accept,
            other => {
                let why = "packets go to one queue here";
                return Action::Unknown(format!("NFQUEUE {other}: {why}"));
            }
        }
    }
    Action::Verdict(Verdict::Queue {
        number,
        otherwise: Otherwise(otherwise),
    })
}
