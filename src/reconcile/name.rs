//! Models under the names that different sources give them, to one name.
//!
//! Owns: the Console's display names (`Claude Opus 4.5`). Never a guess at a family: two names are one model where
//! the price table says so, or where they are the same text.

use crate::price::{PriceTable, normalise};

/// The name that all names of a model have in common.
pub(super) fn canonical(name: &str, prices: &PriceTable) -> String {
    if let Some(model) = prices.find(name) {
        return model.id.clone();
    }
    let written = as_id(name);
    let known = [Some(written.clone()), swapped(&written)].into_iter().flatten();
    let found = known.filter_map(|name| prices.find(&name)).map(|model| model.id.clone()).next();
    found.unwrap_or(written)
}

/// `Claude Opus 4.5` as `claude-opus-4-5`; a name that is an id already stays.
fn as_id(name: &str) -> String {
    let is_display_name = name.contains(' ') || name.contains('.');
    if !is_display_name || name.contains(['/', ':']) {
        return normalise(name);
    }
    normalise(&name.trim().replace([' ', '.', '_'], "-"))
}

/// `claude-haiku-3-5` as `claude-3-5-haiku`: up to version 3.7 ids have the number first.
fn swapped(id: &str) -> Option<String> {
    let (family, version) = id.strip_prefix("claude-")?.split_once('-')?;
    version.starts_with('3').then(|| format!("claude-{version}-{family}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_one_model_meet_and_others_do_not() {
        let prices = PriceTable::shipped();
        for (name, id) in [
            ("claude-opus-5-5", "claude-opus-5-5"),
            ("claude-opus-5-5[1m]", "claude-opus-5-5"),
            ("Claude Opus 5.5", "claude-opus-5-5"),
            ("us.anthropic.claude-opus-5-5-v1:0", "claude-opus-5-5"),
            ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
            ("Claude Haiku 4.5", "claude-haiku-4-5"),
            ("house-model-7b", "house-model-7b"),
            ("Claude Novel 9", "claude-novel-9"),
        ] {
            assert_eq!(canonical(name, &prices), id, "{name}");
        }
        assert_eq!(canonical("Claude Haiku 3.5", &prices), canonical("claude-3-5-haiku-20241022", &prices));
        assert_ne!(canonical("claude-opus-5", &prices), canonical("claude-opus-5-5", &prices));
    }
}
