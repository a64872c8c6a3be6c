// SPDX-License-Identifier: GPL-2.0

//! Filter expressions of tcpdump (`pcap-filter(7)`), compiled by libpcap to classic BPF.

use std::fmt;
use std::ops::Range;

use nftrace_core::trace::{Instruction, MAX_INSTRUCTIONS};
use pcap::{Capture, Dead, Linktype};

/// Packets begin with the network header: that is what the kernel's program sees.
const LINKTYPE_RAW: Linktype = Linktype(12);

/// `BPF_JMP | BPF_JA`.
const JUMP: u16 = 0x05;

/// Why an expression was refused.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    expression: String,
    /// What cannot be right: empty where something is missing behind it.
    place: Range<usize>,
    message: String,
}

impl std::error::Error for Refused {}

/// The message, then the expression with a mark below what cannot be right.
impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A line break would put the mark elsewhere.
        let shown = self.expression.replace(char::is_control, " ");
        let columns = |range: Range<usize>| {
            self.expression
                .get(range)
                .map_or(0, |part| part.chars().count())
        };
        let marks = "^".repeat(columns(self.place.clone()).max(1));
        writeln!(f, "libpcap refuses the filter: {}", self.message)?;
        writeln!(f, "  {shown}")?;
        write!(
            f,
            "  {:indent$}{marks}",
            "",
            indent = columns(0..self.place.start)
        )
    }
}

/// Compiles an expression.
///
/// # Errors
///
/// What libpcap says, and which part of the expression cannot be right.
pub(crate) fn compile(expression: &str) -> Result<Vec<Instruction>, Refused> {
    let refused = |place, message: String| Refused {
        expression: expression.to_owned(),
        place,
        message,
    };
    let everything = 0..expression.len();
    if expression.contains('\0') {
        return Err(refused(everything, "it has a zero byte in it".to_owned()));
    }
    let compiler =
        Compiler::new().map_err(|error| refused(everything.clone(), error.to_string()))?;
    let program = compiler
        .compile(expression, true)
        .map_err(|message| refused(compiler.place(expression, &message), message))?;
    if program.len() > MAX_INSTRUCTIONS {
        let message = format!(
            "it needs {} instructions, and the kernel runs {MAX_INSTRUCTIONS} at most",
            program.len()
        );
        return Err(refused(everything, message));
    }
    let is_loop = |instruction: &&Instruction| {
        instruction.code == JUMP
            && usize::try_from(instruction.k).map_or(true, |k| k >= program.len())
    };
    if program.iter().any(|instruction| is_loop(&instruction)) {
        let place = expression
            .find("protochain")
            .map_or(everything, |at| at..at + "protochain".len());
        return Err(refused(
            place,
            "it needs a loop, which the kernel does not run; use 'proto'".to_owned(),
        ));
    }
    Ok(program)
}

struct Compiler(Capture<Dead>);

impl Compiler {
    fn new() -> Result<Self, pcap::Error> {
        Capture::dead(LINKTYPE_RAW).map(Self)
    }

    fn compile(&self, expression: &str, optimize: bool) -> Result<Vec<Instruction>, String> {
        let program = self
            .0
            .compile(expression, optimize)
            .map_err(|error| match error {
                pcap::Error::PcapError(message) => message,
                error => error.to_string(),
            })?;
        let instructions = program.get_instructions().iter();
        instructions
            // The crate shows an instruction's fields as text only.
            .map(|instruction| parse_instruction(&instruction.to_string()))
            .collect::<Option<_>>()
            .ok_or_else(|| "its program cannot be read".to_owned())
    }

    /// What of a refused expression cannot be right.
    fn place(&self, expression: &str, message: &str) -> Range<usize> {
        let tokens = tokens(expression);
        // Where libpcap names what it means, that is it.
        let named = message.split('\'').skip(1).step_by(2);
        let mut named = named.filter_map(|name| {
            let mut found = tokens
                .iter()
                .filter(|token| &expression[(**token).clone()] == name);
            found.next().filter(|_| found.next().is_none())
        });
        if let Some(token) = named.next() {
            return token.clone();
        }
        // Nothing is wrong but the whole: no packet can be all that.
        if self.compile(expression, false).is_ok() {
            return 0..expression.len();
        }
        let is_hopeless = |token: &Range<usize>| !self.can_be_completed(&expression[..token.end]);
        let first = tokens.partition_point(|token| !is_hopeless(token));
        match tokens.get(first) {
            Some(token) => token.clone(),
            // Something is missing at the end.
            None => {
                let end = expression.trim_end().len();
                let end = end + usize::from(end < expression.len() || end == 0);
                end.min(expression.len())..end.min(expression.len())
            }
        }
    }

    /// Whether `start` can be the start of a sound expression.
    fn can_be_completed(&self, start: &str) -> bool {
        let open = open_brackets(start);
        REST.iter().any(|rest| {
            let start = format!("{start} {rest}");
            // An arithmetic expression, in brackets or not, has to be compared at some level.
            (0..=open.len() + 1).any(|compared| {
                let mut whole = start.clone();
                for (level, bracket) in open.iter().rev().enumerate() {
                    if level == compared {
                        whole.push_str(" = 0");
                    }
                    whole.push(*bracket);
                }
                if compared == open.len() {
                    whole.push_str(" = 0");
                }
                self.compile(&whole, false).is_ok()
            })
        })
    }
}

/// What may complete the start of an expression, one of each kind.
const REST: [&str; 19] = [
    "",
    "1",
    "1.2.3.4",
    "::1",
    "1.2.3.0/24",
    "255.255.255.0",
    "1-2",
    "\\tcp",
    "host 1.2.3.4",
    "port 1",
    "net 1.2.3.0/24",
    "proto 6",
    "tcp",
    "[0] = 0",
    "0] = 0",
    "] = 0",
    "and tcp",
    "/24",
    ": 1] = 0",
];

