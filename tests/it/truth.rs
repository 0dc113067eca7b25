//! What a tree of logs amounts to: the generator's own account of it, and the account that `tallyd`
//! gives, in the same terms, so that the two can be compared to the token and to the picodollar.
//!
//! Nothing here reads a log: the generator says with each line what the line means.
#![cfg(test)]

use rust_decimal::Decimal;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// Input, output, 5-minute writes, 1-hour writes, reads.
pub(crate) type Tokens = [u64; 5];

/// A model and its price in picodollars per token, in the order of [`Tokens`].
pub(crate) struct Model {
    pub(crate) name: &'static str,
    pub(crate) price: Tokens,
}

/// The models that the generator uses; list prices of September 2026, in USD per million tokens
/// 3/15/3.75/6/0.30, 5/25/6.25/10/0.50 and 1/5/1.25/2/0.10.
/// The last has none: what uses it is counted and unpriced.
pub(crate) const MODELS: [Model; 4] = [
    Model {
        name: "claude-sonnet-4-5-20250929",
        price: [3_000_000, 15_000_000, 3_750_000, 6_000_000, 300_000],
    },
    Model {
        name: "claude-opus-4-5-20251101",
        price: [5_000_000, 25_000_000, 6_250_000, 10_000_000, 500_000],
    },
    Model { name: "claude-haiku-4-5-20251001", price: [1_000_000, 5_000_000, 1_250_000, 2_000_000, 100_000] },
    Model { name: "house-model-7b", price: [0; 5] },
];

/// The one of [`MODELS`] that no price table knows.
pub(crate) const UNPRICED: usize = 3;

/// What one line says of one response.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Said {
    pub(crate) message: String,
    pub(crate) model: usize,
    pub(crate) tokens: Tokens,
    /// Milliseconds since 1970.
    pub(crate) at: i64,
    /// The session that paid, whichever file the line is in.
    pub(crate) session: String,
}

/// A sum over responses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    pub(crate) messages: u64,
    pub(crate) tokens: Tokens,
    /// Picodollars.
    pub(crate) cost: u64,
    /// Responses of a model without a price, which are in no cost.
    pub(crate) unpriced: u64,
}

impl Sum {
    pub(crate) fn add(&mut self, said: &Said) {
        self.messages += 1;
        self.unpriced += u64::from(said.model == UNPRICED);
        for (kind, count) in said.tokens.iter().enumerate() {
            self.tokens[kind] += count;
            self.cost += count * MODELS[said.model].price[kind];
        }
    }
}

/// Sums by day, session and model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) days: BTreeMap<String, Sum>,
    pub(crate) sessions: BTreeMap<String, Sum>,
    pub(crate) models: BTreeMap<String, Sum>,
}

impl Account {
    /// The same at prices this many times as high.
    pub(crate) fn at_prices_times(mut self, factor: u64) -> Self {
        let sums = self.days.values_mut().chain(self.sessions.values_mut()).chain(self.models.values_mut());
        sums.for_each(|sum| sum.cost *= factor);
        self
    }

    pub(crate) fn messages(&self) -> u64 {
        self.days.values().map(|sum| sum.messages).sum()
    }
}

/// The responses told of so far.
#[derive(Clone, Debug, Default)]
pub(crate) struct Truth(BTreeMap<String, Said>);

impl Truth {
    /// A response has the usage of its line with the most output and the day of its earliest line.
    pub(crate) fn hear<'a>(&mut self, lines: impl IntoIterator<Item = &'a Said>) {
        for said in lines {
            let known = self.0.entry(said.message.clone()).or_insert_with(|| said.clone());
            if said.tokens[1] > known.tokens[1] {
                known.tokens = said.tokens;
            }
            known.at = known.at.min(said.at);
        }
    }

    pub(crate) fn messages(&self) -> u64 {
        u64::try_from(self.0.len()).expect("a length fits")
    }

    pub(crate) fn account(&self) -> Account {
        let mut account = Account::default();
        for said in self.0.values() {
            account.days.entry(day(said.at)).or_default().add(said);
            account.sessions.entry(said.session.clone()).or_default().add(said);
            account.models.entry(MODELS[said.model].name.to_owned()).or_default().add(said);
        }
        account
    }
}

