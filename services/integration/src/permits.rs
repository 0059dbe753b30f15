//! The permits that this process knows of, and how recent that knowledge is.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;
use egov_clock::SharedClock;
use jiff::{SignedDuration, Timestamp};
use uuid::Uuid;

use crate::domain::permit::{MethodTerms, Permit, PermitCaller, PermitChange};

/// An instance whose feed is staler than this refuses: so a revocation is in force everywhere within it.
pub const MAX_AGE: SignedDuration = SignedDuration::from_secs(1);

/// The permits, by who calls what. Reading takes no lock; a look-up costs two hashes, however many permits there are.
///
/// Whoever follows the feed hands every answer to [`PermitBook::apply`], an empty one too: it confirms that nothing else
/// was revoked.
pub struct PermitBook {
    clock: SharedClock,
    pages: ArcSwap<Pages>,
    /// Held while the pages are exchanged.
    changing: Mutex<()>,
}

/// Who may call what by which permit. Two permits for the same call differ in service or purpose.
type Grants = HashMap<String, Vec<Grant>>;

#[derive(Clone, Default)]
struct Pages {
    agreements: HashMap<Uuid, Vec<Arc<Permit>>>,
    /// By client id, then by method.
    clients: HashMap<String, Arc<Grants>>,
    as_of: Option<Timestamp>,
    /// How often what is known has changed.
    edition: u64,
}

/// A permit as one caller holds it.
#[derive(Clone, Debug)]
pub struct Grant {
    permit: Arc<Permit>,
    /// Index of the caller in the permit.
    caller: usize,
}

/// Why a call is not permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denial {
    /// The feed of permits is too old to rely on.
    #[error("the feed of permits is stale")]
    Stale,
    /// No agreement lets this caller call this method of this service.
    #[error("no agreement")]
    NoAgreement,
    /// There is one, but it is not in force now.
    #[error("the agreement is not in force")]
    NotInForce,
    /// There is one in force, but not for this purpose.
    #[error("not for this purpose")]
    WrongPurpose,
    /// Several services answer to this method, and the call does not say which is meant.
    #[error("several services have this method")]
    Ambiguous,
}

/// What is called, and for what.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The client id of the caller's token.
    pub client_id: &'a str,
    /// The method, as the key of [`Permit::methods`]; a leading slash of a gRPC path does not count.
    pub method: &'a str,
    /// The service, where more than one may answer to the method.
    pub service_id: Option<Uuid>,
    /// What the call says that it is for.
    pub purpose: Option<&'a str>,
}

impl Grant {
    /// The permit.
    pub fn permit(&self) -> &Arc<Permit> {
        &self.permit
    }

    /// The caller's own entry in it.
    pub fn caller(&self) -> Option<&PermitCaller> {
        self.permit.callers.get(self.caller)
    }

    /// The terms of a method.
    pub fn terms(&self, method: &str) -> Option<&MethodTerms> {
        self.permit.methods.get(key(method))
    }

    fn in_force(&self, method: &str, now: Timestamp) -> bool {
        self.permit.in_force(now) && self.caller().is_some_and(|caller| caller.may_call(method, now))
    }
}

/// The name of a method as permits have it.
fn key(method: &str) -> &str {
    method.strip_prefix('/').unwrap_or(method)
}

impl PermitBook {
    /// Nothing known yet: stale until the first [`PermitBook::apply`].
    pub fn new(clock: SharedClock) -> Self {
        Self {
            clock,
            pages: ArcSwap::default(),
            changing: Mutex::new(()),
        }
    }

    /// Takes changes in, in the order of the feed. `as_of` is when the source was *asked*, by our clock; one in the future
    /// counts as now, an older one than before changes nothing.
    pub fn apply(&self, changes: impl IntoIterator<Item = PermitChange>, as_of: Timestamp) {
        self.change(changes, as_of, false);
    }

    /// Puts `changes` in the place of all that was known: for a feed that is read from its beginning.
    pub fn replace(&self, changes: impl IntoIterator<Item = PermitChange>, as_of: Timestamp) {
        self.change(changes, as_of, true);
    }

