//! What must hold of a request.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value};

use crate::Refused;

/// What a predicate says of a field. A value is compared in its text: a string as it is, a number in decimal, a boolean as `true`
/// or `false`, an enum by the name of its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The value is this one.
    Equals(String),
    /// The value is one of these.
    In(Vec<String>),
    /// The text begins so.
    Prefix(String),
    /// The field is set: there, or for a field without presence not its default.
    Present,
    /// The field is not set.
    Absent,
}

impl Rule {
    fn compares(&self) -> bool {
        !matches!(self, Self::Present | Self::Absent)
    }
}

/// The predicates of a method.
pub(crate) struct Predicates {
    message: MessageDescriptor,
    all: Vec<(Vec<FieldDescriptor>, Rule)>,
}

impl Predicates {
    pub(crate) fn compile(message: &MessageDescriptor, rules: &[(String, Rule)], problems: &mut Vec<String>) -> Self {
        let mut all = Vec::new();
        for (path, rule) in rules {
            match fields(message, path).and_then(|fields| fits(path, &fields, rule).map(|()| fields)) {
                Ok(fields) => all.push((fields, rule.clone())),
                Err(problem) => problems.push(problem),
            }
        }
        Self {
            message: message.clone(),
            all,
        }
    }

    /// Whether all hold.
    pub(crate) fn hold(&self, message: &[u8]) -> Result<(), Refused> {
        if self.all.is_empty() {
            return Ok(());
        }
        let message = DynamicMessage::decode(self.message.clone(), message).map_err(|_| Refused::Unreadable)?;
        let held = self.all.iter().all(|(path, rule)| holds(&message, path, rule));
        if held { Ok(()) } else { Err(Refused::NotAgreed) }
    }
}

/// The fields of a path, which goes through single messages only.
fn fields(message: &MessageDescriptor, path: &str) -> Result<Vec<FieldDescriptor>, String> {
    let mut at = Some(message.clone());
    let mut found = Vec::new();
    for name in path.split('.') {
        let Some(here) = at else {
            return Err(format!("{path}: a predicate goes through single messages only"));
        };
        let Some(field) = here.get_field_by_name(name) else {
            return Err(format!("{path}: {} has no field {name:?}", here.full_name()));
        };
        at = match field.kind() {
            Kind::Message(inner) if !field.is_list() && !field.is_map() => Some(inner),
            _ => None,
        };
        found.push(field);
    }
    Ok(found)
}

fn fits(path: &str, fields: &[FieldDescriptor], rule: &Rule) -> Result<(), String> {
    let Some(last) = fields.last() else {
        return Err(format!("{path}: is empty"));
    };
    if !rule.compares() {
        return Ok(());
    }
    let kind = last.kind();
    if last.is_list() || last.is_map() || matches!(kind, Kind::Message(_) | Kind::Bytes | Kind::Double | Kind::Float) {
        return Err(format!(
            "{path}: only texts, whole numbers, booleans and enums can be compared"
        ));
    }
    if matches!(rule, Rule::Prefix(_)) && !matches!(kind, Kind::String) {
        return Err(format!("{path}: only a text has a beginning"));
    }
    Ok(())
}

fn holds(message: &DynamicMessage, path: &[FieldDescriptor], rule: &Rule) -> bool {
    let Some((last, through)) = path.split_last() else {
        return false;
    };
    let mut at = message.clone();
    for field in through {
        if !at.has_field(field) {
            return *rule == Rule::Absent;
        }
        let Some(inner) = at.get_field(field).as_message().cloned() else {
            return false;
        };
        at = inner;
    }
    match rule {
        Rule::Present => at.has_field(last),
        Rule::Absent => !at.has_field(last),
        // A field without presence that is not set has its default, as it has for the provider.
        Rule::Equals(_) | Rule::In(_) | Rule::Prefix(_) if last.supports_presence() && !at.has_field(last) => false,
        Rule::Equals(wanted) => text(last, &at).is_some_and(|text| text == *wanted),
        Rule::In(wanted) => text(last, &at).is_some_and(|text| wanted.contains(&text)),
        Rule::Prefix(wanted) => text(last, &at).is_some_and(|text| text.starts_with(wanted)),
    }
}

fn text(field: &FieldDescriptor, message: &DynamicMessage) -> Option<String> {
    debug_assert_eq!(field.parent_message(), &message.descriptor());
    match &*message.get_field(field) {
        Value::Bool(value) => Some(value.to_string()),
        Value::I32(value) => Some(value.to_string()),
        Value::I64(value) => Some(value.to_string()),
        Value::U32(value) => Some(value.to_string()),
        Value::U64(value) => Some(value.to_string()),
        Value::String(value) => Some(value.clone()),
        Value::EnumNumber(number) => match field.kind() {
            Kind::Enum(kind) => kind.get_value(*number).map(|value| value.name().to_owned()),
            _ => None,
        },
        _ => None,
    }
}
