//! The campaign is worth what it catches: the migration with one thing broken, which it must notice. A mutant
//! that lives, or whose text is no longer in the migration, fails.

use super::campaign::{arena, run};
use super::concurrent::overtake;
use super::migration;
use crate::random::Random;

/// How many campaigns a mutant may outlive. Which of two calls comes first is chance in them; the one race that a
/// mutant must lose for certain is run step by step (`overtake`).
const PATIENCE: u64 = 20;

struct Mutant {
    name: &'static str,
    /// What stands in the migration and what it becomes, everywhere.
    changes: &'static [(&'static str, &'static str)],
}

const MUTANTS: &[Mutant] = &[
    Mutant {
        name: "a day forgets what it had",
        changes: &[(
            "daily_input_tokens = daily.daily_input_tokens + excluded",
            "daily_input_tokens = excluded",
        )],
    },
    Mutant {
        name: "the old cells stay in the day's sum",
        changes: &[(
            "select 1 as sign, * from cell union all select -1, * from old",
            "select 1 as sign, * from cell",
        )],
    },
    Mutant {
        name: "rank without revision",
        changes: &[
            ("(v.revision, v.message_count", "(v.message_count"),
            ("(stored.revision, stored.message_count", "(stored.message_count"),
            ("(excluded.revision, excluded.message_count", "(excluded.message_count"),
            ("order by session_id, revision desc, message_count", "order by session_id, message_count"),
            (
                "order by v.session_id, v.revision desc, v.message_count",
                "order by v.session_id, v.message_count",
            ),
        ],
    },
    Mutant {
        name: "an equal value is written again",
        changes: &[("> (stored.revision", ">= (stored.revision")],
    },
    Mutant {
        name: "rank without digest",
        changes: &[
            (",\n        v.digest)", ")"),
            ("v.unlogged_usage, v.digest)", "v.unlogged_usage)"),
            (
                "stored.unlogged_web_search_requests, stored.value_digest)",
                "stored.unlogged_web_search_requests)",
            ),
            (",\n          excluded.value_digest)", ")"),
            ("-stored.incomplete_messages, stored.value_digest)", "-stored.incomplete_messages)"),
            ("-excluded.incomplete_messages, excluded.value_digest)", "-excluded.incomplete_messages)"),
        ],
    },
    Mutant {
        name: "more incomplete messages first",
        changes: &[
            ("-v.incomplete_messages", "v.incomplete_messages"),
            ("-stored.incomplete_messages", "stored.incomplete_messages"),
            ("-excluded.incomplete_messages", "excluded.incomplete_messages"),
        ],
    },
    Mutant {
        name: "rank without unlogged tokens",
        changes: &[
            ("v.unlogged_usage, v.digest)", "0, v.digest)"),
            ("\n            + stored.unlogged_web_search_requests", ""),
            ("\n          + stored.unlogged_web_search_requests", ""),
            ("\n            + excluded.unlogged_web_search_requests", ""),
            ("stored.unlogged_input_tokens + stored.unlogged_output_tokens", "0"),
            ("\n            + stored.unlogged_cache_creation_tokens + stored.unlogged_cache_read_tokens", ""),
            ("\n          + stored.unlogged_cache_creation_tokens + stored.unlogged_cache_read_tokens", ""),
            ("excluded.unlogged_input_tokens + excluded.unlogged_output_tokens", "0"),
            (
                "\n            + excluded.unlogged_cache_creation_tokens + excluded.unlogged_cache_read_tokens",
                "",
            ),
        ],
    },
    Mutant {
        name: "a day forgets what was unlogged",
        changes: &[(
            "daily_unlogged_input_tokens = daily.daily_unlogged_input_tokens + excluded",
            "daily_unlogged_input_tokens = excluded",
        )],
    },
    Mutant {
        name: "what was unlogged outlives the value that had it",
        changes: &[(
            "kept.session_id = v.session_id)\n  then",
            "kept.session_id = v.session_id and false)\n  then",
        )],
    },
    Mutant {
        name: "a digest of what is logged alone",
        changes: &[("sha256(v.digest || convert_to(part.lines, 'UTF8'))", "v.digest")],
    },
    Mutant {
        name: "sessions locked in any order",
        changes: &[
            ("order by v.session_id\n", "order by random()\n"),
            ("order by name.session_id\n", "order by random()\n"),
        ],
    },
    Mutant {
        name: "days locked in any order",
        changes: &[("    order by usage_date\n    on conflict", "    order by random()\n    on conflict")],
    },
    Mutant {
        name: "sessions of a day counted by calls",
        changes: &[("\n             - count(distinct session_id) filter (where sign = -1)", "")],
    },
    Mutant {
        name: "cells that are gone stay",
        changes: &[(
            "select session_id, usage_date, model from cell)\n",
            "select session_id, usage_date, model from cell) and false\n",
        )],
    },
    Mutant {
        name: "no greatest of the days before",
        changes: &[("max(input_tokens) over days", "input_tokens")],
    },
    Mutant {
        name: "running totals added up",
        changes: &[(
            "greatest(known.output_tokens, excluded.output_tokens)",
            "known.output_tokens + excluded.output_tokens",
        )],
    },
    Mutant {
        name: "the latest running totals kept",
        changes: &[("greatest(known.message_count, excluded.message_count)", "excluded.message_count")],
    },
    Mutant {
        name: "running totals outlive the first value with a revision",
        changes: &[(
            "delete from token_usage_private.running_totals\n    where user_id = owner",
            "delete from token_usage_private.running_totals\n    where false",
        )],
    },
    Mutant {
        name: "nothing compared under the lock",
        changes: &[("where (excluded.revision = 0 and stored.revision = 0)\n", "where true\n")],
    },
    Mutant {
        name: "an old caller replaces a value with a revision",
        changes: &[
            ("where (excluded.revision = 0 and stored.revision = 0)", "where excluded.revision = 0"),
            ("  where stored.revision = 0;", "  where true;"),
            ("and stored.revision > 0)", "and false)"),
        ],
    },
];

fn mutated(mutant: &Mutant) -> String {
    mutant.changes.iter().fold(migration(), |sql, (from, to)| {
        assert!(sql.contains(from), "{}: the migration has no `{from}`: write the mutant anew", mutant.name);
        sql.replace(from, to)
    })
}

/// What the campaigns say of this mutant; none if it lives.
fn caught(mutant: &Mutant) -> Option<String> {
    let database = arena(&mutated(mutant));
    let mut random = Random::new(1);
    let overtaken = overtake(&database).err();
    overtaken.or_else(|| (0..PATIENCE).find_map(|_| run(&database, random.next()).err()))
}

#[test]
fn every_mutant_is_caught() {
    let lives = |mutant: &&Mutant| {
        let told = caught(mutant);
        let shown = told.as_deref().map_or("lives", |told| told.lines().nth(1).unwrap_or(told));
        println!("{}: {}", mutant.name, shown.chars().take(160).collect::<String>());
        told.is_none()
    };
    let alive: Vec<_> = MUTANTS.iter().filter(lives).map(|mutant| mutant.name).collect();
    assert!(alive.is_empty(), "not caught: {alive:?}");
}
