//! Who may call what: every RPC of the contract for every role, own unit and neighbour.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use egov_auth::{Access, Policies, Resource, Unit, UnitTree};
use egov_proto::egov::integration::v1::*;
use egov_proto::timestamp;
use egov_runtime::contract::{Contract, Formats};
use egov_testkit::Tokens;
use jiff::SignedDuration;
use jiff::civil::date;
use sqlx::Connection as _;
use tonic::Code;
use uuid::Uuid;

use egov_proto::egov::integration::v1::mailbox_service_client::MailboxServiceClient;

use crate::door::{CHANGE, World, person, superuser};
use crate::support::*;

/// role × RPC × own/neighbour unit, from the same decision function that the service asks. The checked-in table is what a
/// reviewer of a policy reads; `EGOV_WRITE_MATRIX=1 cargo test` writes it anew. An agreement has two units: either counts.
#[tokio::test]
async fn the_access_matrix_is_the_one_that_was_reviewed() {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/policies");
    let policy = std::fs::read_to_string(deploy.join("integration.toml")).unwrap();
    let unit = |id, parent| Unit { id, parent };
    let units = [
        unit(PROVINCE, None),
        unit(CONSUMER, Some(PROVINCE)),
        unit(PROVIDER, Some(PROVINCE)),
    ];
    let access = Access::new(
        Policies::from_toml(&[("integration.toml", &policy)]).unwrap(),
        Arc::new(ArcSwap::from_pointee(UnitTree::new(1, units).unwrap())),
    );
    let contract = Contract::with_formats(&egov_proto::POOL, &Formats::of_law()).unwrap();
    let tokens = Tokens::new();
    let verifier = egov_auth::Verifier::new(
        vec![egov_auth::Issuer::from_config(tokens.issuer()).unwrap()],
        egov_testkit::clock().shared(),
        egov_auth::VerifierConfig::default(),
    );
    let at = |role: &str, unit: i32| tokens.staff(Uuid::from_u128(9), &[(role, unit)]);
    let callers = [
        ("admin of province", at(ADMIN, PROVINCE)),
        ("integration_admin", at(ADMIN, CONSUMER)),
        ("integration_partner", at(PARTNER, CONSUMER)),
        ("integration_auditor", at("integration_auditor", CONSUMER)),
        (
            "integration_mediator",
            tokens.system(Uuid::from_u128(7), &[("integration_mediator", 0)]),
        ),
        ("no role", tokens.staff(Uuid::from_u128(9), &[])),
    ];
    let services = [
        "OrganisationService",
        "SystemService",
        "InterfaceService",
        "AgreementService",
        "PermitService",
        "ExchangeService",
        "TrafficService",
    ];
    let mut rules: Vec<_> = contract
        .method_rules()
        .into_iter()
        .filter(|rule| {
            let name = rule
                .path
                .strip_prefix("/egov.integration.v1.")
                .and_then(|rest| rest.split_once('/'));
            name.is_some_and(|(service, _)| services.contains(&service))
        })
        .collect();
    rules.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(
        rules.len(),
        46,
        "every RPC of the directory and of the record of the door is in the table"
    );
    let mut table =
        String::from("RPC × caller: o = of the own unit, n = the neighbour's; - = refused; * = for a purpose\n\n");
    write!(table, "{:<44}", "").unwrap();
    for (name, _) in &callers {
        write!(table, " | {name:^20}").unwrap();
    }
    table.push('\n');
    for rule in rules {
        let name = rule.path.trim_start_matches("/egov.integration.v1.");
        // Such an RPC is called for a purpose or not at all; for one it is decided here.
        let purpose = rule.purpose_required.then_some("case_handling");
        let name = if purpose.is_some() {
            format!("{name} *")
        } else {
            name.to_owned()
        };
        write!(table, "{name:<44}").unwrap();
        for (_, token) in &callers {
            let principal = verifier.verify(token).await.unwrap();
            let mut cell = String::new();
            for (letter, row) in [('o', CONSUMER), ('n', PROVIDER)] {
                let permission = rule.permission.as_deref().unwrap();
                let allowed = access
                    .decide(&principal, permission, &Resource::of_unit(row), purpose)
                    .allowed;
                cell.push(if allowed { letter } else { '-' });
            }
            write!(table, " | {cell:^20}").unwrap();
        }
        table.push('\n');
    }
    let path = deploy.join("integration.matrix.txt");
    if std::env::var_os("EGOV_WRITE_MATRIX").is_some() {
        std::fs::write(&path, &table).unwrap();
    }
    let reviewed = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(
        table, reviewed,
        "the policy changed: look at the new table, then write it with EGOV_WRITE_MATRIX=1"
    );
}

