// SPDX-License-Identifier: GPL-2.0

//! Three settings of the model. The figures are judgement of what such rule sets are like.

use super::model::{Crowd, Model, PortClass};
use crate::rules::{TCP, UDP};
use PortClass::{Exact, High, Low, Range, Wildcard};

/// GRE, as tunnels use it.
const GRE: Option<u8> = Some(47);
/// ESP, of IPsec.
const ESP: Option<u8> = Some(50);
const ICMP: Option<u8> = Some(1);

/// An access list at a router: services of a few networks, for sources near and far.
pub(super) fn acl() -> Model {
    Model {
        lengths: vec![
            (18, ([0, 0], [32, 32])),
            (16, ([16, 24], [32, 32])),
            (14, ([24, 28], [28, 32])),
            (14, ([32, 32], [32, 32])),
            (12, ([20, 24], [24, 28])),
            (10, ([32, 32], [24, 28])),
            (8, ([8, 16], [24, 32])),
            (4, ([0, 0], [20, 27])),
            (4, ([24, 32], [0, 0])),
        ],
        sources: Crowd {
            branches: [40, 64, 96, 128],
            skew: 1.6,
        },
        destinations: Crowd {
            branches: [4, 12, 128, 250],
            skew: 1.8,
        },
        protocols: vec![(76, Some(TCP)), (14, Some(UDP)), (3, ICMP), (7, None)],
        ports: vec![
            (56, (Wildcard, Exact)),
            (14, (Wildcard, Range)),
            (13, (Wildcard, Wildcard)),
            (8, (Wildcard, High)),
            (3, (Wildcard, Low)),
            (4, (High, Exact)),
            (2, (Exact, Wildcard)),
        ],
        disorder: 14.0,
    }
}

/// A firewall between zones: one end is often any, and both have ports.
pub(super) fn fw() -> Model {
    Model {
        lengths: vec![
            (22, ([0, 0], [32, 32])),
            (14, ([32, 32], [0, 0])),
            (14, ([0, 0], [16, 30])),
            (12, ([12, 24], [0, 0])),
            (8, ([0, 0], [0, 0])),
            (10, ([24, 32], [24, 32])),
            (12, ([32, 32], [32, 32])),
            (8, ([8, 24], [8, 24])),
        ],
        sources: Crowd {
            branches: [6, 24, 128, 200],
            skew: 2.2,
        },
        destinations: Crowd {
            branches: [10, 32, 128, 200],
            skew: 2.0,
        },
        protocols: vec![
            (54, Some(TCP)),
            (27, Some(UDP)),
            (5, ICMP),
            (3, GRE),
            (2, ESP),
            (9, None),
        ],
        ports: vec![
            (26, (Wildcard, Exact)),
            (14, (Exact, Wildcard)),
            (10, (High, Exact)),
            (8, (Exact, High)),
            (12, (Wildcard, Range)),
            (6, (Range, Wildcard)),
            (6, (High, High)),
            (5, (Exact, Exact)),
            (5, (Range, Range)),
            (4, (Low, High)),
            (4, (Wildcard, Wildcard)),
        ],
        disorder: 20.0,
    }
}

/// Chains between known machines and subnets: both ends narrow, every kind of ports.
pub(super) fn ipc() -> Model {
    Model {
        lengths: vec![
            (30, ([32, 32], [32, 32])),
            (16, ([24, 30], [32, 32])),
            (12, ([32, 32], [24, 30])),
            (14, ([22, 28], [22, 28])),
            (8, ([16, 22], [26, 32])),
            (7, ([26, 32], [16, 22])),
            (5, ([0, 8], [30, 32])),
            (5, ([30, 32], [0, 8])),
            (3, ([8, 16], [8, 16])),
        ],
        sources: Crowd {
            branches: [12, 24, 80, 200],
            skew: 1.4,
        },
        destinations: Crowd {
            branches: [12, 24, 80, 200],
            skew: 1.3,
        },
        protocols: vec![
            (46, Some(TCP)),
            (25, Some(UDP)),
            (6, ICMP),
            (2, ESP),
            (21, None),
        ],
        ports: vec![
            (30, (Wildcard, Exact)),
            (22, (Wildcard, Wildcard)),
            (12, (Wildcard, Range)),
            (10, (Exact, Exact)),
            (8, (Exact, Wildcard)),
            (6, (High, Exact)),
            (4, (Range, Exact)),
            (4, (Low, Low)),
            (4, (High, High)),
        ],
        disorder: 10.0,
    }
}
