//! Settings of asking Anthropic's Admin APIs: a key, given as the keys of publishing are, and where to ask.
//!
//! Made sense of, and the key's file read, only when a command asks. The key is in no config file and no argument.
//! Fails with [`ConfigError`], in which no key is.

use super::names::{ADMIN, ADMIN_URL};
use super::place::{Found, Given};
use crate::config::{ConfigError, Environment, not_allowed};
use crate::reconcile::{AdminOptions, admin_url};
use std::path::PathBuf;

/// Everything that was said of it, not yet made sense of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::config) struct AdminSettings {
    given: Vec<Given>,
    url: Option<String>,
    fly_app: Option<String>,
}

impl AdminSettings {
    /// Takes down what the environment says. Reads no file.
    pub(in crate::config) fn gather(environment: &Environment) -> Self {
        let folder = environment.text("CREDENTIALS_DIRECTORY").ok().flatten().map(PathBuf::from);
        let by_variable = Given::by_variable(&ADMIN, environment);
        let by_credential = folder.map(|folder| Given::by_credential(&ADMIN, &folder));
        Self {
            given: by_variable.into_iter().chain(by_credential).collect(),
            // What is not UTF-8 is no URL either, and is said so rather than passed over.
            url: environment.text(ADMIN_URL).unwrap_or_else(|_| Some("\u{fffd}".to_owned())),
            fly_app: environment.text("FLY_APP_NAME").ok().flatten().filter(|app| super::is_app_name(app)),
        }
    }

    /// The options; `None` where no key was given.
    pub(in crate::config) fn resolve(&self) -> Result<Option<AdminOptions>, ConfigError> {
        let Some(found) = self.find()? else { return Ok(None) };
        let url = match &self.url {
            Some(text) => {
                admin_url(text).map_err(|problem| not_allowed(ADMIN_URL, text, &problem.to_string()))?
            }
            None => AdminOptions::URL.to_owned(),
        };
        let source = found.place.to_string();
        let options = AdminOptions::new(&url, found.text(), &source);
        options.map(Some).map_err(|problem| ConfigError::AdminKey { place: source, problem })
    }

    /// What was said in the strongest place that says anything: the environment, then a credential.
    fn find(&self) -> Result<Option<Found>, ConfigError> {
        for given in &self.given {
            let read = given.read().map_err(|error| ConfigError::Publish {
                error: Box::new(error),
                fly_app: self.fly_app.clone(),
            })?;
            if read.is_some() {
                return Ok(read);
            }
        }
        Ok(None)
    }
}
