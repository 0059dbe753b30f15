//! The shape of an interface, however it is described, and what breaks between two shapes.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use egov_filter::type_in;
use serde::{Deserialize, Serialize};

/// What can be called, and with which messages.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shape {
    /// By full gRPC method, or `GET /path`.
    pub(crate) methods: BTreeMap<String, MethodShape>,
    /// Messages by name.
    pub(crate) types: BTreeMap<String, TypeShape>,
    /// Enums by name: number by name of value.
    pub(crate) enums: BTreeMap<String, BTreeMap<String, i32>>,
}

/// One method.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct MethodShape {
    pub(crate) client_streaming: bool,
    pub(crate) server_streaming: bool,
    /// Names of types.
    pub(crate) input: String,
    pub(crate) output: String,
}

/// Which way a message goes, where that decides what breaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Way {
    /// Either, as for messages of protobuf.
    #[default]
    Both,
    /// To the provider.
    Input,
    /// To the consumer.
    Output,
}

/// The name of the field that stands for an answer of OpenAPI itself, which may be a list or a map. No path of terms leads to it.
pub(crate) const ROOT: &str = "";

/// What holds a message of any type.
const ANY: &str = "google.protobuf.Any";

/// One message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TypeShape {
    pub(crate) way: Way,
    /// By name; for OpenAPI the whole path of a nested field (`person.addresses.ward`).
    pub(crate) fields: BTreeMap<String, FieldShape>,
}

/// Whether a method is one of plain HTTP, by its name: `GET /people/{id}`.
pub(crate) fn is_plain(method: &str) -> bool {
    method.contains(' ')
}

/// How often a field may be there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Cardinality {
    #[default]
    Single,
    Repeated,
    Map,
}

impl Cardinality {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Single => "single",
            Self::Repeated => "repeated",
            Self::Map => "map",
        }
    }
}

/// The type of a field, or of the elements of a repeated field, or of the values of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FieldType {
    /// A scalar, by its name (`string`, `int32`), for OpenAPI `type` and `format`.
    Scalar(String),
    /// A message of the shape.
    Message(String),
    /// An enum of the shape.
    Enum(String),
}

impl FieldType {
    fn name(&self) -> &str {
        match self {
            Self::Scalar(name) | Self::Message(name) | Self::Enum(name) => name,
        }
    }
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FieldShape {
    /// 0 where fields have no numbers.
    pub(crate) number: u32,
    pub(crate) kind: FieldType,
    pub(crate) cardinality: Cardinality,
    pub(crate) required: bool,
    pub(crate) oneof: Option<String>,
    /// The lists of `enum` in OpenAPI, of which one holds whatever stands here; without any it may be anything.
    pub(crate) values: Vec<Arc<BTreeSet<String>>>,
}

impl FieldShape {
    /// What an Any holds of a type.
    const fn holding(kind: FieldType) -> Self {
        Self {
            number: 0,
            kind,
            cardinality: Cardinality::Single,
            required: false,
            oneof: None,
            values: Vec::new(),
        }
    }

    fn allows(&self, value: &str) -> bool {
        self.values.is_empty() || self.values.iter().any(|list| list.contains(value))
    }
}

/// What breaks those who use the version before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum BreakingKind {
    ServiceRemoved,
    MethodRemoved,
    StreamingChanged,
    TypeChanged,
    FieldRemoved,
    FieldRenumbered,
    FieldRenamed,
    FieldRetyped,
    CardinalityChanged,
    RequirednessChanged,
    EnumValueRemoved,
    EnumValueRenumbered,
    OneofChanged,
}

/// One breaking change.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Breaking {
    pub(crate) kind: BreakingKind,
    /// The full name of what changed.
    pub(crate) element: String,
    /// From what to what.
    pub(crate) detail: String,
    /// The methods of the old version that it concerns, in order.
    pub(crate) methods: Vec<String>,
}

/// The service of a full gRPC method; none for `GET /path`.
fn service_of(method: &str) -> Option<&str> {
    if method.contains(' ') {
        return None;
    }
    method.split_once('/').map(|(service, _)| service)
}

impl Shape {
    /// The methods that reach each type and enum, through whatever lies between.
    fn users(&self) -> BTreeMap<&str, BTreeSet<&str>> {
        let mut users: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
        for (method, shape) in &self.methods {
            let mut seen = BTreeSet::new();
            let mut open = vec![shape.input.as_str(), shape.output.as_str()];
            while let Some(name) = open.pop() {
                if !seen.insert(name) {
                    continue;
                }
                users.entry(name).or_default().insert(method);
                for field in self.types.get(name).into_iter().flat_map(|of| of.fields.values()) {
                    match &field.kind {
                        FieldType::Message(inner) => open.push(inner),
                        FieldType::Enum(inner) => {
                            users.entry(inner).or_default().insert(method);
                        }
                        FieldType::Scalar(_) => {}
                    }
                }
            }
        }
        users
    }

