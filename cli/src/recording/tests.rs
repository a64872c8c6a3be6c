// SPDX-License-Identifier: GPL-2.0

use nftrace_core::abi::Frame;
use nftrace_core::record::{Record, RECORD_WORDS};
use proptest::prelude::*;

use super::*;

fn frame(position: u64, lost: u64) -> Frame {
    // A kind is a byte of a word; whatever it is, the frame must come back.
    let words = [position ^ 0x0102_0304_0506_0708; RECORD_WORDS];
    Frame {
        position,
        lost,
        record: Record::from_words(words),
    }
}

fn host() -> Host {
    Host {
        kernel: "7.3.0".into(),
        realtime_offset: -5,
        ..Host::default()
    }
}

fn name(cookie: u64, gone: bool) -> NamespaceName {
    NamespaceName {
        cookie,
        inode: 7,
        name: "web".into(),
        gone,
    }
}

/// A recording of two flushes with names between them, and where in it each frame ends.
fn recording() -> (Vec<u8>, Vec<Frame>) {
    let mut writer = Writer::new(Vec::new(), &host()).unwrap();
    let frames: Vec<_> = (0..5).map(|n| frame(n, n % 2)).collect();
    for frame in &frames[..2] {
        writer.frame(frame).unwrap();
    }
    writer.flush().unwrap();
    writer.names(&[name(3, false), name(4, true)]).unwrap();
    for frame in &frames[2..] {
        writer.frame(frame).unwrap();
    }
    (writer.finish().unwrap(), frames)
}

fn read(bytes: &[u8]) -> (Vec<Entry>, Option<Damage>) {
    let mut reader = Reader::new(bytes).unwrap();
    let mut entries = Vec::new();
    while let Some(entry) = reader.next() {
        entries.push(entry);
    }
    (entries, reader.damage().cloned())
}

fn frames_of(entries: &[Entry]) -> Vec<Frame> {
    let frames = entries.iter().filter_map(|entry| match entry {
        Entry::Frame(frame) => Some(**frame),
        _ => None,
    });
    frames.collect()
}

/// Offset of each frame's end in the file.
fn ends(bytes: &[u8], frames: &[Frame]) -> Vec<usize> {
    use zerocopy::IntoBytes as _;
    let mut from = 0;
    let ends = frames.iter().map(|frame| {
        let wanted = frame.as_bytes();
        let found = bytes[from..]
            .windows(wanted.len())
            .position(|window| window == wanted);
        from += found.unwrap() + wanted.len();
        from
    });
    ends.collect()
}

#[test]
fn what_was_written_is_read_back_in_its_order() {
    let (bytes, frames) = recording();
    let (entries, damage) = read(&bytes);
    assert_eq!(damage, None);
    assert_eq!(entries.first(), Some(&Entry::Host(Box::new(host()))));
    assert_eq!(frames_of(&entries), frames);
    assert_eq!(
        entries[3],
        Entry::Names(vec![name(3, false), name(4, true)])
    );
    let end = Totals {
        records: 5,
        lost: 2,
    };
    let records = frames
        .iter()
        .filter(|frame| frame.record.kind() != nftrace_core::record::Kind::Gap);
    let end = Totals {
        records: records.count() as u64,
        ..end
    };
    assert_eq!(entries.last(), Some(&Entry::End(end)));
}

#[test]
fn wherever_a_recording_is_cut_off_all_before_is_shown_and_the_place_is_told() {
    let (bytes, frames) = recording();
    let ends = ends(&bytes, &frames);
    for cut in HEADER..bytes.len() {
        let (entries, damage) = read(&bytes[..cut]);
        let whole = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(frames_of(&entries), frames[..whole], "cut at {cut}");
        let damage = damage.unwrap();
        assert_eq!(damage.offset, cut as u64, "{damage}");
    }
}

#[test]
fn a_changed_byte_is_found_and_all_blocks_before_it_are_shown() {
    let (bytes, frames) = recording();
    let ends = ends(&bytes, &frames);
    for at in HEADER..bytes.len() {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        let (entries, damage) = read(&bytes);
        let damage = damage.unwrap_or_else(|| panic!("the change at {at} was not found"));
        assert!(damage.offset <= bytes.len() as u64, "{damage}");
        let shown = frames_of(&entries);
        assert!(
            frames.starts_with(&shown),
            "something wrong is shown when {at} is changed"
        );
        // A frame of the first block stands before any damage behind that block.
        if at > ends[1] + 4 {
            assert!(shown.len() >= 2, "changed at {at}");
        }
    }
}

#[test]
fn other_files_and_other_versions_are_told_apart() {
    let open = |bytes: &[u8]| Reader::new(bytes).err().map(|error| error.to_string());
    let refused = |bytes: &[u8]| open(bytes).unwrap();
    assert!(refused(b"").contains("no recording"));
    assert!(refused(b"nftrace: v1 hook=PRE_ROUTING").contains("no recording"));
    let (bytes, _) = recording();
    assert!(refused(&bytes[..20]).contains("offset 20"));
    let changed = |at: usize| {
        let mut bytes = bytes.clone();
        bytes[at] = 99;
        let sum = crc32fast::hash(&bytes[..20]);
        bytes[20..24].copy_from_slice(&sum.to_le_bytes());
        refused(&bytes)
    };
    assert!(changed(8).contains("format 99"));
    assert!(changed(12).contains("frames of version 99"));
    let mut bytes = bytes.clone();
    bytes[12] = 99;
    assert!(refused(&bytes).contains("damaged in its header"));
}

#[test]
fn a_block_of_a_later_version_is_passed_over() {
    let (bytes, frames) = recording();
    let mut later = bytes[..HEADER].to_vec();
    for part in [&b"NEWS\x03\0\0\0"[..], b"abc"] {
        later.extend(part);
        later.extend(crc32fast::hash(part).to_le_bytes());
    }
    later.extend(&bytes[HEADER..]);
    let (entries, damage) = read(&later);
    assert_eq!((frames_of(&entries), damage), (frames, None));
}

proptest! {
    #[test]
    fn any_frames_and_names_come_back(
        all in proptest::collection::vec((any::<u64>(), 0..1000_u64, any::<[u64; RECORD_WORDS]>()), 0..600),
        names in proptest::collection::vec((any::<u64>(), any::<u32>(), ".*", any::<bool>()), 0..300),
    ) {
        let frames: Vec<_> = all
            .into_iter()
            .map(|(position, lost, words)| Frame { position, lost, record: Record::from_words(words) })
            .collect();
        let names: Vec<_> = names
            .into_iter()
            .map(|(cookie, inode, name, gone)| NamespaceName { cookie, inode, name, gone })
            .collect();
        let mut writer = Writer::new(Vec::new(), &host()).unwrap();
        for frame in &frames {
            writer.frame(frame).unwrap();
        }
        writer.names(&names).unwrap();
        let (entries, damage) = read(&writer.finish().unwrap());
        prop_assert_eq!(damage, None);
        prop_assert_eq!(frames_of(&entries), frames);
        let found: Vec<_> = entries
            .into_iter()
            .filter_map(|entry| match entry { Entry::Names(names) => Some(names), _ => None })
            .flatten()
            .collect();
        prop_assert_eq!(found, names);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let mut all = header().to_vec();
        all.extend(bytes);
        let (_, damage) = read(&all);
        prop_assert!(damage.is_some());
    }
}
