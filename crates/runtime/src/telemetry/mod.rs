//! Logs, traces and metrics without personal data.
//!
//! * Logs: one JSON object a line on standard error ([`LogLayer`]). Every answered call is one line with method, code,
//!   reason, duration, request id, trace id and kind of caller; never a field of a message, a name, a number or an
//!   address. What other code logs passes one redaction rule: a field whose name some contract marks as personal data
//!   is written as `[personal data]`, in traces as well.
//! * Traces: a span for each call, as a child of the caller's span when it sent one (W3C `traceparent`); [`Propagate`]
//!   hands it on to the services that are called.
//! * Metrics: duration and number of calls by method and code, connections, refusals.
//!
//! Traces and metrics are sent by OTLP when `telemetry.otlp.endpoint` is set. Trace ids are made in any case, so that
//! the lines of one call can be found in the logs of all services.

mod call;
mod log;
mod propagation;
mod redaction;

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use egov_clock::SharedClock;
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_otlp::{WithExportConfig as _, WithTonicConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::metrics::{PeriodicReader, SdkMeterProvider};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tonic::metadata::MetadataMap;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tracing_opentelemetry::OpenTelemetryLayer;
use tracing_subscriber::filter::{EnvFilter, LevelFilter};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{OtlpConfig, TelemetryConfig};

pub use log::LogLayer;
pub use propagation::Propagate;

use redaction::{Redacted, Redaction};

pub(crate) use call::{Recorder, note_caller, note_method, note_route, record};

/// The running telemetry of a process. Keep it until the process ends and then call [`Telemetry::stop`].
#[derive(Debug)]
pub struct Telemetry {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
    patience: Duration,
}

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// `telemetry.log.filter` is not a list of levels by target.
    #[error("telemetry.log.filter is not valid: {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// `telemetry.trace_ratio` is not between 0 and 1.
    #[error("telemetry.trace_ratio is {0}, it must be between 0 and 1")]
    Ratio(f64),
    /// A setting of the collector does not work.
    #[error("telemetry.otlp: {0}")]
    Otlp(String),
    /// A subscriber was installed before: telemetry starts once in a process.
    #[error("telemetry was started before in this process: {0}")]
    StartedTwice(#[from] tracing_subscriber::util::TryInitError),
}

/// Starts telemetry for the process: installs the log, the tracer, the meter and a panic hook that writes to the log.
///
/// `service` is the name that lines and spans carry; `hidden` are the names of personal fields
/// ([`Contract::personal_field_names`](crate::contract::Contract::personal_field_names)). Call it inside the Tokio
/// runtime, once.
///
/// # Errors
/// See [`TelemetryError`].
pub fn start(
    service: &'static str,
    config: &TelemetryConfig,
    hidden: &BTreeSet<String>,
    clock: SharedClock,
) -> Result<Telemetry, TelemetryError> {
    if !(0.0..=1.0).contains(&config.trace_ratio) {
        return Err(TelemetryError::Ratio(config.trace_ratio));
    }
    let filter = EnvFilter::builder().parse(&config.log.filter)?;

    let mut resource = Resource::builder().with_service_name(service);
    if !config.environment.is_empty() {
        resource = resource.with_attribute(KeyValue::new("deployment.environment.name", config.environment.clone()));
    }
    let resource = resource.build();

    let mut traces = SdkTracerProvider::builder()
        .with_resource(resource.clone())
        .with_sampler(Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(
            config.trace_ratio,
        ))));
    let mut metrics = SdkMeterProvider::builder().with_resource(resource);
    if !config.otlp.endpoint.is_empty() {
        let collector = Collector::of(&config.otlp)?;
        let spans = opentelemetry_otlp::SpanExporter::builder()
            .with_tonic()
            .with_channel(collector.channel.clone())
            .with_metadata(collector.metadata.clone())
            .with_timeout(config.otlp.timeout.get())
            .build()
            .map_err(|error| TelemetryError::Otlp(error.to_string()))?;
        let readings = opentelemetry_otlp::MetricExporter::builder()
            .with_tonic()
            .with_channel(collector.channel)
            .with_metadata(collector.metadata)
            .with_timeout(config.otlp.timeout.get())
            .build()
            .map_err(|error| TelemetryError::Otlp(error.to_string()))?;
        traces = traces.with_batch_exporter(Redacted::new(spans, Redaction::new(hidden.clone())));
        metrics = metrics.with_reader(
            PeriodicReader::builder(readings)
                .with_interval(config.otlp.interval.get())
                .build(),
        );
    }
    let traces = traces.build();
    let metrics = metrics.build();

    let log = LogLayer::new(service, config.log.format, hidden.clone(), clock, std::io::stderr);
    tracing_subscriber::registry()
        .with(log.with_filter(filter))
        // The level of the log must not decide which spans exist.
        .with(OpenTelemetryLayer::new(traces.tracer("egov")).with_filter(LevelFilter::INFO))
        .try_init()?;
    opentelemetry::global::set_tracer_provider(traces.clone());
    opentelemetry::global::set_meter_provider(metrics.clone());
    opentelemetry::global::set_text_map_propagator(TraceContextPropagator::new());
    log_panics();

    Ok(Telemetry {
        traces,
        metrics,
        patience: config.otlp.timeout.get(),
    })
}