/// Calls every write of the directory and of agreements as this caller; the code of each answer.
async fn every_write(stack: &Stack, caller: &Caller, held: &Agreed) -> Vec<(&'static str, Code)> {
    let mut called = Vec::new();
    macro_rules! act {
        ($client:ident.$method:ident, $request:ident { $($field:ident: $value:expr),* $(,)? }) => {
            let request = $request { request_id: request_id(), $($field: $value,)* ..Default::default() };
            let answer = caller.clone().$client.$method(request).await;
            called.push((stringify!($method), answer.map_or_else(|status| status.code(), |_| Code::Ok)));
        };
    }
    let why = || "vì vậy".to_owned();
    let (organisation, system) = (&held.provider.organisation, &held.provider.system);
    let (organisation_id, system_id) = (organisation.organisation_id.clone(), system.system_id.clone());
    let service_id = held.service.service_id.clone();
    let (agreement_id, etag) = (held.agreement.agreement_id.clone(), held.agreement.etag.clone());
    let hour = |hours| Some(timestamp(stack.now() + SignedDuration::from_hours(hours)));
    act!(
        organisations.register_organisation,
        RegisterOrganisationRequest {
            responsible_unit_id: PROVIDER,
            name: why(),
            member_class: "GOV".to_owned(),
            member_code: "X".to_owned(),
        }
    );
    act!(
        organisations.update_organisation,
        UpdateOrganisationRequest {
            organisation_id: organisation_id.clone(),
            etag: organisation.etag.clone(),
            name: why(),
            member_class: "GOV".to_owned(),
            member_code: "X".to_owned(),
        }
    );
    act!(
        organisations.set_agency_code,
        SetAgencyCodeRequest {
            organisation_id: organisation_id.clone(),
            etag: organisation.etag.clone(),
            code: "H41.99".to_owned(),
            valid_from: Some(date(2027, 1, 1).into()),
        }
    );
    act!(
        organisations.change_organisation_state,
        ChangeOrganisationStateRequest {
            organisation_id: organisation_id.clone(),
            etag: organisation.etag.clone(),
            state: 2,
            reason: why(),
        }
    );
    act!(
        systems.register_system,
        RegisterSystemRequest {
            organisation_id: organisation_id.clone(),
            name: why(),
            client_id: "client-x".to_owned(),
            subsystem_code: "x".to_owned(),
        }
    );
    act!(
        systems.update_system,
        UpdateSystemRequest {
            system_id: system_id.clone(),
            etag: system.etag.clone(),
            name: why(),
        }
    );
    act!(
        systems.change_system_state,
        ChangeSystemStateRequest {
            system_id: system_id.clone(),
            etag: system.etag.clone(),
            state: 2,
            reason: why(),
        }
    );
    act!(
        systems.add_certificate,
        AddCertificateRequest {
            system_id: system_id.clone(),
            etag: system.etag.clone(),
            certificate_pem: why(),
        }
    );
    act!(
        systems.withdraw_certificate,
        WithdrawCertificateRequest {
            system_id: system_id.clone(),
            etag: system.etag.clone(),
            certificate_id: request_id(),
            reason: why(),
        }
    );
    act!(
        systems.add_signing_key,
        AddSigningKeyRequest {
            system_id: system_id.clone(),
            etag: system.etag.clone(),
            public_jwk: Key::new(50).jwk(),
            valid_to: hour(1),
        }
    );
    act!(
        systems.withdraw_signing_key,
        WithdrawSigningKeyRequest {
            system_id: system_id.clone(),
            etag: system.etag.clone(),
            key_id: held.provider.key.kid.clone(),
            reason: why(),
        }
    );
    act!(
        interfaces.register_service,
        RegisterServiceRequest {
            system_id: system_id.clone(),
            code: "x".to_owned(),
            title: why(),
            kind: 1,
        }
    );
    act!(
        interfaces.update_service,
        UpdateServiceRequest {
            service_id: service_id.clone(),
            etag: held.service.etag.clone(),
            title: why(),
            state: 2,
            reason: why(),
        }
    );
    act!(
        interfaces.publish_interface,
        PublishInterfaceRequest {
            service_id: service_id.clone(),
            etag: held.service.etag.clone(),
            document: vec![1],
        }
    );
    act!(
        interfaces.add_endpoint,
        AddEndpointRequest {
            service_id: service_id.clone(),
            url: "grpc://a.test".to_owned(),
            weight: 1,
        }
    );
    act!(
        interfaces.change_endpoint,
        ChangeEndpointRequest {
            service_id: service_id.clone(),
            endpoint_id: request_id(),
            weight: 1,
            state: 1,
            reason: why(),
        }
    );
    act!(
        agreements.create_agreement,
        CreateAgreementRequest {
            consumer_system_id: held.consumer.system.system_id.clone(),
            service_id: service_id.clone(),
            terms: Some(terms(stack)),
        }
    );
    act!(
        agreements.amend_agreement,
        AmendAgreementRequest {
            agreement_id: agreement_id.clone(),
            etag: etag.clone(),
            terms: Some(terms(stack)),
        }
    );
    act!(
        agreements.offer_agreement,
        OfferAgreementRequest {
            agreement_id: agreement_id.clone(),
            etag: etag.clone()
        }
    );
    act!(
        agreements.sign_agreement,
        SignAgreementRequest {
            agreement_id: agreement_id.clone(),
            side: 1,
            agreement_version: 1,
            jws: "a.b.ccccccc".to_owned(),
        }
    );
    act!(
        agreements.suspend_agreement,
        SuspendAgreementRequest {
            agreement_id: agreement_id.clone(),
            etag: etag.clone(),
            reason: why(),
        }
    );
    act!(
        agreements.resume_agreement,
        ResumeAgreementRequest {
            agreement_id: agreement_id.clone(),
            etag: etag.clone(),
            reason: why(),
        }
    );
    act!(
        agreements.revoke_agreement,
        RevokeAgreementRequest {
            agreement_id: agreement_id.clone(),
            etag: etag.clone(),
            reason: why(),
        }
    );
    act!(
        agreements.delegate_agreement,
        DelegateAgreementRequest {
            agreement_id: agreement_id.clone(),
            etag: etag.clone(),
            system_id: request_id(),
            valid_from: hour(0),
            valid_to: hour(1),
        }
    );
    act!(
        agreements.end_delegation,
        EndDelegationRequest {
            agreement_id: agreement_id.clone(),
            delegation_id: request_id(),
            reason: why(),
        }
    );
    called
}

