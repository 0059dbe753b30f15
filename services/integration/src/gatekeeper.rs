//! Who knows the agreements: the permits of the book, compiled against the interfaces and joined with the endpoints, ready for the
//! door to judge a call without looking anywhere.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use egov_auth::RowScope;
use egov_database::Database;
use egov_door::{
    Asked, BodyRules, Consumer, Destinations, EndpointSpec, EndpointState as DoorState, FilterRefusal, Gatekeeper,
    MessageFilter, MethodFacts, Passage, PlainAsked, PlainFilter, PlainPassage, PlainRequest, Quota, Refusal, Standing,
    Stands, Trust, Upstream, UpstreamLimits, refusal,
};
use egov_fault::Fault;
use egov_filter::{Filter, Refused, Rule};
use http::{HeaderName, Method, Uri};
use jiff::Timestamp;
use prost_reflect::{DescriptorPool, MethodDescriptor, ReflectMessage as _, Value};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::catalogue::Catalogue;
use crate::domain::endpoint::{Endpoint, EndpointState};
use crate::domain::permit::{MethodTerms, Permit, PermitCaller};
use crate::domain::plain::{Judged, PlainTerms, rule_of};
use crate::domain::routes::Routes;
use crate::domain::service::InterfaceKind;
use crate::domain::shape::Shape;
use crate::domain::{descriptors, openapi};
use crate::error::Error;
use crate::permits::{Call, Denial, Grant, PermitBook};
use crate::rest::Interface;
use crate::store;
use crate::store::catalogue::DirectoryState;
use crate::usage::{FieldUse, add_field_use};

/// How often is looked whether directory or permits have changed, and then the directory is read again and new permits compiled.
const EVERY: Duration = Duration::from_millis(250);

/// How often an interface that could not be read is tried again, though nothing has changed.
const AGAIN: Duration = Duration::from_secs(5);

/// How often counts of used fields are stored.
const COUNT_EVERY: Duration = Duration::from_secs(10);

/// One version of an agreement.
type PermitId = (Uuid, i64);

/// One version of the interface of a service.
type Source = (Uuid, i64);

/// A permit that a client holds now, with the interface of what it may call.
pub(crate) struct Reach {
    pub(crate) permit: Arc<Permit>,
    /// Index of the client among the callers of the permit.
    caller: usize,
    pub(crate) interface: Arc<Interface>,
}

impl Reach {
    /// The client's own entry in the permit.
    pub(crate) fn caller(&self) -> Option<&PermitCaller> {
        self.permit.callers.get(self.caller)
    }
}

/// The agreements as the door asks for them.
pub(crate) struct Agreements {
    book: Arc<PermitBook>,
    /// Where endpoints may lie.
    destinations: Arc<Destinations>,
    certificate_required: bool,
    trust: Option<Trust>,
    /// The largest message of a call, in bytes.
    message_bytes: usize,
    known: ArcSwap<Known>,
    /// The methods whose use is counted: those of the permits that are known, and those of permits that have gone, until nobody
    /// is on the way through them and the last of it is stored.
    counted: Mutex<Vec<Counted>>,
}

/// A method of a permit, by which agreement it may be called.
struct Counted {
    agreement_id: Uuid,
    name: String,
    method: Arc<ReadyMethod>,
}

/// What was joined from the directory.
#[derive(Clone, Default)]
struct Known {
    permits: HashMap<PermitId, Arc<Ready>>,
    /// The gRPC interfaces of the permits.
    interfaces: HashMap<Source, Arc<Interface>>,
    /// The permits that name a client as a caller, by its id.
    of_clients: HashMap<String, Vec<(PermitId, Arc<Interface>)>>,
    /// The permits that were looked at, whatever came of it.
    looked_at: HashSet<PermitId>,
    upstreams: HashMap<Uuid, Arc<Upstream>>,
    units: HashMap<Uuid, i32>,
    /// The OpenAPI interfaces that permits rest on, and the newest ones of their services.
    shapes: HashMap<Source, Arc<Shape>>,
    /// The operations of each service of plain HTTP, over those interfaces.
    routes: HashMap<Uuid, Routed>,
    catalogue: Arc<Catalogue>,
    of: Editions,
}

