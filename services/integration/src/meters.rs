//! What the journal of the door and what the door knows are measured by (OpenTelemetry). What passes through the door is measured by
//! crates/door.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use opentelemetry::metrics::{Counter, Histogram};

use crate::gatekeeper::Agreements;
use crate::permits::PermitBook;

/// The instruments of a journal.
#[derive(Clone, Debug)]
pub(crate) struct JournalMeters {
    batch: Histogram<u64>,
    wait: Histogram<f64>,
    failed: Counter<u64>,
}

impl JournalMeters {
    pub(crate) fn new() -> Self {
        let meter = opentelemetry::global::meter("egov");
        Self {
            batch: meter
                .u64_histogram("egov.door.journal.batch")
                .with_description("records in one transaction of the journal")
                .with_boundaries([1, 2, 4, 8, 16, 32, 64, 128, 256].map(f64::from).to_vec())
                .build(),
            wait: meter
                .f64_histogram("egov.door.journal.wait")
                .with_unit("s")
                .with_description("how long calls waited until a record was durable, or was given up")
                .with_boundaries(vec![
                    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
                ])
                .build(),
            failed: meter
                .u64_counter("egov.door.journal.failed")
                .with_description(
                    "records that could not be written; their calls were refused, or are swept to unknown",
                )
                .build(),
        }
    }

    /// A batch is about to be stored.
    pub(crate) fn batch(&self, records: usize) {
        self.batch.record(u64::try_from(records).unwrap_or(u64::MAX), &[]);
    }

    /// A call has waited for its record.
    pub(crate) fn waited(&self, time: Duration) {
        self.wait.record(time.as_secs_f64(), &[]);
    }

    /// Records were lost.
    pub(crate) fn failed(&self, records: usize) {
        self.failed.add(u64::try_from(records).unwrap_or(u64::MAX), &[]);
    }
}

/// Watches how many records a journal has set aside, for as long as the number lives.
pub(crate) fn watch_set_aside(waiting: &Arc<AtomicU64>) {
    let waiting = Arc::downgrade(waiting);
    opentelemetry::global::meter("egov")
        .u64_observable_gauge("egov.door.journal.set_aside")
        .with_description("records of exchanges that the database refuses, which wait in a file for somebody")
        .with_callback(move |observer| {
            if let Some(waiting) = waiting.upgrade() {
                observer.observe(waiting.load(Ordering::Relaxed), &[]);
            }
        })
        .build();
}

/// Watches how old the knowledge of permits is, and how many endpoints are left alone, for as long as they live.
pub(crate) fn watch(book: &Arc<PermitBook>, agreements: &Arc<Agreements>) {
    let meter = opentelemetry::global::meter("egov");
    let (book, agreements) = (Arc::downgrade(book), Arc::downgrade(agreements));
    meter
        .f64_observable_gauge("egov.door.permits.age")
        .with_unit("s")
        .with_description("age of what this instance knows of agreements; older than a second, it refuses everything")
        .with_callback(move |observer| {
            if let Some(age) = book.upgrade().and_then(|book| book.age()) {
                observer.observe(age.as_secs_f64(), &[]);
            }
        })
        .build();
    meter
        .u64_observable_gauge("egov.door.endpoints.ejected")
        .with_description("endpoints of providers that are left alone for a while because they failed")
        .with_callback(move |observer| {
            if let Some(agreements) = agreements.upgrade() {
                observer.observe(u64::try_from(agreements.ejected()).unwrap_or(u64::MAX), &[]);
            }
        })
        .build();
}
