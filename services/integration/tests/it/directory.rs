//! Organisations, systems, certificates, keys, endpoints.

use egov_proto::egov::integration::v1::mailbox_service_client::MailboxServiceClient;
use egov_proto::egov::integration::v1::*;
use egov_proto::timestamp;
use jiff::SignedDuration;
use jiff::civil::{Date, date};
use tonic::{Code, Request};
use uuid::Uuid;

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
    let give = |code: &str, from: Date, etag: &str| SetAgencyCodeRequest {
        request_id: request_id(),
        organisation_id: made.organisation_id.clone(),
        etag: etag.to_owned(),
        code: code.to_owned(),
        valid_from: Some(from.into()),
    };
    let change = |code: &str, etag: &str| give(code, date(2027, 1, 1), etag);
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
    // The unit tree has one code of the unit; the others are given by whoever keeps the directory of the whole province.
    let status = caller
        .organisations
        .set_agency_code(change("H41.77", &made.etag))
        .await
        .unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::FailedPrecondition, "AGENCY_CODE_UNCONFIRMED".to_owned())
    );
    let mut admin = stack.staff(ADMIN, PROVINCE);
    let older = admin
        .organisations
        .set_agency_code(give("000.00.02.H41", date(2026, 11, 23), &made.etag))
        .await
        .unwrap();
    let older = older.into_inner().organisation.unwrap();
    let changed = admin
        .organisations
        .set_agency_code(change("H41.77", &older.etag))
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
    assert_eq!(words, ["agency_code_set", "agency_code_set", "organisation_registered"]);
    assert!(changes[0].document.contains("H41.77"));
}

