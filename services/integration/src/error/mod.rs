//! Why an operation is refused: one enum of what a caller can act on, and one table (`table.rs`) to code, reason and words.
//! `Display` is the English text.

mod table;

use egov_events::EventError;
use egov_fault::Fault;
use egov_partners::Partner;
use egov_partners::case_mapping::NotMappable;
use egov_partners::outcome::CallError;

use crate::domain::agreement::{Refusal, State};
use crate::domain::mailbox::IsDead;
use crate::domain::organisation::CodeRefusal;
use crate::domain::reconciliation::{NotAPeriod, NotDone};
use crate::domain::service::Hit;
use crate::domain::signature::SignatureRefusal;
use crate::domain::terms::Problem;
use crate::store::StoreError;

/// ErrorInfo.domain of this service's own reasons.
pub const DOMAIN: &str = "integration.egov";

/// Why an operation is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    // The directory (danh bạ).
    #[error("there is no such organisation")]
    OrganisationNotFound,
    #[error("there is no such system")]
    SystemNotFound,
    #[error("there is no such service")]
    ServiceNotFound,
    #[error("the service has no such version of its interface")]
    InterfaceNotFound,
    #[error("the service has no such endpoint")]
    EndpointNotFound,
    #[error("the system has no such certificate, or it was withdrawn")]
    CertificateNotFound,
    #[error("the system has no such key, or it was withdrawn")]
    SigningKeyNotFound,
    #[error("another organisation has this X-Road member code")]
    MemberTaken,
    #[error("another organisation has this agency code on that day")]
    AgencyCodeTaken,
    #[error("{0}")]
    AgencyCodeRefused(CodeRefusal),
    #[error("another unit, or another question, has used this request code")]
    RequestCodeTaken,
    #[error("by the directory the agency code {code} is not the unit's")]
    AgencyCodeNotOfUnit { field: &'static str, code: String },
    /// Nobody has said whose the code is, or the unit tree says that it is another's.
    #[error(
        "neither the unit tree nor an administrator of the whole province says that the agency code {code} is this organisation's unit's: \
         have it entered with the unit, or have that administrator register it"
    )]
    AgencyCodeUnconfirmed { code: String, named: Option<i32> },
    #[error("another system has this client id")]
    ClientTaken,
    #[error("the organisation has a system with this subsystem code")]
    SubsystemTaken,
    #[error("the system has a service with this code")]
    ServiceCodeTaken,
    #[error("the certificate is refused: {0}")]
    CertificateRefused(&'static str),
    #[error("the certificate is registered already")]
    CertificateTaken,
    #[error("the key is refused: {0}")]
    SigningKeyRefused(&'static str),
    #[error("the organisation has a key with this id")]
    SigningKeyTaken,
    #[error("what was closed or removed stays so, or it stands there already")]
    StateNotAllowed,
    #[error("the document cannot be read")]
    InterfaceRefused(Vec<String>),
    #[error("the document breaks what the version before promised")]
    InterfaceBreaks(Vec<Hit>),
    #[error("the document is the same as the last version")]
    InterfaceUnchanged,
    #[error("the address is refused: {0}")]
    EndpointRefused(&'static str),

    // Agreements (thỏa thuận).
    #[error("there is no such agreement")]
    AgreementNotFound,
    #[error("it cannot be done in this state of the agreement")]
    AgreementState(State),
    #[error("the terms do not fit")]
    TermsRefused(Vec<Problem>),
    #[error("a side, its system or the service takes no part now")]
    PartyNotActive,
    #[error("the signature is refused: {0}")]
    SignatureRefused(SignatureRefusal),
    #[error("this side has signed this version")]
    AlreadySigned,
    #[error("somebody else suspended it")]
    SuspendedByOther,
    #[error("the terms do not let the consumer delegate")]
    NotDelegable,
    #[error("the delegation would reach beyond the agreement, or its system takes no part now")]
    DelegationRefused,
    #[error("the agreement has no such delegation, or it has ended")]
    DelegationNotFound,

    // The record of the door, and its traffic (lưu lượng).
    #[error("there is no such exchange")]
    ExchangeNotFound,
    #[error("the exchange is not over yet, so there is no receipt")]
    ExchangeUnderWay,
    #[error("the period cannot be summed up")]
    PeriodRefused(Vec<Problem>),
    #[error("the summary has too many lines: ask for a shorter period, fewer dimensions or one agreement")]
    SummaryTooLarge,

    // Events (sự kiện). What the caller may not know of looks the same as what is not there.
    #[error("there is no such topic")]
    TopicNotFound,
    #[error("a topic of this name exists")]
    TopicNameTaken,
    #[error("the caller is not on the topic's list of publishers")]
    PublishingNotGranted,
    #[error("the caller is not on the topic's list of subscribers")]
    SubscribingNotGranted,
    /// The event at this place of the batch is none of CloudEvents.
    #[error("events[{index}].{}: {}", .error.attribute, .error.en)]
    EventInvalid { index: usize, error: EventError },
    /// The event at this place of the batch names a schema that the topic does not have.
    #[error("events[{index}].data_schema: is not a schema of this topic, or not accepted any more")]
    EventSchemaMismatch { index: usize },
    #[error("the data of events is not what their topic's schema asks for")]
    EventDataRefused(Vec<Problem>),
    /// The schema that is asked for a topic, or its JSON Schema, cannot be.
    #[error("the schema of the topic is not right")]
    TopicSchemaRefused(Vec<Problem>),
    #[error("there is no such subscription")]
    SubscriptionNotFound,
    #[error("a subscription of this name exists")]
    SubscriptionNameTaken,
    #[error("the subscription is fed in another way")]
    SubscriptionModeMismatch,
    #[error("the subscriber has as many subscriptions as it may have")]
    TooManySubscriptions,
    #[error("the address must be https to a host that the operator has registered")]
    WebhookAddressNotAllowed,

    // Mailboxes (hộp thư liên cơ quan).
    #[error("there is no such mailbox")]
    MailboxNotFound,
    #[error("there is a mailbox between these two")]
    MailboxExists,
    #[error("there is no such message")]
    MessageNotFound,
    #[error("the mailbox is full; send again later")]
    MailboxFull,
    #[error("the message was given up")]
    MessageDead,
    #[error("the caller is on the other side of this mailbox")]
    NotAParty,

    // Partners (đối tác).
    #[error("this installation has no connection to the partner")]
    PartnerNotConfigured(Partner),
    /// The call came to nothing.
    #[error("{}", outcome(.1))]
    PartnerCall(Partner, #[source] CallError),
    #[error("there is no such delivery")]
    DeliveryNotFound,
    #[error("only a delivery that failed or was given up can be sent again")]
    DeliveryNotRedrivable,
    #[error("a later delivery about the same matter exists")]
    DeliverySuperseded,
    #[error("the case cannot be told to the portal")]
    CaseNotMappable(#[from] NotMappable),
    #[error("a later version of the case was handed in already")]
    CaseVersionSuperseded,
    /// The number that a case is handed in with is no version of a case; the highest that is one.
    #[error("a case's version is 1 to {0}, as one-stop answered it")]
    NotAVersion(i64),
    #[error("there is no such payment order")]
    PaymentOrderNotFound,
    /// Not paid, or back already; its state.
    #[error("only an order that is paid and not given back can be given back")]
    PaymentNotRefundable(i16),
    #[error("the order is being given back")]
    PaymentRefundOrdered,
    #[error("there is no such registration")]
    RegistrationNotFound,

    // Synchronisation with the national portal (đồng bộ, đối soát).
    #[error("the portal was never told of such a case")]
    SynchronisationNotFound,
    #[error("this installation reads no cases from one-stop")]
    OneStopNotConfigured,
    #[error("this installation reads no entries from the civil registry")]
    CivilRegistryNotConfigured,
    #[error("there is no such reconciliation")]
    ReconciliationNotFound,
    #[error("these days are no period that is compared")]
    NotAPeriod(NotAPeriod),
    #[error("there is no such difference")]
    DifferenceNotFound,
    #[error("the difference is being repaired, was repaired, or was settled")]
    DifferenceClosed,
    #[error("handing the case in again cannot mend this difference; find out what it is, and settle it")]
    DifferenceNotRepairable,

    // Of all areas.
    /// It changed since it was read.
    #[error("it changed since it was read; read it again and repeat")]
    StaleEtag,
    /// A field is wrong in a way that the contract's rules cannot say.
    #[error("{field}: {en}")]
    Field {
        field: &'static str,
        vi: &'static str,
        en: &'static str,
    },
    /// What is stored sealed cannot be read. A fault of ours.
    #[error("what is stored cannot be read")]
    Unreadable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A fault of another part of the platform, passed on as it is.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What a caller is told of a call to a partner that came to nothing.
const fn outcome(error: &CallError) -> &'static str {
    match error {
        CallError::NotSent(_) => "nothing reached the partner; try again later",
        CallError::Unknown(_) => "the outcome at the partner is not known; send the same request again under its id",
        CallError::Refused { .. } => "the partner refused the request",
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::State(state) => Self::AgreementState(state),
            Refusal::AlreadySigned => Self::AlreadySigned,
            Refusal::SuspendedByOther => Self::SuspendedByOther,
            Refusal::NotDelegable => Self::NotDelegable,
            Refusal::DelegationBeyond => Self::DelegationRefused,
            Refusal::NoDelegation => Self::DelegationNotFound,
        }
    }
}

impl From<IsDead> for Error {
    fn from(_: IsDead) -> Self {
        Self::MessageDead
    }
}

impl From<NotDone> for Error {
    fn from(why: NotDone) -> Self {
        match why {
            NotDone::Closed => Self::DifferenceClosed,
            NotDone::NotRepairable => Self::DifferenceNotRepairable,
        }
    }
}

#[cfg(test)]
mod tests {
    use egov_fault::{Code, INVALID_FIELD};
    use egov_partners::outcome::NotSent;

    use super::*;

    #[test]
    fn every_refusal_has_its_reason_and_both_languages() {
        let unreachable = CallError::NotSent(NotSent::NoConnection);
        let refused = CallError::Refused {
            code: "E7".to_owned(),
            text: "SECRET".to_owned(),
        };
        let errors = [
            (Error::OrganisationNotFound, "ORGANISATION_NOT_FOUND"),
            (Error::AgreementState(State::Draft), "AGREEMENT_STATE"),
            (Error::SignatureRefused(SignatureRefusal::Invalid), "SIGNATURE_REFUSED"),
            (Error::TermsRefused(Vec::new()), "TERMS_REFUSED"),
            (Error::EventDataRefused(Vec::new()), "EVENT_DATA_REFUSED"),
            (
                Error::InterfaceRefused(vec!["it describes no service".to_owned()]),
                "INTERFACE_REFUSED",
            ),
            (Error::NotAParty, "NOT_A_PARTY"),
            (Error::from(IsDead), "MESSAGE_DEAD"),
            (Error::OneStopNotConfigured, "ONE_STOP_NOT_CONFIGURED"),
            (Error::from(NotDone::Closed), "DIFFERENCE_CLOSED"),
            (Error::from(NotDone::NotRepairable), "DIFFERENCE_NOT_REPAIRABLE"),
            (Error::from(NotMappable::Missing("case_code")), "CASE_NOT_MAPPABLE"),
            (
                Error::PartnerCall(Partner::PopulationRegister, unreachable),
                "PARTNER_UNAVAILABLE",
            ),
            (
                Error::PartnerCall(Partner::PopulationRegister, refused),
                "PARTNER_REFUSED",
            ),
        ];
        for (error, reason) in errors {
            let fault = Fault::from(error);
            assert_eq!((fault.reason(), fault.error_domain()), (reason, DOMAIN));
            assert!(!fault.vi().is_empty() && !fault.en().is_empty());
            assert!(!format!("{fault} {fault:?} {}", fault.vi()).contains("SECRET"));
        }
        // What every area has is no reason of this service's.
        let stale = Fault::from(Error::StaleEtag);
        assert_eq!(
            (stale.reason(), stale.error_domain()),
            ("STALE_ETAG", egov_fault::DOMAIN)
        );
        let overtaken = Fault::from(Error::from(StoreError::Overtaken("agreements")));
        assert_eq!(
            (overtaken.code(), overtaken.reason()),
            (Code::Aborted, "CONCURRENT_WRITE")
        );
    }

    #[test]
    fn a_refusal_says_what_it_is_about() {
        let unreadable = Fault::from(Error::InterfaceRefused(vec!["it describes no service".to_owned()]));
        assert_eq!(unreadable.violations()[0].en, "it describes no service");
        let state = Fault::from(Error::AgreementState(State::Draft));
        assert_eq!(state.metadata()["state"], "draft");
        let error = EventError {
            attribute: "id",
            vi: "thiếu",
            en: "is missing",
        };
        let event = Fault::from(Error::EventInvalid { index: 3, error });
        assert_eq!(
            (event.vi(), event.en(), event.metadata()["field"].as_str()),
            ("events[3].id: thiếu", "events[3].id: is missing", "events[3].id")
        );
        let schema = Fault::from(Error::EventSchemaMismatch { index: 0 });
        assert_eq!(
            schema.en(),
            "events[0].data_schema: is not a schema of this topic, or not accepted any more"
        );
        assert!(schema.vi().starts_with("events[0].data_schema: "));
        let away = CallError::NotSent(NotSent::NoConnection);
        let away = Fault::from(Error::PartnerCall(Partner::PaymentPlatform, away));
        assert_eq!(away.metadata()["partner"], Partner::PaymentPlatform.name());
        assert_eq!(away.metadata()["problem"], "no_connection");
        assert!(Fault::from(Error::MailboxFull).retry_delay().is_some());
        let named = Fault::from(Error::AgencyCodeUnconfirmed {
            code: "H41.7".to_owned(),
            named: Some(7),
        });
        assert_eq!(named.metadata()["named_unit_id"], "7");
        assert!(named.en().contains("H41.7"));
        for wrong in [
            Error::NotAVersion(9),
            Error::NotAPeriod(NotAPeriod::TooLong),
            Error::Field {
                field: "sha256",
                vi: "sai",
                en: "is wrong",
            },
        ] {
            let fault = Fault::from(wrong);
            assert_eq!(fault.reason(), INVALID_FIELD);
            assert_eq!(fault.violations().len(), 1);
        }
    }
}
