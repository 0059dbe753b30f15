//! An exchange (lần trao đổi) as it is recorded, and the bytes to which its leaf commits.

use jiff::Timestamp;
use uuid::Uuid;

/// The kind of the leaves of exchanges.
pub const LEAF_KIND: &str = "exchange";

/// The version of the leaf of how a door saw an exchange end: it is over once.
pub const SEEN: i64 = 1;

/// The version of the leaf of an exchange that was swept, because nobody has said how it ended. If a door says so later, both stand.
pub const SWEPT: i64 = 2;

/// The outcome of an exchange of which only the beginning is known.
pub const UNKNOWN: &str = "unknown";

/// What the bytes of an exchange begin with.
const HEADING: &[u8] = b"egov exchange 1";

/// What went through one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    /// SHA-256 over what travelled.
    pub hash: [u8; 32],
    /// Whole messages.
    pub messages: i64,
    /// Bytes.
    pub bytes: i64,
}

/// That a call was about to be forwarded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// Its id.
    pub exchange_id: Uuid,
    /// The instance of the door.
    pub instance_id: Uuid,
    /// The unit that keeps the consumer's organisation.
    pub consumer_unit_id: i32,
    /// The unit that keeps the provider's organisation.
    pub provider_unit_id: i32,
    /// The consumer (bên khai thác).
    pub consumer_organisation_id: Uuid,
    /// The provider (bên cung cấp).
    pub provider_organisation_id: Uuid,
    /// The agreement.
    pub agreement_id: Uuid,
    /// Its version.
    pub agreement_version: i64,
    /// The delegation by which the caller acted.
    pub delegation_id: Option<Uuid>,
    /// The service.
    pub service_id: Uuid,
    /// The client id of the caller.
    pub client_id: String,
    /// The caller's account.
    pub caller: Uuid,
    /// The citizen for whom it acted.
    pub on_behalf_of: Option<Uuid>,
    /// The method.
    pub method: String,
    /// For what.
    pub purpose: Option<String>,
    /// The trace.
    pub trace: Option<String>,
    /// When it came, in whole microseconds.
    pub begin_time: Timestamp,
}

/// How an exchange ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The word.
    pub outcome: String,
    /// The status that the consumer got.
    pub status: i32,
    /// The request as it came.
    pub request: Passed,
    /// The hash of the request as it went on, where it differs.
    pub forwarded_hash: Option<[u8; 32]>,
    /// The answer as the consumer got it.
    pub response: Passed,
    /// The hash of the answer as it came from the provider, where it differs.
    pub received_hash: Option<[u8; 32]>,
    /// The whole time, in microseconds.
    pub elapsed_us: i64,
    /// The time at the provider, in microseconds.
    pub provider_us: i64,
    /// When it was over, in whole microseconds.
    pub end_time: Timestamp,
}

impl Outcome {
    /// The version of the leaf with which it is recorded.
    pub fn leaf_version(&self) -> i64 {
        if self.outcome == UNKNOWN { SWEPT } else { SEEN }
    }

    /// Of an exchange whose end nobody saw.
    pub fn unknown(nothing: [u8; 32], at: Timestamp) -> Self {
        let none = Passed {
            hash: nothing,
            messages: 0,
            bytes: 0,
        };
        Self {
            outcome: UNKNOWN.to_owned(),
            // UNKNOWN in gRPC.
            status: 2,
            request: none,
            forwarded_hash: None,
            response: none,
            received_hash: None,
            elapsed_us: 0,
            provider_us: 0,
            end_time: at,
        }
    }
}

/// An exchange that is over.
#[derive(Clone, Debug)]
pub struct End {
    /// The exchange.
    pub exchange: Exchange,
    /// How it ended.
    pub outcome: Outcome,
    /// Its leaf, if that was promised already.
    pub promised: Option<Promised>,
}

/// What a promise was made of before anything reached the database. The instant of the leaf is that of the end.
#[derive(Clone, Debug)]
pub struct Promised {
    /// The id of the leaf.
    pub leaf_id: Uuid,
    /// The salt of its commitment.
    pub salt: [u8; 32],
    /// The bytes to which it commits.
    pub canonical: Vec<u8>,
}

/// Puts a part with its length before it, so that no two lists of parts have the same bytes.
fn put(out: &mut Vec<u8>, part: &[u8]) {
    let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(part);
}

