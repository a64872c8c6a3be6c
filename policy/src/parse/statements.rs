// SPDX-License-Identifier: GPL-2.0

//! `include`, `set`, `default`, and how a rule begins.

use super::{Failed, Parsed, Parser, STATEMENTS};
use crate::ast::{
    Basic, Clause, Default, DefaultFor, Element, Include, NewNamespaces, Set, SetSource, Spans,
    Statement,
};
use crate::diagnostic::Diagnostic;
use crate::lexer::Kind;

impl Parser<'_> {
    pub(super) fn statement(&mut self) -> Parsed<Statement> {
        match self.word() {
            Some("include") => self.include(),
            Some("set") => self.set(),
            Some("default") => self.default(),
            Some("shadow" | "accept" | "drop" | "reject" | "queue") => self.rule(),
            _ => Err(self.expected("a statement", &STATEMENTS)),
        }
    }

    /// Nothing follows.
    pub(super) fn end(&mut self) -> Parsed<()> {
        if self.ends() {
            Ok(())
        } else {
            Err(self.expected("the end of the line", &[]))
        }
    }

    fn include(&mut self) -> Parsed<Statement> {
        let first = self.advance();
        let token = self.peek();
        let path = self.string("the name of a file")?;
        let mut at = Spans::new(self.span_from(first));
        at.clauses.push((Clause::Subject, self.span(token)));
        self.end()?;
        Ok(Statement::Include(Include { path, at }))
    }

    fn set(&mut self) -> Parsed<Statement> {
        let first = self.advance();
        let token = self.peek();
        let name = match token.kind {
            Kind::Word => self.said(token).to_string(),
            Kind::Set => {
                let name = self.said(token).trim_start_matches('@');
                let error = Diagnostic::error(self.span(token), "a set is named without `@` here");
                return Err(self.report(error.help(format!("write `set {name} = …`"))));
            }
            _ => return Err(self.expected("the set's name", &[])),
        };
        self.advance();
        if !is_set_name(&name) {
            let error = Diagnostic::error(
                self.span(token),
                format!("`{name}` cannot be the name of a set"),
            );
            let help =
                "letters, digits, `_`, `-` and `.` can be in it, and it begins with a letter";
            return Err(self.report(error.help(help)));
        }
        let mut at = Spans::new(self.span_from(first));
        at.clauses.push((Clause::Subject, self.span(token)));
        let mut set = Set {
            name,
            dynamic: self.take("dynamic"),
            source: SetSource::List(Vec::new()),
            at,
        };
        // A set with an error is known nevertheless: where it is used is no second one.
        if let Ok(source) = self.set_source() {
            set.source = source;
        }
        set.at.whole = self.span_from(first);
        Ok(Statement::Set(set))
    }

    fn set_source(&mut self) -> Parsed<SetSource> {
        if self.take_kind(Kind::Equals).is_none() {
            return Err(self.expected("`=`", &[]));
        }
        if self.take("file") {
            let path = self.string("the name of a file")?;
            self.end()?;
            return Ok(SetSource::File(path));
        }
        let Some(open) = self.take_kind(Kind::Open) else {
            return Err(self.expected("`{` or `file \"NAME\"`", &[]));
        };
        let elements = match self.list(open, Self::element) {
            Ok(elements) => elements,
            Err(Failed::Value) => Vec::new(),
            Err(Failed::Syntax) => return Err(Failed::Syntax),
        };
        self.end()?;
        Ok(SetSource::List(elements))
    }

    fn element(&mut self) -> Parsed<Element> {
        let token = self.peek();
        match token.kind {
            Kind::Set => {
                self.advance();
                Ok(Element::Set(self.said(token)[1..].to_string()))
            }
            Kind::Word => {
                self.advance();
                super::element(self.span(token), self.said(token)).map_err(|e| self.wrong(e))
            }
            _ => Err(self.expected("an address, a port or `@SET`", &[])),
        }
    }

    fn default(&mut self) -> Parsed<Statement> {
        let first = self.advance();
        let what = self.default_for()?;
        self.end()?;
        let at = Spans::new(self.span_from(first));
        Ok(Statement::Default(Default { what, at }))
    }

    fn default_for(&mut self) -> Parsed<DefaultFor> {
        if self.take("malformed") {
            return Ok(DefaultFor::Malformed(self.basic()?));
        }
        if self.take("fragments") {
            return Ok(DefaultFor::Fragments(self.basic()?));
        }
        let known = [
            "accept",
            "drop",
            "accept-until-known",
            "malformed",
            "fragments",
        ];
        let word = self.peek();
        let verdict = self.keyword("`accept` or `drop`", &known)?;
        let basic = match verdict {
            "drop" => Basic::Drop,
            _ => Basic::Accept,
        };
        if self.take("in") {
            self.keyword("`new`", &["new"])?;
            return Ok(DefaultFor::New(match verdict {
                "accept" => NewNamespaces::Accept,
                "drop" => NewNamespaces::Drop,
                _ => NewNamespaces::AcceptUntilKnown,
            }));
        }
        if verdict == "accept-until-known" {
            let error = Diagnostic::error(
                self.span(word),
                "`accept-until-known` is about new namespaces only",
            );
            return Err(self.report(error.help("write `default accept-until-known in new`")));
        }
        let hooks = if self.take("at") {
            self.hooks()?
        } else {
            Vec::new()
        };
        Ok(DefaultFor::Hooks(basic, hooks))
    }

    pub(super) fn basic(&mut self) -> Parsed<Basic> {
        Ok(
            match self.keyword("`accept` or `drop`", &["accept", "drop"])? {
                "drop" => Basic::Drop,
                _ => Basic::Accept,
            },
        )
    }
}

/// Sets have names that look like nothing else.
fn is_set_name(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic())
        && name
            .chars()
            .all(|one| one.is_ascii_alphanumeric() || matches!(one, '_' | '-' | '.'))
}
