//! Case numbers: gapless, for each agency and day, whoever fails on the way.

use egov_proto::egov::onestop::v1::SubmitCaseRequest;
use jiff::SignedDuration;
use tonic::Code;
use uuid::Uuid;

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sixty_four_concurrent_submitters_get_numbers_without_a_gap() {
    let stack = Stack::start().await;
    let mut calls = tokio::task::JoinSet::new();
    for caller in 0..64_u128 {
        let mut portal = stack.portal(Uuid::from_u128(0xC000 + caller));
        calls.spawn(async move {
            let mut codes = Vec::new();
            for attempt in 0..3 {
                let mut request = birth_registration();
                if attempt == 1 {
                    // A refusal in between, after everything else was looked at.
                    request.components[0].file_ids = vec![Uuid::from_u128(7).to_string()];
                }
                match portal.cases.submit_case(request).await {
                    Ok(answer) => codes.push(answer.into_inner().case.unwrap().case_code),
                    Err(status) => assert_eq!(reason(&status), "FILE_NOT_USABLE", "{status:?}"),
                }
            }
            codes
        });
    }
    let mut numbers: Vec<u32> = calls
        .join_all()
        .await
        .into_iter()
        .flatten()
        .map(|code| code.rsplit('-').next().unwrap().parse().unwrap())
        .collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=128).collect::<Vec<u32>>());
}

#[tokio::test]
async fn every_agency_and_every_day_counts_from_one() {
    let stack = Stack::start().await;
    let mut portal = stack.portal(citizen());
    let mut code = async |request: SubmitCaseRequest| {
        portal
            .cases
            .submit_case(request)
            .await
            .unwrap()
            .into_inner()
            .case
            .unwrap()
            .case_code
    };
    assert_eq!(code(birth_registration()).await, "H41.201-261123-0001");
    let neighbour = SubmitCaseRequest {
        competent_unit_code: "16681".to_owned(),
        ..birth_registration()
    };
    assert_eq!(code(neighbour).await, "H41.202-261123-0001");
    assert_eq!(code(birth_registration()).await, "H41.201-261123-0002");
    // 16:30 UTC is half past eleven in the night in Vietnam; half an hour later it is the next day there.
    stack
        .advance(SignedDuration::from_hours(15) + SignedDuration::from_mins(30))
        .await;
    let mut portal = stack.portal(citizen());
    let mut code = async |request: SubmitCaseRequest| {
        portal
            .cases
            .submit_case(request)
            .await
            .unwrap()
            .into_inner()
            .case
            .unwrap()
            .case_code
    };
    assert_eq!(code(birth_registration()).await, "H41.201-261123-0003");
    stack.advance(SignedDuration::from_mins(30)).await;
    let mut portal = stack.portal(citizen());
    let answer = portal
        .cases
        .submit_case(birth_registration())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(answer.case.unwrap().case_code, "H41.201-261124-0001");
}

#[tokio::test]
async fn number_ten_thousand_of_a_day_is_refused_or_takes_the_agencys_longer_sequence() {
    let stack = Stack::start().await;
    let mut superuser = stack.database.connect_as_superuser().await.unwrap();
    submit(&stack).await;
    sqlx::query("UPDATE egov.counters SET last_number = 9998")
        .execute(&mut superuser)
        .await
        .unwrap();
    let mut portal = stack.portal(citizen());
    let last = portal
        .cases
        .submit_case(birth_registration())
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(last.case_code, "H41.201-261123-9999");
    for _ in 0..2 {
        let status = portal.cases.submit_case(birth_registration()).await.unwrap_err();
        assert_eq!(
            (status.code(), reason(&status).as_str()),
            (Code::ResourceExhausted, "DAILY_NUMBERS_EXHAUSTED")
        );
    }
    sqlx::query(
        "INSERT INTO agency_sequences VALUES ($1, '2026-11-01', 5, 'Chủ tịch UBND phường', 'quyết định thử nghiệm')",
    )
    .bind(TRUONG_VINH)
    .execute(&mut superuser)
    .await
    .unwrap();
    let next = portal
        .cases
        .submit_case(birth_registration())
        .await
        .unwrap()
        .into_inner()
        .case
        .unwrap();
    assert_eq!(next.case_code, "H41.201-261123-10000", "the refusals used no number");
}
