//! `cargo egov status`: how a running installation stands, on one screen.
//!
//! Health is asked at the port; backlogs, leases and the ledger are read in the databases as the superuser, who alone sees all of
//! them; keys in the folder of the keyring. What this version of the schema does not have is said to be not there.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use egov_clock::{Clock as _, SystemClock, vietnam};
use egov_keyring::{Keyring, Purpose};
use jiff::{SignedDuration, Timestamp};
use jiff_sqlx::ToSqlx as _;
use reqwest::Url;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use tonic::transport::Channel;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::place::{Place, Running};
use crate::problem::Problem;
use crate::services::ALL;
use crate::{client, say};

/// From this age on a key that has no successor is worth a rotation.
const ROTATE_AFTER: SignedDuration = SignedDuration::from_hours(24 * 365);
/// A key that stops counting so soon is shown.
const RETIRES_SOON: SignedDuration = SignedDuration::from_hours(24 * 7);
/// A backlog that is older than this stands still.
const STALE: f64 = 60.0;

/// `cargo egov status`
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The data folder.
    #[arg(long, value_name = "DIR", default_value = ".egov", env = "EGOV_DATA")]
    data: PathBuf,
    /// A superuser's connection to the PostgreSQL server of your own, if `up` uses one.
    #[arg(long, value_name = "URL", env = "EGOV_DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// How it stands.
#[derive(Debug, Serialize)]
struct Status {
    /// What is wrong, each in one sentence; empty if nothing is.
    problems: Vec<String>,
    address: String,
    pid: u32,
    /// Of this command; the running process may be older.
    version: &'static str,
    health: Health,
    databases: Vec<Database>,
    /// Records of exchanges that the database refuses, set aside beside the door's journal.
    set_aside: usize,
    keys: Vec<Key>,
}

#[derive(Debug, Serialize)]
struct Health {
    /// The whole: `SERVING` or what it says instead.
    whole: String,
    /// By the full name of the service of a contract.
    services: BTreeMap<String, String>,
}

/// One service's database.
#[derive(Debug, Default, Serialize)]
struct Database {
    service: &'static str,
    /// Why nothing can be said of it.
    unreachable: Option<String>,
    server: String,
    bytes: i64,
    connections: i64,
    shared_schema: i32,
    migration: i64,
    epoch: i32,
    /// Events that the relay has not taken.
    outbox: Option<Backlog>,
    /// Events in the log of this epoch.
    events: Option<i64>,
    /// Leaves that have no place in the ledger.
    unsequenced: Option<Backlog>,
    ledger: Option<Ledger>,
    /// Events that subscribers have not acknowledged.
    deliveries: Option<Deliveries>,
    /// What was given up besides events.
    given_up: Option<GivenUp>,
    /// Exchanges of the door.
    traffic: Option<Traffic>,
    /// Parts of this list that the schema does not have.
    not_there: Vec<&'static str>,
    leases: Vec<Lease>,
}

/// What waits.
#[derive(Debug, Serialize)]
struct Backlog {
    waiting: i64,
    /// Seconds since the oldest came; none if nothing waits.
    oldest_seconds: Option<f64>,
}

#[derive(Debug, Serialize)]
struct Ledger {
    tree_size: i64,
    /// When the last checkpoint was signed.
    checkpoint: Option<Timestamp>,
    cosignatures: i64,
}

#[derive(Debug, Serialize)]
struct Deliveries {
    subscriptions: i64,
    /// The most events that one subscription is behind.
    furthest_behind: i64,
    under_way: i64,
    dead_letters: i64,
}

/// What nobody tries any more, until somebody sends it again.
#[derive(Debug, Serialize)]
struct GivenUp {
    /// Messages between agencies.
    mailbox_messages: i64,
    /// Acts towards partners, by the partner.
    partner_deliveries: BTreeMap<String, i64>,
}

