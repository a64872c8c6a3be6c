// SPDX-License-Identifier: GPL-2.0

//! What wakes the agent: signals, container engines, folders where namespaces appear.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::names::{engine_sockets, follow};

/// Why the agent has something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wake {
    /// Names may mean something else now.
    Event(String),
    /// Something is to be said.
    Say(String),
    /// The file is to be read again.
    Reload,
    /// Enough.
    End,
}

/// Begins to listen to signals.
pub(super) fn signals(wakes: Sender<Wake>) -> io::Result<()> {
    let mut signals = Signals::new([SIGHUP, SIGINT, SIGTERM])?;
    thread::spawn(move || {
        for signal in signals.forever() {
            let wake = match signal {
                SIGHUP => Wake::Reload,
                _ => Wake::End,
            };
            if wakes.send(wake).is_err() {
                return;
            }
        }
    });
    Ok(())
}

/// How long and how often an engine is asked for that has closed the connection, until
/// the next look finds it.
const RETRIES: u32 = 20;
const RETRY: Duration = Duration::from_millis(500);

/// Listens to engines, each in a thread of its own.
pub(super) struct Engines {
    wakes: Sender<Wake>,
    followed: Arc<Mutex<BTreeSet<PathBuf>>>,
}

impl Engines {
    pub(super) fn new(wakes: Sender<Wake>) -> Self {
        Self {
            wakes,
            followed: Arc::default(),
        }
    }

    /// Listens to the engines that are there now, too.
    pub(super) fn look(&self) {
        for socket in engine_sockets() {
            let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
            if followed.insert(socket.clone()) {
                let (wakes, followed) = (self.wakes.clone(), Arc::clone(&self.followed));
                thread::spawn(move || {
                    listen(&socket, &wakes);
                    let mut followed = followed.lock().unwrap_or_else(PoisonError::into_inner);
                    followed.remove(&socket);
                });
            }
        }
    }
}

fn listen(socket: &Path, wakes: &Sender<Wake>) {
    let shown = socket.display();
    let mut tries = 0;
    while tries < RETRIES {
        let mut was_connected = false;
        let result = follow(
            socket,
            || {
                was_connected = true;
                // What happened meanwhile was told to nobody.
                let _ = wakes.send(Wake::Event(format!("{shown} tells of containers")));
            },
            |event| {
                let _ = wakes.send(Wake::Event(event));
            },
        );
        if was_connected {
            tries = 0;
            let _ = wakes.send(Wake::Event(format!("{shown} has closed the connection")));
        }
        if let Err(error) = result {
            // Those that are only not there are looked for again.
            let is_there = !matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
            );
            if tries == 0 && is_there {
                let _ = wakes.send(Wake::Say(format!(
                    "{shown} does not tell of containers: {error}; it is asked from time to time"
                )));
            }
        }
        tries += 1;
        thread::sleep(RETRY);
    }
}

/// Where the folders below, and the sockets of engines, appear.
const RUN: &str = "/run";
const IN_RUN: [&str; 6] = [
    "netns",
    "docker",
    "containerd",
    "k3s",
    "podman",
    "docker.sock",
];
/// Where namespaces and containers appear as files.
const FOLDERS: [&str; 2] = ["/run/netns", "/run/docker/netns"];
/// Where containerd has a folder for each of its namespaces, and there one for each container.
const TASKS: [&str; 2] = [
    "/run/containerd/io.containerd.runtime.v2.task",
    "/run/k3s/containerd/io.containerd.runtime.v2.task",
];

/// Watches folders.
pub(super) struct Folders {
    inotify: Arc<OwnedFd>,
}

impl Folders {
    pub(super) fn new(wakes: Sender<Wake>) -> io::Result<Self> {
        let inotify = Arc::new(inotify::init(CreateFlags::CLOEXEC)?);
        let flags = WatchFlags::CREATE | WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        let run = inotify::add_watch(&*inotify, RUN, flags).ok();
        let folders = Self {
            inotify: Arc::clone(&inotify),
        };
        folders.look();
        thread::spawn(move || {
            let mut buffer = [MaybeUninit::uninit(); 4096];
            let mut reader = Reader::new(&*inotify, &mut buffer);
            loop {
                match reader.next() {
                    Ok(event) => {
                        let name = event.file_name().unwrap_or_default().to_string_lossy();
                        let matters = Some(event.wd()) != run || IN_RUN.contains(&&*name);
                        if event.events().contains(ReadFlags::IGNORED) || !matters {
                            continue;
                        }
                        let what = format!("{name} appeared or went away");
                        if wakes.send(Wake::Event(what)).is_err() {
                            return;
                        }
                    }
                    Err(rustix::io::Errno::INTR) => {}
                    Err(_) => return,
                }
            }
        });
        Ok(folders)
    }

    /// Watches the folders that are there now, too.
    pub(super) fn look(&self) {
        let tasks = TASKS.iter().flat_map(|tasks| {
            let below = fs::read_dir(tasks).into_iter().flatten().flatten();
            below.map(|entry| entry.path())
        });
        let fixed = FOLDERS.iter().chain(&TASKS).map(PathBuf::from);
        for folder in fixed.chain(tasks) {
            let flags = WatchFlags::CREATE
                | WatchFlags::DELETE
                | WatchFlags::MOVED_TO
                | WatchFlags::MOVED_FROM
                | WatchFlags::ONLYDIR;
            // One that is not there yet will be looked for again.
            let _ = inotify::add_watch(&*self.inotify, &folder, flags);
        }
    }
}
