//! A sandbox for black-box tests: temporary folders, the built `tallyd` in a clean environment, its
//! JSON reports as exact values. Never reads the real home; fails by a panic with all that was printed.

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, SystemTime};
use tempfile::TempDir;

/// Folders of one test. Removed when dropped.
pub(crate) struct Sandbox {
    folder: TempDir,
}

impl Sandbox {
    pub(crate) fn new() -> Self {
        Self { folder: TempDir::new().expect("a temporary folder") }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The folder that stands for `~/.claude`.
    pub(crate) fn claude(&self) -> PathBuf {
        self.path("claude")
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.path("state")
    }

    /// Writes a log below `projects/-home-dev-p` of the sandbox's Claude folder.
    pub(crate) fn log(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.claude().join("projects/-home-dev-p").join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(&path, content).expect("a log");
        path
    }

    /// `tallyd` with nothing of this machine's environment, home or time zone.
    pub(crate) fn command(&self) -> Command {
        let home = self.path("home");
        fs::create_dir_all(&home).expect("a home");
        let mut command = Command::new(env!("CARGO_BIN_EXE_tallyd"));
        command.env_clear().env("HOME", home).env("TZ", "UTC").env("NO_COLOR", "1").env("COLUMNS", "140");
        command.env("LLVM_PROFILE_FILE", "/dev/null");
        command
    }

    /// Runs a command line and returns what it printed, whatever its exit code.
    pub(crate) fn output(&self, arguments: &[&str]) -> Output {
        self.command().args(arguments).output().expect("tallyd starts")
    }

    /// One pass over the given Claude folders into the sandbox's ledger; must succeed.
    pub(crate) fn scan_all(&self, folders: &[PathBuf], more: &[&str]) -> Output {
        let mut command = self.command();
        command.arg("scan").arg("--state-dir").arg(self.state()).args(more);
        for folder in folders {
            command.arg("--claude-dir").arg(folder);
        }
        checked(command.output().expect("tallyd starts"))
    }

    pub(crate) fn scan(&self) -> Output {
        self.scan_all(&[self.claude()], &[])
    }

    /// A report's text from the ledger alone, in UTC.
    pub(crate) fn report(&self, arguments: &[&str]) -> String {
        let mut command = self.command();
        command.args(arguments).args(["--timezone", "UTC", "--no-scan", "--state-dir"]).arg(self.state());
        String::from_utf8(checked(command.output().expect("tallyd starts")).stdout)
            .expect("a report is UTF-8")
    }

    /// A report's rows under its key, each named by one of its own fields.
    fn rows(&self, command: &str, key: &str, name: &str) -> Report {
        let text = self.report(&[command, "--json"]);
        Report::parse(&text, key, name).unwrap_or_else(|error| panic!("{command} --json: {error}\n{text}"))
    }

    pub(crate) fn models(&self) -> Report {
        self.rows("model", "models", "modelName")
    }

    pub(crate) fn days(&self) -> Report {
        self.rows("daily", "daily", "date")
    }

    pub(crate) fn sessions(&self) -> Report {
        self.rows("session", "sessions", "sessionId")
    }
}

/// Asserts exit code 0.
pub(crate) fn checked(output: Output) -> Output {
    assert!(
        output.status.success(),
        "{}\nstdout: {}\nstderr: {}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// The counters of a row or of the totals.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Counts {
    pub(crate) message_count: u64,
    pub(crate) input_tokens: u64,
    pub(crate) output_tokens: u64,
    #[serde(rename = "cacheCreation5mTokens")]
    pub(crate) cache_write_5m: u64,
    #[serde(rename = "cacheCreation1hTokens")]
    pub(crate) cache_write_1h: u64,
    #[serde(rename = "cacheCreationTokens")]
    cache_write: u64,
    pub(crate) cache_read_tokens: u64,
    total_tokens: u64,
    pub(crate) web_search_requests: u64,
    pub(crate) unpriced_messages: u64,
    pub(crate) incomplete_messages: u64,
    #[serde(alias = "cost", deserialize_with = "exact")]
    pub(crate) total_cost: Option<Decimal>,
}

/// Reads a JSON number digit by digit: no float ever stands between the report and the comparison.
fn exact<'de, D: serde::Deserializer<'de>>(source: D) -> Result<Option<Decimal>, D::Error> {
    let raw = Box::<RawValue>::deserialize(source)?;
    match raw.get() {
        "null" => Ok(None),
        digits => digits.parse().map(Some).map_err(serde::de::Error::custom),
    }
}

impl Counts {
    /// What must hold within every row, whatever was counted.
    fn consistent(self, name: &str) -> Self {
        assert_eq!(self.cache_write, self.cache_write_5m + self.cache_write_1h, "cache writes of {name}");
        let prompt = self.input_tokens + self.cache_write + self.cache_read_tokens;
        assert_eq!(self.total_tokens, prompt + self.output_tokens, "total of {name}");
        self
    }

    /// Messages, input, output, 5-minute writes, 1-hour writes, reads.
    pub(crate) fn tokens(&self) -> [u64; 6] {
        [
            self.message_count,
            self.input_tokens,
            self.output_tokens,
            self.cache_write_5m,
            self.cache_write_1h,
            self.cache_read_tokens,
        ]
    }
}

/// The rows of a report by name, and its totals. `PartialEq` compares every counter and every digit.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Report {
    pub(crate) rows: BTreeMap<String, Counts>,
    pub(crate) totals: Counts,
}

type Fields = BTreeMap<String, Box<RawValue>>;

impl Report {
    fn parse(text: &str, key: &str, name: &str) -> Result<Self, serde_json::Error> {
        let outer: Fields = serde_json::from_str(text)?;
        let field = |fields: &Fields, key: &str| fields.get(key).map_or("null", |raw| raw.get()).to_owned();
        let mut rows = BTreeMap::new();
        for row in serde_json::from_str::<Vec<Box<RawValue>>>(&field(&outer, key))? {
            let fields: Fields = serde_json::from_str(row.get())?;
            let row_name: String = serde_json::from_str(&field(&fields, name))?;
            let counts = serde_json::from_str::<Counts>(row.get())?.consistent(&row_name);
            assert!(rows.insert(row_name.clone(), counts).is_none(), "{row_name} stands in two rows");
        }
        let totals = serde_json::from_str::<Counts>(&field(&outer, "totals"))?.consistent("totals");
        Ok(Self { rows, totals })
    }
}

/// Every file below a folder, sorted by path.
pub(crate) fn files_below(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(&next).unwrap_or_else(|error| panic!("{}: {error}", next.display())) {
            let path = entry.expect("an entry").path();
            if path.is_dir() { open.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

/// Copies one file below another folder and gives it a modification time.
pub(crate) fn copy_file(file: &Path, from: &Path, to: &Path, modified: SystemTime) {
    let target = to.join(file.strip_prefix(from).expect("a file of the tree"));
    fs::create_dir_all(target.parent().expect("a parent")).expect("a folder");
    fs::copy(file, &target).expect("a copy");
    let times = fs::File::options().append(true).open(&target).expect("the copy");
    times.set_modified(modified).expect("a modification time");
}

/// An instant from seconds since 1970.
pub(crate) fn instant(seconds: i64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(u64::try_from(seconds).expect("a time after 1970"))
}

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Compares the part of a file between the markers of that name, or writes it anew (`TALLYD_UPDATE=1`).
pub(crate) fn settle(path: &str, name: &str, table: &str) {
    let (start, end) = (format!("<!-- {name}:start -->"), format!("<!-- {name}:end -->"));
    let file = root().join(path);
    let old = fs::read_to_string(&file).unwrap_or_default();
    let block = format!("{start}\n{table}{end}");
    let span = old.find(&start).and_then(|from| Some((from, old.find(&end)? + end.len())));
    if env::var_os("TALLYD_UPDATE").is_some() {
        let new = match span {
            Some((from, to)) => format!("{}{block}{}", &old[..from], &old[to..]),
            None => format!("{old}{block}\n"),
        };
        fs::write(&file, new).unwrap_or_else(|error| panic!("{path}: {error}"));
        return;
    }
    let (from, to) = span
        .unwrap_or_else(|| panic!("{path} has no table between {start} and {end}; run with TALLYD_UPDATE=1"));
    assert_eq!(&old[from..to], block, "{path} differs from this run; TALLYD_UPDATE=1 writes it anew");
}
