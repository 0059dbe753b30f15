//! Administration of issuers and links.

use egov_fault::fault_of;
use egov_proto::egov::identity::v1::{
    ClientAuthentication, DelegateRoleRequest, DisableIssuerRequest, EndDelegationRequest, GetIssuerRequest,
    GrantRoleRequest, IssuerSettings, LinkIdentityRequest, ListIdentitiesRequest, ListIssuersRequest,
    RegisterIssuerRequest, UnlinkIdentityRequest, UpdateIssuerRequest,
};
use egov_proto::google::r#type::Date;
use jiff::civil::date;
use uuid::Uuid;

use crate::sso::{Linked, OTHER_REDIRECT, REDIRECT, Sso, settings, settings_at};
use crate::support::{COMMUNE, PROVINCE, WARD, World, by, fresh, reason, refused};

#[tokio::test]
async fn the_province_registers_changes_and_disables_an_issuer_and_a_unit_does_not() {
    let world = World::start().await;
    let admin = world.province_admin();
    let request = RegisterIssuerRequest {
        request_id: fresh(),
        issuer: "https://sso.ward.test".to_owned(),
        settings: Some(settings()),
    };
    let mut client = world.federation();
    for token in [world.unit_admin(WARD), world.clerk(WARD)] {
        let outcome = client.register_issuer(by(&token, request.clone())).await;
        assert_eq!(refused(outcome), "PERMISSION_MISSING");
    }
    let made = client.register_issuer(by(&admin, request.clone())).await.unwrap();
    let made = made.into_inner().issuer.unwrap();
    assert_eq!(made.settings, Some(settings()));
    // The same request again, another body under its id, and the URL once more.
    let again = client.register_issuer(by(&admin, request.clone())).await.unwrap();
    assert_eq!(again.into_inner().issuer.as_ref(), Some(&made));
    let other = RegisterIssuerRequest {
        issuer: "https://other.test".to_owned(),
        ..request
    };
    assert_eq!(
        refused(client.register_issuer(by(&admin, other)).await),
        "REQUEST_ID_REUSED"
    );
    assert_eq!(
        refused(world.register("https://sso.ward.test", settings()).await),
        "ISSUER_TAKEN"
    );

    let update = |etag: &str| UpdateIssuerRequest {
        request_id: fresh(),
        issuer_id: made.issuer_id.clone(),
        settings: Some(IssuerSettings {
            title: "Tên mới".to_owned(),
            ..settings()
        }),
        etag: etag.to_owned(),
    };
    let outcome = client.update_issuer(by(&world.unit_admin(WARD), update("1"))).await;
    assert_eq!(refused(outcome), "PERMISSION_MISSING");
    assert_eq!(
        refused(client.update_issuer(by(&admin, update("7"))).await),
        "STALE_ETAG"
    );
    let changed = client.update_issuer(by(&admin, update(&made.etag))).await.unwrap();
    let changed = changed.into_inner().issuer.unwrap();
    assert_eq!(changed.settings.unwrap().title, "Tên mới");

    let disable = |etag: &str| DisableIssuerRequest {
        request_id: fresh(),
        issuer_id: made.issuer_id.clone(),
        reason: "hết hợp đồng".to_owned(),
        etag: etag.to_owned(),
    };
    let outcome = client.disable_issuer(by(&world.unit_admin(WARD), disable("2"))).await;
    assert_eq!(refused(outcome), "PERMISSION_MISSING");
    assert_eq!(
        refused(client.disable_issuer(by(&admin, disable("1"))).await),
        "STALE_ETAG"
    );
    let gone = client.disable_issuer(by(&admin, disable(&changed.etag))).await.unwrap();
    let gone = gone.into_inner().issuer.unwrap();
    assert!(gone.disabled);
    let outcome = client.update_issuer(by(&admin, update(&gone.etag))).await;
    assert_eq!(refused(outcome), "ISSUER_DISABLED");

    // Who did what is kept, a row a version, with its event and its leaf.
    let mut sql = world.sql().await;
    let history: Vec<(i64, bool, String)> =
        sqlx::query_as("SELECT version, disabled, reason FROM federated_issuer_history ORDER BY version")
            .fetch_all(&mut sql)
            .await
            .unwrap();
    let none = String::new;
    let expected = [
        (1, false, none()),
        (2, false, none()),
        (3, true, "hết hợp đồng".to_owned()),
    ];
    assert_eq!(history, expected);
    let kinds: Vec<String> =
        sqlx::query_scalar("SELECT kind FROM access_records WHERE kind LIKE 'issuer%' ORDER BY kind")
            .fetch_all(&mut sql)
            .await
            .unwrap();
    assert_eq!(kinds, ["issuer_changed", "issuer_disabled", "issuer_registered"]);
}

