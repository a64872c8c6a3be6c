// SPDX-License-Identifier: GPL-2.0

//! Reading a recording, also one that is damaged: whatever stands before the damage.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Read};

use nftrace_core::abi::{Frame, FRAMES, FRAME_SIZE};
use nftrace_core::record::Kind;
use serde::de::DeserializeOwned;
use zerocopy::FromBytes as _;

use super::{
    number, read_most, tag, Host, NamespaceName, Totals, BLOCK_HEADER, FORMAT, HEADER, MAGIC,
    MAX_PAYLOAD,
};

/// Why a file cannot be read at all.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// It has no such header.
    #[error("this is no recording of nftrace; 'nftrace record FILE' makes one, and a kernel log is for 'nftrace path'")]
    NotARecording,
    /// It ends inside the header, or that is damaged.
    #[error("the recording is damaged in its header (offset {offset}): nothing in it can be read")]
    Header {
        /// Where.
        offset: u64,
    },
    /// Its format is another.
    #[error(
        "the recording has format {format} and this command reads format {FORMAT}; \
         read it with the version of nftrace that wrote it"
    )]
    Format {
        /// The format.
        format: u32,
    },
    /// Its frames are others.
    #[error(
        "the recording has frames of version {version} ({frame_size} bytes) and this command \
         reads version {FRAMES} ({FRAME_SIZE} bytes); read it with the version of nftrace that wrote it"
    )]
    Frames {
        /// The version.
        version: u32,
        /// Bytes of a frame.
        frame_size: u32,
    },
    /// It cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Where and how a recording is damaged. What stands before is sound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Damage {
    /// Offset in the file.
    pub(crate) offset: u64,
    /// What is wrong there.
    pub(crate) what: String,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "the recording is damaged at offset {}: {}; everything before is shown",
            self.offset, self.what
        )
    }
}

/// What a recording consists of.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Entry {
    /// Where and when it was made.
    Host(Box<Host>),
    /// A frame.
    Frame(Box<Frame>),
    /// Names of namespaces.
    Names(Vec<NamespaceName>),
    /// The end.
    End(Totals),
}

/// Reads a recording.
pub(crate) struct Reader<R> {
    from: R,
    offset: u64,
    ready: VecDeque<Entry>,
    seen: Totals,
    ended: bool,
    damage: Option<Damage>,
}

impl<R: Read> Reader<R> {
    /// Reads the header.
    pub(crate) fn new(mut from: R) -> Result<Self, OpenError> {
        let mut header = [0; HEADER];
        let len = read_most(&mut from, &mut header)?;
        if len < MAGIC.len() || !header.starts_with(&MAGIC) {
            return Err(OpenError::NotARecording);
        }
        let sound = crc32fast::hash(&header[..20]) == number(&header, 20);
        if len < HEADER || !sound {
            let offset = if len < HEADER { len } else { MAGIC.len() };
            return Err(OpenError::Header {
                offset: offset as u64,
            });
        }
        let format = number(&header, 8);
        if format != FORMAT {
            return Err(OpenError::Format { format });
        }
        let (version, frame_size) = (number(&header, 12), number(&header, 16));
        if version != FRAMES || usize::try_from(frame_size) != Ok(FRAME_SIZE) {
            return Err(OpenError::Frames {
                version,
                frame_size,
            });
        }
        Ok(Self {
            from,
            offset: HEADER as u64,
            ready: VecDeque::new(),
            seen: Totals::default(),
            ended: false,
            damage: None,
        })
    }

    /// Where the recording is damaged. Known when there is nothing more to read.
    pub(crate) fn damage(&self) -> Option<&Damage> {
        self.damage.as_ref()
    }

    /// The next entry; none where the recording ends or is damaged.
    pub(crate) fn next(&mut self) -> Option<Entry> {
        while self.ready.is_empty() && self.damage.is_none() {
            match self.block() {
                Ok(true) => {}
                Ok(false) => break,
                Err(damage) => self.damage = Some(damage),
            }
        }
        self.ready.pop_front()
    }

