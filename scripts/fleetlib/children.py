"""The two programs that scripts/fleet runs, fly and psql: what they are given to know, how long they may take,
and when they are tried again. A secret reaches the one child that needs it, by its stdin or environment."""
import json
import os
import random
import re
import signal
import subprocess
import threading
import urllib.parse

from .shown import Failure, first_line

# What passes by itself, in fly's own words and in those of what it talks to.
PASSING = re.compile(
    r"\b(408|425|429|500|502|503|504)\b|rate.?limit|too many requests|time.?out|timed out|deadline exceeded|"
    r"connection (reset|refused)|temporar|try(ing)? (that )?again|unexpected EOF|bad gateway|service unavailable|"
    r"lease|tunnel unavailable|no such host|network is unreachable", re.I)
MISSING_APP = re.compile(r"could not find app|app not found|could not resolve app", re.I)
# What belongs to the other child, or to none.
PRIVATE = re.compile(r"DATABASE_URL|PG[A-Z]+|SUPABASE_\w+|USER_ID")

# What libpq takes from the environment, by its name in a URL.
LIBPQ = {"host": "PGHOST", "hostaddr": "PGHOSTADDR", "port": "PGPORT", "dbname": "PGDATABASE", "user": "PGUSER",
         "password": "PGPASSWORD", "passfile": "PGPASSFILE", "sslmode": "PGSSLMODE", "sslrootcert": "PGSSLROOTCERT",
         "sslcert": "PGSSLCERT", "sslkey": "PGSSLKEY", "connect_timeout": "PGCONNECT_TIMEOUT",
         "application_name": "PGAPPNAME", "options": "PGOPTIONS", "channel_binding": "PGCHANNELBINDING",
         "gssencmode": "PGGSSENCMODE", "target_session_attrs": "PGTARGETSESSIONATTRS", "service": "PGSERVICE"}


class FlyError(Exception):
    """fly did not do what it was asked; `passes` where another try may."""

    def __init__(self, what, passes=False):
        super().__init__(what)
        self.passes = passes
        self.is_missing_app = bool(MISSING_APP.search(what))


class Fly:
    """fly, with patience."""

    def __init__(self, program, secrets, timeout, tries, pause, lock=None):
        self.program, self.timeout, self.tries, self.pause = program, timeout, tries, pause
        self.secrets, self.lock, self.ending = secrets, lock, threading.Event()
        self.environment = {name: value for name, value in os.environ.items()
                            if not PRIVATE.fullmatch(name) and name not in secrets}
        self.environment["NO_COLOR"] = "1"

    def run(self, *arguments, stdin="", accept=None):
        """What it prints. `accept` takes output and may find an answer in it whatever the exit code."""
        for attempt in range(self.tries):
            if attempt:
                # Twice as long each time, and not all apps at the same moment.
                self.ending.wait(self.pause * 2 ** (attempt - 1) * random.uniform(0.75, 1.25))
            if self.ending.is_set():
                raise FlyError("ended before it was done", passes=True)
            try:
                return self.once(arguments, stdin, accept)
            except FlyError as error:
                last = error
                if not error.passes:
                    break
        raise last

    def once(self, arguments, stdin, accept):
        try:
            code, output, errors = self.child([self.program, *arguments], stdin)
        except subprocess.TimeoutExpired:
            raise FlyError(f"fly {arguments[0]} {arguments[1]} took longer than {self.timeout} s", True) from None
        found = accept(output) if accept else None
        if found is not None:
            return found
        if code == 0 and not accept:
            return output
        what = self.without_secrets(first_line(errors) or first_line(output) or f"exit code {code}")
        raise FlyError(what, bool(PASSING.search(what)) and not MISSING_APP.search(what))

    def child(self, command, stdin):
        """In a group of its own: what it has begun it ends, whatever becomes of this process. Where a lock is
        held, a shell holds it for as long as the child runs, and the child itself does not: fly leaves an agent
        behind that would hold it for days."""
        keep = ()
        if self.lock is not None:
            command = ["/bin/sh", "-c", f'"$@" {self.lock}>&-; exit $?', "sh", *command]
            keep = (self.lock,)
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                              text=True, errors="replace", env=self.environment, pass_fds=keep,
                              start_new_session=True) as process:
            try:
                output, errors = process.communicate(stdin, timeout=self.timeout)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                raise
            return process.returncode, output, errors

    def without_secrets(self, text):
        """fly quotes a line of its stdin that it cannot read."""
        for value in self.secrets.values():
            text = text.replace(value, "…")
        return text

    def json(self, *arguments):
        text = self.run(*arguments, "--json")
        try:
            return json.loads(text)
        except ValueError:
            raise FlyError(f"fly {arguments[0]} {arguments[1]} --json printed no JSON: {first_line(text)}") from None

    # --- what is asked of it

    def apps(self):
        return [app.get("Name") or app.get("name") or "" for app in self.json("apps", "list") or []]

    def vault(self, app):
        """Digest and status of each secret; the status is empty with a fly that does not tell it."""
        lowered = [{key.lower(): value for key, value in secret.items()}
                   for secret in self.json("secrets", "list", "-a", app) or []]
        return {secret["name"]: (str(secret.get("digest", "")), str(secret.get("status") or "").lower())
                for secret in lowered}

    def machines(self, app, group=None):
        """Id and state of each machine that is to last."""
        machines = []
        for machine in self.json("machine", "list", "-a", app) or []:
            metadata = (machine.get("config") or {}).get("metadata") or {}
            if machine.get("state") in ("destroyed", "destroying") or metadata.get("fly_platform_version") == "temporary":
                continue
            if group is None or metadata.get("fly_process_group", "app") == group:
                machines.append((str(machine["id"]), str(machine.get("state", ""))))
        return machines

    def ask(self, app, machine, command):
        """What `tallyd check --json` says there. It ends with a code other than 0 where something is wrong."""
        return self.run("ssh", "console", "-q", "-a", app, "--machine", machine, "-C", command, accept=answer_in)

    def wake(self, app, machine):
        self.run("machine", "start", machine, "-a", app)

    def stage(self, app, values):
        """By stdin: no argument list has them, and no machine starts anew before all are there."""
        self.run("secrets", "import", "--stage", "-a", app, stdin="".join(f"{n}={v}\n" for n, v in values.items()))

    def deploy(self, app):
        """The release that runs, with the secrets that are staged. `fly machine restart` would keep the old ones."""
        self.run("secrets", "deploy", "-a", app)


