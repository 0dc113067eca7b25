"""What an app is, from what was seen of it. Pure: facts in, verdict, what it rests on, and the words."""
from dataclasses import dataclass, field

# Verdicts, in the order in which the worst of several machines counts for the app, with what is to be done.
SETS = {"wrong": "publishes as somebody else", "unset": "has no USER_ID", "staged": "has it, and not yet in use",
        "unusable": "has settings that tallyd refuses", "key": "may have another key than the one to be set"}
PERSON = {"silent": "no answer", "no tallyd": "no tallyd runs there", "foreign": "the ledger is another user's",
          "blocked": "right user, and something else is wrong", "off": "publishing is switched off",
          "missing": "fly knows no such app", "two users": "", "no user": "", "no app": "", "bad name": "",
          "unlisted": "", "stuck": "usage waits and does not arrive"}
UNSEEN = {"asleep": "no machine is up to be asked", "empty": "it has no machine yet"}
FINE = {"right": "", "arriving": "", "idle": ""}
WORST_FIRST = ["wrong", "unset", "unusable", "silent", "no tallyd", "foreign", "blocked", "off", "right"]


@dataclass
class Facts:
    """What was seen of one app."""

    vault: dict = field(default_factory=dict)
    machines: list = field(default_factory=list)
    # By machine: the checks that its tallyd printed, or why there are none.
    answers: dict = field(default_factory=dict)
    silence: dict = field(default_factory=dict)

    def up(self):
        return [machine for machine, state in self.machines if state == "started"]


def of_app(user, facts, record):
    """(verdict, basis, detail) of USER_ID."""
    told = [of_machine(user, machine, facts) for machine in facts.up()]
    worst = min(told, key=lambda one: WORST_FIRST.index(one[0]), default=None)
    is_ours = is_recorded(user, facts.vault, record)
    if worst and worst[0] in ("wrong", "unset", "unusable") and is_ours and record.get("step") != "confirmed":
        return "staged", worst[1], f"USER_ID is in the vault since {record.get('at', '?')}; the machine has not taken it"
    if worst and worst[0] == "unusable" and is_ours:
        return "blocked", worst[1], worst[2]
    if worst and worst[0] == "right" and "USER_ID" not in facts.vault:
        return worst[0], worst[1], "it says so itself; not by a secret USER_ID, but by a token, its image or a file"
    if worst and worst[0] not in ("unusable", "silent", "off"):
        return worst
    if "USER_ID" not in facts.vault and (worst is None or worst[0] != "off"):
        return "unset", "fly secrets list", "there is no secret USER_ID"
    if worst:
        return worst
    if not facts.machines:
        detail = "USER_ID is in the vault" + (" as it should be" if is_ours else ", of which user nobody can tell")
        return "empty", "fly machine list", detail + "; `fly deploy` makes the first machine"
    states = ", ".join(sorted({state for _, state in facts.machines}))
    if is_ours and record.get("step") in ("deployed", "confirmed"):
        return "right", "digest", f"set {record.get('at', '?')} and unchanged since; its machine is {states}"
    if is_ours:
        return "staged", "digest", f"set {record.get('at', '?')} and not deployed; its machine is {states}"
    return "asleep", "fly machine list", f"its machine is {states}; --wake starts it and asks"


def is_recorded(user, vault, record):
    """True where the vault has the very USER_ID that was put into it from here."""
    digest = vault.get("USER_ID", ("", ""))[0]
    return bool(digest) and record.get("user") == user and record.get("digests", {}).get("USER_ID") == digest


def of_machine(user, machine, facts):
    basis = f"tallyd on {machine}"
    checks = facts.answers.get(machine)
    if checks is None:
        return "silent", f"machine {machine}", facts.silence.get(machine, "no answer")
    publishing = checks.get("publishing", {})
    if publishing.get("state") == "wrong":
        verdict = "unusable" if publishing.get("exitCode") == 3 else "blocked"
        return verdict, basis, words(publishing)
    if publishing.get("enabled") is False:
        return "off", basis, words(publishing)
    said = checks.get("user", {}).get("user")
    if said != user:
        return "wrong", basis, f"it publishes as {said or 'nobody'}"
    wrong = [check for check in checks.values() if check.get("state") == "wrong"]
    if any(check["check"] == "owner" for check in wrong):
        return "foreign", basis, words(next(check for check in wrong if check["check"] == "owner"))
    if checks.get("ledger", {}).get("daemon") is None:
        return "no tallyd", basis, "USER_ID is right, and no tallyd is running: nothing is counted"
    if wrong:
        return "blocked", basis, "USER_ID is right; " + words(wrong[0])
    return "right", basis, "it says so itself"


def words(check):
    """What is wrong, and what mends it."""
    detail = " ".join(str(check.get("detail", "")).split())
    help_line = check.get("help")
    return f"{check.get('check')}: {detail}" + (f"; help: {help_line}" if help_line else "")


def exit_code(entries):
    """The worst of all of them."""
    verdicts = {entry.verdict for entry in entries}
    if verdicts & set(PERSON):
        return 6
    if "failed" in verdicts:
        return 7
    if verdicts & set(SETS):
        return 4
    return 8 if verdicts & set(UNSEEN) else 0
