//! What the contracts say about their own use, read from the descriptors once, when a service starts.
//!
//! A contract states with every RPC who may call it (`egov.options.v1.access`), with every field which values it
//! takes (`buf.validate.field`, `egov.options.v1.format`) and which fields are personal data. [`Contract`] compiles
//! these options into a plan per message and a rule per method, so that no handler repeats them. A rule that this
//! crate does not implement is an error at start: silently ignoring it would let through what the contract forbids.
//!
//! # Adding a rule
//! Add an arm to the function of its type in `rules/`, with its text in both languages, and a field that uses it to
//! `tests/protos/egov/runtime/test/v1/rules.proto`.

mod audit;
mod formats;
mod plan;
mod rules;

use std::collections::{BTreeSet, HashMap};
use std::fmt;

use egov_auth::MethodRule;
use egov_fault::Fault;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage, Value};

pub use formats::{FormatCheck, Formats};

use egov_proto::options::Options;
use plan::Plans;

/// Packages that are not ours: they carry neither access rules nor our comments.
const FOREIGN: [&str; 4] = ["google", "buf", "grpc", "opentelemetry"];

/// Whether a package belongs to somebody else.
fn is_foreign(package: &str) -> bool {
    let first = package.split('.').next().unwrap_or_default();
    FOREIGN.contains(&first)
}

/// The compiled options of a set of contracts.
pub struct Contract {
    pool: DescriptorPool,
    plans: Plans,
    methods: Vec<MethodRule>,
    /// Numbers of the personal fields, by the full name of their message.
    personal: HashMap<String, Vec<u32>>,
    personal_names: BTreeSet<String>,
}

/// Why a set of contracts cannot be served: every reason, not the first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the contracts cannot be served: {}", problems.join("; "))]
pub struct ContractError {
    /// One sentence for each problem; it names the field or the RPC and the rule.
    pub problems: Vec<String>,
}

impl Contract {
    /// Compiles the options of every message and method of `pool`, in which no field names a format of its own.
    ///
    /// # Errors
    /// See [`Contract::with_formats`].
    pub fn from_pool(pool: &DescriptorPool) -> Result<Self, ContractError> {
        Self::with_formats(pool, &Formats::new())
    }

    /// Compiles the options of every message and method of `pool`; `formats` gives the meaning of the names that the
    /// contracts use in `egov.options.v1.format`.
    ///
    /// # Errors
    /// Names every field with a rule that is not implemented, contradictory or meant for another type, with a pattern
    /// that does not compile or a format that `formats` does not know, and every RPC without an access rule.
    pub fn with_formats(pool: &DescriptorPool, formats: &Formats) -> Result<Self, ContractError> {
        let options = Options::of(pool);
        let mut problems = Vec::new();
        let plans = Plans::compile(pool, &options, Some(formats), &mut problems);

        let mut methods = Vec::new();
        for service in pool.services().filter(|service| !is_foreign(service.package_name())) {
            for method in service.methods() {
                match options.access(&method) {
                    // Without a permission the auth layer would let in everybody who has a token.
                    Some(access) if access.permission.is_empty() && !access.public => {
                        problems.push(format!(
                            "{}: access is neither public nor names a permission",
                            method.full_name()
                        ));
                    }
                    Some(access) => methods.push(MethodRule {
                        path: format!("/{}/{}", service.full_name(), method.name()),
                        permission: Some(access.permission).filter(|name| !name.is_empty()),
                        public: access.public,
                        sensitive: access.sensitive,
                        purpose_required: access.purpose_required,
                    }),
                    None => problems.push(format!(
                        "{}: the option egov.options.v1.access is missing",
                        method.full_name()
                    )),
                }
            }
        }

        let mut personal: HashMap<String, Vec<u32>> = HashMap::new();
        let mut personal_names = BTreeSet::new();
        for message in pool.all_messages() {
            for field in message.fields().filter(|field| options.is_personal(field)) {
                personal
                    .entry(message.full_name().to_owned())
                    .or_default()
                    .push(field.number());
                personal_names.insert(field.name().to_owned());
            }
        }

        if !problems.is_empty() {
            return Err(ContractError { problems });
        }
        Ok(Self {
            pool: pool.clone(),
            plans,
            methods,
            personal,
            personal_names,
        })
    }

    /// Everything in which an encoded descriptor set falls short of the house's rules for contracts: an RPC without
    /// access or idempotency option or without a binding to HTTP, personal data that would stand in a URL, a write without
    /// `request_id`, an RPC, message, field, enum or value without a
    /// leading comment, a validation rule that is not implemented. An empty list means that nothing does.
    ///
    /// `file_descriptor_set` must hold source information, or every comment counts as missing.
    pub fn audit(file_descriptor_set: &[u8]) -> Vec<String> {
        audit::audit(file_descriptor_set)
    }

    /// Who may call which RPC, for [`egov_auth::AuthLayer`].
    pub fn method_rules(&self) -> Vec<MethodRule> {
        self.methods.clone()
    }

    /// The descriptors.
    pub fn pool(&self) -> &DescriptorPool {
        &self.pool
    }

    /// Checks a message against every rule of its contract, nested messages included.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` / `INVALID_FIELD` with every violation: path of the field, rule, Vietnamese and English
    /// text. `INTERNAL` if the message is not part of this contract, which is a mistake of the service.
    pub fn validate<M: ReflectMessage>(&self, message: &M) -> Result<(), Fault> {
        let descriptor = message.descriptor();
        let Some(plan) = self.plans.of(descriptor.full_name()) else {
            return Err(Fault::internal(format!(
                "message {} is not part of the contract",
                descriptor.full_name()
            )));
        };
        if !plan.needed() {
            return Ok(());
        }
        let violations = self.plans.check(plan, &message.transcode_to_dynamic());
        if violations.is_empty() {
            Ok(())
        } else {
            Err(Fault::invalid(violations))
        }
    }

    /// A copy of `message` in which every field that its contract marks as personal data is unset, at any depth: the
    /// only form in which a message may appear in a log.
    pub fn without_personal_data<M: ReflectMessage>(&self, message: &M) -> DynamicMessage {
        let mut copy = message.transcode_to_dynamic();
        self.clear_personal_data(&mut copy);
        copy
    }

    fn clear_personal_data(&self, message: &mut DynamicMessage) {
        if let Some(numbers) = self.personal.get(message.descriptor().full_name()) {
            for number in numbers {
                message.clear_field_by_number(*number);
            }
        }
        for (_, value) in message.fields_mut() {
            match value {
                Value::Message(inner) => self.clear_personal_data(inner),
                Value::List(items) => items
                    .iter_mut()
                    .filter_map(Value::as_message_mut)
                    .for_each(|inner| self.clear_personal_data(inner)),
                Value::Map(entries) => entries
                    .values_mut()
                    .filter_map(Value::as_message_mut)
                    .for_each(|inner| self.clear_personal_data(inner)),
                _ => {}
            }
        }
    }

    /// The names of all fields that some contract marks as personal data, for the redaction of logs.
    pub fn personal_field_names(&self) -> &BTreeSet<String> {
        &self.personal_names
    }
}

impl fmt::Debug for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Contract")
            .field("methods", &self.methods.len())
            .field("messages", &self.plans.len())
            .finish_non_exhaustive()
    }
}
