//! Agreements: where one stands, who may do what to it, and which version is in force when.

use jiff::Timestamp;
use uuid::Uuid;

use super::terms::{Parties, Terms};

/// A side of an agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Bên khai thác.
    Consumer,
    /// Bên cung cấp.
    Provider,
}

impl Side {
    /// The word under which it is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Provider => "provider",
        }
    }

    /// The side that a stored word names.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [Self::Consumer, Self::Provider]
            .into_iter()
            .find(|one| one.as_str() == word)
    }
}

/// Who suspended an agreement: only they resume it, or the administrator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Actor {
    Side(Side),
    /// Whoever may act for both sides.
    Administrator,
}

impl Actor {
    /// The word under which it is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Side(side) => side.as_str(),
            Self::Administrator => "administrator",
        }
    }

    /// The actor that a stored word names.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        if word == "administrator" {
            Some(Self::Administrator)
        } else {
            Side::from_word(word).map(Self::Side)
        }
    }
}

/// What somebody decided about the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Open,
    Suspended(Actor),
    Revoked,
    Expired,
}

impl Status {
    /// The word under which it is stored.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Suspended(_) => "suspended",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }
}

/// Where an agreement stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    Draft,
    Offered,
    SignedByConsumer,
    SignedByProvider,
    Agreed,
    InForce,
    Suspended,
    Revoked,
    Expired,
}

impl State {
    /// The word in histories and refusals.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Draft => "draft",
            Self::Offered => "offered",
            Self::SignedByConsumer => "signed_by_consumer",
            Self::SignedByProvider => "signed_by_provider",
            Self::Agreed => "agreed",
            Self::InForce => "in_force",
            Self::Suspended => "suspended",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
        }
    }

    /// The state that a stored word names.
    pub(crate) fn from_word(word: &str) -> Option<Self> {
        [
            Self::Draft,
            Self::Offered,
            Self::SignedByConsumer,
            Self::SignedByProvider,
            Self::Agreed,
            Self::InForce,
            Self::Suspended,
            Self::Revoked,
            Self::Expired,
        ]
        .into_iter()
        .find(|one| one.as_str() == word)
    }
}

/// A signature that was accepted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signature {
    pub(crate) side: Side,
    pub(crate) key_id: String,
    pub(crate) jws: String,
    pub(crate) sign_time: Timestamp,
}

/// One version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Version {
    pub(crate) number: i64,
    pub(crate) terms: Terms,
    /// What both sides sign.
    pub(crate) canonical: String,
    pub(crate) offer_time: Option<Timestamp>,
    pub(crate) signatures: Vec<Signature>,
    /// From when and before when it is in force, once both have signed.
    pub(crate) effective: Option<Frame>,
    pub(crate) create_time: Timestamp,
}

/// From an instant until just before another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
}

impl Frame {
    /// Whether an instant lies within.
    pub(crate) fn holds(self, now: Timestamp) -> bool {
        self.from <= now && now < self.to
    }
}

impl Version {
    fn signed_by(&self, side: Side) -> bool {
        self.signatures.iter().any(|signature| signature.side == side)
    }
}

/// Ủy quyền khai thác.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(crate) struct Delegation {
    pub(crate) delegation_id: Uuid,
    pub(crate) system_id: Uuid,
    pub(crate) unit_id: i32,
    pub(crate) methods: Vec<String>,
    pub(crate) valid_from: Timestamp,
    pub(crate) valid_to: Timestamp,
    pub(crate) end_time: Option<Timestamp>,
}

/// Thỏa thuận chia sẻ dữ liệu.
#[derive(Clone, Debug, PartialEq, Eq)]
#[expect(clippy::struct_field_names, reason = "the names of the contract")]
pub(crate) struct Agreement {
    pub(crate) agreement_id: Uuid,
    pub(crate) parties: Parties,
    pub(crate) consumer_unit_id: i32,
    pub(crate) provider_unit_id: i32,
    pub(crate) status: Status,
    pub(crate) end_reason: String,
    /// All its versions, by number; empty only while it is being drafted.
    pub(crate) versions: Vec<Version>,
    pub(crate) delegations: Vec<Delegation>,
    /// Changes with every change: the etag.
    pub(crate) version: i64,
    pub(crate) create_time: Timestamp,
    pub(crate) update_time: Timestamp,
}

