//! Cases that are told to the portal by themselves: one-stop's events, its contract, the portal.

use std::collections::HashMap;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::routing::post;
use egov_clock::SystemIds;
use egov_database::{Database, DatabaseConfig};
use egov_events::{CloudEvent, EventStore as _, PostgresStore};
use egov_integration::onestop::{OneStopCases, OneStopConfig};
use egov_integration::partners::{Connections, Follow};
use egov_integration::{CaseFollower, EventParts, Followed, ensure_topic};
use egov_keyring::Keyring;
use egov_partners::wire_time::WireTime;
use egov_proto::egov::onestop::v1::{
    Case, CaseParticulars, CaseState, CaseSummary, CodedName, Deadline, GetCaseRequest, GetCaseResponse, HistoryEntry,
    ListCasesRequest, ListCasesResponse, ReadFileRequest, ReadFileResponse, SearchCasesRequest, SearchCasesResponse,
};
use egov_proto::google::r#type::Date;
use egov_simulators::Fault;
use jiff::SignedDuration;
use tonic::{Code, Status};
use tonic_prost::ProstCodec;
use uuid::Uuid;

use crate::support::{CASE, HERE, NEIGHBOUR, Running, case_with_code, connections};

const TOPIC: &str = "onestop.events";
/// What the child is told: database, address of the portal, address of one-stop, folder of the keyring.
const TOLD: &str = "EGOV_TEST_FOLLOWER";

/// One-stop as far as it is read: cases by id behind a token and a purpose.
#[derive(Clone, Default)]
pub(crate) struct OneStop(Arc<Mutex<Shown>>);

#[derive(Default)]
struct Shown {
    cases: HashMap<String, Case>,
    /// What it knows beside a case, if it was asked to say it.
    known: HashMap<String, CaseParticulars>,
    /// The purposes for which a case was read.
    read: Vec<String>,
    /// The codes of the cases that were listed.
    listed: Vec<String>,
    away: bool,
    /// Whether it is of a version that knows no days of filing.
    is_old: bool,
    /// What it answers instead of a case.
    faults: HashMap<String, Code>,
    /// Contents of files.
    files: HashMap<String, Vec<u8>>,
    /// Each reading of a part: the file, and for what.
    files_read: Vec<(String, String)>,
}

/// So many bytes of a file come at once.
const PART: usize = 8;

impl tonic::server::UnaryService<ReadFileRequest> for OneStop {
    type Response = ReadFileResponse;
    type Future = std::future::Ready<Result<tonic::Response<ReadFileResponse>, Status>>;

    fn call(&mut self, request: tonic::Request<ReadFileRequest>) -> Self::Future {
        let header = |name: &str| {
            let value = request.metadata().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let (purpose, token) = (header("x-egov-purpose"), header("authorization"));
        let mut shown = self.0.lock().unwrap();
        if shown.away {
            return std::future::ready(Err(Status::unavailable("away")));
        }
        let asked = request.into_inner();
        shown.files_read.push((asked.file_id.clone(), purpose));
        std::future::ready(match shown.files.get(&asked.file_id) {
            _ if token != "Bearer of-the-system" => Err(Status::unauthenticated("no token")),
            None => Err(Status::not_found("no file")),
            Some(content) => {
                let from = usize::try_from(asked.offset).unwrap();
                Ok(tonic::Response::new(ReadFileResponse {
                    data: content.iter().skip(from).take(PART).copied().collect(),
                    size: i64::try_from(content.len()).unwrap(),
                }))
            }
        })
    }
}

impl tonic::server::UnaryService<GetCaseRequest> for OneStop {
    type Response = GetCaseResponse;
    type Future = std::future::Ready<Result<tonic::Response<GetCaseResponse>, Status>>;

    fn call(&mut self, request: tonic::Request<GetCaseRequest>) -> Self::Future {
        let header = |name: &str| {
            let value = request.metadata().get(name).and_then(|value| value.to_str().ok());
            value.unwrap_or_default().to_owned()
        };
        let mut shown = self.0.lock().unwrap();
        std::future::ready(if shown.away {
            Err(Status::unavailable("away"))
        } else if header("authorization") != "Bearer of-the-system" {
            Err(Status::unauthenticated("no token"))
        } else if let Some(code) = shown.faults.get(&request.get_ref().case_id) {
            Err(Status::new(*code, "no"))
        } else if let Some(case) = shown.cases.get(&request.get_ref().case_id).cloned() {
            shown.read.push(header("x-egov-purpose"));
            let known = shown.known.get(&case.case_id).cloned();
            Ok(tonic::Response::new(GetCaseResponse {
                case: Some(case),
                particulars: known.filter(|_| request.get_ref().with_particulars),
            }))
        } else {
            Err(Status::not_found("no case"))
        })
    }
}

impl tonic::server::UnaryService<ListCasesRequest> for OneStop {
    type Response = ListCasesResponse;
    type Future = std::future::Ready<Result<tonic::Response<ListCasesResponse>, Status>>;

