//! What the surroundings of the process say: environment variables and the folders of the platform.
//!
//! Owns: `std::env` and the `directories` crate. Values are asked for by name when they are needed and
//! mean nothing here. A variable that is set to nothing counts as not set. Fails only for a value that
//! is not UTF-8.

use super::ConfigError;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

/// The folder of the person who runs tallyd.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Home {
    /// It is there.
    At(PathBuf),
    /// It is named, by `HOME` or the user database, but there is no such folder.
    Missing(PathBuf),
    /// Neither `HOME` nor the user database names one.
    Unknown,
}

impl Home {
    /// The folder, where it exists.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Self::At(path) => Some(path),
            Self::Missing(_) | Self::Unknown => None,
        }
    }
}

/// The platform's own folders for a program of the name tallyd.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlatformFolders {
    /// For `tallyd.toml`.
    pub config: Option<PathBuf>,
    /// For the ledger.
    pub state: Option<PathBuf>,
}

/// Gives the value of a variable by its name.
type Lookup = Box<dyn Fn(&str) -> Option<OsString> + Send + Sync>;

/// Everything that [`super::load`] may know of its surroundings.
pub struct Environment {
    lookup: Lookup,
    home: Home,
    folders: PlatformFolders,
}

impl Environment {
    /// Surroundings made up of the parts given; tests use it.
    pub fn new(
        lookup: impl Fn(&str) -> Option<OsString> + Send + Sync + 'static,
        home: Home,
        folders: PlatformFolders,
    ) -> Self {
        Self { lookup: Box::new(lookup), home, folders }
    }

    /// The surroundings of this process.
    pub fn of_process() -> Self {
        let home = match directories::BaseDirs::new() {
            None => Home::Unknown,
            Some(base) if base.home_dir().is_dir() => Home::At(base.home_dir().to_owned()),
            Some(base) => Home::Missing(base.home_dir().to_owned()),
        };
        let folders = directories::ProjectDirs::from("", "", "tallyd").map_or_else(
            PlatformFolders::default,
            |project| PlatformFolders {
                config: Some(project.config_dir().to_owned()),
                state: Some(project.state_dir().unwrap_or_else(|| project.data_local_dir()).to_owned()),
            },
        );
        Self::new(|name| std::env::var_os(name), home, folders)
    }

    /// The home folder.
    pub fn home(&self) -> &Home {
        &self.home
    }

    /// The value of a variable; `None` where it is not set or empty.
    pub fn text(&self, variable: &'static str) -> Result<Option<String>, ConfigError> {
        match (self.lookup)(variable).map(OsString::into_string) {
            None => Ok(None),
            Some(Ok(text)) if text.trim().is_empty() => Ok(None),
            Some(Ok(text)) => Ok(Some(text)),
            Some(Err(_)) => Err(ConfigError::NotUtf8 { variable }),
        }
    }

    /// A variable as it is, for a program that is started.
    pub fn raw(&self, variable: &'static str) -> Option<OsString> {
        (self.lookup)(variable)
    }

    /// Where this program is: as it is called by `PATH` where that leads to it, since the place that a link
    /// points to may be gone after an upgrade.
    pub fn program(&self) -> std::io::Result<PathBuf> {
        let itself = std::env::current_exe()?;
        let path = self.raw("PATH").unwrap_or_default();
        let called = std::env::split_paths(&path).filter(|folder| folder.is_absolute());
        let mut called = called.map(|folder| folder.join("tallyd"));
        let same = called.find(|file| file.canonicalize().is_ok_and(|real| real == itself));
        Ok(same.unwrap_or(itself))
    }

    /// The value of a variable that the XDG rules want to be an absolute path; else it does not count.
    pub fn absolute_path(&self, variable: &'static str) -> Result<Option<PathBuf>, ConfigError> {
        Ok(self.text(variable)?.map(PathBuf::from).filter(|path| path.is_absolute()))
    }

    /// Where `tallyd.toml` is looked for.
    pub fn config_folder(&self) -> Result<Option<PathBuf>, ConfigError> {
        self.own_folder("XDG_CONFIG_HOME", self.folders.config.as_deref())
    }

    /// Where the ledger is kept unless told otherwise.
    pub fn state_folder(&self) -> Result<Option<PathBuf>, ConfigError> {
        self.own_folder("XDG_STATE_HOME", self.folders.state.as_deref())
    }

    /// The platform's folder. Without a home the platform's answer is below a folder that is not there;
    /// then only a variable that does not depend on the home counts.
    fn own_folder(
        &self,
        variable: &'static str,
        by_platform: Option<&Path>,
    ) -> Result<Option<PathBuf>, ConfigError> {
        match self.home {
            Home::At(_) => Ok(by_platform.map(Path::to_owned)),
            Home::Missing(_) | Home::Unknown => {
                Ok(self.absolute_path(variable)?.map(|folder| folder.join("tallyd")))
            }
        }
    }

    /// A path with a leading `~` replaced by the home folder; `None` where that is not known.
    pub fn expand(&self, path: &Path) -> Option<PathBuf> {
        match path.strip_prefix("~") {
            Err(_) => Some(path.to_owned()),
            Ok(rest) => self.home.path().map(|home| home.join(rest)),
        }
    }
}

/// Names the home alone: the variables may hold secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Environment").field("home", &self.home).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_has_a_path_and_no_nonsense() {
        let environment = Environment::of_process();
        assert!(environment.text("PATH").unwrap().is_some());
        assert_eq!(environment.text("TALLYD_NO_SUCH_VARIABLE").unwrap(), None);
        assert!(!format!("{environment:?}").contains("PATH"), "values may be secret");
    }
}
