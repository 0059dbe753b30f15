//! What is checked in each message: compiled once, walked for every request.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;

use egov_fault::Violation;
use prost_reflect::{DescriptorPool, DynamicMessage, FieldDescriptor, Kind, MapKey, Value};

use super::formats::Formats;
use super::rules::{self, Check, Finding, Ignore};
use egov_proto::options::Options;

/// How deep messages may nest. Decoding stops at 100 already; a message built in memory is stopped here.
const DEPTH: usize = 100;

/// How many violations are looked for. A message of a few megabytes can break a rule a million times; nobody reads more
/// than this, and an answer carries fewer.
const MOST: usize = 1000;

/// The plans of all messages of a pool.
pub(super) struct Plans {
    by_name: HashMap<String, usize>,
    plans: Vec<MessagePlan>,
}

/// What is checked in one kind of message.
#[derive(Default)]
pub(super) struct MessagePlan {
    fields: Vec<FieldPlan>,
    oneofs: Vec<OneofPlan>,
    /// Whether anything can be wrong with such a message, in itself or below.
    needed: bool,
}

impl MessagePlan {
    pub(super) fn needed(&self) -> bool {
        self.needed
    }
}

struct FieldPlan {
    number: u32,
    name: String,
    /// Whether "not set" differs from "set to zero".
    presence: bool,
    required: bool,
    ignore: Ignore,
    shape: Shape,
}

enum Shape {
    One(ValuePlan),
    List {
        checks: Vec<Check>,
        items: ValuePlan,
    },
    Map {
        checks: Vec<Check>,
        keys: ValuePlan,
        values: ValuePlan,
    },
}

/// What is checked in one value: of a singular field, of a list's item, of a map's key or value.
#[derive(Default)]
pub(super) struct ValuePlan {
    pub(super) checks: Vec<Check>,
    pub(super) ignore: Ignore,
    /// The plan of the message, if the value is one.
    nested: Option<usize>,
}

struct OneofPlan {
    name: String,
    numbers: Vec<u32>,
}

impl Plans {
    /// Compiles the plans of all messages. Without `formats` the names of formats are not looked up (an audit does not
    /// know the services' checks).
    pub(super) fn compile(
        pool: &DescriptorPool,
        options: &Options,
        formats: Option<&Formats>,
        problems: &mut Vec<String>,
    ) -> Self {
        let descriptors: Vec<_> = pool.all_messages().collect();
        let by_name: HashMap<String, usize> = descriptors
            .iter()
            .enumerate()
            .map(|(index, descriptor)| (descriptor.full_name().to_owned(), index))
            .collect();

        let mut plans = Vec::with_capacity(descriptors.len());
        for descriptor in &descriptors {
            let mut plan = MessagePlan::default();
            if let Some(rules) = options.message_rules(descriptor) {
                for (rule, _) in rules.fields() {
                    problems.push(rules::not_implemented(
                        descriptor.full_name(),
                        &format!("message.{}", rule.name()),
                    ));
                }
            }
            for oneof in descriptor.oneofs() {
                let Some(rules) = options.oneof_rules(&oneof) else {
                    continue;
                };
                for (rule, value) in rules.fields() {
                    match (rule.name(), value.as_bool()) {
                        ("required", Some(true)) => plan.oneofs.push(OneofPlan {
                            name: oneof.name().to_owned(),
                            numbers: oneof.fields().map(|field| field.number()).collect(),
                        }),
                        ("required", _) => {}
                        (other, _) => {
                            problems.push(rules::not_implemented(oneof.full_name(), &format!("oneof.{other}")));
                        }
                    }
                }
            }
            // The fields of a map's entry are checked by the map's own rules.
            if !descriptor.is_map_entry() {
                for field in descriptor.fields() {
                    plan.fields
                        .push(field_plan(&field, options, formats, &by_name, problems));
                }
            }
            plans.push(plan);
        }

        let mut compiled = Self { by_name, plans };
        compiled.mark_needed();
        compiled
    }

