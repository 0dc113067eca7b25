//! What keeps usage from being published until a person mends it, and the command that does.
//!
//! Owns: the words. Knows what a server said only as the short text that [`told`] makes of it.

use super::{KeyChoice, PublishOptions};
use crate::domain::{Destination, beginning};
use crate::telemetry::shown;

/// Characters of a server's message that are kept.
const MESSAGE_LIMIT: usize = 300;

/// The command that brings a project to the contract.
const APPLY_SCHEMA: &str = "tallyd schema | psql \"$DATABASE_URL\"  (or put its output below supabase/migrations and run `supabase db push`)";

/// A text of a server, short and safe to show: it may hold anything.
pub(super) fn told(message: &str) -> String {
    shown(&beginning(message.trim(), MESSAGE_LIMIT))
}

/// A fault of configuration: nothing is lost by it, and nothing is sent until it is mended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The project has no such user.
    UnknownUser(Destination),
    /// The project's SQL is missing, or is not tallyd's.
    NoContract {
        /// What the server said.
        message: String,
    },
    /// The project's SQL is of an earlier contract.
    OldContract {
        /// The contract it has.
        found: u32,
    },
    /// The server does not know the key.
    KeyRefused {
        /// What the server said.
        message: String,
    },
    /// The key or token was valid once.
    Expired,
    /// The key is known and may not do this.
    Forbidden {
        /// What the server said.
        message: String,
    },
    /// There is a server, and it does not serve the project's API.
    NoApi {
        /// What the server said.
        message: String,
    },
    /// The project is paused, or its payment is due.
    Paused {
        /// The HTTP status.
        status: u16,
    },
    /// The ledger holds the usage of another user or for another project.
    ForeignLedger {
        /// Whose it is.
        owner: Destination,
        /// To whom it should have been sent.
        wanted: Destination,
    },
    /// No connection can be made from this machine.
    NoClient {
        /// Why.
        message: String,
    },
}

impl Fault {
    /// A short stable name, for JSON, metrics and comparing.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UnknownUser(_) => "unknown_user",
            Self::NoContract { .. } => "no_contract",
            Self::OldContract { .. } => "old_contract",
            Self::KeyRefused { .. } => "key_refused",
            Self::Expired => "expired",
            Self::Forbidden { .. } => "forbidden",
            Self::NoApi { .. } => "no_api",
            Self::Paused { .. } => "paused",
            Self::ForeignLedger { .. } => "foreign_ledger",
            Self::NoClient { .. } => "no_client",
        }
    }

    /// What is wrong, in one line.
    pub fn what(&self) -> String {
        match self {
            Self::UnknownUser(to) => format!("{} has no user {}", to.project, to.user),
            Self::NoContract { message } => {
                format!("the project's database lacks what tallyd publishes to: {message}")
            }
            Self::OldContract { found } => format!(
                "the project's database has contract {found} of token usage, tallyd needs {}",
                super::CONTRACT
            ),
            Self::KeyRefused { message } => format!("the project does not accept the key: {message}"),
            Self::Expired => "the key or access token has expired".to_owned(),
            Self::Forbidden { message } => format!("the key may not publish for this user: {message}"),
            Self::NoApi { message } => format!("the server is not a project's API: {message}"),
            Self::Paused { status } => {
                format!("the project is paused or its payment is due (HTTP status {status})")
            }
            Self::ForeignLedger { owner, wanted } => {
                format!("the ledger belongs to {owner}; nothing of it goes to {wanted} unasked")
            }
            Self::NoClient { message } => format!("no secure connection can be made: {message}"),
        }
    }

    /// The command, or the act, that mends it.
    pub fn help(&self, options: &PublishOptions) -> String {
        match self {
            Self::UnknownUser(_) => format!(
                "{}  (the dashboard lists users under Authentication)",
                options.setting_help("USER_ID", "<the user's UUID>")
            ),
            Self::NoContract { .. } | Self::OldContract { .. } => APPLY_SCHEMA.to_owned(),
            Self::KeyRefused { .. } => key_help(options),
            Self::Expired => format!("get a new one; {}", key_help(options)),
            Self::Forbidden { .. } => match options.key {
                KeyChoice::User { .. } => {
                    format!(
                        "sign in as the user of USER_ID; {}; or, where rights are missing: {APPLY_SCHEMA}",
                        key_help(options)
                    )
                }
                _ => APPLY_SCHEMA.to_owned(),
            },
            Self::NoApi { .. } => format!(
                "{}  (the dashboard shows it under Data API, which has to be on and to expose `public`)",
                options.setting_help("SUPABASE_URL", "https://<project>.supabase.co")
            ),
            Self::Paused { .. } => "restore the project in the Supabase dashboard".to_owned(),
            Self::ForeignLedger { .. } => {
                "tallyd reassign  (says what each choice would do), or set USER_ID and SUPABASE_URL back"
                    .to_owned()
            }
            Self::NoClient { .. } => {
                "install the system's CA certificates, for instance: apt-get install ca-certificates"
                    .to_owned()
            }
        }
    }
}