/// Why something cannot be done to an agreement.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    /// Not in this state.
    #[error("it cannot be done in this state")]
    State(State),
    /// This side signed this version before.
    #[error("this side has signed this version")]
    AlreadySigned,
    /// Somebody else suspended it.
    #[error("somebody else suspended it")]
    SuspendedByOther,
    /// Its terms do not let the consumer delegate.
    #[error("it is not delegable")]
    NotDelegable,
    /// The delegation reaches beyond the agreement.
    #[error("the delegation reaches beyond the agreement")]
    DelegationBeyond,
    /// There is no such delegation, or it has ended.
    #[error("no such delegation")]
    NoDelegation,
}

impl Agreement {
    /// The unit that keeps a side.
    pub(crate) fn unit_of(&self, side: Side) -> i32 {
        match side {
            Side::Consumer => self.consumer_unit_id,
            Side::Provider => self.provider_unit_id,
        }
    }

    /// The organisation of a side.
    pub(crate) fn organisation_of(&self, side: Side) -> Uuid {
        match side {
            Side::Consumer => self.parties.consumer_organisation_id,
            Side::Provider => self.parties.provider_organisation_id,
        }
    }

    /// The version in force; otherwise the last that was, or that will be.
    pub(crate) fn current(&self, now: Timestamp) -> Option<&Version> {
        let frame = |version: &&Version| version.effective.filter(|frame| frame.from < frame.to);
        self.versions
            .iter()
            .find(|version| frame(version).is_some_and(|frame| frame.holds(now)))
            .or_else(|| {
                self.versions
                    .iter()
                    .filter(|version| frame(version).is_some_and(|frame| frame.to <= now))
                    .max_by_key(|version| frame(version).map(|frame| frame.to))
            })
    }

    /// The last version, if it waits for signatures or for its day.
    pub(crate) fn pending(&self, now: Timestamp) -> Option<&Version> {
        self.versions
            .last()
            .filter(|version| version.effective.is_none_or(|frame| now < frame.from))
    }

    /// The version whose signatures are asked for.
    fn unsigned(&self) -> Option<&Version> {
        self.versions.last().filter(|version| version.effective.is_none())
    }

    /// Where it stands.
    pub(crate) fn state(&self, now: Timestamp) -> State {
        match self.status {
            Status::Revoked => return State::Revoked,
            Status::Expired => return State::Expired,
            _ if self.is_over(now) => return State::Expired,
            Status::Suspended(_) => return State::Suspended,
            Status::Open => {}
        }
        let frames = || self.versions.iter().filter_map(|version| version.effective);
        if frames().any(|frame| frame.holds(now)) {
            return State::InForce;
        }
        if frames().any(|frame| frame.from < frame.to && now < frame.from) {
            return State::Agreed;
        }
        match self.unsigned() {
            None => State::Expired,
            Some(version) if version.offer_time.is_none() => State::Draft,
            Some(version) => match (version.signed_by(Side::Consumer), version.signed_by(Side::Provider)) {
                (true, _) => State::SignedByConsumer,
                (false, true) => State::SignedByProvider,
                (false, false) => State::Offered,
            },
        }
    }

    /// Refuses if it has ended for good. It has on its last day, whether or not the job has said so by then.
    fn open(&self, now: Timestamp) -> Result<(), Refusal> {
        match self.status {
            Status::Open | Status::Suspended(_) if !self.is_over(now) => Ok(()),
            _ => Err(Refusal::State(self.state(now))),
        }
    }

    /// Whether its last day is over and no version waits for signatures.
    fn is_over(&self, now: Timestamp) -> bool {
        self.versions.last().is_some_and(|last| last.effective.is_some())
            && self
                .versions
                .iter()
                .all(|version| version.effective.is_none_or(|frame| frame.to <= now))
    }

    /// Adds the next version. What is in force stays so; what waited for signatures is given up.
    pub(crate) fn amend(&mut self, terms: Terms, canonical: String, now: Timestamp) -> Result<i64, Refusal> {
        self.open(now)?;
        let number = self.next_version();
        self.versions.push(Version {
            number,
            terms,
            canonical,
            offer_time: None,
            signatures: Vec::new(),
            effective: None,
            create_time: now,
        });
        Ok(number)
    }

