//! The text of a definition (TOML as in `deploy/packs/procedures`), read so that everything wrong with it can be named.

use toml::{Table, Value};

use super::lint::{Finding, FindingKind, Found};
use crate::domain::pack::{Procedure, TimeUnit};

/// Most bytes of a definition.
pub const MOST_BYTES: usize = 512 * 1024;

/// The units of time that there are.
const UNITS: [TimeUnit; 5] = [
    TimeUnit::WorkingDay,
    TimeUnit::Day,
    TimeUnit::WorkingHour,
    TimeUnit::Hour,
    TimeUnit::SameDay,
];

/// Reads a definition; what keeps it from being read, or was passed over, is named with its place.
pub fn read(text: &str) -> (Option<Procedure>, Vec<Finding>) {
    let mut found = Found::default();
    if text.len() > MOST_BYTES {
        let (vi, en) = ("định nghĩa dài hơn 512 KiB", "the definition is longer than 512 KiB");
        found.say(FindingKind::Malformed, "definition", vi, en);
        return (None, found.findings);
    }
    let mut table = match toml::from_str::<Table>(text) {
        Ok(table) => table,
        Err(error) => {
            malformed(text, &error, &mut found);
            return (None, found.findings);
        }
    };
    // A wrong unit would hide everything else; without it the rest is read, and the linter misses the unit.
    let mut wrong = false;
    units(&mut table, "", &mut wrong, &mut found);
    let procedure: Result<Procedure, toml::de::Error> = if wrong {
        Value::Table(table).try_into()
    } else {
        toml::from_str(text)
    };
    match procedure {
        Ok(procedure) => {
            if procedure.catalogue.is_some() {
                found.say(
                    FindingKind::Contradiction,
                    "catalogue",
                    "định nghĩa không lấy từ danh mục",
                    "a definition is not from the catalogue",
                );
            }
            (Some(procedure), found.findings)
        }
        Err(error) => {
            malformed(text, &error, &mut found);
            (None, found.findings)
        }
    }
}

fn malformed(text: &str, error: &toml::de::Error, found: &mut Found) {
    let line = error
        .span()
        .and_then(|span| text.get(..span.start))
        .map(|before| before.matches('\n').count() + 1);
    let path = line.map_or_else(|| "definition".to_owned(), |line| format!("line {line}"));
    let message = error.message().trim().replace('\n', " ");
    found.say(
        FindingKind::Malformed,
        path,
        format!("không đọc được: {message}"),
        format!("cannot be read: {message}"),
    );
}

/// Takes away the units that nobody knows, wherever a time has one.
fn units(table: &mut Table, path: &str, wrong: &mut bool, found: &mut Found) {
    for (key, value) in &mut *table {
        let below = if path.is_empty() {
            key.clone()
        } else {
            format!("{path}.{key}")
        };
        match value {
            Value::Table(inner) => {
                if key == "time" {
                    unit(inner, &below, wrong, found);
                }
                units(inner, &below, wrong, found);
            }
            Value::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    let Value::Table(inner) = item else { continue };
                    // Items are called as findings call them elsewhere: by their code.
                    let name = ["code", "channel", "when"]
                        .iter()
                        .find_map(|key| inner.get(*key).and_then(Value::as_str))
                        .map_or_else(|| format!("{below}[{index}]"), |name| format!("{below}.{name}"));
                    units(inner, &name, wrong, found);
                }
            }
            _ => {}
        }
    }
}

fn unit(time: &mut Table, path: &str, wrong: &mut bool, found: &mut Found) {
    let Some(unit) = time.get("unit") else { return };
    let known = unit
        .as_str()
        .is_some_and(|unit| UNITS.iter().any(|known| known.as_str() == unit));
    if known {
        return;
    }
    let shown = unit.as_str().unwrap_or("?").to_owned();
    *wrong = true;
    time.remove("unit");
    found.say(
        FindingKind::TimeUnitUnknown,
        path,
        format!("không có đơn vị tính thời gian “{shown}”"),
        format!("there is no unit of time “{shown}”"),
    );
}

/// A version as the text of a draft that follows it.
///
/// # Errors
/// If TOML cannot express it, which is a fault of ours.
pub fn written(procedure: &Procedure, version: i32) -> Result<String, toml::ser::Error> {
    let mut next = procedure.clone();
    next.version = version;
    // A draft is a pack: what nobody settled of the catalogue's lists stands in it as it is.
    next.catalogue = None;
    toml::to_string_pretty(&next)
}
