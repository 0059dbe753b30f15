//! The standard interface for programmes, as JSON over the port.

use std::time::Duration;

use egov_proto::egov::civil_registry::v1::*;
use jiff::SignedDuration;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::*;

const CHILD: &str = "040326000333";
const STRANGER: &str = "040090000444";
const BASIS: &str = "Điều 7 Luật Bảo hiểm xã hội 41/2024/QH15";

const PROGRAMME: &str = "civil_status_programme";
const PROGRAMME_READER: &str = "civil_status_programme_reader";
const FOR: &str = "case_handling";

/// The id of a system by its number.
fn system(number: u128) -> Uuid {
    Uuid::from_u128(0x1900 + number)
}

/// A token of a system that asks, and reads at a unit if one is named.
fn token(stack: &Stack, number: u128, reads_at: Option<i32>) -> String {
    let mut roles = vec![(PROGRAMME, PROVINCE)];
    roles.extend(reads_at.map(|unit| (PROGRAMME_READER, unit)));
    stack.tokens.system(system(number), &roles)
}

/// Posts JSON; its status, the reason of a refusal, and what came back.
async fn post(
    stack: &Stack,
    path: &str,
    token: Option<&str>,
    purpose: Option<&str>,
    body: &Value,
) -> (u16, String, Value) {
    let mut request = reqwest::Client::new()
        .post(format!("http://{}/spdci/v1/registry/{path}", stack.address))
        .json(body);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if let Some(purpose) = purpose {
        request = request.header("x-egov-purpose", purpose);
    }
    let answer = request.send().await.unwrap();
    let code = answer.status().as_u16();
    let header = answer.headers().get("x-egov-reason");
    let reason = header.map_or("", |reason| reason.to_str().unwrap()).to_owned();
    (code, reason, answer.json().await.unwrap())
}

/// A call that is answered in the standard's shape.
async fn told(stack: &Stack, path: &str, token: &str, body: &Value) -> Value {
    let (code, reason, answer) = post(stack, path, Some(token), Some(FOR), body).await;
    assert_eq!((code, reason.as_str()), (200, ""), "{answer}");
    answer
}

/// A request of a message.
fn item(reference_id: &str, query_type: &str, query: &Value) -> Value {
    json!({
        "reference_id": reference_id,
        "timestamp": "2026-11-23T08:00:00+07:00",
        "search_criteria": {
            "reg_type": "civil",
            "query_type": query_type,
            "query": query,
            "authorize": {"purpose": {"text": BASIS, "code": FOR}},
        },
    })
}

/// A message of a system.
fn message(number: u128, items: &[Value]) -> Value {
    json!({
        "header": {
            "message_id": request_id(),
            "message_ts": "2026-11-23T08:00:00+07:00",
            "action": "search",
            "sender_id": system(number).to_string(),
            "total_count": items.len(),
        },
        "message": {"transaction_id": request_id(), "search_request": items},
    })
}

/// A question about a person.
fn question(number: &str, attribute: &str, operator: &str, value: &Value) -> Value {
    json!({
        "expression1": {"attribute_name": "UIN", "operator": "eq", "attribute_value": number},
        "condition": "and",
        "expression2": {"attribute_name": attribute, "operator": operator, "attribute_value": value},
    })
}

fn by_number(number: &str) -> Value {
    json!({"type": "UIN", "value": number})
}

/// The answer to the only request of a message.
fn only(answer: &Value) -> &Value {
    let answers = answer["message"]["search_response"].as_array().unwrap();
    assert_eq!(answers.len(), 1, "{answer}");
    &answers[0]
}

/// Registers the child of this number.
async fn registered(stack: &Stack) -> Entry {
    let mut officer = stack.staff(OFFICER, TRUONG_VINH);
    officer.open(TRUONG_VINH, 2026).await.unwrap();
    let born = birth_where(|birth| CHILD.clone_into(&mut birth.child.as_mut().unwrap().personal_number));
    officer.register(born).await.unwrap()
}

