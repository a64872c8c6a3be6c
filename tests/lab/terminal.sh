# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Somebody at a terminal: a shell with job control on a terminal of its own (script(1)
# makes it), and what is typed there. All that shows on it is in $SCREEN.

SCREEN=/tmp/screen

# open_terminal   77 columns and 33 lines
open_terminal() {
	mkdir -p /dev/pts
	mountpoint --quiet /dev/pts || run mount -t devpts devpts /dev/pts
	rm -f /tmp/keys
	mkfifo /tmp/keys
	: >"$SCREEN"
	# What is started in the background ignores Ctrl-C, and so would all that it starts.
	env --default-signal=INT,QUIT script --quiet --flush --command 'bash --norc --noprofile' /dev/null </tmp/keys >"$SCREEN" 2>&1 &
	TERMINAL=$!
	exec 7>/tmp/keys
	enter "stty rows 33 columns 77; tty >/tmp/tty; echo \$((40 + 2))"
	shows 42
}

close_terminal() {
	enter exit
	exec 7>&-
	# It has the code of the last command.
	wait "$TERMINAL" || true
}

# enter LINE
enter() { printf '%s\n' "$1" >&7; }

# key NAME   as C: Ctrl-C
key() {
	case $1 in
	C) printf '\003' >&7 ;;
	Z) printf '\032' >&7 ;;
	esac
}

# shows TEXT [SECONDS]   waits until it stands behind what was waited for before. What is
# typed shows too: wait for what it does not have.
SEEN=0
shows() {
	local i at
	for ((i = 0; i < ${2:-60} * 10; i++)); do
		at=$(tail --bytes=+$((SEEN + 1)) "$SCREEN" | grep --text --byte-offset --only-matching --fixed-strings --max-count=1 -- "$1" | head -n 1) || true
		if [[ -n $at ]]; then
			SEEN=$((SEEN + ${at%%:*} + ${#1}))
			return
		fi
		sleep 0.1
	done
	cat "$SCREEN"
	die "the terminal does not show '$1' (behind byte $SEEN)"
}

# shows_not TEXT   in all that the terminal has shown
shows_not() { ! grep --text --quiet --fixed-strings -- "$1" "$SCREEN" || die "the terminal shows '$1'"; }

# runs FILE yes|no   whether something still writes into it
runs() {
	local before after=same
	before=$(wc -c <"$1")
	sleep 0.7
	[[ $(wc -c <"$1") == "$before" ]] || after=grown
	[[ $2/$after == yes/grown || $2/$after == no/same ]] || die "$1: $after"
}
