//! `cargo egov drill`: what is done with keys, rehearsed on a stack of its own (diễn tập), and the protocol of it: each step, what was
//! expected, what was seen, and after how many milliseconds it was in force at each service.
//!
//! The stack is temporary: its own folder, cluster, port, keys and accounts. Nothing of an installation is touched.

mod emergency;
mod rotation;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand};
use egov_clock::{Clock as _, Ids as _, SystemClock, SystemIds};
use egov_directory::DirectoryConfig;
use egov_proto::egov::identity::v1::key_service_client::KeyServiceClient;
use egov_proto::egov::identity::v1::session_service_client::SessionServiceClient;
use egov_proto::egov::identity::v1::sign_in_service_client::SignInServiceClient;
use egov_proto::egov::identity::v1::unit_service_client::UnitServiceClient;
use egov_proto::egov::identity::v1::{ListMySessionsRequest, RefreshTokensRequest, ResolveUnitRequest};
use egov_proto::egov::onestop::v1::case_service_client::CaseServiceClient;
use egov_proto::egov::onestop::v1::procedure_service_client::ProcedureServiceClient;
use egov_proto::egov::onestop::v1::{GetProcedureRequest, ListCasesRequest};
use egov_runtime::config::Period;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::client::{self, Callers, Carrier};
use crate::keys::moment;
use crate::place::Place;
use crate::problem::Problem;
use crate::reach::{Line, refused};
use crate::say;
use crate::temporary::on_temporary_stack;

/// An act must be in force everywhere by then: the feed is asked once a second, and a loaded machine gets slack.
const BOUND: Duration = Duration::from_secs(5);

/// The pause between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// A new key is published for so long before it signs; two minutes in an installation, for which nobody waits here.
const PUBLISHED_BEFORE_USE: u64 = 3;

/// A code and a procedure that every demonstration has.
const UNIT: &str = "40";
const PROCEDURE: &str = "1.001193";

/// `cargo egov drill`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Rotate keys in the routine way: nobody notices.
    Rotation(Arguments),
    /// A key is lost: withdraw it, revoke everybody's tokens, sign in anew.
    Emergency(Arguments),
}

/// `cargo egov drill rotation|emergency`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The folder with `packs` and `policies`.
    #[arg(long, value_name = "DIR", env = "EGOV_DEPLOY")]
    deploy: Option<PathBuf>,
    /// Print the protocol as one JSON object.
    #[arg(long)]
    json: bool,
}

/// `cargo egov drill`
pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    let (name, arguments) = match &command {
        Command::Rotation(arguments) => ("rotation", arguments),
        Command::Emergency(arguments) => ("emergency", arguments),
    };
    let mut protocol = Protocol::begin(name);
    let outcome = Box::pin(on_own_stack(arguments, &mut protocol, &command)).await;
    if let Err(error) = &outcome {
        protocol.step("the drill goes to its end", "it does", Seen::no(format!("{error:#}")));
    }
    protocol.end();
    if arguments.json {
        say::json(&protocol);
    } else {
        protocol.show();
    }
    match protocol.steps.iter().find(|step| !step.passed) {
        None => Ok(()),
        Some(step) => Err(Problem::new(
            format!(
                "the drill failed at step {}: {} · diễn tập không đạt",
                step.number, step.what
            ),
            "read the protocol above; repeat the drill; do not rely on this act before it passes",
        )
        .into()),
    }
}

/// Rehearses on a stack of its own.
async fn on_own_stack(arguments: &Arguments, protocol: &mut Protocol, command: &Command) -> anyhow::Result<()> {
    let began = Instant::now();
    let soon = Some(Period::seconds(PUBLISHED_BEFORE_USE));
    on_temporary_stack("drill", arguments.deploy.as_deref(), soon, async |place, url| {
        protocol.step(
            "a temporary stack starts",
            "identity and one-stop answer",
            Seen::yes(format!("{url}, after {} ms", began.elapsed().as_millis())),
        );
        let hall = Hall::open(place, url).await?;
        match command {
            Command::Rotation(_) => Box::pin(rotation::rehearse(&hall, protocol)).await,
            Command::Emergency(_) => Box::pin(emergency::rehearse(&hall, protocol)).await,
        }
    })
    .await
}

