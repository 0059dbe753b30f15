//! Whoever edits or deletes what the ledger commits to in the database is named by the verification.

use std::collections::BTreeSet;

use egov_integration::rebuild_leaves::{rebuild_leaves, rows_unlike_history, without_row};
use egov_proto::egov::integration::v1::*;
use egov_proto::timestamp;
use egov_transparency::{LogReport, kinds, verify_kind};
use jiff::SignedDuration;

use crate::support::*;

const KINDS: [&str; 4] = [
    "organisation_change",
    "system_change",
    "service_change",
    "agreement_change",
];

/// What the verification says, each in one sentence: by the rules by which `verify log` judges.
async fn findings(stack: &Stack) -> Vec<String> {
    let mut report = LogReport::default();
    let rebuilt = rebuild_leaves(&stack.pool).await.unwrap();
    let mut looked_at: BTreeSet<String> = kinds(&stack.pool).await.unwrap().into_iter().collect();
    looked_at.extend(rebuilt.iter().map(|one| one.kind.clone()));
    for kind in looked_at {
        verify_kind(&stack.pool, &kind, &rebuilt, without_row(&kind), &mut report)
            .await
            .unwrap();
    }
    let mut all: Vec<String> = report.findings.iter().map(|one| one.detail.clone()).collect();
    all.extend(rows_unlike_history(&stack.pool).await.unwrap());
    all
}

/// Whether a sentence is about an entry, named as `kind id`, by its row or by the leaf of a change.
fn about(sentence: &str, who: &str) -> bool {
    let (kind, id) = who.split_once(' ').unwrap();
    [format!("{kind} {id}"), format!("{kind}_change {id}")]
        .iter()
        .any(|who| sentence.starts_with(who.as_str()))
}

/// What a superuser may do who knows how to switch the triggers off.
async fn by_force(superuser: &mut sqlx::PgConnection, sql: &str) {
    sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
        "SET session_replication_role = replica; {sql}"
    )))
    .execute(superuser)
    .await
    .unwrap();
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

const HISTORY_AGAIN: &str = "UPDATE agreement_history h SET document = k.document FROM kept.history k
    WHERE k.agreement_id = h.agreement_id AND k.version = h.version";
const DIRECTORY_AGAIN: &str = "DELETE FROM directory_history; INSERT INTO directory_history TABLE kept.directory";
const INTERFACES_AGAIN: &str = "DELETE FROM interfaces; INSERT INTO interfaces TABLE kept.interfaces";

/// Terms and the text that was signed, so that they agree with one another.
const FORGED_TERMS: &str = "UPDATE agreement_versions SET terms = jsonb_set(terms, '{purpose}', '\"khác\"'),
    canonical = replace(canonical, '\"purpose\":\"đối chiếu hồ sơ\"', '\"purpose\":\"khác\"') WHERE agreement_version = 2";
const TERMS_AGAIN: &str =
    "UPDATE agreement_versions v SET terms = k.terms, canonical = k.canonical, effective_from = k.effective_from,
    effective_to = k.effective_to
    FROM kept.versions k WHERE k.agreement_id = v.agreement_id AND k.agreement_version = v.agreement_version";

#[tokio::test]
async fn an_agreement_from_before_documents_were_kept_is_held_by_its_signatures() {
    let stack = Stack::start().await;
    let held = Box::pin(grown(&stack)).await;
    let agreement = format!("agreement {}", held.agreement.agreement_id);
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    by_force(
        &mut superuser,
        "CREATE SCHEMA kept; CREATE TABLE kept.versions AS TABLE agreement_versions; CREATE TABLE kept.signatures AS TABLE agreement_signatures",
    )
    .await;
    // As it was before: leaves of another kind, and no documents.
    by_force(
        &mut superuser,
        "UPDATE egov.leaves SET kind = 'agreement' WHERE kind = 'agreement_change'; UPDATE agreement_history SET document = NULL",
    )
    .await;
    assert_eq!(findings(&stack).await, Vec::<String>::new(), "that is how it was");

    let again = "DELETE FROM agreement_signatures; INSERT INTO agreement_signatures TABLE kept.signatures";
    let edits = [
        (FORGED_TERMS, TERMS_AGAIN),
        ("DELETE FROM agreement_signatures WHERE agreement_version = 2 AND side = 'provider'", again),
        (
            "UPDATE agreement_signatures s SET jws = o.jws FROM kept.signatures o
             WHERE o.side = s.side AND o.agreement_version = 1 AND s.agreement_version = 2",
            again,
        ),
        (
            "UPDATE agreement_versions SET effective_to = effective_to + interval '1 day' WHERE agreement_version = 2",
            TERMS_AGAIN,
        ),
        (
            // A change that no leaf speaks of.
            "INSERT INTO agreement_history SELECT (jsonb_populate_record(h, '{\"version\": 99}')).* FROM agreement_history h WHERE version = 1;
             UPDATE agreements SET version = 99",
            "DELETE FROM agreement_history WHERE version = 99;
             UPDATE agreements a SET version = (SELECT max(version) FROM agreement_history h WHERE h.agreement_id = a.agreement_id)",
        ),
        (
            // Once a change has its document, those behind it have.
            "UPDATE egov.leaves SET kind = 'agreement_change' WHERE kind = 'agreement' AND version = 1",
            "UPDATE egov.leaves SET kind = 'agreement' WHERE kind = 'agreement_change'",
        ),
    ];
    for (edit, undo) in edits {
        by_force(&mut superuser, edit).await;
        let found = findings(&stack).await;
        assert!(found.iter().any(|one| about(one, &agreement)), "{edit}: {found:?}");
        by_force(&mut superuser, undo).await;
        assert_eq!(findings(&stack).await, Vec::<String>::new(), "{undo}");
    }
}

