//! A FileDescriptorSet that somebody uploaded: read, and turned into the shape of an interface.

use std::collections::BTreeMap;

use prost_reflect::{
    Cardinality as Label, DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, MethodDescriptor,
};

use super::shape::{Cardinality, FieldShape, FieldType, MethodShape, Shape, TypeShape, Way};

/// The most bytes of a document.
pub const MAX_DOCUMENT_BYTES: usize = 2 * 1024 * 1024;

/// The shape of a descriptor set.
///
/// # Errors
/// Every problem, in English.
pub(crate) fn shape(document: &[u8]) -> Result<Shape, Vec<String>> {
    let pool = pool(document)?;
    let mut shape = Shape::default();
    for method in pool
        .services()
        .flat_map(|service| service.methods().collect::<Vec<_>>())
    {
        let streams = (method.is_client_streaming(), method.is_server_streaming());
        shape.methods.insert(
            name_of(&method),
            MethodShape {
                client_streaming: streams.0,
                server_streaming: streams.1,
                input: method.input().full_name().to_owned(),
                output: method.output().full_name().to_owned(),
            },
        );
    }
    for message in pool.all_messages().filter(|message| !message.is_map_entry()) {
        shape.types.insert(message.full_name().to_owned(), type_of(&message));
    }
    for of in pool.all_enums() {
        shape.enums.insert(of.full_name().to_owned(), values(&of));
    }
    Ok(shape)
}

/// The descriptors of a document.
///
/// # Errors
/// Every problem, in English.
pub fn pool(document: &[u8]) -> Result<DescriptorPool, Vec<String>> {
    if document.len() > MAX_DOCUMENT_BYTES {
        return Err(vec![format!(
            "the document has {} bytes; at most {MAX_DOCUMENT_BYTES} are taken",
            document.len()
        )]);
    }
    let pool = egov_transcode::foreign_contracts(document)
        .map_err(|error| vec![format!("it is not a FileDescriptorSet with all its imports: {error}")])?;
    let mut problems = Vec::new();
    if pool.services().len() == 0 {
        problems.push("it describes no service".to_owned());
    }
    for service in pool.services() {
        if service.methods().len() == 0 {
            problems.push(format!("the service {} has no method", service.full_name()));
        }
    }
    for message in pool.all_messages() {
        for field in message.fields().filter(FieldDescriptor::is_group) {
            problems.push(format!("{} is a group, which is not taken", field.full_name()));
        }
    }
    if problems.is_empty() { Ok(pool) } else { Err(problems) }
}

/// The full name of a method as permits have it: `package.Service/Method`.
fn name_of(method: &MethodDescriptor) -> String {
    format!("{}/{}", method.parent_service().full_name(), method.name())
}

fn type_of(message: &MessageDescriptor) -> TypeShape {
    TypeShape {
        way: Way::Both,
        fields: message
            .fields()
            .map(|field| (field.name().to_owned(), field_of(&field)))
            .collect(),
    }
}

fn field_of(field: &FieldDescriptor) -> FieldShape {
    let mut kind = field.kind();
    let mut cardinality = if field.is_list() {
        Cardinality::Repeated
    } else {
        Cardinality::Single
    };
    let mut key = None;
    if let (true, Kind::Message(entry)) = (field.is_map(), &kind) {
        cardinality = Cardinality::Map;
        key = Some(format!("{:?}", entry.map_entry_key_field().kind()).to_lowercase());
        kind = entry.map_entry_value_field().kind();
    }
    let kind = match kind {
        Kind::Message(of) => FieldType::Message(of.full_name().to_owned()),
        Kind::Enum(of) => FieldType::Enum(of.full_name().to_owned()),
        scalar => FieldType::Scalar(format!("{scalar:?}").to_lowercase()),
    };
    let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic());
    FieldShape {
        number: field.number(),
        kind: match (kind, key) {
            // The keys of a map are part of its type.
            (FieldType::Scalar(value), Some(key)) => FieldType::Scalar(format!("map<{key}, {value}>")),
            (kind, _) => kind,
        },
        cardinality,
        required: field.cardinality() == Label::Required,
        oneof: oneof.map(|oneof| oneof.name().to_owned()),
        // Those of an enum are the shape's.
        values: Vec::new(),
    }
}

fn values(of: &EnumDescriptor) -> BTreeMap<String, i32> {
    of.values()
        .map(|value| (value.name().to_owned(), value.number()))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::shape::{BreakingKind, compare};

    #[test]
    fn our_own_contracts_are_read_and_equal_to_themselves() {
        let shape = shape(egov_proto::FILE_DESCRIPTOR_SET).unwrap();
        let method = &shape.methods["egov.integration.v1.AgreementService/SignAgreement"];
        assert_eq!(method.input, "egov.integration.v1.SignAgreementRequest");
        let found = shape
            .field(
                "egov.integration.v1.GetAgreementResponse",
                "agreement.current.terms.methods.predicates.in.values",
            )
            .unwrap();
        assert!(found.through_many);
        assert_eq!(found.field.kind, FieldType::Scalar("string".to_owned()));
        assert_eq!(compare(&shape, &shape), []);
    }

    #[test]
    fn a_field_taken_out_of_a_real_contract_is_named_with_the_methods_that_use_it() {
        use prost_reflect::prost::Message as _;
        use prost_reflect::prost_types::FileDescriptorSet;
        let before = shape(egov_proto::FILE_DESCRIPTOR_SET).unwrap();
        let mut set = FileDescriptorSet::decode(egov_proto::FILE_DESCRIPTOR_SET).unwrap();
        for file in &mut set.file {
            for message in &mut file.message_type {
                if file.package.as_deref() == Some("egov.integration.v1") && message.name() == "Endpoint" {
                    message.field.retain(|field| field.name() != "weight");
                }
            }
        }
        let after = shape(&set.encode_to_vec()).unwrap();
        let found = compare(&before, &after);
        assert_eq!(found.len(), 1);
        let [only] = &found[..] else { panic!("{found:?}") };
        assert_eq!(only.kind, BreakingKind::FieldRemoved);
        assert_eq!(only.element, "egov.integration.v1.Endpoint.weight");
        let uses = "egov.integration.v1.InterfaceService/AddEndpoint".to_owned();
        assert!(only.methods.contains(&uses), "{:?}", only.methods);
        assert!(!only.methods.iter().any(|method| method.contains("Agreement")));
    }

    #[test]
    fn what_describes_nothing_is_refused_with_every_problem() {
        assert_eq!(shape(&[]).unwrap_err(), ["it describes no service"]);
        assert_eq!(shape(&[0xff, 0xff]).unwrap_err().len(), 1);
        assert_eq!(shape(&vec![0; MAX_DOCUMENT_BYTES + 1]).unwrap_err().len(), 1);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = shape(&bytes);
        }
    }
}
