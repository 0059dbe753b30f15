//! Walks an encoded message along its descriptor and copies what may pass.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use crate::Refused;
use crate::path::{segments, type_in};
use crate::wire::{DEEPEST, Input, Tag, WireType, put_varint, varint_len};

pub(crate) const ANY: &str = "google.protobuf.Any";

/// Field numbers below this are found by index.
const INDEXED: u32 = 512;

/// A message type with what of it may pass.
#[derive(Debug, Default)]
struct Node {
    /// By number.
    fields: Vec<(u32, Field)>,
    /// For low numbers the place in `fields`, plus one.
    places: Vec<u16>,
    /// Fields that may not pass but share a oneof with one that may, with the number of the oneof.
    rivals: Vec<(u32, u64)>,
    /// Whether one occurrence that passes and another that does not can take each other's place.
    watches: bool,
}

impl Node {
    fn new(mut fields: Vec<(u32, Field)>, rivals: Vec<(u32, u64)>) -> Self {
        fields.sort_by_key(|(number, _)| *number);
        let low = fields.iter().filter(|(number, _)| *number < INDEXED).count();
        let highest = fields
            .get(..low)
            .and_then(|low| low.last())
            .map_or(0, |(number, _)| *number);
        let mut places = vec![0; highest as usize + 1];
        for (place, (number, _)) in fields.iter().take(low).enumerate() {
            if let Some(slot) = places.get_mut(*number as usize) {
                *slot = place as u16 + 1;
            }
        }
        let watches = !rivals.is_empty() || fields.iter().any(|(_, field)| field.may_be_dropped());
        Self {
            fields,
            places,
            rivals,
            watches,
        }
    }

    fn field(&self, number: u32) -> Option<&Field> {
        let place = match self.places.get(number as usize) {
            Some(place) => usize::from(*place).checked_sub(1)?,
            None => self.fields.binary_search_by_key(&number, |(number, _)| *number).ok()?,
        };
        self.fields.get(place).map(|(_, field)| field)
    }

    fn rival(&self, number: u32) -> Option<u64> {
        self.rivals
            .iter()
            .find(|(rival, _)| *rival == number)
            .map(|(_, place)| *place)
    }
}

/// A field that may pass.
#[derive(Debug)]
struct Field {
    value: Value,
    /// Whether it may stand packed.
    repeated: bool,
    /// Whether it is a message of which two occurrences are read as one: neither a list nor a map.
    merged: bool,
    /// The granted path that ends here.
    granted: Option<usize>,
    /// What it takes away with a value of its own: the members of its oneof, or an earlier occurrence. None where values are
    /// added to one another.
    place: Option<u64>,
}

impl Field {
    /// Whether, of two values in one place, one may pass and the other not.
    fn may_be_dropped(&self) -> bool {
        self.place.is_some() && matches!(self.value, Value::Any | Value::AnyPart(_))
    }
}

/// What becomes of a field that stands in a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    Passed {
        /// As in [`Walked`], of the message that it is.
        hides: bool,
    },
    /// An Any, or the entry that it is the value of, that may not pass.
    Dropped,
    /// It has another wire type than its own: every parser takes it for an unknown field.
    Unknown,
}

/// What became of the fields of a message.
#[derive(Clone, Copy, Debug)]
struct Walked {
    /// Whether all passed that were let through.
    all: bool,
    /// Whether something was left out that takes an earlier value away. Where a reader joins this occurrence of the message to an
    /// earlier one, that value would come to light.
    hides: bool,
}

/// How the keys of a map are compared.
#[derive(Clone, Copy, Debug)]
enum KeyKind {
    Flag,
    /// Whole numbers of 32 bits: parsers drop what is above.
    Narrow,
    Wide,
    Fixed,
    Text,
}

