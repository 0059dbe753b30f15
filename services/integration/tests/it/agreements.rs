//! Agreements: signed by both, amended, suspended, revoked, delegated, narrowed.

use egov_clock::vietnam;
use egov_integration::{FieldUse, add_field_use};
use egov_proto::egov::integration::v1::*;
use egov_proto::timestamp;
use jiff::SignedDuration;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::*;

async fn suspend(stack: &Stack, role: &str, unit: i32, agreement: &Agreement) -> Result<Agreement, Status> {
    let request = SuspendAgreementRequest {
        request_id: request_id(),
        agreement_id: agreement.agreement_id.clone(),
        etag: agreement.etag.clone(),
        reason: "sự cố".to_owned(),
    };
    let answer = stack.staff(role, unit).agreements.suspend_agreement(request).await?;
    Ok(answer.into_inner().agreement.unwrap())
}

async fn resume(stack: &Stack, role: &str, unit: i32, agreement: &Agreement) -> Result<Agreement, Status> {
    let request = ResumeAgreementRequest {
        request_id: request_id(),
        agreement_id: agreement.agreement_id.clone(),
        etag: agreement.etag.clone(),
        reason: "đã khắc phục".to_owned(),
    };
    let answer = stack.staff(role, unit).agreements.resume_agreement(request).await?;
    Ok(answer.into_inner().agreement.unwrap())
}

pub async fn revoke(stack: &Stack, role: &str, unit: i32, agreement: &Agreement) -> Result<Agreement, Status> {
    let request = RevokeAgreementRequest {
        request_id: request_id(),
        agreement_id: agreement.agreement_id.clone(),
        etag: agreement.etag.clone(),
        reason: "hết nhu cầu".to_owned(),
    };
    let answer = stack.staff(role, unit).agreements.revoke_agreement(request).await?;
    Ok(answer.into_inner().agreement.unwrap())
}

#[tokio::test]
async fn an_agreement_comes_into_force_with_the_signatures_of_both_sides() {
    let stack = Stack::start().await;
    let (consumer, provider) = (party(&stack, CONSUMER).await, party(&stack, PROVIDER).await);
    let service = service(&stack, &provider).await;
    let drafted = draft(&stack, &consumer, &service, terms(&stack)).await;
    assert_eq!(drafted.state(), AgreementState::Draft);
    let early = sign(&stack, &consumer, Side::Consumer, &drafted).await.unwrap_err();
    assert_eq!(
        refusal(&early),
        (Code::FailedPrecondition, "AGREEMENT_STATE".to_owned())
    );
    assert_eq!(egov_fault::fault_of(&early).metadata()["state"], "draft");
    let offered = offer(&stack, CONSUMER, &drafted).await.unwrap();
    assert_eq!(offered.state(), AgreementState::Offered);
    let one = sign(&stack, &provider, Side::Provider, &offered).await.unwrap();
    assert_eq!(one.state(), AgreementState::SignedByProvider);
    let twice = sign(&stack, &provider, Side::Provider, &offered).await.unwrap_err();
    assert_eq!(reason(&twice), "ALREADY_SIGNED");
    let both = sign(&stack, &consumer, Side::Consumer, &offered).await.unwrap();
    assert_eq!(both.state(), AgreementState::InForce);
    let current = both.current.unwrap();
    assert_eq!(current.signatures.len(), 2);
    // What was signed says who, for what and on which basis, in the form of RFC 8785.
    let signed: serde_json::Value = serde_json::from_str(&current.canonical).unwrap();
    assert_eq!(signed["consumer"]["system_id"], consumer.system.system_id);
    assert_eq!(signed["legal_basis"], "NĐ 278/2025/NĐ-CP");
    let changes = ListAgreementChangesRequest {
        agreement_id: both.agreement_id,
        ..ListAgreementChangesRequest::default()
    };
    let changes = stack
        .staff(PARTNER, PROVIDER)
        .agreements
        .list_agreement_changes(changes)
        .await
        .unwrap();
    let words: Vec<String> = changes.into_inner().changes.into_iter().map(|one| one.change).collect();
    assert_eq!(
        words,
        [
            "agreement_agreed",
            "agreement_signed",
            "agreement_offered",
            "agreement_drafted"
        ]
    );
}

