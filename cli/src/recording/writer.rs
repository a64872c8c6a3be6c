// SPDX-License-Identifier: GPL-2.0

//! Writing a recording: append only, complete at every moment up to the last flush.

use std::io::{self, Write};

use nftrace_core::abi::Frame;
use nftrace_core::record::Kind;
use serde::Serialize;
use zerocopy::IntoBytes as _;

use super::{header, tag, Host, NamespaceName, Totals};

/// Frames of a block at most: damage costs no more than one block.
const BLOCK: usize = 256;

/// Writes a recording.
pub(crate) struct Writer<W> {
    to: W,
    frames: Vec<Frame>,
    totals: Totals,
}

impl<W: Write> Writer<W> {
    /// Begins a recording.
    pub(crate) fn new(to: W, host: &Host) -> io::Result<Self> {
        let mut writer = Self {
            to,
            frames: Vec::with_capacity(BLOCK),
            totals: Totals::default(),
        };
        writer.to.write_all(&header())?;
        writer.json(tag::HOST, host)?;
        writer.to.flush()?;
        Ok(writer)
    }

    /// Adds a frame.
    pub(crate) fn frame(&mut self, frame: &Frame) -> io::Result<()> {
        self.totals.lost += frame.lost;
        self.totals.records += u64::from(frame.record.kind() != Kind::Gap);
        self.frames.push(*frame);
        if self.frames.len() == BLOCK {
            self.write_frames()?;
        }
        Ok(())
    }

    /// Adds names of namespaces.
    pub(crate) fn names(&mut self, names: &[NamespaceName]) -> io::Result<()> {
        // What is long enough to fill a block is given several.
        for names in names.chunks(256) {
            self.write_frames()?;
            self.json(tag::NAMES, &names)?;
        }
        Ok(())
    }

    /// Hands all to the file: from here on it is in the recording, whatever happens.
    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.write_frames()?;
        self.to.flush()
    }

    /// Ends the recording.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.write_frames()?;
        let totals = self.totals;
        self.json(tag::END, &totals)?;
        self.to.flush()?;
        Ok(self.to)
    }

    fn write_frames(&mut self) -> io::Result<()> {
        if self.frames.is_empty() {
            return Ok(());
        }
        let frames = std::mem::take(&mut self.frames);
        self.block(tag::FRAMES, frames.as_bytes())?;
        self.frames = frames;
        self.frames.clear();
        Ok(())
    }

    fn json(&mut self, tag: [u8; 4], value: &impl Serialize) -> io::Result<()> {
        let payload = serde_json::to_vec(value)?;
        self.block(tag, &payload)
    }

    fn block(&mut self, tag: [u8; 4], payload: &[u8]) -> io::Result<()> {
        let len = u32::try_from(payload.len()).map_err(io::Error::other)?;
        let head = [tag, len.to_le_bytes()].concat();
        for part in [&head, payload] {
            self.to.write_all(part)?;
            self.to.write_all(&crc32fast::hash(part).to_le_bytes())?;
        }
        Ok(())
    }
}
