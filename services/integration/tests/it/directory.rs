//! Organisations, systems, certificates, keys, endpoints.

use egov_proto::egov::integration::v1::*;
use egov_proto::timestamp;
use jiff::SignedDuration;
use jiff::civil::date;
use tonic::Code;

use crate::support::*;

fn pem(name: &str, from: (i32, u8, u8), to: (i32, u8, u8)) -> String {
    let pair = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(from.0, from.1, from.2);
    params.not_after = rcgen::date_time_ymd(to.0, to.1, to.2);
    params.self_signed(&pair).unwrap().pem()
}

#[tokio::test]
async fn an_organisation_keeps_the_history_of_its_codes_of_both_generations() {
    let stack = Stack::start().await;
    let mut caller = stack.staff(PARTNER, CONSUMER);
    let request = organisation_of(CONSUMER);
    let made = caller
        .organisations
        .register_organisation(request.clone())
        .await
        .unwrap();
    let made = made.into_inner().organisation.unwrap();
    let again = caller.organisations.register_organisation(request).await.unwrap();
    assert_eq!(
        again.into_inner().organisation.unwrap(),
        made,
        "the same request, the same answer"
    );
    let change = |code: &str, etag: &str| SetAgencyCodeRequest {
        request_id: request_id(),
        organisation_id: made.organisation_id.clone(),
        etag: etag.to_owned(),
        code: code.to_owned(),
        valid_from: Some(date(2027, 1, 1).into()),
    };
    let status = caller
        .organisations
        .set_agency_code(change("H41.77", "0"))
        .await
        .unwrap_err();
    assert_eq!(refusal(&status), (Code::Aborted, "STALE_ETAG".to_owned()));
    let status = caller
        .organisations
        .set_agency_code(change("H4", &made.etag))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "AGENCY_CODE_REFUSED");
    let changed = caller
        .organisations
        .set_agency_code(change("H41.77", &made.etag))
        .await
        .unwrap();
    let changed = changed.into_inner().organisation.unwrap();
    let held: Vec<(&str, bool)> = changed
        .agency_codes
        .iter()
        .map(|held| (held.code.as_str(), held.valid_to.is_some()))
        .collect();
    assert_eq!(held, [("000.00.02.H41", false), ("H41.2", true), ("H41.77", false)]);
    // A code that is in use, or will be, is one organisation's.
    let mut other = organisation_of(PROVIDER);
    other.agency_codes = vec!["H41.77".to_owned()];
    let mut neighbour = stack.staff(PARTNER, PROVIDER);
    let status = neighbour
        .organisations
        .register_organisation(other.clone())
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "AGENCY_CODE_TAKEN");
    other.request_id = request_id();
    other.agency_codes = vec!["H41.3".to_owned(), "H41.4".to_owned()];
    let status = neighbour
        .organisations
        .register_organisation(other.clone())
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "AGENCY_CODE_REFUSED");
    other.request_id = request_id();
    other.agency_codes.clear();
    other.member_code = "H41.2".to_owned();
    let status = neighbour.organisations.register_organisation(other).await.unwrap_err();
    assert_eq!(reason(&status), "MEMBER_TAKEN");
    // By a code of today it is found; the one of the new year is not of today.
    let find = |code: &str| ListOrganisationsRequest {
        agency_code: code.to_owned(),
        ..ListOrganisationsRequest::default()
    };
    let found = neighbour.organisations.list_organisations(find("H41.2")).await.unwrap();
    assert_eq!(found.into_inner().organisations, std::slice::from_ref(&changed));
    let found = neighbour
        .organisations
        .list_organisations(find("H41.77"))
        .await
        .unwrap();
    assert!(found.into_inner().organisations.is_empty());
    let history = ListDirectoryChangesRequest {
        resource_id: made.organisation_id.clone(),
        ..ListDirectoryChangesRequest::default()
    };
    let changes = caller
        .organisations
        .list_directory_changes(history)
        .await
        .unwrap()
        .into_inner()
        .changes;
    let words: Vec<&str> = changes.iter().map(|one| one.change.as_str()).collect();
    assert_eq!(words, ["agency_code_set", "organisation_registered"]);
    assert!(changes[0].document.contains("H41.77"));
}

