//! The contract through the real port.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use egov_auth::{Access, AuthLayer, Issuer, Policies, Revocations, Unit, UnitTree, Verifier, VerifierConfig};
use egov_clock::SystemIds;
use egov_ledger::{Hash, Receipt, SignedCheckpoint, VerifyingKey, verify_consistency, verify_inclusion};
use egov_proto::egov::ledger::v1::ledger_service_client::LedgerServiceClient;
use egov_proto::egov::ledger::v1::ledger_service_server::LedgerServiceServer;
use egov_proto::egov::ledger::v1::witness_service_server::WitnessServiceServer;
use egov_proto::egov::ledger::v1::{
    GetCheckpointRequest, GetConsistencyProofRequest, GetInclusionProofRequest, GetReceiptRequest, GetTileRequest,
    ListEntriesRequest, ListLogsRequest,
};
use egov_runtime::config::ServerConfig;
use egov_runtime::contract::{Contract, Formats};
use egov_runtime::server::{Assembly, Server, Shutdown};
use egov_testkit::Tokens;
use egov_transparency::{LedgerApi, Trust, Witness, WitnessApi, WitnessPeer};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::stage::{Stage, sequence};

const POLICY: &str = r#"
[[role]]
name = "ledger_auditor"
title = "Kiểm toán sổ cái"

[[grant]]
role = "ledger_auditor"
permissions = ["ledger.entries.read"]
over = "subtree"
"#;

struct Port {
    channel: Channel,
    tokens: Tokens,
    shutdown: Shutdown,
}

impl Drop for Port {
    fn drop(&mut self) {
        self.shutdown.abort();
    }
}

impl Port {
    async fn of(stage: &Stage, witness: Option<Witness>) -> Self {
        let contract = Arc::clone(&CONTRACT);
        let tokens = Tokens::by(stage.clock.shared());
        let tree = UnitTree::new(1, [Unit { id: 1, parent: None }]).unwrap();
        let issuer = Issuer::from_config(tokens.issuer()).unwrap();
        let auth = AuthLayer::new(
            Arc::new(Verifier::new(
                vec![issuer],
                stage.clock.shared(),
                VerifierConfig::default(),
            )),
            Arc::new(Access::new(
                Policies::from_toml(&[("policy.toml", POLICY)]).unwrap(),
                Arc::new(arc_swap::ArcSwap::from_pointee(tree)),
            )),
            Arc::new(Revocations::local(stage.clock.shared())),
            contract.method_rules(),
            &[],
        );
        let pages = stage.database.page_tokens();
        let api = LedgerApi::new(Arc::clone(&contract), [Arc::clone(&stage.log)], pages);
        let assembly = Assembly::new("ledger")
            .service(LedgerServiceServer::new(api))
            .service(WitnessServiceServer::new(WitnessApi::new(
                Arc::clone(&contract),
                witness.map(Arc::new),
            )))
            .auth(auth);
        let server = Server::builder(
            ServerConfig::default(),
            contract,
            stage.clock.shared(),
            SystemIds::shared(),
        )
        .assembly(assembly)
        .build()
        .unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        tokio::spawn(server.serve(listener, shutdown.clone()));
        let channel = Endpoint::from_shared(format!("http://{address}"))
            .unwrap()
            .connect_lazy();
        Self {
            channel,
            tokens,
            shutdown,
        }
    }

    fn client(&self) -> LedgerServiceClient<Channel> {
        LedgerServiceClient::new(self.channel.clone())
    }

    fn by<T>(&self, role: &str, message: T) -> Request<T> {
        let token = self.tokens.staff(Uuid::from_u128(1), &[(role, 1)]);
        let mut request = Request::new(message);
        let bearer = format!("Bearer {token}").parse().unwrap();
        request.metadata_mut().insert("authorization", bearer);
        request
    }
}

fn refusal(status: &Status) -> (Code, String) {
    (status.code(), egov_fault::reason_of(status).unwrap_or_default())
}

fn hashes(path: Vec<Vec<u8>>) -> Vec<Hash> {
    path.iter().map(|hash| Hash::from_slice(hash).unwrap()).collect()
}

