//! The same over REST/JSON.

use serde_json::{Value, json};

use crate::support::*;

#[tokio::test]
async fn the_directory_and_the_agreements_are_reached_over_rest() {
    let stack = Stack::start().await;
    let held = agreed(&stack).await;
    let client = reqwest::Client::new();
    let token = stack.token(PARTNER, CONSUMER);
    let get = async |path: &str| -> (u16, Value) {
        let request = client.get(format!("{}{path}", stack.address)).bearer_auth(&token);
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    };
    let (status, body) = get(&format!("/v1/directory/agreements/{}", held.agreement.agreement_id)).await;
    assert_eq!(status, 200);
    assert_eq!(body["agreement"]["state"], "AGREEMENT_STATE_IN_FORCE");
    let (status, body) = get("/v1/directory/systems?pageSize=1").await;
    assert_eq!((status, body["systems"].as_array().unwrap().len()), (200, 1));
    let (status, _) = get(&format!(
        "/v1/directory/services/{}/interfaces/1",
        held.service.service_id
    ))
    .await;
    assert_eq!(status, 200);
    let (status, body) = get("/v1/directory/agreements/00000000-0000-0000-0000-000000000000").await;
    assert_eq!(status, 404, "{body}");
    let revoke = client
        .post(format!(
            "{}/v1/directory/agreements/{}:revoke",
            stack.address, held.agreement.agreement_id
        ))
        .bearer_auth(&token)
        .json(&json!({ "requestId": request_id(), "etag": held.agreement.etag, "reason": "hết nhu cầu" }));
    let answer: Value = revoke.send().await.unwrap().json().await.unwrap();
    assert_eq!(answer["agreement"]["state"], "AGREEMENT_STATE_REVOKED");
}