#[tokio::test]
async fn an_organisation_is_read_by_every_partner_and_by_nobody_without_a_role() {
    let stack = Stack::start().await;
    let mut owner = stack.staff(PARTNER, CONSUMER);
    let made = owner
        .organisations
        .register_organisation(organisation_of(CONSUMER))
        .await
        .unwrap()
        .into_inner()
        .organisation
        .unwrap();
    let by_id = |id: &str| GetOrganisationRequest {
        organisation_id: id.to_owned(),
    };
    // The directory is a catalogue: the neighbour reads it too.
    for role in [PARTNER, ADMIN, "integration_auditor"] {
        for unit in [CONSUMER, STRANGER] {
            let mut caller = stack.staff(role, unit);
            let read = caller
                .organisations
                .get_organisation(by_id(&made.organisation_id))
                .await;
            let read = read.unwrap().into_inner().organisation.unwrap();
            assert_eq!(read, made, "{role} of unit {unit}");
        }
    }
    let mut mediator = stack.mediator();
    let status = mediator
        .organisations
        .get_organisation(by_id(&made.organisation_id))
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    let status = owner
        .organisations
        .get_organisation(by_id(&request_id()))
        .await
        .unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "ORGANISATION_NOT_FOUND".to_owned()));
    let status = owner.organisations.get_organisation(by_id("H41.2")).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn certificates_overlap_while_they_are_rotated_and_one_is_withdrawn_at_once() {
    let stack = Stack::start().await;
    let held = party(&stack, CONSUMER).await;
    let mut caller = stack.staff(PARTNER, CONSUMER);
    let mut system = held.system;
    let add = |system: &System, certificate_pem: String| AddCertificateRequest {
        request_id: request_id(),
        system_id: system.system_id.clone(),
        etag: system.etag.clone(),
        certificate_pem,
    };
    let first = pem("one.test", (2026, 1, 1), (2027, 1, 1));
    for certificate in [first.clone(), pem("two.test", (2026, 11, 1), (2028, 1, 1))] {
        let answer = caller.systems.add_certificate(add(&system, certificate)).await.unwrap();
        system = answer.into_inner().system.unwrap();
    }
    assert_eq!(system.certificates.len(), 2);
    let status = caller.systems.add_certificate(add(&system, first)).await.unwrap_err();
    assert_eq!(reason(&status), "CERTIFICATE_TAKEN");
    for refused in [pem("old.test", (2020, 1, 1), (2021, 1, 1)), "no certificate".to_owned()] {
        let status = caller.systems.add_certificate(add(&system, refused)).await.unwrap_err();
        assert_eq!(
            refusal(&status),
            (Code::InvalidArgument, "CERTIFICATE_REFUSED".to_owned())
        );
    }
    let withdraw = |system: &System| WithdrawCertificateRequest {
        request_id: request_id(),
        system_id: system.system_id.clone(),
        etag: system.etag.clone(),
        certificate_id: system.certificates[0].certificate_id.clone(),
        reason: "mất khóa".to_owned(),
    };
    let answer = caller.systems.withdraw_certificate(withdraw(&system)).await.unwrap();
    let system = answer.into_inner().system.unwrap();
    assert!(system.certificates[0].withdraw_time.is_some() && system.certificates[1].withdraw_time.is_none());
    let status = caller
        .systems
        .withdraw_certificate(withdraw(&system))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "CERTIFICATE_NOT_FOUND");
    let read = GetSystemRequest {
        system_id: system.system_id.clone(),
    };
    let read = caller
        .systems
        .get_system(read)
        .await
        .unwrap()
        .into_inner()
        .system
        .unwrap();
    assert_eq!(read, system);
}

#[tokio::test]
async fn a_private_or_foreign_key_is_refused_and_a_key_id_is_one_of_its_organisation() {
    let stack = Stack::start().await;
    let held = party(&stack, CONSUMER).await;
    let mut caller = stack.staff(PARTNER, CONSUMER);
    let add = |public_jwk: String, hours: i64| AddSigningKeyRequest {
        request_id: request_id(),
        system_id: held.system.system_id.clone(),
        etag: held.system.etag.clone(),
        public_jwk,
        valid_from: None,
        valid_to: Some(timestamp(stack.now() + SignedDuration::from_hours(hours))),
    };
    let private = held.key.jwk().replace("\"x\"", "\"d\":\"AA\",\"x\"");
    for (jwk, hours, expected) in [
        (private, 1, "SIGNING_KEY_REFUSED"),
        (r#"{"kty":"oct","k":"AA"}"#.to_owned(), 1, "SIGNING_KEY_REFUSED"),
        (Key::new(99).jwk(), -1, "SIGNING_KEY_REFUSED"),
        (held.key.jwk(), 1, "SIGNING_KEY_TAKEN"),
    ] {
        let status = caller.systems.add_signing_key(add(jwk, hours)).await.unwrap_err();
        assert_eq!(reason(&status), expected);
    }
}

#[tokio::test]
async fn a_client_id_and_a_subsystem_code_are_taken_once() {
    let stack = Stack::start().await;
    let held = party(&stack, CONSUMER).await;
    let mut caller = stack.staff(PARTNER, CONSUMER);
    let request = |client: &str, subsystem: &str| RegisterSystemRequest {
        request_id: request_id(),
        organisation_id: held.organisation.organisation_id.clone(),
        name: "Khác".to_owned(),
        client_id: client.to_owned(),
        subsystem_code: subsystem.to_owned(),
    };
    let status = caller
        .systems
        .register_system(request("client-2", "other"))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "CLIENT_TAKEN");
    let status = caller
        .systems
        .register_system(request("client-9", "main"))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "SUBSYSTEM_TAKEN");
    caller
        .systems
        .register_system(request("client-9", "other"))
        .await
        .unwrap();
    let list = |size: i32, token: String| ListSystemsRequest {
        page_size: size,
        page_token: token,
        organisation_id: held.organisation.organisation_id.clone(),
    };
    let first = caller
        .systems
        .list_systems(list(1, String::new()))
        .await
        .unwrap()
        .into_inner();
    let second = caller
        .systems
        .list_systems(list(1, first.next_page_token))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((first.systems.len(), second.systems.len()), (1, 1));
    assert!(second.next_page_token.is_empty() && first.systems != second.systems);
}