impl Telemetry {
    /// Sends what is still held back and stops. Waits for the collector no longer than `telemetry.otlp.timeout` for
    /// each of traces and metrics. Blocks: call it after the server has stopped.
    pub fn stop(self) {
        // A collector that cannot be reached at the end is no reason to end otherwise.
        if let Err(error) = self.traces.shutdown_with_timeout(self.patience) {
            tracing::debug!(error = %error, "the last traces were not sent");
        }
        if let Err(error) = self.metrics.shutdown_with_timeout(self.patience) {
            tracing::debug!(error = %error, "the last metrics were not sent");
        }
    }
}

struct Collector {
    channel: Channel,
    metadata: MetadataMap,
}

impl Collector {
    fn of(config: &OtlpConfig) -> Result<Self, TelemetryError> {
        let wrong = |error: &dyn std::fmt::Display| TelemetryError::Otlp(error.to_string());
        let mut endpoint = Endpoint::from_shared(config.endpoint.clone())
            .map_err(|error| wrong(&error))?
            .timeout(config.timeout.get())
            .connect_timeout(config.timeout.get());
        let encrypted = endpoint.uri().scheme_str() == Some("https");
        match (&config.ca, encrypted) {
            (Some(path), true) => {
                let tls = ClientTlsConfig::new().ca_certificate(read_ca(path)?);
                endpoint = endpoint.tls_config(tls).map_err(|error| wrong(&error))?;
            }
            (None, true) => {
                return Err(wrong(&"an https endpoint needs ca, the collector's authority"));
            }
            (Some(_), false) => {
                return Err(wrong(&"ca is given, but the endpoint is not https"));
            }
            (None, false) => {}
        }
        let mut metadata = MetadataMap::new();
        if !config.authorization.is_empty() {
            let mut value = config
                .authorization
                .expose()
                .parse::<tonic::metadata::MetadataValue<_>>()
                .map_err(|_| wrong(&"authorization is not a value of a header"))?;
            value.set_sensitive(true);
            metadata.insert("authorization", value);
        }
        Ok(Self {
            channel: endpoint.connect_lazy(),
            metadata,
        })
    }
}

fn read_ca(path: &Path) -> Result<Certificate, TelemetryError> {
    std::fs::read(path)
        .map(Certificate::from_pem)
        .map_err(|error| TelemetryError::Otlp(format!("cannot read {}: {error}", path.display())))
}

/// Writes a panic to the log: its place, and its message only if that is a literal of the program. A formatted message
/// may hold anything, personal data included.
fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let place = panic
            .location()
            .map_or_else(|| "unknown".to_owned(), ToString::to_string);
        let message = panic.payload().downcast_ref::<&'static str>().copied();
        tracing::error!(place, cause = message.unwrap_or("formatted, not shown"), "panic");
    }));
}
