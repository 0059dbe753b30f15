//! By what is measured how far a log is behind (OpenTelemetry).

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use egov_clock::Clock as _;
use opentelemetry::KeyValue;
use tokio_util::sync::CancellationToken;

use crate::log::Log;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(10);

/// How far a log is behind, as it was seen last.
#[derive(Clone, Copy, Debug)]
struct Behind {
    leaves: u64,
    seconds: f64,
}

type Seen = Arc<Mutex<Option<Behind>>>;

/// Looks until `stop` how many leaves wait for their place and since when: also while the log stands still, and whichever process
/// sequences it. While the database cannot be asked nothing is said.
pub(crate) async fn measure_until(log: Arc<Log>, stop: CancellationToken) {
    let seen = Seen::default();
    watch(&log, &seen);
    loop {
        let behind = match log.standing().await {
            Ok(standing) => {
                let since = standing.waiting_since;
                let lag = since.map(|since| log.database.clock().now().duration_since(since).as_secs_f64());
                Some(Behind {
                    leaves: u64::try_from(standing.waiting).unwrap_or_default(),
                    seconds: lag.unwrap_or_default().max(0.0),
                })
            }
            Err(error) => {
                tracing::debug!(log = log.id(), %error, "not seen how far the ledger is behind");
                None
            }
        };
        *seen.lock().unwrap_or_else(PoisonError::into_inner) = behind;
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

fn watch(log: &Log, seen: &Seen) {
    let meter = opentelemetry::global::meter("egov");
    let labels = [KeyValue::new("log", log.id().to_owned())];
    let (waiting, named) = (Arc::downgrade(seen), labels.clone());
    meter
        .u64_observable_gauge("egov.ledger.unsequenced")
        .with_description("leaves of a log that wait for their place in its tree")
        .with_callback(move |observer| {
            if let Some(behind) = last(&waiting) {
                observer.observe(behind.leaves, &named);
            }
        })
        .build();
    let waiting = Arc::downgrade(seen);
    meter
        .f64_observable_gauge("egov.ledger.lag")
        .with_unit("s")
        .with_description("how long the oldest leaf of a log has been waiting for its place; 0 if none waits")
        .with_callback(move |observer| {
            if let Some(behind) = last(&waiting) {
                observer.observe(behind.seconds, &labels);
            }
        })
        .build();
}

fn last(seen: &Weak<Mutex<Option<Behind>>>) -> Option<Behind> {
    let seen = seen.upgrade()?;
    *seen.lock().unwrap_or_else(PoisonError::into_inner)
}
