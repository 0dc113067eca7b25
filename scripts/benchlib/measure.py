"""Measured runs of programs, and figures of running ones from /proc."""
import functools
import os
import shutil
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
BENCH = ROOT / "target" / "bench"
LAUNCHER = Path(__file__).resolve().parent / "launcher.py"


def fail(sentence):
    sys.exit(f"error: {sentence}")


def note(sentence):
    print(sentence, file=sys.stderr, flush=True)


@dataclass
class Run:
    """Seconds, megabytes and stdout of one run."""

    wall: float
    cpu: float
    peak: float
    out: bytes


class Failed(Exception):
    """A program ended with another code than 0."""


def without_network():
    """What a command is put behind so that it has no network; nothing where that is refused."""
    for wrapper in (["unshare", "-n"], ["unshare", "-rn"]):
        if shutil.which("unshare") and subprocess.run([*wrapper, "true"], stderr=subprocess.DEVNULL).returncode == 0:
            return wrapper
    note("note: programs are measured with the network there: `unshare -n` is refused")
    return []


@functools.cache
def launcher():
    """The one process that starts what is measured; it ends with this one."""
    BENCH.mkdir(parents=True, exist_ok=True)
    command = [*without_network(), sys.executable, "-I", "-S", LAUNCHER]
    # In a folder where nothing is lost by what a peer may leave there.
    return subprocess.Popen(command, cwd=BENCH, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def run(command, environment, quick=False):
    """One run. `quick`: for what takes milliseconds, where the peak below 9 MB is not asked for."""
    program = shutil.which(str(command[0])) or fail(f"there is no program {command[0]}")
    out, err = BENCH / "stdout", BENCH / "stderr"
    variables = [f"{name}={value}" for name, value in environment.items()]
    fields = ["spawn" if quick else "fork", out, err, len(variables), *variables, program, *command[1:]]
    helper = launcher()
    helper.stdin.write("\0".join(map(str, fields)) + "\n")
    helper.stdin.flush()
    wall, cpu, peak, code = map(int, helper.stdout.readline().split())
    if code != 0:
        raise Failed(f"{' '.join(map(str, command[:3]))} ended with {code}: {err.read_text(errors='replace')[-500:]}")
    return Run(wall / 1e9, cpu / 1e9, peak / 1024, out.read_bytes())


def environment(logs, **more):
    """Variables of a run: a home of its own, UTC, the logs."""
    home = BENCH / "home"
    home.mkdir(parents=True, exist_ok=True)
    return {"PATH": os.environ["PATH"], "HOME": str(home), "TZ": "UTC", "CLAUDE_CONFIG_DIR": str(logs), **more}


def milliseconds(runs):
    return 1e3 * median(runs, "wall")


def least(runs):
    """Milliseconds of the quickest run: what others do on the machine can only add to them."""
    return 1e3 * min(run.wall for run in runs)


def median(runs, figure):
    return statistics.median(getattr(run, figure) for run in runs)


def ratio(ones, others, figure):
    """The median of the ratios of runs that were made one after the other."""
    pairs = zip(ones, others)
    return statistics.median(getattr(one, figure) / max(getattr(other, figure), 1e-9) for one, other in pairs)


def interleaved(rounds, contestants):
    """Runs of each contestant, a function by its name, one after the other and every other round backwards. One that
    fails is left out; its sentence comes in place of its runs."""
    runs = {name: [] for name in contestants}
    for number in range(rounds):
        for name in list(contestants)[::-1 if number % 2 else 1]:
            if isinstance(runs[name], str):
                continue
            try:
                runs[name].append(contestants[name]())
            except Failed as failure:
                runs[name] = str(failure)
    return runs


def quickly(commands, variables):
    """Contestants for `interleaved` that take milliseconds: a command by its name."""
    return {name: lambda command=command: run(command, variables, quick=True) for name, command in commands.items()}


def warm(folder):
    """Brings the files into the page cache."""
    buffer = bytearray(1 << 18)
    for path in folder.rglob("*.jsonl"):
        with open(path, "rb", buffering=0) as file:
            while file.readinto(buffer):
                pass


def size_of(folder):
    """Bytes of all files below a folder."""
    return sum(path.stat().st_size for path in Path(folder).rglob("*") if path.is_file())


@dataclass
class Usage:
    """What a process has used so far: of each thread CPU nanoseconds and how often it went to sleep, kilobytes by
    kind, and seconds of CPU of all threads, ended ones included, which Linux gives in hundredths."""

    threads: dict
    memory: dict
    cpu: float

    @staticmethod
    def of(pid):
        process, threads = Path(f"/proc/{pid}"), {}
        for folder in (process / "task").iterdir():
            nanoseconds = int((folder / "schedstat").read_text().split()[0])
            threads[folder.name] = (nanoseconds, status(folder)["voluntary_ctxt_switches"])
        whole = status(process)
        memory = {name: whole[name] for name in ("VmRSS", "RssAnon", "RssFile", "VmHWM")}
        ticks = (process / "stat").read_text().rpartition(") ")[2].split()[11:13]
        return Usage(threads, memory, sum(map(int, ticks)) / os.sysconf("SC_CLK_TCK"))

    def since(self, before):
        """Seconds of CPU and times gone to sleep since then; of a thread that has ended, its CPU alone is known."""
        cpu, sleeps = (sum(now[part] - before.threads.get(thread, (0, 0))[part] for thread, now in self.threads.items())
                       for part in (0, 1))
        return (cpu / 1e9 if set(before.threads) <= set(self.threads) else self.cpu - before.cpu), sleeps


def status(folder):
    """The numbers in a `status` file of /proc."""
    rows = (line.split() for line in (folder / "status").read_text().splitlines())
    return {row[0][:-1]: int(row[1]) for row in rows if len(row) > 1 and row[1].isdigit()}


class Daemon:
    """A running `tallyd run`; ends at SIGTERM, in order."""

    def __init__(self, program, logs, state, **more):
        # Its own stderr is a pipe, so that the moment of a line is known to the microsecond.
        command = [program, "run", "--claude-dir", logs, "--state-dir", state]
        self.begun = time.perf_counter()
        self.process = subprocess.Popen([str(part) for part in command], env=environment(logs, **more),
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        self.said = b""
        while b" following\n" not in self.said:
            part = self.process.stderr.read1()
            if not part:
                fail(f"tallyd ended before it followed: {self.said.decode(errors='replace')[-2000:]}")
            self.said += part
        self.ready = time.perf_counter() - self.begun
        # A full pipe would hold it up.
        self.reader = threading.Thread(target=self.listen, daemon=True)
        self.reader.start()

    def listen(self):
        while part := self.process.stderr.read1():
            self.said += part

    def usage(self):
        return Usage.of(self.process.pid)

    def stop(self):
        """Ends it; what it has said since it followed."""
        self.process.terminate()
        self.reader.join(60)
        self.process.wait(60)
        return self.said
