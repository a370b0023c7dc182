#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""
screen.py - what `tmux capture-pane -e -N -p` prints, as SVG.

    tmux capture-pane -e -N -p | docs/screen.py WIDTH HEIGHT TITLE >picture.svg

Text is text; blocks and lines are drawn, as fonts leave gaps between them.
"""
import re
import sys
from html import escape

CELL_W, CELL_H, BASE, MARGIN = 8, 18, 13, 12
FONT = "'DejaVu Sans Mono', 'Liberation Mono', Menlo, Consolas, monospace"
PAPER, INK = "#16191d", "#c9d1d9"
COLOURS = {1: "#f4796b", 2: "#57ab6d", 3: "#d9a441", 4: "#6aa5e8", 5: "#b98ae0", 6: "#6fb3c9", 7: INK}
EIGHTHS = " \u258f\u258e\u258d\u258c\u258b\u258a\u2589\u2588"


def colour(n):
    if n < 8:
        return COLOURS.get(n, PAPER)
    if n >= 232:
        return "#" + "%02x" % (8 + 10 * (n - 232)) * 3
    return INK


class Style:
    def __init__(self):
        self.fore, self.back, self.bold, self.dim, self.reverse = INK, None, False, False, False

    def take(self, codes):
        codes = [int(c or 0) for c in codes.split(";")]
        while codes:
            c = codes.pop(0)
            if c == 0:
                self.__init__()
            elif c == 1:
                self.bold = True
            elif c == 2:
                self.dim = True
            elif c == 7:
                self.reverse = True
            elif c == 27:
                self.reverse = False
            elif 30 <= c < 38:
                self.fore = colour(c - 30)
            elif 40 <= c < 48:
                self.back = colour(c - 40)
            elif c == 39:
                self.fore = INK
            elif c == 49:
                self.back = None
            elif c in (38, 48) and codes[:1] == [5]:
                what = colour(codes[1])
                del codes[:2]
                if c == 38:
                    self.fore = what
                else:
                    self.back = what

    def now(self):
        fore, back = self.fore, self.back
        if self.reverse:
            fore, back = back or PAPER, fore
        return (fore, back, self.bold, self.dim)


def cells(line, width, style):
    row = []
    for part in re.split(r"(\x1b\[[0-9;]*m)", line.rstrip("\n")):
        if part.startswith("\x1b["):
            style.take(part[2:-1])
            continue
        row += [(c, style.now()) for c in part if c >= " "]
    return (row + [(" ", Style().now())] * width)[:width]


def runs(row):
    """Cells side by side with one style, text apart from what is drawn."""
    start = 0
    for i in range(1, len(row) + 1):
        if i == len(row) or row[i][1] != row[start][1]:
            yield start, "".join(c for c, _ in row[start:i]), row[start][1]
            start = i


def rect(x, y, w, h, fill):
    return '<rect x="%g" y="%g" width="%g" height="%g" fill="%s"/>' % (x, y, w, h, fill)


def draw(row, y):
    out = []
    for start, text, (fore, back, bold, dim) in runs(row):
        x = MARGIN + start * CELL_W
        if back:
            out.append(rect(x, y, len(text) * CELL_W, CELL_H, back))
        for i, c in enumerate(text):
            at = x + i * CELL_W
            if c in EIGHTHS[1:]:
                out.append(rect(at, y + 3, CELL_W * EIGHTHS.index(c) / 8, CELL_H - 6, fore))
            elif c == "\u2502":
                out.append(rect(at + CELL_W / 2 - 0.75, y + 1, 1.5, CELL_H - 2, fore))
            elif c == "\u2500":
                out.append(rect(at, y + CELL_H / 2, CELL_W, 1, fore))
        for word in re.finditer("[^ \u2500\u2502\u2588-\u258f]+(?: [^ \u2500\u2502\u2588-\u258f]+)*", text):
            more = ' font-weight="bold"' if bold else ""
            more += ' opacity="0.65"' if dim else ""
            out.append('<text x="%d" y="%d" textLength="%d" fill="%s"%s>%s</text>' % (
                x + word.start() * CELL_W, y + BASE, len(word.group()) * CELL_W, fore, more,
                escape(word.group())))
    return out


def main():
    width, height, title = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    lines = sys.stdin.read().split("\n")[:height]
    w, h = width * CELL_W + 2 * MARGIN, height * CELL_H + 2 * MARGIN
    out = ['<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" '
           'font-family="%s" font-size="13" xml:space="preserve" role="img">' % (w, h, w, h, FONT),
           "<title>%s</title>" % escape(title),
           '<rect width="%d" height="%d" rx="6" fill="%s"/>' % (w, h, PAPER)]
    style = Style()  # it goes on from line to line
    for i, line in enumerate(lines):
        out += draw(cells(line, width, style), MARGIN + i * CELL_H)
    print("\n".join(out + ["</svg>"]))


main()
