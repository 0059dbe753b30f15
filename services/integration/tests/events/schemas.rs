//! Topics whose data is judged by a JSON Schema, and schemas that are replaced.

use egov_proto::egov::integration::v1::{
    CloudEvent, CreateTopicRequest, ListTopicsRequest, Topic, TopicGrant, UpdateTopicRequest,
};
use egov_proto::google::r#type::Date;
use jiff::SignedDuration;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::stage::{HERE, NEIGHBOUR, PUBLISHER, STRANGER, Stage, event, new_id, refusal};

/// What a state may be, and nothing else.
fn schema(states: &[&str]) -> String {
    serde_json::json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": ["state", "number"],
        "additionalProperties": false,
        "properties": { "state": { "enum": states }, "number": { "type": "integer", "minimum": 1 } },
    })
    .to_string()
}

fn with(id: &str, schema: &str, data: &str) -> CloudEvent {
    CloudEvent {
        data_schema: schema.to_owned(),
        data: data.to_owned().into(),
        ..event(id, "")
    }
}

fn violated(status: &Status) -> Vec<String> {
    let fault = egov_fault::fault_of(status);
    let both = fault
        .violations()
        .iter()
        .all(|one| !one.vi.is_empty() && !one.en.is_empty());
    assert!(both, "{fault:?}");
    fault.violations().iter().map(|one| one.field.clone()).collect()
}

async fn create(stage: &Stage, json_schema: &str) -> Result<Topic, Status> {
    let message = CreateTopicRequest {
        request_id: new_id(),
        name: "test.judged".to_owned(),
        unit_id: HERE,
        schema: "urn:test:cases".to_owned(),
        schema_version: 1,
        max_age: None,
        max_bytes: 0,
        grants: vec![TopicGrant {
            client_id: PUBLISHER.to_string(),
            publish: true,
            subscribe: false,
        }],
        json_schema: json_schema.to_owned(),
    };
    let request = stage.staff("integration_event_admin", HERE, message);
    Ok(stage
        .events
        .clone()
        .create_topic(request)
        .await?
        .into_inner()
        .topic
        .unwrap())
}

async fn update(stage: &Stage, message: &UpdateTopicRequest) -> Result<Topic, Status> {
    let request = stage.staff("integration_event_admin", HERE, message.clone());
    Ok(stage
        .events
        .clone()
        .update_topic(request)
        .await?
        .into_inner()
        .topic
        .unwrap())
}

