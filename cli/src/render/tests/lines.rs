// SPDX-License-Identifier: GPL-2.0

use super::*;

#[test]
fn lines_for_watching_are_aligned_and_say_what_a_packet_is() {
    let trace = trace(PUBLISHED);
    let mut lines = Lines::new(Style::PLAIN);
    let names = Called(4026532298, "a-container-of-some-length");
    let all: Vec<String> = trace.journeys[1]
        .records
        .iter()
        .map(|record| lines.line(record, &names))
        .collect();
    assert!(
        all[0].contains("a-container-of-some-length  LOCAL_OUT"),
        "{}",
        all[0]
    );
    assert!(
        all[0].ends_with("172.17.0.2:8080 → 10.10.10.3:38478  SYN ACK, 60 bytes"),
        "{}",
        all[0]
    );
    let protocol_at = |line: &String| Some(line.split_once(" tcp ")?.0.chars().count());
    assert!(protocol_at(&all[0]).is_some(), "{}", all[0]);
    assert!(
        all.iter()
            .all(|line| protocol_at(line) == protocol_at(&all[0])),
        "{all:#?}"
    );
}

#[test]
fn names_cannot_command_a_terminal() {
    let trace = trace(PUBLISHED);
    let names = Called(4026532298, "web\u{1b}]0;owned\u{7}\u{202e}");
    let mut text = Vec::new();
    block(
        &mut text,
        &View::new(&trace.journeys[0], &names),
        Style::PLAIN,
    )
    .unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text:?}");
    assert!(text.contains("web\u{fffd}]0;owned"), "{text}");
    let line = Lines::new(Style::PLAIN).line(&trace.journeys[0].records[6], &names);
    assert!(!line.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{line:?}");
}
