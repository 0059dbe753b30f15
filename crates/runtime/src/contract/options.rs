//! Finds the custom options in a descriptor pool.

use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, MessageDescriptor, MethodDescriptor,
    OneofDescriptor, ReflectMessage as _, Value,
};

/// The extensions that this crate reads; `None` where the pool does not define one, and so nobody uses it.
pub(super) struct Options {
    access: Option<ExtensionDescriptor>,
    idempotency: Option<ExtensionDescriptor>,
    personal_data: Option<ExtensionDescriptor>,
    format: Option<ExtensionDescriptor>,
    field: Option<ExtensionDescriptor>,
    message: Option<ExtensionDescriptor>,
    oneof: Option<ExtensionDescriptor>,
}

/// `egov.options.v1.AccessRule`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) permission: String,
    pub(super) public: bool,
    pub(super) sensitive: bool,
    pub(super) purpose_required: bool,
    pub(super) public_reason: String,
}

/// `egov.options.v1.Idempotency`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Idempotency {
    /// The value of the kind without its prefix: `READ`, `REQUEST_ID`, `EXEMPT`, or `UNSPECIFIED`.
    pub(super) kind: String,
    pub(super) exempt_reason: String,
}

impl Options {
    pub(super) fn of(pool: &DescriptorPool) -> Self {
        Self {
            access: pool.get_extension_by_name("egov.options.v1.access"),
            idempotency: pool.get_extension_by_name("egov.options.v1.idempotency"),
            personal_data: pool.get_extension_by_name("egov.options.v1.personal_data"),
            format: pool.get_extension_by_name("egov.options.v1.format"),
            field: pool.get_extension_by_name("buf.validate.field"),
            message: pool.get_extension_by_name("buf.validate.message"),
            oneof: pool.get_extension_by_name("buf.validate.oneof"),
        }
    }

    pub(super) fn access(&self, method: &MethodDescriptor) -> Option<Access> {
        let rule = message(self.access.as_ref(), &method.options())?;
        Some(Access {
            permission: text(&rule, "permission"),
            public: flag(&rule, "public"),
            sensitive: flag(&rule, "sensitive"),
            purpose_required: flag(&rule, "purpose_required"),
            public_reason: text(&rule, "public_reason"),
        })
    }

    pub(super) fn idempotency(&self, method: &MethodDescriptor) -> Option<Idempotency> {
        let rule = message(self.idempotency.as_ref(), &method.options())?;
        let kind = rule.descriptor().get_field_by_name("kind")?;
        Some(Idempotency {
            kind: value_name(&kind.kind(), &rule.get_field(&kind))?,
            exempt_reason: text(&rule, "exempt_reason"),
        })
    }

    pub(super) fn is_personal(&self, field: &FieldDescriptor) -> bool {
        self.personal_data.as_ref().is_some_and(|extension| {
            let level = field.options().get_extension(extension).as_enum_number();
            level.is_some_and(|number| number != 0)
        })
    }

    /// The name of the format of a field, without its prefix; `None` without the option.
    pub(super) fn format(&self, field: &FieldDescriptor) -> Option<String> {
        let extension = self.format.as_ref()?;
        let options = field.options();
        if !options.has_extension(extension) {
            return None;
        }
        value_name(&extension.kind(), &options.get_extension(extension))
    }

    /// `buf.validate.FieldRules` of a field.
    pub(super) fn field_rules(&self, field: &FieldDescriptor) -> Option<DynamicMessage> {
        message(self.field.as_ref(), &field.options())
    }

    /// `buf.validate.MessageRules` of a message.
    pub(super) fn message_rules(&self, descriptor: &MessageDescriptor) -> Option<DynamicMessage> {
        message(self.message.as_ref(), &descriptor.options())
    }

    /// `buf.validate.OneofRules` of a oneof.
    pub(super) fn oneof_rules(&self, oneof: &OneofDescriptor) -> Option<DynamicMessage> {
        message(self.oneof.as_ref(), &oneof.options())
    }
}

fn message(extension: Option<&ExtensionDescriptor>, options: &DynamicMessage) -> Option<DynamicMessage> {
    let extension = extension?;
    if !options.has_extension(extension) {
        return None;
    }
    options.get_extension(extension).as_message().cloned()
}

fn text(message: &DynamicMessage, field: &str) -> String {
    message
        .get_field_by_name(field)
        .and_then(|value| value.as_str().map(ToOwned::to_owned))
        .unwrap_or_default()
}

fn flag(message: &DynamicMessage, field: &str) -> bool {
    message
        .get_field_by_name(field)
        .and_then(|value| value.as_bool())
        .unwrap_or_default()
}

/// The name of an enum's value without the prefix that every value of that enum carries: buf's STANDARD lint wants
/// `FORMAT_PHONE` in `enum Format`.
fn value_name(kind: &prost_reflect::Kind, value: &Value) -> Option<String> {
    let descriptor = kind.as_enum()?;
    let number = value.as_enum_number()?;
    let Some(known) = descriptor.get_value(number) else {
        return Some(number.to_string());
    };
    let prefix = upper_snake(descriptor.name());
    let name = known.name();
    Some(
        name.strip_prefix(&prefix)
            .and_then(|rest| rest.strip_prefix('_'))
            .unwrap_or(name)
            .to_owned(),
    )
}

/// `PersonalData` → `PERSONAL_DATA`.
fn upper_snake(camel: &str) -> String {
    let mut snake = String::with_capacity(camel.len() + 4);
    for (index, letter) in camel.char_indices() {
        if letter.is_ascii_uppercase() && index > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_uppercase());
    }
    snake
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_of_an_enum_is_its_name_in_upper_snake() {
        assert_eq!(upper_snake("Format"), "FORMAT");
        assert_eq!(upper_snake("PersonalData"), "PERSONAL_DATA");
    }
}