#[tokio::test]
async fn a_registration_is_refused_with_every_rule_that_it_breaks() {
    let world = World::start().await;
    let wrong = IssuerSettings {
        client_authentication: ClientAuthentication::ClientSecret.into(),
        redirect_uris: vec![REDIRECT.to_owned(), "http://portal.test/callback".to_owned()],
        ..settings()
    };
    let status = world.register("http://sso.ward.test", wrong).await.unwrap_err();
    assert_eq!(reason(&status), "INVALID_FIELD");
    let fault = fault_of(&status);
    let named: Vec<_> = fault.violations().iter().map(|one| one.field.as_str()).collect();
    assert_eq!(named, ["issuer", "settings.redirect_uris[1]", "settings.client_secret"]);
    assert!(
        fault
            .violations()
            .iter()
            .all(|one| !one.vi.is_empty() && one.vi != one.en)
    );
    let nowhere = IssuerSettings {
        unit_ids: vec![99],
        ..settings()
    };
    let outcome = world.register("https://sso.ward.test", nowhere).await;
    assert_eq!(refused(outcome), "UNIT_NOT_FOUND");

    // An address of this machine is for tests and the demonstration.
    let world = world
        .restart_with(|settings| settings.federation.allow_loopback = false)
        .await;
    let outcome = world.register("http://127.0.0.1:9000", settings()).await;
    assert_eq!(refused(outcome), "INVALID_FIELD");
}

#[tokio::test]
async fn a_redirect_uri_belongs_to_one_issuer_also_of_two_registered_at_once() {
    let world = World::start().await;
    let violations = |status: &tonic::Status| {
        assert_eq!(reason(status), "INVALID_FIELD", "{status:?}");
        let named = fault_of(status);
        let named = named
            .violations()
            .iter()
            .map(|one| (one.field.clone(), one.rule.clone()));
        named.collect::<Vec<_>>()
    };
    let shared = |at: usize| {
        vec![(
            format!("settings.redirect_uris[{at}]"),
            "redirect_uri.shared".to_owned(),
        )]
    };
    let first = world.register("https://a.test", settings()).await.unwrap();
    let both = IssuerSettings {
        redirect_uris: vec![OTHER_REDIRECT.to_owned(), REDIRECT.to_owned()],
        ..settings()
    };
    let status = world.register("https://b.test", both.clone()).await.unwrap_err();
    assert_eq!(violations(&status), shared(1));
    let second = world
        .register("https://b.test", settings_at(OTHER_REDIRECT))
        .await
        .unwrap();
    let update = async |settings: IssuerSettings| {
        let request = UpdateIssuerRequest {
            request_id: fresh(),
            issuer_id: second.issuer_id.clone(),
            settings: Some(settings),
            etag: "1".to_owned(),
        };
        world
            .federation()
            .update_issuer(by(&world.province_admin(), request))
            .await
    };
    let status = update(both.clone()).await.unwrap_err();
    assert_eq!(violations(&status), shared(1));
    // One that is disabled gets no answers any more.
    let disable = DisableIssuerRequest {
        request_id: fresh(),
        issuer_id: first.issuer_id,
        reason: "hết hợp đồng".to_owned(),
        etag: first.etag,
    };
    let admin = world.province_admin();
    world.federation().disable_issuer(by(&admin, disable)).await.unwrap();
    assert!(update(both).await.is_ok());

    for round in 0..5 {
        let (one, other) = (format!("https://c{round}.test"), format!("https://d{round}.test"));
        let wanted = settings_at(&format!("https://portal.test/{round}"));
        let (one, other) = tokio::join!(world.register(&one, wanted.clone()), world.register(&other, wanted));
        let refusals: Vec<_> = [one, other].into_iter().filter_map(Result::err).collect();
        assert_eq!(refusals.len(), 1, "round {round}");
        assert_eq!(violations(&refusals[0]), shared(0));
    }
}

