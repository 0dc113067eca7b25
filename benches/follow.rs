//! Time from just before an append until the ledger shows the message: 2,000 appends, 1 to 2 ms apart,
//! round-robin over eight files, while `tallyd run` follows. Prints p50 and p99 and ends with 1 where
//! p99 is above 250 ms.
//!
//! With `--sustained SECONDS` instead: 10,000 lines a second over 200 files for so long. Prints how far the
//! ledger was behind meanwhile and at the end, and the daemon's share of a core; ends with 1 where the
//! ledger does not have every line within two minutes.
//!
//! The last line that is printed is the figures as JSON. `TALLYD_BIN` is the program, else the one built
//! with this. Appends are matched with messages by their number: the n-th append counts as seen when the
//! ledger holds n messages. The ledger is watched from outside, read-only, by asking `SQLite` whether
//! anything was committed since, so that the figures hold the watcher's own half millisecond as well.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    clippy::indexing_slicing,
    reason = "a program of its own that prints its figures; the indexes are below its own constants"
)]

use rusqlite::{Connection, OpenFlags};
use std::error::Error;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

type Failure = Box<dyn Error + Send + Sync>;

const APPENDS: usize = 2_000;
const FILES: usize = 8;
const BOUND: Duration = Duration::from_millis(250);
const PATIENCE: Duration = Duration::from_mins(1);

const SUSTAINED_PATIENCE: Duration = Duration::from_mins(2);
const SUSTAINED_FILES: usize = 200;
/// 100 lines each hundredth of a second.
const TICK: Duration = Duration::from_millis(10);
const LINES_A_TICK: usize = 100;
const TICKS_A_SECOND: usize = 100;

fn main() -> Result<ExitCode, Failure> {
    let mut arguments = std::env::args().skip(1).skip_while(|argument| argument != "--sustained");
    match (arguments.next(), arguments.next()) {
        (Some(_), seconds) => sustained(seconds.ok_or("--sustained wants seconds")?.parse()?),
        (None, _) => latency(),
    }
}

