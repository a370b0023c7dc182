# SPDX-License-Identifier: MIT
#
# What the reports of the benchmarks share: the head of the Markdown, and the frame of the plot. A report is
# a gawk program that has this one read before it:
#
#	#!/usr/bin/env -S bash -c 'exec gawk -f "${0%/*}/plot.awk" -f "$0" "$@"'
#
# Given by -v svg=FILE, it writes a plot there. Lines "#KEY<TAB>VALUE" of the .tsv tell of the machine.

BEGIN {
	FS = "\t"
	BLUE = "#0072b2"
	ORANGE = "#e69f00"
	split(BLUE " " ORANGE " #009e73 #cc79a7 #d55e00 #56b4e9 #999999", COLOURS, " ")
}

function machine_line() {
	MACHINE = MACHINE "| " substr($1, 2) " | " $2 " |\n"
}

# The title, the machine, and where the plot is.
function head(what,    title, file) {
	title = FILENAME
	gsub(/.*\/|\.tsv$/, "", title)
	printf "# %s: %s\n\n| | |\n|---|---|\n%s", what, title, MACHINE
	if (svg) {
		file = svg
		sub(/.*\//, "", file)
		printf "\n![plot](%s)\n", file
	}
	printf "\nHow to read it: bench/README.\n"
}

# STYLE: what goes before the background, such as a style element.
function svg_open(width, height, font_size, style) {
	printf "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" " \
		"font-family=\"sans-serif\" font-size=\"%d\">\n%s<rect class=\"paper\" width=\"100%%\" " \
		"height=\"100%%\" fill=\"white\"/>\n", width, height, width, height, font_size, style >svg
}

function svg_close() {
	print "</svg>" >svg
	close(svg)
}

function svg_box(x, y, width, height, attributes) {
	printf "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" %s/>\n", x, y, width, height,
		attributes >svg
}

function svg_text(x, y, text, attributes) {
	printf "<text x=\"%.1f\" y=\"%.1f\"%s>%s</text>\n", x, y, attributes ? " " attributes : "", text >svg
}