#[tokio::test]
async fn a_programme_asks_in_the_envelope_of_the_standard_by_the_rules_of_the_registry() {
    let stack = Stack::start().await;
    let child = registered(&stack).await.birth.unwrap().child.unwrap();
    let asks = token(&stack, 1, None);

    // Questions, each with yes, no or not_known and nothing beside it; the contrary is answered by the contrary.
    let questions = [
        (question(FATHER, "age", "ge", &json!(18)), "yes"),
        (question(FATHER, "age", "lt", &json!("18")), "no"),
        (question(CHILD, "age", "gt", &json!(17)), "no"),
        (question(CHILD, "alive", "eq", &json!(true)), "yes"),
        (question(CHILD, "married", "eq", &json!(false)), "yes"),
        (question(FATHER, "parent_of", "eq", &json!(CHILD)), "yes"),
        (question(FATHER, "married", "eq", &json!(true)), "not_known"),
        (question(STRANGER, "alive", "eq", &json!(true)), "not_known"),
    ];
    let asked: Vec<Value> = questions.iter().map(|(question, _)| question.clone()).collect();
    let sent = message(1, &[item("1", "predicate", &json!(asked))]);
    let answer = told(&stack, "sync/search", &asks, &sent).await;
    let head = &answer["header"];
    assert_eq!(
        (
            &head["message_id"],
            &head["action"],
            &head["status"],
            &head["receiver_id"]
        ),
        (
            &sent["header"]["message_id"],
            &json!("on-search"),
            &json!("succ"),
            &sent["header"]["sender_id"]
        )
    );
    assert_eq!((&head["total_count"], &head["completed_count"]), (&json!(1), &json!(1)));
    assert_eq!(answer["message"]["transaction_id"], sent["message"]["transaction_id"]);
    let found = only(&answer);
    assert_eq!(
        (&found["status"], &found["reference_id"]),
        (&json!("succ"), &json!("1"))
    );
    assert_eq!(found["data"]["reg_record_type"], json!("Answer"));
    let expected: Vec<Value> = questions
        .iter()
        .enumerate()
        .map(|(place, (question, answer))| {
            let attribute = &question["expression2"]["attribute_name"];
            json!({"seq_num": place + 1, "attribute_name": attribute, "answer": answer})
        })
        .collect();
    assert_eq!(found["data"]["reg_records"], json!(expected));

    // The same message is the same answer, as it was then; another one under its id is refused.
    assert_eq!(told(&stack, "sync/search", &asks, &sent).await, answer);
    let mut other = sent.clone();
    other["message"]["transaction_id"] = json!("other");
    let (code, reason, _) = post(&stack, "sync/search", Some(&asks), Some(FOR), &other).await;
    assert_eq!((code, reason.as_str()), (409, "REQUEST_ID_REUSED"));
    let sent_twice = message(1, &[item("1", "predicate", &json!([questions[0].0]))]);
    let (one, another) = tokio::join!(
        told(&stack, "sync/search", &asks, &sent_twice),
        told(&stack, "sync/search", &asks, &sent_twice)
    );
    assert_eq!(one, another, "two at once are one");

    // Whoever may ask is told no field; of a message each request is answered by itself.
    let mixed = [
        item("1", "idtype-value", &by_number(CHILD)),
        item("1", "predicate", &json!([questions[3].0])),
        item("2", "predicate", &json!([questions[3].0])),
    ];
    let answer = told(&stack, "sync/search", &asks, &message(1, &mixed)).await;
    let answers = answer["message"]["search_response"].as_array().unwrap();
    let status = |place: usize| {
        (
            answers[place]["status"].as_str(),
            answers[place]["status_reason_code"].as_str(),
        )
    };
    assert_eq!(status(0), (Some("rjct"), Some("rjct.search_criteria.invalid")));
    let why = answers[0]["status_reason_message"].as_str().unwrap();
    assert!(
        why.contains("cần quyền civil_registry.programmes.read / it takes the permission"),
        "{why}"
    );
    assert_eq!(status(1), (Some("rjct"), Some("rjct.reference_id.duplicate")));
    assert_eq!(status(2), (Some("succ"), None));
    assert!(!answer.to_string().contains("Nhiên"));

    // With an agreement: name and day of birth of whom entries within its scope tell, by number or by name; neither sex nor parents.
    let reads = token(&stack, 2, Some(TRUONG_VINH));
    let person = |number: Option<&str>| {
        let number = number.map(|number| json!({"type": "UIN", "value": number}));
        let id = json!({"type": "PERSON_ID", "value": child.person_id});
        let identifier: Vec<Value> = number.into_iter().chain([id]).collect();
        json!([{"identifier": identifier, "name": child.full_name, "birthDate": "2026-11-13"}])
    };
    let answer = told(
        &stack,
        "sync/search",
        &reads,
        &message(2, &[item("1", "idtype-value", &by_number(CHILD))]),
    )
    .await;
    assert_eq!(only(&answer)["data"]["reg_records"], person(Some(CHILD)));
    assert_eq!(
        only(&answer)["pagination"],
        json!({"page_size": 50, "page_number": 1, "total_count": 1})
    );
    let named = |operator: &str| {
        json!({"type": "attributes", "value": {"expression": [
            {"attribute_name": "name", "operator": "eq", "attribute_value": "an nhien"},
            {"attribute_name": "birth_year", "operator": "eq", "attribute_value": 2026},
            {"attribute_name": "birth_date", "operator": operator, "attribute_value": "2026-11-13"},
        ]}})
    };
    for (operator, found) in [("ge", true), ("lt", false)] {
        let answer = told(
            &stack,
            "sync/search",
            &reads,
            &message(2, &[item("1", "expression", &named(operator))]),
        )
        .await;
        let records = &only(&answer)["data"]["reg_records"];
        assert_eq!(*records == person(None), found, "{operator}: {records}");
        assert_eq!(only(&answer)["status"], json!("succ"));
    }
    // The neighbour's agreement reaches nobody here, and looks as if nobody were known.
    let neighbour = token(&stack, 3, Some(THANH_VINH));
    for number in [CHILD, STRANGER] {
        let sent = message(3, &[item("1", "idtype-value", &by_number(number))]);
        let answer = told(&stack, "sync/search", &neighbour, &sent).await;
        assert_eq!(only(&answer)["status"], json!("succ"));
        assert_eq!(only(&answer)["data"].get("reg_records"), None);
    }

    // Everybody whom something was told of finds it with its basis; no number stands in any record.
    let id = Uuid::parse_str(&child.person_id).unwrap();
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let resources: Vec<String> = sqlx::query_scalar(
        "SELECT unnest(resources) FROM egov.read_records
         WHERE method LIKE '%/SyncSearch' AND purpose = 'case_handling' AND $1 = ANY (subjects)",
    )
    .bind(id)
    .fetch_all(&mut superuser)
    .await
    .unwrap();
    for resource in [
        format!("civil_persons/{id}"),
        format!("civil_persons/{id}/predicates/parent_of@2026-11-23"),
        format!("legal_bases/{BASIS}"),
    ] {
        assert!(resources.contains(&resource), "{resource}: {resources:?}");
    }
    assert!(resources.iter().all(|resource| !resource.contains(CHILD)));
    // Once when it was answered, once when the same message came again, once for each further message.
    let alive = format!("civil_persons/{id}/predicates/alive@2026-11-23");
    assert_eq!(resources.iter().filter(|resource| **resource == alive).count(), 3);

    // What is refused is named, in both languages, and nothing is taken in.
    let kept = stack.count("SELECT count(*) FROM programme_searches").await;
    let mut wrong = message(1, &[item("1", "predicate", &json!([]))]);
    wrong["header"] = json!({"version": "9", "action": "link", "sender_id": system(2), "receiver_id": "other", "is_msg_encrypted": true});
    wrong["message"]["transaction_id"] = json!("");
    let answer = told(&stack, "sync/search", &asks, &wrong).await;
    assert_eq!(
        (&answer["header"]["status"], &answer["header"]["status_reason_code"]),
        (&json!("rjct"), &json!("rjct.version.invalid"))
    );
    let why = answer["header"]["status_reason_message"].as_str().unwrap();
    for field in [
        "version",
        "message_id",
        "message_ts",
        "action",
        "sender_id",
        "receiver_id",
        "is_msg_encrypted",
        "total_count",
        "transaction_id",
    ] {
        assert!(why.contains(field), "{field}: {why}");
    }
    assert!(why.contains("bắt buộc phải có / is required"));
    let answer = told(&stack, "search", &asks, &wrong).await;
    assert_eq!(
        (&answer["message"]["ack_status"], &answer["message"]["error"]["code"]),
        (&json!("ERR"), &json!("rjct.version.invalid"))
    );
    let inquirer = stack.tokens.system(system(4), &[(INQUIRER, PROVINCE)]);
    for (token, purpose, expected) in [
        (None, Some(FOR), (401, "TOKEN_MISSING")),
        (Some(&asks), None, (403, "PURPOSE_MISSING")),
        (Some(&inquirer), Some(FOR), (403, "PERMISSION_MISSING")),
    ] {
        let (code, reason, _) = post(&stack, "sync/search", token.map(String::as_str), purpose, &sent).await;
        assert_eq!((code, reason.as_str()), expected);
    }
    let (code, reason, _) = post(
        &stack,
        "sync/search",
        Some(&asks),
        Some(FOR),
        &json!({"message": {"query": 1}}),
    )
    .await;
    assert_eq!((code, reason.as_str()), (400, "INVALID_FIELD"));
    assert_eq!(stack.count("SELECT count(*) FROM programme_searches").await, kept);
}

