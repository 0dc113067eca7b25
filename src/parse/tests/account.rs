//! The client's own account.

use super::*;
use crate::domain::{ClientAccount, ClientModelAccount, Usd};
use pretty_assertions::assert_eq;

fn account(text: &str) -> Option<ClientAccount> {
    let (said, notice) = read(text.as_bytes());
    assert_eq!(notice, None, "{text}");
    match said.into_iter().next() {
        Some(Statement::Account(account)) => Some(*account),
        other => {
            assert_eq!(other, None);
            None
        }
    }
}

#[test]
fn a_cost_state_record_is_the_clients_account() {
    let text = r#"{"type":"cost-state","sessionId":"s","totalCostUSD":0.1234567890125,"startTime":5,
        "totalDuration":60,"modelUsage":{"claude-opus-5-5":{"inputTokens":1,"outputTokens":2,"thinkingTokens":1,
        "cacheReadInputTokens":3,"cacheCreationInputTokens":9,"cacheCreationEphemeral1hInputTokens":4,
        "webSearchRequests":6,"costUSD":1e-7},"broken":7}}"#
        .replace('\n', "");
    let expected = ClientAccount {
        session: "s".to_owned(),
        started_at: Some(UnixMillis(5)),
        duration_ms: 60,
        // The half of a picodollar goes to the even one.
        cost: Usd(123_456_789_012),
        models: vec![ClientModelAccount {
            model: ModelName("claude-opus-5-5".to_owned()),
            tokens: tokens(1, 2, 5, 4, 3),
            thinking: 1,
            web_searches: 6,
            cost: Usd(100_000),
        }],
    };
    assert_eq!(account(&text), Some(expected));
}

#[test]
fn an_account_without_models_accounts_for_nothing() {
    for models in ["", r#","modelUsage":null"#, r#","modelUsage":[]"#] {
        assert_eq!(
            account(&format!(r#"{{"type":"cost-state","totalCostUSD":1{models}}}"#)),
            None,
            "{models}"
        );
    }
    let empty = account(r#"{"type":"cost-state","modelUsage":{}}"#).unwrap();
    assert_eq!((empty.session.as_str(), empty.started_at, empty.cost), ("file-session", None, Usd(0)));
}

#[test]
fn money_that_is_no_number_is_nothing() {
    for (cost, expected) in [
        ("null", 0),
        ("\"1\"", 0),
        ("-1", -1_000_000_000_000),
        ("1e40", 0),
        ("1e-40", 0),
        ("[1]", 0),
        ("2.50", 2_500_000_000_000),
    ] {
        let text = format!(r#"{{"type":"cost-state","totalCostUSD":{cost},"modelUsage":{{}}}}"#);
        assert_eq!(account(&text).unwrap().cost, Usd(expected), "{cost}");
    }
}
