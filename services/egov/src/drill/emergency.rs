//! A key is lost: it is withdrawn, and everybody's tokens are revoked.

use std::time::Instant;

use egov_proto::egov::identity::v1::{
    KeyPurpose, ListRevocationsRequest, RevocationScope, RevokeAllTokensRequest, RotateSigningKeyRequest,
    WithdrawSigningKeyRequest,
};
use tokio_util::sync::CancellationToken;

use super::{
    At, Hall, Held, Protocol, Seen, SignedIn, done, key_of, must_refuse, request_id, sign_in, signed_by, watched,
    with_invented_key,
};

/// Why, in the record.
const REASON: &str = "diễn tập: khoá bị lộ";

/// Tokens that name invented keys, sent to each service before the second withdrawal.
const FLOOD: usize = 20;

fn withdrawal(key_id: &str) -> WithdrawSigningKeyRequest {
    WithdrawSigningKeyRequest {
        request_id: request_id(),
        key_id: key_id.to_owned(),
        reason: REASON.to_owned(),
    }
}

fn revocation(scope: RevocationScope, end_sessions: bool) -> RevokeAllTokensRequest {
    RevokeAllTokensRequest {
        request_id: request_id(),
        scope: scope.into(),
        end_sessions,
        reason: REASON.to_owned(),
    }
}

/// Withdraws a key beside another, then the only one, then revokes everybody.
pub(super) async fn rehearse(hall: &Hall, protocol: &mut Protocol) -> anyhow::Result<()> {
    let mut signed_in = sign_in(hall, protocol).await?;
    let stolen = signed_in.key.clone();
    let clerk = signed_in
        .held
        .iter()
        .find(|held| held.name == "clerk")
        .map_or("", |held| &held.token);
    let outcome = hall.keys(clerk).withdraw_signing_key(withdrawal(&stolen)).await;
    protocol.step(
        "a clerk tries to withdraw the key",
        "refused with PERMISSION_MISSING",
        must_refuse(outcome, "PERMISSION_MISSING"),
    );
    let second = another_key(hall, protocol, &signed_in).await?;
    beside_another(hall, protocol, &mut signed_in, &stolen, &second).await?;
    let third = the_only_one(hall, protocol, &mut signed_in, &second.1).await?;
    of_everybody(hall, protocol, signed_in, third).await
}

/// A second key signs: what it signed must go on.
async fn another_key(hall: &Hall, protocol: &mut Protocol, signed_in: &SignedIn) -> anyhow::Result<(Held, String)> {
    let request = RotateSigningKeyRequest {
        request_id: request_id(),
        purpose: KeyPurpose::TokenSigning.into(),
    };
    let second = done(hall.keys(&signed_in.admin).rotate_signing_key(request).await)?.key_id;
    let issued = signed_by(hall, &second, Instant::now()).await?;
    let Some((held, _)) = issued else {
        anyhow::bail!("the second key does not sign")
    };
    let mut seen = hall.all_accepted(std::slice::from_ref(&held)).await;
    seen.text = format!("{}, key {second}", seen.text);
    protocol.step(
        "a second key is made, and signs",
        "its token is accepted at both services",
        seen,
    );
    Ok((held, second))
}

/// One of two keys is withdrawn.
async fn beside_another(
    hall: &Hall,
    protocol: &mut Protocol,
    signed_in: &mut SignedIn,
    stolen: &str,
    (other, second): &(Held, String),
) -> anyhow::Result<()> {
    let stop = CancellationToken::new();
    let watching = hall.watch(other.clone(), stop.clone());
    let request = withdrawal(stolen);
    let acting = async {
        let outcome = done(hall.keys(&signed_in.admin).withdraw_signing_key(request.clone()).await);
        let since = Instant::now();
        let seen = hall.until(&signed_in.held, false, since).await;
        stop.cancel();
        anyhow::Ok((outcome?, seen))
    };
    let (outcome, watched_other) = tokio::join!(acting, watching);
    let (answer, mut seen) = outcome?;
    seen.passed &= answer.signing_key_id == *second && !answer.key_made;
    protocol.step(
        "the administrator withdraws the stolen key",
        "every token of it is refused at both services",
        seen,
    );
    protocol.step(
        "a token of the other key is used all the while",
        "never refused",
        watched(watched_other),
    );
    let published = hall.published().await?;
    // The feed is public: it holds ids only.
    let feed = done(
        egov_proto::egov::identity::v1::key_service_client::KeyServiceClient::new(hall.channel.clone())
            .list_revocations(ListRevocationsRequest { after: 0 })
            .await,
    )?;
    protocol.step(
        "the published keys and the feed are read",
        "the stolen key is in the feed, and not among the published",
        Seen::whether(
            published == [second.as_str()] && feed.withdrawn_key_ids == [stolen],
            format!(
                "published: {}; withdrawn: {}",
                published.join(", "),
                feed.withdrawn_key_ids.join(", ")
            ),
        ),
    );
    let (token, next) = hall
        .refresh(&signed_in.clerk_session)
        .await
        .map_err(|status| crate::reach::refused(&status))?;
    signed_in.clerk_session = next;
    let renewed = Held { name: "clerk", token };
    let mut seen = hall.until(std::slice::from_ref(&renewed), true, Instant::now()).await;
    seen.passed &= key_of(&renewed.token)? == *second;
    protocol.step(
        "the official's session goes on",
        "a token of the other key, accepted at both services",
        seen,
    );
    signed_in.held = vec![renewed];

    // The administrator's token was of the stolen key too.
    renew_admin(hall, signed_in).await?;
    let again = done(hall.keys(&signed_in.admin).withdraw_signing_key(request).await)?;
    protocol.step(
        "the same request again",
        "the same answer",
        Seen::whether(again == answer, again.signing_key_id),
    );
    let outcome = hall
        .keys(&signed_in.admin)
        .withdraw_signing_key(withdrawal(stolen))
        .await;
    protocol.step(
        "another request to withdraw it",
        "refused with KEY_ALREADY_WITHDRAWN",
        must_refuse(outcome, "KEY_ALREADY_WITHDRAWN"),
    );
    Ok(())
}

