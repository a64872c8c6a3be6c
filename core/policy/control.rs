// SPDX-License-Identifier: GPL-2.0

//! What the command and the module say to each other about policies, besides blobs.
//!
//! Each structure begins with the [`crate::abi::ABI`] of the command; where the
//! module's differs, the call fails with `EPROTONOSUPPORT` and nothing happens.
//! All of it needs `CAP_NET_ADMIN` in the initial user namespace.

use zerocopy_derive::{FromBytes, Immutable, IntoBytes, KnownLayout};

use super::dynamic::MAX_NAME;
use super::layout::PLACES;
use crate::abi::{ioc, Buffer, READ, WRITE};

/// How many policies the module keeps, the one in force included.
pub const KEPT: usize = 8;

/// Bytes of all policies that are kept. The one in force, the one before and those that
/// the end of a trial restores are kept however large they are.
pub const KEPT_BYTES: usize = super::layout::MAX_BLOB;

/// How many changes the module remembers.
pub const HISTORY: usize = 256;

/// The longest trial, in seconds: a day.
pub const MAX_TRIAL: u32 = 86_400;

/// What [`IOC_LOAD`] is about.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Load {
    /// The command's ABI.
    pub abi: u32,
    /// Bytes of the blob.
    pub len: u32,
    /// Where they are.
    pub address: u64,
    /// What [`Status::epoch`] said before names were resolved: namespaces that were
    /// made later are new to the policy.
    pub epoch: u64,
    /// Unless 0: the policy holds for so many seconds, and then the one before it
    /// is restored, if nobody confirms.
    pub trial: u32,
    /// Unless [`ANY`]: only if this generation is in force now, else `ESTALE`.
    pub expected: u32,
    /// [`KEEP_SETS`] or 0.
    pub flags: u32,
    /// Zero.
    pub reserved: u32,
    /// Set by the module: the generation that it is.
    pub generation: u32,
    /// Set by the module where it refuses: [`super::Refusal::offset`].
    pub offset: u32,
    /// Set by the module where it refuses: [`super::Flaw`], or 0; [`MISSING`] and
    /// what it is in `missing`.
    pub flaw: u32,
    /// Set by the module: how many steps a packet costs at most.
    pub bound: u32,
    /// Set by the module: nanoseconds that verifying took.
    pub verified: u64,
    /// Set by the module: bytes of the kernel's memory that the policy takes.
    pub memory: u64,
    /// Set by the module: which kernel module the policy needs and there is not.
    pub missing: [u8; 32],
}

/// In [`Load::flags`]: dynamic sets that the policy in force has too, by their names, keep
/// what is in them; else they begin with what the blob has.
pub const KEEP_SETS: u32 = 1;

/// In [`Load::expected`].
pub const ANY: u32 = u32::MAX;

/// In [`Load::flaw`]: a kernel module is missing.
pub const MISSING: u32 = 0x100;

/// In [`Load::flaw`]: there are rules for the bridge family, whose hooks we do not have.
pub const NO_BRIDGE: u32 = 0x101;

/// In [`Load::flaw`]: it cannot be confirmed later what is on trial now.
pub const ON_TRIAL: u32 = 0x102;

/// What [`IOC_STATUS`] tells.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Status {
    /// The module's ABI.
    pub abi: u32,
    /// The generation in force; 0 for none.
    pub generation: u32,
    /// That which a rollback restores; [`ANY`] for none.
    pub previous: u32,
    /// Rules of the one in force.
    pub rules: u32,
    /// Bytes of its blob.
    pub bytes: u64,
    /// The epoch that begins with this call: for [`Load::epoch`].
    pub epoch: u64,
    /// When it was loaded, nanoseconds since 1970, UTC.
    pub time: u64,
    /// Milliseconds until the one before it is restored; 0 where it is not on trial.
    pub trial: u64,
    /// One of [`PANIC_OFF`], [`PANIC_ACCEPT`], [`PANIC_DROP`].
    pub panic: u32,
    /// [`STATUS_BRIDGE`] and the like.
    pub flags: u32,
}

/// In [`Status::flags`]: the bridge family is hooked.
pub const STATUS_BRIDGE: u32 = 1;
/// In [`Status::flags`]: `fail=closed`.
pub const STATUS_CLOSED: u32 = 2;

/// The policy decides.
pub const PANIC_OFF: u32 = 0;
/// Everything is accepted, whatever the policy says.
pub const PANIC_ACCEPT: u32 = 1;
/// Everything is dropped, but for what stays inside a host on `lo`.
pub const PANIC_DROP: u32 = 2;

