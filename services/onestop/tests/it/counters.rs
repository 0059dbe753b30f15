//! Queue tickets: numbers without a gap, two officers who call at once, priorities as data, a board without persons.

use std::collections::BTreeSet;

use egov_onestop::domain::pack::Profile;
use egov_proto::egov::onestop::v1::{
    CallNextRequest, CallNextResponse, CounterGroup, FinishTicketRequest, GetBoardRequest, ListCounterGroupsRequest,
    ListTicketsRequest, PutCounterGroupRequest, RecallTicketRequest, SkipTicketRequest, TakeTicketRequest,
    TakeTicketResponse, Ticket, TicketState,
};
use prost::Message as _;
use tonic::{Code, Status};
use uuid::Uuid;

use crate::support::*;

fn new_group(code: &str, letter: &str) -> PutCounterGroupRequest {
    PutCounterGroupRequest {
        request_id: request_id(),
        unit_id: TRUONG_VINH,
        code: code.to_owned(),
        name: format!("Nhóm {code}"),
        letter: letter.to_owned(),
        counters: 3,
        open: true,
        ..Default::default()
    }
}

async fn put(stack: &Stack, request: PutCounterGroupRequest) -> Result<CounterGroup, Status> {
    let mut leader = stack.staff("unit_leader", TRUONG_VINH);
    let answer = leader.counters.put_counter_group(request).await?;
    Ok(answer.into_inner().group.unwrap())
}

async fn take(client: &Client, group: &CounterGroup, priority: &str) -> Result<TakeTicketResponse, Status> {
    let request = TakeTicketRequest {
        request_id: request_id(),
        group_id: group.group_id.clone(),
        priority: priority.to_owned(),
    };
    Ok(client.clone().counters.take_ticket(request).await?.into_inner())
}

async fn call(client: &Client, group: &CounterGroup, counter: i32) -> Result<CallNextResponse, Status> {
    let request = CallNextRequest {
        request_id: request_id(),
        group_id: group.group_id.clone(),
        counter,
    };
    Ok(client.clone().counters.call_next(request).await?.into_inner())
}

async fn finish(client: &Client, ticket: &Ticket) -> Result<Ticket, Status> {
    let request = FinishTicketRequest {
        request_id: request_id(),
        ticket_id: ticket.ticket_id.clone(),
    };
    Ok(client
        .clone()
        .counters
        .finish_ticket(request)
        .await?
        .into_inner()
        .ticket
        .unwrap())
}

async fn skip(client: &Client, ticket: &Ticket) -> Result<Ticket, Status> {
    let request = SkipTicketRequest {
        request_id: request_id(),
        ticket_id: ticket.ticket_id.clone(),
    };
    Ok(client
        .clone()
        .counters
        .skip_ticket(request)
        .await?
        .into_inner()
        .ticket
        .unwrap())
}

async fn recall(client: &Client, ticket: &Ticket, counter: i32) -> Result<Ticket, Status> {
    let request = RecallTicketRequest {
        request_id: request_id(),
        ticket_id: ticket.ticket_id.clone(),
        counter,
    };
    Ok(client
        .clone()
        .counters
        .recall_ticket(request)
        .await?
        .into_inner()
        .ticket
        .unwrap())
}

