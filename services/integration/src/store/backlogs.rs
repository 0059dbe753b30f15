//! How much waits and was given up of mailboxes and deliveries, over all units: for the meters.

use sqlx::PgConnection;

use super::Result;

/// Of one partner.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct OfPartner {
    pub(crate) partner: String,
    /// Deliveries that are not acknowledged, refused or given up.
    pub(crate) waiting: i64,
    /// Deliveries that were given up.
    pub(crate) dead: i64,
}

/// What was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// Messages between agencies that were given up.
    pub(crate) dead_messages: i64,
    pub(crate) partners: Vec<OfPartner>,
}

impl Counted {
    /// Whether there is nothing that could wait or be given up.
    pub(crate) fn is_nothing(&self) -> bool {
        self.dead_messages == 0 && self.partners.is_empty()
    }
}

/// Counts; each part walks an index that has only what is counted.
pub(crate) async fn count(conn: &mut PgConnection) -> Result<Counted> {
    let dead_messages = sqlx::query_scalar!(r#"SELECT count(*) AS "count!" FROM mailbox_messages WHERE state = 4"#)
        .fetch_one(&mut *conn)
        .await?;
    let partners = sqlx::query_as!(
        OfPartner,
        r#"SELECT partner AS "partner!", count(*) FILTER (WHERE state <> 6) AS "waiting!",
                  count(*) FILTER (WHERE state = 6) AS "dead!"
           FROM (SELECT partner, state FROM deliveries WHERE state IN (1, 2, 4)
                 UNION ALL SELECT partner, state FROM deliveries WHERE state = 6) AS counted
           GROUP BY partner ORDER BY 1"#,
    )
    .fetch_all(conn)
    .await?;
    Ok(Counted {
        dead_messages,
        partners,
    })
}
