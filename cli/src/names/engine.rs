// SPDX-License-Identifier: GPL-2.0

//! What Docker and Podman say of their containers. Podman speaks Docker's API too.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::{cgroup, http, Kind};

/// An engine's API socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Socket {
    /// What to take it for when it does not say.
    pub(super) kind: Kind,
    pub(super) path: PathBuf,
    /// The environment names it: that it is not there must be said.
    pub(super) wanted: bool,
}

/// A container, running or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) kind: Kind,
    pub(super) id: String,
    pub(super) name: String,
    /// None when it does not run.
    pub(super) pid: Option<u32>,
    /// Where Docker keeps its namespace mounted.
    pub(super) sandbox: Option<PathBuf>,
    /// It lives in the network of the host or of another container.
    pub(super) shared: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    id: String,
    #[serde(default)]
    names: Option<Vec<String>>,
    #[serde(default)]
    state: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Inspected {
    state: State,
    #[serde(default)]
    network_settings: NetworkSettings,
    #[serde(default)]
    host_config: HostConfig,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct State {
    #[serde(default)]
    pid: u32,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct NetworkSettings {
    sandbox_key: String,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct HostConfig {
    network_mode: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Version {
    #[serde(default)]
    components: Vec<BTreeMap<String, serde_json::Value>>,
}

/// The sockets to ask: the usual ones below `root`, and those of the environment.
pub(super) fn sockets(root: &Path, variable: impl Fn(&str) -> Option<String>) -> Vec<Socket> {
    let mut paths = vec![
        (Kind::Docker, root.join("var/run/docker.sock")),
        (Kind::Docker, root.join("run/docker.sock")),
        (Kind::Podman, root.join("run/podman/podman.sock")),
    ];
    // Those of engines that run without root.
    let mut users: Vec<PathBuf> = std::fs::read_dir(root.join("run/user"))
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    users.sort();
    for user in users {
        paths.push((Kind::Docker, user.join("docker.sock")));
        paths.push((Kind::Podman, user.join("podman/podman.sock")));
    }
    let mut sockets: Vec<Socket> = Vec::new();
    let mut add = |kind, path: PathBuf, wanted| {
        let path = path.canonicalize().unwrap_or(path);
        match sockets.iter_mut().find(|socket| socket.path == path) {
            Some(socket) => socket.wanted |= wanted,
            None => sockets.push(Socket { kind, path, wanted }),
        }
    };
    for (name, kind) in [
        ("DOCKER_HOST", Kind::Docker),
        ("CONTAINER_HOST", Kind::Podman),
    ] {
        if let Some(path) = variable(name)
            .as_deref()
            .and_then(|v| v.strip_prefix("unix://"))
        {
            add(kind, PathBuf::from(path), true);
        }
    }
    for (kind, path) in paths {
        if path.exists() {
            add(kind, path, false);
        }
    }
    sockets
}

/// All containers of an engine.
pub(super) fn containers(socket: &Socket) -> Result<Vec<Container>, String> {
    let failed = |error: http::Error| {
        let hint = match &error {
            http::Error::Io(error) if error.kind() == std::io::ErrorKind::PermissionDenied => {
                " (run as root, or as a member of the socket's group)"
            }
            _ => "",
        };
        format!(
            "{} could not be asked: {}: {error}{hint}",
            title(socket.kind),
            socket.path.display()
        )
    };
    let unread = |what: &str, error: serde_json::Error| {
        format!(
            "{} on {} gave {what} that cannot be read: {error}",
            title(socket.kind),
            socket.path.display()
        )
    };
    let kind = kind(socket);
    let listed = http::get(&socket.path, "/containers/json?all=true").map_err(failed)?;
    let listed: Vec<Listed> =
        serde_json::from_slice(&listed).map_err(|error| unread("a list", error))?;
    let mut containers = Vec::new();
    for Listed { id, names, state } in listed {
        let mut container = Container {
            kind,
            name: own_name(&names.unwrap_or_default()).unwrap_or_else(|| short(&id)),
            id,
            pid: None,
            sandbox: None,
            shared: false,
        };
        if matches!(state.as_str(), "running" | "paused") {
            let path = format!("/containers/{}/json", container.id);
            match http::get(&socket.path, &path) {
                Ok(body) => {
                    let inspected: Inspected = serde_json::from_slice(&body)
                        .map_err(|error| unread("a container", error))?;
                    inspected.fill(&mut container);
                }
                // It went away since it was listed.
                Err(http::Error::Status { status: 404, .. }) => continue,
                Err(error) => return Err(failed(error)),
            }
        }
        containers.push(container);
    }
    Ok(containers)
}

impl Inspected {
    fn fill(self, container: &mut Container) {
        container.pid = (self.state.pid != 0).then_some(self.state.pid);
        let sandbox = self.network_settings.sandbox_key;
        container.sandbox = (!sandbox.is_empty()).then(|| sandbox.into());
        let mode = self.host_config.network_mode;
        container.shared = mode == "host" || mode.starts_with("container:");
    }
}

/// docker.sock may be Podman's, and whose socket the environment names it does not say.
fn kind(socket: &Socket) -> Kind {
    let version = http::get(&socket.path, "/version").ok();
    let version: Option<Version> = version.and_then(|body| serde_json::from_slice(&body).ok());
    let Some(version) = version else {
        return socket.kind;
    };
    let names = |word: &str| {
        version.components.iter().any(|component| {
            component
                .get("Name")
                .and_then(|name| name.as_str())
                .is_some_and(|name| name.contains(word))
        })
    };
    if names("Podman") {
        Kind::Podman
    } else if names("Engine") {
        Kind::Docker
    } else {
        socket.kind
    }
}

/// `/web`, and not `/other/web`, by which another container calls it.
fn own_name(names: &[String]) -> Option<String> {
    let names = names
        .iter()
        .map(|name| name.strip_prefix('/').unwrap_or(name));
    names
        .filter(|name| !name.is_empty())
        .min_by_key(|name| name.matches('/').count())
        .map(str::to_owned)
}

/// How engines write an id where a name is wanted; one that a person chose is a name.
pub(super) fn short(id: &str) -> String {
    let shown = if cgroup::is_id(id) { 12 } else { usize::MAX };
    id.chars().take(shown).collect()
}

const fn title(kind: Kind) -> &'static str {
    match kind {
        Kind::Podman => "Podman",
        _ => "Docker",
    }
}
