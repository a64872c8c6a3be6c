// SPDX-License-Identifier: GPL-2.0

//! A blob, and the tables that point into it, in one value: who has the one has the other.

use kernel::prelude::*;
use zerocopy::IntoBytes;

use nftrace_core::policy::{Refusal, Tables};

/// A blob that was found to have all its parts; nothing else of it has been verified.
///
/// # Invariants
///
/// `tables` points into the memory of `words` only. Nobody writes there or gives it back
/// before the value is gone: there is no way to `words` but to read them.
pub(crate) struct Blob {
    tables: Tables<'static>,
    words: KVVec<u64>,
    len: usize,
}

impl Blob {
    /// The blob in the first `len` bytes of `words`.
    ///
    /// # Errors
    ///
    /// What is wrong with it; `EINVAL` where there are not so many.
    pub(crate) fn read<E: From<Refusal> + From<Error>>(
        words: KVVec<u64>,
        len: usize,
    ) -> Result<Self, E> {
        let bytes = words.as_slice().as_bytes().get(..len).ok_or(EINVAL)?;
        let tables = Tables::read(bytes)?;
        // SAFETY: Only the lifetime differs. The memory of a vector stays where it is when
        // the vector moves, and, by the type invariants, as it is for as long as the value
        // lives; what is handed out of it lives no longer than that.
        let tables = unsafe { core::mem::transmute::<Tables<'_>, Tables<'static>>(tables) };
        // INVARIANT: They are those of `words`, which nobody else has.
        Ok(Self { tables, words, len })
    }

    /// Its parts.
    #[inline(always)]
    pub(crate) fn tables(&self) -> &Tables<'_> {
        &self.tables
    }

    /// As it was given.
    pub(crate) fn bytes(&self) -> &[u8] {
        let bytes = self.words.as_slice().as_bytes();
        bytes.get(..self.len).unwrap_or_default()
    }
}