/// What closes the brackets that `text` leaves open, the outermost one first.
fn open_brackets(text: &str) -> Vec<char> {
    let mut open = Vec::new();
    for c in text.chars() {
        match c {
            '(' => open.push(')'),
            '[' => open.push(']'),
            ')' | ']' if open.last() == Some(&c) => {
                open.pop();
            }
            _ => {}
        }
    }
    open
}

/// The places of words, numbers, addresses and operators.
fn tokens(text: &str) -> Vec<Range<usize>> {
    let is_word = |c: char| c.is_alphanumeric() || "_.:-\\/".contains(c);
    let mut tokens: Vec<Range<usize>> = Vec::new();
    let mut before = ' ';
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        let operator = |c: char| "&|<>=!".contains(c);
        let joins = (is_word(c) && is_word(before)) || (operator(c) && operator(before));
        match tokens.last_mut() {
            Some(last) if joins && last.end == at => last.end = end,
            _ if c.is_whitespace() => {}
            _ => tokens.push(at..end),
        }
        before = c;
    }
    tokens
}

/// Reads `code jt jf k`.
fn parse_instruction(text: &str) -> Option<Instruction> {
    let mut numbers = text.split(' ').map(str::parse::<u32>);
    let mut next = || numbers.next()?.ok();
    Some(Instruction {
        code: next()?.try_into().ok()?,
        jt: next()?.try_into().ok()?,
        jf: next()?.try_into().ok()?,
        k: next()?,
    })
}

/// Whether an expression tells packets of one connection apart, by what is in them or by
/// their lengths.
pub(crate) fn is_about_packets(expression: &str) -> bool {
    let mut words = expression.split(|c: char| !c.is_ascii_alphanumeric());
    expression.contains('[') || words.any(|word| matches!(word, "len" | "less" | "greater"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The part of a refused expression that is marked.
    fn marked(expression: &str) -> (String, String) {
        let refused = compile(expression).unwrap_err();
        (
            expression[refused.place.clone()].to_owned(),
            refused.message,
        )
    }

    #[test]
    fn an_expression_that_looks_into_packets_is_about_these_and_not_their_connection() {
        for (expression, about_packets) in [
            ("port 8080 and host 10.0.0.3", false),
            ("icmp or udp portrange 1-9", false),
            ("tcp[tcpflags] & tcp-syn != 0", true),
            ("less 100", true),
            ("ip and len > 900", true),
            ("host lenny", false),
        ] {
            assert_eq!(is_about_packets(expression), about_packets, "{expression}");
        }
    }

    #[test]
    fn a_sound_expression_becomes_a_program_that_ends_with_a_return() {
        for expression in [
            "tcp[tcpflags] & tcp-syn != 0 and host 10.0.0.3",
            "icmp or icmp6",
            "ip6 host 2001:db8::1 and port 53",
        ] {
            let program = compile(expression).unwrap();
            assert!(program.len() > 2, "{expression}");
            // BPF_RET | BPF_K
            assert_eq!(program.last().unwrap().code, 6, "{expression}");
        }
    }

    #[test]
    fn the_program_reads_packets_that_begin_with_their_network_header() {
        // The version is in the first byte, which is loaded first.
        let program = compile("ip").unwrap();
        assert_eq!((program[0].code, program[0].k), (0x30, 0), "ldb [0]");
    }

    #[test]
    fn the_mark_is_below_the_first_word_that_cannot_be_right() {
        for (expression, wrong) in [
            ("tcp prot 80", "prot"),
            ("port 80 and hst 10.0.0.1", "hst"),
            ("port 80 or or port 81", "or"),
            ("port 99999", "99999"),
            ("(tcp or udp)) and port 80", ")"),
            ("tcp[tcpflags] & tcp-sin != 0", "tcp-sin"),
            ("((tcp[13] & 2) = 2) and hots 1.1.1.1", "hots"),
            ("host 10.0.0.300", "10.0.0.300"),
            ("ether host 00:11:22:33:44:55", "host"),
        ] {
            let (marked, message) = marked(expression);
            assert_eq!(marked, wrong, "{expression}: {message}");
        }
    }

    #[test]
    fn the_mark_stands_behind_an_expression_that_lacks_something() {
        for expression in ["port 80 and", "tcp[13", "host", "(port 80"] {
            let refused = compile(expression).unwrap_err();
            assert_eq!(
                refused.place,
                expression.len()..expression.len(),
                "{expression}: {refused}"
            );
        }
        let text = compile("port 80 and").unwrap_err().to_string();
        let mark = text.lines().last().unwrap();
        assert_eq!(
            mark,
            format!("  {:width$}^", "", width = "port 80 and".len())
        );
    }

    #[test]
    fn an_expression_that_no_packet_can_meet_is_marked_as_a_whole() {
        let (marked, message) = marked("tcp and udp");
        assert_eq!(marked, "tcp and udp");
        assert!(message.contains("rejects all packets"), "{message}");
    }

    #[test]
    fn the_mark_is_where_it_is_seen_also_behind_wide_text() {
        let refused = Refused {
            expression: "port \u{e4} x".to_owned(),
            place: 8..9,
            message: "no".to_owned(),
        };
        assert!(
            refused
                .to_string()
                .ends_with("\n  port \u{e4} x\n         ^"),
            "{refused}"
        );
    }

    #[test]
    fn a_loop_is_refused_here_and_not_by_the_kernel() {
        let (marked, message) = marked("ip6 protochain 17");
        assert_eq!(marked, "protochain");
        assert!(message.contains("loop"), "{message}");
    }
}
