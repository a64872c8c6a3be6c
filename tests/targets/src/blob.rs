// SPDX-License-Identifier: GPL-2.0

//! The parts of a blob and their damage, as the classifier's tests have them.

#[path = "../../../policy/tests/classify/damage.rs"]
pub(crate) mod damage;
#[path = "../../../policy/tests/classify/parts.rs"]
pub(crate) mod parts;
