//! The variables that a setting can be given by: their names, never a value.
//!
//! Owns the list for those who start tallyd where a shell's variables do not reach. Cannot fail.

use super::{Environment, publish};

/// Beside those of publishing.
const NAMES: [&str; 13] = [
    "CLAUDE_CONFIG_DIR",
    "TALLYD_CONFIG",
    "TALLYD_ESTIMATE",
    "TALLYD_LEDGER_BACKUP",
    "TALLYD_LISTEN",
    "TALLYD_LOG",
    "TALLYD_LOG_FORMAT",
    "TALLYD_OTEL_LISTEN",
    "TALLYD_PRICES",
    "TALLYD_PUBLISH",
    "TALLYD_STATE_DIR",
    "TALLYD_TIMEZONE",
    "TOKEN_TRACKING_ENABLED",
];

/// The names of the variables that are set here and mean something to tallyd.
pub fn set_variables(environment: &Environment) -> Vec<&'static str> {
    let names = NAMES.into_iter().chain(publish::variables());
    names.filter(|name| !matches!(environment.text(name), Ok(None))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Home, PlatformFolders};

    #[test]
    fn what_is_set_is_named_and_nothing_else() {
        let lookup = |name: &str| match name {
            "SUPABASE_SERVICE_KEY" | "USER_ID_FILE" | "TALLYD_LISTEN" | "TALLYD_LOG" => Some("value".into()),
            "TALLYD_PRICES" => Some("".into()),
            _ => None,
        };
        let environment = Environment::new(lookup, Home::Unknown, PlatformFolders::default());
        assert_eq!(
            set_variables(&environment),
            ["TALLYD_LISTEN", "TALLYD_LOG", "USER_ID_FILE", "SUPABASE_SERVICE_KEY"]
        );
    }
}
