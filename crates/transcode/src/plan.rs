//! What the two directions need to know of each message: compiled from the descriptors once, walked for every request.

use std::collections::HashMap;

use prost_reflect::{Cardinality, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor};

use crate::wire::WireType;

/// How deep messages may nest. prost stops decoding at 100; a request that the service could not decode is refused here.
pub(crate) const DEPTH: usize = 90;

/// The compiled messages and enums of a descriptor pool.
#[derive(Debug)]
pub(crate) struct Messages {
    plans: Vec<MessagePlan>,
    enums: Vec<EnumPlan>,
    by_name: HashMap<Box<str>, MessageId>,
}

/// The place of a message in [`Messages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct MessageId(usize);

/// The place of an enum in [`Messages`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EnumId(usize);

#[derive(Debug)]
pub(crate) struct MessagePlan {
    /// A message with a JSON form of its own.
    pub(crate) special: Option<Special>,
    /// By number.
    pub(crate) fields: Vec<FieldPlan>,
    /// JSON names and names of the contract, sorted, with the place in `fields`.
    names: Vec<(Box<str>, usize)>,
    /// Whether the numbers are 1, 2, 3 and so on without a gap.
    dense: bool,
    pub(crate) has_oneofs: bool,
}

#[derive(Debug)]
pub(crate) struct FieldPlan {
    pub(crate) number: u32,
    /// In the contract.
    pub(crate) name: Box<str>,
    /// In JSON.
    pub(crate) json_name: Box<str>,
    /// In JSON, with quotes and colon.
    pub(crate) quoted: Box<[u8]>,
    pub(crate) shape: Shape,
    /// The type of the value; of a list's item.
    pub(crate) of: Type,
    /// Whether "not set" differs from "set to zero".
    pub(crate) presence: bool,
    pub(crate) oneof: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    One,
    List {
        packed: bool,
    },
    /// `of` is the type of the values.
    Map {
        keys: Scalar,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    Scalar(Scalar),
    Message(MessageId),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scalar {
    Double,
    Float,
    Int32,
    Int64,
    Uint32,
    Uint64,
    Sint32,
    Sint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Bool,
    String,
    Bytes,
    Enum(EnumId),
}

/// Messages of `google.protobuf` with a JSON form of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Special {
    Timestamp,
    Duration,
    FieldMask,
    /// A value that may be absent.
    Wrapper(Scalar),
    Struct,
    Value,
    ListValue,
    Any,
}

impl Special {
    /// Whether the JSON form is a scalar, so that it can stand in a path or a query.
    pub(crate) const fn is_text(self) -> bool {
        matches!(
            self,
            Self::Timestamp | Self::Duration | Self::FieldMask | Self::Wrapper(_)
        )
    }
}

#[derive(Debug)]
pub(crate) struct EnumPlan {
    /// Sorted by name.
    by_name: Vec<(Box<str>, i32)>,
    /// Sorted by number; the first name of each.
    by_number: Vec<(i32, Box<str>)>,
    /// `google.protobuf.NullValue`, whose value is JSON's null.
    pub(crate) is_null: bool,
}

impl Scalar {
    pub(crate) const fn wire(self) -> WireType {
        match self {
            Self::Double | Self::Fixed64 | Self::Sfixed64 => WireType::Fixed64,
            Self::Float | Self::Fixed32 | Self::Sfixed32 => WireType::Fixed32,
            Self::String | Self::Bytes => WireType::Bytes,
            _ => WireType::Varint,
        }
    }
}

impl MessagePlan {
    pub(crate) fn by_name(&self, name: &str) -> Option<(usize, &FieldPlan)> {
        let place = self.names.binary_search_by(|(other, _)| (**other).cmp(name)).ok()?;
        let (_, index) = self.names.get(place)?;
        Some((*index, self.fields.get(*index)?))
    }

    pub(crate) fn by_number(&self, number: u32) -> Option<usize> {
        if self.dense {
            let index = (number as usize).checked_sub(1)?;
            return (index < self.fields.len()).then_some(index);
        }
        self.fields.binary_search_by_key(&number, |field| field.number).ok()
    }
}

impl EnumPlan {
    pub(crate) fn number(&self, name: &str) -> Option<i32> {
        let place = self.by_name.binary_search_by(|(other, _)| (**other).cmp(name)).ok()?;
        self.by_name.get(place).map(|(_, number)| *number)
    }