    /// Marks every plan that checks something, and every plan that leads to one; then drops the fields that neither
    /// check nor lead anywhere. Messages may contain themselves, hence the repetition until nothing changes.
    fn mark_needed(&mut self) {
        loop {
            let needed: Vec<bool> = self.plans.iter().map(|plan| plan.needed).collect();
            let leads = |value: &ValuePlan| {
                !value.checks.is_empty()
                    || value
                        .nested
                        .and_then(|index| needed.get(index).copied())
                        .unwrap_or(false)
            };
            let mut changed = false;
            for plan in self.plans.iter_mut().filter(|plan| !plan.needed) {
                plan.needed = !plan.oneofs.is_empty() || plan.fields.iter().any(|field| field.leads(&leads));
                changed |= plan.needed;
            }
            if !changed {
                break;
            }
        }
        let needed: Vec<bool> = self.plans.iter().map(|plan| plan.needed).collect();
        for plan in &mut self.plans {
            plan.fields.retain(|field| {
                field.leads(&|value: &ValuePlan| {
                    !value.checks.is_empty()
                        || value
                            .nested
                            .and_then(|index| needed.get(index).copied())
                            .unwrap_or(false)
                })
            });
        }
    }

    pub(super) fn len(&self) -> usize {
        self.plans.len()
    }

    pub(super) fn of(&self, message: &str) -> Option<&MessagePlan> {
        self.plans.get(*self.by_name.get(message)?)
    }

    /// Every violation in `message`, up to a number that no answer holds.
    pub(super) fn check(&self, plan: &MessagePlan, message: &DynamicMessage) -> Vec<Violation> {
        let mut walk = Walk {
            plans: self,
            path: String::new(),
            found: Vec::new(),
        };
        walk.message(plan, message, 0);
        walk.found
    }
}

impl FieldPlan {
    fn leads(&self, leads: &dyn Fn(&ValuePlan) -> bool) -> bool {
        if self.ignore == Ignore::Always {
            return false;
        }
        self.required
            || match &self.shape {
                Shape::One(value) => leads(value),
                Shape::List { checks, items } => !checks.is_empty() || leads(items),
                Shape::Map { checks, keys, values } => !checks.is_empty() || leads(keys) || leads(values),
            }
    }
}

fn field_plan(
    field: &FieldDescriptor,
    options: &Options,
    formats: Option<&Formats>,
    by_name: &HashMap<String, usize>,
    problems: &mut Vec<String>,
) -> FieldPlan {
    let rules = options
        .field_rules(field)
        .map_or_else(rules::FieldRules::default, |set| rules::field(field, &set, problems));
    let format = options
        .format(field)
        .and_then(|name| rules::format(field, &name, formats, problems));

    let shape = if field.is_map() {
        let entry = field.kind();
        let value_kind = entry.as_message().map(|entry| entry.map_entry_value_field().kind());
        if format.is_some() {
            problems.push(format!("{}: a map cannot have a format", field.full_name()));
        }
        Shape::Map {
            checks: rules.checks,
            keys: rules.keys,
            values: ValuePlan {
                nested: value_kind.and_then(|kind| nested(&kind, by_name)),
                ..rules.values
            },
        }
    } else if field.is_list() {
        let mut items = ValuePlan {
            nested: nested(&field.kind(), by_name),
            ..rules.items
        };
        items.checks.extend(format);
        Shape::List {
            checks: rules.checks,
            items,
        }
    } else {
        let mut checks = rules.checks;
        checks.extend(format);
        Shape::One(ValuePlan {
            checks,
            ignore: Ignore::Never,
            nested: nested(&field.kind(), by_name),
        })
    };

    FieldPlan {
        number: field.number(),
        name: field.name().to_owned(),
        presence: field.supports_presence(),
        required: rules.required,
        ignore: rules.ignore,
        shape,
    }
}

fn nested(kind: &Kind, by_name: &HashMap<String, usize>) -> Option<usize> {
    kind.as_message()
        .and_then(|message| by_name.get(message.full_name()).copied())
}

/// One walk through a message.
struct Walk<'p> {
    plans: &'p Plans,
    path: String,
    found: Vec<Violation>,
}