#[tokio::test]
async fn a_unit_sees_the_issuers_that_may_speak_for_it_and_not_its_neighbours() {
    let world = World::start().await;
    let of = async |name: &str, unit| {
        world.advance(1);
        let settings = IssuerSettings {
            unit_ids: vec![unit],
            ..settings_at(&format!("https://portal.test/{name}"))
        };
        let issuer = world.register(&format!("https://{name}.test"), settings).await;
        issuer.unwrap().issuer_id
    };
    let (province, ward, commune) = (of("p", PROVINCE).await, of("w", WARD).await, of("c", COMMUNE).await);
    let list = async |token: String, page_size, page_token| {
        let request = ListIssuersRequest { page_size, page_token };
        let mut client = world.federation();
        client.list_issuers(by(&token, request)).await.map(|answer| {
            let answer = answer.into_inner();
            let ids: Vec<_> = answer.issuers.into_iter().map(|issuer| issuer.issuer_id).collect();
            (ids, answer.next_page_token)
        })
    };
    let (first, next) = list(world.province_admin(), 2, String::new()).await.unwrap();
    let (rest, _) = list(world.province_admin(), 2, next).await.unwrap();
    assert_eq!(
        [first, rest].concat(),
        [province.clone(), ward.clone(), commune.clone()]
    );
    let (seen, _) = list(world.unit_admin(WARD), 0, String::new()).await.unwrap();
    assert_eq!(seen, [province.clone(), ward.clone()]);
    assert_eq!(
        refused(list(world.clerk(WARD), 0, String::new()).await),
        "PERMISSION_MISSING"
    );
    let get = async |issuer_id: &str| {
        let request = GetIssuerRequest {
            issuer_id: issuer_id.to_owned(),
        };
        let mut client = world.federation();
        client.get_issuer(by(&world.unit_admin(WARD), request)).await
    };
    assert!(get(&province).await.is_ok() && get(&ward).await.is_ok());
    assert_eq!(refused(get(&commune).await), "ISSUER_NOT_FOUND");
}

