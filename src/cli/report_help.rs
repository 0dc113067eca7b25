//! Examples at the end of each report's `--help`. Texts only.

pub(super) const DAILY: &str = "\
Examples:
  tallyd daily                                     all days, in the local time zone
  tallyd daily --since 2026-11-01 --breakdown      each model of each day
  tallyd daily --json --timezone UTC --no-scan     for scripts, from the ledger alone
  tallyd daily --instances --last 7                the last seven days, by project";

pub(super) const WEEKLY: &str = "\
Examples:
  tallyd weekly                                    weeks that start on Sunday
  tallyd weekly --start-of-week monday --last 4    the last four, from Monday
  tallyd weekly --csv > weeks.csv                  for a spreadsheet";

pub(super) const MONTHLY: &str = "\
Examples:
  tallyd monthly                                   all months
  tallyd monthly --breakdown --order desc          the newest first, each model apart
  tallyd monthly --project tallyd --json           one project";

pub(super) const SESSION: &str = "\
Examples:
  tallyd session --last 10                         the ten most recent sessions
  tallyd session --project tallyd --breakdown      those of one project, each model apart
  tallyd session --id 8f2c1e3a-5b7d-4e6f-9a0b-1c2d3e4f5a6b --json

Calls of sub-agents belong to the session that started them.";

pub(super) const PROJECT: &str = "\
Examples:
  tallyd project                                   all projects
  tallyd project --since 20261101 --no-cost        tokens alone, since a day
  tallyd project --json                            for scripts";

pub(super) const MODEL: &str = "\
Examples:
  tallyd model                                     all models
  tallyd model --since 2026-11-01 --until 2026-11-30
  tallyd model --json --no-scan                    for scripts, from the ledger alone";

pub(super) const BLOCKS: &str = "\
Examples:
  tallyd blocks --active                           the running window: rate and projection
  tallyd blocks --recent                           the last three days
  tallyd blocks --token-limit max                  measured against the largest there was
  tallyd blocks --session-length 24 --json         windows of a day";