/// How a search stands, once it stands so.
async fn until(stack: &Stack, token: &str, asked: &Value, stands: impl Fn(&Value) -> bool) -> Value {
    for _ in 0..200 {
        let answer = told(stack, "sync/txn/status", token, asked).await;
        if stands(&answer) {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("it never stands so: {asked}");
}

fn status_of(number: u128, attribute_type: &str, value: &Value) -> Value {
    json!({
        "header": {
            "message_id": request_id(),
            "message_ts": "2026-11-23T08:00:00+07:00",
            "action": "txn-status",
            "sender_id": system(number),
            "total_count": 1,
        },
        "message": {
            "transaction_id": "t",
            "txnstatus_request": {
                "reference_id": "1",
                "txn_type": "search",
                "attribute_type": attribute_type,
                "attribute_value": value,
            },
        },
    })
}

#[tokio::test]
async fn a_search_that_is_taken_in_is_answered_once_whoever_dies_in_between_and_is_forgotten_after_a_week() {
    let stack = Stack::start().await;
    let child = registered(&stack).await.birth.unwrap().child.unwrap();
    let reads = token(&stack, 2, Some(TRUONG_VINH));

    // Another process does the work, and dies in it: nobody answers as long as it might live.
    let held = loop {
        let lease = stack
            .pool
            .acquire_lease("civil_registry.programmes", Duration::from_millis(1200));
        if let Some(lease) = lease.await.unwrap() {
            break lease;
        }
        tokio::task::yield_now().await;
    };
    let items = [
        item("1", "idtype-value", &by_number(CHILD)),
        item("2", "predicate", &json!([question(CHILD, "alive", "eq", &json!(true))])),
    ];
    let sent = message(2, &items);
    let taken = told(&stack, "search", &reads, &sent).await;
    assert_eq!(taken["message"]["ack_status"], json!("ACK"));
    let correlation = &taken["message"]["correlation_id"];
    assert_eq!(
        told(&stack, "search", &reads, &sent).await,
        taken,
        "the same message is one search"
    );
    let asked = status_of(2, "correlation_id", correlation);
    let answer = told(&stack, "sync/txn/status", &reads, &asked).await;
    assert_eq!(
        (&answer["header"]["status"], &answer["message"]["correlation_id"]),
        (&json!("pdng"), correlation)
    );
    drop(held);

    let is_done = |answer: &Value| answer["header"]["status"] == json!("succ");
    let answer = until(&stack, &reads, &asked, is_done).await;
    let done = &answer["message"]["txnstatus_response"];
    assert_eq!(done["txn_type"], json!("on-search"));
    assert_eq!(done["txn_status"]["transaction_id"], sent["message"]["transaction_id"]);
    let answers = done["txn_status"]["search_response"].as_array().unwrap();
    assert_eq!(answers[0]["data"]["reg_records"][0]["name"], json!(child.full_name));
    assert_eq!(answers[1]["data"]["reg_records"][0]["answer"], json!("yes"));
    // It stays what it was, by its transaction too; whoever waits is told once that it is there.
    let by_transaction = status_of(2, "transaction_id", &sent["message"]["transaction_id"]);
    let again = told(&stack, "sync/txn/status", &reads, &by_transaction).await;
    assert_eq!(again["message"]["txnstatus_response"], *done);
    assert_eq!(told(&stack, "search", &reads, &sent).await, taken);
    assert_eq!(
        stack
            .count(
                "SELECT count(*) FROM (SELECT kind FROM egov.outbox UNION ALL SELECT kind FROM egov.event_log) AS told
                 WHERE kind = 'civil_programme_search_answered'"
            )
            .await,
        1
    );
    assert_eq!(
        stack
            .count("SELECT count(*) FROM egov.read_records WHERE method LIKE '%/SyncTxnStatus' AND cardinality(subjects) = 1")
            .await,
        2,
        "each time that it leaves"
    );

    // Another system's search does not exist, nor does one that nobody made.
    let neighbour = token(&stack, 3, Some(TRUONG_VINH));
    for value in [correlation.clone(), json!(request_id()), json!("x")] {
        let answer = told(
            &stack,
            "sync/txn/status",
            &neighbour,
            &status_of(3, "correlation_id", &value),
        )
        .await;
        assert_eq!(
            answer["header"]["status_reason_code"],
            json!("err.request.not_found"),
            "{value}"
        );
        assert!(answer["message"].get("txnstatus_response").is_none());
    }
    let mut wrong = status_of(2, "reference_id_list", correlation);
    wrong["message"]["txnstatus_request"]["txn_type"] = json!("subscribe");
    let answer = told(&stack, "sync/txn/status", &reads, &wrong).await;
    let why = answer["header"]["status_reason_message"].as_str().unwrap();
    assert!(why.contains("txn_type") && why.contains("attribute_type"), "{why}");

    // Who has lost the agreement is not told any more what was found by it.
    let without = token(&stack, 2, None);
    let answer = told(&stack, "sync/txn/status", &without, &asked).await;
    let answers = answer["message"]["txnstatus_response"]["txn_status"]["search_response"].clone();
    assert_eq!(
        (&answers[0]["status"], &answers[1]["status"]),
        (&json!("rjct"), &json!("succ"))
    );

    // Nor is it told for another purpose than that of the search.
    let (_, _, answer) = post(&stack, "sync/txn/status", Some(&reads), Some(PURPOSE), &asked).await;
    let answers = answer["message"]["txnstatus_response"]["txn_status"]["search_response"].clone();
    assert_eq!(
        (&answers[0]["status"], &answers[1]["status"]),
        (&json!("rjct"), &json!("rjct"))
    );

    stack.advance(SignedDuration::from_hours(8 * 24)).await;
    let later = token(&stack, 2, Some(TRUONG_VINH));
    let is_gone = |answer: &Value| answer["header"]["status_reason_code"] == json!("err.request.not_found");
    until(&stack, &later, &asked, is_gone).await;
    assert_eq!(stack.count("SELECT count(*) FROM programme_searches").await, 0);
}
