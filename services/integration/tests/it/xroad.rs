//! Existing clients of X-Road at the door's port.

use aws_lc_rs::digest::{SHA512, digest};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use egov_proto::egov::integration::v1::*;
use egov_runtime::config::ClientCertificates;
use http::Request;
use http_body_util::Full;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::{Value, json};

use crate::plain::{Answer, CHANGE_PERSON, GET_PERSON, SEARCH, World, document, send};
use crate::support::*;
use crate::xroad_grpc::Both;

const CLIENT: &str = "VN/GOV/H41.2/main";
const SERVICE: &str = "/r1/VN/GOV/H41.3/main/people";

fn request(world: &World, method: &str, path: &str) -> http::request::Builder {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "door")
        .header("x-road-client", CLIENT)
        .header("authorization", format!("Bearer {}", world.token("client-2")))
}

async fn get(world: &World, path: &str) -> Answer {
    send(
        &world.stack.door,
        request(world, "GET", path).body(Full::default()).unwrap(),
    )
    .await
}

fn error(answer: &Answer) -> (u16, String) {
    let body = answer.json();
    assert_eq!(body["type"], answer.header("x-road-error").as_str());
    assert!(body["message"].as_str().is_some_and(|text| !text.is_empty()) && body["detail"].is_string());
    (answer.status, answer.header("x-road-error"))
}

#[tokio::test]
async fn a_call_of_x_road_goes_the_way_of_every_call_and_comes_back_with_its_headers() {
    let world = World::start(|_| {}).await;
    let sent = r#"{"name":"A"}"#;
    let asked = request(&world, "POST", &format!("{SERVICE}/people/echo?on=2026%2D11"))
        .header("content-type", "application/json")
        .header("x-road-id", "m-1")
        .header("x-road-userid", "VN040090000001")
        .header("x-road-issue", "H41.1-261126-0001")
        .header("x-road-represented-party", "GOV/H41.9")
        .header("user-agent", "inside/1")
        .header("x-road-request-id", "forged")
        .header("x-road-service", "forged")
        .body(Full::from(sent))
        .unwrap();
    let answer = send(&world.stack.door, asked).await;
    assert_eq!((answer.status, &*answer.body), (200, sent.as_bytes()), "{answer:?}");
    let exchange_id = answer.header("x-egov-exchange");
    for (name, wanted) in [
        ("x-road-client", CLIENT),
        ("x-road-service", "VN/GOV/H41.3/main/people"),
        ("x-road-id", "m-1"),
        ("x-road-request-id", &exchange_id),
        ("content-type", "application/json; charset=utf-8"),
    ] {
        assert_eq!(answer.header(name), wanted, "{name}");
    }
    assert!(!answer.headers.contains_key("x-road-error") && answer.headers.contains_key("x-egov-promise"));

    let came = world.provider.last();
    assert_eq!(came.path, "/base/people/echo?on=2026%2D11");
    for (name, wanted) in [
        ("x-road-client", CLIENT),
        ("x-road-service", "VN/GOV/H41.3/main/people"),
        ("x-road-id", "m-1"),
        ("x-road-request-id", &exchange_id),
        ("x-road-userid", "VN040090000001"),
        ("x-road-issue", "H41.1-261126-0001"),
        ("x-road-represented-party", "GOV/H41.9"),
        ("x-egov-consumer", "client-2"),
    ] {
        assert_eq!(came.headers[name], wanted, "{name}");
    }
    assert!(!came.headers.contains_key("authorization") && !came.headers.contains_key("user-agent"));

    // The hash is over what came to the provider, but for what the connection needed.
    let mut lines: Vec<String> = came
        .headers
        .iter()
        .filter(|(name, _)| !["host", "content-length"].contains(&name.as_str()))
        .map(|(name, value)| format!("{name}:{}\r\n", value.to_str().unwrap()))
        .collect();
    lines.sort();
    let head = format!("POST /people/echo?on=2026%2D11 HTTP/1.1\r\n{}", lines.concat());
    let both = [
        digest(&SHA512, head.as_bytes()).as_ref(),
        digest(&SHA512, sent.as_bytes()).as_ref(),
    ]
    .concat();
    assert_eq!(
        answer.header("x-road-request-hash"),
        STANDARD.encode(digest(&SHA512, &both))
    );

    let exchange = world.listed(PROVIDER).await.remove(0);
    assert_eq!(
        (exchange.exchange_id, exchange.method),
        (exchange_id, CHANGE_PERSON.to_owned())
    );
    assert!(world.listed(STRANGER).await.is_empty());

    // The client may be named by its member alone, and need not number its messages.
    let asked = request(&world, "GET", &format!("{SERVICE}/people/7"))
        .body(Full::default())
        .unwrap();
    let (mut parts, body) = asked.into_parts();
    parts.headers.insert("x-road-client", "VN/GOV/H41.2".parse().unwrap());
    let answer = send(&world.stack.door, Request::from_parts(parts, body)).await;
    assert_eq!(
        (answer.status, answer.header("x-road-client").as_str()),
        (200, "VN/GOV/H41.2")
    );
    assert_eq!(answer.header("x-road-id").len(), 36);
}

