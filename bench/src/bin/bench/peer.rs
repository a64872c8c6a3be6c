// SPDX-License-Identifier: GPL-2.0

//! What is on the hook when it is measured.

use std::fmt;
use std::str::FromStr;

use anyhow::{anyhow, Error, Result};
use nftrace_bench::render::{self, Fields, Unable, Verdicts};
use nftrace_bench::rules::RuleSet;

/// `NF_INET_PRE_ROUTING` and `NF_INET_LOCAL_IN`.
const PRE_ROUTING: u8 = 0;
const LOCAL_IN: u8 = 1;

/// The port that is traced, or logged, where that is what is measured.
pub(crate) const PORT: u16 = 8080;

macro_rules! peers {
    ($($name:ident $text:literal $script:literal $about:literal,)*) => {
        /// A peer; `tests/lab/bench-peers.sh` sets it up.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub(crate) enum Peer {
            $(#[doc = $about] $name,)*
        }

        impl Peer {
            /// All of them.
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name,)*];

            /// Its name in cells.
            pub(crate) const fn name(self) -> &'static str {
                match self { $(Self::$name => $text,)* }
            }

            /// What sets it up in the guest.
            pub(crate) const fn script(self) -> &'static str {
                match self { $(Self::$name => $script,)* }
            }

            /// What it is, in words.
            pub(crate) const fn about(self) -> &'static str {
                match self { $(Self::$name => $about,)* }
            }
        }
    };
}

peers! {
    None "none" "none" "no hook: the loop of the benchmark",
    Empty "empty" "empty" "an empty hook in C",
    Empty8 "empty8" "empty8" "eight empty hooks in C",
    Drop "drop" "drop" "a hook in C that drops",
    Parse "parse" "parse" "a hook in C that reads five fields and drops",
    Idle "idle" "idle" "nftrace, nothing traced, no policy",
    TraceMiss "trace-miss" "trace" "nftrace, tracing another port",
    TraceHit "trace-hit" "trace" "nftrace, a record of each packet into the ring",
    TraceAgain "trace-again" "trace" "the same at the packet's second hook, LOCAL_IN",
    PortsMiss "ports-miss" "ports" "nftrace without the command (ports=), another port",
    PortsHit "ports-hit" "ports" "nftrace without the command (ports=), records for the kernel's log",
    Policy "policy" "policy" "nftrace, a policy",
    NftLinear "nft-linear" "nft" "nftables, a rule for each",
    NftRanges "nft-ranges" "nft" "nftables, one set of ranges (pipapo)",
    NftLayers "nft-layers" "nft" "nftables, a set of ranges for each layer of overlapping rules",
    NftHash "nft-hash" "nft" "nftables, a hash set of exact values",
    Legacy "iptables-legacy" "legacy" "iptables-legacy, a rule for each",
    IptablesNft "iptables-nft" "iptnft" "iptables-nft, a rule for each",
    Ipset "ipset" "ipset" "ipset behind one rule of iptables-legacy",
    NftMiss "nft-port-miss" "nft" "nftables, a rule with a counter for another port",
    NftLog "nft-log" "nft" "nftables, `log` of each packet, into the kernel's log",
    Tc "tc" "tc" "tc, clsact and matchall: drop",
    Netdev "nft-netdev" "netdev" "nftables, a chain at the device's ingress: drop",
    NftDrop "nft-drop" "nft" "nftables, a chain at prerouting: drop",
    LegacyDrop "iptables-drop" "legacy" "iptables-legacy, table raw: drop",
    PolicyDrop "policy-drop" "policy" "nftrace, a policy of one rule: drop",
    BpfMiss "bpftrace-miss" "bpftrace" "bpftrace, asking at nf_hook_slow() for another port",
    BpfHit "bpftrace-hit" "bpftrace" "bpftrace, printing a line for each packet at nf_hook_slow()",
    NftTrace "nft-trace" "nfttrace" "nftables, `meta nftrace set 1` with `nft monitor trace` running",
}

/// What nftrace records, as far as bpftrace sees it; `table` is that of the family in nft.
fn bpftrace(table: &str) -> String {
    let (header, [from, to]) = match table {
        "ip" => ("iphdr", ["saddr", "daddr"]),
        _ => ("ipv6hdr", ["saddr.in6_u.u6_addr8", "daddr.in6_u.u6_addr8"]),
    };
    format!(
        "fentry:vmlinux:nf_hook_slow {{
	$ip = (struct {header} *)(args.skb->head + args.skb->network_header);
	$tcp = (struct tcphdr *)(args.skb->head + args.skb->transport_header);
	$sport = bswap($tcp->source);
	$dport = bswap($tcp->dest);
	if ($sport == {PORT} || $dport == {PORT}) {{
		printf(\"%llu hook=%d ns=%u in=%s %s:%d > %s:%d\\n\", nsecs, args.state->hook,
			args.state->net->ns.inum, args.state->in->name,
			ntop($ip->{from}), $sport, ntop($ip->{to}), $dport);
	}}
}}
"
    )
}

