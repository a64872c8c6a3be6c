// SPDX-License-Identifier: GPL-2.0

//! The user's side of `/dev/nftrace`: reading, mapping and control.
