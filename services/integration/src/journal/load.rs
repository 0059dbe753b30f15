//! What is shipped to the database in one transaction.

use std::collections::HashSet;

use uuid::Uuid;

use super::entry::Entry;
use super::record::REQUEST;
use crate::domain::exchange::{End, Exchange};
use crate::store::exchanges::Body;

/// Records that go into one transaction.
#[derive(Debug, Default)]
pub(super) struct Load {
    pub(super) begun: Vec<Exchange>,
    pub(super) ended: Vec<End>,
    pub(super) bodies: Vec<Body>,
}

impl Load {
    pub(super) fn of(batch: Vec<Entry>) -> Self {
        let mut load = Self {
            begun: Vec::with_capacity(batch.len()),
            ended: Vec::with_capacity(batch.len()),
            bodies: Vec::new(),
        };
        for entry in batch {
            match entry {
                Entry::Begin { exchange, body, .. } => {
                    load.begun.push(exchange);
                    load.bodies.extend(body);
                }
                Entry::End { end, body } => {
                    load.ended.push(*end);
                    load.bodies.extend(body);
                }
            }
        }
        load
    }

    /// How many records.
    pub(super) fn len(&self) -> usize {
        self.begun.len() + self.ended.len()
    }

    /// Two halves, every beginning before every end and each body with its record; or the one record that it is.
    pub(super) fn halves(mut self) -> Result<(Self, Self), Self> {
        let half = self.len() / 2;
        if half == 0 {
            return Err(self);
        }
        let begun = self.begun.split_off(half.min(self.begun.len()));
        let ended = self.ended.split_off(half - self.begun.len());
        let begins: HashSet<Uuid> = self.begun.iter().map(|exchange| exchange.exchange_id).collect();
        let ends: HashSet<Uuid> = self.ended.iter().map(|end| end.exchange.exchange_id).collect();
        let (first, second) = self.bodies.into_iter().partition(|body| {
            let of = if body.direction == REQUEST { &begins } else { &ends };
            of.contains(&body.exchange_id)
        });
        let later = Self {
            begun,
            ended,
            bodies: second,
        };
        self.bodies = first;
        Ok((self, later))
    }

    /// The record, if it is one.
    pub(super) fn into_entry(mut self) -> Option<Entry> {
        let body = self.bodies.pop();
        match (self.begun.pop(), self.ended.pop()) {
            (Some(exchange), None) => Some(Entry::Begin {
                exchange,
                body,
                held: None,
            }),
            (None, Some(end)) => Some(Entry::End {
                end: Box::new(end),
                body,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use jiff::Timestamp;
    use proptest::prelude::*;

    use super::super::record::RESPONSE;
    use super::*;
    use crate::domain::exchange::Outcome;

    fn exchange(number: u128) -> Exchange {
        Exchange {
            exchange_id: Uuid::from_u128(number),
            instance_id: Uuid::nil(),
            consumer_unit_id: 1,
            provider_unit_id: 2,
            consumer_organisation_id: Uuid::nil(),
            provider_organisation_id: Uuid::nil(),
            agreement_id: Uuid::nil(),
            agreement_version: 1,
            delegation_id: None,
            service_id: Uuid::nil(),
            client_id: String::new(),
            caller: Uuid::nil(),
            on_behalf_of: None,
            method: String::new(),
            purpose: None,
            trace: None,
            begin_time: Timestamp::UNIX_EPOCH,
        }
    }

    pub(crate) fn entry(number: u128, over: bool, with_body: bool) -> Entry {
        let exchange = exchange(number);
        let body = with_body.then(|| Body {
            exchange_id: exchange.exchange_id,
            direction: if over { RESPONSE } else { REQUEST },
            consumer_unit_id: 1,
            provider_unit_id: 2,
            sealed: vec![1],
            expire_time: Timestamp::UNIX_EPOCH,
        });
        if over {
            let end = End {
                outcome: Outcome::unknown([0; 32], Timestamp::UNIX_EPOCH),
                exchange,
                promised: None,
            };
            Entry::End {
                end: Box::new(end),
                body,
            }
        } else {
            Entry::Begin {
                exchange,
                body,
                held: None,
            }
        }
    }

    /// Whether it ends, of which exchange, and whether it has a body.
    fn shown(entry: &Entry) -> (bool, Uuid, bool) {
        match entry {
            Entry::Begin { exchange, body, .. } => (false, exchange.exchange_id, body.is_some()),
            Entry::End { end, body } => (true, end.exchange.exchange_id, body.is_some()),
        }
    }

    proptest! {
        #[test]
        fn halves_of_halves_are_all_records_each_with_its_body_and_beginnings_first(
            exchanges in prop::collection::vec((any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()), 1..20),
        ) {
            let mut batch = Vec::new();
            for (number, (begins, begin_body, ends, end_body)) in (1..).zip(exchanges) {
                if begins {
                    batch.push(entry(number, false, begin_body));
                }
                if ends {
                    batch.push(entry(number, true, end_body));
                }
            }
            let mut wanted: Vec<_> = batch.iter().map(shown).collect();
            wanted.sort_by_key(|(over, ..)| *over);
            let mut found = Vec::new();
            let mut waiting = vec![Load::of(batch)];
            while let Some(load) = waiting.pop() {
                match load.halves() {
                    Ok((first, second)) => {
                        prop_assert!(first.len().abs_diff(second.len()) <= 1);
                        waiting.extend([second, first]);
                    }
                    Err(one) => found.extend(one.into_entry().iter().map(shown)),
                }
            }
            prop_assert_eq!(found, wanted);
        }
    }
}
