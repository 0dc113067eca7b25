//! Settings of publishing to Supabase.
//!
//! Gathered from environment, credentials and config file when the settings are loaded; made sense of, and
//! files of keys read, only when a command wants to publish, so that no report fails for them. Whatever was
//! given is kept as a secret, the URL and the user too: a key that was pasted into the wrong variable must
//! not be shown either. Refuses to guess between two keys that differ. Fails with [`PublishSettingError`].

mod admin;
mod error;
mod names;
mod place;
#[cfg(test)]
mod tests;

pub(in crate::config) use admin::AdminSettings;
pub use error::{Missing, PublishSettingError};
pub use place::Place;

use super::{ConfigError, Environment, not_allowed, value};
use crate::domain::{Destination, UserId};
use crate::publish::{KeyChoice, PublishOptions, project_url};
use names::{NAMES, Name, Piece};
use place::{Found, Given, Level};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the `[publish]` table of the config file says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct FilePublish {
    pub(super) enabled: Option<bool>,
    pub(super) url: Option<String>,
    pub(super) user_id: Option<String>,
    pub(super) key_file: Option<PathBuf>,
    pub(super) publishable_key_file: Option<PathBuf>,
    pub(super) access_token_file: Option<PathBuf>,
    pub(super) interval: Option<Duration>,
    pub(super) timeout: Option<Duration>,
}

/// Everything that was said of publishing, not yet made sense of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PublishSettings {
    switch: Option<String>,
    enabled: bool,
    interval: Duration,
    timeout: Duration,
    fly_app: Option<String>,
    given: Vec<Given>,
}

/// The names of every variable that says a piece, or names a file that does.
pub(super) fn variables() -> impl Iterator<Item = &'static str> {
    NAMES.iter().flat_map(|name| [name.variable, name.file_variable])
}

/// What decides who writes to the project.
enum Credential {
    Service(Found),
    User { publishable: Found, token: Found },
}

impl PublishSettings {
    /// Takes down what environment and file say. Reads no file.
    pub(super) fn gather(environment: &Environment, file: &FilePublish, config: Option<&Path>) -> Self {
        let mut given = Vec::new();
        let folder = environment.text("CREDENTIALS_DIRECTORY").ok().flatten().map(PathBuf::from);
        for name in &NAMES {
            given.extend(Given::by_variable(name, environment));
            given.extend(folder.as_ref().map(|folder| Given::by_credential(name, folder)));
        }
        given.extend(config.into_iter().flat_map(|config| Given::by_config(file, config)));
        Self {
            switch: environment.text("TALLYD_PUBLISH").ok().flatten(),
            enabled: file.enabled.unwrap_or(true),
            interval: file.interval.unwrap_or(PublishOptions::INTERVAL),
            timeout: file.timeout.unwrap_or(PublishOptions::TIMEOUT),
            fly_app: environment.text("FLY_APP_NAME").ok().flatten().filter(|app| is_app_name(app)),
            given,
        }
    }

    /// True where somebody said so.
    pub(super) fn is_switched_off(&self) -> Result<bool, ConfigError> {
        let by_switch = self.switch.as_ref().map(|text| {
            value::switch(text).ok_or_else(|| not_allowed("TALLYD_PUBLISH", text, value::SWITCH))
        });
        Ok(!by_switch.transpose()?.unwrap_or(self.enabled))
    }

    /// The options; `None` where publishing is switched off or was never configured.
    pub(super) fn resolve(&self) -> Result<Option<PublishOptions>, ConfigError> {
        if self.is_switched_off()? {
            return Ok(None);
        }
        let Some(reason) = self.reason() else { return Ok(None) };
        self.options(&reason)
            .map(Some)
            .map_err(|error| ConfigError::Publish { error: Box::new(error), fly_app: self.fly_app.clone() })
    }

    /// What says that somebody wants to publish. A user, a publishable key or a token alone do not: other
    /// programs' surroundings may have them.
    fn reason(&self) -> Option<Place> {
        let first = |piece| self.given.iter().find(|given| given.piece == piece && given.is_there());
        let file = |given: &&Given| given.level == Level::Config && given.piece == Piece::Token;
        first(Piece::Url)
            .or_else(|| first(Piece::Service))
            .or_else(|| first(Piece::Publishable).and_then(|_| first(Piece::Token)))
            .or_else(|| self.given.iter().find(file))
            .map(|given| given.place.clone())
    }

