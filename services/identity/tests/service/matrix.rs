//! Who may call what, over whose rows: every RPC, by every kind of caller, through the port, compared with the table that was
//! reviewed.

use std::fmt::Write as _;

use egov_auth::Assurance;
use egov_identity::operations::bootstrap::{SystemSpec, ensure_system};
use egov_keyring::Purpose;
use egov_proto::egov::identity::v1::{
    AccountRow, CancelReorganisationRequest, ChangeRoleEndRequest, ClientAuthentication, ConfirmGrantRequest,
    CreateAccountRequest, CreateAccountsRequest, CreateReorganisationRequest, DelegateRoleRequest,
    DisableAccountRequest, DisableAccountsRequest, DisableIssuerRequest, DisableSystemRequest, EndAllSessionsRequest,
    EndDelegationRequest, EndRoleRequest, EndSessionRequest, GetAccountRequest, GetIssuerRequest, GrantRoleRequest,
    IdTokenAlgorithm, IssuerSettings, LinkIdentityRequest, ListAccountsRequest, ListDelegationsRequest,
    ListIdentitiesRequest, ListIssuersRequest, ListKeysRequest, ListMySessionsRequest, ListReorganisationsRequest,
    ListRoleGrantsRequest, ListRoleUnitsRequest, ListRolesRequest, ListSessionsRequest, ListSignInsRequest,
    ListSystemsRequest, PlannedOpening, PlannedUnit, PreviewReorganisationRequest, RegisterIssuerRequest,
    RegisterSystemRequest, ReissueActivationRequest, ReorganisationPlan, ReviewAccessRequest, ReviewEntry,
    RevocationScope, RevokeAllTokensRequest, RevokeTokensRequest, RotateSigningKeyRequest, SignOutRequest, SystemRole,
    UnitKind, UnlinkIdentityRequest, UnlockAccountRequest, UpdateIssuerRequest, WithdrawSigningKeyRequest,
};
use tonic::{Request, Status};
use uuid::Uuid;

use crate::support::{COMMUNE, PASSWORD, PROVINCE, Signer, WARD, World, fresh, reason};

/// Who calls.
#[derive(Clone, Copy, PartialEq)]
enum Who {
    ProvinceAdmin,
    UnitAdmin,
    Staff,
    Citizen,
    System,
    Nobody,
}

const CALLERS: [(&str, Who); 6] = [
    ("province_admin", Who::ProvinceAdmin),
    ("unit_admin", Who::UnitAdmin),
    ("staff", Who::Staff),
    ("citizen", Who::Citizen),
    ("system", Who::System),
    ("no token", Who::Nobody),
];

/// A call in one cell of the table: by whom, and about which fresh account or system.
struct Call<'a> {
    world: &'a World,
    token: Option<String>,
    unit: i32,
    account: Uuid,
    grant: String,
    /// Somebody of the same unit.
    deputy: String,
    /// The account's delegation to the deputy, from tomorrow on.
    delegation: Uuid,
    /// An open session of the account.
    session: Uuid,
    /// An issuer that may speak for the unit.
    issuer: Uuid,
    /// The account's link to it.
    link: Uuid,
    system: Uuid,
    number: usize,
}