/// The door since the beginning of the hour before this one.
#[derive(Debug, Serialize)]
struct Traffic {
    calls: i64,
    calls_per_minute: f64,
    /// Of all that ended, 0 to 1.
    error_share: f64,
    /// In milliseconds.
    p99_ms: f64,
}

#[derive(Debug, Serialize)]
struct Lease {
    name: String,
    fence: i64,
    /// Until when it is held; none if it was given back.
    expires: Option<Timestamp>,
    held: bool,
}

#[derive(Debug, Serialize)]
struct Key {
    purpose: &'static str,
    id: String,
    created: Timestamp,
    retires: Option<Timestamp>,
    withdrawn: bool,
    /// What an operator does about it; empty if nothing.
    advice: &'static str,
}

/// `cargo egov status`: fails if something is wrong, so that a script can ask.
pub(crate) async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let place = Place::at(&arguments.data)?;
    let running = client::running(&place)?;
    let channel = client::connect(&running.url()).await?;
    let now = SystemClock.now();
    let superuser = superuser(&running, arguments.database_url)?;
    let mut databases = Vec::with_capacity(ALL.len());
    for service in &ALL {
        databases.push(look(service.name, &superuser).await);
    }
    let mut status = Status {
        problems: Vec::new(),
        address: running.address.to_string(),
        pid: running.pid,
        version: env!("CARGO_PKG_VERSION"),
        health: health(&channel).await,
        databases,
        set_aside: egov_integration::records_set_aside(&place.path("door"))
            .context("the door's journal cannot be read")?,
        keys: keys(&place, now)?,
    };
    status.problems = problems(&status);
    if arguments.json {
        say::json(&status);
    } else {
        show(&status);
    }
    if status.problems.is_empty() {
        return Ok(());
    }
    Err(Problem::new(
        format!("{} things are not as they should be", status.problems.len()),
        "look at the log of the running process for the services named above",
    )
    .into())
}

fn superuser(running: &Running, given: Option<String>) -> anyhow::Result<Url> {
    let url = running.database.clone().or(given).ok_or_else(|| {
        Problem::new(
            "the running stack uses a database server of your own",
            "set EGOV_DATABASE_URL as for `up`",
        )
    })?;
    Url::parse(&url).context("the address of the database cannot be read")
}

/// What each service of the contracts says of itself.
async fn health(channel: &Channel) -> Health {
    let names = egov_proto::POOL
        .services()
        .map(|service| service.full_name().to_owned())
        .filter(|name| name.starts_with("egov."));
    let mut services = BTreeMap::new();
    for name in names {
        let said = check(channel, &name).await;
        services.insert(name, said);
    }
    Health {
        whole: check(channel, "").await,
        services,
    }
}

async fn check(channel: &Channel, service: &str) -> String {
    let request = HealthCheckRequest {
        service: service.to_owned(),
    };
    match HealthClient::new(channel.clone()).check(request).await {
        Ok(answer) => ServingStatus::try_from(answer.into_inner().status)
            .map_or("UNKNOWN", |status| status.as_str_name())
            .to_owned(),
        Err(status) if status.code() == tonic::Code::NotFound => NOT_HERE.to_owned(),
        Err(status) => format!("{:?}", status.code()),
    }
}

/// A service of the contracts that this process does not serve.
const NOT_HERE: &str = "NOT_HERE";

async fn look(service: &'static str, superuser: &Url) -> Database {
    let mut url = superuser.clone();
    url.set_path(service);
    let mut database = Database {
        service,
        ..Database::default()
    };
    let looked = async {
        let mut connection = PgConnection::connect(url.as_str()).await?;
        fill(&mut connection, &mut database).await?;
        connection.close().await
    };
    if let Err(error) = looked.await {
        database.unreachable = Some(error.to_string());
    }
    database
}

