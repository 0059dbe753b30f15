//! `cargo egov statistics`: the figures of one-stop case handling as a table, and how they are worked out anew.

use clap::{Args, Subcommand, ValueEnum};
use egov_clock::{Clock as _, SystemClock};
use egov_onestop::operations::rebuild_statistics::rebuild_statistics;
use egov_proto::egov::onestop::v1::report_service_client::ReportServiceClient;
use egov_proto::egov::onestop::v1::{GetStatisticsRequest, StatisticColumns, StatisticDimension, StatisticRow};
use jiff::civil::Date;

use crate::reach::{Reach, parse_day, refused};
use crate::{Installation, import, say};

/// Why the command reads what it reads.
const PURPOSE: &str = "case_handling";

/// `cargo egov statistics`
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print the standard columns of a period.
    Show(Box<Show>),
    /// Work all figures out anew from the histories of the cases, in one transaction.
    Rebuild(Rebuild),
}

/// By what figures are grouped.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum By {
    Unit,
    Sector,
    Procedure,
    Officer,
}

impl By {
    const fn dimension(self) -> StatisticDimension {
        match self {
            Self::Unit => StatisticDimension::Unit,
            Self::Sector => StatisticDimension::Sector,
            Self::Procedure => StatisticDimension::Procedure,
            Self::Officer => StatisticDimension::Officer,
        }
    }
}

/// `cargo egov statistics show`
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The first day, dd/mm/yyyy; else the first of this month.
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    from: Option<Date>,
    /// The last day; else today.
    #[arg(long, value_name = "DAY", value_parser = parse_day)]
    to: Option<Date>,
    /// By what the figures are grouped.
    #[arg(long, value_enum, default_value_t = By::Unit)]
    by: By,
    /// Only the unit with this code.
    #[arg(long, value_name = "CODE")]
    unit: Option<String>,
    /// With the units below it.
    #[arg(long, requires = "unit")]
    below: bool,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: Reach,
}

/// `cargo egov statistics rebuild`
#[derive(Debug, Args)]
pub(crate) struct Rebuild {
    #[command(flatten)]
    installation: Installation,
    /// Print one JSON object.
    #[arg(long)]
    json: bool,
}

/// Heading and value of a column.
type Shown = (&'static str, fn(&StatisticColumns) -> i64);

/// What is printed: the columns of the standard report.
const COLUMNS: [Shown; 13] = [
    ("kỳ trước", |columns| columns.carried_over),
    ("trực tuyến", |columns| columns.received_online),
    ("trực tiếp", |columns| columns.received_counter),
    ("bưu chính", |columns| columns.received_post),
    ("chuyển", |columns| columns.transferred),
    ("trước hạn", |columns| columns.processed_early),
    ("đúng hạn", |columns| columns.processed_on_time),
    ("quá hạn", |columns| columns.processed_late),
    ("đang: trong hạn", |columns| columns.in_process_in_time),
    ("đang: quá hạn", |columns| columns.in_process_overdue),
    ("tạm dừng", |columns| columns.paused),
    ("dừng", |columns| columns.stopped),
    ("chờ tiếp nhận", |columns| columns.waiting),
];

/// `cargo egov statistics`
pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Show(arguments) => show(*arguments).await,
        Command::Rebuild(arguments) => rebuild(arguments).await,
    }
}

async fn show(arguments: Show) -> anyhow::Result<()> {
    let today = SystemClock::shared().today();
    let to = arguments.to.unwrap_or(today);
    let from = arguments.from.unwrap_or_else(|| to.first_of_month());
    let reached = arguments.reach.open(PURPOSE).await?;
    let unit_id = match &arguments.unit {
        Some(code) => reached.unit(code).await?,
        None => 0,
    };
    let mut request = GetStatisticsRequest {
        dimension: arguments.by.dimension().into(),
        from: Some(from.into()),
        to: Some(to.into()),
        unit_id,
        with_units_below: arguments.below,
        page_size: 200,
        ..Default::default()
    };
    let mut client = ReportServiceClient::new(reached.line.clone());
    let mut rows: Vec<StatisticRow> = Vec::new();
    let total = loop {
        let answer = client
            .get_statistics(request.clone())
            .await
            .map_err(|status| refused(&status))?
            .into_inner();
        rows.extend(answer.rows);
        request.page_token = answer.next_page_token;
        if request.page_token.is_empty() {
            break answer.total.unwrap_or_default();
        }
    };
    if arguments.json {
        let shown: Vec<serde_json::Value> = rows.iter().map(as_json).collect();
        let total = figures(&total);
        say::json(&serde_json::json!({ "from": from, "to": to, "rows": shown, "total": total }));
        return Ok(());
    }
    let heading = ["mã", "tên"]
        .into_iter()
        .chain(COLUMNS.iter().map(|(heading, _)| *heading))
        .map(str::to_owned)
        .collect();
    let line = |key: &str, name: &str, columns: &StatisticColumns| {
        let mut cells = vec![key.to_owned(), name.to_owned()];
        cells.extend(COLUMNS.iter().map(|(_, value)| value(columns).to_string()));
        cells
    };
    let body = rows
        .iter()
        .map(|row| line(&row.key, &row.name, &row.columns.unwrap_or_default()));
    let lines = std::iter::once(heading).chain(body);
    say::line(say::table(lines.chain(std::iter::once(line("", "tổng số", &total)))));
    Ok(())
}

fn as_json(row: &StatisticRow) -> serde_json::Value {
    serde_json::json!({
        "key": row.key,
        "name": row.name,
        "columns": figures(&row.columns.unwrap_or_default()),
    })
}

fn figures(columns: &StatisticColumns) -> serde_json::Value {
    serde_json::json!({
        "carried_over": columns.carried_over,
        "received_online": columns.received_online,
        "received_counter": columns.received_counter,
        "received_post": columns.received_post,
        "transferred": columns.transferred,
        "processed_early": columns.processed_early,
        "processed_on_time": columns.processed_on_time,
        "processed_late": columns.processed_late,
        "withdrawn": columns.withdrawn,
        "in_process_in_time": columns.in_process_in_time,
        "in_process_overdue": columns.in_process_overdue,
        "paused": columns.paused,
        "stopped": columns.stopped,
        "waiting": columns.waiting,
    })
}

async fn rebuild(arguments: Rebuild) -> anyhow::Result<()> {
    let opened = import::open(&arguments.installation).await?;
    let bar = crate::generate::bar(arguments.json, "cases", 0);
    let counted = rebuild_statistics(&opened.databases.onestop, |done| bar.set_position(done)).await;
    bar.finish_and_clear();
    opened.close().await?;
    let counted = counted.map_err(|error| anyhow::anyhow!(egov_fault::Fault::from(error).en().to_owned()))?;
    if arguments.json {
        say::json(&serde_json::json!({ "cases": counted }));
    } else {
        say::line(format!("{counted} cases counted"));
    }
    Ok(())
}
