//! The settings: any bytes as `tallyd.toml` with any environment. What is accepted is within its limits, what
//! is refused is told with the way out, twice the same, and no key is in any message.
//!
//! An input is the text of the file, a line `%env`, and a line `NAME=value` for each variable.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::time::Duration;
use tallyd::config::{ConfigError, Environment, Home, Overrides, PlatformFolders, Settings, load, weekday};
use tallyd::publish::project_url;

const DIVIDER: &[u8] = b"\n%env\n";

/// A key has at least so many letters; what is shorter may be an ordinary word.
const LEAST_KEY_LENGTH: usize = 16;

/// The bytes as file and environment, and as the texts that have a reader of their own.
pub fn check(data: &[u8]) {
    let divided = data.windows(DIVIDER.len()).position(|window| window == DIVIDER);
    let (file, environment) = match divided {
        Some(at) => (&data[..at], &data[at + DIVIDER.len()..]),
        None => (data, &[][..]),
    };
    let keys = keys_in(data);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let surroundings = Surroundings { home: folder.path(), variables: variables(environment) };
    std::fs::write(folder.path().join("tallyd.toml"), file).expect("the file can be written");
    let loaded = surroundings.load();
    assert_eq!(told(&loaded, &keys), told(&surroundings.load(), &keys), "the same settings, loaded again");
    if let Ok(settings) = &loaded {
        within_limits(settings);
        if !leads_to_a_device(data) {
            publishes_within_limits(settings, &keys);
        }
    }
    let text = String::from_utf8_lossy(data);
    is_a_project(text.trim(), &keys);
    assert_eq!(weekday(&text), weekday(&text.to_ascii_uppercase()));
}

struct Surroundings<'a> {
    home: &'a Path,
    variables: HashMap<String, OsString>,
}

impl Surroundings<'_> {
    fn load(&self) -> Result<Settings, ConfigError> {
        let variables = self.variables.clone();
        let folders = PlatformFolders {
            config: Some(self.home.join(".config/tallyd")),
            state: Some(self.home.join(".local/state/tallyd")),
        };
        let home = Home::At(self.home.to_owned());
        let environment = Environment::new(move |name| variables.get(name).cloned(), home, folders);
        let overrides = Overrides { config: Some(self.home.join("tallyd.toml")), ..Overrides::default() };
        load(&overrides, &environment)
    }
}

/// The variables of an input; a line without `=` is none.
fn variables(lines: &[u8]) -> HashMap<String, OsString> {
    let mut found = HashMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Some(at) = line.iter().position(|byte| *byte == b'=') else { continue };
        // An environment cannot hold a NUL.
        let value = line[at + 1..].iter().copied().filter(|byte| *byte != 0).collect();
        found.insert(String::from_utf8_lossy(&line[..at]).into_owned(), OsString::from_vec(value));
    }
    found
}

/// Letters of a word that may be a key.
fn is_of_key(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.')
}

/// Words that could be keys, in lower case: no message may show one.
fn keys_in(data: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(data)
        .split(|letter| !is_of_key(letter))
        .filter(|word| word.len() >= LEAST_KEY_LENGTH)
        .filter(|word| ["sb_", "sbp_", "eyJ"].iter().any(|start| word.starts_with(start)))
        .map(str::to_ascii_lowercase)
        .collect()
}

/// No word of a text, and no part of one behind a point, begins as a key of the input does.
fn shows_no_key(text: &str, keys: &[String]) {
    let lower = text.to_ascii_lowercase();
    for word in lower.split(|letter| !is_of_key(letter)) {
        for key in keys {
            let mut places = word.match_indices(key.as_str()).map(|(at, _)| &word[..at]);
            assert!(
                !places.any(|before| before.is_empty() || before.ends_with('.')),
                "{key} is shown: {text}"
            );
        }
    }
}

/// What a person reads of it.
fn told(loaded: &Result<Settings, ConfigError>, keys: &[String]) -> Result<String, String> {
    match loaded {
        Ok(settings) => Ok(format!("{settings:?}")),
        Err(error) => Err(error_told(error, keys)),
    }
}

fn error_told(error: &ConfigError, keys: &[String]) -> String {
    let mut text = error.to_string();
    assert!(!text.is_empty() && !error.help().is_empty());
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.extend(["\n  because: ", &error.to_string()]);
        cause = error.source();
    }
    text.extend(["\nhelp: ", &error.help()]);
    shows_no_key(&text, keys);
    text
}

/// What the manual of the settings promises of every value.
fn within_limits(settings: &Settings) {
    let seconds = Duration::from_secs(1)..=Duration::from_hours(24);
    assert!(seconds.contains(&settings.follow.rescan) && seconds.contains(&settings.follow.poll));
    assert!((64 << 10..=256 << 20).contains(&settings.max_line_bytes), "{}", settings.max_line_bytes);
    let roots = settings.roots().expect("there is a home");
    assert!(!roots.is_empty() && roots.iter().all(|root| root.is_absolute()), "{roots:?}");
    let mut distinct = roots.to_vec();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), roots.len(), "{roots:?}");
    assert!(settings.state_dir().expect("there is a home").is_absolute());
    if let Some(zone) = &settings.timezone {
        assert!(tallyd::domain::iana_zone(zone).is_some(), "{zone}");
    }
}

/// A file of keys may be named; one that never ends or waits for somebody is left to other tests.
fn leads_to_a_device(data: &[u8]) -> bool {
    ["/dev", "/proc", "/sys", "../"].iter().any(|folder| super::contains(data, folder))
}

fn publishes_within_limits(settings: &Settings, keys: &[String]) {
    match settings.publish() {
        Ok(None) => {}
        Err(error) => {
            error_told(&error, keys);
        }
        Ok(Some(options)) => {
            let seconds = Duration::from_secs(1)..=Duration::from_hours(24);
            assert!(seconds.contains(&options.interval) && seconds.contains(&options.timeout));
            let project = &options.destination.project;
            assert_eq!(project_url(project).as_ref(), Ok(project), "the one form of a URL");
            // A project's name may begin as a token does.
            let keys: Vec<String> = keys.iter().filter(|key| !key.starts_with("eyj")).cloned().collect();
            shows_no_key(&format!("{options:?}"), &keys);
        }
    }
}

/// A project's URL is https, or of this machine; it is read back as itself; and a refusal shows no key.
fn is_a_project(text: &str, keys: &[String]) {
    match project_url(text) {
        Err(problem) => shows_no_key(&format!("{problem} {problem:?}"), keys),
        Ok(project) => {
            let plain = project.strip_prefix("http://");
            let is_near = plain
                .is_none_or(|host| ["localhost", "127.", "[::1]"].iter().any(|near| host.starts_with(near)));
            assert!(is_near && (plain.is_some() || project.starts_with("https://")), "{project}");
            assert_eq!(project_url(&project).as_ref(), Ok(&project));
        }
    }
}
