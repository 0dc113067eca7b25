"""Text for people and programs: tables, JSON, and what keeps foreign text from driving a terminal."""
import json
import re
import sys

# What may be in a fly app's name; anything else never reaches an argument list.
APP_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
USER_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What nobody may put into an argument: keys of Supabase, JWTs, tokens of Fly, passwords in a URL.
PASTED = re.compile(r"sb_secret_|eyJ[\w-]{8}|fm[12][ar]?_|fo1_|FlyV1|://[^/@\s]*:[^/@\s]+@")


class Failure(Exception):
    """Ends the run with an exit code and a line that says what to do."""

    def __init__(self, code, what, help_line=None):
        super().__init__(what)
        self.code, self.help_line = code, help_line


def shown(text):
    """On one line, and nothing in it obeyed: control characters, escapes and changes of direction as escapes."""
    return "".join(c if c.isprintable() else f"\\u{{{ord(c):x}}}" for c in str(text))


def first_line(text, limit=240):
    """What of a program's output is worth a cell: the first that says `Error:`, else the last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    line = next((line for line in lines if "error:" in line.lower()), lines[-1] if lines else "")
    return line if len(line) <= limit else line[:limit] + "…"


def refuse_keys_in(arguments):
    """An argument list can be read by every process of the machine, and stays in a shell's history."""
    for number, argument in enumerate(arguments, 1):
        if PASTED.search(argument):
            raise Failure(2, f"argument {number} holds a key, a token or a password; it is not repeated here",
                          "keys come from the environment (--secret NAME) or a file (--secret-file NAME FILE), "
                          "the database from DATABASE_URL or --database-url-file FILE. Take this one out of "
                          "your shell's history, and out of use")


def table(columns, rows):
    """Rows of texts below their headings; the last column is as long as it is."""
    cells = [columns] + [[shown(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + "\n" for row in cells)


def tell(line):
    """A line for whoever waits; results go to stdout."""
    print(shown(line), file=sys.stderr, flush=True)


def as_json(value):
    """ASCII: a terminal that it is printed on is driven by nothing in it."""
    return json.dumps(value, indent=1, ensure_ascii=True)