#[tokio::test]
async fn every_write_is_forbidden_to_who_may_only_read_and_to_the_neighbour() {
    let stack = Stack::start().await;
    let held = agreed(&stack).await;
    let auditor = stack.staff("integration_auditor", PROVINCE);
    for (act, code) in every_write(&stack, &auditor, &held).await {
        assert_eq!(code, Code::PermissionDenied, "{act} by an auditor of the province");
    }
    // Entries of the directory are known to all and kept by their unit; agreements are known to their sides.
    let stranger = stack.staff(PARTNER, STRANGER);
    for (act, code) in every_write(&stack, &stranger, &held).await {
        let agreement = act.ends_with("_agreement") && act != "create_agreement" || act == "end_delegation";
        let expected = if agreement {
            Code::NotFound
        } else {
            Code::PermissionDenied
        };
        assert_eq!(code, expected, "{act} by the partner of another unit");
    }
    let get = GetAgreementRequest {
        agreement_id: held.agreement.agreement_id.clone(),
    };
    let read = stack
        .staff("integration_auditor", PROVIDER)
        .agreements
        .get_agreement(get)
        .await
        .unwrap();
    assert_eq!(
        read.into_inner().agreement.unwrap(),
        held.agreement,
        "none of it changed anything"
    );
}

#[tokio::test]
async fn an_agreement_is_seen_by_both_sides_and_by_nobody_else() {
    let stack = Stack::start().await;
    let held = agreed(&stack).await;
    let get = || GetAgreementRequest {
        agreement_id: held.agreement.agreement_id.clone(),
    };
    let list = ListAgreementsRequest::default;
    for unit in [CONSUMER, PROVIDER, PROVINCE] {
        let mut caller = stack.staff(PARTNER, unit);
        let read = caller.agreements.get_agreement(get()).await.unwrap().into_inner();
        assert_eq!(read.agreement.unwrap(), held.agreement);
        assert_eq!(
            caller
                .agreements
                .list_agreements(list())
                .await
                .unwrap()
                .into_inner()
                .agreements
                .len(),
            1
        );
    }
    let mut stranger = stack.staff(PARTNER, STRANGER);
    let status = stranger.agreements.get_agreement(get()).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "AGREEMENT_NOT_FOUND".to_owned()));
    assert!(
        stranger
            .agreements
            .list_agreements(list())
            .await
            .unwrap()
            .into_inner()
            .agreements
            .is_empty()
    );
    let changes = ListAgreementChangesRequest {
        agreement_id: held.agreement.agreement_id.clone(),
        ..ListAgreementChangesRequest::default()
    };
    let status = stranger.agreements.list_agreement_changes(changes).await.unwrap_err();
    assert_eq!(reason(&status), "AGREEMENT_NOT_FOUND");
}

