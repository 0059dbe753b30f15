//! Walks an encoded message along its descriptor and copies what may pass.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};

use crate::Refused;
use crate::wire::{DEEPEST, Input, Tag, WireType, put_varint, varint_len};

/// A message type with what of it may pass.
#[derive(Debug, Default)]
struct Node {
    fields: HashMap<u32, Field>,
}

/// A field that may pass.
#[derive(Debug)]
struct Field {
    value: Value,
    /// Whether it may stand packed.
    repeated: bool,
    /// The granted path that ends here.
    granted: Option<usize>,
}

/// What the value of a field is.
#[derive(Clone, Debug)]
enum Value {
    Varint,
    Fixed32,
    Fixed64,
    Bytes,
    Text,
    Message(usize),
    Group(usize),
    /// `google.protobuf.Any`: what is inside passes if its type is known.
    Any,
}

/// What may pass of a message, compiled.
#[derive(Debug)]
pub(crate) struct Walker {
    nodes: Vec<Node>,
    root: usize,
    /// Nodes that let a whole message of a type pass.
    whole: HashMap<String, usize>,
    paths: Vec<String>,
    uses: Vec<AtomicU64>,
}

/// A mask as a tree: the fields of a message by name, and what of each.
#[derive(Default)]
struct Granted {
    /// All of it, by the path with this number.
    whole: Option<usize>,
    fields: HashMap<String, Granted>,
}

impl Walker {
    /// Compiles a mask for messages of a type; an empty one lets everything pass that the descriptor knows.
    pub(crate) fn compile(message: &MessageDescriptor, mask: &[String], problems: &mut Vec<String>) -> Self {
        let mut walker = Self {
            nodes: Vec::new(),
            root: 0,
            whole: HashMap::new(),
            paths: mask.to_vec(),
            uses: mask.iter().map(|_| AtomicU64::new(0)).collect(),
        };
        // Types that may come in an Any: all of the pool, so that nothing is compiled while messages pass.
        let every: Vec<MessageDescriptor> = message.parent_pool().all_messages().collect();
        for one in &every {
            walker.whole(one);
        }
        if mask.is_empty() {
            walker.root = walker.whole(message);
            return walker;
        }
        let mut granted = Granted::default();
        for (number, path) in mask.iter().enumerate() {
            if let Err(problem) = check(message, path) {
                problems.push(problem);
                continue;
            }
            let mut at = &mut granted;
            for name in path.split('.') {
                at = at.fields.entry(name.to_owned()).or_default();
            }
            at.whole = Some(number);
        }
        walker.root = walker.part(message, &granted);
        walker
    }

    /// The node of a whole message of a type.
    fn whole(&mut self, message: &MessageDescriptor) -> usize {
        if let Some(node) = self.whole.get(message.full_name()) {
            return *node;
        }
        let place = self.nodes.len();
        self.nodes.push(Node::default());
        // Before its fields: a type may contain itself.
        self.whole.insert(message.full_name().to_owned(), place);
        let fields = message
            .fields()
            .map(|field| {
                let value = self.value(&field, None);
                (field.number(), entry(&field, value, None))
            })
            .collect();
        if let Some(node) = self.nodes.get_mut(place) {
            node.fields = fields;
        }
        place
    }

    /// The node of a message of which a part is granted.
    fn part(&mut self, message: &MessageDescriptor, granted: &Granted) -> usize {
        let mut fields = HashMap::new();
        for (name, inner) in &granted.fields {
            if let Some(field) = message.get_field_by_name(name) {
                let value = self.value(&field, inner.whole.is_none().then_some(inner));
                fields.insert(field.number(), entry(&field, value, first_grant(inner)));
            }
        }
        self.nodes.push(Node { fields });
        self.nodes.len() - 1
    }

    /// How a field's value is walked: whole, or a part of the message that it is.
    fn value(&mut self, field: &FieldDescriptor, part: Option<&Granted>) -> Value {
        match field.kind() {
            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => Value::Fixed64,
            Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => Value::Fixed32,
            Kind::Int32
            | Kind::Int64
            | Kind::Uint32
            | Kind::Uint64
            | Kind::Sint32
            | Kind::Sint64
            | Kind::Bool
            | Kind::Enum(_) => Value::Varint,
            Kind::String => Value::Text,
            Kind::Bytes => Value::Bytes,
            Kind::Message(message) if message.full_name() == "google.protobuf.Any" => Value::Any,
            Kind::Message(message) => {
                let node = match part {
                    None => self.whole(&message),
                    // A map is a list of entries: the key passes with what is granted of the value.
                    Some(part) if field.is_map() => self.map_entry(&message, part),
                    Some(part) => self.part(&message, part),
                };
                if field.is_group() {
                    Value::Group(node)
                } else {
                    Value::Message(node)
                }
            }
        }
    }

