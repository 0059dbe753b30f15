//! What the door measures of itself.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::{AggregatedMetrics, MetricData, ResourceMetrics, ScopeMetrics};
use opentelemetry_sdk::metrics::exporter::PushMetricExporter;
use opentelemetry_sdk::metrics::{SdkMeterProvider, Temporality};

use crate::door::{CHANGE, World, person};

/// By name: every set of labels that was seen, with the last number if it is one.
type Seen = BTreeMap<String, BTreeMap<String, u64>>;

/// Takes measurements as they are exported.
#[derive(Clone, Default)]
struct Measured(Arc<Mutex<Seen>>);

impl Measured {
    fn metric(&self, name: &str, data: &AggregatedMetrics) {
        let mut seen = self.0.lock().unwrap();
        let of = seen.entry(name.to_owned()).or_default();
        macro_rules! points {
            ($points:expr, $number:expr) => {
                for point in $points {
                    let mut labels: Vec<String> = point
                        .attributes()
                        .map(|one| format!("{}={}", one.key, one.value))
                        .collect();
                    labels.sort();
                    of.insert(labels.join(","), $number(point));
                }
            };
        }
        match data {
            AggregatedMetrics::U64(MetricData::Sum(sum)) => points!(
                sum.data_points(),
                |point: &opentelemetry_sdk::metrics::data::SumDataPoint<u64>| point.value()
            ),
            AggregatedMetrics::I64(MetricData::Sum(sum)) => points!(sum.data_points(), |_: &_| 0),
            AggregatedMetrics::F64(MetricData::Histogram(histogram)) => points!(
                histogram.data_points(),
                |point: &opentelemetry_sdk::metrics::data::HistogramDataPoint<f64>| point.count()
            ),
            AggregatedMetrics::U64(MetricData::Histogram(histogram)) => points!(
                histogram.data_points(),
                |point: &opentelemetry_sdk::metrics::data::HistogramDataPoint<u64>| point.count()
            ),
            AggregatedMetrics::F64(MetricData::Gauge(gauge)) => points!(gauge.data_points(), |_: &_| 0),
            AggregatedMetrics::U64(MetricData::Gauge(gauge)) => points!(gauge.data_points(), |_: &_| 0),
            _ => {}
        }
    }
}

impl PushMetricExporter for Measured {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        for metric in metrics.scope_metrics().flat_map(ScopeMetrics::metrics) {
            self.metric(metric.name(), metric.data());
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

/// The meter is one for the process: other tests of this binary may be measured with it, which changes no assertion.
#[tokio::test]
async fn the_door_is_measured_without_naming_anybody() {
    let measured = Measured::default();
    let provider = SdkMeterProvider::builder()
        .with_periodic_exporter(measured.clone())
        .build();
    opentelemetry::global::set_meter_provider(provider.clone());
    let world = World::start(|terms| terms.methods.retain(|method| method.method == CHANGE)).await;
    for _ in 0..200 {
        if world.call(CHANGE, person("a")).await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.call("demo.v1.People/Get", person("a")).await.unwrap_err();
    provider.force_flush().unwrap();
    let seen = measured.0.lock().unwrap().clone();

    let number = |name: &str, labels: &str| seen.get(name).and_then(|of| of.get(labels)).copied();
    assert!(
        number("egov.door.calls", "kind=unary,outcome=answered") >= Some(1),
        "{seen:?}"
    );
    assert!(number("egov.door.call.duration", "kind=unary") >= Some(1), "{seen:?}");
    assert!(
        number("egov.door.provider.duration", "kind=unary") >= Some(1),
        "{seen:?}"
    );
    assert!(number("egov.door.bytes", "direction=response") > Some(1), "{seen:?}");
    assert!(
        number("egov.door.refusals", "reason=AGREEMENT_MISSING") >= Some(1),
        "{seen:?}"
    );
    assert!(number("egov.door.journal.batch", "") >= Some(1), "{seen:?}");
    assert!(number("egov.door.journal.wait", "") >= Some(2), "{seen:?}");
    for gauge in [
        "egov.door.permits.age",
        "egov.door.endpoints.ejected",
        "egov.door.journal.set_aside",
    ] {
        assert_eq!(number(gauge, ""), Some(0), "{seen:?}");
    }
    assert!(number("egov.door.calls.active", "kind=unary").is_some(), "{seen:?}");

    // Labels are words of the code: no client, no method, no address.
    let known = ["kind", "outcome", "direction", "reason"];
    for (name, sets) in seen.iter().filter(|(name, _)| name.starts_with("egov.door.")) {
        for label in sets
            .keys()
            .flat_map(|labels| labels.split(','))
            .filter(|label| !label.is_empty())
        {
            let (key, value) = label.split_once('=').unwrap();
            assert!(known.contains(&key), "{name}: {label}");
            assert!(
                value.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_'),
                "{name}: {label}"
            );
        }
    }
}
