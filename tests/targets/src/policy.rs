// SPDX-License-Identifier: GPL-2.0

//! Any bytes as a policy: refused with errors that can be shown, or read, printed and
//! read again as the same; and what passes the checks compiles to what the kernel takes.

use nftrace_core::policy::verify;
use nftrace_policy::{compile, load_text, parse, resolve, Loader, Memory};

use crate::world::{Everybody, POLICIES};

pub(crate) fn run(input: &[u8]) {
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
    taken(&text, &files);
}

/// What is loaded without an error is a policy that the kernel takes: whether it was.
pub(crate) fn taken(text: &str, files: &dyn Loader) -> bool {
    match load_text("policy", text, files) {
        Ok(document) => {
            let program = resolve(&document, &Everybody).expect("every name means something");
            let blob = compile(&program).expect("a short text is a small policy");
            verify(&blob.tables().expect("it is a blob")).expect("it is sound");
            true
        }
        Err(report) => {
            assert!(!report.to_string().is_empty());
            false
        }
    }
}

/// The examples of docs/policy.md, and what the classifier is asked about.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let page = include_str!("../../../docs/policy.md");
    let blocks = page.split("```policy").skip(1).filter_map(|block| {
        let (_, block) = block.split_once('\n')?;
        block.split("```").next()
    });
    let texts = blocks.flat_map(|block| block.split("\n\n")).chain(POLICIES);
    texts.map(|text| text.as_bytes().to_vec()).collect()
}
