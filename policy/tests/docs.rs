// SPDX-License-Identifier: GPL-2.0

//! docs/policy.md is true: its policies can be loaded, its errors are those that there are.

use nftrace_core::policy::verify;
use nftrace_policy::ast::NamespaceSpec;
use nftrace_policy::{compile, load_text, parse, resolve, Memory, Report, Resolver};
use std::net::IpAddr;

/// A fenced block: what stands behind the fence, and what is in it.
struct Block {
    info: String,
    line: usize,
    text: String,
}

fn blocks() -> Vec<Block> {
    let page = include_str!("../../docs/policy.md");
    let mut blocks: Vec<Block> = Vec::new();
    let mut is_open = false;
    for (number, line) in page.lines().enumerate() {
        if let Some(info) = line.strip_prefix("```") {
            if !is_open {
                blocks.push(Block {
                    info: info.to_string(),
                    line: number + 1,
                    text: String::new(),
                });
            }
            is_open = !is_open;
        } else if is_open {
            let block = blocks.last_mut().expect("one is open");
            block.text += line;
            block.text += "\n";
        }
    }
    blocks
}

/// The machine that the page speaks of.
struct Machine;

impl Resolver for Machine {
    fn addresses(&self, of: &NamespaceSpec) -> Result<Vec<IpAddr>, String> {
        self.namespace(of)?;
        Ok(vec![[172, 17, 0, 2].into()])
    }

    fn namespace(&self, spec: &NamespaceSpec) -> Result<u64, String> {
        match spec {
            NamespaceSpec::Container(name) if name != "web" && name != "db" => {
                Err(format!("there is no container `{name}`"))
            }
            _ => Ok(7),
        }
    }

    fn cgroup(&self, path: &str) -> Result<(u64, u32), String> {
        match path {
            "/system.slice" => Ok((77, 1)),
            _ => Err(format!("there is no cgroup {path}")),
        }
    }

    fn host(&self) -> Result<u64, String> {
        Ok(1)
    }
}

/// The files that the page has.
fn files(blocks: &[Block]) -> Memory {
    let mut files = Memory::default();
    for block in blocks {
        if let Some(name) = block.info.strip_prefix("file ") {
            files = files.with(name, block.text.as_bytes());
        }
    }
    for deep in 0..40 {
        let include = format!("include \"deep{}.policy\"\n", deep + 1);
        files = files.with(&format!("deep{deep}.policy"), include);
    }
    files.with("latin1.policy", b"# caf\xe9\n")
}

fn outcome(text: &str, files: &Memory) -> Result<(), Report> {
    let document = load_text("policy", text, files)?;
    let program = resolve(&document, &Machine)?;
    let blob = compile(&program).expect("it is small");
    verify(&blob.tables().expect("it is a blob")).expect("it is sound");
    Ok(())
}

#[test]
fn every_policy_of_the_page_can_be_loaded() {
    let blocks = blocks();
    let files = files(&blocks);
    let mut seen = 0;
    for block in blocks.iter().filter(|block| block.info == "policy") {
        if let Err(report) = outcome(&block.text, &files) {
            panic!("docs/policy.md:{}:\n{report}", block.line);
        }
        let policy = parse(&block.text).expect("it has just been loaded");
        assert_eq!(parse(&policy.to_string()).ok(), Some(policy));
        seen += 1;
    }
    assert!(seen > 5, "the page has examples");
}

#[test]
fn every_warning_of_the_page_is_what_its_policy_provokes() {
    let blocks = blocks();
    let files = files(&blocks);
    let mut seen = 0;
    for block in blocks.iter().filter(|block| block.info == "policy-warning") {
        let (wanted, text) = block.text.split_once('\n').expect("a comment and a policy");
        let document =
            load_text("policy", text, &files).unwrap_or_else(|report| panic!("{report}"));
        let report = document.report();
        let found: Vec<String> = report
            .places()
            .map(|(at, one)| format!("# {}: {}", at.line, one.message))
            .collect();
        assert_eq!(found, [wanted], "docs/policy.md:{}", block.line);
        seen += 1;
    }
    assert!(seen > 0, "the page has warnings");
}

#[test]
fn every_error_of_the_page_is_what_its_policy_provokes() {
    let blocks = blocks();
    let files = files(&blocks);
    let mut wrong = String::new();
    let mut seen = 0;
    for (number, block) in blocks.iter().enumerate() {
        if block.info != "policy-error" {
            continue;
        }
        for case in block.text.split("\n\n") {
            let case = case.trim_matches('\n');
            let said = |line: &str| line.strip_prefix("# ").map(str::to_string);
            let wanted: Vec<String> = case.lines().map_while(said).collect();
            let lines: Vec<&str> = case.lines().skip(wanted.len()).collect();
            let text = lines.join("\n").replace('␇', "\u{7}") + "\n";
            let report = outcome(&text, &files).err().unwrap_or_default();
            let found: Vec<&str> = report.errors().map(|one| one.message.as_str()).collect();
            if found != wanted {
                let found = found.join("\n# ");
                wrong += &format!(
                    "docs/policy.md:{}: {case}\nprovokes:\n# {found}\n\n",
                    block.line
                );
            }
            seen += 1;
            if let Some(shown) = blocks.get(number + 1).filter(|next| next.info == "text") {
                assert_eq!(report.to_string(), shown.text);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    assert!(seen > 60, "the page has every error");
}
