//! The options of the contracts (`egov.options.v1`, `buf.validate`), found in any descriptor pool.
//!
//! They are read by name and not from [`crate::POOL`], so that a pool of other contracts, a test's for example, is read in
//! the same way. Who checks messages, who guards RPCs and who describes them in OpenAPI all read them here.

use prost_reflect::{
    DescriptorPool, DynamicMessage, ExtensionDescriptor, FieldDescriptor, MessageDescriptor, MethodDescriptor,
    OneofDescriptor, ReflectMessage as _, Value,
};

/// The options of one pool.
///
/// An extension that the pool does not define is one that nobody in it uses.
#[derive(Clone, Debug)]
pub struct Options {
    access: Option<ExtensionDescriptor>,
    idempotency: Option<ExtensionDescriptor>,
    act: Option<ExtensionDescriptor>,
    deprecation: Option<ExtensionDescriptor>,
    personal_data: Option<ExtensionDescriptor>,
    format: Option<ExtensionDescriptor>,
    field: Option<ExtensionDescriptor>,
    message: Option<ExtensionDescriptor>,
    oneof: Option<ExtensionDescriptor>,
}

/// `egov.options.v1.AccessRule`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Access {
    /// The permission that a grant must give; empty for a public RPC.
    pub permission: String,
    /// Whether no token is needed.
    pub public: bool,
    /// Whether it must not run on a stale list of revocations.
    pub sensitive: bool,
    /// Whether the caller must say why it reads.
    pub purpose_required: bool,
    /// Why it is public.
    pub public_reason: String,
}

/// `egov.options.v1.Idempotency`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Idempotency {
    /// The value of the kind without its prefix: `READ`, `REQUEST_ID`, `EXEMPT`, or `UNSPECIFIED`.
    pub kind: String,
    /// Why an exempt RPC needs no request id.
    pub exempt_reason: String,
}

/// `egov.options.v1.Act`: what an RPC does, in words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Act {
    /// In Vietnamese.
    pub vi: String,
    /// In English.
    pub en: String,
}

/// `egov.options.v1.Deprecation`: until when a deprecated RPC is served.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deprecation {
    /// Since which day callers should go over, as written.
    pub since: String,
    /// The first day on which it may be gone, as written.
    pub sunset: String,
    /// What to call instead.
    pub instead: String,
}

/// Whether the contract marks a method `deprecated = true`.
pub fn is_deprecated(method: &MethodDescriptor) -> bool {
    let options = method.options();
    options
        .get_field_by_name("deprecated")
        .and_then(|value| value.as_bool())
        .unwrap_or_default()
}

impl Options {
    /// Finds the extensions of a pool.
    pub fn of(pool: &DescriptorPool) -> Self {
        Self {
            access: pool.get_extension_by_name("egov.options.v1.access"),
            idempotency: pool.get_extension_by_name("egov.options.v1.idempotency"),
            act: pool.get_extension_by_name("egov.options.v1.act"),
            deprecation: pool.get_extension_by_name("egov.options.v1.deprecation"),
            personal_data: pool.get_extension_by_name("egov.options.v1.personal_data"),
            format: pool.get_extension_by_name("egov.options.v1.format"),
            field: pool.get_extension_by_name("buf.validate.field"),
            message: pool.get_extension_by_name("buf.validate.message"),
            oneof: pool.get_extension_by_name("buf.validate.oneof"),
        }
    }

    /// Who may call an RPC; `None` without the option.
    pub fn access(&self, method: &MethodDescriptor) -> Option<Access> {
        let rule = message(self.access.as_ref(), &method.options())?;
        Some(Access {
            permission: text(&rule, "permission"),
            public: flag(&rule, "public"),
            sensitive: flag(&rule, "sensitive"),
            purpose_required: flag(&rule, "purpose_required"),
            public_reason: text(&rule, "public_reason"),
        })
    }

    /// How an RPC is safe under repetition; `None` without the option.
    pub fn idempotency(&self, method: &MethodDescriptor) -> Option<Idempotency> {
        let rule = message(self.idempotency.as_ref(), &method.options())?;
        let kind = rule.descriptor().get_field_by_name("kind")?;
        Some(Idempotency {
            kind: value_name(&kind.kind(), &rule.get_field(&kind))?,
            exempt_reason: text(&rule, "exempt_reason"),
        })
    }

    /// Whether a field is marked as personal data.
    pub fn is_personal(&self, field: &FieldDescriptor) -> bool {
        self.personal_data(field).is_some()
    }

    /// How sensitive the personal data of a field is (`BASIC`, `SENSITIVE`, `SECRET`); `None` if it is none.
    pub fn personal_data(&self, field: &FieldDescriptor) -> Option<String> {
        let extension = self.personal_data.as_ref()?;
        let options = field.options();
        let level = options.get_extension(extension);
        (level.as_enum_number()? != 0).then(|| value_name(&extension.kind(), &level))?
    }

    /// The name of the format of a field, without its prefix; `None` without the option.
    pub fn format(&self, field: &FieldDescriptor) -> Option<String> {
        let extension = self.format.as_ref()?;
        let options = field.options();
        if !options.has_extension(extension) {
            return None;
        }
        value_name(&extension.kind(), &options.get_extension(extension))
    }

    /// What a method does, in words.
    pub fn act(&self, method: &MethodDescriptor) -> Option<Act> {
        let act = message(self.act.as_ref(), &method.options())?;
        Some(Act {
            vi: text(&act, "vi"),
            en: text(&act, "en"),
        })
    }

    /// Until when a method is served.
    pub fn deprecation(&self, method: &MethodDescriptor) -> Option<Deprecation> {
        let deprecation = message(self.deprecation.as_ref(), &method.options())?;
        Some(Deprecation {
            since: text(&deprecation, "since"),
            sunset: text(&deprecation, "sunset"),
            instead: text(&deprecation, "instead"),
        })
    }

    /// `buf.validate.FieldRules` of a field.
    pub fn field_rules(&self, field: &FieldDescriptor) -> Option<DynamicMessage> {
        message(self.field.as_ref(), &field.options())
    }

    /// `buf.validate.MessageRules` of a message.
    pub fn message_rules(&self, descriptor: &MessageDescriptor) -> Option<DynamicMessage> {
        message(self.message.as_ref(), &descriptor.options())
    }

    /// `buf.validate.OneofRules` of a oneof.
    pub fn oneof_rules(&self, oneof: &OneofDescriptor) -> Option<DynamicMessage> {
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
