// SPDX-License-Identifier: GPL-2.0

//! Lists of ports, as in `ports=8080,8081,9000-9010`.

use ::core::fmt;

/// The most ports and ranges in one list.
pub const MAX_RANGES: usize = 64;

/// Ports from `first` to `last`, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRange {
    /// The lowest port.
    pub first: u16,
    /// The highest port, not below `first`.
    pub last: u16,
}

impl PortRange {
    /// Reads a port or a range, which is the `number`th item of a list.
    fn parse(item: &str, number: usize) -> Result<Self, ParseError<'_>> {
        if item.is_empty() {
            return Err(ParseError::EmptyItem { item: number });
        }
        let (first, last) = split_at_byte(item, b'-');
        let last = last.unwrap_or(first);
        let first = parse_port(first).ok_or(ParseError::NotAPort(first))?;
        let last = parse_port(last).ok_or(ParseError::NotAPort(last))?;
        if last < first {
            return Err(ParseError::Backwards(item));
        }
        Ok(Self { first, last })
    }
}

impl fmt::Display for PortRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first == self.last {
            write!(f, "{}", self.first)
        } else {
            write!(f, "{}-{}", self.first, self.last)
        }
    }
}

/// A list of ports and ranges, in the order in which it was written.
#[derive(Clone, Copy, Debug)]
pub struct PortList {
    ranges: [PortRange; MAX_RANGES],
    len: usize,
}

/// Why a list was refused. `Display` says it to the person who wrote the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParseError<'a> {
    /// Nothing stands between two commas, or at an end.
    EmptyItem {
        /// The number of the item, from 1.
        item: usize,
    },
    /// Not a number from 1 to 65535.
    NotAPort(&'a str),
    /// A range whose end is below its start.
    Backwards(&'a str),
    /// More than [`MAX_RANGES`] items.
    TooMany {
        /// How many there are.
        items: usize,
    },
}

impl fmt::Display for ParseError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EmptyItem { item } => {
                write!(f, "item {item} is empty; separate ports by single commas")
            }
            Self::NotAPort(text) => {
                write!(
                    f,
                    "'{}' is not a port; ports are numbers from 1 to 65535",
                    Printable(text)
                )
            }
            Self::Backwards(text) => {
                write!(
                    f,
                    "the range '{}' ends before it starts; write the lower port first",
                    Printable(text)
                )
            }
            Self::TooMany { items } => {
                write!(
                    f,
                    "{items} items are too many; at most {MAX_RANGES} ports and ranges are taken"
                )
            }
        }
    }
}

/// Text from outside, shown so that it cannot spoil a line of the kernel log:
/// printable ASCII only, and not without end.
#[derive(Clone, Copy, Debug)]
pub struct Printable<'a>(pub &'a str);

impl Printable<'_> {
    /// Characters that are shown.
    const MOST: usize = 64;
}

impl fmt::Display for Printable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        let mut room = Self::MOST;
        for c in self.0.chars() {
            if room == 0 {
                return f.write_str("...");
            }
            room = room.wrapping_sub(1);
            f.write_char(if matches!(c, ' '..='~') { c } else { '?' })?;
        }
        Ok(())
    }
}

/// What stands before the first `separator`, an ASCII byte, and what behind it.
///
/// `str::split_once()` would do, but has panic paths where overflow is checked.
fn split_at_byte(text: &str, separator: u8) -> (&str, Option<&str>) {
    let mut index: usize = 0;
    for byte in text.bytes() {
        if byte == separator {
            let behind = text.get(index.wrapping_add(1)..);
            return (text.get(..index).unwrap_or(text), behind);
        }
        index = index.wrapping_add(1);
    }
    (text, None)
}

/// A port by its decimal digits: no sign, no blank, not 0.
fn parse_port(text: &str) -> Option<u16> {
    if text.is_empty() {
        return None;
    }
    let mut port: u16 = 0;
    for byte in text.bytes() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        port = port.checked_mul(10)?.checked_add(digit.into())?;
    }
    (port != 0).then_some(port)
}

impl PortList {
    /// The list without ports.
    pub const EMPTY: Self = Self {
        ranges: [PortRange { first: 0, last: 0 }; MAX_RANGES],
        len: 0,
    };

