// SPDX-License-Identifier: GPL-2.0

//! `make docs`: a page for each scenario, from real runs, in `docs/scenarios/`.
//!
//! The head of a page is the scenario's script, the words are those of `lab/SCENARIO.md`;
//! all else is what `nftrace path` says of the recordings.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{ensure, Context, Result};
use nftrace_tests::checkout::top;
use nftrace_tests::command;
use nftrace_tests::scenario::boots;
use nftrace_tests::scenario::Run;

/// What the head of a script says: its title, and its text with the drawing.
struct Head {
    title: String,
    text: String,
    number: u32,
}

fn head(scenario: &str) -> Result<Head> {
    let script = read(&top().join(format!("lab/{scenario}.sh")))?;
    let lines: Vec<&str> = script
        .lines()
        .take_while(|line| line.starts_with('#'))
        .skip_while(|line| !line.starts_with("# S") || line.starts_with("# SPDX"))
        .take_while(|line| !line.starts_with("# variants: "))
        .map(|line| line.strip_prefix("# ").unwrap_or_default())
        .collect();
    let (title, text) = lines.split_first().context("no head")?;
    let number = scenario.trim_start_matches('s').parse()?;
    let mut out = String::new();
    let mut drawing = false;
    for line in text {
        // What is indented is the drawing.
        let begins = line.starts_with(' ') && !drawing;
        let ends = drawing && line.is_empty();
        if begins || ends {
            out += "```\n";
        }
        drawing = line.starts_with(' ');
        out += line;
        out.push('\n');
    }
    if drawing {
        out += "```\n";
    }
    Ok(Head {
        title: (*title).to_owned(),
        text: out.trim().to_owned(),
        number,
    })
}

fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// What `nftrace path` says of a recording.
fn path(run: &Run, options: &[&str]) -> Result<String> {
    let output = Command::new(command::binary()?)
        .args(["path", "--no-names"])
        .args(options)
        .arg(run.folder().join("trace.nft"))
        .output()
        .context("nftrace path")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "nftrace path: {errors}");
    Ok(String::from_utf8(output.stdout)?)
}

/// The first journey of each way, as text.
fn journeys(run: &Run) -> Result<String> {
    let mut text = String::new();
    for taken in run.check()? {
        let first = taken.packets.first().context("no packet")?;
        let journey: serde_json::Value = serde_json::from_str(&first.messages.concat())?;
        let number = journey["journey"].to_string();
        text += &path(run, &["--journey", &number])?;
        text.push('\n');
    }
    Ok(text.trim_end().to_owned())
}

fn section(variant: &str, run: &Run) -> Result<String> {
    let mut text = String::new();
    writeln!(text, "## `{variant}`\n")?;
    writeln!(
        text,
        "```mermaid\n{}\n```\n",
        path(run, &["--mermaid"])?.trim_end()
    )?;
    writeln!(
        text,
        "The first packet of each way:\n\n```\n{}\n```\n",
        journeys(run)?
    )?;
    Ok(text)
}

fn write() -> Result<()> {
    let folder = top().join("docs/scenarios");
    fs::create_dir_all(&folder)?;
    let mut pages: BTreeMap<u32, (Head, String)> = BTreeMap::new();
    for boot in boots::ALL {
        for name in boot.runs() {
            let run = boot.run(&name)?;
            let (scenario, variant) = name.split_once('-').context("no variant")?;
            let head = head(scenario)?;
            let page = pages
                .entry(head.number)
                .or_insert_with(|| (head, String::new()));
            page.1 += &section(variant, &run).with_context(|| name.clone())?;
        }
    }
    let mut index = "# Scenarios\n\nEach page is made from a real run (`make docs`). `nftrace lab run S1` does the same on any machine,\n`make lab SCENARIO=S1` in a virtual one.\n\n".to_owned();
    for (number, (head, sections)) in pages {
        let learn = read(&top().join(format!("lab/s{number}.md")))?;
        let Head { title, text, .. } = head;
        let page = format!(
            "# {title}\n\n{text}\n\n{}\n\n{}",
            learn.trim(),
            sections.trim_end()
        );
        fs::write(folder.join(format!("s{number}.md")), page + "\n")?;
        writeln!(index, "* [{title}](s{number}.md)")?;
    }
    fs::write(folder.join("README.md"), index)?;
    Ok(())
}

fn main() -> ExitCode {
    match write() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("nftrace: docs: {error:#}");
            ExitCode::FAILURE
        }
    }
}
