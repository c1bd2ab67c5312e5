//! Events as their senders wrote them. Their data is kept as it was written, and never taken apart.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// Deepest nesting of an event's data, so that whoever reads it can.
pub(super) const DATA_DEPTH_MAX: usize = 100;

/// An event that is to be appended, borrowed from the body that brought it: the form of
/// [`NewEvent`](greenroom_protocol::events::NewEvent).
#[derive(Debug, Deserialize)]
pub struct Incoming<'a> {
    /// Where it belongs.
    #[serde(borrow)]
    pub subject: Cow<'a, str>,
    /// Makes a retry harmless.
    #[serde(default)]
    pub id: Option<String>,
    /// Who says so.
    #[serde(default)]
    pub source: Option<String>,
    /// What kind of fact.
    #[serde(rename = "type", default)]
    pub kind: Option<String>,
    /// When it happened: RFC 3339.
    #[serde(default)]
    pub time: Option<String>,
    /// The form of `data`.
    #[serde(default)]
    pub datacontenttype: Option<String>,
    /// The fact itself, as JSON.
    #[serde(borrow, default)]
    pub data: Option<&'a RawValue>,
}

/// `json` on one line, without the space between its parts; `None` if it nests too deep.
pub(super) fn compact(json: &str) -> Option<Cow<'_, str>> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    // What was taken over, once something had to be left out.
    let mut kept: Option<Vec<u8>> = None;
    for (index, &byte) in json.as_bytes().iter().enumerate() {
        if in_text {
            in_text = escaped || byte != b'"';
            escaped = !escaped && byte == b'\\';
        } else {
            match byte {
                b'"' => in_text = true,
                b'{' | b'[' => {
                    depth += 1;
                    if depth > DATA_DEPTH_MAX {
                        return None;
                    }
                }
                b'}' | b']' => depth = depth.saturating_sub(1),
                b' ' | b'\t' | b'\n' | b'\r' => {
                    kept.get_or_insert_with(|| json.as_bytes()[..index].to_vec());
                    continue;
                }
                _ => {}
            }
        }
        if let Some(kept) = &mut kept {
            kept.push(byte);
        }
    }
    match kept {
        None => Some(Cow::Borrowed(json)),
        // Only ASCII was left out, so what is left is text.
        Some(kept) => String::from_utf8(kept).ok().map(Cow::Owned),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    fn json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            "\\PC{0,12}|[\\n\\t \"\\\\{}\\[\\]]{0,12}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map("[a-z \"]{0,4}", inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn what_is_compact_means_the_same_and_is_one_line(value in json()) {
            let pretty = serde_json::to_string_pretty(&value).unwrap();
            let compact = compact(&pretty).unwrap();
            prop_assert_eq!(&*compact, &serde_json::to_string(&value).unwrap());
        }

        #[test]
        fn what_is_compact_already_is_borrowed(value in json()) {
            let text = serde_json::to_string(&value).unwrap();
            prop_assert!(matches!(compact(&text), Some(Cow::Borrowed(same)) if same == text));
        }
    }

    #[test]
    fn what_nests_too_deep_is_none() {
        let nested = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
        assert!(compact(&nested(DATA_DEPTH_MAX)).is_some());
        assert_eq!(compact(&nested(DATA_DEPTH_MAX + 1)), None);
        assert!(compact(&format!("\"{}\"", "[".repeat(1000))).is_some(), "in a text it is no nesting");
    }
}
