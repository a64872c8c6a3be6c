// SPDX-License-Identifier: GPL-2.0

//! A bounded walk over the first bytes of a packet.

use super::{Error, MAX_HEADERS};

/// Stands somewhere in a packet and hands out the bytes from there on.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    /// The first bytes of the packet.
    window: &'a [u8],
    /// Where the next byte is read, which may be beyond the window.
    at: usize,
    /// Where the packet ends: never less than `at`.
    end: usize,
    /// Whether this is a packet inside an ICMP error, which may be cut anywhere.
    quoted: bool,
}

impl<'a> Reader<'a> {
    /// Starts at the network header of a packet `total` bytes long.
    #[inline]
    pub(super) fn new(window: &'a [u8], total: usize) -> Self {
        Self {
            window,
            at: 0,
            end: total,
            quoted: false,
        }
    }

    /// The rest of this packet, read as a packet of its own.
    #[inline]
    pub(super) fn quotation(&self) -> Self {
        Self {
            quoted: true,
            ..*self
        }
    }

    /// How many bytes of the packet are left.
    #[inline]
    pub(super) fn left(&self) -> usize {
        self.end.saturating_sub(self.at)
    }

    /// Takes note that the network header, `header` bytes long, announces a packet
    /// of `length` bytes.
    ///
    /// A quotation's length is neither that of what is quoted nor to be trusted:
    /// there are stacks that quote it in another byte order.
    #[inline]
    pub(super) fn announce(&mut self, length: usize, header: usize) -> Result<(), Error> {
        if self.quoted {
            return Ok(());
        }
        if length < header {
            return Err(Error::Malformed);
        }
        if length > self.end {
            return Err(Error::Truncated);
        }
        self.end = length;
        Ok(())
    }

    /// Reads the next `N` bytes.
    #[inline]
    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let from = self.at;
        self.skip(N)?;
        if self.at > MAX_HEADERS {
            return Err(Error::Malformed);
        }
        self.window
            .get(from..)
            .and_then(|rest| rest.first_chunk())
            .copied()
            .ok_or(Error::WindowTooSmall)
    }

    /// Goes on `count` bytes, which need not be in the window.
    #[inline]
    pub(super) fn skip(&mut self, count: usize) -> Result<(), Error> {
        let after = self.at.saturating_add(count);
        if after > self.end {
            return Err(Error::Truncated);
        }
        self.at = after;
        Ok(())
    }
}
