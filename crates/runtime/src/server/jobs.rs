//! Keeps jobs running.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::assembly::Job;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_mins(1);

impl Job {
    /// Runs the job until it finishes or `stop` is cancelled and it ends; drops it where it waits when `abort` is.
    pub(super) async fn supervise(self, stop: CancellationToken, abort: CancellationToken) {
        let mut pause = FIRST_PAUSE;
        loop {
            let started = Instant::now();
            let run = AssertUnwindSafe((self.run)(stop.clone())).catch_unwind();
            let result = tokio::select! {
                result = run => result,
                () = abort.cancelled() => {
                    tracing::warn!(job = self.name, "job aborted");
                    return;
                }
            };
            match result {
                Ok(Ok(())) => {
                    if !stop.is_cancelled() {
                        tracing::info!(job = self.name, "job finished");
                    }
                    return;
                }
                Ok(Err(error)) => {
                    let cause = causes(&*error);
                    tracing::error!(job = self.name, cause, "job failed");
                }
                // Where, the panic hook has said.
                Err(_) => tracing::error!(job = self.name, "job panicked"),
            }
            // A job that ran well for a while begins anew with short pauses.
            if started.elapsed() > LONGEST_PAUSE {
                pause = FIRST_PAUSE;
            }
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }
}

impl Job {
    /// Runs the job once, to its end. What goes wrong is logged.
    pub(super) async fn once(self, stop: CancellationToken) {
        match AssertUnwindSafe((self.run)(stop)).catch_unwind().await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(job = self.name, cause = causes(&*error), "job failed"),
            // Where, the panic hook has said.
            Err(_) => tracing::error!(job = self.name, "job panicked"),
        }
    }
}

/// An error and what led to it, outermost first.
fn causes(error: &(dyn std::error::Error + 'static)) -> String {
    let mut texts = vec![error.to_string()];
    let mut source = error.source();
    while let Some(inner) = source {
        texts.push(inner.to_string());
        source = inner.source();
    }
    texts.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[tokio::test(start_paused = true)]
    async fn a_job_that_fails_or_panics_is_started_again_with_growing_pauses() {
        let runs = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&runs);
        let job = Job::new("shaky", move |_| {
            let run = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                assert!(run != 1, "the second run panics");
                if run < 3 { Err("no luck".into()) } else { Ok(()) }
            }
        });
        let started = Instant::now();
        job.supervise(CancellationToken::new(), CancellationToken::new()).await;
        assert_eq!(runs.load(Ordering::SeqCst), 4);
        assert_eq!(started.elapsed().as_secs(), 1 + 2 + 4);
    }

    #[tokio::test(start_paused = true)]
    async fn a_job_that_waits_for_its_next_try_ends_at_once() {
        let stop = CancellationToken::new();
        let job = Job::new("broken", |_| async { Err("always".into()) });
        let task = tokio::spawn(job.supervise(stop.clone(), CancellationToken::new()));
        tokio::time::sleep(Duration::from_millis(500)).await;
        stop.cancel();
        tokio::time::timeout(Duration::from_millis(10), task)
            .await
            .unwrap()
            .unwrap();
    }

    #[test]
    fn causes_are_joined_from_the_outside_in() {
        let error = egov_fault::Fault::internal(std::io::Error::other("disk gone"));
        assert_eq!(causes(&error), "internal error: disk gone");
    }
}
