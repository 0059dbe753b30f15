//! What this process measures of itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{SdkMeterProvider, Temporality};

/// The gauges that were exported last, by name and label; what is no whole number without its fraction.
#[derive(Clone, Default)]
pub(crate) struct Measured {
    gauges: Arc<Mutex<BTreeMap<(String, String), u64>>>,
    provider: Option<SdkMeterProvider>,
}

impl Measured {
    /// Measures from now on. The meter is one for the process: what other tests of this binary do may be measured with it.
    pub(crate) fn here() -> Self {
        let measured = Self::default();
        let provider = SdkMeterProvider::builder()
            .with_periodic_exporter(measured.clone())
            .build();
        opentelemetry::global::set_meter_provider(provider.clone());
        Self {
            provider: Some(provider),
            ..measured
        }
    }

    /// What a gauge says now.
    pub(crate) fn gauge(&self, name: &str, label: &str) -> Option<u64> {
        if let Some(provider) = &self.provider {
            provider.force_flush().unwrap();
        }
        let gauges = self.gauges.lock().unwrap();
        gauges.get(&(name.to_owned(), label.to_owned())).copied()
    }
}

fn labels<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> String {
    let labels: Vec<String> = attributes.map(|one| format!("{}={}", one.key, one.value)).collect();
    labels.join(",")
}

impl PushMetricExporter for Measured {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let mut gauges = self.gauges.lock().unwrap();
        for metric in metrics.scope_metrics().flat_map(ScopeMetrics::metrics) {
            match metric.data() {
                AggregatedMetrics::U64(MetricData::Gauge(gauge)) => {
                    for point in gauge.data_points() {
                        gauges.insert((metric.name().to_owned(), labels(point.attributes())), point.value());
                    }
                }
                AggregatedMetrics::F64(MetricData::Gauge(gauge)) => {
                    for point in gauge.data_points() {
                        let whole = point.value() as u64;
                        gauges.insert((metric.name().to_owned(), labels(point.attributes())), whole);
                    }
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }

    fn temporality(&self) -> Temporality {
        Temporality::Cumulative
    }
}
