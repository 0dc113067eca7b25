//! JSON as others write it, numbers as text.
//!
//! Owns: how a number is taken from JSON without a float: by its digits, whether it stands in quotes or not. Reads
//! objects as maps of raw values, so that a key nobody expects can be told of rather than dropped.

use super::amount::whole;
use crate::domain::beginning;
use serde_json::value::RawValue;
use std::collections::BTreeMap;

/// An object, its values unread.
pub(super) type Object<'a> = BTreeMap<String, &'a RawValue>;

/// The text of a value: a string's content, a number's digits; `None` for null and everything else.
pub(super) fn text(value: &RawValue) -> Option<String> {
    let raw = value.get();
    match raw.bytes().next()? {
        b'"' => serde_json::from_str(raw).ok(),
        b'-' | b'0'..=b'9' => Some(raw.to_owned()),
        _ => None,
    }
}

/// True for `null`.
pub(super) fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

/// The text under a key.
pub(super) fn text_of(object: &Object<'_>, key: &str) -> Option<String> {
    object.get(key).and_then(|value| text(value))
}

/// The object under a key, empty where it is absent or null; the error is what stands there instead.
pub(super) fn object_of<'a>(object: &Object<'a>, key: &str) -> Result<Object<'a>, String> {
    let Some(value) = object.get(key).filter(|value| !is_null(value)) else { return Ok(Object::new()) };
    serde_json::from_str(value.get()).map_err(|_| format!("{key} is {}", short(value.get())))
}

/// The list under a key, empty where it is absent or null; the error is what stands there instead.
pub(super) fn list_of<'a>(object: &Object<'a>, key: &str) -> Result<Vec<&'a RawValue>, String> {
    let Some(value) = object.get(key).filter(|value| !is_null(value)) else { return Ok(Vec::new()) };
    serde_json::from_str(value.get()).map_err(|_| format!("{key} is {}", short(value.get())))
}

/// The count under a key: 0 where it is absent or null; the error is what stands there instead of a count.
pub(super) fn count_of(object: &Object<'_>, key: &str) -> Result<u64, String> {
    let Some(value) = object.get(key).filter(|value| !is_null(value)) else { return Ok(0) };
    text(value).and_then(|text| whole(&text)).ok_or_else(|| format!("{key} is {}", short(value.get())))
}

/// The beginning of a text that may be long.
pub(super) fn short(text: &str) -> String {
    const SHOWN: usize = 60;
    beginning(text, SHOWN)
}
