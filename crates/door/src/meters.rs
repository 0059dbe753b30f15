//! What the door measures of itself (OpenTelemetry). Labels are outcomes, kinds, directions and reasons, which are few and fixed: no
//! client, no method, no path.

use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::metrics::{Counter, Histogram, Meter, UpDownCounter};

use crate::exchange::Ended;

/// Boundaries of durations, in seconds: those of OpenTelemetry for RPC, from a millisecond on, and on to the longest stream.
const SECONDS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0,
];

/// Whether a call has one message each way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Unary,
    Stream,
}

impl Kind {
    fn label(self) -> KeyValue {
        KeyValue::new(
            "kind",
            match self {
                Self::Unary => "unary",
                Self::Stream => "stream",
            },
        )
    }
}

/// The door's instruments.
#[derive(Debug)]
pub(crate) struct Meters {
    calls: Counter<u64>,
    duration: Histogram<f64>,
    at_provider: Histogram<f64>,
    active: UpDownCounter<i64>,
    bytes: Counter<u64>,
    refusals: Counter<u64>,
}

fn seconds(micros: u64) -> f64 {
    Duration::from_micros(micros).as_secs_f64()
}

impl Meters {
    pub(crate) fn new(meter: &Meter) -> Self {
        let histogram = |name: &'static str, description: &'static str| {
            meter
                .f64_histogram(name)
                .with_unit("s")
                .with_description(description)
                .with_boundaries(SECONDS.to_vec())
                .build()
        };
        Self {
            calls: meter
                .u64_counter("egov.door.calls")
                .with_description("exchanges that ended, by outcome and kind")
                .build(),
            duration: histogram("egov.door.call.duration", "whole time of exchanges, by kind"),
            at_provider: histogram(
                "egov.door.provider.duration",
                "time of exchanges at the provider, by kind",
            ),
            active: meter
                .i64_up_down_counter("egov.door.calls.active")
                .with_description("exchanges under way, by kind")
                .build(),
            bytes: meter
                .u64_counter("egov.door.bytes")
                .with_unit("By")
                .with_description("bytes of exchanges that ended, by direction")
                .build(),
            refusals: meter
                .u64_counter("egov.door.refusals")
                .with_description("calls that were refused and are no exchanges, by reason")
                .build(),
        }
    }

    /// An exchange is about to be recorded and forwarded.
    pub(crate) fn begun(&self, kind: Kind) {
        self.active.add(1, &[kind.label()]);
    }

    /// It could not be recorded, and is none.
    pub(crate) fn not_begun(&self, kind: Kind) {
        self.active.add(-1, &[kind.label()]);
    }

    /// An exchange is over.
    pub(crate) fn ended(&self, kind: Kind, ended: &Ended) {
        self.active.add(-1, &[kind.label()]);
        let outcome = KeyValue::new("outcome", ended.outcome.as_str());
        self.calls.add(1, &[outcome, kind.label()]);
        self.duration.record(seconds(ended.elapsed_us), &[kind.label()]);
        if ended.provider_us > 0 {
            self.at_provider.record(seconds(ended.provider_us), &[kind.label()]);
        }
        for (direction, tally) in [("request", &ended.request), ("response", &ended.response)] {
            self.bytes.add(tally.bytes, &[KeyValue::new("direction", direction)]);
        }
    }

    /// A call was refused before it became an exchange, or its record could not be written. Reasons are constants of the code.
    pub(crate) fn refused(&self, reason: &str) {
        self.refusals.add(1, &[KeyValue::new("reason", reason.to_owned())]);
    }
}
