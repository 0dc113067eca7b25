//! OTLP as JSON: the fields that are read, and no others.
//!
//! The format is that of opentelemetry-proto 1.x in the JSON mapping of protobuf: 64-bit numbers may be texts. Fails
//! where the body is no such JSON.

use super::read::{Record, Told, Value};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Export<'a> {
    #[serde(borrow, default)]
    resource_logs: Vec<ResourceLogs<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResourceLogs<'a> {
    #[serde(borrow, default)]
    scope_logs: Vec<ScopeLogs<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ScopeLogs<'a> {
    #[serde(borrow, default)]
    log_records: Vec<LogRecord<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogRecord<'a> {
    #[serde(borrow, default)]
    time_unix_nano: Option<&'a RawValue>,
    #[serde(borrow, default)]
    observed_time_unix_nano: Option<&'a RawValue>,
    #[serde(borrow, default)]
    attributes: Vec<Attribute<'a>>,
}

#[derive(Deserialize)]
struct Attribute<'a> {
    #[serde(borrow, default)]
    key: Cow<'a, str>,
    #[serde(borrow, default)]
    value: AnyValue<'a>,
}

#[derive(Default, Deserialize)]
struct AnyValue<'a> {
    #[serde(borrow, default, rename = "stringValue")]
    text: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "intValue")]
    whole: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "doubleValue")]
    number: Option<&'a RawValue>,
}

/// What a body tells.
pub(super) fn read(body: &[u8]) -> Result<Told, serde_json::Error> {
    let export: Export<'_> = serde_json::from_slice(body)?;
    let mut told = Told::default();
    let scopes = export.resource_logs.into_iter().flat_map(|logs| logs.scope_logs);
    for record in scopes.flat_map(|scope| scope.log_records) {
        let mut read = Record::default();
        record.attributes.iter().for_each(|attribute| attribute.hand_to(&mut read));
        let nanos =
            |text: Option<&RawValue>| text.and_then(|text| bare(text).parse().ok()).filter(|at| *at > 0);
        told.add(read, nanos(record.time_unix_nano).or(nanos(record.observed_time_unix_nano)).unwrap_or(0));
    }
    Ok(told)
}

impl Attribute<'_> {
    fn hand_to(&self, record: &mut Record) {
        let AnyValue { text, whole, number } = self.value;
        if let Some(text) = text {
            // A text is taken out of its quotes only where it is one that is read.
            if let Ok(text) = serde_json::from_str::<Cow<'_, str>>(text.get()) {
                record.take(&self.key, &Value::Text(&text));
            }
        } else if let Some(Ok(count)) = whole.map(|text| bare(text).parse()) {
            record.take(&self.key, &Value::Whole(count));
        } else if let Some(number) = number.or(whole) {
            record.take(&self.key, &Value::Number(bare(number)));
        }
    }
}

/// A number, in quotes or not.
fn bare(text: &RawValue) -> &str {
    text.get().trim_matches('"')
}