async fn fill(connection: &mut PgConnection, database: &mut Database) -> Result<(), sqlx::Error> {
    let facts: (String, i64, i64, i32, i64, i32) = sqlx::query_as(
        "SELECT current_setting('server_version'), pg_database_size(current_database()),
                (SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()),
                egov.shared_version(), (SELECT coalesce(max(version), 0) FROM _sqlx_migrations WHERE success),
                egov.current_epoch()",
    )
    .fetch_one(&mut *connection)
    .await?;
    (
        database.server,
        database.bytes,
        database.connections,
        database.shared_schema,
        database.migration,
        database.epoch,
    ) = facts;
    database.outbox = Some(backlog(connection, "egov.outbox", "create_time").await?);
    database.events = Some(
        sqlx::query_scalar(
            "SELECT coalesce(max(log_offset) + 1, 0) FROM egov.event_log WHERE epoch = egov.current_epoch()",
        )
        .fetch_one(&mut *connection)
        .await?,
    );
    if is_there(connection, "egov.unsequenced_leaves").await? {
        let queue = "egov.unsequenced_leaves JOIN egov.leaves USING (leaf_id)";
        database.unsequenced = Some(backlog(connection, queue, "create_time").await?);
        let ledger = ledger(connection).await?;
        if ledger.checkpoint.is_none() {
            database.not_there.push("a sequencer that has begun the ledger");
        }
        database.ledger = Some(ledger);
    } else {
        database.not_there.push("ledger");
    }
    if database.service == "integration" {
        if is_there(connection, "public.event_consumers").await? {
            database.deliveries = Some(deliveries(connection).await?);
        } else {
            database.not_there.push("subscriptions and dead letters");
        }
        if is_there(connection, "public.deliveries").await? {
            database.given_up = Some(given_up(connection).await?);
        } else {
            database.not_there.push("mailboxes and deliveries to partners");
        }
        if is_there(connection, "public.traffic").await? {
            database.traffic = Some(traffic(connection, SystemClock.now()).await?);
        } else {
            database.not_there.push("traffic of the door");
        }
    }
    let leases: Vec<(String, i64, Option<jiff_sqlx::Timestamp>, bool)> = sqlx::query_as(
        "SELECT name, fence, CASE WHEN isfinite(expire_time) THEN expire_time END, expire_time > clock_timestamp()
         FROM egov.leases ORDER BY name",
    )
    .fetch_all(&mut *connection)
    .await?;
    database.leases = leases
        .into_iter()
        .map(|(name, fence, expires, held)| Lease {
            name,
            fence,
            expires: expires.map(jiff_sqlx::Timestamp::to_jiff),
            held,
        })
        .collect();
    Ok(())
}

async fn is_there(connection: &mut PgConnection, table: &str) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("SELECT to_regclass($1) IS NOT NULL")
        .bind(table)
        .fetch_one(connection)
        .await
}

/// How much waits in a queue of ours, and since when. By the server's clock, by which its rows were not dated: never below zero.
async fn backlog(
    connection: &mut PgConnection,
    from: &'static str,
    time: &'static str,
) -> Result<Backlog, sqlx::Error> {
    // Safe to run: both parts are our own words.
    let statement =
        format!("SELECT count(*), extract(epoch FROM clock_timestamp() - min({time}))::double precision FROM {from}");
    let (waiting, oldest): (i64, Option<f64>) = sqlx::query_as(AssertSqlSafe(statement)).fetch_one(connection).await?;
    Ok(Backlog {
        waiting,
        oldest_seconds: oldest.map(|seconds| seconds.max(0.0)),
    })
}

async fn ledger(connection: &mut PgConnection) -> Result<Ledger, sqlx::Error> {
    let (tree_size, checkpoint, cosignatures): (i64, Option<jiff_sqlx::Timestamp>, i64) = sqlx::query_as(
        "SELECT coalesce(max(tree_size), 0), max(create_time),
                (SELECT count(DISTINCT witness) FROM egov.cosignatures WHERE epoch = egov.current_epoch())
         FROM egov.checkpoints WHERE epoch = egov.current_epoch()",
    )
    .fetch_one(connection)
    .await?;
    Ok(Ledger {
        tree_size,
        checkpoint: checkpoint.map(jiff_sqlx::Timestamp::to_jiff),
        cosignatures,
    })
}

