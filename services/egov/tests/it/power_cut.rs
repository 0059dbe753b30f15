//! `kill -9` in the middle of 64 submitters.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use egov_clock::{Ids as _, SystemIds};
use egov_proto::egov::onestop::v1::case_service_client::CaseServiceClient;
use egov_proto::egov::onestop::v1::{
    ApplicantKind, CaseComponent, Channel as Way, Party, SubmitCaseRequest, SubmitCaseResponse,
};
use tonic::Request;
use tonic::transport::Endpoint;

use crate::support::*;

const SUBMITTERS: usize = 64;
/// So many answers are let through before the cut.
const BEFORE_THE_CUT: usize = 12;

fn filing(request_id: String) -> SubmitCaseRequest {
    SubmitCaseRequest {
        request_id,
        procedure_code: "1.001193".to_owned(),
        competent_unit_code: "16690".to_owned(),
        channel: Way::Online.into(),
        owner: Some(Party {
            kind: ApplicantKind::Citizen.into(),
            full_name: "Nguyễn Thị Hường".to_owned(),
            ..Party::default()
        }),
        components: ["mau_dien_tu", "giay_chung_sinh"]
            .map(|code| CaseComponent {
                component_code: code.to_owned(),
                originals: 1,
                ..CaseComponent::default()
            })
            .to_vec(),
        ..SubmitCaseRequest::default()
    }
}

async fn submit(url: &str, token: &str, request: SubmitCaseRequest) -> Option<SubmitCaseResponse> {
    let channel = Endpoint::from_shared(url.to_owned()).unwrap().connect().await.ok()?;
    let mut request = Request::new(request);
    request
        .metadata_mut()
        .insert("authorization", format!("Bearer {token}").parse().unwrap());
    CaseServiceClient::new(channel)
        .submit_case(request)
        .await
        .ok()
        .map(tonic::Response::into_inner)
}

/// Files all requests at once; the answers by request id.
async fn submit_all(
    url: &str,
    token: &str,
    requests: &[SubmitCaseRequest],
    answered: &Arc<AtomicUsize>,
) -> BTreeMap<String, SubmitCaseResponse> {
    let mut tasks = tokio::task::JoinSet::new();
    for request in requests.iter().cloned() {
        let (url, token, answered) = (url.to_owned(), token.to_owned(), Arc::clone(answered));
        tasks.spawn(async move {
            let answer = submit(&url, &token, request.clone()).await?;
            answered.fetch_add(1, Ordering::SeqCst);
            Some((request.request_id, answer))
        });
    }
    tasks.join_all().await.into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_stay_gapless_and_repeated_requests_get_their_first_answer_after_a_power_cut() {
    let folder = folder();
    let data = folder.path().join("data");
    // The same address again, so that it is the same issuer.
    let listen = format!("127.0.0.1:{}", free_port());
    let up = Up::start(&data, &listen);
    let url = up.url();
    // Signs the portal in and keeps its token.
    json(&on(
        &data,
        &["call", "ListCases", "--as", "portal", "--purpose", "own_case"],
    ));
    let sessions: serde_json::Value =
        serde_json::from_slice(&std::fs::read(data.join("sessions.json")).unwrap()).unwrap();
    let token = sessions["portal"]["token"].as_str().unwrap().to_owned();

    let ids = SystemIds::shared();
    let requests: Vec<SubmitCaseRequest> = (0..SUBMITTERS).map(|_| filing(ids.uuid().to_string())).collect();
    let answered = Arc::new(AtomicUsize::new(0));
    let filing = tokio::spawn({
        let (url, token, requests, answered) = (url.clone(), token.clone(), requests.clone(), Arc::clone(&answered));
        async move { submit_all(&url, &token, &requests, &answered).await }
    });
    while answered.load(Ordering::SeqCst) < BEFORE_THE_CUT {
        assert!(!filing.is_finished(), "all were answered before the cut");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    tokio::task::block_in_place(|| up.kill());
    let before = filing.await.unwrap();
    assert!(
        before.len() >= BEFORE_THE_CUT && before.len() < SUBMITTERS,
        "{} were answered",
        before.len()
    );

    let up = tokio::task::block_in_place(|| Up::start(&data, &listen));
    let after = submit_all(&up.url(), &token, &requests, &answered).await;
    assert_eq!(after.len(), SUBMITTERS, "every repetition succeeds");
    for (request_id, first) in &before {
        assert_eq!(&after[request_id], first, "the repeated request gets its first answer");
    }
    let mut numbers: Vec<usize> = after
        .values()
        .map(|answer| {
            answer
                .case
                .as_ref()
                .unwrap()
                .case_code
                .rsplit('-')
                .next()
                .unwrap()
                .parse()
                .unwrap()
        })
        .collect();
    numbers.sort_unstable();
    assert_eq!(
        numbers,
        (1..=SUBMITTERS).collect::<Vec<_>>(),
        "no number is missing, none is there twice"
    );
    tokio::task::block_in_place(|| up.stop());
}
