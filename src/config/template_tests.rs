//! The shipped `config/tallyd.toml`: it lists every key, and its values are the defaults.

use super::tests::Sandbox;
use super::*;

const TEMPLATE: &str = include_str!("../../config/tallyd.toml");

/// The template with its settings switched on: `#key` and `#[table]` are settings, `# word` is prose.
fn switched_on() -> String {
    let is_setting = |rest: &str| rest.starts_with(|first: char| first.is_ascii_lowercase() || first == '[');
    let line = |line: &'static str| line.strip_prefix('#').filter(|rest| is_setting(rest)).unwrap_or(line);
    TEMPLATE.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_template_is_all_comments_and_its_settings_are_the_defaults() {
    assert!(TEMPLATE.parse::<toml::Table>().unwrap().is_empty(), "the shipped file changes nothing");
    let mut from_template = Sandbox::new().file(&switched_on());
    let settings = from_template.load().unwrap();
    fs_err::remove_file(settings.config_file.clone().unwrap()).unwrap();
    from_template.overrides = Overrides::default();
    let defaults = from_template.load().unwrap();
    assert_eq!(Settings { config_file: None, ..settings }, defaults);
}

#[test]
fn the_template_lists_every_key() {
    let table: toml::Table = switched_on().parse().unwrap();
    let mut found: Vec<String> = Vec::new();
    for (name, value) in &table {
        match value.as_table() {
            Some(inner) => found.extend(inner.keys().map(|key| format!("{name}.{key}"))),
            None => found.push(name.clone()),
        }
    }
    found.sort();
    let mut keys = KEYS.map(str::to_owned).to_vec();
    keys.sort();
    assert_eq!(found, keys);
}
