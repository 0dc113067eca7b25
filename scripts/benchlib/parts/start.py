"""Starting: the version, the daemon on a ledger that is there, the size of the program, and the time to build it."""
import shutil
import statistics
import subprocess
import time

from .. import programs
from ..measure import BENCH, ROOT, Daemon, environment, interleaved, least, median, milliseconds, quickly
from ..targets import Results, shown
from .warm import STATE, many_files

PT_INTERP = 3


def is_static(program):
    """Whether an ELF program names no loader: then it needs no library."""
    data = program.read_bytes()
    if data[:5] != b"\x7fELF\x02":
        return False
    offset, size, count = (int.from_bytes(data[at:at + length], "little") for at, length in ((32, 8), (54, 2), (56, 2)))
    kinds = [int.from_bytes(data[offset + number * size:][:4], "little") for number in range(count)]
    return PT_INTERP not in kinds


def measure(options):
    results, program = Results("start"), programs.tallyd()
    commands = {"`tallyd --version`": [program, "--version"], "`true`, which does nothing": ["true"]}
    runs = interleaved(60 if options.quick else 300, quickly(commands, environment(BENCH)))
    version = runs["`tallyd --version`"]
    results.figure("start.version", milliseconds(version), least=least(version))
    rows = [[name, shown(milliseconds(those), "ms"), shown(least(those), "ms"),
             shown(1e3 * median(those, "cpu"), "ms")] for name, those in runs.items()]

    logs, readies = many_files(2_000, 200), []
    for _ in range(5 if options.quick else 21):
        daemon = Daemon(program, logs, STATE)
        readies.append(1e3 * daemon.ready)
        daemon.stop()
    results.figure("start.ready", statistics.median(readies), least=min(readies))
    rows.append(["`tallyd run` until it follows 2,000 files", shown(statistics.median(readies), "ms"),
                 shown(min(readies), "ms"), ""])
    results.table("Starting", ["", "wall, median", "wall, least", "CPU"], rows)
    size, kind = program.stat().st_size / 1e6, "static" if is_static(program) else "dynamic"
    results.figure("start.size", size, f"{kind} linkage")
    if options.build:
        results.note(f"Built from clean in {build():.0f} s (`cargo build --release --locked`, dependencies included).")
    return results


def build():
    """Seconds that a release takes in a folder where there is nothing."""
    folder = BENCH / "build"
    shutil.rmtree(folder, ignore_errors=True)
    begun = time.perf_counter()
    command = ["cargo", "build", "--release", "--locked", "--quiet", "--bin", "tallyd", "--target-dir", folder]
    subprocess.run(command, cwd=ROOT, check=True)
    took = time.perf_counter() - begun
    shutil.rmtree(folder)
    return took
