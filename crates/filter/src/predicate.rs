//! What must hold of a request.

use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, ReflectMessage as _, Value};

use crate::Refused;
use crate::path::{segments, type_in};
use crate::walk::ANY;

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

/// One step of a path.
#[derive(Debug)]
enum Step {
    Field(FieldDescriptor),
    /// Into an Any, if it holds this type.
    Type(MessageDescriptor),
}

/// The predicates of a method.
pub(crate) struct Predicates {
    message: MessageDescriptor,
    all: Vec<(Vec<Step>, Rule)>,
}

impl Predicates {
    pub(crate) fn compile(message: &MessageDescriptor, rules: &[(String, Rule)], problems: &mut Vec<String>) -> Self {
        let mut all = Vec::new();
        for (path, rule) in rules {
            match steps(message, path).and_then(|steps| fits(path, &steps, rule).map(|()| steps)) {
                Ok(steps) => all.push((steps, rule.clone())),
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
        for (path, rule) in &self.all {
            if !holds(&message, path, rule)? {
                return Err(Refused::NotAgreed);
            }
        }
        Ok(())
    }
}

/// The steps of a path, which goes through single messages only, and into an Any by the type that it must hold.
fn steps(message: &MessageDescriptor, path: &str) -> Result<Vec<Step>, String> {
    let pool = message.parent_pool();
    let mut at = Some(message.clone());
    let mut found = Vec::new();
    for name in segments(path).ok_or_else(|| format!("{path}: is no path of fields"))? {
        let Some(here) = at else {
            return Err(format!("{path}: a predicate goes through single messages only"));
        };
        if let Some(of) = type_in(name) {
            if here.full_name() != ANY {
                return Err(format!("{path}: before {name} there is no Any"));
            }
            let content = pool.get_message_by_name(of).filter(|of| !of.is_map_entry());
            let content = content.ok_or_else(|| format!("{path}: the interface has no type {of}"))?;
            found.push(Step::Type(content.clone()));
            at = Some(content);
            continue;
        }
        let Some(field) = here.get_field_by_name(name) else {
            return Err(format!("{path}: {} has no field {name:?}", here.full_name()));
        };
        at = match field.kind() {
            Kind::Message(inner) if !field.is_list() && !field.is_map() => Some(inner),
            _ => None,
        };
        found.push(Step::Field(field));
    }
    Ok(found)
}

fn fits(path: &str, steps: &[Step], rule: &Rule) -> Result<(), String> {
    if !rule.compares() {
        return Ok(());
    }
    let comparable = || format!("{path}: only texts, whole numbers, booleans and enums can be compared");
    let Some(Step::Field(last)) = steps.last() else {
        return Err(comparable());
    };
    let kind = last.kind();
    if last.is_list() || last.is_map() || matches!(kind, Kind::Message(_) | Kind::Bytes | Kind::Double | Kind::Float) {
        return Err(comparable());
    }
    if matches!(rule, Rule::Prefix(_)) && !matches!(kind, Kind::String) {
        return Err(format!("{path}: only a text has a beginning"));
    }
    Ok(())
}

/// Whether a rule holds. Where the path does not lead to its end, because a message on it is not set or an Any holds another type,
/// the field is absent.
fn holds(message: &DynamicMessage, path: &[Step], rule: &Rule) -> Result<bool, Refused> {
    let mut at = message.clone();
    for (place, step) in path.iter().enumerate() {
        let is_last = place + 1 == path.len();
        at = match step {
            Step::Field(field) if is_last => return Ok(field_holds(&at, field, rule)),
            Step::Field(field) if at.has_field(field) => match at.get_field(field).as_message() {
                Some(inner) => inner.clone(),
                None => return Ok(false),
            },
            Step::Field(_) => return Ok(*rule == Rule::Absent),
            Step::Type(of) => match content(&at, of)? {
                Some(content) => content,
                None => return Ok(*rule == Rule::Absent),
            },
        };
    }
    Ok(*rule == Rule::Present)
}

/// What an Any holds, if it is of a type.
fn content(any: &DynamicMessage, of: &MessageDescriptor) -> Result<Option<DynamicMessage>, Refused> {
    let read = |name: &str| any.get_field_by_name(name).map(std::borrow::Cow::into_owned);
    let (Some(Value::String(url)), Some(Value::Bytes(value))) = (read("type_url"), read("value")) else {
        return Ok(None);
    };
    if url.rsplit_once('/').is_none_or(|(_, name)| name != of.full_name()) {
        return Ok(None);
    }
    let decoded = DynamicMessage::decode(of.clone(), value).map_err(|_| Refused::Unreadable)?;
    Ok(Some(decoded))
}

fn field_holds(at: &DynamicMessage, last: &FieldDescriptor, rule: &Rule) -> bool {
    match rule {
        Rule::Present => at.has_field(last),
        Rule::Absent => !at.has_field(last),
        // A field without presence that is not set has its default, as it has for the provider.
        Rule::Equals(_) | Rule::In(_) | Rule::Prefix(_) if last.supports_presence() && !at.has_field(last) => false,
        Rule::Equals(wanted) => text(last, at).is_some_and(|text| text == *wanted),
        Rule::In(wanted) => text(last, at).is_some_and(|text| wanted.contains(&text)),
        Rule::Prefix(wanted) => text(last, at).is_some_and(|text| text.starts_with(wanted)),
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
