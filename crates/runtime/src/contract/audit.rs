//! The house's rules for contracts, checked over an encoded descriptor set.

use std::collections::HashSet;
use std::sync::LazyLock;

use egov_transcode::{Bindings, BodyRule};
use jiff::civil::Date;
use jiff::{Span, ToSpan as _};
use prost_reflect::{
    DescriptorPool, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind, MessageDescriptor, MethodDescriptor,
};

use super::is_foreign;
use super::plan::Plans;
use egov_proto::options::{Options, is_deprecated};

/// How long a deprecated RPC is served at least.
static NOTICE: LazyLock<Span> = LazyLock::new(|| 12.months());

pub(super) fn audit(file_descriptor_set: &[u8]) -> Vec<String> {
    let pool = match DescriptorPool::decode(file_descriptor_set) {
        Ok(pool) => pool,
        Err(error) => return vec![format!("the descriptor set does not decode: {error}")],
    };
    let options = Options::of(&pool);
    let bindings = Bindings::of(&pool);
    let mut problems = Vec::new();
    Plans::compile(&pool, &options, None, &mut problems);
    // Templates that do not parse, fields that are not there, two RPCs on one path.
    if let Err(error) = egov_transcode::Rest::compile(&pool, |_| true) {
        problems.extend(error.problems);
    }
    for file in pool.files().filter(|file| !is_foreign(file.package_name())) {
        let mut audit = Audit {
            options: &options,
            bindings: &bindings,
            commented: commented(&file),
            problems: &mut problems,
        };
        for service in file.services() {
            audit.comment(service.path(), service.full_name());
            for method in service.methods() {
                audit.method(&method);
            }
        }
        for message in file.messages() {
            audit.message(&message);
        }
        for enumeration in file.enums() {
            audit.enumeration(&enumeration);
        }
        for extension in file.extensions() {
            audit.comment(extension.path(), extension.full_name());
        }
    }
    problems
}

/// The paths of everything in a file that has a leading comment.
fn commented(file: &FileDescriptor) -> HashSet<Vec<i32>> {
    file.file_descriptor_proto()
        .source_code_info
        .iter()
        .flat_map(|info| &info.location)
        .filter(|location| !location.leading_comments().trim().is_empty())
        .map(|location| location.path.clone())
        .collect()
}

struct Audit<'a> {
    options: &'a Options,
    bindings: &'a Bindings,
    commented: HashSet<Vec<i32>>,
    problems: &'a mut Vec<String>,
}