    fn options(&self, reason: &Place) -> Result<PublishOptions, PublishSettingError> {
        let missing =
            |what| move || PublishSettingError::Missing { missing: what, given: reason.to_string() };
        let url = self.find(Piece::Url)?.ok_or_else(missing(Missing::Url))?;
        let project = project_url(url.text())
            .map_err(|problem| PublishSettingError::Url { place: url.place.clone(), problem })?;
        let user = self.find(Piece::User)?.map(|found| user_id(&found).map(|user| (user, found.place)));
        let (key, user, source) = match (self.credential(reason)?, user.transpose()?) {
            (Credential::Service(key), Some((user, _))) => (service(&key)?, user, key.place),
            (Credential::Service(_), None) => return Err(missing(Missing::User)()),
            (Credential::User { publishable, token }, user) => {
                let (key, user) = as_user(&publishable, &token, user)?;
                (key, user, token.place)
            }
        };
        Ok(PublishOptions {
            interval: self.interval,
            timeout: self.timeout,
            fly_app: self.fly_app.clone(),
            ..PublishOptions::new(Destination { project, user }, key, &source.to_string())
        })
    }

    /// A key of the whole project, or a user's own token, whichever was said in the stronger place; a key
    /// where both were.
    fn credential(&self, reason: &Place) -> Result<Credential, PublishSettingError> {
        let missing =
            |what, given: &Place| PublishSettingError::Missing { missing: what, given: given.to_string() };
        let (service, token) = (self.find(Piece::Service)?, self.find(Piece::Token)?);
        match (service, token) {
            (Some(service), Some(token)) if service.level <= token.level => Ok(Credential::Service(service)),
            (Some(service), None) => Ok(Credential::Service(service)),
            (_, Some(token)) => match self.find(Piece::Publishable)? {
                Some(publishable) => Ok(Credential::User { publishable, token }),
                None => Err(missing(Missing::PublishableKey, &token.place)),
            },
            (None, None) => match self.find(Piece::Publishable)? {
                Some(publishable) => Err(missing(Missing::AccessToken, &publishable.place)),
                None => Err(missing(Missing::Key, reason)),
            },
        }
    }

    /// What was said in the strongest place that says anything.
    fn find(&self, piece: Piece) -> Result<Option<Found>, PublishSettingError> {
        for level in Level::ALL {
            let mut first: Option<Found> = None;
            for given in self.given.iter().filter(|given| given.piece == piece && given.level == level) {
                let Some(found) = given.read()? else { continue };
                if let Some(first) = first.as_ref().filter(|first| first.text() != found.text()) {
                    let (one, other) = (first.place.clone(), found.place);
                    return Err(PublishSettingError::Differ { one, other });
                }
                first = first.or(Some(found));
            }
            if first.is_some() {
                return Ok(first);
            }
        }
        Ok(None)
    }
}

/// Lower-case letters, digits and hyphens, as Fly gives them: the name becomes part of a command that people
/// copy, and anything else may be a key or an instruction.
fn is_app_name(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

fn user_id(found: &Found) -> Result<UserId, PublishSettingError> {
    UserId::parse(found.text()).ok_or_else(|| PublishSettingError::User {
        place: found.place.clone(),
        looks: error::looks_like(found.text()),
    })
}

fn service(key: &Found) -> Result<KeyChoice, PublishSettingError> {
    KeyChoice::service(key.text())
        .map_err(|problem| PublishSettingError::Key { place: key.place.clone(), problem })
}

fn as_user(
    publishable: &Found,
    token: &Found,
    configured: Option<(UserId, Place)>,
) -> Result<(KeyChoice, UserId), PublishSettingError> {
    let wrong = |found: &Found| {
        let place = found.place.clone();
        move |problem| PublishSettingError::Key { place, problem }
    };
    KeyChoice::publishable(publishable.text()).map_err(wrong(publishable))?;
    let (key, user) = KeyChoice::user(publishable.text(), token.text()).map_err(wrong(token))?;
    match configured {
        Some((configured, place)) if configured != user => Err(PublishSettingError::OtherUser {
            place: place.to_string(),
            configured,
            token: token.place.to_string(),
            user,
        }),
        _ => Ok((key, user)),
    }
}
