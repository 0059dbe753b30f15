//! Rules of `bool` and enum fields.

use prost_reflect::{DynamicMessage, EnumDescriptor, Value};

use super::{Check, Problems, known, listed};

pub(super) fn boolean(set: &DynamicMessage, checks: &mut Vec<Check>, problems: &mut Problems<'_>) {
    for (rule, value) in known(set, "bool", problems) {
        match (rule.name(), value.as_bool()) {
            ("const", Some(wanted)) => checks.push(Check::new(
                "bool.const",
                if wanted {
                    "phải là có (true)"
                } else {
                    "phải là không (false)"
                },
                format!("must be {wanted}"),
                move |value| value.as_bool().is_none_or(|value| value == wanted),
            )),
            ("example", _) => {}
            (other, _) => problems.not_implemented(&format!("bool.{other}")),
        }
    }
}

pub(super) fn enumeration(
    descriptor: &EnumDescriptor,
    set: &DynamicMessage,
    checks: &mut Vec<Check>,
    problems: &mut Problems<'_>,
) {
    let name = |number: i32| {
        descriptor
            .get_value(number)
            .map_or_else(|| number.to_string(), |value| value.name().to_owned())
    };
    for (rule, value) in known(set, "enum", problems) {
        match rule.name() {
            "const" => {
                let wanted = value.as_i32().unwrap_or_default();
                checks.push(number(
                    "enum.const",
                    format!("phải là {}", name(wanted)),
                    format!("must be {}", name(wanted)),
                    move |value| value == wanted,
                ));
            }
            "defined_only" if value.as_bool() == Some(true) => {
                let defined: Vec<i32> = descriptor.values().map(|value| value.number()).collect();
                checks.push(number(
                    "enum.defined_only",
                    "phải là một giá trị đã định nghĩa".to_owned(),
                    "must be a defined value".to_owned(),
                    move |value| defined.contains(&value),
                ));
            }
            "defined_only" | "example" => {}
            "in" => {
                let allowed = numbers(value);
                let names = listed(allowed.iter().map(|number| name(*number)));
                checks.push(number(
                    "enum.in",
                    format!("phải là một trong: {names}"),
                    format!("must be one of: {names}"),
                    move |value| allowed.contains(&value),
                ));
            }
            "not_in" => {
                let refused = numbers(value);
                let names = listed(refused.iter().map(|number| name(*number)));
                checks.push(number(
                    "enum.not_in",
                    format!("không được là: {names}"),
                    format!("must not be one of: {names}"),
                    move |value| !refused.contains(&value),
                ));
            }
            other => problems.not_implemented(&format!("enum.{other}")),
        }
    }
}

fn number(rule: &'static str, vi: String, en: String, keeps: impl Fn(i32) -> bool + Send + Sync + 'static) -> Check {
    Check::new(rule, vi, en, move |value| value.as_enum_number().is_none_or(&keeps))
}

fn numbers(value: &Value) -> Vec<i32> {
    value
        .as_list()
        .unwrap_or_default()
        .iter()
        .filter_map(Value::as_i32)
        .collect()
}