/// Of what editions of directory and permits something was joined.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Editions {
    /// None before the first joining.
    directory: Option<DirectoryState>,
    permits: u64,
}

#[derive(Clone)]
struct Routed {
    versions: BTreeSet<i64>,
    routes: Arc<Routes>,
}

/// An interface as terms are compiled against it.
enum Compilable {
    Grpc(Arc<Interface>),
    Plain(Arc<Shape>),
}

/// A permit with its methods compiled.
#[derive(Default)]
struct Ready {
    methods: HashMap<String, Arc<ReadyMethod>>,
}

struct ReadyMethod {
    facts: MethodFacts,
    terms: ReadyTerms,
    /// Calls that were let through since this was asked last.
    calls: AtomicU64,
}

impl ReadyMethod {
    fn new(facts: MethodFacts, terms: ReadyTerms) -> Self {
        Self {
            facts,
            terms,
            calls: AtomicU64::new(0),
        }
    }

    /// How often it was called and which granted path left how often, since this was asked last. The call itself is the empty path.
    fn uses(&self) -> Vec<(String, u64)> {
        let mut uses = self.terms.uses();
        let calls = self.calls.swap(0, Ordering::Relaxed);
        if calls > 0 {
            uses.push((String::new(), calls));
        }
        uses
    }
}

/// What messages must pass; none where they pass as bytes.
enum ReadyTerms {
    Grpc(Option<Arc<Terms>>),
    Plain(Option<Arc<OfPlain>>),
}

impl ReadyTerms {
    fn uses(&self) -> Vec<(String, u64)> {
        match self {
            Self::Grpc(terms) => terms.as_ref().map(|terms| terms.0.uses()),
            Self::Plain(terms) => terms.as_ref().map(|terms| terms.0.uses()),
        }
        .unwrap_or_default()
    }
}

/// Predicates and mask as the door applies them.
struct Terms(Filter);

impl MessageFilter for Terms {
    fn request(&self, message: Bytes) -> Result<Bytes, FilterRefusal> {
        self.0.request(&message).map(Bytes::from).map_err(refused)
    }

    fn response(&self, message: Bytes) -> Result<Bytes, FilterRefusal> {
        self.0.response(&message).map(Bytes::from).map_err(refused)
    }
}

/// The same for plain HTTP.
struct OfPlain(PlainTerms);

impl PlainFilter for OfPlain {
    fn judges(&self) -> bool {
        self.0.judges()
    }

    fn declares(&self, header: &HeaderName) -> bool {
        self.0.declares(header)
    }

    fn request(&self, request: &PlainRequest<'_>) -> Result<Option<String>, FilterRefusal> {
        let judged = Judged {
            variables: request.variables,
            query: request.query,
            headers: request.headers,
            body: request.body,
            is_json: request.is_json(),
        };
        self.0.request(&judged).map_err(refused)
    }

    fn masks(&self) -> bool {
        self.0.masks()
    }

    fn response(&self, document: &Bytes) -> Result<Bytes, FilterRefusal> {
        self.0.response(document).map(Bytes::from).map_err(refused)
    }
}

fn refused(refused: Refused) -> FilterRefusal {
    match refused {
        Refused::Unreadable => FilterRefusal::Unreadable,
        Refused::NotAgreed => FilterRefusal::NotAgreed,
    }
}

/// The grant of a call, looked at while it is under way.
struct Held {
    book: Arc<PermitBook>,
    grant: Grant,
    method: String,
    /// Where its use is counted.
    counted: Arc<ReadyMethod>,
    /// The certificate of the connection, in hexadecimal.
    certificate: Option<String>,
}

impl Standing for Held {
    fn stands(&self) -> Stands {
        if !self.book.is_fresh() {
            return Stands::Unknown;
        }
        let held = self.book.held_now(&self.grant, &self.method);
        let bound = held.as_ref().and_then(Grant::caller).is_some_and(|caller| {
            self.certificate
                .as_ref()
                .is_none_or(|shown| caller.knows_certificate(shown, self.book.now()))
        });
        if bound { Stands::Holds } else { Stands::Ended }
    }

