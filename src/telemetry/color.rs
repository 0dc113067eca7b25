//! Whether output is coloured.
//!
//! Owns the choice and its names. Looks at nothing but whether a stream is a terminal.

use super::NotAccepted;
use std::io::IsTerminal;
use std::str::FromStr;

/// Whether output is coloured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ColorChoice {
    /// On a terminal.
    #[default]
    Auto,
    /// Everywhere.
    Always,
    /// Nowhere.
    Never,
}

impl ColorChoice {
    /// Names that are accepted.
    pub const NAMES: [&'static str; 3] = ["auto", "always", "never"];

    /// Whether to colour a stream, given whether it is a terminal.
    pub fn colours(self, is_terminal: bool) -> bool {
        match self {
            Self::Auto => is_terminal,
            Self::Always => true,
            Self::Never => false,
        }
    }

    /// Whether to colour what is written to stdout.
    pub fn colours_stdout(self) -> bool {
        self.colours(std::io::stdout().is_terminal())
    }
}

impl FromStr for ColorChoice {
    type Err = NotAccepted;

    fn from_str(text: &str) -> Result<Self, NotAccepted> {
        match text.to_ascii_lowercase().as_str() {
            "auto" => Ok(Self::Auto),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err(NotAccepted { allowed: "auto, always or never" }),
        }
    }
}