/// Which setting holds the key that was sent, what it is, and what belongs there.
fn key_help(options: &PublishOptions) -> String {
    let (kind, source) = (options.key.kind(), &options.key_source);
    let wanted = match options.key {
        KeyChoice::User { .. } => "<the user's access token>",
        _ => "<a secret key of this project, sb_secret_…>",
    };
    let is_variable = source.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    let act = if is_variable {
        options.secret_help(source, wanted)
    } else if source.starts_with("the credential ") {
        // systemd copies it when it starts a unit.
        format!("put {wanted} into the file of {source} and restart tallyd")
    } else {
        // A file: no assignment gives it another text, and it is read anew.
        format!("put {wanted} into {source} and send tallyd a SIGHUP")
    };
    format!("{act}  (sent: {kind}, from {source})")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::domain::UserId;

    pub(in crate::publish) fn options() -> PublishOptions {
        let user = UserId::parse("3dfb3580-b7c4-4da3-8d9e-b9775c216f7e").expect("a user");
        let destination = Destination { project: "https://abc.supabase.co".to_owned(), user };
        let key = KeyChoice::service("sb_secret_CANARY").expect("a key");
        PublishOptions::new(destination, key, "SUPABASE_SERVICE_KEY")
    }

    fn every_fault() -> Vec<Fault> {
        let message = || "as the server says".to_owned();
        let to = options().destination;
        let other = Destination { project: "https://other.supabase.co".to_owned(), ..to.clone() };
        vec![
            Fault::UnknownUser(to.clone()),
            Fault::NoContract { message: message() },
            Fault::OldContract { found: 1 },
            Fault::KeyRefused { message: message() },
            Fault::Expired,
            Fault::Forbidden { message: message() },
            Fault::NoApi { message: message() },
            Fault::Paused { status: 540 },
            Fault::ForeignLedger { owner: other, wanted: to },
            Fault::NoClient { message: message() },
        ]
    }

    #[test]
    fn each_fault_says_what_is_wrong_and_what_mends_it() {
        let mut options = options();
        let lines = |options: &PublishOptions| -> String {
            let line =
                |fault: Fault| format!("{}\n  {}\n  {}\n", fault.kind(), fault.what(), fault.help(options));
            every_fault().into_iter().map(line).collect()
        };
        let here = lines(&options);
        options.fly_app = Some("meter".to_owned());
        let on_fly = lines(&options);
        assert!(on_fly.contains("fly secrets set USER_ID=<the user's UUID> --app meter"), "{on_fly}");
        assert!(!here.contains("fly ") && !here.contains("CANARY"), "{here}");
        insta::assert_snapshot!(here);
    }

    #[test]
    fn a_key_from_a_file_is_mended_in_the_file() {
        let mut options = options();
        options.fly_app = Some("meter".to_owned());
        let help = |options: &PublishOptions| Fault::KeyRefused { message: String::new() }.help(options);
        assert!(
            help(&options)
                .starts_with("fly secrets import --app meter, with the line SUPABASE_SERVICE_KEY=<a"),
            "{}",
            help(&options)
        );
        options.key_source = "SUPABASE_SERVICE_KEY_FILE (/run/key)".to_owned();
        let expected = "put <a secret key of this project, sb_secret_…> into SUPABASE_SERVICE_KEY_FILE (/run/key) and send";
        assert!(help(&options).starts_with(expected), "{}", help(&options));
        options.key_source = "the credential /run/credentials/tallyd.service/supabase_service_key".to_owned();
        assert!(
            help(&options).contains("tallyd.service/supabase_service_key and restart"),
            "{}",
            help(&options)
        );
    }

    #[test]
    fn a_servers_words_are_shortened_and_drive_no_terminal() {
        assert_eq!(told(" a\u{1b}[2Jb\n"), "a\\u{1b}[2Jb");
        let long = told(&"é".repeat(1_000));
        assert_eq!(long.chars().count(), 301);
    }
}