impl Peer {
    /// Whether a rule costs time for each rule before it.
    pub(crate) const fn is_linear(self) -> bool {
        matches!(
            self,
            Self::NftLinear | Self::Legacy | Self::IptablesNft | Self::NftLayers
        )
    }

    /// Whether a packet costs ten thousands of instructions.
    pub(crate) const fn is_slow(self) -> bool {
        matches!(self, Self::NftLog | Self::NftTrace | Self::BpfHit)
    }

    /// Whether it drops all.
    pub(crate) const fn drops(self) -> bool {
        matches!(
            self,
            Self::Drop
                | Self::Parse
                | Self::Tc
                | Self::Netdev
                | Self::NftDrop
                | Self::LegacyDrop
                | Self::PolicyDrop
        )
    }

    /// Whether it is no netfilter hook of IP, so that only a whole path shows it.
    pub(crate) const fn is_before_ip(self) -> bool {
        matches!(self, Self::Tc | Self::Netdev)
    }

    /// Whether its packets are for [`PORT`].
    pub(crate) const fn is_hit(self) -> bool {
        matches!(
            self,
            Self::TraceHit
                | Self::TraceAgain
                | Self::PortsHit
                | Self::NftLog
                | Self::NftTrace
                | Self::BpfHit
        )
    }

    /// Which hook is called, and with which packets, as hook_bench calls them.
    pub(crate) const fn hook(self) -> (u8, &'static str) {
        match self {
            Self::TraceAgain => (LOCAL_IN, "after"),
            _ => (PRE_ROUTING, "fresh"),
        }
    }

    /// What it is given where there are no rules; `table` is that of the family in nft.
    pub(crate) fn plain(self, table: &str) -> Option<String> {
        let nft = |rule: &str| {
            format!(
                "table {table} bench {{\n\tchain c {{\n\t\ttype filter hook prerouting \
                 priority raw\n\t\tth dport {PORT} {rule}\n\t}}\n}}\n"
            )
        };
        match self {
            Self::TraceMiss | Self::TraceHit | Self::TraceAgain => Some(format!("--port {PORT}")),
            Self::PortsMiss | Self::PortsHit => Some(PORT.to_string()),
            Self::NftMiss => Some(nft("counter")),
            Self::NftLog => Some(nft("log prefix \"bench \"")),
            Self::NftTrace => Some(nft("meta nftrace set 1")),
            Self::BpfMiss | Self::BpfHit => Some(bpftrace(table)),
            Self::NftDrop => Some(format!(
                "table {table} bench {{\n\tchain c {{\n\t\ttype filter hook prerouting \
                 priority raw\n\t\tdrop\n\t}}\n}}\n"
            )),
            Self::LegacyDrop => Some("*raw\n-A PREROUTING -j DROP\nCOMMIT\n".to_owned()),
            Self::PolicyDrop => Some(format!(
                "drop {} at pre_routing\n",
                if table == "ip" { "ipv4" } else { "ipv6" }
            )),
            _ => None,
        }
    }

    /// The rules in its language. All of them drop.
    pub(crate) fn rules(self, set: &RuleSet) -> Result<String, Unable> {
        let verdicts = Verdicts::Drop;
        Ok(match self {
            Self::Policy => render::policy(set, verdicts),
            Self::NftLinear => render::nft_linear(set, verdicts),
            Self::NftRanges => render::nft_ranges(set, Fields::of(set), verdicts)?,
            Self::NftLayers => render::nft_layers(set, Fields::of(set), verdicts)?,
            Self::NftHash => render::nft_hash(set, verdicts)?,
            Self::Legacy | Self::IptablesNft => render::iptables(set, verdicts),
            Self::Ipset => {
                let (sets, rules) = render::ipset(set, verdicts)?;
                format!("{sets}---\n{rules}")
            }
            _ => String::new(),
        })
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Peer {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        let found = Self::ALL.iter().copied().find(|peer| peer.name() == name);
        found.ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.iter().map(|peer| peer.name()).collect();
            anyhow!("there is no peer `{name}`; there are {}", names.join(", "))
        })
    }
}
