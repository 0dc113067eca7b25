"""What is done to one app: look, set, see it take effect, see its rows arrive.

Setting goes through steps, each written down before it begins and after it has ended:

    setting    the vault is about to be given the values (with the digests it had before)
    set        the vault has them; the machines have the old ones
    deploying  the machines are about to start anew with them
    deployed   they have been
    confirmed  a machine has said that it publishes as the right user

What a killed run left at `setting` or `deploying` is settled by asking: digests that are others than before say
that the vault was given the values, the machine's own answer says that it has them.
"""
import time
from datetime import datetime, timezone

from .children import FlyError
from .shown import Failure
from .verdict import Facts, of_app


class Steps:
    """What every app of a run has in common."""

    def __init__(self, fly, state, options, secrets, database):
        self.fly, self.state, self.options, self.secrets, self.database = fly, state, options, secrets, database

    def guarded(self, step, entry):
        """One app's failure is that app's alone."""
        if entry.verdict:
            return entry
        try:
            return step(entry)
        except FlyError as error:
            verdict = "missing" if error.is_missing_app else "failed"
            detail = str(error) if error.is_missing_app or not error.passes else f"{error}; run it again"
            return entry.found(verdict, "fly", detail)
        except Failure as error:
            return entry.found("failed", "the database", f"{error}; run it again")

    # --- looking

    def look(self, entry, wake=False):
        facts = Facts(vault=self.fly.vault(entry.app), machines=self.fly.machines(entry.app, self.options.group))
        if wake and not facts.up() and facts.machines:
            for machine, _ in facts.machines:
                self.fly.wake(entry.app, machine)
            entry.done.append("woken")
            facts.machines = self.fly.machines(entry.app, self.options.group)
        for machine in facts.up():
            try:
                facts.answers[machine] = self.fly.ask(entry.app, machine, self.options.ask)
            except FlyError as error:
                facts.silence[machine] = str(error)
        return facts

    def check(self, entry):
        facts = self.look(entry, self.options.wake)
        return entry.found(*of_app(entry.user, facts, self.state.record(entry.app)))

    # --- setting

    def set(self, entry):
        facts, record = self.look(entry, self.options.wake), self.state.record(entry.app)
        entry.found(*of_app(entry.user, facts, record))
        names = self.missing(entry, facts, record)
        if not names:
            is_said = entry.verdict == "right" and entry.basis.startswith("tallyd on")
            if self.options.apply and is_said and record.get("step") in ("set", "deploying", "deployed"):
                self.confirm(entry, record)
            return entry
        if "USER_ID" not in names:
            entry.found("key", "digest", f"never set from here, or another since ({entry.verdict}: {entry.detail})")
        if not self.options.apply:
            entry.detail += f"; --apply sets {', '.join(names)}"
            return entry
        values = {name: self.secrets.get(name, entry.user) for name in names}
        record = self.put(entry, values, facts, record)
        return self.take_effect(entry, facts, record)

    def missing(self, entry, facts, record):
        """The names of what is not known to be in use, in a fixed order."""
        begun = record.get("names", []) if record.get("step") in ("setting", "set", "deploying") else []
        wanted = []
        if entry.verdict in ("wrong", "unset", "unusable", "staged") or (
                self.options.unknown and entry.verdict in ("silent", "off", "asleep", "empty")) or (
                "USER_ID" in begun and record.get("user") == entry.user and entry.verdict in ("silent", "off")):
            wanted.append("USER_ID")
        for name, value in sorted(self.secrets.items()):
            digest, status = facts.vault.get(name, ("", ""))
            is_there = digest and record.get("digests", {}).get(name) == digest
            is_ours = record.get("marks", {}).get(name) == self.state.mark(value)
            # What was being deployed when a run ended is in use where fly says so.
            is_in_use = name not in begun or (record["step"] == "deploying" and status == "deployed")
            if not (is_there and is_ours and is_in_use):
                wanted.append(name)
        return wanted

    def put(self, entry, values, facts, record):
        """The vault has the values when this returns."""
        marks = {name: self.state.mark(value) for name, value in values.items()}
        now = {name: facts.vault.get(name, ("", ""))[0] for name in values}
        same = record.get("user") == entry.user and all(
            record.get("marks", {}).get(name) == mark for name, mark in marks.items())
        before = record.get("before", {})
        was_put = same and (
            (record.get("step") == "setting" and all(now[name] and now[name] != before.get(name) for name in values))
            or (record.get("step") in ("set", "deploying", "deployed")
                and all(now[name] and now[name] == record.get("digests", {}).get(name) for name in values)))
        if not was_put:
            record = record | {"user": entry.user, "marks": record.get("marks", {}) | marks,
                               "names": sorted(values), "before": now, "step": "setting", "at": utc()}
            self.state.save(entry.app, record)
            self.fly.stage(entry.app, values)
            entry.done.append("set " + ", ".join(values))
        if not was_put or record["step"] == "setting":
            vault = self.fly.vault(entry.app)
            digests = {name: vault[name][0] for name in values if name in vault}
            if set(digests) != set(values):
                raise FlyError("the secrets are not in `fly secrets list` after they were set", passes=True)
            record = record | {"digests": record.get("digests", {}) | digests, "step": "set", "at": utc()}
            self.state.save(entry.app, record)
        return record

    def take_effect(self, entry, facts, record):
        """The machines have what the vault has, and one has said so."""
        if not facts.machines:
            return entry.found("empty", "fly machine list", "set; `fly deploy` makes the first machine, which has it")
        if self.options.stage:
            return entry.found("staged", "digest", "set; the next `fly deploy` takes it over")
        if record["step"] != "deployed":
            record = record | {"step": "deploying", "from": self.moment()}
            self.state.save(entry.app, record)
            self.fly.deploy(entry.app)
            entry.done.append("deployed")
            record = record | {"step": "deployed", "at": utc()}
            self.state.save(entry.app, record)
        deadline = time.monotonic() + self.options.within
        while True:
            facts = self.look(entry)
            entry.found(*of_app(entry.user, facts, record | {"step": "confirmed"}))
            if entry.verdict in ("wrong", "unset"):
                entry.found("failed", entry.basis, f"set and deployed, and {entry.detail}: what does its image or "
                            "tallyd.toml say? A file beside the variable, USER_ID_FILE or a credential?")
            if entry.verdict == "right":
                self.confirm(entry, record)
            # A machine takes a moment to start, and its tallyd to hold the ledger.
            if entry.verdict not in ("silent", "no tallyd", "failed") or time.monotonic() > deadline:
                return entry
            time.sleep(self.options.look)

    def confirm(self, entry, record):
        self.state.save(entry.app, record | {"step": "confirmed", "at": utc()})

    def moment(self):
        """Now, by the clock that rows are dated by."""
        if self.database:
            return self.database.rows("select extract(epoch from now())::float8 as now")[0]["now"]
        return time.time()

    # --- verifying

    def verify(self, entries):
        """Rows first, for all users at once until the time is over; then the machines of those without any."""
        begin = self.moment()
        since = {entry.app: self.since(entry, begin) for entry in entries if not entry.verdict}
        waiting = [entry for entry in entries if not entry.verdict]
        deadline = time.monotonic() + self.options.within
        while self.database and waiting:
            latest = self.latest([entry.user for entry in waiting])
            for entry in waiting:
                at = latest.get(entry.user)
                entry.basis = f"last row {stamp(at)}" if at else "no row ever"
                if at and at >= since[entry.app] and not any("apps" in note for note in entry.notes):
                    entry.found("arriving", "rows of the user", f"last one {stamp(at)}, since {stamp(since[entry.app])}")
            waiting = [entry for entry in waiting if not entry.verdict]
            if not waiting or time.monotonic() > deadline:
                break
            time.sleep(self.options.look)
        return waiting, since

    def since(self, entry, begin):
        if self.options.since is not None:
            return self.options.since
        return self.state.record(entry.app).get("from", begin)

    def latest(self, users):
        listed = ", ".join(f"'{user}'" for user in sorted(set(users)))  # UUIDs: the plan has seen to it
        rows = self.database.rows(
            "select user_id::text as id, extract(epoch from max(last_updated_at))::float8 as at "
            f"from public.token_usage_sessions where user_id in ({listed}) group by user_id")
        return {row["id"]: row["at"] for row in rows}

    def explain(self, entry, since):
        """Why no row of this app was seen: nothing was written, or it does not come through."""
        known, basis = entry.basis, "tallyd's backlog"
        deadline = time.monotonic() + self.options.within
        while True:
            facts = self.look(entry, self.options.wake)
            verdict = of_app(entry.user, facts, self.state.record(entry.app))
            backlogs = [checks.get("backlog", {}) for checks in facts.answers.values()]
            sent = [at for at in (seconds(backlog.get("lastSuccess")) for backlog in backlogs) if at]
            if verdict[0] == "right" and sent and max(sent) >= since:
                return entry.found("arriving", basis, f"something was last acknowledged {stamp(max(sent))}")
            waits = [backlog for backlog in backlogs if backlog.get("waiting") or backlog.get("refusal")]
            # What waits for a moment is on its way.
            if not waits or any(backlog.get("refusal") for backlog in waits) or time.monotonic() > deadline:
                break
            time.sleep(self.options.look)
        if verdict[0] in ("right", "blocked") and waits:
            refusal = waits[0].get("refusal")
            return entry.found("stuck", basis, f"{waits[0].get('waiting')} sessions wait, the oldest since "
                               f"{waits[0].get('oldest')}" + (f"; refused: {refusal}" if refusal else ""))
        if verdict[0] == "right" and backlogs:
            words = f"nothing was written since {stamp(since)}"
            return entry.found("idle", basis, "; ".join(part for part in (words, known) if part))
        entry.found(*verdict)
        if entry.verdict == "right":
            entry.found("asleep", "fly machine list", entry.detail)
        entry.detail += f"; {known}" if known else ""
        return entry


def utc():
    return datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamp(at):
    return datetime.fromtimestamp(at, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


def seconds(text):
    """Of a time as tallyd writes it."""
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() if text else None
    except ValueError:
        return None