#[tokio::test]
async fn a_ticket_goes_from_the_machine_to_the_counter_and_the_board_shows_numbers_only() {
    let stack = Stack::start().await;
    let group = put(&stack, new_group("ho_tich", "A")).await.unwrap();
    let kiosk = stack.client(
        Some(
            stack
                .tokens
                .system(Uuid::from_u128(0x902), &[("ticket_kiosk", TRUONG_VINH)]),
        ),
        None,
    );
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let first = take(&kiosk, &group, "").await.unwrap();
    let second = take(&clerk, &group, "").await.unwrap();
    assert_eq!((first.ahead, second.ahead), (0, 1));
    assert_eq!(
        (first.ticket.unwrap().label, second.ticket.unwrap().label),
        ("A001".into(), "A002".into())
    );
    let status = call(&kiosk, &group, 1).await.unwrap_err();
    assert_eq!(
        reason(&status),
        "PERMISSION_MISSING",
        "the machine prints and does nothing else"
    );

    let answer = call(&clerk, &group, 2).await.unwrap();
    let called = answer.ticket.unwrap();
    assert_eq!(
        (called.label.as_str(), called.counter, called.state(), answer.waiting),
        ("A001", 2, TicketState::Called, 1)
    );
    assert_eq!(reason(&call(&clerk, &group, 2).await.unwrap_err()), "COUNTER_BUSY");
    assert_eq!(reason(&call(&clerk, &group, 4).await.unwrap_err()), "COUNTER_UNKNOWN");
    let board = stack
        .public()
        .counters
        .get_board(GetBoardRequest { unit_id: TRUONG_VINH })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (
            board.groups[0].calls[0].label.as_str(),
            board.groups[0].calls[0].counter
        ),
        ("A001", 2)
    );
    assert_eq!(board.groups[0].waiting, 1);
    let bytes = board.encode_to_vec();
    assert!(
        !bytes.windows(36).any(|window| window == called.ticket_id.as_bytes()),
        "no ids either"
    );

    let skipped = skip(&clerk, &called).await.unwrap();
    assert_eq!(skipped.state(), TicketState::Skipped);
    let status = skip(&clerk, &called).await.unwrap_err();
    assert_eq!(
        (status.code(), reason(&status).as_str()),
        (Code::FailedPrecondition, "TICKET_STATE")
    );
    let recalled = recall(&clerk, &called, 3).await.unwrap();
    assert_eq!((recalled.counter, recalled.calls), (3, 2));
    assert_eq!(finish(&clerk, &called).await.unwrap().state(), TicketState::Finished);
    assert_eq!(reason(&recall(&clerk, &called, 3).await.unwrap_err()), "TICKET_STATE");
    assert_eq!(call(&clerk, &group, 1).await.unwrap().ticket.unwrap().label, "A002");
    assert!(call(&clerk, &group, 2).await.unwrap().ticket.is_none(), "nobody waits");

    let mut sql = stack.database.connect_as_superuser().await.unwrap();
    let acts: Vec<String> = sqlx::query_scalar(
        "SELECT act FROM queue_acts WHERE kind = 'queue_ticket' AND resource_id = $1::uuid ORDER BY version",
    )
    .bind(&called.ticket_id)
    .fetch_all(&mut sql)
    .await
    .unwrap();
    assert_eq!(acts, ["take", "call", "skip", "recall", "finish"]);
    let leaves: i64 =
        sqlx::query_scalar("SELECT count(*) FROM egov.leaves WHERE kind = 'queue_ticket' AND resource_id = $1::uuid")
            .bind(&called.ticket_id)
            .fetch_one(&mut sql)
            .await
            .unwrap();
    assert_eq!(leaves, 5);

    // The next day begins at 1, and yesterday's tickets are over.
    stack.advance(jiff::SignedDuration::from_hours(24)).await;
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    assert_eq!(take(&clerk, &group, "").await.unwrap().ticket.unwrap().label, "A001");
    assert_eq!(
        reason(&recall(&clerk, &called, 1).await.unwrap_err()),
        "TICKET_NOT_FOUND"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn numbers_have_no_gap_and_two_officers_who_call_at_once_get_two_tickets() {
    let stack = Stack::start().await;
    let group = put(&stack, new_group("dat_dai", "B")).await.unwrap();
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    let mut taken = tokio::task::JoinSet::new();
    for _ in 0..12 {
        let (clerk, group) = (clerk.clone(), group.clone());
        taken.spawn(async move { take(&clerk, &group, "").await.unwrap().ticket.unwrap().number });
    }
    let numbers: BTreeSet<i32> = taken.join_all().await.into_iter().collect();
    assert_eq!(numbers, (1..=12).collect());

    let mut served = BTreeSet::new();
    for _ in 0..4 {
        let (one, two, three) = tokio::join!(
            call(&clerk, &group, 1),
            call(&clerk, &group, 2),
            call(&clerk, &group, 3)
        );
        for answer in [one, two, three] {
            let ticket = answer.unwrap().ticket.unwrap();
            assert!(served.insert(ticket.number), "{} was called twice", ticket.number);
            finish(&clerk, &ticket).await.unwrap();
        }
    }
    assert_eq!(served, numbers);

    // Two who call to one counter: one of them is told that it is taken, and nobody is lost.
    for _ in 0..2 {
        take(&clerk, &group, "").await.unwrap();
    }
    let (one, two) = tokio::join!(call(&clerk, &group, 1), call(&clerk, &group, 1));
    let refused = [&one, &two]
        .into_iter()
        .filter_map(|answer| answer.as_ref().err())
        .collect::<Vec<_>>();
    assert_eq!(refused.len(), 1);
    assert_eq!(reason(refused[0]), "COUNTER_BUSY");
    assert!(call(&clerk, &group, 2).await.unwrap().ticket.is_some());

    // The same request gets the same ticket.
    let request = TakeTicketRequest {
        request_id: request_id(),
        group_id: group.group_id.clone(),
        priority: String::new(),
    };
    let mut counters = clerk.counters.clone();
    let first = counters.take_ticket(request.clone()).await.unwrap().into_inner();
    assert_eq!(counters.take_ticket(request).await.unwrap().into_inner(), first);
}

#[tokio::test]
async fn priorities_are_data_and_production_calls_nobody_first_by_what_nobody_decided() {
    let stack = Stack::start().await;
    let group = put(&stack, new_group("chung", "C")).await.unwrap();
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    take(&clerk, &group, "").await.unwrap();
    let prior = take(&clerk, &group, "nguoi_khuyet_tat").await.unwrap();
    assert_eq!(prior.ahead, 0);
    assert_eq!(call(&clerk, &group, 1).await.unwrap().ticket.unwrap().label, "C002");
    assert_eq!(call(&clerk, &group, 2).await.unwrap().ticket.unwrap().label, "C001");
    assert_eq!(
        reason(&take(&clerk, &group, "quen_biet").await.unwrap_err()),
        "PRIORITY_UNKNOWN"
    );

    let production = Stack::with_profiles(Profile::Demo, Profile::Production).await;
    let group = put(&production, new_group("chung", "C")).await.unwrap();
    let clerk = production.staff("one_stop_clerk", TRUONG_VINH);
    let status = take(&clerk, &group, "nguoi_khuyet_tat").await.unwrap_err();
    assert_eq!(reason(&status), "FACT_NOT_DECIDED");
    assert!(take(&clerk, &group, "").await.is_ok());
}

#[tokio::test]
async fn groups_are_changed_by_their_leader_and_seen_by_no_neighbour() {
    let stack = Stack::start().await;
    let group = put(&stack, new_group("ho_tich", "A")).await.unwrap();
    assert_eq!(
        reason(&put(&stack, new_group("ho_tich", "B")).await.unwrap_err()),
        "COUNTER_GROUP_TAKEN"
    );
    assert_eq!(
        reason(&put(&stack, new_group("khac", "A")).await.unwrap_err()),
        "COUNTER_GROUP_TAKEN"
    );
    let closed = PutCounterGroupRequest {
        group_id: group.group_id.clone(),
        etag: group.etag.clone(),
        open: false,
        ..new_group("ho_tich", "A")
    };
    let after = put(&stack, closed.clone()).await.unwrap();
    assert!(!after.open && after.etag != group.etag);
    let stale = PutCounterGroupRequest {
        request_id: request_id(),
        ..closed
    };
    assert_eq!(reason(&put(&stack, stale).await.unwrap_err()), "STALE_ETAG");
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    assert_eq!(
        reason(&take(&clerk, &group, "").await.unwrap_err()),
        "COUNTER_GROUP_CLOSED"
    );
    let status = clerk
        .clone()
        .counters
        .put_counter_group(new_group("khac", "D"))
        .await
        .unwrap_err();
    assert_eq!(reason(&status), "PERMISSION_MISSING");

    let mut neighbour = stack.staff("unit_leader", THANH_VINH);
    let groups = neighbour
        .counters
        .list_counter_groups(ListCounterGroupsRequest::default())
        .await
        .unwrap();
    assert!(groups.into_inner().groups.is_empty());
    let own = clerk
        .clone()
        .counters
        .list_counter_groups(ListCounterGroupsRequest::default())
        .await
        .unwrap();
    assert_eq!(own.into_inner().groups, [after]);
    assert_eq!(
        reason(&call(&neighbour, &group, 1).await.unwrap_err()),
        "COUNTER_GROUP_NOT_FOUND"
    );
    let tickets = ListTicketsRequest {
        group_id: group.group_id.clone(),
        ..Default::default()
    };
    let status = neighbour.counters.list_tickets(tickets.clone()).await.unwrap_err();
    assert_eq!(reason(&status), "COUNTER_GROUP_NOT_FOUND");
    let foreign = neighbour
        .counters
        .put_counter_group(new_group("la", "E"))
        .await
        .unwrap_err();
    assert_eq!(foreign.code(), Code::PermissionDenied);
    let status = stack
        .portal(citizen())
        .counters
        .list_tickets(tickets.clone())
        .await
        .unwrap_err();
    assert_eq!(status.code(), Code::PermissionDenied);
    assert!(
        clerk
            .clone()
            .counters
            .list_tickets(tickets)
            .await
            .unwrap()
            .into_inner()
            .tickets
            .is_empty()
    );
}

#[tokio::test]
async fn tickets_are_listed_page_by_page_and_by_state() {
    let stack = Stack::start().await;
    let group = put(&stack, new_group("ho_tich", "A")).await.unwrap();
    let clerk = stack.staff("one_stop_clerk", TRUONG_VINH);
    for _ in 0..5 {
        take(&clerk, &group, "").await.unwrap();
    }
    call(&clerk, &group, 1).await.unwrap();
    let list = async |state: TicketState, page_token: String| {
        let request = ListTicketsRequest {
            group_id: group.group_id.clone(),
            state: state.into(),
            page_size: 2,
            page_token,
        };
        clerk.clone().counters.list_tickets(request).await.unwrap().into_inner()
    };
    let mut seen = Vec::new();
    let mut token = String::new();
    loop {
        let page = list(TicketState::Waiting, token).await;
        seen.extend(page.tickets.iter().map(|ticket| ticket.number));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, [2, 3, 4, 5]);
    assert_eq!(list(TicketState::Called, String::new()).await.tickets[0].number, 1);
}
