#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Is every message that a user can meet in messages.txt, and is what stands there true?

    messages.py TOP          compares; prints what is wrong
    messages.py TOP FILE...  prints the rows that the messages of those sources would have

What counts as a message is found in the sources themselves. Of a script (SCRIPTS) it is what it says
or dies with, and what it echoes to standard error. In C it is each string literal of one line with a
blank in it, but in calls that no user reads (QUIET); of sources that fill screens and files (SCREENS) only those
in calls that tell (TELLS); and each text, if only of a word, that goes to the log. A literal that is
no message all the same has a row that says so.

Conversions (%s, %llu) and what a script puts in ($name, $(command)) are written %, the newline at the end and blanks at both ends are left out,
and what the preprocessor puts in (DEFAULT_CONFIG) is %, too.
"""
import fnmatch
import glob
import os
import re
import sys

SOURCES = ("*.c", "tests/sim/main.c", "tests/sim/play.c", "tests/sim/scenario*.c")
SCRIPTS = ("packaging/build", "packaging/instances", "bench/demo")
SCREENS = ("conf_keys.c", "status*.c", "snapshot.c", "plan_print.c", "top_*.c", "tests/sim/main.c")
TELLS = re.compile(r"log_\w+|\w*complain\w*|conf_error_add|usage_error|die|note\w*|refuse\w*|"
                   r"(fprintf|fputs|vfprintf):stderr")
QUIET = re.compile(r"v?f?printf|f?puts|putc|f?open|opendir|disks_attr\w*|queue_u64|strn?cmp|strstr|strlen|"
                   r"strpbrk|_Static_assert|assert|openlog|posix_spawn|memfd_create|pack_begin|"
                   r"fuse_opt_add_arg|popen|addstr|mvaddstr")

ANY = "e2e/countdown.sh any"

TOKEN = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|[A-Za-z_]\w*|\s+|.', re.S)
CONVERSION = re.compile(r"%[-+ #0]*(?:\*|\d+)?(?:\.(?:\*|\d+))?(?:hh|h|ll|l|z|j|t)?[a-zA-Z]")
SENTENCE = re.compile(r"""[^\s] [^\s]""")
ESCAPES = {"n": "\n", "t": "\t", "r": "\r", '"': '"', "\\": "\\"}


def tokens_of(text):
    """(token, line) without blanks, comments and #include."""
    found, line = [], 1
    for match in TOKEN.finditer(re.sub(r"(?m)^#include.*$", "", text)):
        token = match.group(0)
        if not token.isspace() and not token.startswith(("/*", "//")):
            found.append((token, line))
        line += token.count("\n")
    return found


def plain(text):
    """A literal as it is written in the table."""
    text = re.sub(r"\\([ntr\"\\])", lambda m: ESCAPES[m.group(1)], text)
    text = CONVERSION.sub("%", text.replace("%%", "\0")).replace("\0", "%%")
    return " ".join(text.split())


def stream_of(tokens, at):
    """Of the call whose ( is there, stderr if that is an argument."""
    depth, last, first = 0, "", tokens[at + 1][0]
    for token, _ in tokens[at:]:
        depth += token == "("
        depth -= token == ")"
        if not depth:
            break
        last = token
    return "stderr" if "stderr" in (first, last) else "other"


def literals(path):
    """(line, text, calls it stands in, innermost last, is it their first one, has it several lines)."""
    with open(path, encoding="utf-8") as source:
        tokens = tokens_of(source.read())
    calls, at, found = [], 0, []
    while at < len(tokens):
        token, line = tokens[at]
        if token in "([{":
            name = tokens[at - 1][0] if token == "(" and at else token
            if name in ("fprintf", "vfprintf", "fputs"):
                name += ":" + stream_of(tokens, at)
            calls.append([name, 0])
        elif token in ")]}" and calls:
            calls.pop()
        elif token[0] == '"':
            text = ""
            while at < len(tokens):
                token = tokens[at][0]
                if token[0] == '"':
                    text += token[1:-1]
                elif token.startswith("PRI"):
                    text += "u"
                elif re.fullmatch(r"[A-Z][A-Z_0-9]+", token):
                    text += "%s"
                else:
                    break
                at += 1
            names = [c[0] for c in calls if re.match(r"[A-Za-z_]", c[0])]
            for call in calls:
                call[1] += 1
            found.append((line, plain(text), names, bool(calls) and calls[-1][1] == 1,
                          r"\n" in text.strip(r"\n")))
            continue
        at += 1
    return found