/// The second wall: with the queries' own filter left out, the database still shows and takes nothing beyond the scope.
#[tokio::test]
async fn row_level_security_holds_to_the_scope_where_a_query_forgets_to() {
    let stack = Stack::start().await;
    let held = agreed(&stack).await;
    let mut app = sqlx::PgConnection::connect(&stack.database.app_url).await.unwrap();
    let id = Uuid::try_parse(&held.agreement.agreement_id).unwrap();
    for (units, seen) in [("{4}", 0_i64), ("{2}", 1), ("{3}", 1)] {
        let mut transaction = app.begin().await.unwrap();
        sqlx::query("SELECT set_config('egov.scope_units', $1, true), set_config('egov.scope_all', 'off', true)")
            .bind(units)
            .execute(&mut *transaction)
            .await
            .unwrap();
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM agreements WHERE agreement_id = $1")
            .bind(id)
            .fetch_one(&mut *transaction)
            .await
            .unwrap();
        assert_eq!(count, seen, "{units}");
        // The catalogue is read by all, and changed by whoever keeps the entry.
        let changed = sqlx::query("UPDATE organisations SET name = 'x' WHERE responsible_unit_id = 3")
            .execute(&mut *transaction)
            .await
            .unwrap();
        assert_eq!(changed.rows_affected(), u64::from(units == "{3}"), "{units}");
        transaction.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn without_a_token_nothing_answers() {
    let stack = Stack::start().await;
    let status = stack
        .caller("no token".to_owned())
        .organisations
        .list_organisations(ListOrganisationsRequest::default())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::Unauthenticated);
}

/// A request of whoever holds a token.
fn bearing<T>(token: &str, message: T) -> tonic::Request<T> {
    let mut request = tonic::Request::new(message);
    request
        .metadata_mut()
        .insert("authorization", format!("Bearer {token}").parse().unwrap());
    request
}

#[tokio::test]
async fn a_body_whose_time_is_over_does_not_leave_though_no_sweep_has_come_to_it() {
    let world = World::start(|terms| {
        terms.record_requests = true;
        terms.retention_days = 1;
    })
    .await;
    let answer = world.call(CHANGE, person("a")).await.unwrap();
    let exchange = answer.metadata().get("x-egov-exchange").unwrap().to_str().unwrap();
    let read = async || {
        let mut request = tonic::Request::new(GetExchangeBodiesRequest {
            exchange_id: exchange.to_owned(),
            ..GetExchangeBodiesRequest::default()
        });
        request
            .metadata_mut()
            .insert("x-egov-purpose", "case_handling".parse().unwrap());
        let mut caller = world.stack.staff(PARTNER, CONSUMER);
        let answer = caller.exchanges.get_exchange_bodies(request).await.unwrap();
        answer.into_inner().request.unwrap()
    };
    assert_eq!(read().await.state(), BodyState::Kept);
    let mut superuser = superuser(&world.stack).await;
    // Nobody sweeps: the lease is another's.
    let lease = world
        .stack
        .pool
        .acquire_lease("integration.exchanges", std::time::Duration::from_hours(1000))
        .await
        .unwrap();
    sqlx::query("UPDATE exchange_bodies SET expire_time = $1::timestamptz")
        .bind(world.stack.now().to_string())
        .execute(&mut superuser)
        .await
        .unwrap();
    let gone = read().await;
    assert_eq!((gone.state(), gone.content.len()), (BodyState::Deleted, 0));
    assert_eq!(gone.delete_time, gone.expire_time);
    if lease.is_some() {
        let kept: bool = sqlx::query_scalar("SELECT bool_and(sealed IS NOT NULL) FROM exchange_bodies")
            .fetch_one(&mut superuser)
            .await
            .unwrap();
        assert!(kept, "it was there");
    }
    let reads: i64 = sqlx::query_scalar("SELECT count(*) FROM egov.read_records")
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert_eq!(reads, 1, "what did not leave was not read");
}

#[tokio::test]
async fn a_message_that_cannot_be_opened_keeps_no_other_from_its_receiver_and_is_not_said_to_be_read() {
    let stack = Stack::start().await;
    party(&stack, CONSUMER).await;
    party(&stack, PROVIDER).await;
    let mut mail = MailboxServiceClient::connect(stack.address.clone()).await.unwrap();
    let system = |id, unit| {
        let roles = [("integration_mail_system", unit)];
        stack.tokens.system(Uuid::from_u128(id), &roles)
    };
    let sender = system(21, CONSUMER);
    let made = CreateMailboxRequest {
        request_id: request_id(),
        sender_unit_id: CONSUMER,
        receiver_unit_id: PROVIDER,
        sender_agency: "H41.2".to_owned(),
        receiver_agency: "H41.3".to_owned(),
        max_age: None,
        max_messages: 0,
    };
    let admin = stack.token("integration_mailbox_admin", PROVINCE);
    let made = mail.create_mailbox(bearing(&admin, made)).await.unwrap().into_inner();
    let mailbox_id = made.mailbox.unwrap().mailbox_id;
    let person = Uuid::from_u128(7);
    let mut sent = Vec::new();
    for content in ["một", "hai"] {
        let message = SendMessageRequest {
            request_id: request_id(),
            mailbox_id: mailbox_id.clone(),
            kind: "vn.edxml.document".to_owned(),
            media_type: "application/xml".to_owned(),
            content: content.as_bytes().to_vec().into(),
            subject_ids: vec![person.to_string()],
        };
        let mut request = bearing(&sender, message);
        request
            .metadata_mut()
            .insert("x-egov-purpose", "case_handling".parse().unwrap());
        let receipt = mail.send_message(request).await.unwrap().into_inner().receipt.unwrap();
        sent.push(receipt.message_id);
    }
    let mut superuser = superuser(&stack).await;
    // As a row whose key was lost: the id of the key stands in the first bytes.
    let keep = "CREATE TABLE kept_content AS SELECT message_id, content FROM mailbox_messages";
    sqlx::query(keep).execute(&mut superuser).await.unwrap();
    sqlx::query(
        "UPDATE mailbox_messages SET content = overlay(content PLACING 'zzzz'::bytea FROM 3) WHERE message_id = $1::uuid",
    )
    .bind(&sent[0])
    .execute(&mut superuser)
    .await
    .unwrap();
    let fetch = async |mail: &mut MailboxServiceClient<_>| {
        let message = FetchMessagesRequest {
            mailbox_id: mailbox_id.clone(),
            max_messages: 0,
        };
        let fetched = mail
            .fetch_messages(bearing(&system(22, PROVIDER), message))
            .await
            .unwrap();
        let ids = fetched.into_inner().messages.into_iter().map(|one| one.message_id);
        ids.collect::<Vec<_>>()
    };
    assert_eq!(fetch(&mut mail).await, [sent[1].clone()]);
    let state = async |id: &str| {
        let message = GetMessageReceiptRequest {
            message_id: id.to_owned(),
        };
        let receipt = MailboxServiceClient::connect(stack.address.clone())
            .await
            .unwrap()
            .get_message_receipt(bearing(&sender, message))
            .await
            .unwrap();
        receipt.into_inner().receipt.unwrap().state()
    };
    assert_eq!(state(&sent[0]).await, MessageState::Waiting, "nobody has it");
    assert_eq!(state(&sent[1]).await, MessageState::Fetched);
    let read: Vec<Vec<String>> = sqlx::query_scalar("SELECT resources FROM egov.read_records")
        .fetch_all(&mut superuser)
        .await
        .unwrap();
    assert_eq!(read, [[format!("mailbox-messages/{}", sent[1])]]);

    // Its key is found again.
    sqlx::query(
        "UPDATE mailbox_messages m SET content = k.content FROM kept_content k WHERE k.message_id = m.message_id",
    )
    .execute(&mut superuser)
    .await
    .unwrap();
    assert_eq!(
        fetch(&mut mail).await,
        Vec::<String>::new(),
        "it comes no sooner than one that was fetched"
    );
    stack.clock.advance(SignedDuration::from_mins(10));
    assert_eq!(fetch(&mut mail).await, sent);
}