#[tokio::test]
async fn every_edited_or_deleted_row_of_agreements_and_of_the_directory_is_named() {
    let stack = Stack::start().await;
    let held = Box::pin(grown(&stack)).await;
    assert_eq!(findings(&stack).await, Vec::<String>::new(), "nothing was touched");
    let known = kinds(&stack.pool).await.unwrap();
    for kind in KINDS {
        assert!(known.iter().any(|one| one == kind), "{kind}: {known:?}");
    }

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
        // Without the document of its change nothing would be compared.
        (
            "UPDATE agreement_history SET document = NULL WHERE version = 1".to_owned(),
            HISTORY_AGAIN.to_owned(),
            &agreement,
        ),
        (
            format!("UPDATE agreement_history SET document = NULL; {FORGED_TERMS}"),
            format!("{HISTORY_AGAIN}; {TERMS_AGAIN}"),
            &agreement,
        ),
        (
            "UPDATE agreement_history SET document = document || '{\"version\": 0.5}' WHERE version = 1".to_owned(),
            HISTORY_AGAIN.to_owned(),
            &agreement,
        ),
        (
            "UPDATE agreement_history SET document = document || '{\"version\": 1e400}' WHERE version = 2".to_owned(),
            HISTORY_AGAIN.to_owned(),
            &agreement,
        ),
        (
            "UPDATE directory_history SET document = document || '{\"name\": 1e400}' WHERE kind = 'organisation'".to_owned(),
            DIRECTORY_AGAIN.to_owned(),
            &organisation,
        ),
        (
            "UPDATE directory_history SET actor = actor || '9' WHERE kind = 'system'".to_owned(),
            DIRECTORY_AGAIN.to_owned(),
            &consuming,
        ),
        (
            "UPDATE directory_history SET reason = 'khác', change = 'x', record_time = record_time + interval '1 s' WHERE kind = 'service'"
                .to_owned(),
            DIRECTORY_AGAIN.to_owned(),
            &service,
        ),
        (
            "UPDATE directory_history SET kind = 'other' WHERE kind = 'service' AND version = 1".to_owned(),
            DIRECTORY_AGAIN.to_owned(),
            &service,
        ),
        (
            "INSERT INTO egov.leaf_erasures (kind, resource_id, salts, erase_time)
             SELECT 'agreement_change', agreement_id, 1, now() FROM agreements"
                .to_owned(),
            "DELETE FROM egov.leaf_erasures".to_owned(),
            &agreement,
        ),
        // With its hash, and no agreement would say otherwise.
        (
            "UPDATE interfaces SET document = document || '\\x00', sha256 = sha256(document || '\\x00')".to_owned(),
            INTERFACES_AGAIN.to_owned(),
            &service,
        ),
        (
            "UPDATE interfaces SET methods = array_append(methods, 'a/b')".to_owned(),
            INTERFACES_AGAIN.to_owned(),
            &service,
        ),
        ("DELETE FROM interfaces".to_owned(), INTERFACES_AGAIN.to_owned(), &service),
        (
            "INSERT INTO interfaces SELECT (jsonb_populate_record(i, '{\"interface_version\": 2}')).* FROM interfaces i".to_owned(),
            INTERFACES_AGAIN.to_owned(),
            &service,
        ),
        // Another's key would sign for it.
        (
            format!(
                "UPDATE signing_keys SET organisation_id = '{}' WHERE system_id = '{}'",
                held.provider.organisation.organisation_id, held.consumer.system.system_id
            ),
            format!(
                "UPDATE signing_keys SET organisation_id = '{}' WHERE system_id = '{}'",
                held.consumer.organisation.organisation_id, held.consumer.system.system_id
            ),
            &agreement,
        ),
    ];
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    by_force(
        &mut superuser,
        "CREATE SCHEMA kept; CREATE TABLE kept.history AS TABLE agreement_history; CREATE TABLE kept.versions AS TABLE agreement_versions;
         CREATE TABLE kept.interfaces AS TABLE interfaces; CREATE TABLE kept.directory AS TABLE directory_history",
    )
    .await;
    for (edit, undo, who) in &edits {
        by_force(&mut superuser, edit).await;
        let found = findings(&stack).await;
        assert!(found.iter().any(|one| about(one, who)), "{edit}: {found:?}");
        by_force(&mut superuser, undo).await;
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
        by_force(&mut superuser, deletion).await;
        let after = findings(&stack).await;
        let new: Vec<_> = after.iter().filter(|one| !before.contains(one)).collect();
        // A second fault of one row may be told by the sentence that the first had.
        let told = if new.is_empty() { after.iter().collect() } else { new };
        assert!(told.iter().any(|one| about(one, who)), "{deletion}: {told:?}");
    }
    let gone = findings(&stack).await;
    let of_agreement: Vec<_> = gone.iter().filter(|one| about(one, &agreement)).collect();
    assert!(
        of_agreement.iter().any(|one| one.ends_with("its row is gone")),
        "{gone:?}"
    );
    assert!(
        of_agreement.iter().any(|one| one.ends_with("is not in the history")),
        "{gone:?}"
    );
}
