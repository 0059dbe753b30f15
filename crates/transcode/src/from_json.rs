//! JSON to the binary form, in one pass over the text and without a message in between.
//!
//! What does not fit the contract is not the end of the reading: every violation is collected, with the path of its field in
//! the contract, and the rest is read on. Only a text that is no JSON ends it.

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use egov_fault::Violation;
use serde::Deserialize as _;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor};
use std::fmt;

use crate::plan::{DEPTH, FieldPlan, MessageId, MessagePlan, Messages, Scalar, Shape, Special, Type};
use crate::wire::{WireType, begin_length, end_length, key, put_varint};

/// How many violations are collected. Nobody reads more, and an answer carries fewer.
const MOST: usize = 200;

/// How much of a name that the caller sent is repeated to it.
const SHOWN: usize = 80;

const LENIENT: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
const STANDARD: GeneralPurpose = GeneralPurpose::new(&alphabet::STANDARD, LENIENT);
const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, LENIENT);

/// Collects the binary form of one message, and what is wrong with it.
pub(crate) struct Reader<'p> {
    pub(crate) messages: &'p Messages,
    pub(crate) out: Vec<u8>,
    pub(crate) violations: Vec<Violation>,
}

/// Where in a message the reading is, as a chain on the stack: text is made of it for a violation only.
#[derive(Clone, Copy)]
pub(crate) struct Path<'a> {
    parent: Option<&'a Path<'a>>,
    step: Step<'a>,
}

#[derive(Clone, Copy)]
enum Step<'a> {
    Root,
    Field(&'a str),
    Index(usize),
    Key(&'a str),
}

impl<'a> Path<'a> {
    pub(crate) const ROOT: Path<'static> = Path {
        parent: None,
        step: Step::Root,
    };

    pub(crate) fn field(&'a self, name: &'a str) -> Path<'a> {
        Path {
            parent: Some(self),
            step: Step::Field(name),
        }
    }

    fn index(&'a self, index: usize) -> Path<'a> {
        Path {
            parent: Some(self),
            step: Step::Index(index),
        }
    }

    fn key(&'a self, key: &'a str) -> Path<'a> {
        Path {
            parent: Some(self),
            step: Step::Key(key),
        }
    }
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parent_is_root = self.parent.is_none_or(|parent| matches!(parent.step, Step::Root));
        if let Some(parent) = self.parent {
            write!(f, "{parent}")?;
        }
        match self.step {
            Step::Root => Ok(()),
            Step::Field(name) if parent_is_root => f.write_str(name),
            Step::Field(name) => write!(f, ".{name}"),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::Key(key) => write!(f, "[{key:?}]"),
        }
    }
}

/// A value of JSON, of a path or of a query, that is neither list nor object.
#[derive(Clone, Copy)]
pub(crate) enum Given<'a> {
    Bool(bool),
    Int(i128),
    Float(f64),
    /// A text of JSON.
    Text(&'a str),
    /// A text that stands for any scalar: of a path, a query, or a map's key.
    Plain(&'a str),
}

/// Whether a value may be null, and what that then means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Null {
    /// The field is not set.
    Absent,
    /// It is refused.
    Refused,
}

/// Fields that the path of the request has given already, by their numbers from the message on.
pub(crate) type Taken<'t> = &'t [Vec<u32>];

impl<'p> Reader<'p> {
    /// Reads a whole text as a message. An empty text is an empty message.
    pub(crate) fn message(&mut self, id: MessageId, text: &[u8], taken: Taken<'_>) {
        if text.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        let plan = self.messages.plan(id);
        self.text(text, |reader, text| {
            Body {
                reader,
                plan,
                path: &Path::ROOT,
                depth: 0,
                taken,
            }
            .deserialize(text)
        });
    }

