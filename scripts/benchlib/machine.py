"""What the figures were taken on: machine, system, versions, date."""
import os
import platform
import subprocess
from datetime import datetime, timezone
from pathlib import Path


def today():
    return datetime.now(timezone.utc).strftime("%Y-%m-%d")


def load():
    """How many processes wanted to run over the last minute: what others do costs wall time, and little CPU time."""
    return round(os.getloadavg()[0], 1)


def version(program):
    """What a program says of itself; empty where it is not there."""
    try:
        said = subprocess.run([str(program), "--version"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    except OSError:
        return ""
    return said.stdout.strip().splitlines()[0] if said.stdout.strip() else ""


def first(path, key):
    """The value of the first line `key: value` or `key=value` of a file."""
    try:
        lines = Path(path).read_text().splitlines()
    except OSError:
        return ""
    for line in lines:
        name, _, value = line.replace("=", ":", 1).partition(":") if "=" in line else line.partition(":")
        if name.strip() == key:
            return value.strip().strip('"')
    return ""


def facts():
    """Rows of a table about this machine."""
    memory = int(first("/proc/meminfo", "MemTotal").split()[0]) / 1e6
    kind = ", virtual" if " hypervisor" in first("/proc/cpuinfo", "flags") else ""
    return [
        ["processor", f"{os.cpu_count()} × {first('/proc/cpuinfo', 'model name')}{kind}"],
        ["memory", f"{memory:.0f} GB"],
        ["system", f"{first('/etc/os-release', 'PRETTY_NAME')}, Linux {platform.release()}"],
        ["compiler", version("rustc")],
    ]

