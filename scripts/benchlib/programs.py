"""The programs that are measured: tallyd itself, and the benches that are programs of their own."""
import functools
import json
import os
import shutil
import subprocess
from pathlib import Path

from .measure import ROOT, fail, note


@functools.cache
def tallyd():
    given = os.environ.get("TALLYD_BIN")
    if given:
        return Path(given).resolve() if Path(given).is_file() else fail(f"TALLYD_BIN: no program at {given}")
    subprocess.run(["cargo", "build", "--release", "--locked", "--quiet"], cwd=ROOT, check=True)
    return ROOT / "target" / "release" / "tallyd"


@functools.cache
def bench(name):
    """A program of benches/, built as the release is; `None` where there is no cargo to build it."""
    if not shutil.which("cargo"):
        note(f"note: no cargo: benches/{name}.rs is left out")
        return None
    command = ["cargo", "build", "--release", "--locked", "--bench", name, "--message-format", "json"]
    built = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    for line in built.stdout.splitlines():
        message = json.loads(line)
        if message.get("executable") and message["target"]["name"] == name:
            return Path(message["executable"])
    return fail(f"cargo built no bench {name}")


def daily(state, *more):
    """The command of a report that looks at the ledger only."""
    return [tallyd(), "daily", "--json", "--no-scan", "--timezone", "UTC", "--state-dir", state, *more]


def scan(logs, state):
    return [tallyd(), "scan", "--claude-dir", logs, "--state-dir", state]
