"""Following: benches/follow.rs, one append at a time and then 10,000 lines a second."""
import json
import os
import subprocess

from .. import programs
from ..measure import fail
from ..targets import Results, shown


def figures(*arguments):
    """The last line of benches/follow.rs."""
    variables = os.environ | {"TALLYD_BIN": str(programs.tallyd())}
    done = subprocess.run([programs.bench("follow"), *arguments], env=variables, stdout=subprocess.PIPE, text=True)
    lines = done.stdout.splitlines()
    return json.loads(lines[-1]) if lines and lines[-1].startswith("{") else fail("benches/follow.rs gave no figures")


def measure(options):
    results = Results("follow")
    alone = figures()
    seconds = 3 if options.quick else 12
    many = figures("--sustained", str(seconds))
    results.figure("follow.p50", alone["p50_us"] / 1e3)
    results.figure("follow.p99", alone["p99_us"] / 1e3)
    results.figure("follow.lag", many["behind_at_end_us"] / 1e3,
                   f"{many['most_behind']:,} lines behind at most, {many['most_behind_late']:,} in the last quarter")
    share = 100 * many["cpu_us"] / (many["took_us"] + many["behind_at_end_us"])
    results.figure("follow.cpu", share)
    rows = [
        [f"{alone['appends']:,} appends, 1 to 2 ms apart, 8 files", shown(alone["cpu_us"] / alone["appends"], "µs")],
        [f"{many['lines']:,} lines, 10,000 a second, 200 files", shown(many["cpu_us"] / many["lines"], "µs")],
    ]
    results.table("Following, CPU of the daemon", ["", "for each line"], rows)
    rate = many["lines"] / many["took_us"] * 1e6
    results.note(f"Sustained for {many['took_us'] / 1e6:.1f} s with {rate:,.0f} lines a second of 1.5 kB.")
    return results