    /// Filed last first, 200 a page.
    fn call(&mut self, request: tonic::Request<ListCasesRequest>) -> Self::Future {
        let asked = request.into_inner();
        let mut shown = self.0.lock().unwrap();
        if shown.away {
            return std::future::ready(Err(Status::unavailable("away")));
        }
        let is_old = shown.is_old;
        let mut cases: Vec<&Case> = shown.cases.values().collect();
        cases.retain(|case| asked.unit_id == 0 || case.responsible_unit_id == asked.unit_id);
        cases.retain(|case| is_old || is_filed_in(case, asked.filed_from, asked.filed_until));
        cases.sort_by_key(|case| std::cmp::Reverse((case.submit_time.map(|at| at.seconds), &case.case_code)));
        let from: usize = asked.page_token.parse().unwrap_or(0);
        let next = from + 200;
        let answer = ListCasesResponse {
            cases: cases.iter().skip(from).take(200).map(|case| summary(case)).collect(),
            next_page_token: if next < cases.len() {
                next.to_string()
            } else {
                String::new()
            },
        };
        let codes = answer.cases.iter().map(|case| case.case_code.clone());
        shown.listed.extend(codes);
        std::future::ready(Ok(tonic::Response::new(answer)))
    }
}

/// Whether a case was filed on or between these days of Việt Nam, as far as they are said.
fn is_filed_in(case: &Case, from: Option<Date>, until: Option<Date>) -> bool {
    let day = |day: Option<Date>| day.map(|day| jiff::civil::Date::try_from(day).unwrap());
    let (from, until) = (day(from), day(until));
    let Some(filed) = case.submit_time.as_ref().and_then(egov_proto::instant) else {
        return from.is_none() && until.is_none();
    };
    let filed = filed.to_zoned(egov_clock::vietnam()).date();
    from.is_none_or(|from| from <= filed) && until.is_none_or(|until| filed <= until)
}

impl tonic::server::UnaryService<SearchCasesRequest> for OneStop {
    type Response = SearchCasesResponse;
    type Future = std::future::Ready<Result<tonic::Response<SearchCasesResponse>, Status>>;

    /// By the beginning of a code.
    fn call(&mut self, request: tonic::Request<SearchCasesRequest>) -> Self::Future {
        let query = request.into_inner().query;
        let shown = self.0.lock().unwrap();
        let found = shown.cases.values().filter(|case| case.case_code.starts_with(&query));
        std::future::ready(Ok(tonic::Response::new(SearchCasesResponse {
            cases: found.map(summary).collect(),
            next_page_token: String::new(),
        })))
    }
}

fn summary(case: &Case) -> CaseSummary {
    CaseSummary {
        case_id: case.case_id.clone(),
        case_code: case.case_code.clone(),
        state: case.state,
        responsible_unit_id: case.responsible_unit_id,
        submit_time: case.submit_time,
        ..CaseSummary::default()
    }
}

impl OneStop {
    pub(crate) async fn start(&self) -> String {
        let list_cases = async |State(one_stop): State<Self>, request: Request| {
            tonic::server::Grpc::new(ProstCodec::<ListCasesResponse, ListCasesRequest>::default())
                .unary(one_stop, request)
                .await
        };
        let search_cases = async |State(one_stop): State<Self>, request: Request| {
            tonic::server::Grpc::new(ProstCodec::<SearchCasesResponse, SearchCasesRequest>::default())
                .unary(one_stop, request)
                .await
        };
        let get_case = async |State(one_stop): State<Self>, request: Request| {
            tonic::server::Grpc::new(ProstCodec::<GetCaseResponse, GetCaseRequest>::default())
                .unary(one_stop, request)
                .await
        };
        let read_file = async |State(one_stop): State<Self>, request: Request| {
            tonic::server::Grpc::new(ProstCodec::<ReadFileResponse, ReadFileRequest>::default())
                .unary(one_stop, request)
                .await
        };
        let token = async || axum::Json(serde_json::json!({ "access_token": "of-the-system", "expires_in": 300 }));
        let router = Router::new()
            .route("/egov.onestop.v1.CaseService/GetCase", post(get_case))
            .route("/egov.onestop.v1.CaseService/ListCases", post(list_cases))
            .route("/egov.onestop.v1.CaseService/SearchCases", post(search_cases))
            .route("/egov.onestop.v1.FileService/ReadFile", post(read_file))
            .route("/oauth2/token", post(token))
            .with_state(self.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    pub(crate) fn show(&self, case: Case) {
        self.0.lock().unwrap().cases.insert(case.case_id.clone(), case);
    }

    /// What it knows beside a case.
    pub(crate) fn knows(&self, case: &Case, known: CaseParticulars) {
        self.0.lock().unwrap().known.insert(case.case_id.clone(), known);
    }

    /// It has a file with this content.
    pub(crate) fn keeps(&self, file_id: &str, content: &[u8]) {
        let mut shown = self.0.lock().unwrap();
        shown.files.insert(file_id.to_owned(), content.to_vec());
    }

    /// The files of which parts were read since this was asked last, and for what.
    pub(crate) fn files_read(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.0.lock().unwrap().files_read)
    }

    pub(crate) fn away(&self, away: bool) {
        self.0.lock().unwrap().away = away;
    }

    fn fails(&self, case: &Case, code: Code) {
        self.0.lock().unwrap().faults.insert(case.case_id.clone(), code);
    }

    fn fails_no_more(&self) {
        self.0.lock().unwrap().faults.clear();
    }

    fn read(&self) -> Vec<String> {
        self.0.lock().unwrap().read.clone()
    }

    /// The codes of the cases that were listed since this was asked last.
    pub(crate) fn listed(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().listed)
    }

