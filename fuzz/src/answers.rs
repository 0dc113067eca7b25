//! The answers of a server: any status, headers and body. Only a body that names what was sent acknowledges
//! it; texts of the server are short and drive no terminal; pages that are no rows are refused.
//!
//! An input is a line `status`, tab, `Retry-After`, tab, `Date`; then the body; of a page of sessions, the rows
//! of their cells stand behind a line `%cells`.

use serde_json::Value;
use tallyd::domain::{Destination, Revision, UserId};
use tallyd::publish::given::{self, Given};
use tallyd::publish::{Fault, ItemAnswer, KeyChoice, PublishOptions, Refusal};

const DIVIDER: &[u8] = b"\n%cells\n";

const SESSIONS: [&str; 2] = ["s-1", "s-2"];

/// Characters that a server's text is shortened to, times those of the longest escape of one, and words around.
const MOST_LETTERS: usize = 301 * 8 + 200;

/// The bytes as every kind of answer.
pub fn check(data: &[u8]) {
    let (answer, cells) = answer_of(data);
    let options = options();
    let to = &options.destination;
    let json: Option<Value> =
        serde_json::from_slice(&answer.body).ok().filter(|_| (200..300).contains(&answer.status));
    one_is_acknowledged_by_name(&answer, json.as_ref(), &options);
    many_are_acknowledged_in_their_places(&answer, json.as_ref(), &options);
    match answer.to_check(to) {
        Ok(check) => {
            assert!(json.is_some());
            is_safe(&check.role);
            check.fault(to).iter().for_each(|fault| fault_is_told(fault, &options));
        }
        Err(refusal) => refusal_is_told(refusal, &options),
    }
    pages_are_rows(&answer, &cells, &options);
}

fn options() -> PublishOptions {
    let user = UserId::parse("3dfb3580-b7c4-4da3-8d9e-b9775c216f7e").expect("a user");
    let key = KeyChoice::service("sb_secret_of-nobody").expect("a key");
    let destination = Destination { project: "https://abc.supabase.co".to_owned(), user };
    PublishOptions::new(destination, key, "SUPABASE_SERVICE_KEY")
}

/// The answer, and the one with the cells.
fn answer_of(input: &[u8]) -> (Given, Given) {
    let end = input.iter().position(|byte| *byte == b'\n').unwrap_or(input.len());
    let head = String::from_utf8_lossy(&input[..end]);
    let mut fields = head.split('\t');
    let status = fields.next().and_then(|text| text.parse().ok()).unwrap_or(200);
    let header = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let (retry_after, date) = (header(fields.next()), header(fields.next()));
    let body = input.get(end + 1..).unwrap_or_default();
    let divided = body.windows(DIVIDER.len()).position(|window| window == DIVIDER);
    let (body, cells) = match divided {
        Some(at) => (&body[..at], &body[at + DIVIDER.len()..]),
        None => (body, &b"[]"[..]),
    };
    let given = |body: &[u8]| Given {
        status,
        retry_after: retry_after.clone(),
        date: date.clone(),
        body: body.to_vec(),
    };
    (given(body), given(cells))
}

/// A field of an object, or of a list that has the fields in the contract's order, which is read as well.
fn field<'a>(item: &'a Value, key: &str, place: usize) -> Option<&'a Value> {
    item.get(key).or_else(|| item.get(place))
}

fn text<'a>(item: &'a Value, key: &str, place: usize) -> Option<&'a str> {
    field(item, key, place).and_then(Value::as_str)
}

fn one_is_acknowledged_by_name(answer: &Given, json: Option<&Value>, options: &PublishOptions) {
    let [session, _] = SESSIONS;
    let said = answer.to_one(session, &options.destination);
    assert_eq!(answer.to_one(session, &options.destination), said, "the same answer, read again");
    let is_named = |status| {
        let said = json.map(|json| (text(json, "status", 0), text(json, "session_id", 1)));
        said == Some((Some(status), Some(session)))
    };
    match said {
        Ok(ItemAnswer::Accepted) => assert!(is_named("accepted")),
        Ok(ItemAnswer::Unchanged) => assert!(is_named("unchanged")),
        Ok(ItemAnswer::Rejected { .. }) => panic!("one session is refused by an error"),
        Err(refusal) => refusal_is_told(refusal, options),
    }
}