impl Walk<'_> {
    fn message(&mut self, plan: &MessagePlan, message: &DynamicMessage, depth: usize) {
        if depth > DEPTH {
            self.report(Finding {
                rule: Cow::Borrowed("message.depth"),
                vi: format!("lồng nhau quá {DEPTH} cấp"),
                en: format!("is nested deeper than {DEPTH} levels"),
            });
            return;
        }
        for oneof in &plan.oneofs {
            if !oneof.numbers.iter().any(|number| message.has_field_by_number(*number)) {
                self.within(&oneof.name, |walk| walk.report(rules::missing()));
            }
        }
        for field in &plan.fields {
            if self.full() {
                return;
            }
            let set = message.has_field_by_number(field.number);
            if !set {
                if field.required {
                    self.within(&field.name, |walk| walk.report(rules::missing()));
                    continue;
                }
                if field.presence || field.ignore == Ignore::Zero {
                    continue;
                }
            }
            let Some(value) = message.get_field_by_number(field.number) else {
                continue;
            };
            if field.ignore == Ignore::Zero && is_zero(&value) {
                continue;
            }
            self.within(&field.name, |walk| walk.field(field, &value, depth));
        }
    }

    fn field(&mut self, field: &FieldPlan, value: &Value, depth: usize) {
        match (&field.shape, value) {
            (Shape::List { checks, items }, Value::List(list)) => {
                self.run(checks, value);
                for (index, item) in list.iter().enumerate() {
                    if self.full() {
                        break;
                    }
                    self.step(format_args!("[{index}]"), |walk| {
                        walk.value(items, item, depth);
                    });
                }
            }
            (Shape::Map { checks, keys, values }, Value::Map(entries)) => {
                self.run(checks, value);
                // A map has no order; the caller's list of violations should have one.
                let mut entries: Vec<_> = entries.iter().collect();
                entries.sort_unstable_by_key(|(key, _)| *key);
                for (key, entry) in entries {
                    if self.full() {
                        break;
                    }
                    let step = match key {
                        MapKey::String(text) => format!("[{text:?}]"),
                        MapKey::Bool(key) => format!("[{key}]"),
                        MapKey::I32(key) => format!("[{key}]"),
                        MapKey::I64(key) => format!("[{key}]"),
                        MapKey::U32(key) => format!("[{key}]"),
                        MapKey::U64(key) => format!("[{key}]"),
                    };
                    self.step(format_args!("{step}"), |walk| {
                        walk.value(keys, &Value::from(key.clone()), depth);
                        walk.value(values, entry, depth);
                    });
                }
            }
            (Shape::One(plan), value) => self.value(plan, value, depth),
            // A message of another pool under the same name: its shape is not ours to judge.
            _ => {}
        }
    }

    fn value(&mut self, plan: &ValuePlan, value: &Value, depth: usize) {
        match plan.ignore {
            Ignore::Always => return,
            Ignore::Zero if is_zero(value) => return,
            Ignore::Zero | Ignore::Never => {}
        }
        self.run(&plan.checks, value);
        if let (Some(index), Value::Message(message)) = (plan.nested, value)
            && let Some(nested) = self.plans.plans.get(index)
            && nested.needed
        {
            self.message(nested, message, depth + 1);
        }
    }

    fn run(&mut self, checks: &[Check], value: &Value) {
        for check in checks {
            if let Some(finding) = check.run(value) {
                self.report(finding);
            }
        }
    }

    /// Walks into a named field.
    fn within(&mut self, name: &str, walk: impl FnOnce(&mut Self)) {
        if self.path.is_empty() {
            self.step(format_args!("{name}"), walk);
        } else {
            self.step(format_args!(".{name}"), walk);
        }
    }

    fn step(&mut self, step: std::fmt::Arguments<'_>, walk: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        // Writing to a String cannot fail.
        let _ = self.path.write_fmt(step);
        walk(self);
        self.path.truncate(length);
    }

    fn full(&self) -> bool {
        self.found.len() >= MOST
    }

    fn report(&mut self, finding: Finding) {
        self.found.push(Violation {
            field: self.path.clone(),
            rule: finding.rule.into_owned(),
            vi: finding.vi,
            en: finding.en,
        });
    }
}

/// Whether a value is what an unset field would show.
fn is_zero(value: &Value) -> bool {
    match value {
        Value::Bool(flag) => !flag,
        Value::I32(number) | Value::EnumNumber(number) => *number == 0,
        Value::I64(number) => *number == 0,
        Value::U32(number) => *number == 0,
        Value::U64(number) => *number == 0,
        Value::F32(number) => *number == 0.0,
        Value::F64(number) => *number == 0.0,
        Value::String(text) => text.is_empty(),
        Value::Bytes(bytes) => bytes.is_empty(),
        Value::List(items) => items.is_empty(),
        Value::Map(entries) => entries.is_empty(),
        Value::Message(message) => message.fields().next().is_none(),
    }
}
