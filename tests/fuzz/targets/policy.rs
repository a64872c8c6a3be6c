// SPDX-License-Identifier: GPL-2.0

//! Any bytes as a policy: refused with errors that can be shown, or read, printed and
//! read again as the same; and what passes the checks compiles to what the kernel takes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use nftrace_core::policy::verify;
use nftrace_policy::ast::NamespaceSpec;
use nftrace_policy::{compile, load_text, parse, resolve, Memory, Resolver};
use std::net::IpAddr;
use std::path::Path;

fuzz_target!(init: seed(), |input: &[u8]| {
    let text = String::from_utf8_lossy(input);
    match parse(&text) {
        Ok(policy) => {
            let printed = policy.to_string();
            match parse(&printed) {
                Ok(again) => assert_eq!(again, policy, "{printed}"),
                Err(report) => panic!("{printed}\n{report}"),
            }
        }
        Err(report) => assert!(report.to_string().contains("policy:")),
    }
    // The input is also what is in the files that it names.
    let files = Memory::default()
        .with("a", input)
        .with("b", "10.0.0.0/8\n::1\n");
    match load_text("policy", &text, &files) {
        Ok(document) => {
            let program = resolve(&document, &Anything).expect("every name means something");
            let blob = compile(&program).expect("a short text is a small policy");
            verify(&blob.tables().expect("it is a blob")).expect("it is sound");
        }
        Err(report) => assert!(!report.to_string().is_empty()),
    }
});

/// A machine where every name means something.
struct Anything;

impl Resolver for Anything {
    fn addresses(&self, of: &NamespaceSpec) -> Result<Vec<IpAddr>, String> {
        Ok(match of {
            NamespaceSpec::Pid(_) => vec![],
            _ => vec![[10, 0, 0, 1].into(), [10, 0, 0, 1].into()],
        })
    }

    fn namespace(&self, spec: &NamespaceSpec) -> Result<u64, String> {
        Ok(spec.to_string().len() as u64)
    }

    fn cgroup(&self, path: &str) -> Result<(u64, u32), String> {
        Ok((path.len() as u64, 1))
    }

    fn host(&self) -> Result<u64, String> {
        Ok(1)
    }
}

/// Fills an empty corpus, which is a folder among the arguments, from docs/policy.md.
fn seed() {
    let is_empty = |path: &Path| path.read_dir().is_ok_and(|mut dir| dir.next().is_none());
    let page = include_str!("../../../docs/policy.md");
    let blocks = page.split("```policy").skip(1).filter_map(|block| {
        let (_, block) = block.split_once('\n')?;
        block.split("```").next()
    });
    let texts: Vec<&str> = blocks.flat_map(|block| block.split("\n\n")).collect();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for corpus in arguments
        .iter()
        .map(Path::new)
        .filter(|path| is_empty(path))
    {
        for (number, text) in texts.iter().enumerate() {
            std::fs::write(corpus.join(format!("page-{number:03}")), text)
                .expect("the corpus can be written to");
        }
    }
}
