// SPDX-License-Identifier: GPL-2.0

//! What journeys are made from: the ring, a recording, or a kernel log, told apart by
//! what they begin with.

use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use nftrace_device::Start;
use nftrace_journeys::{
    Builder, Connection, Input as Fed, Journey, LogReader, NamespaceId, Options, Trace,
};

use crate::hooks::Culprits;
use crate::names;
use crate::recording::{Damage, MAGIC};
use crate::source::{self, DeviceArgs, Item, RecordedNames, Source};
use crate::stop::Stop;

/// Bytes of a log that are read at once.
const PIECE: usize = 64 << 10;

/// All that was read.
pub(super) struct Input {
    /// Where from.
    pub(super) label: String,
    pub(super) journeys: Vec<Journey>,
    pub(super) connections: Vec<Connection>,
    /// Records that are missing.
    pub(super) lost: u64,
    pub(super) names: Box<dyn nftrace_journeys::Names>,
    /// Where a recording is broken.
    pub(super) damage: Option<Damage>,
    live: bool,
}

impl Input {
    /// Reads `file`, or without one the ring. With `look`, names come from this machine too.
    pub(super) fn read(
        file: Option<&Path>,
        device: &DeviceArgs,
        look: bool,
    ) -> anyhow::Result<Self> {
        let Some(path) = file else {
            let source = Source::live(device.open()?, Start::Oldest)?;
            let names = look.then(names::Names::snapshot);
            let mut input = Self::of_source(source, "what the ring holds", names, true)?;
            input.live = true;
            return Ok(input);
        };
        let label = if source::is_standard(path) {
            "standard input".into()
        } else {
            path.display().to_string()
        };
        let (first, from) = peek(source::open(path)?).with_context(|| label.clone())?;
        if source::is_recording(&first) {
            let source = Source::recording_of(from).with_context(|| label.clone())?;
            // Its names are those of its time and machine; where that is this one, who
            // is on its hooks can be asked.
            let same = source.host().is_of_this_boot();
            return Self::of_source(
                source,
                &label,
                (look && same).then(names::Names::snapshot),
                false,
            );
        }
        Self::of_log(from, label, look)
    }

    fn of_source(
        mut source: Source,
        label: &str,
        names: Option<names::Names>,
        live: bool,
    ) -> anyhow::Result<Self> {
        // A ring is read up to now, a recording to its end.
        let mut stop = Stop::new(live.then_some(Duration::ZERO))?;
        let mut recorded = RecordedNames::of_host(source.host());
        let mut builder = Builder::new(Options::FILE);
        if source.host().exits {
            builder.expect_exits();
        }
        while let Some(item) = source.next(&mut stop)? {
            match item {
                Item::Frame(frame) => Fed::from_frame(&frame).for_each(|fed| builder.feed(fed)),
                Item::Names(names) => recorded.learn(&names),
                Item::Quiet => {}
            }
        }
        let culprits = Culprits::default();
        let mut trace = builder.finish();
        if let Some(names) = &names {
            for journey in &mut trace.journeys {
                culprits.accuse(journey, names);
            }
        }
        Ok(Self::new(
            trace,
            label.to_owned(),
            Box::new(Known { recorded, names }),
            source.damage().cloned(),
        ))
    }

    fn of_log(mut from: impl Read, label: String, look: bool) -> anyhow::Result<Self> {
        let mut builder = Builder::new(Options::FILE);
        let (mut reader, mut fed, mut records) = (LogReader::new(), Vec::new(), 0_usize);
        let mut piece = vec![0; PIECE];
        loop {
            let read = from.read(&mut piece).with_context(|| label.clone())?;
            match piece.get(..read) {
                Some(bytes) if read > 0 => reader.bytes(bytes, &mut fed),
                _ => reader.finish(&mut fed),
            }
            for fed in fed.drain(..) {
                records += usize::from(matches!(fed, Fed::Record(_)));
                builder.feed(fed);
            }
            if read == 0 {
                break;
            }
        }
        anyhow::ensure!(
            records > 0,
            "{label}: neither a recording nor a kernel log with nftrace's records: it does not begin as \
             'nftrace record' begins a file, and no line has 'nftrace: v1 ' and no block begins with \
             '==== PRE_ROUTING' or another hook; try 'dmesg | nftrace path -'"
        );
        let names = look.then(names::Names::snapshot);
        let recorded = RecordedNames::default();
        Ok(Self::new(
            builder.finish(),
            label,
            Box::new(Known { recorded, names }),
            None,
        ))
    }

    fn new(
        trace: Trace,
        label: String,
        names: Box<dyn nftrace_journeys::Names>,
        damage: Option<Damage>,
    ) -> Self {
        Self {
            label,
            journeys: trace.journeys,
            connections: trace.connections,
            lost: trace.lost,
            names,
            damage,
            live: false,
        }
    }

    /// Why nothing is shown.
    pub(super) fn nothing(&self) -> String {
        match self.journeys.len() {
            0 if self.live => {
                "the ring holds no record: 'nftrace trace show' tells what is traced, \
                               'nftrace trace set' changes it"
                    .to_owned()
            }
            0 => format!("{}: no record in it", self.label),
            1 => format!("{}: its only journey does not fit", self.label),
            all => format!("{}: none of its {all} journeys fits", self.label),
        }
    }
}

/// What a recording calls a namespace, else what this machine calls it.
struct Known {
    recorded: RecordedNames,
    names: Option<names::Names>,
}

impl nftrace_journeys::Names for Known {
    fn name(&self, namespace: &NamespaceId) -> Option<String> {
        let here = || self.names.as_ref()?.name(namespace);
        self.recorded.name(namespace).or_else(here)
    }
}

/// The first bytes, and all of it.
fn peek(mut from: Box<dyn Read>) -> io::Result<(Vec<u8>, Box<dyn Read>)> {
    let mut first = Vec::new();
    (&mut from)
        .take(MAGIC.len() as u64)
        .read_to_end(&mut first)?;
    let all = io::Cursor::new(first.clone()).chain(from);
    Ok((first, Box::new(all)))
}
