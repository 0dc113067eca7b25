//! Which folders hold Claude Code's logs, and where the ledger goes.
//!
//! Looks at the disk only to tell a Claude folder from a folder of logs; writes nothing. A folder that
//! does not exist yet is an answer like any other: it is watched for.

use super::file::absolute;
use super::{ConfigError, Environment, FileSettings, Origin, Overrides, RootsSource};
use std::collections::VecDeque;
use std::path::{Path, PathBuf};

/// Folders that are looked into before a tree is taken to hold no logs. A tree of logs shows one within
/// the first few; the bound is for `--claude-dir /`.
const FOLDERS_TO_LOOK_INTO: usize = 2_000;

/// Files of the Claude folder itself, beside `projects`.
const MARKS_OF_CLAUDE_FOLDER: [&str; 3] = ["history.jsonl", "settings.json", ".credentials.json"];

/// The folders below which session logs lie, each once, and who named them. Empty only where nobody
/// did and there is no home.
pub(super) fn roots(
    overrides: &Overrides,
    environment: &Environment,
    file: &FileSettings,
) -> Result<(Vec<PathBuf>, RootsSource), ConfigError> {
    if !overrides.claude_dirs.is_empty() {
        let roots = overrides.claude_dirs.iter().map(|folder| flag_root(folder, environment));
        return Ok((distinct(roots.collect::<Result<_, _>>()?), RootsSource::Flag));
    }
    let by_variable = variable_folders(environment)?;
    if !by_variable.is_empty() {
        return Ok((roots_of(by_variable), RootsSource::Environment));
    }
    if !file.claude_dirs.is_empty() {
        return Ok((roots_of(file.claude_dirs.clone()), RootsSource::ConfigFile));
    }
    Ok((roots_of(default_folders(environment)?), RootsSource::Default))
}

/// The entries of `CLAUDE_CONFIG_DIR`: one folder, or several with commas between them.
fn variable_folders(environment: &Environment) -> Result<Vec<PathBuf>, ConfigError> {
    const VARIABLE: &str = "CLAUDE_CONFIG_DIR";
    let list = environment.text(VARIABLE)?.unwrap_or_default();
    list.split(',')
        .map(str::trim)
        .filter(|entry| !entry.is_empty())
        .map(|entry| expand(Path::new(entry), environment, Origin::Environment(VARIABLE)))
        .collect()
}

/// Claude Code's own places: `~/.claude` and `$XDG_CONFIG_HOME/claude`.
fn default_folders(environment: &Environment) -> Result<Vec<PathBuf>, ConfigError> {
    let home = environment.home().path();
    let config =
        environment.absolute_path("XDG_CONFIG_HOME")?.or_else(|| home.map(|home| home.join(".config")));
    let own = home.map(|home| home.join(".claude"));
    Ok(own.into_iter().chain(config.map(|config| config.join("claude"))).collect())
}

fn roots_of(folders: Vec<PathBuf>) -> Vec<PathBuf> {
    distinct(folders.into_iter().map(|folder| root_of(absolute(folder))).collect())
}

/// The root of a Claude folder: the `projects` in it, unless the folder is `projects` itself.
fn root_of(folder: PathBuf) -> PathBuf {
    let inner = folder.join("projects");
    if !inner.is_dir() && folder.file_name().is_some_and(|name| name == "projects") { folder } else { inner }
}

/// The root of a folder given by flag. Here a folder that is not Claude's own but holds logs, where
/// someone unpacked or copied them to, is a root itself.
fn flag_root(folder: &Path, environment: &Environment) -> Result<PathBuf, ConfigError> {
    let folder = absolute(expand(folder, environment, Origin::Flag("--claude-dir"))?);
    if folder.is_file() {
        return Err(ConfigError::Value {
            origin: Origin::Flag("--claude-dir"),
            key: "--claude-dir".to_owned(),
            value: folder.display().to_string(),
            allowed:
                "a folder: Claude Code's own, its `projects`, or one that holds session logs; this is a file"
                    .to_owned(),
        });
    }
    let root = root_of(folder.clone());
    Ok(if !root.is_dir() && !is_claude_folder(&folder) && holds_logs(&folder) { folder } else { root })
}

