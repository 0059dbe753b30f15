//! Records as they lie on the disk of the door before they reach the database.
//!
//! A version, what it is, the units that keep both sides, of an end the id and the salt of its leaf, a body if one is kept (sealed, until
//! when), and the bytes to which the leaf of the exchange commits; of a beginning those of an exchange of which nothing more is known.

use egov_door::Held;
use egov_spool::Record;
use jiff::Timestamp;
use uuid::Uuid;

use super::record::{REQUEST, RESPONSE};
use crate::domain::exchange::{Committed, End, Exchange, Outcome, Promised, canonical};
use crate::store::exchanges::Body;

const VERSION: u8 = 1;
const BEGIN: u8 = 1;
const END: u8 = 2;

/// One record.
pub(super) enum Entry {
    Begin {
        exchange: Exchange,
        body: Option<Body>,
        /// What is given back when the record is durable.
        held: Option<Held>,
    },
    End {
        end: Box<End>,
        body: Option<Body>,
    },
}

impl Entry {
    pub(super) fn exchange(&self) -> &Exchange {
        match self {
            Self::Begin { exchange, .. } => exchange,
            Self::End { end, .. } => &end.exchange,
        }
    }
}

impl Record for Entry {
    fn encode(&self, out: &mut Vec<u8>) {
        let exchange = self.exchange();
        let (kind, body) = match self {
            Self::Begin { body, .. } => (BEGIN, body),
            Self::End { body, .. } => (END, body),
        };
        out.extend_from_slice(&[VERSION, kind]);
        out.extend_from_slice(&exchange.consumer_unit_id.to_le_bytes());
        out.extend_from_slice(&exchange.provider_unit_id.to_le_bytes());
        if let Self::End { end, .. } = self
            && let Some(promised) = &end.promised
        {
            out.extend_from_slice(promised.leaf_id.as_bytes());
            out.extend_from_slice(&promised.salt);
        }
        let (until, sealed) = body.as_ref().map_or((0, &[][..]), |body| {
            (body.expire_time.as_microsecond(), body.sealed.as_slice())
        });
        // What is sealed is never empty.
        let length = u32::try_from(sealed.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&until.to_le_bytes());
        out.extend_from_slice(&length.to_le_bytes());
        out.extend_from_slice(sealed);
        match self {
            Self::Begin { exchange, .. } => {
                let nothing = Outcome::unknown([0; 32], exchange.begin_time);
                out.extend_from_slice(&canonical(exchange, &nothing));
            }
            Self::End { end, .. } => match &end.promised {
                Some(promised) => out.extend_from_slice(&promised.canonical),
                None => out.extend_from_slice(&canonical(&end.exchange, &end.outcome)),
            },
        }
    }

    fn weight(&self) -> usize {
        let (Self::Begin { body, .. } | Self::End { body, .. }) = self;
        body.as_ref().map_or(0, |body| body.sealed.len())
    }

    fn is_durable(&mut self) {
        if let Self::Begin { held, .. } = self {
            *held = None;
        }
    }

    fn decode(bytes: &[u8]) -> Option<Self> {
        let (&[version, kind], rest) = bytes.split_first_chunk::<2>()?;
        if version != VERSION {
            return None;
        }
        let (consumer_unit_id, rest) = rest.split_first_chunk::<4>()?;
        let (provider_unit_id, mut rest) = rest.split_first_chunk::<4>()?;
        let mut leaf = None;
        if kind == END {
            let (leaf_id, after) = rest.split_first_chunk::<16>()?;
            let (salt, after) = after.split_first_chunk::<32>()?;
            leaf = Some((Uuid::from_bytes(*leaf_id), *salt));
            rest = after;
        }
        let (until, rest) = rest.split_first_chunk::<8>()?;
        let (length, rest) = rest.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
        let (sealed, rest) = rest.split_at_checked(length)?;
        let committed = Committed::read(rest).ok()?;
        let units = (
            i32::from_le_bytes(*consumer_unit_id),
            i32::from_le_bytes(*provider_unit_id),
        );
        let (exchange, outcome) = committed.kept_by(units.0, units.1);
        let expire_time = Timestamp::from_microsecond(i64::from_le_bytes(*until)).ok()?;
        let body = (!sealed.is_empty()).then(|| Body {
            exchange_id: exchange.exchange_id,
            direction: if kind == END { RESPONSE } else { REQUEST },
            consumer_unit_id: units.0,
            provider_unit_id: units.1,
            sealed: sealed.to_vec(),
            expire_time,
        });
        match (kind, leaf) {
            (BEGIN, None) => Some(Self::Begin {
                exchange,
                body,
                held: None,
            }),
            (END, Some((leaf_id, salt))) => Some(Self::End {
                end: Box::new(End {
                    exchange,
                    outcome,
                    promised: Some(Promised {
                        leaf_id,
                        salt,
                        canonical: rest.to_vec(),
                    }),
                }),
                body,
            }),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exchange(texts: (String, Option<String>), begin_time: Timestamp) -> Exchange {
        Exchange {
            exchange_id: Uuid::from_u128(1),
            instance_id: Uuid::from_u128(2),
            consumer_unit_id: -3,
            provider_unit_id: 4,
            consumer_organisation_id: Uuid::from_u128(5),
            provider_organisation_id: Uuid::from_u128(6),
            agreement_id: Uuid::from_u128(7),
            agreement_version: 8,
            delegation_id: None,
            service_id: Uuid::from_u128(9),
            client_id: texts.0,
            caller: Uuid::from_u128(10),
            on_behalf_of: None,
            method: "demo.v1.People/Get".to_owned(),
            purpose: texts.1,
            trace: None,
            begin_time,
        }
    }

    fn shown(entry: &Entry) -> String {
        match entry {
            Entry::Begin { exchange, body, .. } => format!("begin {exchange:?} {body:?}"),
            Entry::End { end, body } => format!("end {end:?} {body:?}"),
        }
    }

    proptest! {
        #[test]
        fn what_lies_on_the_disk_is_read_back_exactly_and_nothing_else_is(
            texts in ("\\PC{0,9}", prop::option::of("\\PC{0,9}")),
            sealed in prop::option::of(prop::collection::vec(any::<u8>(), 1..50)),
            salt in any::<[u8; 32]>(),
            at in 0_i64..4_000_000_000_000_000,
            over in any::<bool>(),
            cut in any::<prop::sample::Index>(),
            noise in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let at = Timestamp::from_microsecond(at).unwrap();
            let exchange = exchange(texts, at);
            let body = sealed.map(|sealed| Body {
                exchange_id: exchange.exchange_id,
                direction: if over { RESPONSE } else { REQUEST },
                consumer_unit_id: exchange.consumer_unit_id,
                provider_unit_id: exchange.provider_unit_id,
                sealed,
                expire_time: at,
            });
            let entry = if over {
                let mut outcome = Outcome::unknown(salt, at);
                outcome.outcome = "answered".to_owned();
                let promised = Promised {
                    leaf_id: Uuid::from_u128(11),
                    salt,
                    canonical: canonical(&exchange, &outcome),
                };
                let end = End { exchange, outcome, promised: Some(promised) };
                Entry::End { end: Box::new(end), body }
            } else {
                Entry::Begin { exchange, body, held: None }
            };
            let mut bytes = Vec::new();
            entry.encode(&mut bytes);
            let read = Entry::decode(&bytes).unwrap();
            prop_assert_eq!(shown(&read), shown(&entry));
            prop_assert!(Entry::decode(&bytes[..cut.index(bytes.len())]).is_none());
            prop_assert!(Entry::decode(&noise).is_none());
        }
    }
}
