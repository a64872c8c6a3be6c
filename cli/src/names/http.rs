// SPDX-License-Identifier: GPL-2.0

//! One GET over a Unix socket: all that is wanted of a container engine's API.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

/// An engine that is busy must not make the command hang.
const LIMIT: Duration = Duration::from_secs(5);
/// A list of some thousand containers is a few megabytes.
const MAX_BODY: usize = 64 << 20;
const MAX_HEADERS: usize = 64;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("no answer within {} s", LIMIT.as_secs())]
    Late,
    #[error("the answer is not HTTP: {0}")]
    Malformed(String),
    #[error("the answer ends too early")]
    Truncated,
    #[error("the answer is larger than {} MiB", MAX_BODY >> 20)]
    TooLarge,
    #[error("{path}: status {status}: {message}")]
    Status {
        path: String,
        status: u16,
        message: String,
    },
}

/// The body that the server on `socket` answers with.
pub(super) fn get(socket: &Path, path: &str) -> Result<Vec<u8>, Error> {
    let deadline = Instant::now() + LIMIT;
    let mut stream = UnixStream::connect(socket)?;
    stream.set_write_timeout(Some(LIMIT))?;
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: nftrace\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    let mut part = vec![0; 64 << 10];
    // The connection is closed behind the answer; but who has it all need not wait for that.
    loop {
        if let Some((status, body)) = parse(&answer, false)? {
            return finish(path, status, body);
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Error::Late);
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut part) {
            Ok(0) => break,
            Ok(length) => answer.extend_from_slice(&part[..length]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                return Err(Error::Late)
            }
            Err(error) => return Err(error.into()),
        }
        if answer.len() > MAX_BODY {
            return Err(Error::TooLarge);
        }
    }
    let (status, body) = parse(&answer, true)?.ok_or(Error::Truncated)?;
    finish(path, status, body)
}

fn finish(path: &str, status: u16, body: Vec<u8>) -> Result<Vec<u8>, Error> {
    if status == 200 {
        return Ok(body);
    }
    #[derive(serde::Deserialize)]
    struct Refusal {
        message: String,
    }
    let message = serde_json::from_slice(&body).map_or_else(
        |_| String::from_utf8_lossy(&body).trim().to_owned(),
        |refusal: Refusal| refusal.message,
    );
    Err(Error::Status {
        path: path.to_owned(),
        status,
        message,
    })
}

/// Status and body, once they are complete; `ended`: nothing more will come.
fn parse(answer: &[u8], ended: bool) -> Result<Option<(u16, Vec<u8>)>, Error> {
    let malformed = |error: httparse::Error| Error::Malformed(error.to_string());
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(start) = response.parse(answer).map_err(malformed)? else {
        return Ok(None);
    };
    let status = response.code.unwrap_or_default();
    let header = |name: &str| {
        let found = response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(found.value).ok()
    };
    let rest = &answer[start..];
    if header("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
        return Ok(unchunk(rest)?.map(|body| (status, body)));
    }
    match header("content-length") {
        Some(length) => {
            let length: usize = length
                .trim()
                .parse()
                .map_err(|_| Error::Malformed(format!("Content-Length: {length}")))?;
            Ok(rest.get(..length).map(|body| (status, body.to_vec())))
        }
        None if ended => Ok(Some((status, rest.to_vec()))),
        None => Ok(None),
    }
}

/// The body in chunks, once the last one is there.
fn unchunk(mut rest: &[u8]) -> Result<Option<Vec<u8>>, Error> {
    let mut body = Vec::new();
    loop {
        let (start, length) = match httparse::parse_chunk_size(rest) {
            Ok(httparse::Status::Complete(chunk)) => chunk,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(Error::Malformed("a chunk without a size".to_owned())),
        };
        if length == 0 {
            return Ok(Some(body));
        }
        let length = usize::try_from(length)
            .ok()
            .filter(|&length| length <= MAX_BODY)
            .ok_or(Error::TooLarge)?;
        let Some(chunk) = rest.get(start..start + length + 2) else {
            return Ok(None);
        };
        body.extend_from_slice(&chunk[..length]);
        rest = &rest[start + length + 2..];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_in_chunks_is_put_together() {
        let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n\r\n";
        let (status, body) = parse(answer, false).unwrap().unwrap();
        assert_eq!((status, body.as_slice()), (200, b"[1,2]".as_slice()));
    }

    #[test]
    fn no_answer_is_taken_for_complete_before_it_is() {
        let chunked =
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1,\r\n2\r\n2]\r\n0\r\n";
        let sized = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n[1,2]";
        for end in 0..chunked.len() - 2 {
            assert!(parse(&chunked[..end], true).unwrap().is_none(), "{end}");
        }
        for end in 0..sized.len() {
            assert!(parse(&sized[..end], true).unwrap().is_none(), "{end}");
        }
        assert!(parse(sized, false).unwrap().is_some());
    }

    #[test]
    fn without_a_length_the_body_ends_with_the_connection() {
        let answer = b"HTTP/1.0 200 OK\r\n\r\n[]";
        assert!(parse(answer, false).unwrap().is_none());
        assert_eq!(parse(answer, true).unwrap().unwrap().1, b"[]");
    }

    #[test]
    fn a_chunk_of_a_terabyte_is_refused_before_memory_is_taken() {
        let answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10000000000\r\n[1,\r\n";
        assert!(matches!(parse(answer, false), Err(Error::TooLarge)));
    }

    #[test]
    fn a_refusal_tells_the_servers_reason() {
        let error = finish("/x", 404, br#"{"message":"no such container"}"#.to_vec()).unwrap_err();
        assert_eq!(error.to_string(), "/x: status 404: no such container");
    }
}