    /// Whether it is of a version that knows no days of filing.
    pub(crate) fn is_old(&self, is_old: bool) {
        self.0.lock().unwrap().is_old = is_old;
    }
}

pub(crate) fn following(mut connections: Connections, one_stop: &str, units: Vec<i32>) -> Connections {
    let config = OneStopConfig {
        address: one_stop.to_owned(),
        authority: None,
        token_endpoint: format!("{one_stop}/oauth2/token"),
        audience: "https://identity.test".to_owned(),
        client_id: "egov-integration".to_owned(),
        purpose: "portal_synchronisation".to_owned(),
    };
    let (clock, ids) = (egov_testkit::clock().shared(), SystemIds::shared());
    let cases = OneStopCases::new(config, Arc::clone(&connections.keyring), clock, ids).unwrap();
    connections.follow = Some(Arc::new(Follow {
        topic: TOPIC.to_owned(),
        units,
        cases,
    }));
    connections
}

/// The service with one-stop beside it, whose events lie in the topic.
pub(crate) struct Stage {
    pub(crate) service: Running,
    pub(crate) one_stop: OneStop,
    pub(crate) address: String,
    store: Arc<PostgresStore>,
    topic: Uuid,
}

impl Stage {
    async fn start(service: Running) -> Self {
        let one_stop = OneStop::default();
        let address = one_stop.start().await;
        Self::beside(service, one_stop, address).await
    }

    pub(crate) async fn beside(service: Running, one_stop: OneStop, address: String) -> Self {
        let store = Arc::new(PostgresStore::new(service.pool().clone(), 1 << 20));
        let publisher = Uuid::from_u128(9);
        let topic = ensure_topic(service.pool(), store.as_ref(), TOPIC, 0, publisher).await;
        Self {
            topic: topic.unwrap(),
            service,
            one_stop,
            address,
            store,
        }
    }

    fn follower(&self, units: Vec<i32>) -> CaseFollower {
        let service = &self.service;
        let connections = service
            .partners
            .connections(Arc::clone(&service.keyring), &service.clock);
        self.follower_by(connections, units)
    }

    /// Who follows the cases by these connections.
    pub(crate) fn follower_by(&self, connections: Connections, units: Vec<i32>) -> CaseFollower {
        let events = EventParts {
            store: Arc::clone(&self.store) as Arc<_>,
            webhook_hosts: Vec::new(),
        };
        let connections = following(connections, &self.address, units);
        CaseFollower::new(self.service.pool(), connections, events)
    }

    pub(crate) async fn round(&self) -> Followed {
        self.follower(Vec::new()).round().await.unwrap().unwrap()
    }

    /// One-stop changed the case and said so; a second saying of the same changes nothing at one-stop.
    pub(crate) async fn changed(&self, case: &Case) {
        self.one_stop.show(case.clone());
        self.said(case).await;
    }

    /// The same of many cases, said at once.
    pub(crate) async fn all_changed(&self, cases: Vec<Case>) {
        for some in cases.chunks(100) {
            let said = some.iter().map(event).collect();
            self.store.publish(self.topic, said).await.unwrap();
        }
        for case in cases {
            self.one_stop.show(case);
        }
    }

    pub(crate) async fn said(&self, case: &Case) {
        self.store.publish(self.topic, vec![event(case)]).await.unwrap();
    }

    /// Something about another case, that has not the form of one-stop's events.
    async fn said_without_form(&self, about: &str) {
        let mut formless = event(&case(CaseState::Accepted, 2));
        (formless.id, formless.subject) = (about.to_owned(), Some(format!("case/{about}")));
        formless.partition_key = formless.subject.clone();
        self.store.publish(self.topic, vec![formless]).await.unwrap();
    }

