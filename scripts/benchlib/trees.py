"""Trees of logs. `generated` are those of the generator, with everything that real logs have; `small_files` and `year`
are made here, of the least that a response needs, where the number of files or of responses is what is measured. All
are made once and kept in target/bench; their totals are kept with them as truth.json."""
import json
import os
import random
import shutil
import subprocess
import sys
from base64 import b64encode
from datetime import datetime, timedelta, timezone
from pathlib import Path

from .measure import BENCH, ROOT, fail, note

MODELS = ["claude-opus-4-5-20251101", "claude-sonnet-4-5-20250929", "claude-haiku-4-5-20251001"]
YEAR_BEGINS = datetime(2025, 11, 1, 7, tzinfo=timezone.utc)
A_YEAR = 1_000_000  # Responses of a heavy user: 2,740 a day.
SESSIONS_A_DAY = 8
# Of real logs, a response has 2.1 lines.
LINES = [(1, 35), (2, 35), (3, 20), (4, 10)]
# A line is its response's beginning, then what differs from line to line.
BEGINNING = ('{{"parentUuid":null,"isSidechain":{side},"userType":"external","cwd":"/home/dev/project-{project}",'
             '"sessionId":"{session}","version":"2.1.330","type":"assistant","requestId":"{request}","message":{{'
             '"model":"{model}","id":"{id}","type":"message","role":"assistant","content":[{{"type":"text","text":'
             '"ok"}}],"usage":{{"input_tokens":3,"cache_creation_input_tokens":{write},"cache_read_input_tokens":'
             '{read},"cache_creation":{{"ephemeral_5m_input_tokens":{write},"ephemeral_1h_input_tokens":0}},'
             '"service_tier":"standard","output_tokens":')


def generated(size, seed=1):
    """The generator's tree of so many bytes (10M, 1G)."""
    folder = BENCH / f"tree-{size}-{seed}"
    if (folder / "truth.json").is_file():
        return folder
    generator = Path(os.environ.get("TALLYD_GENERATOR") or ROOT.parent / "shared" / "tools" / "gen.py")
    if not generator.is_file():
        fail(f"no generator at {generator}: set TALLYD_GENERATOR to a gen.py")
    shutil.rmtree(folder, ignore_errors=True)
    note(f"generating {size} into {folder}")
    command = [sys.executable, generator, "--bytes", size, "--seed", str(seed), "--out", folder]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def truth(folder):
    return json.loads((folder / "truth.json").read_text())


def made(name, write):
    """A tree that `write` fills and gives the totals of; only one that is whole has its name."""
    folder, unfinished = BENCH / name, BENCH / f"{name}.unfinished"
    if (folder / "truth.json").is_file():
        return folder
    note(f"writing {folder}")
    for left in (folder, unfinished):
        shutil.rmtree(left, ignore_errors=True)
    (unfinished / "projects").mkdir(parents=True)
    totals = write(unfinished / "projects")
    (unfinished / "truth.json").write_text(json.dumps({"totals": totals}))
    unfinished.rename(folder)
    return folder


class Writer:
    """Writes the lines of responses and adds up what they say."""

    def __init__(self, seed):
        self.random = random.Random(seed)
        self.totals = dict.fromkeys(["input", "output", "cache_5m", "cache_1h", "cache_read", "messages"], 0)
        self.lines = [count for count, weight in LINES for _ in range(weight)]

    def name(self, start, length):
        return start + b64encode(self.random.randbytes(length), b"Aa")[:length].decode()

    def uuid(self):
        text = self.random.randbytes(16).hex()
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"

    def response(self, at, session, project, model, is_side, lines):
        """The lines of one response, a tenth of a second apart; its output grows, the last line has all of it."""
        chance = self.random.getrandbits(40)
        output, write, read = 1 + chance % 900, 1 + (chance >> 10) % 4_000, 1 + (chance >> 22) % 160_000
        beginning = BEGINNING.format(side=str(is_side).lower(), project=project, session=session, model=model,
                                     id=self.name("msg_01", 22), request=self.name("req_011C", 20), write=write,
                                     read=read)
        text = ""
        for line in range(1, lines + 1):
            stop = '"end_turn"' if line == lines else "null"
            text += (f'{beginning}{max(1, output * line // lines)}}},"stop_reason":{stop},"stop_sequence":null,'
                     f'"stop_details":null}},"uuid":"{self.uuid()}",'
                     f'"timestamp":"{at:%Y-%m-%dT%H:%M:}{at.second:02}.{100 * line}Z"}}\n')
        totals = self.totals
        totals["input"] += 3
        totals["output"] += output
        totals["cache_5m"] += write
        totals["cache_read"] += read
        totals["messages"] += 1
        return text