impl<'a> Call<'a> {
    async fn prepare(world: &'a World, who: Who, own: bool, number: usize) -> Self {
        let unit = if own { WARD } else { COMMUNE };
        let roles: &[(&str, i32)] = &[("officer", unit)];
        let account = world.person(&format!("target{number}"), unit, roles).await.account_id;
        let grant: Uuid = sqlx::query_scalar("SELECT grant_id FROM role_grants WHERE account_id = $1")
            .bind(account)
            .fetch_one(&mut world.sql().await)
            .await
            .unwrap();
        let deputy = format!("deputy{number}");
        let deputy_id = world.person(&deputy, unit, &[]).await.account_id;
        let id = |kind: u128| Uuid::from_u128(kind + number as u128);
        let (delegation, session) = (id(0xde1e_0000), id(0x5e55_0000));
        let mut sql = world.sql().await;
        sqlx::query(
            "INSERT INTO delegations (delegation_id, grant_id, delegator_id, delegator_name, delegator_unit_id, delegatee_id,
                                      delegatee_name, delegatee_unit_id, effective_from, effective_to, reason,
                                      document_number, create_time)
             VALUES ($1, $2, $3, 'a', $4, $5, 'b', $4, '2026-12-01', '2026-12-02', 'c', 'd', now())",
        )
        .bind(delegation)
        .bind(grant)
        .bind(account)
        .bind(unit)
        .bind(deputy_id)
        .execute(&mut sql)
        .await
        .unwrap();
        sqlx::query(
            "WITH made AS (
                 INSERT INTO sessions (session_id, account_id, create_time, expire_time)
                 VALUES ($1, $2, '2026-11-23', '2030-01-01') RETURNING session_id
             )
             INSERT INTO refresh_tokens (token_hash, session_id, issue_time, expire_time)
             SELECT sha256($1::text::bytea), session_id, '2026-11-23', '2030-01-01' FROM made",
        )
        .bind(session)
        .bind(account)
        .execute(&mut sql)
        .await
        .unwrap();
        let (issuer, link) = (id(0x1550_0000), id(0x1144_0000));
        sqlx::query(
            "INSERT INTO federated_issuers (issuer_id, issuer, title, client_id, client_authentication, redirect_uris, unit_ids,
                                            algorithms, second_factor_acr, second_factor_amr, max_auth_age, version,
                                            create_time, update_time)
             VALUES ($1, 'https://sso.test/' || $2, 'SSO', 'egov', 'none', ARRAY['https://portal.test/' || $2], ARRAY[$3], '{ES256}', '{}',
                     '{}', 0, 1, '2026-11-23', '2026-11-23')",
        )
        .bind(issuer)
        .bind(number as i64)
        .bind(unit)
        .execute(&mut sql)
        .await
        .unwrap();
        sqlx::query(
            "INSERT INTO federated_identities (identity_id, account_id, issuer_id, subject_digest, link_time, linked_by)
             VALUES ($1, $2, $3, sha256($1::text::bytea), '2026-11-23', $2)",
        )
        .bind(link)
        .bind(account)
        .bind(issuer)
        .execute(&mut sql)
        .await
        .unwrap();
        let key = Signer::new().jwk().to_string();
        let spec = SystemSpec {
            client_id: &format!("target{number}"),
            name: "Hệ thống",
            public_jwk: &key,
            roles: &[("one_stop_clerk", 0)],
            acts_for_citizens: false,
        };
        let system = ensure_system(&world.identity, &spec).await.unwrap().system_id;
        // Of one's own: what somebody without administration may do, they may do to the own account.
        let subject = if own { account } else { Uuid::from_u128(77) };
        let tokens = &world.tokens;
        let token = match who {
            Who::ProvinceAdmin => Some(tokens.staff(Uuid::from_u128(1), &[("province_admin", PROVINCE)])),
            Who::UnitAdmin => Some(tokens.staff(Uuid::from_u128(2), &[("unit_admin", WARD)])),
            Who::Staff => Some(tokens.staff(subject, &[("one_stop_clerk", WARD)])),
            Who::Citizen => Some(tokens.citizen(Uuid::from_u128(4), Assurance::High)),
            Who::System => Some(tokens.system(Uuid::from_u128(5), &[("one_stop_clerk", 0)])),
            Who::Nobody => None,
        };
        Self {
            world,
            token,
            unit,
            account,
            grant: grant.to_string(),
            deputy,
            delegation,
            session,
            issuer,
            link,
            system,
            number,
        }
    }

    fn by<T>(&self, message: T) -> Request<T> {
        let mut request = match &self.token {
            Some(token) => crate::support::by(token, message),
            None => Request::new(message),
        };
        let purpose = "access_review".parse().unwrap();
        request.metadata_mut().insert("x-egov-purpose", purpose);
        request
    }

    /// A department opens, far in the future, below the call's unit.
    fn plan(&self) -> ReorganisationPlan {
        let parent = PlannedUnit {
            unit_id: self.unit,
            key: String::new(),
        };
        ReorganisationPlan {
            effective_date: Some(jiff::civil::date(2090, 1, 1).into()),
            title: "Lập phòng".to_owned(),
            legal_basis: "Quyết định".to_owned(),
            openings: vec![PlannedOpening {
                key: "new".to_owned(),
                code: format!("NEW.{}", self.number),
                name: "Phòng".to_owned(),
                kind: UnitKind::CommuneDepartment.into(),
                parent: Some(parent),
                ..PlannedOpening::default()
            }],
            ..ReorganisationPlan::default()
        }
    }

    fn issuer_settings(&self, path: &str) -> IssuerSettings {
        IssuerSettings {
            title: "SSO".to_owned(),
            client_id: "egov".to_owned(),
            client_authentication: ClientAuthentication::None.into(),
            redirect_uris: vec![format!("https://portal.test/{path}{}", self.number)],
            unit_ids: vec![self.unit],
            algorithms: vec![IdTokenAlgorithm::Es256.into()],
            ..IssuerSettings::default()
        }
    }

    /// Whether the call was allowed; a list is allowed if it shows the row.
    async fn allowed(&self, method: &str) -> Result<bool, Status> {
        let account_id = self.account.to_string();
        let request_id = fresh();
        let why = "vì công việc".to_owned();
        let (mut accounts, mut systems) = (self.world.accounts(), self.world.systems());
        let (mut keys, mut sign_in) = (self.world.keys(), self.world.sign_in());
        let (mut access, mut sessions) = (self.world.access(), self.world.sessions());
        let mut batches = self.world.batches();
        let mut federation = self.world.federation();
        let mut units = self.world.units();
        match method {
            "AccessService/ChangeRoleEnd" => {
                let request = ChangeRoleEndRequest {
                    request_id,
                    grant_id: self.grant.clone(),
                    effective_to: None,
                    reason: why,
                };
                access.change_role_end(self.by(request)).await.map(|_| true)
            }
            "AccessService/ConfirmGrant" => {
                let request = ConfirmGrantRequest {
                    request_id,
                    grant_id: self.grant.clone(),
                    note: why,
                };
                access.confirm_grant(self.by(request)).await.map(|_| true)
            }
            "AccessService/DelegateRole" => {
                let request = DelegateRoleRequest {
                    request_id,
                    grant_id: self.grant.clone(),
                    delegatee_username: self.deputy.clone(),
                    effective_from: None,
                    effective_to: Some(jiff::civil::date(2026, 11, 25).into()),
                    reason: why,
                    document_number: "12/GUQ-UBND".to_owned(),
                };
                access.delegate_role(self.by(request)).await.map(|_| true)
            }
            "AccessService/EndDelegation" => {
                let request = EndDelegationRequest {
                    request_id,
                    delegation_id: self.delegation.to_string(),
                    reason: why,
                };
                access.end_delegation(self.by(request)).await.map(|_| true)
            }
            "AccessService/ListDelegations" => {
                let request = ListDelegationsRequest {
                    page_size: 200,
                    page_token: String::new(),
                    account_id,
                    all_times: true,
                };
                let shown = access.list_delegations(self.by(request)).await?.into_inner();
                Ok(!shown.delegations.is_empty())
            }
            "AccessService/ListRoleGrants" => {
                let request = ListRoleGrantsRequest {
                    page_size: 200,
                    page_token: String::new(),
                    account_id,
                    unit_id: 0,
                    role: String::new(),
                    on: None,
                };
                let shown = access.list_role_grants(self.by(request)).await?.into_inner();
                Ok(!shown.grants.is_empty())
            }
            "AccessService/ListRoleUnits" => {
                let request = ListRoleUnitsRequest {
                    roles: vec!["officer".to_owned()],
                    on: None,
                };
                let shown = access.list_role_units(self.by(request)).await?.into_inner();
                Ok(shown.roles.iter().any(|role| role.unit_ids.contains(&self.unit)))
            }
            "AccessService/ListRoles" => {
                let request = ListRolesRequest { unit_id: 0 };
                access.list_roles(self.by(request)).await.map(|_| true)
            }
            "AccessService/ReviewAccess" => {
                let mut page_token = String::new();
                loop {
                    let request = ReviewAccessRequest {
                        page_size: 200,
                        page_token,
                        unit_id: self.unit,
                        ..ReviewAccessRequest::default()
                    };
                    let shown = access.review_access(self.by(request)).await?.into_inner();
                    let ours =
                        |line: &ReviewEntry| line.entry.as_ref().is_some_and(|entry| entry.account_id == account_id);
                    if shown.entries.iter().any(ours) {
                        return Ok(true);
                    }
                    page_token = shown.next_page_token;
                    if page_token.is_empty() {
                        return Ok(false);
                    }
                }
            }
            "AccountBatchService/CreateAccounts" => {
                let row = AccountRow {
                    line: 1,
                    username: format!("row{}", self.number),
                    full_name: "Trần Thị Bình".to_owned(),
                    unit_code: if self.unit == WARD { "16690" } else { "17329" }.to_owned(),
                    roles: Vec::new(),
                };
                let request = CreateAccountsRequest {
                    request_id,
                    rows: vec![row],
                    dry_run: false,
                };
                let answer = batches.create_accounts(self.by(request)).await?.into_inner();
                Ok(answer.done)
            }
            "AccountBatchService/DisableAccounts" => {
                let request = DisableAccountsRequest {
                    request_id,
                    usernames: vec![format!("target{}", self.number)],
                    closing_day: None,
                    reason: why,
                };
                let answer = batches.disable_accounts(self.by(request)).await?.into_inner();
                Ok(answer.done)
            }
            "AccountBatchService/ReissueActivation" => {
                let request = ReissueActivationRequest { request_id, account_id };
                // The account is in use: who hears that may do it.
                match batches.reissue_activation(self.by(request)).await {
                    Err(status) if reason(&status) == "ALREADY_ACTIVATED" => Ok(true),
                    other => other.map(|_| true),
                }
            }
            "FederationService/DisableIssuer" => {
                let request = DisableIssuerRequest {
                    request_id,
                    issuer_id: self.issuer.to_string(),
                    reason: why,
                    etag: "1".to_owned(),
                };
                federation.disable_issuer(self.by(request)).await.map(|_| true)
            }
            "FederationService/GetIssuer" => {
                let issuer_id = self.issuer.to_string();
                let request = GetIssuerRequest { issuer_id };
                federation.get_issuer(self.by(request)).await.map(|_| true)
            }
            "FederationService/LinkIdentity" => {
                let request = LinkIdentityRequest {
                    request_id,
                    account_id,
                    issuer_id: self.issuer.to_string(),
                    subject: "staff-7".to_owned(),
                };
                // The account has its link: who hears that may make one.
                match federation.link_identity(self.by(request)).await {
                    Err(status) if reason(&status) == "IDENTITY_TAKEN" => Ok(true),
                    other => other.map(|_| true),
                }
            }
            "FederationService/ListIdentities" => {
                let request = ListIdentitiesRequest { account_id };
                let shown = federation.list_identities(self.by(request)).await?.into_inner();
                Ok(!shown.identities.is_empty())
            }
            "FederationService/ListIssuers" => {
                let mut page_token = String::new();
                loop {
                    let request = ListIssuersRequest {
                        page_size: 200,
                        page_token,
                    };
                    let shown = federation.list_issuers(self.by(request)).await?.into_inner();
                    let ours = self.issuer.to_string();
                    if shown.issuers.iter().any(|issuer| issuer.issuer_id == ours) {
                        return Ok(true);
                    }
                    page_token = shown.next_page_token;
                    if page_token.is_empty() {
                        return Ok(false);
                    }
                }
            }
            "FederationService/RegisterIssuer" => {
                let request = RegisterIssuerRequest {
                    request_id,
                    issuer: format!("https://made.test/{}", self.number),
                    settings: Some(self.issuer_settings("new/")),
                };
                federation.register_issuer(self.by(request)).await.map(|_| true)
            }
            "FederationService/UnlinkIdentity" => {
                let request = UnlinkIdentityRequest {
                    request_id,
                    identity_id: self.link.to_string(),
                    reason: why,
                };
                federation.unlink_identity(self.by(request)).await.map(|_| true)
            }
            "FederationService/UpdateIssuer" => {
                let request = UpdateIssuerRequest {
                    request_id,
                    issuer_id: self.issuer.to_string(),
                    settings: Some(self.issuer_settings("")),
                    etag: "1".to_owned(),
                };
                federation.update_issuer(self.by(request)).await.map(|_| true)
            }
            "SessionService/EndAllSessions" => {
                let request = EndAllSessionsRequest {
                    request_id,
                    account_id,
                    except_current: false,
                };
                sessions.end_all_sessions(self.by(request)).await.map(|_| true)
            }
            "SessionService/EndSession" => {
                let request = EndSessionRequest {
                    request_id,
                    session_id: self.session.to_string(),
                };
                sessions.end_session(self.by(request)).await.map(|_| true)
            }
            "SessionService/ListMySessions" => {
                let shown = sessions
                    .list_my_sessions(self.by(ListMySessionsRequest {}))
                    .await?
                    .into_inner();
                Ok(!shown.sessions.is_empty())
            }
            "SessionService/ListSessions" => {
                let request = ListSessionsRequest { account_id };
                sessions.list_sessions(self.by(request)).await.map(|_| true)
            }
            "AccountService/CreateAccount" => {
                let request = CreateAccountRequest {
                    request_id,
                    username: format!("made{}", self.number),
                    full_name: "Trần Thị Bình".to_owned(),
                    unit_id: self.unit,
                    password: PASSWORD.to_owned(),
                };
                accounts.create_account(self.by(request)).await.map(|_| true)
            }
            "AccountService/DisableAccount" => {
                let request = DisableAccountRequest {
                    request_id,
                    account_id,
                    reason: why,
                };
                accounts.disable_account(self.by(request)).await.map(|_| true)
            }
            "AccountService/EndRole" => {
                let request = EndRoleRequest {
                    request_id,
                    account_id,
                    grant_id: self.grant.clone(),
                    reason: why,
                };
                accounts.end_role(self.by(request)).await.map(|_| true)
            }
            "AccountService/GetAccount" => {
                let request = GetAccountRequest { account_id };
                accounts.get_account(self.by(request)).await.map(|_| true)
            }
            "AccountService/GrantRole" => {
                let request = GrantRoleRequest {
                    request_id,
                    account_id,
                    role: "one_stop_clerk".to_owned(),
                    unit_id: self.unit,
                    effective_from: None,
                    effective_to: None,
                    reason: why,
                };
                accounts.grant_role(self.by(request)).await.map(|_| true)
            }
            "AccountService/ListAccounts" => {
                // The accounts of all calls before are in the same units: there is more than one page.
                let mut page_token = String::new();
                loop {
                    let request = ListAccountsRequest {
                        page_size: 200,
                        page_token,
                        unit_id: self.unit,
                    };
                    let shown = accounts.list_accounts(self.by(request)).await?.into_inner();
                    if shown.accounts.iter().any(|shown| shown.account_id == account_id) {
                        break Ok(true);
                    }
                    if shown.next_page_token.is_empty() {
                        break Ok(false);
                    }
                    page_token = shown.next_page_token;
                }
            }
            "AccountService/ListSignIns" => {
                let request = ListSignInsRequest {
                    page_size: 0,
                    page_token: String::new(),
                    account_id,
                };
                accounts.list_sign_ins(self.by(request)).await.map(|_| true)
            }
            "AccountService/UnlockAccount" => {
                let request = UnlockAccountRequest { request_id, account_id };
                accounts.unlock_account(self.by(request)).await.map(|_| true)
            }
            "KeyService/RevokeTokens" => {
                let request = RevokeTokensRequest {
                    request_id,
                    subject_id: account_id,
                    reason: why,
                };
                keys.revoke_tokens(self.by(request)).await.map(|_| true)
            }
            "KeyService/RotateSigningKey" => {
                let request = RotateSigningKeyRequest {
                    request_id,
                    ..RotateSigningKeyRequest::default()
                };
                keys.rotate_signing_key(self.by(request)).await.map(|_| true)
            }
            "KeyService/ListKeys" => {
                let request = ListKeysRequest::default();
                let shown = keys.list_keys(self.by(request)).await?.into_inner();
                Ok(!shown.keys.is_empty())
            }
            "KeyService/WithdrawSigningKey" => {
                let request = WithdrawSigningKeyRequest {
                    request_id,
                    key_id: self.world.keyring.signing(Purpose::TokenSigning).id().to_owned(),
                    reason: why,
                };
                keys.withdraw_signing_key(self.by(request)).await.map(|_| true)
            }
            "KeyService/RevokeAllTokens" => {
                let request = RevokeAllTokensRequest {
                    request_id,
                    scope: RevocationScope::Everybody.into(),
                    end_sessions: false,
                    reason: why,
                };
                let outcome = keys.revoke_all_tokens(self.by(request)).await.map(|_| true);
                // Of everybody: also the tokens of the next cells, if they were issued in this second.
                self.world.later(1).await;
                outcome
            }
            "SignInService/SignOut" => sign_in.sign_out(self.by(SignOutRequest {})).await.map(|_| true),
            "UnitService/PreviewReorganisation" => {
                let request = PreviewReorganisationRequest {
                    plan: Some(self.plan()),
                };
                units.preview_reorganisation(self.by(request)).await.map(|_| true)
            }
            "UnitService/CreateReorganisation" => {
                let request = CreateReorganisationRequest {
                    request_id,
                    plan: Some(self.plan()),
                };
                units.create_reorganisation(self.by(request)).await.map(|_| true)
            }
            "UnitService/ListReorganisations" => {
                let request = ListReorganisationsRequest::default();
                units.list_reorganisations(self.by(request)).await.map(|_| true)
            }
            "UnitService/CancelReorganisation" => {
                let request = CancelReorganisationRequest {
                    request_id,
                    reorganisation_id: fresh(),
                    etag: "1".to_owned(),
                    reason: why,
                };
                // There is none: whoever is told so may look for one.
                match units.cancel_reorganisation(self.by(request)).await {
                    Err(status) if reason(&status) == "REORGANISATION_NOT_FOUND" => Ok(true),
                    outcome => outcome.map(|_| true),
                }
            }
            "SystemService/DisableSystem" => {
                let request = DisableSystemRequest {
                    request_id,
                    system_id: self.system.to_string(),
                    reason: why,
                };
                systems.disable_system(self.by(request)).await.map(|_| true)
            }
            "SystemService/ListSystems" => {
                let request = ListSystemsRequest {
                    page_size: 0,
                    page_token: String::new(),
                };
                let shown = systems.list_systems(self.by(request)).await?.into_inner();
                Ok(!shown.systems.is_empty())
            }
            "SystemService/RegisterSystem" => {
                let request = RegisterSystemRequest {
                    request_id,
                    client_id: format!("made{}", self.number),
                    name: "Hệ thống".to_owned(),
                    public_jwk: Signer::new().jwk().to_string(),
                    roles: vec![SystemRole {
                        role: "one_stop_clerk".to_owned(),
                        unit_id: 0,
                    }],
                    acts_for_citizens: false,
                };
                systems.register_system(self.by(request)).await.map(|_| true)
            }
            other => panic!("no call for {other}: add it here"),
        }
    }
}

