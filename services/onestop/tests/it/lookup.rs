//! The public look-up: code and secret, never a name or a number of a person.

use egov_proto::egov::onestop::v1::{CaseState, TrackCaseRequest};
use jiff::SignedDuration;
use prost::Message as _;
use tonic::Code;

use crate::support::*;

fn track(code: &str, secret: &str) -> TrackCaseRequest {
    TrackCaseRequest {
        case_code: code.to_owned(),
        lookup_secret: secret.to_owned(),
    }
}

#[tokio::test]
async fn code_and_secret_show_the_state_and_no_person() {
    let stack = Stack::start().await;
    let submitted = submit(&stack).await;
    let case = submitted.case.unwrap();
    accept(&stack, &case).await;
    let shown = stack
        .public()
        .cases
        .track_case(track(&case.case_code, &submitted.lookup_secret))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(shown.state(), CaseState::Accepted);
    assert_eq!(shown.state_name.as_ref().unwrap().vi, "Được tiếp nhận");
    assert_eq!(shown.responsible_unit_name, "Phường Trường Vinh");
    assert_eq!(shown.states.iter().map(|state| state.state).collect::<Vec<_>>(), [1, 2]);
    let bytes = shown.encode_to_vec();
    for personal in ["Hường", "Nguyễn", "040190000123", "84912345678", "Lê Mao", "cong.dan"] {
        assert!(
            !bytes
                .windows(personal.len())
                .any(|window| window == personal.as_bytes()),
            "{personal}"
        );
    }
}

#[tokio::test]
async fn wrong_secrets_lock_the_code_for_a_growing_while() {
    let stack = Stack::start().await;
    let submitted = submit(&stack).await;
    let case = submitted.case.unwrap();
    let mut public = stack.public();
    for _ in 0..6 {
        let status = public
            .cases
            .track_case(track(&case.case_code, "22222222"))
            .await
            .unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::NotFound, "LOOKUP_REFUSED")
        );
    }
    let right = track(&case.case_code, &submitted.lookup_secret);
    let status = public.cases.track_case(right.clone()).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::ResourceExhausted, "LOOKUP_LOCKED")
    );
    assert_eq!(
        egov_fault::fault_of(&status).retry_delay(),
        Some(std::time::Duration::from_mins(1))
    );

    stack.advance(SignedDuration::from_secs(61)).await;
    public.cases.track_case(right).await.unwrap();
}

#[tokio::test]
async fn a_code_that_does_not_exist_answers_like_one_with_a_wrong_secret() {
    let stack = Stack::start().await;
    let mut public = stack.public();
    for attempt in 0..7 {
        let status = public
            .cases
            .track_case(track("H41.201-261123-0042", "22222222"))
            .await
            .unwrap_err();
        let expected = if attempt < 6 { "LOOKUP_REFUSED" } else { "LOOKUP_LOCKED" };
        assert_eq!(reason(&status), expected, "attempt {attempt}");
    }
}

#[tokio::test]
async fn guesses_at_the_same_moment_count_one_by_one() {
    let stack = Stack::start().await;
    let case = submit(&stack).await.case.unwrap();
    let mut guesses = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let mut public = stack.public();
        let request = track(&case.case_code, "22222222");
        guesses.spawn(async move { reason(&public.cases.track_case(request).await.unwrap_err()) });
    }
    let answers = guesses.join_all().await;
    // A guess that meets another one at the same code is sent away, so at most six are looked at.
    let looked_at = answers.iter().filter(|answer| *answer == "LOOKUP_REFUSED").count();
    assert!((1..=6).contains(&looked_at), "{answers:?}");
    assert_eq!(
        answers.iter().filter(|answer| *answer == "LOOKUP_LOCKED").count(),
        20 - looked_at
    );
}
