//! Who knows the agreements: the permits of the book, compiled against the interfaces and joined with the endpoints, ready for the
//! door to judge a call without looking anywhere.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use egov_auth::RowScope;
use egov_database::Database;
use egov_door::{
    Asked, BodyRules, Consumer, EndpointSpec, EndpointState as DoorState, FilterRefusal, Gatekeeper, MessageFilter,
    MethodFacts, Passage, Quota, Refusal, Standing, Stands, Trust, Upstream, UpstreamLimits, refusal,
};
use egov_fault::Fault;
use egov_filter::{Filter, Refused, Rule};
use http::Uri;
use prost_reflect::{DescriptorPool, MethodDescriptor, ReflectMessage as _, Value};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::domain::descriptors;
use crate::domain::endpoint::{Endpoint, EndpointState};
use crate::domain::permit::{MethodTerms, Permit, PredicateRule};
use crate::domain::service::InterfaceKind;
use crate::error::Error;
use crate::permits::{Call, Denial, Grant, PermitBook};
use crate::store;
use crate::usage::{FieldUse, add_field_use};

/// How often the endpoints are read again, and new permits compiled.
const EVERY: Duration = Duration::from_millis(250);

/// How often counts of used fields are stored.
const COUNT_EVERY: Duration = Duration::from_secs(10);

/// One version of an agreement.
type PermitId = (Uuid, i64);

/// The agreements as the door asks for them.
pub(crate) struct Agreements {
    book: Arc<PermitBook>,
    certificate_required: bool,
    trust: Option<Trust>,
    known: ArcSwap<Known>,
}

/// What was joined from the directory.
#[derive(Default)]
struct Known {
    permits: HashMap<PermitId, Arc<Ready>>,
    upstreams: HashMap<Uuid, Arc<Upstream>>,
    units: HashMap<Uuid, i32>,
}

/// A permit with its methods compiled.
#[derive(Default)]
struct Ready {
    methods: HashMap<String, Arc<ReadyMethod>>,
}

struct ReadyMethod {
    facts: MethodFacts,
    filter: Option<Arc<Terms>>,
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
}