    fn used(&self) {
        self.counted.calls.fetch_add(1, Ordering::Relaxed);
    }
}

impl Agreements {
    pub(crate) fn new(
        book: Arc<PermitBook>,
        destinations: Arc<Destinations>,
        trust: Option<Trust>,
        certificate_required: bool,
        message_bytes: usize,
    ) -> Self {
        Self {
            book,
            destinations,
            certificate_required,
            trust,
            message_bytes,
            known: ArcSwap::default(),
            counted: Mutex::default(),
        }
    }

    /// How many endpoints are left alone for a while because they failed.
    pub(crate) fn ejected(&self) -> usize {
        let known = self.known.load();
        let endpoints = known.upstreams.values().map(|upstream| upstream.endpoints());
        endpoints
            .map(|endpoints| endpoints.iter().filter(|one| one.is_ejected()).count())
            .sum()
    }

    /// Reads what changed in the directory, and compiles the permits that are new. Where neither has changed, one number is read.
    pub(crate) async fn refresh(&self, database: &Database) -> Result<(), Error> {
        let before = self.known.load_full();
        // Both before what they stand for: what changes meanwhile is read twice, never missed.
        let permits = self.book.edition();
        let directory = database
            .read(&RowScope::everything(), async |conn| {
                Ok::<_, Error>(store::catalogue::state(conn).await?)
            })
            .await?;
        let of = Editions {
            directory: Some(directory),
            permits,
        };
        if of == before.of {
            return Ok(());
        }
        self.join(database, &before, of).await
    }

    /// Forgets of which edition it is, if something is left to be tried again.
    fn try_again(&self) {
        let known = self.known.load_full();
        if known.permits.len() < known.looked_at.len() {
            self.known.store(Arc::new(Known {
                of: Editions::default(),
                ..Known::clone(&known)
            }));
        }
    }

    async fn join(&self, database: &Database, before: &Known, of: Editions) -> Result<(), Error> {
        let wanted = self.book.all();
        let missing: Vec<&Arc<Permit>> = wanted
            .iter()
            .filter(|permit| !before.permits.contains_key(&id(permit)))
            .collect();
        let served: HashSet<Uuid> = wanted.iter().map(|permit| permit.service_id).collect();
        let (endpoints, units, catalogue, documents) = database
            .read(&RowScope::everything(), async |conn| {
                let endpoints = store::endpoints::of_services(conn, None).await?;
                let units = store::organisations::units(conn).await?;
                let catalogue = Catalogue::read(conn).await?;
                // The newest version too: by it the provider reads paths today.
                let newest = catalogue
                    .plain_services()
                    .filter(|(service_id, _)| served.contains(service_id));
                let sources: HashSet<Source> = missing
                    .iter()
                    .map(|permit| (permit.service_id, permit.interface_version))
                    .chain(newest)
                    .filter(|source| !before.interfaces.contains_key(source) && !before.shapes.contains_key(source))
                    .collect();
                let mut documents = HashMap::new();
                for (service_id, version) in sources {
                    if let Some((interface, document)) = store::services::interface(conn, service_id, version).await? {
                        documents.insert((service_id, version), (interface.kind, document));
                    }
                }
                Ok::<_, Error>((endpoints, units, catalogue, documents))
            })
            .await?;
        let rested_on: HashSet<Source> = wanted
            .iter()
            .map(|permit| source(permit))
            .chain(catalogue.plain_services().filter(|(id, _)| served.contains(id)))
            .collect();
        // Large ones take a while: beside the calls, not in their way.
        let message_bytes = self.message_bytes;
        let mut read = if documents.is_empty() {
            HashMap::new()
        } else {
            let reading = tokio::task::spawn_blocking(move || read_all(documents, message_bytes));
            reading.await.map_err(Fault::internal)?
        };
        for source in &rested_on {
            if let Some(known) = before.interfaces.get(source) {
                read.insert(*source, Compilable::Grpc(Arc::clone(known)));
            } else if let Some(known) = before.shapes.get(source) {
                read.insert(*source, Compilable::Plain(Arc::clone(known)));
            }
        }
        let permits: HashMap<PermitId, Arc<Ready>> = wanted
            .iter()
            .filter_map(|permit| {
                let ready = before.permits.get(&id(permit)).cloned();
                // One whose interface cannot be read is not ready, and is tried again.
                let ready = ready.or_else(|| {
                    let interface = read.get(&source(permit))?;
                    Some(Arc::new(compiled(permit, interface)))
                });
                Some((id(permit), ready?))
            })
            .collect();
        self.count_new(before, &permits);
        let (mut interfaces, mut shapes) = (HashMap::new(), HashMap::new());
        for (source, one) in read {
            match one {
                Compilable::Grpc(interface) => drop(interfaces.insert(source, interface)),
                Compilable::Plain(shape) => drop(shapes.insert(source, shape)),
            }
        }
        let upstreams = self.upstreams(before, &endpoints);
        self.known.store(Arc::new(Known {
            permits,
            of_clients: of_clients(&wanted, &interfaces),
            looked_at: wanted.iter().map(|permit| id(permit)).collect(),
            interfaces,
            upstreams,
            units: units.into_iter().collect(),
            routes: routes(before, &shapes),
            shapes,
            catalogue: Arc::new(catalogue),
            of,
        }));
        Ok(())
    }

