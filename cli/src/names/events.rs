// SPDX-License-Identifier: GPL-2.0

//! What happens to containers, as Docker and Podman tell it when it happens.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;

use super::engine;

/// The API sockets of engines that are there now.
pub(crate) fn engine_sockets() -> Vec<PathBuf> {
    let sockets = engine::sockets(Path::new("/"), |name| std::env::var(name).ok());
    let paths = sockets.into_iter().map(|socket| socket.path);
    paths.filter(|path| path.exists()).collect()
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Event {
    #[serde(default, rename = "Type")]
    kind: String,
    #[serde(default)]
    action: String,
    #[serde(default)]
    actor: Actor,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Actor {
    attributes: Attributes,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Attributes {
    name: String,
}

/// An engine that asks for an answer takes so long at most to say that it listens.
const PATIENCE: Duration = Duration::from_secs(10);

/// Tells `connected` when the engine listens, and each event that may change what a name
/// means, until the engine closes the connection.
///
/// # Errors
///
/// There is no engine, or it has no events.
pub(crate) fn follow(
    socket: &Path,
    connected: impl FnOnce(),
    mut event: impl FnMut(String),
) -> io::Result<()> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // By 1.0 nothing comes in chunks.
    stream.write_all(b"GET /events HTTP/1.0\r\nHost: localhost\r\nUser-Agent: nftrace\r\n\r\n")?;
    let mut answer = BufReader::new(stream);
    let mut line = String::new();
    answer.read_line(&mut line)?;
    let status = line.split(' ').nth(1).unwrap_or_default().to_owned();
    if status != "200" {
        let said = line.trim_end();
        return Err(io::Error::other(format!(
            "it has no events to tell: {said:?}"
        )));
    }
    while line.trim_end() != "" {
        line.clear();
        if answer.read_line(&mut line)? == 0 {
            return Ok(());
        }
    }
    // Nothing may happen for days.
    answer.get_ref().set_read_timeout(None)?;
    connected();
    loop {
        line.clear();
        if answer.read_line(&mut line)? == 0 {
            return Ok(());
        }
        if let Some(said) = meaning(&line) {
            event(said);
        }
    }
}

/// What happened, if it may change what a name means.
fn meaning(line: &str) -> Option<String> {
    let event: Event = serde_json::from_str(line).ok()?;
    let matters = match event.kind.as_str() {
        "container" => matches!(
            event.action.as_str(),
            "create"
                | "start"
                | "restart"
                | "die"
                | "died"
                | "stop"
                | "destroy"
                | "remove"
                | "rename"
                | "init"
                | "cleanup"
        ),
        "network" => matches!(event.action.as_str(), "connect" | "disconnect"),
        "pod" => true,
        _ => false,
    };
    matters.then(|| {
        format!(
            "{} {} {}",
            event.kind, event.action, event.actor.attributes.name
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read as _;
    use std::os::unix::net::UnixListener;

    /// An engine that says this to whoever connects, in these parts.
    fn engine(parts: &'static [&'static str]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&path).unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 1024];
            let length = stream.read(&mut request).unwrap();
            assert!(request[..length].starts_with(b"GET /events HTTP/1.0\r\n"));
            for part in parts {
                stream.write_all(part.as_bytes()).unwrap();
                stream.flush().unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        (folder, path)
    }

    fn told(parts: &'static [&'static str]) -> (bool, Vec<String>, io::Result<()>) {
        let (_folder, path) = engine(parts);
        let mut connected = false;
        let mut events = Vec::new();
        let result = follow(&path, || connected = true, |event| events.push(event));
        (connected, events, result)
    }

    #[test]
    fn events_are_told_when_they_may_change_what_a_name_means() {
        let (connected, events, result) = told(&[
            "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n",
            "{\"Type\":\"container\",\"Action\":\"exec_start: sh\",\"Actor\":{\"Attributes\":{\"name\":\"web\"}}}\n",
            "{\"Type\":\"container\",\"Action\":\"sta",
            "rt\",\"Actor\":{\"ID\":\"4f\",\"Attributes\":{\"name\":\"web\"}}}\n{\"Type\":\"image\",\"Action\":\"pull\"}\n",
            "nonsense\n{\"Type\":\"network\",\"Action\":\"connect\",\"Actor\":{\"Attributes\":{\"name\":\"bridge\"}}}\n",
        ]);
        assert!(connected && result.is_ok());
        assert_eq!(events, ["container start web", "network connect bridge"]);
    }

    #[test]
    fn an_engine_without_events_is_an_error_that_says_so() {
        let (connected, events, result) = told(&["HTTP/1.0 403 Forbidden\r\n\r\nno\n"]);
        assert!(!connected && events.is_empty());
        assert!(result.unwrap_err().to_string().contains("403 Forbidden"));
    }

    #[test]
    fn an_engine_that_ends_in_its_first_words_is_no_endless_loop() {
        let (connected, _, result) = told(&["HTTP/1.0 200 OK\r\nContent-"]);
        assert!(!connected && result.is_ok());
    }
}
