//! `cargo egov demo`: the main job through the public API, as each of its callers, and whether it went as it must. With `--fee` a case
//! only until its fee is asked for, so that somebody can pay it.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use clap::Args;
use egov_clock::{Clock as _, Ids as _, SharedClock, SharedIds, SystemClock, SystemIds, vietnam};
use egov_fault::fault_of;
use egov_proto::egov::onestop::v1::case_service_client::CaseServiceClient;
use egov_proto::egov::onestop::v1::component_service_client::ComponentServiceClient;
use egov_proto::egov::onestop::v1::fee_service_client::FeeServiceClient;
use egov_proto::egov::onestop::v1::file_service_client::FileServiceClient;
use egov_proto::egov::onestop::v1::procedure_service_client::ProcedureServiceClient;
use egov_proto::egov::onestop::v1::{
    AcceptCaseRequest, ApplicantKind, ApproveCaseRequest, AssignCaseRequest, Case, CaseCharge, CaseComponent,
    CasePayment, CaseResult, CaseState, Channel as Way, ComponentState, Deadline, FinishUploadRequest, GetCaseRequest,
    GetChargeRequest, GetProcedureRequest, Party, Procedure, PutChunkRequest, RateCaseRequest, RatingScore,
    ReadFileRequest, RecordStepRequest, RequestPaymentRequest, RequestSupplementRequest, ReturnResultRequest,
    SetComponentStateRequest, StartUploadRequest, SubmitCaseRequest, SupplementItem, SupplyComponentsRequest,
    TrackCaseRequest,
};
use egov_proto::google::r#type::Date;
use jiff::Timestamp;
use serde::Serialize;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Response, Status};

use crate::accounts::Citizen;
use crate::client::{self, Callers, Carrier};
use crate::place::Place;
use crate::problem::Problem;
use crate::say;
use crate::temporary::on_temporary_stack;

/// Đăng ký khai sinh.
const PROCEDURE: &str = "1.001193";
/// Phường Trường Vinh.
const UNIT: &str = "16690";
/// Giấy khai sinh, as the procedure's results name it.
const RESULT: &str = "KQ.G15.000031";
/// The components of the online way: the interactive form and the certificate of birth.
const COMPONENTS: [&str; 2] = ["mau_dien_tu", "giay_chung_sinh"];
/// The components of the way to the counter.
const AT_THE_COUNTER: [&str; 3] = ["to_khai", "giay_chung_sinh", IDENTITY_PAPER];
/// Giấy tờ tùy thân: data of the population database may stand in its place.
const IDENTITY_PAPER: &str = "giay_to_tuy_than";
/// The register that confirms who somebody is.
const POPULATION: &str = "population";
/// Whom the simulated population database knows: nobody.
const KNOWN: (&str, &str, (i32, i32, i32)) = ("040099000001", "Nguyễn Văn An", (1999, 2, 14));
/// The applicant also asks for copies, which cost a fee.
const COPIES: &str = "yeu_cau_ban_sao";
/// How long the payment platform may take to have an order.
const PATIENCE: Duration = Duration::from_mins(1);
/// Between two looks at it.
const LOOK: Duration = Duration::from_millis(200);
/// The component that is asked for again.
const SUPPLEMENT: &str = "giay_chung_sinh";
/// The national codes through which the case must go.
const STATES: [i32; 7] = [1, 2, 4, 5, 4, 9, 10];
/// Why the neighbour and the clerk are refused.
const REFUSALS: [&str; 2] = ["CASE_NOT_FOUND", "PERMISSION_MISSING"];
/// Where cases are received.
const COUNTER: &str = "Bộ phận một cửa";
/// Why officials read.
const HANDLING: &str = "case_handling";
/// A part of an upload.
const PART: usize = 256 * 1024;

/// `cargo egov demo`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The data folder of a running stack. If none runs on it, a temporary one is started and removed.
    #[arg(long, value_name = "DIR", default_value = ".egov", env = "EGOV_DATA")]
    data: PathBuf,
    /// The folder with `packs` and `policies`, for a temporary stack.
    #[arg(long, value_name = "DIR", env = "EGOV_DEPLOY")]
    deploy: Option<PathBuf>,
    /// A case of which a fee is due, only until it waits for payment, and where the citizen pays; on a running stack with a payment
    /// platform (`cargo egov up --simulators`).
    #[arg(long)]
    fee: bool,
    /// A case of somebody whom the simulated population database knows, only until that database has confirmed them in the place of their
    /// paper; on a running stack with that database (`cargo egov up --simulators`).
    #[arg(long, conflicts_with = "fee")]
    population: bool,
    /// Print one JSON object: `case_code`, `states`, `due_date`, `refusals`, `elapsed_ms`; with `--fee` `case_id`, `case_code`,
    /// `amount_vnd`, `order_code`, `pay_url`; with `--population` `case_id`, `case_code`, `etag`, `request_code`.
    #[arg(long)]
    json: bool,
}