async fn deliveries(connection: &mut PgConnection) -> Result<Deliveries, sqlx::Error> {
    let (subscriptions, furthest_behind, under_way, dead_letters): (i64, i64, i64, i64) = sqlx::query_as(
        "SELECT count(*), coalesce(max(h.next_offset - c.next_offset), 0),
                (SELECT count(*) FROM event_deliveries), (SELECT count(*) FROM event_dead_letters)
         FROM event_consumers c JOIN event_heads h USING (topic_id)",
    )
    .fetch_one(connection)
    .await?;
    Ok(Deliveries {
        subscriptions,
        furthest_behind,
        under_way,
        dead_letters,
    })
}

async fn given_up(connection: &mut PgConnection) -> Result<GivenUp, sqlx::Error> {
    let mailbox_messages = sqlx::query_scalar("SELECT count(*) FROM mailbox_messages WHERE state = 4")
        .fetch_one(&mut *connection)
        .await?;
    let partner_deliveries: Vec<(String, i64)> =
        sqlx::query_as("SELECT partner, count(*) FROM deliveries WHERE state = 6 GROUP BY partner")
            .fetch_all(connection)
            .await?;
    Ok(GivenUp {
        mailbox_messages,
        partner_deliveries: partner_deliveries.into_iter().collect(),
    })
}

/// What ended since the beginning of the hour before this one: between one hour and two, so that a young hour says something too.
async fn traffic(connection: &mut PgConnection, now: Timestamp) -> Result<Traffic, sqlx::Error> {
    let second = now.as_second();
    let since = Timestamp::from_second(second - second.rem_euclid(3600) - 3600).unwrap_or(now);
    let (calls, errors, max): (i64, i64, i64) = sqlx::query_as(
        "SELECT coalesce(sum(calls), 0)::bigint, coalesce(sum(calls) FILTER (WHERE outcome <> ALL($2)), 0)::bigint,
                coalesce(max(elapsed_max), 0)
         FROM (SELECT calls, outcome, elapsed_max FROM traffic WHERE grain = 'hour' AND start_time >= $1
               UNION ALL SELECT calls, outcome, elapsed_max FROM traffic_pending WHERE start_time >= $1) AS seen",
    )
    .bind(since.to_sqlx())
    .bind(egov_integration::domain::traffic::GOOD_OUTCOMES.as_slice())
    .fetch_one(&mut *connection)
    .await?;
    let (buckets, counts): (Vec<i16>, Vec<i64>) = sqlx::query_as::<_, (i16, i64)>(
        "SELECT h.bucket, sum(h.calls)::bigint
         FROM (SELECT elapsed_buckets, elapsed_counts FROM traffic WHERE grain = 'hour' AND start_time >= $1
               UNION ALL SELECT elapsed_buckets, elapsed_counts FROM traffic_pending WHERE start_time >= $1) AS seen
         CROSS JOIN LATERAL unnest(elapsed_buckets, elapsed_counts) AS h (bucket, calls) GROUP BY h.bucket ORDER BY h.bucket",
    )
    .bind(since.to_sqlx())
    .fetch_all(connection)
    .await?
    .into_iter()
    .unzip();
    let p99 = egov_integration::domain::traffic::percentile(&buckets, &counts, max, 990);
    let share = |part: i64, of: f64| if of > 0.0 { part as f64 / of } else { 0.0 };
    Ok(Traffic {
        calls,
        calls_per_minute: share(calls, now.duration_since(since).as_secs_f64() / 60.0),
        error_share: share(errors, calls as f64),
        p99_ms: p99 as f64 / 1000.0,
    })
}

