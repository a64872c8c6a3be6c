// SPDX-License-Identifier: GPL-2.0

use super::*;

/// Blocks have times, which our own lines of a log do not have.
const BLOCKS: &str = "\
[1.000100] ==================================================== PRE_ROUTING
[1.000100] DEV: ens160, NS: ffff9710acf85200, INITNET: ffffffff8d911640
[1.000100] IN DEV: ens160, NS: ffff9710acf85200, OUT DEV: (null), NS: (null)
[1.000100] [0]: 10.0.0.3:41050->10.0.0.2:8080, skb: ffff9710e5e504f8
[1.000142] ==================================================== LOCAL_IN
[1.000142] DEV: ens160, NS: ffff9710acf85200, INITNET: ffffffff8d911640
[1.000142] IN DEV: ens160, NS: ffff9710acf85200, OUT DEV: (null), NS: (null)
[1.000142] [1]: 10.0.0.3:41050->10.0.0.2:8080, skb: ffff9710e5e504f8
";

fn at_width(width: usize) -> String {
    let mut out = Vec::new();
    let mut style = Style::PLAIN;
    style.width = Some(width);
    block(&mut out, &View::new(&trace(BLOCKS).journeys[0], &()), style).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn on_a_narrow_terminal_no_room_is_spent_on_columns() {
    let wide = at_width(100);
    assert!(
        wide.contains("\n    LOCAL_IN     ens160 →     +42 µs\n"),
        "{wide}"
    );
    let narrow = at_width(40);
    assert!(
        narrow.contains("\n    LOCAL_IN  ens160 →  +42 µs\n"),
        "{narrow}"
    );
    let head = narrow.split("\n  netns").next().unwrap();
    assert!(head.lines().count() > 1, "{narrow}");
    assert!(
        head.lines().all(|line| line.chars().count() <= 40),
        "{narrow}"
    );
}
