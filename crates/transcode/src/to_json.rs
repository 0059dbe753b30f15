//! The binary form to JSON, in one pass over the bytes and without a message in between.
//!
//! The canonical mapping: names in lower camel case, enums by name, 64-bit integers and bytes as text; a field that is not
//! set, or has no presence and is zero, is left out.

use std::collections::{BTreeMap, HashMap};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::plan::{FieldPlan, MessageId, MessagePlan, Messages, Scalar, Shape, Special, Type};
use crate::wire::{Cursor, Malformed, Raw, WireType};

/// How deep messages may nest, as prost reads them.
const DEPTH: usize = 100;

/// Why a message is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unwritten {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Names are written once for each value that has them: a few bytes may stand for a long text, again and again.
    #[error("its JSON would be longer than {0} bytes")]
    TooLong(usize),
}

/// Writes messages of a pool as JSON.
pub(crate) struct Writer<'p, 'b> {
    messages: &'p Messages,
    pub(crate) out: Vec<u8>,
    /// The fields of the messages that are being written, the innermost last: one allocation for all.
    stack: Vec<(usize, Raw<'b>)>,
    depth: usize,
    /// The most bytes that are written and copied.
    limit: usize,
    /// How many bytes were copied, of messages that come in parts.
    copied: usize,
}

impl<'p, 'b> Writer<'p, 'b> {
    /// `limit` is the most bytes of JSON, to the byte for what is written whole.
    pub(crate) fn new(messages: &'p Messages, out: Vec<u8>, limit: usize) -> Self {
        Self {
            messages,
            out,
            stack: Vec::with_capacity(32),
            depth: 0,
            limit,
            copied: 0,
        }
    }

    /// Whether there is room for so many bytes more.
    fn room(&self, bytes: usize) -> Result<(), Unwritten> {
        let used = self.out.len().saturating_add(self.copied);
        if used.saturating_add(bytes) > self.limit {
            return Err(Unwritten::TooLong(self.limit));
        }
        Ok(())
    }

    /// Writes a message of any type.
    pub(crate) fn message(&mut self, id: MessageId, bytes: &'b [u8]) -> Result<(), Unwritten> {
        if self.depth >= DEPTH {
            return Err(Malformed.into());
        }
        self.room(1)?;
        self.depth += 1;
        let plan = self.messages.plan(id);
        match plan.special {
            None => {
                self.out.push(b'{');
                self.fields(plan, bytes, true)?;
                self.out.push(b'}');
            }
            Some(special) => self.special(special, bytes)?,
        }
        self.depth -= 1;
        self.room(0)
    }

    /// Writes the value of one field of a message, and its default if it is not set.
    pub(crate) fn only(&mut self, id: MessageId, field: &FieldPlan, bytes: &'b [u8]) -> Result<(), Unwritten> {
        let plan = self.messages.plan(id);
        self.collect(plan, bytes, 0)?;
        let index = plan.by_number(field.number);
        let begin = self.stack.iter().position(|(at, _)| Some(*at) == index);
        let Some(begin) = begin else {
            self.default(field)?;
            return self.room(0);
        };
        let end = self
            .stack
            .iter()
            .rposition(|(at, _)| Some(*at) == index)
            .map_or(begin, |last| last + 1);
        self.value_of(field, begin, end)?;
        self.room(0)
    }

    fn default(&mut self, field: &FieldPlan) -> Result<(), Unwritten> {
        match (field.shape, field.of) {
            (Shape::List { .. }, _) => self.out.extend_from_slice(b"[]"),
            (Shape::Map { .. }, _) => self.out.extend_from_slice(b"{}"),
            (Shape::One, Type::Message(id)) => match self.messages.plan(id).special {
                // A timestamp that is not set is none, not the year 1970.
                Some(_) => self.out.extend_from_slice(b"null"),
                None => self.out.extend_from_slice(b"{}"),
            },
            (Shape::One, Type::Scalar(scalar)) => self.zero(scalar)?,
        }
        Ok(())
    }

