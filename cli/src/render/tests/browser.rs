// SPDX-License-Identifier: GPL-2.0

//! Runs a page in a real browser.

use std::path::Path;
use std::process::Command;

use serde::de::DeserializeOwned;

/// The browser of the toolchain (`scripts/packages.sh`).
const BROWSER: &str = "chromium-headless-shell";

/// What the page wrote to the console, and the addresses of which it asked for something.
#[derive(Debug)]
pub(super) struct Visit {
    dom: String,
    pub(super) console: Vec<String>,
    pub(super) requests: Vec<String>,
}

impl Visit {
    /// Opens `page`, lets its scripts run, then `probe`, which is the body of a function
    /// and returns what [`Self::seen`] gives back.
    pub(super) fn new(page: &str, probe: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("page.html");
        // Only ASCII without markup reaches the DOM, so that it is read back as it was.
        let script = format!(
            "<script nonce=\"nftrace\">{{const seen = JSON.stringify((() => {{ {probe} }})());\
             const plain = seen.replace(/[^ -~]|[<>&]/g, (c) => '\\\\u' + c.charCodeAt(0).toString(16).padStart(4, '0'));\
             document.body.append(Object.assign(document.createElement('pre'), {{id: 'seen', textContent: plain}}));}}</script></body>"
        );
        std::fs::write(&file, page.replace("</body>", &script)).unwrap();
        let requests = folder.path().join("requests.json");
        let output = Command::new(BROWSER)
            .args([
                "--no-sandbox",
                "--headless",
                "--disable-gpu",
                "--disable-dev-shm-usage",
            ])
            .args([
                "--virtual-time-budget=3000",
                "--enable-logging=stderr",
                "--dump-dom",
            ])
            .arg(format!(
                "--user-data-dir={}",
                folder.path().join("profile").display()
            ))
            .arg(format!("--log-net-log={}", requests.display()))
            .arg(format!("file://{}", file.display()))
            .output()
            .unwrap_or_else(|error| {
                panic!("{BROWSER}: {error}; run the tests as 'scripts/toolchain run cargo test'")
            });
        let log = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(
            output.status.success(),
            "{BROWSER}: {}\n{log}",
            output.status
        );
        Self {
            dom: String::from_utf8(output.stdout).unwrap(),
            console: log
                .lines()
                .filter(|line| line.contains(":CONSOLE"))
                .map(str::to_owned)
                .collect(),
            requests: urls(&requests),
        }
    }

    /// What the probe returned.
    pub(super) fn seen<T: DeserializeOwned>(&self) -> T {
        let (_, rest) = self
            .dom
            .rsplit_once("<pre id=\"seen\">")
            .unwrap_or_else(|| {
                panic!(
                    "the page's scripts did not run to their end: {:?}",
                    self.console
                )
            });
        let (json, _) = rest.split_once("</pre>").unwrap();
        serde_json::from_str(json).unwrap()
    }
}

/// The addresses in the browser's log of what it did in the network.
fn urls(log: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(log).unwrap();
    let after = text.split("\"url\":\"").skip(1);
    after
        .filter_map(|rest| rest.split('"').next())
        .map(str::to_owned)
        .collect()
}
