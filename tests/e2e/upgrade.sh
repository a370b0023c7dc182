#!/bin/bash
# SPDX-License-Identifier: MIT
#
# SIGUSR2 puts the installed program in the place of the running one, under load: nobody notices. A
# program that does not fit is refused, and one that cannot start leaves everything as it was.
#
# UPGRADES=N: how many (default 5; 100 for the full proof).

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
need fio
need_root
# shellcheck disable=SC2034
ALLOWED_ERRORS='no upgrade:|cannot be prepared|back to the one'
HELPERS=${HELPERS:-$TESTS/../build/release/helpers}
UPGRADES=${UPGRADES:-5}
conf=$WORK/fuseband.ini
mkdir "$WORK/bin"
program=$WORK/bin/fuseband
cp "$FUSEBAND" "$program"
original=$FUSEBAND
FUSEBAND=$program

upgrades() {
	grep -c 'the new program takes over' "$WORK/fuseband.log"
}

refusals() {
	grep -c 'no upgrade:' "$WORK/fuseband.log"
}

upgrade() {
	local before
	before=$(upgrades)
	kill -USR2 "$FUSEBAND_PID"
	wait_for 20 more_than "$before" upgrades
}

refused() { # WHY
	local before
	before=$(refusals)
	kill -USR2 "$FUSEBAND_PID"
	wait_for 20 more_than "$before" refusals || return 1
	grep 'no upgrade:' "$WORK/fuseband.log" | tail -n 1 | grep -q -- "$1"
}

# What a package manager does: another file under the same name.
install_program() { # FILE
	cp "$1" "$program.new" && chmod +x "$program.new" && mv "$program.new" "$program"
}

truncate -s 64M "$WORK/a.img"
section a.img "path = $WORK/a.img" | ini "$conf"
start_fuseband "$conf"
start_load a --filename="$MNT/a.img" --bs=4k --iodepth=32 --rw=randrw --size=32M --verify=crc32c \
	--verify_backlog=128 --verify_fatal=1
sleep 0.5
for ((i = 0; i < UPGRADES; i++)); do
	install_program "$original"
	upgrade || miss "upgrade $i does not happen"
	sleep "0.$((RANDOM % 5 + 1))"
done
promise "the process that was started is still the parent" kill -0 "$FUSEBAND_PID"
promise "it is the file that is there now" same "$(stat -c %d:%i "$program")" \
	"$(stat -L -c %d:%i "/proc/$FUSEBAND_PID/exe")"
promise "and so is the data path" same "$(stat -c %d:%i "$program")" \
	"$(stat -L -c %d:%i "/proc/$(data_path)/exe")"

rm "$program"
promise "a program that is gone is no upgrade" refused 'No such file'
printf '#!/bin/sh\nexit 0\n' >"$WORK/other"
install_program "$WORK/other"
promise "nor is another program" refused 'not a fuseband'
install_program "$HELPERS/impostor"
echo 999 >"$program.state"
promise "nor one that keeps its state otherwise" refused 'state as version 999'

# an impostor that gets as far as being executed
"$original" --version | grep -o 'state [0-9]*' | cut -d ' ' -f 2 >"$program.state"
parent_changed() {
	FUSEBAND_PID=$(cat "$WORK/pid")
	[ "$FUSEBAND_PID" != "$before" ] && kill -0 "$FUSEBAND_PID" 2>/dev/null
}
before=$FUSEBAND_PID
kill -USR2 "$FUSEBAND_PID"
promise "one that looks right and cannot run: the old one stays" wait_for 10 parent_changed
wait "$before" 2>/dev/null
install_program "$original"
promise "and can be upgraded later" upgrade
# one that serves nothing: it cannot prepare a standby, or crashes when it is to serve
went_back() {
	grep -c 'back to the one that runs' "$WORK/fuseband.log"
}
spoil() { # FROM TO: of the same length
	sed "s|$1|$2|" "$original" >"$WORK/spoilt"
	! cmp -s "$original" "$WORK/spoilt" || fail "there is no $1 in the program"
	install_program "$WORK/spoilt"
}
spoil /dev/fd/%d /dev/xx/%d
before=$(went_back)
kill -USR2 "$FUSEBAND_PID" "$(data_path)"
kill -USR2 "$FUSEBAND_PID"
promise "one that cannot prepare, asked for thrice: the old one stays" wait_for 10 more_than "$before" went_back
sleep 1
kill_data_path
spoil 'took over: %zu files' 'took over: %2s files'
before=$(went_back)
kill -USR2 "$FUSEBAND_PID"
promise "one that crashes as it begins to serve: the old one is back" wait_for 10 more_than "$before" went_back
wait_for 10 sh -c "tail -n 1 '$WORK/fuseband.log' | grep -q 'took over'" || miss "but does not serve"
promise "whatever became of it, it has its name" same fuseband "$(cat "/proc/$FUSEBAND_PID/comm")"
printf '#!/bin/sh\necho no; exec sleep 60\n' >"$WORK/other"
install_program "$WORK/other"
promise "nor is one that never ends" refused 'not a fuseband'
install_program "$original"
promise "and again it can be upgraded" upgrade
promise "all that time no request failed, all data verify" stop_loads
promise "a reload works" reload_fuseband
# shellcheck disable=SC2034
ALLOWED_ERRORS='no upgrade:|cannot be prepared|back to the one'
stop_adopted

# The old data path dies while the new program prepares: what that says when it is prepared is not
# that it serves, and until it does there is a way back.
stands_by() {
	[ -n "$(spares)" ]
}

test_early_death() {
	: >"$WORK/fuseband.log"
	LD_PRELOAD=$HELPERS/hesitate.so HESITATE=$WORK/hesitate start_fuseband "$conf"
	wait_for 10 stands_by || miss "no standby"
	spoil 'took over: %zu files' 'took over: %2s files'
	echo fuseband-spare >"$WORK/hesitate"
	kill -USR2 "$FUSEBAND_PID"
	wait_for 10 stopped fuseband-spare || fail "the new program prepares nothing"
	rm "$WORK/hesitate"
	kill -KILL "$(data_path)"
	wait_for 10 more_than 0 upgrades || miss "the old data path is not missed"
	kill -CONT "$STOPPED"
	promise "one that is to serve before it is prepared, and crashes then: the old one is back" \
		wait_for 10 more_than 0 went_back
	promise "and serves" wait_for 10 more_than 0 took_over
	promise "what it served" cmp "$MNT/a.img" "$WORK/a.img"
	install_program "$original"
	promise "and it can be upgraded" upgrade
	stop_fuseband
}

if grep -q -a '__asan_init\|__tsan_init' "$original"; then
	note "a sanitizer cannot be preloaded to: nobody dies while another one prepares"
else
	test_early_death
fi
exit $failed