fn latency() -> Result<ExitCode, Failure> {
    let folder = tempfile::tempdir()?;
    let mut files = open_logs(&folder.path().join("claude/projects"), FILES, 3)?;
    let (state, claude) = (folder.path().join("state"), folder.path().join("claude"));
    let daemon = Daemon::following(&claude, &state)?;
    let ledger = ledger_in(&state)?;
    let before = daemon.cpu_seconds();

    let stop = AtomicBool::new(false);
    let (appended, seen) = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&ledger, &stop));
        let appended = append_all(&mut files);
        stop.store(appended.is_err(), Ordering::Relaxed);
        let seen = watcher.join().map_err(|_| Failure::from("the watcher panicked"))?;
        Ok::<_, Failure>((appended?, seen?))
    })?;

    let mut delays: Vec<Duration> = seen
        .iter()
        .zip(&appended)
        .map(|(seen, appended)| seen.saturating_duration_since(*appended))
        .collect();
    delays.sort_unstable();
    let (p50, p99) = (delays[APPENDS / 2], delays[APPENDS * 99 / 100]);
    println!(
        "append to ledger, {APPENDS} appends: p50 {p50:.2?}, p99 {p99:.2?}, max {:.2?}",
        delays[APPENDS - 1]
    );
    let cpu = since(before, daemon.cpu_seconds());
    println!("CPU of the daemon meanwhile: {cpu:.2?} in all");
    println!(
        r#"{{"p50_us": {}, "p99_us": {}, "cpu_us": {}, "appends": {APPENDS}}}"#,
        p50.as_micros(),
        p99.as_micros(),
        cpu.as_micros()
    );
    if p99 > BOUND {
        eprintln!("error: p99 is above {BOUND:?}");
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// What the ledger had not seen yet, from one look each hundredth of a second.
struct Behind {
    /// The most lines at one look.
    most: usize,
    /// The same in the last quarter of the time: where it grows, the daemon falls behind.
    most_late: usize,
    /// When the ledger had everything.
    complete: Instant,
}

fn sustained(seconds: usize) -> Result<ExitCode, Failure> {
    let folder = tempfile::tempdir()?;
    let mut files = open_logs(&folder.path().join("claude/projects"), SUSTAINED_FILES, 20)?;
    let (state, claude) = (folder.path().join("state"), folder.path().join("claude"));
    let daemon = Daemon::following(&claude, &state)?;
    let ledger = ledger_in(&state)?;
    let lines = seconds * TICKS_A_SECOND * LINES_A_TICK;

    let (written, before, begun) = (AtomicUsize::new(0), daemon.cpu_seconds(), Instant::now());
    let (ended, behind) = thread::scope(|scope| {
        let watcher = scope.spawn(|| watch_sustained(&ledger, &written, lines));
        let ended = append_steadily(&mut files, lines, &written);
        if ended.is_err() {
            // The watcher ends then.
            written.store(usize::MAX, Ordering::Relaxed);
        }
        let behind = watcher.join().map_err(|_| Failure::from("the watcher panicked"))?;
        Ok::<_, Failure>((ended?, behind?))
    })?;
    let cpu = since(before, daemon.cpu_seconds());
    let took = ended.saturating_duration_since(begun);
    let at_end = behind.complete.saturating_duration_since(ended);
    println!(
        "{lines} lines in {took:.2?} over {SUSTAINED_FILES} files: at most {} lines behind, {} in the last \
         quarter, everything {at_end:.2?} after the last; CPU of the daemon {cpu:.2?}",
        behind.most, behind.most_late
    );
    println!(
        r#"{{"lines": {lines}, "took_us": {}, "cpu_us": {}, "most_behind": {}, "most_behind_late": {}, "behind_at_end_us": {}}}"#,
        took.as_micros(),
        cpu.as_micros(),
        behind.most,
        behind.most_late,
        at_end.as_micros()
    );
    Ok(ExitCode::SUCCESS)
}

/// One write a line; when it is late, it goes on at once until it is in time again.
fn append_steadily(files: &mut [File], lines: usize, written: &AtomicUsize) -> Result<Instant, Failure> {
    let begun = Instant::now();
    for number in 0..lines {
        if number % LINES_A_TICK == 0 {
            let due = TICK * u32::try_from(number / LINES_A_TICK)?;
            thread::sleep(due.saturating_sub(begun.elapsed()));
        }
        files[number % SUSTAINED_FILES].write_all(line(number, SUSTAINED_FILES).as_bytes())?;
        written.store(number + 1, Ordering::Relaxed);
    }
    Ok(Instant::now())
}

/// Rows of responses are never deleted here, so that the last number is how many there are.
fn watch_sustained(ledger: &Path, written: &AtomicUsize, lines: usize) -> Result<Behind, Failure> {
    let connection = Connection::open_with_flags(ledger, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    let mut last = connection.prepare("SELECT COALESCE(MAX(id), 0) FROM response")?;
    let (mut most, mut most_late, begun) = (0, 0, Instant::now());
    loop {
        let appended = written.load(Ordering::Relaxed);
        let seen = usize::try_from(last.query_row([], |row| row.get::<_, i64>(0))?)?;
        if seen >= lines {
            return Ok(Behind { most, most_late, complete: Instant::now() });
        }
        if appended > lines || begun.elapsed() > SUSTAINED_PATIENCE {
            return Err(format!("only {seen} of {lines} lines in the ledger").into());
        }
        most = most.max(appended.saturating_sub(seen));
        if appended > lines / 4 * 3 {
            most_late = most_late.max(appended.saturating_sub(seen));
        }
        thread::sleep(Duration::from_millis(10));
    }
}

/// Logs of so many sessions in so many folders.
fn open_logs(projects: &Path, count: usize, folders: usize) -> Result<Vec<File>, Failure> {
    let mut files = Vec::new();
    for number in 0..count {
        let project = projects.join(format!("-home-dev-bench-{}", number % folders));
        fs::create_dir_all(&project)?;
        let name = format!("{number:08}-0000-4000-a000-000000000000.jsonl");
        files.push(OpenOptions::new().create(true).append(true).open(project.join(name))?);
    }
    Ok(files)
}

/// One whole line each, 1 to 2 ms apart; the times are taken just before the writes.
fn append_all(files: &mut [File]) -> Result<Vec<Instant>, Failure> {
    let mut times = Vec::with_capacity(APPENDS);
    for number in 0..APPENDS {
        let line = line(number, FILES);
        let pause = 1_000 + number.wrapping_mul(7_919) % 1_000;
        thread::sleep(Duration::from_micros(u64::try_from(pause)?));
        times.push(Instant::now());
        files[number % FILES].write_all(line.as_bytes())?;
    }
    Ok(times)
}

/// A reply of about 1.5 kB.
fn line(number: usize, files: usize) -> String {
    format!(
        r#"{{"parentUuid":null,"isSidechain":false,"userType":"external","cwd":"/home/dev/bench","sessionId":"{:08}-0000-4000-a000-000000000000","version":"2.1.237","type":"assistant","message":{{"model":"claude-sonnet-4-5-20250929","id":"msg_01{number:022}","type":"message","role":"assistant","content":[{{"type":"text","text":"{}"}}],"stop_reason":"end_turn","stop_sequence":null,"usage":{{"input_tokens":3,"cache_creation_input_tokens":200,"cache_read_input_tokens":15000,"cache_creation":{{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":200}},"output_tokens":150,"service_tier":"standard"}}}},"requestId":"req_011{number:021}","uuid":"00000000-0000-4000-a000-{number:012}","timestamp":"2026-09-01T00:00:00.000Z"}}
"#,
        number % files,
        "word ".repeat(150)
    )
}

/// When each message was first seen in the ledger.
fn watch(ledger: &Path, stop: &AtomicBool) -> Result<Vec<Instant>, Failure> {
    let connection = Connection::open_with_flags(ledger, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    let mut version = connection.prepare("PRAGMA data_version")?;
    let mut count = connection.prepare("SELECT COUNT(*) FROM response")?;
    let (mut times, mut last_version) = (Vec::with_capacity(APPENDS), -1);
    let begun = Instant::now();
    while times.len() < APPENDS {
        let now_version: i64 = version.query_row([], |row| row.get(0))?;
        if now_version != last_version {
            last_version = now_version;
            let messages: i64 = count.query_row([], |row| row.get(0))?;
            times.resize(usize::try_from(messages)?.min(APPENDS), Instant::now());
        }
        if stop.load(Ordering::Relaxed) || begun.elapsed() > PATIENCE {
            return Err(format!("only {} of {APPENDS} messages in the ledger", times.len()).into());
        }
        thread::sleep(Duration::from_micros(300));
    }
    Ok(times)
}

/// The one file in the state folder that begins as a ledger does.
fn ledger_in(state: &Path) -> Result<PathBuf, Failure> {
    for entry in fs::read_dir(state)? {
        let path = entry?.path();
        if path.is_file() && fs::read(&path)?.starts_with(b"SQLite format 3\0") {
            return Ok(path);
        }
    }
    Err(format!("no ledger in {}", state.display()).into())
}

/// A running `tallyd`; killed when dropped.
struct Daemon(Child);

impl Daemon {
    /// Starts it and waits until it says that it follows.
    fn following(claude: &Path, state: &Path) -> Result<Self, Failure> {
        let program = std::env::var_os("TALLYD_BIN").unwrap_or(env!("CARGO_BIN_EXE_tallyd").into());
        let mut child = Command::new(program)
            .arg("run")
            .arg("--claude-dir")
            .arg(claude)
            .arg("--state-dir")
            .arg(state)
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        let stderr = child.stderr.take().ok_or("stderr is piped")?;
        let daemon = Self(child);
        let mut lines = BufReader::new(stderr).lines();
        for line in lines.by_ref() {
            if line?.to_lowercase().contains("following") {
                // What it says from now on is read and dropped, so that it never waits for us.
                thread::spawn(move || lines.count());
                return Ok(daemon);
            }
        }
        Err("tallyd ended before it followed".into())
    }

    /// CPU time so far, from `/proc`, where there is one; Linux counts it in hundredths of a second.
    fn cpu_seconds(&self) -> Option<Duration> {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.0.id())).ok()?;
        let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
        let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
        Some(Duration::from_millis(ticks * 10))
    }
}

/// CPU time between two readings; none where there is no `/proc`.
fn since(before: Option<Duration>, after: Option<Duration>) -> Duration {
    after.unwrap_or_default().saturating_sub(before.unwrap_or_default())
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Fails only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
