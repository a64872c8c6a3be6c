// SPDX-License-Identifier: GPL-2.0

//! Tokens to statements. An error ends a statement, not the file: all are reported.

mod clauses;
mod details;
mod operands;
mod statements;
mod values;

pub(crate) use values::element;

use crate::ast::Statement;
use crate::diagnostic::Diagnostic;
use crate::lexer::{self, Kind, Token};
use crate::source::Span;
use crate::words;

/// The words that a statement begins with.
const STATEMENTS: [&str; 8] = [
    "include", "set", "default", "shadow", "accept", "drop", "reject", "queue",
];

/// The statements of a text; what is wrong goes to `found`.
pub(crate) fn statements(file: u32, text: &str, found: &mut Vec<Diagnostic>) -> Vec<Statement> {
    let tokens = lexer::tokens(file, text, found);
    let mut parser = Parser {
        file,
        text,
        tokens,
        at: 0,
        found,
    };
    parser.file()
}

/// Why there is no result. The reason has been reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Failed {
    /// A value is wrong, what follows can be read.
    Value,
    /// It is not clear how to go on before the next statement.
    Syntax,
}

type Parsed<T> = Result<T, Failed>;

struct Parser<'a> {
    file: u32,
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    found: &'a mut Vec<Diagnostic>,
}

impl<'a> Parser<'a> {
    fn file(&mut self) -> Vec<Statement> {
        let mut statements = Vec::new();
        loop {
            match self.peek().kind {
                Kind::End => return statements,
                Kind::Newline => self.at += 1,
                _ => {
                    let first = self.at;
                    if let Ok(statement) = self.statement() {
                        statements.push(statement);
                    }
                    self.recover(first);
                }
            }
        }
    }

    /// Goes from the statement that begins at the token `first` to the next one: to the
    /// end of a line that is not in braces, or a line that begins as statements do.
    fn recover(&mut self, first: usize) {
        let mut depth = 0_usize;
        for token in self.tokens.get(first..self.at).unwrap_or_default() {
            match token.kind {
                Kind::Open => depth += 1,
                Kind::Close => depth = depth.saturating_sub(1),
                _ => {}
            }
        }
        loop {
            match self.peek().kind {
                Kind::End => return,
                Kind::Newline if depth == 0 => return,
                Kind::Newline => {
                    self.at += 1;
                    if self.begins_statement() {
                        return;
                    }
                    continue;
                }
                Kind::Open => depth += 1,
                Kind::Close => depth = depth.saturating_sub(1),
                _ => {}
            }
            self.at += 1;
        }
    }

    fn begins_statement(&self) -> bool {
        self.word().is_some_and(|word| STATEMENTS.contains(&word))
    }

    fn peek(&self) -> Token {
        self.ahead(0)
    }

    fn ahead(&self, by: usize) -> Token {
        let last = Token {
            kind: Kind::End,
            start: 0,
            end: 0,
        };
        let token = self.tokens.get(self.at + by).or(self.tokens.last());
        token.copied().unwrap_or(last)
    }

    fn advance(&mut self) -> Token {
        let token = self.peek();
        if token.kind != Kind::End {
            self.at += 1;
        }
        token
    }

    fn said(&self, token: Token) -> &'a str {
        self.text
            .get(token.start as usize..token.end as usize)
            .unwrap_or("")
    }

    fn span(&self, token: Token) -> Span {
        Span {
            file: self.file,
            start: token.start,
            end: token.end,
        }
    }

    /// From `first` to what was read last.
    fn span_from(&self, first: Token) -> Span {
        let last = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
        let first = self.span(first);
        last.map_or(first, |last| first.to(self.span(*last)))
    }

    /// The next token, if it is a word.
    fn word(&self) -> Option<&'a str> {
        let token = self.peek();
        (token.kind == Kind::Word).then(|| self.said(token))
    }

    fn is(&self, word: &str) -> bool {
        self.word() == Some(word)
    }

    /// Reads the word if it is next.
    fn take(&mut self, word: &str) -> bool {
        let is = self.is(word);
        self.at += usize::from(is);
        is
    }

    fn take_kind(&mut self, kind: Kind) -> Option<Token> {
        (self.peek().kind == kind).then(|| self.advance())
    }

    fn ends(&self) -> bool {
        matches!(self.peek().kind, Kind::Newline | Kind::End)
    }

    fn report(&mut self, error: Diagnostic) -> Failed {
        self.found.push(error);
        Failed::Syntax
    }

    /// The last token's value is wrong; what follows can be read.
    fn wrong(&mut self, error: Diagnostic) -> Failed {
        self.found.push(error);
        Failed::Value
    }

    /// Something else should be next: `what`, of which `known` are words.
    fn expected(&mut self, what: &str, known: &[&str]) -> Failed {
        let token = self.peek();
        if token.kind == Kind::Bad {
            return Failed::Syntax;
        }
        let said = self.said(token);
        let error = if self.ends() {
            let at = self.at.checked_sub(1).and_then(|at| self.tokens.get(at));
            let span = at.map_or(self.span(token), |last| self.span(*last));
            Diagnostic::error(span, format!("{what} is missing behind this"))
        } else {
            Diagnostic::error(
                self.span(token),
                format!("`{said}` stands where {what} should"),
            )
        };
        let usual = words::usual(said).filter(|usual| known.contains(usual));
        let near = usual.or_else(|| words::nearest(said, known.iter().copied()));
        let help = match near {
            Some(near) => Some(format!("did you mean `{near}`?")),
            None if known.is_empty() => None,
            None => Some(format!("there are {}", known.join(", "))),
        };
        self.report(error.maybe_help(help))
    }

    /// One of the words in `known`.
    fn keyword(&mut self, what: &str, known: &[&'static str]) -> Parsed<&'static str> {
        let found = self
            .word()
            .and_then(|word| known.iter().find(|one| **one == word));
        match found {
            Some(word) => {
                self.at += 1;
                Ok(word)
            }
            None => Err(self.expected(what, known)),
        }
    }

    /// A string in quotes.
    fn string(&mut self, what: &str) -> Parsed<String> {
        match self.take_kind(Kind::Text) {
            Some(token) => Ok(lexer::unquote(self.said(token))),
            None if self.word().is_some() => {
                let word = self.word().unwrap_or("");
                let span = self.span(self.peek());
                let error = Diagnostic::error(span, format!("{what} stands in quotes"));
                Err(self.report(error.help(format!("write \"{word}\""))))
            }
            None => Err(self.expected(what, &[])),
        }
    }
}
