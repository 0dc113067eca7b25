"""The daemon when nothing happens: memory, CPU and wake-ups over some time, several daemons beside each other."""
import json
import shutil
import subprocess
import time

from .. import programs, trees
from ..measure import BENCH, ROOT, Daemon, note
from ..targets import Results, shown

STACK = ROOT / "scripts" / "supabase-stack"
NAME = "bench-idle"
SETTLE = 5
PUBLISHED = 120
EVERYTHING = "200 folders, 600 files, publishing and listening"


def supabase():
    """The settings of a project of its own on this machine; `None` where it cannot be had."""
    started = subprocess.run([STACK, "start", "--name", NAME], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    if started.returncode != 0:
        note(f"note: no publishing: {started.stderr.decode(errors='replace').strip()[-300:]}")
        return None
    facts = json.loads((ROOT / "target" / "stack" / NAME / "stack.json").read_text())
    return {"SUPABASE_URL": facts["url"], "SUPABASE_SECRET_KEY": facts["secret_key"], "USER_ID": facts["user_id"]}


def everything_sent(state):
    """Waits until nothing is left to be published: sending is not idling."""
    metrics = [programs.tallyd(), "metrics", "--state-dir", state]
    for _ in range(PUBLISHED):
        text = subprocess.run(list(map(str, metrics)), stdout=subprocess.PIPE, text=True, check=True).stdout
        if "\ntallyd_publish_waiting_sessions 0\n" in text:
            return
        time.sleep(1)
    note("note: not everything was published before the time of idling began")


def asked(state):
    """Has the listener answer once: what that takes is not given back."""
    status = [programs.tallyd(), "status", "--json", "--state-dir", state]
    subprocess.run(list(map(str, status)), stdout=subprocess.DEVNULL, check=True)


def start(name, logs, **variables):
    state = BENCH / f"state-idle-{name}"
    shutil.rmtree(state, ignore_errors=True)
    return Daemon(programs.tallyd(), logs, state, **variables), state


def daemons(options, project):
    """Daemons by what they idle over."""
    small = trees.small_files(600, 200)
    many = trees.small_files(*((2_000, 200) if options.quick else (20_000, 2_000)))
    started = {"200 folders, 600 files": start("small", small)}
    started["2,000 folders, 20,000 files" if not options.quick else "200 folders, 2,000 files"] = start("many", many)
    if not options.quick:
        gigabyte = trees.generated(options.bytes, options.seed)
        started[f"after a first scan of {options.bytes}"] = start("scanned", gigabyte)
    if project:
        started[EVERYTHING] = start("publishing", small, TALLYD_LISTEN="127.0.0.1:0", **project)
    return started


def watch(started, seconds):
    """What each has used in so many seconds: the first figures and the last."""
    before = {name: daemon.usage() for name, (daemon, _) in started.items()}
    time.sleep(seconds)
    return {name: (before[name], daemon.usage()) for name, (daemon, _) in started.items()}


def measure(options):
    results, project = Results("idle"), supabase()
    started = {}
    try:
        started = daemons(options, project)
        for name, (_, state) in started.items():
            if name == EVERYTHING:
                everything_sent(state)
                asked(state)
        time.sleep(SETTLE)
        used = watch(started, options.seconds)
    finally:
        for daemon, state in started.values():
            daemon.stop()
            shutil.rmtree(state, ignore_errors=True)
        if project:
            subprocess.run([STACK, "stop", "--name", NAME], check=True, stdout=subprocess.DEVNULL)
    tell(results, used, options)
    return results


def tell(results, used, options):
    rows, found = [], {}
    for name, (before, after) in used.items():
        memory = {kind: kilobytes / 1024 for kind, kilobytes in after.memory.items()}
        cpu, sleeps = after.since(before)
        share, wakes = 100 * cpu / options.seconds, 60 * sleeps / options.seconds
        found[name] = (memory["VmRSS"], share, wakes)
        rows.append([name, *(f"{memory[kind]:.1f}" for kind in ("VmRSS", "RssAnon", "RssFile", "VmHWM")),
                     shown(share, "%") if share else "0 %", f"{wakes:.1f}", len(after.threads)])
    head = ["", "resident MB", "of it anonymous", "of it files", "peak MB", "of a core", "wake-ups a minute", "threads"]
    results.table(f"Idle for {options.seconds} s", head, rows)
    small = found["200 folders, 600 files"]
    for key, value in zip(("idle.rss", "idle.cpu", "idle.wakes"), small):
        results.figure(key, value)
    if "2,000 folders, 20,000 files" in found:
        results.figure("idle.rss_20000", found["2,000 folders, 20,000 files"][0])
    publishing = found.get(EVERYTHING)
    results.figure("idle.rss_publishing", publishing and publishing[0],
                   "publishing and listening: there is no dashboard yet" if publishing else
                   "no Supabase stack could be started")
    results.figure("idle.wakes_publishing", publishing and publishing[2])
    results.note("A wake-up is a voluntary switch of any of the process's threads; CPU is the scheduler's account of "
                 "them, in nanoseconds. Each daemon took its logs in itself, into an empty ledger, and then idled.")