    fn change(&self, changes: impl IntoIterator<Item = PermitChange>, as_of: Timestamp, anew: bool) {
        let _held = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut pages = Pages::clone(&self.pages.load());
        if anew {
            pages.agreements.clear();
            pages.clients.clear();
        }
        let mut touched: HashMap<String, Grants> = HashMap::new();
        let mut changed = anew;
        for change in changes {
            changed = true;
            pages.put(change, &mut touched);
        }
        pages.edition += u64::from(changed);
        for (client, grants) in touched {
            if grants.is_empty() {
                pages.clients.remove(&client);
            } else {
                pages.clients.insert(client, Arc::new(grants));
            }
        }
        let now = self.clock.now();
        // What was confirmed by a clock that has been set back since counts no more.
        let before = pages.as_of.filter(|before| *before <= now);
        pages.as_of = before.max(Some(as_of.min(now)));
        self.pages.store(Arc::new(pages));
    }

    /// Which edition of the permits this is: another one after each change.
    pub(crate) fn edition(&self) -> u64 {
        self.pages.load().edition
    }

    /// How old the knowledge is; none before the first answer.
    pub fn age(&self) -> Option<SignedDuration> {
        let as_of = self.pages.load().as_of?;
        Some(self.clock.now().duration_since(as_of))
    }

    /// Whether the knowledge may be relied on.
    pub fn is_fresh(&self) -> bool {
        // Knowledge from the future means that the clock was set back: how old it is nobody knows.
        self.age().is_some_and(|age| !age.is_negative() && age <= MAX_AGE)
    }

    /// Every grant of a client for a method, whether in force now or not.
    pub fn grants(&self, client_id: &str, method: &str) -> Vec<Grant> {
        let pages = self.pages.load();
        pages
            .clients
            .get(client_id)
            .and_then(|methods| methods.get(key(method)))
            .cloned()
            .unwrap_or_default()
    }

    /// The grant by which a call is permitted now.
    ///
    /// # Errors
    /// [`Denial`], the most telling one: staleness before all else.
    pub fn permits(&self, call: Call<'_>) -> Result<Grant, Denial> {
        if !self.is_fresh() {
            return Err(Denial::Stale);
        }
        let (now, method) = (self.clock.now(), key(call.method));
        let pages = self.pages.load();
        let mut denial = Denial::NoAgreement;
        let held = pages
            .clients
            .get(call.client_id)
            .and_then(|methods| methods.get(method));
        let mut found: Option<&Grant> = None;
        for grant in held.into_iter().flatten() {
            if call
                .service_id
                .is_some_and(|service| service != grant.permit.service_id)
            {
                continue;
            }
            if !grant.in_force(method, now) {
                if denial == Denial::NoAgreement {
                    denial = Denial::NotInForce;
                }
            } else if !grant.permit.admits_purpose(call.purpose) {
                denial = Denial::WrongPurpose;
            } else {
                // Never one or the other by chance: the same call to another provider is another act.
                if found.is_some_and(|other| other.permit.service_id != grant.permit.service_id) {
                    return Err(Denial::Ambiguous);
                }
                found = found.or(Some(grant));
            }
        }
        found.cloned().ok_or(denial)
    }

    /// Whether the grant of a call that is under way (a stream) still holds: the same version of the same agreement, in
    /// force now, by knowledge that is fresh.
    pub fn still_permits(&self, grant: &Grant, method: &str) -> bool {
        self.is_fresh() && self.held_now(grant, method).is_some()
    }

    /// The grant of a call that is under way, as it is held now: with the certificates of now.
    pub fn held_now(&self, grant: &Grant, method: &str) -> Option<Grant> {
        let (method, now) = (key(method), self.clock.now());
        let caller = grant.caller().filter(|_| grant.in_force(method, now))?;
        let pages = self.pages.load();
        let held = pages.clients.get(&caller.client_id)?.get(method)?;
        held.iter()
            .find(|held| {
                held.permit.agreement_id == grant.permit.agreement_id
                    && held.permit.version == grant.permit.version
                    && held
                        .caller()
                        .is_some_and(|other| other.delegation_id == caller.delegation_id)
                    && held.in_force(method, now)
            })
            .cloned()
    }