    pub(crate) async fn deliveries(&self) -> i64 {
        self.service.count("SELECT count(*) FROM deliveries").await
    }
}

/// As one-stop's forwarder says it: ids, codes and states.
fn event(case: &Case) -> CloudEvent {
    let about = format!("case/{}", case.case_id);
    let payload = serde_json::json!({
        "case_code": case.case_code, "procedure_code": case.procedure_code, "state": case.state, "step": "",
        "responsible_unit_id": case.responsible_unit_id,
    });
    let data = serde_json::json!({ "version": case.version, "payload": payload });
    CloudEvent {
        id: format!("{}-{}", case.case_id, case.version),
        source: "/egov/onestop".to_owned(),
        kind: "vn.egov.onestop.case_changed".to_owned(),
        subject: Some(about.clone()),
        time: None,
        data_content_type: None,
        data_schema: None,
        partition_key: Some(about),
        epoch: Some(1),
        data: data.to_string().into(),
    }
}

/// A case as one-stop shows it.
fn case(state: CaseState, version: i64) -> Case {
    let at = |text: &str| Some(egov_proto::timestamp(text.parse().unwrap()));
    Case {
        case_id: Uuid::from_u128(7).to_string(),
        accept_time: at("2026-11-23T01:30:00Z"),
        deadline: Some(Deadline {
            due_time: at("2026-11-26T10:00:00Z"),
            ..Deadline::default()
        }),
        ..case_with_code(CASE, state, version).case.unwrap()
    }
}

#[tokio::test]
async fn a_case_that_one_stop_accepted_is_told_to_the_portal_with_its_state_and_times() {
    let stage = Stage::start(Running::start().await).await;
    stage.changed(&case(CaseState::Accepted, 2)).await;
    assert_eq!(
        stage.round().await,
        Followed {
            done: 1,
            ..Followed::default()
        }
    );
    stage.service.rounds().await;
    let told = stage.service.partners.portal.cases().remove(CASE).unwrap();
    assert_eq!(told.state, "2");
    assert_eq!(told.accept_time.map(WireTime::text).unwrap(), "20261123083000");
    assert_eq!(told.due_time.map(WireTime::text).unwrap(), "20261126170000");
    assert_eq!(
        stage.one_stop.read(),
        ["portal_synchronisation"],
        "read once, for a purpose"
    );
    for (state, version) in [
        (CaseState::SupplementRequested, 3),
        (CaseState::Completed, 4),
        (CaseState::Returned, 5),
    ] {
        stage.changed(&case(state, version)).await;
        stage.round().await;
        stage.service.rounds().await;
        let told = stage.service.partners.portal.cases().remove(CASE).unwrap();
        assert_eq!(told.state, i32::from(state).to_string());
    }
    assert_eq!(stage.service.partners.portal.writes(CASE), 4);
    let events = stage.service.events("portal_acknowledged").await;
    assert_eq!(events.len(), 4);
    assert!(!events[0].to_string().contains("Nguyễn"), "the events name no person");
}

/// What one-stop knows beside a case that has come to this version: received, assigned, examined.
fn known_at(version: i64) -> CaseParticulars {
    use CaseState::{Accepted, Processing, Registered, Unspecified};
    let entry = |version: i64, from: CaseState, to: CaseState, step: &str| HistoryEntry {
        version,
        from_state: from.into(),
        to_state: to.into(),
        step: step.to_owned(),
        actor_kind: if version == 1 { "citizen" } else { "staff" }.to_owned(),
        record_time: Some(egov_proto::timestamp(
            format!("2026-11-23T01:3{version}:00Z").parse().unwrap(),
        )),
        ..HistoryEntry::default()
    };
    let all = [
        entry(1, Unspecified, Registered, ""),
        entry(2, Registered, Accepted, ""),
        entry(3, Accepted, Processing, ""),
        entry(4, Processing, Processing, "tham_dinh"),
    ];
    CaseParticulars {
        sector_name: "Hộ tịch".to_owned(),
        responsible_unit_name: "Xã Kim Liên".to_owned(),
        steps: vec![CodedName {
            code: "tham_dinh".to_owned(),
            name: "Thẩm định hồ sơ".to_owned(),
        }],
        history: all.into_iter().filter(|entry| entry.version <= version).collect(),
        ..CaseParticulars::default()
    }
}

#[tokio::test]
async fn a_case_is_told_with_its_names_its_steps_follow_it_once_each_and_what_the_units_software_said_stays() {
    let stage = Stage::start(Running::start().await).await;
    let portal = &stage.service.partners.portal;
    let steps = || -> Vec<String> { portal.progress(CASE).into_iter().map(|step| step.content).collect() };
    let accepted = case(CaseState::Accepted, 2);
    stage.one_stop.knows(&accepted, known_at(2));
    stage.changed(&accepted).await;
    stage.round().await;
    stage.service.rounds().await;
    let told = portal.cases().remove(CASE).unwrap();
    assert_eq!(
        (told.field_name.as_str(), told.handling_unit.as_str()),
        ("Hộ tịch", "Xã Kim Liên")
    );
    assert_eq!(
        steps(),
        ["Được tiếp nhận"],
        "what an applicant does is no step of the office"
    );

    // Two versions later, said twice: the steps that came since.
    let examined = case(CaseState::Processing, 4);
    stage.one_stop.knows(&examined, known_at(4));
    stage.changed(&examined).await;
    let again = vec![event_again(&examined, "-again")];
    stage.store.publish(stage.topic, again).await.unwrap();
    for _ in 0..2 {
        stage.round().await;
    }
    stage.service.rounds().await;
    assert_eq!(steps(), ["Được tiếp nhận", "Đang xử lý", "Thẩm định hồ sơ"]);
    let last = portal.progress(CASE).pop().unwrap();
    assert_eq!(
        (
            last.at.text(),
            last.start_time.map(WireTime::text).unwrap(),
            last.department
        ),
        (
            "20261123083400".to_owned(),
            "20261123083300".to_owned(),
            "Xã Kim Liên".to_owned()
        )
    );
    assert_eq!((portal.steps_taken(CASE), stage.deliveries().await), (3, 5));

    // The unit's own software says its own names; whoever tells the case after that keeps them.
    let by_software = case_with_code(CASE, CaseState::Completed, 5);
    stage.service.submit(by_software.clone()).await.unwrap();
    stage.changed(&case(CaseState::Returned, 6)).await;
    stage.round().await;
    stage.service.rounds().await;
    let told = portal.cases().remove(CASE).unwrap();
    assert_eq!(told.state, "10");
    assert_eq!(
        (told.field_code, told.field_name, told.handling_unit),
        (
            by_software.field_code,
            by_software.field_name,
            by_software.handling_unit
        )
    );
}

#[tokio::test]
async fn the_same_event_twice_and_two_at_once_are_told_once_and_in_their_order() {
    let stage = Stage::start(Running::start().await).await;
    let (second, third) = (case(CaseState::Accepted, 2), case(CaseState::Processing, 3));
    stage.changed(&second).await;
    // The same event again under another id, as a restored log would say it.
    let again = vec![event_again(&second, "-again")];
    stage.store.publish(stage.topic, again).await.unwrap();
    let (one, other) = (stage.follower(Vec::new()), stage.follower(Vec::new()));
    for _ in 0..4 {
        let (left, right) = tokio::join!(one.round(), other.round());
        assert_eq!(left.unwrap().unwrap().put_off + right.unwrap().unwrap().put_off, 0);
    }
    assert_eq!(stage.deliveries().await, 1);
    assert_eq!(stage.one_stop.read().len(), 1, "what is told already is not read again");
    // The case has gone on when the event of its second version comes: it is told as it is, and nothing older after it.
    let earlier = case(CaseState::Accepted, 1);
    stage.changed(&third).await;
    stage.said(&earlier).await;
    for _ in 0..3 {
        stage.round().await;
    }
    stage.service.rounds().await;
    assert_eq!(stage.deliveries().await, 2);
    assert_eq!(stage.service.partners.portal.cases()[CASE].state, "4");
    assert_eq!(stage.service.partners.portal.writes(CASE), 2);
}

#[tokio::test]
async fn an_event_that_is_delivered_again_after_its_effect_has_no_second_one() {
    let stage = Stage::start(Running::start().await).await;
    stage.changed(&case(CaseState::Accepted, 2)).await;
    stage.round().await;
    // The process died after the commit and before the acknowledgement: the event comes again.
    let mut superuser = stage.service.database.connect_as_superuser().await.unwrap();
    sqlx::query("UPDATE event_consumers SET next_offset = 0")
        .execute(&mut superuser)
        .await
        .unwrap();
    assert_eq!(stage.round().await.done, 1);
    assert_eq!(stage.deliveries().await, 1);
    // Also where the delivery itself is no longer there to be seen, the inbox knows.
    for statement in [
        "DELETE FROM delivery_history",
        "DELETE FROM deliveries",
        "UPDATE event_consumers SET next_offset = 0",
    ] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(format!(
            "SET session_replication_role = replica; {statement}"
        )))
        .execute(&mut superuser)
        .await
        .unwrap();
    }
    assert_eq!(stage.round().await.done, 1);
    assert_eq!(stage.deliveries().await, 0, "applied once is applied");
}

