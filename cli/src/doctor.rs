// SPDX-License-Identifier: GPL-2.0

//! `nftrace doctor`

mod elsewhere;
mod finding;
mod forwarding;
mod order;
mod settings;
mod system;

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use serde::Serialize;

use self::elsewhere::Elsewhere;
use self::finding::{arrange, Finding, Severity};
use self::settings::Settings;
use crate::hooks::{self, Entry};
use crate::names::{devices_here, enter, Names, Namespace};
use crate::output;

/// Says what the system needs, and what else sits on the hooks
///
/// Findings come first, the worst on top, each with what it means and what to do;
/// then, for each namespace, what packets meet at its hooks, in their order.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only this namespace: a name, pid:N, a path, …, as for `nftrace ns`
    namespace: Option<String>,
    /// One JSON object a line: findings, then namespaces
    #[arg(long)]
    json: bool,
}

/// What was seen of one namespace.
#[derive(Serialize)]
struct Seen {
    namespace: String,
    inode: u32,
    cookie: Option<u64>,
    settings: Settings,
    elsewhere: Elsewhere,
    /// None: they could not be seen.
    hooks: Option<Vec<Entry>>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let names = Names::snapshot();
    let wanted: Vec<Namespace> = match &args.namespace {
        Some(spec) => vec![names.resolve(spec)?],
        None => names
            .namespaces
            .iter()
            .filter(|n| !n.gone)
            .cloned()
            .collect(),
    };
    let mut findings = system::findings(Path::new("/"));
    let loaded = Path::new("/sys/module/nftrace").exists();
    let mut all = Vec::new();
    let mut failure = None;
    for namespace in &wanted {
        let name = names
            .display(namespace)
            .unwrap_or_else(|| namespace.unique());
        let mut found = Vec::new();
        let error = match see(namespace, &name) {
            Ok((seen, error)) => {
                let hooks = seen.hooks.as_deref();
                found.extend(hooks.map_or_else(Vec::new, |hooks| order::findings(hooks, loaded)));
                found.extend(forwarding::findings(
                    &seen.settings,
                    hooks.unwrap_or_default(),
                ));
                found.extend(seen.elsewhere.findings());
                all.push(seen);
                error
            }
            Err(error) => Some(error),
        };
        if let Some(error) = error {
            let finding = Finding::new(Severity::Warning, "unseen", error.to_string());
            found.push(finding.meaning("what is on the hooks there is not known"));
            failure.get_or_insert(error);
        }
        for finding in &mut found {
            finding.namespaces.push(name.clone());
        }
        findings.extend(found);
    }
    let unseen = names.unseen.iter();
    findings.extend(unseen.map(|note| Finding::new(Severity::Note, "names", note.clone())));
    let findings = arrange(findings);
    let mut out = output::standard();
    if args.json {
        json(&mut out, &findings, &all)
    } else {
        text(&mut out, &findings, &all)
    }?;
    match failure {
        Some(error) if all.iter().all(|seen| seen.hooks.is_none()) => Err(error.into()),
        _ => Ok(ExitCode::SUCCESS),
    }
}

/// Looks from inside: hooks and settings are those of the caller's namespace. What
/// keeps the hooks from being seen comes along.
fn see(namespace: &Namespace, name: &str) -> Result<(Seen, Option<hooks::Error>), hooks::Error> {
    let path = namespace
        .path()
        .ok_or_else(|| hooks::Error::Enter(io::ErrorKind::NotFound.into()))?;
    let file = File::open(path).map_err(hooks::Error::Enter)?;
    let look = || {
        let devices = devices_here()?;
        let elsewhere = Elsewhere::see(&devices)?;
        let settings = Settings::read(Path::new("/proc/sys/net"), devices);
        Ok::<_, hooks::Error>((hooks::dump_here(), settings, elsewhere))
    };
    let (hooks, settings, elsewhere) = enter::inside(file, look).map_err(hooks::Error::Enter)??;
    let (hooks, error) = match hooks {
        Ok(hooks) => (Some(hooks), None),
        Err(error) => (None, Some(error)),
    };
    let seen = Seen {
        namespace: name.to_owned(),
        inode: namespace.inode,
        cookie: namespace.cookie,
        settings,
        elsewhere,
        hooks,
    };
    Ok((seen, error))
}

fn json(out: &mut impl Write, findings: &[Finding], all: &[Seen]) -> io::Result<()> {
    #[derive(Serialize)]
    #[serde(tag = "kind", rename_all = "lowercase")]
    enum Line<'a> {
        Finding(&'a Finding),
        Namespace(&'a Seen),
    }
    let findings = findings.iter().map(Line::Finding);
    for line in findings.chain(all.iter().map(Line::Namespace)) {
        serde_json::to_writer(&mut *out, &line)?;
        writeln!(out)?;
    }
    Ok(())
}

fn text(out: &mut impl Write, findings: &[Finding], all: &[Seen]) -> io::Result<()> {
    for finding in findings {
        let place = match finding.namespaces.as_slice() {
            [] => String::new(),
            names => format!("{}: ", names.join(", ")),
        };
        writeln!(
            out,
            "{:<8} {place}{}",
            finding.severity.name(),
            finding.found
        )?;
        for line in [&finding.meaning, &finding.remedy].into_iter().flatten() {
            let arrow = if Some(line) == finding.remedy.as_ref() {
                "-> "
            } else {
                ""
            };
            writeln!(out, "{:<8} {arrow}{line}", "")?;
        }
    }
    // Containers that were made alike have the same on their hooks.
    let mut groups: Vec<(Vec<&str>, &[Entry])> = Vec::new();
    for seen in all {
        let Some(hooks) = &seen.hooks else {
            continue;
        };
        match groups.iter_mut().find(|(_, known)| known == hooks) {
            Some((names, _)) => names.push(&seen.namespace),
            None => groups.push((vec![&seen.namespace], hooks)),
        }
    }
    for (names, entries) in groups {
        if entries.is_empty() {
            writeln!(out, "\nnothing is on the hooks of {}", names.join(", "))?;
            continue;
        }
        writeln!(
            out,
            "\non the hooks of {}, in the order in which packets meet it:",
            names.join(", ")
        )?;
        let mut before = None;
        for entry in entries {
            let place = match before {
                Some(place) if place == &entry.place => String::new(),
                _ => entry.place.to_string(),
            };
            before = Some(&entry.place);
            writeln!(out, "  {place:<20} {:>11}  {entry}", entry.priority)?;
        }
    }
    Ok(())
}