    fn damaged(&self, offset: u64, what: impl Into<String>) -> Damage {
        Damage {
            offset,
            what: what.into(),
        }
    }

    /// Fills `buffer`; says how much of it there was.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, Damage> {
        let len = read_most(&mut self.from, buffer)
            .map_err(|error| self.damaged(self.offset, format!("it cannot be read: {error}")))?;
        self.offset += len as u64;
        Ok(len)
    }

    /// Reads a block. False: there is none.
    fn block(&mut self) -> Result<bool, Damage> {
        let start = self.offset;
        let mut head = [0; BLOCK_HEADER];
        let len = self.fill(&mut head)?;
        if self.ended {
            return match len {
                0 => Ok(false),
                _ => Err(self.damaged(start, "there is something behind its end")),
            };
        }
        match len {
            0 => return Err(self.damaged(start, "it was cut off, or is still being written")),
            BLOCK_HEADER => {}
            _ => return Err(self.damaged(self.offset, "it was cut off inside a block's header")),
        }
        if crc32fast::hash(&head[..8]) != number(&head, 8) {
            return Err(self.damaged(start, "there is no block"));
        }
        let size = usize::try_from(number(&head, 4)).unwrap_or(usize::MAX);
        if size > MAX_PAYLOAD {
            return Err(self.damaged(start, format!("a block says that it has {size} bytes")));
        }
        let mut body = vec![0; size + 4];
        let len = self.fill(&mut body)?;
        let tag: [u8; 4] = [head[0], head[1], head[2], head[3]];
        if len < body.len() {
            // What is there of the frames was not changed, only what follows is missing.
            if tag == tag::FRAMES {
                self.frames(&body[..len.min(size)]);
            }
            return Err(self.damaged(self.offset, "it was cut off inside a block"));
        }
        if crc32fast::hash(&body[..size]) != number(&body, size) {
            return Err(self.damaged(start, "the checksum of the block there is wrong"));
        }
        self.take(start, tag, &body[..size])?;
        Ok(true)
    }

    /// Takes a sound block apart. Those of later versions are passed over.
    fn take(&mut self, start: u64, tag: [u8; 4], payload: &[u8]) -> Result<(), Damage> {
        match tag {
            tag::FRAMES => {
                self.frames(payload);
                if payload.len() % FRAME_SIZE != 0 {
                    return Err(self.damaged(start, "the block there ends inside a frame"));
                }
            }
            tag::HOST => {
                let host = self.json(start, payload)?;
                self.ready.push_back(Entry::Host(Box::new(host)));
            }
            tag::NAMES => {
                let names = self.json(start, payload)?;
                self.ready.push_back(Entry::Names(names));
            }
            tag::END => {
                let totals: Totals = self.json(start, payload)?;
                if totals != self.seen {
                    let what = format!(
                        "its end counts {} records and {} lost, but {} and {} were found",
                        totals.records, totals.lost, self.seen.records, self.seen.lost
                    );
                    return Err(self.damaged(start, what));
                }
                self.ended = true;
                self.ready.push_back(Entry::End(totals));
            }
            _ => {}
        }
        Ok(())
    }

    fn json<T: DeserializeOwned>(&self, start: u64, payload: &[u8]) -> Result<T, Damage> {
        serde_json::from_slice(payload)
            .map_err(|error| self.damaged(start, format!("the block there is no JSON: {error}")))
    }

    fn frames(&mut self, bytes: &[u8]) {
        for bytes in bytes.chunks_exact(FRAME_SIZE) {
            if let Ok(frame) = Frame::read_from_bytes(bytes) {
                self.seen.lost = self.seen.lost.saturating_add(frame.lost);
                self.seen.records += u64::from(frame.record.kind() != Kind::Gap);
                self.ready.push_back(Entry::Frame(Box::new(frame)));
            }
        }
    }
}