    /// Puts the known fields of a message on the stack from `base` on, sorted by number.
    fn collect(&mut self, plan: &MessagePlan, bytes: &'b [u8], base: usize) -> Result<(), Unwritten> {
        let mut cursor = Cursor(bytes);
        let mut sorted = true;
        let mut before = 0;
        // Of each oneof that is set: the field that came last, and since where on the stack it is the one that counts.
        let mut chosen: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
        let mut replaced = false;
        while let Some((number, raw)) = cursor.field()? {
            let Some(index) = plan.by_number(number) else { continue };
            if plan.has_oneofs
                && let Some(oneof) = plan.fields.get(index).and_then(|field| field.oneof)
            {
                let since = self.stack.len();
                let (of, from) = chosen.entry(oneof).or_insert((index, since));
                if *of != index {
                    (*of, *from) = (index, since);
                    replaced = true;
                }
            }
            sorted &= index >= before;
            before = index;
            self.stack.push((index, raw));
        }
        if replaced {
            // In one pass: a message may hold as many of them as fit into it.
            let mut kept = base;
            for at in base..self.stack.len() {
                let Some(entry) = self.stack.get(at).copied() else {
                    break;
                };
                let oneof = plan.fields.get(entry.0).and_then(|field| field.oneof);
                let counts = oneof
                    .and_then(|oneof| chosen.get(&oneof))
                    .is_none_or(|(of, from)| *of == entry.0 && *from <= at);
                if counts && let Some(place) = self.stack.get_mut(kept) {
                    *place = entry;
                    kept += 1;
                }
            }
            self.stack.truncate(kept);
        }
        if !sorted && let Some(fields) = self.stack.get_mut(base..) {
            fields.sort_by_key(|(index, _)| *index);
        }
        Ok(())
    }

    /// Writes the fields that are set, without the braces. `first` if nothing stands before them.
    fn fields(&mut self, plan: &'p MessagePlan, bytes: &'b [u8], mut first: bool) -> Result<(), Unwritten> {
        let base = self.stack.len();
        self.collect(plan, bytes, base)?;
        let end = self.stack.len();
        let mut at = base;
        while at < end {
            let index = self.stack.get(at).map(|(index, _)| *index).unwrap_or_default();
            let next = (at..end)
                .find(|other| self.stack.get(*other).is_none_or(|(other, _)| *other != index))
                .unwrap_or(end);
            if let Some(field) = plan.fields.get(index) {
                self.room(field.quoted.len() + 1)?;
                let mark = self.out.len();
                if !first {
                    self.out.push(b',');
                }
                self.out.extend_from_slice(&field.quoted);
                if self.value_of(field, at, next)? {
                    first = false;
                } else {
                    self.out.truncate(mark);
                }
            }
            at = next;
        }
        self.stack.truncate(base);
        Ok(())
    }

    /// Writes the value of a field from its entries on the stack. `false` if it is as good as not set.
    fn value_of(&mut self, field: &FieldPlan, begin: usize, end: usize) -> Result<bool, Unwritten> {
        match field.shape {
            Shape::One => self.one(field, begin, end),
            Shape::List { .. } => self.list(field, begin, end),
            Shape::Map { keys } => self.map(field, keys, begin, end).map(|()| true),
        }
    }

    fn entry(&self, at: usize) -> Result<Raw<'b>, Unwritten> {
        self.stack
            .get(at)
            .map(|(_, raw)| *raw)
            .ok_or(Unwritten::Malformed(Malformed))
    }

    fn one(&mut self, field: &FieldPlan, begin: usize, end: usize) -> Result<bool, Unwritten> {
        let last = self.entry(end.saturating_sub(1))?;
        match field.of {
            Type::Scalar(scalar) => {
                if !field.presence && is_zero(last) {
                    return Ok(false);
                }
                self.scalar(scalar, last)?;
            }
            Type::Message(id) if end - begin == 1 => self.message(id, bytes(last)?)?,
            // A message that comes in parts is all of them, one after the other.
            Type::Message(id) => {
                let mut whole = Vec::new();
                for at in begin..end {
                    let part = bytes(self.entry(at)?)?;
                    // The parts of a message may come in parts themselves, a hundred times one within the other.
                    self.copied = self.copied.saturating_add(part.len());
                    self.room(0)?;
                    whole.extend_from_slice(part);
                }
                let mut writer = Writer::new(self.messages, std::mem::take(&mut self.out), self.limit);
                (writer.depth, writer.copied) = (self.depth, self.copied);
                writer.message(id, &whole)?;
                (self.out, self.copied) = (writer.out, writer.copied);
            }
        }
        Ok(true)
    }