#[tokio::test]
async fn data_is_judged_by_the_json_schema_of_the_version_that_it_names_and_every_violation_is_named() {
    let stage = Stage::start().await;
    let status = create(&stage, r#"{"type": "array"}"#).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
    assert_eq!(violated(&status), ["json_schema/$schema", "json_schema/type"]);
    let first = schema(&["accepted"]);
    let topic = create(&stage, &first).await.unwrap();
    assert_eq!(topic.json_schema, first);
    let list = async |name: &str| {
        let message = ListTopicsRequest {
            name: name.to_owned(),
            ..Default::default()
        };
        let request = stage.system(PUBLISHER, &[], message);
        let listed = stage.events.clone().list_topics(request).await.unwrap();
        listed.into_inner().topics.remove(0).json_schema
    };
    assert_eq!(list("test.judged").await, first, "whoever publishes reads it");
    assert_eq!(list("").await, "");

    let id = topic.topic_id.as_str();
    let good = |event_id: &str| with(event_id, "", r#"{"state": "accepted", "number": 7}"#);
    let batch = vec![
        good("1"),
        with("2", "", r#"{"state": "returned", "number": 0, "more": true}"#),
        with("3", "urn:test:cases/v1", "{}"),
        CloudEvent {
            data_content_type: "text/plain".to_owned(),
            ..good("4")
        },
    ];
    let status = stage.publish(id, batch).await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::InvalidArgument, "EVENT_DATA_REFUSED".to_owned())
    );
    assert_eq!(
        violated(&status),
        [
            "events[1].data/more",
            "events[1].data/number",
            "events[1].data/state",
            "events[2].data/number",
            "events[2].data/state",
            "events[3].data_content_type",
        ]
    );
    assert_eq!(
        stage.publish(id, vec![good("1")]).await.unwrap()[0].offset,
        0,
        "nothing of the batch is stored"
    );

    // A version does not change: another JSON Schema is another version, and each event is judged by what it names.
    let mut change = UpdateTopicRequest {
        request_id: new_id(),
        topic_id: topic.topic_id.clone(),
        etag: topic.etag,
        json_schema: Some(schema(&["returned"])),
        ..Default::default()
    };
    let status = update(&stage, &change).await.unwrap_err();
    assert_eq!(violated(&status), ["json_schema"]);
    change.schema_version = 2;
    let changed = update(&stage, &change).await.unwrap();
    assert_eq!(update(&stage, &change).await.unwrap(), changed, "the same request");
    let returned = r#"{"state": "returned", "number": 7}"#;
    for (schema, data, refused) in [
        ("", returned, false),
        ("urn:test:cases/v2", returned, false),
        ("urn:test:cases/v1", returned, true),
        ("urn:test:cases/v1", r#"{"state": "accepted", "number": 7}"#, false),
    ] {
        let published = stage.publish(id, vec![with(&new_id(), schema, data)]).await;
        assert_eq!(published.is_err(), refused, "{schema}: {data}");
    }
    // A version with nothing that judges.
    change = UpdateTopicRequest {
        request_id: new_id(),
        etag: changed.etag,
        schema_version: 3,
        json_schema: Some(String::new()),
        ..change
    };
    assert_eq!(update(&stage, &change).await.unwrap().json_schema, "");
    stage.publish(id, vec![with("any", "", "[]")]).await.unwrap();
    stage
        .publish(id, vec![with("2", "urn:test:cases/v2", "[]")])
        .await
        .unwrap_err();

    // Without the queries' own filter the database shows them to whoever sees the topic, and to nobody else.
    let mut app = stage.database.connect_as_app().await.unwrap();
    let mut seen = async |scope: String| {
        let mut transaction = sqlx::Connection::begin(&mut app).await.unwrap();
        sqlx::raw_sql(sqlx::AssertSqlSafe(scope))
            .execute(&mut *transaction)
            .await
            .unwrap();
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM event_topic_schemas")
            .fetch_one(&mut *transaction)
            .await
            .unwrap();
        count
    };
    let owner = |who: Uuid| format!("SELECT set_config('egov.scope_owner', '{who}', true)");
    let unit = |unit: i32| format!("SELECT set_config('egov.scope_units', '{{{unit}}}', true)");
    assert_eq!((seen(owner(PUBLISHER)).await, seen(owner(STRANGER)).await), (2, 0));
    assert_eq!((seen(unit(HERE)).await, seen(unit(NEIGHBOUR)).await), (2, 0));
}

#[tokio::test]
async fn a_schema_that_is_replaced_is_accepted_until_the_day_that_the_change_names() {
    let stage = Stage::start().await;
    let topic = stage.topic("test.cases").await;
    let id = topic.topic_id.as_str();
    let mut change = UpdateTopicRequest {
        request_id: new_id(),
        topic_id: topic.topic_id.clone(),
        etag: topic.etag,
        schema: "urn:test:files".to_owned(),
        ..Default::default()
    };
    let status = update(&stage, &change).await.unwrap_err();
    assert_eq!(
        violated(&status),
        ["accept_earlier_until"],
        "whoever replaces it says so"
    );
    let day = |day| {
        Some(Date {
            year: 2026,
            month: 11,
            day,
        })
    };
    change.accept_earlier_until = day(22);
    let status = update(&stage, &change).await.unwrap_err();
    assert_eq!(refusal(&status), (Code::InvalidArgument, "INVALID_FIELD".to_owned()));
    assert_eq!(violated(&status), ["accept_earlier_until"], "yesterday");
    change.accept_earlier_until = day(24);
    let changed = update(&stage, &change).await.unwrap();
    let earlier = &changed.earlier_schemas[0];
    assert_eq!(
        (earlier.schema.as_str(), earlier.schema_version, earlier.accept_until),
        ("urn:test:cases", 2, day(24))
    );
    let publish = async |schema: &str| stage.publish(id, vec![with(&new_id(), schema, "{}")]).await;
    for accepted in ["", "urn:test:files/v2", "urn:test:cases/v2", "urn:test:cases/v1"] {
        publish(accepted).await.unwrap();
    }
    publish("urn:test:cases/v3").await.unwrap_err();
    // The 24th is over.
    stage.clock.advance(SignedDuration::from_hours(24));
    publish("urn:test:cases/v1").await.unwrap();
    stage.clock.advance(SignedDuration::from_hours(24));
    let status = publish("urn:test:cases/v1").await.unwrap_err();
    assert_eq!(
        refusal(&status),
        (Code::InvalidArgument, "EVENT_SCHEMA_MISMATCH".to_owned())
    );
    publish("urn:test:files/v1").await.unwrap();
}
