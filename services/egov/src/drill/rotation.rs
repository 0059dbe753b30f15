//! The routine: keys are rotated and nobody notices.

use std::time::{Duration, Instant};

use egov_proto::egov::identity::v1::unit_service_client::UnitServiceClient;
use egov_proto::egov::identity::v1::{
    KeyPurpose, KeyState, KeyringKey, ListKeysRequest, ListUnitsRequest, RotateSigningKeyRequest,
};
use egov_proto::egov::onestop::v1::ListProceduresRequest;
use egov_proto::egov::onestop::v1::procedure_service_client::ProcedureServiceClient;
use tokio_util::sync::CancellationToken;

use crate::keys::state_words;

use super::{
    Hall, PUBLISHED_BEFORE_USE, Protocol, Seen, done, key_of, must_refuse, request_id, sign_in, signed_by, watched,
};

/// Rotates the keys of tokens, of the unit tree, of page tokens, and of the client at issuers of agencies.
pub(super) async fn rehearse(hall: &Hall, protocol: &mut Protocol) -> anyhow::Result<()> {
    let signed_in = sign_in(hall, protocol).await?;
    let (admin, held, old) = (&signed_in.admin, &signed_in.held, &signed_in.key);
    let rotation = |purpose: KeyPurpose| RotateSigningKeyRequest {
        request_id: request_id(),
        purpose: purpose.into(),
    };

    let clerk = held
        .iter()
        .find(|held| held.name == "clerk")
        .map_or("", |held| &held.token);
    let outcome = hall
        .keys(clerk)
        .rotate_signing_key(rotation(KeyPurpose::TokenSigning))
        .await;
    protocol.step(
        "a clerk tries to rotate",
        "refused with PERMISSION_MISSING",
        must_refuse(outcome, "PERMISSION_MISSING"),
    );

    let system = held.iter().find(|held| held.name == "system").cloned();
    let Some(system) = system else {
        anyhow::bail!("no system signed in")
    };
    let stop = CancellationToken::new();
    let watching = hall.watch(system, stop.clone());
    let acting = async {
        let request = rotation(KeyPurpose::TokenSigning);
        // The service counts from a moment between the request and its answer.
        let rotated = Instant::now();
        let new = done(hall.keys(admin).rotate_signing_key(request.clone()).await)?.key_id;
        let published = hall.published().await?;
        protocol.step(
            "the administrator rotates the key of tokens",
            "the new key is published at once, beside the old one",
            Seen::whether(
                published.contains(&new) && published.contains(old),
                format!("published: {}", published.join(", ")),
            ),
        );
        let again = done(hall.keys(admin).rotate_signing_key(request).await)?.key_id;
        protocol.step(
            "the same request again",
            "the same key, and no other is made",
            Seen::whether(again == new && hall.published().await? == published, again),
        );
        let first = hall.token("system").await?;
        let early = rotated.elapsed() < Duration::from_secs(PUBLISHED_BEFORE_USE);
        protocol.step(
            "a token is issued right after it",
            format!("the old key signs it: the new one is published for {PUBLISHED_BEFORE_USE} s first (two minutes in an installation)"),
            // A machine that is slower than that has nothing to see here.
            Seen::whether(!early || key_of(&first.token)? == *old, key_of(&first.token)?),
        );
        let issued = signed_by(hall, &new, rotated).await?;
        let Some((fresh, after)) = issued else {
            anyhow::bail!("the new key does not sign")
        };
        protocol.step(
            "tokens are issued until the new key signs",
            format!("it signs after {PUBLISHED_BEFORE_USE} s"),
            Seen::whether(
                after >= Duration::from_secs(PUBLISHED_BEFORE_USE),
                format!("key {new}, after {} ms", after.as_millis()),
            ),
        );
        let seen = hall.until(&[fresh], true, Instant::now()).await;
        protocol.step(
            "the first token of the new key is used",
            "accepted at both services",
            seen,
        );
        anyhow::Ok(new)
    };
    let stopping = async {
        let outcome = acting.await;
        stop.cancel();
        outcome
    };
    let (outcome, watched_system) = tokio::join!(stopping, watching);
    let new = outcome?;
    protocol.step(
        "a token of the old key is used all the while",
        "never refused",
        watched(watched_system),
    );
    protocol.step(
        "the tokens of the old key are used in its overlap",
        "accepted at both services",
        hall.all_accepted(held).await,
    );
    let request = ListKeysRequest {
        purpose: KeyPurpose::TokenSigning.into(),
    };
    let keys = done(hall.keys(admin).list_keys(request).await)?.keys;
    let state = |id: &str| keys.iter().find(|key| key.key_id == id).map(KeyringKey::state);
    let word = |id: &str| state(id).map_or("not listed", |state| state_words(state).0);
    protocol.step(
        "the keys are listed",
        "the old one overlaps, the new one is in use",
        Seen::whether(
            state(old) == Some(KeyState::Overlapping) && state(&new) == Some(KeyState::InUse),
            format!("{}, {}", word(old), word(&new)),
        ),
    );
    others(hall, protocol, admin).await
}