/// An owner whom the population database confirmed.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Confirmed {
    case_id: String,
    case_code: String,
    etag: String,
    request_code: String,
}

/// A fee that was asked for.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Asked {
    case_id: String,
    case_code: String,
    amount_vnd: i64,
    order_code: String,
    pay_url: String,
}

/// What the story came to.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Outcome {
    case_code: String,
    states: Vec<i32>,
    due_date: String,
    refusals: Vec<String>,
    elapsed_ms: u64,
}

/// `cargo egov demo`
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let place = Place::at(&arguments.data)?;
    if arguments.fee {
        let url = client::running(&place)?.url();
        let asked = Box::pin(ask_for_fee(place, url, arguments.json)).await?;
        if arguments.json {
            say::json(&asked);
        } else {
            say::line(format!(
                "\nCông dân nộp {} đồng ở đây; sau đó vài giây, hồ sơ {} được giải quyết tiếp:\n  {}",
                asked.amount_vnd, asked.case_code, asked.pay_url
            ));
        }
        return Ok(());
    }
    if arguments.population {
        let url = client::running(&place)?.url();
        let confirmed = Box::pin(ask_population(place, url, arguments.json)).await?;
        if arguments.json {
            say::json(&confirmed);
        } else {
            say::line(format!(
                "\nCơ sở dữ liệu quốc gia về dân cư xác nhận chủ hồ sơ {}; mã yêu cầu {}.",
                confirmed.case_code, confirmed.request_code
            ));
        }
        return Ok(());
    }
    let outcome = match place.running() {
        Some(running) => Box::pin(play(place, running.url(), arguments.json)).await?,
        None => Box::pin(with_own_stack(&arguments)).await?,
    };
    if arguments.json {
        say::json(&outcome);
    } else {
        say::line(format!(
            "\nAll went as it must, in {:.1} s.",
            outcome.elapsed_ms as f64 / 1000.0
        ));
    }
    Ok(())
}

/// Plays on a stack of its own.
async fn with_own_stack(arguments: &Arguments) -> anyhow::Result<Outcome> {
    say::note("no stack runs here; starting a temporary one …");
    let silent = arguments.json;
    on_temporary_stack("demo", arguments.deploy.as_deref(), None, async |place, url| {
        Box::pin(play(place, url, silent)).await
    })
    .await
}

type Called = InterceptedService<Channel, Carrier>;

/// One caller's clients.
#[derive(Clone)]
struct Client {
    cases: CaseServiceClient<Called>,
    components: ComponentServiceClient<Called>,
    fees: FeeServiceClient<Called>,
    files: FileServiceClient<Called>,
    procedures: ProcedureServiceClient<Called>,
}

impl Client {
    fn new(channel: &Channel, carrier: &Carrier) -> Self {
        Self {
            cases: CaseServiceClient::with_interceptor(channel.clone(), carrier.clone()),
            components: ComponentServiceClient::with_interceptor(channel.clone(), carrier.clone()),
            fees: FeeServiceClient::with_interceptor(channel.clone(), carrier.clone()),
            files: FileServiceClient::with_interceptor(channel.clone(), carrier.clone()),
            procedures: ProcedureServiceClient::with_interceptor(channel.clone(), carrier.clone()),
        }
    }
}

/// Who plays in every story.
struct Cast {
    callers: Callers,
    channel: Channel,
    citizen: Citizen,
    portal: Client,
    clerk: Client,
    officer: Client,
    leader: Client,
}

impl Cast {
    /// The demo accounts of a running stack.
    async fn open(place: Place, url: String, clock: &SharedClock, ids: &SharedIds) -> anyhow::Result<Self> {
        let channel = client::connect(&url).await?;
        let callers = Callers::open(place, url, channel.clone(), clock.clone(), ids.clone())?;
        let citizen = callers.credentials().citizen.clone().ok_or_else(|| {
            Problem::new(
                "this stack has no demo accounts",
                "play on a stack of the profile demo, or without any: --data DIR of an empty folder",
            )
        })?;
        let client = async |name: &str, purpose: &'static str| player(&callers, &channel, name, purpose).await;
        let (portal, clerk) = (client("portal", "own_case").await?, client("clerk", HANDLING).await?);
        let (officer, leader) = (client("officer", HANDLING).await?, client("leader", HANDLING).await?);
        Ok(Self {
            callers,
            channel,
            citizen,
            portal,
            clerk,
            officer,
            leader,
        })
    }
}

