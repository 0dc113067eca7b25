"""Who has which app: read from the project's database or a CSV, and what is wrong with the list by itself."""
import csv
import fnmatch
from dataclasses import dataclass, field

from .shown import APP_NAME, USER_ID, Failure


@dataclass
class Entry:
    """An app, the user that it is to publish as, and what was found; either may be missing."""

    app: str = ""
    user: str = ""
    email: str = ""
    verdict: str = ""
    basis: str = ""
    detail: str = ""
    notes: list = field(default_factory=list)
    done: list = field(default_factory=list)

    def found(self, verdict, basis, detail=""):
        self.verdict, self.basis, self.detail = verdict, basis, detail
        return self


def from_database(database, table, user_column, app_column, emails):
    """Rows (user, app, e-mail), one for each user without an app too, and the users that there are."""
    name = ".".join(quoted(part) for part in table.split(".", 1))
    rows = database.rows(
        f"select u.id::text as known, i.{quoted(user_column)}::text as \"user\", i.{quoted(app_column)}::text as app, "
        f"{'u.email::text' if emails else 'null'} as email "
        f"from auth.users u full join {name} i on i.{quoted(user_column)}::text = u.id::text "
        f"order by 3, 2, 1")
    known = {row["known"] for row in rows if row["known"]}
    return [(row["user"] or row["known"] or "", row["app"] or "", row["email"] or "") for row in rows], known


def known_users(database):
    return {row["id"] for row in database.rows("select id::text as id from auth.users")}


def quoted(name):
    return '"' + name.replace('"', '""') + '"'


def from_csv(path):
    """Rows of a file whose first line names the columns `user_id` and `app`."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file)
            columns = {(name or "").strip().lower(): name for name in reader.fieldnames or []}
            if not {"user_id", "app"} <= set(columns):
                raise Failure(3, f"{path} has no columns user_id and app", "its first line is: user_id,app")
            return [((row[columns["user_id"]] or "").strip(), (row[columns["app"]] or "").strip(), "") for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise Failure(3, f"{path} cannot be read: {error}") from None


def plan(rows, known):
    """An entry for each app and for each user without one. What is wrong by itself has its verdict already, and
    is asked nobody about and never set."""
    apps, entries = {}, []
    for user, app, email in rows:
        user, app = user.strip().lower(), app.strip()
        if app:
            apps.setdefault(app, []).append((user, email))
        else:
            entries.append(Entry("", user, email).found("no app", "the list", "the user has no app"))
    for app, owners in apps.items():
        entries.append(one_app(app, owners, known))
    of_user = {}
    for entry in entries:
        if entry.app and entry.user and not entry.verdict:
            of_user.setdefault(entry.user, []).append(entry)
    for several in (group for group in of_user.values() if len(group) > 1):
        for entry in several:
            entry.notes.append(f"the user has {len(several)} apps")
    return sorted(entries, key=lambda entry: (entry.app == "", entry.app, entry.user))


def one_app(app, owners, known):
    users = sorted({user for user, _ in owners if user})
    entry = Entry(app, users[0] if len(users) == 1 else "", owners[0][1])
    if len(owners) > 1 and len(users) == 1:
        entry.notes.append(f"listed {len(owners)} times")
    if not APP_NAME.fullmatch(app):
        return entry.found("bad name", "the list", "no name of a fly app: a-z, 0-9 and hyphens")
    if len(users) > 1:
        return entry.found("two users", "the list", "listed for " + ", ".join(users) + ": decide whose it is")
    if not users:
        return entry.found("no user", "the list", "listed without a user")
    if not USER_ID.fullmatch(entry.user):
        return entry.found("no user", "the list", "its user is no UUID")
    if known is not None and entry.user not in known:
        return entry.found("no user", "auth.users", "the project has no such user: create him, or take the app away")
    return entry


def unlisted(entries, apps, pattern):
    """Apps that fly has and the list has not."""
    listed = {entry.app for entry in entries}
    return [Entry(app).found("unlisted", "fly apps list", "fly has it, and no user does")
            for app in sorted(apps) if app not in listed and fnmatch.fnmatchcase(app, pattern)]
