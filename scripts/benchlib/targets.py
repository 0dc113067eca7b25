"""Targets and results. A part of the benchmark gives figures by key; the bounds and their reasons are in targets.toml,
so that what is not reached keeps its reason when the page is made anew."""
import json
import tomllib
from pathlib import Path

from .measure import BENCH

TARGETS = tomllib.loads((Path(__file__).parent / "targets.toml").read_text())["targets"]
RESULTS = BENCH / "results"


class Results:
    """What one part has measured; kept as JSON in target/bench/results."""

    def __init__(self, part):
        self.part = part
        self.figures, self.tables, self.notes, self.series = {}, [], [], []

    def figure(self, key, value, detail="", least=None):
        """A figure that a target is about; `None` where it could not be had, with the reason as detail. `least`: that
        of the run which others on the machine have held up least."""
        assert any(target["key"] == key for target in TARGETS), key
        self.figures[key] = {"value": value, "detail": detail, "least": least}

    def table(self, title, head, rows):
        self.tables.append({"title": title, "head": head, "rows": rows})

    def note(self, sentence):
        self.notes.append(sentence)

    def save(self, facts):
        RESULTS.mkdir(parents=True, exist_ok=True)
        known = {name: value for name, value in vars(self).items()}
        (RESULTS / f"{self.part}.json").write_text(json.dumps(known | facts, indent=1))


def saved(part):
    """What a part has measured last; `None` where it was never run."""
    path = RESULTS / f"{part}.json"
    return json.loads(path.read_text()) if path.is_file() else None


def is_reached(target, value):
    if value is None:
        return False
    return value <= target["at_most"] if "at_most" in target else value >= target["at_least"]


def shown(value, unit):
    """A figure to three digits with its unit."""
    if value is None:
        return "not measured"
    if value == 0:
        return f"0{suffix(unit)}"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2 if abs(value) >= 0.1 else 4
    return f"{value:,.{digits}f}{suffix(unit)}"


def suffix(unit):
    return unit if unit in ("x", "/s", "") else f" {unit}"


def bound(target):
    word, value = ("at most", target["at_most"]) if "at_most" in target else ("at least", target["at_least"])
    text = f"{value:,.2f}".rstrip("0").rstrip(".")
    return f"{word} {text}{suffix(target['unit'])}"


def rows(figures):
    """Rows of the table of targets for those that were measured: target, bound, figure, reached."""
    for target in TARGETS:
        found = figures.get(target["key"])
        if found:
            figure = shown(found["value"], target["unit"])
            detail = f" ({found['detail']})" if found["detail"] else ""
            reached = "yes" if is_reached(target, found["value"]) else "–" if found["value"] is None else "**no**"
            yield target, [target["what"], bound(target), figure + detail, reached]


def broken(figures):
    """Sentences on targets that hold and were missed, by the least of times: a busy machine breaks nothing."""
    for target, (what, limit, figure, _) in rows(figures):
        found = figures[target["key"]]
        value = found["value"] if found["least"] is None else found["least"]
        if target["held"] and value is not None and not is_reached(target, value):
            yield f"{what}: {figure}, the target is {limit}"


def markdown(head, body):
    """A Markdown table; the first column is text, the others are figures."""
    lines = [head, ["---"] + ["--:"] * (len(head) - 1), *body]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