def answer_in(output):
    """The checks by name, where the output has them."""
    start = output.find("{")
    try:
        checks = json.JSONDecoder().raw_decode(output[start:])[0]["checks"] if start >= 0 else None
        return {check["check"]: check for check in checks} if checks else None
    except (ValueError, KeyError, TypeError):
        return None


class Database:
    """The project's database by psql, read only."""

    def __init__(self, url, program, timeout):
        self.program, self.timeout = program, timeout
        self.environment = {name: value for name, value in os.environ.items()
                            if not re.fullmatch(r"FLY_\w+|SUPABASE_\w+|DATABASE_URL|PG[A-Z]+", name)}
        self.environment |= libpq(url) | {"PGCLIENTENCODING": "UTF8"}
        self.environment.setdefault("PGCONNECT_TIMEOUT", "15")
        self.password = self.environment.get("PGPASSWORD", "")

    def rows(self, select):
        """The rows of a select, as dictionaries."""
        sql = (f"begin transaction read only;\nselect coalesce(json_agg(row_to_json(answer)), '[]') "
               f"from (\n{select}\n) as answer;\n")
        try:
            done = subprocess.run([self.program, "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1"], input=sql,
                                  capture_output=True, text=True, errors="replace", env=self.environment,
                                  timeout=self.timeout, check=False)
        except FileNotFoundError:
            raise Failure(3, "psql is not there", "install PostgreSQL's client, or give --csv FILE") from None
        except subprocess.TimeoutExpired:
            raise Failure(3, f"the database did not answer within {self.timeout} s") from None
        if done.returncode != 0:
            what = first_line(done.stderr)
            raise Failure(3, f"the database: {what.replace(self.password, '…') if self.password else what}",
                          "see DATABASE_URL, and --instances, --user-column and --app-column")
        return json.loads(done.stdout)


def libpq(url):
    """A connection URL as libpq's variables: an argument list would show its password."""
    try:
        parts = urllib.parse.urlsplit(url.strip())
        if parts.scheme not in ("postgres", "postgresql"):
            raise ValueError
        given = dict(urllib.parse.parse_qsl(parts.query, strict_parsing=bool(parts.query)))
        given |= {name: urllib.parse.unquote(str(value)) for name, value in (
            ("host", parts.hostname), ("port", parts.port), ("user", parts.username), ("password", parts.password),
            ("dbname", parts.path.lstrip("/"))) if value}
    except ValueError:
        raise Failure(3, "DATABASE_URL is no postgresql:// URL",
                      "the dashboard shows it under Connect; % and @ in a password are written %25 and %40") from None
    unknown = [name for name in given if name not in LIBPQ]
    if unknown:
        raise Failure(3, f"DATABASE_URL has a parameter that is not known here: {unknown[0]}")
    return {LIBPQ[name]: value for name, value in given.items()}
