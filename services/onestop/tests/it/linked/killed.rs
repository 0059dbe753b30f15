//! A process of the service that is killed (SIGKILL) while applications are filed, decided, withdrawn, mirrored and brought on.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use egov_auth::IssuerConfig;
use egov_clock::{Ids as _, SystemIds};
use egov_keyring::Keyring;
use egov_runtime::server::Shutdown;
use tokio::task::JoinHandle;

use super::*;

/// What the process is told: the database, the folder of the keyring, who issues tokens.
const TOLD: &str = "EGOV_TEST_LINKED_PROCESS";
const LISTENS: &str = "listens on ";

/// Processes that are killed one after the other.
const KILLS: usize = 4;
/// Applications that each of them finds to be filed, decided, withdrawn, mirrored, brought on and ended.
const EACH: usize = 2;

/// Not a test by itself: the process that is killed. It serves as soon as it is told to, and its jobs begin then.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "run as a child process by tests, which kill it"]
async fn serves_until_it_is_killed() {
    let Some(told) = std::env::var_os(TOLD) else {
        return;
    };
    let (url, keys, issuer): (String, PathBuf, IssuerConfig) = serde_json::from_str(told.to_str().unwrap()).unwrap();
    let clock = egov_testkit::clock();
    let keyring = Arc::new(Keyring::open(&keys, &clock).unwrap());
    let process = Process::over(
        &url,
        keyring,
        &clock,
        issuer,
        Profile::Demo,
        egov_files::in_memory(),
        Neighbours::default(),
    )
    .await;
    let (go, told_to_go) = tokio::sync::oneshot::channel();
    std::thread::spawn(move || {
        let mut lines = std::io::stdin().lines();
        drop(lines.next());
        let _ = go.send(());
        // It ends when the test does: it never outlives it.
        lines.for_each(drop);
        std::process::exit(1);
    });
    println!("{LISTENS}{}", process.listener.local_addr().unwrap());
    told_to_go.await.unwrap();
    process.server.serve(process.listener, Shutdown::new()).await;
}

/// A running child process.
pub(crate) struct Killable {
    child: Child,
    pub(crate) address: SocketAddr,
}