    /// What a field path of a type leads to; none if there is no such field.
    ///
    /// It goes through messages, repeated fields and the values of maps, and into an Any by the type that this must hold
    /// (`detail.[package.Type].field`); `through_many` says whether it went through a repeated field or a map before its last field.
    pub(crate) fn field<'a>(&'a self, type_name: &str, path: &str) -> Option<FoundField<'a>> {
        if path == ROOT {
            return None;
        }
        let mut at = type_name;
        let mut rest = path;
        let mut through_many = false;
        let mut names_any = false;
        loop {
            let holder = self.types.get(at)?;
            if at == ANY && rest.starts_with('[') {
                let (segment, tail) = rest.split_at_checked(rest.find(']')? + 1)?;
                let (name, _) = self.types.get_key_value(type_in(segment)?)?;
                if tail.is_empty() {
                    let kind = FieldType::Message(name.clone());
                    return Some(FoundField {
                        field: Cow::Owned(FieldShape::holding(kind)),
                        through_many,
                        names_any: false,
                    });
                }
                (at, rest) = (name, tail.strip_prefix('.')?);
                continue;
            }
            names_any |= at == ANY;
            // The whole path first: fields of OpenAPI carry it as their name.
            if let Some(field) = holder.fields.get(rest) {
                through_many |= many_above(holder, rest);
                let field = Cow::Borrowed(field);
                return Some(FoundField {
                    field,
                    names_any,
                    through_many,
                });
            }
            let (head, tail) = rest.split_once('.')?;
            let field = holder.fields.get(head).filter(|_| head != ROOT)?;
            let FieldType::Message(inner) = &field.kind else {
                return None;
            };
            through_many |= field.cardinality != Cardinality::Single;
            (at, rest) = (inner, tail);
        }
    }
}

/// Whether a field whose name is a whole path lies below a repeated field or a map, which the root may be.
fn many_above(holder: &TypeShape, path: &str) -> bool {
    let above = path.match_indices('.').filter_map(|(at, _)| path.get(..at));
    above
        .chain([ROOT])
        .filter_map(|above| holder.fields.get(above))
        .any(|above| above.cardinality != Cardinality::Single)
}

/// A field that a path leads to.
#[derive(Clone, Debug)]
pub(crate) struct FoundField<'a> {
    /// For a path that ends at the type of what an Any holds: as if that were a field.
    pub(crate) field: Cow<'a, FieldShape>,
    /// Whether it is a field of an Any itself, not of what that holds: no mask divides an Any so.
    pub(crate) names_any: bool,
    /// Whether the path goes through a repeated field or a map before it.
    pub(crate) through_many: bool,
}

/// What in `new` breaks those who use `old`, in order. What is added breaks nobody, but for a field that must now be sent.
pub(crate) fn compare(old: &Shape, new: &Shape) -> Vec<Breaking> {
    let users = old.users();
    let mut found = Vec::new();
    let mut gone_services: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for (name, before) in &old.methods {
        let methods = vec![name.clone()];
        let Some(after) = new.methods.get(name) else {
            let service = service_of(name);
            match service.filter(|service| !new.methods.keys().any(|method| service_of(method) == Some(service))) {
                Some(service) => gone_services.entry(service).or_default().push(name.clone()),
                None => found.push(Breaking {
                    kind: BreakingKind::MethodRemoved,
                    element: name.clone(),
                    detail: String::new(),
                    methods,
                }),
            }
            continue;
        };
        let streaming = |shape: &MethodShape| (shape.client_streaming, shape.server_streaming);
        if streaming(before) != streaming(after) {
            found.push(Breaking {
                kind: BreakingKind::StreamingChanged,
                element: name.clone(),
                detail: format!("{} → {}", streaming_name(before), streaming_name(after)),
                methods: methods.clone(),
            });
        }
        for (from, to) in [(&before.input, &after.input), (&before.output, &after.output)] {
            if from != to {
                found.push(Breaking {
                    kind: BreakingKind::TypeChanged,
                    element: name.clone(),
                    detail: format!("{from} → {to}"),
                    methods: methods.clone(),
                });
            }
        }
    }
    found.extend(gone_services.into_iter().map(|(service, methods)| Breaking {
        kind: BreakingKind::ServiceRemoved,
        element: service.to_owned(),
        detail: String::new(),
        methods,
    }));
    // Types that no method reaches concern nobody; those that are gone with their methods were named with these.
    for (name, methods) in &users {
        let methods: Vec<String> = methods
            .iter()
            .filter(|method| new.methods.contains_key(**method))
            .map(|method| (*method).to_owned())
            .collect();
        if methods.is_empty() {
            continue;
        }
        if let (Some(before), Some(after)) = (old.types.get(*name), new.types.get(*name)) {
            compare_types(name, before, after, &methods, &mut found);
        }
        if let (Some(before), Some(after)) = (old.enums.get(*name), new.enums.get(*name)) {
            compare_enums(name, before, after, &methods, &mut found);
        }
    }
    found.sort();
    found
}

