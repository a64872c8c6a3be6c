// SPDX-License-Identifier: GPL-2.0

//! What the tests of nftrace share: virtual machines that run a stock kernel, what
//! the scenarios must show, packets to parse.

pub mod checkout;
pub mod checksum;
pub mod command;
pub mod guest;
pub mod hooks;
pub mod kept;
pub mod random;
pub mod scenario;
pub mod sets;
pub mod setting;
pub mod vectors;
pub mod vm;