    /// An agreement's permits, now and to come.
    pub fn of_agreement(&self, agreement_id: Uuid) -> Vec<Arc<Permit>> {
        self.pages
            .load()
            .agreements
            .get(&agreement_id)
            .cloned()
            .unwrap_or_default()
    }

    /// Every permit, now and to come.
    pub fn all(&self) -> Vec<Arc<Permit>> {
        self.pages.load().agreements.values().flatten().cloned().collect()
    }

    /// The time by which permits are judged.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The permits by which a client may call anything, now or at some time: agreement and version.
    pub fn permits_of(&self, client_id: &str) -> BTreeSet<(Uuid, i64)> {
        let pages = self.pages.load();
        let methods = pages.clients.get(client_id);
        methods
            .into_iter()
            .flat_map(|methods| methods.values().flatten())
            .map(|grant| (grant.permit.agreement_id, grant.permit.version))
            .collect()
    }

    /// The methods of a service that a client may call now, whatever the purpose.
    ///
    /// # Errors
    /// [`Denial::Stale`].
    pub fn allowed(&self, client_id: &str, service_id: Uuid) -> Result<BTreeSet<String>, Denial> {
        if !self.is_fresh() {
            return Err(Denial::Stale);
        }
        let (now, pages) = (self.clock.now(), self.pages.load());
        let held = pages.clients.get(client_id);
        let in_force = |method: &str, grants: &[Grant]| {
            grants
                .iter()
                .any(|grant| grant.permit.service_id == service_id && grant.in_force(method, now))
        };
        Ok(held
            .into_iter()
            .flat_map(|methods| methods.iter())
            .filter(|(method, grants)| in_force(method, grants))
            .map(|(method, _)| method.clone())
            .collect())
    }

    /// The services for which a client holds a grant, in the order of their ids.
    pub fn services_of(&self, client_id: &str) -> BTreeSet<Uuid> {
        let pages = self.pages.load();
        let methods = pages.clients.get(client_id);
        methods
            .into_iter()
            .flat_map(|methods| methods.values().flatten())
            .map(|grant| grant.permit.service_id)
            .collect()
    }
}

impl Pages {
    /// Exchanges an agreement's permits; `touched` holds the grants of the clients that this concerns.
    fn put(&mut self, change: PermitChange, touched: &mut HashMap<String, Grants>) {
        let gone = self.agreements.remove(&change.agreement_id).unwrap_or_default();
        for caller in gone.iter().flat_map(|permit| &permit.callers) {
            for grants in self.grants_of(&caller.client_id, touched).values_mut() {
                grants.retain(|grant| grant.permit.agreement_id != change.agreement_id);
            }
        }
        let permits: Vec<Arc<Permit>> = change.permits.into_iter().map(Arc::new).collect();
        for permit in &permits {
            for (index, caller) in permit.callers.iter().enumerate() {
                let held = self.grants_of(&caller.client_id, touched);
                for method in permit.methods.keys() {
                    if caller.methods.is_empty() || caller.methods.contains(method) {
                        held.entry(method.clone()).or_default().push(Grant {
                            permit: Arc::clone(permit),
                            caller: index,
                        });
                    }
                }
            }
        }
        for grants in touched.values_mut() {
            grants.retain(|_, held| !held.is_empty());
        }
        if !permits.is_empty() {
            self.agreements.insert(change.agreement_id, permits);
        }
    }

