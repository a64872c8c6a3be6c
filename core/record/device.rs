// SPDX-License-Identifier: GPL-2.0

//! A device in a record.

use ::core::fmt;

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// A network device, by what it was called when the packet was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct Device {
    /// The interface index; 0 where it is not known.
    pub index: u32,
    /// The name, padded with zeroes; empty for no device at all.
    pub name: [u8; 16],
}

impl Device {
    /// No device.
    pub const NONE: Self = Self {
        index: 0,
        name: [0; 16],
    };

    /// A device; behind the first zero byte of `name` may stand anything.
    #[inline]
    pub fn new(index: u32, name: [u8; 16]) -> Self {
        let [low, high]: [[u8; 8]; 2] = zerocopy::transmute!(name);
        let (low, ends) = until_zero(u64::from_le_bytes(low));
        let high = if ends {
            0
        } else {
            until_zero(u64::from_le_bytes(high)).0
        };
        let name = zerocopy::transmute!([low.to_le_bytes(), high.to_le_bytes()]);
        Self { index, name }
    }

    /// The bytes of the name; none for no device.
    pub fn name(&self) -> Option<&[u8]> {
        let name = self.name.split(|byte| *byte == 0).next()?;
        (!name.is_empty()).then_some(name)
    }
}

/// The bytes of a word up to the first that is zero, counted from the lowest one, the
/// others zero; whether there is such a byte.
#[inline]
const fn until_zero(word: u64) -> (u64, bool) {
    const ONES: u64 = 0x0101_0101_0101_0101;
    // The top bit of the first zero byte is the lowest that is set.
    let zeroes = word.wrapping_sub(ONES) & !word & (ONES << 7);
    let first = zeroes & zeroes.wrapping_neg();
    // Without one, the mask is all ones.
    let mask = (first >> 7).wrapping_sub(1);
    (word & mask, zeroes != 0)
}

/// Prints the name, or `-`. A name may hold any byte but white space, `/` and `:`,
/// so what is not printable ASCII, and the backslash, becomes `\xNN`.
impl fmt::Display for Device {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write as _;
        let Some(name) = self.name() else {
            return f.write_char('-');
        };
        // A device that is really called "-" must not look like none.
        let dash = name == b"-";
        for byte in name {
            if matches!(byte, b'!'..=b'~') && *byte != b'\\' && !dash {
                f.write_char(char::from(*byte))?;
            } else {
                write!(f, "\\x{byte:02x}")?;
            }
        }
        Ok(())
    }
}