#[tokio::test]
async fn the_access_matrix_is_the_one_that_was_reviewed() {
    let world = World::start().await;
    let contract = egov_identity::contract().unwrap();
    let mut rules = contract.method_rules();
    // The RPCs of the ledger and of the readings are the same in every service; crates/transparency and crates/readings test them.
    rules.retain(|rule| rule.path.starts_with("/egov.identity.v1."));
    rules.sort_by(|a, b| a.path.cmp(&b.path));
    let mut table = String::from(
        "RPC × caller: o = of the own unit or of one's own, n = the neighbour's; - = refused; public = no token needed\n\n",
    );
    write!(table, "{:<38}", "").unwrap();
    for (name, _) in CALLERS {
        write!(table, " | {name:^14}").unwrap();
    }
    table.push('\n');
    let mut number = 0;
    for rule in rules {
        let method = rule.path.trim_start_matches("/egov.identity.v1.");
        write!(table, "{method:<38}").unwrap();
        for (_, who) in CALLERS {
            let mut cell = String::new();
            if rule.public {
                cell.push_str("public");
            } else {
                for own in [true, false] {
                    number += 1;
                    let call = Call::prepare(&world, who, own, number).await;
                    let mark = match call.allowed(method).await {
                        Ok(true) if own => 'o',
                        Ok(true) => 'n',
                        Ok(false) => '-',
                        Err(status) => {
                            let expected = if who == Who::Nobody {
                                &["TOKEN_MISSING"][..]
                            } else {
                                &[
                                    "PERMISSION_MISSING",
                                    "ACCOUNT_NOT_FOUND",
                                    "GRANT_NOT_FOUND",
                                    "DELEGATION_NOT_FOUND",
                                    "SESSION_NOT_FOUND",
                                    "ISSUER_NOT_FOUND",
                                    "IDENTITY_NOT_FOUND",
                                ]
                            };
                            let reason = reason(&status);
                            assert!(expected.contains(&reason.as_str()), "{method}: {reason}");
                            '-'
                        }
                    };
                    cell.push(mark);
                }
            }
            write!(table, " | {cell:^14}").unwrap();
        }
        table.push('\n');
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/policies/identity.matrix.txt");
    if std::env::var_os("EGOV_WRITE_MATRIX").is_some() {
        std::fs::write(path, &table).unwrap();
    }
    let reviewed = std::fs::read_to_string(path).unwrap_or_default();
    assert_eq!(
        table, reviewed,
        "the policy changed: look at the new table, then write it with EGOV_WRITE_MATRIX=1"
    );
}