    fn map_entry(&mut self, message: &MessageDescriptor, part: &Granted) -> usize {
        let (key, value) = (message.map_entry_key_field(), message.map_entry_value_field());
        let key_value = self.value(&key, None);
        let value_value = self.value(&value, Some(part));
        let fields = HashMap::from([
            (key.number(), entry(&key, key_value, None)),
            (value.number(), entry(&value, value_value, None)),
        ]);
        self.nodes.push(Node { fields });
        self.nodes.len() - 1
    }

    /// Copies what may pass.
    pub(crate) fn pass(&self, message: &[u8]) -> Result<Vec<u8>, Refused> {
        let mut out = Vec::with_capacity(message.len());
        self.message(self.root, &mut Input(message), &mut out, 0, None)?;
        Ok(out)
    }

    /// Walks a message, or a group until its end.
    fn message(
        &self,
        node: usize,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
        depth: usize,
        group: Option<u32>,
    ) -> Result<(), Refused> {
        if depth > DEEPEST {
            return Err(Refused::Unreadable);
        }
        let Some(node) = self.nodes.get(node) else {
            return Err(Refused::Unreadable);
        };
        while !input.is_empty() {
            let before = *input;
            let tag = input.tag()?;
            if tag.wire == WireType::GroupEnd {
                return if group == Some(tag.number) {
                    Ok(())
                } else {
                    Err(Refused::Unreadable)
                };
            }
            match node.fields.get(&tag.number) {
                None => input.skip(tag, depth)?,
                Some(field) => {
                    if self.field(field, tag, before, input, out, depth)?
                        && let Some(uses) = field.granted.and_then(|path| self.uses.get(path))
                    {
                        uses.fetch_add(1, Ordering::Relaxed);
                    }
                }
            }
        }
        if group.is_some() {
            Err(Refused::Unreadable)
        } else {
            Ok(())
        }
    }

    /// Walks a field that may pass; `before` begins with its tag. Whether anything passed.
    fn field(
        &self,
        field: &Field,
        tag: Tag,
        before: Input<'_>,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
        depth: usize,
    ) -> Result<bool, Refused> {
        let start = out.len();
        match (&field.value, tag.wire) {
            (Value::Varint, WireType::Varint) => {
                input.varint()?;
            }
            (Value::Fixed32, WireType::Fixed32) => {
                input.take(4)?;
            }
            (Value::Fixed64, WireType::Fixed64) => {
                input.take(8)?;
            }
            (Value::Bytes, WireType::Length) => {
                input.delimited()?;
            }
            (Value::Text, WireType::Length) => {
                std::str::from_utf8(input.delimited()?).map_err(|_| Refused::Unreadable)?;
            }
            (Value::Varint, WireType::Length) if field.repeated => {
                let mut packed = Input(input.delimited()?);
                while !packed.is_empty() {
                    packed.varint()?;
                }
            }
            (Value::Fixed32, WireType::Length) if field.repeated => whole_of(input.delimited()?, 4)?,
            (Value::Fixed64, WireType::Length) if field.repeated => whole_of(input.delimited()?, 8)?,
            (Value::Message(node), WireType::Length) => {
                let tag_bytes = copied(before, *input);
                let inner = input.delimited()?;
                out.extend_from_slice(tag_bytes);
                delimited(out, inner.len(), |out| {
                    self.message(*node, &mut Input(inner), out, depth + 1, None)
                })?;
                return Ok(true);
            }
            (Value::Group(node), WireType::GroupStart) => {
                out.extend_from_slice(copied(before, *input));
                self.message(*node, input, out, depth + 1, Some(tag.number))?;
                put_tag(out, tag.number, 4);
                return Ok(true);
            }
            (Value::Any, WireType::Length) => {
                let tag_bytes = copied(before, *input);
                let inner = input.delimited()?;
                out.extend_from_slice(tag_bytes);
                let passed = self.any(inner, out, depth + 1)?;
                if !passed {
                    out.truncate(start);
                }
                return Ok(passed);
            }
            // Another wire type than its own: every parser takes it for an unknown field.
            _ => {
                input.skip(tag, depth)?;
                return Ok(false);
            }
        }
        out.extend_from_slice(copied(before, *input));
        Ok(true)
    }

