#!/usr/bin/env python3
"""Makes makers.txt.gz from the IEEE registries as Debian packages them (package ieee-data).

    apt-get install ieee-data && ./make.py /usr/share/ieee-data makers.txt.gz

One line a maker: its name, a tab, and its prefixes in hex (6, 7 or 9 digits) with spaces between. Sorted by name, so
that the same registries give the same bytes. Entries that name nobody ("Private", and the registry's own blocks that
it hands out in parts) are left out.
"""
import collections
import csv
import gzip
import pathlib
import sys

NOBODY = {"Private", "IEEE Registration Authority", ""}

source, target = map(pathlib.Path, sys.argv[1:])
makers = collections.defaultdict(set)
for registry in ("oui.csv", "mam.csv", "oui36.csv", "iab.csv"):
    with open(source / registry, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            name = " ".join(row["Organization Name"].split())
            if name not in NOBODY:
                makers[name].add(row["Assignment"].lower())

text = "".join(f"{name}\t{' '.join(sorted(prefixes))}\n" for name, prefixes in sorted(makers.items()))
with open(target, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
    file.write(text.encode())
