# shellcheck shell=bash disable=SC2034
# SPDX-License-Identifier: GPL-2.0
#
# The Debian packages that the project uses, each list in one place.

# Compiles kernel modules in C and Rust, the command, the tests; runs the VMs; reads
# back what the command writes (tshark, Chromium).
TOOLCHAIN_PACKAGES=(
	bc bindgen bison busybox-static ca-certificates cargo chromium-headless-shell cpio erofs-utils
	flex g++ gcc gcc-14 git kmod libc6-dev libelf-dev libpcap-dev libssl-dev make pahole
	python3-minimal qemu-system-x86 rsync rust-clippy rust-src rustc rustfmt shellcheck tshark
	xz-utils zstd
)

# What the kernels of scripts/debug-kernel need beyond these: KASAN with Rust is for clang.
DEBUG_PACKAGES=(clang lld llvm)

# The userland of the guests in which the tests run.
GUEST_PACKAGES=(
	bpftrace busybox-static conntrack crun curl docker-cli docker.io ethtool ipset iproute2 iptables
	iputils-ping kmod mount netbase nftables passt podman procps qemu-guest-agent slirp4netns socat
	tcpdump tcpreplay uidmap util-linux
)