    /// The number of the next version.
    pub(crate) fn next_version(&self) -> i64 {
        self.versions.last().map_or(1, |version| version.number + 1)
    }

    /// Lays the last version before both sides.
    pub(crate) fn offer(&mut self, now: Timestamp) -> Result<i64, Refusal> {
        self.open(now)?;
        let state = self.state(now);
        let last = self.versions.last_mut().ok_or(Refusal::State(state))?;
        if last.offer_time.is_some() {
            return Err(Refusal::State(state));
        }
        last.offer_time = Some(now);
        Ok(last.number)
    }

    /// Whether a side may sign a version now; its canonical text.
    pub(crate) fn may_sign(&self, side: Side, number: i64, now: Timestamp) -> Result<&Version, Refusal> {
        self.open(now)?;
        let state = Refusal::State(self.state(now));
        let version = self.versions.last().filter(|last| last.number == number).ok_or(state)?;
        if version.signed_by(side) {
            return Err(Refusal::AlreadySigned);
        }
        if version.effective.is_some() || version.offer_time.is_none() || version.terms.valid_to <= now {
            return Err(state);
        }
        Ok(version)
    }

    /// Signs the last version. With the second signature it takes its place in time, and earlier versions end where it
    /// begins; whether it did is the answer.
    pub(crate) fn sign(&mut self, signature: Signature, now: Timestamp) -> Result<bool, Refusal> {
        let number = self.versions.last().map_or(0, |version| version.number);
        self.may_sign(signature.side, number, now)?;
        let Some((last, before)) = self.versions.split_last_mut() else {
            return Ok(false);
        };
        last.signatures.push(signature);
        if !(last.signed_by(Side::Consumer) && last.signed_by(Side::Provider)) {
            return Ok(false);
        }
        let frame = Frame {
            from: last.terms.valid_from.max(now),
            to: last.terms.valid_to,
        };
        last.effective = Some(frame);
        for version in before {
            if let Some(held) = &mut version.effective {
                // One that would only begin later is void: its frame is empty.
                held.to = held.to.min(frame.from.max(held.from));
            }
        }
        Ok(true)
    }

    /// Takes it out of force for a while.
    pub(crate) fn suspend(&mut self, by: Actor, reason: &str, now: Timestamp) -> Result<(), Refusal> {
        let state = self.state(now);
        if !matches!(state, State::InForce | State::Agreed) {
            return Err(Refusal::State(state));
        }
        self.status = Status::Suspended(by);
        reason.clone_into(&mut self.end_reason);
        Ok(())
    }

    /// Puts it back into force.
    pub(crate) fn resume(&mut self, by: Actor, now: Timestamp) -> Result<(), Refusal> {
        match self.status {
            Status::Suspended(held) if held == by || by == Actor::Administrator => {
                self.status = Status::Open;
                self.end_reason.clear();
                Ok(())
            }
            Status::Suspended(_) => Err(Refusal::SuspendedByOther),
            _ => Err(Refusal::State(self.state(now))),
        }
    }

    /// Ends it for good; its delegations end with it.
    pub(crate) fn revoke(&mut self, reason: &str, now: Timestamp) -> Result<(), Refusal> {
        self.open(now)?;
        self.status = Status::Revoked;
        reason.clone_into(&mut self.end_reason);
        Ok(())
    }

    /// Whether its last day is over and nothing follows: the job that says so in the history asks.
    pub(crate) fn expire(&mut self, now: Timestamp) -> bool {
        let over = matches!(self.status, Status::Open | Status::Suspended(_)) && self.is_over(now);
        if over {
            self.status = Status::Expired;
        }
        over
    }

    /// Adds a delegation: within the dates and methods of what is in force, and not to the consumer itself.
    pub(crate) fn delegate(&mut self, delegation: Delegation, now: Timestamp) -> Result<(), Refusal> {
        let state = self.state(now);
        if !matches!(state, State::InForce | State::Agreed) {
            return Err(Refusal::State(state));
        }
        let version = self
            .current(now)
            .filter(|version| version.effective.is_some_and(|frame| frame.holds(now)))
            .or_else(|| self.pending(now))
            .ok_or(Refusal::State(state))?;
        if !version.terms.delegable {
            return Err(Refusal::NotDelegable);
        }
        let terms = &version.terms;
        let beyond = delegation.valid_from < terms.valid_from
            || delegation.valid_to > terms.valid_to
            || delegation.valid_to <= delegation.valid_from
            || delegation.valid_to <= now
            || delegation.system_id == self.parties.consumer_system_id
            || !delegation
                .methods
                .iter()
                .all(|method| terms.methods.contains_key(method));
        if beyond {
            return Err(Refusal::DelegationBeyond);
        }
        self.delegations.push(delegation);
        Ok(())
    }