/// The clients of a demo account.
async fn player(callers: &Callers, channel: &Channel, name: &str, purpose: &'static str) -> anyhow::Result<Client> {
    Ok(Client::new(channel, &Carrier::of(callers.token(name).await?, purpose)))
}

/// The story as it is told.
struct Story {
    public: Client,
    clock: SharedClock,
    ids: SharedIds,
    silent: bool,
    states: Vec<i32>,
    secret: String,
}

/// The answer of a call that must succeed.
fn answered<T>(what: &str, answer: Result<Response<T>, Status>) -> anyhow::Result<T> {
    match answer {
        Ok(answer) => Ok(answer.into_inner()),
        Err(status) => {
            Err(anyhow::Error::new(Problem::refused(&fault_of(&status))).context(format!("{what} was refused")))
        }
    }
}

/// The reason of a call that must be refused with this code.
fn refused<T>(what: &str, code: Code, answer: Result<Response<T>, Status>) -> anyhow::Result<String> {
    match answer {
        Ok(_) => bail!("{what} was permitted; it must be refused with {code:?}"),
        Err(status) if status.code() == code => {
            egov_fault::reason_of(&status).with_context(|| format!("the refusal of {what} gives no reason"))
        }
        Err(status) => bail!(
            "{what} was refused with {:?}, not {code:?}: {}",
            status.code(),
            status.message()
        ),
    }
}

fn day(date: Option<Date>) -> String {
    date.map_or_else(String::new, |date| {
        format!("{:02}/{:02}/{:04}", date.day, date.month, date.year)
    })
}

impl Story {
    fn say(&self, text: impl AsRef<str>) {
        if !self.silent {
            say::line(text);
        }
    }

    fn request_id(&self) -> String {
        self.ids.uuid().to_string()
    }

    /// A moment of the timeline.
    fn tell(&self, who: &str, what: &str) {
        let now = self.clock.now().to_zoned(vietnam());
        self.say(format!("\n{}  {who}\n    {what}", now.strftime("%d/%m/%Y %H:%M:%S")));
    }

    /// What the public sees, which must be the state of the case.
    async fn look_up(&mut self, case: &Case) -> anyhow::Result<()> {
        let request = TrackCaseRequest {
            case_code: case.case_code.clone(),
            lookup_secret: self.secret.clone(),
        };
        let seen = answered("the public look-up", self.public.cases.track_case(request).await)?;
        ensure!(
            seen.state == case.state,
            "the public look-up shows state {}, the case is in {}",
            seen.state,
            case.state
        );
        ensure!(
            seen.paused
                == matches!(
                    case.state(),
                    CaseState::SupplementRequested | CaseState::PaymentRequested
                ),
            "the public look-up shows a clock that {} in state {}",
            if seen.paused { "stands" } else { "runs" },
            seen.state
        );
        if self.states.last() != Some(&seen.state) {
            self.states.push(seen.state);
        }
        let name = seen.state_name.clone().unwrap_or_default().vi;
        let due = seen.deadline.map(|deadline| day(deadline.due_date)).unwrap_or_default();
        let due = if due.is_empty() {
            due
        } else {
            format!(", hẹn trả {due}")
        };
        let paused = if seen.paused {
            ", tạm dừng tính thời hạn"
        } else {
            ""
        };
        self.say(format!(
            "    tra cứu {}: {} {name}{due}{paused}",
            seen.case_code, seen.state
        ));
        Ok(())
    }

    /// The due date, explained day by day.
    fn explain(&self, deadline: &Deadline) {
        let text = |text: &Option<egov_proto::egov::types::v1::LocalizedText>| text.clone().unwrap_or_default().vi;
        self.say(format!(
            "    hẹn trả kết quả: {} ({})",
            day(deadline.due_date),
            text(&deadline.period)
        ));
        for note in &deadline.days {
            self.say(format!("      {}  {}", note.counted, text(&note.text)));
        }
    }

