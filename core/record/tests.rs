// SPDX-License-Identifier: GPL-2.0

use super::*;
use crate::packet::{Icmp, Quoted};
use proptest::prelude::*;

fn device(name: &str) -> Device {
    let mut device = Device {
        index: 0,
        name: [0; 16],
    };
    device.name[..name.len()].copy_from_slice(name.as_bytes());
    device
}

fn site() -> Site {
    Site {
        kind: Kind::Entry,
        hook: Hook::PreRouting,
        family: Family::Ipv4,
        time: 0,
        cookie: 1,
        inode: 4_026_531_833,
        dev: device("ens160"),
        input: device("ens160"),
        output: Device::NONE,
        skb: 0x5f3a_9c10,
        len: 60,
        mark: 0,
        gso_segs: 0,
        cpu: 0,
        conntrack: None,
        socket: None,
        logged: true,
    }
}

fn syn() -> Packet {
    Packet {
        src: "10.10.10.3".parse().unwrap(),
        dst: "10.10.10.2".parse().unwrap(),
        protocol: Protocol::TCP,
        fragment: None,
        id: 0,
        transport: Transport::Tcp(Tcp {
            ports: Ports {
                src: 38478,
                dst: 8081,
            },
            seq: 0,
            ack: 0,
            flags: 2,
        }),
    }
}

fn line(site: &Site, packet: &Packet) -> String {
    V1(&Record::new(site, packet)).to_string()
}

#[test]
fn a_line_is_that_of_the_grammar_to_the_letter() {
    assert_eq!(
        line(&site(), &syn()),
        "v1 hook=PRE_ROUTING pf=ipv4 ns=4026531833 cookie=1 dev=ens160 in=ens160 out=- proto=tcp \
         src=10.10.10.3:38478 dst=10.10.10.2:8081 flags=S len=60 skb=5f3a9c10 mark=0x0 \
         verdict=accept rule=-"
    );
}

#[test]
fn ipv6_addresses_stand_in_brackets_before_a_port() {
    let mut packet = syn();
    packet.src = "2001:db8::1".parse().unwrap();
    packet.dst = "2001:db8::2".parse().unwrap();
    assert!(line(&site(), &packet).contains(" src=[2001:db8::1]:38478 dst=[2001:db8::2]:8081 "));
    packet.transport = Transport::None;
    assert!(line(&site(), &packet).contains(" src=2001:db8::1 dst=2001:db8::2 flags=- "));
}

#[test]
fn a_fragment_says_where_it_belongs_and_whether_more_follow() {
    let mut packet = syn();
    packet.protocol = Protocol::UDP;
    packet.fragment = Some(Fragment {
        offset: 1480,
        more: true,
    });
    packet.transport = Transport::None;
    let text = line(&site(), &packet);
    assert!(
        text.contains(" proto=udp src=10.10.10.3 dst=10.10.10.2 flags=- "),
        "{text}"
    );
    assert!(text.ends_with(" rule=- frag=1480+"), "{text}");
    packet.fragment = Some(Fragment {
        offset: 2960,
        more: false,
    });
    assert!(line(&site(), &packet).ends_with(" frag=2960"));
}

#[test]
fn an_icmp_error_says_which_packet_it_is_about() {
    let mut packet = syn();
    packet.protocol = Protocol::ICMP;
    packet.transport = Transport::Icmp(Icmp {
        kind: 3,
        code: 1,
        quoted: Some(Quoted {
            src: packet.dst,
            dst: packet.src,
            protocol: Protocol::UDP,
            ports: Some(Ports {
                src: 8080,
                dst: 5353,
            }),
        }),
    });
    let text = line(&site(), &packet);
    assert!(
        text.ends_with(" rule=- icmp=3/1 quoted=udp,10.10.10.2:8080>10.10.10.3:5353"),
        "{text}"
    );
}

#[test]
fn tcp_flags_are_letters_and_the_absence_of_all_is_zero() {
    let flags = |flags| {
        let mut packet = syn();
        if let Transport::Tcp(tcp) = &mut packet.transport {
            tcp.flags = flags;
        }
        let text = line(&site(), &packet);
        let (_, rest) = text.split_once(" flags=").unwrap();
        rest.split(' ').next().unwrap().to_owned()
    };
    assert_eq!(flags(0x12), "SA");
    assert_eq!(flags(0x18), "PA");
    assert_eq!(flags(0x11), "FA");
    assert_eq!(flags(0xff), "SFRPAUEC");
    assert_eq!(flags(0), "0");
}

