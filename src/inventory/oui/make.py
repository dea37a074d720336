#!/usr/bin/env python3
"""Makes makers.txt.gz from the IEEE registries as Debian packages them (package ieee-data).

    apt-get install ieee-data && ./make.py /usr/share/ieee-data makers.txt.gz

Made to be searched as it is: a line with the number of blocks, then a line of 17 bytes for each block, in order (its
prefix in hex, filled with dots to nine digits, and where its maker stands among the names, in hex), then the makers' names,
one a line. The same registries give the same bytes. Entries that name nobody ("Private", and the registry's own blocks
that it hands out in parts) are left out; of a block that is listed twice the last name counts.
"""
import csv
import gzip
import pathlib
import sys

NOBODY = {"Private", "IEEE Registration Authority", ""}

source, target = map(pathlib.Path, sys.argv[1:])
makers = {}
for registry in ("oui.csv", "mam.csv", "oui36.csv", "iab.csv"):
    with open(source / registry, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            name, prefix = " ".join(row["Organization Name"].split()), row["Assignment"].lower()
            if name not in NOBODY:
                makers[prefix] = max(makers.get(prefix, ""), name)

places, names = {}, ""
for name in sorted(set(makers.values())):
    places[name] = len(names.encode())
    names += f"{name}\n"
blocks = "".join(f"{prefix:.<9} {places[name]:06x}\n" for prefix, name in sorted(makers.items()))
with open(target, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as file:
    file.write(f"{len(makers)}\n{blocks}{names}".encode())