    /// Uploads a file in parts and gives its id.
    async fn upload(&self, who: &Client, name: &str, content: &[u8]) -> anyhow::Result<String> {
        let mut files = who.files.clone();
        let start = StartUploadRequest {
            request_id: self.request_id(),
            name: name.to_owned(),
            size: content.len() as i64,
            sha256: egov_files::Digest::of(content).to_string(),
        };
        let upload_id = answered("the upload", files.start_upload(start).await)?.upload_id;
        for (number, part) in content.chunks(PART).enumerate() {
            let chunk = PutChunkRequest {
                upload_id: upload_id.clone(),
                offset: (number * PART) as i64,
                data: part.to_vec().into(),
                sha256: egov_files::Digest::of(part).to_string(),
            };
            answered("a part of the upload", files.put_chunk(chunk).await)?;
        }
        let finish = FinishUploadRequest {
            request_id: self.request_id(),
            upload_id,
        };
        let file = answered("the end of the upload", files.finish_upload(finish).await)?.file;
        Ok(file.context("the upload ended without a file")?.file_id)
    }
}

/// A small PDF that shows one line.
fn pdf(line: &str) -> Vec<u8> {
    let stream = format!("BT /F1 14 Tf 72 760 Td ({line}) Tj ET");
    let objects = [
        "<</Type/Catalog/Pages 2 0 R>>".to_owned(),
        "<</Type/Pages/Kids[3 0 R]/Count 1>>".to_owned(),
        "<</Type/Page/Parent 2 0 R/MediaBox[0 0 595 842]/Contents 4 0 R/Resources<</Font<</F1 5 0 R>>>>>>".to_owned(),
        format!("<</Length {}>>stream\n{stream}\nendstream", stream.len()),
        "<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>".to_owned(),
    ];
    let mut text = "%PDF-1.7\n".to_owned();
    let mut offsets = Vec::new();
    for (number, object) in objects.iter().enumerate() {
        offsets.push(text.len());
        let _ = writeln!(text, "{} 0 obj{object}endobj", number + 1);
    }
    let table = text.len();
    let _ = write!(text, "xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for offset in offsets {
        let _ = writeln!(text, "{offset:010} 00000 n ");
    }
    let _ = write!(
        text,
        "trailer<</Size {}/Root 1 0 R>>\nstartxref\n{table}\n%%EOF\n",
        objects.len() + 1
    );
    text.into_bytes()
}

fn case_of(case: Option<Case>) -> anyhow::Result<Case> {
    case.context("the service answered without the case")
}

fn owner(citizen: &Citizen) -> Party {
    Party {
        kind: ApplicantKind::Citizen.into(),
        full_name: citizen.full_name.clone(),
        personal_number: citizen.personal_number.clone(),
        phone: "0912 345 678".to_owned(),
        email: "huong@example.vn".to_owned(),
        address: "Số 1, đường Lê Mao, phường Trường Vinh".to_owned(),
        date_of_birth: None,
        organisation_number: String::new(),
    }
}

impl Story {
    fn new(cast: &Cast, clock: &SharedClock, ids: &SharedIds, silent: bool) -> Self {
        Self {
            public: Client::new(&cast.channel, &Carrier::public()),
            clock: clock.clone(),
            ids: ids.clone(),
            silent,
            states: Vec::new(),
            secret: String::new(),
        }
    }

    async fn procedure(&mut self) -> anyhow::Result<Procedure> {
        let request = GetProcedureRequest {
            procedure_code: PROCEDURE.to_owned(),
            on: None,
        };
        let procedure = answered(
            "reading the procedure",
            self.public.procedures.get_procedure(request).await,
        )?
        .procedure
        .context("the service answered without the procedure")?;
        self.say(format!(
            "{} {}: phường Trường Vinh ({UNIT})",
            procedure.procedure_code, procedure.name
        ));
        Ok(procedure)
    }