const fn streaming_name(shape: &MethodShape) -> &'static str {
    match (shape.client_streaming, shape.server_streaming) {
        (false, false) => "unary",
        (true, false) => "client streaming",
        (false, true) => "server streaming",
        (true, true) => "bidirectional streaming",
    }
}

fn compare_types(name: &str, before: &TypeShape, after: &TypeShape, methods: &[String], found: &mut Vec<Breaking>) {
    let mut add = |kind, field: &str, detail: String| {
        found.push(Breaking {
            kind,
            element: if field == ROOT {
                name.to_owned()
            } else {
                format!("{name}.{field}")
            },
            detail,
            methods: methods.to_vec(),
        });
    };
    for (field, old) in &before.fields {
        let Some(new) = after.fields.get(field) else {
            let renamed = after.fields.iter().find(|(other, new)| {
                old.number != 0 && new.number == old.number && !before.fields.contains_key(*other)
            });
            match renamed {
                Some((other, new)) => {
                    add(BreakingKind::FieldRenamed, field, format!("{field} → {other}"));
                    compare_fields(field, old, new, before.way, &mut add);
                }
                None => add(BreakingKind::FieldRemoved, field, String::new()),
            }
            continue;
        };
        if old.number != new.number {
            add(
                BreakingKind::FieldRenumbered,
                field,
                format!("{} → {}", old.number, new.number),
            );
        }
        compare_fields(field, old, new, before.way, &mut add);
    }
    for (field, new) in &after.fields {
        let renamed = before
            .fields
            .values()
            .any(|old| old.number != 0 && old.number == new.number);
        // A field below an object that is new itself, and may be left out, is required only where that object is sent.
        let optional_above = field.match_indices('.').any(|(at, _)| {
            field
                .get(..at)
                .and_then(|above| after.fields.get(above))
                .is_some_and(|above| !above.required)
                && field.get(..at).is_some_and(|above| !before.fields.contains_key(above))
        });
        if !before.fields.contains_key(field)
            && !renamed
            && new.required
            && before.way != Way::Output
            && !optional_above
        {
            add(BreakingKind::RequirednessChanged, field, "absent → required".to_owned());
        }
    }
}

fn compare_fields(
    field: &str,
    old: &FieldShape,
    new: &FieldShape,
    way: Way,
    add: &mut impl FnMut(BreakingKind, &str, String),
) {
    if old.kind != new.kind {
        add(
            BreakingKind::FieldRetyped,
            field,
            format!("{} → {}", old.kind.name(), new.kind.name()),
        );
    }
    if old.cardinality != new.cardinality {
        add(
            BreakingKind::CardinalityChanged,
            field,
            format!("{} → {}", old.cardinality.as_str(), new.cardinality.as_str()),
        );
    }
    if old.oneof != new.oneof {
        let name = |oneof: &Option<String>| oneof.clone().unwrap_or_else(|| "none".to_owned());
        add(
            BreakingKind::OneofChanged,
            field,
            format!("{} → {}", name(&old.oneof), name(&new.oneof)),
        );
    }
    // As in protobuf a value that is gone breaks either way: who sends it is refused, who waits for it waits for nothing. What is
    // added breaks nobody, so an answer may also be limited later.
    if old.values.is_empty() && !new.values.is_empty() && way != Way::Output && old.kind == new.kind {
        add(
            BreakingKind::FieldRetyped,
            field,
            format!("any {} → listed values", old.kind.name()),
        );
    }
    let listed = old.values.iter().flat_map(|list| list.iter());
    let mut gone = listed.filter(|value| !new.allows(value)).peekable();
    if gone.peek().is_some() {
        add(BreakingKind::EnumValueRemoved, field, first_of(gone));
    }
    let worse = match way {
        Way::Both => old.required != new.required,
        Way::Input => new.required && !old.required,
        Way::Output => old.required && !new.required,
    };
    if worse {
        let word = |required| if required { "required" } else { "optional" };
        add(
            BreakingKind::RequirednessChanged,
            field,
            format!("{} → {}", word(old.required), word(new.required)),
        );
    }
}

