// SPDX-License-Identifier: GPL-2.0

//! What stands in single clauses: states, protocols, ICMP's types, flags, marks, limits.

use super::{Failed, Parsed, Parser};
use crate::ast::{Flags, Icmp, IcmpFamily, Limit, Log, Mark, State, Unit};
use crate::diagnostic::Diagnostic;
use crate::lexer::{Kind, Token};
use crate::words;
use nftrace_core::packet::Protocol;

impl Parser<'_> {
    pub(super) fn state(&mut self) -> Parsed<State> {
        let names = State::ALL.map(State::name);
        let name = self.keyword("a state", &names)?;
        let state = State::ALL.into_iter().find(|one| one.name() == name);
        state.ok_or(Failed::Syntax)
    }

    /// Whether this or what follows `not` or `{` is a protocol.
    pub(super) fn begins_protocol(&self, word: &str) -> bool {
        let is_one = |word: &str| word == "protocol" || words::protocol(word).is_some();
        is_one(word) || word == "not" || self.peek().kind == Kind::Open
    }

    pub(super) fn protocol(&mut self) -> Parsed<Protocol> {
        if self.take("protocol") {
            let Some(said) = self.word() else {
                return Err(self.expected("the number of a protocol", &[]));
            };
            let token = self.advance();
            if let Some(protocol) = words::protocol(said) {
                return Ok(protocol);
            }
            return self
                .number(token, said, "the number of a protocol (0 to 255)")
                .map(Protocol);
        }
        match self.word().and_then(words::protocol) {
            Some(protocol) => {
                self.advance();
                Ok(protocol)
            }
            None => {
                let known: Vec<&str> = words::protocols()
                    .map(|(name, _)| name)
                    .chain(["protocol"])
                    .collect();
                Err(self.expected("a protocol", &known))
            }
        }
    }

    pub(super) fn icmp(&mut self) -> Parsed<Icmp> {
        let family = match self.word() {
            Some("icmp") => IcmpFamily::Icmp,
            _ => IcmpFamily::Icmpv6,
        };
        self.advance();
        self.advance();
        let types = words::icmp_types(family);
        let said = self.word().unwrap_or("");
        let token = self.peek();
        let named = types.iter().find(|(name, _)| *name == said);
        let kind = match named {
            Some((_, kind)) => {
                self.advance();
                *kind
            }
            None if said.starts_with(|one: char| one.is_ascii_digit()) => {
                self.advance();
                self.number(token, said, "a type (0 to 255)")?
            }
            None => {
                let known: Vec<&str> = types.iter().map(|(name, _)| *name).collect();
                return Err(self.expected("a type", &known));
            }
        };
        let code = if self.take("code") {
            let Some(said) = self.word() else {
                return Err(self.expected("a code", &[]));
            };
            let token = self.advance();
            Some(self.number(token, said, "a code (0 to 255)")?)
        } else {
            None
        };
        Ok(Icmp { family, kind, code })
    }

    pub(super) fn flags(&mut self) -> Parsed<Flags> {
        let first = self.peek();
        let mut halves = vec![0_u8];
        loop {
            let token = self.peek();
            let Some(said) = self.word() else {
                return Err(self.expected("TCP's flags", &Flags::NAMES));
            };
            self.advance();
            for (number, name) in said.split('/').enumerate() {
                if number > 0 {
                    halves.push(0);
                }
                let bit = Flags::NAMES.iter().position(|one| *one == name);
                let half = halves.last_mut().ok_or(Failed::Syntax)?;
                match bit {
                    Some(bit) => *half |= 1 << bit,
                    None if name == "none" => {}
                    None => {
                        let error =
                            Diagnostic::error(self.span(token), format!("`{name}` is no flag"));
                        let near = words::nearest(name, Flags::NAMES).map_or_else(
                            || format!("there are {}", Flags::NAMES.join(", ")),
                            |near| format!("did you mean `{near}`?"),
                        );
                        return Err(self.wrong(error.help(near)));
                    }
                }
            }
            if self.take_kind(Kind::Comma).is_none() {
                break;
            }
        }
        let span = self.span_from(first);
        let (value, mask) = match halves[..] {
            [value] => (value, Flags::USUAL_MASK),
            [value, mask] => (value, mask),
            _ => {
                let error = Diagnostic::error(span, "`/` stands once, before the mask");
                return Err(self.wrong(error.help("as in flags syn/syn,ack")));
            }
        };
        if value & !mask != 0 || mask == 0 {
            let help = "name all flags that are looked at, as in flags psh/psh";
            let message = "the mask leaves out a flag that is to be set";
            return Err(self.wrong(Diagnostic::error(span, message).help(help)));
        }
        if halves.len() == 1 && value == 0 {
            let message = "`none` of which flags?";
            let error = Diagnostic::error(span, message).help("as in flags none/syn,ack");
            return Err(self.wrong(error));
        }
        Ok(Flags { value, mask })
    }

    pub(super) fn mark(&mut self) -> Parsed<Mark> {
        let not = self.take("not");
        let Some(said) = self.word() else {
            return Err(self.expected("a mark", &[]));
        };
        let token = self.advance();
        let (value, mask) = match said.split_once('/') {
            Some((value, mask)) => (value, self.in_32_bits(token, mask, "a mask")?),
            None => (said, u32::MAX),
        };
        let value = self.in_32_bits(token, value, "a mark")?;
        if value & !mask != 0 {
            let error = Diagnostic::error(self.span(token), "the mask leaves out bits of the mark")
                .help(format!("did you mean {:#x}/{mask:#x}?", value & mask));
            return Err(self.wrong(error));
        }
        Ok(Mark { not, value, mask })
    }

    pub(super) fn cgroup(&mut self) -> Parsed<String> {
        let token = self.peek();
        let path = self.string("a cgroup's path")?;
        if path.starts_with('/') {
            return Ok(path);
        }
        let error = Diagnostic::error(self.span(token), "a cgroup's path begins with `/`");
        Err(self.wrong(error.help(format!("write \"/{path}\": it is below /sys/fs/cgroup"))))
    }

    pub(super) fn limit(&mut self) -> Parsed<Limit> {
        let Some(said) = self.word() else {
            return Err(self.expected("a limit", &[]));
        };
        if said == "log" {
            let error = Diagnostic::error(self.span(self.peek()), "`log` stands before its limit");
            return Err(self.report(error.help("write `log limit 5/second`")));
        }
        let token = self.advance();
        let (count, unit) = said.split_once('/').unwrap_or((said, ""));
        let per = match unit {
            "s" => Some(Unit::Second),
            _ => Unit::ALL.into_iter().find(|one| one.name() == unit),
        };
        let Some(per) = per else {
            let error = Diagnostic::error(self.span(token), format!("`{said}` is no limit"));
            let usual = words::usual(unit).unwrap_or("second");
            return Err(self.wrong(error.help(format!("as in 5/{usual}: /second, /minute, /hour"))));
        };
        let count = self.positive(token, count, "a limit")?;
        let burst = if self.take("burst") {
            let Some(said) = self.word() else {
                return Err(self.expected("how many at once", &[]));
            };
            let token = self.advance();
            Some(self.positive(token, said, "a burst")?)
        } else {
            None
        };
        Ok(Limit { count, per, burst })
    }

    fn positive(&mut self, token: Token, said: &str, what: &str) -> Parsed<u32> {
        let number = self.number(token, said, what)?;
        if number > 0 {
            return Ok(number);
        }
        let error = Diagnostic::error(self.span(token), format!("{what} of 0"));
        Err(self.wrong(error.help("leave the rule out if it should never match")))
    }

    pub(super) fn log(&mut self) -> Parsed<Log> {
        let limit = if self.take("limit") {
            Some(self.limit()?)
        } else {
            None
        };
        Ok(Log { limit })
    }
}