#[tokio::test]
async fn an_account_is_linked_by_whoever_administers_it_wholly_and_never_by_its_owner() {
    let Linked {
        world,
        issuer,
        account_id,
        link_id,
        ..
    } = Linked::start().await;
    let request = |account: Uuid, subject: &str| LinkIdentityRequest {
        request_id: fresh(),
        account_id: account.to_string(),
        issuer_id: issuer.issuer_id.clone(),
        subject: subject.to_owned(),
    };
    let link = async |token: String, request: LinkIdentityRequest| {
        let mut client = world.federation();
        client
            .link_identity(by(&token, request))
            .await
            .map(|answer| answer.into_inner().identity.unwrap())
    };
    let admin = || world.unit_admin(WARD);
    let binh = world.person("binh.tran", WARD, &[]).await.account_id;
    // A subject means one account, and an account has one name at an issuer.
    assert_eq!(refused(link(admin(), request(binh, "staff-7")).await), "IDENTITY_TAKEN");
    assert_eq!(
        refused(link(admin(), request(account_id, "staff-9")).await),
        "IDENTITY_TAKEN"
    );
    let neighbour = world.unit_admin(COMMUNE);
    assert_eq!(
        refused(link(neighbour, request(binh, "staff-8")).await),
        "ACCOUNT_NOT_FOUND"
    );
    let clerk = world.clerk(WARD);
    assert_eq!(
        refused(link(clerk, request(binh, "staff-8")).await),
        "PERMISSION_MISSING"
    );
    // Who holds a role elsewhere is not linked by the own unit alone: that would be a way to the role.
    let wide = world
        .person("cao.le", WARD, &[("unit_admin", COMMUNE)])
        .await
        .account_id;
    assert_eq!(
        refused(link(admin(), request(wide, "staff-8")).await),
        "PERMISSION_MISSING"
    );
    let own = world.tokens.staff(binh, &[("unit_admin", WARD)]);
    assert_eq!(refused(link(own, request(binh, "staff-8")).await), "PERMISSION_MISSING");
    let elsewhere = world.person("dung.vo", COMMUNE, &[]).await.account_id;
    let outcome = link(world.province_admin(), request(elsewhere, "staff-8")).await;
    assert_eq!(refused(outcome), "ISSUER_NOT_FOR_UNIT");
    assert_eq!(refused(link(admin(), request(binh, "ông Bình")).await), "INVALID_FIELD");

    let wanted = request(binh, "staff-8");
    let made = link(admin(), wanted.clone()).await.unwrap();
    assert_eq!(link(admin(), wanted).await.unwrap(), made);

    // What the issuer calls the person stands nowhere in the clear.
    let found: Vec<String> = sqlx::query_scalar(
        "SELECT l::text FROM federated_identities l UNION ALL SELECT detail FROM access_records
         UNION ALL SELECT payload::text FROM egov.outbox",
    )
    .fetch_all(&mut world.sql().await)
    .await
    .unwrap();
    assert!(found.iter().all(|text| !text.contains("staff-")), "{found:?}");

    let list = async |token: &str, account: Uuid| {
        let account_id = account.to_string();
        let mut client = world.federation();
        client
            .list_identities(by(token, ListIdentitiesRequest { account_id }))
            .await
            .map(|answer| answer.into_inner().identities)
    };
    assert_eq!(list(&admin(), binh).await.unwrap(), std::slice::from_ref(&made));
    let binh_self = world.tokens.staff(binh, &[("one_stop_clerk", WARD)]);
    assert_eq!(list(&binh_self, binh).await.unwrap(), std::slice::from_ref(&made));
    assert_eq!(refused(list(&binh_self, account_id).await), "ACCOUNT_NOT_FOUND");

    let unlink = async |token: String, identity_id: &str| {
        let request = UnlinkIdentityRequest {
            request_id: fresh(),
            identity_id: identity_id.to_owned(),
            reason: "nghỉ việc".to_owned(),
        };
        world.federation().unlink_identity(by(&token, request)).await
    };
    let outcome = unlink(world.unit_admin(COMMUNE), &made.identity_id).await;
    assert_eq!(refused(outcome), "IDENTITY_NOT_FOUND");
    assert!(unlink(admin(), &made.identity_id).await.is_ok());
    let outcome = unlink(admin(), &made.identity_id).await;
    assert_eq!(refused(outcome), "IDENTITY_NOT_FOUND");
    assert!(list(&admin(), binh).await.unwrap().is_empty());
    // What was taken away can be linked anew.
    assert!(link(admin(), request(binh, "staff-8")).await.is_ok());
    assert!(unlink(admin(), &link_id).await.is_ok());
}

