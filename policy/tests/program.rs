// SPDX-License-Identifier: GPL-2.0

//! From files on the disk to numbers: what a policy means on a machine.

use nftrace_core::policy::layout::Range32;
use nftrace_core::policy::Place;
use nftrace_policy::ast::{Basic, NamespaceSpec};
use nftrace_policy::{
    compile, identity, load, load_text, resolve, Disk, Memory, Program, Resolver, Test,
};
use std::collections::HashSet;
use std::fs;
use std::net::IpAddr;
use std::path::PathBuf;

struct Nothing;

impl Resolver for Nothing {
    fn addresses(&self, of: &NamespaceSpec) -> Result<Vec<IpAddr>, String> {
        Err(format!("there is no {of}"))
    }

    fn namespace(&self, spec: &NamespaceSpec) -> Result<u64, String> {
        Err(format!("there is no {spec}"))
    }

    fn cgroup(&self, path: &str) -> Result<(u64, u32), String> {
        Err(format!("there is no {path}"))
    }

    fn host(&self) -> Result<u64, String> {
        Ok(1)
    }
}

fn program(text: &str) -> Program {
    let document =
        load_text("policy", text, &Memory::default()).unwrap_or_else(|report| panic!("{report}"));
    resolve(&document, &Nothing).unwrap_or_else(|report| panic!("{report}"))
}

fn identities(text: &str) -> Vec<u64> {
    let program = program(text);
    program.rules.iter().map(|rule| rule.identity).collect()
}

/// A folder of this test alone.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).expect("the folder can be made");
    folder
}

#[test]
fn a_rule_is_the_same_one_however_it_is_written_and_whatever_stands_around_it() {
    let before = identities("drop tcp to any port 25\naccept udp\n");
    let after = identities("set a = {}\naccept icmp\ndrop   to any port 25-25 tcp # mail\n");
    assert_eq!(before[0], after[1]);
    assert_ne!(before[0], before[1]);
    assert_ne!(before, identities("drop tcp to any port 26\naccept udp\n"));
}

#[test]
fn equal_rules_are_told_apart_by_their_order() {
    let all = identities(&"drop udp\n".repeat(5));
    assert_eq!(all.iter().collect::<HashSet<_>>().len(), 5);
    assert_eq!(all[..3], identities(&"drop udp\n".repeat(3)));
}

#[test]
fn the_identity_is_fnv_1a_of_text_and_number() {
    // The offset basis, four times multiplied: FNV-1a of four zero bytes.
    let prime = 0x0100_0000_01b3_u64;
    let zeroes = (0..4).fold(0xcbf2_9ce4_8422_2325_u64, |hash, _| {
        hash.wrapping_mul(prime)
    });
    assert_eq!(identity("", 0), zeroes);
    // "a" hashes to 0xaf63dc4c8601ec8c, says the function's home page.
    let a = (0..4).fold(0xaf63_dc4c_8601_ec8c_u64, |hash, _| {
        hash.wrapping_mul(prime)
    });
    assert_eq!(identity("a", 0), a);
}

#[test]
fn the_text_of_a_program_has_each_rule_where_it_says() {
    let program = program("set a = { 80 }\n# two\ndrop tcp port @a\n\naccept udp name \"a\\nb\"\n");
    for rule in &program.rules {
        let end = rule.text_at + rule.text.len();
        assert_eq!(program.text[rule.text_at..end], rule.text);
        assert!(!rule.text.contains('\n'));
    }
    let places: Vec<String> = program
        .rules
        .iter()
        .map(|rule| rule.position.to_string())
        .collect();
    assert_eq!(places, ["policy:3:1", "policy:5:1"]);
    assert_eq!(program.rules[1].name.as_deref(), Some("a\nb"));
}