impl Killable {
    pub(crate) fn start(stack: &Stack, keys: &Path) -> Self {
        let told = (&stack.database.app_url, keys, stack.tokens.issuer());
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "linked::killed::serves_until_it_is_killed",
                "--ignored",
                "--nocapture",
            ])
            .env(TOLD, serde_json::to_string(&told).unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let said = BufReader::new(child.stdout.take().unwrap());
        // The test harness prints the name of the test on the same line first.
        let address = said
            .lines()
            .map_while(Result::ok)
            .find_map(|line| line.split_once(LISTENS).map(|(_, address)| address.trim().to_owned()))
            .expect("the process listens");
        Self {
            child,
            address: address.parse().unwrap(),
        }
    }

    pub(crate) fn go(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
    }

    /// SIGKILL: nothing of the process runs any more.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Killable {
    fn drop(&mut self) {
        // Also where the test failed. It was killed already where it did not.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is asked of the service about an application.
#[derive(Clone)]
enum Act {
    Submit(SubmitLinkedCaseRequest),
    Decide(DecideLinkedMemberRequest),
    Withdraw(WithdrawLinkedCaseRequest),
    Mirror(MirrorLinkedCaseRequest),
}

const ACTS: [&str; 4] = [
    "SubmitLinkedCase",
    "DecideLinkedMember",
    "WithdrawLinkedCase",
    "MirrorLinkedCase",
];

impl Act {
    /// Its place in [`ACTS`].
    fn kind(&self) -> usize {
        match self {
            Self::Submit(_) => 0,
            Self::Decide(_) => 1,
            Self::Withdraw(_) => 2,
            Self::Mirror(_) => 3,
        }
    }

    /// Asks at the address at which the stack stands now. An answer without look-up secrets stands as one that has none.
    fn ask(&self, stack: &Stack) -> impl Future<Output = Result<SubmitLinkedCaseResponse, Status>> + Send + use<> {
        let client = match self {
            Self::Submit(_) | Self::Withdraw(_) => stack.portal(citizen()),
            Self::Decide(_) => stack.staff("unit_leader", THANH_VINH),
            Self::Mirror(_) => {
                let roles = [("linked_coordinator", PROVINCE)];
                stack.client(Some(stack.tokens.system(Uuid::from_u128(0x902), &roles)), None)
            }
        };
        let (act, mut linked) = (self.clone(), client.linked);
        async move {
            let linked_case = match act {
                Self::Submit(request) => return Ok(linked.submit_linked_case(request).await?.into_inner()),
                Self::Decide(request) => linked.decide_linked_member(request).await?.into_inner().linked_case,
                Self::Withdraw(request) => linked.withdraw_linked_case(request).await?.into_inner().linked_case,
                Self::Mirror(request) => linked.mirror_linked_case(request).await?.into_inner().linked_case,
            };
            Ok(SubmitLinkedCaseResponse {
                linked_case,
                ..Default::default()
            })
        }
    }
}

/// An act, and the answer that somebody was told.
struct Asked {
    act: Act,
    told: Option<SubmitLinkedCaseResponse>,
}

/// How an application stands, and every row of the histories, the ledger and the events that is about it or one of its cases. Two rows for
/// one thing would be two here.
#[derive(Debug, PartialEq)]
struct Once {
    stand: Option<Stand>,
    mirrored: Option<(Vec<LinkedMemberState>, LinkedCaseState)>,
    rows: Vec<(String, i64)>,
}

async fn once(stack: &Stack, eye: &mut PgConnection, linked: &LinkedCase) -> Once {
    let national = linked.linked_code.starts_with("G22");
    let id = &linked.linked_case_id;
    let rows = sqlx::query_as(
        "WITH parts AS (
             SELECT $1::uuid AS id, ''::text AS part
             UNION ALL
             SELECT case_id, member_code FROM linked_case_members WHERE linked_case_id = $1 AND case_id IS NOT NULL
         )
         SELECT p.part || ' history ' || h.operation, h.version FROM parts AS p JOIN linked_case_history AS h ON h.linked_case_id = p.id
         UNION ALL
         SELECT p.part || ' history ' || h.operation, h.version FROM parts AS p JOIN case_history AS h ON h.case_id = p.id
         UNION ALL
         SELECT p.part || ' leaf ' || l.kind, l.version FROM parts AS p JOIN egov.leaves AS l ON l.resource_id = p.id
         UNION ALL
         SELECT p.part || ' event ' || e.kind, e.version FROM parts AS p JOIN egov.outbox AS e ON e.aggregate_id = p.id
         UNION ALL
         SELECT p.part || ' event ' || e.kind, e.version FROM parts AS p JOIN egov.event_log AS e ON e.aggregate_id = p.id
         ORDER BY 1, 2",
    )
    .bind(Uuid::parse_str(id).unwrap())
    .fetch_all(eye)
    .await
    .unwrap();
    Once {
        // The citizen reads no application that is mirrored; nothing follows from it here.
        stand: if national { None } else { Some(stand(stack, id).await) },
        mirrored: national.then(|| (states(linked), linked.state())),
        rows,
    }
}

/// Whether everything is in the log, and the coordinator has passed all of it: in one look, since each reaction writes events of its own.
async fn at_rest(eye: &mut PgConnection) -> bool {
    sqlx::query_scalar(
        "SELECT NOT EXISTS (SELECT 1 FROM egov.outbox)
            AND NOT EXISTS (SELECT 1 FROM egov.event_log AS e
                            WHERE (e.epoch, e.log_offset)
                                > (SELECT f.epoch, f.log_offset FROM egov.followers AS f WHERE f.follower = $1))",
    )
    .bind(LINKED_LEASE)
    .fetch_one(eye)
    .await
    .unwrap()
}

/// Versions of applications: those that the coordinator made, or those of callers' acts.
async fn versions(eye: &mut PgConnection, by_coordinator: bool) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM linked_case_history WHERE (operation = 'advance') = $1")
        .bind(by_coordinator)
        .fetch_one(eye)
        .await
        .unwrap()
}

/// Waits until PostgreSQL has noticed that a process is gone, whose last statement or commit it may still have been at; then lets the
/// leases run out that the process held, as time would.
pub(crate) async fn forgotten(eye: &mut PgConnection, since: &str) {
    let began = Instant::now();
    loop {
        let gone: bool = sqlx::query_scalar(
            "SELECT NOT EXISTS (SELECT 1 FROM pg_stat_activity
                                WHERE datname = current_database() AND backend_type = 'client backend'
                                  AND pid <> pg_backend_pid() AND backend_start > $1::text::timestamptz)",
        )
        .bind(since)
        .fetch_one(&mut *eye)
        .await
        .unwrap();
        if gone {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(30), "its sessions stay");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    sqlx::query("UPDATE egov.leases SET expire_time = clock_timestamp()")
        .execute(eye)
        .await
        .unwrap();
}