/// Puts what may be missing: one byte says whether it is there.
fn put_option(out: &mut Vec<u8>, part: Option<&[u8]>) {
    match part {
        None => out.push(0),
        Some(part) => {
            out.push(1);
            put(out, part);
        }
    }
}

fn put_passed(out: &mut Vec<u8>, passed: &Passed) {
    out.extend_from_slice(&passed.hash);
    out.extend_from_slice(&passed.messages.to_be_bytes());
    out.extend_from_slice(&passed.bytes.to_be_bytes());
}

/// The bytes to which the leaf commits: everything that is recorded of the exchange, numbers big-endian, texts with their length.
/// Either party gets them with its receipt and finds in them the hashes of what it sent and got.
pub fn canonical(exchange: &Exchange, outcome: &Outcome) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    put(&mut out, HEADING);
    for id in [
        exchange.exchange_id,
        exchange.instance_id,
        exchange.consumer_organisation_id,
        exchange.provider_organisation_id,
        exchange.agreement_id,
        exchange.service_id,
        exchange.caller,
    ] {
        out.extend_from_slice(id.as_bytes());
    }
    out.extend_from_slice(&exchange.agreement_version.to_be_bytes());
    for id in [&exchange.delegation_id, &exchange.on_behalf_of] {
        put_option(&mut out, id.as_ref().map(|id| id.as_bytes().as_slice()));
    }
    put(&mut out, exchange.client_id.as_bytes());
    put(&mut out, exchange.method.as_bytes());
    put_option(&mut out, exchange.purpose.as_deref().map(str::as_bytes));
    put_option(&mut out, exchange.trace.as_deref().map(str::as_bytes));
    out.extend_from_slice(&exchange.begin_time.as_microsecond().to_be_bytes());

    put(&mut out, outcome.outcome.as_bytes());
    out.extend_from_slice(&outcome.status.to_be_bytes());
    put_passed(&mut out, &outcome.request);
    put_option(&mut out, outcome.forwarded_hash.as_ref().map(<[u8; 32]>::as_slice));
    put_passed(&mut out, &outcome.response);
    put_option(&mut out, outcome.received_hash.as_ref().map(<[u8; 32]>::as_slice));
    out.extend_from_slice(&outcome.elapsed_us.to_be_bytes());
    out.extend_from_slice(&outcome.provider_us.to_be_bytes());
    out.extend_from_slice(&outcome.end_time.as_microsecond().to_be_bytes());
    out
}

/// What [`canonical`] wrote: everything that is recorded of an exchange but the units that keep its sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Committed {
    /// Its id.
    pub exchange_id: Uuid,
    /// The instance of the door.
    pub instance_id: Uuid,
    /// The consumer (bên khai thác).
    pub consumer_organisation_id: Uuid,
    /// The provider (bên cung cấp).
    pub provider_organisation_id: Uuid,
    /// The agreement.
    pub agreement_id: Uuid,
    /// The service.
    pub service_id: Uuid,
    /// The caller's account.
    pub caller: Uuid,
    /// The version of the agreement.
    pub agreement_version: i64,
    /// The delegation by which the caller acted.
    pub delegation_id: Option<Uuid>,
    /// The citizen for whom it acted.
    pub on_behalf_of: Option<Uuid>,
    /// The client id of the caller.
    pub client_id: String,
    /// The method.
    pub method: String,
    /// For what.
    pub purpose: Option<String>,
    /// The trace.
    pub trace: Option<String>,
    /// When it came.
    pub begin_time: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
}

impl Committed {
    /// The exchange and its outcome, with the units that keep its sides.
    pub fn kept_by(self, consumer_unit_id: i32, provider_unit_id: i32) -> (Exchange, Outcome) {
        let exchange = Exchange {
            exchange_id: self.exchange_id,
            instance_id: self.instance_id,
            consumer_unit_id,
            provider_unit_id,
            consumer_organisation_id: self.consumer_organisation_id,
            provider_organisation_id: self.provider_organisation_id,
            agreement_id: self.agreement_id,
            agreement_version: self.agreement_version,
            delegation_id: self.delegation_id,
            service_id: self.service_id,
            client_id: self.client_id,
            caller: self.caller,
            on_behalf_of: self.on_behalf_of,
            method: self.method,
            purpose: self.purpose,
            trace: self.trace,
            begin_time: self.begin_time,
        };
        (exchange, self.outcome)
    }
}

