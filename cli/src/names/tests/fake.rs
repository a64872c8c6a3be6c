// SPDX-License-Identifier: GPL-2.0

//! A container engine that answers from a table, as Docker and Podman do.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::thread;

/// How a body is sent. Docker uses both, the second for long ones.
#[derive(Clone, Copy)]
pub(crate) enum Framing {
    Length,
    Chunked,
}

/// Serves `socket` for as long as the test lives: a body for each path, else 404.
pub(crate) fn serve(socket: &Path, framing: Framing, answers: &[(&str, String)]) {
    let listener = UnixListener::bind(socket).unwrap();
    let own = |(path, body): &(&str, String)| ((*path).to_owned(), body.clone());
    let answers: Arc<HashMap<String, String>> = Arc::new(answers.iter().map(own).collect());
    thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap(), framing, &answers);
        }
    });
}

fn answer(mut stream: UnixStream, framing: Framing, answers: &HashMap<String, String>) {
    let mut request = BufReader::new(stream.try_clone().unwrap()).lines();
    let first = request.next().unwrap().unwrap();
    while request.next().is_some_and(|line| !line.unwrap().is_empty()) {}
    let path = first.split(' ').nth(1).unwrap();
    let absent = r#"{"message":"page not found"}"#.to_owned();
    let (status, body) = match answers.get(path) {
        Some(body) => ("200 OK", body),
        None => ("404 Not Found", &absent),
    };
    let mut text = format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\n");
    match framing {
        Framing::Length => text += &format!("Content-Length: {}\r\n\r\n{body}", body.len()),
        Framing::Chunked => {
            text += "Transfer-Encoding: chunked\r\n\r\n";
            for chunk in body.as_bytes().chunks(7) {
                let chunk = std::str::from_utf8(chunk).unwrap();
                text += &format!("{:x}\r\n{chunk}\r\n", chunk.len());
            }
            text += "0\r\n\r\n";
        }
    }
    // A client that has gone is its own affair.
    let _ = stream.write_all(text.as_bytes());
}

/// A container of a list: `/containers/json`.
pub(crate) fn listed(id: &str, name: &str, state: &str) -> String {
    format!(r#"{{"Id":"{id}","Names":["/other/alias","/{name}"],"State":"{state}"}}"#)
}

/// What `/containers/ID/json` answers.
pub(crate) fn inspected(pid: u32, network: &str) -> String {
    format!(
        r#"{{"State":{{"Pid":{pid},"Running":true}},"HostConfig":{{"NetworkMode":"{network}"}},
            "NetworkSettings":{{"SandboxKey":"/var/run/docker/netns/{pid}"}}}}"#
    )
}

/// What `/version` answers.
pub(crate) fn version(engine: &str) -> String {
    format!(r#"{{"Components":[{{"Name":"{engine}","Version":"5.0"}},{{"Name":"Conmon"}}]}}"#)
}
