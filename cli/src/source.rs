// SPDX-License-Identifier: GPL-2.0

//! Where records come from: the live device or a recording, one type for both.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::Context as _;
use nftrace_core::abi::{Frame, INFO_BRIDGE, INFO_EXIT};
use nftrace_core::record::Kind;
use nftrace_device::{monotonic, Device, Start, DEFAULT_PATH};
use nftrace_journeys::{Names, NamespaceId};

use crate::live_names::LiveNames;
pub(crate) use crate::recording::Damage;
use crate::recording::{boot_id, Entry, Host, NamespaceName, Reader, Totals, MAGIC};
use crate::stop::Stop;

/// The device, for commands that use it.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct DeviceArgs {
    /// The module's device
    #[arg(long, env = "NFTRACE_DEVICE", hide = true, default_value = DEFAULT_PATH)]
    device: PathBuf,
}

impl DeviceArgs {
    /// Opens it.
    pub(crate) fn open(&self) -> nftrace_device::Result<Device> {
        Device::open(&self.device)
    }
}

/// What a source yields.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    /// A record, and what was lost before it; or only the losses behind a CPU's last record.
    Frame(Box<Frame>),
    /// Names of namespaces, from a recording.
    Names(Vec<NamespaceName>),
    /// Nothing came for a while; a live source only.
    Quiet,
}

/// What a source yielded so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Counts {
    /// Records and losses.
    pub(crate) totals: Totals,
    /// Records of each namespace.
    pub(crate) by_namespace: BTreeMap<NamespaceId, u64>,
}

impl Counts {
    fn add(&mut self, frame: &Frame) {
        self.totals.lost = self.totals.lost.saturating_add(frame.lost);
        if frame.record.kind() == Kind::Gap {
            return;
        }
        self.totals.records += 1;
        let namespace = NamespaceId::Cookie {
            cookie: frame.record.cookie,
            inode: frame.record.inode,
        };
        *self.by_namespace.entry(namespace).or_default() += 1;
    }
}

/// Names that a recording brought, and the host's.
#[derive(Clone, Debug, Default)]
pub(crate) struct RecordedNames(HashMap<u64, String>);

impl RecordedNames {
    /// Knows only which namespace is the host's.
    pub(crate) fn of_host(host: &Host) -> Self {
        let init = (host.init_cookie, "host".to_owned());
        Self(HashMap::from([init]))
    }

    /// Learns names. Whoever forged the recording has no say over a terminal.
    pub(crate) fn learn(&mut self, names: &[NamespaceName]) {
        let named = names.iter().filter(|name| !name.name.is_empty());
        let printed = |name: &NamespaceName| {
            let is_control = |one: char| one.is_control();
            (name.cookie, name.name.replace(is_control, "\u{fffd}"))
        };
        self.0.extend(named.map(printed));
    }
}

impl Names for RecordedNames {
    fn name(&self, namespace: &NamespaceId) -> Option<String> {
        namespace
            .cookie()
            .and_then(|cookie| self.0.get(&cookie).cloned())
    }
}

/// Yields what there is, in its order.
pub(crate) struct Source {
    inner: Inner,
    host: Host,
    counts: Counts,
}

enum Inner {
    Live(Live),
    Recording(Box<Reader<Box<dyn Read>>>),
}

struct Live {
    device: Device,
    queue: VecDeque<Frame>,
    /// When it was told to stop, by the records' clock: what is older is still read.
    stopped: Option<u64>,
}

impl Source {
    /// What the module records.
    pub(crate) fn live(device: Device, start: Start) -> anyhow::Result<Self> {
        device.seek(start)?;
        device.set_nonblocking(true)?;
        let host = host(&device);
        Ok(Self::new(
            Inner::Live(Live {
                device,
                queue: VecDeque::new(),
                stopped: None,
            }),
            host,
        ))
    }

    /// What the module records from now on, or with `all` also what its rings still have,
    /// and the names of this machine.
    pub(crate) fn live_named(device: &DeviceArgs, all: bool) -> anyhow::Result<(Self, LiveNames)> {
        let device = device.open()?;
        // Names first: the records that come meanwhile need not wait.
        let names = LiveNames::new();
        let start = if all { Start::Oldest } else { Start::Newest };
        Ok((Self::live(device, start)?, names))
    }

    /// A recording; `-` is standard input.
    pub(crate) fn recording(path: &Path) -> anyhow::Result<Self> {
        Self::recording_of(open(path)?).with_context(|| path.display().to_string())
    }

    /// A recording in `from`.
    pub(crate) fn recording_of(from: Box<dyn Read>) -> anyhow::Result<Self> {
        let mut reader = Box::new(Reader::new(from)?);
        // Who wrote it says first where that was.
        let host = match reader.next() {
            Some(Entry::Host(host)) => *host,
            _ => Host::default(),
        };
        Ok(Self::new(Inner::Recording(reader), host))
    }