/// These bytes are not those of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("these are not the bytes of an exchange")]
pub struct NotAnExchange;

/// Takes parts off the front of bytes.
struct Parts<'a>(&'a [u8]);

impl<'a> Parts<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], NotAnExchange> {
        let (part, rest) = self.0.split_first_chunk::<N>().ok_or(NotAnExchange)?;
        self.0 = rest;
        Ok(*part)
    }

    fn part(&mut self) -> Result<&'a [u8], NotAnExchange> {
        let length = usize::try_from(u32::from_be_bytes(self.take()?)).map_err(|_| NotAnExchange)?;
        let (part, rest) = self.0.split_at_checked(length).ok_or(NotAnExchange)?;
        self.0 = rest;
        Ok(part)
    }

    fn option<T>(
        &mut self,
        read: impl FnOnce(&'a [u8]) -> Result<T, NotAnExchange>,
    ) -> Result<Option<T>, NotAnExchange> {
        match self.take()? {
            [0] => Ok(None),
            [1] => read(self.part()?).map(Some),
            _ => Err(NotAnExchange),
        }
    }

    fn id(&mut self) -> Result<Uuid, NotAnExchange> {
        Ok(Uuid::from_bytes(self.take()?))
    }

    fn number(&mut self) -> Result<i64, NotAnExchange> {
        Ok(i64::from_be_bytes(self.take()?))
    }

    fn instant(&mut self) -> Result<Timestamp, NotAnExchange> {
        Timestamp::from_microsecond(self.number()?).map_err(|_| NotAnExchange)
    }

    fn passed(&mut self) -> Result<Passed, NotAnExchange> {
        Ok(Passed {
            hash: self.take()?,
            messages: self.number()?,
            bytes: self.number()?,
        })
    }
}

fn text(part: &[u8]) -> Result<String, NotAnExchange> {
    String::from_utf8(part.to_vec()).map_err(|_| NotAnExchange)
}

fn fixed<const N: usize>(part: &[u8]) -> Result<[u8; N], NotAnExchange> {
    part.try_into().map_err(|_| NotAnExchange)
}