/// True for a Claude folder, whose `projects` is made with the first session: its own `history.jsonl`
/// and the files of its plugins are no session logs.
fn is_claude_folder(folder: &Path) -> bool {
    folder.file_name().is_some_and(|name| name == ".claude")
        || MARKS_OF_CLAUDE_FOLDER.iter().any(|mark| folder.join(mark).is_file())
}

/// True where a `*.jsonl` lies in or below the folder; the nearest folders are looked into first.
fn holds_logs(folder: &Path) -> bool {
    let mut waiting = VecDeque::from([folder.to_owned()]);
    for _ in 0..FOLDERS_TO_LOOK_INTO {
        let Some(next) = waiting.pop_front() else { return false };
        let Ok(entries) = std::fs::read_dir(next) else { continue };
        for entry in entries.flatten() {
            let Ok(kind) = entry.file_type() else { continue };
            let path = entry.path();
            if kind.is_dir() {
                waiting.push_back(path);
            } else if path.extension().is_some_and(|extension| extension == "jsonl") {
                return true;
            }
        }
    }
    false
}

fn expand(path: &Path, environment: &Environment, origin: Origin) -> Result<PathBuf, ConfigError> {
    environment.expand(path).ok_or_else(|| ConfigError::Value {
        key: origin.to_string(),
        value: path.display().to_string(),
        allowed: "a path without `~`, as there is no home folder that it could stand for".to_owned(),
        origin,
    })
}

/// The same folders without those that are another one by a second name.
fn distinct(folders: Vec<PathBuf>) -> Vec<PathBuf> {
    let mut seen = Vec::new();
    folders
        .into_iter()
        .filter(|folder| {
            let canonical = canonical(folder);
            let is_new = !seen.contains(&canonical);
            if is_new {
                seen.push(canonical);
            }
            is_new
        })
        .collect()
}

/// The path without links; of a folder that is not there, as far as its parents are.
fn canonical(path: &Path) -> PathBuf {
    path.ancestors()
        .find_map(|ancestor| {
            let real = ancestor.canonicalize().ok()?;
            path.strip_prefix(ancestor).ok().map(|rest| real.join(rest))
        })
        .unwrap_or_else(|| path.to_owned())
}

/// Where the ledger goes: flag, `TALLYD_STATE_DIR`, config file, systemd's `STATE_DIRECTORY`, and the
/// platform's own place, which needs a home. `None` where none of them says.
pub(super) fn state_dir(
    overrides: &Overrides,
    environment: &Environment,
    file: &FileSettings,
) -> Result<Option<PathBuf>, ConfigError> {
    if let Some(folder) =
        chosen(overrides.state_dir.as_deref(), "--state-dir", "TALLYD_STATE_DIR", environment)?
    {
        return Ok(Some(folder));
    }
    if let Some(folder) = &file.state_dir {
        return Ok(Some(folder.clone()));
    }
    // systemd gives a colon list when the unit has several; the first is ours.
    let systemd = environment.text("STATE_DIRECTORY")?;
    match systemd.as_deref().and_then(|list| list.split(':').find(|entry| !entry.is_empty())) {
        Some(folder) => Ok(Some(absolute(PathBuf::from(folder)))),
        None => environment.state_folder(),
    }
}

/// A path by flag or else by variable.
pub(super) fn chosen(
    flag: Option<&Path>,
    flag_name: &'static str,
    variable: &'static str,
    environment: &Environment,
) -> Result<Option<PathBuf>, ConfigError> {
    let found = match flag {
        Some(path) => Some((path.to_owned(), Origin::Flag(flag_name))),
        None => environment
            .text(variable)?
            .map(|text| (PathBuf::from(text.trim()), Origin::Environment(variable))),
    };
    found.map(|(path, origin)| expand(&path, environment, origin).map(absolute)).transpose()
}
