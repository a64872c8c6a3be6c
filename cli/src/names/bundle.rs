// SPDX-License-Identifier: GPL-2.0

//! Names of containers from what their engines keep in files: for engines without
//! a socket that we could ask, or that do not run.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde::Deserialize;

use super::cgroup::Owner;
use super::Kind;

/// What is known of a container by its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Labels {
    pub(super) name: Option<String>,
    /// `namespace/name` of its pod.
    pub(super) pod: Option<String>,
    /// It is the one that holds the pod's namespace, and runs nothing.
    pub(super) sandbox: bool,
}

/// The names of a container that a process's control group told.
pub(super) fn labels(root: &Path, owner: &Owner) -> Labels {
    match owner.kind {
        Kind::Docker => Labels {
            name: docker(root, &owner.id),
            ..Labels::default()
        },
        Kind::Podman => Labels {
            name: podman(root, &owner.id),
            ..Labels::default()
        },
        Kind::Containerd | Kind::Crio => spec(root, &owner.id).unwrap_or_default(),
        _ => Labels {
            name: Some(owner.id.clone()),
            ..Labels::default()
        },
    }
}

fn json<T: DeserializeOwned>(path: &Path) -> Option<T> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = fs::read_dir(path)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    folders.sort();
    folders
}

fn docker(root: &Path, id: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Config {
        #[serde(rename = "Name")]
        name: String,
    }
    let folder = root.join("var/lib/docker/containers").join(id);
    let config: Config = json(&folder.join("config.v2.json"))?;
    Some(config.name.trim_start_matches('/').to_owned())
}

/// One file lists all containers of a storage: that of root, or of a user.
fn podman(root: &Path, id: &str) -> Option<String> {
    #[derive(Deserialize)]
    struct Stored {
        id: String,
        #[serde(default)]
        names: Vec<String>,
    }
    let mut storages = vec![root.join("var/lib/containers/storage")];
    let homes = folders(&root.join("home"))
        .into_iter()
        .chain([root.join("root")]);
    storages.extend(homes.map(|home| home.join(".local/share/containers/storage")));
    let lists = storages.iter().flat_map(|storage| {
        ["overlay", "vfs", "btrfs"]
            .map(|driver| storage.join(format!("{driver}-containers/containers.json")))
    });
    lists
        .filter_map(|list| json::<Vec<Stored>>(&list))
        .flatten()
        .find(|stored| stored.id == id)?
        .names
        .into_iter()
        .next()
}

/// A container that containerd runs.
#[derive(Debug)]
pub(super) struct Task {
    pub(super) id: String,
    /// Its first process, when it was started.
    pub(super) pid: u32,
    pub(super) labels: Labels,
}

/// The containers that containerd runs, by the folders that it has for them. Their users
/// choose their ids, which no control group tells from other words.
pub(super) fn tasks(root: &Path) -> Vec<Task> {
    let mut tasks = Vec::new();
    // Docker's have Docker's names.
    let namespaces = task_folders(root)
        .into_iter()
        .filter(|folder| !folder.ends_with("moby"));
    for bundle in namespaces.flat_map(|folder| folders(&folder)) {
        let id = bundle.file_name().and_then(|name| name.to_str());
        let pid = fs::read_to_string(bundle.join("init.pid")).ok();
        let pid = pid.and_then(|pid| pid.trim().parse().ok());
        if let (Some(id), Some(pid)) = (id, pid) {
            tasks.push(Task {
                id: id.to_owned(),
                pid,
                labels: annotations(&bundle).unwrap_or_default(),
            });
        }
    }
    tasks
}

/// Where containerd has a folder for each of its namespaces.
fn task_folders(root: &Path) -> Vec<PathBuf> {
    ["run/containerd", "run/k3s/containerd"]
        .iter()
        .flat_map(|state| folders(&root.join(state).join("io.containerd.runtime.v2.task")))
        .collect()
}

fn spec(root: &Path, id: &str) -> Option<Labels> {
    let mut places: Vec<PathBuf> = task_folders(root)
        .iter()
        .map(|namespace| namespace.join(id))
        .collect();
    places.push(
        root.join("run/containers/storage/overlay-containers")
            .join(id)
            .join("userdata"),
    );
    places.iter().find_map(|place| annotations(place))
}

/// The annotations in the container's OCI specification.
fn annotations(bundle: &Path) -> Option<Labels> {
    #[derive(Deserialize)]
    struct Spec {
        #[serde(default)]
        annotations: BTreeMap<String, String>,
    }
    let spec: Spec = json(&bundle.join("config.json"))?;
    let get = |keys: &[&str]| {
        keys.iter()
            .find_map(|&key| spec.annotations.get(key))
            .cloned()
    };
    let pod = get(&["io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name"]);
    let namespace = get(&[
        "io.kubernetes.cri.sandbox-namespace",
        "io.kubernetes.pod.namespace",
    ]);
    Some(Labels {
        name: get(&[
            "io.kubernetes.cri.container-name",
            "io.kubernetes.container.name",
            "nerdctl/name",
        ]),
        pod: pod.map(|pod| match namespace {
            Some(namespace) => format!("{namespace}/{pod}"),
            None => pod,
        }),
        sandbox: get(&[
            "io.kubernetes.cri.container-type",
            "io.kubernetes.cri-o.ContainerType",
        ])
        .is_some_and(|kind| kind == "sandbox"),
    })
}
