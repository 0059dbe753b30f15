//! One-stop's cases at the national portal, by themselves: a whole stack beside a simulated portal.

use std::path::Path;
use std::time::{Duration, Instant};

use egov_simulators::{PASSWORD, PortalSimulator, USERNAME};

use crate::support::*;

#[test]
fn the_cases_of_a_stack_are_told_to_the_portal_with_their_states_and_times_also_after_a_rotation() {
    let folder = folder();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let portal = runtime
        .block_on(PortalSimulator::start(egov_clock::SystemClock::shared()))
        .unwrap();
    let tables = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/packs/code-tables");
    let config = format!(
        r#"
        [partners]
        code_tables = {tables:?}
        [partners.portal]
        username = "{USERNAME}"
        password = "{PASSWORD}"
        follow = "onestop.events"
        [partners.portal.line]
        address = "{}"
        hosts = ["127.0.0.1"]
        "#,
        portal.url()
    );
    let file = folder.path().join("up.toml");
    std::fs::write(&file, config).unwrap();
    let data = folder.path().join("data");
    let up = Up::configured(&data, "127.0.0.1:0", &file);
    json(&on(&data, &["demo", "--json"]));
    // The demonstration takes a case from filing to the citizen: 10, the result is returned.
    let begin = Instant::now();
    let told = loop {
        let returned = portal.cases().into_values().find(|case| case.state == "10");
        if let Some(told) = returned {
            break told;
        }
        let known: Vec<String> = portal.cases().into_values().map(|case| case.state).collect();
        assert!(
            begin.elapsed() < Duration::from_mins(2),
            "states at the portal: {known:?}"
        );
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(200)).await });
    };
    // By the new key, too: the services are registered with it anew, and no event is lost meanwhile.
    json(&on(
        &data,
        &["keys", "rotate", "--purpose", "client-assertions", "--json"],
    ));
    json(&on(&data, &["demo", "--json"]));
    let begin = Instant::now();
    while portal.cases().values().filter(|case| case.state == "10").count() < 2 {
        assert!(begin.elapsed() < Duration::from_mins(2), "the second case is not told");
        runtime.block_on(async { tokio::time::sleep(Duration::from_millis(200)).await });
    }
    assert!(told.accept_time.is_some() && told.due_time.is_some() && !told.owner_name.is_empty());
    drop(up);
}