    /// Reads a whole text as the value of a field that lies below `parents`.
    pub(crate) fn field(&mut self, parents: &[&'p FieldPlan], field: &'p FieldPlan, text: &[u8], taken: Taken<'_>) {
        if text.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        self.within(parents, |reader| {
            let path = Path::ROOT.field(&field.name);
            reader.text(text, |reader, text| {
                Field {
                    reader,
                    plan: field,
                    path: &path,
                    depth: 0,
                    taken,
                }
                .deserialize(text)
                .map(drop)
            });
        });
    }

    /// Writes what `write` writes as part of the message at the end of `parents`.
    pub(crate) fn within(&mut self, parents: &[&'p FieldPlan], write: impl FnOnce(&mut Self)) {
        let mut begins = Vec::with_capacity(parents.len());
        for parent in parents {
            put_varint(&mut self.out, u64::from(key(parent.number, WireType::Bytes)));
            begins.push(begin_length(&mut self.out));
        }
        write(self);
        for begin in begins.into_iter().rev() {
            end_length(&mut self.out, begin);
        }
    }

    fn text(
        &mut self,
        text: &[u8],
        read: impl FnOnce(&mut Self, &mut serde_json::Deserializer<serde_json::de::SliceRead<'_>>) -> serde_json::Result<()>,
    ) {
        let mut deserializer = serde_json::Deserializer::from_slice(text);
        let result = read(self, &mut deserializer).and_then(|()| deserializer.end());
        if let Err(error) = result {
            let (line, column) = (error.line(), error.column());
            self.report(
                &Path::ROOT.field("body"),
                "rest.syntax",
                format!("không phải JSON hợp lệ: dòng {line}, cột {column}"),
                format!("is no valid JSON: {error}"),
            );
        }
    }

    pub(crate) fn report(&mut self, path: &Path<'_>, rule: &str, vi: impl Into<String>, en: impl Into<String>) {
        if self.violations.len() < MOST {
            self.violations.push(Violation {
                field: path.to_string(),
                rule: rule.to_owned(),
                vi: vi.into(),
                en: en.into(),
            });
        }
    }

    fn wrong_type(&mut self, path: &Path<'_>, vi: impl Into<String>, en: impl Into<String>) {
        self.report(path, "rest.type", vi, en);
    }

    fn not_a(&mut self, path: &Path<'_>, of: Type) {
        let (vi, en) = self.wanted(of);
        self.wrong_type(path, format!("phải là {vi}"), format!("must be {en}"));
    }

    /// What a value of a type is, in both languages.
    fn wanted(&self, of: Type) -> (String, String) {
        let both = |vi: &str, en: &str| (vi.to_owned(), en.to_owned());
        match of {
            Type::Message(id) => match self.messages.plan(id).special {
                Some(Special::Timestamp) => both(
                    "thời điểm dạng RFC 3339, ví dụ \"2026-11-23T08:00:00+07:00\"",
                    "an instant as in RFC 3339, for example \"2026-11-23T08:00:00+07:00\"",
                ),
                Some(Special::Duration) => both(
                    "khoảng thời gian tính bằng giây, ví dụ \"1.5s\"",
                    "a length of time in seconds, for example \"1.5s\"",
                ),
                Some(Special::FieldMask) => both(
                    "danh sách tên trường, cách nhau bằng dấu phẩy",
                    "a list of names of fields with commas between them",
                ),
                Some(Special::Wrapper(scalar)) => self.wanted(Type::Scalar(scalar)),
                Some(Special::ListValue) => both("mảng JSON", "a JSON array"),
                Some(Special::Value | Special::Struct | Special::Any) | None => both("đối tượng JSON", "a JSON object"),
            },
            Type::Scalar(scalar) => match scalar {
                Scalar::Double | Scalar::Float => both("số", "a number"),
                Scalar::Int32 | Scalar::Sint32 | Scalar::Sfixed32 => both(
                    "số nguyên từ -2147483648 đến 2147483647",
                    "an integer from -2147483648 to 2147483647",
                ),
                Scalar::Uint32 | Scalar::Fixed32 => {
                    both("số nguyên từ 0 đến 4294967295", "an integer from 0 to 4294967295")
                }
                Scalar::Int64 | Scalar::Sint64 | Scalar::Sfixed64 => both(
                    "số nguyên từ -9223372036854775808 đến 9223372036854775807",
                    "an integer from -9223372036854775808 to 9223372036854775807",
                ),
                Scalar::Uint64 | Scalar::Fixed64 => both(
                    "số nguyên từ 0 đến 18446744073709551615",
                    "an integer from 0 to 18446744073709551615",
                ),
                Scalar::Bool => both("true hoặc false", "true or false"),
                Scalar::String => both("chuỗi ký tự", "a string"),
                Scalar::Bytes => both("chuỗi base64", "a string in base64"),
                Scalar::Enum(id) => {
                    let names: Vec<&str> = self
                        .messages
                        .enumeration(id)
                        .map(|plan| plan.names().take(30).collect())
                        .unwrap_or_default();
                    let names = names.join(", ");
                    (format!("một trong: {names}"), format!("one of: {names}"))
                }
            },
        }
    }

    /// Writes one scalar behind its key, `None` for an item of a packed list.
    pub(crate) fn scalar(&mut self, path: &Path<'_>, scalar: Scalar, key: Option<u32>, given: Given<'_>) {
        let mark = self.out.len();
        if let Some(key) = key {
            put_varint(&mut self.out, u64::from(key));
        }
        if self.value(scalar, given).is_none() {
            self.out.truncate(mark);
            self.not_a(path, Type::Scalar(scalar));
        }
    }

    fn value(&mut self, scalar: Scalar, given: Given<'_>) -> Option<()> {
        let out = &mut self.out;
        match scalar {
            Scalar::Bool => {
                let flag = match given {
                    Given::Bool(flag) => flag,
                    Given::Plain("true") => true,
                    Given::Plain("false") => false,
                    _ => return None,
                };
                out.push(u8::from(flag));
            }
            Scalar::String => {
                let (Given::Text(text) | Given::Plain(text)) = given else {
                    return None;
                };
                put_varint(out, text.len() as u64);
                out.extend_from_slice(text.as_bytes());
            }
            Scalar::Bytes => {
                let (Given::Text(text) | Given::Plain(text)) = given else {
                    return None;
                };
                let engine = if text.contains(['-', '_']) {
                    &URL_SAFE
                } else {
                    &STANDARD
                };
                let begin = begin_length(out);
                engine.decode_vec(text, out).ok()?;
                end_length(out, begin);
            }
            Scalar::Double => {
                let number = float(given)?;
                out.extend_from_slice(&number.to_le_bytes());
            }
            Scalar::Float => {
                let number = float(given)?;
                let single = number as f32;
                // What is finite and too large is refused, not made infinite.
                if number.is_finite() && single.is_infinite() {
                    return None;
                }
                out.extend_from_slice(&single.to_le_bytes());
            }
            Scalar::Int32 => put_varint(out, i64::from(i32::try_from(integer(given)?).ok()?) as u64),
            Scalar::Int64 => put_varint(out, i64::try_from(integer(given)?).ok()? as u64),
            Scalar::Uint32 => put_varint(out, u64::from(u32::try_from(integer(given)?).ok()?)),
            Scalar::Uint64 => put_varint(out, u64::try_from(integer(given)?).ok()?),
            Scalar::Sint32 => {
                let number = i32::try_from(integer(given)?).ok()?;
                put_varint(out, u64::from(((number << 1) ^ (number >> 31)) as u32));
            }
            Scalar::Sint64 => {
                let number = i64::try_from(integer(given)?).ok()?;
                put_varint(out, ((number << 1) ^ (number >> 63)) as u64);
            }
            Scalar::Fixed32 => out.extend_from_slice(&u32::try_from(integer(given)?).ok()?.to_le_bytes()),
            Scalar::Sfixed32 => out.extend_from_slice(&i32::try_from(integer(given)?).ok()?.to_le_bytes()),
            Scalar::Fixed64 => out.extend_from_slice(&u64::try_from(integer(given)?).ok()?.to_le_bytes()),
            Scalar::Sfixed64 => out.extend_from_slice(&i64::try_from(integer(given)?).ok()?.to_le_bytes()),
            Scalar::Enum(id) => {
                let plan = self.messages.enumeration(id)?;
                let number = match given {
                    Given::Text(name) => plan.number(name)?,
                    Given::Plain(name) => plan.number(name).or_else(|| name.parse().ok())?,
                    // A number that the contract does not name is taken: it may be of a later version. Rules judge it.
                    _ => i32::try_from(integer(given)?).ok()?,
                };
                put_varint(out, i64::from(number) as u64);
            }
        }
        Some(())
    }

    /// Writes one value of any type that has the form of a scalar in JSON.
    pub(crate) fn single(&mut self, path: &Path<'_>, of: Type, number: Option<u32>, given: Given<'_>) {
        let id = match of {
            Type::Scalar(scalar) => {
                self.scalar(path, scalar, number.map(|number| key(number, scalar.wire())), given);
                return;
            }
            Type::Message(id) => id,
        };
        let Some(special) = self.messages.plan(id).special else {
            self.not_a(path, of);
            return;
        };
        let mark = self.out.len();
        if let Some(number) = number {
            put_varint(&mut self.out, u64::from(key(number, WireType::Bytes)));
        }
        let begin = begin_length(&mut self.out);
        let before = self.violations.len();
        let written = match (special, given) {
            (Special::Timestamp, Given::Text(text) | Given::Plain(text)) => timestamp(text).map(|(seconds, nanos)| {
                self.seconds(seconds, nanos);
            }),
            (Special::Duration, Given::Text(text) | Given::Plain(text)) => duration(text).map(|(seconds, nanos)| {
                self.seconds(seconds, nanos);
            }),
            (Special::FieldMask, Given::Text(text) | Given::Plain(text)) => self.field_mask(text),
            (Special::Wrapper(scalar), given) => {
                self.scalar(path, scalar, Some(key(1, scalar.wire())), given);
                Some(())
            }
            (Special::Value, given) => {
                self.any_scalar(given);
                Some(())
            }
            _ => None,
        };
        if written.is_some() {
            end_length(&mut self.out, begin);
        } else {
            self.out.truncate(mark);
            if self.violations.len() == before {
                self.not_a(path, of);
            }
        }
    }

    /// `seconds` and `nanos` of a timestamp or a duration.
    fn seconds(&mut self, seconds: i64, nanos: i32) {
        if seconds != 0 {
            put_varint(&mut self.out, u64::from(key(1, WireType::Varint)));
            put_varint(&mut self.out, seconds as u64);
        }
        if nanos != 0 {
            put_varint(&mut self.out, u64::from(key(2, WireType::Varint)));
            put_varint(&mut self.out, i64::from(nanos) as u64);
        }
    }

    /// `displayName,address.street` becomes the two paths `display_name` and `address.street`.
    fn field_mask(&mut self, text: &str) -> Option<()> {
        for path in text.split(',').filter(|path| !path.is_empty()) {
            let known = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '.' | '_');
            if !path.chars().all(known) {
                return None;
            }
            put_varint(&mut self.out, u64::from(key(1, WireType::Bytes)));
            let begin = begin_length(&mut self.out);
            for letter in path.bytes() {
                if letter.is_ascii_uppercase() {
                    self.out.push(b'_');
                }
                self.out.push(letter.to_ascii_lowercase());
            }
            end_length(&mut self.out, begin);
        }
        Some(())
    }

    /// A scalar inside `google.protobuf.Value`.
    fn any_scalar(&mut self, given: Given<'_>) {
        let out = &mut self.out;
        match given {
            Given::Bool(flag) => {
                put_varint(out, u64::from(key(4, WireType::Varint)));
                out.push(u8::from(flag));
            }
            Given::Int(number) => {
                put_varint(out, u64::from(key(2, WireType::Fixed64)));
                out.extend_from_slice(&(number as f64).to_le_bytes());
            }
            Given::Float(number) => {
                put_varint(out, u64::from(key(2, WireType::Fixed64)));
                out.extend_from_slice(&number.to_le_bytes());
            }
            Given::Text(text) | Given::Plain(text) => {
                put_varint(out, u64::from(key(3, WireType::Bytes)));
                put_varint(out, text.len() as u64);
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
}

fn integer(given: Given<'_>) -> Option<i128> {
    match given {
        Given::Int(number) => Some(number),
        Given::Float(number) => whole(number),
        Given::Text(text) | Given::Plain(text) => {
            // Neither a plus sign nor spaces: what JSON does not know as a number is none in a text either.
            if !text.starts_with(|first: char| first.is_ascii_digit() || first == '-') {
                return None;
            }
            text.parse().ok().or_else(|| whole(text.parse().ok()?))
        }
        Given::Bool(_) => None,
    }
}

/// `1.0` and `1e3` are integers too, as far as a float holds every integer.
fn whole(number: f64) -> Option<i128> {
    (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i128)
}

fn float(given: Given<'_>) -> Option<f64> {
    match given {
        Given::Int(number) => Some(number as f64),
        Given::Float(number) => Some(number),
        Given::Text(text) | Given::Plain(text) => match text {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            _ if text.starts_with(|first: char| first.is_ascii_digit() || first == '-') => {
                text.parse().ok().filter(|number: &f64| number.is_finite())
            }
            _ => None,
        },
        Given::Bool(_) => None,
    }
}

/// RFC 3339, from the year 1 to the year 9999.
fn timestamp(text: &str) -> Option<(i64, i32)> {
    let bytes = text.as_bytes();
    // prost reads shorter forms as well (a day alone), which the mapping does not know.
    let form = bytes.len() >= 20
        && bytes
            .iter()
            .zip(*b"dddd-dd-ddTdd:dd:dd")
            .all(|(byte, form)| match form {
                b'd' => byte.is_ascii_digit(),
                b'T' => matches!(byte, b'T' | b't'),
                other => *byte == other,
            });
    if !form {
        return None;
    }
    let instant: prost_types::Timestamp = text.parse().ok()?;
    let in_range = (-62_135_596_800..=253_402_300_799).contains(&instant.seconds);
    (in_range && (0..1_000_000_000).contains(&instant.nanos)).then_some((instant.seconds, instant.nanos))
}

/// `1.5s`, of at most 10,000 years.
fn duration(text: &str) -> Option<(i64, i32)> {
    let number = text.strip_suffix('s')?;
    let negative = number.starts_with('-');
    let digits = number.strip_prefix('-').unwrap_or(number);
    let (seconds, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if seconds.is_empty() || !all_digits(seconds) || !all_digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let seconds: i64 = seconds.parse().ok().filter(|seconds| *seconds <= 315_576_000_000)?;
    let nanos: i32 = format!("{fraction:0<9}").parse().ok()?;
    Some(if negative { (-seconds, -nanos) } else { (seconds, nanos) })
}

/// A set of small numbers: of the fields seen.
#[derive(Default)]
struct Seen {
    low: u64,
    high: Vec<usize>,
}

impl Seen {
    /// `false` if it was there.
    fn insert(&mut self, number: usize) -> bool {
        if number < 64 {
            let bit = 1 << number;
            let new = self.low & bit == 0;
            self.low |= bit;
            return new;
        }
        let new = !self.high.contains(&number);
        if new {
            self.high.push(number);
        }
        new
    }
}

/// The object that is a message, without key and length.
struct Body<'r, 'p> {
    reader: &'r mut Reader<'p>,
    plan: &'p MessagePlan,
    path: &'r Path<'r>,
    depth: usize,
    taken: Taken<'r>,
}

impl<'de> DeserializeSeed<'de> for Body<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

/// What each visitor refuses in the same way: a value that has another form than it wants.
macro_rules! refuse_scalars {
    ($de:lifetime) => {
        fn visit_bool<E: serde::de::Error>(self, _: bool) -> Result<Self::Value, E> {
            Ok(self.refuse())
        }
        fn visit_i64<E: serde::de::Error>(self, _: i64) -> Result<Self::Value, E> {
            Ok(self.refuse())
        }
        fn visit_u64<E: serde::de::Error>(self, _: u64) -> Result<Self::Value, E> {
            Ok(self.refuse())
        }
        fn visit_f64<E: serde::de::Error>(self, _: f64) -> Result<Self::Value, E> {
            Ok(self.refuse())
        }
        fn visit_str<E: serde::de::Error>(self, _: &str) -> Result<Self::Value, E> {
            Ok(self.refuse())
        }
    };
}

fn skip_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<(), A::Error> {
    while list.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

fn skip_object<'de, A: MapAccess<'de>>(mut object: A) -> Result<(), A::Error> {
    while object.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

impl Body<'_, '_> {
    fn refuse(self) {
        let path = if matches!(self.path.step, Step::Root) {
            Path::ROOT.field("body")
        } else {
            *self.path
        };
        self.reader
            .wrong_type(&path, "phải là đối tượng JSON", "must be a JSON object");
    }
}

impl<'de> Visitor<'de> for Body<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON object")
    }

    refuse_scalars!('de);

    fn visit_unit<E: serde::de::Error>(self) -> Result<(), E> {
        self.refuse();
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<(), A::Error> {
        self.refuse();
        skip_list(list)
    }

    fn visit_map<A: MapAccess<'de>>(self, object: A) -> Result<(), A::Error> {
        object_fields(self, object)
    }
}

/// Reads the entries of an object as the fields of a message.
fn object_fields<'de, A: MapAccess<'de>>(body: Body<'_, '_>, mut object: A) -> Result<(), A::Error> {
    let Body {
        reader,
        plan,
        path,
        depth,
        taken,
    } = body;
    let mut seen = Seen::default();
    let mut oneofs = Seen::default();
    while let Some(name) = object.next_key_seed(Name(plan))? {
        let (index, field) = match name {
            Ok(known) => known,
            Err(name) => {
                reader.report(
                    &path.field(&name),
                    "rest.unknown",
                    "không có trường này",
                    "there is no such field",
                );
                object.next_value::<IgnoredAny>()?;
                continue;
            }
        };
        let here = path.field(&field.name);
        if !seen.insert(index) {
            reader.report(
                &here,
                "rest.duplicate",
                "có nhiều hơn một lần",
                "is given more than once",
            );
            object.next_value::<IgnoredAny>()?;
            continue;
        }
        // Only what the path of the request binds is in this list, hence it is nearly always empty.
        let below: Vec<Vec<u32>> = taken
            .iter()
            .filter(|numbers| numbers.first() == Some(&field.number))
            .map(|numbers| numbers.get(1..).unwrap_or_default().to_vec())
            .collect();
        if below.iter().any(Vec::is_empty) {
            reader.report(
                &here,
                "rest.bound",
                "đã có trong đường dẫn, không gửi lại trong nội dung",
                "stands in the path already, leave it out of the body",
            );
            object.next_value::<IgnoredAny>()?;
            continue;
        }
        let set = object.next_value_seed(Field {
            reader: &mut *reader,
            plan: field,
            path: &here,
            depth,
            taken: &below,
        })?;
        if let Some(oneof) = field.oneof.filter(|_| set)
            && !oneofs.insert(oneof)
        {
            reader.report(
                &here,
                "rest.oneof",
                "chỉ được có một trong các trường thay thế nhau",
                "excludes another field that is given: only one of them can be set",
            );
        }
    }
    Ok(())
}

/// The name of a field.
struct Name<'p>(&'p MessagePlan);

impl<'de, 'p> DeserializeSeed<'de> for Name<'p> {
    type Value = Result<(usize, &'p FieldPlan), String>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'p> Visitor<'_> for Name<'p> {
    type Value = Result<(usize, &'p FieldPlan), String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the name of a field")
    }

    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
        Ok(self.0.by_name(name).ok_or_else(|| shown(name)))
    }
}

/// A name as the caller sent it, cut.
pub(crate) fn shown(name: &str) -> String {
    name.chars().take(SHOWN).collect()
}

/// The value of a field, with its key. Says whether it was set, which null is not.
struct Field<'r, 'p> {
    reader: &'r mut Reader<'p>,
    plan: &'p FieldPlan,
    path: &'r Path<'r>,
    depth: usize,
    taken: Taken<'r>,
}

impl<'de> DeserializeSeed<'de> for Field<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        match self.plan.shape {
            Shape::One => One {
                reader: self.reader,
                of: self.plan.of,
                number: Some(self.plan.number),
                path: self.path,
                depth: self.depth,
                null: Null::Absent,
                taken: self.taken,
            }
            .deserialize(deserializer),
            Shape::List { .. } | Shape::Map { .. } => deserializer.deserialize_any(self),
        }
    }
}

impl Field<'_, '_> {
    fn refuse(self) -> bool {
        let (vi, en) = match self.plan.shape {
            Shape::Map { .. } => ("phải là đối tượng JSON", "must be a JSON object"),
            _ => ("phải là mảng JSON", "must be a JSON array"),
        };
        self.reader.wrong_type(self.path, vi, en);
        true
    }
}

/// Lists and maps.
impl<'de> Visitor<'de> for Field<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list or an object")
    }

    refuse_scalars!('de);

    fn visit_unit<E: serde::de::Error>(self) -> Result<bool, E> {
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<bool, A::Error> {
        let Shape::List { packed } = self.plan.shape else {
            self.refuse();
            return skip_list(list).map(|()| true);
        };
        let begin = packed.then(|| {
            put_varint(&mut self.reader.out, u64::from(key(self.plan.number, WireType::Bytes)));
            begin_length(&mut self.reader.out)
        });
        let mut index = 0;
        loop {
            let path = self.path.index(index);
            let item = One {
                reader: &mut *self.reader,
                of: self.plan.of,
                number: (!packed).then_some(self.plan.number),
                path: &path,
                depth: self.depth,
                null: Null::Refused,
                taken: &[],
            };
            if list.next_element_seed(item)?.is_none() {
                break;
            }
            index += 1;
        }
        if let Some(begin) = begin {
            end_length(&mut self.reader.out, begin);
        }
        Ok(true)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut object: A) -> Result<bool, A::Error> {
        let Shape::Map { keys } = self.plan.shape else {
            self.refuse();
            return skip_object(object).map(|()| true);
        };
        let mut seen = std::collections::HashSet::new();
        while let Some(name) = object.next_key::<String>()? {
            let path = self.path.key(&name);
            put_varint(&mut self.reader.out, u64::from(key(self.plan.number, WireType::Bytes)));
            let begin = begin_length(&mut self.reader.out);
            self.reader
                .scalar(&path, keys, Some(key(1, keys.wire())), Given::Plain(&name));
            object.next_value_seed(One {
                reader: &mut *self.reader,
                of: self.plan.of,
                number: Some(2),
                path: &path,
                depth: self.depth,
                null: Null::Refused,
                taken: &[],
            })?;
            end_length(&mut self.reader.out, begin);
            if seen.contains(&name) {
                self.reader.report(
                    &path,
                    "rest.duplicate",
                    "có nhiều hơn một lần",
                    "is given more than once",
                );
            }
            seen.insert(name);
        }
        Ok(true)
    }
}

/// One value: of a field, of an item, of a map's entry. Says whether it was set.
struct One<'r, 'p> {
    reader: &'r mut Reader<'p>,
    of: Type,
    /// The number of the field; `None` for an item of a packed list.
    number: Option<u32>,
    path: &'r Path<'r>,
    depth: usize,
    null: Null,
    taken: Taken<'r>,
}

impl<'de> DeserializeSeed<'de> for One<'_, '_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'p> One<'_, 'p> {
    fn give(self, given: Given<'_>) -> bool {
        self.reader.single(self.path, self.of, self.number, given);
        true
    }

    /// The plan, if the value is a message.
    fn plan(&self) -> Option<&'p MessagePlan> {
        match self.of {
            Type::Message(id) => Some(self.reader.messages.plan(id)),
            Type::Scalar(_) => None,
        }
    }

    fn too_deep(&mut self) -> bool {
        let deep = self.depth >= DEPTH;
        if deep {
            self.reader.report(
                self.path,
                "rest.depth",
                format!("lồng nhau quá {DEPTH} cấp"),
                format!("is nested deeper than {DEPTH} levels"),
            );
        }
        deep
    }

    /// Writes key and length around what `write` writes.
    fn around<E>(
        self,
        write: impl FnOnce(&mut Reader<'p>, &Path<'_>, usize, Taken<'_>) -> Result<(), E>,
    ) -> Result<bool, E> {
        if let Some(number) = self.number {
            put_varint(&mut self.reader.out, u64::from(key(number, WireType::Bytes)));
        }
        let begin = begin_length(&mut self.reader.out);
        write(self.reader, self.path, self.depth + 1, self.taken)?;
        end_length(&mut self.reader.out, begin);
        Ok(true)
    }
}

impl<'de> Visitor<'de> for One<'_, '_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E: serde::de::Error>(self, flag: bool) -> Result<bool, E> {
        Ok(self.give(Given::Bool(flag)))
    }

    fn visit_i64<E: serde::de::Error>(self, number: i64) -> Result<bool, E> {
        Ok(self.give(Given::Int(number.into())))
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<bool, E> {
        Ok(self.give(Given::Int(number.into())))
    }

    fn visit_f64<E: serde::de::Error>(self, number: f64) -> Result<bool, E> {
        Ok(self.give(Given::Float(number)))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<bool, E> {
        Ok(self.give(Given::Text(text)))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<bool, E> {
        let is_value = self.plan().is_some_and(|plan| plan.special == Some(Special::Value));
        let is_null = match self.of {
            Type::Scalar(Scalar::Enum(id)) => self.reader.messages.enumeration(id).is_some_and(|plan| plan.is_null),
            _ => false,
        };
        if is_value {
            return self.around(|reader, _, _, _| {
                put_varint(&mut reader.out, u64::from(key(1, WireType::Varint)));
                reader.out.push(0);
                Ok(())
            });
        }
        if is_null {
            return Ok(self.give(Given::Int(0)));
        }
        if self.null == Null::Refused {
            self.reader
                .report(self.path, "rest.null", "không được là null", "must not be null");
        }
        Ok(false)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, list: A) -> Result<bool, A::Error> {
        let special = self.plan().and_then(|plan| plan.special);
        match special {
            Some(Special::ListValue | Special::Value) if !self.too_deep() => self.around(|reader, path, depth, _| {
                if special == Some(Special::ListValue) {
                    return list_value(reader, path, depth, list);
                }
                put_varint(&mut reader.out, u64::from(key(6, WireType::Bytes)));
                let begin = begin_length(&mut reader.out);
                list_value(reader, path, depth, list)?;
                end_length(&mut reader.out, begin);
                Ok(())
            }),
            Some(Special::ListValue | Special::Value) => skip_list(list).map(|()| true),
            _ => {
                self.reader.not_a(self.path, self.of);
                skip_list(list).map(|()| true)
            }
        }
    }

    fn visit_map<A: MapAccess<'de>>(mut self, object: A) -> Result<bool, A::Error> {
        let Some(plan) = self.plan() else {
            self.reader.not_a(self.path, self.of);
            return skip_object(object).map(|()| true);
        };
        if self.too_deep() {
            return skip_object(object).map(|()| true);
        }
        match plan.special {
            None => self.around(|reader, path, depth, taken| {
                object_fields(
                    Body {
                        reader,
                        plan,
                        path,
                        depth,
                        taken,
                    },
                    object,
                )
            }),
            Some(Special::Struct) => self.around(|reader, path, depth, _| struct_value(reader, path, depth, object)),
            Some(Special::Value) => self.around(|reader, path, depth, _| {
                put_varint(&mut reader.out, u64::from(key(5, WireType::Bytes)));
                let begin = begin_length(&mut reader.out);
                struct_value(reader, path, depth, object)?;
                end_length(&mut reader.out, begin);
                Ok(())
            }),
            Some(Special::Any) => self.around(|reader, path, depth, _| any(reader, path, depth, object)),
            Some(_) => {
                self.reader.not_a(self.path, self.of);
                skip_object(object).map(|()| true)
            }
        }
    }
}

fn value_of(reader: &Reader<'_>) -> Type {
    // Whoever has a `Struct` or a `ListValue` has its file, and so `Value`.
    reader
        .messages
        .id("google.protobuf.Value")
        .map_or(Type::Scalar(Scalar::Bool), Type::Message)
}

/// The items of a `google.protobuf.ListValue`.
fn list_value<'de, A: SeqAccess<'de>>(
    reader: &mut Reader<'_>,
    path: &Path<'_>,
    depth: usize,
    mut list: A,
) -> Result<(), A::Error> {
    let of = value_of(reader);
    let mut index = 0;
    loop {
        let path = path.index(index);
        let item = One {
            reader: &mut *reader,
            of,
            number: Some(1),
            path: &path,
            depth,
            null: Null::Refused,
            taken: &[],
        };
        if list.next_element_seed(item)?.is_none() {
            return Ok(());
        }
        index += 1;
    }
}

/// The entries of a `google.protobuf.Struct`.
fn struct_value<'de, A: MapAccess<'de>>(
    reader: &mut Reader<'_>,
    path: &Path<'_>,
    depth: usize,
    mut object: A,
) -> Result<(), A::Error> {
    let of = value_of(reader);
    while let Some(name) = object.next_key::<String>()? {
        let path = path.key(&name);
        put_varint(&mut reader.out, u64::from(key(1, WireType::Bytes)));
        let begin = begin_length(&mut reader.out);
        put_varint(&mut reader.out, u64::from(key(1, WireType::Bytes)));
        put_varint(&mut reader.out, name.len() as u64);
        reader.out.extend_from_slice(name.as_bytes());
        object.next_value_seed(One {
            reader: &mut *reader,
            of,
            number: Some(2),
            path: &path,
            depth,
            null: Null::Refused,
            taken: &[],
        })?;
        end_length(&mut reader.out, begin);
    }
    Ok(())
}

/// A `google.protobuf.Any`. Its type may stand behind its fields, so the object is kept until it is complete.
fn any<'de, A: MapAccess<'de>>(
    reader: &mut Reader<'_>,
    path: &Path<'_>,
    depth: usize,
    object: A,
) -> Result<(), A::Error> {
    let mut object = serde_json::Map::deserialize(serde::de::value::MapAccessDeserializer::new(object))?;
    if object.is_empty() {
        return Ok(());
    }
    let Some(serde_json::Value::String(url)) = object.remove("@type") else {
        reader.wrong_type(&path.field("@type"), "phải có tên kiểu", "must name the type");
        return Ok(());
    };
    let known = url.rsplit_once('/').and_then(|(_, name)| reader.messages.id(name));
    let Some(id) = known else {
        reader.report(
            &path.field("@type"),
            "rest.unknown",
            "không có kiểu này",
            "there is no such type",
        );
        return Ok(());
    };
    put_varint(&mut reader.out, u64::from(key(1, WireType::Bytes)));
    put_varint(&mut reader.out, url.len() as u64);
    reader.out.extend_from_slice(url.as_bytes());
    let plan = reader.messages.plan(id);
    let inner = if plan.special.is_some() {
        object.remove("value").unwrap_or_default()
    } else {
        serde_json::Value::Object(object)
    };
    One {
        reader,
        of: Type::Message(id),
        number: Some(2),
        path,
        depth,
        null: Null::Refused,
        taken: &[],
    }
    .deserialize(inner)
    .map(drop)
    .map_err(A::Error::custom)
}