#[tokio::test]
async fn only_the_cases_of_the_units_that_are_followed_are_read_and_told() {
    let stage = Stage::start(Running::start().await).await;
    let follower = stage.follower(vec![HERE]);
    let neighbours = Case {
        case_id: Uuid::from_u128(8).to_string(),
        case_code: "H41.50.05.14-261126-0001".to_owned(),
        responsible_unit_id: NEIGHBOUR,
        ..case(CaseState::Accepted, 2)
    };
    stage.changed(&neighbours).await;
    // Of one that has gone to the neighbour since, too.
    let gone = case(CaseState::Accepted, 2);
    stage.said(&gone).await;
    stage.one_stop.show(Case {
        responsible_unit_id: NEIGHBOUR,
        version: 3,
        ..gone
    });
    assert_eq!(follower.round().await.unwrap().unwrap().done, 2);
    assert_eq!(stage.one_stop.read().len(), 1, "the neighbour's is not even read");
    assert_eq!(stage.deliveries().await, 0);
}

/// The case of another citizen.
fn nth(n: u32) -> Case {
    Case {
        case_id: Uuid::from_u128(1_000 + u128::from(n)).to_string(),
        case_code: format!("H41.50.05.13-261126-{n:04}"),
        ..case(CaseState::Accepted, 2)
    }
}

