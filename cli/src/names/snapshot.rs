// SPDX-License-Identifier: GPL-2.0

//! Puts together what all sources tell.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::thread;

use super::bundle::Labels;
use super::cgroup::Owner;
use super::engine::{self, Container, Socket};
use super::processes::{self, Scan};
use super::state::{self, Remembered};
use super::{bundle, identify, identity, mounts, Identity, Kind, Name, Names, Namespace};

/// The initial namespace's inode number; those made later are above 4026531840.
const INIT_INODE: u32 = 0xefff_fff9;

/// Where to look.
#[derive(Clone, Debug)]
pub(crate) struct Sources {
    pub(super) root: PathBuf,
    pub(super) sockets: Vec<Socket>,
    pub(super) state: Option<PathBuf>,
    pub(super) identify: fn(&Path) -> io::Result<Identity>,
    pub(super) notes: Vec<String>,
}

impl Sources {
    /// This machine.
    pub(crate) fn system() -> Self {
        let root = PathBuf::from("/");
        let notes = ["DOCKER_HOST", "CONTAINER_HOST"]
            .into_iter()
            .filter_map(|name| Some((name, std::env::var(name).ok()?)))
            .filter(|(_, value)| !value.is_empty() && !value.starts_with("unix://"))
            .map(|(name, value)| {
                format!("{name}={value} was not asked: only unix:// sockets tell of this machine")
            })
            .collect();
        Self {
            sockets: engine::sockets(&root, |name| std::env::var(name).ok()),
            root,
            state: state::path(),
            identify,
            notes,
        }
    }
}

/// What is known so far, by inode number.
struct Building<'a> {
    sources: &'a Sources,
    proc: PathBuf,
    namespaces: BTreeMap<u32, Namespace>,
    unseen: Vec<String>,
    /// An engine did not answer: what it has may live.
    silent: bool,
}

pub(super) fn take(sources: &Sources) -> Names {
    let proc = sources.root.join("proc");
    let mut building = Building {
        sources,
        namespaces: BTreeMap::new(),
        unseen: sources.notes.clone(),
        silent: false,
        proc,
    };
    let scan = building.processes();
    building.mounts();
    let host = building.host(&scan);
    let stopped = building.engines();
    building.owners(&scan, host);

    let silent = building.silent;
    let boot = fs::read_to_string(building.proc.join("sys/kernel/random/boot_id"));
    let boot = boot.unwrap_or_default().trim().to_owned();
    let mut namespaces: Vec<Namespace> = building.namespaces.into_values().collect();
    let mut unseen = building.unseen;
    for namespace in &mut namespaces {
        namespace.names.sort_by_key(|name| (name.kind, name.shared));
    }
    if let Some(path) = &sources.state {
        let remembered = state::recall(path, &boot);
        complete(&mut namespaces, &remembered, silent);
        if let Err(error) = state::remember(path, &boot, &namespaces) {
            unseen.push(format!(
                "names will not be remembered: {}: {error}",
                path.display()
            ));
        }
        let gone = gone(&namespaces, remembered);
        namespaces.extend(gone);
    }
    namespaces.sort_by_key(|n| (n.gone, !n.is_host(), n.cookie, n.inode));
    Names {
        boot,
        namespaces,
        stopped,
        unseen,
    }
}

