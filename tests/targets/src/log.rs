// SPDX-License-Identifier: GPL-2.0

//! Any bytes as text of the kernel log, in both formats: read the same however it comes in
//! pieces; what is read is printed as JSON, and journeys are made of it.

use nftrace_core::record::v1;
use nftrace_journeys::{Builder, Input, LogReader, Names, NamespaceId, Options};

use crate::files;

struct Nameless;

impl Names for Nameless {
    fn name(&self, _: &NamespaceId) -> Option<String> {
        None
    }
}

pub(crate) fn run(input: &[u8]) {
    let inputs = read(input, input.len().max(1));
    // The first byte says how long the pieces are.
    let piece = input.first().map_or(1, |byte| usize::from(*byte) % 61 + 1);
    assert_eq!(read(input, piece), inputs, "in pieces of {piece}");
    let mut builder = Builder::new(Options::FILE);
    inputs.into_iter().for_each(|one| builder.feed(one));
    let trace = builder.finish();
    for journey in &trace.journeys {
        serde_json::to_string(&journey.to_json(&Nameless)).expect("it can be said in JSON");
    }
    for connection in &trace.connections {
        serde_json::to_string(&connection.to_json()).expect("it can be said in JSON");
    }
    // A line that is read as a record and printed is read again, and says the same.
    for line in String::from_utf8_lossy(input).lines() {
        if let Some(mut record) = v1::parse(line) {
            // As much of it is printed.
            record.skb &= 0xffff_ffff;
            let printed = format!("nftrace: {}", v1::V1(&record));
            let again = v1::parse(&printed).unwrap_or_else(|| panic!("{line}\n{printed}"));
            // What cannot be printed of a line is not printed.
            let is_printed = |one: char| one.is_ascii_graphic() || one == ' ';
            if line.chars().all(is_printed) {
                assert_eq!(again, record, "{line}\n{printed}");
            }
        }
    }
}

fn read(text: &[u8], piece: usize) -> Vec<Input> {
    let (mut reader, mut inputs) = (LogReader::new(), Vec::new());
    text.chunks(piece)
        .for_each(|one| reader.bytes(one, &mut inputs));
    reader.finish(&mut inputs);
    inputs
}

/// The logs that the command's tests have, and their lines and blocks alone.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = files("cli/tests/logs", ".log");
    seeds.extend(files("journeys/tests/vectors", ".log"));
    for whole in seeds.clone() {
        let text = String::from_utf8_lossy(&whole);
        let lines: Vec<&str> = text.split_inclusive('\n').collect();
        seeds.extend(
            lines
                .chunks(4)
                .take(40)
                .map(|some| some.concat().into_bytes()),
        );
    }
    // Lines as long as any can be, and longer than that.
    let line = "nftrace: v1 hook=FORWARD pf=ipv4 ns=3 cookie=5 dev=a in=a out=- proto=udp \
                src=10.0.0.1:1 dst=10.0.0.2:2 flags=- len=60 skb=00000001 mark=0x0 verdict=- rule=-";
    seeds.extend([4080, 4096, 4097, 5000].map(|len| format!("{line:len$}\n{line}\n").into_bytes()));
    seeds
}
