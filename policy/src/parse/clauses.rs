// SPDX-License-Identifier: GPL-2.0

//! Rules: a verdict, and clauses in any order.

use super::{Failed, Parsed, Parser};
use crate::ast::{
    Basic, Bound, Clause, Endpoint, Flags, Icmp, IcmpFamily, IpFamily, Limit, Log, Mark, Otherwise,
    RejectWith, Rule, Spans, State, Statement, Unit, Verdict,
};
use crate::diagnostic::Diagnostic;
use crate::lexer::{Kind, Token};
use crate::words;
use nftrace_core::packet::Protocol;

/// What clauses begin with, but for states and protocols.
const CLAUSES: [&str; 21] = [
    "ipv4", "ipv6", "protocol", "port", "from", "to", "original", "flags", "iif", "oif", "mark",
    "cgroup", "classid", "uid", "fragment", "at", "in", "limit", "log", "name", "not",
];

impl Parser<'_> {
    pub(super) fn rule(&mut self) -> Parsed<Statement> {
        let first = self.peek();
        let mut rule = Rule {
            shadow: self.take("shadow"),
            ..Rule::default()
        };
        let verdict = self.peek();
        rule.verdict = self.verdict()?;
        rule.at
            .clauses
            .push((Clause::Verdict, self.span_from(verdict)));
        let mut failed = None;
        while !self.ends() {
            match self.clause(&mut rule) {
                Ok(()) => {}
                Err(Failed::Value) => failed = Some(Failed::Value),
                Err(Failed::Syntax) => return Err(Failed::Syntax),
            }
        }
        rule.at.whole = self.span_from(first);
        failed.map_or(Ok(Statement::Rule(Box::new(rule))), Err)
    }

    fn verdict(&mut self) -> Parsed<Verdict> {
        Ok(
            match self.keyword("a verdict", &["accept", "drop", "reject", "queue"])? {
                "drop" => Verdict::Drop,
                "reject" if self.take("with") => {
                    let name =
                        self.keyword("an answer", &RejectWith::NAMED.map(RejectWith::name))?;
                    let with = RejectWith::NAMED.into_iter().find(|one| one.name() == name);
                    Verdict::Reject(with.unwrap_or_default())
                }
                "reject" => Verdict::Reject(RejectWith::Usual),
                "queue" => {
                    let Some(said) = self.word() else {
                        return Err(self.expected("the number of the queue", &[]));
                    };
                    let token = self.advance();
                    let number = self.number(token, said, "the number of a queue (0 to 65535)")?;
                    let otherwise = if self.take("else") {
                        self.basic()?
                    } else {
                        Basic::Drop
                    };
                    Verdict::Queue {
                        number,
                        otherwise: Otherwise(otherwise),
                    }
                }
                _ => Verdict::Accept,
            },
        )
    }

    /// Notes where a clause is, and that it is the first of its kind.
    fn once(&mut self, at: &mut Spans, clause: Clause, first: Token) -> Parsed<()> {
        let span = self.span_from(first);
        if let Some(other) = at.written(clause) {
            let said = self.said(first);
            let error = Diagnostic::error(span, format!("a second `{said}`"))
                .other(other, "the first one")
                .help("a rule has each clause once; several values are { a, b }");
            return Err(self.wrong(error));
        }
        at.clauses.push((clause, span));
        Ok(())
    }

    fn clause(&mut self, rule: &mut Rule) -> Parsed<()> {
        let first = self.peek();
        let word = self.word().unwrap_or("");
        let at = &mut rule.at;
        if State::ALL.iter().any(|state| state.name() == word) {
            rule.states = self.commas(Self::state)?;
            return self.once(at, Clause::States, first);
        }
        let clause = match word {
            "icmp" | "icmpv6" if self.said(self.ahead(1)) == "type" => {
                rule.icmp = Some(self.icmp()?);
                Clause::Icmp
            }
            "ipv4" | "ipv6" => {
                self.advance();
                rule.family = Some(match word {
                    "ipv4" => IpFamily::Ipv4,
                    _ => IpFamily::Ipv6,
                });
                Clause::Family
            }
            "from" | "to" | "original" => return self.end_of_packet(rule),
            "fragment" => {
                self.advance();
                rule.fragment = true;
                Clause::Fragment
            }
            _ if self.begins_protocol(word) => {
                rule.protocols = Some(self.operand(Self::protocol)?);
                Clause::Protocols
            }
            _ if CLAUSES.contains(&word) && word != "not" => {
                self.advance();
                self.worded(word, rule)?
            }
            _ => return Err(self.no_clause()),
        };
        self.once(&mut rule.at, clause, first)
    }

    /// A clause whose first word has been read.
    fn worded(&mut self, word: &str, rule: &mut Rule) -> Parsed<Clause> {
        Ok(match word {
            "port" => {
                rule.port = Some(self.ports()?);
                Clause::Port
            }
            "flags" => {
                rule.flags = Some(self.flags()?);
                Clause::Flags
            }
            "iif" => {
                rule.iif = Some(self.operand(Self::device)?);
                Clause::Iif
            }
            "oif" => {
                rule.oif = Some(self.operand(Self::device)?);
                Clause::Oif
            }
            "mark" => {
                rule.mark = Some(self.mark()?);
                Clause::Mark
            }
            "cgroup" => {
                rule.cgroup = Some(self.operand(Self::cgroup)?);
                Clause::Cgroup
            }
            "classid" => {
                rule.classid = Some(self.operand(|parser| parser.number32("a classid"))?);
                Clause::Classid
            }
            "uid" => {
                rule.uid = Some(self.operand(Self::user)?);
                Clause::Uid
            }
            "at" => {
                rule.hooks = self.hooks()?;
                Clause::Hooks
            }
            "in" => {
                rule.namespaces = Some(self.operand(Self::namespace)?);
                Clause::Namespaces
            }
            "limit" => {
                rule.limit = Some(self.limit()?);
                Clause::Limit
            }
            "log" => {
                rule.log = Some(self.log()?);
                Clause::Log
            }
            _ => {
                rule.name = Some(self.string("a name")?);
                Clause::Name
            }
        })
    }

    fn no_clause(&mut self) -> Failed {
        let token = self.peek();
        if token.kind != Kind::Word {
            return self.expected("a clause or the end of the line", &[]);
        }
        let said = self.said(token);
        let names: Vec<&str> = words::protocols().map(|(name, _)| name).collect();
        let states = State::ALL.map(State::name);
        let known: Vec<&str> = CLAUSES.into_iter().chain(names).chain(states).collect();
        let error = Diagnostic::error(self.span(token), format!("`{said}` begins no clause"));
        let near = words::usual(said).or_else(|| words::nearest(said, known));
        let help = match near {
            Some(near) => format!("did you mean `{near}`?"),
            None if said.starts_with(|one: char| one.is_ascii_digit()) => {
                "say what it is: `from`, `to`, `port` …".to_string()
            }
            None => format!("there are {}", CLAUSES.join(", ")),
        };
        self.report(error.help(help))
    }

    fn state(&mut self) -> Parsed<State> {
        let names = State::ALL.map(State::name);
        let name = self.keyword("a state", &names)?;
        let state = State::ALL.into_iter().find(|one| one.name() == name);
        state.ok_or(Failed::Syntax)
    }

    /// Whether this or what follows `not` or `{` is a protocol.
    fn begins_protocol(&self, word: &str) -> bool {
        let is_one = |word: &str| word == "protocol" || words::protocol(word).is_some();
        is_one(word) || word == "not" || self.peek().kind == Kind::Open
    }

    fn protocol(&mut self) -> Parsed<Protocol> {
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

    fn icmp(&mut self) -> Parsed<Icmp> {
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

    fn end_of_packet(&mut self, rule: &mut Rule) -> Parsed<()> {
        let first = self.advance();
        let (bound, end) = match self.said(first) {
            "from" => (Bound::From, &mut rule.from),
            "to" => (Bound::To, &mut rule.to),
            _ => {
                self.keyword("`to`", &["to"])?;
                (Bound::Original, &mut rule.original)
            }
        };
        let addresses = self.addresses();
        if addresses == Err(Failed::Syntax) {
            return Err(Failed::Syntax);
        }
        self.once(&mut rule.at, Clause::Addresses(bound), first)?;
        let port = self.peek();
        let mut ports = None;
        if self.take("port") {
            ports = Some(self.ports()?);
            rule.at
                .clauses
                .push((Clause::Ports(bound), self.span_from(port)));
        }
        *end = Some(Endpoint {
            addresses: addresses?,
            ports,
        });
        Ok(())
    }

    fn flags(&mut self) -> Parsed<Flags> {
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

    fn mark(&mut self) -> Parsed<Mark> {
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

    fn cgroup(&mut self) -> Parsed<String> {
        let token = self.peek();
        let path = self.string("a cgroup's path")?;
        if path.starts_with('/') {
            return Ok(path);
        }
        let error = Diagnostic::error(self.span(token), "a cgroup's path begins with `/`");
        Err(self.wrong(error.help(format!("write \"/{path}\": it is below /sys/fs/cgroup"))))
    }

    fn limit(&mut self) -> Parsed<Limit> {
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

    fn log(&mut self) -> Parsed<Log> {
        let limit = if self.take("limit") {
            Some(self.limit()?)
        } else {
            None
        };
        Ok(Log { limit })
    }
}