    /// The portal files for the citizen, under these conditions of the procedure.
    async fn file(&mut self, cast: &mut Cast, procedure: &Procedure, conditions: &[&str]) -> anyhow::Result<Case> {
        let mut components = Vec::new();
        let mut names = Vec::new();
        for code in COMPONENTS {
            let known = procedure.components.iter().find(|component| component.code == code);
            names.push(
                known
                    .with_context(|| format!("the procedure has no component {code}"))?
                    .name
                    .clone(),
            );
            let file_id = self.upload(&cast.portal, &format!("{code}.pdf"), &pdf(code)).await?;
            components.push(CaseComponent {
                component_code: code.to_owned(),
                file_ids: vec![file_id],
                originals: 1,
                ..CaseComponent::default()
            });
        }
        let request = SubmitCaseRequest {
            request_id: self.request_id(),
            procedure_code: PROCEDURE.to_owned(),
            competent_unit_code: UNIT.to_owned(),
            channel: Way::Online.into(),
            owner: Some(owner(&cast.citizen)),
            components,
            conditions: conditions.iter().map(|condition| (*condition).to_owned()).collect(),
            subject: "Đăng ký khai sinh cho con".to_owned(),
            ..SubmitCaseRequest::default()
        };
        let submitted = answered("filing", cast.portal.cases.submit_case(request).await)?;
        let case = case_of(submitted.case)?;
        self.secret = submitted.lookup_secret;
        let provisional = if case.code_provisional {
            " (mã tạm: cơ quan chưa được cấp mã định danh)"
        } else {
            ""
        };
        self.tell(
            "Cổng Dịch vụ công quốc gia, thay công dân có định danh mức 2",
            &format!("nộp hồ sơ {}{provisional}", case.case_code),
        );
        for name in names {
            self.say(format!("      + {name}"));
        }
        self.look_up(&case).await?;
        Ok(case)
    }

    /// The counter looks at the case and accepts it.
    async fn accept(&mut self, cast: &mut Cast, case: &Case) -> anyhow::Result<Case> {
        let case = read(&mut cast.clerk, "reading the case at the counter", &case.case_id).await?;
        ensure!(
            case.components.len() == COMPONENTS.len(),
            "the counter sees {} components",
            case.components.len()
        );
        let request = AcceptCaseRequest {
            request_id: self.request_id(),
            case_id: case.case_id.clone(),
            etag: case.etag,
        };
        let accepted = answered("the acceptance", cast.clerk.cases.accept_case(request).await)?;
        let case = case_of(accepted.case)?;
        let receipt = accepted.receipt.context("the acceptance gave no receipt")?;
        ensure!(
            receipt.lookup_secret == self.secret,
            "the receipt's secret is not the one of the filing"
        );
        let deadline = receipt.deadline.context("the receipt has no due date")?;
        ensure!(!deadline.days.is_empty(), "the due date is not explained");
        self.tell(
            COUNTER,
            &format!(
                "kiểm tra, tiếp nhận; giấy tiếp nhận: mã hồ sơ {}, mã tra cứu {}",
                receipt.case_code, receipt.lookup_secret
            ),
        );
        self.explain(&deadline);
        self.look_up(&case).await?;
        Ok(case)
    }

    /// The leader assigns the officer.
    async fn assign(&mut self, cast: &mut Cast, case: Case) -> anyhow::Result<Case> {
        let assignee_id = client::subject(&cast.callers.token("officer").await?)?.to_string();
        let request = AssignCaseRequest {
            request_id: self.request_id(),
            case_id: case.case_id,
            etag: case.etag,
            assignee_id,
            reason: String::new(),
        };
        let case = case_of(answered("the assignment", cast.leader.cases.assign_case(request).await)?.case)?;
        self.tell("Lãnh đạo", "phân công công chức tư pháp - hộ tịch");
        self.look_up(&case).await?;
        Ok(case)
    }
}

/// The case as a caller sees it.
async fn read(who: &mut Client, what: &str, case_id: &str) -> anyhow::Result<Case> {
    let request = GetCaseRequest {
        case_id: case_id.to_owned(),
        with_particulars: false,
    };
    case_of(answered(what, who.cases.get_case(request).await)?.case)
}

/// What a case owes, as a caller sees it.
async fn owed(who: &mut Client, case_id: &str) -> anyhow::Result<CaseCharge> {
    let request = GetChargeRequest {
        case_id: case_id.to_owned(),
    };
    let answer = answered("reading the fees", who.fees.get_charge(request).await)?;
    answer.charge.context("the service answered without the fees")
}

/// Waits until the payment platform has the order of a case: where it is paid.
async fn ordered(who: &mut Client, case_id: &str) -> anyhow::Result<CasePayment> {
    let began = Instant::now();
    loop {
        let payment = owed(who, case_id).await?.payments.pop();
        let payment = payment.context("the fee was asked for, and no payment is expected")?;
        if !payment.pay_url.is_empty() {
            return Ok(payment);
        }
        ensure!(
            began.elapsed() < PATIENCE,
            "the payment platform does not have the order: {}",
            payment.problem
        );
        tokio::time::sleep(LOOK).await;
    }
}

