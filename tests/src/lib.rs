// SPDX-License-Identifier: GPL-2.0

//! What the tests of nftrace share: virtual machines that run a stock kernel.

pub mod vm;