/// What [`IOC_CHANGE`] is about.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Change {
    /// The command's ABI.
    pub abi: u32,
    /// One of [`CONFIRM`] and so on.
    pub what: u32,
    /// The generation that is meant: for [`CONFIRM`] that on trial, for
    /// [`ROLLBACK`] that which is restored; [`ANY`]: whichever.
    pub generation: u32,
    /// Set by the module: the generation in force behind the change.
    pub now: u32,
}

/// Ends the trial: the policy stays. `ESRCH`: none is on trial, or another one.
pub const CONFIRM: u32 = 1;
/// Restores an earlier policy. `ESRCH`: it is not kept.
pub const ROLLBACK: u32 = 2;
/// Has no policy any more.
pub const FLUSH: u32 = 3;
/// Accepts everything from now on.
pub const ACCEPT_ALL: u32 = 4;
/// Drops everything from now on.
pub const DROP_ALL: u32 = 5;
/// Has the policy decide again.
pub const END_PANIC: u32 = 6;

/// What happened to policies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Event {
    /// One was loaded.
    Load = 0,
    /// One was loaded on trial.
    Try = 1,
    /// It was confirmed.
    Confirm = 2,
    /// It was not confirmed in time: the one before was restored.
    Expire = 3,
    /// An earlier one was restored.
    Rollback = 4,
    /// There is none any more.
    Flush = 5,
    /// Everything is accepted.
    AcceptAll = 6,
    /// Everything is dropped.
    DropAll = 7,
    /// The policy decides again.
    EndPanic = 8,
}

impl Event {
    /// That of its number.
    pub fn from_number(number: u32) -> Option<Self> {
        const ALL: [Event; 9] = [
            Event::Load,
            Event::Try,
            Event::Confirm,
            Event::Expire,
            Event::Rollback,
            Event::Flush,
            Event::AcceptAll,
            Event::DropAll,
            Event::EndPanic,
        ];
        ALL.get(usize::try_from(number).ok()?).copied()
    }

    /// Its name, as in `load`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Load => "load",
            Self::Try => "try",
            Self::Confirm => "confirm",
            Self::Expire => "expire",
            Self::Rollback => "rollback",
            Self::Flush => "flush",
            Self::AcceptAll => "panic accept",
            Self::DropAll => "panic drop",
            Self::EndPanic => "panic off",
        }
    }
}

/// One change, of which [`IOC_HISTORY`] tells the last ones, the oldest first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Entry {
    /// When, nanoseconds since 1970, UTC.
    pub time: u64,
    /// An [`Event`].
    pub event: u32,
    /// The generation in force before.
    pub before: u32,
    /// The generation in force behind it; 0 for none.
    pub after: u32,
    /// Whether the one behind it is still kept: 1.
    pub is_kept: u32,
    /// The user, as the initial user namespace counts; the kernel itself is 0.
    pub uid: u32,
    /// The process; 0 for the kernel's own timer.
    pub pid: u32,
    /// The name of its program, padded with zeroes.
    pub comm: [u8; 16],
}

/// What a rule, or a default, did in a namespace.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Count {
    /// The namespace; 0 for all together.
    pub cookie: u64,
    /// Packets.
    pub packets: u64,
    /// Bytes from the network header on.
    pub bytes: u64,
    /// When it was last hit, nanoseconds of the monotonic clock; 0 for never.
    pub last: u64,
    /// The inode number of the namespace; 0 for all together.
    pub inode: u32,
    /// The number of the rule, from 0; behind the rules come the defaults: see [`slot`].
    pub slot: u32,
}

/// Where defaults are counted: behind so many rules.
pub mod slot {
    use super::PLACES;
    use crate::policy::{By, Place};

    #[allow(clippy::cast_possible_truncation, reason = "there are ten")]
    const BEHIND: u32 = PLACES as u32;

    /// How many counters there are besides those of rules.
    pub const DEFAULTS: u32 = BEHIND + 3;

    /// Where it is counted what decided at a place.
    #[inline]
    pub const fn of(by: By, place: Place, rules: u32) -> u32 {
        let behind = match by {
            By::Rule(number) => return number,
            By::Default => place.bit(),
            By::New => BEHIND,
            By::Malformed => BEHIND + 1,
            By::Fragment(_) => BEHIND + 2,
        };
        rules.wrapping_add(behind)
    }
}

