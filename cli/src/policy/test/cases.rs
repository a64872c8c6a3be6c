// SPDX-License-Identifier: GPL-2.0

//! Files of cases, as docs/policy-test.md describes them.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use nftrace_core::record::Verdict;
use nftrace_policy::ast::NamespaceSpec;
use nftrace_policy::explain::{
    cgroup_ids, parse_packet, place, state, Circumstances, Described, Meaning, Named,
};
use nftrace_policy::Resolver as _;
use serde::Deserialize;
use toml::Spanned;

use crate::policy::explain::around::{endpoint, number};
use nftrace_core::policy::Place;

/// A file of cases.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    policy: Option<String>,
    #[serde(default)]
    names: BTreeMap<String, WrittenName>,
    #[serde(default, rename = "case")]
    cases: Vec<Spanned<WrittenCase>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenName {
    cookie: Option<u64>,
    #[serde(default)]
    addresses: Vec<IpAddr>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct WrittenCase {
    name: Option<String>,
    packet: String,
    at: OneOrMore,
    #[serde(rename = "in")]
    namespace: Option<String>,
    #[serde(default)]
    new: bool,
    state: Option<String>,
    original: Option<String>,
    mark: Option<Number>,
    uid: Option<Number>,
    classid: Option<Number>,
    cgroup: Option<String>,
    #[serde(default)]
    over_limit: bool,
    expect: String,
    rule: Option<Rule>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

/// A number, or one as text: `"0x10"`.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u32),
    Text(String),
}

/// A rule that is to decide.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(untagged)]
pub(crate) enum Rule {
    /// Its number, from 1.
    Number(u32),
    /// Its name or its text; or one of the words in [`DEFAULTS`].
    Text(String),
}

/// What may decide besides rules.
pub(crate) const DEFAULTS: [&str; 4] = ["default", "new", "malformed", "fragments"];

/// A file of cases that was read.
pub(crate) struct Cases {
    path: PathBuf,
    text: String,
    written: Written,
}

/// One case.
pub(crate) struct Case {
    /// Its name, or where it stands.
    pub(crate) name: String,
    pub(crate) line: usize,
    pub(crate) packet: Described,
    pub(crate) places: Vec<Place>,
    pub(crate) around: Circumstances,
    pub(crate) expect: Verdict,
    pub(crate) rule: Option<Rule>,
}

/// Reads a file of cases.
pub(crate) fn read(path: &Path) -> anyhow::Result<Cases> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {shown}"))?;
    let written = toml::from_str(&text).with_context(|| format!("{shown} is wrong"))?;
    Ok(Cases {
        path: path.to_owned(),
        text,
        written,
    })
}

impl Cases {
    /// The policy that it is for, as the file says it: relative to the file.
    pub(crate) fn policy(&self) -> Option<String> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let policy = self.written.policy.as_ref()?;
        Some(folder.join(policy).display().to_string())
    }

    /// What names mean.
    pub(crate) fn names(&self) -> anyhow::Result<Named> {
        let names = self.written.names.iter().map(|(name, written)| {
            let meaning = Meaning {
                cookie: written.cookie,
                addresses: written.addresses.clone(),
            };
            (name.clone(), meaning)
        });
        let names = Named::from(names.collect::<BTreeMap<_, _>>());
        for name in self.written.names.keys() {
            let meant = names.namespace_of(name);
            let shown = self.path.display();
            meant.map_err(|error| anyhow::anyhow!("{shown}: [names]: {error}"))?;
        }
        Ok(names)
    }

    /// The cases; or all that is wrong with them.
    pub(crate) fn cases(&self, names: &Named) -> anyhow::Result<Vec<Case>> {
        let mut cases = Vec::new();
        let mut wrong = Vec::new();
        for written in &self.written.cases {
            let before = self.text.get(..written.span().start).unwrap_or_default();
            let line = before.matches('\n').count() + 1;
            let written = written.get_ref();
            let name = written
                .name
                .clone()
                .unwrap_or_else(|| written.packet.clone());
            match case(name.clone(), line, written, names) {
                Ok(case) => cases.push(case),
                Err(error) => {
                    let shown = self.path.display();
                    wrong.push(format!("{shown}:{line}: case '{name}': {error}"));
                }
            }
        }
        anyhow::ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
        let shown = self.path.display();
        anyhow::ensure!(
            !cases.is_empty(),
            "{shown} has no [[case]]: see docs/policy-test.md"
        );
        Ok(cases)
    }
}

fn case(name: String, line: usize, written: &WrittenCase, names: &Named) -> Result<Case, String> {
    let packet = parse_packet(&written.packet).map_err(|report| report.to_string())?;
    let hooks = match &written.at {
        OneOrMore::One(name) => vec![name],
        OneOrMore::More(names) => names.iter().collect(),
    };
    let places = hooks.into_iter().map(|name| place(name));
    let places = places.collect::<Result<Vec<Place>, String>>()?;
    if places.is_empty() {
        return Err("`at` names no hook".to_owned());
    }
    let expect = Verdict::from_name(&written.expect).ok_or_else(|| {
        let said = &written.expect;
        format!("`expect = \"{said}\"`: it is accept, drop, reject or queue")
    })?;
    Ok(Case {
        name,
        line,
        packet,
        places,
        around: around(written, names)?,
        expect,
        rule: written.rule.clone(),
    })
}

fn around(written: &WrittenCase, names: &Named) -> Result<Circumstances, String> {
    let spec = match &written.namespace {
        Some(text) => names.namespace_of(text)?,
        None => NamespaceSpec::Host,
    };
    let cookie = match &spec {
        NamespaceSpec::Host | NamespaceSpec::Cookie(_) => names.cookie(&spec),
        _ => names.namespace(&spec)?,
    };
    let mut around = Circumstances::new(cookie, spec.to_string());
    around.is_new_namespace = written.new;
    around.is_over_limit = written.over_limit;
    if let Some(name) = &written.state {
        around.state = state(name)?;
    }
    around.original = written.original.as_deref().map(endpoint).transpose()?;
    around.mark = value(written.mark.as_ref())?.unwrap_or(0);
    around.uid = value(written.uid.as_ref())?;
    around.classid = value(written.classid.as_ref())?;
    around.cgroup = written
        .cgroup
        .as_ref()
        .map(|path| (path.clone(), cgroup_ids(path)));
    Ok(around)
}

fn value(written: Option<&Number>) -> Result<Option<u32>, String> {
    match written {
        None => Ok(None),
        Some(Number::Number(number)) => Ok(Some(*number)),
        Some(Number::Text(text)) => number(text).map(Some),
    }
}
