//! A closed loop of callers: each sends its next call when it has the answer to the one before.

use std::future::Future;
use std::time::{Duration, Instant};

use tonic::transport::Channel;

use super::{CALLERS, Run};
use crate::client;

/// The connections over which all callers call, of ours and of the echo alike.
const CONNECTIONS: usize = 4;

/// Connections to one server.
#[derive(Clone)]
pub(super) struct Connections(Vec<Channel>);

impl Connections {
    /// Opens them.
    pub(super) async fn open(url: &str) -> anyhow::Result<Self> {
        let mut channels = Vec::with_capacity(CONNECTIONS);
        for _ in 0..CONNECTIONS {
            channels.push(client::connect(url).await?);
        }
        Ok(Self(channels))
    }

    /// The one of a caller.
    pub(super) fn of(&self, caller: usize) -> Result<Channel, String> {
        let place = caller % self.0.len().max(1);
        self.0
            .get(place)
            .cloned()
            .ok_or_else(|| "there is no connection".to_owned())
    }
}

/// What is thrown away at the beginning of a run: connections warm up, caches fill.
const WARM_UP: Duration = Duration::from_secs(1);

/// The figure below which this part of the sorted latencies lies, in microseconds.
fn part(sorted: &[Duration], part: f64) -> f64 {
    let place = ((sorted.len() as f64 * part).ceil() as usize).saturating_sub(1);
    sorted
        .get(place.min(sorted.len().saturating_sub(1)))
        .map_or(f64::NAN, |latency| latency.as_nanos() as f64 / 1000.0)
}

/// Lets 16 callers call for a while. `caller` makes one call after the other: it is given the caller's number and the call's,
/// and says whether the answer was right.
pub(super) async fn run<C, F>(duration: Duration, caller: impl Fn(usize) -> C) -> Run
where
    C: FnMut(u64) -> F + Send + 'static,
    F: Future<Output = Result<(), String>> + Send,
{
    let begin = Instant::now() + WARM_UP.min(duration / 3);
    let end = begin + duration;
    let tasks: Vec<_> = (0..CALLERS)
        .map(|number| {
            let mut call = caller(number);
            tokio::spawn(async move {
                let (mut latencies, mut errors, mut turn) = (Vec::with_capacity(100_000), 0_u64, 0_u64);
                loop {
                    let sent = Instant::now();
                    if sent >= end {
                        return (latencies, errors);
                    }
                    let answer = call(turn).await;
                    turn += 1;
                    let answered = Instant::now();
                    if let Err(error) = answer {
                        if errors == 0 {
                            tracing::warn!(error, "a call of the benchmark failed");
                            crate::say::note(format!("  a call failed: {error}"));
                        }
                        errors += 1;
                        // A call that fails at once never waits for anything: without this nothing could stop the loop.
                        tokio::task::yield_now().await;
                    }
                    if sent >= begin && answered <= end {
                        latencies.push(answered - sent);
                    }
                }
            })
        })
        .collect();
    let (mut latencies, mut errors) = (Vec::new(), 0);
    for task in tasks {
        match task.await {
            Ok((of_one, failed)) => {
                latencies.extend(of_one);
                errors += failed;
            }
            Err(_) => errors += 1,
        }
    }
    latencies.sort_unstable();
    Run {
        per_second: latencies.len() as f64 / duration.as_secs_f64(),
        p50_us: part(&latencies, 0.50),
        p95_us: part(&latencies, 0.95),
        p99_us: part(&latencies, 0.99),
        errors,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_the_latencies_is_the_nearest_rank() {
        let sorted: Vec<_> = (1..=100).map(Duration::from_micros).collect();
        assert_eq!(part(&sorted, 0.50).to_string(), "50");
        assert_eq!(part(&sorted, 0.95).to_string(), "95");
        assert_eq!(part(&sorted, 0.99).to_string(), "99");
        assert!(part(&[], 0.5).is_nan());
    }

    #[tokio::test]
    async fn answers_that_are_wrong_are_counted() {
        let run = run(Duration::from_millis(500), |_| {
            |turn: u64| async move {
                tokio::time::sleep(Duration::from_millis(1)).await;
                if turn == 3 { Err("wrong".to_owned()) } else { Ok(()) }
            }
        })
        .await;
        assert_eq!(run.errors, CALLERS as u64);
        assert!(run.per_second > 0.0 && run.p99_us >= run.p50_us && run.p50_us >= 1000.0);
    }
}
