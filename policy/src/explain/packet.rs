// SPDX-License-Identifier: GPL-2.0

//! A packet as people write it:
//!
//! ```text
//! [ipv4|ipv6] PROTO SRC[:PORT] > DST[:PORT] [flags syn,ack] [icmp TYPE[/CODE]]
//!     [in DEV] [out DEV] [fragment OFFSET] [malformed]
//! ```

use super::described::{icmp_family, Described};
use crate::ast::Flags;
use crate::diagnostic::{Diagnostic, Report};
use crate::lexer::{self, Kind, Token};
use crate::source::Span;
use crate::words;
use nftrace_core::packet::{Fragment, Icmp, Packet, Ports, Protocol, Tcp, Transport};
use std::net::{IpAddr, SocketAddr};

const SYN: u8 = 2;
/// What a client's port is taken for where none is written: the first ephemeral one.
const CLIENT_PORT: u16 = 49152;

/// Reads a packet.
///
/// # Errors
///
/// What is wrong, with its place.
pub fn parse_packet(text: &str) -> Result<Described, Report> {
    let mut report = Report::default();
    let file = report.files.add("packet", text.to_string());
    let tokens = lexer::tokens(file, text, &mut report.diagnostics);
    let mut parser = Parser {
        file,
        text,
        tokens,
        at: 0,
    };
    match parser.packet() {
        Ok(packet) if report.diagnostics.is_empty() => Ok(packet),
        Ok(_) => Err(report),
        Err(error) => {
            report.diagnostics.push(error);
            Err(report)
        }
    }
}

type Parsed<T> = Result<T, Diagnostic>;

struct Parser<'a> {
    file: u32,
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
}

/// One end: its address, and the port if one is written.
struct End {
    address: IpAddr,
    port: Option<u16>,
    span: Span,
}

/// What may stand behind the addresses.
#[derive(Default)]
struct Rest {
    flags: Option<(u8, Span)>,
    icmp: Option<(u8, u8, Span)>,
    fragment: Option<(u16, Span)>,
    input: Option<String>,
    output: Option<String>,
    malformed: bool,
}

const USAGE: &str = "as in `tcp 10.0.0.3:5555 > 172.17.0.2:80 in eth0`";