#[test]
fn a_default_of_one_hook_goes_before_that_of_all_which_leaves_bridges_alone() {
    let text = "default accept at forward\ndefault drop\ndefault drop at bridge local_in\n";
    let program = program(text);
    let dropping: Vec<usize> = Place::all()
        .map(Place::number)
        .filter(|number| program.defaults[*number] == Basic::Drop)
        .collect();
    assert_eq!(dropping, [0, 1, 3, 4, 6]);
    assert_eq!(program.malformed, Basic::Drop);
    assert_eq!(program.fragments, Basic::Accept);
}

#[test]
fn files_are_searched_for_beside_the_file_that_names_them() {
    let folder = folder("beside");
    fs::create_dir_all(folder.join("sub")).expect("a folder");
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).expect("a file");
    write(
        "main.policy",
        "include \"sub/web.policy\"\ndrop from @bad\n",
    );
    write("sub/web.policy", "set bad = file \"bad.txt\"\naccept udp\n");
    write("sub/bad.txt", "10.0.0.0/9 # lower\r\n10.128.0.0/9\n\n");
    let path = folder.join("main.policy");
    let document =
        load(path.to_str().expect("UTF-8"), &Disk).unwrap_or_else(|report| panic!("{report}"));
    let program = resolve(&document, &Nothing).unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(program.rules.len(), 2);
    let Test::Source(addresses) = &program.rules[1].conditions[0].test else {
        panic!("{:?}", program.rules[1]);
    };
    let ten = Range32 {
        low: 0x0a00_0000,
        high: 0x0aff_ffff,
    };
    assert_eq!(addresses.v4, [ten]);
    assert!(program.rules[0].position.file.ends_with("sub/web.policy"));
}

#[test]
fn a_file_that_includes_itself_by_another_name_is_found_out() {
    let folder = folder("cycle");
    let path = folder.join("a.policy");
    fs::write(&path, "include \"../cycle/a.policy\"\n").expect("a file");
    let report = load(path.to_str().expect("UTF-8"), &Disk).expect_err("it is a cycle");
    assert!(report.to_string().contains("includes itself"), "{report}");
}

#[test]
fn a_policy_that_cannot_be_read_is_named() {
    let report = load("/nowhere/a.policy", &Disk).expect_err("there is none");
    let wanted = "error: cannot read /nowhere/a.policy: No such file or directory";
    assert_eq!(report.to_string().trim_end(), wanted);
}

#[test]
fn sets_that_are_in_each_other_too_deep_are_refused() {
    let chain: String = (0..40)
        .map(|number| format!("set s{number} = {{ @s{} }}\n", number + 1))
        .chain(["set s40 = {}\n".to_string()])
        .collect();
    let report = load_text("policy", &chain, &Memory::default()).expect_err("too deep");
    assert!(report.to_string().contains("more than 32 deep"), "{report}");
}

#[test]
fn of_a_file_with_many_errors_some_are_shown_and_the_rest_counted() {
    let files = Memory::default().with("bad", "10.0.0.1/8\n".repeat(500));
    let report = load_text("policy", "set a = file \"bad\"\n", &files).expect_err("host bits");
    assert_eq!(report.errors().count(), 20);
    assert!(report.to_string().contains("480 more lines"), "{report}");
}

#[test]
fn what_is_larger_than_the_kernel_takes_is_refused() {
    let mut program = program("drop udp\n");
    program.text += &" ".repeat(64 << 20);
    let error = compile(&program).expect_err("it is more than 64 MiB");
    assert!(error.contains("too large"), "{error}");
}

#[test]
fn each_name_that_means_nothing_is_an_error_at_its_place() {
    let text = "drop from { 10.0.0.1, container:a } in netns:b\ndrop cgroup \"/c\" at local_out\n";
    let document = load_text("policy", text, &Memory::default()).expect("it is well formed");
    let report = resolve(&document, &Nothing).expect_err("nothing is there");
    let places: Vec<String> = report
        .places()
        .map(|(position, one)| format!("{}:{} {}", position.line, position.column, one.message))
        .collect();
    let wanted = [
        "1:23 there is no container:a",
        "1:40 there is no netns:b",
        "2:14 there is no /c",
    ];
    assert_eq!(places, wanted);
}
