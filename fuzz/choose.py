#!/usr/bin/env python3
"""Chooses the inputs of a fuzz target that are kept: choose.py CONTROL_FILE FOLDER

CONTROL_FILE is what libFuzzer writes with -set_cover_merge=1 -merge_control_file: the inputs, and what each of
them reaches. Always takes the input that reaches most that no input taken yet does, until there are 190 of them
or they have 190,000 bytes together, and copies them into FOLDER, named by their SHA-1.
"""
import hashlib
import heapq
import pathlib
import sys

MOST_INPUTS = 190
MOST_BYTES = 190_000


def reached(control_file):
    """The inputs, and for each the set of what it reaches."""
    lines = pathlib.Path(control_file).read_text(errors="surrogateescape").splitlines()
    count = int(lines[0])
    names, features = lines[2 : 2 + count], {}
    for line in lines[2 + count :]:
        kind, number, *rest = line.split(" ")
        if kind == "FT":
            features[int(number)] = {int(feature) for feature in rest if feature}
    return [(pathlib.Path(names[number]), found) for number, found in features.items()]


def chosen(inputs):
    """The best inputs; what each of them adds is looked up anew only when it comes first."""
    seen, taken, size = set(), [], 0
    waiting = [(-len(found), path.stat().st_size, place) for place, (path, found) in enumerate(inputs)]
    heapq.heapify(waiting)
    while waiting and len(taken) < MOST_INPUTS:
        adds, length, place = heapq.heappop(waiting)
        path, found = inputs[place]
        new = len(found - seen)
        if new == 0 or size + length > MOST_BYTES:
            continue
        if new < -adds:
            heapq.heappush(waiting, (-new, length, place))
            continue
        seen |= found
        size += length
        taken.append(path)
    return taken, size, len(seen), len(set().union(*(found for _, found in inputs)))


def main():
    taken, size, seen, there = chosen(reached(sys.argv[1]))
    for path in taken:
        text = path.read_bytes()
        (pathlib.Path(sys.argv[2]) / hashlib.sha1(text).hexdigest()).write_bytes(text)
    print(f"{len(taken)} inputs, {size} bytes, {seen} of {there} features")


main()
