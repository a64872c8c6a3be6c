// SPDX-License-Identifier: GPL-2.0

//! A policy from its files: what it includes, its sets, all checks that need no names.

use crate::ast::{Clause, Include, Policy, SetSource, Statement};
use crate::check;
use crate::diagnostic::{Diagnostic, Report};
use crate::parse;
use crate::sets::{self, Sets};
use crate::source::{Files, Loader, Span};
use std::collections::BTreeMap;

/// A policy that has been read and checked.
#[derive(Clone, Debug)]
pub struct Document {
    /// Its statements, those of included files in the place of `include`.
    pub policy: Policy,
    /// The files that it was read from.
    pub files: Files,
    /// What is hardly meant so.
    pub warnings: Vec<Diagnostic>,
    pub(crate) sets: Sets,
}

impl Document {
    /// The warnings, to be shown.
    #[must_use]
    pub fn report(&self) -> Report {
        Report {
            files: self.files.clone(),
            diagnostics: self.warnings.clone(),
        }
    }
}

/// Files may include each other so deep.
const DEEPEST: usize = 32;

/// Reads and checks a policy and the files that it names.
///
/// # Errors
///
/// All that is wrong.
pub fn load(path: &str, loader: &dyn Loader) -> Result<Document, Report> {
    let content = loader
        .locate(None, path)
        .and_then(|name| Ok((loader.read(&name)?, name)));
    match content {
        Ok((content, name)) => Loading::new(loader).all(path, &name, content),
        Err(error) => Err(Report {
            files: Files::default(),
            diagnostics: vec![Diagnostic::error(
                Span::NOWHERE,
                format!("cannot read {path}: {error}"),
            )],
        }),
    }
}

/// The same with the policy's text, such as from a pipe; `name` stands for it in errors,
/// and is where the files are searched for that it names.
///
/// # Errors
///
/// All that is wrong.
pub fn load_text(name: &str, text: &str, loader: &dyn Loader) -> Result<Document, Report> {
    Loading::new(loader).all(name, name, text.as_bytes().to_vec())
}

struct Loading<'a> {
    loader: &'a dyn Loader,
    report: Report,
    statements: Vec<Statement>,
    /// The files that were included, and where.
    included: BTreeMap<String, Span>,
    /// The files that include the one that is read, by their one names.
    stack: Vec<String>,
    /// Elements of sets that are in files, by the number of the statement.
    elements: BTreeMap<usize, sets::Elements>,
}

impl<'a> Loading<'a> {
    fn new(loader: &'a dyn Loader) -> Self {
        Self {
            loader,
            report: Report::default(),
            statements: Vec::new(),
            included: BTreeMap::new(),
            stack: Vec::new(),
            elements: BTreeMap::new(),
        }
    }

    fn all(mut self, shown: &str, name: &str, content: Vec<u8>) -> Result<Document, Report> {
        self.file(shown, name, content);
        let Self {
            mut report,
            statements,
            elements,
            ..
        } = self;
        let policy = Policy { statements };
        let sets = Sets::of(&policy, elements, &mut report);
        check::all(&policy, &sets, &mut report);
        let place = |one: &Diagnostic| (one.span.file, one.span.start);
        report.diagnostics.sort_by_key(place);
        if report.has_errors() {
            return Err(report);
        }
        Ok(Document {
            policy,
            files: report.files,
            warnings: report.diagnostics,
            sets,
        })
    }

    fn file(&mut self, shown: &str, name: &str, content: Vec<u8>) {
        let Some(file) = self.text(shown, content) else {
            return;
        };
        let Some(text) = self.report.files.get(file).map(|file| file.text.clone()) else {
            return;
        };
        let statements = parse::statements(file, &text, &mut self.report.diagnostics);
        drop(text);
        self.stack.push(name.to_string());
        for statement in statements {
            match statement {
                Statement::Include(include) => {
                    if let Err(error) = self.include(&include) {
                        self.report.diagnostics.push(error);
                    }
                }
                Statement::Set(set) => {
                    if let SetSource::File(path) = &set.source {
                        let elements = self.set_file(path, set.at.clause(Clause::Subject));
                        self.elements.insert(self.statements.len(), elements);
                    }
                    self.statements.push(Statement::Set(set));
                }
                other => self.statements.push(other),
            }
        }
        self.stack.pop();
    }

    /// Keeps a file's text; returns the file's number.
    fn text(&mut self, shown: &str, content: Vec<u8>) -> Option<u32> {
        match String::from_utf8(content) {
            Ok(text) => Some(self.report.files.add(shown, text)),
            Err(error) => {
                let valid = u32::try_from(error.utf8_error().valid_up_to()).unwrap_or(0);
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                let file = self.report.files.add(shown, text);
                let span = Span {
                    file,
                    start: valid,
                    end: valid,
                };
                let error = Diagnostic::error(span, "this is not UTF-8")
                    .help("a policy is text; its comments may be in any language, in UTF-8");
                self.report.diagnostics.push(error);
                None
            }
        }
    }

    fn include(&mut self, include: &Include) -> Result<(), Diagnostic> {
        let span = include.at.clause(Clause::Subject);
        let path = &include.path;
        let unreadable = |error| Diagnostic::error(span, format!("cannot include {path}: {error}"));
        let from = self.stack.last().map(String::as_str);
        let name = self.loader.locate(from, path).map_err(unreadable)?;
        if self.stack.contains(&name) {
            return Err(Diagnostic::error(span, format!("{path} includes itself"))
                .label("which is being read already")
                .help("move what both need to a third file"));
        }
        if let Some(first) = self.included.insert(name.clone(), span) {
            return Err(Diagnostic::error(span, format!("{path} is included twice"))
                .other(first, "the first time")
                .help("its rules would stand twice"));
        }
        if self.stack.len() >= DEEPEST {
            return Err(Diagnostic::error(
                span,
                format!("files include each other more than {DEEPEST} deep"),
            ));
        }
        let content = self.loader.read(&name).map_err(unreadable)?;
        self.file(path, &name, content);
        Ok(())
    }

    fn set_file(&mut self, path: &str, span: Span) -> sets::Elements {
        let from = self.stack.last().map(String::as_str);
        let content = self
            .loader
            .locate(from, path)
            .and_then(|name| self.loader.read(&name));
        match content {
            Ok(content) => match self.text(path, content) {
                Some(file) => sets::read_file(file, &mut self.report),
                None => sets::Elements::default(),
            },
            Err(error) => {
                let message = format!("cannot read {path}: {error}");
                self.report
                    .diagnostics
                    .push(Diagnostic::error(span, message));
                sets::Elements::default()
            }
        }
    }
}
