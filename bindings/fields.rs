// SPDX-License-Identifier: GPL-2.0

//! Fields of the kernel's structures, read in place: what every packet is asked.
//!
//! The places come from C (`enum nftrace_field` in `bindings.h`), since they depend on
//! the kernel's configuration. Each of these is an instruction; a call of a C helper
//! would be five or more.

use kernel::bindings::{net, net_device, sk_buff, sock};
use kernel::ffi::{c_uint, c_ulong};

use super::generated as g;

/// Reads the field at a place in a structure.
///
/// # Safety
///
/// `structure` is valid for reads, and at that place is a field of this type.
#[inline]
unsafe fn field<S, T: Copy>(structure: *const S, place: c_uint) -> T {
    // SAFETY: By this function's contract.
    unsafe { structure.byte_add(place as usize).cast::<T>().read() }
}

/// Defines functions that read one field each.
macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident($structure:ty, $place:ident) -> $type:ty;)*) => {
        $(
            $(#[$doc])*
            ///
            /// # Safety
            ///
            /// The structure is valid for reads.
            #[inline]
            pub(super) unsafe fn $name(structure: *const $structure) -> $type {
                // SAFETY: The structure is valid by this function's contract; C says that
                // the field is there, and what it is.
                unsafe { field(structure, g::$place) }
            }
        )*
    };
}

fields! {
    /// Where the network header starts, from the buffer's start on.
    skb_network_header(sk_buff, nftrace_field_NFTRACE_SKB_NETWORK_HEADER) -> u16;
    /// The firewall mark.
    skb_mark(sk_buff, nftrace_field_NFTRACE_SKB_MARK) -> u32;
    /// The device, or at some hooks something else.
    skb_dev(sk_buff, nftrace_field_NFTRACE_SKB_DEV) -> *const net_device;
    /// The local socket, or null.
    skb_sk(sk_buff, nftrace_field_NFTRACE_SKB_SK) -> *const sock;
    /// The start of the buffer.
    skb_head(sk_buff, nftrace_field_NFTRACE_SKB_HEAD) -> *const u8;
    /// The length of the buffer, behind which is what is shared by its clones.
    skb_end(sk_buff, nftrace_field_NFTRACE_SKB_END) -> c_uint;
    /// The connection's address, with its state in the low bits; 0 for none.
    skb_nfct(sk_buff, nftrace_field_NFTRACE_SKB_NFCT) -> c_ulong;
    /// Which extensions there are.
    skb_extensions(sk_buff, nftrace_field_NFTRACE_SKB_EXTENSIONS) -> u8;
    /// The interface index, which is never negative.
    dev_ifindex(net_device, nftrace_field_NFTRACE_DEV_IFINDEX) -> u32;
    /// The name, a zero byte behind it, and behind that what an earlier name left.
    dev_name(net_device, nftrace_field_NFTRACE_DEV_NAME) -> [u8; 16];
    /// The cookie.
    net_cookie(net, nftrace_field_NFTRACE_NET_COOKIE) -> u64;
    /// The inode number.
    net_inode(net, nftrace_field_NFTRACE_NET_INODE) -> c_uint;
}

/// Segments that an offloaded packet will be split into; 0 where it is not offloaded.
///
/// # Safety
///
/// `skb` is valid for reads.
#[inline]
pub(super) unsafe fn gso_segs(skb: *const sk_buff) -> u16 {
    // SAFETY: By this function's contract.
    let (head, end) = unsafe { (skb_head(skb), skb_end(skb)) };
    let shared = head.wrapping_add(end as usize);
    // SAFETY: At the buffer's end is its `struct skb_shared_info`.
    let size: u16 = unsafe { field(shared, g::nftrace_field_NFTRACE_SHARED_GSO_SIZE) };
    if size == 0 {
        return 0;
    }
    // SAFETY: The same.
    unsafe { field(shared, g::nftrace_field_NFTRACE_SHARED_GSO_SEGS) }
}

/// The low bits of a connection's address that are its state: `NFCT_INFOMASK`.
const STATE: c_ulong = 7;

/// The bits `IPS_…` of a connection; 0 for none.
///
/// # Safety
///
/// `nfct` is what [`skb_nfct`] returned for a packet that still holds its connection.
#[inline]
pub(super) unsafe fn connection_status(nfct: c_ulong) -> c_ulong {
    let connection = core::ptr::with_exposed_provenance::<core::ffi::c_void>(nfct)
        .map_addr(|address| address & !STATE);
    if connection.is_null() {
        return 0;
    }
    // SAFETY: By this function's contract, it is that of a `struct nf_conn`, whose
    // status C says to be there; whoever changes it does so with atomics, one word.
    unsafe { field(connection, g::nftrace_field_NFTRACE_CONNTRACK_STATUS) }
}