    pub(crate) fn name(&self, number: i32) -> Option<&str> {
        let place = self.by_number.binary_search_by_key(&number, |(other, _)| *other).ok()?;
        self.by_number.get(place).map(|(_, name)| &**name)
    }

    /// The names by number, for the text of a refusal.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.by_number.iter().map(|(_, name)| &**name)
    }
}

impl Messages {
    /// Compiles every message of a pool.
    pub(crate) fn compile(pool: &DescriptorPool) -> Self {
        let messages: Vec<MessageDescriptor> = pool.all_messages().collect();
        let enums: Vec<EnumDescriptor> = pool.all_enums().collect();
        let ids = Ids {
            messages: messages
                .iter()
                .enumerate()
                .map(|(index, message)| (message.full_name().to_owned(), MessageId(index)))
                .collect(),
            enums: enums
                .iter()
                .enumerate()
                .map(|(index, one)| (one.full_name().to_owned(), EnumId(index)))
                .collect(),
        };
        Self {
            plans: messages.iter().map(|message| ids.message(message)).collect(),
            enums: enums.iter().map(enum_plan).collect(),
            by_name: ids
                .messages
                .into_iter()
                .map(|(name, id)| (name.into_boxed_str(), id))
                .collect(),
        }
    }

    pub(crate) fn id(&self, name: &str) -> Option<MessageId> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn plan(&self, id: MessageId) -> &MessagePlan {
        // An id is only made by `compile`, for a plan that is there.
        static NONE: MessagePlan = MessagePlan {
            special: None,
            fields: Vec::new(),
            names: Vec::new(),
            dense: false,
            has_oneofs: false,
        };
        self.plans.get(id.0).unwrap_or(&NONE)
    }

    pub(crate) fn enumeration(&self, id: EnumId) -> Option<&EnumPlan> {
        self.enums.get(id.0)
    }

    /// The field at the end of a path of names, and the numbers on the way to it; `None` if there is no such singular path.
    pub(crate) fn walk(
        &self,
        from: MessageId,
        names: impl Iterator<Item = impl AsRef<str>>,
    ) -> Option<(Vec<&FieldPlan>, &FieldPlan)> {
        let mut parents = Vec::new();
        let mut at = Some(from);
        let mut last: Option<&FieldPlan> = None;
        for name in names {
            if let Some(parent) = last.take() {
                parents.push(parent);
            }
            let plan = self.plan(at?);
            if plan.special.is_some() {
                return None;
            }
            let (_, field) = plan.by_name(name.as_ref())?;
            at = match (field.shape, field.of) {
                (Shape::One, Type::Message(id)) => Some(id),
                _ => None,
            };
            last = Some(field);
        }
        last.map(|field| (parents, field))
    }
}

struct Ids {
    messages: HashMap<String, MessageId>,
    enums: HashMap<String, EnumId>,
}

impl Ids {
    fn message(&self, message: &MessageDescriptor) -> MessagePlan {
        let mut fields: Vec<FieldPlan> = message.fields().filter_map(|field| self.field(&field)).collect();
        fields.sort_by_key(|field| field.number);
        let mut names: Vec<(Box<str>, usize)> = Vec::with_capacity(fields.len() * 2);
        for (index, field) in fields.iter().enumerate() {
            names.push((field.json_name.clone(), index));
            names.push((field.name.clone(), index));
        }
        names.sort();
        names.dedup();
        let dense = fields
            .iter()
            .enumerate()
            .all(|(index, field)| field.number as usize == index + 1);
        MessagePlan {
            special: special(message.full_name()),
            names,
            dense,
            has_oneofs: fields.iter().any(|field| field.oneof.is_some()),
            fields,
        }
    }