/// What was seen at a step.
#[derive(Clone, Debug, Default)]
struct Seen {
    text: String,
    passed: bool,
    identity_ms: Option<u64>,
    one_stop_ms: Option<u64>,
}

impl Seen {
    fn yes(text: impl Into<String>) -> Self {
        Self::whether(true, text)
    }

    fn no(text: impl Into<String>) -> Self {
        Self::whether(false, text)
    }

    fn whether(passed: bool, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            passed,
            ..Self::default()
        }
    }
}

/// A step of the protocol.
#[derive(Clone, Debug, Serialize)]
struct Step {
    number: usize,
    /// When, in Việt Nam.
    at: String,
    what: String,
    expected: String,
    seen: String,
    /// Milliseconds from the answer to the act until it was in force at identity.
    identity_ms: Option<u64>,
    /// The same at one-stop.
    one_stop_ms: Option<u64>,
    passed: bool,
}

/// The protocol (biên bản diễn tập).
#[derive(Clone, Debug, Serialize)]
struct Protocol {
    drill: &'static str,
    began: String,
    ended: String,
    /// How often a service asks the feed.
    feed_period_ms: u64,
    /// An act that takes longer than this anywhere fails the drill.
    bound_ms: u64,
    steps: Vec<Step>,
    /// The slowest service of all acts.
    slowest_ms: u64,
    passed: bool,
}

impl Protocol {
    fn begin(drill: &'static str) -> Self {
        Self {
            drill,
            began: moment(SystemClock.now()),
            ended: String::new(),
            feed_period_ms: millis(DirectoryConfig::default().poll),
            bound_ms: millis(BOUND),
            steps: Vec::new(),
            slowest_ms: 0,
            passed: false,
        }
    }

    /// Writes a step down, and says so.
    fn step(&mut self, what: impl Into<String>, expected: impl Into<String>, seen: Seen) {
        let step = Step {
            number: self.steps.len() + 1,
            at: moment(SystemClock.now()),
            what: what.into(),
            expected: expected.into(),
            seen: seen.text,
            identity_ms: seen.identity_ms,
            one_stop_ms: seen.one_stop_ms,
            passed: seen.passed,
        };
        say::note(format!(
            "{} {:>2}. {} … {}",
            step.at,
            step.number,
            step.what,
            if step.passed {
                "đạt (pass)"
            } else {
                "KHÔNG ĐẠT (FAIL)"
            }
        ));
        self.steps.push(step);
    }

    fn end(&mut self) {
        self.ended = moment(SystemClock.now());
        self.passed = self.steps.iter().all(|step| step.passed);
        self.slowest_ms = self
            .steps
            .iter()
            .flat_map(|step| [step.identity_ms, step.one_stop_ms])
            .flatten()
            .max()
            .unwrap_or(0);
    }

