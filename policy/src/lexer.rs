// SPDX-License-Identifier: GPL-2.0

//! Text to tokens.

use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::words;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A keyword, a number, an address, a name.
    Word,
    /// `"…"`
    Text,
    /// `@NAME`
    Set,
    /// `{`
    Open,
    /// `}`
    Close,
    /// `,`
    Comma,
    /// `=`
    Equals,
    /// What is no token, and has been reported.
    Bad,
    /// The end of a line.
    Newline,
    /// The end of the file.
    End,
}

/// A token, and where it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) start: u32,
    pub(crate) end: u32,
}

/// Tokens of a text of less than 4 GiB; ends with [`Kind::End`].
pub(crate) fn tokens(file: u32, text: &str, found: &mut Vec<Diagnostic>) -> Vec<Token> {
    let mut lexer = Lexer {
        file,
        text,
        at: 0,
        tokens: Vec::with_capacity(text.len() / 8),
    };
    while let Some(one) = lexer.peek() {
        let start = lexer.at;
        if let Err(error) = lexer.token(one) {
            found.push(error);
            lexer.push(Kind::Bad, start);
        }
    }
    lexer.push(Kind::End, text.len());
    lexer.tokens
}

struct Lexer<'a> {
    file: u32,
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..).unwrap_or("")
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn span(&self, start: usize, end: usize) -> Span {
        Span {
            file: self.file,
            start: number(start),
            end: number(end),
        }
    }

    /// Adds a token that begins at `start` and ends here.
    fn push(&mut self, kind: Kind, start: usize) {
        self.tokens.push(Token {
            kind,
            start: number(start),
            end: number(self.at),
        });
    }

    /// Goes on while it is so.
    fn skip(&mut self, is: impl Fn(char) -> bool) {
        let rest = self.rest();
        self.at += rest.find(|one| !is(one)).unwrap_or(rest.len());
    }

    fn token(&mut self, first: char) -> Result<(), Diagnostic> {
        let start = self.at;
        if words::is_word(first) {
            self.skip(words::is_word);
            self.push(Kind::Word, start);
            return Ok(());
        }
        self.at += first.len_utf8();
        match first {
            '\n' => self.push(Kind::Newline, start),
            '{' => self.push(Kind::Open, start),
            '}' => self.push(Kind::Close, start),
            ',' => self.push(Kind::Comma, start),
            '=' => self.push(Kind::Equals, start),
            '#' => self.skip(|one| one != '\n'),
            '"' => return self.quoted(start),
            '@' => {
                self.skip(words::is_word);
                if self.at == start + 1 {
                    let help = "write it without a space: @office";
                    return Err(Diagnostic::error(
                        self.span(start, self.at),
                        "a set's name is missing",
                    )
                    .help(help));
                }
                self.push(Kind::Set, start);
            }
            '\\' => {
                self.skip(|one| one != '\n' && one.is_whitespace());
                if self.peek().is_some_and(|one| one != '\n') {
                    let span = self.span(start, start + 1);
                    return Err(
                        Diagnostic::error(span, "`\\` stands at the end of a line only")
                            .help("it joins the line with the next one"),
                    );
                }
                self.at += usize::from(self.peek().is_some());
            }
            _ if first.is_whitespace() || first == '\u{feff}' && start == 0 => {}
            _ => {
                let span = self.span(start, self.at);
                return Err(Diagnostic::error(
                    span,
                    format!("the character {first:?} has no place here"),
                ));
            }
        }
        Ok(())
    }

    fn quoted(&mut self, start: usize) -> Result<(), Diagnostic> {
        loop {
            self.skip(|one| !matches!(one, '"' | '\\' | '\n'));
            match self.peek() {
                Some('"') => {
                    self.at += 1;
                    self.push(Kind::Text, start);
                    return Ok(());
                }
                Some('\\') => {
                    self.at += 1;
                    let escaped = self.peek();
                    if escaped.and_then(unescaped).is_none() {
                        let span = self.span(self.at - 1, self.at);
                        self.skip(|one| one != '\n');
                        return Err(Diagnostic::error(span, "a string has no such escape")
                            .help("there are \\\\ \\\" \\n \\r \\t"));
                    }
                    self.at += 1;
                }
                _ => {
                    let span = self.span(start, self.at);
                    return Err(Diagnostic::error(span, "the string is never closed")
                        .help("end it with \" in the same line"));
                }
            }
        }
    }
}

fn number(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

fn unescaped(one: char) -> Option<char> {
    Some(match one {
        '"' | '\\' => one,
        'n' => '\n',
        'r' => '\r',
        't' => '\t',
        _ => return None,
    })
}

/// What a [`Kind::Text`] says.
pub(crate) fn unquote(text: &str) -> String {
    let mut said = String::with_capacity(text.len());
    let inner = text.get(1..text.len().saturating_sub(1)).unwrap_or("");
    let mut characters = inner.chars();
    while let Some(one) = characters.next() {
        said.push(if one == '\\' {
            characters.next().and_then(unescaped).unwrap_or('\\')
        } else {
            one
        });
    }
    said
}