impl<'a> Parser<'a> {
    fn word(&self) -> Option<&'a str> {
        let token = self.tokens.get(self.at)?;
        let is_word = matches!(token.kind, Kind::Word | Kind::Text);
        let said = self.text.get(token.start as usize..token.end as usize)?;
        is_word.then(|| said.trim_matches('"'))
    }

    fn span(&self) -> Span {
        let end = u32::try_from(self.text.len()).unwrap_or(u32::MAX);
        let token = self
            .tokens
            .get(self.at)
            .filter(|token| token.kind != Kind::End);
        Span {
            file: self.file,
            start: token.map_or(end, |token| token.start),
            end: token.map_or(end, |token| token.end),
        }
    }

    fn next(&mut self, what: &str) -> Parsed<(&'a str, Span)> {
        let span = self.span();
        let error = || Diagnostic::error(span, format!("{what} is missing here")).help(USAGE);
        let word = self.word().ok_or_else(error)?;
        self.at += 1;
        Ok((word, span))
    }

    fn take(&mut self, word: &str) -> bool {
        let is_it = self.word() == Some(word);
        self.at += usize::from(is_it);
        is_it
    }

    fn take_kind(&mut self, kind: Kind) -> bool {
        let is_it = self
            .tokens
            .get(self.at)
            .is_some_and(|token| token.kind == kind);
        self.at += usize::from(is_it);
        is_it
    }

    fn packet(&mut self) -> Parsed<Described> {
        // Nothing else matters of it.
        if self.word() == Some("malformed") {
            let rest = self.rest(Protocol(0))?;
            return Ok(described(None, rest));
        }
        let family_span = self.span();
        let family = ["ipv4", "ipv6"].into_iter().find(|one| self.take(one));
        let (protocol, protocol_span) = self.protocol()?;
        let src = self.end("the source")?;
        let span = self.span();
        if !self.take(">") {
            let error = Diagnostic::error(span, "`>` and the destination are missing here");
            return Err(error.help(USAGE));
        }
        let dst = self.end("the destination")?;
        if src.address.is_ipv4() != dst.address.is_ipv4() {
            let error = Diagnostic::error(dst.span, "source and destination are of two families");
            return Err(error.other(src.span, "the source"));
        }
        let is_ipv4 = src.address.is_ipv4();
        if family.is_some_and(|family| (family == "ipv4") != is_ipv4) {
            return Err(Diagnostic::error(
                family_span,
                "the addresses are of the other family",
            ));
        }
        let wrong_icmp = match protocol {
            Protocol::ICMP if !is_ipv4 => Some("icmpv6"),
            Protocol::ICMPV6 if is_ipv4 => Some("icmp"),
            _ => None,
        };
        if let Some(right) = wrong_icmp {
            let error = Diagnostic::error(protocol_span, "the addresses are of the other family");
            return Err(error.help(format!("did you mean `{right}`?")));
        }
        let rest = self.rest(protocol)?;
        let transport = transport(protocol, &src, &dst, &rest)?;
        let packet = Packet {
            src: src.address,
            dst: dst.address,
            protocol,
            fragment: rest.fragment.map(|(offset, _)| Fragment {
                offset,
                more: offset == 0,
            }),
            id: 0,
            transport,
        };
        let packet = Some(packet).filter(|_| !rest.malformed);
        Ok(described(packet, rest))
    }

    fn protocol(&mut self) -> Parsed<(Protocol, Span)> {
        let (said, span) = self.next("the protocol")?;
        if said == "protocol" {
            let (number, span) = self.next("the protocol's number")?;
            let number = number
                .parse()
                .map_err(|_| Diagnostic::error(span, "a protocol's number is from 0 to 255"))?;
            return Ok((Protocol(number), span));
        }
        let found = words::protocol(said).map(|protocol| (protocol, span));
        found.ok_or_else(|| {
            let error = Diagnostic::error(span, format!("`{said}` is no protocol"));
            let names = words::protocols().map(|(name, _)| name);
            let near = words::usual(said).filter(|usual| words::protocol(usual).is_some());
            match near.or_else(|| words::nearest(said, names)) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error.help(USAGE),
            }
        })
    }

    fn end(&mut self, what: &str) -> Parsed<End> {
        let (said, span) = self.next(what)?;
        let end = |address, port| End {
            address,
            port,
            span,
        };
        if let Ok(with_port) = said.parse::<SocketAddr>() {
            return Ok(end(with_port.ip(), Some(with_port.port())));
        }
        let bare = said
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'));
        if let Ok(address) = bare.unwrap_or(said).parse() {
            return Ok(end(address, None));
        }
        let error = Diagnostic::error(span, format!("`{said}` is no address"));
        let port_is_wrong = said.rsplit_once(':').filter(|(address, _)| {
            let address = address.trim_matches(['[', ']']);
            address.parse::<IpAddr>().is_ok()
        });
        Err(if said.contains('>') {
            error.help("put blanks around `>`")
        } else if let Some((_, port)) = port_is_wrong {
            error.help(format!(
                "`{port}` is no port: it is a number from 0 to 65535"
            ))
        } else if said.contains("::") || said.matches(':').count() > 1 {
            error.help("IPv6 is as in 2001:db8::1, and with a port as in [2001:db8::1]:80")
        } else {
            error.help("it is as in 10.1.2.3 or 10.1.2.3:80; names are not looked up")
        })
    }

    fn rest(&mut self, protocol: Protocol) -> Parsed<Rest> {
        let mut rest = Rest::default();
        while self
            .tokens
            .get(self.at)
            .is_some_and(|token| token.kind != Kind::End)
        {
            let (word, span) = self.next("a word")?;
            match word {
                "flags" => rest.flags = Some(self.flags()?),
                "icmp" | "icmpv6" => rest.icmp = Some(self.icmp(protocol, span)?),
                "in" => rest.input = Some(self.device()?),
                "out" => rest.output = Some(self.device()?),
                "fragment" => {
                    let (said, span) = self.next("the fragment's offset in bytes")?;
                    let offset: Option<u16> = said.parse().ok();
                    let offset = offset.filter(|offset| offset % 8 == 0).ok_or_else(|| {
                        let error = Diagnostic::error(span, format!("`{said}` is no offset"));
                        error.help("in bytes: a multiple of 8; 0 for the first fragment")
                    })?;
                    rest.fragment = Some((offset, span));
                }
                "malformed" => rest.malformed = true,
                _ => {
                    const WORDS: [&str; 6] =
                        ["flags", "icmp", "in", "out", "fragment", "malformed"];
                    let error = Diagnostic::error(span, format!("`{word}` says nothing here"));
                    let near = match word {
                        "iif" => Some("in"),
                        "oif" => Some("out"),
                        _ => words::nearest(word, WORDS),
                    };
                    return Err(match near {
                        Some(near) => error.help(format!("did you mean `{near}`?")),
                        None => error.help(format!("there are {}", WORDS.join(", "))),
                    });
                }
            }
        }
        Ok(rest)
    }

    fn device(&mut self) -> Parsed<String> {
        let (said, span) = self.next("the name of a device")?;
        if said.is_empty() || said.len() > 15 {
            let error = Diagnostic::error(span, format!("no device can be called `{said}`"));
            return Err(error.help("a device's name has 1 to 15 bytes"));
        }
        Ok(said.to_string())
    }

    fn flags(&mut self) -> Parsed<(u8, Span)> {
        let first = self.span();
        let mut bits = 0;
        loop {
            let (said, span) = self.next("TCP's flags")?;
            match Flags::NAMES.iter().position(|name| *name == said) {
                Some(bit) => bits |= 1 << bit,
                None if said == "none" => {}
                None => {
                    let error = Diagnostic::error(span, format!("`{said}` is no flag"));
                    return Err(error.help(format!("there are {}", Flags::NAMES.join(", "))));
                }
            }
            if !self.take_kind(Kind::Comma) {
                return Ok((bits, first.to(span)));
            }
        }
    }

    /// `TYPE[/CODE]`
    fn icmp(&mut self, protocol: Protocol, first: Span) -> Parsed<(u8, u8, Span)> {
        self.take("type");
        let (said, span) = self.next("the type")?;
        let (kind, code) = said.split_once('/').unwrap_or((said, "0"));
        let types = words::icmp_types(icmp_family(protocol));
        let named = types.iter().find(|(name, _)| *name == kind);
        let number = named.map_or_else(|| kind.parse().ok(), |(_, number)| Some(*number));
        let number = number.ok_or_else(|| {
            let error = Diagnostic::error(span, format!("`{kind}` is no type"));
            match words::nearest(kind, types.iter().map(|(name, _)| *name)) {
                Some(near) => error.help(format!("did you mean `{near}`?")),
                None => error.help("it is a name as `echo-request`, or a number from 0 to 255"),
            }
        })?;
        let code = code.parse().map_err(|_| {
            Diagnostic::error(
                span,
                format!("`{code}` is no code: it is a number from 0 to 255"),
            )
        })?;
        Ok((number, code, first.to(span)))
    }
}

