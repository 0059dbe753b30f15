//! Generated data as an operator makes and checks it.

use crate::support::{folder, json, on, text};

#[test]
fn an_empty_demonstration_is_filled_and_verified_and_a_second_time_is_refused() {
    let data = folder();
    let place = data.path();
    let made = json(&on(
        place,
        &["generate", "--cases", "400", "--seed", "9", "--verify", "--json"],
    ));
    assert_eq!(made["truth"]["cases"], 400);
    assert_eq!(made["rows"]["cases"], 400);
    assert_eq!(made["verified"]["checked"], 400);
    assert_eq!(made["verified"]["violations"].as_array().unwrap().len(), 0);
    let kept: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(place.join("truth.json")).unwrap()).unwrap();
    assert_eq!(kept["truth"], made["truth"]);
    assert!(
        made["truth"]["by_unit"].as_object().unwrap().len() > 80,
        "most communes have cases"
    );

    let again = on(place, &["generate", "--cases", "10"]);
    assert!(!again.status.success());
    assert!(text(&again).contains("--into-existing"), "{}", text(&again));
    let production = on(place, &["generate", "--cases", "10", "--profile", "production"]);
    assert!(!production.status.success());

    let verified = on(place, &["verify", "--sample", "50"]);
    assert!(verified.status.success(), "{}", text(&verified));
    assert!(
        text(&verified).contains("everything fits together"),
        "{}",
        text(&verified)
    );
}