#[tokio::test]
async fn what_cannot_be_told_now_comes_again_and_holds_up_no_other_case() {
    let stage = Stage::start(Running::start().await).await;
    // One without a form, one that one-stop cannot show at present, and one of which nothing is wrong.
    let broken = nth(9);
    stage.said_without_form("x").await;
    stage.one_stop.fails(&broken, Code::Internal);
    stage.changed(&broken).await;
    stage.changed(&case(CaseState::Accepted, 2)).await;
    let round = stage.round().await;
    assert_eq!((round.done, round.put_off, round.one_stop_away), (1, 2, false));
    stage.service.rounds().await;
    assert_eq!(stage.service.partners.portal.cases()[CASE].state, "2");
    let waiting = "SELECT count(*) FROM event_deliveries WHERE cause <> ''";
    assert_eq!(stage.service.count(waiting).await, 2, "why stands with them");
    stage.one_stop.fails_no_more();
    stage.service.clock.advance(SignedDuration::from_mins(6));
    assert_eq!(stage.round().await.done, 1);
    // The other is given up after a few attempts more.
    for _ in 3..=8 {
        stage.service.clock.advance(SignedDuration::from_mins(6));
        assert_eq!(stage.round().await.put_off, 1);
    }
    let dead = "SELECT count(*) FROM event_dead_letters WHERE attempts = 8 AND cause LIKE '%form%'";
    assert_eq!(stage.service.count(dead).await, 1);
    assert_eq!(stage.service.count("SELECT count(*) FROM event_deliveries").await, 0);
    // A decision about a procedure, a topic nobody has: nothing to tell.
    let mut other = event(&broken);
    (other.id, other.subject, other.partition_key) = ("y".to_owned(), Some("procedure_decision/1".to_owned()), None);
    stage.store.publish(stage.topic, vec![other]).await.unwrap();
    assert_eq!(stage.round().await.done, 1);
    let status = stage.service.submit(case_with_code(CASE, CaseState::Accepted, 1)).await;
    assert_eq!(
        status.unwrap_err().code(),
        Code::FailedPrecondition,
        "an older version by hand"
    );
}

#[tokio::test]
async fn events_of_cases_that_one_stop_does_not_show_hold_up_nobody_however_many() {
    let stage = Stage::start(Running::start().await).await;
    const HIDDEN: u32 = 130;
    let hidden = (1..=HIDDEN).map(|n| event(&nth(n))).collect();
    stage.store.publish(stage.topic, hidden).await.unwrap();
    stage.changed(&case(CaseState::Accepted, 2)).await;
    let mut not_shown = 0;
    for _ in 0..7 {
        let round = stage.round().await;
        assert_eq!(round.put_off, 0);
        not_shown += round.not_shown;
    }
    assert_eq!(not_shown, usize::try_from(HIDDEN).unwrap());
    assert_eq!(stage.deliveries().await, 1, "the one that is shown was told");
    for left in [
        "SELECT count(*) FROM event_deliveries",
        "SELECT count(*) FROM event_dead_letters",
    ] {
        assert_eq!(stage.service.count(left).await, 0);
    }
    // One of them goes to a unit at which this system may read: that is an event, and it is told.
    stage.changed(&Case { version: 3, ..nth(1) }).await;
    assert_eq!(stage.round().await.not_shown, 0);
    assert_eq!(stage.deliveries().await, 2);
}

#[tokio::test]
async fn however_long_one_stop_is_away_no_event_is_given_up_for_it() {
    let stage = Stage::start(Running::start().await).await;
    for n in 1..=3 {
        stage.changed(&nth(n)).await;
    }
    // Away in the middle of a batch: one event was tried, and the rest is not blamed for it.
    stage.one_stop.fails(&nth(2), Code::Unavailable);
    let round = stage.round().await;
    assert_eq!((round.done, round.put_off, round.one_stop_away), (1, 1, true));
    let rejected = "SELECT count(*) FROM event_deliveries WHERE cause <> ''";
    assert_eq!(stage.service.count(rejected).await, 1);
    let attempts = "SELECT sum(attempt)::bigint FROM event_deliveries";
    assert_eq!(stage.service.count(attempts).await, 2, "one each");
    stage.one_stop.fails_no_more();
    stage.one_stop.away(true);
    for _ in 0..20 {
        stage.service.clock.advance(SignedDuration::from_mins(6));
        let round = stage.round().await;
        assert_eq!((round.done, round.put_off, round.one_stop_away), (0, 0, true));
    }
    assert_eq!(stage.service.count(attempts).await, 2, "as many as before");
    stage.one_stop.away(false);
    assert_eq!(stage.round().await.done, 2);
    assert_eq!(stage.deliveries().await, 3);
}

