//! BeginFederatedSignIn and CompleteFederatedSignIn: a member of staff signs in at the issuer of their agency.
//!
//! No connection is held while the issuer is asked. The attempt is counted before, so that a state reaches the issuer no more often
//! than it may, however many answers come at once. The answer is judged; then one transaction uses the sign-in up, finds the account
//! and opens the session. Of two completions at once one wins at the row of the sign-in; a process that is killed before the commit
//! leaves the sign-in as it was, but for the attempt.

use egov_clock::Clock as _;
use egov_database::UnitOfWork;
use egov_fault::Fault;
use egov_proto::egov::identity::v1::{
    BeginFederatedSignInRequest, BeginFederatedSignInResponse, CompleteFederatedSignInRequest,
    CompleteFederatedSignInResponse,
};
use egov_proto::timestamp;
use secrecy::SecretString;
use uuid::Uuid;

use super::issuers::sealed_for;
use super::issuing::{Opened, open_session};
use super::recording::{About, record};
use crate::config::signed;
use crate::domain::federated_sign_in::{Asked, Flow, LIFETIME, authorization_url};
use crate::domain::id_token::{IdTokenRefusal, Person, Rules, Unverified};
use crate::domain::issuer::FederatedIssuer;
use crate::domain::record::RecordKind;
use crate::domain::secret::{self, SecretHash, SecretKind};
use crate::error::IdentityError;
use crate::federation::{ClientProof, Grant};
use crate::identity::{Identity, nobody_yet};
use crate::store;

/// Makes the secrets of a sign-in and the address at the issuer.
pub(crate) async fn begin(
    identity: &Identity,
    request: &BeginFederatedSignInRequest,
) -> Result<BeginFederatedSignInResponse, Fault> {
    let issuer = identity
        .database
        .read(&nobody_yet(), async |conn| {
            store::federation::issuer_by_url(conn, &request.issuer).await
        })
        .await?
        .ok_or(IdentityError::IssuerNotFound)?;
    if issuer.disabled {
        return Err(IdentityError::IssuerDisabled.into());
    }
    if !issuer.settings.redirect_uris.contains(&request.redirect_uri) {
        return Err(IdentityError::RedirectUriRefused.into());
    }
    let metadata = identity
        .federation
        .metadata(&issuer, identity.clock.now())
        .await
        .map_err(IdentityError::from)?;

    let ids = &**identity.database.ids();
    let (state, binding) = (secret::new_secret(ids), secret::new_secret(ids));
    let nonce = identity.digests.nonce(&state, &binding);
    let verifier = identity.digests.code_verifier(&state, &binding);
    let expire_time = identity
        .database
        .write_unkeyed(&nobody_yet(), async |write| {
            let now = write.now();
            let under_way = store::federation::under_way(write.conn(), issuer.issuer_id, now).await?;
            if under_way >= i64::from(identity.settings.federation.under_way) {
                return Err(Fault::from(IdentityError::Overloaded));
            }
            let flow = Flow {
                issuer_id: issuer.issuer_id,
                redirect_uri: request.redirect_uri.clone(),
                binding_hash: secret::hash(SecretKind::Binding, &binding),
                begin_time: now,
                expire_time: now.checked_add(LIFETIME).unwrap_or(now),
                attempts: 0,
                used_time: None,
            };
            store::federation::begin(write.conn(), &secret::hash(SecretKind::State, &state), &flow).await?;
            Ok(flow.expire_time)
        })
        .await?;
    let asked = Asked {
        redirect_uri: &request.redirect_uri,
        state: &state,
        nonce: &nonce,
        verifier: &verifier,
    };
    Ok(BeginFederatedSignInResponse {
        authorization_url: authorization_url(&metadata, &issuer, &asked),
        binding,
        expire_time: Some(timestamp(expire_time)),
    })
}

/// A sign-in that can be completed, with its issuer and the sealed secret.
struct Pending {
    flow: Flow,
    issuer: FederatedIssuer,
    secret: Option<SecretString>,
}

/// Takes the issuer's answer and opens a session, or gives the challenge for the one-time code.
pub(crate) async fn complete(
    identity: &Identity,
    request: &CompleteFederatedSignInRequest,
    client_hint: &str,
) -> Result<CompleteFederatedSignInResponse, Fault> {
    let state_hash = secret::hash(SecretKind::State, &request.state);
    let binding_hash = secret::hash(SecretKind::Binding, &request.binding);
    let pending = pending(identity, (&state_hash, &binding_hash), &request.redirect_uri).await?;
    let person = match ask(identity, request, &pending).await? {
        Ok(person) => person,
        Err(refusal) => {
            settle(identity, &state_hash, pending.issuer.issuer_id, &refusal).await?;
            return Err(refusal.error.into());
        }
    };
    // What is refused from here on is recorded, and therefore committed: a refusal is a value in here.
    let outcome = identity
        .database
        .write_unkeyed(&nobody_yet(), async |write| {
            let opened = open(identity, write, (&state_hash, &binding_hash), &person, client_hint).await?;
            if let Err((error, about)) = &opened {
                refused(write, pending.issuer.issuer_id, error, *about).await?;
            }
            Ok::<_, Fault>(opened)
        })
        .await?;
    outcome.map_err(|(error, _)| error.into())
}