    /// Who takes part and what is offered, as it was last read.
    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.known.load().catalogue)
    }

    /// The operations of a service that a client may call now, by their names.
    ///
    /// # Errors
    /// `PERMITS_STALE`.
    pub(crate) fn allowed(&self, client_id: &str, service_id: Uuid) -> Result<BTreeSet<String>, Fault> {
        self.book
            .allowed(client_id, service_id)
            .map_err(|_| refusal(Refusal::PermitsStale))
    }

    /// The endpoints of each service; those that stay keep connections and health.
    fn upstreams(&self, before: &Known, endpoints: &[Endpoint]) -> HashMap<Uuid, Arc<Upstream>> {
        // A service is of one kind for good, and so are its endpoints.
        let mut specs: HashMap<Uuid, (InterfaceKind, Vec<EndpointSpec>)> = HashMap::new();
        for endpoint in endpoints {
            if let Some((kind, spec)) = spec_of(endpoint) {
                let held = specs.entry(endpoint.service_id).or_insert((kind, Vec::new()));
                held.1.push(spec);
            }
        }
        specs
            .into_iter()
            .map(|(service_id, (kind, specs))| {
                let upstream = before.upstreams.get(&service_id).cloned().unwrap_or_else(|| {
                    let (trust, limits) = (self.trust.clone(), UpstreamLimits::default());
                    let destinations = Arc::clone(&self.destinations);
                    Arc::new(match kind {
                        InterfaceKind::Grpc => Upstream::new(destinations, trust, limits),
                        InterfaceKind::OpenApi => Upstream::plain(destinations, trust, limits),
                    })
                });
                upstream.set(&specs);
                (service_id, upstream)
            })
            .collect()
    }

    /// The grant by which a call is permitted now.
    pub(crate) fn grant(&self, call: Call<'_>) -> Result<Grant, Denial> {
        self.book.permits(call)
    }

    /// The time by which agreements are judged.
    pub(crate) fn now(&self) -> Timestamp {
        self.book.now()
    }

    /// What a consumer may call now, of gRPC interfaces: by permits in force for it, and on a connection that is its own.
    ///
    /// # Errors
    /// `PERMITS_STALE`; `CERTIFICATE_NOT_BOUND` if the connection opens none of what it otherwise might call.
    pub(crate) fn reach(&self, consumer: &Consumer) -> Result<Vec<Reach>, Fault> {
        if !self.book.is_fresh() {
            return Err(refusal(Refusal::PermitsStale));
        }
        let now = self.book.now();
        let known = self.known.load();
        let mut held = Vec::new();
        for ((agreement_id, version), interface) in known.of_clients.get(&consumer.client_id).into_iter().flatten() {
            // As the book has it now: what was revoked a moment ago is gone, and so is a delegation that ended.
            let now_held = self.book.of_agreement(*agreement_id);
            let permits = now_held
                .iter()
                .filter(|permit| permit.version == *version && permit.in_force(now));
            for permit in permits {
                let callers = permit.callers.iter().enumerate().filter(|(_, caller)| {
                    caller.client_id == consumer.client_id && caller.valid_from <= now && now < caller.valid_to
                });
                held.extend(callers.map(|(caller, _)| Reach {
                    permit: Arc::clone(permit),
                    caller,
                    interface: Arc::clone(interface),
                }));
            }
        }
        let some = !held.is_empty();
        held.retain(|reach| reach.caller().is_some_and(|caller| self.is_bound(caller, consumer)));
        if some && held.is_empty() {
            return Err(refusal(Refusal::CertificateNotBound));
        }
        Ok(held)
    }

    /// Whether the book has permits of a client at which nobody has looked yet: in a quarter of a second it may call what it
    /// cannot now.
    pub(crate) fn is_behind(&self, client_id: &str) -> bool {
        let known = self.known.load();
        let permits = self.book.permits_of(client_id);
        permits.iter().any(|permit| !known.looked_at.contains(permit))
    }

    /// Whether the connection is one of this very system: its certificate is registered for it and valid now. The token alone
    /// opens nothing to whoever stole it.
    fn is_bound(&self, caller: &PermitCaller, consumer: &Consumer) -> bool {
        match consumer.certificate.map(hex::encode) {
            Some(shown) => caller.knows_certificate(&shown, self.book.now()),
            None => !self.certificate_required,
        }
    }

    /// Counts the methods of permits that were not known before.
    fn count_new(&self, before: &Known, permits: &HashMap<PermitId, Arc<Ready>>) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        for (permit, ready) in permits {
            // One that was known is counted already.
            if before
                .permits
                .get(permit)
                .is_none_or(|known| !Arc::ptr_eq(known, ready))
            {
                counted.extend(ready.methods.iter().map(|(name, method)| Counted {
                    agreement_id: permit.0,
                    name: name.clone(),
                    method: Arc::clone(method),
                }));
            }
        }
    }

    /// How often which method was called and which granted field left, since this was asked last.
    fn uses(&self, day: jiff::civil::Date) -> Vec<FieldUse> {
        let mut uses = Vec::new();
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.retain_mut(|one| {
            // Asked before its numbers are taken: whoever else holds it may still count.
            let goes_on = Arc::get_mut(&mut one.method).is_none();
            uses.extend(one.method.uses().into_iter().map(|(field, count)| FieldUse {
                agreement_id: one.agreement_id,
                method: one.name.clone(),
                field,
                day,
                count: i64::try_from(count).unwrap_or(i64::MAX),
            }));
            goes_on
        });
        uses
    }

    /// Follows the directory until `stop`.
    pub(crate) async fn follow(&self, database: &Database, stop: CancellationToken) {
        let mut counted = tokio::time::Instant::now();
        let mut tried = counted;
        while !stop.is_cancelled() {
            if tried.elapsed() >= AGAIN {
                tried = tokio::time::Instant::now();
                self.try_again();
            }
            if let Err(error) = self.refresh(database).await {
                tracing::warn!(error = ?Fault::from(error), "the directory cannot be read; the door keeps what it knows");
            }
            if counted.elapsed() >= COUNT_EVERY || stop.is_cancelled() {
                counted = tokio::time::Instant::now();
                self.count(database).await;
            }
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
        self.count(database).await;
    }

    async fn count(&self, database: &Database) {
        let today = database.clock().now().to_zoned(egov_clock::vietnam()).date();
        if let Err(fault) = add_field_use(database, &self.uses(today)).await {
            tracing::warn!(reason = fault.reason(), "counts of used fields are lost");
        }
    }
}

