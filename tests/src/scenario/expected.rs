// SPDX-License-Identifier: GPL-2.0

//! The ways of packets in the scenarios, each a table of one packet's records.

use super::Expected;

/// S1: a published port, `tests/lab/s1.sh`.
///
/// The address of the host is rewritten between its `PRE_ROUTING` and its
/// `FORWARD`, and back behind its `POST_ROUTING`.
pub const S1: Expected = Expected {
    request: "
        outside LOCAL_OUT    dev=-      in=-      out=eth0   10.10.10.3 P > 10.10.10.2 8081
        outside POST_ROUTING dev=eth0   in=-      out=eth0   10.10.10.3 P > 10.10.10.2 8081
        host    PRE_ROUTING  dev=ens160 in=ens160 out=-      10.10.10.3 P > 10.10.10.2 8081
        host    FORWARD      dev=ens160 in=ens160 out=br0    10.10.10.3 P > 172.17.0.2 8080
        host    POST_ROUTING dev=br0    in=ens160 out=br0    10.10.10.3 P > 172.17.0.2 8080
        ctr     PRE_ROUTING  dev=eth0   in=eth0   out=-      10.10.10.3 P > 172.17.0.2 8080
        ctr     LOCAL_IN     dev=eth0   in=eth0   out=-      10.10.10.3 P > 172.17.0.2 8080
    ",
    reply: "
        ctr     LOCAL_OUT    dev=-      in=-      out=eth0   172.17.0.2 8080 > 10.10.10.3 P
        ctr     POST_ROUTING dev=eth0   in=-      out=eth0   172.17.0.2 8080 > 10.10.10.3 P
        host    PRE_ROUTING  dev=br0    in=br0    out=-      172.17.0.2 8080 > 10.10.10.3 P
        host    FORWARD      dev=br0    in=br0    out=ens160 172.17.0.2 8080 > 10.10.10.3 P
        host    POST_ROUTING dev=ens160 in=br0    out=ens160 172.17.0.2 8080 > 10.10.10.3 P
        outside PRE_ROUTING  dev=eth0   in=eth0   out=-      10.10.10.2 8081 > 10.10.10.3 P
        outside LOCAL_IN     dev=eth0   in=eth0   out=-      10.10.10.2 8081 > 10.10.10.3 P
    ",
};

/// Two containers on one bridge: what stands between the two, written once for
/// all of S2 and S3, for each family of addresses.
macro_rules! two_containers {
    ($a:literal, $b:literal, [$($there:literal)*], [$($back:literal)*]) => {
        Expected {
            request: concat!(
                "ctrA LOCAL_OUT    dev=-    in=-    out=eth0 ", $a, " P > ", $b, " 8080\n",
                "ctrA POST_ROUTING dev=eth0 in=-    out=eth0 ", $a, " P > ", $b, " 8080\n",
                $($there, " ", $a, " P > ", $b, " 8080\n",)*
                "ctrB PRE_ROUTING  dev=eth0 in=eth0 out=-    ", $a, " P > ", $b, " 8080\n",
                "ctrB LOCAL_IN     dev=eth0 in=eth0 out=-    ", $a, " P > ", $b, " 8080\n",
            ),
            reply: concat!(
                "ctrB LOCAL_OUT    dev=-    in=-    out=eth0 ", $b, " 8080 > ", $a, " P\n",
                "ctrB POST_ROUTING dev=eth0 in=-    out=eth0 ", $b, " 8080 > ", $a, " P\n",
                $($back, " ", $b, " 8080 > ", $a, " P\n",)*
                "ctrA PRE_ROUTING  dev=eth0 in=eth0 out=-    ", $b, " 8080 > ", $a, " P\n",
                "ctrA LOCAL_IN     dev=eth0 in=eth0 out=-    ", $b, " 8080 > ", $a, " P\n",
            ),
        }
    };
}

/// S2: the host's IP hooks see nothing.
pub const S2_IPV4: Expected = two_containers!("172.17.0.2", "172.17.0.3", [], []);

/// S2 over IPv6.
pub const S2_IPV6: Expected = two_containers!("fd00:17::2", "fd00:17::3", [], []);

/// S2 with `bridge=1`: the host's bridge hooks see the packet pass.
pub const S2_BRIDGE: Expected = two_containers!(
    "172.17.0.2", "172.17.0.3",
    [
        "host bridge PRE_ROUTING  dev=vethA in=vethA out=-"
        "host bridge FORWARD      dev=vethB in=vethA out=vethB"
        "host bridge POST_ROUTING dev=vethB in=-     out=vethB"
    ],
    [
        "host bridge PRE_ROUTING  dev=vethB in=vethB out=-"
        "host bridge FORWARD      dev=vethA in=vethB out=vethA"
        "host bridge POST_ROUTING dev=vethA in=-     out=vethA"
    ]
);

/// br_netfilter calls the host's IP hooks with the bridge for a device; from
/// `FORWARD` on the packet is already that of the port where it leaves.
macro_rules! through_br_netfilter {
    ($a:literal, $b:literal) => {
        two_containers!(
            $a,
            $b,
            [
                "host PRE_ROUTING  dev=br0   in=br0 out=-"
                "host FORWARD      dev=vethB in=br0 out=br0"
                "host POST_ROUTING dev=vethB in=-   out=br0"
            ],
            [
                "host PRE_ROUTING  dev=br0   in=br0 out=-"
                "host FORWARD      dev=vethA in=br0 out=br0"
                "host POST_ROUTING dev=vethA in=-   out=br0"
            ]
        )
    };
}

/// S3: S2, and the host's IP hooks see each packet once.
pub const S3_IPV4: Expected = through_br_netfilter!("172.17.0.2", "172.17.0.3");

/// S3 over IPv6.
pub const S3_IPV6: Expected = through_br_netfilter!("fd00:17::2", "fd00:17::3");

/// S3, but the second end is the host itself: br_netfilter has the packet pass
/// `PRE_ROUTING` for the bridge and the host would have it pass a second time.
pub const S3_LOCAL: Expected = Expected {
    request: "
        ctrA LOCAL_OUT    dev=-    in=-    out=eth0 172.17.0.2 P > 172.17.0.1 8080
        ctrA POST_ROUTING dev=eth0 in=-    out=eth0 172.17.0.2 P > 172.17.0.1 8080
        host PRE_ROUTING  dev=br0  in=br0  out=-    172.17.0.2 P > 172.17.0.1 8080
        host LOCAL_IN     dev=br0  in=br0  out=-    172.17.0.2 P > 172.17.0.1 8080
    ",
    reply: "
        host LOCAL_OUT    dev=-    in=-    out=br0  172.17.0.1 8080 > 172.17.0.2 P
        host POST_ROUTING dev=br0  in=-    out=br0  172.17.0.1 8080 > 172.17.0.2 P
        ctrA PRE_ROUTING  dev=eth0 in=eth0 out=-    172.17.0.1 8080 > 172.17.0.2 P
        ctrA LOCAL_IN     dev=eth0 in=eth0 out=-    172.17.0.1 8080 > 172.17.0.2 P
    ",
};