#[tokio::test]
async fn a_signature_that_is_not_of_this_side_and_this_text_is_refused() {
    let stack = Stack::start().await;
    let (consumer, provider) = (party(&stack, CONSUMER).await, party(&stack, PROVIDER).await);
    let service = service(&stack, &provider).await;
    let drafted = draft(&stack, &consumer, &service, terms(&stack)).await;
    let offered = offer(&stack, PROVIDER, &drafted).await.unwrap();
    let text = offered.pending.clone().unwrap().canonical;
    let stranger = Key::new(77);
    for (jws, why) in [
        (provider.key.sign(&text), "the other side's key"),
        (stranger.sign(&text), "a key that nobody registered"),
        (consumer.key.sign(&text.replace("600", "601")), "another text"),
        ("not.a.signature".to_owned(), "no signature"),
    ] {
        let status = sign_with(&stack, CONSUMER, Side::Consumer, &offered, jws)
            .await
            .unwrap_err();
        assert_eq!(
            refusal(&status),
            (Code::InvalidArgument, "SIGNATURE_REFUSED".to_owned()),
            "{why}"
        );
    }
    // A side signs for itself only.
    let for_other = sign_with(&stack, CONSUMER, Side::Provider, &offered, provider.key.sign(&text)).await;
    assert_eq!(for_other.unwrap_err().code(), Code::PermissionDenied);
    // A key that was withdrawn signs nothing any more.
    let withdraw = WithdrawSigningKeyRequest {
        request_id: request_id(),
        system_id: consumer.system.system_id.clone(),
        etag: consumer.system.etag.clone(),
        key_id: consumer.key.kid.clone(),
        reason: "lộ khóa".to_owned(),
    };
    stack
        .staff(PARTNER, CONSUMER)
        .systems
        .withdraw_signing_key(withdraw)
        .await
        .unwrap();
    let status = sign(&stack, &consumer, Side::Consumer, &offered).await.unwrap_err();
    assert_eq!(reason(&status), "SIGNATURE_REFUSED");
}

#[tokio::test]
async fn terms_that_do_not_fit_the_interface_are_refused_with_every_problem() {
    let stack = Stack::start().await;
    let (consumer, provider) = (party(&stack, CONSUMER).await, party(&stack, PROVIDER).await);
    let service = service(&stack, &provider).await;
    let mut bad = terms(&stack);
    bad.methods[0].method = "egov.integration.v1.AgreementService/*".to_owned();
    bad.methods[1].mask = vec!["agreement.secret".to_owned()];
    bad.methods[1].predicates = vec![Predicate {
        field: "agreement_id.deeper".to_owned(),
        rule: Some(predicate::Rule::Present(true)),
    }];
    bad.record_requests = true;
    let request = CreateAgreementRequest {
        request_id: request_id(),
        consumer_system_id: consumer.system.system_id.clone(),
        service_id: service.service_id.clone(),
        terms: Some(bad),
    };
    let status = stack
        .staff(PARTNER, CONSUMER)
        .agreements
        .create_agreement(request)
        .await
        .unwrap_err();
    assert_eq!(refusal(&status), (Code::InvalidArgument, "TERMS_REFUSED".to_owned()));
    let fault = egov_fault::fault_of(&status);
    let fields: Vec<&str> = fault.violations().iter().map(|one| one.field.as_str()).collect();
    assert_eq!(fields.len(), 4, "{fields:?}");
}

