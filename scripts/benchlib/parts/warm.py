"""With nothing new: scans and reports over many files, and reports over a year of responses."""
from .. import programs, trees
from ..measure import BENCH, environment, interleaved, least, median, milliseconds, quickly, run, warm
from ..targets import Results, shown
from .scan import check, cold

STATE = BENCH / "state-warm"
REPORTS = {"daily": ["daily"], "monthly": ["monthly"], "session": ["session", "--last", "20"]}


def many_files(files, folders):
    """A tree of small logs and its ledger, scanned once."""
    logs = trees.small_files(files, folders)
    warm(logs)
    cold(logs, STATE)
    check(logs, STATE)
    return logs


def nothing_new(logs, rounds):
    """Runs of `scan`, and of `daily` that looks at the logs first."""
    daily = [programs.tallyd(), "daily", "--timezone", "UTC", "--state-dir", STATE]
    commands = {"scan": programs.scan(logs, STATE), "daily": daily}
    return interleaved(rounds, quickly(commands, environment(logs)))


def report(state, name, *more):
    """The command of a report that looks at the ledger only."""
    return [programs.tallyd(), *REPORTS[name], "--no-scan", "--timezone", "UTC", "--state-dir", state, *more]


def reports(state, logs, rounds):
    """Runs of each report as a table and as JSON."""
    commands = {name: report(state, name) for name in REPORTS}
    commands |= {f"{name} --json": report(state, name, "--json") for name in REPORTS}
    return interleaved(rounds, quickly(commands, environment(logs)))


def peak(command, logs):
    """Peak memory, exact below 9 MB as well."""
    return max(run(command, environment(logs)).peak for _ in range(3))


def measure(options):
    results, rows = Results("warm"), []
    sizes = [(200, 20), (2_000, 200)] if options.quick else [(2_000, 200), (20_000, 2_000)]
    for files, folders in sizes:
        logs = many_files(files, folders)
        runs = nothing_new(logs, options.repeats)
        peaks = {"scan": peak(programs.scan(logs, STATE), logs)}
        for name, those in runs.items():
            rows.append([f"`{name}`, {files:,} files in {folders:,} folders", shown(milliseconds(those), "ms"),
                         shown(least(those), "ms"), shown(1e3 * median(those, "cpu"), "ms"),
                         f"{peaks[name]:.1f}" if name in peaks else ""])
            if files >= 2_000:
                results.figure(f"warm.{name}_{files}", milliseconds(those), least=least(those))
    responses = 10_000 if options.quick else trees.A_YEAR
    logs = trees.year(responses)
    cold(logs, STATE)
    check(logs, STATE)
    for name, those in reports(STATE, logs, options.repeats).items():
        asked = " ".join(REPORTS[name.split()[0]] + name.split()[1:])
        rows.append([f"`{asked}`, {responses:,} responses", shown(milliseconds(those), "ms"),
                     shown(least(those), "ms"), shown(1e3 * median(those, "cpu"), "ms"),
                     f"{peak(report(STATE, *name.split()), logs):.1f}"])
        if responses == trees.A_YEAR and name in REPORTS:
            results.figure(f"report.{name}", milliseconds(those), least=least(those))
    results.table("Nothing new", ["", "wall, median", "wall, least", "CPU", "peak MB"], rows)
    results.note(f"Medians of {options.repeats} runs, one after the other in turn. Reports over responses look at the "
                 f"ledger only (`--no-scan`); the others look at the logs first.")
    return results