impl KeyKind {
    fn of(key: &FieldDescriptor) -> Self {
        match key.kind() {
            Kind::Bool => Self::Flag,
            Kind::Int32 | Kind::Uint32 | Kind::Sint32 => Self::Narrow,
            Kind::Fixed32 | Kind::Sfixed32 | Kind::Fixed64 | Kind::Sfixed64 => Self::Fixed,
            Kind::String => Self::Text,
            _ => Self::Wide,
        }
    }
}

/// The key of an entry of a map, so that two that are one to a reader are equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Key<'a> {
    Number(u64),
    Text(&'a [u8]),
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
    /// An entry of a map whose values are Any: it passes with its value, or not at all.
    AnyEntry(usize, KeyKind),
    /// `google.protobuf.Any`: what is inside passes if its type is known.
    Any,
    /// An Any of which only some types may pass, by the place in `anys`.
    AnyPart(usize),
}

/// What of the content of an Any may pass.
#[derive(Clone, Copy, Debug)]
enum Inside {
    Message(usize),
    /// Another Any, with whatever known type.
    Any,
    /// Another Any, of some types.
    AnyPart(usize),
}

/// A type that may pass in an Any.
#[derive(Debug)]
struct Content {
    inside: Inside,
    /// The granted path that ends here.
    granted: Option<usize>,
}

/// What may pass of a message, compiled.
#[derive(Debug)]
pub(crate) struct Walker {
    nodes: Vec<Node>,
    /// Of Anys with named types: what may pass, by the name of the type.
    anys: Vec<HashMap<String, Content>>,
    root: Root,
    /// Nodes that let a whole message of a type pass.
    whole: HashMap<String, usize>,
    paths: Vec<String>,
    uses: Vec<AtomicU64>,
}

/// What a whole message is.
#[derive(Clone, Copy, Debug)]
enum Root {
    Message(usize),
    /// A method may take or answer a bare Any.
    Any,
    AnyPart(usize),
}

