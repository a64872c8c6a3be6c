// SPDX-License-Identifier: GPL-2.0

//! `nftrace test`

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use nftrace_core::policy::{By, Tables};
use nftrace_policy::explain::{explain, Explanation, Tried};
use nftrace_policy::Program;

use super::explain::around::Here;
use super::explain::print::Shown;
use super::explain::way;
use super::kept::tables;
use super::source::{build, read, Unknown};
use crate::output;
use crate::render::{Role, Style};
use cases::{Case, Rule, DEFAULTS};

pub(super) mod cases;
mod junit;

/// Tests a policy with the packets of a file of cases
///
/// Needs neither root nor the module nor the containers that the policy names. Exits with
/// 1 if a case fails. docs/policy-test.md describes the file.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Files of cases, as cases.toml
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// The policy's file, instead of the one that the cases name
    #[arg(long, value_name = "FILE")]
    policy: Option<String>,
    /// Writes the results as JUnit's XML, which CI systems show
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Tells of each case, not only of those that fail
    #[arg(long, short)]
    verbose: bool,
}

/// What came of a case.
pub(super) struct Outcome {
    pub(super) case: Case,
    /// What was expected and what came instead; none: it passed.
    pub(super) failure: Option<String>,
    /// The explanation, as text.
    told: Vec<u8>,
}

/// What came of a file of cases.
pub(super) struct Suite {
    pub(super) file: String,
    pub(super) outcomes: Vec<Outcome>,
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let style = Style::of_stdout();
    let mut suites = Vec::new();
    for file in &args.files {
        suites.push(suite(args, file, style)?);
    }
    let mut out = output::standard();
    let mut failed = 0;
    let mut all = 0;
    for suite in &suites {
        for outcome in &suite.outcomes {
            let at = format!("{}:{}", suite.file, outcome.case.line);
            let name = &outcome.case.name;
            match &outcome.failure {
                None if args.verbose => {
                    writeln!(out, "{} {name} ({at})", style.paint(Role::Good, "ok"))?;
                }
                None => {}
                Some(failure) => {
                    failed += 1;
                    writeln!(out, "{} {name} ({at})", style.paint(Role::Bad, "FAILED"))?;
                    writeln!(out, "{failure}")?;
                    out.write_all(&outcome.told)?;
                    writeln!(out)?;
                }
            }
        }
        all += suite.outcomes.len();
    }
    if let Some(file) = &args.junit {
        std::fs::write(file, junit::xml(&suites))
            .with_context(|| format!("cannot write {}", file.display()))?;
    }
    let s = if all == 1 { "" } else { "s" };
    if failed == 0 {
        writeln!(out, "{all} case{s}: all passed")?;
        Ok(ExitCode::SUCCESS)
    } else {
        writeln!(out, "{all} case{s}: {failed} failed")?;
        Ok(ExitCode::FAILURE)
    }
}

fn suite(args: &Args, file: &Path, style: Style) -> anyhow::Result<Suite> {
    let shown = file.display().to_string();
    let written = cases::read(file)?;
    let names = written.names()?;
    let policy = args.policy.clone().or_else(|| written.policy());
    let policy = policy.with_context(|| {
        format!("{shown} names no policy: write 'policy = \"FILE\"' at its top, or give --policy")
    })?;
    let document = read(&policy)?;
    let compiled =
        build(&document, &Here::given(names.clone()), Unknown::Refused).with_context(|| {
            format!("the names in {policy} get their meanings under [names] in {shown}")
        })?;
    let tables = tables(&compiled.blob)?;
    let cases = written.cases(&names)?;
    let outcomes = cases
        .into_iter()
        .map(|case| outcome(case, &tables, &compiled.program, style))
        .collect::<std::io::Result<Vec<Outcome>>>()?;
    Ok(Suite {
        file: shown,
        outcomes,
    })
}

fn outcome(
    case: Case,
    tables: &Tables<'_>,
    program: &Program,
    style: Style,
) -> std::io::Result<Outcome> {
    let packet = way::fitting(case.packet.clone(), &case.around);
    let found = way::ask(&case.places, true, |place| {
        explain(tables, place, &packet, &case.around)
    });
    let failure = found.last().and_then(|last| failure(&case, last));
    let mut told = Vec::new();
    if failure.is_some() {
        let shown = Shown {
            packet: &packet,
            around: &case.around,
            explanations: &found,
            program: Some(program),
        };
        shown.text(&mut told, false, style)?;
    }
    Ok(Outcome {
        case,
        failure,
        told,
    })
}

/// What is not as expected where the packet ended, or at the last hook.
fn failure(case: &Case, last: &Explanation) -> Option<String> {
    let (expected, got) = (case.expect.name(), last.verdict());
    let by = last.by();
    if expected != got {
        return Some(format!("expected {expected}, got {got} by {by}"));
    }
    let wanted = case.rule.as_ref()?;
    if is_by(wanted, last) {
        return None;
    }
    let wanted = match wanted {
        Rule::Number(number) => format!("rule {number}"),
        Rule::Text(text) if DEFAULTS.contains(&text.as_str()) => format!("default '{text}'"),
        Rule::Text(text) => format!("rule '{text}'"),
    };
    Some(format!("expected {expected} by {wanted}, got it by {by}"))
}

fn is_by(wanted: &Rule, last: &Explanation) -> bool {
    let is = |text: &str, rule: &Tried| {
        let canonical = nftrace_policy::parse(text).ok().and_then(|policy| {
            let statement = policy.statements.first()?;
            Some(statement.to_string())
        });
        rule.name.as_deref() == Some(text)
            || rule.text == text
            || canonical.as_ref() == Some(&rule.text)
    };
    match (wanted, last.rule()) {
        (Rule::Number(number), Some(rule)) => rule.number == *number,
        (Rule::Text(text), Some(rule)) => is(text, rule),
        (Rule::Number(_), None) => false,
        (Rule::Text(text), None) => match last.decision.by {
            By::Default => text == "default",
            By::New => text == "new",
            By::Malformed => text == "malformed",
            By::Fragment(_) => text == "fragments",
            By::Rule(_) => false,
        },
    }
}
