"""The ledger after a year of a heavy user: its size, and how fast it is filled."""
import shutil
import statistics

from .. import trees
from ..measure import BENCH, size_of, warm
from ..targets import Results
from .scan import check, cold

STATE = BENCH / "state-ledger"
# Seconds after which one scan has to do.
ENOUGH = 10


def measure(options):
    results = Results("ledger")
    responses = 10_000 if options.quick else trees.A_YEAR
    logs = trees.year(responses)
    warm(logs)
    runs = [cold(logs, STATE)]
    while len(runs) < 3 and sum(run.wall for run in runs) < ENOUGH:
        runs.append(cold(logs, STATE))
    check(logs, STATE)
    rate = responses / statistics.median(run.wall for run in runs)
    lines = sum(path.read_bytes().count(b"\n") for path in logs.rglob("*.jsonl"))
    size = size_of(STATE)
    rows = [[path.name, f"{path.stat().st_size / 1e6:.1f}", f"{path.stat().st_size / responses:.1f}"]
            for path in sorted(STATE.iterdir())]
    rows.append(["the state folder", f"{size / 1e6:.1f}", f"{size / responses:.1f}"])
    results.table(f"A ledger of {responses:,} responses", ["", "MB", "bytes a response"], rows)
    results.note(f"{responses:,} responses of {lines:,} lines, {size_of(logs) / 1e9:.2f} GB of logs of the least that "
                 f"a response needs: a year of a heavy user, 2,740 responses a day in eight sessions with two sub-"
                 f"agents each, 40 projects, three models.")
    results.note("`tallyd run` keeps a backup beside it that is as large again.")
    results.note(f"Taken in by `tallyd scan` with {rate:,.0f} responses and {rate * lines / responses:,.0f} lines a "
                 f"second, {statistics.median(run.cpu for run in runs):.2f} s of CPU, "
                 f"peak {max(run.peak for run in runs):.1f} MB.")
    if not options.quick:
        results.figure("ledger.bytes", size / responses, f"{size / 1e6:.0f} MB for a year of a heavy user")
        results.figure("ledger.ingest", rate, "`tallyd scan`, reading and parsing included")
    shutil.rmtree(STATE)
    return results
