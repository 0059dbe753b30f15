//! Streams through the door: a gibibyte to the provider and a gibibyte to the consumer, and what the process with the door holds of memory
//! meanwhile, in turns with the same streams straight to the echo.
//!
//! Caller, door and provider are processes of their own, so that the memory is the door's: in the stack's process together with all else
//! that runs there, and alone in the one of the door with nothing on.

use std::pin::pin;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use egov_door::MethodFacts;
use futures::stream;
use indicatif::ProgressBar;
use tokio::time::MissedTickBehavior;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use super::contract::stream_service_client::StreamServiceClient;
use super::contract::{GiveRequest, Piece};
use super::mediate::Bare;
use super::parties::{IN_FORCE, Wanted, agree};
use super::stage::{Running, Stage};
use super::{Aim, Held, How, Outcome, Run, echo, outcome};
use crate::client::{self, Carrier};
use crate::{generate, say};

const TAKE: &str = "egov.bench.v1.StreamService/Take";
const GIVE: &str = "egov.bench.v1.StreamService/Give";

/// What one message carries: a mebibyte, more than any window of the door lets wait.
const PIECE_BYTES: usize = 1 << 20;

/// Where every piece is from; the mask holds it back.
const ORIGIN: &str = "kho dữ liệu của tỉnh";

/// By how much the process with the door may grow, in MiB.
const BOUND_MIB: f64 = 64.0;

/// How often its memory is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// What every piece carries.
pub(super) fn content() -> Bytes {
    (0..PIECE_BYTES).map(|place| (place % 251) as u8).collect()
}

/// The piece with this place in its stream.
pub(super) fn piece(number: u64, content: &Bytes) -> Piece {
    Piece {
        number,
        content: content.clone(),
        origin: ORIGIN.to_owned(),
    }
}

/// What the contract says of a method of the benchmark, for the door that knows no contract.
pub(super) fn facts_of(method: &str) -> MethodFacts {
    MethodFacts {
        client_streaming: method == TAKE,
        server_streaming: method == GIVE,
        idempotent: false,
    }
}

/// Which way a stream goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    ToProvider,
    ToConsumer,
    /// To the consumer, under a mask: each message is held until it is whole.
    Masked,
}

impl Way {
    /// The system that calls; each has an agreement of its own.
    fn client_id(self) -> &'static str {
        match self {
            Self::ToProvider => "bench-stream-there",
            Self::ToConsumer => "bench-stream-back",
            Self::Masked => "bench-stream-masked",
        }
    }

    /// Lets so many pieces through, each of which must be what was sent; how long it took.
    async fn pass(self, url: &str, token: Option<&str>, pieces: u64, bar: &ProgressBar) -> anyhow::Result<Duration> {
        let carrier = token.map_or_else(Carrier::public, |token| Carrier::token(token.to_owned()));
        let client = StreamServiceClient::with_interceptor(client::connect(url).await?, carrier);
        let begin = Instant::now();
        match self {
            Self::ToProvider => there(client, pieces, bar.clone()).await?,
            Self::ToConsumer => back(client, pieces, ORIGIN, bar).await?,
            Self::Masked => back(client, pieces, "", bar).await?,
        }
        Ok(begin.elapsed())
    }
}

type Client = StreamServiceClient<InterceptedService<Channel, Carrier>>;

async fn there(mut client: Client, pieces: u64, bar: ProgressBar) -> anyhow::Result<()> {
    let content = content();
    // Asked for one by one, as fast as the other side takes them.
    let sent = (0..pieces).map(move |number| {
        bar.inc(1);
        piece(number, &content)
    });
    let taken = client.take(stream::iter(sent)).await?.into_inner().pieces;
    ensure!(taken == pieces, "{taken} of {pieces} pieces came to the provider");
    Ok(())
}

async fn back(mut client: Client, pieces: u64, origin: &str, bar: &ProgressBar) -> anyhow::Result<()> {
    let mut given = client.give(GiveRequest { pieces }).await?.into_inner();
    let content = content();
    let mut came = 0;
    while let Some(one) = given.message().await? {
        let right = one.number == came && one.content == content && one.origin == origin;
        ensure!(right, "piece {came} is not what it must be");
        came += 1;
        bar.inc(1);
    }
    ensure!(came == pieces, "{came} of {pieces} pieces came to the consumer");
    Ok(())
}

/// A figure from what the kernel says of a process, in KiB.
fn kib(status: &str, name: &str) -> Option<u64> {
    status.lines().find_map(|line| {
        let figure = line.strip_prefix(name)?.strip_prefix(':')?;
        figure.trim().strip_suffix(" kB")?.parse().ok()
    })
}

