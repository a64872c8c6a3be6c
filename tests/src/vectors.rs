// SPDX-License-Identifier: GPL-2.0

//! The literal packets of `tests/vectors/packets.txt`, whose head explains the
//! format. The parser's tests, the VM tests and the fuzzer all read them here.

/// One packet and what is to be made of it.
#[derive(Debug)]
pub struct Vector {
    /// What the packet shows; unique.
    pub name: String,
    /// What it is received as: 0x0800 for IPv4, 0x86dd for IPv6.
    pub ethertype: u16,
    /// What the parser makes of it, as one line of text.
    pub expect: String,
    /// The packet, from the network header on.
    pub bytes: Vec<u8>,
}

/// All vectors, in the file's order.
///
/// # Panics
///
/// When the file is not in its format.
pub fn load() -> Vec<Vector> {
    include_str!("../vectors/packets.txt")
        .split("\n\n")
        .filter_map(vector)
        .collect()
}

/// Reads one block of lines; none when it is all comments.
fn vector(block: &str) -> Option<Vector> {
    let lines: Vec<(&str, &str)> = block
        .lines()
        .map(|line| {
            line.split_once('#')
                .map_or(line, |(before, _)| before)
                .trim()
        })
        .filter(|line| !line.is_empty())
        .map(|line| {
            line.split_once(": ")
                .unwrap_or_else(|| panic!("not `key: value`: {line}"))
        })
        .collect();
    if lines.is_empty() {
        return None;
    }
    let one = |key| {
        let mut values = lines.iter().filter(|line| line.0 == key);
        match (values.next(), values.next()) {
            (Some((_, value)), None) => (*value).to_owned(),
            _ => panic!("need exactly one `{key}:` in:\n{block}"),
        }
    };
    Some(Vector {
        name: one("name"),
        ethertype: match one("network").as_str() {
            "ipv4" => 0x0800,
            "ipv6" => 0x86dd,
            other => panic!("unknown network {other} in:\n{block}"),
        },
        expect: one("expect"),
        bytes: lines
            .iter()
            .filter(|line| line.0 == "hex")
            .flat_map(|line| line.1.split_whitespace())
            .map(|byte| u8::from_str_radix(byte, 16).unwrap_or_else(|_| panic!("not hex: {byte}")))
            .collect(),
    })
}
