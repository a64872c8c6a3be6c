// SPDX-License-Identifier: GPL-2.0

//! What is written is read back by tshark, which is the user's own reader.

use nftrace_core::hook::Family;
use nftrace_core::lives::Death;
use nftrace_core::packet::{
    Fragment, Icmp, Packet, Ports, Protocol, Quoted, Transport, Transport::None as Nothing,
};
use nftrace_core::record::{Conntrack, ConntrackState, DropSite, Socket};

use super::*;

mod made;

use made::{device, frame, has, packet, site, tcp, tshark, without_headers, Named};

#[test]
fn a_syn_through_two_namespaces_is_two_packets_at_named_interfaces() {
    let mut web = site(Hook::PreRouting, 7, "eth0");
    web.time += 5_000;
    let conntrack = Conntrack {
        id: 77,
        state: ConntrackState::New,
        reply: false,
        status: 0,
        src: "10.10.10.3".parse().unwrap(),
        dst: "10.10.10.2".parse().unwrap(),
        ports: Some(Ports {
            src: 5000,
            dst: 8081,
        }),
    };
    let mut host = site(Hook::Forward, 1, "br0");
    host.conntrack = Some(conntrack);
    host.mark = 0x2a;
    host.socket = Some(Socket {
        uid: 1000,
        classid: 0x10_0001,
        cgroup: 99,
    });
    let syn = packet(
        "10.10.10.3",
        "172.17.0.2",
        Protocol::TCP,
        tcp(5000, 8080, 2),
    );
    let packets = tshark(&[frame(&host, &syn, 0), frame(&web, &syn, 0)]);
    assert_eq!(packets.len(), 2);
    let interface = |n: usize| packets[n]["frame"]["frame.interface_id_tree"].clone();
    has(
        &interface(0),
        &[
            ("frame.interface_name", "host/br0"),
            (
                "frame.interface_description",
                "network namespace 4026531001, cookie 1",
            ),
        ],
    );
    has(&interface(1), &[("frame.interface_name", "web/eth0")]);
    let first = &packets[0];
    has(
        &first["frame"],
        &[
            ("frame.time_epoch", "1700000001.000000000"),
            ("frame.len", "60"),
        ],
    );
    has(
        &first["ip"],
        &[
            ("ip.src", "10.10.10.3"),
            ("ip.dst", "172.17.0.2"),
            ("ip.id", "0x1234"),
        ],
    );
    has(
        &first["tcp"],
        &[
            ("tcp.srcport", "5000"),
            ("tcp.dstport", "8080"),
            ("tcp.flags", "0x0002"),
            ("tcp.len", "0"),
        ],
    );
    assert_eq!(packets[1]["frame"]["frame.time_delta"], "0.000005000");
    let comment = first["pkt_comment"]["frame.comment"].to_string();
    for part in [
        "hook=FORWARD verdict=accept",
        "skb=5f3a9c10",
        "mark=0x2a",
        "ct=new",
        "ct_original=10.10.10.3:5000>10.10.10.2:8081",
        "uid=1000 classid=0x100001 cgroup=99",
    ] {
        assert!(comment.contains(part), "{part} is not in {comment}");
    }
}

#[test]
fn data_that_was_not_recorded_is_missing_and_nothing_looks_damaged() {
    let mut site = site(Hook::LocalOut, 7, "");
    site.output = device("eth0");
    let mut frames = Vec::new();
    let mut add = |len: u32, packet: Packet| {
        site.len = len;
        frames.push(frame(&site, &packet, 0));
    };
    let ports = |src, dst| Transport::Ports(Ports { src, dst });
    add(
        1500,
        packet("10.0.0.1", "10.0.0.2", Protocol::TCP, tcp(1, 80, 0x18)),
    );
    add(
        1500,
        packet(
            "2001:db8::1",
            "2001:db8::2",
            Protocol::TCP,
            tcp(1, 443, 0x18),
        ),
    );
    add(
        200,
        packet("2001:db8::1", "2001:db8::2", Protocol::UDP, ports(1, 53)),
    );
    add(
        28,
        packet("10.0.0.1", "10.0.0.2", Protocol::UDP, ports(1, 9)),
    );
    add(
        60,
        packet("10.0.0.1", "10.0.0.2", Protocol::UDPLITE, ports(1, 9)),
    );
    add(
        90,
        packet("10.0.0.1", "10.0.0.2", Protocol::SCTP, ports(1, 9)),
    );
    add(
        70_000,
        packet("10.0.0.1", "10.0.0.2", Protocol::TCP, tcp(1, 80, 0x10)),
    );
    add(40, packet("10.0.0.1", "10.0.0.2", Protocol(50), Nothing));
    let echo = Icmp {
        kind: 8,
        code: 0,
        quoted: None,
    };
    add(
        84,
        packet(
            "10.0.0.1",
            "10.0.0.2",
            Protocol::ICMP,
            Transport::Icmp(echo),
        ),
    );
    let mut fragment = packet("10.0.0.1", "10.0.0.2", Protocol::UDP, Nothing);
    fragment.fragment = Some(Fragment {
        offset: 1480,
        more: false,
    });
    add(100, fragment);
    let packets = tshark(&frames);
    assert_eq!(packets.len(), frames.len());
    has(
        &packets[0]["tcp"],
        &[("tcp.len", "1460"), ("tcp.flags", "0x0018")],
    );
    has(
        &packets[1]["ipv6"],
        &[("ipv6.src", "2001:db8::1"), ("ipv6.dst", "2001:db8::2")],
    );
    has(
        &packets[2]["udp"],
        &[("udp.dstport", "53"), ("udp.length", "160")],
    );
    has(&packets[6]["frame"], &[("frame.len", "70000")]);
    has(&packets[8]["icmp"], &[("icmp.type", "8")]);
    // In units of eight bytes.
    has(&packets[9]["ip"], &[("ip.frag_offset", "185")]);
    for packet in &packets {
        has(
            &packet["frame"]["frame.interface_id_tree"],
            &[("frame.interface_name", "web/eth0")],
        );
    }
}

