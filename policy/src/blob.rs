// SPDX-License-Identifier: GPL-2.0

//! Compiled policies in memory.

use nftrace_core::policy::layout::Rule;
use nftrace_core::policy::{Refusal, Tables};
use zerocopy::IntoBytes;

/// A compiled policy, at an address that [`Tables::read`] takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob {
    words: Vec<u64>,
    len: usize,
}

impl From<&[u8]> for Blob {
    fn from(bytes: &[u8]) -> Self {
        let mut words = vec![0; bytes.len().div_ceil(8)];
        words.as_mut_bytes()[..bytes.len()].copy_from_slice(bytes);
        Self {
            words,
            len: bytes.len(),
        }
    }
}

/// A policy as its author can read it.
#[must_use]
pub fn text_of(tables: &Tables<'_>) -> String {
    String::from_utf8_lossy(tables.text).into_owned()
}

/// One rule of it.
#[must_use]
pub fn rule_text_of(tables: &Tables<'_>, rule: &Rule) -> String {
    String::from_utf8_lossy(tables.rule_text(rule)).into_owned()
}

impl Blob {
    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.words.as_bytes()[..self.len]
    }

    /// Its parts, which nobody has verified yet.
    ///
    /// # Errors
    ///
    /// It is no blob, or one of another version.
    pub fn tables(&self) -> Result<Tables<'_>, Refusal> {
        Tables::read(self.bytes())
    }
}