#[tokio::test]
async fn an_amendment_needs_both_again_and_the_old_version_stays_till_then() {
    let stack = Stack::start().await;
    let held = agreed(&stack).await;
    let mut next = terms(&stack);
    next.methods.truncate(1);
    let amend = AmendAgreementRequest {
        request_id: request_id(),
        agreement_id: held.agreement.agreement_id.clone(),
        etag: held.agreement.etag.clone(),
        terms: Some(next),
    };
    let amended = stack
        .staff(PARTNER, PROVIDER)
        .agreements
        .amend_agreement(amend.clone())
        .await
        .unwrap();
    let amended = amended.into_inner().agreement.unwrap();
    let stale = AmendAgreementRequest {
        request_id: request_id(),
        ..amend
    };
    let status = stack
        .staff(PARTNER, PROVIDER)
        .agreements
        .amend_agreement(stale)
        .await
        .unwrap_err();
    assert_eq!(refusal(&status), (Code::Aborted, "STALE_ETAG".to_owned()));
    let offered = offer(&stack, PROVIDER, &amended).await.unwrap();
    let half = sign(&stack, &held.provider, Side::Provider, &offered).await.unwrap();
    assert_eq!(half.state(), AgreementState::InForce);
    assert_eq!(half.current.as_ref().unwrap().agreement_version, 1);
    let both = sign(&stack, &held.consumer, Side::Consumer, &offered).await.unwrap();
    assert_eq!(both.current.unwrap().agreement_version, 2);
    assert!(both.pending.is_none());
}

#[tokio::test]
async fn either_side_or_the_administrator_suspends_and_revokes() {
    let stack = Stack::start().await;
    let held = agreed(&stack).await;
    let suspended = suspend(&stack, PARTNER, PROVIDER, &held.agreement).await.unwrap();
    assert_eq!(suspended.state(), AgreementState::Suspended);
    let status = resume(&stack, PARTNER, CONSUMER, &suspended).await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::PermissionDenied, "SUSPENDED_BY_OTHER".to_owned())
    );
    let resumed = resume(&stack, ADMIN, PROVINCE, &suspended).await.unwrap();
    assert_eq!(resumed.state(), AgreementState::InForce);
    let revoked = revoke(&stack, PARTNER, CONSUMER, &resumed).await.unwrap();
    assert_eq!(
        (revoked.state(), revoked.end_reason.as_str()),
        (AgreementState::Revoked, "hết nhu cầu")
    );
    let status = revoke(&stack, ADMIN, PROVINCE, &revoked).await.unwrap_err();
    assert_eq!(reason(&status), "AGREEMENT_STATE");
}

#[tokio::test]
async fn an_agreement_ends_on_its_last_day_and_the_history_says_so() {
    let stack = Stack::start().await;
    let held = agreed(&stack).await;
    stack.clock.advance(SignedDuration::from_hours(24 * 100));
    let get = || GetAgreementRequest {
        agreement_id: held.agreement.agreement_id.clone(),
    };
    let read = stack
        .staff(PARTNER, CONSUMER)
        .agreements
        .get_agreement(get())
        .await
        .unwrap();
    assert_eq!(read.into_inner().agreement.unwrap().state(), AgreementState::Expired);
    let ended = egov_integration::expire_once(&stack.pool).await.unwrap();
    assert_eq!(ended, 1);
    assert_eq!(egov_integration::expire_once(&stack.pool).await.unwrap(), 0);
    let changes = ListAgreementChangesRequest {
        agreement_id: held.agreement.agreement_id.clone(),
        page_size: 1,
        page_token: String::new(),
    };
    let changes = stack
        .staff(PARTNER, PROVIDER)
        .agreements
        .list_agreement_changes(changes)
        .await
        .unwrap();
    assert_eq!(changes.into_inner().changes[0].change, "agreement_expired");
}

pub async fn delegate(
    stack: &Stack,
    agreement: &Agreement,
    system_id: &str,
    methods: &[&str],
    hours: i64,
) -> Result<Agreement, Status> {
    let request = DelegateAgreementRequest {
        request_id: request_id(),
        agreement_id: agreement.agreement_id.clone(),
        etag: agreement.etag.clone(),
        system_id: system_id.to_owned(),
        methods: methods.iter().map(|method| (*method).to_owned()).collect(),
        valid_from: Some(timestamp(stack.now())),
        valid_to: Some(timestamp(stack.now() + SignedDuration::from_hours(hours))),
    };
    let answer = stack
        .staff(PARTNER, CONSUMER)
        .agreements
        .delegate_agreement(request)
        .await?;
    Ok(answer.into_inner().agreement.unwrap())
}

