// SPDX-License-Identifier: GPL-2.0

//! Rules: a verdict, and clauses in any order.

use super::{Failed, Parsed, Parser};
use crate::ast::{
    Basic, Bound, Clause, Endpoint, IpFamily, Otherwise, RejectWith, Rule, Spans, State, Statement,
    Verdict,
};
use crate::diagnostic::Diagnostic;
use crate::lexer::{Kind, Token};
use crate::words;

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
}
