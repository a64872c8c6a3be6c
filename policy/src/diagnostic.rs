// SPDX-License-Identifier: GPL-2.0

//! What is wrong with a policy, shown at its place.

use crate::source::{Files, Position, Span};
use annotate_snippets::{Annotation, AnnotationKind, Level, Renderer, Snippet};
use std::fmt;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    /// The policy is refused.
    Error,
    /// It can be loaded, and is hardly meant so.
    Warning,
}

/// One error or warning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// Where.
    pub span: Span,
    /// What is to be said of the place; may be empty.
    pub label: String,
    /// Another place that it has to do with, and what is to be said of that.
    pub other: Option<Box<(Span, String)>>,
    /// What to do.
    pub help: Option<String>,
}

impl Diagnostic {
    /// An error.
    #[must_use]
    pub fn error(span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Error,
            message: message.into(),
            span,
            label: String::new(),
            other: None,
            help: None,
        }
    }

    /// A warning.
    #[must_use]
    pub fn warning(span: Span, message: impl Into<String>) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::error(span, message)
        }
    }

    /// Says something of the place.
    #[must_use]
    pub fn label(self, label: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            ..self
        }
    }

    /// Shows another place.
    #[must_use]
    pub fn other(self, span: Span, label: impl Into<String>) -> Self {
        Self {
            other: Some(Box::new((span, label.into()))),
            ..self
        }
    }

    /// Says what to do.
    #[must_use]
    pub fn help(self, help: impl Into<String>) -> Self {
        Self {
            help: Some(help.into()),
            ..self
        }
    }

    /// Says what to do, where that is known.
    #[must_use]
    pub(crate) fn maybe_help(self, help: Option<String>) -> Self {
        Self { help, ..self }
    }

    /// With the lines that it is about.
    #[must_use]
    pub fn render(&self, files: &Files, renderer: &Renderer) -> String {
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let snippets = snippets(files, self.span, &self.label, self.other.as_deref());
        let mut group = level.primary_title(&self.message).elements(snippets);
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(help));
        }
        renderer.render(&[group])
    }
}

fn snippets<'a>(
    files: &'a Files,
    span: Span,
    label: &'a str,
    other: Option<&'a (Span, String)>,
) -> Vec<Snippet<'a, Annotation<'a>>> {
    if files.get(span.file).is_none() {
        return Vec::new();
    }
    let first = Lines::of(files, span);
    let label = Some(label).filter(|label| !label.is_empty());
    let mut snippets = vec![first.snippet().annotation(
        AnnotationKind::Primary
            .span(first.within(span))
            .label(label),
    )];
    if let Some((span, label)) = other {
        let second = Lines::of(files, *span);
        let annotation = AnnotationKind::Context
            .span(second.within(*span))
            .label(label.as_str());
        if second.file == first.file && second.line == first.line && second.text == first.text {
            let snippet = snippets.remove(0);
            snippets.push(snippet.annotation(annotation));
        } else {
            snippets.push(second.snippet().annotation(annotation));
        }
    }
    snippets
}

/// The lines around a span: not the whole file, which may have a million.
struct Lines<'a> {
    file: &'a str,
    text: &'a str,
    start: usize,
    line: usize,
}

impl<'a> Lines<'a> {
    fn of(files: &'a Files, span: Span) -> Self {
        let Some(file) = files.get(span.file) else {
            return Self {
                file: "",
                text: "",
                start: 0,
                line: 1,
            };
        };
        let text = file.text.as_str();
        let (from, to) = (span.range().start, span.range().end);
        let start = text
            .get(..from)
            .and_then(|before| before.rfind('\n'))
            .map_or(0, |at| at + 1);
        let end = text
            .get(to..)
            .and_then(|behind| behind.find('\n'))
            .map_or(text.len(), |at| to + at);
        Self {
            file: &file.name,
            text: text.get(start..end).unwrap_or(""),
            start,
            line: files.position(span).line,
        }
    }

    fn within(&self, span: Span) -> std::ops::Range<usize> {
        let range = span.range();
        let from = range.start.saturating_sub(self.start).min(self.text.len());
        from..range
            .end
            .saturating_sub(self.start)
            .clamp(from, self.text.len())
    }

    fn snippet<T: Clone>(&self) -> Snippet<'a, T> {
        Snippet::source(self.text)
            .line_start(self.line)
            .path(self.file)
    }
}

/// All that is to be said of a policy. `Display` shows it without colours.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The files that it is about.
    pub files: Files,
    /// Errors and warnings, as they were found.
    pub diagnostics: Vec<Diagnostic>,
}

impl Report {
    /// Whether there is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.errors().next().is_some()
    }

    /// The errors.
    pub fn errors(&self) -> impl Iterator<Item = &Diagnostic> {
        let is_error = |one: &&Diagnostic| one.severity == Severity::Error;
        self.diagnostics.iter().filter(is_error)
    }

    /// Where each error or warning is, and what it says.
    pub fn places(&self) -> impl Iterator<Item = (Position, &Diagnostic)> {
        self.diagnostics
            .iter()
            .map(|one| (self.files.position(one.span), one))
    }

    /// As text, coloured for a terminal or not.
    #[must_use]
    pub fn render(&self, colours: bool) -> String {
        let renderer = if colours {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let mut text = String::new();
        for one in &self.diagnostics {
            text += &one.render(&self.files, &renderer);
            text += "\n";
        }
        text
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Report {}