fn many_are_acknowledged_in_their_places(answer: &Given, json: Option<&Value>, options: &PublishOptions) {
    match answer.to_many(&SESSIONS, &options.destination) {
        Err(refusal) => refusal_is_told(refusal, options),
        Ok(answers) => {
            let results = json.and_then(|json| field(json, "results", 0)).and_then(Value::as_array);
            let results = results.expect("a body of ours");
            assert_eq!((results.len(), answers.len()), (SESSIONS.len(), SESSIONS.len()));
            for (index, ((item, said), session)) in results.iter().zip(answers).zip(SESSIONS).enumerate() {
                assert_eq!(field(item, "index", 0).and_then(Value::as_u64), Some(index as u64), "{item}");
                let (named, status) = (text(item, "session_id", 1), text(item, "status", 2));
                match said {
                    ItemAnswer::Accepted => {
                        assert_eq!((named, status), (Some(session), Some("accepted")), "{item}");
                    }
                    ItemAnswer::Unchanged => {
                        assert_eq!((named, status), (Some(session), Some("unchanged")), "{item}");
                    }
                    ItemAnswer::Rejected { code, message } => {
                        assert_eq!(status, Some("rejected"), "{item}");
                        assert!(named.is_none_or(|named| session.starts_with(named)), "{item}");
                        is_safe(&code);
                        is_safe(&message);
                    }
                }
            }
        }
    }
}

/// Short, on one line, and without a letter that a terminal obeys.
fn is_safe(text: &str) {
    assert!(!text.chars().any(char::is_control), "{text:?}");
    assert!(text.chars().count() <= MOST_LETTERS, "{} letters", text.chars().count());
}

fn fault_is_told(fault: &Fault, options: &PublishOptions) {
    let (what, help) = (fault.what(), fault.help(options));
    assert!(!what.is_empty() && !help.is_empty() && !fault.kind().is_empty());
    is_safe(&what);
    is_safe(&help);
}

fn refusal_is_told(refusal: Refusal, options: &PublishOptions) {
    match &refusal {
        Refusal::Configuration(fault) => fault_is_told(fault, options),
        Refusal::Rejected { code, message } => {
            is_safe(code);
            is_safe(message);
        }
        Refusal::TooLarge => {}
        Refusal::Transient { what, .. } => {
            assert!(!what.is_empty());
            is_safe(what);
        }
    }
    is_safe(&given::told(refusal));
}

/// What is read as rows can be compared, and is equal to itself where its parts make up the whole.
fn pages_are_rows(answer: &Given, cells: &Given, options: &PublishOptions) {
    match answer.to_days(&options.destination) {
        Err(refusal) => refusal_is_told(refusal, options),
        Ok(days) => {
            let mut sum = tallyd::domain::Totals::default();
            for (_, totals) in days {
                sum += totals;
            }
        }
    }
    match answer.to_page(cells, &options.destination) {
        Err(refusal) => refusal_is_told(refusal, options),
        Ok(page) => {
            let revision = Revision::new(1, 1, 0);
            for pair in page.windows(2) {
                given::standing(&pair[0].value, revision, &pair[1]);
            }
            for stored in &page {
                assert!(
                    stored
                        .value
                        .cells
                        .windows(2)
                        .all(|two| { (two[0].day, &two[0].model) <= (two[1].day, &two[1].model) })
                );
                let mut same = stored.clone();
                same.revision = revision.number();
                assert_eq!(given::standing(&stored.value, revision, &same), "Equal");
            }
        }
    }
}