/// A number below this, another one in each run.
pub(crate) fn drawn(below: u32) -> u32 {
    let mut bytes = [0; 4];
    SystemIds::shared().random_bytes(&mut bytes);
    u32::from_le_bytes(bytes) % below
}

async fn filed_for(stack: &Stack, service: &str) -> LinkedCase {
    let request = SubmitLinkedCaseRequest {
        service_code: service.to_owned(),
        ..side_by_side_application(&upload(&stack.portal(citizen()), PDF).await)
    };
    file(stack, request).await.unwrap().linked_case.unwrap()
}

#[tokio::test]
async fn a_process_killed_while_linked_applications_run_leaves_each_member_standing_once() {
    const APPLICATIONS: usize = 1 + KILLS * EACH;
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys");
    // Of 2.009999 an officer is asked, by 2.009998 the end of one takes the others along, 2.009997 is mirrored.
    let mut given = with_service(&side_by_side("withdraw", "ask", "ask"));
    for (code, text) in [
        ("2.009998", side_by_side("withdraw", "withdraw", "withdraw")),
        ("2.009997", national()),
    ] {
        given
            .linked
            .insert(format!("{code}.toml"), text.replacen("2.009999", code, 1));
    }
    let mut stack = Stack::on_disk(given, &keys).await;
    let (coordinator, mut lease) = alone(&stack).await;
    let mut eye = superuser(&stack).await;

    // What is asked of each process: a new application, the answer to a question, a withdrawal, how one stands elsewhere.
    let mut questions = Vec::new();
    for _ in 0..APPLICATIONS {
        let linked = filed_for(&stack, "2.009999").await;
        reject(&stack, TRUONG_VINH, &of(&linked, "khai_sinh").case_id).await;
        questions.push(linked.linked_case_id);
    }
    run_to_rest(&stack, &coordinator, &mut lease).await;
    let mut acts = Vec::new();
    for (number, question) in questions.iter().enumerate() {
        let asked = read(&stack.portal(citizen()), question).await.unwrap();
        let mut effects = asked.effects.iter();
        let effect = effects.find(|effect| effect.member_code == "thuong_tru").unwrap();
        let runs = filed(&stack).await;
        acts.push([
            Act::Submit(application()),
            Act::Decide(DecideLinkedMemberRequest {
                request_id: request_id(),
                linked_case_id: asked.linked_case_id.clone(),
                etag: asked.etag.clone(),
                number: effect.number,
                decision: LinkedDecision::Withdraw.into(),
                reason: "đã trao đổi với công dân".to_owned(),
            }),
            Act::Withdraw(WithdrawLinkedCaseRequest {
                request_id: request_id(),
                linked_case_id: runs.linked_case_id,
                etag: runs.etag,
                reason: "gia đình chuyển đi nơi khác".to_owned(),
            }),
            Act::Mirror(MirrorLinkedCaseRequest {
                service_code: "2.009997".to_owned(),
                ..there(&format!("G22.99-261123-{number:07}"), 1, &ALL_MEMBERS)
            }),
        ]);
    }
    let mut acts = acts.into_iter();
    // What the coordinator finds: a result to be handed over and the next member to be filed, a refusal that ends the others.
    let followed = async |handed_over: bool| {
        if handed_over {
            prepared(&stack, false).await
        } else {
            let linked = filed_for(&stack, "2.009998").await;
            reject(&stack, TRUONG_VINH, &of(&linked, "khai_sinh").case_id).await;
            linked.linked_case_id
        }
    };

    // One of each comes to its end undisturbed.
    let (mut undisturbed, mut brought_on) = (Vec::new(), Vec::new());
    for act in acts.next().unwrap() {
        undisturbed.push(act.ask(&stack).await.unwrap().linked_case.unwrap());
    }
    for handed_over in [true, false] {
        let id = followed(handed_over).await;
        brought_on.push(read(&stack.portal(citizen()), &id).await.unwrap());
    }
    run_to_rest(&stack, &coordinator, &mut lease).await;
    let (mut expected, mut expected_on) = (Vec::new(), Vec::new());
    for linked in &undisturbed {
        expected.push(once(&stack, &mut eye, linked).await);
    }
    for linked in &brought_on {
        expected_on.push(once(&stack, &mut eye, linked).await);
    }

    let mut waiting = Vec::new();
    for _ in 0..KILLS * EACH {
        for handed_over in [true, false] {
            let id = followed(handed_over).await;
            waiting.push((
                usize::from(!handed_over),
                read(&stack.portal(citizen()), &id).await.unwrap(),
            ));
        }
    }
    stack.take_down().await;
    lease.release().await.unwrap();

    let (mut asked, mut cut, mut in_the_middle): (Vec<Asked>, _, _) = (Vec::new(), [0; 4], 0);
    for round in 0..KILLS {
        let since: String = sqlx::query_scalar("SELECT clock_timestamp()::text")
            .fetch_one(&mut eye)
            .await
            .unwrap();
        let mut process = Killable::start(&stack, &keys);
        stack.address = process.address;
        // What one before left without an answer is asked again by the same request, beside new ones.
        let new = acts.by_ref().take(EACH).flatten();
        asked.extend(new.map(|act| Asked { act, told: None }));
        let calls: Vec<(usize, JoinHandle<_>)> = asked
            .iter()
            .enumerate()
            .filter(|(_, one)| one.told.is_none())
            .map(|(place, one)| (place, tokio::spawn(one.act.ask(&stack))))
            .collect();
        // The first at once, the others in turn when the coordinator or callers have come so far: and a little after that.
        let by_coordinator = round % 2 == 1;
        let wanted = if round == 0 { 0 } else { 1 + i64::from(drawn(3)) };
        let after = Duration::from_micros(u64::from(drawn(10_000)));
        let (acted, advanced) = (versions(&mut eye, false).await, versions(&mut eye, true).await);
        let before = if by_coordinator { advanced } else { acted };
        process.go();
        let began = Instant::now();
        while versions(&mut eye, by_coordinator).await < before + wanted {
            if calls.iter().all(|(_, call)| call.is_finished()) && at_rest(&mut eye).await {
                break;
            }
            assert!(
                began.elapsed() < Duration::from_secs(30),
                "round {round}: nothing is done"
            );
            tokio::task::yield_now().await;
        }
        let reached = Instant::now();
        // A timer of the runtime would go by whole milliseconds.
        while reached.elapsed() < after {
            tokio::task::yield_now().await;
        }
        process.kill();
        for (place, call) in calls {
            // Whoever hears nothing does not know whether it was done.
            match call.await.unwrap() {
                Ok(answer) => asked[place].told = Some(answer),
                Err(_) => cut[asked[place].act.kind()] += 1,
            }
        }
        forgotten(&mut eye, &since).await;
        let went_on = versions(&mut eye, true).await > advanced;
        in_the_middle += u32::from(went_on && !at_rest(&mut eye).await);
    }
    for (kind, cut) in ACTS.iter().zip(cut) {
        assert!(cut > 0, "{kind}: every answer came before the process was killed");
    }
    assert!(
        in_the_middle > 0,
        "the coordinator was never killed in the middle of its round"
    );

    // A process that nobody kills goes on.
    let mut process = Killable::start(&stack, &keys);
    stack.address = process.address;
    process.go();
    for one in &mut asked {
        let answer = one.act.ask(&stack).await.unwrap();
        let kind = ACTS[one.act.kind()];
        if let Some(told) = &one.told {
            assert_eq!(told, &answer, "{kind}: what was told before the process was killed");
        }
        assert_eq!(one.act.ask(&stack).await.unwrap(), answer, "{kind}: the same request");
        one.told = Some(answer);
    }
    let began = Instant::now();
    while !at_rest(&mut eye).await {
        assert!(began.elapsed() < Duration::from_secs(30), "it does not come to rest");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for one in &asked {
        let linked = one.told.as_ref().unwrap().linked_case.as_ref().unwrap();
        let kind = one.act.kind();
        assert_eq!(once(&stack, &mut eye, linked).await, expected[kind], "{}", ACTS[kind]);
    }
    for (kind, linked) in &waiting {
        let name = ["handed over", "ended with another"][*kind];
        assert_eq!(once(&stack, &mut eye, linked).await, expected_on[*kind], "{name}");
    }
    // No application and no case besides: nothing was filed a second time under another number.
    let applications = count(&stack, "SELECT count(*) FROM linked_cases").await;
    assert_eq!(usize::try_from(applications).unwrap(), (ACTS.len() + 2) * APPLICATIONS);
    assert_eq!(
        count(&stack, "SELECT count(*) FROM cases").await,
        count(
            &stack,
            "SELECT count(*) FROM linked_case_members WHERE case_id IS NOT NULL"
        )
        .await
    );
    assert_eq!(count(&stack, "SELECT count(*) FROM linked_case_retries").await, 0);
    whole(&stack).await;
    process.kill();
}