/// A case whose fee is asked for: it waits, and its clock stands still.
async fn ask_for_fee(place: Place, url: String, silent: bool) -> anyhow::Result<Asked> {
    let (clock, ids) = (SystemClock::shared(), SystemIds::shared());
    let mut cast = Cast::open(place, url, &clock, &ids).await?;
    let mut story = Story::new(&cast, &clock, &ids, silent);
    let procedure = story.procedure().await?;
    let case = story.file(&mut cast, &procedure, &[COPIES]).await?;
    let case = story.accept(&mut cast, &case).await?;
    let case = story.assign(&mut cast, case).await?;
    let request = RequestPaymentRequest {
        request_id: story.request_id(),
        case_id: case.case_id.clone(),
        etag: owed(&mut cast.clerk, &case.case_id).await?.etag,
    };
    let answer = cast.clerk.fees.request_payment(request).await;
    let unconnected = Some("PAYMENTS_NOT_CONNECTED");
    if answer.as_ref().err().and_then(egov_fault::reason_of).as_deref() == unconnected {
        return Err(Problem::new(
            "this stack has no payment platform",
            "start one with simulated partners: cargo egov up --simulators",
        )
        .into());
    }
    answered("asking for the fee", answer)?;
    story.tell(COUNTER, "yêu cầu nộp phí cấp bản sao; thời hạn tạm dừng");
    let case = read(&mut cast.clerk, "reading the case that waits", &case.case_id).await?;
    ensure!(
        case.state() == CaseState::PaymentRequested,
        "the case that waits for payment is in state {}",
        case.state
    );
    story.look_up(&case).await?;
    let payment = ordered(&mut cast.clerk, &case.case_id).await?;
    Ok(Asked {
        case_id: case.case_id,
        case_code: case.case_code,
        amount_vnd: payment.amount.map(|money| money.units).unwrap_or_default(),
        order_code: payment.reference,
        pay_url: payment.pay_url,
    })
}

/// A case at the counter whose owner the population database confirms, in the place of the paper.
async fn ask_population(place: Place, url: String, silent: bool) -> anyhow::Result<Confirmed> {
    let (clock, ids) = (SystemClock::shared(), SystemIds::shared());
    let mut cast = Cast::open(place, url, &clock, &ids).await?;
    let story = Story::new(&cast, &clock, &ids, silent);
    let (personal_number, full_name, (year, month, day)) = KNOWN;
    let request = SubmitCaseRequest {
        request_id: story.request_id(),
        procedure_code: PROCEDURE.to_owned(),
        competent_unit_code: UNIT.to_owned(),
        channel: Way::Counter.into(),
        owner: Some(Party {
            kind: ApplicantKind::Citizen.into(),
            full_name: full_name.to_owned(),
            personal_number: personal_number.to_owned(),
            date_of_birth: Some(Date { year, month, day }),
            ..Party::default()
        }),
        components: AT_THE_COUNTER
            .map(|code| CaseComponent {
                component_code: code.to_owned(),
                originals: 1,
                ..CaseComponent::default()
            })
            .to_vec(),
        subject: "Đăng ký khai sinh cho con".to_owned(),
        ..SubmitCaseRequest::default()
    };
    let case = case_of(answered("filing at the counter", cast.clerk.cases.submit_case(request).await)?.case)?;
    story.tell(COUNTER, &format!("nhận hồ sơ {} nộp trực tiếp", case.case_code));
    let request = SetComponentStateRequest {
        request_id: story.request_id(),
        case_id: case.case_id,
        etag: case.etag,
        component_code: IDENTITY_PAPER.to_owned(),
        state: ComponentState::ReplacedByData.into(),
        reason: "tra cứu thay cho giấy tờ tùy thân".to_owned(),
        register_code: POPULATION.to_owned(),
        owner_date_of_birth: None,
    };
    let answer = cast.clerk.components.set_component_state(request).await;
    let answer = answered("data in the place of the paper", answer)?;
    let case = case_of(answer.case)?;
    let item = answer
        .items
        .into_iter()
        .find(|item| item.component_code == IDENTITY_PAPER);
    let check = item
        .and_then(|item| item.check)
        .context("nothing was said of the component")?;
    if check.request_code.is_empty() {
        return Err(Problem::new(
            "this stack asks no population database",
            "start one with simulated partners: cargo egov up --simulators",
        )
        .into());
    }
    ensure!(check.register_confirmed, "the population database did not confirm");
    story.tell(
        COUNTER,
        "hỏi Cơ sở dữ liệu quốc gia về dân cư; dữ liệu thay cho giấy tờ tùy thân",
    );
    Ok(Confirmed {
        case_id: case.case_id,
        case_code: case.case_code,
        etag: case.etag,
        request_code: check.request_code,
    })
}