fn keys(place: &Place, now: Timestamp) -> anyhow::Result<Vec<Key>> {
    let keyring = Keyring::open(&place.path("keys"), &SystemClock)?;
    let mut keys = Vec::new();
    for purpose in Purpose::ALL {
        let lives = keyring.lives(purpose)?;
        for life in lives {
            let advice = advice(now, life.created, life.retires, life.withdrawn);
            keys.push(Key {
                purpose: purpose.name(),
                id: life.id,
                created: life.created,
                retires: life.retires,
                withdrawn: life.withdrawn,
                advice,
            });
        }
    }
    Ok(keys)
}

/// What an operator does about a key.
fn advice(now: Timestamp, created: Timestamp, retires: Option<Timestamp>, withdrawn: bool) -> &'static str {
    let age = now.duration_since(created);
    match retires {
        _ if withdrawn => "",
        Some(end) if end <= now => "",
        Some(end) if end.duration_since(now) < RETIRES_SOON => "stops counting within a week",
        Some(_) => "",
        None if age >= ROTATE_AFTER => "older than a year: cargo egov keys rotate",
        None => "",
    }
}

fn problems(status: &Status) -> Vec<String> {
    let mut problems = Vec::new();
    if status.health.whole != "SERVING" {
        problems.push(format!("the server as a whole says {}", status.health.whole));
    }
    for (name, said) in &status.health.services {
        if said != "SERVING" && said != NOT_HERE {
            problems.push(format!("{name} says {said}"));
        }
    }
    for database in &status.databases {
        let service = database.service;
        if let Some(why) = &database.unreachable {
            problems.push(format!("the database of {service} cannot be looked at: {why}"));
        }
        // A ledger that nobody has begun is behind nothing.
        let begun = database
            .ledger
            .as_ref()
            .is_some_and(|ledger| ledger.checkpoint.is_some());
        let unsequenced = database.unsequenced.as_ref().filter(|_| begun);
        let queues = [("the relay", database.outbox.as_ref()), ("the ledger", unsequenced)];
        for (who, backlog) in queues {
            if let Some(backlog) = backlog
                && backlog.oldest_seconds.is_some_and(|seconds| seconds > STALE)
            {
                problems.push(format!(
                    "{who} of {service} is {} behind",
                    age(backlog.oldest_seconds.unwrap_or_default())
                ));
            }
        }
        if let Some(deliveries) = &database.deliveries
            && deliveries.dead_letters > 0
        {
            problems.push(format!(
                "{} dead letters wait for somebody (ListDeadLetters)",
                deliveries.dead_letters
            ));
        }
        if let Some(given_up) = &database.given_up {
            if given_up.mailbox_messages > 0 {
                problems.push(format!(
                    "{} messages between agencies were given up and wait for their senders (ListDeadMessages)",
                    given_up.mailbox_messages
                ));
            }
            for (partner, dead) in &given_up.partner_deliveries {
                problems.push(format!(
                    "{dead} deliveries to {partner} were given up and wait for somebody (ListDeliveries, RedriveDelivery)"
                ));
            }
        }
    }
    if status.set_aside > 0 {
        problems.push(format!(
            "{} records of exchanges are refused by the database of integration, and set aside in door/set-aside.jsonl",
            status.set_aside
        ));
    }
    problems
}

/// Seconds for people.
fn age(seconds: f64) -> String {
    if seconds < 1.0 {
        format!("{:.0} ms", seconds * 1000.0)
    } else if seconds < 120.0 {
        format!("{seconds:.1} s")
    } else if seconds < 7200.0 {
        format!("{:.0} min", seconds / 60.0)
    } else {
        format!("{:.1} h", seconds / 3600.0)
    }
}

fn day(at: Timestamp) -> String {
    at.to_zoned(vietnam()).strftime("%d/%m/%Y %H:%M:%S").to_string()
}

