// SPDX-License-Identifier: GPL-2.0

//! `nftrace record`

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nftrace_core::abi::Frame;
use nftrace_core::record::Kind;
use nftrace_journeys::{Names, NamespaceId};

use crate::live_names::LiveNames;
use crate::recording::{Host, NamespaceName};
use crate::source::{is_standard, DeviceArgs, Item, RecordedNames, Source};
use crate::stop::{Stop, Time};
use crate::summary::summary;
use crate::{output, pcapng, recording};

/// A recording is complete in its file up to so long ago, whatever happens.
const FLUSH: Duration = Duration::from_millis(500);

/// Writes records to a file, or as pcapng
///
/// It ends with Ctrl-C, or what else is asked for. The file is complete up to half a second
/// ago at any moment. 'nftrace watch FILE' and 'nftrace path FILE' read it again, on any
/// machine; docs/recording.md is the format.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  nftrace record web.nft -- curl http://10.0.0.3:8080/
  nftrace record --pcapng --for 10s web.pcapng
  nftrace record --from web.nft --pcapng - | tshark -r -")]
pub(crate) struct Args {
    /// The file to write; `-` is standard output
    file: PathBuf,
    /// As pcapng, for Wireshark: one interface for each device of each namespace
    #[arg(long)]
    pcapng: bool,
    /// Takes the records from this recording
    #[arg(long, value_name = "RECORDING", conflicts_with_all = ["all", "command"])]
    from: Option<PathBuf>,
    /// Ends after so many records
    #[arg(long, short, value_name = "N")]
    count: Option<u64>,
    /// Ends after so long, as 10s, 500ms, 2m
    #[arg(long = "for", value_name = "TIME")]
    time: Option<Time>,
    /// Begins with what the rings still have
    #[arg(long)]
    all: bool,
    /// Overwrites the file
    #[arg(long, short)]
    force: bool,
    /// Makes this file when everything that happens from then on will be recorded
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
    /// A program during which is recorded; what ends first, it or the recording, ends the other
    #[arg(last = true)]
    command: Vec<OsString>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut stop = Stop::new(args.time.map(|time| time.0))?;
    // The device and the source first: without them no file is made.
    let (mut source, live) = match &args.from {
        Some(from) => (Source::recording(from)?, None),
        None => {
            let (source, names) = Source::live_named(&args.device, args.all)?;
            (source, Some(names))
        }
    };
    let file = create(args)?;
    let mut sink = Sink::new(args.pcapng, file, source.host())?;
    let mut names = NamesOf {
        live,
        recorded: RecordedNames::of_host(source.host()),
        told: HashSet::new(),
    };
    if let Some(path) = &args.ready_file {
        std::fs::write(path, "").with_context(|| format!("cannot make {}", path.display()))?;
    }
    if let Some((program, arguments)) = args.command.split_first() {
        let child = Command::new(program).args(arguments).spawn();
        let child = child.with_context(|| format!("cannot run {}", program.to_string_lossy()))?;
        stop.with_program(child);
    }
    let result = copy(&mut source, &mut stop, &mut sink, &mut names, args.count);
    let code = stop.finish_program()?;
    let result = result.and_then(|()| {
        if let Some(damage) = source.damage() {
            sink.comment(damage.to_string());
        }
        sink.finish(&names, source.counts().by_namespace.keys())
    });
    result.with_context(|| format!("writing {}", args.file.display()))?;
    eprintln!(
        "{}: {}",
        args.file.display(),
        summary(source.counts(), names.get())
    );
    if let Some(damage) = source.damage() {
        anyhow::bail!("{damage}");
    }
    Ok(code.map_or(ExitCode::SUCCESS, ExitCode::from))
}

/// Makes the file, unless that would destroy something.
fn create(args: &Args) -> anyhow::Result<Box<dyn Write>> {
    let path = &args.file;
    if is_standard(path) {
        output::refuse_terminal("give a file, or redirect the output")?;
        return Ok(Box::new(output::standard()));
    }
    let identity = |path: &Path| {
        std::fs::metadata(path)
            .map(|data| (data.dev(), data.ino()))
            .ok()
    };
    if let Some(from) = &args.from {
        let is_same = identity(path).is_some_and(|it| Some(it) == identity(from));
        anyhow::ensure!(
            !is_same,
            "{}: a recording cannot be written over itself",
            path.display()
        );
    }
    let mut options = OpenOptions::new();
    options.write(true);
    if args.force {
        options.create(true).truncate(true);
    } else {
        options.create_new(true);
    }
    let file: File = options.open(path).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists => {
            anyhow::anyhow!("{} exists; --force overwrites it", path.display())
        }
        _ => anyhow::Error::new(error).context(format!("cannot make {}", path.display())),
    })?;
    Ok(Box::new(file))
}

