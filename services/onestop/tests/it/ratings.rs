//! Ratings by code and look-up secret, for who has no account.

use egov_proto::egov::onestop::v1::{
    GetRatingAssessmentRequest, RateCaseRequest, RateTrackedCaseRequest, RatingScore, ReturnResultRequest,
    TrackCaseRequest,
};
use jiff::SignedDuration;
use tonic::Code;

use crate::generated::verified;
use crate::support::*;

fn rating(code: &str, secret: &str) -> RateTrackedCaseRequest {
    RateTrackedCaseRequest {
        request_id: request_id(),
        case_code: code.to_owned(),
        lookup_secret: secret.to_owned(),
        score: RatingScore::Satisfied.into(),
        comment: "Nhanh".to_owned(),
    }
}

/// A returned case and its secret.
async fn returned(stack: &Stack) -> (egov_proto::egov::onestop::v1::Case, String) {
    let submitted = submit(stack).await;
    let accepted = accept(stack, &submitted.case.unwrap()).await.case.unwrap();
    let assigned = assign(stack, &accepted).await;
    let approved = approve(stack, &assigned).await;
    let request = ReturnResultRequest {
        request_id: request_id(),
        case_id: approved.case_id.clone(),
        etag: approved.etag.clone(),
        channel: 1,
        ..Default::default()
    };
    let mut clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let case = clerk
        .cases
        .return_result(request)
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    (case, submitted.lookup_secret)
}

#[tokio::test]
async fn whoever_holds_code_and_secret_rates_once_and_the_rating_stands_for_nine_criteria() {
    let stack = Stack::start().await;
    let (case, secret) = returned(&stack).await;
    let mut public = stack.public();
    let request = rating(&case.case_code, &secret);
    let rated = public
        .ratings
        .rate_tracked_case(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (rated.score(), rated.case_code.as_str()),
        (RatingScore::Satisfied, case.case_code.as_str())
    );
    let again = public.ratings.rate_tracked_case(request).await.unwrap().into_inner();
    assert_eq!(again, rated, "the same request gets the same answer");
    let status = public
        .ratings
        .rate_tracked_case(rating(&case.case_code, &secret))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "ALREADY_RATED");
    let own = RateCaseRequest {
        request_id: request_id(),
        case_id: case.case_id.clone(),
        score: RatingScore::VerySatisfied.into(),
        comment: String::new(),
    };
    let status = stack.portal(citizen()).cases.rate_case(own).await.unwrap_err();
    assert_eq!(reason(&status), "ALREADY_RATED");

    let today = jiff::civil::date(2026, 11, 23);
    let request = GetRatingAssessmentRequest {
        from: Some(today.into()),
        to: Some(today.into()),
        ..Default::default()
    };
    let mut leader = stack.staff("unit_leader", TRUONG_VINH);
    let found = leader
        .reports
        .get_rating_assessment(request)
        .await
        .unwrap()
        .into_inner();
    assert_eq!((found.steps[1].score, found.steps[1].count), (2, 1));
    assert_eq!((found.hundredths_of_points, found.band.as_str()), (Some(900), "Khá"));
    assert!(
        found
            .criteria
            .iter()
            .all(|criterion| criterion.hundredths_of_points == Some(100))
    );

    let whole = verified(&stack).await;
    assert!(whole.is_whole(), "{:#?}", whole.violations);
}

#[tokio::test]
async fn a_case_is_not_rated_before_its_result_was_returned() {
    let stack = Stack::start().await;
    let submitted = submit(&stack).await;
    let request = rating(&submitted.case.unwrap().case_code, &submitted.lookup_secret);
    let status = stack.public().ratings.rate_tracked_case(request).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "NOT_RETURNED")
    );
}

#[tokio::test]
async fn wrong_secrets_of_a_rating_count_with_those_of_the_look_up_and_lock_the_code() {
    let stack = Stack::start().await;
    let (case, secret) = returned(&stack).await;
    let mut public = stack.public();
    for attempt in 0..6 {
        let status = if attempt % 2 == 0 {
            let request = rating(&case.case_code, "22222222");
            public.ratings.rate_tracked_case(request).await.unwrap_err()
        } else {
            let request = TrackCaseRequest {
                case_code: case.case_code.clone(),
                lookup_secret: "22222222".to_owned(),
            };
            public.cases.track_case(request).await.unwrap_err()
        };
        assert_eq!(reason(&status), "LOOKUP_REFUSED", "{attempt}");
    }
    let request = rating(&case.case_code, &secret);
    let status = public.ratings.rate_tracked_case(request.clone()).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::ResourceExhausted, "LOOKUP_LOCKED")
    );
    stack.advance(SignedDuration::from_secs(61)).await;
    public.ratings.rate_tracked_case(request).await.unwrap();
    // A code that nobody has is refused like a wrong secret.
    let status = public
        .ratings
        .rate_tracked_case(rating("H41.201-261123-0042", "22222222"))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "LOOKUP_REFUSED");
}