impl fmt::Debug for Agreements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Agreements")
            .field("permits", &self.known.load().permits.len())
            .finish_non_exhaustive()
    }
}

impl Agreements {
    /// The passage of a call without its filter, and its terms.
    fn passage(&self, consumer: &Consumer, asked: Asked<'_>) -> Result<(Passage, Arc<ReadyMethod>), Fault> {
        let grant = self
            .book
            .permits(Call {
                client_id: &consumer.client_id,
                method: asked.method,
                service_id: asked.service_id,
                purpose: asked.purpose,
            })
            .map_err(denied)?;
        let permit = Arc::clone(grant.permit());
        let caller = grant.caller().ok_or_else(|| refusal(Refusal::AgreementMissing))?;
        if !self.is_bound(caller, consumer) {
            return Err(refusal(Refusal::CertificateNotBound));
        }
        let known = self.known.load();
        // A permit that the book has and this does not will be compiled within a quarter of a second.
        let ready = known
            .permits
            .get(&id(&permit))
            .ok_or_else(|| refusal(Refusal::PermitsStale))?;
        let method = ready
            .methods
            .get(asked.method)
            .ok_or_else(|| refusal(Refusal::AgreementMissing))?;
        let method = Arc::clone(method);
        let upstream = known
            .upstreams
            .get(&permit.service_id)
            .ok_or_else(|| refusal(Refusal::ProviderUnavailable))?;
        let unit_of = |organisation: &Uuid| {
            let unit = known.units.get(organisation).copied();
            unit.ok_or_else(|| refusal(Refusal::PermitsStale))
        };
        let passage = Passage {
            agreement_id: permit.agreement_id,
            agreement_version: permit.version,
            delegation_id: caller.delegation_id,
            consumer_organisation_id: permit.consumer_organisation_id,
            consumer_unit_id: unit_of(&permit.consumer_organisation_id)?,
            provider_organisation_id: permit.provider_organisation_id,
            provider_unit_id: unit_of(&permit.provider_organisation_id)?,
            service_id: permit.service_id,
            upstream: Arc::clone(upstream),
            facts: method.facts,
            filter: None,
            quota: Quota {
                per_minute: permit.quota.per_minute,
                per_day: permit.quota.per_day,
                concurrent: permit.quota.concurrent,
            },
            bodies: BodyRules {
                request: permit.bodies.request,
                response: permit.bodies.response,
                retention_days: permit.bodies.retention_days,
            },
            standing: Arc::new(Held {
                book: Arc::clone(&self.book),
                method: asked.method.to_owned(),
                counted: Arc::clone(&method),
                grant: grant.clone(),
                certificate: consumer.certificate.map(hex::encode),
            }),
        };
        Ok((passage, method))
    }
}