#[test]
fn a_device_name_cannot_break_a_line() {
    let mut name = [0; 16];
    name[..6].copy_from_slice(b"a\x1b\\=\xffb");
    assert_eq!(Device { index: 1, name }.to_string(), r"a\x1b\x5c=\xffb");
    assert_eq!(device("-").to_string(), r"\x2d");
    assert_eq!(
        Device {
            index: 1,
            name: *b"sixteen_bytes_16"
        }
        .to_string(),
        "sixteen_bytes_16"
    );
}

#[test]
fn the_classic_block_has_its_four_lines_with_inodes_for_pointers() {
    let mut site = site();
    let classic = |site: &Site| {
        Classic {
            record: &Record::new(site, &syn()),
            init_inode: 42,
        }
        .to_string()
    };
    assert_eq!(
        classic(&site),
        "==================================================== PRE_ROUTING\n\
         DEV: ens160, NS: 4026531833, INITNET: 42\n\
         IN DEV: ens160, NS: 4026531833, OUT DEV: (null), NS:           (null)\n\
         [0]: 10.10.10.3:38478->10.10.10.2:8081, skb: 5f3a9c10"
    );
    site.hook = Hook::LocalOut;
    site.dev = Device::NONE;
    site.input = Device::NONE;
    site.output = device("eth0");
    assert_eq!(
        classic(&site),
        "==================================================== LOCAL_OUT\n\
         DEV: (no dev), NS:           (null), INITNET: 42\n\
         IN DEV: (null), NS:           (null), OUT DEV: eth0, NS: 4026531833\n\
         [3]: 10.10.10.3:38478->10.10.10.2:8081, skb: 5f3a9c10"
    );
}

#[test]
fn a_line_is_found_behind_what_the_kernel_puts_before_it_and_later_keys_are_passed_over() {
    let text = line(&site(), &syn());
    let record = v1::parse(&format!("[   12.345678] nftrace: {text} colour=blue")).unwrap();
    assert_eq!(V1(&record).to_string(), text);
}

#[test]
fn other_lines_of_the_kernel_log_are_no_records() {
    for text in [
        "",
        "br0: port 1(veth) entered forwarding state",
        "nftrace: 0.1.0 loaded: ports=80",
        "nftrace: v1 hook=PRE_ROUTING pf=ipv4",
        "nftrace: v2 hook=PRE_ROUTING",
    ] {
        assert_eq!(v1::parse(text), None, "{text}");
    }
}

fn any_address_pair() -> impl Strategy<Value = (IpAddr, IpAddr)> {
    prop_oneof![
        any::<(Ipv4Addr, Ipv4Addr)>().prop_map(|(a, b)| (a.into(), b.into())),
        any::<(Ipv6Addr, Ipv6Addr)>().prop_map(|(a, b)| (a.into(), b.into())),
    ]
}

fn any_ports() -> impl Strategy<Value = Ports> {
    any::<(u16, u16)>().prop_map(|(src, dst)| Ports { src, dst })
}

prop_compose! {
    fn any_quoted(ipv6: bool)(
        v4 in any::<(Ipv4Addr, Ipv4Addr)>(),
        v6 in any::<(Ipv6Addr, Ipv6Addr)>(),
        protocol: u8,
        ports in proptest::option::of(any_ports()),
    ) -> Quoted {
        let (src, dst) = if ipv6 { (v6.0.into(), v6.1.into()) } else { (v4.0.into(), v4.1.into()) };
        Quoted { src, dst, protocol: Protocol(protocol), ports }
    }
}

fn any_transport(ipv6: bool) -> impl Strategy<Value = Transport> {
    prop_oneof![
        Just(Transport::None),
        any_ports().prop_map(Transport::Ports),
        (any_ports(), any::<(u32, u32, u8)>()).prop_map(|(ports, (seq, ack, flags))| {
            Transport::Tcp(Tcp {
                ports,
                seq,
                ack,
                flags,
            })
        }),
        (any::<(u8, u8)>(), proptest::option::of(any_quoted(ipv6)))
            .prop_map(|((kind, code), quoted)| Transport::Icmp(Icmp { kind, code, quoted })),
    ]
}