/// The sign-in of this state and binding whose answer arrived where it was to; the attempt is counted. Whatever is wrong with them
/// looks the same, and is not recorded: both are 256 bits of chance, so a wrong one is no guess at anybody's account.
async fn pending(
    identity: &Identity,
    (state_hash, binding_hash): (&SecretHash, &SecretHash),
    redirect_uri: &str,
) -> Result<Pending, Fault> {
    let (flow, issuer, sealed) = identity
        .database
        .write_unkeyed(&nobody_yet(), async |write| {
            let now = write.now();
            let flow = store::federation::lock_flow(write.conn(), state_hash)
                .await?
                .filter(|flow| flow.can_be_attempted(binding_hash, redirect_uri, now))
                .ok_or(IdentityError::FederatedStateRefused)?;
            let issuer = store::federation::issuer(write.conn(), flow.issuer_id)
                .await?
                .ok_or_else(|| Fault::internal("a sign-in without its issuer"))?;
            if issuer.disabled {
                return Err(Fault::from(IdentityError::IssuerDisabled));
            }
            let sealed = store::federation::sealed_secret(write.conn(), flow.issuer_id).await?;
            store::federation::count_attempt(write.conn(), state_hash).await?;
            Ok((flow, issuer, sealed))
        })
        .await?;
    let secret = sealed
        .map(|secret| {
            let plain = identity.sealer().open(&secret.sealed, &sealed_for(issuer.issuer_id))?;
            String::from_utf8(plain)
                .map(SecretString::from)
                .map_err(Fault::internal)
        })
        .transpose()?;
    Ok(Pending { flow, issuer, secret })
}

/// Why an answer was not accepted.
struct Refusal {
    error: IdentityError,
    /// Whether the code had been sent to the issuer.
    code_sent: bool,
}

impl Refusal {
    fn before(error: impl Into<IdentityError>) -> Self {
        Self {
            error: error.into(),
            code_sent: false,
        }
    }

    fn after(error: impl Into<IdentityError>) -> Self {
        Self {
            error: error.into(),
            code_sent: true,
        }
    }

    /// Nobody's fault: the issuer does not answer, or could not be asked at all. The same code can be sent again.
    fn takes_attempt_back(&self) -> bool {
        match self.error {
            IdentityError::IssuerUnavailable => true,
            IdentityError::IssuerUnusable(_) => !self.code_sent,
            _ => false,
        }
    }
}

/// Whom the issuer means: the answer's own issuer, the code, the ID token, in this order. A refusal is a value; a failure of ours
/// is a fault.
async fn ask(
    identity: &Identity,
    request: &CompleteFederatedSignInRequest,
    pending: &Pending,
) -> Result<Result<Person, Refusal>, Fault> {
    let issuer = &pending.issuer;
    let metadata = match identity.federation.metadata(issuer, identity.clock.now()).await {
        Ok(metadata) => metadata,
        Err(error) => return Ok(Err(Refusal::before(error))),
    };
    // RFC 9207, before the code is sent anywhere: it may be another issuer's.
    if !metadata.answers_for(&request.iss) {
        let error = IdentityError::IdTokenRefused(IdTokenRefusal::Issuer);
        return Ok(Err(Refusal::before(error)));
    }
    // The metadata may have come from far away: the assertion counts from now.
    let now = identity.clock.now();
    let verifier = identity.digests.code_verifier(&request.state, &request.binding);
    let grant = Grant {
        code: &request.code,
        redirect_uri: &pending.flow.redirect_uri,
        verifier: &verifier,
        proof: ClientProof::new(
            issuer,
            pending.secret.clone(),
            &identity.client_keys.at(now),
            identity.database.ids().uuid(),
            now,
        )?,
    };
    let exchanged = match identity.federation.exchange(issuer, &metadata, &grant).await {
        Ok(exchanged) => exchanged,
        Err(error) => return Ok(Err(Refusal::after(error))),
    };
    let settings = &issuer.settings;
    let token = match Unverified::parse(&exchanged.id_token, &settings.algorithms) {
        Ok(token) => token,
        Err(refusal) => return Ok(Err(Refusal::after(IdentityError::IdTokenRefused(refusal)))),
    };
    let keys = match identity
        .federation
        .keys(issuer, &metadata, token.key_id(), identity.clock.now())
        .await
    {
        Ok(keys) => keys,
        Err(error) => return Ok(Err(Refusal::after(error))),
    };
    let nonce = identity.digests.nonce(&request.state, &request.binding);
    let rules = Rules {
        issuer: &issuer.issuer,
        client_id: &settings.client_id,
        nonce: &nonce,
        access_token: exchanged.access_token.as_deref(),
        began: pending.flow.begin_time,
        // After all that was asked: a token that was issued meanwhile is not of the future.
        now: identity.clock.now(),
        skew: signed(identity.settings.tokens.skew),
        longest_auth_age: settings.longest_auth_age(),
        second_factor_acr: &settings.second_factor_acr,
        second_factor_amr: &settings.second_factor_amr,
    };
    let verified = token.verify(&keys, &rules);
    Ok(verified.map_err(|refusal| Refusal::after(IdentityError::IdTokenRefused(refusal))))
}