impl Gatekeeper for Agreements {
    fn admit(&self, consumer: &Consumer, asked: Asked<'_>) -> Result<Passage, Fault> {
        let (passage, method) = self.passage(consumer, asked)?;
        let ReadyTerms::Grpc(terms) = &method.terms else {
            return Err(refusal(Refusal::AgreementMissing));
        };
        let filter = terms.as_ref().map(|terms| Arc::clone(terms) as Arc<dyn MessageFilter>);
        Ok(Passage { filter, ..passage })
    }

    fn admit_plain(&self, consumer: &Consumer, asked: PlainAsked<'_>) -> Result<PlainPassage, Fault> {
        if !self.book.is_fresh() {
            return Err(refusal(Refusal::PermitsStale));
        }
        // Nobody without an agreement learns which operations there are, and whoever lost one must not take "not found" for an
        // answer about a person.
        if !self.book.services_of(&consumer.client_id).contains(&asked.service_id) {
            return Err(refusal(Refusal::AgreementMissing));
        }
        let known = self.known.load_full();
        let behind = || refusal(Refusal::PermitsStale);
        let routed = known.routes.get(&asked.service_id).ok_or_else(behind)?;
        let named = routed.routes.find(asked.verb.as_str(), asked.path.segments());
        if named.is_empty() && self.is_behind(&consumer.client_id) {
            return Err(behind());
        }
        let mut why = refusal(Refusal::OperationUnknown);
        // Mostly one. Of several, which differ in the names of variables only, the one that was agreed on.
        for (number, one) in named.into_iter().enumerate() {
            let call = Asked {
                method: one.method,
                service_id: Some(asked.service_id),
                purpose: asked.purpose,
            };
            match self.passage(consumer, call) {
                Ok((passage, method)) => {
                    let ReadyTerms::Plain(terms) = &method.terms else {
                        continue;
                    };
                    return Ok(PlainPassage {
                        passage,
                        method: one.method.to_owned(),
                        variables: one.variables,
                        filter: terms.as_ref().map(|terms| Arc::clone(terms) as Arc<dyn PlainFilter>),
                    });
                }
                Err(fault) if number == 0 || why.reason() == "AGREEMENT_MISSING" => why = fault,
                Err(_) => {}
            }
        }
        Err(why)
    }
}