fn any_packet() -> impl Strategy<Value = Packet> {
    any_address_pair()
        .prop_flat_map(|ends| (Just(ends), any_transport(ends.0.is_ipv6())))
        .prop_flat_map(|((src, dst), transport)| {
            (
                any::<(u8, u32)>(),
                proptest::option::of(any::<(u16, bool)>()),
            )
                .prop_map(move |((protocol, id), fragment)| Packet {
                    src,
                    dst,
                    protocol: Protocol(protocol),
                    fragment: fragment.map(|(offset, more)| Fragment { offset, more }),
                    id,
                    transport,
                })
        })
}

fn any_device() -> impl Strategy<Value = Device> {
    proptest::collection::vec(1u8.., 0..=16).prop_map(|bytes| {
        let mut name = [0; 16];
        name[..bytes.len()].copy_from_slice(&bytes);
        Device { index: 0, name }
    })
}

prop_compose! {
    fn any_site()(
        hook in proptest::sample::select(&Hook::ALL[..]),
        family in proptest::sample::select(&Family::ALL[..]),
        cookie: u64, inode: u32, skb: u64, len: u32, mark: u32,
        dev in any_device(), input in any_device(), output in any_device(),
    ) -> Site {
        Site { hook, family, cookie, inode, dev, input, output, skb, len, mark, ..site() }
    }
}

proptest! {
    #[test]
    fn a_record_gives_back_the_packet_that_it_was_made_of(site in any_site(), packet in any_packet()) {
        let record = Record::new(&site, &packet);
        prop_assert_eq!(record.packet(), packet);
        prop_assert_eq!(record.hook(), Some(site.hook));
        prop_assert_eq!(Record::from_words(record.to_words()), record);
    }

    #[test]
    fn a_line_that_is_printed_reads_back_and_prints_the_same(
        site in any_site(),
        packet in any_packet(),
        rule: u32,
    ) {
        let mut record = Record::new(&site, &packet);
        record.rule = rule;
        let text = V1(&record).to_string();
        prop_assert!(text.bytes().all(|byte| matches!(byte, b' '..=b'~')), "{}", text);
        let again = v1::parse(&format!("nftrace: {text}"));
        prop_assert_eq!(V1(&again.unwrap()).to_string(), text);
    }

    #[test]
    fn what_an_older_record_left_in_a_slot_is_not_in_the_next_one(
        old in any_packet(),
        packet in any_packet(),
        devices in (any_device(), any_device(), any_device()),
        conntrack: bool,
    ) {
        let conntrack = conntrack.then(|| Conntrack {
            id: 1,
            state: ConntrackState::New,
            reply: true,
            status: 2,
            src: packet.src,
            dst: packet.dst,
            ports: packet.ports(),
        });
        let socket = Some(Socket { uid: 1, classid: 2, cgroup: 3 });
        // A device that there is has an index.
        let given = |device: Device| Device { index: device.name().is_some().into(), ..device };
        let [dev, input, output] = [devices.0, devices.1, devices.2].map(given);
        let site = Site { dev, input, output, conntrack, ..site() };
        let mut words = [u64::MAX; RECORD_WORDS];
        let decision = Decision::default();
        write(&mut words, &site, &old, conntrack.as_ref(), socket.as_ref(), &decision);
        write(&mut words, &site, &packet, conntrack.as_ref(), None, &decision);
        let found = Record::from_words(words).without_leftovers();
        prop_assert_eq!(found, Record::new(&site, &packet));
        prop_assert_eq!(found.packet(), packet);
        prop_assert_eq!((found.conntrack(), found.socket()), (conntrack, None));
    }

    #[test]
    fn any_text_is_read_or_refused(text in "(nftrace: v1 hook=PRE_ROUTING pf=ipv4 )?\\PC*") {
        let _ = v1::parse(&text);
    }
}

#[test]
fn what_cannot_be_printed_of_a_reason_is_not_printed() {
    let mut record = Record::new(&site(), &syn());
    record.set_dropped(2, b"NETFILTER_DROP", b"nf_hook_slow+0xa0/0xf0 [nf]");
    assert_eq!(record.dropped().unwrap().name.to_string(), "NETFILTER_DROP");
    record.set_dropped(2, b"A\x1b[2J", b"nf\nnftrace: v1");
    assert_eq!(record.dropped().unwrap().name.to_string(), "-");
    assert!(!V1(&record).to_string().contains(['\n', '\u{1b}']));
}
