//! What a service manager says of itself in the environment.
//!
//! Knows the names of its variables; sends it nothing. A value that makes no sense is as none: the manager has its own
//! timeouts.

use super::Environment;
use crate::daemon::NotifyOptions;
use std::time::Duration;

/// What a service manager has put into the environment, by `sd_notify(3)` and `sd_watchdog_enabled(3)`: a
/// watchdog that is another process's is none of ours.
pub(super) fn notify_options(environment: &Environment) -> Option<NotifyOptions> {
    let text = |name| environment.text(name).ok().flatten();
    let socket = environment.raw("NOTIFY_SOCKET").filter(|socket| !socket.is_empty())?;
    let is_ours = text("WATCHDOG_PID").is_none_or(|process| process == std::process::id().to_string());
    let micros: Option<u64> = text("WATCHDOG_USEC").and_then(|micros| micros.parse().ok());
    let watchdog = micros.filter(|micros| *micros > 0 && is_ours).map(Duration::from_micros);
    Some(NotifyOptions { socket, watchdog })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Home, PlatformFolders};
    use std::collections::BTreeMap;
    use std::ffi::OsString;

    #[test]
    fn a_service_manager_is_told_of_where_one_asks_for_it() {
        let asked = |pairs: &[(&str, &str)]| {
            let variables: BTreeMap<String, OsString> =
                pairs.iter().map(|(name, value)| ((*name).to_owned(), OsString::from(value))).collect();
            let lookup = move |name: &str| variables.get(name).cloned();
            let environment = Environment::new(lookup, Home::Unknown, PlatformFolders::default());
            notify_options(&environment).map(|options| (options.socket, options.watchdog))
        };
        let (socket, own) = (("NOTIFY_SOCKET", "/run/notify"), std::process::id().to_string());
        let watchdog = ("WATCHDOG_USEC", "30000000");
        let told =
            |seconds: Option<u64>| Some((OsString::from("/run/notify"), seconds.map(Duration::from_secs)));
        assert_eq!(asked(&[watchdog]), None);
        assert_eq!(asked(&[("NOTIFY_SOCKET", "")]), None);
        assert_eq!(asked(&[socket]), told(None));
        assert_eq!(asked(&[socket, watchdog]), told(Some(30)));
        assert_eq!(asked(&[socket, watchdog, ("WATCHDOG_PID", &own)]), told(Some(30)));
        for other in [("WATCHDOG_PID", "1"), ("WATCHDOG_USEC", "0"), ("WATCHDOG_USEC", "soon")] {
            assert_eq!(asked(&[socket, watchdog, other]), told(None), "{other:?}");
        }
    }
}
