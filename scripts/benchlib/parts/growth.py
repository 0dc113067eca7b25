"""Growth over three decades: time and memory against bytes, files and responses."""
import shutil

from .. import programs, trees
from ..measure import BENCH, least, warm
from ..plot import exponent, number
from ..targets import Results, shown
from .scan import check, cold
from .warm import REPORTS, STATE, many_files, nothing_new, peak, report, reports

LEDGER = BENCH / "state-growth"


def over_bytes(results, sizes, options):
    """Cold scans."""
    times, peaks = [], []
    for size in sizes:
        logs = trees.generated(size, options.seed)
        warm(logs)
        runs = [cold(logs, LEDGER) for _ in range(3)]
        check(logs, LEDGER)
        count = trees.truth(logs)["bytes"]
        times.append((count, least(runs) / 1e3))
        peaks.append((count, max(one.peak for one in runs)))
    results.series.append(plot("cold", "Cold scan", "bytes of logs", "seconds", {"scan": times}))
    results.series.append(plot("memory-cold", "Cold scan, memory", "bytes of logs", "MB", {"peak": peaks}))
    return times, peaks


def over_files(results, sizes):
    """Scans with nothing new."""
    times, peaks = [], []
    for files in sizes:
        logs = many_files(files, max(20, files // 10))
        times.append((files, least(nothing_new(logs, 11)["scan"])))
        peaks.append((files, peak(programs.scan(logs, STATE), logs)))
    results.series.append(plot("warm", "Scan with nothing new", "files", "milliseconds", {"scan": times}))
    results.series.append(plot("memory-warm", "Scan with nothing new, memory", "files", "MB", {"peak": peaks}))
    return times, peaks


def over_responses(results, sizes):
    """Reports that look at the ledger only."""
    times, peaks = {name: [] for name in REPORTS}, []
    for responses in sizes:
        logs = trees.year(responses)
        cold(logs, LEDGER)
        check(logs, LEDGER)
        for name, runs in reports(LEDGER, logs, 11).items():
            if name in times:
                times[name].append((responses, least(runs)))
        peaks.append((responses, max(peak(report(LEDGER, name), logs) for name in REPORTS)))
    named = {" ".join(REPORTS[name]): points for name, points in times.items()}
    results.series.append(plot("report", "Reports", "responses in the ledger", "milliseconds", named))
    results.series.append(plot("memory-report", "Reports, memory", "responses in the ledger", "MB", {"peak": peaks}))
    return times, peaks


def plot(name, title, x_name, y_name, series):
    return {"name": name, "title": title, "x": x_name, "y": y_name, "series": series}


def measure(options):
    results = Results("growth")
    few = options.quick
    cold_times, cold_peaks = over_bytes(results, ["1M", "10M", "100M"] if few else ["10M", "100M", "1000M"], options)
    warm_times, warm_peaks = over_files(results, [20, 200, 2_000] if few else [200, 2_000, 20_000])
    report_times, report_peaks = over_responses(results, [100, 1_000, 10_000] if few else [10_000, 100_000, 1_000_000])
    results.figure("growth.cold", worst(cold_times))
    results.figure("growth.warm", worst(warm_times))
    results.figure("growth.report", max(worst(points) for points in report_times.values()))
    for key, peaks in (("cold", cold_peaks), ("warm", warm_peaks), ("report", report_peaks)):
        results.figure(f"growth.memory_{key}", 10 ** worst(peaks))
    rows = [[one["title"], name, one["y"], *(f"{shown(y, '')} at {number(x)}" for x, y in points),
             f"{exponent(points):.2f}"]
            for one in results.series for name, points in one["series"].items()]
    results.table("Growth", ["", "", "in", "first", "tenfold", "hundredfold", "exponent"], rows)
    results.note("Times are the least of some runs: what others do on the machine only adds to them.")
    results.note("An exponent is the slope of a line through the logarithms; a target is held against the steeper of "
                 "that line and the last decade, where what a start costs weighs least.")
    shutil.rmtree(LEDGER)
    return results


def worst(points):
    """The exponent over all sizes, or between the last two where that is more."""
    return max(exponent(points), exponent(points[-2:]))
