//! Rules of `string` and `bytes` fields.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use prost_reflect::{DynamicMessage, Value};
use regex::Regex;

use super::{Check, Problems, counted, known, listed, pattern};

/// The definition of the HTML standard, which protovalidate uses as well: what people type into a form, and neither
/// comments nor quoted local parts.
static EMAIL: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(concat!(
        r"^[a-zA-Z0-9.!#$%&'*+/=?^_`{|}~-]+",
        r"@[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?",
        r"(?:\.[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?)*$"
    ))
    .ok()
});

pub(super) fn string(set: &DynamicMessage, checks: &mut Vec<Check>, problems: &mut Problems<'_>) {
    for (rule, value) in known(set, "string", problems) {
        let number = value.as_u64().unwrap_or_default();
        let text = value.as_str().unwrap_or_default().to_owned();
        let on = value.as_bool().unwrap_or_default();
        match rule.name() {
            "const" => checks.push(Check::text(
                "string.const",
                format!("phải là \"{text}\""),
                format!("must be \"{text}\""),
                move |value| value == text,
            )),
            "len" => checks.push(Check::text(
                "string.len",
                format!("phải có đúng {number} ký tự"),
                format!("must have exactly {}", counted(number, "character")),
                move |value| characters(value) == number,
            )),
            "min_len" => checks.push(Check::text(
                "string.min_len",
                format!("phải có ít nhất {number} ký tự"),
                format!("must have at least {}", counted(number, "character")),
                move |value| characters(value) >= number,
            )),
            "max_len" => checks.push(Check::text(
                "string.max_len",
                format!("không được quá {number} ký tự"),
                format!("must have at most {}", counted(number, "character")),
                move |value| characters(value) <= number,
            )),
            "len_bytes" => checks.push(Check::text(
                "string.len_bytes",
                format!("phải dài đúng {number} byte"),
                format!("must be exactly {} long", counted(number, "byte")),
                move |value| value.len() as u64 == number,
            )),
            "min_bytes" => checks.push(Check::text(
                "string.min_bytes",
                format!("phải dài ít nhất {number} byte"),
                format!("must be at least {} long", counted(number, "byte")),
                move |value| value.len() as u64 >= number,
            )),
            "max_bytes" => checks.push(Check::text(
                "string.max_bytes",
                format!("không được dài quá {number} byte"),
                format!("must be at most {} long", counted(number, "byte")),
                move |value| value.len() as u64 <= number,
            )),
            "pattern" => match pattern::compile(&text) {
                Ok(regex) => checks.push(Check::text(
                    "string.pattern",
                    format!("không đúng dạng {text}"),
                    format!("does not match {text}"),
                    move |value| regex.is_match(value),
                )),
                Err(error) => problems.wrong("string.pattern", &error),
            },
            "prefix" => checks.push(Check::text(
                "string.prefix",
                format!("phải bắt đầu bằng \"{text}\""),
                format!("must begin with \"{text}\""),
                move |value| value.starts_with(&text),
            )),
            "suffix" => checks.push(Check::text(
                "string.suffix",
                format!("phải kết thúc bằng \"{text}\""),
                format!("must end with \"{text}\""),
                move |value| value.ends_with(&text),
            )),
            "contains" => checks.push(Check::text(
                "string.contains",
                format!("phải chứa \"{text}\""),
                format!("must contain \"{text}\""),
                move |value| value.contains(&text),
            )),
            "not_contains" => checks.push(Check::text(
                "string.not_contains",
                format!("không được chứa \"{text}\""),
                format!("must not contain \"{text}\""),
                move |value| !value.contains(&text),
            )),
            "in" => {
                let allowed = texts(value);
                checks.push(Check::text(
                    "string.in",
                    format!("phải là một trong: {}", listed(&allowed)),
                    format!("must be one of: {}", listed(&allowed)),
                    move |value| allowed.contains(value),
                ));
            }
            "not_in" => {
                let refused = texts(value);
                checks.push(Check::text(
                    "string.not_in",
                    format!("không được là: {}", listed(&refused)),
                    format!("must not be one of: {}", listed(&refused)),
                    move |value| !refused.contains(value),
                ));
            }
            "uuid" if on => {
                checks.push(not_empty(
                    "string.uuid_empty",
                    "không được để trống, phải là một UUID",
                    "is empty, which is not a UUID",
                ));
                checks.push(Check::text(
                    "string.uuid",
                    "phải là một UUID",
                    "must be a UUID",
                    |value| value.is_empty() || is_uuid(value),
                ));
            }
            "email" if on => {
                checks.push(not_empty(
                    "string.email_empty",
                    "không được để trống, phải là địa chỉ thư điện tử",
                    "is empty, which is not an email address",
                ));
                checks.push(Check::text(
                    "string.email",
                    "phải là địa chỉ thư điện tử",
                    "must be an email address",
                    |value| value.is_empty() || EMAIL.as_ref().is_some_and(|form| form.is_match(value)),
                ));
            }
            "uuid" | "email" | "example" => {}
            other => problems.not_implemented(&format!("string.{other}")),
        }
    }
}