#[tokio::test]
async fn after_a_restore_of_one_stop_its_next_event_tells_the_case_as_it_stands_and_its_versions_count_anew() {
    let stage = Stage::start(Running::start().await).await;
    let portal = &stage.service.partners.portal;
    stage.changed(&case(CaseState::Processing, 5)).await;
    stage.round().await;
    stage.service.rounds().await;
    assert_eq!(portal.cases()[CASE].state, "4");
    // An old event that comes late changes nothing: the case is as it was told.
    stage.said(&case(CaseState::Accepted, 2)).await;
    assert_eq!(stage.round().await.done, 1);
    assert_eq!(stage.deliveries().await, 1);
    // Restored to its second version, it is changed for the third time.
    stage.changed(&case(CaseState::SupplementRequested, 3)).await;
    assert_eq!(stage.round().await.done, 1);
    stage.service.rounds().await;
    assert_eq!(
        portal.cases()[CASE].state,
        i32::from(CaseState::SupplementRequested).to_string()
    );
    // And goes on to a version that was told once, under an id of its own.
    let fifth = case(CaseState::Completed, 5);
    stage.one_stop.show(fifth.clone());
    let again = vec![event_again(&fifth, "-restored")];
    stage.store.publish(stage.topic, again).await.unwrap();
    assert_eq!(stage.round().await.done, 1);
    stage.service.rounds().await;
    assert_eq!(portal.cases()[CASE].state, "9");
    assert_eq!((stage.deliveries().await, portal.writes(CASE)), (3, 3));
    let synchronised = "SELECT count(*) FROM portal_synchronisations
                        WHERE told_version = 5 AND acknowledged_version = 5 AND acknowledged_state = 9";
    assert_eq!(stage.service.count(synchronised).await, 1);
}

/// The event of a case under an id of its own: a log that was restored gives new ones.
fn event_again(case: &Case, again: &str) -> CloudEvent {
    let mut event = event(case);
    event.id.push_str(again);
    event
}

#[tokio::test]
async fn after_a_restore_of_one_stop_the_very_number_that_was_told_last_is_told_with_what_it_says_now() {
    let stage = Stage::start(Running::start().await).await;
    let (service, portal) = (&stage.service, &stage.service.partners.portal);
    let say = async |case: &Case, again: &str| {
        stage.one_stop.show(case.clone());
        let said = vec![event_again(case, again)];
        stage.store.publish(stage.topic, said).await.unwrap();
        assert_eq!(stage.round().await.done, 1);
    };
    stage.changed(&case(CaseState::Processing, 5)).await;
    stage.round().await;
    service.rounds().await;
    // The same said once more, long after: it is looked at, and is what was told.
    say(&case(CaseState::Processing, 5), "-late").await;
    assert_eq!((stage.deliveries().await, stage.one_stop.read().len()), (1, 2));
    // Restored to its fourth version, it becomes its fifth otherwise than before.
    let fifth = case(CaseState::SupplementRequested, 5);
    say(&fifth, "-restored").await;
    let known = "SELECT count(*) FROM portal_synchronisations WHERE told_version = 5 AND acknowledged_version IS NULL";
    assert_eq!(
        service.count(known).await,
        1,
        "it is not what the portal has acknowledged"
    );
    service.rounds().await;
    let requested = i32::from(CaseState::SupplementRequested);
    assert_eq!(portal.cases()[CASE].state, requested.to_string());
    assert_eq!((stage.deliveries().await, portal.writes(CASE)), (2, 2));
    let synchronised = "SELECT count(*) FROM portal_synchronisations
                        WHERE told_version = 5 AND acknowledged_version = 5 AND acknowledged_state = told_state";
    assert_eq!(service.count(synchronised).await, 1);
    say(&fifth, "-restored-late").await;
    assert_eq!(stage.deliveries().await, 2);
    let plain = "SELECT count(*) FROM deliveries d, portal_synchronisations s
                 WHERE d.content_digest = '' OR s.told_digest = '' OR d.content_digest LIKE '%Nguyễn%'";
    assert_eq!(service.count(plain).await, 0);

    // Another, whose first word is still on its way: the second follows it, and that the portal has the first is not taken for the second.
    let on_its_way = |state| Case {
        version: 3,
        ..with_state(nth(2), state)
    };
    say(&on_its_way(CaseState::Processing), "").await;
    service.clock.advance(SignedDuration::from_mins(11));
    say(&on_its_way(CaseState::Completed), "-restored").await;
    assert_eq!(stage.deliveries().await, 4);
    for fault in [Fault::Delay(1), Fault::Silent] {
        portal.faults().script("DongBoHoSoMC", fault);
    }
    service.round().await;
    let code = nth(2).case_code;
    assert_eq!(
        service.count("SELECT count(*) FROM deliveries WHERE state = 4").await,
        1
    );
    let unsaid = "SELECT count(*) FROM portal_synchronisations WHERE told_version = 3 AND acknowledged_version IS NULL";
    assert_eq!(service.count(unsaid).await, 1);
    service.rounds().await;
    assert_eq!(portal.cases()[&code].state, "9");
    assert_eq!(service.count(unsaid).await, 0);
}

