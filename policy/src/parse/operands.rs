// SPDX-License-Identifier: GPL-2.0

//! What clauses compare with: lists, addresses, ports, devices, namespaces, hooks.

use super::{values, Failed, Parsed, Parser};
use crate::ast::{Address, Device, IdRange, NamespaceSpec, Operand, Place, Port, RangeError};
use crate::diagnostic::Diagnostic;
use crate::lexer::{self, Kind, Token};
use crate::words;
use nftrace_core::hook::Hook;

impl Parser<'_> {
    /// `[not] X, …` or `[not] { X, … }`
    pub(super) fn operand<T>(
        &mut self,
        item: impl Fn(&mut Self) -> Parsed<T>,
    ) -> Parsed<Operand<T>> {
        let not = self.take("not");
        let items = match self.take_kind(Kind::Open) {
            Some(open) => self.list(open, item)?,
            None => self.commas(item)?,
        };
        Ok(Operand { not, items })
    }

    /// `X, …`
    pub(super) fn commas<T>(&mut self, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        let mut failed = None;
        loop {
            match item(self) {
                Ok(one) => items.push(one),
                Err(Failed::Value) => failed = Some(Failed::Value),
                Err(Failed::Syntax) => return Err(Failed::Syntax),
            }
            if self.take_kind(Kind::Comma).is_none() {
                return failed.map_or(Ok(items), Err);
            }
        }
    }

    /// `X, … }`, over several lines if need be; a comma may stand behind the last one.
    pub(super) fn list<T>(
        &mut self,
        open: Token,
        item: impl Fn(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        let mut failed = None;
        loop {
            self.skip_lines(open)?;
            if self.take_kind(Kind::Close).is_some() {
                break;
            }
            match item(self) {
                Ok(one) => items.push(one),
                Err(Failed::Value) => failed = Some(Failed::Value),
                Err(Failed::Syntax) => return Err(Failed::Syntax),
            }
            self.skip_lines(open)?;
            if self.take_kind(Kind::Close).is_some() {
                break;
            }
            if self.take_kind(Kind::Comma).is_none() {
                return Err(self.expected("`,` or `}`", &[]));
            }
        }
        failed.map_or(Ok(items), Err)
    }

    fn skip_lines(&mut self, open: Token) -> Parsed<()> {
        while self.peek().kind == Kind::Newline {
            let newline = self.at;
            self.at += 1;
            if self.begins_statement() {
                // The statement is read as one.
                self.at = newline;
                return Err(self.unclosed(open));
            }
        }
        if self.peek().kind == Kind::End {
            return Err(self.unclosed(open));
        }
        Ok(())
    }

    fn unclosed(&mut self, open: Token) -> Failed {
        let error = Diagnostic::error(self.span(open), "`{` is never closed");
        self.report(error.help("end the list with `}`"))
    }

    /// Addresses; none for `any`.
    pub(super) fn addresses(&mut self) -> Parsed<Option<Operand<Address>>> {
        let negated = self.is("not");
        if self.is("any") || (negated && self.said(self.ahead(1)) == "any") {
            let first = self.advance();
            if negated {
                self.advance();
                let error = Diagnostic::error(
                    self.span_from(first),
                    "`not any` is no address at all: the rule could never match",
                );
                return Err(self.wrong(error));
            }
            return Ok(None);
        }
        self.operand(Self::address).map(Some)
    }

    fn address(&mut self) -> Parsed<Address> {
        let token = self.peek();
        match token.kind {
            Kind::Set => Ok(Address::Set(self.set_name())),
            Kind::Word => {
                self.advance();
                let (span, said) = (self.span(token), self.said(token));
                if let Some(name) = said.strip_prefix("container:") {
                    Ok(Address::Container(self.name(token, name)?))
                } else if let Some(name) = said.strip_prefix("netns:") {
                    Ok(Address::Netns(self.name(token, name)?))
                } else if let Some(pid) = said.strip_prefix("pid:") {
                    Ok(Address::Pid(self.number(
                        token,
                        pid,
                        "the number of a process",
                    )?))
                } else {
                    values::address_range(span, said)
                        .map(Address::Range)
                        .map_err(|error| self.wrong(error))
                }
            }
            _ => Err(self.expected("an address", &[])),
        }
    }

    /// The name of the set that is next.
    fn set_name(&mut self) -> String {
        let token = self.advance();
        self.said(token).trim_start_matches('@').to_string()
    }

    /// What stands behind the `:` of `token`: the rest of the word, or a string.
    fn name(&mut self, token: Token, rest: &str) -> Parsed<String> {
        let next = self.peek();
        if rest.is_empty() && next.kind == Kind::Text && next.start == token.end {
            self.advance();
            return Ok(lexer::unquote(self.said(next)));
        }
        if rest.is_empty() {
            let said = self.said(token);
            let error = Diagnostic::error(self.span(token), format!("`{said}` lacks a name"));
            return Err(self.wrong(error.help(format!("write `{said}NAME`, without a space"))));
        }
        Ok(rest.to_string())
    }

    /// A decimal number that `token` has in it.
    pub(super) fn number<T: std::str::FromStr>(
        &mut self,
        token: Token,
        said: &str,
        what: &str,
    ) -> Parsed<T> {
        values::decimal(said).map_err(|too_large| {
            let problem = if too_large { "too large for" } else { "not" };
            let message = format!("`{said}` is {problem} {what}");
            self.wrong(Diagnostic::error(self.span(token), message))
        })
    }

    /// `[not] P`
    pub(super) fn ports(&mut self) -> Parsed<Operand<Port>> {
        self.operand(|parser| {
            let token = parser.peek();
            match token.kind {
                Kind::Set => Ok(Port::Set(parser.set_name())),
                Kind::Word => {
                    parser.advance();
                    values::port_range(parser.span(token), parser.said(token))
                        .map(Port::Range)
                        .map_err(|error| parser.wrong(error))
                }
                _ => Err(parser.expected("a port", &[])),
            }
        })
    }

    /// Devices: names or `veth*`.
    pub(super) fn device(&mut self) -> Parsed<Device> {
        let token = self.peek();
        let name = match token.kind {
            Kind::Word => self.said(token).to_string(),
            Kind::Text => lexer::unquote(self.said(token)),
            _ => return Err(self.expected("the name of a device", &[])),
        };
        self.advance();
        let quoted = token.kind == Kind::Text;
        let star = self.peek();
        let any_end = if quoted {
            star.start == token.end && self.take("*")
        } else {
            name.ends_with('*')
        };
        let name = if any_end && !quoted {
            name.trim_end_matches('*').to_string()
        } else {
            name
        };
        let span = self.span_from(token);
        let problem = Device::problem(&name).or_else(|| {
            let inside = !quoted && name.contains('*');
            inside.then_some((
                "`*` stands at the end of a device's name only",
                "name them one by one",
            ))
        });
        match problem {
            Some((message, help)) => Err(self.wrong(Diagnostic::error(span, message).help(help))),
            None => Ok(Device { name, any_end }),
        }
    }

    /// A 32-bit number.
    pub(super) fn number32(&mut self, what: &str) -> Parsed<u32> {
        let Some(said) = self.word() else {
            return Err(self.expected(what, &[]));
        };
        let token = self.advance();
        self.in_32_bits(token, said, what)
    }

    pub(super) fn in_32_bits(&mut self, token: Token, said: &str, what: &str) -> Parsed<u32> {
        values::number(said).map_err(|too_large| {
            let problem = if too_large { "too large for" } else { "not" };
            let message = format!("`{said}` is {problem} {what}");
            let error = Diagnostic::error(self.span(token), message);
            self.wrong(error.help("it is a number of 32 bits, as 10 or 0xa"))
        })
    }

    /// A user or a range of users.
    pub(super) fn user(&mut self) -> Parsed<IdRange> {
        let Some(said) = self.word() else {
            return Err(self.expected("the number of a user", &[]));
        };
        let token = self.advance();
        let (first, last) = said.split_once('-').unwrap_or((said, said));
        let first = self.number(token, first, "the number of a user")?;
        let last = self.number(token, last, "the number of a user")?;
        IdRange::new(first, last).map_err(|_: RangeError| {
            let error = Diagnostic::error(self.span(token), "the range is reversed");
            self.wrong(error.help(format!("did you mean {last}-{first}?")))
        })
    }

    /// `at …`
    pub(super) fn hooks(&mut self) -> Parsed<Vec<Place>> {
        let first = self.peek();
        let hooks = match self.take_kind(Kind::Open) {
            Some(open) => self.list(open, Self::hook)?,
            None => self.commas(Self::hook)?,
        };
        if hooks.is_empty() {
            let error = Diagnostic::error(self.span_from(first), "there is no hook");
            return Err(self.wrong(error.help("leave `at` out for the five IP hooks")));
        }
        for (number, hook) in hooks.iter().enumerate() {
            if hooks[..number].contains(hook) {
                let message = format!("{} is said twice", words::PlaceName(*hook));
                return Err(self.wrong(Diagnostic::error(self.span_from(first), message)));
            }
        }
        Ok(hooks)
    }

    fn hook(&mut self) -> Parsed<Place> {
        let is_bridge = self.take("bridge");
        let mut known: Vec<&str> = Hook::ALL.into_iter().map(words::hook_name).collect();
        let found = Hook::ALL
            .into_iter()
            .find(|hook| self.is(words::hook_name(*hook)));
        if let Some(hook) = found {
            self.at += 1;
            return Ok(Place { hook, is_bridge });
        }
        if !is_bridge {
            known.push("bridge");
        }
        Err(self.expected("a hook", &known))
    }

    /// One of `in …`
    pub(super) fn namespace(&mut self) -> Parsed<NamespaceSpec> {
        const KNOWN: [&str; 8] = [
            "host",
            "all",
            "container:NAME",
            "netns:NAME",
            "pid:N",
            "path",
            "cookie:N",
            "inode:N",
        ];
        let Some(said) = self.word() else {
            return Err(self.expected("a namespace", &KNOWN));
        };
        let token = self.peek();
        let (kind, rest) = said.split_once(':').unwrap_or((said, ""));
        let has_colon = said.contains(':');
        if !has_colon && matches!(kind, "container" | "netns" | "pid" | "cookie" | "inode") {
            let error = Diagnostic::error(self.span(token), format!("`{kind}` lacks a name"));
            return Err(self.report(error.help(format!("write `{kind}:NAME`, without a space"))));
        }
        let spec = match kind {
            "host" if !has_colon => NamespaceSpec::Host,
            "all" if !has_colon => NamespaceSpec::All,
            "path" if !has_colon => {
                self.advance();
                return self.string("a path").map(NamespaceSpec::Path);
            }
            "container" | "netns" => {
                self.advance();
                let name = self.name(token, rest)?;
                return Ok(match kind {
                    "netns" => NamespaceSpec::Netns(name),
                    _ => NamespaceSpec::Container(name),
                });
            }
            "pid" => {
                self.advance();
                let pid = self.number(token, rest, "the number of a process")?;
                return Ok(NamespaceSpec::Pid(pid));
            }
            "cookie" | "inode" => {
                self.advance();
                let number = self.number(token, rest, "the number of a namespace")?;
                return Ok(match kind {
                    "inode" => NamespaceSpec::Inode(number),
                    _ => NamespaceSpec::Cookie(number),
                });
            }
            _ => return Err(self.expected("a namespace", &KNOWN)),
        };
        self.advance();
        Ok(spec)
    }
}
