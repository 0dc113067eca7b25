//! What each setting of publishing is called: as a variable, as a variable that names a file, as a systemd
//! credential. Data alone.

/// A piece that publishing is configured by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// The project's URL.
    Url,
    /// The user that usage is billed to.
    User,
    /// A key that may write for every user.
    Service,
    /// The key that names the project and may do nothing.
    Publishable,
    /// A user's own token.
    Token,
    /// The key of Anthropic's Admin APIs, which publishing has nothing to do with.
    Admin,
}

/// The three names of one way to give a piece.
pub(super) struct Name {
    pub(super) piece: Piece,
    pub(super) variable: &'static str,
    /// Names a file that holds the value.
    pub(super) file_variable: &'static str,
    /// A file below `$CREDENTIALS_DIRECTORY` (systemd's `LoadCredential=`).
    pub(super) credential: &'static str,
}

/// The key of Anthropic's Admin APIs.
pub(super) const ADMIN: Name = Name {
    piece: Piece::Admin,
    variable: "ANTHROPIC_ADMIN_KEY",
    file_variable: "ANTHROPIC_ADMIN_KEY_FILE",
    credential: "anthropic_admin_key",
};

/// Where those are asked, if not at Anthropic's own address.
pub(super) const ADMIN_URL: &str = "TALLYD_ANTHROPIC_URL";

/// Every name of publishing. The three names of a service key and the two of a publishable key are those that Supabase's
/// own tools, templates and hosts use.
pub(super) const NAMES: [Name; 8] = [
    Name {
        piece: Piece::Url,
        variable: "SUPABASE_URL",
        file_variable: "SUPABASE_URL_FILE",
        credential: "supabase_url",
    },
    Name { piece: Piece::User, variable: "USER_ID", file_variable: "USER_ID_FILE", credential: "user_id" },
    Name {
        piece: Piece::Service,
        variable: "SUPABASE_SERVICE_KEY",
        file_variable: "SUPABASE_SERVICE_KEY_FILE",
        credential: "supabase_service_key",
    },
    Name {
        piece: Piece::Service,
        variable: "SUPABASE_SECRET_KEY",
        file_variable: "SUPABASE_SECRET_KEY_FILE",
        credential: "supabase_secret_key",
    },
    Name {
        piece: Piece::Service,
        variable: "SUPABASE_SERVICE_ROLE_KEY",
        file_variable: "SUPABASE_SERVICE_ROLE_KEY_FILE",
        credential: "supabase_service_role_key",
    },
    Name {
        piece: Piece::Publishable,
        variable: "SUPABASE_PUBLISHABLE_KEY",
        file_variable: "SUPABASE_PUBLISHABLE_KEY_FILE",
        credential: "supabase_publishable_key",
    },
    Name {
        piece: Piece::Publishable,
        variable: "SUPABASE_ANON_KEY",
        file_variable: "SUPABASE_ANON_KEY_FILE",
        credential: "supabase_anon_key",
    },
    Name {
        piece: Piece::Token,
        variable: "SUPABASE_ACCESS_TOKEN",
        file_variable: "SUPABASE_ACCESS_TOKEN_FILE",
        credential: "supabase_access_token",
    },
];