    fn list(&mut self, field: &FieldPlan, begin: usize, end: usize) -> Result<bool, Unwritten> {
        let mut first = true;
        for at in begin..end {
            match (field.of, self.entry(at)?) {
                (Type::Message(id), raw) => {
                    self.out.push(if first { b'[' } else { b',' });
                    first = false;
                    self.message(id, bytes(raw)?)?;
                }
                (Type::Scalar(scalar), Raw::Bytes(packed)) if scalar.wire() != WireType::Bytes => {
                    let mut cursor = Cursor(packed);
                    while !cursor.0.is_empty() {
                        let raw = match scalar.wire() {
                            WireType::Fixed64 => Raw::Fixed64(cursor.fixed64()?),
                            WireType::Fixed32 => Raw::Fixed32(cursor.fixed32()?),
                            WireType::Varint | WireType::Bytes => Raw::Varint(cursor.varint()?),
                        };
                        self.out.push(if first { b'[' } else { b',' });
                        first = false;
                        self.scalar(scalar, raw)?;
                    }
                }
                (Type::Scalar(scalar), raw) => {
                    self.out.push(if first { b'[' } else { b',' });
                    first = false;
                    self.scalar(scalar, raw)?;
                }
            }
        }
        if !first {
            self.out.push(b']');
        }
        Ok(!first)
    }