impl Audit<'_> {
    fn problem(&mut self, place: &str, what: &str) {
        self.problems.push(format!("{place}: {what}"));
    }

    fn comment(&mut self, path: &[i32], name: &str) {
        if !self.commented.contains(path) {
            self.problem(name, "there is no leading comment");
        }
    }

    fn method(&mut self, method: &MethodDescriptor) {
        let name = method.full_name();
        self.comment(method.path(), name);
        self.http(method);

        match self.options.access(method) {
            None => self.problem(name, "the option egov.options.v1.access is missing"),
            Some(access) if access.public && !access.permission.is_empty() => {
                self.problem(name, "access is public and names a permission as well");
            }
            Some(access) if access.public && access.public_reason.trim().is_empty() => {
                self.problem(name, "access is public without public_reason");
            }
            Some(access) if !access.public && access.permission.is_empty() => {
                self.problem(name, "access is neither public nor names a permission");
            }
            Some(access) if !access.public && !is_permission(&access.permission) => self.problem(
                name,
                "a permission is three lower-case words with dots: area.resource.verb",
            ),
            Some(_) => {}
        }

        self.deprecation(method);

        match self.options.idempotency(method) {
            None => self.problem(name, "the option egov.options.v1.idempotency is missing"),
            Some(idempotency) => match idempotency.kind.as_str() {
                "READ" => {}
                "REQUEST_ID" => self.request_id(name, &method.input()),
                "EXEMPT" if idempotency.exempt_reason.trim().is_empty() => {
                    self.problem(name, "idempotency is EXEMPT without exempt_reason");
                }
                "EXEMPT" => {}
                other => self.problem(name, &format!("idempotency kind {other} is not one of ours")),
            },
        }
    }

    /// Whoever calls a deprecated RPC knows since when, until when and what instead, a year ahead.
    fn deprecation(&mut self, method: &MethodDescriptor) {
        let name = method.full_name();
        let marked = is_deprecated(method);
        let Some(deprecation) = self.options.deprecation(method) else {
            if marked {
                self.problem(name, "it is deprecated without the option egov.options.v1.deprecation");
            }
            return;
        };
        if !marked {
            self.problem(name, "egov.options.v1.deprecation stands without deprecated = true");
        }
        if deprecation.instead.trim().is_empty() {
            self.problem(name, "its deprecation does not say what to call instead");
        }
        let days = (deprecation.since.parse::<Date>(), deprecation.sunset.parse::<Date>());
        let (Ok(since), Ok(sunset)) = days else {
            self.problem(name, "since and sunset of its deprecation are days, written 2026-01-31");
            return;
        };
        if since.checked_add(*NOTICE).is_ok_and(|earliest| sunset < earliest) {
            self.problem(name, "its sunset is less than twelve months after its deprecation");
        }
    }

    /// Every unary RPC is served over HTTP, and nothing about a person stands in a URL, which proxies and browsers keep.
    fn http(&mut self, method: &MethodDescriptor) {
        let name = method.full_name();
        if method.is_client_streaming() || method.is_server_streaming() {
            return;
        }
        // One that cannot be read was named already.
        let bindings = self.bindings.read(method).unwrap_or_default();
        if bindings.is_empty() && self.bindings.read(method).is_ok() {
            self.problem(name, "the option google.api.http is missing");
        }
        for binding in bindings {
            let in_path = |field: &FieldDescriptor| {
                let variables = binding.template.variables();
                variables
                    .iter()
                    .any(|variable| variable.field == [field.name().to_owned()])
            };
            for field in method.input().fields() {
                let in_url = match &binding.body {
                    BodyRule::None => true,
                    BodyRule::Whole => in_path(&field),
                    BodyRule::Field(body) => body != field.name(),
                };
                if in_url && self.options.is_personal(&field) {
                    self.problem(
                        name,
                        &format!(
                            "{} is personal data and would stand in a URL: bind it to a body",
                            field.name()
                        ),
                    );
                }
            }
        }
    }

    /// A write carries `string request_id` with the rule that it is a UUID, which an empty text is not.
    fn request_id(&mut self, method: &str, input: &MessageDescriptor) {
        let Some(field) = input.get_field_by_name("request_id") else {
            self.problem(
                method,
                &format!("the write has no field request_id in {}", input.full_name()),
            );
            return;
        };
        let is_text = matches!(field.kind(), Kind::String) && !field.is_list();
        let rules = self.options.field_rules(&field);
        let is_uuid = rules.as_ref().is_some_and(|rules| {
            rules
                .get_field_by_name("string")
                .and_then(|rules| rules.as_message()?.get_field_by_name("uuid")?.as_bool())
                .unwrap_or(false)
        });
        let may_be_empty = rules.as_ref().is_some_and(|rules| {
            rules
                .get_field_by_name("ignore")
                .is_some_and(|ignore| ignore.as_enum_number() != Some(0))
        });
        if !is_text || !is_uuid || may_be_empty {
            self.problem(
                field.full_name(),
                "request_id must be a string with (buf.validate.field).string.uuid = true and no ignore",
            );
        }
    }

    fn message(&mut self, message: &MessageDescriptor) {
        if message.is_map_entry() {
            return;
        }
        self.comment(message.path(), message.full_name());
        for field in message.fields() {
            self.comment(field.path(), field.full_name());
        }
        for inner in message.child_messages() {
            self.message(&inner);
        }
        for inner in message.child_enums() {
            self.enumeration(&inner);
        }
    }

    fn enumeration(&mut self, enumeration: &EnumDescriptor) {
        self.comment(enumeration.path(), enumeration.full_name());
        for value in enumeration.values() {
            self.comment(value.path(), value.full_name());
        }
    }
}

/// `onestop.cases.accept`.
fn is_permission(text: &str) -> bool {
    let words: Vec<&str> = text.split('.').collect();
    words.len() == 3
        && words.iter().all(|word| {
            word.starts_with(|letter: char| letter.is_ascii_lowercase())
                && word
                    .bytes()
                    .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_that_are_no_descriptor_set_are_one_problem() {
        assert_eq!(audit(&[0xff]).len(), 1);
    }

    #[test]
    fn a_permission_names_area_resource_and_verb() {
        assert!(is_permission("onestop.cases.accept"));
        assert!(is_permission("identity.role_grants.list"));
        for bad in ["", "cases.accept", "Onestop.cases.accept", "a.b.", "a.b.c.d"] {
            assert!(!is_permission(bad), "{bad}");
        }
    }
}