#[tokio::test]
async fn what_is_refused_is_told_in_the_errors_of_x_road() {
    let world = World::start(|terms| {
        terms.methods.retain(|method| method.method == GET_PERSON);
        terms.methods[0].mask = vec!["name".to_owned()];
    })
    .await;
    for (path, status, code) in [
        ("/r1/VN/GOV/H41.3/main", 400, "Client.BadRequest"),
        ("/r1/VN/GOV/H41.3/main/people/../x", 400, "Client.BadRequest"),
        ("/r1/VN/GOV/H41.3/main/people/people/a%3bb", 400, "Client.BadRequest"),
        (
            "/r1/XX/GOV/H41.3/main/people/people/7",
            500,
            "Server.ServerProxy.UnknownService",
        ),
        (
            "/r1/VN/GOV/H41.9/main/people/people/7",
            500,
            "Server.ServerProxy.UnknownService",
        ),
        (
            "/r1/VN/GOV/H41.3/main/other/people/7",
            500,
            "Server.ServerProxy.UnknownService",
        ),
        (
            "/r1/VN/GOV/H41.3/main/people/nothing",
            500,
            "Server.ServerProxy.UnknownService",
        ),
        ("/r1/VN/GOV/H41.3/main/people", 500, "Server.ServerProxy.UnknownService"),
        (
            "/r1/VN/GOV/H41.3/main/people?a=1",
            500,
            "Server.ServerProxy.UnknownService",
        ),
        (
            "/r1/VN/GOV/H41.3/main/people/people/search",
            500,
            "Server.ServerProxy.AccessDenied",
        ),
    ] {
        let answer = get(&world, path).await;
        assert_eq!(error(&answer), (status, code.to_owned()), "{path}");
    }
    assert!(world.provider.came().is_empty());

    let by = |client: &str, token: Option<String>| {
        let mut asked = Request::get(format!("{SERVICE}/people/7")).header("host", "door");
        if !client.is_empty() {
            asked = asked.header("x-road-client", client);
        }
        if let Some(token) = token {
            asked = asked.header("authorization", format!("Bearer {token}"));
        }
        send(&world.stack.door, asked.body(Full::default()).unwrap())
    };
    let mine = || Some(world.token("client-2"));
    for (client, token, code) in [
        ("", mine(), "Client.BadRequest"),
        ("VN/GOV", mine(), "Client.BadRequest"),
        (CLIENT, None, "Server.ClientProxy.UnknownMember"),
        ("VN/GOV/H41.4/main", mine(), "Server.ClientProxy.UnknownMember"),
        ("VN/GOV/H41.2/other", mine(), "Server.ClientProxy.UnknownMember"),
        ("VN/COM/H41.2/main", mine(), "Server.ClientProxy.UnknownMember"),
        ("XX/GOV/H41.2/main", mine(), "Server.ClientProxy.UnknownMember"),
        (
            CLIENT,
            Some(world.token("client-3")),
            "Server.ClientProxy.UnknownMember",
        ),
        (
            CLIENT,
            Some(world.token("client-9")),
            "Server.ClientProxy.UnknownMember",
        ),
        (
            CLIENT,
            Some(world.stack.token(PARTNER, CONSUMER)),
            "Server.ClientProxy.UnknownMember",
        ),
        // Who it is, is right; but it has no agreement.
        (
            "VN/GOV/H41.3/main",
            Some(world.token("client-3")),
            "Server.ServerProxy.AccessDenied",
        ),
    ] {
        assert_eq!(error(&by(client, token).await).1, code, "{client}");
    }
    assert!(world.provider.came().is_empty());

    // The provider's own errors are its own; those of the door about it are X-Road's.
    assert_eq!(get(&world, &format!("{SERVICE}/people/missing")).await.status, 404);
    for (path, code) in [
        ("die", "Server.ServerProxy.NetworkError"),
        ("html", "Server.ServerProxy.InternalError"),
        ("redirect", "Server.ServerProxy.InternalError"),
    ] {
        let answer = get(&world, &format!("{SERVICE}/people/{path}")).await;
        assert_eq!(error(&answer), (500, code.to_owned()), "{path}");
        // What was forwarded has its exchange.
        assert_eq!(answer.header("x-road-request-id"), answer.header("x-egov-exchange"));
        assert!(answer.headers.contains_key("x-road-request-hash"));
    }
    let slow = request(&world, "GET", &format!("{SERVICE}/people/slow")).header("grpc-timeout", "300m");
    let answer = send(&world.stack.door, slow.body(Full::default()).unwrap()).await;
    assert_eq!(
        error(&answer),
        (500, "Server.ServerProxy.ServiceFailed.Timeout".to_owned())
    );
    let large = request(&world, "GET", &format!("{SERVICE}/people/7")).body(Full::from(vec![b' '; (4 << 20) + 1]));
    let answer = send(&world.stack.door, large.unwrap()).await;
    assert_eq!(error(&answer), (400, "Client.BadRequest".to_owned()));

    // The mask holds here as well, and takes no header of the protocol away.
    let answer = get(&world, &format!("{SERVICE}/people/7")).await;
    assert_eq!(
        (answer.json(), answer.header("x-road-client").as_str()),
        (json!({ "name": "A" }), CLIENT)
    );
    // XML for who asks for it.
    let xml = request(&world, "GET", "/r1/VN/GOV/H41.9/main/people/x").header("accept", "text/xml");
    let answer = send(&world.stack.door, xml.body(Full::default()).unwrap()).await;
    assert_eq!(answer.header("content-type"), "text/xml;charset=utf-8");
    assert!(String::from_utf8_lossy(&answer.body).contains("<type>Server.ServerProxy.UnknownService</type>"));
}