/// The operations of each service over the versions of its interface; what did not change is kept.
fn routes(before: &Known, shapes: &HashMap<Source, Arc<Shape>>) -> HashMap<Uuid, Routed> {
    let mut versions: HashMap<Uuid, BTreeSet<i64>> = HashMap::new();
    for (service_id, version) in shapes.keys() {
        versions.entry(*service_id).or_default().insert(*version);
    }
    versions
        .into_iter()
        .map(|(service_id, versions)| {
            let held = before.routes.get(&service_id).filter(|held| held.versions == versions);
            let routed = held.cloned().unwrap_or_else(|| {
                let methods = versions
                    .iter()
                    .filter_map(|version| shapes.get(&(service_id, *version)))
                    .flat_map(|shape| shape.methods.keys().map(String::as_str));
                Routed {
                    routes: Arc::new(Routes::new(methods)),
                    versions: versions.clone(),
                }
            });
            (service_id, routed)
        })
        .collect()
}

fn id(permit: &Permit) -> PermitId {
    (permit.agreement_id, permit.version)
}

fn source(permit: &Permit) -> Source {
    (permit.service_id, permit.interface_version)
}

/// The refusal that says why the book denies a call.
pub(crate) fn denied(denial: Denial) -> Fault {
    refusal(match denial {
        Denial::Stale => Refusal::PermitsStale,
        Denial::NoAgreement => Refusal::AgreementMissing,
        Denial::NotInForce => Refusal::AgreementNotInForce,
        Denial::WrongPurpose => Refusal::PurposeNotAgreed,
        Denial::Ambiguous => Refusal::ServiceAmbiguous,
    })
}

/// The interfaces of documents; one that cannot be read is left out, and tried again with the next turn.
fn read_all(documents: HashMap<Source, (InterfaceKind, Vec<u8>)>, message_bytes: usize) -> HashMap<Source, Compilable> {
    documents
        .into_iter()
        .filter_map(|(source, (kind, document))| {
            let read = match kind {
                InterfaceKind::Grpc => descriptors::pool(&document).map(|pool| {
                    Compilable::Grpc(Arc::new(Interface::compile(source.0, source.1, pool, message_bytes)))
                }),
                InterfaceKind::OpenApi => openapi::shape(&document).map(|shape| Compilable::Plain(Arc::new(shape))),
            };
            match read {
                Ok(read) => Some((source, read)),
                Err(problems) => {
                    tracing::error!(service = %source.0, ?problems, "an interface cannot be read");
                    None
                }
            }
        })
        .collect()
}

fn of_clients(
    permits: &[Arc<Permit>],
    interfaces: &HashMap<Source, Arc<Interface>>,
) -> HashMap<String, Vec<(PermitId, Arc<Interface>)>> {
    let mut of_clients: HashMap<String, Vec<(PermitId, Arc<Interface>)>> = HashMap::new();
    for permit in permits {
        let Some(interface) = interfaces.get(&source(permit)) else {
            continue;
        };
        let clients: HashSet<&String> = permit.callers.iter().map(|caller| &caller.client_id).collect();
        for client in clients {
            let held = of_clients.entry(client.clone()).or_default();
            held.push((id(permit), Arc::clone(interface)));
        }
    }
    of_clients
}

