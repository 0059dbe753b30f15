//! The one redaction rule, for logs and traces alike.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

/// What is written in place of a value that may be personal data.
pub(super) const HIDDEN: &str = "[personal data]";

/// The crates whose fields were checked one by one and never hold personal data. Their field `reason`, a word of the
/// contract, would otherwise be hidden with the free text that a contract calls by the same name.
const CHECKED: [&str; 3] = ["egov_runtime", "egov_fault", "egov_auth"];

/// A field is hidden if some contract marks a field of its name as personal data.
#[derive(Clone, Debug)]
pub(super) struct Redaction(Arc<BTreeSet<String>>);

impl Redaction {
    pub(super) fn new(names: BTreeSet<String>) -> Self {
        Self(Arc::new(names))
    }

    /// Whether the value of `field`, written by code of the module `target`, is hidden. Of a name with dots the last
    /// part counts as well.
    pub(super) fn hides(&self, target: &str, field: &str) -> bool {
        let crate_name = target.split("::").next().unwrap_or_default();
        let last = field.rsplit('.').next().unwrap_or(field);
        !CHECKED.contains(&crate_name) && (self.0.contains(field) || self.0.contains(last))
    }

    fn redact(&self, attributes: &mut [KeyValue]) {
        let target = attributes
            .iter()
            .find(|attribute| attribute.key.as_str() == "target")
            .map(|attribute| attribute.value.to_string())
            .unwrap_or_default();
        for attribute in attributes {
            if self.hides(&target, attribute.key.as_str()) {
                attribute.value = HIDDEN.into();
            }
        }
    }
}

/// An exporter that lets no hidden value out.
#[derive(Debug)]
pub(super) struct Redacted<E> {
    inner: E,
    redaction: Redaction,
}

impl<E> Redacted<E> {
    pub(super) fn new(inner: E, redaction: Redaction) -> Self {
        Self { inner, redaction }
    }
}

impl<E: SpanExporter> SpanExporter for Redacted<E> {
    async fn export(&self, mut batch: Vec<SpanData>) -> OTelSdkResult {
        for span in &mut batch {
            self.redaction.redact(&mut span.attributes);
            for event in &mut span.events.events {
                self.redaction.redact(&mut event.attributes);
            }
        }
        self.inner.export(batch).await
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.inner.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.inner.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.inner.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use std::sync::Mutex;
    use tracing_opentelemetry::OpenTelemetryLayer;
    use tracing_subscriber::layer::SubscriberExt as _;

    #[derive(Clone, Debug, Default)]
    struct Exported(Arc<Mutex<Vec<SpanData>>>);

    impl SpanExporter for Exported {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            self.0.lock().unwrap().extend(batch);
            Ok(())
        }
    }

    #[test]
    fn personal_fields_of_spans_and_their_events_are_not_exported() {
        let exported = Exported::default();
        let redaction = Redaction::new(BTreeSet::from(["full_name".to_owned(), "reason".to_owned()]));
        let traces = SdkTracerProvider::builder()
            .with_simple_exporter(Redacted::new(exported.clone(), redaction))
            .build();
        let subscriber = tracing_subscriber::registry().with(OpenTelemetryLayer::new(traces.tracer("test")));
        tracing::subscriber::with_default(subscriber, || {
            let span = tracing::info_span!(target: "egov_onestop::api", "s", applicant.full_name = "Hoa", step = 2);
            span.in_scope(|| {
                tracing::info!(target: "egov_onestop::api", reason = "con của bà Hoa", "e");
                tracing::info!(target: "egov_fault::status", reason = "CASE_NOT_FOUND", "f");
            });
        });
        let text = format!("{:?}", exported.0.lock().unwrap());
        assert!(!text.contains("Hoa"), "{text}");
        assert_eq!(text.matches(HIDDEN).count(), 2);
        assert!(text.contains("CASE_NOT_FOUND") && text.contains("step"));
    }
}
