// SPDX-License-Identifier: GPL-2.0

//! Policies: what the command does with their text, and with the module that holds
//! them. The language itself is the crate `nftrace-policy`.

pub(crate) mod agent;
pub(crate) mod changes;
pub(crate) mod check;
mod connections;
pub(crate) mod explain;
pub(crate) mod import;
pub(crate) mod kept;
mod live;
pub(crate) mod load;
pub(crate) mod resolver;
mod safety;
pub(crate) mod set;
pub(crate) mod show;
mod source;
pub(crate) mod test;
