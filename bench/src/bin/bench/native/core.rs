// SPDX-License-Identifier: GPL-2.0

//! What the core costs outside of a kernel, with nothing around it: runs `benches/core.rs`,
//! and takes from criterion's files what came of it.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{ensure, Context, Result};
use nftrace_tests::checkout::top;
use serde::de::DeserializeOwned;
use serde::Deserialize;

use super::processor;
use crate::figures::Figures;

/// The name under which its figures are stored; theirs are criterion's, as in
/// `classify/ipv4/acl/hit/1000`.
pub(crate) const NAME: &str = "core";

/// Of benchmark.json.
#[derive(Debug, Deserialize)]
struct About {
    full_id: String,
    throughput: Throughput,
}

#[derive(Debug, Deserialize)]
struct Throughput {
    #[serde(rename = "Elements")]
    elements: u32,
}

/// Of estimates.json.
#[derive(Debug, Deserialize)]
struct Estimates {
    median: Estimate,
}

#[derive(Debug, Deserialize)]
struct Estimate {
    point_estimate: f64,
}

/// Measures it: picoseconds an element, be that a packet, a record or a rule.
pub(super) fn measure() -> Result<Figures> {
    let home = env::temp_dir().join(format!("nftrace-criterion-{}", std::process::id()));
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["bench", "--quiet", "--package", "nftrace-bench"])
        .args(["--bench", "core", "--", "--quiet"])
        .current_dir(top())
        .env("CRITERION_HOME", &home)
        .status()
        .context("cargo bench")?;
    ensure!(status.success(), "cargo bench: {status}");
    let life = values(&home)?;
    fs::remove_dir_all(&home).with_context(|| home.display().to_string())?;
    Ok(Figures {
        machine: processor()?,
        life,
        ..Figures::default()
    })
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    serde_json::from_str(&text).with_context(|| path.display().to_string())
}

/// The folders below in which criterion has put what it measured last.
fn measured(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).with_context(|| folder.display().to_string())? {
        let path = entry?.path();
        if path.is_dir() {
            if path.join("benchmark.json").is_file() && path.ends_with("new") {
                found.push(path);
            } else {
                found.extend(measured(&path)?);
            }
        }
    }
    Ok(found)
}

fn values(home: &Path) -> Result<BTreeMap<String, i64>> {
    let mut values = BTreeMap::new();
    for folder in measured(home)? {
        let about: About = read(&folder.join("benchmark.json"))?;
        let estimates: Estimates = read(&folder.join("estimates.json"))?;
        let each = estimates.median.point_estimate / f64::from(about.throughput.elements);
        #[expect(clippy::cast_possible_truncation, reason = "saturates, far away")]
        let picoseconds = (each * 1000.0).round() as i64;
        values.insert(about.full_id, picoseconds);
    }
    ensure!(!values.is_empty(), "criterion measured nothing");
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_median_for_one_element() {
        let home = env::temp_dir().join(format!("nftrace-criterion-test-{}", std::process::id()));
        let folder = home.join("classify_ipv4_acl/hit/1000/new");
        fs::create_dir_all(&folder).unwrap();
        let about = r#"{"group_id":"classify/ipv4/acl","function_id":"hit","value_str":"1000",
            "throughput":{"Elements":2000},"full_id":"classify/ipv4/acl/hit/1000",
            "directory_name":"x","title":"x"}"#;
        let estimates = r#"{"mean":{"point_estimate":9.0},"median":{"point_estimate":45678.9}}"#;
        fs::write(folder.join("benchmark.json"), about).unwrap();
        fs::write(folder.join("estimates.json"), estimates).unwrap();
        let values = values(&home);
        fs::remove_dir_all(&home).unwrap();
        assert_eq!(values.unwrap()["classify/ipv4/acl/hit/1000"], 22_839);
    }
}