    /// Reads a list; white space around it is ignored, an empty text is the empty list.
    ///
    /// # Errors
    ///
    /// What is wrong with the first item that is; nothing is taken of a list
    /// with a mistake.
    pub fn parse(text: &str) -> Result<Self, ParseError<'_>> {
        let text = text.trim_ascii();
        let mut list = Self::EMPTY;
        if text.is_empty() {
            return Ok(list);
        }
        let items = text.bytes().fold(1_usize, |items, byte| {
            items.wrapping_add((byte == b',').into())
        });
        if items > MAX_RANGES {
            return Err(ParseError::TooMany { items });
        }
        let mut rest = Some(text);
        for slot in &mut list.ranges {
            let Some(text) = rest else {
                break;
            };
            let (item, behind) = split_at_byte(text, b',');
            list.len = list.len.wrapping_add(1);
            *slot = PortRange::parse(item, list.len)?;
            rest = behind;
        }
        Ok(list)
    }

    /// The list of these ranges, as many as [`MAX_RANGES`] of them.
    pub(crate) fn from_ranges(ranges: impl Iterator<Item = PortRange>) -> Self {
        let mut list = Self::EMPTY;
        for (slot, range) in list.ranges.iter_mut().zip(ranges) {
            *slot = range;
            list.len = list.len.wrapping_add(1);
        }
        list
    }

    /// The ports and ranges, as written.
    #[inline]
    pub fn ranges(&self) -> &[PortRange] {
        self.ranges.get(..self.len).unwrap_or(&[])
    }

    /// Whether the list has no port.
    #[inline]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl PartialEq for PortList {
    fn eq(&self, other: &Self) -> bool {
        self.ranges() == other.ranges()
    }
}

impl Eq for PortList {}

/// Prints the list as it is written in `ports=`.
impl fmt::Display for PortList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for range in self.ranges() {
            write!(f, "{separator}{range}")?;
            separator = ",";
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn error(text: &str) -> String {
        PortList::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn ports_and_ranges_are_read_and_printed_as_written() {
        let list = PortList::parse("8080,8081,9000-9010\n").unwrap();
        assert_eq!(list.to_string(), "8080,8081,9000-9010");
        assert_eq!(
            list.ranges()[2],
            PortRange {
                first: 9000,
                last: 9010
            }
        );
        assert_eq!(PortList::parse("1,65535").unwrap().to_string(), "1,65535");
    }

    #[test]
    fn an_empty_text_is_the_empty_list() {
        assert!(PortList::parse("").unwrap().is_empty());
        assert!(PortList::parse(" \n").unwrap().is_empty());
    }

    #[test]
    fn each_mistake_has_its_own_reason() {
        assert!(error("70000").contains("'70000' is not a port"));
        assert!(error("0").contains("'0' is not a port"));
        assert!(error("a").contains("'a' is not a port"));
        assert!(error("+80").contains("'+80' is not a port"));
        assert!(error("80, 81").contains("' 81' is not a port"));
        assert!(error("80-").contains("'' is not a port"));
        assert!(error("1-2-3").contains("'2-3' is not a port"));
        assert!(error("99999999999999999999").contains("is not a port"));
        assert!(error("80,,81").contains("item 2 is empty"));
        assert!(error("80,").contains("item 2 is empty"));
        assert!(error(",80").contains("item 1 is empty"));
        assert!(error("9-5").contains("'9-5' ends before it starts"));
    }

    #[test]
    fn sixty_four_items_are_taken_and_sixty_five_are_not() {
        let items = |n: u16| (1..=n).map(|p| p.to_string()).collect::<Vec<_>>().join(",");
        assert_eq!(PortList::parse(&items(64)).unwrap().ranges().len(), 64);
        assert!(error(&items(65)).contains("65 items are too many"));
    }

    #[test]
    fn text_from_outside_is_printed_harmlessly() {
        assert_eq!(Printable("a\nb\u{1b}ü").to_string(), "a?b??");
        assert_eq!(Printable(&"x".repeat(1000)).to_string().len(), 67);
    }

    proptest! {
        #[test]
        fn what_is_printed_reads_back_the_same(
            ranges in proptest::collection::vec((1u16.., 0u16..100), 0..64)
        ) {
            let list = PortList::from_ranges(ranges.into_iter().map(|(first, n)| PortRange {
                first,
                last: first.saturating_add(n),
            }));
            prop_assert_eq!(PortList::parse(&list.to_string()).unwrap(), list);
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC*") {
            let _ = PortList::parse(&text).map_err(|error| error.to_string());
        }
    }
}