fn show(status: &Status) {
    let cell = |text: &str| text.to_owned();
    let serving = status
        .health
        .services
        .values()
        .filter(|said| *said == "SERVING")
        .count();
    let elsewhere: Vec<&str> = status
        .health
        .services
        .iter()
        .filter(|(_, said)| *said == NOT_HERE)
        .map(|(name, _)| name.as_str())
        .collect();
    say::line(say::table([
        vec![
            cell("listens on"),
            format!("{} (process {})", status.address, status.pid),
        ],
        vec![cell("version of this command"), cell(status.version)],
        vec![
            cell("health"),
            format!("{}; {serving} services serve", status.health.whole),
        ],
        vec![
            cell("not served here"),
            if elsewhere.is_empty() {
                cell("-")
            } else {
                elsewhere.join(", ")
            },
        ],
    ]));
    say::line("");
    let heading = [
        "database",
        "size",
        "connections",
        "schema",
        "epoch",
        "events",
        "relay: waiting",
        "ledger: waiting",
        "leaves",
        "last checkpoint",
        "witnesses",
    ]
    .map(str::to_owned)
    .to_vec();
    say::line(say::table(
        std::iter::once(heading).chain(status.databases.iter().map(database_row)),
    ));
    for database in &status.databases {
        if let Some(deliveries) = &database.deliveries {
            say::line(format!(
                "\n{}: {} subscriptions, the furthest {} events behind, {} under way, {} dead letters",
                database.service,
                deliveries.subscriptions,
                deliveries.furthest_behind,
                deliveries.under_way,
                deliveries.dead_letters
            ));
        }
        if let Some(given_up) = &database.given_up {
            say::line(format!(
                "\n{}: given up: {} messages between agencies, {} deliveries to partners",
                database.service,
                given_up.mailbox_messages,
                given_up.partner_deliveries.values().sum::<i64>()
            ));
        }
        if let Some(traffic) = &database.traffic {
            say::line(format!(
                "\n{}: the door since the hour before: {} exchanges, {:.1} a minute, {:.1} % errors, 99 of 100 within {:.1} ms",
                database.service,
                traffic.calls,
                traffic.calls_per_minute,
                traffic.error_share * 100.0,
                traffic.p99_ms
            ));
        }
        if !database.not_there.is_empty() {
            say::line(format!(
                "\n{}: not there in this version: {}",
                database.service,
                database.not_there.join(", ")
            ));
        }
    }
    say::line("");
    let heading = ["lease", "of", "held", "until", "fence"].map(str::to_owned).to_vec();
    let leases = status.databases.iter().flat_map(|database| {
        database.leases.iter().map(|lease| {
            vec![
                lease.name.clone(),
                cell(database.service),
                cell(if lease.held { "yes" } else { "no" }),
                lease.expires.map_or_else(|| cell("-"), day),
                lease.fence.to_string(),
            ]
        })
    });
    say::line(say::table(std::iter::once(heading).chain(leases)));
    say::line("");
    let heading = ["key", "for", "made", "counts until", "what to do"]
        .map(str::to_owned)
        .to_vec();
    let keys = status.keys.iter().map(|key| {
        vec![
            key.id.clone(),
            cell(key.purpose),
            day(key.created),
            match key.retires {
                _ if key.withdrawn => cell("withdrawn"),
                Some(end) => day(end),
                None => cell("in use"),
            },
            cell(key.advice),
        ]
    });
    say::line(say::table(std::iter::once(heading).chain(keys)));
    for problem in &status.problems {
        say::note(format!("! {problem}"));
    }
}

