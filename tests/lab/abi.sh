#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# abi.sh command                  the command, and a module of another interface (/mnt/vmtest/other.ko)
# abi.sh module OTHER OURS SET GET   a request of version OTHER, and the real module; SET and GET are numbers
#   of commands of the device
#
# What was said is in out/ (`keep`).

# shellcheck source=tests/lab/lib.sh
. "${BASH_SOURCE[0]%/*}/lib.sh"

NFTRACE=/mnt/vmtest/nftrace

# What the module says of itself and what it traces.
state() { (cd /sys/module/nftrace/parameters && grep . ports log_rate counters); }

# request ABI COMMAND LEN   an ioctl with a buffer of LEN bytes, which it takes from and leaves in /tmp/bytes
request() {
	perl -e '
		my ($abi, $command, $len) = @ARGV;
		my $bytes = "\0" x $len;
		if (open(my $file, "<", "/tmp/bytes")) { read($file, $bytes, $len); }
		open(my $device, "+<", "/dev/nftrace") or die "open: $!\n";
		my $request = pack("LLP$len", $abi, length $bytes, $bytes);
		ioctl($device, $command, $request) or die "$!\n";
		open(my $file, ">", "/tmp/bytes") or die "$!\n";
		print $file substr($bytes, 0, unpack("x4L", $request));' "$@"
}

case $1 in
command)
	MODULE=/mnt/vmtest/other.ko
	load_module ports=8080
	keep before state
	keep watch "$NFTRACE" watch
	keep record "$NFTRACE" record /tmp/new.nft
	keep path "$NFTRACE" path
	keep show "$NFTRACE" trace show
	keep set "$NFTRACE" trace set --port 9090
	keep off "$NFTRACE" trace off
	keep doctor "$NFTRACE" doctor
	keep recorded ls /tmp/new.nft
	keep after state
	;;
module)
	read -r other ours set get <<<"${*:2}"
	load_module
	# The bytes of a filter that traces nothing: as good as any.
	keep get request "$ours" "$get" 65536
	size=$(stat -c %s /tmp/bytes)
	run "$NFTRACE" trace set --port 8080
	keep before "$NFTRACE" trace show
	keep other-set request "$other" "$set" "$size"
	keep other-get request "$other" "$get" "$size"
	keep after "$NFTRACE" trace show
	keep ours-set request "$ours" "$set" "$size"
	keep at-last "$NFTRACE" trace show
	;;
*) die "$1 is neither command nor module" ;;
esac
unload_module
