// SPDX-License-Identifier: GPL-2.0

//! Journeys of packets, built from records.
