// SPDX-License-Identifier: GPL-2.0

//! The policies that the module keeps.

use nftrace_core::policy::Tables;
use nftrace_device::Device;
use nftrace_policy::Blob;

/// A generation that is kept, or the one in force, with its number; none where there is none.
pub(crate) fn kept(
    device: &Device,
    generation: Option<u32>,
) -> nftrace_device::Result<Option<(u32, Blob)>> {
    let found = device.policy(generation)?;
    Ok(found.map(|(number, bytes)| (number, Blob::from(bytes.as_slice()))))
}

/// The parts of a compiled policy.
pub(crate) fn tables(blob: &Blob) -> anyhow::Result<Tables<'_>> {
    blob.tables()
        .map_err(|refusal| anyhow::anyhow!("the policy cannot be read: {refusal}"))
}
