// SPDX-License-Identifier: GPL-2.0

//! The three lengths of a packet: of the window on it, by the skb, and by its
//! own header.

use super::*;

/// Asserts that every window on the packet either is too small or shows what the
/// whole of it shows, and that none larger than a sufficient one is too small.
pub(super) fn agree(network: Network, bytes: &[u8], total: usize) {
    let whole = parse(network, bytes, total);
    let mut sufficient = false;
    for length in 0..=bytes.len() {
        let found = parse(network, &bytes[..length], total);
        if found == Err(Error::WindowTooSmall) {
            assert!(!sufficient, "a window of {length} bytes is too small again");
            assert!(length < MAX_HEADERS, "{length} bytes are too small");
        } else {
            sufficient = true;
            assert_eq!(found, whole, "a window of {length} bytes");
        }
    }
}

/// The smallest window that suffices for a vector.
fn window_for(name: &str) -> usize {
    let vector = vector(name);
    let total = vector.bytes.len();
    (0..=total)
        .find(|length| {
            parse(network(&vector), &vector.bytes[..*length], total) != Err(Error::WindowTooSmall)
        })
        .unwrap()
}

/// A packet like the vector, with these bytes at this place, `total` bytes long
/// but with a window as long as the vector.
fn changed(name: &str, at: usize, bytes: &[u8], total: usize) -> String {
    let mut vector = vector(name);
    vector.bytes[at..at + bytes.len()].copy_from_slice(bytes);
    text(parse(network(&vector), &vector.bytes, total))
}

#[test]
fn the_fixed_tcp_header_is_all_of_it_that_the_window_needs() {
    assert_eq!(window_for("an IPv4 TCP SYN with options"), 40);
}

#[test]
fn a_protocol_without_ports_needs_only_the_fixed_ipv4_header_in_the_window() {
    assert_eq!(window_for("an IPv4 ESP packet has no ports"), 20);
}

#[test]
fn a_quotation_has_to_be_in_the_window_up_to_its_ports() {
    assert_eq!(
        window_for("an ICMP port unreachable about UDP"),
        20 + 8 + 20 + 4
    );
    assert_eq!(
        window_for("an ICMPv6 destination unreachable about TCP"),
        40 + 8 + 40 + 4
    );
}

#[test]
fn a_long_extension_header_has_to_be_in_the_window_only_with_its_start() {
    let name = "IPv6 TCP behind long hop-by-hop options";
    let vector = vector(name);
    assert_eq!(
        parse(Network::Ipv6, &vector.bytes[..48], vector.bytes.len()),
        Err(Error::WindowTooSmall)
    );
    assert_eq!(window_for(name), 40 + 32 + 20);
}

/// TCP behind hop-by-hop options of 440 bytes and an AH that fills up to where
/// TCP's fixed header ends.
fn tcp_that_ends_at(end: usize) -> Vec<u8> {
    let mut bytes = vector("an IPv6 TCP SYN").bytes;
    let tcp = bytes.split_off(40);
    bytes[6] = 0;
    bytes.extend([51, 54, 1, 4]);
    bytes.resize(40 + 440, 0);
    let authentication = end - tcp.len() - bytes.len();
    bytes.extend([6, u8::try_from(authentication / 4 - 2).unwrap()]);
    bytes.resize(end - tcp.len(), 0);
    bytes.extend(tcp);
    let length = u16::try_from(bytes.len() - 40).unwrap();
    bytes[4..6].copy_from_slice(&length.to_be_bytes());
    bytes
}

#[test]
fn headers_may_end_at_512_bytes_but_not_beyond() {
    let bytes = tcp_that_ends_at(512);
    assert!(parse(Network::Ipv6, &bytes, 512).is_ok());
    let bytes = tcp_that_ends_at(516);
    assert_eq!(parse(Network::Ipv6, &bytes, 516), Err(Error::Malformed));
}

#[test]
fn headers_beyond_512_bytes_are_malformed_in_a_small_window_too() {
    let vector = vector("headers that go beyond 512 bytes");
    assert_eq!(
        parse(Network::Ipv6, &vector.bytes[..288], vector.bytes.len()),
        Err(Error::Malformed)
    );
}