def small_files(files, folders, responses=3):
    """So many logs of a few responses each, in so many folders."""
    def write(projects):
        writer = Writer(files)
        for number in range(files):
            folder = projects / f"-home-dev-project-{number % folders}"
            folder.mkdir(exist_ok=True)
            session, at = writer.uuid(), YEAR_BEGINS + timedelta(minutes=13 * number)
            text = "".join(writer.response(at + timedelta(seconds=20 * each), session, number % folders, MODELS[1],
                                           False, 1) for each in range(responses))
            (folder / f"{session}.jsonl").write_text(text)
        return writer.totals
    return made(f"files-{files}-{folders}-{responses}", write)


def year(responses):
    """So many responses as a heavy user makes them: 2,740 a day in eight sessions, each with two sub-agents that have a
    fifth of them, 40 projects, three models; 2 lines a response."""
    def write(projects):
        writer, left, day = Writer(responses), responses, 0
        a_session = A_YEAR // 365 // SESSIONS_A_DAY
        while left > 0:
            for number in range(SESSIONS_A_DAY):
                begins = YEAR_BEGINS + timedelta(days=day, hours=1.5 * number)
                left -= session(writer, projects, begins, min(left, a_session))
            day += 1
        return writer.totals
    return made(f"year-{responses}-{SESSIONS_A_DAY}", write)


def session(writer, projects, begins, count):
    """A session of two hours and its sub-agents; how many responses it has."""
    if count <= 0:
        return 0
    name, project = writer.uuid(), writer.random.randrange(40)
    main = MODELS[0] if writer.random.random() < 0.6 else MODELS[1]
    folder = projects / f"-home-dev-project-{project}"
    folder.mkdir(exist_ok=True)
    texts = {f"{name}.jsonl": [], f"agent-{name[:7]}.jsonl": [], f"agent-{name[-7:]}.jsonl": []}
    for number in range(count):
        at = begins + timedelta(seconds=7200 * number / count)
        file = list(texts)[writer.random.choices([0, 1, 2], [80, 10, 10])[0]]
        is_side = file.startswith("agent")
        model = MODELS[2] if is_side else main
        text = writer.response(at, name, project, model, is_side, writer.random.choice(writer.lines))
        texts[file].append(text)
    for file, lines in texts.items():
        if lines:
            (folder / file).write_text("".join(lines))
    return count


def long_line(megabytes):
    """Two responses and between them a tool's result of so many megabytes in one line."""
    def write(projects):
        writer, name = Writer(megabytes), "00000000-0000-4000-a000-000000000001"
        folder = projects / "-home-dev-long"
        folder.mkdir()
        with open(folder / f"{name}.jsonl", "w", encoding="ascii") as log:
            log.write(writer.response(YEAR_BEGINS, name, "long", MODELS[0], False, 1))
            log.write('{"type":"user","uuid":"u","message":{"role":"user","content":[{"type":"tool_result","content":"')
            for _ in range(megabytes):
                log.write("0123456789" * 100_000)
            log.write('"}]}}\n')
            log.write(writer.response(YEAR_BEGINS, name, "long", MODELS[0], False, 1))
        return writer.totals
    return made(f"line-{megabytes}M", write)