/// Takes the attempt back if it was nobody's fault; records a refused answer.
async fn settle(identity: &Identity, state_hash: &SecretHash, issuer_id: Uuid, refusal: &Refusal) -> Result<(), Fault> {
    identity
        .database
        .write_unkeyed(&nobody_yet(), async |write| {
            if refusal.takes_attempt_back() {
                return store::federation::take_attempt_back(write.conn(), state_hash).await;
            }
            refused(write, issuer_id, &refusal.error, About::default()).await
        })
        .await
}

async fn refused(
    write: &mut UnitOfWork<'_>,
    issuer_id: Uuid,
    error: &IdentityError,
    about: About,
) -> Result<(), Fault> {
    record(
        write,
        RecordKind::SignInRefused,
        about,
        format!("issuer {issuer_id}: {error}"),
    )
    .await
}

/// The one transaction: the sign-in is used up, and there is a session or a challenge. A refusal comes with whom it concerns, as far
/// as that is known.
async fn open(
    identity: &Identity,
    write: &mut UnitOfWork<'_>,
    (state_hash, binding_hash): (&SecretHash, &SecretHash),
    person: &Person,
    client_hint: &str,
) -> Result<Result<CompleteFederatedSignInResponse, (IdentityError, About)>, Fault> {
    let now = write.now();
    // Once more, now that the row is locked until the commit: of two answers at once one is refused.
    let flow = store::federation::lock_flow(write.conn(), state_hash).await?;
    let Some(flow) = flow.filter(|flow| flow.can_be_completed(binding_hash, now)) else {
        return Ok(Err((IdentityError::FederatedStateRefused, About::default())));
    };
    store::federation::use_flow(write.conn(), state_hash, now).await?;
    // As it is now: it may have been disabled or changed while it was asked.
    let issuer = store::federation::hold_issuer(write.conn(), flow.issuer_id)
        .await?
        .ok_or_else(|| Fault::internal("a sign-in without its issuer"))?;
    if issuer.disabled {
        return Ok(Err((IdentityError::IssuerDisabled, About::default())));
    }
    let issuer_id = issuer.issuer_id;
    let subject = identity.digests.staff_subject(&issuer_id.to_string(), &person.subject);
    let Some(account_id) = store::federation::account_of(write.conn(), issuer_id, &subject).await? else {
        return Ok(Err((IdentityError::IdentityNotLinked, About::default())));
    };
    let member = store::federation::member(write.conn(), account_id)
        .await?
        .ok_or_else(|| Fault::internal("a link without its account"))?;
    let about = About {
        subject: Some(account_id),
        unit: Some(member.unit_id),
        actor: None,
    };
    if member.disabled {
        return Ok(Err((IdentityError::AccountClosed, about)));
    }
    let tree = identity.directory.tree().load_full();
    if !issuer.settings.may_speak_for(member.unit_id, &tree) {
        return Ok(Err((IdentityError::IssuerNotForUnit, about)));
    }
    if person.second_factor {
        let who = Opened {
            account_id,
            unit_id: member.unit_id,
            issuer_id: Some(issuer_id),
        };
        let tokens = open_session(identity, write, who, client_hint).await?;
        return Ok(Ok(CompleteFederatedSignInResponse {
            tokens: Some(tokens),
            challenge: String::new(),
        }));
    }
    if !member.has_authenticator {
        return Ok(Err((IdentityError::SecondFactorMissing, about)));
    }
    let challenge = secret::new_secret(&**identity.database.ids());
    let hash = secret::hash(SecretKind::Challenge, &challenge);
    let expiry = now.checked_add(identity.sessions.challenge).unwrap_or(now);
    store::sessions::insert_challenge(write.conn(), &hash, account_id, expiry, Some(issuer_id)).await?;
    Ok(Ok(CompleteFederatedSignInResponse {
        tokens: None,
        challenge,
    }))
}