#[tokio::test]
async fn the_metaservices_tell_what_there_is_and_what_the_client_may_call_now() {
    let world = World::start(|_| {}).await;
    let meta = "/r1/VN/GOV/H41.3/main";
    let endpoints = |answer: &Answer| -> Vec<Value> {
        assert_eq!(
            (answer.status, answer.header("content-type").as_str()),
            (200, "application/json;charset=utf-8")
        );
        assert_eq!(answer.header("x-road-client"), CLIENT);
        let body = answer.json();
        body["service"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| one["endpoint_list"].clone())
            .collect()
    };
    let at = |method: &str, path: &str| json!({ "method": method, "path": path });
    let all = get(&world, &format!("{meta}/listMethods")).await;
    assert_eq!(
        endpoints(&all),
        [json!([
            at("DELETE", "/people/*"),
            at("GET", "/people/*"),
            at("GET", "/people/search"),
            at("POST", "/people/*"),
        ])]
    );
    let mut listed = all.json()["service"][0].clone();
    listed.as_object_mut().unwrap().remove("endpoint_list");
    assert_eq!(
        listed,
        json!({
            "member_class": "GOV", "member_code": "H41.3", "object_type": "SERVICE", "service_code": "people",
            "service_type": "OPENAPI", "subsystem_code": "main", "xroad_instance": "VN",
        })
    );
    let allowed = get(&world, &format!("{meta}/allowedMethods")).await;
    assert_eq!(
        endpoints(&allowed),
        [json!([at("GET", "/people/*"), at("POST", "/people/*")])]
    );
    let answer = get(&world, &format!("{meta}/getOpenAPI?serviceCode=people")).await;
    assert_eq!((answer.status, answer.json()), (200, document()));
    let answer = get(&world, &format!("{meta}/getOpenAPI?serviceCode=other")).await;
    assert_eq!(error(&answer).1, "Server.ServerProxy.UnknownService");
    let post = request(&world, "POST", &format!("{meta}/listMethods"))
        .body(Full::default())
        .unwrap();
    assert_eq!(error(&send(&world.stack.door, post).await).1, "Client.BadRequest");

    // A neighbour reads the catalogue, and may call nothing.
    let neighbour = |path: &str| {
        let asked = Request::get(format!("{meta}/{path}"))
            .header("host", "door")
            .header("x-road-client", "VN/GOV/H41.3/main")
            .header("authorization", format!("Bearer {}", world.token("client-3")));
        send(&world.stack.door, asked.body(Full::default()).unwrap())
    };
    assert_eq!(
        neighbour("listMethods").await.json()["service"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    assert_eq!(neighbour("allowedMethods").await.json(), json!({ "service": [] }));
    // Nothing of this is an exchange.
    assert!(world.provider.came().is_empty());
    assert!(!world.listed(CONSUMER).await.iter().any(|one| one.method == SEARCH));
}

#[tokio::test]
async fn a_registered_certificate_stands_for_a_token_and_only_here() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: String| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let issue = |name: &str| {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2026, 1, 1);
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        (params.signed_by(&key, &authority).unwrap().pem(), key.serialize_pem())
    };
    let (certificate, key) = issue("localhost");
    let mut settings = Settings::default();
    let tls = &mut settings.door.tls;
    tls.certificate = Some(put("door.pem", certificate));
    tls.key = Some(put("door.key", key));
    tls.client_ca = Some(put("clients.pem", authority.pem()));
    tls.client_certificates = ClientCertificates::Optional;
    let world = World::start_with(settings, |_| {}).await;
    let address = world.stack.door.replace("http://127.0.0.1", "https://localhost");

    let mut caller = world.stack.staff(PARTNER, CONSUMER);
    let register = async |caller: &mut Caller, pem: &str| {
        let read = GetSystemRequest {
            system_id: world.consumer.system.system_id.clone(),
        };
        let system = caller
            .systems
            .get_system(read)
            .await
            .unwrap()
            .into_inner()
            .system
            .unwrap();
        let added = AddCertificateRequest {
            request_id: request_id(),
            system_id: system.system_id,
            etag: system.etag,
            certificate_pem: pem.to_owned(),
        };
        let added = caller.systems.add_certificate(added).await.unwrap();
        added.into_inner().system.unwrap()
    };
    let (mine, my_key) = issue("client-2");
    let system = register(&mut caller, &mine).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;

    let client = |pair: Option<(&str, &str)>| {
        let mut builder = reqwest::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(authority.pem().as_bytes()).unwrap()])
            .no_proxy();
        if let Some((certificate, key)) = pair {
            let identity = reqwest::Identity::from_pem(format!("{certificate}\n{key}").as_bytes()).unwrap();
            builder = builder.identity(identity);
        }
        builder.build().unwrap()
    };
    let ask = async |client: &reqwest::Client, path: &str| {
        let asked = client.get(format!("{address}{path}")).header("x-road-client", CLIENT);
        let answer = asked.send().await.unwrap();
        let error = answer
            .headers()
            .get("x-road-error")
            .map(|code| code.to_str().unwrap().to_owned());
        (answer.status().as_u16(), error)
    };
    let path = format!("{SERVICE}/people/7");
    let known = client(Some((&mine, &my_key)));
    assert_eq!(ask(&known, &path).await, (200, None));
    let exchange = world.listed(PROVIDER).await.remove(0);
    assert_eq!(exchange.client_id, "client-2");
    // The provider gets no authorization that was meant for the door, nor one that was not.
    let basic = known
        .get(format!("{address}{path}"))
        .header("x-road-client", CLIENT)
        .basic_auth("a", Some("b"));
    assert_eq!(basic.send().await.unwrap().status(), 200);
    assert!(!world.provider.last().headers.contains_key("authorization"));

    // Of a service of gRPC as well.
    let both = Both::in_world(world, |_| {}).await;
    let world = &both.world;
    let bound = "/r1/VN/GOV/H41.3/main/registry/v1/people/7";
    for _ in 0..200 {
        if ask(&known, bound).await.0 == 200 {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(ask(&known, bound).await, (200, None));
    assert_eq!(both.provider.calls.load(std::sync::atomic::Ordering::SeqCst), 2);

    // Somebody else's, an unknown one, none at all.
    let unknown = Some("Server.ClientProxy.UnknownMember".to_owned());
    let (other, other_key) = issue("client-2");
    assert_eq!(
        ask(&client(Some((&other, &other_key))), &path).await,
        (500, unknown.clone())
    );
    for path in [path.as_str(), bound] {
        assert_eq!(ask(&client(None), path).await, (500, unknown.clone()));
    }
    // Elsewhere a certificate is no token.
    let rest = known
        .get(format!("{address}/rest/{}/people/7", world.service.service_id))
        .send()
        .await
        .unwrap();
    assert_eq!(rest.status(), 401);

    // Withdrawn, it is worth nothing within a second.
    let withdrawn = WithdrawCertificateRequest {
        request_id: request_id(),
        system_id: system.system_id,
        etag: system.etag,
        certificate_id: system.certificates[0].certificate_id.clone(),
        reason: "thử nghiệm".to_owned(),
    };
    caller.systems.withdraw_certificate(withdrawn).await.unwrap();
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    for path in [path.as_str(), bound] {
        assert_eq!(ask(&known, path).await, (500, unknown.clone()));
    }
}