/// Copies everything.
fn copy(
    source: &mut Source,
    stop: &mut Stop,
    sink: &mut Sink,
    names: &mut NamesOf,
    most: Option<u64>,
) -> anyhow::Result<()> {
    let most = most.unwrap_or(u64::MAX);
    let mut flushed = Instant::now();
    while source.counts().totals.records < most {
        let Some(item) = source.next(stop)? else {
            break;
        };
        match item {
            Item::Frame(frame) => sink.frame(&frame, names)?,
            Item::Names(new) => {
                names.recorded.learn(&new);
                sink.names(&new)?;
            }
            Item::Quiet => {}
        }
        if flushed.elapsed() >= FLUSH {
            sink.flush()?;
            flushed = Instant::now();
        }
    }
    Ok(())
}

/// Names, from wherever the records are.
struct NamesOf {
    live: Option<LiveNames>,
    recorded: RecordedNames,
    /// Whose names are in the file.
    told: HashSet<NamespaceId>,
}

impl NamesOf {
    fn get(&self) -> &dyn Names {
        match &self.live {
            Some(names) => names,
            None => &self.recorded,
        }
    }

    /// The name of a namespace of this machine, for a recording.
    fn name(&self, namespace: NamespaceId) -> Option<NamespaceName> {
        let name = self.live.as_ref()?.name(&namespace)?;
        Some(NamespaceName {
            cookie: namespace.cookie()?,
            inode: namespace.inode()?,
            gone: self.live.as_ref()?.is_gone(&namespace),
            name,
        })
    }
}

/// What is written.
enum Sink {
    Recording(recording::Writer<BufWriter<Box<dyn Write>>>),
    Pcapng(pcapng::Writer<BufWriter<Box<dyn Write>>>),
}

impl Sink {
    fn new(is_pcapng: bool, file: Box<dyn Write>, host: &Host) -> io::Result<Self> {
        let file = BufWriter::with_capacity(1 << 16, file);
        Ok(if is_pcapng {
            Self::Pcapng(pcapng::Writer::new(file, host)?)
        } else {
            Self::Recording(recording::Writer::new(file, host)?)
        })
    }

    fn frame(&mut self, frame: &Frame, names: &mut NamesOf) -> io::Result<()> {
        match self {
            Self::Pcapng(writer) => writer.frame(frame, names.get()),
            Self::Recording(writer) => {
                let namespace = NamespaceId::Cookie {
                    cookie: frame.record.cookie,
                    inode: frame.record.inode,
                };
                if frame.record.kind() != Kind::Gap && !names.told.contains(&namespace) {
                    if let Some(name) = names.name(namespace) {
                        names.told.insert(namespace);
                        writer.names(&[name])?;
                    }
                }
                writer.frame(frame)
            }
        }
    }

    fn names(&mut self, names: &[NamespaceName]) -> io::Result<()> {
        match self {
            // It takes them with the packets.
            Self::Pcapng(_) => Ok(()),
            Self::Recording(writer) => writer.names(names),
        }
    }

    fn comment(&mut self, text: String) {
        if let Self::Pcapng(writer) = self {
            writer.comment(text);
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Pcapng(writer) => writer.flush(),
            Self::Recording(writer) => writer.flush(),
        }
    }

    /// Ends the file; a recording gets the names as they are now.
    fn finish<'a>(
        self,
        names: &NamesOf,
        seen: impl Iterator<Item = &'a NamespaceId>,
    ) -> anyhow::Result<()> {
        match self {
            Self::Pcapng(writer) => writer.finish().map(drop)?,
            Self::Recording(mut writer) => {
                if let Some(live) = &names.live {
                    live.refresh();
                    let last: Vec<_> = seen
                        .filter_map(|namespace| names.name(*namespace))
                        .collect();
                    writer.names(&last)?;
                }
                writer.finish().map(drop)?;
            }
        }
        Ok(())
    }
}