#[tokio::test]
async fn what_was_closed_stays_closed() {
    let stack = Stack::start().await;
    let held = party(&stack, CONSUMER).await;
    let mut caller = stack.staff(PARTNER, CONSUMER);
    let change = |etag: &str, state: SystemState| ChangeSystemStateRequest {
        request_id: request_id(),
        system_id: held.system.system_id.clone(),
        etag: etag.to_owned(),
        state: state.into(),
        reason: "sắp xếp".to_owned(),
    };
    let closed = caller
        .systems
        .change_system_state(change(&held.system.etag, SystemState::Closed))
        .await;
    let closed = closed.unwrap().into_inner().system.unwrap();
    let status = caller
        .systems
        .change_system_state(change(&closed.etag, SystemState::Active))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "STATE_NOT_ALLOWED");
}

#[tokio::test]
async fn endpoints_are_probed_and_show_how_they_were_seen() {
    let stack = Stack::start().await;
    let provider = party(&stack, PROVIDER).await;
    let service = service(&stack, &provider).await;
    let mut caller = stack.staff(PARTNER, PROVIDER);
    let add = |url: &str| AddEndpointRequest {
        request_id: request_id(),
        service_id: service.service_id.clone(),
        url: url.to_owned(),
        weight: 10,
        health_path: String::new(),
    };
    let status = caller.interfaces.add_endpoint(add("https://a.test")).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::InvalidArgument, "ENDPOINT_REFUSED".to_owned()));
    // The service itself offers gRPC health; on the other port nobody listens.
    let own = stack.address.replace("http://", "grpc://");
    let free = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    caller.interfaces.add_endpoint(add(&own)).await.unwrap();
    let away = caller
        .interfaces
        .add_endpoint(add(&format!("grpc://{free}")))
        .await
        .unwrap();
    let away = away.into_inner().endpoint.unwrap();
    assert_eq!(egov_integration::probe_once(&stack.pool).await.unwrap(), 2);
    let get = || GetServiceRequest {
        service_id: service.service_id.clone(),
    };
    let seen = caller
        .interfaces
        .get_service(get())
        .await
        .unwrap()
        .into_inner()
        .service
        .unwrap();
    let seen: Vec<(&str, bool, bool)> = seen
        .endpoints
        .iter()
        .map(|one| (one.url.as_str(), one.healthy, one.check_time.is_some()))
        .collect();
    assert_eq!(seen, [(own.as_str(), true, true), (away.url.as_str(), false, true)]);
    let change = |state: EndpointState| ChangeEndpointRequest {
        request_id: request_id(),
        service_id: service.service_id.clone(),
        endpoint_id: away.endpoint_id.clone(),
        weight: 1,
        state: state.into(),
        reason: "bảo trì".to_owned(),
    };
    let changed = caller
        .interfaces
        .change_endpoint(change(EndpointState::Draining))
        .await
        .unwrap();
    assert_eq!(changed.into_inner().endpoint.unwrap().state(), EndpointState::Draining);
    caller
        .interfaces
        .change_endpoint(change(EndpointState::Removed))
        .await
        .unwrap();
    let status = caller
        .interfaces
        .change_endpoint(change(EndpointState::Active))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "ENDPOINT_NOT_FOUND");
    let left = caller
        .interfaces
        .get_service(get())
        .await
        .unwrap()
        .into_inner()
        .service
        .unwrap();
    assert_eq!(left.endpoints.len(), 1);
}
