// SPDX-License-Identifier: GPL-2.0

//! The policy language of nftrace, as docs/policy.md describes it.

pub mod ast;
mod diagnostic;
mod lexer;
mod parse;
mod source;
mod words;

pub use ast::{Policy, Rule, Statement};
pub use diagnostic::{Diagnostic, Report, Severity};
pub use source::{Disk, File, Files, Loader, Memory, Position, Span};

/// Reads the statements of one text. Nothing but its grammar is checked, and no file
/// is read that it names.
///
/// # Errors
///
/// All that is wrong.
pub fn parse(text: &str) -> Result<Policy, Report> {
    let mut report = Report::default();
    let file = report.files.add("policy", text.to_string());
    let statements = parse::statements(file, text, &mut report.diagnostics);
    if report.has_errors() {
        Err(report)
    } else {
        Ok(Policy { statements })
    }
}
