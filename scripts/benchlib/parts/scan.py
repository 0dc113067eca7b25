"""The cold scan: a tree into an empty ledger, beside the peers and the bare limit, pair by pair."""
import json
import shutil
from decimal import Decimal

from .. import programs, trees
from ..measure import BENCH, Failed, environment, fail, interleaved, median, quickly, ratio, run, size_of, warm
from ..peers import peers, wrong
from ..targets import Results, shown

KEYS = [
    ("inputTokens", "input"),
    ("outputTokens", "output"),
    ("cacheCreation5mTokens", "cache_5m"),
    ("cacheCreation1hTokens", "cache_1h"),
    ("cacheReadTokens", "cache_read"),
    ("messageCount", "messages"),
]
STATE = BENCH / "state"


def cold(logs, state=STATE):
    """A scan into an empty ledger."""
    shutil.rmtree(state, ignore_errors=True)
    return run(programs.scan(logs, state), environment(logs))


def check_totals(report, truth):
    """Totals, and every day where the truth has days, equal the truth, cost to a millionth of a dollar."""
    answer = json.loads(report, parse_float=Decimal)
    rows = {row["date"]: row for row in answer["daily"]} | {"totals": answer["totals"]}
    expected = truth.get("by_day", {}) | {"totals": truth["totals"]}
    if "by_day" in truth and set(rows) != set(expected):
        fail(f"days differ from the truth: {sorted(set(rows) ^ set(expected))}")
    for day, figures in expected.items():
        for ours, theirs in KEYS:
            if rows[day][ours] != figures[theirs]:
                fail(f"{day} {ours}: {rows[day][ours]}, the truth is {figures[theirs]}")
        if "cost" in figures and abs(Decimal(rows[day]["totalCost"]) - Decimal(figures["cost"])) > Decimal("0.000001"):
            fail(f"{day} totalCost: {rows[day]['totalCost']}, the truth is {figures['cost']}")


def check(logs, state=STATE):
    """The ledger of a scan of a tree is the tree's truth."""
    check_totals(run(programs.daily(state), environment(logs)).out, trees.truth(logs))


def contestants(logs, options):
    """What is run, by name, and sentences on what could not be had."""
    found, missing = peers()
    limit = programs.bench("limit")
    started = {"tallyd scan": lambda: cold(logs)}
    for peer in found:
        started[f"{peer.name} {peer.version}"] = lambda peer=peer: peer.run(logs)
    if limit:
        for threads in (2, 1):
            command = [limit, logs, "--threads", threads]
            name = f"bare limit, {threads} thread{'s' * (threads > 1)}"
            started[name] = lambda command=command: run(command, environment(logs))
    return started, missing


def check_limit(runs, truth):
    """A limit that counts wrong is none."""
    for found in (json.loads(run.out) for name, those in runs.items()
                  if name.startswith("bare limit") and not isinstance(those, str) for run in those):
        off = {name: found[name] for name, value in truth["totals"].items() if found.get(name, value) != value}
        if off:
            fail(f"the bare limit counts {off}, the truth is {truth['totals']}")


def side_by_side(results, runs, truth):
    """The table of all programs."""
    ours, rows = runs["tallyd scan"], []
    for name, theirs in runs.items():
        if isinstance(theirs, str):
            rows.append([name, "–", "–", "–", "–", "–", f"failed: {theirs}"])
            continue
        is_ours = name == "tallyd scan"
        # Those of tallyd and of the limit have ended this where they were wrong.
        sums = "right, day by day" if is_ours else wrong(theirs[0].out, truth["totals"])
        ratios = ["1", "1"] if is_ours else [f"{ratio(theirs, ours, figure):.2f}" for figure in ("wall", "cpu")]
        rows.append([name, f"{median(theirs, 'wall'):.3f}", f"{median(theirs, 'cpu'):.3f}",
                     f"{max(run.peak for run in theirs):.1f}", *ratios, sums])
    head = ["", "wall s", "CPU s", "peak MB", "wall / tallyd", "CPU / tallyd", "sums against the truth"]
    results.table("Cold scan, side by side", head, rows)


