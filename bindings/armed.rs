// SPDX-License-Identifier: GPL-2.0

//! Whether there is anything to do at a place: the first question of every hook
//! function, and for most packets the only one.
//!
//! Netfilter hands each hook function the word that it was registered with. Ours has
//! in it which bits of [`ARMED`] are of any interest there.

use core::sync::atomic::{AtomicU32, Ordering};

use nftrace_core::hook::{Family, Hook};
use nftrace_core::policy::Place;
use nftrace_core::record::Kind;

use super::hook::Priv;

/// A bit for each [`Place`] where a policy decides, as [`Place::bit`] numbers them, and
/// [`TRACING`]. May be set where there is nothing to do, never clear where there is.
static ARMED: AtomicU32 = AtomicU32::new(0);

/// Packets are traced.
const TRACING: u32 = 1 << 31;

/// Which of the bits count for a hook function.
pub(super) const fn mask(family: Family, hook: Hook, kind: Kind) -> usize {
    let place = Place {
        hook,
        is_bridge: matches!(family, Family::Bridge),
    };
    let places = match kind {
        Kind::Entry => 1_u32.wrapping_shl(place.bit()),
        // The end of a hook is only watched.
        _ => 0,
    };
    (TRACING | places) as usize
}

/// What there is to do.
#[derive(Clone, Copy)]
pub(super) struct Armed(u32);

impl Armed {
    /// What there is to do in the hook function that got `mask`; none for nothing.
    #[inline]
    pub(super) fn look(mask: Priv) -> Option<Self> {
        let armed = ARMED.load(Ordering::Relaxed) & mask.addr() as u32;
        (armed != 0).then_some(Self(armed))
    }

    #[inline]
    pub(super) fn is_traced(self) -> bool {
        self.0 & TRACING != 0
    }

    #[inline]
    pub(super) fn is_judged(self) -> bool {
        self.0 & !TRACING != 0
    }
}

/// Says whether packets are traced. Before they are, and after they were.
pub(crate) fn set_tracing(is_traced: bool) {
    if is_traced {
        ARMED.fetch_or(TRACING, Ordering::SeqCst);
    } else {
        ARMED.fetch_and(!TRACING, Ordering::SeqCst);
    }
}

/// Says at which places a policy decides: bit n for the place whose [`Place::bit`] is n.
/// To be called before one decides at more places, and after it decided at more.
pub(crate) fn set_policy(places: u16) {
    // Nobody else changes these bits: it is called under the policy's lock.
    ARMED.fetch_or(places.into(), Ordering::SeqCst);
    ARMED.fetch_and(TRACING | u32::from(places), Ordering::SeqCst);
}
