# shellcheck shell=bash
# SPDX-License-Identifier: MIT
#
# terminal.sh - fuseband-top in a terminal of a given size (tmux), on a status that was recorded:
# NAME-1.json, then NAME-2.json a second later, which stays as it is, so that the screen does, too.
# Nothing here waits for a time, but for what is on the screen.

TERMINAL_RECORDED=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
FUSEBAND_TOP=${FUSEBAND_TOP:-$TERMINAL_RECORDED/../../build/release/fuseband-top}
TERMINAL_DIR=$(mktemp -d "${TMPDIR:-/tmp}/fuseband-terminal.XXXXXX")
TERMINAL_LOCALE=C.UTF-8
TERMINAL_N=0 # each has a server of its own: one that ends must not be asked for another

terminal_tmux() {
	tmux -S "$TERMINAL_DIR/tmux$TERMINAL_N" -f /dev/null "$@"
}

terminal_end() {
	terminal_tmux kill-server 2>/dev/null || true
	TERMINAL_N=$((TERMINAL_N + 1))
	rm -rf "$TERMINAL_DIR/mnt"
}
trap 'terminal_end; rm -rf "$TERMINAL_DIR"' EXIT

# The screen as text; -e with colours.
terminal_capture() {
	terminal_tmux capture-pane -N -p "$@"
}

# terminal_until COMMAND...: it succeeds with the screen as its input.
terminal_until() {
	local i
	for ((i = 0; i < 400; i++)); do
		if terminal_capture 2>/dev/null | "$@" >/dev/null; then
			return 0
		fi
		sleep 0.025
	done
	echo "terminal: $* fails for the screen:" >&2
	terminal_capture >&2
	return 1
}

# terminal_wait TEXT: until it is on the screen.
terminal_wait() {
	terminal_until grep -F -- "$1"
}

# Until there are figures per second.
terminal_wait_rates() {
	terminal_until grep -E 'busy +[0-9.kM]+ IO/s'
}

# terminal_key KEY...: and until what they did is shown: the keys that follow have no effect but
# that the help comes and goes.
terminal_key() {
	[ $# -gt 0 ] || return 0
	terminal_tmux send-keys "$@" F1
	terminal_wait "any key: back"
	terminal_tmux send-keys F1
	terminal_wait "? help"
}

# terminal_put STATUS: a recorded status becomes what is read, at once.
terminal_put() {
	cp "$TERMINAL_RECORDED/$1.json" "$TERMINAL_DIR/new"
	mv "$TERMINAL_DIR/new" "$TERMINAL_DIR/mnt/ioband/.fuseband/status.json"
}

# terminal_run WIDTH HEIGHT COMMAND...: in the directory that has the mount.
terminal_run() {
	local width=$1 height=$2
	shift 2
	terminal_tmux new-session -d -x "$width" -y "$height" -c "$TERMINAL_DIR/mnt" \
		env -u NO_COLOR TERM=tmux-256color LC_ALL="$TERMINAL_LOCALE" "$@"
}

# terminal_show WIDTH HEIGHT STATUS KEY...: with rates.
terminal_show() {
	local width=$1 height=$2 status=$3
	shift 3
	mkdir -p "$TERMINAL_DIR/mnt/ioband/.fuseband"
	terminal_put "$status-1"
	terminal_run "$width" "$height" "$FUSEBAND_TOP" -d 0.1 ioband
	terminal_wait "configuration"
	terminal_put "$status-2"
	terminal_wait_rates
	terminal_key "$@"
}