/// The keys of page tokens and of the tree, of which two services use the first.
async fn others(hall: &Hall, protocol: &mut Protocol, admin: &str) -> anyhow::Result<()> {
    let mut units = UnitServiceClient::new(hall.channel.clone());
    let mut procedures = ProcedureServiceClient::new(hall.channel.clone());
    let of_units = ListUnitsRequest {
        page_size: 1,
        ..ListUnitsRequest::default()
    };
    let of_procedures = ListProceduresRequest {
        page_size: 1,
        ..ListProceduresRequest::default()
    };
    let next_units = done(units.list_units(of_units.clone()).await)?.next_page_token;
    let next_procedures = done(procedures.list_procedures(of_procedures.clone()).await)?.next_page_token;
    for purpose in [KeyPurpose::PageTokens, KeyPurpose::TreeSigning] {
        let request = RotateSigningKeyRequest {
            request_id: request_id(),
            purpose: purpose.into(),
        };
        done(hall.keys(admin).rotate_signing_key(request).await)?;
    }
    let of_units = ListUnitsRequest {
        page_token: next_units,
        ..of_units
    };
    let of_procedures = ListProceduresRequest {
        page_token: next_procedures,
        ..of_procedures
    };
    let second_units = done(units.list_units(of_units).await)?.units.len();
    let second_procedures = done(procedures.list_procedures(of_procedures).await)?.procedures.len();
    protocol.step(
        "the keys of page tokens and of the unit tree are rotated",
        "page tokens of before are good at both services",
        Seen::whether(
            second_units == 1 && second_procedures == 1,
            format!("{second_units} unit and {second_procedures} procedure on the second pages"),
        ),
    );
    client_key(hall, protocol, admin).await?;
    let request = RotateSigningKeyRequest {
        request_id: request_id(),
        purpose: KeyPurpose::LookupSecrets.into(),
    };
    let outcome = hall.keys(admin).rotate_signing_key(request).await;
    protocol.step(
        "the key of look-up secrets is to be rotated",
        "refused with KEY_NOT_ROTATABLE: receipts must be good for years",
        must_refuse(outcome, "KEY_NOT_ROTATABLE"),
    );
    Ok(())
}

/// The key with which the platform proves at issuers of agencies that it is their client: they must find the new one before it signs.
async fn client_key(hall: &Hall, protocol: &mut Protocol, admin: &str) -> anyhow::Result<()> {
    let before = hall.published_to_issuers().await?;
    let purpose = KeyPurpose::ClientAssertions.into();
    let request = RotateSigningKeyRequest {
        request_id: request_id(),
        purpose,
    };
    let new = done(hall.keys(admin).rotate_signing_key(request).await)?.key_id;
    let published = hall.published_to_issuers().await?;
    let keys = done(hall.keys(admin).list_keys(ListKeysRequest { purpose }).await)?.keys;
    let state = |id: &String| keys.iter().find(|key| key.key_id == *id).map(KeyringKey::state);
    let old_signs = before.iter().all(|old| state(old) == Some(KeyState::InUse));
    protocol.step(
        "the key of the client at issuers of agencies is rotated",
        "the new key is published at once, and the old one signs until issuers know it",
        Seen::whether(
            before.len() == 1
                && published == [before.as_slice(), std::slice::from_ref(&new)].concat()
                && old_signs
                && state(&new) == Some(KeyState::Published),
            format!("published: {}", published.join(", ")),
        ),
    );
    Ok(())
}
