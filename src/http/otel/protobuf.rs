//! OTLP as protobuf: the fields that are read, and no others.
//!
//! The numbers are those of opentelemetry-proto 1.x (`logs/v1/logs.proto`, `common/v1/common.proto`), which never
//! change. Texts stay where they are in the body. Fails where the body is no such message.

use super::read::{Record, Told, Value};
use prost::Message;
use prost::bytes::Bytes;

#[derive(Clone, PartialEq, Message)]
struct Export {
    #[prost(message, repeated, tag = "1")]
    resource_logs: Vec<ResourceLogs>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceLogs {
    #[prost(message, repeated, tag = "2")]
    scope_logs: Vec<ScopeLogs>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeLogs {
    #[prost(message, repeated, tag = "2")]
    log_records: Vec<LogRecord>,
}

#[derive(Clone, PartialEq, Message)]
struct LogRecord {
    #[prost(fixed64, tag = "1")]
    time_unix_nano: u64,
    #[prost(message, repeated, tag = "6")]
    attributes: Vec<Attribute>,
    #[prost(fixed64, tag = "11")]
    observed_time_unix_nano: u64,
}

#[derive(Clone, PartialEq, Message)]
struct Attribute {
    #[prost(bytes = "bytes", tag = "1")]
    key: Bytes,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

/// A `oneof`, of which at most one is there.
#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(bytes = "bytes", optional, tag = "1")]
    text: Option<Bytes>,
    #[prost(int64, optional, tag = "3")]
    whole: Option<i64>,
    #[prost(double, optional, tag = "4")]
    number: Option<f64>,
}

/// What a body tells.
pub(super) fn read(body: Bytes) -> Result<Told, prost::DecodeError> {
    let export = Export::decode(body)?;
    let mut told = Told::default();
    let scopes = export.resource_logs.into_iter().flat_map(|logs| logs.scope_logs);
    for record in scopes.flat_map(|scope| scope.log_records) {
        let mut read = Record::default();
        record.attributes.iter().for_each(|attribute| attribute.hand_to(&mut read));
        let LogRecord { time_unix_nano, observed_time_unix_nano, .. } = record;
        told.add(read, if time_unix_nano > 0 { time_unix_nano } else { observed_time_unix_nano });
    }
    Ok(told)
}

impl Attribute {
    fn hand_to(&self, record: &mut Record) {
        let (Ok(key), Some(value)) = (std::str::from_utf8(&self.key), &self.value) else { return };
        match value {
            AnyValue { text: Some(text), .. } => {
                if let Ok(text) = std::str::from_utf8(text) {
                    record.take(key, &Value::Text(text));
                }
            }
            AnyValue { whole: Some(count), .. } => record.take(key, &Value::Whole(*count)),
            AnyValue { number: Some(number), .. } => record.take(key, &Value::Number(&number.to_string())),
            _ => {}
        }
    }
}
