// SPDX-License-Identifier: GPL-2.0

//! `nftrace import`

use std::io::{Read as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use nftrace_policy::ast::{IpFamily, NamespaceSpec};
use nftrace_policy::import::{iptables, nft_json, Import, Left, Options};
use nftrace_policy::{load_text, parse, Memory};
use serde_json::{json, Value};

use crate::output;

/// Makes a policy of the rules of iptables or nftables
///
/// The policy is written to standard output. What it cannot say, or says not quite, is listed
/// with its reason as comments on top, and on standard error; docs/import.md has the reasons
/// in full. Nothing is changed: neither the rules that are read, nor the policy in force.
///
/// The rules are those of one namespace, so each rule of the policy says which: `in host`,
/// or what --in names. The rest of the machine is not affected.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  iptables-save | nftrace import iptables-save - > host.policy
  (iptables-save; ip6tables-save) | nftrace import iptables-save - --strict
  nft -j list ruleset | nftrace import nft-json -
  nftrace exec --container web -- iptables-save | nftrace import iptables-save - --in container:web

Exit codes: 0 ok, 1 what is read is wrong, or with --strict not all was carried over, 2 usage")]
pub(crate) struct Args {
    /// What wrote the rules
    #[arg(value_enum)]
    format: Format,
    /// The file that has them; - for standard input
    #[arg(value_name = "FILE")]
    file: String,
    /// The namespace whose rules they are, as a rule says it
    #[arg(
        long = "in",
        value_name = "NAMESPACE",
        default_value = "host",
        value_parser = namespace
    )]
    namespace: NamespaceSpec,
    /// The family of iptables rules that do not show theirs
    #[arg(long, value_enum)]
    family: Option<Family>,
    /// Fail where not all was carried over
    #[arg(long)]
    strict: bool,
    /// Write the policy and the list as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Format {
    /// iptables-save, ip6tables-save, or both one after the other
    IptablesSave,
    /// nft -j list ruleset
    NftJson,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Family {
    Ipv4,
    Ipv6,
}

/// Reads a namespace as a rule does.
fn namespace(text: &str) -> Result<NamespaceSpec, String> {
    let wrong = || {
        format!("{text:?} is no namespace: say host, all, container:NAME, netns:NAME, pid:N, cookie:N or inode:N")
    };
    let policy = parse(&format!("accept in {text}")).map_err(|_| wrong())?;
    let mut rules = policy.rules();
    let named = rules.next().and_then(|rule| rule.namespaces.clone());
    let [only] = <[_; 1]>::try_from(named.ok_or_else(wrong)?.items).map_err(|_| wrong())?;
    // Nothing else was said, neither in this rule nor behind it.
    if policy.to_string().trim_end() == format!("accept in {only}") {
        Ok(only)
    } else {
        Err(wrong())
    }
}

pub(crate) fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let text = read(&args.file)?;
    let options = Options {
        namespace: args.namespace.clone(),
        family: args.family.map(|family| match family {
            Family::Ipv4 => IpFamily::Ipv4,
            Family::Ipv6 => IpFamily::Ipv6,
        }),
        name: args.file.clone(),
    };
    let import = match args.format {
        Format::IptablesSave => iptables(&text, &options),
        Format::NftJson => nft_json(&text, &options),
    };
    let import = import
        .map_err(anyhow::Error::msg)
        .with_context(|| format!("cannot import {}", args.file))?;
    let policy = import.to_string();
    // What is written can be loaded, as far as that can be known without the names.
    if let Err(report) = load_text("the policy", &policy, &Memory::default()) {
        anyhow::bail!("the rules became a policy that is refused; please report that:\n{report}");
    }
    let mut out = output::standard();
    if args.json {
        writeln!(out, "{:#}", document(&import, &policy))?;
    } else {
        write!(out, "{policy}")?;
        for left in &import.left {
            eprintln!("{left}");
        }
    }
    out.flush()?;
    let count = import.left.len();
    if count > 0 && !args.json {
        let rules = import.policy.rules().count();
        eprintln!("nftrace: {rules} rules; not carried over, or not quite: {count}");
    }
    Ok(if args.strict && count > 0 {
        ExitCode::FAILURE
    } else {
        ExitCode::SUCCESS
    })
}

fn read(file: &str) -> anyhow::Result<String> {
    if file == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .context("cannot read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("cannot read {file}"))
}

fn document(import: &Import, policy: &str) -> Value {
    let left = |left: &Left| {
        json!({
            "kind": left.kind.name(),
            "line": left.source.line,
            "handle": left.source.handle,
            "chain": left.source.chain,
            "text": left.source.text,
            "reason": left.reason,
            "effect": left.effect,
        })
    };
    let left: Vec<Value> = import.left.iter().map(left).collect();
    json!({ "policy": policy, "left": left })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_namespace_is_said_as_in_a_rule() {
        assert_eq!(namespace("host"), Ok(NamespaceSpec::Host));
        let web = NamespaceSpec::Container("web".to_owned());
        assert_eq!(namespace("container:web"), Ok(web));
        for wrong in ["", "web", "not host", "host, all", "host log", "host\ndrop"] {
            assert!(namespace(wrong).is_err(), "{wrong:?}");
        }
    }
}
