// SPDX-License-Identifier: GPL-2.0

//! `nftrace watch`

use std::io::{self, BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use nftrace_device::monotonic;
use nftrace_journeys::{Builder, Input, Journey, Loss, Names, Options};
use serde_json::json;

use crate::hooks::Culprits;
use crate::live_names::LiveNames;
use crate::output::{self, Output};
use crate::render::{self, Lines, Style, View};
use crate::source::{DeviceArgs, Item, RecordedNames, Source};
use crate::stop::{Stop, Time};
use crate::summary::summary;

/// Output is not held back for longer, however much there is.
const PATIENCE: Duration = Duration::from_millis(100);

/// Shows records, or journeys, as they come
///
/// One line for each packet at each hook that it passes; what was lost is shown where it
/// is missing. 'nftrace trace set' says what is traced. Ctrl-C ends with a summary.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A recording to be shown instead of what comes; `-` is standard input
    file: Option<PathBuf>,
    /// A block for each packet's journey, when it is over
    #[arg(long, short)]
    journeys: bool,
    /// One JSON object a line: {"lost":N,"cpu":C} where records are missing
    #[arg(long)]
    json: bool,
    /// Ends after so many records, or journeys
    #[arg(long, short, value_name = "N")]
    count: Option<u64>,
    /// Ends after so long, as 10s, 500ms, 2m
    #[arg(long = "for", value_name = "TIME")]
    time: Option<Time>,
    /// Begins with what the rings still have
    #[arg(long, conflicts_with = "file")]
    all: bool,
    /// Makes this file when everything that happens from then on will be shown
    #[arg(long, value_name = "FILE")]
    ready_file: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let mut stop = Stop::new(args.time.map(|time| time.0))?;
    let (mut source, names) = match &args.file {
        Some(path) => {
            let source = Source::recording(path)?;
            let names = AnyNames::Recorded(RecordedNames::of_host(source.host()));
            (source, names)
        }
        None => {
            let (source, names) = Source::live_named(&args.device, args.all)?;
            (source, AnyNames::Live(names))
        }
    };
    if let Some(path) = &args.ready_file {
        std::fs::write(path, "").with_context(|| format!("cannot make {}", path.display()))?;
    }
    let mut show = Show::new(args, names, &source);
    show.all(&mut source, &mut stop)?;
    eprintln!("{}", summary(source.counts(), show.names.get()));
    if let Some(damage) = source.damage() {
        anyhow::bail!("{damage}");
    }
    Ok(ExitCode::SUCCESS)
}

enum AnyNames {
    Live(LiveNames),
    Recorded(RecordedNames),
}

impl AnyNames {
    fn get(&self) -> &dyn Names {
        match self {
            Self::Live(names) => names,
            Self::Recorded(names) => names,
        }
    }
}

/// Shows what comes, in the form that is wanted.
struct Show {
    out: BufWriter<Output>,
    flushed: Instant,
    json: bool,
    style: Style,
    lines: Lines,
    /// Where journeys are wanted.
    builder: Option<Builder>,
    names: AnyNames,
    culprits: Culprits,
    shown: u64,
    most: u64,
}

impl Show {
    fn new(args: &Args, names: AnyNames, source: &Source) -> Self {
        let builder = args.journeys.then(|| {
            let live = args.file.is_none();
            let mut builder = Builder::new(if live { Options::LIVE } else { Options::FILE });
            if source.host().exits {
                builder.expect_exits();
            }
            builder
        });
        let style = Style::of_stdout();
        Self {
            out: BufWriter::new(output::standard()),
            flushed: Instant::now(),
            json: args.json,
            style,
            lines: Lines::new(style),
            builder,
            names,
            culprits: Culprits::default(),
            shown: 0,
            most: args.count.unwrap_or(u64::MAX),
        }
    }

    fn is_enough(&self) -> bool {
        self.shown >= self.most
    }

    fn all(&mut self, source: &mut Source, stop: &mut Stop) -> anyhow::Result<()> {
        while !self.is_enough() {
            let Some(item) = source.next(stop)? else {
                break;
            };
            match item {
                Item::Frame(frame) => {
                    for input in Input::from_frame(&frame) {
                        self.input(input)?;
                    }
                }
                Item::Names(new) => {
                    if let AnyNames::Recorded(names) = &mut self.names {
                        names.learn(&new);
                    }
                }
                Item::Quiet => {
                    if let Some(builder) = &mut self.builder {
                        builder.advance(monotonic());
                    }
                }
            }
            self.finished()?;
            // What comes next may take long.
            if source.is_drained() || self.flushed.elapsed() >= PATIENCE {
                self.out.flush()?;
                self.flushed = Instant::now();
            }
        }
        if let Some(builder) = self.builder.take() {
            for journey in builder.finish().journeys {
                self.journey(journey)?;
            }
        }
        self.out.flush()?;
        Ok(())
    }

    fn input(&mut self, input: Input) -> io::Result<()> {
        if let Input::Loss(loss) = &input {
            self.loss(loss)?;
        }
        match (&mut self.builder, input) {
            (Some(builder), input) => builder.feed(input),
            (None, Input::Loss(_)) => {}
            (None, Input::Record(record)) => {
                let names = self.names.get();
                if self.json {
                    serde_json::to_writer(&mut self.out, &record.to_json(names))?;
                    self.out.write_all(b"\n")?;
                } else {
                    writeln!(self.out, "{}", self.lines.line(&record, names))?;
                }
                self.shown += 1;
            }
        }
        Ok(())
    }

    /// Shows the journeys that are over.
    fn finished(&mut self) -> io::Result<()> {
        let finished = self.builder.as_mut().map(Builder::take_finished);
        for journey in finished.unwrap_or_default() {
            self.journey(journey)?;
        }
        Ok(())
    }

    fn journey(&mut self, mut journey: Journey) -> io::Result<()> {
        if self.is_enough() {
            return Ok(());
        }
        if let AnyNames::Live(names) = &self.names {
            names.accuse(&self.culprits, &mut journey);
        }
        let (names, journey) = (self.names.get(), &journey);
        if self.json {
            serde_json::to_writer(&mut self.out, &journey.to_json(names))?;
        } else {
            if self.shown > 0 {
                self.out.write_all(b"\n")?;
            }
            render::block(&mut self.out, &View::new(journey, names), self.style)?;
        }
        self.shown += 1;
        if self.json {
            self.out.write_all(b"\n")?;
        }
        Ok(())
    }

    fn loss(&mut self, loss: &Loss) -> io::Result<()> {
        if self.json {
            writeln!(
                self.out,
                "{}",
                json!({ "lost": loss.records, "cpu": loss.cpu })
            )
        } else {
            writeln!(self.out, "{}", self.lines.lost(loss))
        }
    }
}
