// SPDX-License-Identifier: GPL-2.0

//! What is in the dynamic sets of policies that the module keeps.

use nftrace_core::policy::Tables;
use nftrace_device::Device;
use nftrace_policy::{dynamic_name_of, with_elements, Addresses, Blob};
use serde::Serialize;

use super::kept::{kept, tables};

/// How many ranges a set has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Size {
    pub(crate) ipv4: u32,
    pub(crate) ipv6: u32,
}

impl Size {
    pub(crate) fn total(self) -> u32 {
        self.ipv4.saturating_add(self.ipv6)
    }
}

/// `1 range` or `2 ranges`.
pub(crate) fn ranges(count: u32) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} range{s}")
}

/// The dynamic sets of a generation, and how large each is now.
pub(crate) fn sizes(
    device: &Device,
    generation: u32,
    tables: &Tables<'_>,
) -> anyhow::Result<Vec<(String, Size)>> {
    let mut sizes = Vec::new();
    for dynamic in tables.dynamics {
        let name = dynamic_name_of(tables, dynamic);
        // None: it has just gone.
        let (ipv4, ipv6) = device
            .set_size(&name, Some(generation))?
            .unwrap_or_default();
        sizes.push((name, Size { ipv4, ipv6 }));
    }
    Ok(sizes)
}

/// What is in a dynamic set of a generation.
fn contents(device: &Device, generation: u32, name: &[u8]) -> Option<Addresses> {
    let name = std::str::from_utf8(name).ok()?;
    let found = device.set(name, Some(generation)).ok()??;
    Some(Addresses {
        v4: found.v4,
        v6: found.v6,
    })
}

/// The policy in force with its dynamic sets as they are now; none where there is none.
pub(crate) fn in_force(device: &Device) -> anyhow::Result<Option<(u32, Blob)>> {
    let Some((generation, blob)) = kept(device, None)? else {
        return Ok(None);
    };
    let live = with(&blob, |name| contents(device, generation, name))?;
    Ok(Some((generation, live)))
}

/// A policy whose dynamic sets have what those of another one have, by their names.
pub(crate) fn keeping(blob: &Blob, other: &Blob) -> anyhow::Result<Blob> {
    let other = tables(other)?;
    with(blob, |name| {
        let number = other.find_dynamic(name)?;
        let elements = other.elements(other.dynamics.get(number)?);
        Some(Addresses {
            v4: elements.v4.to_vec(),
            v6: elements.v6.to_vec(),
        })
    })
}

/// A policy whose dynamic sets have what `elements` says.
pub(crate) fn with(
    blob: &Blob,
    elements: impl FnMut(&[u8]) -> Option<Addresses>,
) -> anyhow::Result<Blob> {
    let tables = tables(blob)?;
    Ok(if tables.dynamics.is_empty() {
        blob.clone()
    } else {
        with_elements(&tables, elements)
    })
}