fn with_state(case: Case, state: CaseState) -> Case {
    Case {
        state: state.into(),
        ..case
    }
}

#[tokio::test]
async fn a_version_that_never_was_one_stops_holds_up_no_case_for_long() {
    let stage = Stage::start(Running::start().await).await;
    let portal = &stage.service.partners.portal;
    let told = case_with_code(CASE, CaseState::Processing, 999_999);
    stage.service.submit(told).await.unwrap();
    // It is on its way, and has just been told: which of both is the later word is not known.
    stage.changed(&case(CaseState::Accepted, 2)).await;
    assert_eq!(stage.round().await.done, 1);
    assert_eq!(stage.deliveries().await, 1);
    stage.service.rounds().await;
    assert_eq!(portal.cases()[CASE].state, "4");
    stage.changed(&case(CaseState::SupplementRequested, 3)).await;
    assert_eq!(stage.round().await.done, 1);
    stage.service.rounds().await;
    assert_eq!(
        portal.cases()[CASE].state,
        i32::from(CaseState::SupplementRequested).to_string()
    );
    let next = case_with_code(CASE, CaseState::Completed, 4);
    stage.service.submit(next).await.unwrap();
    stage.service.rounds().await;
    assert_eq!(portal.cases()[CASE].state, "9");
}

/// Not a test by itself: the process that is killed. Without its orders it does nothing.
#[test]
fn child_that_follows_until_it_is_killed() {
    let Some(told) = std::env::var_os(TOLD) else {
        return;
    };
    let told = told.into_string().unwrap();
    let mut words = told.split('\n').map(str::to_owned);
    let mut next = || words.next().unwrap();
    let (url, portal, one_stop, folder) = (next(), next(), next(), next());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let clock = egov_testkit::clock();
        let keyring = Arc::new(Keyring::open(folder.as_ref(), &clock).unwrap());
        let config = DatabaseConfig::new(url).test_profile();
        let database = Database::connect(&config, keyring.clone(), clock.shared(), SystemIds::shared())
            .await
            .unwrap();
        let urls = [portal.clone(), portal.clone(), portal.clone(), portal];
        let connections = following(connections(&urls, keyring, &clock), &one_stop, Vec::new());
        let follower = CaseFollower::new(&database, connections, EventParts::in_database(&database));
        loop {
            follower.round().await.unwrap();
        }
    });
}

#[tokio::test]
async fn a_follower_killed_at_any_moment_leaves_each_version_told_once() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path().join("keys");
    Keyring::create_missing(&folder, &egov_testkit::clock()).unwrap();
    let stage = Stage::start(Running::on_disk(&folder).await).await;
    const CASES: u32 = 60;
    for n in 1..=CASES {
        stage.changed(&nth(n)).await;
    }
    let told = [
        stage.service.database.app_url.clone(),
        stage.service.partners.portal.url(),
        stage.address.clone(),
        folder.to_string_lossy().into_owned(),
    ]
    .join("\n");
    for kill in 1..=3_i64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "follow::child_that_follows_until_it_is_killed",
                "--nocapture",
            ])
            .env(TOLD, &told)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for _ in 0..400 {
            if stage.deliveries().await >= kill * 12 {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // SIGKILL: nothing of the process runs any more.
        child.kill().unwrap();
        child.wait().unwrap();
        // Its database sessions end a moment later; what it had in hand comes again.
        stage.service.clock.advance(SignedDuration::from_mins(6));
        let mut superuser = stage.service.database.connect_as_superuser().await.unwrap();
        sqlx::query("UPDATE event_deliveries SET due_time = '-infinity' WHERE attempt > 0")
            .execute(&mut superuser)
            .await
            .unwrap();
    }
    for _ in 0..20 {
        let round = stage.round().await;
        if round.done == 0 && round.put_off == 0 {
            break;
        }
    }
    assert_eq!(stage.deliveries().await, i64::from(CASES));
    stage.service.rounds().await;
    for n in 1..=CASES {
        let code = nth(n).case_code;
        assert_eq!(stage.service.partners.portal.writes(&code), 1, "{code}");
    }
}