    fn new(inner: Inner, host: Host) -> Self {
        Self {
            inner,
            host,
            counts: Counts::default(),
        }
    }

    /// Where the records were made.
    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// What was yielded.
    pub(crate) fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Whether the next item has to be waited for.
    pub(crate) fn is_drained(&self) -> bool {
        match &self.inner {
            Inner::Live(live) => live.queue.is_empty(),
            Inner::Recording(_) => false,
        }
    }

    /// Where the recording is damaged. Known when nothing more is yielded.
    pub(crate) fn damage(&self) -> Option<&Damage> {
        match &self.inner {
            Inner::Live(_) => None,
            Inner::Recording(reader) => reader.damage(),
        }
    }

    /// The next item; none at the end, which for a live source is where `stop` says so
    /// and everything older was yielded.
    pub(crate) fn next(&mut self, stop: &mut Stop) -> anyhow::Result<Option<Item>> {
        let item = match &mut self.inner {
            Inner::Live(live) => live.next(stop)?,
            Inner::Recording(reader) => {
                if stop.is_due()? {
                    None
                } else {
                    next_recorded(reader)
                }
            }
        };
        if let Some(Item::Frame(frame)) = &item {
            self.counts.add(frame);
        }
        Ok(item)
    }
}

/// Whether these are the first bytes of a recording.
pub(crate) fn is_recording(first: &[u8]) -> bool {
    first.starts_with(&MAGIC)
}

/// Whether this means standard input, or output: `-`.
pub(crate) fn is_standard(path: &Path) -> bool {
    path == Path::new("-")
}

/// Opens a file, or standard input for `-`.
pub(crate) fn open(path: &Path) -> anyhow::Result<Box<dyn Read>> {
    if is_standard(path) {
        return Ok(Box::new(io::stdin().lock()));
    }
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    Ok(Box::new(BufReader::with_capacity(1 << 16, file)))
}

fn next_recorded(reader: &mut Reader<Box<dyn Read>>) -> Option<Item> {
    loop {
        match reader.next()? {
            Entry::Frame(frame) => return Some(Item::Frame(frame)),
            Entry::Names(names) => return Some(Item::Names(names)),
            Entry::Host(_) | Entry::End(_) => {}
        }
    }
}

impl Live {
    fn next(&mut self, stop: &mut Stop) -> anyhow::Result<Option<Item>> {
        loop {
            if let Some(frame) = self.queue.pop_front() {
                let late = |stopped| frame.record.time > stopped;
                if frame.record.kind() != Kind::Gap && self.stopped.is_some_and(late) {
                    return Ok(None);
                }
                return Ok(Some(Item::Frame(Box::new(frame))));
            }
            if self.stopped.is_none() && stop.is_due()? {
                self.stopped = Some(monotonic());
            }
            if self.stopped.is_none() && !self.device.wait(Some(stop.patience()))? {
                return Ok(Some(Item::Quiet));
            }
            let frames = self.device.read()?;
            if frames.is_empty() && self.stopped.is_some() {
                return Ok(None);
            }
            self.queue.extend(frames);
        }
    }
}

/// This host, as `device` and the system tell.
fn host(device: &Device) -> Host {
    let before = monotonic();
    let realtime = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = before.midpoint(monotonic());
    let uname = rustix::system::uname();
    let info = device.info();
    Host {
        command: env!("CARGO_PKG_VERSION").to_owned(),
        module: device.version().to_owned(),
        boot_id: boot_id(),
        kernel: uname.release().to_string_lossy().into_owned(),
        hostname: uname.nodename().to_string_lossy().into_owned(),
        cpus: info.rings,
        realtime_offset: realtime.map_or(0, |since| {
            i64::try_from(since.as_nanos()).unwrap_or_default()
        }) - i64::try_from(now).unwrap_or_default(),
        init_cookie: info.init_cookie,
        init_inode: info.init_inode,
        bridge: info.flags & INFO_BRIDGE != 0,
        exits: info.flags & INFO_EXIT != 0,
        // Who may not see it may not read either; then reading says so.
        filter: device
            .filter()
            .map(|bytes| crate::trace::describe(&bytes))
            .unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_in_a_recording_cannot_talk_to_the_terminal() {
        let mut names = RecordedNames::default();
        names.learn(&[NamespaceName {
            cookie: 7,
            name: "web\u{1b}[2J\n".to_owned(),
            ..NamespaceName::default()
        }]);
        let namespace = NamespaceId::Cookie {
            cookie: 7,
            inode: 0,
        };
        let name = names.name(&namespace);
        assert_eq!(name.as_deref(), Some("web\u{fffd}[2J\u{fffd}"));
    }
}
