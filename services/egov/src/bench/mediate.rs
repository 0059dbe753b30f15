//! Calls through the door, to the same echo as through Envoy, set up for the same job as far as it can, and through nginx, which does
//! nothing of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use axum::Router;
use bytes::Bytes;
use egov_auth::{
    ACCESS_TOKEN_TYPE, Issuer, IssuerConfig, KeySourceConfig, Revocations, TokenClaims, Verifier, VerifierConfig,
};
use egov_clock::{Clock as _, SystemClock, SystemIds};
use egov_door::{
    Asked, Authenticator, Begun, BodyRules, Consumer, Destinations, Door, DoorLimits, DoorParts, Ended, EndpointSpec,
    EndpointState, Gatekeeper, Held, Journal, Passage, Promise, Quota, Recording, Standing, Stands, Upstream,
    UpstreamLimits,
};
use egov_fault::Fault;
use egov_keyring::{Keyring, Purpose};
use egov_runtime::config::ServerConfig;
use egov_runtime::contract::{Contract, Formats};
use egov_runtime::server::{Beside, Server, Shutdown};
use futures::FutureExt as _;
use futures::future::ready;
use jsonwebtoken::jwk::JwkSet;
use prost::Message as _;
use serde::{Deserialize, Serialize};
use sqlx::{Connection as _, PgConnection};
use tokio::net::TcpListener;
use tokio::process::Command;
use uuid::Uuid;

use super::contract::Wide;
use super::contract::wide_service_client::WideServiceClient;
use super::load::{self, Connections};
use super::parties::{IN_FORCE, Wanted, agree};
use super::pgbench::Anchor;
use super::proxy::{LetIn, Proxy};
use super::stage::{Process, Running, Stage, THREADS, system_claims};
use super::{Aim, How, Outcome, Run, absolute, echo, ledger, outcome, streams};
use crate::client::Carrier;
use crate::partner::Key;
use crate::say;

const ECHO: &str = "egov.bench.v1.EchoService/Echo";
const WIDE: &str = "egov.bench.v1.WideService/Echo";

/// The systems that call: the echo; the wide message with a mask, and without.
const CALLER: &str = "bench-caller";
const MASKED: &str = "bench-masked";
const UNMASKED: &str = "bench-unmasked";

/// The fields of the wide message; the mask holds the last of them back.
const FIELDS: u32 = 50;

/// A message of fifty fields, about a kilobyte in all.
fn wide() -> anyhow::Result<Wide> {
    let mut bytes = Vec::new();
    for number in 1..=FIELDS {
        prost::encoding::string::encode(number, &format!("giá trị {number:02} ......"), &mut bytes);
    }
    Ok(Wide::decode(bytes.as_slice())?)
}

/// Calls with the wide message; what comes back must be it, but for what is held back.
async fn call_wide(url: &str, token: &str, masked: bool, duration: Duration) -> anyhow::Result<Run> {
    let connections = Connections::open(url).await?;
    let carrier = Carrier::token(token.to_owned());
    let sent = Arc::new(wide()?);
    let mut expected = wide()?;
    if masked {
        expected.field_50.clear();
    }
    let expected = Arc::new(expected);
    Ok(load::run(duration, |caller| {
        let channel = connections.of(caller);
        let (sent, expected, carrier) = (Arc::clone(&sent), Arc::clone(&expected), carrier.clone());
        move |_| {
            let (channel, sent, expected, carrier) = (
                channel.clone(),
                Arc::clone(&sent),
                Arc::clone(&expected),
                carrier.clone(),
            );
            async move {
                let mut echo = WideServiceClient::with_interceptor(channel?, carrier);
                let answer = echo
                    .echo(Wide::clone(&sent))
                    .await
                    .map_err(|status| status.to_string())?;
                if answer.get_ref() == &*expected {
                    Ok(())
                } else {
                    Err("something else comes back".to_owned())
                }
            }
        }
    })
    .await)
}

