"""docs/performance.md and its plots, from what each part has measured last."""
from . import machine
from .measure import ROOT, fail, note
from .plot import svg
from .targets import TARGETS, is_reached, markdown, rows, saved

PAGE = ROOT / "docs" / "performance.md"
PLOTS = ROOT / "docs" / "performance"
HEAD = """# Performance

What tallyd promises of speed and footprint, and what a run of `scripts/bench all --write` has measured; it writes this
page. Other machines have other figures: the ratios carry over, the milliseconds less so. Files are in the page cache,
programs have no network, and all totals are checked against those of the logs in the same run.
"""
DETAILS = """
## In detail

Wall and CPU are medians in seconds, peaks the greatest of all runs.
"""


def write(parts):
    """Writes the page; parts that were never measured are told and left out."""
    found = {part: saved(part) for part in parts}
    for part in [part for part, results in found.items() if results is None]:
        note(f"note: `scripts/bench {part}` was not run yet: the page is without it")
    found = {part: results for part, results in found.items() if results}
    if not found:
        fail("nothing was measured yet: scripts/bench all")
    PLOTS.mkdir(parents=True, exist_ok=True)
    text = "\n".join([HEAD, machine_table(found), targets(found), DETAILS, *(detail(*part) for part in found.items())])
    PAGE.write_text(text.rstrip() + "\n")
    note(f"wrote {PAGE.relative_to(ROOT)}")


def machine_table(found):
    """On what and when. One date and version where all parts were run together."""
    body = machine.facts()
    loads = ", ".join(f"{part} {results['load']}" for part, results in found.items())
    body.append(["load as each part began, its predecessor included", loads])
    for name in ("date", "tallyd"):
        values = {part: results[name] for part, results in found.items()}
        one = set(values.values())
        told = one.pop() if len(one) == 1 else ", ".join(f"{part} {value}" for part, value in values.items())
        body.append([name, told])
    return markdown(["machine", ""], body).replace("--:", "---")


def targets(found):
    """A table for each group, and the reasons of what was not reached."""
    figures = {key: figure for results in found.values() for key, figure in results["figures"].items()}
    text, reasons = ["\n## Targets"], []
    judged = list(rows(figures))
    for group in dict.fromkeys(target["group"] for target in TARGETS):
        body = [row for target, row in judged if target["group"] == group]
        if body:
            text.append(f"\n### {group}\n\n" + markdown(["", "target", "measured", "reached"], body))
    for target, row in judged:
        if not is_reached(target, figures[target["key"]]["value"]):
            if not target["reason"]:
                note(f"note: {target['key']} was not reached and has no reason in targets.toml")
            reasons.append(f"- {target['group']}, {row[0]} ({row[1]}): {row[2]}. {target['reason']}".rstrip())
    if reasons:
        text.append("\n### Not reached, and why\n\n" + "\n".join(reasons))
    return "\n".join(text)


def detail(part, results):
    """Tables, notes and plots of one part."""
    text = [f"\n### `scripts/bench {part}`"]
    for table in results["tables"]:
        text.append(f"\n{table['title']}:\n\n{markdown(table['head'], table['rows'])}")
    if results["notes"]:
        text.append("\n" + "\n".join(f"- {sentence}" for sentence in results["notes"]))
    for one in results["series"]:
        path = PLOTS / f"{one['name']}.svg"
        path.write_text(svg(one["title"], one["x"], one["y"], one["series"]))
        text.append(f"\n![{one['title']}: {one['y']} against {one['x']}](performance/{path.name})")
    return "\n".join(text)