fn held(pid: u32, name: &str) -> anyhow::Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))
        .context("the process with the door cannot be looked at")?;
    kib(&status, name).with_context(|| format!("the kernel does not say {name} of a process"))
}

/// Does `work`; what came of it, and the most that the process held meanwhile, in KiB.
async fn watched<T>(pid: u32, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<(T, u64)> {
    // Sets the kernel's own mark of the most back to what there is now. Where that may not be, only what is seen in between counts.
    let marked = std::fs::write(format!("/proc/{pid}/clear_refs"), "5").is_ok();
    let mut most = held(pid, "VmRSS")?;
    let mut looks = tokio::time::interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut work = pin!(work);
    let done = loop {
        tokio::select! {
            done = &mut work => break done?,
            _ = looks.tick() => most = most.max(held(pid, "VmRSS")?),
        }
    };
    most = most.max(held(pid, if marked { "VmHWM" } else { "VmRSS" })?);
    Ok((done, most))
}

/// One row: a way through one of the doors.
struct Row<'a> {
    name: &'static str,
    way: Way,
    url: &'a str,
    pid: u32,
    /// The token of the door without agreements.
    token: Option<&'a str>,
    runs: Vec<Run>,
    /// What the process held before the first run, in KiB.
    before: Option<u64>,
    /// The most that it held in any run.
    most: u64,
}

