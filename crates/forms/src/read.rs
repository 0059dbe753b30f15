//! Reading JSON within bounds.

use serde_json::Value;

/// Most bytes of a form, and of what is filled in.
pub const MOST_BYTES: usize = 64 * 1024;

/// Most levels of nesting of either.
pub const MOST_DEPTH: usize = 32;

/// Reads a text within the bounds; what is wrong with it otherwise, in both languages.
pub(crate) fn json(text: &str) -> Result<Value, (&'static str, &'static str)> {
    if text.len() > MOST_BYTES {
        return Err(("dài hơn 64 KiB", "is longer than 64 KiB"));
    }
    // The reader itself stops at 128 levels.
    let value = serde_json::from_str(text).map_err(|_| ("không phải là JSON", "is no JSON"))?;
    if depth(&value) > MOST_DEPTH {
        return Err(("lồng quá 32 cấp", "is nested more than 32 levels deep"));
    }
    Ok(value)
}

fn depth(value: &Value) -> usize {
    let inner = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(fields) => fields.values().map(depth).max(),
        _ => return 0,
    };
    1 + inner.unwrap_or(0)
}

/// Goes through a value and everything in it, with the pointer of each.
pub(crate) fn walk(value: &Value, pointer: &str, look: &mut impl FnMut(&str, &Value)) {
    look(pointer, value);
    match value {
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{pointer}/{index}"), look);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                walk(field, &format!("{pointer}/{}", escaped(name)), look);
            }
        }
        _ => {}
    }
}

/// A name as a JSON pointer writes it (RFC 6901).
pub(crate) fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

/// The names of a JSON pointer.
pub(crate) fn names(pointer: &str) -> impl Iterator<Item = String> {
    pointer
        .split('/')
        .skip(1)
        .map(|name| name.replace("~1", "/").replace("~0", "~"))
}