/// The first of some values, shortened: lists come from documents that somebody uploaded.
fn first_of<'a>(mut values: impl Iterator<Item = &'a String>) -> String {
    let shown: Vec<String> = values
        .by_ref()
        .take(5)
        .map(|value| value.chars().take(64).collect())
        .collect();
    let more = if values.next().is_some() { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

fn compare_enums(
    name: &str,
    before: &BTreeMap<String, i32>,
    after: &BTreeMap<String, i32>,
    methods: &[String],
    found: &mut Vec<Breaking>,
) {
    for (value, number) in before {
        let (kind, detail) = match after.get(value) {
            Some(now) if now == number => continue,
            Some(now) => (BreakingKind::EnumValueRenumbered, format!("{number} → {now}")),
            None => (BreakingKind::EnumValueRemoved, String::new()),
        };
        found.push(Breaking {
            kind,
            element: format!("{name}.{value}"),
            detail,
            methods: methods.to_vec(),
        });
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn kind() -> impl Strategy<Value = FieldType> {
        prop_oneof![
            prop_oneof![Just("string"), Just("int32"), Just("bool")]
                .prop_map(|name| FieldType::Scalar(name.to_owned())),
            (0_u8..3).prop_map(|number| FieldType::Message(format!("t.T{number}"))),
            Just(FieldType::Enum("t.E".to_owned())),
        ]
    }

    fn message() -> impl Strategy<Value = TypeShape> {
        proptest::collection::btree_map(0_u32..6, (kind(), any::<bool>()), 1..5).prop_map(|fields| TypeShape {
            way: Way::Both,
            fields: fields
                .into_iter()
                .map(|(number, (kind, many))| {
                    let cardinality = if many {
                        Cardinality::Repeated
                    } else {
                        Cardinality::Single
                    };
                    let field = FieldShape {
                        number: number + 1,
                        kind,
                        cardinality,
                        required: false,
                        oneof: None,
                        values: Vec::new(),
                    };
                    (format!("f{number}"), field)
                })
                .collect(),
        })
    }

    /// Shapes of three messages, one enum and up to four methods.
    pub(crate) fn shape() -> impl Strategy<Value = Shape> {
        let methods = proptest::collection::btree_map(0_u8..6, (0_u8..3, 0_u8..3, any::<bool>()), 1..5);
        (methods, [message(), message(), message()], 1_i32..4).prop_map(|(methods, types, values)| Shape {
            methods: methods
                .into_iter()
                .map(|(name, (input, output, server_streaming))| {
                    let method = MethodShape {
                        client_streaming: false,
                        server_streaming,
                        input: format!("t.T{input}"),
                        output: format!("t.T{output}"),
                    };
                    (format!("t.S{}/M{name}", name % 2), method)
                })
                .collect(),
            types: types
                .into_iter()
                .enumerate()
                .map(|(number, of)| (format!("t.T{number}"), of))
                .collect(),
            enums: BTreeMap::from([(
                "t.E".to_owned(),
                (0..values).map(|value| (format!("V{value}"), value)).collect(),
            )]),
        })
    }

    fn field(number: u32) -> FieldShape {
        FieldShape {
            number,
            kind: FieldType::Scalar("string".to_owned()),
            cardinality: Cardinality::Single,
            required: false,
            oneof: None,
            values: Vec::new(),
        }
    }

    proptest! {
        #[test]
        fn what_is_equal_breaks_nobody(shape in shape()) {
            prop_assert_eq!(compare(&shape, &shape), []);
        }

        #[test]
        fn what_is_added_breaks_nobody(shape in shape()) {
            let mut grown = shape.clone();
            for of in grown.types.values_mut() {
                of.fields.insert("added".to_owned(), field(99));
            }
            grown.types.insert("t.New".to_owned(), TypeShape::default());
            grown.enums.values_mut().for_each(|values| { values.insert("ADDED".to_owned(), 99); });
            let method = MethodShape { input: "t.New".to_owned(), output: "t.T0".to_owned(), ..MethodShape::default() };
            grown.methods.insert("t.S9/Added".to_owned(), method);
            prop_assert_eq!(compare(&shape, &grown), []);
        }

        #[test]
        fn a_method_that_is_gone_is_found(shape in shape(), pick in any::<prop::sample::Index>()) {
            let name = pick.get(&shape.methods.keys().cloned().collect::<Vec<_>>()).clone();
            let mut less = shape.clone();
            less.methods.remove(&name);
            let found = compare(&shape, &less);
            prop_assert_eq!(found.len(), 1);
            prop_assert!(matches!(found[0].kind, BreakingKind::MethodRemoved | BreakingKind::ServiceRemoved));
            prop_assert_eq!(&found[0].methods, &vec![name]);
        }

        /// A field that is gone is found exactly where some method reaches its message, and with just these methods.
        #[test]
        fn a_field_that_is_gone_or_changed_is_found_with_the_methods_that_reach_it(
            shape in shape(), of in 0_u8..3, pick in any::<prop::sample::Index>(), change in 0_u8..4,
        ) {
            let of = format!("t.T{of}");
            let names: Vec<String> = shape.types[&of].fields.keys().cloned().collect();
            let name = pick.get(&names).clone();
            let mut other = shape.clone();
            let fields = &mut other.types.get_mut(&of).unwrap().fields;
            let mut changed = fields.remove(&name).unwrap();
            let kind = match change {
                0 => BreakingKind::FieldRemoved,
                1 => {
                    changed.number = 77;
                    fields.insert(name.clone(), changed);
                    BreakingKind::FieldRenumbered
                }
                2 => {
                    changed.kind = FieldType::Scalar("bytes".to_owned());
                    fields.insert(name.clone(), changed);
                    BreakingKind::FieldRetyped
                }
                _ => {
                    fields.insert("renamed".to_owned(), changed);
                    BreakingKind::FieldRenamed
                }
            };
            let reached: Vec<String> =
                shape.users().get(of.as_str()).into_iter().flatten().map(|method| (*method).to_owned()).collect();
            let found = compare(&shape, &other);
            if reached.is_empty() {
                prop_assert_eq!(found, []);
            } else {
                prop_assert_eq!(found.len(), 1);
                prop_assert_eq!(found[0].kind, kind);
                prop_assert_eq!(&found[0].element, &format!("{of}.{name}"));
                prop_assert_eq!(&found[0].methods, &reached);
            }
        }
    }

    #[test]
    fn a_field_that_must_now_be_sent_or_need_not_come_back_breaks() {
        let shape = |way, required, added: bool| {
            let mut of = TypeShape {
                way,
                fields: BTreeMap::from([("a".to_owned(), FieldShape { required, ..field(0) })]),
            };
            if added {
                of.fields.insert(
                    "b".to_owned(),
                    FieldShape {
                        required: true,
                        ..field(0)
                    },
                );
            }
            let method = MethodShape {
                input: "x".to_owned(),
                output: "x".to_owned(),
                ..MethodShape::default()
            };
            Shape {
                methods: BTreeMap::from([("GET /x".to_owned(), method)]),
                types: BTreeMap::from([("x".to_owned(), of)]),
                enums: BTreeMap::new(),
            }
        };
        let breaks = |way, from, to, added| !compare(&shape(way, from, false), &shape(way, to, added)).is_empty();
        assert!(breaks(Way::Input, false, true, false));
        assert!(!breaks(Way::Input, true, false, false));
        assert!(breaks(Way::Output, true, false, false));
        assert!(!breaks(Way::Output, false, true, false));
        assert!(breaks(Way::Input, true, true, true));
        assert!(!breaks(Way::Output, true, true, true));
        assert!(breaks(Way::Both, true, false, false) && breaks(Way::Both, false, true, false));
    }

    #[test]
    fn a_path_goes_through_messages_and_says_if_it_went_through_many() {
        let inner = TypeShape {
            way: Way::Both,
            fields: BTreeMap::from([("ward".to_owned(), field(1))]),
        };
        let held = |cardinality| FieldShape {
            kind: FieldType::Message("Inner".to_owned()),
            cardinality,
            ..field(2)
        };
        let outer = TypeShape {
            way: Way::Both,
            fields: BTreeMap::from([
                ("one".to_owned(), held(Cardinality::Single)),
                ("many".to_owned(), held(Cardinality::Repeated)),
            ]),
        };
        let shape = Shape {
            types: BTreeMap::from([("Inner".to_owned(), inner), ("Outer".to_owned(), outer)]),
            ..Shape::default()
        };
        let through = |path| shape.field("Outer", path).map(|found| found.through_many);
        assert_eq!(through("one.ward"), Some(false));
        assert_eq!(through("many.ward"), Some(true));
        assert_eq!(through("many"), Some(false));
        assert_eq!(through("one.other"), None);
        assert_eq!(through("one.ward.deeper"), None);
    }
}
