//! Model names: one spelling for each model, and never a guess.
//!
//! Owns: the normalisation. Whole names are compared after it; there is no match by prefix, by part or
//! by family, because names extend each other (`claude-opus-5`, `claude-opus-5-5`) at other prices.

/// What providers put before a name; they chain, as in `bedrock/us.anthropic.`.
const PREFIXES: [&str; 10] = [
    "vertex_ai/",
    "bedrock/",
    "anthropic/",
    "anthropic.",
    "us.anthropic.",
    "eu.anthropic.",
    "apac.anthropic.",
    "global.anthropic.",
    "jp.anthropic.",
    "au.anthropic.",
];

/// The name without case, provider prefixes and suffixes that do not change the price: `[1m]`, `-v1`,
/// `-v1:0` (any revision), `-latest`; `@20250929` becomes `-20250929`. Applying it twice changes nothing.
pub fn normalise(model: &str) -> String {
    let lower = model.to_lowercase();
    let mut bare = lower.trim();
    while let Some(rest) = without_prefix(bare).or_else(|| without_suffix(bare)) {
        bare = rest.trim();
    }
    match bare.rsplit_once('@') {
        Some((name, date)) if is_date(date) => format!("{name}-{date}"),
        _ => bare.to_owned(),
    }
}

/// The name without a trailing `-YYYYMMDD`; `None` where there is none.
pub(super) fn without_date(name: &str) -> Option<&str> {
    name.rsplit_once('-').filter(|(rest, date)| !rest.is_empty() && is_date(date)).map(|(rest, _)| rest)
}

fn without_prefix(name: &str) -> Option<&str> {
    PREFIXES.iter().find_map(|prefix| name.strip_prefix(prefix))
}

fn without_suffix(name: &str) -> Option<&str> {
    name.strip_suffix("[1m]").or_else(|| name.strip_suffix("-latest")).or_else(|| without_revision(name))
}

/// Without Bedrock's revision: `-v1`, `-v1:0`, `-v2:0`.
fn without_revision(name: &str) -> Option<&str> {
    let (rest, revision) = name.rsplit_once("-v")?;
    let (major, minor) = revision.split_once(':').unwrap_or((revision, "0"));
    (is_digits(major) && is_digits(minor)).then_some(rest)
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_date(text: &str) -> bool {
    text.len() == 8 && is_digits(text)
}
