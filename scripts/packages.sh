# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: GPL-2.0
#
# The Debian packages that the project uses, each list in one place.

# Compiles kernel modules in C and Rust, the command, the tests; runs the VMs.
TOOLCHAIN_PACKAGES=(
	bc bindgen bison busybox-static ca-certificates cargo cpio erofs-utils flex
	g++ gcc gcc-14 git kmod libc6-dev libelf-dev libssl-dev make pahole python3-minimal
	qemu-system-x86 qemu-utils rsync rust-clippy rust-src rustc rustfmt shellcheck xz-utils zstd
)

# The userland of the guests in which the tests run.
GUEST_PACKAGES=(
	busybox-static conntrack curl ethtool iproute2 iptables iputils-ping kmod mount
	netbase nftables procps qemu-guest-agent tcpdump tcpreplay util-linux
)
