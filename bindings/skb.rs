// SPDX-License-Identifier: GPL-2.0

//! The packet that a hook is given: what can be asked of it, and copied out of it.
//!
//! A reference into its memory is handed out for no longer than the hook may look at
//! it, and only while nobody may write there.
//!
//! C header: [`include/linux/skbuff.h`](srctree/include/linux/skbuff.h)

use core::marker::PhantomData;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use core::ptr::NonNull;
use kernel::ffi::{c_int, c_ulong};

use kernel::bindings;

use nftrace_core::hook::{Family, Hook};
use nftrace_core::packet::Ports;
use nftrace_core::record::{Conntrack, ConntrackState, Device, Kind, Socket};

use super::armed::Armed;
use super::{fields, generated};

/// A packet in a hook.
///
/// # Invariants
///
/// `skb` and `state` are those of a running hook function of netfilter: valid, and
/// so is what they point to, for `'a`. `'a` is inside an RCU read-side critical section.
#[derive(Clone, Copy)]
pub(crate) struct HookedPacket<'a> {
    skb: NonNull<bindings::sk_buff>,
    state: &'a generated::nf_hook_state,
    armed: Armed,
    kind: Kind,
    // Neither `Send` nor `Sync`: RCU's critical section is that of this CPU.
    _not_send: PhantomData<*mut ()>,
}