    /// Writes an Any with what may pass of its content; `false` if its type is not known or it is none.
    fn any(&self, any: &[u8], out: &mut Vec<u8>, depth: usize) -> Result<bool, Refused> {
        if depth > DEEPEST {
            return Err(Refused::Unreadable);
        }
        let (mut url, mut value) = ("", &[][..]);
        let mut input = Input(any);
        while !input.is_empty() {
            let tag = input.tag()?;
            match (tag.number, tag.wire) {
                (1, WireType::Length) => {
                    url = std::str::from_utf8(input.delimited()?).map_err(|_| Refused::Unreadable)?;
                }
                (2, WireType::Length) => value = input.delimited()?,
                _ => input.skip(tag, depth)?,
            }
        }
        let name = url.rsplit('/').next().unwrap_or_default();
        let Some(node) = self.whole.get(name).filter(|_| url.contains('/')) else {
            return Ok(false);
        };
        let nested_any = name == "google.protobuf.Any";
        delimited(out, any.len() + 10, |out| {
            put_tag(out, 1, 2);
            let at = out.len();
            out.resize(at + varint_len(url.len() as u64), 0);
            if let Some(place) = out.get_mut(at..) {
                put_varint(place, url.len() as u64);
            }
            out.extend_from_slice(url.as_bytes());
            if value.is_empty() {
                return Ok(());
            }
            put_tag(out, 2, 2);
            delimited(out, value.len() + 10, |out| {
                if nested_any {
                    // An Any in an Any: its content is held to the same rule, or nothing of it passes.
                    let start = out.len();
                    let mut inner = Vec::with_capacity(value.len());
                    if self.any(value, &mut inner, depth + 1)? {
                        // `any` writes its length first.
                        let mut content = Input(&inner);
                        let content = content.delimited()?;
                        out.truncate(start);
                        out.extend_from_slice(content);
                    }
                    return Ok(());
                }
                self.message(*node, &mut Input(value), out, depth + 1, None)
            })
        })?;
        Ok(true)
    }

    /// The paths of the mask.
    pub(crate) fn paths(&self) -> &[String] {
        &self.paths
    }

    /// How often each granted path occurred since this was asked last.
    pub(crate) fn uses(&self) -> Vec<(String, u64)> {
        self.paths
            .iter()
            .zip(&self.uses)
            .map(|(path, uses)| (path.clone(), uses.swap(0, Ordering::Relaxed)))
            .filter(|(_, uses)| *uses > 0)
            .collect()
    }
}

/// Writes what `write` makes of at most `most` bytes, with its length before it.
fn delimited(
    out: &mut Vec<u8>,
    most: usize,
    write: impl FnOnce(&mut Vec<u8>) -> Result<(), Refused>,
) -> Result<(), Refused> {
    let start = out.len();
    let room = varint_len(most as u64);
    out.resize(start + room, 0);
    write(out)?;
    let length = out.len() - start - room;
    let needed = varint_len(length as u64);
    if needed < room {
        out.copy_within(start + room.., start + needed);
        out.truncate(start + needed + length);
    }
    if let Some(place) = out.get_mut(start..) {
        put_varint(place, length as u64);
    }
    Ok(())
}

fn entry(field: &FieldDescriptor, value: Value, granted: Option<usize>) -> Field {
    Field {
        value,
        repeated: field.is_list(),
        granted,
    }
}

/// The path that ends at this very field.
fn first_grant(granted: &Granted) -> Option<usize> {
    granted.whole
}

/// What lies between two places of one input.
fn copied<'a>(before: Input<'a>, after: Input<'a>) -> &'a [u8] {
    before.0.get(..before.0.len() - after.0.len()).unwrap_or_default()
}

fn whole_of(bytes: &[u8], width: usize) -> Result<(), Refused> {
    if bytes.len().is_multiple_of(width) {
        Ok(())
    } else {
        Err(Refused::Unreadable)
    }
}

fn put_tag(out: &mut Vec<u8>, number: u32, wire: u32) {
    let key = u64::from(number << 3 | wire);
    let at = out.len();
    out.resize(at + varint_len(key), 0);
    if let Some(place) = out.get_mut(at..) {
        put_varint(place, key);
    }
}

/// Whether a path fits a message.
fn check(message: &MessageDescriptor, path: &str) -> Result<(), String> {
    let mut at = Some(message.clone());
    for name in path.split('.') {
        let Some(here) = at else {
            return Err(format!(
                "{path}: {name} lies in what has no fields that a mask can name"
            ));
        };
        let Some(field) = here.get_field_by_name(name) else {
            return Err(format!("{path}: {} has no field {name:?}", here.full_name()));
        };
        at = match field.kind() {
            Kind::Message(inner) if field.is_map() => match inner.map_entry_value_field().kind() {
                Kind::Message(value) if value.full_name() != "google.protobuf.Any" => Some(value),
                _ => None,
            },
            Kind::Message(inner) if inner.full_name() != "google.protobuf.Any" => Some(inner),
            _ => None,
        };
    }
    Ok(())
}