/// Waits until a call of each caller goes through.
async fn in_force(stage: &Stage, running: &Running) -> anyhow::Result<()> {
    let until = Instant::now() + IN_FORCE;
    for (client_id, masked) in [(MASKED, true), (UNMASKED, false)] {
        let token = stage.system(running, client_id)?;
        let connections = Connections::open(&running.door).await?;
        loop {
            let channel = connections.of(0).map_err(anyhow::Error::msg)?;
            let mut echo = WideServiceClient::with_interceptor(channel, Carrier::token(token.clone()));
            match echo.echo(wide()?).await {
                Ok(answer) if answer.get_ref().field_50.is_empty() == masked => break,
                Ok(_) => anyhow::bail!("the mask of {client_id} does not hold"),
                Err(status) if Instant::now() > until => {
                    anyhow::bail!("the agreement does not come into force: {status}")
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }
    Ok(())
}

/// What everybody is let through by in a door without agreements.
struct Everybody {
    upstream: Arc<Upstream>,
}

struct Always;

impl Standing for Always {
    fn stands(&self) -> Stands {
        Stands::Holds
    }
}

impl Gatekeeper for Everybody {
    fn admit(&self, _: &Consumer, asked: Asked<'_>) -> Result<Passage, Fault> {
        Ok(Passage {
            agreement_id: Uuid::nil(),
            agreement_version: 1,
            delegation_id: None,
            consumer_organisation_id: Uuid::nil(),
            consumer_unit_id: 0,
            provider_organisation_id: Uuid::nil(),
            provider_unit_id: 0,
            service_id: Uuid::nil(),
            upstream: Arc::clone(&self.upstream),
            facts: streams::facts_of(asked.method),
            filter: None,
            quota: Quota::default(),
            bodies: BodyRules::default(),
            standing: Arc::new(Always),
        })
    }
}

/// A journal that keeps nothing.
struct Nothing;

impl Journal for Nothing {
    fn begin(&self, _: Arc<Begun>, _: Option<Bytes>, _: Held) -> Recording<()> {
        ready(Ok(())).boxed()
    }

    fn end(&self, _: Ended) -> Recording<Promise> {
        ready(Ok(Promise("none".to_owned()))).boxed()
    }

    fn abandon(&self, _: Ended) {}
}

/// Where the door without checks listens, and who may call there.
#[derive(Debug, Serialize, Deserialize)]
struct Ready {
    url: String,
    token: String,
}

const ISSUER: &str = "https://issuer.bench";
const AUDIENCE: &str = "egov";

/// `serve-door`: until it is asked to stop.
pub(super) async fn serve_door(upstream: &str) -> anyhow::Result<()> {
    let clock = SystemClock::shared();
    let keyring = Keyring::ephemeral();
    let keys: JwkSet = serde_json::from_value(keyring.jwks(Purpose::TokenSigning))?;
    let issuer = IssuerConfig::new(ISSUER, AUDIENCE, KeySourceConfig::Jwks(keys));
    let verifier = Verifier::new(
        vec![Issuer::from_config(issuer)?],
        clock.clone(),
        VerifierConfig::default(),
    );
    verifier.refresh().await?;
    let claims = TokenClaims {
        client_id: Some(CALLER.to_owned()),
        exp: clock.now().as_second() + 3600,
        ..system_claims(ISSUER, AUDIENCE, clock.now().as_second())
    };
    let token = keyring.signing(Purpose::TokenSigning).jwt(ACCESS_TOKEN_TYPE, &claims)?;
    let endpoints = Upstream::new(Arc::new(Destinations::anywhere()), None, UpstreamLimits::default());
    endpoints.set(&[EndpointSpec {
        id: Uuid::from_u128(1),
        address: upstream.parse()?,
        weight: 1,
        state: EndpointState::Active,
    }]);
    let door = Door::new(DoorParts {
        authenticator: Authenticator::new(Arc::new(verifier), Arc::new(Revocations::local(clock.clone())), false),
        gatekeeper: Arc::new(Everybody {
            upstream: Arc::new(endpoints),
        }),
        journal: Arc::new(Nothing),
        clock: clock.clone(),
        ids: SystemIds::shared(),
        limits: DoorLimits::default(),
    });
    let shutdown = Shutdown::new();
    shutdown.on_signals()?;
    // On a port beside a server's own, as the door stands; the server itself answers nothing.
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    let router = Router::new().fallback(move |request: axum::extract::Request| {
        let door = door.clone();
        async move { door.grpc(request).await.map(axum::body::Body::new) }
    });
    let beside = Beside {
        name: "door",
        config: ServerConfig::default(),
        listener,
        router,
    };
    let contract = Arc::new(Contract::with_formats(&egov_proto::POOL, &Formats::of_law())?);
    let server = Server::builder(ServerConfig::default(), contract, clock, SystemIds::shared())
        .beside(beside)
        .build()?;
    say::json(&Ready { url, token });
    server.serve(TcpListener::bind("127.0.0.1:0").await?, shutdown).await;
    Ok(())
}

/// The door without agreements and records, in a process of its own with one thread.
pub(super) struct Bare {
    ready: Ready,
    process: Process,
}

impl Bare {
    pub(super) async fn start(upstream: &str) -> anyhow::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command
            .args(["bench", "serve-door", "--upstream", upstream])
            .env(THREADS, "1");
        let (process, line) = Process::start(command).await?;
        let ready = serde_json::from_str(&line).context("the door did not say where it listens")?;
        Ok(Self { ready, process })
    }

    /// Where it listens.
    pub(super) fn url(&self) -> &str {
        &self.ready.url
    }

    /// The token of who may call there.
    pub(super) fn token(&self) -> &str {
        &self.ready.token
    }

    /// The number of its process.
    pub(super) fn pid(&self) -> anyhow::Result<u32> {
        self.process.pid()
    }

    /// Stops it.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.process.stop().await
    }
}

/// What the runs of one scenario gave.
#[derive(Default)]
struct Runs {
    echo: Vec<Run>,
    door: Vec<Run>,
    bare: Vec<Run>,
    masked: Vec<Run>,
    unmasked: Vec<Run>,
    nginx: Vec<f64>,
    envoy: Vec<f64>,
    commits: Vec<f64>,
}

fn right(run: Run, of: &str) -> anyhow::Result<Run> {
    anyhow::ensure!(run.errors == 0, "{} calls of {of} failed", run.errors);
    Ok(run)
}

/// Everything in turns; with `--stream` the streams alone.
pub(super) async fn measure(how: &How) -> anyhow::Result<Vec<Outcome>> {
    if how.stream {
        return Box::pin(streams::measure_alone(how)).await;
    }
    let stage = Stage::prepare(None, None).await?;
    let running = stage.start_with(Some(1)).await?;
    let echo = echo::Beside::start(false).await?;
    let mask = (1..FIELDS).map(|number| format!("field_{number:02}")).collect();
    let wanted = |client_id, method, mask| Wanted {
        client_id,
        method,
        mask,
    };
    let [there, back, masked] = streams::wanted();
    let wanted = [
        wanted(CALLER, ECHO, Vec::new()),
        wanted(MASKED, WIDE, mask),
        wanted(UNMASKED, WIDE, Vec::new()),
        there,
        back,
        masked,
    ];
    agree(&stage, &running, echo::INTERFACE, &echo.url, &wanted)
        .await
        .context("the agreements of the benchmark")?;
    in_force(&stage, &running).await?;
    let bare = Bare::start(&echo.url).await?;
    // First: what a load before them has left in memory would hide what the streams take.
    let streamed = Box::pin(streams::measure(how, &stage, &running, &bare, &echo)).await?;
    let nginx = Proxy::nginx(how, &echo.url).await?;
    // Envoy's own token: EdDSA, which it checks as fast as it can.
    let (key, _) = Key::open_or_make(&stage.data().join("envoy.pem"))?;
    let claims = TokenClaims {
        exp: SystemClock::shared().now().as_second() + 3600,
        ..system_claims(ISSUER, AUDIENCE, SystemClock::shared().now().as_second())
    };
    let subject = claims.sub.to_string();
    let envoys_token = key.assertion(&serde_json::to_value(&claims)?);
    let let_in = LetIn {
        issuer: ISSUER,
        jwks: &format!(r#"{{"keys":[{}]}}"#, key.public_jwk()),
        subject: &subject,
    };
    let envoy = Proxy::admitting_envoy(how, &echo.url, &let_in).await?;
    let database = running.database("integration")?;
    let mut connection = PgConnection::connect(&database).await?;
    sqlx::raw_sql("CREATE TABLE bench_commits (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, content bytea)")
        .execute(&mut connection)
        .await?;
    let before = ledger::places(&mut connection).await?;
    connection.close().await?;
    let commit = Anchor {
        data: stage.data(),
        file: "commit.sql",
        url: &database,
        role: None,
        variables: &[],
    };

    let mut runs = Runs::default();
    for _ in 0..how.runs.max(1) {
        let duration = how.duration();
        // Tokens count for five minutes: new ones for each round.
        let token = |client_id| stage.system(&running, client_id);
        runs.echo
            .push(right(echo::call(&echo.url, None, duration).await?, "the echo")?);
        runs.door
            .push(echo::call(&running.door, Some(&token(CALLER)?), duration).await?);
        runs.envoy
            .push(right(echo::call(&envoy.url(), Some(&envoys_token), duration).await?, "Envoy")?.per_second);
        runs.bare
            .push(echo::call(&bare.ready.url, Some(&bare.ready.token), duration).await?);
        runs.nginx
            .push(right(echo::call(&nginx.url(), Some(&envoys_token), duration).await?, "nginx")?.per_second);
        runs.unmasked
            .push(call_wide(&running.door, &token(UNMASKED)?, false, duration).await?);
        runs.masked
            .push(call_wide(&running.door, &token(MASKED)?, true, duration).await?);
        runs.commits.push(commit.run_by(1, duration).await?);
    }
    let mut connection = PgConnection::connect(&database).await?;
    let lag = ledger::lags(&mut connection, before).await?;
    connection.close().await?;
    envoy.stop().await?;
    nginx.stop().await?;
    bare.stop().await?;
    echo.stop().await?;
    running.stop().await?;
    stage.remove()?;
    let mut all = outcomes(&runs, lag);
    all.extend(streamed);
    Ok(all)
}

/// The rows of the table.
fn outcomes(runs: &Runs, lag: [f64; 3]) -> Vec<Outcome> {
    let unmasked: Vec<f64> = runs.unmasked.iter().map(|run| run.per_second).collect();
    let direct: Vec<f64> = runs.echo.iter().map(|run| run.per_second).collect();
    let mut all = vec![
        outcome("mediate / Envoy", &runs.door, &runs.envoy, Some(Aim::Ratio(1.5))),
        outcome("mediate / nginx", &runs.door, &runs.nginx, Some(Aim::Ratio(0.45))),
        outcome(
            "mediate, nothing on / nginx",
            &runs.bare,
            &runs.nginx,
            Some(Aim::Ratio(0.8)),
        ),
        outcome(
            "mediate, mask of 49 of 50 / no mask",
            &runs.masked,
            &unmasked,
            Some(Aim::Ratio(0.6)),
        ),
        outcome("mediate / echo itself", &runs.door, &direct, None),
    ];
    // What the door adds to half of the calls, against twice the time of a group commit and half a millisecond.
    let half = |of: &[Run]| super::median(of.iter().map(|run| run.p50_us));
    let commit_us = 1e6 / super::median(runs.commits.iter().copied());
    let added = half(&runs.door) - half(&runs.echo);
    let aim = Aim::HalfWithin((2.0 * commit_us + 500.0).round());
    all.push(absolute("mediate, added", f64::NAN, [added, f64::NAN, f64::NAN], aim));
    let aim = Aim::NearlyAllWithin(2_000_000.0);
    all.push(absolute("mediate, lag of the ledger", f64::NAN, lag, aim));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wide_message_is_about_as_large_as_the_echo_and_has_all_its_fields() {
        let wide = wide().unwrap();
        assert!((1000..1300).contains(&wide.encoded_len()), "{}", wide.encoded_len());
        assert!(!wide.field_01.is_empty() && !wide.field_50.is_empty());
    }
}
