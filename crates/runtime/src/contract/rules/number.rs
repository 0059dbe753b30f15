//! Rules of numeric fields, integers and floating point alike.

use std::fmt::Display;

use prost_reflect::{DynamicMessage, Value};

use super::{Check, Problems, known, listed};

/// What the rules need to know of a number.
pub(super) trait Number: Copy + PartialOrd + Display + Send + Sync + 'static {
    /// The number in a value of a message or of a rule.
    fn of(value: &Value) -> Option<Self>;
    /// Neither infinite nor "not a number".
    fn is_finite(self) -> bool;
}

impl Number for i128 {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::I32(number) => Some((*number).into()),
            Value::I64(number) => Some((*number).into()),
            Value::U32(number) => Some((*number).into()),
            Value::U64(number) => Some((*number).into()),
            _ => None,
        }
    }

    fn is_finite(self) -> bool {
        true
    }
}

impl Number for f64 {
    fn of(value: &Value) -> Option<Self> {
        match value {
            Value::F32(number) => Some((*number).into()),
            Value::F64(number) => Some(*number),
            _ => None,
        }
    }

    fn is_finite(self) -> bool {
        Self::is_finite(self)
    }
}

/// Compiles the rules of one numeric type; `name` is that type (`int32`).
pub(super) fn compile<N: Number>(
    name: &str,
    set: &DynamicMessage,
    checks: &mut Vec<Check>,
    problems: &mut Problems<'_>,
) {
    let mut lower: Option<N> = None;
    let mut upper: Option<N> = None;
    for (rule, value) in known(set, name, problems) {
        let limit = N::of(value);
        match (rule.name(), limit) {
            ("const", Some(limit)) => checks.push(number(
                rule_id(name, "const"),
                format!("phải bằng {limit}"),
                format!("must be {limit}"),
                move |value: N| value == limit,
            )),
            ("lt", Some(limit)) => {
                upper = Some(limit);
                checks.push(number(
                    rule_id(name, "lt"),
                    format!("phải nhỏ hơn {limit}"),
                    format!("must be less than {limit}"),
                    move |value: N| value < limit,
                ));
            }
            ("lte", Some(limit)) => {
                upper = Some(limit);
                checks.push(number(
                    rule_id(name, "lte"),
                    format!("không được lớn hơn {limit}"),
                    format!("must be at most {limit}"),
                    move |value: N| value <= limit,
                ));
            }
            ("gt", Some(limit)) => {
                lower = Some(limit);
                checks.push(number(
                    rule_id(name, "gt"),
                    format!("phải lớn hơn {limit}"),
                    format!("must be greater than {limit}"),
                    move |value: N| value > limit,
                ));
            }
            ("gte", Some(limit)) => {
                lower = Some(limit);
                checks.push(number(
                    rule_id(name, "gte"),
                    format!("không được nhỏ hơn {limit}"),
                    format!("must be at least {limit}"),
                    move |value: N| value >= limit,
                ));
            }
            ("in", _) => {
                let allowed = numbers::<N>(value);
                checks.push(number(
                    rule_id(name, "in"),
                    format!("phải là một trong: {}", listed(&allowed)),
                    format!("must be one of: {}", listed(&allowed)),
                    move |value: N| allowed.contains(&value),
                ));
            }
            ("not_in", _) => {
                let refused = numbers::<N>(value);
                checks.push(number(
                    rule_id(name, "not_in"),
                    format!("không được là: {}", listed(&refused)),
                    format!("must not be one of: {}", listed(&refused)),
                    move |value: N| !refused.contains(&value),
                ));
            }
            ("finite", _) if value.as_bool() == Some(true) => checks.push(number(
                rule_id(name, "finite"),
                "phải là số hữu hạn".to_owned(),
                "must be finite".to_owned(),
                N::is_finite,
            )),
            ("finite" | "example", _) => {}
            (other, _) => problems.not_implemented(&format!("{name}.{other}")),
        }
    }
    // In protovalidate a lower bound above the upper one means "outside of", which nobody reads that way.
    if let (Some(lower), Some(upper)) = (lower, upper)
        && lower > upper
    {
        problems.wrong(name, &format!("nothing lies between {lower} and {upper}"));
    }
}

fn number<N: Number>(
    rule: &'static str,
    vi: String,
    en: String,
    keeps: impl Fn(N) -> bool + Send + Sync + 'static,
) -> Check {
    Check::new(rule, vi, en, move |value| N::of(value).is_none_or(&keeps))
}

fn numbers<N: Number>(value: &Value) -> Vec<N> {
    value.as_list().unwrap_or_default().iter().filter_map(N::of).collect()
}

/// `int32.gte`; the ids are a small closed set, so each is written once and lives as long as the program.
fn rule_id(name: &str, rule: &str) -> &'static str {
    macro_rules! ids {
        ($($name:literal)*) => {
            match (name, rule) {
                $(
                    ($name, "const") => concat!($name, ".const"),
                    ($name, "lt") => concat!($name, ".lt"),
                    ($name, "lte") => concat!($name, ".lte"),
                    ($name, "gt") => concat!($name, ".gt"),
                    ($name, "gte") => concat!($name, ".gte"),
                    ($name, "in") => concat!($name, ".in"),
                    ($name, "not_in") => concat!($name, ".not_in"),
                    ($name, "finite") => concat!($name, ".finite"),
                )*
                _ => "number",
            }
        };
    }
    ids!("float" "double" "int32" "int64" "uint32" "uint64" "sint32" "sint64" "fixed32" "fixed64" "sfixed32" "sfixed64")
}