#[tokio::test]
async fn anybody_checks_a_log_through_the_port_with_nothing_but_its_key() {
    let stage = Stage::new().await;
    stage.grow(10).await;
    stage.grow(300).await;
    let port = Port::of(&stage, None).await;
    let mut client = port.client();
    let log = "onestop".to_owned();
    let logs = client
        .list_logs(ListLogsRequest::default())
        .await
        .unwrap()
        .into_inner()
        .logs;
    assert_eq!(
        (logs[0].log.as_str(), logs[0].tree_size, logs.len()),
        ("onestop", 310, 1)
    );
    let key: VerifyingKey = logs[0].keys[0].parse().unwrap();
    assert_eq!(key, stage.key());

    let checkpoint = |tree_size| GetCheckpointRequest {
        log: log.clone(),
        epoch: 0,
        tree_size,
    };
    let read = |note: &str| note.parse::<SignedCheckpoint>().unwrap();
    let old = read(
        &client
            .get_checkpoint(checkpoint(10))
            .await
            .unwrap()
            .into_inner()
            .checkpoint,
    );
    let new = read(
        &client
            .get_checkpoint(checkpoint(0))
            .await
            .unwrap()
            .into_inner()
            .checkpoint,
    );
    old.verify(&key).unwrap();
    new.verify(&key).unwrap();
    let proof = GetConsistencyProofRequest {
        log: log.clone(),
        epoch: 0,
        first: 10,
        second: 310,
    };
    let path = hashes(client.get_consistency_proof(proof).await.unwrap().into_inner().path);
    verify_consistency(10, &old.checkpoint().root, 310, &new.checkpoint().root, &path).unwrap();

    let leaf = stage.leaf(257).await;
    let proof = GetInclusionProofRequest {
        log: log.clone(),
        leaf_hash: leaf.to_string(),
        tree_size: 0,
    };
    let proof = client.get_inclusion_proof(proof).await.unwrap().into_inner();
    let path = hashes(proof.path);
    verify_inclusion(&leaf, 257, 310, &path, &new.checkpoint().root).unwrap();
    let receipt = GetReceiptRequest {
        log: log.clone(),
        leaf_hash: leaf.to_string(),
    };
    let receipt = client.get_receipt(receipt).await.unwrap().into_inner();
    for form in [
        receipt.receipt.as_slice(),
        receipt.text.as_bytes(),
        receipt.json.as_bytes(),
    ] {
        Receipt::read(form).unwrap().verify([&key]).unwrap();
    }
    let tile = GetTileRequest {
        log,
        epoch: 0,
        level: 0,
        index: 1,
    };
    let tile = client.get_tile(tile).await.unwrap().into_inner().hashes;
    assert_eq!(tile.len(), (310 - 256) * 32);
    assert_eq!(&tile[32..64], leaf.as_bytes());
}

