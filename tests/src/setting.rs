// SPDX-License-Identifier: GPL-2.0

//! What whoever runs the tests may ask of them.

/// A number of the environment; otherwise this one.
///
/// # Panics
///
/// It is no number.
#[must_use]
pub fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is a number"))
    })
}
