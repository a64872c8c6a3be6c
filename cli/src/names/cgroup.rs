// SPDX-License-Identifier: GPL-2.0

//! What a process's control group tells of the container or unit that it belongs to.

use super::Kind;

/// Whose control group it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    pub(super) kind: Kind,
    /// A container's whole id, or the name of a machine or unit.
    pub(super) id: String,
}

/// The owner by `/proc/PID/cgroup`: the innermost one that any hierarchy names.
pub(super) fn owner(text: &str) -> Option<Owner> {
    let owners = text
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2))
        .filter_map(owner_of_path);
    // Only some of the hierarchies of version 1 may know the container.
    owners.min_by_key(|owner| owner.kind)
}

/// An engine's prefix in the name of a scope, as in `docker-ID.scope`.
const PREFIXES: [(&str, Kind); 7] = [
    ("docker-", Kind::Docker),
    ("libpod-", Kind::Podman),
    ("cri-containerd-", Kind::Containerd),
    ("nerdctl-", Kind::Containerd),
    ("containerd-", Kind::Containerd),
    ("crio-", Kind::Crio),
    ("buildkit-", Kind::Docker),
];

fn owner_of_path(path: &str) -> Option<Owner> {
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    parts
        .iter()
        .enumerate()
        .rev()
        .find_map(|(index, part)| container(part, &parts[..index]))
        .or_else(|| parts.iter().rev().find_map(|part| machine_or_unit(part)))
}

fn container(part: &str, parents: &[&str]) -> Option<Owner> {
    let owner = |kind, id: &str| {
        Some(Owner {
            kind,
            id: id.to_owned(),
        })
    };
    if let Some(name) = part.strip_prefix("lxc.payload.") {
        return owner(Kind::Lxc, name);
    }
    if parents.last() == Some(&"lxc") {
        return owner(Kind::Lxc, part);
    }
    // containerd without systemd's help: SLICE:cri-containerd:ID.
    if let Some((rest, id)) = part.rsplit_once(':') {
        if is_id(id) {
            let prefix = rest.rsplit(':').next().unwrap_or_default();
            let kind = if prefix.contains("crio") {
                Kind::Crio
            } else {
                Kind::Containerd
            };
            return owner(kind, id);
        }
    }
    let scope = part.strip_suffix(".scope").unwrap_or(part);
    for (prefix, kind) in PREFIXES {
        if let Some(id) = scope.strip_prefix(prefix) {
            // crio-conmon-ID and libpod-conmon-ID hold the container's monitor, not the container.
            if is_id(id) {
                return owner(kind, id);
            }
        }
    }
    if !is_id(part) {
        return None;
    }
    let parent = |name: &str| parents.iter().any(|parent| parent.starts_with(name));
    let kind = if parent("docker") {
        Kind::Docker
    } else if parent("libpod") {
        Kind::Podman
    } else {
        // kubepods/…/ID, default/ID, k8s.io/ID
        Kind::Containerd
    };
    owner(kind, part)
}

fn machine_or_unit(part: &str) -> Option<Owner> {
    let owner = |kind, id: String| Some(Owner { kind, id });
    if let Some(name) = part
        .strip_prefix("machine-")
        .and_then(|rest| rest.strip_suffix(".scope"))
    {
        return owner(Kind::Machine, unescape(name));
    }
    if let Some(name) = part
        .strip_prefix("systemd-nspawn@")
        .and_then(|rest| rest.strip_suffix(".service"))
    {
        return owner(Kind::Machine, unescape(name));
    }
    part.ends_with(".service")
        .then(|| owner(Kind::Unit, unescape(part)))?
}

/// Whether a control group of the process is that of the container: any of its
/// hierarchies is enough.
pub(super) fn is_of(text: &str, id: &str) -> bool {
    let mut paths = text.lines().filter_map(|line| line.splitn(3, ':').nth(2));
    // As a folder, or as the end of a scope: cri-containerd-ID.scope, SLICE:cri-containerd:ID.
    paths.any(|path| {
        path.split('/').any(|part| {
            let part = part.strip_suffix(".scope").unwrap_or(part);
            let rest = part.strip_suffix(id);
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with(['-', ':']))
        })
    })
}

/// A container's id as the engines make them.
pub(super) fn is_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// systemd writes `-` in a name as `\x2d`.
fn unescape(text: &str) -> String {
    text.replace("\\x2d", "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f1c9d0e8b7a6f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4d3c2b1a09f8e7d6";

    #[track_caller]
    fn is(path: &str, kind: Kind, id: &str) {
        let found = owner(&format!("0::{}\n", path.replace("ID", ID)));
        let id = id.replace("ID", ID);
        assert_eq!(found, Some(Owner { kind, id }), "{path}");
    }

    #[test]
    fn each_engines_way_to_write_a_container_is_read() {
        is("/system.slice/docker-ID.scope", Kind::Docker, "ID");
        is("/docker/ID", Kind::Docker, "ID");
        is(
            "/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-ID.scope/container",
            Kind::Podman,
            "ID",
        );
        is("/libpod_parent/libpod-ID", Kind::Podman, "ID");
        is(
            "/kubepods.slice/kubepods-besteffort.slice/kubepods-besteffort-pod0.slice/cri-containerd-ID.scope",
            Kind::Containerd,
            "ID",
        );
        is(
            "/system.slice/containerd.service/kubepods-burstable-pod0.slice:cri-containerd:ID",
            Kind::Containerd,
            "ID",
        );
        is("/kubepods/besteffort/pod0/ID", Kind::Containerd, "ID");
        is("/kubepods.slice/crio-ID.scope", Kind::Crio, "ID");
        is("/default/ID", Kind::Containerd, "ID");
        is(
            "/lxc.payload.web/system.slice/nginx.service",
            Kind::Lxc,
            "web",
        );
        is("/lxc/web", Kind::Lxc, "web");
    }

    #[test]
    fn the_innermost_container_is_the_one() {
        let inner = "a".repeat(64);
        is(
            &format!("/docker/ID/docker/{inner}"),
            Kind::Docker,
            &inner.clone(),
        );
    }

    #[test]
    fn machines_and_services_go_by_their_names() {
        is(
            "/machine.slice/systemd-nspawn@web.service/payload",
            Kind::Machine,
            "web",
        );
        is(
            "/machine.slice/machine-my\\x2dmachine.scope",
            Kind::Machine,
            "my-machine",
        );
        is(
            "/system.slice/private.service",
            Kind::Unit,
            "private.service",
        );
    }

    #[test]
    fn a_monitor_is_not_the_container_and_a_session_is_nobody() {
        let monitor = format!("0::/machine.slice/libpod-conmon-{ID}.scope\n");
        assert_eq!(owner(&monitor), None);
        assert_eq!(owner("0::/user.slice/user-0.slice/session-1.scope\n"), None);
        assert_eq!(owner("0::/\n"), None);
        assert_eq!(owner(""), None);
    }

    #[test]
    fn any_hierarchy_of_version_1_may_name_the_container() {
        let text = format!("3:cpu:/\n2:memory:/docker/{ID}\n1:name=systemd:/x.service\n");
        assert_eq!(owner(&text).unwrap().kind, Kind::Docker);
    }
}