/// Loads a policy: the argument points to a [`Load`].
///
/// `EINVAL`: it is refused, and [`Load::flaw`] says why; `E2BIG`, `ENOMEM`,
/// `ESTALE`; `EBUSY`: another one is on trial. The policy in force stays.
pub const IOC_LOAD: u32 = ioc(READ | WRITE, 5, size_of::<Load>());
/// Tells the [`Status`].
pub const IOC_STATUS: u32 = ioc(READ, 6, size_of::<Status>());
/// Changes something: the argument points to a [`Change`].
pub const IOC_CHANGE: u32 = ioc(READ | WRITE, 7, size_of::<Change>());
/// Gives the blob of a generation, into a [`Blob`]. `ENOSPC`: there is no room for
/// it. `ESRCH`: it is not kept.
pub const IOC_BLOB: u32 = ioc(READ | WRITE, 8, size_of::<Blob>());
/// Gives [`Count`]s of the policy in force, into a [`Buffer`]; of namespaces those
/// that have any. `ENOSPC`: there is no room.
pub const IOC_COUNTS: u32 = ioc(READ | WRITE, 9, size_of::<Buffer>());
/// Gives [`Entry`]s, into a [`Buffer`]. `ENOSPC`: there is no room.
pub const IOC_HISTORY: u32 = ioc(READ | WRITE, 10, size_of::<Buffer>());

/// What [`IOC_BLOB`] is about.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct Blob {
    /// Bytes as for any other.
    pub buffer: Buffer,
    /// The generation; 0: the one in force.
    pub generation: u32,
    /// Zero.
    pub reserved: u32,
}

/// What [`IOC_SET_CHANGE`] is about: ranges that a dynamic set gets, or does not have any
/// more. All of it is done at once, or nothing.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SetChange {
    /// The command's ABI.
    pub abi: u32,
    /// [`SET_ADD`] or [`SET_DELETE`].
    pub what: u32,
    /// Unless [`ANY`]: only if this generation is in force now, else `ESTALE`.
    pub generation: u32,
    /// How many [`super::layout::Range32`] there are, in order, without overlaps.
    pub count4: u32,
    /// Where they are.
    pub address4: u64,
    /// How many [`super::layout::Range128`] there are, likewise.
    pub count6: u32,
    /// Set by the module where it refuses: [`SET_ORDER4`] and so on.
    pub reason: u32,
    /// Where they are.
    pub address6: u64,
    /// The set's name, padded with zeroes.
    pub name: [u8; MAX_NAME + 1],
    /// Set by the module: how many of the ranges changed something.
    pub changed: u32,
    /// Set by the module: how many ranges of IPv4 the set has now.
    pub now4: u32,
    /// Set by the module: how many of IPv6.
    pub now6: u32,
    /// Set by the module where it refuses: the number of a range.
    pub offset: u32,
}

/// In [`SetChange::what`]: addresses are added.
pub const SET_ADD: u32 = 1;
/// In [`SetChange::what`]: addresses are taken out.
pub const SET_DELETE: u32 = 2;

/// In [`SetChange::reason`]: a range of IPv4 is reversed, or not behind the one before it.
pub const SET_ORDER4: u32 = 1;
/// In [`SetChange::reason`]: the same of IPv6.
pub const SET_ORDER6: u32 = 2;
/// In [`SetChange::reason`]: the set would have more than [`super::dynamic::MAX_RANGES`].
pub const SET_FULL: u32 = 3;
/// In [`SetChange::reason`]: all sets together would take more than
/// [`super::dynamic::MAX_BYTES`].
pub const SETS_FULL: u32 = 4;

/// What [`IOC_SET_LIST`] is about: what is in a dynamic set now. Its bytes are those of its
/// [`super::layout::Range32`], and behind them of its [`super::layout::Range128`].
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout,
)]
#[repr(C)]
pub struct SetList {
    /// Bytes as for any other.
    pub buffer: Buffer,
    /// The generation; 0: the one in force. When read, which one it is.
    pub generation: u32,
    /// Set by the module: ranges of IPv4.
    pub count4: u32,
    /// Set by the module: ranges of IPv6.
    pub count6: u32,
    /// Zero.
    pub reserved: u32,
    /// The set's name, padded with zeroes.
    pub name: [u8; MAX_NAME + 1],
}

/// Changes a dynamic set of the policy in force, for the next packet: the argument points
/// to a [`SetChange`].
///
/// `ENOENT`: it has no dynamic set of that name. `ESTALE`: another generation is in force.
/// `EINVAL`: the ranges are not in order. `E2BIG`: they are more than
/// [`super::dynamic::MAX_RANGES`]. `ENOSPC`: the set would be too large. The set stays as
/// it is.
pub const IOC_SET_CHANGE: u32 = ioc(READ | WRITE, 11, size_of::<SetChange>());
/// Gives what is in a dynamic set, into a [`SetList`]. `ENOSPC`: there is no room for it.
/// `ESRCH`: the generation is not kept. `ENOENT`: it has no such set.
pub const IOC_SET_LIST: u32 = ioc(READ | WRITE, 12, size_of::<SetList>());
