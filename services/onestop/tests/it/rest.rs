//! The same operations over REST: the same request is the same request, whichever way it comes.

use std::time::Duration;

use egov_proto::egov::onestop::v1::{GetCaseRequest, TrackCaseRequest};
use prost_reflect::ReflectMessage;
use serde_json::{Value, json};

use crate::support::*;

/// A caller over REST.
struct Rest {
    url: String,
    token: Option<String>,
    purpose: &'static str,
    http: reqwest::Client,
}

impl Rest {
    fn of(stack: &Stack, token: Option<String>) -> Self {
        Self {
            url: format!("http://{}", stack.address),
            token,
            purpose: "own_case",
            http: reqwest::Client::new(),
        }
    }

    /// Status and body.
    async fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .header("x-egov-purpose", self.purpose)
            .timeout(Duration::from_secs(20));
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap())
    }
}

/// A message in the JSON mapping.
fn mapped(message: &impl ReflectMessage) -> Value {
    serde_json::to_value(message.transcode_to_dynamic()).unwrap()
}

#[tokio::test]
async fn the_same_request_over_grpc_and_rest_is_one_case_and_gets_the_same_answer() {
    let stack = Stack::start().await;
    let rest = Rest::of(&stack, Some(stack.portal_token(citizen())));

    // First gRPC, then REST with the fields in another order and by the names of the contract.
    let request = birth_registration();
    let first = stack
        .portal(citizen())
        .cases
        .submit_case(request.clone())
        .await
        .unwrap()
        .into_inner();
    let mut body = mapped(&request);
    let id = body.as_object_mut().unwrap().remove("requestId").unwrap();
    body["request_id"] = id;
    body["channel"] = json!(request.channel);
    let (status, answer) = rest.ask("POST", "/v1/cases", Some(&body)).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer, mapped(&first));

    // Both at once.
    let request = birth_registration();
    let body = mapped(&request);
    let mut portal = stack.portal(citizen());
    let (one, (status, other)) = tokio::join!(
        portal.cases.submit_case(request),
        rest.ask("POST", "/v1/cases", Some(&body))
    );
    assert_eq!(status, 200, "{other}");
    assert_eq!(other, mapped(&one.unwrap().into_inner()));

    // Another body under the same id.
    let mut body = body;
    body["subject"] = json!("việc khác");
    let (status, refused) = rest.ask("POST", "/v1/cases", Some(&body)).await;
    assert_eq!((status, &refused["code"]), (409, &json!(6)));
    assert_eq!(refused["details"][0]["reason"], "REQUEST_ID_REUSED");
    assert_eq!(refused["details"][0]["domain"], "egov");
}

#[tokio::test]
async fn what_may_not_be_seen_or_done_is_refused_over_rest_as_over_grpc() {
    let stack = Stack::start().await;
    let submitted = submit(&stack).await;
    let case = submitted.case.unwrap();
    let path = format!("/v1/cases/{}", case.case_id);

    let (status, body) = Rest::of(&stack, None).ask("GET", &path, None).await;
    assert_eq!((status, &body["details"][0]["reason"]), (401, &json!("TOKEN_MISSING")));

    // The neighbour does not learn that it exists; a reader may read and not act.
    let staff = |role: &'static str, unit: i32| {
        let subject = uuid::Uuid::from_u128(0x77);
        let token = stack.tokens.staff(subject, &[(role, unit)]);
        Rest {
            purpose: "case_handling",
            ..Rest::of(&stack, Some(token))
        }
    };
    let (status, body) = staff("officer", THANH_VINH).ask("GET", &path, None).await;
    assert_eq!((status, &body["details"][0]["reason"]), (404, &json!("CASE_NOT_FOUND")));

    // The owner reads the same as over gRPC.
    let owner = Rest::of(&stack, Some(stack.portal_token(citizen())));
    let (status, body) = owner.ask("GET", &path, None).await;
    assert_eq!(status, 200, "{body}");
    let request = GetCaseRequest {
        case_id: case.case_id.clone(),
        with_particulars: false,
    };
    let answer = stack
        .portal(citizen())
        .cases
        .get_case(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(body, mapped(&answer));

    // A custom verb, refused by the operation.
    let act = json!({"requestId": request_id(), "etag": case.etag});
    let (status, body) = owner.ask("POST", &format!("{path}:accept"), Some(&act)).await;
    assert_eq!(status, 403, "{body}");

    // Code and secret stand in the body, and nobody needs a token.
    let public = Rest::of(&stack, None);
    let track = TrackCaseRequest {
        case_code: case.case_code.clone(),
        lookup_secret: submitted.lookup_secret.clone(),
    };
    let (status, body) = public.ask("POST", "/v1/cases:track", Some(&mapped(&track))).await;
    assert_eq!(status, 200, "{body}");
    let (status, body) = public.ask("GET", "/v1/cases:track", None).await;
    assert_eq!(status, 405, "{body}");
}

#[tokio::test]
async fn a_wrong_request_over_rest_names_every_violation_in_both_languages_and_changes_nothing() {
    let stack = Stack::start().await;
    let rest = Rest::of(&stack, Some(stack.portal_token(citizen())));
    // What the mapping refuses, all at once.
    let body =
        json!({"procedureCode": 5, "owner": {"fullName": true, "ghost": 1}, "channel": "BY_PIGEON", "nothing": null});
    let (status, refused) = rest.ask("POST", "/v1/cases", Some(&body)).await;
    assert_eq!(status, 400);
    let violations = refused["details"][1]["fieldViolations"].as_array().unwrap();
    let mut fields: Vec<&str> = violations.iter().map(|one| one["field"].as_str().unwrap()).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        ["channel", "nothing", "owner.full_name", "owner.ghost", "procedure_code"]
    );
    for violation in violations {
        assert_eq!(violation["localizedMessage"]["locale"], "vi");
        assert!(!violation["description"].as_str().unwrap().is_empty());
    }
    // What the contract refuses.
    let (status, refused) = rest
        .ask("POST", "/v1/cases", Some(&json!({"procedureCode": "x"})))
        .await;
    assert_eq!(status, 400);
    let violations = refused["details"][1]["fieldViolations"].as_array().unwrap();
    assert!(violations.len() > 3, "{refused}");
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    let cases: i64 = sqlx::query_scalar("SELECT count(*) FROM cases")
        .fetch_one(&mut superuser)
        .await
        .unwrap();
    assert_eq!(cases, 0);
}
