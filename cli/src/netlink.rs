// SPDX-License-Identifier: GPL-2.0

//! Netlink: one request, and all its answers.

use std::io;
use std::net::IpAddr;

use netlink_packet_core::{
    DecodeError, NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload,
    NetlinkSerializable, NlasIterator, NLM_F_DUMP, NLM_F_REQUEST,
};
use netlink_sys::Socket;

/// A message's type and what is behind its header.
#[derive(Debug)]
struct Raw {
    kind: u16,
    payload: Vec<u8>,
}

impl NetlinkSerializable for Raw {
    fn message_type(&self) -> u16 {
        self.kind
    }

    fn buffer_len(&self) -> usize {
        self.payload.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        buffer[..self.payload.len()].copy_from_slice(&self.payload);
    }
}

impl NetlinkDeserializable for Raw {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, Self::Error> {
        Ok(Self {
            kind: header.message_type,
            payload: payload.to_vec(),
        })
    }
}

/// A socket in the namespace where it was made.
pub(crate) struct Dumper {
    socket: Socket,
    sequence: u32,
}

impl Dumper {
    /// Opens a socket of a protocol, `NETLINK_…`.
    pub(crate) fn new(protocol: isize) -> io::Result<Self> {
        let mut socket = Socket::new(protocol)?;
        socket.bind_auto()?;
        Ok(Self {
            socket,
            sequence: 0,
        })
    }

    /// Asks with a message of this type and content; the contents of all answers.
    ///
    /// # Errors
    ///
    /// What the kernel refuses with; `InvalidData` for an answer that is broken.
    pub(crate) fn dump(&mut self, kind: u16, payload: Vec<u8>) -> io::Result<Vec<Vec<u8>>> {
        self.send(kind, NLM_F_DUMP, payload)?;
        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            if read(&datagram, self.sequence, &mut answers)? {
                return Ok(answers);
            }
        }
    }

    /// Asks for one thing with a message of this type and content; the answer's content.
    ///
    /// # Errors
    ///
    /// What the kernel refuses with; `InvalidData` for an answer that is broken.
    pub(crate) fn get(&mut self, kind: u16, payload: Vec<u8>) -> io::Result<Vec<u8>> {
        self.send(kind, 0, payload)?;
        let mut answers = Vec::new();
        loop {
            let (datagram, _) = self.socket.recv_from_full()?;
            let ended = read(&datagram, self.sequence, &mut answers)?;
            if let Some(answer) = answers.pop() {
                return Ok(answer);
            }
            if ended {
                return Err(io::ErrorKind::NotFound.into());
            }
        }
    }

    fn send(&mut self, kind: u16, flags: u16, payload: Vec<u8>) -> io::Result<()> {
        self.sequence += 1;
        let bytes = request(kind, flags, payload, self.sequence);
        self.socket.send(&bytes, 0).map(drop)
    }
}

/// The bytes of a request.
fn request(kind: u16, flags: u16, payload: Vec<u8>, sequence: u32) -> Vec<u8> {
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST | flags;
    header.sequence_number = sequence;
    let raw = Raw { kind, payload };
    let mut message = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(raw));
    message.finalize();
    let mut buffer = vec![0; message.buffer_len()];
    message.serialize(&mut buffer);
    buffer
}

/// Reads one datagram; whether the dump has come to its end.
fn read(mut datagram: &[u8], sequence: u32, answers: &mut Vec<Vec<u8>>) -> io::Result<bool> {
    while !datagram.is_empty() {
        let message = NetlinkMessage::<Raw>::deserialize(datagram).map_err(malformed)?;
        let (header, payload) = message.into_parts();
        let length = usize::try_from(header.length).unwrap_or(usize::MAX);
        let next = length.checked_next_multiple_of(4).unwrap_or(usize::MAX);
        datagram = datagram.get(next..).unwrap_or_default();
        // What is left of an earlier dump that failed.
        if header.sequence_number != sequence {
            continue;
        }
        match payload {
            NetlinkPayload::Done(done) if done.code < 0 => {
                return Err(io::Error::from_raw_os_error(-done.code))
            }
            NetlinkPayload::Done(_) => return Ok(true),
            // An error of 0 is an acknowledgement: there is nothing.
            NetlinkPayload::Error(error) => {
                return match error.code {
                    None => Ok(true),
                    Some(_) => Err(error.to_io()),
                }
            }
            NetlinkPayload::InnerMessage(raw) => answers.push(raw.payload),
            _ => {}
        }
    }
    Ok(false)
}

