// SPDX-License-Identifier: GPL-2.0

//! From a file to a compiled policy.

use std::fmt;
use std::io::{IsTerminal as _, Read as _};

use nftrace_core::policy::{verify_within, Limits, Tables};
use nftrace_policy::Resolver;
use nftrace_policy::{compile, load, load_text, resolve, Blob, Disk, Document, Program, Report};

use super::resolver::as_far_as_known;

/// The module says what is too much.
const ANY_COST: Limits = Limits {
    max_bound: u32::MAX,
};

/// Standard input as a file's name.
const STDIN: &str = "-";

/// What is wrong with a policy, as it is shown.
#[derive(Debug)]
pub(crate) struct Wrong(String);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.trim_end())
    }
}

impl std::error::Error for Wrong {}

impl From<Report> for Wrong {
    fn from(report: Report) -> Self {
        Self(render(&report))
    }
}

fn render(report: &Report) -> String {
    report.render(std::io::stderr().is_terminal())
}

/// A policy that can be loaded.
pub(crate) struct Compiled {
    pub(crate) program: Program,
    pub(crate) blob: Blob,
}

/// Reads a policy and all that it includes, and shows what is hardly meant so.
pub(crate) fn read(file: &str) -> Result<Document, Wrong> {
    let document = if file == STDIN {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|error| Wrong(format!("standard input cannot be read: {error}")))?;
        load_text("standard input", &text, &Disk)
    } else {
        load(file, &Disk)
    }?;
    let warnings = document.report();
    if !warnings.diagnostics.is_empty() {
        eprint!("{}", render(&warnings));
    }
    Ok(document)
}

/// What happens to names that mean nothing now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unknown {
    /// They are errors.
    Refused,
    /// They are mentioned, and match nothing.
    Mentioned,
}

/// Compiles a policy as its names are meant now.
pub(crate) fn build(
    document: &Document,
    resolver: &dyn Resolver,
    unknown: Unknown,
) -> Result<Compiled, Wrong> {
    let program = match unknown {
        Unknown::Refused => resolve(document, resolver)?,
        Unknown::Mentioned => {
            let (program, report) = as_far_as_known(document, resolver)?;
            if !report.diagnostics.is_empty() {
                eprint!("{}", render(&report));
            }
            program
        }
    };
    let blob = compile(&program).map_err(Wrong)?;
    // The kernel does the same; but here it can be said better.
    let tables = blob
        .tables()
        .map_err(|refusal| Wrong(refusal.to_string()))?;
    verify_within(&tables, &ANY_COST, || true)
        .map_err(|refusal| Wrong(format!("{refusal}; report this")))?;
    Ok(Compiled { program, blob })
}

/// How large a policy is, in a few words.
pub(crate) fn size(tables: &Tables<'_>) -> String {
    let rules = tables.rules.len();
    let elements = tables.ranges32.len() + tables.ranges128.len();
    format!(
        "{rules} rule{}, {elements} set element{}",
        if rules == 1 { "" } else { "s" },
        if elements == 1 { "" } else { "s" }
    )
}