async fn play(place: Place, url: String, silent: bool) -> anyhow::Result<Outcome> {
    let began = Instant::now();
    let (clock, ids) = (SystemClock::shared(), SystemIds::shared());
    let mut cast = Cast::open(place, url, &clock, &ids).await?;
    let mut story = Story::new(&cast, &clock, &ids, silent);
    let procedure = story.procedure().await?;
    let case = story.file(&mut cast, &procedure, &[]).await?;
    let code = case.case_code.clone();
    let case = story.accept(&mut cast, &case).await?;

    // Processing.
    let case = story.assign(&mut cast, case).await?;
    let mut neighbour = player(&cast.callers, &cast.channel, "neighbour", HANDLING).await?;
    let Cast {
        mut portal,
        mut clerk,
        mut officer,
        mut leader,
        ..
    } = cast;

    let step = procedure
        .steps
        .iter()
        .find(|step| step.state() == CaseState::Processing)
        .context("the procedure has no step of processing")?;
    let request = RecordStepRequest {
        request_id: story.request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag,
        step: step.code.clone(),
        ..RecordStepRequest::default()
    };
    let case = case_of(answered("the step", officer.cases.record_step(request).await)?.case)?;
    story.tell("Công chức tư pháp - hộ tịch", &step.name);
    story.look_up(&case).await?;

    let request = RequestSupplementRequest {
        request_id: story.request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag,
        items: vec![SupplementItem {
            component_code: SUPPLEMENT.to_owned(),
            instruction: "Bổ sung bản chụp rõ nét Giấy chứng sinh".to_owned(),
        }],
        reason: "Bản chụp không đọc được".to_owned(),
        ..RequestSupplementRequest::default()
    };
    let case = case_of(
        answered(
            "asking for a supplement",
            officer.cases.request_supplement(request).await,
        )?
        .case,
    )?;
    ensure!(
        case.pauses.last().is_some_and(|pause| pause.end_time.is_none()),
        "the clock does not stand during the supplement"
    );
    story.tell(
        "Công chức tư pháp - hộ tịch",
        "yêu cầu bổ sung Giấy chứng sinh; thời hạn tạm dừng",
    );
    story.look_up(&case).await?;

    // Two refusals.
    let mut refusals = Vec::new();
    let what = "reading the case by the neighbouring commune";
    let reason = refused(
        what,
        Code::NotFound,
        neighbour
            .cases
            .get_case(GetCaseRequest {
                case_id: case.case_id.clone(),
                with_particulars: false,
            })
            .await,
    )?;
    story.tell(
        "Công chức phường Thành Vinh",
        &format!("mở hồ sơ {code}: bị từ chối, NOT_FOUND / {reason}"),
    );
    refusals.push(reason);

    // The supplement.
    let file_id = story
        .upload(&portal, "giay_chung_sinh-2.pdf", &pdf("giay_chung_sinh 2"))
        .await?;
    let request = SupplyComponentsRequest {
        request_id: story.request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag,
        components: vec![CaseComponent {
            component_code: SUPPLEMENT.to_owned(),
            file_ids: vec![file_id],
            originals: 1,
            ..CaseComponent::default()
        }],
    };
    let case = case_of(
        answered(
            "handing in the supplement",
            portal.cases.supply_components(request).await,
        )?
        .case,
    )?;
    ensure!(
        case.pauses.last().is_some_and(|pause| pause.end_time.is_some()),
        "the clock still stands after the supplement"
    );
    let deadline = case.deadline.clone().context("the case has no due date")?;
    story.tell("Cổng Dịch vụ công quốc gia", "nộp bổ sung; thời hạn tính tiếp");
    story.explain(&deadline);
    story.look_up(&case).await?;

    // The decision.
    let result = pdf("Giay khai sinh 01/2026");
    let approval = |etag: &str, file_id: String| ApproveCaseRequest {
        request_id: ids.uuid().to_string(),
        case_id: case.case_id.clone(),
        etag: etag.to_owned(),
        results: vec![CaseResult {
            result_code: RESULT.to_owned(),
            number: "01/2026".to_owned(),
            file_id,
            ..Default::default()
        }],
        reason: String::new(),
    };
    let what = "the approval by a clerk";
    let reason = refused(
        what,
        Code::PermissionDenied,
        clerk.cases.approve_case(approval(&case.etag, String::new())).await,
    )?;
    story.tell(
        COUNTER,
        &format!("đọc được nhưng không được phê duyệt: PERMISSION_DENIED / {reason}"),
    );
    refusals.push(reason);

    let file_id = story.upload(&leader, "giay-khai-sinh.pdf", &result).await?;
    let case = case_of(
        answered(
            "the approval",
            leader.cases.approve_case(approval(&case.etag, file_id.clone())).await,
        )?
        .case,
    )?;
    story.tell("Lãnh đạo", "phê duyệt, ký Giấy khai sinh số 01/2026");
    story.look_up(&case).await?;

    // The result.
    let request = ReturnResultRequest {
        request_id: story.request_id(),
        case_id: case.case_id.clone(),
        etag: case.etag,
        channel: Way::Online.into(),
        recipient_name: String::new(),
    };
    let case = case_of(answered("returning the result", clerk.cases.return_result(request).await)?.case)?;
    story.tell(COUNTER, "trả kết quả trực tuyến");
    story.look_up(&case).await?;
    let mut received = Vec::new();
    loop {
        let request = ReadFileRequest {
            file_id: file_id.clone(),
            offset: received.len() as i64,
            length: 0,
        };
        let part = answered("reading the result", portal.files.read_file(request).await)?;
        let done = part.data.is_empty() || received.len() + part.data.len() >= part.size as usize;
        received.extend_from_slice(&part.data);
        if done {
            break;
        }
    }
    ensure!(
        received == result,
        "the result that the citizen reads is not the one that the leader signed"
    );
    let sha256 = egov_files::Digest::of(&received).to_string();
    story.tell(
        "Cổng Dịch vụ công quốc gia",
        &format!(
            "tải kết quả: {} byte, SHA-256 {}…",
            received.len(),
            sha256.get(..16).unwrap_or_default()
        ),
    );

    let request = RateCaseRequest {
        request_id: story.request_id(),
        case_id: case.case_id.clone(),
        score: RatingScore::VerySatisfied.into(),
        comment: "Nhanh, rõ ràng".to_owned(),
    };
    let case = case_of(answered("the rating", portal.cases.rate_case(request).await)?.case)?;
    ensure!(
        case.rating
            .as_ref()
            .is_some_and(|rating| rating.score() == RatingScore::VerySatisfied),
        "the rating is not kept"
    );
    story.tell("Công dân, qua Cổng Dịch vụ công quốc gia", "đánh giá: rất hài lòng");
    story.look_up(&case).await?;

    ensure!(
        story.states == STATES,
        "the case went through {:?}, not {STATES:?}",
        story.states
    );
    ensure!(refusals == REFUSALS, "the refusals gave {refusals:?}, not {REFUSALS:?}");
    let due = deadline.due_date.context("the case has no due date")?;
    let received_on = case
        .accept_time
        .and_then(|time| Timestamp::from_second(time.seconds).ok())
        .context("the case was not accepted")?;
    let due_date = jiff::civil::Date::new(due.year as i16, due.month as i8, due.day as i8)?;
    ensure!(
        due_date >= received_on.to_zoned(vietnam()).date(),
        "the due date lies before the acceptance"
    );
    Ok(Outcome {
        case_code: code,
        states: story.states,
        due_date: due_date.to_string(),
        refusals,
        elapsed_ms: began.elapsed().as_millis() as u64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_for_scripts_has_exactly_these_fields_in_this_order() {
        let outcome = Outcome {
            case_code: "H41.201-261123-0001".to_owned(),
            states: STATES.to_vec(),
            due_date: "2026-11-26".to_owned(),
            refusals: REFUSALS.map(str::to_owned).to_vec(),
            elapsed_ms: 5,
        };
        assert_eq!(
            serde_json::to_string(&outcome).unwrap(),
            r#"{"case_code":"H41.201-261123-0001","states":[1,2,4,5,4,9,10],"due_date":"2026-11-26","refusals":["CASE_NOT_FOUND","PERMISSION_MISSING"],"elapsed_ms":5}"#
        );
    }

    #[test]
    fn the_made_documents_are_recognised_as_pdf_and_their_table_is_true() {
        let document = pdf("Giay khai sinh");
        let text = String::from_utf8(document).unwrap();
        assert!(text.starts_with("%PDF-1.7"));
        let table: usize = text.lines().rev().nth(1).unwrap().parse().unwrap();
        assert!(text[table..].starts_with("xref"));
        let first: usize = text[table..].lines().nth(3).unwrap()[..10].parse().unwrap();
        assert!(text[first..].starts_with("1 0 obj"));
    }
}
