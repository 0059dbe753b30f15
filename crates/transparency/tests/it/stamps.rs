//! Time stamps by a small authority made of `openssl ts`, and judged by it.

use std::path::{Path, PathBuf};
use std::process::Command;

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use egov_runtime::config::Period;
use egov_transparency::{AuthorityConfig, Rule, StampAuthority, StampProblem, StampRoots, Trust};

use crate::stage::Stage;

fn openssl(folder: &Path, arguments: &[&str]) -> bool {
    let output = Command::new("openssl")
        .args(arguments)
        .current_dir(folder)
        .output()
        .expect("openssl is installed: apt-get install openssl");
    if !output.status.success() {
        eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    }
    output.status.success()
}

/// A throw-away authority: its certificates, and where it answers.
struct Authority {
    folder: tempfile::TempDir,
    url: String,
}

const CONFIG: &str = "
[tsa]
default_tsa = t
[t]
serial = serial
signer_cert = tsa.pem
signer_key = tsa.key
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
ess_cert_id_alg = sha256
[ext]
basicConstraints = CA:FALSE
extendedKeyUsage = critical,timeStamping
[plain]
basicConstraints = CA:FALSE
extendedKeyUsage = serverAuth
";

impl Authority {
    /// `key` is what `openssl req -newkey` makes its key of.
    async fn start(key: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path();
        std::fs::write(at.join("tsa.cnf"), CONFIG).unwrap();
        std::fs::write(at.join("serial"), "01\n").unwrap();
        let curve = "ec_paramgen_curve:P-256";
        let subject = "/CN=Time stamps";
        for arguments in [
            vec![
                "req", "-x509", "-newkey", "ec", "-pkeyopt", curve, "-nodes", "-keyout", "ca.key", "-out", "ca.pem",
                "-subj", "/CN=Root", "-days", "30",
            ],
            [
                vec![
                    "req", "-nodes", "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", subject, "-newkey",
                ],
                key.to_vec(),
            ]
            .concat(),
            vec![
                "x509",
                "-req",
                "-in",
                "tsa.csr",
                "-CA",
                "ca.pem",
                "-CAkey",
                "ca.key",
                "-CAcreateserial",
                "-out",
                "tsa.pem",
                "-days",
                "30",
                "-extfile",
                "tsa.cnf",
                "-extensions",
                "ext",
            ],
        ] {
            assert!(openssl(at, &arguments), "{arguments:?}");
        }
        let answering = at.to_owned();
        let router = Router::new().route("/", post(move |body: Bytes| async move { answer(&answering, &body) }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { folder, url }
    }

    fn at(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    fn roots(&self) -> StampRoots {
        StampRoots::from_pem(&std::fs::read(self.at("ca.pem")).unwrap()).unwrap()
    }

    fn client(&self) -> StampAuthority {
        let config = AuthorityConfig {
            name: "test".to_owned(),
            url: self.url.clone(),
            roots: self.at("ca.pem"),
            every: Period::seconds(60),
        };
        StampAuthority::new(&config, self.roots(), reqwest::Client::new())
    }
}

fn answer(folder: &Path, query: &[u8]) -> Vec<u8> {
    std::fs::write(folder.join("query.tsq"), query).unwrap();
    let made = openssl(
        folder,
        &[
            "ts",
            "-reply",
            "-config",
            "tsa.cnf",
            "-queryfile",
            "query.tsq",
            "-out",
            "reply.tsr",
        ],
    );
    assert!(made);
    std::fs::read(folder.join("reply.tsr")).unwrap()
}

#[tokio::test]
async fn a_checkpoint_is_stamped_and_openssl_agrees_with_the_token_that_is_stored() {
    for key in [vec!["rsa:2048"], vec!["ec", "-pkeyopt", "ec_paramgen_curve:P-384"]] {
        let (stage, authority) = (Stage::new().await, Authority::start(&key).await);
        let client = authority.client();
        assert_eq!(client.stamp(&stage.log).await.unwrap(), None, "there is nothing yet");
        stage.grow(3).await;
        assert_eq!(client.stamp(&stage.log).await.unwrap(), Some(3));
        assert_eq!(client.stamp(&stage.log).await.unwrap(), None, "it is stamped already");

        let (checkpoint, stamps) = stage.log.checkpoint(0, 0).await.unwrap();
        let [stamp] = stamps.as_slice() else {
            panic!("{stamps:?}")
        };
        let text = &checkpoint.note().text;
        let roots = authority.roots();
        assert_eq!(roots.verify(&stamp.token, text.as_bytes()), Ok(stamp.time));
        std::fs::write(authority.at("text"), text).unwrap();
        std::fs::write(authority.at("token"), &stamp.token).unwrap();
        let verify = [
            "ts",
            "-verify",
            "-data",
            "text",
            "-in",
            "token",
            "-token_in",
            "-CAfile",
            "ca.pem",
        ];
        assert!(openssl(authority.folder.path(), &verify));

        // The whole log, with the stamp.
        let verified = async |named: &str, roots: StampRoots| {
            let trust = Trust {
                keys: vec![stage.key()],
                stamp_roots: [(named.to_owned(), roots)].into(),
            };
            stage.verify_as(1, &trust).await
        };
        let report = verified("test", roots.clone()).await;
        assert!(report.is_whole() && report.time_stamps == 1, "{report:?}");
        let stranger = Authority::start(&["ec", "-pkeyopt", "ec_paramgen_curve:P-256"])
            .await
            .roots();
        let report = verified("test", stranger).await;
        assert_eq!(report.found.into_keys().collect::<Vec<_>>(), [Rule::TimeStamp]);
        // One whose roots nobody named is counted and named, not judged.
        let report = verified("another", roots).await;
        assert!(report.is_whole(), "{report:?}");
        assert_eq!((report.time_stamps, report.time_stamps_unknown), (0, 1));
        assert_eq!(report.authorities_unknown.into_iter().collect::<Vec<_>>(), ["test"]);
    }
}

#[tokio::test]
async fn a_token_over_another_text_or_that_was_changed_or_by_another_kind_of_certificate_is_not_believed() {
    let (stage, authority) = (Stage::new().await, Authority::start(&["rsa:2048"]).await);
    stage.grow(1).await;
    authority.client().stamp(&stage.log).await.unwrap();
    let (checkpoint, stamps) = stage.log.checkpoint(0, 0).await.unwrap();
    let (text, token) = (checkpoint.note().text.as_bytes(), stamps[0].token.clone());
    let roots = authority.roots();
    assert_eq!(roots.verify(&token, b"other\n"), Err(StampProblem::OtherText));
    // Wherever one byte is changed, it is refused, and nothing panics. Not everything is signed: what differs then is only how the
    // token is packed.
    let mut believed = 0;
    for at in 0..token.len() {
        let mut changed = token.clone();
        changed[at] ^= 1;
        believed += usize::from(roots.verify(&changed, text).is_ok());
    }
    assert!(believed < 60, "{believed} of {} bytes are not covered", token.len());
    for length in 0..token.len() {
        assert!(roots.verify(&token[..length], text).is_err());
    }
    // A certificate of the same root that is not for time stamps.
    let again = [
        "x509",
        "-req",
        "-in",
        "tsa.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-out",
        "plain.pem",
        "-days",
        "30",
        "-extfile",
        "tsa.cnf",
        "-extensions",
        "plain",
    ];
    assert!(openssl(authority.folder.path(), &again));
    let plain = std::fs::read(authority.at("plain.pem")).unwrap();
    assert_eq!(
        StampRoots::from_pem(&plain).unwrap().verify(&token, text),
        Err(StampProblem::NotTrusted)
    );
    assert!(StampRoots::from_pem(b"nothing").is_err());
}

#[tokio::test]
async fn an_authority_that_answers_nonsense_leaves_no_stamp() {
    let (stage, mut authority) = (Stage::new().await, Authority::start(&["rsa:2048"]).await);
    stage.grow(1).await;
    let router = Router::new().route("/", post(async || "nonsense"));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    authority.url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    let refused = authority.client().stamp(&stage.log).await.unwrap_err();
    assert_eq!(egov_fault::Fault::from(refused).reason(), "TIME_STAMP_FAILED");
    assert!(stage.log.checkpoint(0, 0).await.unwrap().1.is_empty());
}
