//! Who a citizen is: the assertion of a trusted issuer (RFC 7523, section 2.1), and the citizen whom it means.

use egov_auth::Assurance;
use egov_clock::Clock as _;
use egov_codes::PersonalNumber;
use egov_database::UnitOfWork;
use egov_fault::Fault;
use uuid::Uuid;

use super::token_grants::{Refused, refuse};
use crate::config::signed;
use crate::domain::assertion::{self, Assertion, Rules};
use crate::domain::oauth::OAuthError;
use crate::identity::Identity;
use crate::store;
use crate::store::citizens::SealedNumber;

/// For what a personal number is sealed.
pub(crate) fn sealed_for(citizen_id: Uuid) -> Vec<u8> {
    [b"egov.identity.personal_number".as_slice(), citizen_id.as_bytes()].concat()
}

/// A believed assertion about a citizen.
pub(crate) struct Vouched {
    pub(crate) issuer: String,
    pub(crate) assertion: Assertion,
    pub(crate) assurance: Assurance,
    personal_number: Option<PersonalNumber>,
}

/// Believes the assertion of a trusted issuer, or says why not.
pub(crate) async fn vouched(identity: &Identity, assertion: &str) -> Result<Vouched, Refused> {
    let denied = |reason: String| refuse(OAuthError::InvalidGrant, reason);
    let (issuer, key_id) = assertion::named_issuer(assertion).map_err(|refusal| denied(refusal.to_string()))?;
    let trusted = identity
        .issuers
        .find(&issuer)
        .ok_or_else(|| denied("the issuer of the assertion is not trusted here".to_owned()))?;
    let keys = trusted
        .keys(key_id.as_deref(), identity.clock.now())
        .await
        .ok_or_else(|| {
            refuse(
                OAuthError::TemporarilyUnavailable,
                "the keys of the assertion's issuer cannot be fetched",
            )
        })?;
    let tokens = &identity.settings.tokens;
    let believed = assertion::verify(
        assertion,
        &keys,
        &Rules {
            issuer: trusted.name(),
            subject: None,
            audiences: &identity.audiences(),
            now: identity.clock.now(),
            skew: signed(tokens.skew),
            longest: signed(tokens.assertion_lifetime),
        },
    )
    .map_err(|refusal| denied(refusal.to_string()))?;
    let personal_number = trusted
        .personal_number(&believed.claims)
        .map(str::parse::<PersonalNumber>)
        .transpose()
        .map_err(|_| denied("the personal number has not the form of one".to_owned()))?;
    Ok(Vouched {
        issuer,
        assurance: trusted.assurance(&believed.claims),
        assertion: believed,
        personal_number,
    })
}

/// The citizen whom an assertion means: the one whom the issuer has called so before, or the one with the same personal
/// number, or a new one. An issuer that suddenly gives another number for the same subject is not believed.
pub(crate) async fn find_or_make(
    identity: &Identity,
    write: &mut UnitOfWork<'_>,
    vouched: &Vouched,
) -> Result<Result<Uuid, &'static str>, Fault> {
    let now = write.now();
    let digests = &identity.digests;
    let subject = digests.subject(&vouched.issuer, &vouched.assertion.subject);
    store::citizens::take_turn(write.conn(), &subject).await?;
    let number = vouched
        .personal_number
        .as_ref()
        .map(|number| (number, digests.personal_number(number.reveal())));
    if let Some((_, digest)) = &number {
        store::citizens::take_turn(write.conn(), digest).await?;
    }

    let known = store::citizens::by_subject(write.conn(), &vouched.issuer, &subject).await?;
    if let Some(known) = known {
        let Some((number, digest)) = &number else {
            return Ok(Ok(known.citizen_id));
        };
        match known.personal_number_digest {
            Some(before) if before == *digest => {}
            Some(_) => return Ok(Err("the personal number of the subject has changed")),
            None => {
                let taken = store::citizens::by_personal_number(write.conn(), digest).await?;
                if taken.is_some() {
                    return Ok(Err("the personal number belongs to another subject"));
                }
                let (sealed, key_id) = seal(identity, known.citizen_id, number);
                let number = SealedNumber {
                    sealed: &sealed,
                    key_id: &key_id,
                    digest,
                };
                store::citizens::set_number(write.conn(), known.citizen_id, number).await?;
            }
        }
        return Ok(Ok(known.citizen_id));
    }

    let same_person = match &number {
        Some((_, digest)) => store::citizens::by_personal_number(write.conn(), digest).await?,
        None => None,
    };
    let citizen_id = match same_person {
        Some(citizen_id) => citizen_id,
        None => {
            let citizen_id = write.new_id();
            let sealed = number
                .as_ref()
                .map(|(number, digest)| (seal(identity, citizen_id, number), digest));
            let number = sealed
                .as_ref()
                .map(|((sealed, key_id), digest)| SealedNumber { sealed, key_id, digest });
            store::citizens::insert(write.conn(), citizen_id, number, now).await?;
            citizen_id
        }
    };
    store::citizens::insert_identity(write.conn(), &vouched.issuer, &subject, citizen_id, now).await?;
    Ok(Ok(citizen_id))
}

fn seal(identity: &Identity, citizen_id: Uuid, number: &PersonalNumber) -> (Vec<u8>, String) {
    identity
        .sealer()
        .seal(number.reveal().as_bytes(), &sealed_for(citizen_id))
}
