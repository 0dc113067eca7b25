//! The `tallyd` command: parse, settings, logs, dispatch. What a command does is in `cli`.

use tallyd::cli::Cli;
use tallyd::cli::exit::{self, ExitCode};
use tallyd::telemetry;

fn main() -> std::process::ExitCode {
    // Ends here, with code 2 or 0, for a wrong command line, --help and --version.
    let cli = Cli::from_command_line();
    work(&cli).unwrap_or_else(|error| exit::report(&error)).into()
}

fn work(cli: &Cli) -> anyhow::Result<ExitCode> {
    if let Some(ended) = cli.run_without_settings() {
        return ended;
    }
    let settings = cli.settings()?;
    telemetry::init(&settings.log, cli.usual_level())?;
    cli.dispatch(&settings)
}