pub(super) fn bytes(set: &DynamicMessage, checks: &mut Vec<Check>, problems: &mut Problems<'_>) {
    let length = |value: &Value| value.as_bytes().map(|bytes| bytes.len() as u64);
    for (rule, value) in known(set, "bytes", problems) {
        let number = value.as_u64().unwrap_or_default();
        match rule.name() {
            "len" => checks.push(Check::new(
                "bytes.len",
                format!("phải dài đúng {number} byte"),
                format!("must be exactly {} long", counted(number, "byte")),
                move |value| length(value).is_none_or(|length| length == number),
            )),
            "min_len" => checks.push(Check::new(
                "bytes.min_len",
                format!("phải dài ít nhất {number} byte"),
                format!("must be at least {} long", counted(number, "byte")),
                move |value| length(value).is_none_or(|length| length >= number),
            )),
            "max_len" => checks.push(Check::new(
                "bytes.max_len",
                format!("không được dài quá {number} byte"),
                format!("must be at most {} long", counted(number, "byte")),
                move |value| length(value).is_none_or(|length| length <= number),
            )),
            "example" => {}
            other => problems.not_implemented(&format!("bytes.{other}")),
        }
    }
}

/// Unicode code points, as protovalidate counts. A letter written with a combining mark counts as two: the services
/// normalise to NFC where they store.
fn characters(text: &str) -> u64 {
    text.chars().count() as u64
}

fn not_empty(rule: &'static str, vi: &str, en: &str) -> Check {
    Check::text(rule, vi, en, |value| !value.is_empty())
}

fn texts(value: &Value) -> BTreeSet<String> {
    value
        .as_list()
        .unwrap_or_default()
        .iter()
        .filter_map(|item| item.as_str().map(ToOwned::to_owned))
        .collect()
}

/// The hyphenated form of RFC 9562 in either case, and no other: no braces, no URN.
fn is_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(index, byte)| match index {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_email_form_compiles_and_takes_what_people_type() {
        let form = EMAIL.as_ref().unwrap();
        for good in ["a@b", "hoso@nghean.gov.vn", "x.y+z@sub-domain.vn"] {
            assert!(form.is_match(good), "{good}");
        }
        for bad in ["", "a@", "@b", "a b@c", "a@b..c", "a@-b", "tên@nghean.gov.vn"] {
            assert!(!form.is_match(bad), "{bad}");
        }
    }

    #[test]
    fn only_the_hyphenated_form_is_a_uuid() {
        assert!(is_uuid("01936f1e-8b5a-7c3d-9e2f-0123456789ab"));
        assert!(is_uuid("01936F1E-8B5A-7C3D-9E2F-0123456789AB"));
        for bad in [
            "01936f1e8b5a7c3d9e2f0123456789ab",
            "{01936f1e-8b5a-7c3d-9e2f-0123456789a}",
            "01936f1e-8b5a-7c3d-9e2f-0123456789ag",
            "01936f1e-8b5a-7c3d-9e2f-01234567é9a",
        ] {
            assert!(!is_uuid(bad), "{bad}");
        }
    }
}