impl Agreements {
    pub(crate) fn new(book: Arc<PermitBook>, trust: Option<Trust>, certificate_required: bool) -> Self {
        Self {
            book,
            certificate_required,
            trust,
            known: ArcSwap::default(),
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

    /// Reads what changed in the directory, and compiles the permits that are new.
    pub(crate) async fn refresh(&self, database: &Database) -> Result<(), Error> {
        let before = self.known.load_full();
        let wanted = self.book.all();
        let missing: Vec<&Arc<Permit>> = wanted
            .iter()
            .filter(|permit| !before.permits.contains_key(&id(permit)))
            .collect();
        let sources: HashSet<(Uuid, i64)> = missing
            .iter()
            .map(|permit| (permit.service_id, permit.interface_version))
            .collect();
        let (endpoints, units, interfaces) = database
            .read(&RowScope::everything(), async |conn| {
                let endpoints = store::endpoints::of_services(conn, None).await?;
                let units = store::organisations::units(conn).await?;
                let mut interfaces = HashMap::new();
                for (service_id, version) in sources {
                    if let Some((interface, document)) = store::services::interface(conn, service_id, version).await? {
                        interfaces.insert((service_id, version), (interface.kind, document));
                    }
                }
                Ok::<_, Error>((endpoints, units, interfaces))
            })
            .await?;
        let mut pools = HashMap::new();
        for (source, (kind, document)) in interfaces {
            if kind == InterfaceKind::Grpc {
                match descriptors::pool(&document) {
                    Ok(pool) => drop(pools.insert(source, pool)),
                    Err(problems) => tracing::error!(service = %source.0, ?problems, "an interface cannot be read"),
                }
            }
        }
        let permits = wanted
            .iter()
            .filter_map(|permit| {
                let ready = before.permits.get(&id(permit)).cloned();
                // One whose interface cannot be read is not ready, and is tried again.
                let ready = ready.or_else(|| {
                    let pool = pools.get(&(permit.service_id, permit.interface_version))?;
                    Some(Arc::new(compiled(permit, pool)))
                });
                Some((id(permit), ready?))
            })
            .collect();
        let upstreams = self.upstreams(&before, &endpoints);
        self.known.store(Arc::new(Known {
            permits,
            upstreams,
            units: units.into_iter().collect(),
        }));
        Ok(())
    }

    /// The endpoints of each service; those that stay keep connections and health.
    fn upstreams(&self, before: &Known, endpoints: &[Endpoint]) -> HashMap<Uuid, Arc<Upstream>> {
        let mut specs: HashMap<Uuid, Vec<EndpointSpec>> = HashMap::new();
        for endpoint in endpoints {
            if let Some(spec) = spec_of(endpoint) {
                specs.entry(endpoint.service_id).or_default().push(spec);
            }
        }
        specs
            .into_iter()
            .map(|(service_id, specs)| {
                let upstream = before
                    .upstreams
                    .get(&service_id)
                    .cloned()
                    .unwrap_or_else(|| Arc::new(Upstream::new(self.trust.clone(), UpstreamLimits::default())));
                upstream.set(&specs);
                (service_id, upstream)
            })
            .collect()
    }

    /// How often which granted field left since this was asked last.
    fn uses(&self, day: jiff::civil::Date) -> Vec<FieldUse> {
        let known = self.known.load();
        let mut uses = Vec::new();
        for ((agreement_id, _), ready) in &known.permits {
            for (method, one) in &ready.methods {
                let Some(terms) = &one.filter else { continue };
                for (field, count) in terms.0.uses() {
                    uses.push(FieldUse {
                        agreement_id: *agreement_id,
                        method: method.clone(),
                        field,
                        day,
                        count: i64::try_from(count).unwrap_or(i64::MAX),
                    });
                }
            }
        }
        uses
    }

    /// Follows the directory until `stop`.
    pub(crate) async fn follow(&self, database: &Database, stop: CancellationToken) {
        let mut counted = tokio::time::Instant::now();
        while !stop.is_cancelled() {
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

impl Gatekeeper for Agreements {
    fn admit(&self, consumer: &Consumer, asked: Asked<'_>) -> Result<Passage, Fault> {
        let grant = self
            .book
            .permits(Call {
                client_id: &consumer.client_id,
                method: asked.method,
                service_id: asked.service_id,
                purpose: asked.purpose,
            })
            .map_err(|denial| {
                refusal(match denial {
                    Denial::Stale => Refusal::PermitsStale,
                    Denial::NoAgreement => Refusal::AgreementMissing,
                    Denial::NotInForce => Refusal::AgreementNotInForce,
                    Denial::WrongPurpose => Refusal::PurposeNotAgreed,
                    Denial::Ambiguous => Refusal::ServiceAmbiguous,
                })
            })?;
        let permit = Arc::clone(grant.permit());
        let caller = grant.caller().ok_or_else(|| refusal(Refusal::AgreementMissing))?;
        // Registered for this very system, and valid now: the token alone opens nothing to whoever stole it.
        let certificate = consumer.certificate.map(hex::encode);
        let bound = match &certificate {
            Some(shown) => caller.knows_certificate(shown, self.book.now()),
            None => !self.certificate_required,
        };
        if !bound {
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
        let upstream = known
            .upstreams
            .get(&permit.service_id)
            .ok_or_else(|| refusal(Refusal::ProviderUnavailable))?;
        let unit_of = |organisation: &Uuid| {
            let unit = known.units.get(organisation).copied();
            unit.ok_or_else(|| refusal(Refusal::PermitsStale))
        };
        Ok(Passage {
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
            filter: method
                .filter
                .as_ref()
                .map(|terms| Arc::clone(terms) as Arc<dyn MessageFilter>),
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
                grant: grant.clone(),
                certificate,
            }),
        })
    }
}

fn id(permit: &Permit) -> PermitId {
    (permit.agreement_id, permit.version)
}

/// An endpoint as the door takes it; none for an address that is not one of gRPC.
fn spec_of(endpoint: &Endpoint) -> Option<EndpointSpec> {
    let url = if let Some(rest) = endpoint.url.strip_prefix("grpc://") {
        format!("http://{rest}")
    } else if let Some(rest) = endpoint.url.strip_prefix("grpcs://") {
        format!("https://{rest}")
    } else {
        return None;
    };
    Some(EndpointSpec {
        id: endpoint.endpoint_id,
        address: url.parse::<Uri>().ok()?,
        weight: u32::try_from(endpoint.weight).unwrap_or(1),
        state: match endpoint.state {
            EndpointState::Active => DoorState::Active,
            EndpointState::Draining => DoorState::Draining,
            EndpointState::Maintenance | EndpointState::Removed => DoorState::Maintenance,
        },
    })
}

/// The methods of a permit. A method whose terms do not compile any more is left out: it is refused, never passed unmasked.
fn compiled(permit: &Permit, pool: &DescriptorPool) -> Ready {
    let methods = permit
        .methods
        .iter()
        .filter_map(|(name, terms)| {
            let method = method_of(pool, name)?;
            match terms_of(&method, terms) {
                Ok(filter) => {
                    let ready = ReadyMethod {
                        facts: facts_of(&method),
                        filter: filter.map(|filter| Arc::new(Terms(filter))),
                    };
                    Some((name.clone(), Arc::new(ready)))
                }
                Err(error) => {
                    tracing::error!(agreement = %permit.agreement_id, method = name, %error, "the terms of an agreement do not fit its interface");
                    None
                }
            }
        })
        .collect();
    Ready { methods }
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
        .map(|predicate| {
            let rule = match &predicate.rule {
                PredicateRule::Equals(value) => Rule::Equals(value.clone()),
                PredicateRule::In(values) => Rule::In(values.clone()),
                PredicateRule::Prefix(value) => Rule::Prefix(value.clone()),
                PredicateRule::Present => Rule::Present,
                PredicateRule::Absent => Rule::Absent,
            };
            (predicate.field.clone(), rule)
        })
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