    fn map(&mut self, field: &FieldPlan, keys: Scalar, begin: usize, end: usize) -> Result<(), Unwritten> {
        // Of two entries with one key the last counts.
        let mut last: HashMap<Vec<u8>, usize> = HashMap::new();
        let mut entries = Vec::with_capacity(end - begin);
        for at in begin..end {
            let mut cursor = Cursor(bytes(self.entry(at)?)?);
            let (mut name, mut value) = (None, None);
            while let Some((number, raw)) = cursor.field()? {
                match number {
                    1 => name = Some(raw),
                    2 => value = Some(raw),
                    _ => {}
                }
            }
            let mut text = Vec::new();
            std::mem::swap(&mut text, &mut self.out);
            let written = self.map_key(keys, name);
            std::mem::swap(&mut text, &mut self.out);
            written?;
            last.insert(text.clone(), at);
            entries.push((at, text, value));
        }
        self.out.push(b'{');
        let mut first = true;
        for (at, text, value) in entries {
            if last.get(&text) != Some(&at) {
                continue;
            }
            if !first {
                self.out.push(b',');
            }
            first = false;
            self.room(text.len() + 1)?;
            self.out.extend_from_slice(&text);
            self.out.push(b':');
            match (field.of, value) {
                (Type::Scalar(scalar), Some(raw)) => self.scalar(scalar, raw)?,
                (Type::Message(id), Some(raw)) => self.message(id, bytes(raw)?)?,
                (Type::Message(id), None) => self.message(id, &[])?,
                (Type::Scalar(scalar), None) => self.zero(scalar)?,
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    fn zero(&mut self, scalar: Scalar) -> Result<(), Unwritten> {
        let raw = match scalar.wire() {
            WireType::Varint => Raw::Varint(0),
            WireType::Fixed64 => Raw::Fixed64(0),
            WireType::Fixed32 => Raw::Fixed32(0),
            WireType::Bytes => Raw::Bytes(&[]),
        };
        self.scalar(scalar, raw)
    }

    /// A key of a map is a text in JSON, whatever its type.
    fn map_key(&mut self, keys: Scalar, raw: Option<Raw<'b>>) -> Result<(), Unwritten> {
        let before = self.out.len();
        match raw {
            Some(raw) => self.scalar(keys, raw)?,
            None => self.zero(keys)?,
        }
        if self.out.get(before) != Some(&b'"') {
            self.out.insert(before, b'"');
            self.out.push(b'"');
        }
        Ok(())
    }

    fn scalar(&mut self, scalar: Scalar, raw: Raw<'b>) -> Result<(), Unwritten> {
        self.room(if let Raw::Bytes(value) = raw { value.len() } else { 1 })?;
        let out = &mut self.out;
        match (scalar, raw) {
            (Scalar::Bool, Raw::Varint(value)) => out.extend_from_slice(if value == 0 { b"false" } else { b"true" }),
            (Scalar::Int32, Raw::Varint(value)) => number(out, &(value as i32)),
            (Scalar::Uint32, Raw::Varint(value)) => number(out, &(value as u32)),
            (Scalar::Sint32, Raw::Varint(value)) => {
                let value = value as u32;
                number(out, &((value >> 1) as i32 ^ -((value & 1) as i32)));
            }
            (Scalar::Fixed32, Raw::Fixed32(value)) => number(out, &value),
            (Scalar::Sfixed32, Raw::Fixed32(value)) => number(out, &(value as i32)),
            (Scalar::Int64, Raw::Varint(value)) => quoted(out, &(value as i64)),
            (Scalar::Uint64, Raw::Varint(value)) => quoted(out, &value),
            (Scalar::Sint64, Raw::Varint(value)) => quoted(out, &((value >> 1) as i64 ^ -((value & 1) as i64))),
            (Scalar::Fixed64, Raw::Fixed64(value)) => quoted(out, &value),
            (Scalar::Sfixed64, Raw::Fixed64(value)) => quoted(out, &(value as i64)),
            (Scalar::Double, Raw::Fixed64(value)) => {
                float(out, f64::from_bits(value), |out, value| number(out, &value));
            }
            (Scalar::Float, Raw::Fixed32(value)) => {
                let value = f32::from_bits(value);
                float(out, f64::from(value), |out, _| number(out, &value));
            }
            (Scalar::String, Raw::Bytes(value)) => text(out, std::str::from_utf8(value).map_err(|_| Malformed)?),
            (Scalar::Bytes, Raw::Bytes(value)) => {
                out.push(b'"');
                let begin = out.len();
                out.resize(begin + value.len().div_ceil(3) * 4, 0);
                let room = out.get_mut(begin..).unwrap_or_default();
                STANDARD.encode_slice(value, room).map_err(|_| Malformed)?;
                out.push(b'"');
            }
            (Scalar::Enum(id), Raw::Varint(value)) => {
                let value = value as i32;
                let plan = self.messages.enumeration(id).ok_or(Malformed)?;
                match plan.name(value) {
                    _ if plan.is_null => out.extend_from_slice(b"null"),
                    Some(name) => {
                        self.room(name.len())?;
                        text(&mut self.out, name);
                    }
                    None => number(out, &value),
                }
            }
            _ => return Err(Malformed.into()),
        }
        self.room(0)
    }

    fn special(&mut self, special: Special, bytes: &'b [u8]) -> Result<(), Unwritten> {
        match special {
            Special::Timestamp => {
                let (seconds, nanos) = seconds(bytes)?;
                let instant = prost_types::Timestamp { seconds, nanos };
                let text = instant.to_string();
                self.out.push(b'"');
                self.out.extend_from_slice(text.as_bytes());
                self.out.push(b'"');
            }
            Special::Duration => {
                let (seconds, nanos) = seconds(bytes)?;
                let text = prost_types::Duration { seconds, nanos }.to_string();
                self.out.push(b'"');
                self.out.extend_from_slice(text.as_bytes());
                self.out.push(b'"');
            }
            Special::FieldMask => {
                let mut mask = String::new();
                let mut cursor = Cursor(bytes);
                while let Some((number, raw)) = cursor.field()? {
                    if number == 1 {
                        if !mask.is_empty() {
                            mask.push(',');
                        }
                        lower_camel(
                            &mut mask,
                            std::str::from_utf8(self::bytes(raw)?).map_err(|_| Malformed)?,
                        );
                    }
                }
                self.room(mask.len())?;
                text(&mut self.out, &mask);
            }
            Special::Wrapper(scalar) => {
                let mut value = None;
                let mut cursor = Cursor(bytes);
                while let Some((number, raw)) = cursor.field()? {
                    if number == 1 {
                        value = Some(raw);
                    }
                }
                match value {
                    Some(raw) => self.scalar(scalar, raw)?,
                    None => self.zero(scalar)?,
                }
            }
            Special::Struct => {
                let id = self.messages.id("google.protobuf.Struct").ok_or(Malformed)?;
                let plan = self.messages.plan(id);
                let base = self.stack.len();
                self.collect(plan, bytes, base)?;
                let end = self.stack.len();
                match (plan.fields.first(), end > base) {
                    (Some(field), true) => {
                        if let Shape::Map { keys } = field.shape {
                            self.map(field, keys, base, end)?;
                        }
                    }
                    _ => self.out.extend_from_slice(b"{}"),
                }
                self.stack.truncate(base);
            }
            Special::ListValue => {
                let id = self.messages.id("google.protobuf.Value").ok_or(Malformed)?;
                self.out.push(b'[');
                let mut first = true;
                let mut cursor = Cursor(bytes);
                while let Some((number, raw)) = cursor.field()? {
                    if number == 1 {
                        if !first {
                            self.out.push(b',');
                        }
                        first = false;
                        self.message(id, self::bytes(raw)?)?;
                    }
                }
                self.out.push(b']');
            }
            Special::Value => self.dynamic(bytes)?,
            Special::Any => self.any(bytes)?,
        }
        Ok(())
    }

    /// A `google.protobuf.Value`.
    fn dynamic(&mut self, bytes: &'b [u8]) -> Result<(), Unwritten> {
        let mut last = None;
        let mut cursor = Cursor(bytes);
        while let Some((number, raw)) = cursor.field()? {
            if (1..=6).contains(&number) {
                last = Some((number, raw));
            }
        }
        match last {
            Some((2, raw @ Raw::Fixed64(_))) => self.scalar(Scalar::Double, raw)?,
            Some((3, raw)) => self.scalar(Scalar::String, raw)?,
            Some((4, raw)) => self.scalar(Scalar::Bool, raw)?,
            Some((number @ (5 | 6), raw)) => {
                let name = if number == 5 {
                    "google.protobuf.Struct"
                } else {
                    "google.protobuf.ListValue"
                };
                let id = self.messages.id(name).ok_or(Malformed)?;
                self.message(id, self::bytes(raw)?)?;
            }
            _ => self.out.extend_from_slice(b"null"),
        }
        Ok(())
    }

    /// A `google.protobuf.Any`: its type and the fields beside it. What is of an unknown type is shown as bytes.
    fn any(&mut self, bytes: &'b [u8]) -> Result<(), Unwritten> {
        let (mut url, mut value): (&[u8], &[u8]) = (&[], &[]);
        let mut cursor = Cursor(bytes);
        while let Some((number, raw)) = cursor.field()? {
            match number {
                1 => url = self::bytes(raw)?,
                2 => value = self::bytes(raw)?,
                _ => {}
            }
        }
        let url = std::str::from_utf8(url).map_err(|_| Malformed)?;
        if url.is_empty() {
            self.out.extend_from_slice(b"{}");
            return Ok(());
        }
        self.room(url.len())?;
        self.out.extend_from_slice(b"{\"@type\":");
        text(&mut self.out, url);
        let known = url.rsplit_once('/').and_then(|(_, name)| self.messages.id(name));
        match known.map(|id| (id, self.messages.plan(id))) {
            Some((_, plan)) if plan.special.is_none() => self.fields(plan, value, false)?,
            Some((id, _)) => {
                self.out.extend_from_slice(b",\"value\":");
                self.message(id, value)?;
            }
            None => {
                self.out.extend_from_slice(b",\"value\":");
                self.scalar(Scalar::Bytes, Raw::Bytes(value))?;
            }
        }
        self.out.push(b'}');
        Ok(())
    }
}

fn bytes(raw: Raw<'_>) -> Result<&[u8], Malformed> {
    match raw {
        Raw::Bytes(bytes) => Ok(bytes),
        _ => Err(Malformed),
    }
}

fn is_zero(raw: Raw<'_>) -> bool {
    match raw {
        Raw::Varint(value) | Raw::Fixed64(value) => value == 0,
        Raw::Fixed32(value) => value == 0,
        Raw::Bytes(value) => value.is_empty(),
    }
}

/// `seconds` and `nanos` of a timestamp or a duration.
fn seconds(bytes: &[u8]) -> Result<(i64, i32), Malformed> {
    let mut value = (0, 0);
    let mut cursor = Cursor(bytes);
    while let Some((number, raw)) = cursor.field()? {
        match (number, raw) {
            (1, Raw::Varint(seconds)) => value.0 = seconds as i64,
            (2, Raw::Varint(nanos)) => value.1 = nanos as i32,
            _ => {}
        }
    }
    Ok(value)
}

/// Numbers and texts in the form of `serde_json`; writing to a vector does not fail.
fn number(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    let _ = serde_json::to_writer(out, value);
}

fn text(out: &mut Vec<u8>, value: &str) {
    let _ = serde_json::to_writer(out, value);
}

fn quoted(out: &mut Vec<u8>, value: &impl serde::Serialize) {
    out.push(b'"');
    number(out, value);
    out.push(b'"');
}

fn float(out: &mut Vec<u8>, value: f64, finite: impl FnOnce(&mut Vec<u8>, f64)) {
    if value.is_nan() {
        out.extend_from_slice(b"\"NaN\"");
    } else if value.is_infinite() {
        out.extend_from_slice(if value > 0.0 { b"\"Infinity\"" } else { b"\"-Infinity\"" });
    } else {
        finite(out, value);
    }
}

/// `display_name` becomes `displayName`.
fn lower_camel(into: &mut String, snake: &str) {
    let mut upper = false;
    for letter in snake.chars() {
        if letter == '_' {
            upper = true;
        } else if std::mem::take(&mut upper) {
            into.push(letter.to_ascii_uppercase());
        } else {
            into.push(letter);
        }
    }
}
