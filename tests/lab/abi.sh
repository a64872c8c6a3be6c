#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-2.0
#
# abi.sh command                  the command, and a module of another interface (/mnt/vmtest/other.ko)
# abi.sh module OTHER OURS SET GET LOAD CHANGE BLOB COUNTS HISTORY   a request of version OTHER, and the
#   real module; from SET on they are numbers of commands of the device
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

# plain ABI COMMAND WORD...   an ioctl with a structure of these words of 32 bits, and zeroes
plain() {
	perl -e '
		my ($abi, $command, @words) = @ARGV;
		open(my $device, "+<", "/dev/nftrace") or die "open: $!\n";
		my $request = pack("L*", $abi, @words);
		$request .= "\0" x ((($command >> 16) & 0x3fff) - length $request);
		ioctl($device, $command, $request) or die "$!\n";' "$@"
}

# unanswerable ABI BLOB LOAD   loads the policy in force once more, on trial for 2 s, by a request that
# lies in memory that nobody can write to
unanswerable() {
	perl -e '
		use constant { MMAP => 9, IOCTL => 16, AT => 0x10000000, PAGE => 4096 };
		my ($abi, $blob, $load) = @ARGV;
		open(my $device, "+<", "/dev/nftrace") or die "open: $!\n";
		my $bytes = "\0" x 65536;
		my $request = pack("LLP65536LL", $abi, length $bytes, $bytes, 0, 0);
		ioctl($device, $blob, $request) or die "blob: $!\n";
		my $len = unpack("x4L", $request);
		open(my $file, ">", "/tmp/request") or die "$!\n";
		print $file pack("LLQQLLx" . (PAGE - 32), $abi, $len, AT + PAGE, 1, 2, 0xffffffff), $bytes;
		close($file);
		open($file, "<", "/tmp/request") or die "$!\n";
		syscall(MMAP, AT, PAGE + 65536, 1, 0x12, fileno($file), 0) == AT or die "mmap: $!\n";
		syscall(IOCTL, fileno($device), $load + 0, AT) == 0 or die "$!\n";' "$@"
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
	echo 'drop tcp to any port 9090 at local_in' >/tmp/policy
	keep load "$NFTRACE" load /tmp/policy
	keep try "$NFTRACE" try /tmp/policy
	keep agent timeout 20 "$NFTRACE" agent /tmp/policy
	keep policy "$NFTRACE" show
	keep counters "$NFTRACE" show --counters
	keep history "$NFTRACE" history
	keep confirm "$NFTRACE" confirm
	keep rollback "$NFTRACE" rollback
	keep flush "$NFTRACE" flush
	keep panic "$NFTRACE" panic drop
	keep ban "$NFTRACE" set add banned 192.0.2.7
	keep sets "$NFTRACE" set list
	keep explain "$NFTRACE" explain 'tcp 10.0.0.1:1 > 10.0.0.2:2' --at local_in
	keep doctor "$NFTRACE" doctor
	keep recorded ls /tmp/new.nft
	keep after state
	;;
module)
	read -r other ours set get load change blob counts history <<<"${*:2}"
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
	echo 'drop tcp to any port 9090 at local_in' >/tmp/policy
	run "$NFTRACE" load /tmp/policy
	keep policy-before "$NFTRACE" history
	for abi in other ours; do
		# A blob of no bytes; FLUSH.
		keep "$abi-load" plain "${!abi}" "$load"
		keep "$abi-blob" plain "${!abi}" "$blob"
		keep "$abi-counts" plain "${!abi}" "$counts"
		keep "$abi-history" plain "${!abi}" "$history"
		[[ $abi != other ]] || {
			keep other-flush plain "$other" "$change" 3
			keep policy-after "$NFTRACE" history
			keep unanswerable unanswerable "$ours" "$blob" "$load"
			keep policy-still "$NFTRACE" history
		}
	done
	keep ours-flush plain "$ours" "$change" 3
	keep flushed "$NFTRACE" show --json
	;;
*) die "$1 is neither command nor module" ;;
esac
unload_module
