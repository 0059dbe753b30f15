//! By what is measured how much waits or was given up of events, messages and deliveries (OpenTelemetry).

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use egov_events::Progress;
use opentelemetry::KeyValue;

use crate::store::backlogs::Counted;

/// Of the subscriptions of a topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Topical {
    /// The most events that one of them is behind.
    furthest_behind: i64,
    dead_letters: i64,
}

impl Topical {
    /// Takes in one more subscription.
    pub(crate) fn take_in(&mut self, progress: &Progress) {
        self.furthest_behind = self.furthest_behind.max(progress.lag);
        self.dead_letters += progress.dead_letters;
    }
}

/// What was seen last.
#[derive(Debug, Default)]
struct Seen {
    by_topic: BTreeMap<String, Topical>,
    counted: Counted,
}

/// How much waits and was given up, as the process that looks saw it last; a process that does not look says nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Backlogs(Arc<Mutex<Option<Seen>>>);

/// What is told of what was seen: figures with their labels.
type Tell = fn(&Seen) -> Vec<(i64, Vec<KeyValue>)>;

impl Backlogs {
    /// Measured as long as this value lives.
    pub(crate) fn watched() -> Self {
        let backlogs = Self::default();
        let meter = opentelemetry::global::meter("egov");
        let gauge = |name: &'static str, description: &'static str, tell: Tell| {
            let seen = Arc::downgrade(&backlogs.0);
            meter
                .u64_observable_gauge(name)
                .with_description(description)
                .with_callback(move |observer| {
                    let Some(seen) = seen.upgrade() else { return };
                    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                    for (value, labels) in seen.as_ref().map(tell).unwrap_or_default() {
                        observer.observe(u64::try_from(value).unwrap_or_default(), &labels);
                    }
                })
                .build();
        };
        gauge(
            "egov.events.lag",
            "events that the subscription of a topic that is furthest behind has not acknowledged",
            |seen| of_topics(seen, |topic| topic.furthest_behind),
        );
        gauge(
            "egov.events.dead_letters",
            "events that subscriptions of a topic gave up",
            |seen| of_topics(seen, |topic| topic.dead_letters),
        );
        gauge(
            "egov.mailboxes.dead",
            "messages between agencies that were given up",
            |seen| vec![(seen.counted.dead_messages, Vec::new())],
        );
        gauge(
            "egov.deliveries.waiting",
            "acts towards a partner that are not acknowledged, refused or given up",
            |seen| of_partners(seen, |waiting, _| waiting),
        );
        gauge(
            "egov.deliveries.dead",
            "acts towards a partner that were given up",
            |seen| of_partners(seen, |_, dead| dead),
        );
        backlogs
    }

    /// Keeps what was seen.
    pub(crate) fn saw(&self, by_topic: BTreeMap<String, Topical>, counted: Counted) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Seen { by_topic, counted });
    }

    /// Says nothing until something is seen again.
    pub(crate) fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

fn of_topics(seen: &Seen, pick: fn(&Topical) -> i64) -> Vec<(i64, Vec<KeyValue>)> {
    let topics = seen.by_topic.iter();
    topics
        .map(|(name, of)| (pick(of), vec![KeyValue::new("topic", name.clone())]))
        .collect()
}

fn of_partners(seen: &Seen, pick: fn(i64, i64) -> i64) -> Vec<(i64, Vec<KeyValue>)> {
    let partners = seen.counted.partners.iter();
    partners
        .map(|of| {
            let labels = vec![KeyValue::new("partner", of.partner.clone())];
            (pick(of.waiting, of.dead), labels)
        })
        .collect()
}
