//! Whoever edits or deletes what the ledger commits to in the database is named by the verification.

use egov_integration::rebuild_leaves::{rebuild_leaves, rows_unlike_history};
use egov_proto::egov::integration::v1::*;
use egov_proto::timestamp;
use egov_transparency::{LogReport, WithoutRow, verify_kind};
use jiff::SignedDuration;

use crate::support::*;

const KINDS: [&str; 4] = ["organisation", "system", "service", "agreement"];

/// What the verification says, each in one sentence.
async fn findings(stack: &Stack) -> Vec<String> {
    let mut report = LogReport::default();
    let rebuilt = rebuild_leaves(&stack.pool).await.unwrap();
    for kind in KINDS {
        let of = verify_kind(&stack.pool, kind, &rebuilt, WithoutRow::Wrong, &mut report)
            .await
            .unwrap();
        assert!(of.leaves > 0, "{kind}");
    }
    let mut all: Vec<String> = report.findings.iter().map(|one| one.detail.clone()).collect();
    all.extend(rows_unlike_history(&stack.pool).await.unwrap());
    all
}

/// Two parties with everything that an agreement and an entry of the directory can have.
async fn grown(stack: &Stack) -> Agreed {
    let held = agreed(stack).await;
    let mut provider = stack.staff(PARTNER, PROVIDER);
    for (url, weight) in [("grpc://one.test:1", 1), ("grpc://two.test:2", 2)] {
        let added = AddEndpointRequest {
            request_id: request_id(),
            service_id: held.service.service_id.clone(),
            url: url.to_owned(),
            weight,
            health_path: String::new(),
        };
        provider.interfaces.add_endpoint(added).await.unwrap();
    }
    let other = party(stack, STRANGER).await;
    let etag = |agreement: &Agreement| agreement.etag.clone();
    let mut consumer = stack.staff(PARTNER, CONSUMER);
    let delegated = DelegateAgreementRequest {
        request_id: request_id(),
        agreement_id: held.agreement.agreement_id.clone(),
        etag: etag(&held.agreement),
        system_id: other.system.system_id.clone(),
        methods: vec![LIST.to_owned()],
        valid_from: Some(timestamp(stack.now())),
        valid_to: Some(timestamp(stack.now() + SignedDuration::from_hours(5))),
    };
    let agreement = consumer
        .agreements
        .delegate_agreement(delegated)
        .await
        .unwrap()
        .into_inner()
        .agreement
        .unwrap();
    let suspended = SuspendAgreementRequest {
        request_id: request_id(),
        agreement_id: agreement.agreement_id.clone(),
        etag: etag(&agreement),
        reason: "bảo trì".to_owned(),
    };
    let agreement = consumer
        .agreements
        .suspend_agreement(suspended)
        .await
        .unwrap()
        .into_inner()
        .agreement
        .unwrap();
    let resumed = ResumeAgreementRequest {
        request_id: request_id(),
        agreement_id: agreement.agreement_id.clone(),
        etag: etag(&agreement),
        reason: "xong".to_owned(),
    };
    let agreement = consumer
        .agreements
        .resume_agreement(resumed)
        .await
        .unwrap()
        .into_inner()
        .agreement
        .unwrap();
    let amended = AmendAgreementRequest {
        request_id: request_id(),
        agreement_id: agreement.agreement_id.clone(),
        etag: etag(&agreement),
        terms: Some(AgreementTerms {
            calls_per_minute: 7,
            ..terms(stack)
        }),
    };
    let agreement = consumer
        .agreements
        .amend_agreement(amended)
        .await
        .unwrap()
        .into_inner()
        .agreement
        .unwrap();
    let agreement = offer(stack, CONSUMER, &agreement).await.unwrap();
    // The provider first: signatures have no order.
    let agreement = sign(stack, &held.provider, Side::Provider, &agreement).await.unwrap();
    let agreement = sign(stack, &held.consumer, Side::Consumer, &agreement).await.unwrap();
    Agreed { agreement, ..held }
}

