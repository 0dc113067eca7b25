//! The user's agents on macOS.
//!
//! Owns the text of the agent's file and what launchctl is asked. Made by Apple's documentation (launchd.plist(5),
//! launchctl(1)) and tested as text: this was not run on a Mac.

use super::line;
use super::step::{self, Step};
use crate::cli::errors::ServiceError;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

const LABEL: &str = "tallyd.agent";
/// By this line an agent is known as ours.
const MARK: &str = "Written by `tallyd service install`";

fn agent_file(home: &Path) -> PathBuf {
    home.join("Library/LaunchAgents").join(format!("{LABEL}.plist"))
}

/// Where launchd puts what tallyd says.
pub(super) fn log_file(home: &Path) -> PathBuf {
    home.join("Library/Logs/tallyd.log")
}

/// The domain of the user's session: that of whoever owns the home.
fn domain(home: &Path) -> String {
    let user = std::fs::metadata(home).map_or(0, |metadata| metadata.uid());
    format!("gui/{user}")
}

fn target(home: &Path) -> String {
    format!("{}/{LABEL}", domain(home))
}

pub(super) fn install(home: &Path, words: &[String], is_forced: bool) -> Result<Vec<Step>, ServiceError> {
    let path = agent_file(home);
    let (_, put) = step::putting(&path, MARK, agent(home, words), is_forced)?;
    let path = path.to_string_lossy();
    Ok(vec![
        put,
        // What is loaded, is loaded from the former file; a failure says that nothing was.
        Step::Try(line(&["launchctl", "bootout", &target(home)])),
        Step::Run(line(&["launchctl", "bootstrap", &domain(home), &path])),
    ])
}

pub(super) fn uninstall(home: &Path) -> Result<Vec<Step>, ServiceError> {
    let path = agent_file(home);
    if !step::removable(&path, MARK)? {
        return Ok(vec![Step::Say(format!("is not there: {}", path.display()))]);
    }
    Ok(vec![Step::Try(line(&["launchctl", "bootout", &target(home)])), Step::Remove(path)])
}

pub(super) fn status(home: &Path) -> Vec<String> {
    line(&["launchctl", "print", &target(home)])
}

pub(super) fn logs() -> Vec<String> {
    line(&["tail"])
}

/// The agent with this command line. It starts at login, again a minute after a failure, and in the background.
fn agent(home: &Path, words: &[String]) -> String {
    let arguments: String = words
        .iter()
        .flat_map(|word| ["\t\t<string>".to_owned(), escaped(word), "</string>\n".to_owned()])
        .collect();
    let log = escaped(&log_file(home).to_string_lossy());
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>
<!-- {MARK}; `tallyd service uninstall` removes it. -->
<!DOCTYPE plist PUBLIC \"-//Apple//DTD PLIST 1.0//EN\" \"http://www.apple.com/DTDs/PropertyList-1.0.dtd\">
<plist version=\"1.0\">
<dict>
	<key>Label</key>
	<string>{LABEL}</string>
	<key>ProgramArguments</key>
	<array>
{arguments}	</array>
	<key>RunAtLoad</key>
	<true/>
	<key>KeepAlive</key>
	<dict>
		<key>SuccessfulExit</key>
		<false/>
	</dict>
	<key>ThrottleInterval</key>
	<integer>60</integer>
	<key>ProcessType</key>
	<string>Background</string>
	<key>ExitTimeOut</key>
	<integer>15</integer>
	<key>Umask</key>
	<integer>63</integer>
	<key>HardResourceLimits</key>
	<dict>
		<key>Core</key>
		<integer>0</integer>
	</dict>
	<key>StandardErrorPath</key>
	<string>{log}</string>
</dict>
</plist>
"
    )
}

/// A text inside of XML.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_agent_names_program_flags_and_log() {
        let words = line(&["/opt/a&b/tallyd", "run", "--config", "/Users/dev/<my>.toml"]);
        let text = agent(Path::new("/Users/dev"), &words);
        for part in [
            "<string>/opt/a&amp;b/tallyd</string>\n\t\t<string>run</string>\n\t\t<string>--config</string>",
            "<string>/Users/dev/&lt;my&gt;.toml</string>\n\t</array>",
            "<key>StandardErrorPath</key>\n\t<string>/Users/dev/Library/Logs/tallyd.log</string>",
            "<key>KeepAlive</key>\n\t<dict>\n\t\t<key>SuccessfulExit</key>\n\t\t<false/>",
        ] {
            assert!(text.contains(part), "{part} in {text}");
        }
        for tag in ["dict", "array", "plist", "string", "key", "integer"] {
            let opened =
                text.matches(&format!("<{tag}>")).count() + text.matches(&format!("<{tag} ")).count();
            assert_eq!(opened, text.matches(&format!("</{tag}>")).count(), "{tag}");
        }
    }

    #[test]
    fn it_is_installed_changed_and_removed_by_steps() {
        let home = tempfile::tempdir().unwrap();
        let words = line(&["/opt/tallyd", "run"]);
        let steps = install(home.path(), &words, false).unwrap();
        let [Step::Write { path, text }, Step::Try(bootout), Step::Run(bootstrap)] = &steps[..] else {
            panic!("{steps:?}");
        };
        assert_eq!(path, &home.path().join("Library/LaunchAgents/tallyd.agent.plist"));
        let user = std::fs::metadata(home.path()).unwrap().uid();
        assert_eq!(bootout.join(" "), format!("launchctl bootout gui/{user}/tallyd.agent"));
        assert_eq!(bootstrap.join(" "), format!("launchctl bootstrap gui/{user} {}", path.display()));
        assert_eq!(uninstall(home.path()).unwrap().len(), 1, "nothing is there");
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
        assert!(matches!(install(home.path(), &words, false).unwrap()[0], Step::Say(_)));
        assert_eq!(uninstall(home.path()).unwrap()[1], Step::Remove(path.clone()));
        std::fs::write(path, "<plist/>").unwrap();
        assert!(install(home.path(), &words, false).is_err() && uninstall(home.path()).is_err());
        assert!(install(home.path(), &words, true).is_ok());
    }
}