#[test]
fn an_icmp_error_shows_whom_it_is_about() {
    let mut site = site(Hook::PreRouting, 9, "eth0");
    for (src, dst, protocol, kind, layer) in [
        ("10.0.0.1", "10.0.0.2", Protocol::ICMP, 3, "icmp"),
        ("2001:db8::1", "2001:db8::2", Protocol::ICMPV6, 1, "icmpv6"),
    ] {
        let icmp = Icmp {
            kind,
            code: 1,
            quoted: Some(Quoted {
                src: dst.parse().unwrap(),
                dst: src.parse().unwrap(),
                protocol: Protocol::UDP,
                ports: Some(Ports {
                    src: 5353,
                    dst: 8080,
                }),
            }),
        };
        site.len = 200;
        let frame = frame(&site, &packet(src, dst, protocol, Transport::Icmp(icmp)), 0);
        let packets = tshark(&[frame]);
        let quoted = packets[0][layer].to_string();
        for part in [r#""udp.srcport":"5353""#, r#""udp.dstport":"8080""#] {
            assert!(quoted.contains(part), "{part} is not in {quoted}");
        }
        // What has no name is called by its number.
        has(
            &packets[0]["frame"]["frame.interface_id_tree"],
            &[("frame.interface_name", "4026531009/eth0")],
        );
    }
}

#[test]
fn a_gap_and_a_drop_are_told_with_the_packet_behind_them() {
    let first = site(Hook::PreRouting, 1, "eth0");
    let syn = packet("10.0.0.1", "10.0.0.2", Protocol::TCP, tcp(1, 2, 2));
    let mut site = DropSite {
        time: first.time,
        death: Death {
            skb: 1,
            signature: 0,
            cookie: 1,
            inode: 4_026_531_001,
            hook: Hook::Forward,
            family: Family::Ipv4,
            len: first.len,
        },
        len: first.len,
        cpu: 3,
        reason: 5,
        name: b"NETFILTER_DROP",
        location: b"nft_do_chain[nf_tables]",
        logged: false,
    };
    let drop = Frame {
        position: 1,
        lost: 12,
        record: Record::of_drop(&site, &syn),
    };
    site.name = b"NO_SOCKET";
    let nameless = Frame {
        position: 2,
        lost: 0,
        record: without_headers(&site, &syn),
    };
    let packets = tshark(&[
        frame(&first, &syn, 0),
        drop,
        nameless,
        frame(&first, &syn, 0),
    ]);
    assert_eq!(packets.len(), 3, "a drop without headers has no packet");
    let comments = |n: usize| packets[n]["pkt_comment"].to_string();
    assert!(!comments(0).contains("lost"), "{}", comments(0));
    assert!(
        comments(1).contains("drop=NETFILTER_DROP location=nft_do_chain[nf_tables]"),
        "{}",
        comments(1)
    );
    assert!(
        comments(1).contains("lost 12 records on CPU 3 here"),
        "{}",
        comments(1)
    );
    assert!(
        comments(2).contains("without headers: hook=FORWARD drop=NO_SOCKET"),
        "{}",
        comments(2)
    );
}

#[test]
fn a_gap_behind_the_last_packet_is_told_with_the_statistics() {
    let site = site(Hook::PreRouting, 1, "eth0");
    let syn = packet("10.0.0.1", "10.0.0.2", Protocol::TCP, tcp(1, 2, 2));
    for frames in [&[frame(&site, &syn, 0)][..], &[]] {
        let mut writer = Writer::new(Vec::new(), &Host::default()).unwrap();
        for frame in frames {
            writer.frame(frame, &Named).unwrap();
        }
        let gap = Frame {
            position: 9,
            lost: 33,
            record: Record::EMPTY,
        };
        writer.frame(&gap, &Named).unwrap();
        let bytes = writer.finish().unwrap();
        let mut reader = pcap_file::pcapng::PcapNgReader::new(&bytes[..]).unwrap();
        let mut told = String::new();
        while let Some(block) = reader.next_block() {
            if let pcap_file::pcapng::Block::InterfaceStatistics(block) = block.unwrap() {
                told.push_str(&format!("{:?}", block.options));
            }
        }
        assert!(told.contains("lost 33 records in all"), "{told}");
        assert!(told.contains("lost 33 records on CPU 0 here"), "{told}");
    }
}
