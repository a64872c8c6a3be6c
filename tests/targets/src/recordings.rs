// SPDX-License-Identifier: GPL-2.0

//! Any bytes as a recording, and journeys of its records.
//!
//! An input that does not begin as a recording is taken for the payloads of its blocks
//! (a byte for the tag, two for the length): a checksum is nothing that a fuzzer finds.

use nftrace_core::abi::Frame;
use nftrace_core::record::{Classic, Record, RECORD_WORDS, V1};
use nftrace_journeys::{Builder, Input, Options};
use zerocopy::IntoBytes as _;

use crate::recording::{Entry, Host, NamespaceName, Reader, Writer, MAGIC};

const TAGS: [&[u8; 4]; 5] = [b"FRMS", b"HOST", b"NAME", b"END.", b"NEXT"];

/// The recording of these payloads, with the checksums that belong there.
fn sealed(mut input: &[u8]) -> Vec<u8> {
    let writer = Writer::new(Vec::new(), &Host::default()).expect("memory");
    // Without its last block, which says what there is.
    let mut file = writer.finish().expect("memory");
    file.truncate(24);
    while let Some((&[tag, low, high], rest)) = input.split_first_chunk() {
        let len = usize::from(u16::from_le_bytes([low, high])).min(rest.len());
        let (payload, rest) = rest.split_at(len);
        input = rest;
        let size = u32::try_from(len).expect("16 bits").to_le_bytes();
        let head = [*TAGS[usize::from(tag) % TAGS.len()], size].concat();
        for part in [&head, payload] {
            file.extend_from_slice(part);
            file.extend(crc32fast::hash(part).to_le_bytes());
        }
    }
    file
}

pub(crate) fn run(input: &[u8]) {
    let file = if input.starts_with(&MAGIC[..4]) {
        input.to_vec()
    } else {
        sealed(input)
    };
    let entries = read(&file);
    // What was written before the file was cut off is there all the same.
    let cut = read(&file[..file.len() * 2 / 3]);
    if matches!(entries.last(), Some(Entry::End(_))) {
        assert!(
            entries.starts_with(&cut),
            "the end of a file changes its beginning"
        );
    }
    let mut builder = Builder::new(Options::FILE);
    for entry in &entries {
        if let Entry::Frame(frame) = entry {
            printed(&frame.record);
            Input::from_frame(frame).for_each(|fed| builder.feed(fed));
        }
    }
    let _ = builder.finish();
}

/// Whoever forged the recording can print no line, and tell the terminal nothing.
fn printed(record: &Record) {
    let line = V1(record).to_string();
    assert!(line.starts_with("v1 hook="), "{line:?}");
    assert!(!line.contains(char::is_control), "{line:?}");
    let classic = Classic {
        record,
        init_inode: 1,
    };
    let block = classic.to_string();
    assert_eq!(block.split('\n').count(), 4, "{block:?}");
    assert!(
        block
            .split('\n')
            .all(|line| !line.contains(char::is_control)),
        "{block:?}"
    );
}

fn read(file: &[u8]) -> Vec<Entry> {
    let mut entries = Vec::new();
    match Reader::new(file) {
        Ok(mut reader) => {
            while let Some(entry) = reader.next() {
                entries.push(entry);
            }
            let ends = matches!(entries.last(), Some(Entry::End(_)));
            let damage = reader.damage().map(ToString::to_string);
            assert!(ends || damage.is_some(), "it ends without an end");
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
    entries
}

/// A recording of the command's own writer, and payloads alone.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut record = Record::EMPTY;
    record.time = 5;
    record.cookie = 3;
    let frame = |position, lost| Frame {
        position,
        lost,
        record,
    };
    let mut writer = Writer::new(Vec::new(), &Host::default()).expect("memory");
    for position in 0..3 {
        writer
            .frame(&frame(position, position % 2))
            .expect("memory");
    }
    let names = [NamespaceName {
        cookie: 3,
        inode: 7,
        name: "web".to_owned(),
        gone: true,
    }];
    writer.names(&names).expect("memory");
    let whole = writer.finish().expect("memory");

    // The same as payloads, with records that have everything.
    let mut payloads = Vec::new();
    let mut add = |tag: u8, payload: &[u8]| {
        payloads.push(tag);
        payloads.extend(u16::try_from(payload.len()).expect("small").to_le_bytes());
        payloads.extend(payload);
    };
    add(1, b"{\"bridge\":true,\"exits\":true,\"cpus\":2}");
    for position in 0..4 {
        let words: [u64; RECORD_WORDS] = std::array::from_fn(|at| {
            (at as u64 + 1).wrapping_mul(0x0101_0103_0507_0901 + position)
        });
        let mut frame = frame(position, 0);
        frame.record = Record::from_words(words);
        add(0, frame.as_bytes());
    }
    add(
        2,
        b"[{\"cookie\":3,\"inode\":7,\"name\":\"web\",\"gone\":false}]",
    );
    add(3, b"{\"records\":4,\"lost\":0}");
    vec![whole, payloads]
}