def quoted(text, at):
    """What is between double quotes of a script, from there on, with % for expansions, and where it ends."""
    found = ""
    while text[at] != '"':
        if text[at] == "\\":
            at += 1
        expansion = re.match(r"\$(\w+|[@*#?!-])", text[at:])
        if expansion:
            found, at = found + "%", at + expansion.end()
        elif text[at:at + 2] in ("$(", "${"):
            depth, at = 1, at + 2
            while depth:
                depth += (text[at] in "({") - (text[at] in ")}")
                at += 1
            found += "%"
        else:
            found, at = found + text[at], at + 1
    return found, at + 1


def script_messages(path):
    """{message: line} of a script."""
    found = {}
    with open(path, encoding="utf-8") as source:
        for number, line in enumerate(source, 1):
            for match in re.finditer(r'(?:^|[\t ;|{])(say|die|echo) "', line):
                if line.lstrip().startswith("#"):
                    continue
                text, end = quoted(line, match.end())
                if re.search("[A-Za-z]{3}", text) and (match.group(1) != "echo" or ">&2" in line[end:]):
                    found.setdefault(" ".join(text.split()), number)
    return found


def messages(top, path):
    """{message: line} of a source."""
    name = os.path.relpath(path, top)
    if name in SCRIPTS:
        return script_messages(path)
    screen = any(fnmatch.fnmatch(name, s) for s in SCREENS)
    found = {}
    for line, text, calls, first, several in literals(path):
        tells = any(TELLS.fullmatch(c) for c in calls)
        logs = any(c.startswith("log_") for c in calls)
        if several or not re.search("[A-Za-z]{3}", text): # a help, what the service manager is told
            continue
        if not (SENTENCE.search(text) or (logs and first)):
            continue
        if not tells and (screen or (calls and QUIET.match(calls[-1]))):
            continue
        found.setdefault(text, line)
    return found


def sources(top):
    return sorted(p for s in SOURCES + SCRIPTS for p in glob.glob(os.path.join(top, s)))


# ---- what tests contain ----

TEXTS = {}


def text_of(top, test):
    """Of a test, without comments: literals of C, joined; of a script all, and what is escaped is not."""
    if test not in TEXTS:
        path = os.path.join(top, "tests", test)
        if test.endswith((".c", ".h")):
            TEXTS[test] = "\n".join(l[1] for l in literals(path))
        else:
            with open(path, encoding="utf-8", errors="replace") as file:
                text = re.sub(r"(?m)^\s*#.*$", "", file.read())
            TEXTS[test] = " ".join(text.replace("\\", "").split())
    return TEXTS[test]


def pieces(message):
    """What is constant in it, the longest first."""
    found = [p.strip(" :;,()") for p in message.replace("%%", "\0").split("%")]
    return sorted((p.replace("\0", "%%") for p in found), key=len, reverse=True)


def tests_of(top):
    found = []
    for folder in ("e2e", "unit", "sim", "docs", "fuzz"):
        for ending in ("*.sh", "test_*.c"):
            found += glob.glob(os.path.join(top, "tests", folder, ending))
    return sorted(os.path.relpath(p, os.path.join(top, "tests")) for p in found)


def suggest(top, message):
    """The test that has most of the message."""
    piece = pieces(message)[0]
    words = piece.split()
    for length in range(len(words), 1, -1):
        for start in range(len(words) - length + 1):
            part = " ".join(words[start:start + length])
            if len(part) < 12 and length < len(words):
                continue
            for test in tests_of(top):
                if part in text_of(top, test):
                    return test if part == piece else '%s "%s"' % (test, part)
    if len(words) == 1:
        for test in tests_of(top):
            if piece in text_of(top, test):
                return test
    return "no: WHY"