    fn grants_of<'a>(&self, client_id: &str, touched: &'a mut HashMap<String, Grants>) -> &'a mut Grants {
        touched.entry(client_id.to_owned()).or_insert_with(|| {
            self.clients
                .get(client_id)
                .map(|held| Grants::clone(held))
                .unwrap_or_default()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use egov_clock::ManualClock;

    use super::*;
    use crate::domain::permit::{BodyPolicy, Quota};

    const METHOD: &str = "demo.v1.People/Get";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn caller(client: &str, delegation: Option<u128>, methods: &[&str], to: i64) -> PermitCaller {
        PermitCaller {
            system_id: Uuid::from_u128(7),
            client_id: client.to_owned(),
            delegation_id: delegation.map(Uuid::from_u128),
            methods: methods.iter().map(|method| (*method).to_owned()).collect(),
            valid_from: at(0),
            valid_to: at(to),
            certificates: Vec::new(),
        }
    }

    fn permit(agreement: u128, version: i64, callers: Vec<PermitCaller>) -> Permit {
        let methods = [METHOD, "demo.v1.People/List"].map(|name| (name.to_owned(), MethodTerms::default()));
        Permit {
            agreement_id: Uuid::from_u128(agreement),
            version,
            callers,
            consumer_organisation_id: Uuid::nil(),
            consumer_system_id: Uuid::nil(),
            provider_organisation_id: Uuid::nil(),
            provider_system_id: Uuid::nil(),
            service_id: Uuid::from_u128(agreement + 100),
            interface_version: 1,
            methods: BTreeMap::from(methods),
            quota: Quota::default(),
            bodies: BodyPolicy::default(),
            valid_from: at(10),
            valid_to: at(1_000),
            purpose: "đối chiếu".to_owned(),
            legal_basis: "NĐ 278/2025/NĐ-CP".to_owned(),
            allowed_purposes: Vec::new(),
        }
    }

    fn change(permits: Vec<Permit>) -> PermitChange {
        PermitChange {
            agreement_id: permits.first().unwrap().agreement_id,
            permits,
        }
    }

    fn call<'a>(client_id: &'a str, method: &'a str) -> Call<'a> {
        Call {
            client_id,
            method,
            service_id: None,
            purpose: None,
        }
    }

    fn book(second: i64) -> (ManualClock, PermitBook) {
        let clock = ManualClock::at(at(second));
        let book = PermitBook::new(clock.shared());
        (clock, book)
    }

    #[test]
    fn a_book_that_was_not_confirmed_for_a_second_refuses() {
        let (clock, book) = book(100);
        assert_eq!(book.permits(call("a", METHOD)).unwrap_err(), Denial::Stale);
        book.apply(
            [change(vec![permit(1, 1, vec![caller("a", None, &[], 1_000)])])],
            at(100),
        );
        clock.advance(SignedDuration::from_secs(1));
        assert!(book.permits(call("a", METHOD)).is_ok());
        clock.advance(SignedDuration::from_millis(1));
        assert_eq!(book.permits(call("a", METHOD)).unwrap_err(), Denial::Stale);
        book.apply([], at(101));
        assert!(book.permits(call("a", METHOD)).is_ok());
        // An answer to an older question does not make the book younger than it is.
        book.apply([], at(50));
        assert_eq!(book.age(), Some(SignedDuration::from_millis(1)));
    }

    #[test]
    fn a_clock_that_is_set_back_makes_no_knowledge_younger() {
        let (clock, book) = book(500);
        book.apply(
            [change(vec![permit(1, 1, vec![caller("a", None, &[], 1_000)])])],
            at(500),
        );
        clock.set(at(100));
        assert_eq!(book.permits(call("a", METHOD)).unwrap_err(), Denial::Stale);
        book.apply([], at(100));
        assert!(book.permits(call("a", METHOD)).is_ok());
    }

    #[test]
    fn of_several_services_with_one_method_none_is_taken_by_chance() {
        let (_clock, book) = book(100);
        for agreement in [1, 2] {
            book.apply(
                [change(vec![permit(agreement, 1, vec![caller("a", None, &[], 1_000)])])],
                at(100),
            );
        }
        assert_eq!(book.permits(call("a", METHOD)).unwrap_err(), Denial::Ambiguous);
        let named = Call {
            service_id: Some(Uuid::from_u128(102)),
            ..call("a", METHOD)
        };
        assert_eq!(book.permits(named).unwrap().permit().agreement_id, Uuid::from_u128(2));
    }

    #[test]
    fn a_permit_holds_within_its_dates_and_for_its_methods_only() {
        let (clock, book) = book(5);
        book.apply([change(vec![permit(1, 1, vec![caller("a", None, &[], 1_000)])])], at(5));
        assert_eq!(book.permits(call("a", METHOD)).unwrap_err(), Denial::NotInForce);
        clock.set(at(10));
        book.apply([], at(10));
        assert!(book.permits(call("a", "/demo.v1.People/Get")).is_ok());
        let other = book.permits(call("a", "demo.v1.People/Delete"));
        assert_eq!(other.unwrap_err(), Denial::NoAgreement);
        assert_eq!(book.permits(call("b", METHOD)).unwrap_err(), Denial::NoAgreement);
        let elsewhere = Call {
            service_id: Some(Uuid::from_u128(9)),
            ..call("a", METHOD)
        };
        assert_eq!(book.permits(elsewhere).unwrap_err(), Denial::NoAgreement);
        clock.set(at(1_000));
        book.apply([], at(1_000));
        assert_eq!(book.permits(call("a", METHOD)).unwrap_err(), Denial::NotInForce);
    }

    #[test]
    fn what_may_be_called_now_is_listed_by_service_and_not_beyond_its_dates() {
        let (clock, book) = book(5);
        let service = Uuid::from_u128(101);
        assert_eq!(book.allowed("a", service), Err(Denial::Stale));
        let callers = vec![caller("a", None, &[], 1_000), caller("d", Some(3), &[METHOD], 20)];
        book.apply([change(vec![permit(1, 1, callers)])], at(5));
        assert_eq!(book.allowed("a", service), Ok(BTreeSet::new()));
        clock.set(at(10));
        book.apply([], at(10));
        let names = |client: &str, service: Uuid| -> Vec<String> {
            book.allowed(client, service).unwrap().into_iter().collect()
        };
        assert_eq!(names("a", service), [METHOD, "demo.v1.People/List"]);
        assert_eq!(names("d", service), [METHOD]);
        assert!(names("a", Uuid::from_u128(102)).is_empty() && names("b", service).is_empty());
        clock.set(at(20));
        book.apply([], at(20));
        assert!(names("d", service).is_empty());
    }

    #[test]
    fn what_was_revoked_is_gone_and_the_rest_stays() {
        let (_clock, book) = book(100);
        let first = permit(
            1,
            1,
            vec![caller("a", None, &[], 1_000), caller("d", Some(3), &[METHOD], 1_000)],
        );
        let second = permit(2, 1, vec![caller("a", None, &[], 1_000)]);
        book.apply([change(vec![first]), change(vec![second])], at(100));
        let under_way = book.permits(Call {
            service_id: Some(Uuid::from_u128(101)),
            ..call("a", METHOD)
        });
        let under_way = under_way.unwrap();
        assert!(book.still_permits(&under_way, METHOD));
        assert_eq!(book.grants("a", METHOD).len(), 2);
        assert!(book.permits(call("d", METHOD)).is_ok());
        let of_agreement = |agreement| (Uuid::from_u128(agreement), 1);
        assert_eq!(book.permits_of("a"), [1, 2].map(of_agreement).into());
        assert_eq!(book.permits_of("d"), [of_agreement(1)].into());
        let list = book.permits(call("d", "demo.v1.People/List"));
        assert_eq!(list.unwrap_err(), Denial::NoAgreement);
        book.apply(
            [PermitChange {
                agreement_id: Uuid::from_u128(1),
                permits: Vec::new(),
            }],
            at(100),
        );
        assert!(!book.still_permits(&under_way, METHOD));
        assert_eq!(book.permits(call("d", METHOD)).unwrap_err(), Denial::NoAgreement);
        let left = book.permits(call("a", METHOD)).unwrap();
        assert_eq!(left.permit().agreement_id, Uuid::from_u128(2));
        book.replace([], at(100));
        assert_eq!(book.permits(call("a", METHOD)).unwrap_err(), Denial::NoAgreement);
    }

    #[test]
    fn a_delegation_ends_before_its_agreement_and_a_purpose_must_be_admitted() {
        let (clock, book) = book(100);
        let mut terms = permit(
            1,
            1,
            vec![caller("a", None, &[], 1_000), caller("d", Some(3), &[], 200)],
        );
        terms.allowed_purposes = vec!["verify".to_owned()];
        book.apply([change(vec![terms])], at(100));
        assert_eq!(book.permits(call("a", METHOD)).unwrap_err(), Denial::WrongPurpose);
        let said = Call {
            purpose: Some("verify"),
            ..call("d", METHOD)
        };
        assert!(book.permits(said).is_ok());
        clock.set(at(200));
        book.apply([], at(200));
        assert_eq!(book.permits(said).unwrap_err(), Denial::NotInForce);
    }
}