#[tokio::test]
async fn an_agency_code_is_the_units_that_the_unit_tree_or_the_province_names_and_not_who_registers_it_first() {
    let stack = Stack::start().await;
    let (partner, admin) = (stack.staff(PARTNER, STRANGER), stack.staff(ADMIN, PROVINCE));
    let unconfirmed = (Code::FailedPrecondition, "AGENCY_CODE_UNCONFIRMED".to_owned());
    let claim = |unit_id: i32, member: &str, codes: &[&str]| RegisterOrganisationRequest {
        unit_id,
        member_code: member.to_owned(),
        agency_codes: codes.iter().map(|code| (*code).to_owned()).collect(),
        ..organisation_of(STRANGER)
    };
    // Another's code, for the own unit or an organisation outside, and codes that the tree does not have.
    for (unit_id, code, named) in [
        (STRANGER, "H41.2", Some("2")),
        (0, "H41.2", Some("2")),
        (STRANGER, "000.00.04.H41", None),
        (0, "G09.20", None),
    ] {
        let request = claim(unit_id, "other", &[code]);
        let status = partner
            .organisations
            .clone()
            .register_organisation(request)
            .await
            .unwrap_err();
        assert_eq!(refusal(&status), unconfirmed, "{code}");
        let fault = egov_fault::fault_of(&status);
        assert_eq!(fault.metadata()["agency_code"], code);
        assert_eq!(fault.metadata().get("named_unit_id").map(String::as_str), named);
    }
    // What the province has issued to another not even its administrator gives away; and a system decides nothing.
    let system = stack.tokens.system(Uuid::from_u128(5), &[(PARTNER, PROVINCE)]);
    for (caller, code) in [
        (&admin, "H41.2"),
        (&stack.caller(system), "000.00.04.H41"),
        (&stack.staff(ADMIN, STRANGER), "000.00.04.H41"),
    ] {
        let request = claim(STRANGER, "other", &[code]);
        let status = caller
            .organisations
            .clone()
            .register_organisation(request)
            .await
            .unwrap_err();
        assert_eq!(refusal(&status), unconfirmed, "{code}");
    }
    let all = ListOrganisationsRequest::default();
    let left = partner.organisations.clone().list_organisations(all).await.unwrap();
    assert!(left.into_inner().organisations.is_empty());

    // The code that the tree names for the unit, though provisional; one of the other generation by the province's decision.
    let own = claim(STRANGER, "H41.4", &["H41.4"]);
    let own = partner.organisations.clone().register_organisation(own).await.unwrap();
    let own = own.into_inner().organisation.unwrap();
    let give = |of: &Organisation, code: &str| SetAgencyCodeRequest {
        request_id: request_id(),
        organisation_id: of.organisation_id.clone(),
        etag: of.etag.clone(),
        code: code.to_owned(),
        valid_from: Some(date(2026, 11, 23).into()),
    };
    let request = give(&own, "000.00.04.H41");
    let given = admin
        .organisations
        .clone()
        .set_agency_code(request.clone())
        .await
        .unwrap();
    let given = given.into_inner().organisation.unwrap();
    assert_eq!(given.agency_codes.len(), 2);
    let again = admin.organisations.clone().set_agency_code(request).await.unwrap();
    assert_eq!(again.into_inner().organisation.unwrap(), given);

    // Nobody gets a code by saying later which unit the organisation is that has it.
    let outside = claim(0, "MOJ", &[]);
    let outside = partner
        .organisations
        .clone()
        .register_organisation(outside)
        .await
        .unwrap();
    let request = give(&outside.into_inner().organisation.unwrap(), "G09.20");
    let outside = admin.organisations.clone().set_agency_code(request).await.unwrap();
    let outside = outside.into_inner().organisation.unwrap();
    let update = |caller: &Caller, unit_id: i32| {
        let request = UpdateOrganisationRequest {
            request_id: request_id(),
            organisation_id: outside.organisation_id.clone(),
            etag: outside.etag.clone(),
            name: outside.name.clone(),
            member_class: outside.member_class.clone(),
            member_code: outside.member_code.clone(),
            unit_id,
            contact: outside.contact.clone(),
        };
        let mut organisations = caller.organisations.clone();
        async move { organisations.update_organisation(request).await }
    };
    let status = update(&partner, STRANGER).await.unwrap_err();
    assert_eq!(refusal(&status), unconfirmed);
    update(&partner, 0).await.unwrap();

    // Whoever was first to register a code that the province then issues to another does not use it.
    let mut neighbour = stack.staff(PARTNER, CONSUMER);
    neighbour
        .organisations
        .register_organisation(organisation_of(CONSUMER))
        .await
        .unwrap();
    let mail = MailboxServiceClient::connect(stack.address.clone()).await.unwrap();
    let token = stack.token("integration_mailbox_admin", PROVINCE);
    let create_between = |sender: (i32, &str), receiver: (i32, &str)| {
        let mut request = Request::new(CreateMailboxRequest {
            request_id: request_id(),
            sender_unit_id: sender.0,
            receiver_unit_id: receiver.0,
            sender_agency: sender.1.to_owned(),
            receiver_agency: receiver.1.to_owned(),
            max_age: None,
            max_messages: 0,
        });
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        let mut mail = mail.clone();
        async move { mail.create_mailbox(request).await }
    };
    let create = || create_between((STRANGER, "H41.4"), (CONSUMER, "H41.2"));
    stack
        .tree_says(2, &[(CONSUMER, "H41.2", true), (PROVIDER, "H41.4", true)])
        .await;
    let status = create().await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::FailedPrecondition, "AGENCY_CODE_NOT_OF_UNIT".to_owned())
    );
    assert_eq!(egov_fault::fault_of(&status).metadata()["agency_code"], "H41.4");
    stack.tree_says(3, &AGENCIES).await;
    create().await.unwrap();

    // The unit closes: who has its work acts under its code as well, the unit itself no more, and nobody else.
    let issued = [(CONSUMER, "H41.2", true), (STRANGER, "H41.4", true)];
    let write_to = |unit_id: i32| create_between((CONSUMER, "H41.2"), (unit_id, "H41.4"));
    for (version, successor) in [(4, PROVINCE), (5, PROVIDER)] {
        let closed = (STRANGER, successor, date(2026, 11, 1));
        stack.tree_says_that_one_follows(version, &issued, closed).await;
        let status = write_to(STRANGER).await.unwrap_err();
        assert_eq!(reason(&status), "AGENCY_CODE_NOT_OF_UNIT");
        let to_provider = write_to(PROVIDER).await;
        let refused = to_provider.err().map(|status| reason(&status));
        let expected = (successor != PROVIDER).then(|| "AGENCY_CODE_NOT_OF_UNIT".to_owned());
        assert_eq!(refused, expected, "{successor} has its work");
    }
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
    // Where nobody's service lies, in whatever form it is written; where services may lie otherwise, Destinations judges.
    for inner in [
        "grpc://169.254.169.254",
        "grpc://[::ffff:169.254.169.254]:80",
        "grpcs://[fe80::1]",
        "grpc://0.0.0.0:50051",
        "grpc://2852039166",
    ] {
        let status = caller.interfaces.add_endpoint(add(inner)).await.unwrap_err();
        assert_eq!(reason(&status), "ENDPOINT_REFUSED", "{inner}");
    }
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
    let probed = egov_integration::probe_once(&stack.pool, &destinations()).await;
    assert_eq!(probed.unwrap(), 2);
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
    // One that lies elsewhere by now, as a name may, is not looked at: neither over gRPC nor over HTTP.
    let strict = egov_integration::config::EndpointsSection::default().open(&[]).unwrap();
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let rebound = own.replace("grpc://", "http://");
    sqlx::query("UPDATE endpoints SET url = $1 WHERE endpoint_id = $2::uuid")
        .bind(&rebound)
        .bind(&away.endpoint_id)
        .execute(&mut superuser)
        .await
        .unwrap();
    for (destinations, looked) in [(destinations(), true), (strict, false)] {
        stack.clock.advance(jiff::SignedDuration::from_secs(1));
        egov_integration::probe_once(&stack.pool, &destinations).await.unwrap();
        let seen = caller.interfaces.get_service(get()).await.unwrap().into_inner();
        let endpoints = seen.service.unwrap().endpoints;
        let refused = |one: &Endpoint| one.health_detail.contains("on the machine of the platform");
        assert_eq!(endpoints[0].healthy, looked, "{endpoints:?}");
        assert!(endpoints.iter().all(|one| refused(one) != looked), "{endpoints:?}");
    }
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