impl Row<'_> {
    /// A token that counts for five minutes, or the one that is there.
    fn token(&self, stage: &Stage, running: &Running) -> anyhow::Result<String> {
        self.token.map_or_else(
            || stage.system(running, self.way.client_id()),
            |token| Ok(token.to_owned()),
        )
    }

    /// Waits until a piece goes through.
    async fn in_force(&self, token: &str) -> anyhow::Result<()> {
        let until = Instant::now() + IN_FORCE;
        let hidden = ProgressBar::hidden();
        while let Err(error) = self.way.pass(self.url, Some(token), 1, &hidden).await {
            if Instant::now() > until {
                return Err(error.context(format!("{}: nothing goes through the door", self.name)));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    /// One run. What the process grew by in the runs of other rows counts as well.
    async fn run(&mut self, token: &str, pieces: u64) -> anyhow::Result<()> {
        let now = held(self.pid, "VmRSS")?;
        let before = *self.before.get_or_insert(now);
        let bar = generate::bar(false, self.name, pieces);
        let passing = Box::pin(self.way.pass(self.url, Some(token), pieces, &bar));
        let (took, most) = watched(self.pid, passing).await.with_context(|| self.name.to_owned())?;
        bar.finish_and_clear();
        self.most = self.most.max(most);
        let run = run_of(pieces, took);
        say::note(format!(
            "  {}: {pieces} MiB, {:.0} a second, memory {:.1} → {:.1} MiB",
            self.name,
            run.per_second,
            mib(before),
            mib(most),
        ));
        self.runs.push(run);
        Ok(())
    }

    fn outcome(&self, anchor: &[f64]) -> Outcome {
        let before = self.before.unwrap_or_default();
        let memory = Held {
            before: mib(before),
            highest: mib(self.most),
            grown: mib(self.most.saturating_sub(before)),
            bound: BOUND_MIB,
        };
        Outcome {
            memory_mib: Some(memory),
            ..outcome(self.name, &self.runs, anchor, Some(Aim::GrownWithin(BOUND_MIB)))
        }
    }
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}

/// A run of one stream: MiB a second, and no latencies.
fn run_of(pieces: u64, took: Duration) -> Run {
    let bytes = pieces as f64 * PIECE_BYTES as f64;
    Run {
        per_second: bytes / f64::from(1 << 20) / took.as_secs_f64(),
        p50_us: f64::NAN,
        p95_us: f64::NAN,
        p99_us: f64::NAN,
        errors: 0,
    }
}

/// What the agreements of the streams are about.
pub(super) fn wanted() -> [Wanted<'static>; 3] {
    [
        (Way::ToProvider, TAKE, Vec::new()),
        (Way::ToConsumer, GIVE, Vec::new()),
        (Way::Masked, GIVE, vec!["number".to_owned(), "content".to_owned()]),
    ]
    .map(|(way, method, mask)| Wanted {
        client_id: way.client_id(),
        method,
        mask,
    })
}

/// The same stream straight to the echo, MiB a second.
async fn direct(way: Way, url: &str, pieces: u64) -> anyhow::Result<f64> {
    let bar = generate::bar(false, "the echo itself", pieces);
    let took = way.pass(url, None, pieces, &bar).await.context("the echo itself")?;
    bar.finish_and_clear();
    Ok(run_of(pieces, took).per_second)
}

/// The streams through both doors and straight to the echo, in turns. The agreements of [`wanted`] have been made.
pub(super) async fn measure(
    how: &How,
    stage: &Stage,
    running: &Running,
    bare: &Bare,
    echo: &echo::Beside,
) -> anyhow::Result<Vec<Outcome>> {
    let through = |name, way, (url, pid, token)| Row {
        name,
        way,
        url,
        pid,
        token,
        runs: Vec::new(),
        before: None,
        most: 0,
    };
    let stack = (running.door.as_str(), running.pid()?, None);
    let alone = (bare.url(), bare.pid()?, Some(bare.token()));
    let mut rows = [
        through("mediate, MiB streamed to the provider", Way::ToProvider, stack),
        through("mediate, MiB streamed to the consumer", Way::ToConsumer, stack),
        through("mediate, MiB streamed under a mask", Way::Masked, stack),
        through(
            "mediate, nothing on, MiB streamed to the provider",
            Way::ToProvider,
            alone,
        ),
        through(
            "mediate, nothing on, MiB streamed to the consumer",
            Way::ToConsumer,
            alone,
        ),
    ];
    for row in &rows {
        row.in_force(&row.token(stage, running)?).await?;
    }
    let (mut there, mut back) = (Vec::new(), Vec::new());
    for _ in 0..how.runs.max(1) {
        there.push(direct(Way::ToProvider, &echo.url, how.mib).await?);
        back.push(direct(Way::ToConsumer, &echo.url, how.mib).await?);
        for row in &mut rows {
            let token = row.token(stage, running)?;
            row.run(&token, how.mib).await?;
        }
    }
    let anchor = |way: Way| if way == Way::ToProvider { &there } else { &back };
    Ok(rows.iter().map(|row| row.outcome(anchor(row.way))).collect())
}

/// The same on a stage of its own: `mediate --stream`.
pub(super) async fn measure_alone(how: &How) -> anyhow::Result<Vec<Outcome>> {
    let stage = Stage::prepare(None, None).await?;
    let running = stage.start_with(Some(1)).await?;
    let echo = echo::Beside::start(false).await?;
    agree(&stage, &running, echo::INTERFACE, &echo.url, &wanted())
        .await
        .context("the agreements of the benchmark")?;
    let bare = Bare::start(&echo.url).await?;
    let outcomes = measure(how, &stage, &running, &bare, &echo).await?;
    bare.stop().await?;
    echo.stop().await?;
    running.stop().await?;
    stage.remove()?;
    Ok(outcomes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_of_a_process_is_read_by_its_whole_name() {
        let status = "Name:\tegov\nVmHWM:\t  51200 kB\nVmRSS:\t    2048 kB\nThreads:\t3\n";
        assert_eq!((kib(status, "VmRSS"), kib(status, "VmHWM")), (Some(2048), Some(51_200)));
        assert_eq!((kib(status, "Vm"), kib(status, "Threads")), (None, None));
    }

    #[tokio::test]
    async fn what_a_process_held_for_a_moment_only_is_seen() {
        let pid = std::process::id();
        let before = held(pid, "VmRSS").unwrap();
        let work = async {
            let much = std::hint::black_box(vec![7_u8; 128 << 20]);
            // Seen in between as well, where the kernel's mark cannot be set back.
            tokio::time::sleep(LOOK * 3).await;
            anyhow::Ok(much.len())
        };
        let (length, most) = watched(pid, work).await.unwrap();
        assert_eq!(length, 128 << 20);
        // Other tests give theirs back at the same time.
        assert!(most >= before + 64 * 1024, "{before} → {most} KiB");
    }

    #[test]
    fn a_row_grows_by_the_most_over_what_was_before_its_first_run() {
        let row = Row {
            name: "x",
            way: Way::Masked,
            url: "",
            pid: 0,
            token: None,
            runs: vec![run_of(1024, Duration::from_secs(2))],
            before: Some(10 * 1024),
            most: 84 * 1024,
        };
        let outcome = row.outcome(&[1024.0]);
        assert_eq!(
            (outcome.ours.to_string(), outcome.ratio.to_string()),
            ("512".to_owned(), "0.5".to_owned())
        );
        assert_eq!(outcome.memory_mib.unwrap().grown.to_string(), "74");
        assert!(!Aim::GrownWithin(BOUND_MIB).is_met(&outcome) && Aim::GrownWithin(74.0).is_met(&outcome));
    }
}
