// SPDX-License-Identifier: GPL-2.0

//! The policy language of nftrace, as docs/policy.md describes it.

pub mod ast;
mod blob;
mod check;
mod compile;
mod diagnostic;
pub mod explain;
pub mod import;
mod index;
mod lexer;
mod live;
mod load;
mod parse;
mod program;
mod ranges;
mod resolve;
mod sets;
mod source;
mod words;

pub use ast::{Policy, Rule, Statement};
pub use blob::{rule_text_of, text_of, Blob};
pub use compile::compile;
pub use diagnostic::{Diagnostic, Report, Severity};
pub use live::{dynamic_name_of, elements, with_elements};
pub use load::{load, load_text, Document};
pub use program::{identity, Condition, Program, ProgramRule, ProgramSet, Test};
pub use ranges::Addresses;
pub use resolve::{resolve, Resolver};
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
