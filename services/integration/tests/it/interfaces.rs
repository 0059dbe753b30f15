//! Interfaces: versions, breaking changes and whom they hit.

use egov_proto::egov::integration::v1::*;
use prost::Message as _;
use prost_types::FileDescriptorSet;
use tonic::Code;

use crate::support::*;

/// Our own contract without a field of a message of this package.
fn without(message: &str, field: &str) -> Vec<u8> {
    let mut set = FileDescriptorSet::decode(egov_proto::FILE_DESCRIPTOR_SET).unwrap();
    for file in &mut set.file {
        for one in &mut file.message_type {
            if file.package.as_deref() == Some("egov.integration.v1") && one.name() == message {
                one.field.retain(|held| held.name() != field);
            }
        }
    }
    set.encode_to_vec()
}

fn publish(service: &Service, document: Vec<u8>, accept_breaking: bool) -> PublishInterfaceRequest {
    PublishInterfaceRequest {
        request_id: request_id(),
        service_id: service.service_id.clone(),
        etag: service.etag.clone(),
        document,
        accept_breaking,
        breaking_reason: if accept_breaking {
            "đã báo trước 90 ngày"
        } else {
            ""
        }
        .to_owned(),
    }
}

#[tokio::test]
async fn a_breaking_document_is_refused_with_each_change_and_the_consumers_that_it_hits() {
    let stack = Stack::start().await;
    let held = agreed(&stack).await;
    let mut caller = stack.staff(PARTNER, PROVIDER);
    let document = without("Agreement", "end_reason");
    let refused = caller
        .interfaces
        .publish_interface(publish(&held.service, document.clone(), false))
        .await;
    let status = refused.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::FailedPrecondition, "INTERFACE_BREAKS".to_owned())
    );
    let fault = egov_fault::fault_of(&status);
    let [only] = fault.preconditions() else {
        panic!("{fault:?}")
    };
    assert_eq!(
        (only.kind.as_str(), only.subject.as_str()),
        ("FIELD_REMOVED", "egov.integration.v1.Agreement.end_reason")
    );
    assert!(only.description.contains(&held.consumer.system.system_id), "{only:?}");
    // Compared beforehand, it says the same and changes nothing.
    let compare = CompareInterfaceRequest {
        service_id: held.service.service_id.clone(),
        document: document.clone(),
    };
    let seen = caller
        .interfaces
        .compare_interface(compare.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        seen.breaking[0].agreement_ids,
        std::slice::from_ref(&held.agreement.agreement_id)
    );
    assert_eq!(
        seen.breaking[0].consumer_system_ids,
        std::slice::from_ref(&held.consumer.system.system_id)
    );
    // A stranger sees what changes, and not who uses it.
    let stranger = stack
        .staff(PARTNER, STRANGER)
        .interfaces
        .compare_interface(compare)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(stranger.breaking.len(), 1);
    assert!(stranger.breaking[0].agreement_ids.is_empty());
    // A method that no agreement names hits nobody.
    let elsewhere = without("Endpoint", "weight");
    let compare = CompareInterfaceRequest {
        service_id: held.service.service_id.clone(),
        document: elsewhere,
    };
    let seen = caller.interfaces.compare_interface(compare).await.unwrap().into_inner();
    assert!(!seen.breaking.is_empty() && seen.breaking.iter().all(|one| one.agreement_ids.is_empty()));
    // Meant, and said why, it becomes the next version.
    let published = caller
        .interfaces
        .publish_interface(publish(&held.service, document, true))
        .await
        .unwrap();
    let published = published.into_inner().interface.unwrap();
    assert_eq!((published.interface_version, published.breaking.len()), (2, 1));
    let list = ListInterfacesRequest {
        service_id: held.service.service_id.clone(),
        ..ListInterfacesRequest::default()
    };
    let versions = stack
        .staff(PARTNER, STRANGER)
        .interfaces
        .list_interfaces(list)
        .await
        .unwrap()
        .into_inner();
    let numbers: Vec<i64> = versions.interfaces.iter().map(|one| one.interface_version).collect();
    assert_eq!(numbers, [2, 1]);
    assert!(
        versions.interfaces[0].breaking[0].consumer_system_ids.is_empty(),
        "a stranger"
    );
}

#[tokio::test]
async fn a_document_that_cannot_be_read_is_refused_with_every_problem() {
    let stack = Stack::start().await;
    let provider = party(&stack, PROVIDER).await;
    let service = service(&stack, &provider).await;
    let mut caller = stack.staff(PARTNER, PROVIDER);
    let status = caller
        .interfaces
        .publish_interface(publish(&service, vec![0xff; 9], false))
        .await
        .unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::InvalidArgument, "INTERFACE_REFUSED".to_owned())
    );
    assert_eq!(egov_fault::fault_of(&status).violations().len(), 1);
    let same = publish(&service, egov_proto::FILE_DESCRIPTOR_SET.to_vec(), false);
    let status = caller.interfaces.publish_interface(same).await.unwrap_err();
    assert_eq!(reason(&status), "INTERFACE_UNCHANGED");
    // An OpenAPI service takes OpenAPI, and says all that is wrong with it.
    let request = RegisterServiceRequest {
        request_id: request_id(),
        system_id: provider.system.system_id.clone(),
        code: "rest".to_owned(),
        title: "REST".to_owned(),
        kind: InterfaceKind::Openapi.into(),
    };
    let rest = caller
        .interfaces
        .register_service(request)
        .await
        .unwrap()
        .into_inner()
        .service
        .unwrap();
    let bad = br#"{"openapi":"2.0","info":{"title":"x"},"paths":{}}"#.to_vec();
    let status = caller
        .interfaces
        .publish_interface(publish(&rest, bad, false))
        .await
        .unwrap_err();
    let problems = egov_fault::fault_of(&status);
    assert_eq!(problems.violations().len(), 3, "{problems:?}");
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/openapi/egov.json");
    let good = std::fs::read(file).unwrap();
    let published = caller
        .interfaces
        .publish_interface(publish(&rest, good.clone(), false))
        .await
        .unwrap();
    let published = published.into_inner().interface.unwrap();
    assert!(published.methods.iter().any(|method| method.starts_with("GET /v1/")));
    let read = GetInterfaceRequest {
        service_id: rest.service_id.clone(),
        interface_version: 0,
    };
    assert_eq!(
        caller
            .interfaces
            .get_interface(read)
            .await
            .unwrap()
            .into_inner()
            .document,
        good
    );
    let missing = GetInterfaceRequest {
        service_id: rest.service_id,
        interface_version: 9,
    };
    let status = caller.interfaces.get_interface(missing).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "INTERFACE_NOT_FOUND".to_owned()));
}
