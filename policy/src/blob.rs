// SPDX-License-Identifier: GPL-2.0

//! Compiled policies in memory.

use nftrace_core::policy::layout::Rule;
use nftrace_core::policy::layout::MAX_BLOB;
use nftrace_core::policy::{Refusal, Tables};
use zerocopy::{Immutable, IntoBytes};

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

fn add<T: IntoBytes + Immutable>(blob: &mut Vec<u8>, section: &[T]) {
    blob.extend_from_slice(section.as_bytes());
}

impl Blob {
    /// The blob of its parts, in the order that [`nftrace_core::policy::layout`] says;
    /// none where it would be too large.
    #[must_use]
    pub fn new(tables: &Tables<'_>) -> Option<Self> {
        Some(Self::of(tables)).filter(|blob| blob.len <= MAX_BLOB)
    }

    /// The same, however large it is.
    pub(crate) fn of(tables: &Tables<'_>) -> Self {
        let mut blob = tables.header.as_bytes().to_vec();
        add(&mut blob, tables.rules);
        add(&mut blob, tables.ranges128);
        add(&mut blob, tables.words);
        add(&mut blob, tables.cgroups);
        add(&mut blob, tables.patterns);
        add(&mut blob, tables.namespaces);
        add(&mut blob, tables.nodes);
        add(&mut blob, tables.boxes6);
        add(&mut blob, tables.conditions);
        for spans in tables.spans {
            add(&mut blob, spans);
        }
        add(&mut blob, tables.ranges32);
        add(&mut blob, tables.boxes4);
        add(&mut blob, tables.forests);
        add(&mut blob, tables.trees);
        add(&mut blob, tables.entries);
        add(&mut blob, tables.dynamics);
        add(&mut blob, tables.homes);
        blob.extend_from_slice(tables.text);
        Self::from(&blob[..])
    }

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