def measure_cold(results, options):
    logs = trees.generated(options.bytes, options.seed)
    warm(logs)
    started, missing = contestants(logs, options)
    runs = interleaved(options.rounds, started)
    ours, truth = runs["tallyd scan"], trees.truth(logs)
    if isinstance(ours, str):
        fail(ours)
    check(logs)
    check_limit(runs, truth)
    results.note(f"{truth['bytes'] / 1e9:.3f} GB in {truth['files']:,} files, {truth['totals']['messages']:,} "
                 f"responses, {options.rounds} interleaved rounds, medians; ratios are medians of the ratios of each "
                 f"round. tallyd's totals and days equal the generator's truth in this run.")
    results.notes += [f"{name} is not in the table: {why}." for name, why in missing.items()]
    side_by_side(results, runs, truth)
    figures(results, {name: run for name, run in runs.items() if not isinstance(run, str)}, truth["totals"])
    if options.bytes in ("1G", "1000M"):
        results.figure("cold.peak", max(run.peak for run in ours))


def figures(results, runs, totals):
    ours = runs["tallyd scan"]
    ccusage = next((run for name, run in runs.items() if name.startswith("ccusage")), None)
    if ccusage:
        results.figure("cold.ccusage_wall", ratio(ccusage, ours, "wall"))
        results.figure("cold.ccusage_cpu", ratio(ours, ccusage, "cpu"))
    theirs = [name for name in runs if not name.startswith(("tallyd", "bare"))]
    if len(theirs) > 1:
        fastest = min(theirs, key=lambda name: median(runs[name], "wall"))
        is_right = wrong(runs[fastest][0].out, totals) == "right"
        detail = fastest if is_right else f"{fastest}, whose sums are wrong"
        results.figure("cold.peer_wall", ratio(runs[fastest], ours, "wall"), detail)
    limit = runs.get("bare limit, 2 threads")
    if limit:
        results.figure("cold.limit_wall", ratio(ours, limit, "wall"))


def measure_peaks(results, options):
    """Peak memory with a line that is longer than what tallyd reads, and with 4 GB where that is asked for."""
    logs = trees.long_line(100)
    found = cold(logs)
    check(logs)
    rows = [["a line of 100 MB between two responses", f"{found.wall:.3f}", f"{found.peak:.1f}"]]
    results.figure("cold.peak_line", found.peak)
    if options.large:
        logs = trees.generated("4G", options.seed)
        warm(logs)
        found = cold(logs)
        check(logs)
        results.figure("cold.peak_large", found.peak)
        rows.append([f"{trees.truth(logs)['bytes'] / 1e9:.2f} GB", f"{found.wall:.3f}", f"{found.peak:.1f}"])
    else:
        results.figure("cold.peak_large", None, "only with `--large`")
    results.table("Cold scan, other trees", ["", "wall s", "peak MB"], rows)


def measure_again(results, options):
    """The same tree with nothing new; `daily` once with its look at the logs and once without."""
    logs = trees.generated(options.bytes, options.seed)
    cold(logs)
    report = [programs.tallyd(), "daily", "--json", "--timezone", "UTC", "--state-dir", STATE]
    commands = {"`scan`": programs.scan(logs, STATE), "`daily`": report, "`daily --no-scan`": programs.daily(STATE)}
    runs = interleaved(21, quickly(commands, environment(logs)))
    rows = [[name, shown(1e3 * median(those, "wall"), "ms"), shown(1e3 * median(those, "cpu"), "ms")]
            for name, those in runs.items()]
    results.table("The same tree again, nothing new", ["", "wall", "CPU"], rows)
    each = size_of(STATE) / trees.truth(logs)["totals"]["messages"]
    results.note(f"The ledger of that tree has {each:.0f} bytes for each response.")


def measure(options):
    results = Results("scan")
    try:
        measure_cold(results, options)
        measure_peaks(results, options)
        measure_again(results, options)
    except Failed as failure:
        fail(failure)
    return results