async fn renew_admin(hall: &Hall, signed_in: &mut SignedIn) -> anyhow::Result<()> {
    (signed_in.admin, signed_in.admin_session) = hall
        .refresh(&signed_in.admin_session)
        .await
        .map_err(|status| crate::reach::refused(&status))?;
    Ok(())
}

/// The only key is withdrawn while somebody sends invented key ids. Answers with tokens of the key that was made.
async fn the_only_one(
    hall: &Hall,
    protocol: &mut Protocol,
    signed_in: &mut SignedIn,
    second: &str,
) -> anyhow::Result<Held> {
    let system = hall.token("system").await?;
    let mut doomed = signed_in.held.clone();
    doomed.push(system.clone());
    let mut refused = 0;
    for _ in 0..FLOOD {
        let invented = Held {
            name: "system",
            token: with_invented_key(&system.token)?,
        };
        for at in [At::Identity, At::OneStop] {
            refused += usize::from(hall.judge(at, &invented).await == Err("TOKEN_UNKNOWN_KEY".to_owned()));
        }
    }
    protocol.step(
        "invented key ids are sent to both services",
        "refused, and the keys are fetched for them at most every five seconds",
        Seen::whether(refused == 2 * FLOOD, format!("{refused} of {} refused", 2 * FLOOD)),
    );
    let answer = done(
        hall.keys(&signed_in.admin)
            .withdraw_signing_key(withdrawal(second))
            .await,
    )?;
    let since = Instant::now();
    let fresh = hall.token("system").await?;
    let (void, good) = tokio::join!(
        hall.until(&doomed, false, since),
        hall.until(std::slice::from_ref(&fresh), true, since)
    );
    protocol.step(
        "the administrator withdraws the only key",
        "every token of it is refused at both services",
        void,
    );
    let published = hall.published().await?;
    protocol.step(
        "the published keys are read",
        "one key, made in the same act",
        Seen::whether(
            answer.key_made && published == [answer.signing_key_id.as_str()],
            published.join(", "),
        ),
    );
    let mut good = good;
    good.passed &= key_of(&fresh.token)? == answer.signing_key_id;
    protocol.step(
        "the first token of the new key is used, during the flood",
        "accepted at both services as soon as the feed was heard",
        good,
    );
    renew_admin(hall, signed_in).await?;
    let (token, next) = hall
        .refresh(&signed_in.clerk_session)
        .await
        .map_err(|status| crate::reach::refused(&status))?;
    signed_in.clerk_session = next;
    signed_in.held = vec![Held { name: "clerk", token }];
    Ok(fresh)
}

/// Tokens of a kind, then of everybody, are revoked.
async fn of_everybody(hall: &Hall, protocol: &mut Protocol, signed_in: SignedIn, system: Held) -> anyhow::Result<()> {
    let SignedIn {
        admin,
        clerk_session,
        held: clerk,
        ..
    } = signed_in;
    // What was issued just now must have been heard of before it is watched.
    let ready = hall.until(&clerk, true, Instant::now()).await;
    let clerk_token = clerk.first().map_or("", |held| &held.token);
    let outcome = hall
        .keys(clerk_token)
        .revoke_all_tokens(revocation(RevocationScope::Everybody, true))
        .await;
    let mut seen = must_refuse(outcome, "PERMISSION_MISSING");
    seen.passed &= ready.passed;
    protocol.step(
        "a clerk tries to revoke everybody's tokens",
        "refused with PERMISSION_MISSING",
        seen,
    );

    done(
        hall.keys(&admin)
            .revoke_all_tokens(revocation(RevocationScope::Systems, false))
            .await,
    )?;
    let seen = hall.until(std::slice::from_ref(&system), false, Instant::now()).await;
    protocol.step(
        "the tokens of all systems are revoked",
        "refused at both services",
        seen,
    );
    protocol.step(
        "an official's token is used",
        "accepted at both services",
        hall.all_accepted(&clerk).await,
    );
    let answer = done(
        hall.keys(&admin)
            .revoke_all_tokens(revocation(RevocationScope::Everybody, true))
            .await,
    )?;
    let since = Instant::now();
    let mut seen = hall.until(&clerk, false, since).await;
    seen.text = format!("{}; {} sessions ended", seen.text, answer.sessions_ended);
    seen.passed &= answer.sessions_ended == 2;
    protocol.step(
        "everybody's tokens are revoked and sessions ended",
        "the official is refused at both services; two sessions ended",
        seen,
    );
    protocol.step(
        "the official tries to go on with the session",
        "refused with REFRESH_TOKEN_INVALID",
        must_refuse(hall.refresh(&clerk_session).await, "REFRESH_TOKEN_INVALID"),
    );
    let (token, _) = hall.callers.sign_in_anew("clerk").await?;
    let anew = [
        Held { name: "clerk", token },
        hall.token("citizen").await?,
        hall.token("system").await?,
        hall.token("portal").await?,
    ];
    let seen = hall.until(&anew, true, Instant::now()).await;
    protocol.step("everybody signs in anew", "accepted at both services", seen);
    Ok(())
}