impl HookedPacket<'_> {
    /// The packet that a hook function is called with.
    ///
    /// # Safety
    ///
    /// `skb` and `state` are those with which netfilter called a hook function that
    /// runs for as long as the value lives.
    #[inline]
    pub(super) unsafe fn new(
        skb: *mut bindings::sk_buff,
        state: *const generated::nf_hook_state,
        armed: Armed,
        kind: Kind,
    ) -> Self {
        // INVARIANT: As this function's contract says; netfilter calls hook functions
        // inside an RCU read-side critical section.
        Self {
            // SAFETY: Netfilter calls no hook function without a packet.
            skb: unsafe { NonNull::new_unchecked(skb) },
            // SAFETY: `state` is valid during the hook function, by this function's contract.
            state: unsafe { &*state },
            armed,
            kind,
            _not_send: PhantomData,
        }
    }

    /// The hook.
    #[inline]
    pub(crate) fn hook(&self) -> Hook {
        // We are registered at no other.
        Hook::from_number(self.state.hook).unwrap_or(Hook::PreRouting)
    }

    /// The family.
    #[inline]
    pub(crate) fn family(&self) -> Family {
        // The same.
        Family::from_number(self.state.pf).unwrap_or(Family::Bridge)
    }

    /// Before or behind all other functions of the hook.
    #[inline]
    pub(crate) fn kind(&self) -> Kind {
        self.kind
    }

    /// Whether a policy decides about packets here.
    #[inline]
    pub(crate) fn is_judged(&self) -> bool {
        self.armed.is_judged()
    }

    /// Whether any packets are traced.
    #[inline]
    pub(crate) fn is_traced(&self) -> bool {
        self.armed.is_traced()
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
        let head = unsafe { fields::skb_head(self.skb.as_ptr()) };
        // SAFETY: The same.
        let header = unsafe { fields::skb_network_header(self.skb.as_ptr()) };
        // SAFETY: The same.
        let data = unsafe { (*self.skb.as_ptr()).data };
        let header = head.addr().wrapping_add(header.into());
        u32::try_from(header.wrapping_sub(data.addr())).ok()
    }

    /// The packet's data from `offset` on, as far as they lie in one piece; none where
    /// they do not reach so far.
    #[inline]
    pub(crate) fn linear(&self, offset: u32) -> Option<&[u8]> {
        // SAFETY: By the type invariants, `skb` is valid for reads.
        let data = unsafe { (*self.skb.as_ptr()).data };
        // SAFETY: The same.
        let elsewhere = unsafe { (*self.skb.as_ptr()).data_len };
        let linear = self.len().checked_sub(elsewhere)?;
        let len = linear.checked_sub(offset)?;
        // SAFETY: `offset` is not beyond the linear part of the buffer.
        let start = unsafe { data.add(offset as usize) };
        // SAFETY: The linear part has so many bytes from there on. Nobody writes them
        // while the hook has the packet: who wants to needs a buffer of his own
        // (`skb_ensure_writable()`), and we change a packet only when the value, and
        // with it this borrow, is gone.
        Some(unsafe { core::slice::from_raw_parts(start, len as usize) })
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
    #[inline]
    pub(crate) fn mark(&self) -> u32 {
        // SAFETY: By the type invariants, `skb` is valid.
        unsafe { fields::skb_mark(self.skb.as_ptr()) }
    }

    /// Segments that an offloaded packet will be split into; 0 where it is not offloaded.
    #[inline]
    pub(crate) fn gso_segs(&self) -> u16 {
        // SAFETY: By the type invariants, `skb` is valid.
        unsafe { fields::gso_segs(self.skb.as_ptr()) }
    }

    /// Whether conntrack was told to leave the packet alone.
    pub(crate) fn is_untracked(&self) -> bool {
        // SAFETY: By the type invariants, `skb` is valid.
        unsafe { generated::nftrace_skb_is_untracked(self.skb.as_ptr()) }
    }

    /// The connection that conntrack has put the packet into.
    #[inline]
    pub(crate) fn conntrack(&self) -> Option<Conntrack> {
        if !self.has_connection() {
            return None;
        }
        self.read_conntrack()
    }

    /// Whether conntrack has said anything of the packet: the cheapest question.
    #[inline]
    pub(crate) fn has_connection(&self) -> bool {
        // SAFETY: By the type invariants, `skb` is valid.
        unsafe { fields::skb_nfct(self.skb.as_ptr()) != 0 }
    }

    /// Whether NAT changes the addresses or ports of the packet's connection.
    #[inline]
    pub(crate) fn is_translated(&self) -> bool {
        /// `IPS_SRC_NAT` and `IPS_DST_NAT`.
        const NAT: c_ulong = 1 << 4 | 1 << 5;
        // SAFETY: By the type invariants, `skb` is valid.
        let nfct = unsafe { fields::skb_nfct(self.skb.as_ptr()) };
        // SAFETY: It is that of the packet, which holds its connection.
        nfct != 0 && unsafe { fields::connection_status(nfct) } & NAT != 0
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
    #[inline]
    pub(crate) fn socket(&self) -> Option<Socket> {
        if !self.may_have_socket() {
            return None;
        }
        self.read_socket()
    }

    /// Whether there may be a local socket: the cheapest question.
    #[inline]
    pub(crate) fn may_have_socket(&self) -> bool {
        // SAFETY: By the type invariants, `skb` is valid.
        let sk = unsafe { fields::skb_sk(self.skb.as_ptr()) };
        // Only there one is looked for.
        !sk.is_null() || self.hook() == Hook::LocalIn
    }

    #[inline(never)]
    fn read_socket(&self) -> Option<Socket> {
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
    #[inline]
    pub(crate) fn address(&self) -> u64 {
        self.skb.as_ptr().addr() as u64
    }

    /// Whether br_netfilter had this packet at `PRE_ROUTING` before, for the bridge.
    #[inline]
    pub(crate) fn is_second_pass(&self) -> bool {
        self.hook() == Hook::PreRouting
            && self.family() != Family::Bridge
            // SAFETY: By the type invariants, `skb` is valid.
            && unsafe { fields::skb_extensions(self.skb.as_ptr()) } != 0
            // SAFETY: By the type invariants, `skb` is valid, and it is at
            // `PRE_ROUTING` of an IP family, where `skb->dev` is valid too.
            && unsafe { generated::nftrace_skb_is_second_pass(self.skb.as_ptr()) }
    }

    /// The cookie of the namespace.
    #[inline]
    pub(crate) fn cookie(&self) -> u64 {
        // SAFETY: By the type invariants, `state->net` is valid.
        unsafe { fields::net_cookie(self.state.net) }
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
    #[inline]
    pub(crate) fn inode(&self) -> u32 {
        // SAFETY: By the type invariants, `state->net` is valid.
        unsafe { fields::net_inode(self.state.net) }
    }

    /// The device through which the packet came.
    #[inline]
    pub(crate) fn input(&self) -> Device {
        // SAFETY: By the type invariants, `state->in` is null or valid.
        unsafe { device(self.state.in_) }
    }

    /// The device through which the packet will leave.
    #[inline]
    pub(crate) fn output(&self) -> Device {
        // SAFETY: By the type invariants, `state->out` is null or valid.
        unsafe { device(self.state.out) }
    }

    /// The device to which the packet belongs, the one through which it came, and the
    /// one through which it will leave, to be written down: behind the end of a name
    /// stands what an earlier one left.
    #[inline(always)]
    pub(crate) fn devices(&self) -> [Device; 3] {
        // SAFETY: As in `dev`.
        let dev = unsafe { raw_device(self.skb_dev()) };
        // SAFETY: By the type invariants, `state->in` is null or valid.
        let input = unsafe { raw_device(self.state.in_) };
        // SAFETY: By the type invariants, `state->out` is null or valid.
        let output = unsafe { raw_device(self.state.out) };
        [dev, input, output]
    }

    /// The device to which the packet belongs, or null.
    #[inline(always)]
    fn skb_dev(&self) -> *const bindings::net_device {
        if self.hook() == Hook::LocalOut && self.family() != Family::Bridge {
            return core::ptr::null();
        }
        // SAFETY: By the type invariants, `skb` is valid.
        unsafe { fields::skb_dev(self.skb.as_ptr()) }
    }

    /// The device to which the packet belongs.
    ///
    /// None at `LOCAL_OUT`: there the stack has not set `skb->dev` for every
    /// packet, and the field may be in use for something else.
    #[inline]
    pub(crate) fn dev(&self) -> Device {
        let dev = self.skb_dev();
        // SAFETY: At every hook but `LOCAL_OUT`, the receive path, the forwarding
        // path, the bridge or `ip_output()` and its siblings have set `skb->dev`
        // to a device that RCU keeps; where IPsec goes around them, it still is what
        // a packet that was made here begins with: null.
        unsafe { device(dev) }
    }
}

/// Copies what identifies a device.
///
/// A name is changed in place by a rename. A copy taken at that moment may be of
/// both names, but it is a copy.
///
/// # Safety
///
/// `dev` is null or points to a device that stays valid during the call.
#[inline]
unsafe fn device(dev: *const bindings::net_device) -> Device {
    if dev.is_null() {
        return Device::NONE;
    }
    // SAFETY: The contract is the same.
    let raw = unsafe { raw_device(dev) };
    Device::new(raw.index, raw.name)
}

/// The same, with whatever stands behind the end of the name.
///
/// # Safety
///
/// As for [`device`].
#[inline(always)]
unsafe fn raw_device(dev: *const bindings::net_device) -> Device {
    if dev.is_null() {
        return Device::NONE;
    }
    // SAFETY: `dev` is valid by this function's contract.
    let index = unsafe { fields::dev_ifindex(dev) };
    // SAFETY: The same.
    let name = unsafe { fields::dev_name(dev) };
    Device { index, name }
}