#[tokio::test]
async fn every_edited_or_deleted_row_of_agreements_and_of_the_directory_is_named() {
    let stack = Stack::start().await;
    let held = Box::pin(grown(&stack)).await;
    assert_eq!(findings(&stack).await, Vec::<String>::new(), "nothing was touched");

    let agreement = format!("agreement {}", held.agreement.agreement_id);
    let organisation = format!("organisation {}", held.consumer.organisation.organisation_id);
    let provider = format!("organisation {}", held.provider.organisation.organisation_id);
    let consuming = format!("system {}", held.consumer.system.system_id);
    let providing = format!("system {}", held.provider.system.system_id);
    let service = format!("service {}", held.service.service_id);
    let of_consumer = |table: &str, set: &str| {
        let id = &held.consumer.organisation.organisation_id;
        format!("UPDATE {table} SET {set} WHERE organisation_id = '{id}'")
    };
    // Each with what it is undone by: an edit beside another would hide behind it.
    let edits = [
        (of_consumer("organisations", "name = 'khác'"), of_consumer("organisations", "name = 'Đơn vị 2'"), &organisation),
        (
            of_consumer("organisation_codes", "valid_to = '2030-01-01'"),
            of_consumer("organisation_codes", "valid_to = NULL"),
            &organisation,
        ),
        (of_consumer("systems", "client_id = 'x'"), of_consumer("systems", "client_id = 'client-2'"), &consuming),
        (of_consumer("systems", "state = 'suspended'"), of_consumer("systems", "state = 'active'"), &consuming),
        (
            of_consumer("signing_keys", "valid_to = valid_to + interval '1 day'"),
            of_consumer("signing_keys", "valid_to = valid_to - interval '1 day'"),
            &consuming,
        ),
        (
            "UPDATE endpoints SET url = url || '9'".to_owned(),
            "UPDATE endpoints SET url = left(url, -1)".to_owned(),
            &service,
        ),
        (
            "UPDATE endpoints SET state = 'removed'".to_owned(),
            "UPDATE endpoints SET state = 'active'".to_owned(),
            &service,
        ),
        (
            "UPDATE agreements SET status = 'revoked', end_reason = 'x'".to_owned(),
            "UPDATE agreements SET status = 'open', end_reason = ''".to_owned(),
            &agreement,
        ),
        (
            "UPDATE agreements SET consumer_unit_id = 4".to_owned(),
            "UPDATE agreements SET consumer_unit_id = 2".to_owned(),
            &agreement,
        ),
        (
            "UPDATE agreement_versions SET terms = jsonb_set(terms, '{purpose}', '\"khác\"') WHERE agreement_version = 2".to_owned(),
            "UPDATE agreement_versions SET terms = jsonb_set(terms, '{purpose}', '\"đối chiếu hồ sơ\"') WHERE agreement_version = 2"
                .to_owned(),
            &agreement,
        ),
        (
            "UPDATE agreement_versions SET terms = terms - 'quota'".to_owned(),
            "UPDATE agreement_versions v SET terms = terms || jsonb_build_object('quota', (v.canonical::jsonb) -> 'quota')".to_owned(),
            &agreement,
        ),
        (
            "UPDATE agreement_versions SET effective_to = effective_to + interval '1 day'".to_owned(),
            "UPDATE agreement_versions SET effective_to = effective_to - interval '1 day'".to_owned(),
            &agreement,
        ),
        (
            "UPDATE agreement_signatures SET jws = jws || 'A' WHERE agreement_version = 1 AND side = 'consumer'".to_owned(),
            "UPDATE agreement_signatures SET jws = left(jws, -1) WHERE agreement_version = 1 AND side = 'consumer'".to_owned(),
            &agreement,
        ),
        (
            "UPDATE agreement_delegations SET valid_to = valid_to + interval '1 day'".to_owned(),
            "UPDATE agreement_delegations SET valid_to = valid_to - interval '1 day'".to_owned(),
            &agreement,
        ),
        (
            "UPDATE agreement_history SET actor = actor || '9' WHERE version = 2".to_owned(),
            "UPDATE agreement_history SET actor = left(actor, -1) WHERE version = 2".to_owned(),
            &agreement,
        ),
        (
            "UPDATE agreement_history SET document = document || '{\"reason\": \"x\"}', reason = 'x' WHERE version = 1".to_owned(),
            "UPDATE agreement_history SET document = document || '{\"reason\": \"\"}', reason = '' WHERE version = 1".to_owned(),
            &agreement,
        ),
        (
            "UPDATE directory_history SET document = document || '{\"name\": \"x\"}' WHERE kind = 'system' AND version = 1".to_owned(),
            "UPDATE directory_history h SET document = document || jsonb_build_object('name', s.name)
             FROM systems s WHERE s.system_id = h.resource_id AND h.version = 1"
                .to_owned(),
            &consuming,
        ),
    ];
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let run = async |superuser: &mut sqlx::PgConnection, sql: &str| {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "SET session_replication_role = replica; {sql}"
        )))
        .execute(superuser)
        .await
        .unwrap();
    };
    for (edit, undo, who) in &edits {
        run(&mut superuser, edit).await;
        let found = findings(&stack).await;
        assert!(
            found.iter().any(|one| one.starts_with(who.as_str())),
            "{edit}: {found:?}"
        );
        run(&mut superuser, undo).await;
        assert_eq!(findings(&stack).await, Vec::<String>::new(), "{undo}");
    }

    // What is deleted stays so: each finding beside those of before.
    let id = &held.agreement.agreement_id;
    let deletions = [
        (
            "DELETE FROM agreement_signatures WHERE side = 'provider' AND agreement_version = 2".to_owned(),
            &agreement,
        ),
        (
            format!("DELETE FROM agreement_history WHERE agreement_id = '{id}' AND version = 3"),
            &agreement,
        ),
        (
            format!("DELETE FROM agreements WHERE agreement_id = '{id}'"),
            &agreement,
        ),
        ("DELETE FROM endpoints".to_owned(), &service),
        (
            format!("DELETE FROM services WHERE service_id = '{}'", held.service.service_id),
            &service,
        ),
        (
            format!(
                "DELETE FROM signing_keys WHERE system_id = '{}'",
                held.provider.system.system_id
            ),
            &providing,
        ),
        (
            format!(
                "DELETE FROM systems WHERE system_id = '{}'",
                held.consumer.system.system_id
            ),
            &consuming,
        ),
        (
            format!(
                "DELETE FROM directory_history WHERE resource_id = '{}'",
                held.provider.organisation.organisation_id
            ),
            &provider,
        ),
    ];
    for (deletion, who) in &deletions {
        let before = findings(&stack).await;
        run(&mut superuser, deletion).await;
        let after = findings(&stack).await;
        let new: Vec<_> = after.iter().filter(|one| !before.contains(one)).collect();
        // A second fault of one row may be told by the sentence that the first had.
        let told = if new.is_empty() { after.iter().collect() } else { new };
        assert!(
            told.iter().any(|one| one.starts_with(who.as_str())),
            "{deletion}: {told:?}"
        );
    }
    let gone = findings(&stack).await;
    let of_agreement: Vec<_> = gone.iter().filter(|one| one.starts_with(&agreement)).collect();
    assert!(
        of_agreement.iter().any(|one| one.ends_with("its row is gone")),
        "{gone:?}"
    );
    assert!(
        of_agreement.iter().any(|one| one.ends_with("is not in the history")),
        "{gone:?}"
    );
}