    /// `None` for a group, which the JSON mapping has no form for.
    fn field(&self, field: &FieldDescriptor) -> Option<FieldPlan> {
        if field.is_group() {
            return None;
        }
        let (shape, of) = if let (true, Kind::Message(entry)) = (field.is_map(), field.kind()) {
            let Type::Scalar(keys) = self.of(&entry.map_entry_key_field().kind())? else {
                return None;
            };
            (Shape::Map { keys }, self.of(&entry.map_entry_value_field().kind())?)
        } else if field.cardinality() == Cardinality::Repeated {
            (
                Shape::List {
                    packed: field.is_packed(),
                },
                self.of(&field.kind())?,
            )
        } else {
            (Shape::One, self.of(&field.kind())?)
        };
        let mut quoted = Vec::with_capacity(field.json_name().len() + 3);
        // A name of a field holds nothing that JSON would escape but what its author wrote into `json_name`.
        serde_json::to_writer(&mut quoted, field.json_name()).ok()?;
        quoted.push(b':');
        Some(FieldPlan {
            number: field.number(),
            name: field.name().into(),
            json_name: field.json_name().into(),
            quoted: quoted.into(),
            shape,
            of,
            presence: field.supports_presence(),
            oneof: field
                .containing_oneof()
                .filter(|oneof| !oneof.is_synthetic())
                .map(|oneof| oneof.path().last().copied().unwrap_or_default() as usize),
        })
    }

    fn of(&self, kind: &Kind) -> Option<Type> {
        Some(Type::Scalar(match kind {
            Kind::Double => Scalar::Double,
            Kind::Float => Scalar::Float,
            Kind::Int32 => Scalar::Int32,
            Kind::Int64 => Scalar::Int64,
            Kind::Uint32 => Scalar::Uint32,
            Kind::Uint64 => Scalar::Uint64,
            Kind::Sint32 => Scalar::Sint32,
            Kind::Sint64 => Scalar::Sint64,
            Kind::Fixed32 => Scalar::Fixed32,
            Kind::Fixed64 => Scalar::Fixed64,
            Kind::Sfixed32 => Scalar::Sfixed32,
            Kind::Sfixed64 => Scalar::Sfixed64,
            Kind::Bool => Scalar::Bool,
            Kind::String => Scalar::String,
            Kind::Bytes => Scalar::Bytes,
            Kind::Enum(one) => Scalar::Enum(*self.enums.get(one.full_name())?),
            Kind::Message(message) => return self.messages.get(message.full_name()).copied().map(Type::Message),
        }))
    }
}

fn special(name: &str) -> Option<Special> {
    Some(match name.strip_prefix("google.protobuf.")? {
        "Timestamp" => Special::Timestamp,
        "Duration" => Special::Duration,
        "FieldMask" => Special::FieldMask,
        "Struct" => Special::Struct,
        "Value" => Special::Value,
        "ListValue" => Special::ListValue,
        "Any" => Special::Any,
        "DoubleValue" => Special::Wrapper(Scalar::Double),
        "FloatValue" => Special::Wrapper(Scalar::Float),
        "Int64Value" => Special::Wrapper(Scalar::Int64),
        "UInt64Value" => Special::Wrapper(Scalar::Uint64),
        "Int32Value" => Special::Wrapper(Scalar::Int32),
        "UInt32Value" => Special::Wrapper(Scalar::Uint32),
        "BoolValue" => Special::Wrapper(Scalar::Bool),
        "StringValue" => Special::Wrapper(Scalar::String),
        "BytesValue" => Special::Wrapper(Scalar::Bytes),
        _ => return None,
    })
}

fn enum_plan(descriptor: &EnumDescriptor) -> EnumPlan {
    let mut by_name: Vec<(Box<str>, i32)> = descriptor
        .values()
        .map(|value| (Box::from(value.name()), value.number()))
        .collect();
    let mut by_number: Vec<(i32, Box<str>)> = by_name.iter().map(|(name, number)| (*number, name.clone())).collect();
    by_name.sort();
    // The sorting is stable: of several names of a number the first one of the contract stays.
    by_number.sort_by_key(|(number, _)| *number);
    by_number.dedup_by_key(|(number, _)| *number);
    EnumPlan {
        by_name,
        by_number,
        is_null: descriptor.full_name() == "google.protobuf.NullValue",
    }
}