/// An endpoint as the door takes it, and of which kind of interface its address is.
fn spec_of(endpoint: &Endpoint) -> Option<(InterfaceKind, EndpointSpec)> {
    let (kind, url) = if let Some(rest) = endpoint.url.strip_prefix("grpc://") {
        (InterfaceKind::Grpc, format!("http://{rest}"))
    } else if let Some(rest) = endpoint.url.strip_prefix("grpcs://") {
        (InterfaceKind::Grpc, format!("https://{rest}"))
    } else {
        (InterfaceKind::OpenApi, endpoint.url.clone())
    };
    let spec = EndpointSpec {
        id: endpoint.endpoint_id,
        address: url.parse::<Uri>().ok()?,
        weight: u32::try_from(endpoint.weight).unwrap_or(1),
        state: match endpoint.state {
            EndpointState::Active => DoorState::Active,
            EndpointState::Draining => DoorState::Draining,
            EndpointState::Maintenance | EndpointState::Removed => DoorState::Maintenance,
        },
    };
    Some((kind, spec))
}

/// The methods of a permit. A method whose terms do not compile any more is left out: it is refused, never passed unmasked.
fn compiled(permit: &Permit, interface: &Compilable) -> Ready {
    let methods = permit
        .methods
        .iter()
        .filter_map(|(name, terms)| match ready(interface, name, terms)? {
            Ok(ready) => Some((name.clone(), Arc::new(ready))),
            Err(error) => {
                tracing::error!(agreement = %permit.agreement_id, method = name, %error, "the terms of an agreement do not fit its interface");
                None
            }
        })
        .collect();
    Ready { methods }
}

/// A method of an interface with its terms; none if the interface does not have it.
fn ready(interface: &Compilable, name: &str, terms: &MethodTerms) -> Option<Result<ReadyMethod, String>> {
    match interface {
        Compilable::Grpc(interface) => {
            let method = method_of(interface.pool(), name)?;
            let filter = terms_of(&method, terms).map_err(|error| error.to_string());
            Some(filter.map(|filter| {
                let terms = ReadyTerms::Grpc(filter.map(|filter| Arc::new(Terms(filter))));
                ReadyMethod::new(facts_of(&method), terms)
            }))
        }
        Compilable::Plain(shape) => {
            let method = shape.methods.get(name)?;
            let verb: Method = name.split(' ').next()?.parse().ok()?;
            let facts = MethodFacts {
                // By what the verb means (RFC 9110, 9.2.2).
                idempotent: verb.is_idempotent(),
                ..MethodFacts::default()
            };
            Some(PlainTerms::compile(shape, method, terms).map(|terms| {
                let terms = ReadyTerms::Plain(terms.map(|terms| Arc::new(OfPlain(terms))));
                ReadyMethod::new(facts, terms)
            }))
        }
    }
}

fn method_of(pool: &DescriptorPool, name: &str) -> Option<MethodDescriptor> {
    let (service, method) = name.split_once('/')?;
    pool.get_service_by_name(service)?
        .methods()
        .find(|one| one.name() == method)
}

fn terms_of(method: &MethodDescriptor, terms: &MethodTerms) -> Result<Option<Filter>, egov_filter::CompileError> {
    if !terms.must_decode() {
        return Ok(None);
    }
    let predicates: Vec<(String, Rule)> = terms
        .predicates
        .iter()
        .map(|predicate| (predicate.field.clone(), rule_of(&predicate.rule)))
        .collect();
    Filter::compile(&method.input(), &method.output(), &predicates, &terms.mask).map(Some)
}

/// What the interface says of a method. Only `NO_SIDE_EFFECTS` and `IDEMPOTENT` let a call be repeated.
fn facts_of(method: &MethodDescriptor) -> MethodFacts {
    let options = method.options();
    let level = options
        .descriptor()
        .get_field_by_name("idempotency_level")
        .map(|field| options.get_field(&field).into_owned());
    MethodFacts {
        client_streaming: method.is_client_streaming(),
        server_streaming: method.is_server_streaming(),
        idempotent: matches!(level, Some(Value::EnumNumber(1 | 2))),
    }
}
