"""What was done to which app, on disk before and after it is done, so that a run that was killed goes on.

The file has names of apps, users, digests as fly shows them and keyed hashes; no secret. It is its owner's
alone, and is written whole or not at all. A lock beside it keeps two runs apart; a fly that a killed run has
left behind holds it, too, until that has ended.
"""
import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import threading
import time
from pathlib import Path

from .shown import Failure, tell

VERSION = 1


def default_path():
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "tallyd-fleet" / "state.json"


class State:
    """The records by app; `held` makes it one that may be written."""

    def __init__(self, path):
        self.path, self.mutex, self.lock = Path(path), threading.Lock(), None
        self.content = {"version": VERSION, "salt": secrets.token_hex(16), "apps": {}}
        with contextlib.suppress(FileNotFoundError):
            self.read()

    def read(self):
        try:
            content = json.loads(self.path.read_text(encoding="utf-8"))
            if content["version"] > VERSION:
                raise Failure(3, f"{self.path} was written by a newer scripts/fleet")
            self.content = {"version": VERSION, "salt": content["salt"], "apps": dict(content["apps"])}
        except (ValueError, KeyError, TypeError, OSError) as error:
            if isinstance(error, FileNotFoundError):
                raise
            raise Failure(3, f"{self.path} cannot be read: {error}", "move it away to begin anew: every app is then "
                          "asked again, and what is right stays as it is") from None

    def held(self, patience):
        """Takes the lock; reads again what the one before has written."""
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if descriptor > 9:
            raise Failure(1, "too many files are open for a shell to hold the lock")
        deadline, told = time.monotonic() + patience, False
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > deadline:
                    raise Failure(5, f"another run, or a fly that one has left behind, holds {self.path}") from None
                if not told:
                    tell(f"waiting for another run, or a fly that one has left behind ({self.path})")
                    told = True
                time.sleep(0.05)
        self.lock = descriptor
        with contextlib.suppress(FileNotFoundError):
            self.read()
        return self

    def record(self, app):
        with self.mutex:
            return dict(self.content["apps"].get(app, {}))

    def save(self, app, record):
        """On the disk when this returns."""
        with self.mutex:
            self.content["apps"][app] = record
            new = self.path.with_name(self.path.name + ".new")
            descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                os.fchmod(file.fileno(), 0o600)
                json.dump(self.content, file, indent=1)
                file.flush()
                os.fsync(file.fileno())
            new.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def mark(self, value):
        """Tells two values apart and shows neither: a keyed hash of what is too long to be guessed."""
        return hashlib.blake2b(value.encode(), key=bytes.fromhex(self.content["salt"]), digest_size=16).hexdigest()
