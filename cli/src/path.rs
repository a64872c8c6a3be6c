// SPDX-License-Identifier: GPL-2.0

//! `nftrace path`

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use nftrace_journeys::Journey;

use crate::output;
use crate::render::{self, Style, View};
use crate::source::{is_standard, DeviceArgs};

mod filter;
mod input;

#[cfg(test)]
mod tests;

use filter::Filter;
use input::Input;

/// Shows the journeys of packets: through which namespaces, what changed them, where they died
///
/// Without FILE it shows what the module's ring holds now. FILE is a recording
/// (`nftrace record`) or a kernel log (`dmesg`), with nftrace's lines or its classic
/// blocks among others; `-` is standard input.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A recording or a kernel log; `-` is standard input; nothing: what the ring holds now
    file: Option<PathBuf>,

    /// One JSON object a journey and line
    #[arg(long, group = "form")]
    json: bool,

    /// A mermaid sequence diagram
    #[arg(long, group = "form")]
    mermaid: bool,

    /// One page for a browser, to FILE or standard output
    #[arg(long, group = "form", value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    html: Option<PathBuf>,

    /// A drawing of one connection, to FILE or standard output
    #[arg(long, group = "form", value_name = "FILE", num_args = 0..=1, require_equals = true, default_missing_value = "-")]
    svg: Option<PathBuf>,

    #[command(flatten)]
    filter: Filter,

    /// Do not look up names of namespaces on this machine, as for a log of another one
    #[arg(long)]
    no_names: bool,

    #[command(flatten)]
    device: DeviceArgs,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    for file in [&args.html, &args.svg].into_iter().flatten() {
        if is_standard(file) {
            output::refuse_terminal("write --html=FILE or --svg=FILE, or redirect the output")?;
        }
    }
    let input = Input::read(args.file.as_deref(), &args.device, !args.no_names)?;
    let journeys = args.filter.choose(&input)?;
    write(args, &input, &journeys)?;
    if journeys.is_empty() {
        eprintln!("nftrace: {}", input.nothing());
    }
    if input.lost > 0 {
        eprintln!(
            "nftrace: {} lost; journeys may have holes",
            render::count(input.lost, "record")
        );
    }
    match &input.damage {
        Some(damage) => anyhow::bail!("{}: {damage}", input.label),
        None => Ok(ExitCode::SUCCESS),
    }
}

fn write(args: &Args, input: &Input, journeys: &[&Journey]) -> anyhow::Result<()> {
    let names = &*input.names;
    let groups = || render::groups(journeys, &input.connections, names);
    if let Some(file) = &args.html {
        let page = render::page(&groups(), &input.label, input.lost);
        return write_file(file, &page);
    }
    if let Some(file) = &args.svg {
        let groups = groups();
        let [group] = &groups[..] else {
            let connections = groups.iter().filter_map(|group| group.connection);
            let some: Vec<String> = connections
                .take(8)
                .map(|number| number.to_string())
                .collect();
            anyhow::bail!(
                "a drawing shows one connection and there are {}: choose one with --connection ({}), or use --html",
                groups.len(),
                some.join(", "),
            );
        };
        return write_file(file, &render::drawing(group));
    }
    let mut out = io::BufWriter::new(output::standard());
    if args.json {
        for journey in journeys {
            serde_json::to_writer(&mut out, &journey.to_json(names)).map_err(io::Error::from)?;
            out.write_all(b"\n")?;
        }
    } else if args.mermaid {
        out.write_all(render::diagram(&groups()).as_bytes())?;
    } else {
        let style = Style::of_stdout();
        for (index, journey) in journeys.iter().enumerate() {
            if index > 0 {
                out.write_all(b"\n")?;
            }
            render::block(&mut out, &View::new(journey, names), style)?;
        }
    }
    out.flush()?;
    Ok(())
}

fn write_file(path: &Path, text: &str) -> anyhow::Result<()> {
    if is_standard(path) {
        let mut out = output::standard();
        out.write_all(text.as_bytes())?;
        out.flush()?;
        return Ok(());
    }
    File::create(path)
        .and_then(|mut file| file.write_all(text.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))
}
