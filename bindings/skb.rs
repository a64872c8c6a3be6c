// SPDX-License-Identifier: GPL-2.0

//! The packet that a hook is given: what can be asked of it, and copied out of it.
//!
//! No reference into its memory is ever handed out.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use core::marker::PhantomData;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ptr::NonNull;
use kernel::ffi::c_int;

use kernel::bindings;

use nftrace_core::hook::{Family, Hook};
use nftrace_core::packet::Ports;
use nftrace_core::record::{Conntrack, ConntrackState, Device, Kind, Socket};

use super::generated;

/// A packet in a hook.
///
/// # Invariants
///
/// `skb` and `state` are those of a running hook function of netfilter: valid, and
/// so is what they point to, for `'a`. `'a` is inside an RCU read-side critical section.
pub(crate) struct HookedPacket<'a> {
    skb: NonNull<bindings::sk_buff>,
    state: &'a generated::nf_hook_state,
    hook: Hook,
    family: Family,
    kind: Kind,
    // Neither `Send` nor `Sync`: RCU's critical section is that of this CPU.
    _not_send: PhantomData<*mut ()>,
}

impl HookedPacket<'_> {
    /// The packet that a hook function is called with; none at a hook that we do not know.
    ///
    /// # Safety
    ///
    /// `skb` and `state` are those with which netfilter called a hook function that
    /// runs for as long as the value lives.
    #[inline]
    pub(super) unsafe fn new(
        skb: *mut bindings::sk_buff,
        state: *const generated::nf_hook_state,
        kind: Kind,
    ) -> Option<Self> {
        // SAFETY: `state` is valid during the hook function, by this function's contract.
        let state = unsafe { state.as_ref() }?;
        // INVARIANT: As this function's contract says; netfilter calls hook functions
        // inside an RCU read-side critical section.
        Some(Self {
            skb: NonNull::new(skb)?,
            state,
            hook: Hook::from_number(state.hook)?,
            family: Family::from_number(state.pf)?,
            kind,
            _not_send: PhantomData,
        })
    }

    /// The hook.
    #[inline]
    pub(crate) fn hook(&self) -> Hook {
        self.hook
    }

    /// The family.
    #[inline]
    pub(crate) fn family(&self) -> Family {
        self.family
    }

    /// Before or behind all other functions of the hook.
    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// The packet, for others in [`crate::bindings`], valid for as long as the value lives.
    #[inline]
    pub(super) fn as_ptr(&self) -> *const bindings::sk_buff {
        self.skb.as_ptr()
    }

    /// Where the network header starts in the packet's data; none before its start.
    #[inline]
    pub(crate) fn network_offset(&self) -> Option<u32> {
        // SAFETY: By the type invariants, `skb` is valid.
        let offset = unsafe { generated::nftrace_skb_network_offset(self.skb.as_ptr()) };
        u32::try_from(offset).ok()
    }

    /// How many bytes the packet's data has, from where the hook sees it on.
    #[inline]
    pub(crate) fn len(&self) -> u32 {
        // SAFETY: By the type invariants, `skb` is valid for reads.
        unsafe { (*self.skb.as_ptr()).len }
    }

    /// Copies bytes of the packet's data, from `offset` on, into all of `buffer`.
    ///
    /// Returns whether the packet has so many; if not, `buffer` holds nothing of use.
    #[inline]
    pub(crate) fn copy(&self, offset: u32, buffer: &mut [u8]) -> bool {
        let (Ok(offset), Ok(len)) = (c_int::try_from(offset), c_int::try_from(buffer.len())) else {
            return false;
        };
        // SAFETY: By the type invariants, `skb` is valid. `skb_copy_bits()` checks
        // `offset` and `len` against it, and `buffer` is valid for writes of `len` bytes.
        let result = unsafe {
            bindings::skb_copy_bits(self.skb.as_ptr(), offset, buffer.as_mut_ptr().cast(), len)
        };
        result == 0
    }

    /// The EtherType, in host byte order.
    #[inline]
    pub(crate) fn ethertype(&self) -> u16 {
        // SAFETY: By the type invariants, `skb` is valid.
        unsafe { generated::nftrace_skb_protocol(self.skb.as_ptr()) }
    }

    /// The firewall mark.
    pub(crate) fn mark(&self) -> u32 {
        // SAFETY: By the type invariants, `skb` is valid.
        unsafe { generated::nftrace_skb_mark(self.skb.as_ptr()) }
    }

    /// Segments that an offloaded packet will be split into; 0 where it is not offloaded.
    pub(crate) fn gso_segs(&self) -> u16 {
        // SAFETY: By the type invariants, `skb` is valid.
        unsafe { generated::nftrace_skb_gso_segs(self.skb.as_ptr()) }
    }

    /// Whether conntrack was told to leave the packet alone.
    pub(crate) fn is_untracked(&self) -> bool {
        // SAFETY: By the type invariants, `skb` is valid.
        unsafe { generated::nftrace_skb_is_untracked(self.skb.as_ptr()) }
    }

    /// The connection that conntrack has put the packet into.
    #[inline]
    pub(crate) fn conntrack(&self) -> Option<Conntrack> {
        // SAFETY: By the type invariants, `skb` is valid.
        if !unsafe { generated::nftrace_skb_has_conntrack(self.skb.as_ptr()) } {
            return None;
        }
        self.read_conntrack()
    }

    #[inline(never)]
    fn read_conntrack(&self) -> Option<Conntrack> {
        let mut found = generated::nftrace_conntrack::default();
        // SAFETY: By the type invariants, `skb` is valid, and we are inside an RCU
        // read-side critical section; the packet holds its connection.
        if !unsafe { generated::nftrace_skb_conntrack(self.skb.as_ptr(), &mut found) } {
            // Not tracked on purpose: then its tuple is the packet's own.
            return None;
        }
        let address = |bytes: [u8; 16]| {
            if found.is_ipv6 != 0 {
                IpAddr::V6(Ipv6Addr::from(bytes))
            } else {
                let [a, b, c, d, ..] = bytes;
                IpAddr::V4(Ipv4Addr::new(a, b, c, d))
            }
        };
        // `enum ip_conntrack_info`: from IP_CT_IS_REPLY (3) on, the same in the
        // other direction; a reply that is new is none.
        let (state, reply) = match found.ctinfo {
            0 => (ConntrackState::Established, false),
            1 => (ConntrackState::Related, false),
            2 => (ConntrackState::New, false),
            3 => (ConntrackState::Established, true),
            4 => (ConntrackState::Related, true),
            _ => (ConntrackState::Untracked, false),
        };
        Some(Conntrack {
            id: found.id,
            state,
            reply,
            status: found.status,
            src: address(found.src),
            dst: address(found.dst),
            ports: (found.has_ports != 0).then_some(Ports {
                src: found.src_port,
                dst: found.dst_port,
            }),
        })
    }

    /// The local socket that sends the packet, or will get it.
    pub(crate) fn socket(&self) -> Option<Socket> {
        let mut found = generated::nftrace_socket::default();
        // SAFETY: By the type invariants, `skb` and `state` are valid; the packet
        // holds its socket, or RCU does.
        unsafe { generated::nftrace_skb_socket(self.skb.as_ptr(), self.state, &mut found) }
            .then_some(Socket {
                uid: found.uid,
                classid: found.classid,
                cgroup: found.cgroup,
            })
    }

    /// The id of the cgroup that the local socket is in, or below, and that is
    /// `level` below the root; 0 for none.
    pub(crate) fn cgroup_ancestor(&self, level: u32) -> u64 {
        // SAFETY: By the type invariants, `skb` and `state` are valid; the packet
        // holds its socket, or RCU does.
        unsafe { generated::nftrace_skb_cgroup_ancestor(self.skb.as_ptr(), self.state, level) }
    }

    /// Where the packet's data end, were they in one piece: a number to compare.
    #[inline]
    pub(crate) fn end(&self) -> u64 {
        // SAFETY: By the type invariants, `skb` is valid for reads.
        let data = unsafe { (*self.skb.as_ptr()).data };
        (data.addr() as u64).wrapping_add(self.len().into())
    }

    /// The address of the `sk_buff`: no pointer to anything, but the same number
    /// for as long as the packet lives. To be hashed before it is shown.
    pub(crate) fn address(&self) -> u64 {
        self.skb.as_ptr().addr() as u64
    }

    /// Whether br_netfilter had this packet at `PRE_ROUTING` before, for the bridge.
    #[inline]
    pub(crate) fn is_second_pass(&self) -> bool {
        self.hook == Hook::PreRouting
            && self.family != Family::Bridge
            // SAFETY: By the type invariants, `skb` is valid, and it is at
            // `PRE_ROUTING` of an IP family, where `skb->dev` is valid too.
            && unsafe { generated::nftrace_skb_is_second_pass(self.skb.as_ptr()) }
    }

    /// The cookie of the namespace.
    #[inline]
    pub(crate) fn cookie(&self) -> u64 {
        // SAFETY: By the type invariants, `state->net` is valid.
        unsafe { generated::nftrace_net_cookie(self.state.net) }
    }

    /// In which epoch the namespace was made: see [`super::policy`].
    #[inline]
    pub(crate) fn namespace_birth(&self) -> u64 {
        // SAFETY: By the type invariants, `state->net` is valid. It has our memory:
        // only a policy asks for this, and before we go from a namespace that lives,
        // the policy goes and a grace period passes; in one that dies no packet is left.
        unsafe { generated::nftrace_net_birth(self.state.net) }
    }

    /// The inode number of the namespace.
    pub(crate) fn inode(&self) -> u32 {
        // SAFETY: By the type invariants, `state->net` is valid.
        unsafe { generated::nftrace_net_inode(self.state.net) }
    }

    /// The device through which the packet came.
    pub(crate) fn input(&self) -> Device {
        // SAFETY: By the type invariants, `state->in` is null or valid.
        unsafe { device(self.state.in_) }
    }

    /// The device through which the packet will leave.
    pub(crate) fn output(&self) -> Device {
        // SAFETY: By the type invariants, `state->out` is null or valid.
        unsafe { device(self.state.out) }
    }

    /// The device to which the packet belongs.
    ///
    /// None at `LOCAL_OUT`: there the stack has not set `skb->dev` for every
    /// packet, and the field may be in use for something else.
    pub(crate) fn dev(&self) -> Device {
        if self.hook == Hook::LocalOut && self.family != Family::Bridge {
            return Device::NONE;
        }
        // SAFETY: By the type invariants, `skb` is valid.
        let dev = unsafe { generated::nftrace_skb_dev(self.skb.as_ptr()) };
        // SAFETY: At every hook but `LOCAL_OUT`, the receive path, the forwarding
        // path, the bridge or `ip_output()` and its siblings have set `skb->dev`
        // to a device that RCU keeps; where IPsec goes around them, it still is what
        // a packet that was made here begins with: null.
        unsafe { device(dev) }
    }
}

/// Copies what identifies a device.
///
/// # Safety
///
/// `dev` is null or points to a device that stays valid during the call.
unsafe fn device(dev: *const bindings::net_device) -> Device {
    if dev.is_null() {
        return Device::NONE;
    }
    let mut name = [0; 16];
    // SAFETY: `dev` is valid by this function's contract, and `name` has room for
    // the IFNAMSIZ bytes that are written.
    let index = unsafe { generated::nftrace_dev_name(dev, name.as_mut_ptr().cast()) };
    Device {
        index: u32::try_from(index).unwrap_or(0),
        name,
    }
}