/// The instant as session logs write it.
pub(crate) fn timestamp(at: i64) -> String {
    let instant = chrono::DateTime::from_timestamp_millis(at).expect("within chrono's range");
    instant.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

fn day(at: i64) -> String {
    timestamp(at)[..10].to_owned()
}

/// A row of a JSON report, with the keys that a sum is made of.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Row<'a> {
    date: Option<String>,
    session_id: Option<String>,
    model_name: Option<String>,
    input_tokens: u64,
    output_tokens: u64,
    #[serde(rename = "cacheCreation5mTokens")]
    writes_5m: u64,
    #[serde(rename = "cacheCreation1hTokens")]
    writes_1h: u64,
    cache_read_tokens: u64,
    message_count: u64,
    #[serde(default)]
    unpriced_messages: u64,
    #[serde(borrow)]
    total_cost: &'a RawValue,
}

impl Row<'_> {
    fn name(&self) -> &str {
        let name = self.date.as_ref().or(self.session_id.as_ref()).or(self.model_name.as_ref());
        name.expect("a row has a date, a session or a model")
    }

    fn sum(&self) -> Sum {
        // Nothing in the row has a price.
        let digits = if self.total_cost.get() == "null" { "0" } else { self.total_cost.get() };
        let dollars: Decimal = digits.parse().expect("a cost is a number");
        let picodollars = (dollars * Decimal::from(1_000_000_000_000_u64)).normalize();
        let tokens =
            [self.input_tokens, self.output_tokens, self.writes_5m, self.writes_1h, self.cache_read_tokens];
        let cost = picodollars.to_string().parse().expect("whole picodollars");
        Sum { messages: self.message_count, tokens, cost, unpriced: self.unpriced_messages }
    }
}

/// The rows of a JSON report, by their name.
pub(crate) fn rows(report: &str, list: &str) -> BTreeMap<String, Sum> {
    let whole: BTreeMap<String, &RawValue> =
        serde_json::from_str(report).unwrap_or_else(|error| panic!("not a report: {error}: {report}"));
    let list = whole.get(list).unwrap_or_else(|| panic!("no `{list}` in {report}"));
    let rows: Vec<Row> = serde_json::from_str(list.get()).unwrap_or_else(|error| panic!("{error}: {report}"));
    // A row without a reply is there for what no log has.
    let logged = rows.iter().map(|row| (row.name().to_owned(), row.sum()));
    logged.filter(|(_, sum)| sum.messages > 0).collect()
}

#[test]
fn a_response_counts_once_with_its_greatest_line() {
    let said = |output, at| Said {
        message: "msg_01a".to_owned(),
        model: 0,
        tokens: [10, output, 0, 0, 0],
        at,
        session: "s".to_owned(),
    };
    let mut truth = Truth::default();
    truth.hear(&[said(1, 86_400_000), said(7, 86_399_999), said(3, 86_400_001)]);
    let account = truth.account();
    let sum = Sum { messages: 1, tokens: [10, 7, 0, 0, 0], cost: 135_000_000, unpriced: 0 };
    assert_eq!(account.days["1970-01-01"], sum);
    assert_eq!((account.messages(), account.sessions.len(), account.models.len()), (1, 1, 1));
}

#[test]
fn a_report_reads_as_sums() {
    let report = r#"{"daily":[{"date":"2026-09-01","inputTokens":1,"outputTokens":2,"cacheCreationTokens":7,
        "cacheCreation5mTokens":3,"cacheCreation1hTokens":4,"cacheReadTokens":5,"totalTokens":15,"messageCount":6,
        "totalCost":0.0000000750}],"totals":{}}"#;
    let mut sum = Sum { messages: 6, tokens: [1, 2, 3, 4, 5], cost: 75_000, unpriced: 0 };
    assert_eq!(rows(report, "daily"), BTreeMap::from([("2026-09-01".to_owned(), sum.clone())]));
    let unpriced = report.replace("0.0000000750", "null,\"unpricedMessages\":6");
    (sum.cost, sum.unpriced) = (0, 6);
    assert_eq!(rows(&unpriced, "daily"), BTreeMap::from([("2026-09-01".to_owned(), sum)]));
}
