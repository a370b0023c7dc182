#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Is standard input the text format of Prometheus (0.0.4), and does it keep its rules?

Stricter than a scraper: every metric has HELP and TYPE, once, before its samples, which stand
together; no series twice; counters end in _total and are not negative; buckets only grow, up to
+Inf, which is the count; summaries have quantiles in order, a sum and a count. Prints what is wrong,
or how many samples there were.
"""
import re
import sys

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"'
SAMPLE = re.compile(r"(%s)(?:\{(%s(?:,%s)*)\})? (NaN|[+-]?Inf|-?\d+(?:\.\d+)?)$" %
                    (NAME, LABEL, LABEL))
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("", "_sum", "_count")}
wrong = []


def complain(number, text):
    wrong.append("line %d: %s" % (number, text))


def family_of(name, types):
    if name in types:
        return name
    for suffix in ("_bucket", "_sum", "_count"):
        if name.endswith(suffix) and name[:-len(suffix)] in types:
            return name[:-len(suffix)]
    return None


def check_distribution(family, kind, series):
    """series: labels without le and quantile -> suffix -> list of (bound, value)."""
    for labels, parts in series.items():
        points = parts.get("_bucket" if kind == "histogram" else "", [])
        bounds = [float(bound) for bound, _ in points]
        where = "%s%s" % (family, dict(labels))
        if not points or bounds != sorted(set(bounds)):
            wrong.append("%s: bounds are not in order: %s" % (where, bounds))
        if "_sum" not in parts or "_count" not in parts:
            wrong.append("%s: no sum or no count" % where)
            continue
        if kind == "histogram":
            counts = [value for _, value in points]
            if counts != sorted(counts):
                wrong.append("%s: buckets get smaller" % where)
            if bounds[-1:] != [float("inf")] or counts[-1] != parts["_count"][0][1]:
                wrong.append("%s: +Inf is not the count" % where)


def main():
    text = sys.stdin.read()
    types, helps, closed, seen, families = {}, {}, set(), set(), {}
    current, samples = None, 0
    if not text.endswith("\n"):
        wrong.append("the last line has no end")
    for number, line in enumerate(text.split("\n")[:-1], 1):
        comment = re.match(r"# (HELP|TYPE) (%s) (.+)$" % NAME, line)
        if comment:
            what, name, rest = comment.groups()
            table = helps if what == "HELP" else types
            if name in table or name in closed or name in families:
                complain(number, "%s of %s comes twice or late" % (what, name))
            table[name] = rest
            if what == "TYPE" and rest not in ("counter", "gauge", "histogram", "summary"):
                complain(number, "no type: " + rest)
            continue
        sample = SAMPLE.match(line)
        if not sample:
            complain(number, "no sample: " + line)
            continue
        name, labels, value = sample.group(1), sample.group(2) or "", float(sample.groups()[-1])
        pairs = re.findall(LABEL, labels)
        family = family_of(name, types)
        if not family or family not in helps:
            complain(number, "no HELP and TYPE before " + name)
            continue
        if family != current:
            if family in closed:
                complain(number, "the samples of %s do not stand together" % family)
            closed.add(current)
            current = family
        kind, suffix = types[family], name[len(family):]
        if suffix not in SUFFIXES.get(kind, ("",)):
            complain(number, "%s is no sample of a %s" % (name, kind))
        if len(dict(pairs)) != len(pairs) or (name, tuple(sorted(pairs))) in seen:
            complain(number, "the same label or series twice")
        seen.add((name, tuple(sorted(pairs))))
        if kind == "counter" and (not name.endswith("_total") or value < 0):
            complain(number, "a counter is negative or not called _total")
        bound = dict(pairs).get("le" if kind == "histogram" else "quantile", "0")
        rest = tuple(p for p in pairs if p[0] not in ("le", "quantile"))
        families.setdefault(family, {}).setdefault(rest, {}).setdefault(suffix, []).append(
            (bound.replace("+Inf", "inf"), value))
        samples += 1
    for family, series in families.items():
        if types[family] in SUFFIXES:
            check_distribution(family, types[family], series)
    for name in types:
        if name not in families:
            wrong.append("%s has no samples" % name)
    print("\n".join(wrong) if wrong else "%d samples" % samples)
    return 1 if wrong or not samples else 0


sys.exit(main())