fn database_row(database: &Database) -> Vec<String> {
    if database.unreachable.is_some() {
        return vec![database.service.to_owned(), "cannot be looked at".to_owned()];
    }
    let none = || "-".to_owned();
    let waiting = |backlog: &Option<Backlog>| match backlog {
        None => none(),
        Some(backlog) => match backlog.oldest_seconds {
            Some(seconds) => format!("{} ({})", backlog.waiting, age(seconds)),
            None => "0".to_owned(),
        },
    };
    vec![
        database.service.to_owned(),
        format!("{:.1} MiB", database.bytes as f64 / 1_048_576.0),
        database.connections.to_string(),
        format!("{} (shared {})", database.migration, database.shared_schema),
        database.epoch.to_string(),
        database.events.map_or_else(none, |events| events.to_string()),
        waiting(&database.outbox),
        waiting(&database.unsequenced),
        database
            .ledger
            .as_ref()
            .map_or_else(none, |ledger| ledger.tree_size.to_string()),
        database
            .ledger
            .as_ref()
            .and_then(|ledger| ledger.checkpoint)
            .map_or_else(none, day),
        database
            .ledger
            .as_ref()
            .map_or_else(none, |ledger| ledger.cosignatures.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_worth_a_word_when_it_is_old_or_about_to_stop_counting() {
        let now: Timestamp = "2026-11-26T00:00:00Z".parse().unwrap();
        let ago = |days: i64| now.checked_sub(SignedDuration::from_hours(24 * days)).unwrap();
        let ahead = |days: i64| now.checked_add(SignedDuration::from_hours(24 * days)).unwrap();
        assert_eq!(advice(now, ago(10), None, false), "");
        assert!(advice(now, ago(365), None, false).contains("rotate"));
        assert!(advice(now, ago(400), Some(ahead(3)), false).contains("within a week"));
        assert_eq!(
            advice(now, ago(400), Some(ahead(30)), false),
            "",
            "its successor is there"
        );
        assert_eq!(advice(now, ago(400), Some(ago(400)), true), "", "withdrawn");
    }

    #[test]
    fn an_age_is_written_in_a_unit_that_people_read() {
        assert_eq!(age(0.0123), "12 ms");
        assert_eq!(age(12.34), "12.3 s");
        assert_eq!(age(600.0), "10 min");
        assert_eq!(age(9000.0), "2.5 h");
    }

    #[test]
    fn what_stands_still_is_a_problem_and_what_only_waits_is_none() {
        let queue = |seconds| {
            Some(Backlog {
                waiting: 3,
                oldest_seconds: Some(seconds),
            })
        };
        let mut status = Status {
            problems: Vec::new(),
            address: String::new(),
            pid: 1,
            version: "0",
            health: Health {
                whole: "SERVING".to_owned(),
                services: BTreeMap::from([
                    ("egov.a.v1.A".to_owned(), "SERVING".to_owned()),
                    ("egov.b.v1.B".to_owned(), NOT_HERE.to_owned()),
                ]),
            },
            databases: vec![Database {
                service: "onestop",
                outbox: queue(0.2),
                unsequenced: queue(2.0),
                ledger: Some(Ledger {
                    tree_size: 7,
                    checkpoint: Some(Timestamp::UNIX_EPOCH),
                    cosignatures: 0,
                }),
                ..Database::default()
            }],
            set_aside: 0,
            keys: Vec::new(),
        };
        assert_eq!(problems(&status), Vec::<String>::new());
        status.databases[0].unsequenced = queue(90.0);
        status
            .health
            .services
            .insert("egov.a.v1.A".to_owned(), "NOT_SERVING".to_owned());
        status.set_aside = 3;
        let found = problems(&status);
        assert_eq!(found.len(), 3, "{found:?}");
        assert!(
            found[0].contains("egov.a.v1.A")
                && found[1].contains("the ledger of onestop")
                && found[2].starts_with("3 records of exchanges"),
            "{found:?}"
        );
        // What was given up waits for somebody, whatever it is.
        status.databases[0].deliveries = Some(Deliveries {
            subscriptions: 2,
            furthest_behind: 9,
            under_way: 1,
            dead_letters: 4,
        });
        status.databases[0].given_up = Some(GivenUp {
            mailbox_messages: 5,
            partner_deliveries: BTreeMap::from([("national-portal".to_owned(), 6)]),
        });
        let found = problems(&status);
        assert_eq!(found.len(), 6, "{found:?}");
        for said in [
            "4 dead letters",
            "5 messages between agencies",
            "6 deliveries to national-portal",
        ] {
            assert!(
                found.iter().any(|problem| problem.starts_with(said)),
                "{said}: {found:?}"
            );
        }
    }
}
