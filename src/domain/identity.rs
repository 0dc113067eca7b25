//! Whose usage it is, and where it is published.

use std::fmt;
use uuid::Uuid;

/// The user that usage is billed to: the UUID of a row in Supabase's `auth.users`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UserId(Uuid);

impl UserId {
    /// Reads `3dfb3580-b7c4-4da3-8d9e-b9775c216f7e`, in either case and with blanks around it. Other
    /// spellings of a UUID are refused, and so is the one of zeros alone, which stands for nobody.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let is_hyphenated = text.len() == uuid::fmt::Hyphenated::LENGTH;
        let uuid = Uuid::try_parse(text).ok().filter(|uuid| is_hyphenated && !uuid.is_nil())?;
        Some(Self(uuid))
    }
}

/// Lower case with hyphens, as PostgreSQL writes it.
impl fmt::Display for UserId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_hyphenated().fmt(f)
    }
}

/// To whom usage is published: a user of a project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The project's URL, without a path: `https://abcdefghijklmnopqrst.supabase.co`.
    pub project: String,
    /// The user.
    pub user: UserId,
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "user {} of {}", self.user, self.project)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_a_hyphenated_uuid() {
        let user = UserId::parse(" 3DFB3580-b7c4-4da3-8d9e-b9775c216f7e\n").unwrap();
        assert_eq!(user.to_string(), "3dfb3580-b7c4-4da3-8d9e-b9775c216f7e");
        for wrong in [
            "",
            "user-1",
            "3dfb3580b7c44da38d9eb9775c216f7e",
            "{3dfb3580-b7c4-4da3-8d9e-b9775c216f7e}",
            "urn:uuid:3dfb3580-b7c4-4da3-8d9e-b9775c216f7e",
            "3dfb3580-b7c4-4da3-8d9e-b9775c216f7",
            "3dfb3580-b7c4-4da3-8d9e-b9775c216f7g",
            "00000000-0000-0000-0000-000000000000",
        ] {
            assert_eq!(UserId::parse(wrong), None, "{wrong}");
        }
    }
}