fn described(packet: Option<Packet>, rest: Rest) -> Described {
    Described {
        packet,
        has_flags: rest.flags.is_some(),
        input: rest.input,
        output: rest.output,
    }
}

fn is_icmp(protocol: Protocol) -> bool {
    matches!(protocol, Protocol::ICMP | Protocol::ICMPV6)
}

fn transport(protocol: Protocol, src: &End, dst: &End, rest: &Rest) -> Parsed<Transport> {
    let name = words::Proto(protocol);
    let has_ports = words::WITH_PORTS.contains(&protocol);
    let is_later = rest.fragment.is_some_and(|(offset, _)| offset != 0);
    if let Some(end) = [src, dst].into_iter().find(|end| end.port.is_some()) {
        if !has_ports {
            return Err(Diagnostic::error(end.span, format!("{name} has no ports")));
        }
        if is_later {
            let error = Diagnostic::error(end.span, "a later fragment has no ports");
            return Err(error.help("leave them out: the first fragment has them"));
        }
    }
    if let Some((_, span)) = rest.flags.filter(|_| protocol != Protocol::TCP || is_later) {
        return Err(Diagnostic::error(span, "it has no TCP flags"));
    }
    if let Some((_, _, span)) = rest.icmp.filter(|_| !is_icmp(protocol) || is_later) {
        return Err(Diagnostic::error(span, "it has no ICMP type"));
    }
    if is_later || rest.malformed {
        return Ok(Transport::None);
    }
    if is_icmp(protocol) {
        let echo = if protocol == Protocol::ICMP { 8 } else { 128 };
        let (kind, code, _) = rest.icmp.unwrap_or((echo, 0, src.span));
        return Ok(Transport::Icmp(Icmp {
            kind,
            code,
            quoted: None,
        }));
    }
    if !has_ports {
        return Ok(Transport::None);
    }
    let Some(port) = dst.port else {
        let error = Diagnostic::error(dst.span, "the destination port is missing");
        let shown = SocketAddr::new(dst.address, 80);
        return Err(error.help(format!("as in {shown}")));
    };
    let ports = Ports {
        src: src.port.unwrap_or(CLIENT_PORT),
        dst: port,
    };
    Ok(match protocol {
        Protocol::TCP => Transport::Tcp(Tcp {
            ports,
            seq: 0,
            ack: 0,
            flags: rest.flags.map_or(SYN, |(flags, _)| flags),
        }),
        _ => Transport::Ports(ports),
    })
}