impl Committed {
    /// Reads the bytes to which a leaf commits, all of them.
    ///
    /// # Errors
    /// If [`canonical`] did not write them.
    pub fn read(bytes: &[u8]) -> Result<Self, NotAnExchange> {
        let mut parts = Parts(bytes);
        if parts.part()? != HEADING {
            return Err(NotAnExchange);
        }
        let id = |part: &[u8]| Ok(Uuid::from_bytes(fixed(part)?));
        // The order of the fields is the order of the bytes.
        let read = Self {
            exchange_id: parts.id()?,
            instance_id: parts.id()?,
            consumer_organisation_id: parts.id()?,
            provider_organisation_id: parts.id()?,
            agreement_id: parts.id()?,
            service_id: parts.id()?,
            caller: parts.id()?,
            agreement_version: parts.number()?,
            delegation_id: parts.option(id)?,
            on_behalf_of: parts.option(id)?,
            client_id: text(parts.part()?)?,
            method: text(parts.part()?)?,
            purpose: parts.option(text)?,
            trace: parts.option(text)?,
            begin_time: parts.instant()?,
            outcome: Outcome {
                outcome: text(parts.part()?)?,
                status: i32::from_be_bytes(parts.take()?),
                request: parts.passed()?,
                forwarded_hash: parts.option(fixed)?,
                response: parts.passed()?,
                received_hash: parts.option(fixed)?,
                elapsed_us: parts.number()?,
                provider_us: parts.number()?,
                end_time: parts.instant()?,
            },
        };
        if parts.0.is_empty() {
            Ok(read)
        } else {
            Err(NotAnExchange)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn exchange() -> Exchange {
        Exchange {
            exchange_id: Uuid::from_u128(1),
            instance_id: Uuid::from_u128(2),
            consumer_unit_id: 1,
            provider_unit_id: 2,
            consumer_organisation_id: Uuid::from_u128(3),
            provider_organisation_id: Uuid::from_u128(4),
            agreement_id: Uuid::from_u128(5),
            agreement_version: 6,
            delegation_id: None,
            service_id: Uuid::from_u128(7),
            client_id: "motcua".to_owned(),
            caller: Uuid::from_u128(8),
            on_behalf_of: None,
            method: "demo.v1.People/Get".to_owned(),
            purpose: None,
            trace: None,
            begin_time: Timestamp::UNIX_EPOCH,
        }
    }

    proptest! {
        /// Texts that differ give bytes that differ, wherever the difference lies.
        #[test]
        fn no_two_records_have_the_same_bytes(
            one in ("[a-c]{0,3}", "[a-c]{0,3}", prop::option::of("[a-c]{0,3}"), prop::option::of("[a-c]{0,3}")),
            two in ("[a-c]{0,3}", "[a-c]{0,3}", prop::option::of("[a-c]{0,3}"), prop::option::of("[a-c]{0,3}")),
        ) {
            let of = |(client_id, method, purpose, trace): (String, String, Option<String>, Option<String>)| {
                let exchange = Exchange { client_id, method, purpose, trace, ..exchange() };
                canonical(&exchange, &Outcome::unknown([0; 32], Timestamp::UNIX_EPOCH))
            };
            prop_assert_eq!(one == two, of(one.clone()) == of(two.clone()));
        }
    }

    proptest! {
        #[test]
        fn what_a_leaf_commits_to_is_read_back_exactly_and_no_other_bytes_are(
            texts in ("\\PC{0,9}", "\\PC{0,9}", prop::option::of("\\PC{0,9}"), prop::option::of("\\PC{0,9}")),
            hashes in (any::<[u8; 32]>(), prop::option::of(any::<[u8; 32]>()), prop::option::of(any::<[u8; 32]>())),
            ids in (prop::option::of(any::<u128>()), prop::option::of(any::<u128>())),
            numbers in (any::<i64>(), any::<i32>(), 0_i64..4_000_000_000_000_000),
            cut in any::<prop::sample::Index>(),
            noise in prop::collection::vec(any::<u8>(), 0..300),
        ) {
            let exchange = Exchange {
                client_id: texts.0,
                method: texts.1,
                purpose: texts.2,
                trace: texts.3,
                delegation_id: ids.0.map(Uuid::from_u128),
                on_behalf_of: ids.1.map(Uuid::from_u128),
                begin_time: Timestamp::from_microsecond(numbers.2).unwrap(),
                ..exchange()
            };
            let mut outcome = Outcome::unknown(hashes.0, Timestamp::from_microsecond(numbers.2).unwrap());
            outcome.forwarded_hash = hashes.1;
            outcome.received_hash = hashes.2;
            (outcome.elapsed_us, outcome.status) = (numbers.0, numbers.1);
            let bytes = canonical(&exchange, &outcome);
            let read = Committed::read(&bytes).unwrap();
            prop_assert_eq!(&read.outcome, &outcome);
            prop_assert_eq!((read.exchange_id, read.caller, read.service_id), (exchange.exchange_id, exchange.caller, exchange.service_id));
            prop_assert_eq!((&read.client_id, &read.method, &read.purpose, &read.trace), (&exchange.client_id, &exchange.method, &exchange.purpose, &exchange.trace));
            prop_assert_eq!((read.delegation_id, read.on_behalf_of, read.begin_time), (exchange.delegation_id, exchange.on_behalf_of, exchange.begin_time));
            prop_assert_eq!(Committed::read(&bytes[..cut.index(bytes.len())]), Err(NotAnExchange));
            prop_assert!(Committed::read(&[bytes, vec![0]].concat()).is_err());
            prop_assert!(Committed::read(&noise).is_err());
        }
    }

    #[test]
    fn each_hash_is_committed_to() {
        let base = Outcome::unknown([0; 32], Timestamp::UNIX_EPOCH);
        let mut others = vec![base.clone(); 5];
        others[0].request.hash = [1; 32];
        others[1].response.hash = [1; 32];
        others[2].forwarded_hash = Some([0; 32]);
        others[3].received_hash = Some([0; 32]);
        others[4].outcome = "answered".to_owned();
        let all: std::collections::BTreeSet<Vec<u8>> = others
            .iter()
            .chain([&base])
            .map(|one| canonical(&exchange(), one))
            .collect();
        assert_eq!(all.len(), 6);
    }
}
