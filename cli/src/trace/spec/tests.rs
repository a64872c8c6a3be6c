// SPDX-License-Identifier: GPL-2.0

use nftrace_core::packet::{Packet, Ports, Transport};
use nftrace_core::record::Device;
use nftrace_core::trace::{Filter, Surroundings, BITMAP_WORDS};

use super::*;

fn conditions() -> Conditions {
    Conditions {
        flags: flags(false, false),
        ..Conditions::default()
    }
}

/// Whether the module would trace a UDP packet to `dst`, port 53, in the namespace of cookie 7 at eth0.
fn traces(conditions: &Conditions, dst: &str) -> bool {
    let bytes = conditions.to_bytes().unwrap();
    let filter = Filter::new(&Spec::new(&bytes).unwrap(), vec![0; BITMAP_WORDS]);
    let dst: IpAddr = dst.parse().unwrap();
    let src = if dst.is_ipv4() {
        "192.0.2.1"
    } else {
        "fd00::1"
    };
    let packet = Packet {
        src: src.parse().unwrap(),
        dst,
        protocol: Protocol::UDP,
        fragment: None,
        id: 0,
        transport: Transport::Ports(Ports { src: 5000, dst: 53 }),
    };
    let mut name = [0; 16];
    name[..4].copy_from_slice(b"eth0");
    filter.matches(
        &packet,
        &Surroundings {
            cookie: 7,
            devices: &[Device { index: 2, name }],
            conntrack: None,
        },
    )
}

#[test]
fn what_is_asked_for_is_what_the_module_traces() {
    assert!(
        traces(&conditions(), "10.1.2.3"),
        "no condition, any packet"
    );
    let with = |change: &dyn Fn(&mut Conditions)| {
        let mut conditions = conditions();
        change(&mut conditions);
        traces(&conditions, "10.1.2.3")
    };
    let host = |text: &str| vec![text.parse().unwrap()];
    assert!(with(&|c| c.hosts = host("10.1.2.3")));
    assert!(with(&|c| c.hosts = host("10.0.0.0/8")));
    assert!(with(&|c| c.hosts = host("0.0.0.0/0")));
    assert!(!with(&|c| c.hosts = host("10.1.2.4")));
    assert!(!with(&|c| c.hosts = host("10.1.2.0/31")));
    assert!(!with(&|c| c.hosts = host("2001:db8::/32")));
    assert!(with(&|c| c.ports = Some(PortList::parse("50-60").unwrap())));
    assert!(!with(&|c| c.ports = Some(PortList::parse("54").unwrap())));
    assert!(with(
        &|c| c.protocols = vec!["tcp".parse().unwrap(), "17".parse().unwrap()]
    ));
    assert!(!with(&|c| c.protocols = vec!["tcp".parse().unwrap()]));
    assert!(with(&|c| c.devices = vec!["eth0".parse().unwrap()]));
    assert!(!with(&|c| c.devices = vec!["eth00".parse().unwrap()]));
    assert!(with(&|c| c.namespaces = vec![3, 7]));
    assert!(!with(&|c| c.namespaces = vec![3]));
    let mut six = conditions();
    six.hosts = host("2001:db8::/32");
    assert!(traces(&six, "2001:db8::5"));
    assert!(!traces(&six, "2001:db9::5"));
}

#[test]
fn a_filter_that_has_no_text_is_told_as_the_arguments_that_make_it() {
    let mut all = conditions();
    all.flags = flags(true, true);
    all.ports = Some(PortList::parse("80,8000-8010").unwrap());
    all.protocols = vec!["tcp".parse().unwrap(), "200".parse().unwrap()];
    all.hosts = vec![
        "10.0.0.0/8".parse().unwrap(),
        "10.0.0.1".parse().unwrap(),
        "::1".parse().unwrap(),
    ];
    all.namespaces = vec![12];
    all.devices = vec!["eth0".parse().unwrap()];
    let bytes = all.to_bytes().unwrap();
    assert_eq!(
        Told::of(&Spec::new(&bytes).unwrap()).filter,
        "--port 80,8000-8010 --proto tcp --proto 200 --host 10.0.0.0/8 --host 10.0.0.1 --host ::1 \
         --ns cookie:12 --dev eth0 --packets --log"
    );
    let bytes = conditions().to_bytes().unwrap();
    assert_eq!(Told::of(&Spec::new(&bytes).unwrap()).filter, "--all");
}

#[test]
fn the_text_of_its_user_is_given_back_and_cut_only_where_there_is_no_room() {
    let mut long = conditions();
    long.text = "--port 80".to_owned();
    let told = |conditions: &Conditions| {
        let bytes = conditions.to_bytes().unwrap();
        Told::of(&Spec::new(&bytes).unwrap()).filter
    };
    assert_eq!(told(&long), "--port 80");
    long.text = "\u{e4}".repeat(MAX_TEXT);
    assert_eq!(told(&long), "\u{e4}".repeat(MAX_TEXT / 2));
}

#[test]
fn too_much_is_refused_before_the_module_sees_it() {
    let mut many = conditions();
    many.namespaces = vec![1; MAX_ITEMS + 1];
    let error = many.to_bytes().unwrap_err();
    assert!(
        error.to_string().starts_with("33 namespaces are too many"),
        "{error}"
    );
}

#[test]
fn what_is_no_address_protocol_or_device_is_refused_with_what_would_be_one() {
    let prefix = |text: &str| text.parse::<PrefixArg>().unwrap_err();
    assert!(prefix("10.0.0").contains("10.0.0.3"));
    assert!(prefix("10.0.0.0/33").contains("0 to 32"));
    assert!(prefix("::/129").contains("0 to 128"));
    assert!("tpc"
        .parse::<ProtocolArg>()
        .unwrap_err()
        .contains("tcp, udp"));
    assert!("256".parse::<ProtocolArg>().is_err());
    assert!("sixteen_bytes_16"
        .parse::<DeviceArg>()
        .unwrap_err()
        .contains("1 to 15"));
}

#[test]
fn a_word_is_quoted_where_a_shell_would_take_it_apart() {
    assert_eq!(quoted("10.0.0.0/8"), "10.0.0.0/8");
    assert_eq!(quoted("tcp[13] & 2 != 0"), "'tcp[13] & 2 != 0'");
    assert_eq!(quoted("it's"), r"'it'\''s'");
    assert_eq!(quoted(""), "''");
}