impl Building<'_> {
    /// Namespaces with processes in them.
    fn processes(&mut self) -> Scan {
        let scan = processes::scan(&self.proc).unwrap_or_else(|error| {
            let proc = self.proc.display();
            self.unseen
                .push(format!("no process could be seen: {proc}: {error}"));
            Scan::default()
        });
        if scan.hidden > 0 {
            let hint = if rustix::process::geteuid().is_root() {
                "the system keeps them from root, too"
            } else {
                "run as root to see all namespaces"
            };
            let of = match scan.hidden {
                1 => "the namespace of 1 process".to_owned(),
                many => format!("the namespaces of {many} processes"),
            };
            self.unseen.push(format!("{of} could not be seen: {hint}"));
        }
        for (&inode, inhabitants) in &scan.namespaces {
            // The first may have ended since.
            let cookie = inhabitants.processes.iter().take(16).find_map(|process| {
                let file = processes::dir(&self.proc, process.pid).join("ns/net");
                let identity = (self.sources.identify)(&file).ok()?;
                identity.cookie.filter(|_| identity.inode == inode)
            });
            let namespace = self.namespace(Identity { cookie, inode });
            namespace.processes.clone_from(&inhabitants.processes);
        }
        scan
    }

    fn namespace(&mut self, identity: Identity) -> &mut Namespace {
        let namespace = self
            .namespaces
            .entry(identity.inode)
            .or_insert_with(|| Namespace {
                cookie: None,
                inode: identity.inode,
                names: Vec::new(),
                processes: Vec::new(),
                mounts: Vec::new(),
                gone: false,
            });
        namespace.cookie = namespace.cookie.or(identity.cookie);
        namespace
    }

    /// Namespaces that are mounted somewhere.
    fn mounts(&mut self) {
        let text = fs::read_to_string(self.proc.join("self/mountinfo")).unwrap_or_default();
        let mut paths: Vec<(PathBuf, Option<u32>)> = mounts::mounted(&text)
            .into_iter()
            .map(|(inode, path)| (path, Some(inode)))
            .collect();
        for file in mounts::netns_files(&self.sources.root) {
            if !paths.iter().any(|(path, _)| *path == file) {
                paths.push((file, None));
            }
        }
        for (path, mounted) in paths {
            let identity = match (self.sources.identify)(&path) {
                Ok(identity) => identity,
                // Not everybody may open it, but everybody may see what is mounted.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    let Some(inode) = mounted else {
                        continue;
                    };
                    Identity {
                        cookie: None,
                        inode,
                    }
                }
                // A file that is no namespace (any more) is of no interest.
                Err(_) => continue,
            };
            let shown = match path.strip_prefix(&self.sources.root) {
                Ok(below) => Path::new("/").join(below),
                Err(_) => path.clone(),
            };
            let namespace = self.namespace(identity);
            if let Some(name) = mounts::netns_name(&shown) {
                if !namespace.names.iter().any(|known| known.name == name) {
                    namespace.names.push(named(Kind::Netns, name));
                }
            }
            namespace.mounts.push(path);
        }
    }

    /// The initial namespace: by its number where it is fixed, else as that of the kernel's own threads.
    fn host(&mut self, scan: &Scan) -> Option<u32> {
        let kernel = |(&inode, inhabitants): (&u32, &processes::Inhabitants)| {
            let mut processes = inhabitants.processes.iter();
            processes
                .any(|p| p.pid == 2 && p.comm == "kthreadd")
                .then_some(inode)
        };
        let host = if self.namespaces.contains_key(&INIT_INODE) {
            INIT_INODE
        } else {
            scan.namespaces.iter().find_map(kernel)?
        };
        let namespace = self.namespaces.get_mut(&host)?;
        namespace.names.push(named(Kind::Host, "host".to_owned()));
        Some(host)
    }

    /// What the engines say. Returns the containers that do not run.
    fn engines(&mut self) -> Vec<Name> {
        let (there, absent): (Vec<&Socket>, Vec<&Socket>) = {
            let sockets = self.sources.sockets.iter();
            sockets.partition(|socket| socket.path.exists())
        };
        for socket in absent.into_iter().filter(|socket| socket.wanted) {
            let path = socket.path.display();
            self.unseen
                .push(format!("no container engine answers: {path} is not there"));
        }
        let mut stopped = Vec::new();
        for answer in ask_all(&there) {
            match answer {
                Ok(containers) => {
                    for container in containers {
                        stopped.extend(self.container(container));
                    }
                }
                Err(reason) => {
                    self.silent = true;
                    self.unseen.push(reason);
                }
            }
        }
        stopped
    }

    fn container(&mut self, container: Container) -> Option<Name> {
        let mut name = named(container.kind, container.name.clone());
        name.id = Some(container.id.clone());
        name.shared = container.shared;
        let Some(pid) = container.pid else {
            name.gone = true;
            return Some(name);
        };
        name.pid = Some(pid);
        match self.namespace_of(&container, pid) {
            Some(identity) => {
                let names = &mut self.namespace(identity).names;
                // The same engine may have two sockets.
                if !names.iter().any(|known| known.id == name.id) {
                    names.push(name);
                }
            }
            None => self.unseen.push(format!(
                "the namespace of {name} (process {pid}) could not be seen"
            )),
        }
        None
    }

    fn namespace_of(&self, container: &Container, pid: u32) -> Option<Identity> {
        let dir = processes::dir(&self.proc, pid);
        // A socket that is forwarded from another machine tells that one's numbers.
        if let Some(owner) = processes::owner(&dir) {
            if owner.kind.is_container() && owner.id != container.id {
                return None;
            }
        }
        if let Ok(target) = fs::read_link(dir.join("ns/net")) {
            let inode = identity::inode(&target)?;
            let cookie = (self.sources.identify)(&dir.join("ns/net")).ok();
            let cookie = cookie.and_then(|identity| identity.cookie);
            return Some(Identity { cookie, inode });
        }
        let sandbox = container.sandbox.as_deref()?;
        let sandbox = sandbox.strip_prefix("/").unwrap_or(sandbox);
        (self.sources.identify)(&self.sources.root.join(sandbox)).ok()
    }

    /// What the control groups tell: containers that no engine told of, machines, units.
    fn owners(&mut self, scan: &Scan, host: Option<u32>) {
        for (&inode, inhabitants) in &scan.namespaces {
            let is_host = host == Some(inode);
            for (owner, pid) in &inhabitants.owners {
                let elsewhere = || {
                    let mut others = scan.namespaces.iter().filter(|(&other, _)| other != inode);
                    others.any(|(_, other)| other.has(owner))
                };
                // A unit of the host may have sent one process somewhere by `ip netns exec`:
                // that does not make the namespace the unit's.
                if !owner.kind.is_container() && (is_host || elsewhere()) {
                    continue;
                }
                let labels = bundle::labels(&self.sources.root, owner);
                self.add(inode, names_of(owner, labels, *pid, is_host));
            }
        }
        for task in bundle::tasks(&self.sources.root) {
            // The number may be another's since.
            if !processes::is_in(&processes::dir(&self.proc, task.pid), &task.id) {
                continue;
            }
            if let Some(inode) = scan.namespace_of(task.pid) {
                let owner = Owner {
                    kind: Kind::Containerd,
                    id: task.id,
                };
                let names = names_of(&owner, task.labels, task.pid, host == Some(inode));
                self.add(inode, names);
            }
        }
    }

    /// Names that are not known yet.
    fn add(&mut self, inode: u32, names: Vec<Name>) {
        let Some(namespace) = self.namespaces.get_mut(&inode) else {
            return;
        };
        for name in names {
            let known = |known: &Name| match &name.id {
                Some(_) => known.id == name.id,
                None => (known.kind, &known.name) == (name.kind, &name.name),
            };
            if !namespace.names.iter().any(known) {
                namespace.names.push(name);
            }
        }
    }
}