# ---- the table ----

def read_table(path, complain):
    """{(file, message): (where, do, test)}"""
    table, file = {}, None
    with open(path, encoding="utf-8") as rows:
        for number, row in enumerate(rows, 1):
            row = row.rstrip("\n")
            if not row or row.startswith("#"):
                continue
            if re.fullmatch(r"\[\S+\]", row):
                file = row[1:-1]
                continue
            columns = row.rsplit(" | ", 3)
            if not file or len(columns) != 4:
                complain("messages.txt:%d: is not MESSAGE | WHERE | DO | TEST below a [FILE]" % number)
                continue
            if (file, columns[0]) in table:
                complain("messages.txt:%d: stands there twice: %s" % (number, columns[0]))
            table[file, columns[0]] = (number, *columns[1:])
    return table


def check_row(top, message, row, complain):
    number, where, do, test = row
    place = "messages.txt:%d: " % number

    def quotation(what, text):
        if text[0] != '"' or text[-1] != '"' or len(text) < 3:
            complain(place + "%s is neither a word that the head of the table knows nor a quotation: %s" %
                     (what, text))
        elif text[1:-1] not in message:
            complain(place + "%s is not in the message: %s" % (what, text))

    if where == "-":
        if do != "-" or not test.startswith("no message: "):
            complain(place + "- | - | no message: WHY is for what is none")
        return
    if where not in ("conf", "path", "whole", "part"):
        quotation("WHERE", where)
    if do not in ("says", "info", "part") and not re.match(r"none: .{8}", do):
        quotation("DO", do)
    if where == "whole" and do == "says" and message.endswith(": %"):
        complain(place + "the name of an error, of nothing in particular, does not say what to do")
    if test.startswith("no: "):
        if len(test) < 12:
            complain(place + "TEST does not say why not")
        return
    if test == ANY:
        return
    match = re.fullmatch(r'(\S+)(?: "(.*)")?', test)
    if not match or not os.path.exists(os.path.join(top, "tests", match.group(1))):
        complain(place + "TEST is neither a test, nor TEST \"WORDS\", nor no: WHY: %s" % test)
        return
    words = match.group(2) or pieces(message)[0]
    if words not in message:
        complain(place + "those words are not in the message: %s" % words)
    elif words not in text_of(top, match.group(1)):
        complain(place + "tests/%s does not contain: %s" % (match.group(1), words))


HELP = """
Of a new message add a row to tests/docs/messages.txt, below [FILE]; of one that was changed or removed
change or remove the row. Say in the message what is wrong, where, and what to do, and name a test that
provokes it. The head of the table explains the columns; a start is what this prints:

    tests/docs/messages.py . FILE.c
"""


def compare(top):
    wrong = []
    table = read_table(os.path.join(top, "tests/docs/messages.txt"), wrong.append)
    left = dict(table)
    for path in sources(top):
        name = os.path.relpath(path, top)
        for message, line in messages(top, path).items():
            row = left.pop((name, message), None)
            if row:
                check_row(top, message, row, wrong.append)
            else:
                wrong.append("%s:%d: has no row in the table: %s" % (name, line, message))
    for (name, message), row in left.items():
        wrong.append("messages.txt:%d: is not in %s any more: %s" % (row[0], name, message))
    if wrong:
        print("\n".join(wrong))
        print(HELP)
        return 1
    told = sum(r[1] != "-" for r in table.values())
    print("%d messages, %d of them provoked by a test that is named" %
          (told, sum(r[1] != "-" and not r[3].startswith("no: ") for r in table.values())))
    return 0


def main():
    top = sys.argv[1]
    if len(sys.argv) == 2:
        return compare(top)
    known = read_table(os.path.join(top, "tests/docs/messages.txt"), print)
    for name in sys.argv[2:]:
        print("[%s]" % name)
        for message in messages(top, os.path.join(top, name)):
            row = known.get((name, message))
            if row:
                print(" | ".join((message,) + row[1:]))
            else:
                print("%s | WHERE | DO | %s" % (message, suggest(top, message)))
        print()
    return 0


sys.exit(main())
