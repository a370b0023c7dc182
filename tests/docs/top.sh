#!/bin/bash
# SPDX-License-Identifier: MIT
#
# fuseband-top as its manual tells it: synopsis, options, keys of -s, the examples; and the pictures in
# docs are what the program shows.

# shellcheck source=tests/lib.sh
. "$(dirname "$0")/../lib.sh"
# shellcheck source=tests/manual.sh
. "$TESTS/manual.sh"
need mandoc tmux jq python3

export FUSEBAND_TOP=${FUSEBAND%/*}/fuseband-top
TOP=$TESTS/..
MAN=$TOP/man/fuseband-top.1
[ -x "$FUSEBAND_TOP" ] || skip "no $FUSEBAND_TOP: install libjansson-dev and build again"
cd "$WORK" || exit 1

# ---- usage = synopsis, help = manual ----

same_usage "$FUSEBAND_TOP" "$MAN"
same_options "$FUSEBAND_TOP" "$MAN"
"$FUSEBAND_TOP" --version | grep -qx 'fuseband-top [0-9.]*' || fail "--version"

for key in config name weight got entitled iops bps queue wait service errors; do
	grep -qw "$key" help || fail "--help does not tell of -s $key"
	sed -n '/^\.It Fl s/,/^\.It Fl Fl once/p' "$MAN" | grep -qw "$key" || fail "the manual does not tell of -s $key"
	"$FUSEBAND_TOP" -s $key 2>&1 | grep -q 'say which mount' || fail "-s $key is not taken"
done

# ---- examples: on a status that goes on by a second each time it is read ----

mkdir -p mnt/ioband/.fuseband
mkfifo mnt/ioband/.fuseband/status.json
cat >feed <<'END'
for ((i = 1; ; i++)); do
	jq -c ".uptime_s += $i | .files[].read_ios += 100 * $i | .files[0].achieved_pct = 7" "$1" >next &&
		cat next >mnt/ioband/.fuseband/status.json || exit
	sleep 0.05 # who reads has seen the end before the next one begins
done
END
bash feed "$TESTS/top/small-1.json" & # by its environment it is known to be ours
sed -n '/^\.Sh EXAMPLES/,/^\.Sh/p' "$MAN" | sed -n '/^\.Bd/,/^\.Ed/{/^\.[BE]d/d; s/\\(aq/'"'"'/g; p}' |
	sed "s|/mnt/ioband|$WORK/mnt/ioband|; s/-d 5/-d 0.1/" >examples
[ "$(wc -l <examples)" = 4 ] || fail "the examples are other ones: $(cat examples)"
sed 1d examples >script
PATH=${FUSEBAND_TOP%/*}:$PATH bash -eu script >out 2>err || fail "an example ended with status $?: $(cat err)"
[ ! -s err ] || fail "an example says $(cat err)"
grep -q '^NAME  *KIND' out || fail "no table: $(cat out)"
[ "$(grep -c ' file ' out)" = 10 ] || fail "not ten files: $(cat out)"
tail -n 1 out | grep -qx vm1.img || fail "who gets less is not named: $(cat out)"

# ---- pictures ----

mkdir pictures
TMPDIR=$WORK "$TOP/docs/pictures" pictures || fail "docs/pictures ended with status $?"
for picture in top-80x24 top-200x60; do
	python3 -c 'import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])' "pictures/$picture.svg" ||
		fail "$picture.svg is no XML"
	cmp "pictures/$picture.svg" "$TOP/docs/$picture.svg" ||
		fail "docs/$picture.svg is not what the program shows: run docs/pictures"
done

note "manual, help, examples and pictures agree"