/// A mask as a tree: the fields of a message by name, or the types that an Any may hold in brackets, and what of each.
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
            anys: Vec::new(),
            root: Root::Message(0),
            whole: HashMap::new(),
            paths: mask.to_vec(),
            uses: mask.iter().map(|_| AtomicU64::new(0)).collect(),
        };
        walker.root = walker.compile_root(message, mask, problems);
        // Types that may come in an Any: all of the pool, so that nothing is compiled while messages pass. Interfaces are
        // large and agreements many: not where no Any can come.
        if walker.holds_any() {
            for one in message.parent_pool().all_messages() {
                walker.whole(&one);
            }
        }
        walker
    }

    fn holds_any(&self) -> bool {
        let mut fields = self.nodes.iter().flat_map(|node| &node.fields);
        let mut contents = self.anys.iter().flat_map(HashMap::values);
        matches!(self.root, Root::Any)
            || fields.any(|(_, field)| matches!(field.value, Value::Any))
            || contents.any(|content| matches!(content.inside, Inside::Any))
    }

    fn compile_root(&mut self, message: &MessageDescriptor, mask: &[String], problems: &mut Vec<String>) -> Root {
        if mask.is_empty() {
            return match message.full_name() {
                ANY => Root::Any,
                _ => Root::Message(self.whole(message)),
            };
        }
        let mut granted = Granted::default();
        for (number, path) in mask.iter().enumerate() {
            if let Err(problem) = check(message, path) {
                problems.push(problem);
                continue;
            }
            let mut at = &mut granted;
            for name in segments(path).unwrap_or_default() {
                at = at.fields.entry(name.to_owned()).or_default();
            }
            at.whole = Some(number);
        }
        match message.full_name() {
            ANY => Root::AnyPart(self.any_part(message.parent_pool(), &granted)),
            _ => Root::Message(self.part(message, &granted)),
        }
    }

    /// What may pass of an Any of which some types are granted, or a part of them.
    fn any_part(&mut self, pool: &DescriptorPool, granted: &Granted) -> usize {
        let mut contents = HashMap::new();
        for (segment, inner) in &granted.fields {
            // Paths are checked before.
            let Some(message) = type_in(segment).and_then(|name| pool.get_message_by_name(name)) else {
                continue;
            };
            let is_any = message.full_name() == ANY;
            let inside = match (inner.whole, is_any) {
                (Some(_), true) => Inside::Any,
                (None, true) => Inside::AnyPart(self.any_part(pool, inner)),
                (Some(_), false) => Inside::Message(self.whole(&message)),
                (None, false) => Inside::Message(self.part(&message, inner)),
            };
            let granted = inner.whole;
            contents.insert(message.full_name().to_owned(), Content { inside, granted });
        }
        self.anys.push(contents);
        self.anys.len() - 1
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
            *node = Node::new(fields, Vec::new());
        }
        place
    }

    /// The node of a message of which a part is granted.
    fn part(&mut self, message: &MessageDescriptor, granted: &Granted) -> usize {
        let mut fields = Vec::new();
        let mut rivals = Vec::new();
        for field in message.fields() {
            match (granted.fields.get(field.name()), oneof(&field)) {
                (Some(inner), _) => {
                    let value = self.value(&field, inner.whole.is_none().then_some(inner));
                    fields.push((field.number(), entry(&field, value, inner.whole)));
                }
                (None, Some(oneof)) => rivals.push((field.number(), oneof)),
                (None, None) => {}
            }
        }
        rivals.retain(|(_, oneof)| fields.iter().any(|(_, field)| field.place == Some(*oneof)));
        self.nodes.push(Node::new(fields, rivals));
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
            Kind::Message(message) if message.full_name() == ANY => match part {
                None => Value::Any,
                Some(part) => Value::AnyPart(self.any_part(message.parent_pool(), part)),
            },
            Kind::Message(message) => {
                let node = match part {
                    None => self.whole(&message),
                    // A map is a list of entries: the key passes with what is granted of the value.
                    Some(part) if field.is_map() => self.map_entry(&message, part),
                    Some(part) => self.part(&message, part),
                };
                if field.is_group() {
                    Value::Group(node)
                } else if field.is_map() && is_any(&message.map_entry_value_field()) {
                    Value::AnyEntry(node, KeyKind::of(&message.map_entry_key_field()))
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
        let fields = vec![
            (key.number(), entry(&key, key_value, None)),
            (value.number(), entry(&value, value_value, None)),
        ];
        self.nodes.push(Node::new(fields, Vec::new()));
        self.nodes.len() - 1
    }

    /// Copies what may pass.
    pub(crate) fn pass(&self, message: &[u8]) -> Result<Vec<u8>, Refused> {
        let mut out = Vec::with_capacity(message.len());
        match self.root {
            Root::Message(root) => {
                self.message(root, &mut Input(message), &mut out, 0, None)?;
            }
            Root::Any | Root::AnyPart(_) => {
                let part = match self.root {
                    Root::AnyPart(part) => Some(part),
                    _ => None,
                };
                if !self.any(message, part, &mut out, 0)? {
                    out.clear();
                }
            }
        }
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
    ) -> Result<Walked, Refused> {
        if depth > DEEPEST {
            return Err(Refused::Unreadable);
        }
        let Some(node) = self.nodes.get(node) else {
            return Err(Refused::Unreadable);
        };
        let start = *input;
        let mut walked = Walked {
            all: true,
            hides: false,
        };
        // The places that were taken, and whether by a value that passes.
        let mut taken: Vec<(u64, bool)> = Vec::new();
        // The same of the entries of maps of Any.
        let mut keys: BTreeMap<(u32, Key<'_>), bool> = BTreeMap::new();
        // Fields that may stand once only.
        let mut alone: Vec<u32> = Vec::new();
        while !input.is_empty() {
            let before = *input;
            let tag = input.tag()?;
            if tag.wire == WireType::GroupEnd {
                if group != Some(tag.number) {
                    return Err(Refused::Unreadable);
                }
                once(copied(start, before), &alone, depth)?;
                return Ok(walked);
            }
            let (place, passes) = match node.field(tag.number) {
                None => {
                    input.skip(tag, depth)?;
                    (node.rival(tag.number), false)
                }
                Some(field) => {
                    let fate = self.field(field, tag, before, input, out, depth)?;
                    let passes = matches!(fate, Fate::Passed { .. });
                    if !passes {
                        walked.all = false;
                    } else if let Some(uses) = field.granted.and_then(|path| self.uses.get(path)) {
                        uses.fetch_add(1, Ordering::Relaxed);
                    }
                    if field.merged && fate == (Fate::Passed { hides: true }) {
                        walked.hides = true;
                        // The second one is refused here: there are never more of them than fields of the contract.
                        if alone.contains(&tag.number) {
                            return Err(Refused::Unreadable);
                        }
                        alone.push(tag.number);
                    }
                    if let Value::AnyEntry(_, kind) = field.value
                        && fate != Fate::Unknown
                    {
                        // Of two entries with one key the later counts.
                        let (key, _) = entry_of(before, kind, depth)?;
                        if *keys.entry((tag.number, key)).or_insert(passes) != passes {
                            return Err(Refused::Unreadable);
                        }
                        walked.hides |= !passes;
                    }
                    (field.place.filter(|_| fate != Fate::Unknown), passes)
                }
            };
            if let Some(place) = place.filter(|_| node.watches) {
                // The later value takes the earlier away. Without it, the consumer would read the earlier one, which the
                // message does not say.
                if taken.contains(&(place, !passes)) {
                    return Err(Refused::Unreadable);
                }
                walked.hides |= !passes;
                if !taken.contains(&(place, passes)) {
                    taken.push((place, passes));
                }
            }
        }
        if group.is_some() {
            return Err(Refused::Unreadable);
        }
        once(start.0, &alone, depth)?;
        Ok(walked)
    }

    /// Walks a field that may pass; `before` begins with its tag.
    fn field(
        &self,
        field: &Field,
        tag: Tag,
        before: Input<'_>,
        input: &mut Input<'_>,
        out: &mut Vec<u8>,
        depth: usize,
    ) -> Result<Fate, Refused> {
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
                let walked = delimited(out, inner.len(), |out| {
                    self.message(*node, &mut Input(inner), out, depth + 1, None)
                })?;
                return Ok(Fate::Passed { hides: walked.hides });
            }
            (Value::Group(node), WireType::GroupStart) => {
                out.extend_from_slice(copied(before, *input));
                let walked = self.message(*node, input, out, depth + 1, Some(tag.number))?;
                put_tag(out, tag.number, 4);
                return Ok(Fate::Passed { hides: walked.hides });
            }
            (Value::AnyEntry(..) | Value::Any | Value::AnyPart(_), WireType::Length) => {
                let tag_bytes = copied(before, *input);
                let inner = input.delimited()?;
                out.extend_from_slice(tag_bytes);
                let passed = delimited(out, inner.len(), |out| match &field.value {
                    Value::AnyEntry(node, kind) => {
                        let walked = self.message(*node, &mut Input(inner), out, depth + 1, None)?;
                        // Without a value it is an Any that holds nothing.
                        let (_, has_value) = entry_of(before, *kind, depth)?;
                        Ok(walked.all && has_value)
                    }
                    Value::AnyPart(part) => self.any(inner, Some(*part), out, depth + 1),
                    _ => self.any(inner, None, out, depth + 1),
                })?;
                if !passed {
                    out.truncate(start);
                    return Ok(Fate::Dropped);
                }
                return Ok(Fate::Passed { hides: false });
            }
            _ => {
                input.skip(tag, depth)?;
                return Ok(Fate::Unknown);
            }
        }
        out.extend_from_slice(copied(before, *input));
        Ok(Fate::Passed { hides: false })
    }

    /// Writes the fields of an Any with what may pass of its content: whole where its type is known, or by what `part` grants
    /// of its type. `false` if it may not pass, or the Any in it, or it is none. What was written then is to be taken back.
    fn any(&self, any: &[u8], part: Option<usize>, out: &mut Vec<u8>, depth: usize) -> Result<bool, Refused> {
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
        let Some((inside, granted)) = url.rsplit_once('/').and_then(|(_, name)| self.inside(name, part)) else {
            return Ok(false);
        };
        put_tag(out, 1, 2);
        delimited(out, url.len(), |out| {
            out.extend_from_slice(url.as_bytes());
            Ok(())
        })?;
        // The value also where it is empty: a reader that merges two Anys must not read the value of one by the type of the
        // other.
        put_tag(out, 2, 2);
        let passed = delimited(out, value.len(), |out| match inside {
            Inside::Any => self.any(value, None, out, depth + 1),
            Inside::AnyPart(part) => self.any(value, Some(part), out, depth + 1),
            Inside::Message(node) => self
                .message(node, &mut Input(value), out, depth + 1, None)
                .map(|_| true),
        })?;
        if let Some(uses) = granted.filter(|_| passed).and_then(|path| self.uses.get(path)) {
            uses.fetch_add(1, Ordering::Relaxed);
        }
        Ok(passed)
    }

    /// What of a type may pass in an Any, and the path that grants it.
    fn inside(&self, name: &str, part: Option<usize>) -> Option<(Inside, Option<usize>)> {
        match part {
            Some(part) => {
                let content = self.anys.get(part)?.get(name)?;
                Some((content.inside, content.granted))
            }
            None if name == ANY => Some((Inside::Any, None)),
            None => self.whole.get(name).map(|node| (Inside::Message(*node), None)),
        }
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

/// Writes what `write` makes, with its length before it; `about` is how long it will be, at a guess.
fn delimited<T>(
    out: &mut Vec<u8>,
    about: usize,
    write: impl FnOnce(&mut Vec<u8>) -> Result<T, Refused>,
) -> Result<T, Refused> {
    let start = out.len();
    let room = varint_len(about as u64);
    out.resize(start + room, 0);
    let written = write(out)?;
    let length = out.len() - start - room;
    let needed = varint_len(length as u64);
    if needed != room {
        out.resize(out.len().max(start + needed + length), 0);
        out.copy_within(start + room..start + room + length, start + needed);
        out.truncate(start + needed + length);
    }
    if let Some(place) = out.get_mut(start..) {
        put_varint(place, length as u64);
    }
    Ok(written)
}

/// The number of a field's oneof in its message.
fn oneof(field: &FieldDescriptor) -> Option<u64> {
    let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic())?;
    let place = oneof.parent_message().oneofs().position(|other| other == oneof);
    place.map(|place| place as u64)
}

/// What a field takes away with a value of its own. Of single fields outside of oneofs it matters for an Any only: where all
/// values of a field pass, readers see the last one by themselves.
fn place(field: &FieldDescriptor) -> Option<u64> {
    let alone = || 1 << 32 | u64::from(field.number());
    oneof(field).or_else(|| (is_any(field) && !field.is_list()).then(alone))
}

fn is_any(field: &FieldDescriptor) -> bool {
    matches!(field.kind(), Kind::Message(message) if message.full_name() == ANY)
}

fn entry(field: &FieldDescriptor, value: Value, granted: Option<usize>) -> Field {
    let is_message = matches!(value, Value::Message(_) | Value::Group(_));
    Field {
        value,
        repeated: field.is_list(),
        merged: is_message && !field.is_list() && !field.is_map(),
        granted,
        place: place(field),
    }
}

/// The key of an entry of a map that begins with its tag, and whether it has a value.
fn entry_of(mut field: Input<'_>, kind: KeyKind, depth: usize) -> Result<(Key<'_>, bool), Refused> {
    field.tag()?;
    let mut entry = Input(field.delimited()?);
    let mut key = match kind {
        KeyKind::Text => Key::Text(&[]),
        _ => Key::Number(0),
    };
    let mut has_value = false;
    while !entry.is_empty() {
        let tag = entry.tag()?;
        match (tag.number, tag.wire, kind) {
            (1, WireType::Varint, KeyKind::Flag) => key = Key::Number(u64::from(entry.varint()? != 0)),
            (1, WireType::Varint, KeyKind::Narrow) => key = Key::Number(entry.varint()? & u64::from(u32::MAX)),
            (1, WireType::Varint, KeyKind::Wide) => key = Key::Number(entry.varint()?),
            (1, WireType::Fixed32, KeyKind::Fixed) => key = Key::Number(little_endian(entry.take(4)?)),
            (1, WireType::Fixed64, KeyKind::Fixed) => key = Key::Number(little_endian(entry.take(8)?)),
            (1, WireType::Length, KeyKind::Text) => key = Key::Text(entry.delimited()?),
            (number, wire, _) => {
                has_value |= number == 2 && wire == WireType::Length;
                entry.skip(tag, depth)?;
            }
        }
    }
    Ok((key, has_value))
}

/// A number of fixed width.
fn little_endian(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .rev()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Refuses a message in which one of these fields stands more than once: a reader joins the occurrences, and would read of an earlier
/// one what a later took away without passing itself.
fn once(message: &[u8], fields: &[u32], depth: usize) -> Result<(), Refused> {
    if fields.is_empty() {
        return Ok(());
    }
    let mut seen = Vec::with_capacity(fields.len());
    let mut input = Input(message);
    while !input.is_empty() {
        let tag = input.tag()?;
        input.skip(tag, depth)?;
        if fields.contains(&tag.number) {
            if seen.contains(&tag.number) {
                return Err(Refused::Unreadable);
            }
            seen.push(tag.number);
        }
    }
    Ok(())
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

/// Where a path has come to.
enum At {
    Message(MessageDescriptor),
    Any,
    /// In what has no fields that a mask can name.
    Nowhere,
}

impl At {
    fn of(message: MessageDescriptor) -> Self {
        if message.full_name() == ANY {
            Self::Any
        } else {
            Self::Message(message)
        }
    }

    /// What a field holds, or each of its elements, or each value of its map.
    fn below(field: &FieldDescriptor) -> Self {
        match field.kind() {
            Kind::Message(entry) if field.is_map() => match entry.map_entry_value_field().kind() {
                Kind::Message(value) => Self::of(value),
                _ => Self::Nowhere,
            },
            Kind::Message(inner) => Self::of(inner),
            _ => Self::Nowhere,
        }
    }
}

/// Whether a path fits a message.
fn check(message: &MessageDescriptor, path: &str) -> Result<(), String> {
    let pool = message.parent_pool();
    let mut at = At::of(message.clone());
    for name in segments(path).ok_or_else(|| format!("{path}: is no path of fields"))? {
        at = match (at, type_in(name)) {
            (At::Message(here), None) => match here.get_field_by_name(name) {
                Some(field) => At::below(&field),
                None => {
                    return Err(format!(
                        "{path}: {} has no field {name:?} that a mask can name",
                        here.full_name()
                    ));
                }
            },
            (At::Any, Some(of)) => match pool.get_message_by_name(of).filter(|of| !of.is_map_entry()) {
                Some(content) => At::of(content),
                None => return Err(format!("{path}: the interface has no type {of}")),
            },
            (At::Any, None) => {
                return Err(format!(
                    "{path}: what an Any holds is named by its type in brackets, as in detail.[package.Type].field"
                ));
            }
            (At::Message(_), Some(_)) => return Err(format!("{path}: before {name} there is no Any")),
            (At::Nowhere, _) => {
                return Err(format!(
                    "{path}: {name} lies in what has no fields that a mask can name"
                ));
            }
        };
    }
    Ok(())
}
