// SPDX-License-Identifier: GPL-2.0

//! What the doctor says.

use serde::Serialize;

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Severity {
    /// nftrace cannot work.
    Problem,
    /// Packets get lost, or pass unseen.
    Warning,
    /// Worth knowing when a journey looks odd.
    Note,
    /// As it should be.
    Ok,
}

impl Severity {
    /// As it is shown.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Problem => "problem",
            Self::Warning => "warning",
            Self::Note => "note",
            Self::Ok => "ok",
        }
    }
}

/// One thing that was found, what it means, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Finding {
    pub(super) severity: Severity,
    /// What it is about, for programs: `module`, `rp_filter`, `flowtable`, …
    pub(super) subject: &'static str,
    /// The namespaces in which it was found; empty: it is about the system.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) namespaces: Vec<String>,
    pub(super) found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) meaning: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) remedy: Option<String>,
}

impl Finding {
    pub(super) fn new(severity: Severity, subject: &'static str, found: impl Into<String>) -> Self {
        Self {
            severity,
            subject,
            namespaces: Vec::new(),
            found: found.into(),
            meaning: None,
            remedy: None,
        }
    }

    pub(super) fn meaning(mut self, meaning: impl Into<String>) -> Self {
        self.meaning = Some(meaning.into());
        self
    }

    pub(super) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    fn is_like(&self, other: &Self) -> bool {
        let key = |f: &Self| (f.severity, f.subject, f.found.clone(), f.meaning.clone());
        key(self) == key(other)
    }
}

/// The worst first; what was found in several namespaces alike is said once.
pub(super) fn arrange(findings: Vec<Finding>) -> Vec<Finding> {
    let mut arranged: Vec<Finding> = Vec::new();
    for finding in findings {
        match arranged.iter_mut().find(|known| known.is_like(&finding)) {
            Some(known) => known.namespaces.extend(finding.namespaces),
            None => arranged.push(finding),
        }
    }
    arranged.sort_by_key(|finding| (finding.severity, !finding.namespaces.is_empty()));
    arranged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(namespace: &str, severity: Severity, found: &str) -> Finding {
        let mut finding = Finding::new(severity, "test", found);
        finding.namespaces.push(namespace.to_owned());
        finding
    }

    #[test]
    fn what_is_alike_in_two_namespaces_is_said_once_and_the_worst_first() {
        let arranged = arrange(vec![
            of("a", Severity::Note, "x"),
            of("b", Severity::Note, "x"),
            of("b", Severity::Problem, "y"),
        ]);
        assert_eq!(arranged.len(), 2);
        assert_eq!(arranged[0].found, "y");
        assert_eq!(arranged[1].namespaces, ["a", "b"]);
    }
}