#[tokio::test]
async fn a_link_is_no_way_to_a_role_by_delegation_nor_to_one_that_begins_tomorrow() {
    let Linked { world, issuer, .. } = Linked::start().await;
    let link = async |token: String, account: Uuid, subject: &str| {
        let request = LinkIdentityRequest {
            request_id: fresh(),
            account_id: account.to_string(),
            issuer_id: issuer.issuer_id.clone(),
            subject: subject.to_owned(),
        };
        world.federation().link_identity(by(&token, request)).await
    };
    // A role of the province, with which a member of the ward acts by delegation; the delegator is none whom the ward sees.
    let leader = world.person("lanh.dao", PROVINCE, &[("officer", PROVINCE)]).await;
    let deputy = world.person("cap.pho", WARD, &[]).await.account_id;
    let mut sql = world.sql().await;
    let grant: Uuid = sqlx::query_scalar("SELECT grant_id FROM role_grants WHERE account_id = $1")
        .bind(leader.account_id)
        .fetch_one(&mut sql)
        .await
        .unwrap();
    let request = DelegateRoleRequest {
        request_id: fresh(),
        grant_id: grant.to_string(),
        delegatee_username: "cap.pho".to_owned(),
        effective_from: None,
        effective_to: Some(Date::from(date(2026, 12, 1))),
        reason: "đi công tác".to_owned(),
        document_number: "12/GUQ-UBND".to_owned(),
    };
    let own = world.session("lanh.dao").await.access_token;
    let made = world.access().delegate_role(by(&own, request)).await.unwrap();
    let made = made.into_inner().delegation.unwrap();
    let outcome = link(world.unit_admin(WARD), deputy, "staff-8").await;
    assert_eq!(refused(outcome), "PERMISSION_MISSING");
    let end = EndDelegationRequest {
        request_id: fresh(),
        delegation_id: made.delegation_id,
        reason: "đã về".to_owned(),
    };
    world.access().end_delegation(by(&own, end)).await.unwrap();
    assert!(link(world.unit_admin(WARD), deputy, "staff-8").await.is_ok());

    // A role elsewhere that begins tomorrow: it is the 23rd of November.
    let later = world.person("cao.le", WARD, &[]).await.account_id;
    let tomorrow = GrantRoleRequest {
        request_id: fresh(),
        account_id: later.to_string(),
        role: "officer".to_owned(),
        unit_id: COMMUNE,
        effective_from: Some(Date::from(date(2026, 11, 24))),
        effective_to: Some(Date::from(date(2026, 11, 26))),
        reason: String::new(),
    };
    let admin = world.province_admin();
    world.accounts().grant_role(by(&admin, tomorrow)).await.unwrap();
    let outcome = link(world.unit_admin(WARD), later, "staff-9").await;
    assert_eq!(refused(outcome), "PERMISSION_MISSING");
    world.days_later(3).await;
    assert!(link(world.unit_admin(WARD), later, "staff-9").await.is_ok());
}

#[tokio::test]
async fn without_the_querys_own_filter_the_database_still_hides_the_neighbours_links() {
    let Linked { world, issuer, .. } = Linked::start().await;
    let sso = Sso::other(&world).await;
    let of_commune = IssuerSettings {
        unit_ids: vec![COMMUNE],
        ..settings_at(sso.redirect)
    };
    let other = world.register(&sso.url, of_commune).await.unwrap();
    assert_ne!(other.issuer_id, issuer.issuer_id);
    let elsewhere = world.person("dung.vo", COMMUNE, &[]).await.account_id;
    world.link(elsewhere, &other.issuer_id, "staff-7").await.unwrap();
    let mut app = world.test_database.connect_as_app().await.unwrap();
    for (scope, expected) in [("", 0_i64), ("{2}", 1), ("{2,3}", 2)] {
        let mut transaction = sqlx::Connection::begin(&mut app).await.unwrap();
        sqlx::query("SELECT set_config('egov.scope_units', $1, true)")
            .bind(scope)
            .execute(&mut *transaction)
            .await
            .unwrap();
        let seen: i64 = sqlx::query_scalar("SELECT count(*) FROM federated_identities")
            .fetch_one(&mut *transaction)
            .await
            .unwrap();
        assert_eq!(seen, expected, "{scope}");
    }
}