#[tokio::test]
async fn what_is_not_there_is_refused_with_its_reason() {
    let stage = Stage::new().await;
    let port = Port::of(&stage, None).await;
    let mut client = port.client();
    let checkpoint = |log: &str, epoch| GetCheckpointRequest {
        log: log.to_owned(),
        epoch,
        tree_size: 0,
    };
    let found = |status: Status| refusal(&status);
    let empty = client.get_checkpoint(checkpoint("onestop", 0)).await.unwrap_err();
    assert_eq!(found(empty), (Code::NotFound, "CHECKPOINT_NOT_FOUND".to_owned()));
    for wrong in [checkpoint("nobody", 0), checkpoint("onestop", 7)] {
        let status = client.get_checkpoint(wrong).await.unwrap_err();
        assert_eq!(found(status), (Code::NotFound, "LOG_NOT_FOUND".to_owned()));
    }
    stage.grow(3).await;
    let tile = GetTileRequest {
        log: "onestop".to_owned(),
        epoch: 0,
        level: 1,
        index: 0,
    };
    assert_eq!(
        found(client.get_tile(tile).await.unwrap_err()),
        (Code::OutOfRange, "OUTSIDE_THE_TREE".to_owned())
    );
    let proof = GetInclusionProofRequest {
        log: "onestop".to_owned(),
        leaf_hash: "ab".repeat(32),
        tree_size: 0,
    };
    assert_eq!(
        found(client.get_inclusion_proof(proof).await.unwrap_err()),
        (Code::NotFound, "LEAF_NOT_FOUND".to_owned())
    );
    let receipt = GetReceiptRequest {
        log: "onestop".to_owned(),
        leaf_hash: "AB".repeat(32),
    };
    assert_eq!(
        client.get_receipt(receipt).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn only_an_auditor_lists_entries_page_by_page_or_of_one_resource() {
    let stage = Stage::new().await;
    stage.grow(5).await;
    let resource = stage.write(1).await;
    stage.sequence().await;
    let port = Port::of(&stage, None).await;
    let mut client = port.client();
    let ask = |page_token: &str| ListEntriesRequest {
        log: "onestop".to_owned(),
        page_size: 4,
        page_token: page_token.to_owned(),
        ..ListEntriesRequest::default()
    };
    let nobody = client.list_entries(ask("")).await.unwrap_err();
    assert_eq!(nobody.code(), Code::Unauthenticated);
    let other = client
        .list_entries(port.by("one_stop_clerk", ask("")))
        .await
        .unwrap_err();
    assert_eq!(other.code(), Code::PermissionDenied);
    let first = client
        .list_entries(port.by("ledger_auditor", ask("")))
        .await
        .unwrap()
        .into_inner();
    let next = ask(&first.next_page_token);
    let second = client
        .list_entries(port.by("ledger_auditor", next))
        .await
        .unwrap()
        .into_inner();
    let indexes: Vec<i64> = [first.entries, second.entries]
        .concat()
        .iter()
        .map(|entry| entry.index)
        .collect();
    assert_eq!(indexes, [0, 1, 2, 3, 4, 5]);
    assert!(second.next_page_token.is_empty());
    let of = ListEntriesRequest {
        kind: "case".to_owned(),
        resource_id: resource.to_string(),
        ..ask("")
    };
    let of = client
        .list_entries(port.by("ledger_auditor", of))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(of.entries.iter().map(|entry| entry.index).collect::<Vec<_>>(), [5]);
}

#[tokio::test]
async fn a_log_shows_its_checkpoints_to_a_witness_of_another_agency_and_receipts_carry_the_cosignature() {
    let stage = Stage::new().await;
    let elsewhere = Stage::new().await;
    let witness = Witness::new(
        elsewhere.database.clone(),
        Arc::clone(&elsewhere.keyring),
        "witness.hatinh.gov.vn",
        vec![stage.key()],
    );
    let key = witness.key().unwrap();
    let port = Port::of(&elsewhere, Some(witness)).await;
    let peer = WitnessPeer {
        key: key.clone(),
        channel: port.channel.clone(),
    };
    assert_eq!(peer.show(&stage.log).await.unwrap(), None, "there is nothing yet");
    for (size, more) in [(5, 5), (305, 300), (306, 1)] {
        stage.grow(more).await;
        assert_eq!(peer.show(&stage.log).await.unwrap(), Some(size));
        assert_eq!(peer.show(&stage.log).await.unwrap(), None, "it is cosigned already");
    }
    let receipt = stage.log.receipt(&stage.leaf(7).await, Duration::ZERO).await.unwrap();
    assert_eq!(
        receipt.checkpoint.checkpoint().size,
        305,
        "the first that a witness cosigned"
    );
    receipt.checkpoint.cosigned_by(&key).unwrap();
    let trust = Trust::in_keys(vec![stage.key(), key.clone()]);
    let report = stage.verify_as(1, &trust).await;
    assert!(report.is_whole() && report.cosignatures == 3, "{report:?}");
    stage
        .tamper("UPDATE egov.cosignatures SET line = (SELECT line FROM egov.cosignatures WHERE tree_size = 5) WHERE tree_size = 306")
        .await;
    let report = stage.verify_as(1, &trust).await;
    assert_eq!(
        report.found.keys().copied().collect::<Vec<_>>(),
        [egov_transparency::Rule::Cosignature]
    );
    // What the witness knows, a restored log learns from it.
    stage.restore_to(5).await;
    stage.write(1).await;
    sequence(&stage.elsewhere()).await.unwrap();
    let refused = peer.show(&stage.log).await.unwrap_err();
    assert_eq!(egov_fault::Fault::from(refused).reason(), "LOG_ROLLED_BACK");
}

#[tokio::test]
async fn who_is_nobodys_witness_says_so() {
    let stage = Stage::new().await;
    stage.grow(1).await;
    let port = Port::of(&stage, None).await;
    let peer = WitnessPeer {
        key: stage.key(),
        channel: port.channel.clone(),
    };
    let refused = peer.show(&stage.log).await.unwrap_err();
    assert_eq!(egov_fault::Fault::from(refused).reason(), "NOT_WITNESSED");
}

/// The contracts with their compiled rules: the same for every test, and slow to compile in a debug build.
static CONTRACT: LazyLock<Arc<Contract>> =
    LazyLock::new(|| Arc::new(Contract::with_formats(&egov_proto::POOL, &Formats::of_law()).unwrap()));