#[test]
fn a_quotation_beyond_512_bytes_is_no_reason_to_refuse_the_error() {
    let mut bytes = vector("an ICMPv6 destination unreachable about TCP").bytes;
    let icmp = bytes.split_off(40);
    // Hop-by-hop options of 448 bytes put the quotation at 496.
    bytes[6] = 0;
    bytes.extend([58, 55, 1, 4]);
    bytes.resize(40 + 448, 0);
    bytes.extend(icmp);
    let length = u16::try_from(bytes.len() - 40).unwrap();
    bytes[4..6].copy_from_slice(&length.to_be_bytes());
    assert_eq!(
        text(parse(Network::Ipv6, &bytes, bytes.len())),
        "icmpv6 2001:db8:1::2 > 2001:db8:1::1 type=1 code=4 quoted=- frag=- id=0x0"
    );
}

#[test]
fn a_window_with_more_than_the_packet_shows_no_more() {
    let vector = vector("an IPv4 TCP SYN");
    for total in 0..vector.bytes.len() {
        assert_eq!(
            parse(Network::Ipv4, &vector.bytes, total),
            Err(Error::Truncated)
        );
    }
}

#[test]
fn an_ipv4_packet_too_long_for_its_length_field_ends_with_the_skb() {
    let name = "an IPv4 TCP SYN";
    let sound = changed(name, 0, &[], 40);
    assert_eq!(changed(name, 2, &[0, 0], 65_535), "malformed");
    assert_eq!(changed(name, 2, &[0, 0], 65_536), sound);
    assert_eq!(changed(name, 2, &[0, 0], usize::MAX), sound);
}

#[test]
fn an_ipv4_length_field_of_65535_is_good_for_as_much() {
    let name = "an IPv4 TCP SYN";
    assert_eq!(changed(name, 2, &[0xff, 0xff], 65_534), "truncated");
    assert_eq!(
        changed(name, 2, &[0xff, 0xff], 65_535),
        changed(name, 0, &[], 40)
    );
}

#[test]
fn an_ipv6_packet_too_long_for_its_length_field_ends_with_the_skb() {
    let name = "an IPv6 TCP SYN";
    assert_eq!(changed(name, 4, &[0, 0], 40 + 65_535), "truncated");
    assert_eq!(
        changed(name, 4, &[0, 0], 40 + 65_536),
        changed(name, 0, &[], 60)
    );
}

#[test]
fn a_jumbogram_ends_with_the_skb() {
    let name = "a jumbo payload option in a small packet";
    assert_eq!(
        changed(name, 0, &[], 40 + 65_536),
        changed("an IPv6 TCP SYN", 0, &[], 60)
    );
}

#[test]
fn a_length_that_does_not_fit_its_packet_does_not_matter_in_a_quotation() {
    let name = "an ICMP port unreachable about UDP";
    let sound = changed(name, 0, &[], 64);
    for length in [0u16, 1, 8, 0x2400, 0xffff] {
        assert_eq!(changed(name, 30, &length.to_be_bytes(), 64), sound);
    }
}

#[test]
fn an_announced_end_hides_what_the_link_put_behind_it() {
    // 39 bytes cut the TCP header short, though the window shows all of it.
    assert_eq!(changed("an IPv4 TCP SYN", 3, &[39], 40), "truncated");
    assert_eq!(changed("an IPv6 TCP SYN", 5, &[19], 60), "truncated");
}

#[test]
fn an_announced_end_holds_however_long_the_skb_is() {
    assert_eq!(changed("an IPv4 TCP SYN", 3, &[39], 70_000), "truncated");
    assert_eq!(changed("an IPv6 TCP SYN", 5, &[19], 70_000), "truncated");
}

#[test]
fn an_icmp_message_that_is_no_error_quotes_nothing() {
    let name = "an ICMP port unreachable about UDP";
    assert!(changed(name, 20, &[8], 64).contains("type=8 code=3 quoted=- "));
    let name = "an ICMPv6 destination unreachable about TCP";
    assert!(changed(name, 40, &[127], 108).contains("type=127 code=4 quoted=[tcp "));
    assert!(changed(name, 40, &[128], 108).contains("type=128 code=4 quoted=- "));
}

#[test]
fn the_ports_that_an_icmp_error_quotes_are_not_its_own() {
    let vector = vector("an ICMP port unreachable about UDP");
    let packet = parse(Network::Ipv4, &vector.bytes, vector.bytes.len()).unwrap();
    assert_eq!(packet.ports(), None);
}
