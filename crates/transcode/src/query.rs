//! Parameters of a query, and variables of a path, as fields of a message.

use std::borrow::Cow;

use crate::from_json::{Given, Path, Reader, shown};
use crate::plan::{FieldPlan, MessageId, Shape, Special, Type};

impl<'p> Reader<'p> {
    /// Reads `a=1&b.c=2&d=x&d=y` as fields of a message: `.` leads into a message, a list's field comes once for each item.
    pub(crate) fn query(&mut self, id: MessageId, query: &str, taken: &[Vec<u32>]) {
        // What has been given, by its numbers: queries are short, so a list does.
        let mut given: Vec<Vec<u32>> = taken.to_vec();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decoded(name, true), decoded(value, true)) else {
                let name = decoded(name, true).unwrap_or(Cow::Borrowed("query"));
                self.report(
                    &Path::ROOT.field(&shown(&name)),
                    "rest.encoding",
                    "không phải UTF-8 mã hoá phần trăm",
                    "is no percent-encoded UTF-8",
                );
                continue;
            };
            let Some((parents, field)) = self.messages.walk(id, name.split('.')) else {
                self.report(
                    &Path::ROOT.field(&shown(&name)),
                    "rest.unknown",
                    "không có tham số này",
                    "there is no such parameter",
                );
                continue;
            };
            self.parameter(id, &parents, field, &value, &mut given, taken);
        }
    }

    /// Refuses the parameters of a call whose fields are all in the body.
    pub(crate) fn no_query(&mut self, query: &str) {
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            let name = decoded(name, true).unwrap_or(Cow::Borrowed("query"));
            self.report(
                &Path::ROOT.field(&shown(&name)),
                "rest.no_query",
                "thao tác này không có tham số truy vấn, hãy gửi trong nội dung",
                "this operation takes no query parameters, its fields are in the body",
            );
        }
    }

    fn parameter(
        &mut self,
        id: MessageId,
        parents: &[&'p FieldPlan],
        field: &'p FieldPlan,
        value: &str,
        given: &mut Vec<Vec<u32>>,
        taken: &[Vec<u32>],
    ) {
        let name = dotted(parents, field);
        let path = Path::ROOT.field(&name);
        let is_text = match field.of {
            Type::Scalar(_) => true,
            Type::Message(id) => self.messages.plan(id).special.is_some_and(Special::is_text),
        };
        if matches!(field.shape, Shape::Map { .. }) || !is_text {
            self.report(
                &path,
                "rest.not_a_parameter",
                "không thể gửi bằng tham số truy vấn",
                "cannot be given as a parameter",
            );
            return;
        }
        let numbers: Vec<u32> = parents
            .iter()
            .map(|parent| parent.number)
            .chain([field.number])
            .collect();
        if taken.iter().any(|taken| numbers.starts_with(taken)) {
            self.report(
                &path,
                "rest.bound",
                "đã có trong đường dẫn hoặc nội dung, không gửi lại bằng tham số truy vấn",
                "stands in the path or the body already, leave it out of the query",
            );
            return;
        }
        if field.shape == Shape::One {
            if given.contains(&numbers) {
                self.report(
                    &path,
                    "rest.duplicate",
                    "có nhiều hơn một lần",
                    "is given more than once",
                );
                return;
            }
            if self.excluded(id, &numbers, given) {
                self.report(
                    &path,
                    "rest.oneof",
                    "chỉ được có một trong các trường thay thế nhau",
                    "excludes another field that is given: only one of them can be set",
                );
                return;
            }
        }
        given.push(numbers);
        self.within(parents, |reader| {
            reader.single(&path, field.of, Some(field.number), Given::Plain(value));
        });
    }

    /// Whether another field of a oneof on the way to a field has been given.
    fn excluded(&self, id: MessageId, numbers: &[u32], given: &[Vec<u32>]) -> bool {
        let mut holder = id;
        for (level, number) in numbers.iter().enumerate() {
            let plan = self.messages.plan(holder);
            let field_of = |number: u32| plan.by_number(number).and_then(|index| plan.fields.get(index));
            let Some(field) = field_of(*number) else { return false };
            let clash = field.oneof.is_some()
                && given.iter().any(|other| {
                    other.get(..level) == numbers.get(..level)
                        && other
                            .get(level)
                            .and_then(|other| field_of(*other))
                            .is_some_and(|other| other.oneof == field.oneof && other.number != field.number)
                });
            if clash {
                return true;
            }
            match field.of {
                Type::Message(below) => holder = below,
                Type::Scalar(_) => return false,
            }
        }
        false
    }

    /// Writes a variable of a path.
    pub(crate) fn variable(&mut self, parents: &[&'p FieldPlan], field: &'p FieldPlan, raw: &str, many: bool) {
        let name = dotted(parents, field);
        let path = Path::ROOT.field(&name);
        let value = if many {
            decoded_segments(raw)
        } else {
            decoded(raw, false)
        };
        let Some(value) = value else {
            self.report(
                &path,
                "rest.encoding",
                "không phải UTF-8 mã hoá phần trăm",
                "is no percent-encoded UTF-8",
            );
            return;
        };
        self.within(parents, |reader| {
            reader.single(&path, field.of, Some(field.number), Given::Plain(&value));
        });
    }
}

/// `parent.field`, by the names of the contract.
fn dotted<'n>(parents: &[&'n FieldPlan], field: &'n FieldPlan) -> Cow<'n, str> {
    if parents.is_empty() {
        return Cow::Borrowed(&field.name);
    }
    let mut name = String::new();
    for parent in parents {
        name.push_str(&parent.name);
        name.push('.');
    }
    name.push_str(&field.name);
    Cow::Owned(name)
}

/// Percent-decoded UTF-8; in a query a plus sign is a space. `None` if it is none.
fn decoded(raw: &str, query: bool) -> Option<Cow<'_, str>> {
    let raw = if query && raw.contains('+') {
        Cow::Owned(raw.replace('+', " "))
    } else {
        Cow::Borrowed(raw)
    };
    if !raw.contains('%') {
        return Some(raw);
    }
    percent_encoding::percent_decode_str(&raw)
        .decode_utf8()
        .ok()
        .map(|text| Cow::Owned(text.into_owned()))
}

/// As [`decoded`], but an encoded slash stays encoded: several segments were asked for, and it is not between two of them.
fn decoded_segments(raw: &str) -> Option<Cow<'_, str>> {
    if !raw.contains('%') {
        return Some(Cow::Borrowed(raw));
    }
    let kept = raw.replace("%2F", "%252F").replace("%2f", "%252F");
    percent_encoding::percent_decode_str(&kept)
        .decode_utf8()
        .ok()
        .map(|text| Cow::Owned(text.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_inside_a_segment_stays_encoded_where_several_are_bound() {
        assert_eq!(decoded("a%2Fb%20c", false).unwrap(), "a/b c");
        assert_eq!(decoded_segments("x/a%2Fb%20c").unwrap(), "x/a%2Fb c");
        assert_eq!(decoded("a+b", true).unwrap(), "a b");
        assert_eq!(decoded("a+b", false).unwrap(), "a+b");
        assert_eq!(decoded("%E1%BB%93", false).unwrap(), "ồ");
        assert!(decoded("%FF", false).is_none());
        assert!(decoded_segments("%FF").is_none());
    }
}
