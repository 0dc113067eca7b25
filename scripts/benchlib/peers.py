"""Other meters of the same logs: from their registries into target/bench, how each is asked for its days, and how far
its sums are from the truth. One that cannot be had is told and left out, and never fails a run."""
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from .measure import BENCH, environment, note, run

FOLDER = BENCH / "peers"
CCUSAGE = "20.0.24"
CRATES = {"cc-usage": ("0.3.2", "ccu"), "ccstat": ("0.6.2", "ccstat"), "ccost": ("0.6.1", "ccost")}
# Names that the peers' JSON has for the sums that the truth knows.
SUMS = {
    "input": ("inputTokens", "input_tokens", "input"),
    "output": ("outputTokens", "output_tokens", "output"),
    "cache_creation": ("cacheCreationTokens", "cache_creation_tokens", "cache_creation_input_tokens", "cache_creation"),
    "cache_read": ("cacheReadTokens", "cache_read_tokens", "cache_read_input_tokens", "cache_read"),
    "cost": ("totalCost", "total_cost", "cost", "cost_usd"),
}


@dataclass
class Peer:
    """A program; how it is asked for all days of the logs, and its variables."""

    name: str
    version: str
    program: Path
    arguments: list
    by_home: bool = False

    def run(self, logs):
        """One run; what it prints as JSON or, where it writes that to a file instead, the file."""
        answer = BENCH / f"{self.name}.json"
        command = [str(part).format(logs=logs, answer=answer) for part in self.arguments]
        found = run([self.program, *command], self.environment(logs))
        if "{answer}" in self.arguments:
            found.out = answer.read_bytes()
        return found

    def environment(self, logs):
        """Some look into `~/.claude` and nowhere else: they get a home of their own where it is the tree."""
        if not self.by_home:
            return environment(logs)
        home = BENCH / "homes" / logs.name
        home.mkdir(parents=True, exist_ok=True)
        link = home / ".claude"
        if link.resolve() != logs.resolve():
            link.unlink(missing_ok=True)
            link.symlink_to(logs.resolve())
        variables = environment(logs, HOME=str(home))
        del variables["CLAUDE_CONFIG_DIR"]
        return variables


def ccusage():
    """The native program itself: npm's wrapper would be measured with it. A sentence where it is not to be had."""
    given = os.environ.get("CCUSAGE_BIN")
    native = BENCH / "ccusage" / "node_modules" / "@ccusage" / "ccusage-linux-x64"
    if not given and not native.is_dir():
        if not shutil.which("npm"):
            return "there is no npm"
        (BENCH / "ccusage").mkdir(parents=True, exist_ok=True)
        command = ["npm", "install", "--silent", "--no-fund", "--no-audit", "--prefix", BENCH / "ccusage"]
        if subprocess.run([*command, f"ccusage@{CCUSAGE}"]).returncode != 0:
            return "npm could not install it"
    program = Path(given) if given else native / "bin" / "ccusage"
    if not program.is_file():
        return f"there is no program at {program}"
    if not given:
        program.chmod(0o755)  # npm unpacks it without; its wrapper sets it at the first start
    asked = ["claude", "daily", "--json", "--offline", "--timezone", "UTC"]
    return Peer("ccusage", CCUSAGE, program, asked)


def crate(name):
    """The program of a crate, built once. A sentence where that fails."""
    version, program = CRATES[name]
    path = FOLDER / "bin" / program
    if not path.is_file():
        if not shutil.which("cargo"):
            return "there is no cargo"
        note(f"building {name} {version} into {FOLDER}")
        command = ["nice", "cargo", "install", "--quiet", "--locked", "--root", FOLDER, "--version", version, name]
        built = subprocess.run(command, env=os.environ | {"CARGO_TARGET_DIR": str(BENCH / "peers-build")},
                               stderr=subprocess.PIPE, text=True)
        if built.returncode != 0:
            return f"cargo could not build it: {built.stderr.strip().splitlines()[-1]}"
    return path


def peers():
    """Those that can be had, and sentences for those that cannot."""
    asked = {
        "cc-usage": ["daily", "--json", "--tz", "UTC"],
        "ccstat": ["--json", "--utc", "daily"],
        "ccost": ["--claude-dir", "{logs}", "--tz", "UTC", "--per", "day", "--output", "json", "--filename",
                  "{answer}"],
    }
    found, missing = [], {}
    candidates = [("ccusage", ccusage())] + [(name, crate(name)) for name in asked]
    for name, peer in candidates:
        if isinstance(peer, str):
            missing[name] = peer
            note(f"note: {name} is left out: {peer}")
        elif isinstance(peer, Peer):
            found.append(peer)
        else:
            found.append(Peer(name, CRATES[name][0], peer, asked[name], by_home=True))
    return found, missing


def sums(out):
    """Input, output, cache and cost over all rows of a peer's JSON, those that it gives."""
    answer = json.loads(out[out.find(b"{"):])  # ccstat logs to stdout first.
    totals = answer.get("totals") or answer.get("total")
    lists = [value for value in answer.values() if isinstance(value, list)]
    # The bare limit prints nothing but its totals.
    rows = [totals] if totals else lists[0] if lists else [answer]
    rows = [row | row["tokens"] if isinstance(row.get("tokens"), dict) else row for row in rows]
    found = {}
    for name, spellings in SUMS.items():
        values = [row[key] for row in rows for key in spellings if isinstance(row.get(key), (int, float))]
        if values:
            found[name] = sum(values)
    return found


def wrong(out, truth):
    """How far the sums are from the truth in percent; `right` where they are not."""
    try:
        found = sums(out)
    except (ValueError, StopIteration, AttributeError) as error:
        return f"not readable ({error})"
    if not found:
        return "none given"
    # A sum of prices may differ in its last digits.
    off = {name: 100 * (value / truth[name] - 1) for name, value in found.items()
           if abs(value - truth[name]) > (0.01 if name == "cost" else 0)}
    words = [f"{name.replace('_', ' ')} {share:+.1f} %" for name, share in off.items()]
    return ", ".join(words) or "right"