#[tokio::test]
async fn the_consumer_delegates_within_the_agreement_and_either_side_ends_it() {
    let stack = Stack::start().await;
    let held = agreed(&stack).await;
    let other = party(&stack, STRANGER).await;
    let system = other.system.system_id.as_str();
    for (system, methods, hours) in [
        (system, &["demo.v1.Other/Get"][..], 24),
        (system, &[LIST][..], 24 * 200),
        (held.consumer.system.system_id.as_str(), &[LIST][..], 24),
    ] {
        let status = delegate(&stack, &held.agreement, system, methods, hours)
            .await
            .unwrap_err();
        assert_eq!(reason(&status), "DELEGATION_REFUSED");
    }
    let delegated = delegate(&stack, &held.agreement, system, &[LIST], 24).await.unwrap();
    let [delegation] = &delegated.delegations[..] else {
        panic!("{delegated:?}")
    };
    let end = || EndDelegationRequest {
        request_id: request_id(),
        agreement_id: delegated.agreement_id.clone(),
        delegation_id: delegation.delegation_id.clone(),
        reason: "xong việc".to_owned(),
    };
    stack
        .staff(PARTNER, PROVIDER)
        .agreements
        .end_delegation(end())
        .await
        .unwrap();
    let status = stack
        .staff(PARTNER, CONSUMER)
        .agreements
        .end_delegation(end())
        .await
        .unwrap_err();
    assert_eq!(refusal(&status), (Code::NotFound, "DELEGATION_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn what_was_granted_and_never_used_is_suggested_for_narrowing() {
    let stack = Stack::start().await;
    let held = agreed(&stack).await;
    let agreement_id = Uuid::try_parse(&held.agreement.agreement_id).unwrap();
    let day = stack.now().to_zoned(vietnam()).date();
    let uses = |field: &str, count: i64| FieldUse {
        agreement_id,
        method: LIST.to_owned(),
        field: field.to_owned(),
        day,
        count,
    };
    add_field_use(
        &stack.pool,
        &[uses("", 2), uses("agreements.agreement_id", 3), uses("", 5)],
    )
    .await
    .unwrap();
    add_field_use(&stack.pool, &[uses("", 1)]).await.unwrap();
    let ask = |since| SuggestNarrowingRequest {
        agreement_id: held.agreement.agreement_id.clone(),
        since,
    };
    let mut caller = stack.staff(PARTNER, PROVIDER);
    let found = caller
        .agreements
        .suggest_narrowing(ask(None))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(found.calls_seen, 8);
    let [get, list] = &found.unused[..] else {
        panic!("{found:?}")
    };
    assert_eq!((get.method.as_str(), get.never_called), (GET, true));
    assert_eq!(
        (list.never_called, &list.fields[..]),
        (false, &["agreements.state".to_owned()][..])
    );
    let tomorrow = day.tomorrow().unwrap();
    let later = caller
        .agreements
        .suggest_narrowing(ask(Some(tomorrow.into())))
        .await
        .unwrap()
        .into_inner();
    assert!(later.calls_seen == 0 && later.unused.iter().all(|one| one.never_called));
    let status = stack
        .staff(PARTNER, STRANGER)
        .agreements
        .suggest_narrowing(ask(None))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "AGREEMENT_NOT_FOUND");
}

#[tokio::test]
async fn each_change_leaves_history_event_and_leaf_in_its_transaction() {
    let stack = Stack::start().await;
    let held = agreed(&stack).await;
    let id = Uuid::try_parse(&held.agreement.agreement_id).unwrap();
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let events: i64 = sqlx::query_scalar(
        "SELECT (SELECT count(*) FROM egov.outbox WHERE aggregate_id = $1)
              + (SELECT count(*) FROM egov.event_log WHERE aggregate_id = $1)",
    )
    .bind(id)
    .fetch_one(&mut superuser)
    .await
    .unwrap();
    let leaves: i64 = sqlx::query_scalar("SELECT count(*) FROM egov.leaves WHERE resource_id = $1")
        .bind(id)
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert_eq!((events, leaves), (4, 4));
    // Nobody rewrites what was signed or done: neither the service nor the owner.
    for change in [
        "UPDATE agreement_signatures SET jws = ''",
        "DELETE FROM agreement_history",
        "UPDATE interfaces SET methods = '{}'",
    ] {
        assert!(
            sqlx::query(sqlx::AssertSqlSafe(change))
                .execute(&mut superuser)
                .await
                .is_err(),
            "{change}"
        );
    }
}