/// At once: an engine may be slow.
fn ask_all(sockets: &[&Socket]) -> Vec<Result<Vec<Container>, String>> {
    thread::scope(|scope| {
        let asked: Vec<_> = sockets
            .iter()
            .map(|socket| scope.spawn(|| engine::containers(socket)))
            .collect();
        let answers = asked.into_iter().map(thread::ScopedJoinHandle::join);
        answers
            .map(|answer| answer.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    })
}

fn names_of(owner: &Owner, labels: Labels, pid: u32, is_host: bool) -> Vec<Name> {
    let mut names = Vec::new();
    if let Some(pod) = &labels.pod {
        let mut name = named(Kind::Pod, pod.clone());
        name.shared = is_host;
        names.push(name);
    }
    if !labels.sandbox {
        let own = labels.name.unwrap_or_else(|| engine::short(&owner.id));
        let full = match labels.pod {
            Some(pod) => format!("{pod}/{own}"),
            None => own,
        };
        let mut name = named(owner.kind, full);
        name.id = owner.kind.is_container().then(|| owner.id.clone());
        name.pid = Some(pid);
        name.shared = is_host;
        names.push(name);
    }
    names
}

fn named(kind: Kind, name: String) -> Name {
    Name {
        kind,
        name,
        id: None,
        pid: None,
        shared: false,
        gone: false,
    }
}

/// Whether the living namespace may be the remembered one. Where its cookie could not
/// be seen, it may be another that has the inode number now.
fn maybe_same(living: &Namespace, remembered: &Remembered) -> bool {
    living.inode == remembered.inode
        && living
            .cookie
            .is_none_or(|cookie| cookie == remembered.cookie)
}

/// Gives living namespaces the names that they had when more could be seen.
fn complete(living: &mut [Namespace], remembered: &[Remembered], silent: bool) {
    for namespace in living {
        let same = |before: &&Remembered| namespace.cookie == Some(before.cookie);
        let Some(before) = remembered.iter().find(same) else {
            continue;
        };
        for name in &mut namespace.names {
            // Known by its id alone: the engine is not there to be asked.
            let nameless = |id: &String| name.name == engine::short(id);
            if name.id.as_ref().is_some_and(nameless) {
                if let Some(known) = before.names.iter().find(|known| known.id == name.id) {
                    name.name.clone_from(&known.name);
                }
            }
        }
        if namespace.names.is_empty() {
            namespace.names = before
                .names
                .iter()
                .cloned()
                .map(|name| Name {
                    gone: !(silent && name.kind.is_container()),
                    ..name
                })
                .collect();
        }
    }
}

fn gone(living: &[Namespace], remembered: Vec<Remembered>) -> Vec<Namespace> {
    let is_gone =
        |before: &Remembered| !living.iter().any(|namespace| maybe_same(namespace, before));
    remembered
        .into_iter()
        .filter(is_gone)
        .map(|before| Namespace {
            cookie: Some(before.cookie),
            inode: before.inode,
            names: before.names,
            processes: Vec::new(),
            mounts: Vec::new(),
            gone: true,
        })
        .collect()
}
