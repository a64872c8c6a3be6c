// SPDX-License-Identifier: GPL-2.0

//! Sets of addresses that change while the policy is in force.
//!
//! A blob has what they begin with. No box of a rule is cut by what is in one, so that
//! neither the index nor its proof depends on it: a condition of a kind that
//! [`Kind::is_dynamic`](super::Kind::is_dynamic) is asked of every packet in the box.

use ::core::net::IpAddr;

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::layout::{Pool, Range128, Range32};
use super::ranges::{halves, holds};
use super::tables::Tables;
use super::verify::{refuse, Flaw, Refusal};

/// Dynamic sets that a policy may have.
pub const MAX_SETS: usize = 256;

/// Bytes of the name of one.
pub const MAX_NAME: usize = 31;

/// Ranges that one may have, those of both families together.
pub const MAX_RANGES: usize = 1_000_000;

/// Bytes of the ranges of all dynamic sets of a policy.
pub const MAX_BYTES: usize = super::layout::MAX_BLOB;

/// A dynamic set in a blob, behind those whose names come before its own.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Dynamic {
    /// Where in the text its name is.
    pub name: u32,
    /// Bytes of it.
    pub name_len: u32,
    /// What it begins with: the number of a set of [`Range32`],
    pub first: u32,
    /// and of one of [`Range128`].
    pub second: u32,
}

/// What is in a set of addresses, each family in order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Elements<'a> {
    /// IPv4.
    pub v4: &'a [Range32],
    /// IPv6.
    pub v6: &'a [Range128],
}

impl Elements<'_> {
    /// Whether it has an address.
    #[inline]
    pub fn has(&self, address: IpAddr) -> bool {
        match address {
            IpAddr::V4(address) => holds(self.v4, address.to_bits()),
            IpAddr::V6(address) => holds(self.v6, halves(address)),
        }
    }

    /// How many ranges there are.
    pub const fn len(&self) -> usize {
        self.v4.len().saturating_add(self.v6.len())
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes of them.
    pub const fn bytes(&self) -> usize {
        size_of_val(self.v4).saturating_add(size_of_val(self.v6))
    }
}

impl<'a> Tables<'a> {
    /// What a dynamic set begins with.
    pub fn elements(&self, dynamic: &Dynamic) -> Elements<'a> {
        Elements {
            v4: self.set(Pool::Ranges32, self.ranges32, dynamic.first),
            v6: self.set(Pool::Ranges128, self.ranges128, dynamic.second),
        }
    }

    /// The name of a dynamic set.
    pub fn dynamic_name(&self, dynamic: &Dynamic) -> &'a [u8] {
        let first = dynamic.name as usize;
        first
            .checked_add(dynamic.name_len as usize)
            .and_then(|end| self.text.get(first..end))
            .unwrap_or_default()
    }

    /// The number of the dynamic set of a name, from 0.
    pub fn find_dynamic(&self, name: &[u8]) -> Option<usize> {
        let mut all = self.dynamics.iter();
        all.position(|dynamic| self.dynamic_name(dynamic) == name)
    }

    pub(super) fn verify_dynamics(&self) -> Result<(), Refusal> {
        let [ranges32, ranges128, ..] = self.spans;
        if self.dynamics.len() > MAX_SETS {
            return refuse(MAX_SETS, Flaw::Dynamic);
        }
        let mut before: &[u8] = &[];
        for (number, dynamic) in self.dynamics.iter().enumerate() {
            let name = self.dynamic_name(dynamic);
            // The empty name comes before none.
            let is_good = name.len() <= MAX_NAME
                && before < name
                && !name.contains(&0)
                && (dynamic.first as usize) < ranges32.len()
                && (dynamic.second as usize) < ranges128.len()
                && self.elements(dynamic).len() <= MAX_RANGES;
            if !is_good {
                return refuse(number, Flaw::Dynamic);
            }
            before = name;
        }
        Ok(())
    }
}
