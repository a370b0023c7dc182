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
promise "all that time no request failed, all data verify" stop_loads
promise "a reload works" reload_fuseband
kill -TERM "$FUSEBAND_PID"
wait_for 20 not kill -0 "$FUSEBAND_PID" 2>/dev/null || miss "it does not stop"
FUSEBAND_PID=
# shellcheck disable=SC2034
ALLOWED_ERRORS='no upgrade:'
check_log
exit $failed
