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

    /// The bytes of the name; none for no device.
    pub fn name(&self) -> Option<&[u8]> {
        let name = self.name.split(|byte| *byte == 0).next()?;
        (!name.is_empty()).then_some(name)
    }
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