    /// Ends a delegation.
    pub(crate) fn end_delegation(&mut self, delegation_id: Uuid, now: Timestamp) -> Result<(), Refusal> {
        let held = self
            .delegations
            .iter_mut()
            .find(|held| held.delegation_id == delegation_id && held.end_time.is_none() && now < held.valid_to)
            .ok_or(Refusal::NoDelegation)?;
        held.end_time = Some(now);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::permit::MethodTerms;
    use super::super::terms::tests::terms;
    use super::*;

    const METHOD: &str = "demo.v1.People/Get";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn dated(from: i64, to: i64) -> Terms {
        Terms {
            valid_from: at(from),
            valid_to: at(to),
            delegable: true,
            ..terms(METHOD, MethodTerms::default())
        }
    }

    fn draft(from: i64, to: i64) -> Agreement {
        let id = Uuid::from_u128;
        let mut agreement = Agreement {
            agreement_id: id(1),
            parties: Parties {
                consumer_organisation_id: id(2),
                consumer_system_id: id(3),
                provider_organisation_id: id(4),
                provider_system_id: id(5),
                service_id: id(6),
            },
            consumer_unit_id: 2,
            provider_unit_id: 3,
            status: Status::Open,
            end_reason: String::new(),
            versions: Vec::new(),
            delegations: Vec::new(),
            version: 1,
            create_time: at(0),
            update_time: at(0),
        };
        agreement.amend(dated(from, to), String::new(), at(0)).unwrap();
        agreement
    }

    fn signature(side: Side, now: i64) -> Signature {
        Signature {
            side,
            key_id: "k".to_owned(),
            jws: String::new(),
            sign_time: at(now),
        }
    }

    fn sign_both(agreement: &mut Agreement, now: i64) {
        agreement.offer(at(now)).unwrap();
        assert!(!agreement.sign(signature(Side::Provider, now), at(now)).unwrap());
        assert!(agreement.sign(signature(Side::Consumer, now), at(now)).unwrap());
    }

    #[test]
    fn an_agreement_is_in_force_with_both_signatures_and_within_its_dates_only() {
        let mut agreement = draft(100, 200);
        assert_eq!(agreement.state(at(10)), State::Draft);
        assert_eq!(
            agreement.sign(signature(Side::Consumer, 10), at(10)),
            Err(Refusal::State(State::Draft))
        );
        agreement.offer(at(10)).unwrap();
        assert_eq!(agreement.state(at(10)), State::Offered);
        agreement.sign(signature(Side::Provider, 10), at(10)).unwrap();
        assert_eq!(agreement.state(at(10)), State::SignedByProvider);
        assert_eq!(
            agreement.state(at(150)),
            State::SignedByProvider,
            "not by its dates alone"
        );
        assert_eq!(
            agreement.sign(signature(Side::Provider, 10), at(10)),
            Err(Refusal::AlreadySigned)
        );
        agreement.sign(signature(Side::Consumer, 20), at(20)).unwrap();
        assert_eq!(agreement.state(at(20)), State::Agreed);
        assert_eq!(agreement.state(at(100)), State::InForce);
        assert_eq!(agreement.state(at(199)), State::InForce);
        assert_eq!(agreement.state(at(200)), State::Expired);
        let late = agreement.amend(dated(300, 400), String::new(), at(200));
        assert_eq!(
            late,
            Err(Refusal::State(State::Expired)),
            "also before the job has said so"
        );
        assert!(!agreement.clone().expire(at(199)));
        assert!(agreement.expire(at(200)));
    }

    #[test]
    fn an_amendment_needs_both_signatures_anew_and_the_old_version_stays_till_then() {
        let mut agreement = draft(100, 1_000);
        sign_both(&mut agreement, 100);
        let number = agreement.amend(dated(300, 2_000), String::new(), at(150)).unwrap();
        assert_eq!(number, 2);
        agreement.offer(at(150)).unwrap();
        agreement.sign(signature(Side::Provider, 150), at(150)).unwrap();
        assert_eq!(agreement.current(at(160)).unwrap().number, 1);
        assert_eq!(agreement.state(at(160)), State::InForce);
        agreement.sign(signature(Side::Consumer, 160), at(160)).unwrap();
        assert_eq!(agreement.current(at(299)).unwrap().number, 1);
        assert_eq!(agreement.pending(at(299)).unwrap().number, 2);
        assert_eq!(agreement.current(at(300)).unwrap().number, 2);
        assert!(agreement.pending(at(300)).is_none());
    }

    #[test]
    fn only_whoever_suspended_resumes_or_the_administrator() {
        let mut agreement = draft(100, 1_000);
        sign_both(&mut agreement, 100);
        agreement
            .suspend(Actor::Side(Side::Provider), "bảo trì", at(110))
            .unwrap();
        assert_eq!(agreement.state(at(110)), State::Suspended);
        assert_eq!(
            agreement.resume(Actor::Side(Side::Consumer), at(111)),
            Err(Refusal::SuspendedByOther)
        );
        agreement.clone().resume(Actor::Administrator, at(111)).unwrap();
        agreement.resume(Actor::Side(Side::Provider), at(111)).unwrap();
        assert_eq!(agreement.state(at(111)), State::InForce);
        agreement.revoke("hết nhu cầu", at(120)).unwrap();
        assert_eq!(agreement.state(at(120)), State::Revoked);
        assert_eq!(agreement.revoke("x", at(121)), Err(Refusal::State(State::Revoked)));
        assert!(agreement.amend(dated(1, 2), String::new(), at(121)).is_err());
    }

    #[test]
    fn a_delegation_lies_within_the_agreement() {
        let mut agreement = draft(100, 1_000);
        sign_both(&mut agreement, 100);
        let delegation = |system: u128, from: i64, to: i64, method: &str| Delegation {
            delegation_id: Uuid::from_u128(9),
            system_id: Uuid::from_u128(system),
            unit_id: 4,
            methods: vec![method.to_owned()],
            valid_from: at(from),
            valid_to: at(to),
            end_time: None,
        };
        for (beyond, why) in [
            (delegation(8, 50, 200, METHOD), "begins before"),
            (delegation(8, 100, 1_001, METHOD), "ends after"),
            (delegation(8, 100, 200, "demo.v1.People/List"), "another method"),
            (delegation(3, 100, 200, METHOD), "the consumer itself"),
        ] {
            assert_eq!(
                agreement.delegate(beyond, at(110)),
                Err(Refusal::DelegationBeyond),
                "{why}"
            );
        }
        agreement.delegate(delegation(8, 100, 200, METHOD), at(110)).unwrap();
        agreement.end_delegation(Uuid::from_u128(9), at(120)).unwrap();
        assert_eq!(
            agreement.end_delegation(Uuid::from_u128(9), at(121)),
            Err(Refusal::NoDelegation)
        );
    }

    proptest! {
        /// However versions follow one another, at most one is in force at any time, and it bears both signatures.
        #[test]
        fn at_most_one_version_is_in_force(dates in proptest::collection::vec((0_i64..500, 1_i64..500, 1_i64..60, any::<bool>()), 1..6)) {
            let mut agreement = draft(0, 100);
            let mut now = 0;
            for (from, length, wait, signed) in dates {
                now += wait;
                if agreement.amend(dated(from, from + length), String::new(), at(now)).is_err() {
                    continue;
                }
                agreement.offer(at(now)).unwrap();
                if signed && from + length > now {
                    agreement.sign(signature(Side::Consumer, now), at(now)).unwrap();
                    agreement.sign(signature(Side::Provider, now), at(now)).unwrap();
                }
            }
            for second in (0..1_100).step_by(7) {
                let held: Vec<&Version> = agreement.versions.iter()
                    .filter(|version| version.effective.is_some_and(|frame| frame.holds(at(second)))).collect();
                prop_assert!(held.len() <= 1);
                prop_assert!(held.iter().all(|version| version.signatures.len() == 2));
            }
        }
    }
}