fn malformed(error: DecodeError) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error.to_string())
}

/// Calls `each` with the number and value of each attribute.
///
/// # Errors
///
/// `InvalidData`: an attribute is longer than what there is.
pub(crate) fn attributes(raw: &[u8], mut each: impl FnMut(u16, &[u8])) -> io::Result<()> {
    for attribute in NlasIterator::new(raw) {
        let attribute = attribute.map_err(malformed)?;
        each(attribute.kind(), attribute.value());
    }
    Ok(())
}

/// A string attribute: it ends with a zero byte, of which the length may tell or not.
pub(crate) fn text(value: &[u8]) -> String {
    let end = value.iter().position(|&byte| byte == 0);
    String::from_utf8_lossy(&value[..end.unwrap_or(value.len())]).into_owned()
}

/// An address of either family, by its length.
pub(crate) fn address(value: &[u8]) -> Option<IpAddr> {
    if let Ok(octets) = <[u8; 4]>::try_from(value) {
        return Some(octets.into());
    }
    <[u8; 16]>::try_from(value).ok().map(IpAddr::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: u16, sequence: u32, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(16 + payload.len()).unwrap();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(2u16.to_ne_bytes());
        bytes.extend(sequence.to_ne_bytes());
        bytes.extend(0u32.to_ne_bytes());
        bytes.extend(payload);
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    }

    const DONE: u16 = 3;
    const ERROR: u16 = 2;

    fn answers(datagram: &[u8]) -> (Option<bool>, Vec<Vec<u8>>) {
        let mut answers = Vec::new();
        let ended = read(datagram, 7, &mut answers).ok();
        (ended, answers)
    }

    #[test]
    fn all_messages_of_a_datagram_are_read_up_to_the_end_of_the_dump() {
        let datagram = [
            message(99, 7, b"one"),
            message(99, 7, b"four"),
            message(DONE, 7, &[0; 4]),
        ]
        .concat();
        let expected = vec![b"one".to_vec(), b"four".to_vec()];
        assert_eq!(answers(&datagram), (Some(true), expected));
    }

    #[test]
    fn the_answers_to_an_earlier_request_are_passed_over() {
        let datagram = [message(99, 6, b"old."), message(DONE, 6, &[0; 4])].concat();
        assert_eq!(answers(&datagram), (Some(false), Vec::new()));
    }

    #[test]
    fn a_dump_that_fails_says_why_at_either_place() {
        let nodev = (-19i32).to_ne_bytes();
        for kind in [DONE, ERROR] {
            let payload = [nodev.as_slice(), &[0; 16]].concat();
            let error = read(&message(kind, 7, &payload), 7, &mut Vec::new()).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(19), "type {kind}");
        }
    }

    #[test]
    fn a_cut_datagram_is_an_error_and_no_panic() {
        let whole = message(99, 7, b"something");
        for end in 1..whole.len() - 3 {
            assert!(read(&whole[..end], 7, &mut Vec::new()).is_err(), "{end}");
        }
    }

    #[test]
    fn a_request_has_its_own_length_in_front() {
        let bytes = request(12 << 8, NLM_F_DUMP, vec![2, 0, 0, 0], 7);
        assert_eq!(bytes[..4], 20u32.to_ne_bytes());
        assert_eq!(bytes[4..6], (12u16 << 8).to_ne_bytes());
        assert_eq!(bytes[6..8], 0x301u16.to_ne_bytes());
        assert_eq!(bytes[16..], [2, 0, 0, 0]);
    }
}