    fn show(&self) {
        say::line(format!(
            "\nBiên bản diễn tập · protocol of the drill: {}\n{} – {}\n",
            self.drill, self.began, self.ended
        ));
        let heading = ["#", "step", "expected", "seen", "identity ms", "one-stop ms", "result"];
        let ms = |ms: Option<u64>| ms.map_or_else(|| "-".to_owned(), |ms| ms.to_string());
        let rows = self.steps.iter().map(|step| {
            vec![
                step.number.to_string(),
                step.what.clone(),
                step.expected.clone(),
                step.seen.clone(),
                ms(step.identity_ms),
                ms(step.one_stop_ms),
                if step.passed { "pass" } else { "FAIL" }.to_owned(),
            ]
        });
        say::line(say::table(
            std::iter::once(heading.map(str::to_owned).to_vec()).chain(rows),
        ));
        say::line(format!(
            "\n{}: slowest {} ms; the feed is asked every {} ms, the bound is {} ms",
            if self.passed {
                "ĐẠT (passed)"
            } else {
                "KHÔNG ĐẠT (FAILED)"
            },
            self.slowest_ms,
            self.feed_period_ms,
            self.bound_ms
        ));
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Who calls in the drills, beside the administrator.
const CALLERS: [&str; 4] = ["clerk", "citizen", "system", "portal"];

/// A caller's token.
#[derive(Clone, Debug)]
struct Held {
    name: &'static str,
    token: String,
}

/// The stack, and who plays in it.
struct Hall {
    url: String,
    place: Place,
    channel: Channel,
    callers: Callers,
    http: reqwest::Client,
}

/// The two services.
#[derive(Clone, Copy)]
enum At {
    Identity,
    OneStop,
}

impl Hall {
    async fn open(place: Place, url: String) -> anyhow::Result<Self> {
        let channel = client::connect(&url).await?;
        let callers = Callers::open(
            place.clone(),
            url.clone(),
            channel.clone(),
            SystemClock::shared(),
            SystemIds::shared(),
        )?;
        Ok(Self {
            url,
            place,
            channel,
            callers,
            http: reqwest::Client::new(),
        })
    }

    fn line(&self, token: &str) -> Line {
        InterceptedService::new(self.channel.clone(), Carrier::of(token.to_owned(), "case_handling"))
    }

    fn keys(&self, token: &str) -> KeyServiceClient<Line> {
        KeyServiceClient::new(self.line(token))
    }

    /// A new token of a system or citizen, whatever is remembered.
    async fn token(&self, name: &'static str) -> anyhow::Result<Held> {
        client::forget_tokens(&self.place, SystemClock.now())?;
        let token = self.callers.token(name).await?;
        Ok(Held { name, token })
    }

    /// The next tokens of a session.
    async fn refresh(&self, refresh_token: &str) -> Result<(String, String), Status> {
        let request = RefreshTokensRequest {
            refresh_token: refresh_token.to_owned(),
        };
        let answer = SignInServiceClient::new(self.channel.clone())
            .refresh_tokens(request)
            .await?;
        let tokens = answer.into_inner().tokens.unwrap_or_default();
        Ok((tokens.access_token, tokens.refresh_token))
    }

    /// Calls a service with a token; the reason if it refuses the token. An official does what officials do; whoever has nothing
    /// of their own there reads what is public, for which a token that is sent must be good all the same.
    async fn judge(&self, at: At, held: &Held) -> Result<(), String> {
        let line = self.line(&held.token);
        let outcome = match (at, held.name) {
            (At::Identity, "clerk") => SessionServiceClient::new(line)
                .list_my_sessions(ListMySessionsRequest {})
                .await
                .map(drop),
            (At::Identity, _) => UnitServiceClient::new(line)
                .resolve_unit(ResolveUnitRequest {
                    code: UNIT.to_owned(),
                    on: None,
                })
                .await
                .map(drop),
            (At::OneStop, "clerk") => CaseServiceClient::new(line)
                .list_cases(ListCasesRequest::default())
                .await
                .map(drop),
            (At::OneStop, _) => ProcedureServiceClient::new(line)
                .get_procedure(GetProcedureRequest {
                    procedure_code: PROCEDURE.to_owned(),
                    on: None,
                })
                .await
                .map(drop),
        };
        outcome.map_err(|status| reason(&status))
    }

    /// Whether every one of these tokens counts at both services now.
    async fn all_accepted(&self, held: &[Held]) -> Seen {
        for held in held {
            for (at, service) in [(At::Identity, "identity"), (At::OneStop, "one-stop")] {
                if let Err(reason) = self.judge(at, held).await {
                    return Seen::no(format!("{service} refuses {}: {reason}", held.name));
                }
            }
        }
        let names: Vec<&str> = held.iter().map(|held| held.name).collect();
        Seen::yes(format!("{} accepted at both", names.join(", ")))
    }

    /// Looks at both services until all of these tokens are refused (or accepted), and how long that took since `since`.
    async fn until(&self, held: &[Held], accepted: bool, since: Instant) -> Seen {
        let (identity, one_stop) = tokio::join!(
            self.until_at(At::Identity, held, accepted, since),
            self.until_at(At::OneStop, held, accepted, since)
        );
        let names: Vec<&str> = held.iter().map(|held| held.name).collect();
        let mut seen = Seen {
            passed: identity.is_ok() && one_stop.is_ok(),
            ..Seen::default()
        };
        let verb = if accepted { "accepted" } else { "refused" };
        let mut parts = Vec::new();
        for (service, outcome) in [("identity", &identity), ("one-stop", &one_stop)] {
            parts.push(match outcome {
                Ok((_, said)) if said.is_empty() => format!("{service} {verb}"),
                Ok((_, said)) => format!("{service} {verb}: {said}"),
                Err(said) => format!("{service} did not within {} ms: {said}", BOUND.as_millis()),
            });
        }
        seen.text = format!("{}: {}", names.join(", "), parts.join("; "));
        seen.identity_ms = identity.ok().map(|(ms, _)| ms);
        seen.one_stop_ms = one_stop.ok().map(|(ms, _)| ms);
        seen
    }

    /// The milliseconds, and with which reasons tokens are refused; or what was still the case when the bound was over.
    async fn until_at(&self, at: At, held: &[Held], accepted: bool, since: Instant) -> Result<(u64, String), String> {
        loop {
            // The look counts from its beginning: its answer speaks of a moment after that.
            let looked = since.elapsed();
            let mut reasons: Vec<String> = Vec::new();
            let mut wrong = None;
            for held in held {
                match self.judge(at, held).await {
                    Ok(()) if accepted => {}
                    Ok(()) => wrong = Some(format!("{} is accepted", held.name)),
                    Err(reason) if !accepted && is_of_the_token(&reason) => {
                        if !reasons.contains(&reason) {
                            reasons.push(reason);
                        }
                    }
                    Err(reason) => wrong = Some(format!("{} is refused with {reason}", held.name)),
                }
            }
            match wrong {
                None => return Ok((millis(looked), reasons.join(", "))),
                Some(wrong) if looked > BOUND => return Err(wrong),
                Some(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// The ids of the published keys.
    async fn published(&self) -> anyhow::Result<Vec<String>> {
        self.key_set("jwks.json").await
    }

    /// The ids of the keys by which issuers of agencies know the platform.
    async fn published_to_issuers(&self) -> anyhow::Result<Vec<String>> {
        self.key_set("federation-jwks.json").await
    }

    async fn key_set(&self, name: &str) -> anyhow::Result<Vec<String>> {
        #[derive(serde::Deserialize)]
        struct Key {
            kid: String,
        }
        #[derive(serde::Deserialize)]
        struct Set {
            keys: Vec<Key>,
        }
        let url = format!("{}/.well-known/{name}", self.url);
        let answer = self.http.get(&url).send().await?.error_for_status()?;
        let set: Set = serde_json::from_slice(&answer.bytes().await?).context("the published keys cannot be read")?;
        Ok(set.keys.into_iter().map(|key| key.kid).collect())
    }

    /// Looks again and again whether a token counts, until told to stop: how often it did, and the first refusal.
    async fn watch(&self, held: Held, stop: CancellationToken) -> (usize, Option<String>) {
        let (mut looks, mut refusal) = (0, None);
        while !stop.is_cancelled() {
            for at in [At::Identity, At::OneStop] {
                looks += 1;
                if let Err(reason) = self.judge(at, &held).await {
                    refusal.get_or_insert(reason);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
        (looks, refusal)
    }
}

/// What a watched token came to.
fn watched((looks, refusal): (usize, Option<String>)) -> Seen {
    match refusal {
        None => Seen::whether(looks > 0, format!("{looks} calls, none refused")),
        Some(reason) => Seen::no(format!("of {looks} calls one was refused with {reason}")),
    }
}

/// Whether the reason says that the token is void, and not that something else failed.
fn is_of_the_token(reason: &str) -> bool {
    matches!(reason, "TOKEN_REVOKED" | "TOKEN_UNKNOWN_KEY")
}

fn reason(status: &Status) -> String {
    egov_fault::reason_of(status).unwrap_or_else(|| format!("{:?}", status.code()))
}

/// The outcome of an act that must be refused with this reason.
fn must_refuse<T>(outcome: Result<T, Status>, expected: &str) -> Seen {
    match outcome {
        Ok(_) => Seen::no("it was done"),
        Err(status) => {
            let reason = reason(&status);
            Seen::whether(reason == expected, reason)
        }
    }
}

/// The key that signed a token.
fn key_of(token: &str) -> anyhow::Result<String> {
    #[derive(serde::Deserialize)]
    struct Header {
        kid: String,
    }
    let header = token.split('.').next().unwrap_or_default();
    let header: Header = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header)?).context("the token is no JWT")?;
    Ok(header.kid)
}

/// The same token as if signed with a key that nobody has.
fn with_invented_key(token: &str) -> anyhow::Result<String> {
    let header = serde_json::json!({ "typ": "at+jwt", "alg": "ES256", "kid": format!("invented-{}", request_id()) });
    let (_, rest) = token.split_once('.').context("the token is no JWT")?;
    Ok(format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string())))
}

fn request_id() -> String {
    SystemIds::default().uuid().to_string()
}

/// An act that must succeed.
fn done<T>(outcome: Result<tonic::Response<T>, Status>) -> anyhow::Result<T> {
    outcome
        .map(tonic::Response::into_inner)
        .map_err(|status| refused(&status))
}

/// Signs the callers in and writes it down: their tokens, all of one key, which both services accept. Answers with the tokens, that key,
/// and the clerk's and the administrator's sessions.
async fn sign_in(hall: &Hall, protocol: &mut Protocol) -> anyhow::Result<SignedIn> {
    let (admin, admin_session) = hall.callers.sign_in_anew("admin").await?;
    let (clerk, clerk_session) = hall.callers.sign_in_anew("clerk").await?;
    let mut held = vec![Held {
        name: "clerk",
        token: clerk,
    }];
    for name in CALLERS.into_iter().filter(|name| *name != "clerk") {
        held.push(hall.token(name).await?);
    }
    let key = key_of(&admin)?;
    let mut seen = hall.all_accepted(&held).await;
    for held in &held {
        if key_of(&held.token)? != key {
            seen = Seen::no(format!("{} holds a token of another key", held.name));
        }
    }
    if seen.passed {
        seen.text = format!("{}, key {key}", seen.text);
    }
    protocol.step(
        "an official, a citizen, a system and a system for the citizen sign in",
        "tokens of one key, accepted at both services",
        seen,
    );
    Ok(SignedIn {
        admin,
        admin_session,
        clerk_session,
        held,
        key,
    })
}

/// Who signed in.
struct SignedIn {
    admin: String,
    admin_session: String,
    clerk_session: String,
    held: Vec<Held>,
    key: String,
}

/// Waits until a new token of the system is signed by this key: the token, and how long that took since `since`.
async fn signed_by(hall: &Hall, key: &str, since: Instant) -> anyhow::Result<Option<(Held, Duration)>> {
    loop {
        let held = hall.token("system").await?;
        if key_of(&held.token)? == key {
            return Ok(Some((held, since.elapsed())));
        }
        if since.elapsed() > Duration::from_secs(PUBLISHED_BEFORE_USE) + BOUND {
            return Ok(None);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drill_passes_if_every_step_does_and_tells_its_slowest_service() {
        let mut protocol = Protocol::begin("emergency");
        protocol.step(
            "a",
            "b",
            Seen {
                identity_ms: Some(3),
                one_stop_ms: Some(740),
                ..Seen::yes("c")
            },
        );
        protocol.step("d", "e", Seen::yes("f"));
        protocol.end();
        assert!(protocol.passed);
        assert_eq!(
            (protocol.slowest_ms, protocol.feed_period_ms, protocol.bound_ms),
            (740, 1000, 5000)
        );
        protocol.step("g", "h", Seen::no("i"));
        protocol.end();
        assert!(!protocol.passed);
        assert_eq!(protocol.steps[2].number, 3);
    }

    #[test]
    fn a_token_with_an_invented_key_differs_in_its_key_alone() {
        let header = URL_SAFE_NO_PAD.encode(r#"{"alg":"ES256","kid":"a"}"#);
        let token = format!("{header}.e30.AAAA");
        assert_eq!(key_of(&token).unwrap(), "a");
        let invented = with_invented_key(&token).unwrap();
        assert!(key_of(&invented).unwrap().starts_with("invented-"));
        assert!(invented.ends_with(".e30.AAAA"));
    }
}
