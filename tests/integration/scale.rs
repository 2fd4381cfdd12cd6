//! Scale: what a read costs is a matter of its page, not of the years of orders behind it.

use serde_json::{Value, json};
use tokio_postgres::Client;
use xtask::stack::{Stack, people};

use crate::support::*;

/// Enough that the planner would read a table whole where an index is missing.
const ORDERS: u32 = 20_000;

/// The most rows that a page of 50 tasks may read, which stand in five tables.
const PAGE: i64 = 500;

/// The most rows that may be read where a filter has no index of its own, or what is open is counted: a store's open
/// tasks and what belongs to them, never the others.
const OPEN: i64 = 6_000;

/// The most rows that the figures of a month may read: its orders and their tasks.
const MONTH: i64 = 12_000;

/// The plan that a function keeps for good is only made after five calls.
const CALLS: usize = 7;

/// The tables that grow with the years.
const TABLES: &[&str] = &[
    "ordak.orders",
    "ordak.tasks",
    "ordak.order_lines",
    "ordak.stage_times",
    "ordak.stage_events",
    "ordak.webhook_deliveries",
];

/// What the transaction has read so far of some tables: how often one was read whole, and how many entries of their
/// indexes were read.
const READ: &str = "
    select sum(pg_stat_get_xact_numscans(c.oid))::bigint,
           sum(i.entries)::bigint
    from pg_class as c
    cross join lateral (
      select sum(pg_stat_get_xact_tuples_returned(indexrelid)) as entries from pg_index where indrelid = c.oid
    ) as i
    where c.oid = any ($1::text[]::regclass[])";

/// Somebody of Bannos, in a connection of their own.
pub struct Reader {
    pub client: Client,
    id: String,
    /// What they are in the database.
    pub role: &'static str,
    /// The tables of which they may read no more than they need.
    pub tables: &'static [&'static str],
}

/// What a read was answered, how often it read a table whole, and how many rows it read at most.
struct Cost {
    answer: Value,
    whole: i64,
    rows: i64,
}

impl Reader {
    /// Reads as PostgREST would do it for them, so many times.
    async fn read(&mut self, sql: &str, calls: usize) -> Cost {
        let mut cost = Cost { answer: Value::Null, whole: 0, rows: 0 };
        for _ in 0..calls {
            let transaction = self.client.transaction().await.unwrap();
            let counts = async || {
                let row = transaction.query_one(READ, &[&self.tables]).await.unwrap();
                (row.get::<_, i64>(0), row.get::<_, i64>(1))
            };
            let before = counts().await;
            let claims = json!({"sub": self.id, "role": "authenticated"}).to_string();
            transaction.batch_execute(&format!("set local role {}", self.role)).await.unwrap();
            transaction.query("select set_config('request.jwt.claims', $1, true)", &[&claims]).await.unwrap();
            let sql = format!("select to_jsonb(r)::text from ({sql}) as r");
            let rows = transaction.query(&sql, &[]).await.unwrap_or_else(|error| panic!("{sql}: {error:?}"));
            transaction.batch_execute("reset role").await.unwrap();
            let after = counts().await;
            transaction.rollback().await.unwrap();
            assert!(!rows.is_empty(), "{sql}");
            cost.answer = serde_json::from_str(rows[0].get(0)).unwrap();
            cost.whole += after.0 - before.0;
            cost.rows = cost.rows.max(after.1 - before.1);
        }
        cost
    }

    /// Reads each of these often enough, and answers with those that read more rows than they may, or a table whole.
    pub async fn read_all(&mut self, reads: impl IntoIterator<Item = (String, i64)>) -> Vec<String> {
        let mut too_much = Vec::new();
        for (sql, most) in reads {
            let cost = self.read(&sql, CALLS).await;
            if cost.whole > 0 || cost.rows > most {
                too_much.push(format!("{sql}: {} rows of {most}, {} tables whole", cost.rows, cost.whole));
            }
        }
        too_much
    }

    /// Reads pages of the queue, and answers with what the one behind them is asked for by.
    async fn pages(&mut self, pages: usize) -> String {
        let mut after = "null".to_owned();
        for _ in 0..pages {
            let page = self.read(&format!("select * from api.queue(after => {after})"), 1).await.answer;
            after = format!("'{}'", page["next"].as_str().unwrap());
        }
        after
    }
}

/// A stack with some years of orders, and somebody who works there.
pub async fn bakery(name: &str) -> (Stack, Reader) {
    let stack = start(name).await;
    let client = database(&stack).await;
    let insert = "insert into ordak.staff_shared (user_id, full_name, email, role, store, approved)
                  values (gen_random_uuid(), 'A Cook', 'cook@example.com', 'Staff', 'bannos', true)
                  returning user_id::text";
    let id = client.query_one(insert, &[]).await.unwrap().get(0);
    xtask::seed::fill(&stack.database_url(), None, ORDERS, |_, _| {}).await.unwrap();
    (stack, Reader { client, id, role: "authenticated", tables: TABLES })
}

#[test]
fn no_read_reads_more_than_its_page_however_many_orders_there_are() {
    run(async {
        let (stack, mut staff) = bakery("scale").await;
        let task: Value = staff.read("select * from api.queue()", 1).await.answer["tasks"][7].clone();
        let text = |field: &str| task[field].as_str().unwrap().to_owned();
        let queue = |arguments: &str| format!("select * from api.queue({arguments})");
        let (number, order_id) = (text("task_number"), text("order_id"));
        let order =
            staff.read(&format!("select * from api.orders where order_id = '{order_id}'"), 1).await.answer;
        let gid = order["shopify_order_gid"].as_str().unwrap();
        let shopify = gid.rsplit('/').next().unwrap().to_owned();
        let mut reads = vec![
            (queue(""), PAGE),
            (queue("store => 'bannos', page_size => 50"), PAGE),
            (queue("unassigned => true"), OPEN),
            (queue(&format!("assignee => '{}'", staff.id)), OPEN),
            (queue("storage => 'Store Fridge'"), OPEN),
            (queue("storage => 'Nowhere'"), OPEN),
            (queue("stage => 'Complete'"), PAGE),
            (queue(&format!("stage => 'Complete', assignee => '{}'", staff.id)), OPEN),
            (format!("select * from api.tasks where task_number = '{number}'"), 20),
            (format!("select * from api.tasks where order_id = '{order_id}'"), 50),
            (format!("select * from api.orders where order_id = '{order_id}'"), 20),
        ];
        let stages = ["Filling", "Covering", "Decorating", "Packing"];
        reads.extend(stages.map(|stage| (queue(&format!("stage => '{stage}'")), PAGE)));
        reads.extend(["High", "Medium", "Low"].map(|word| (queue(&format!("priority => '{word}'")), PAGE)));
        let words =
            [&number, &order_id, &shopify, &text("customer_name"), &text("product_title"), "nobody at all"];
        reads.extend(words.map(|word| (queue(&format!("search => '{word}'")), OPEN)));
        for pages in [1, 20] {
            let after = staff.pages(pages).await;
            reads.push((queue(&format!("after => {after}")), PAGE));
        }
        let digits = task["order_number"].to_string();
        let find = |code: &str| format!("select * from api.find_task('{code}')");
        reads.extend([&number, &order_id, &digits].map(|code| (find(code), 100)));
        reads.push((format!("select * from api.get_order('{order_id}')"), 100));
        reads
            .extend(["", "'bannos'"].map(|store| (format!("select * from api.stage_counts({store})"), OPEN)));
        reads.push(("select * from api.week('bannos')".into(), OPEN));
        let mut too_much = staff.read_all(reads).await;
        let promote = "update ordak.staff_shared set role = 'Admin'";
        staff.client.batch_execute(promote).await.unwrap();
        let figures = |days: u32| (format!("select * from api.store_analytics('bannos', {days})"), MONTH);
        too_much.extend(staff.read_all([7, 30].map(figures)).await);
        staff.role = "postgres";
        too_much.extend(staff.read_all([("select 1 from ordak.evaluate_alerts()".into(), OPEN)]).await);
        assert_eq!(too_much, [""; 0]);
        stack.stop().await;
    });
}

#[test]
fn a_new_bakery_has_work_of_every_kind_in_each_shop_and_only_once() {
    run(async {
        let stack = start("shops").await;
        people::sign_up(&stack).await.unwrap();
        people::open_shops(&stack).await.unwrap();
        let database = database(&stack).await;
        let kinds = [
            "o.held_at is not null",
            "o.due_date is null and o.flags = '{no_due_date}'",
            "o.due_date < ordak.local_day(s.time_zone, now())",
            "o.due_date = ordak.local_day(s.time_zone, now())",
            "o.due_date = ordak.local_day(s.time_zone, now()) + 1",
            "t.stage = 'Filling' and t.printed_at is null",
            "t.stage = 'Filling' and t.printed_at is not null",
            "t.stage = 'Covering'",
            "t.stage = 'Decorating'",
            "t.stage = 'Packing'",
            "t.assignee is null",
            "t.assignee in (select staff from ordak.shifts as h where h.store = o.store)",
            "t.storage is not null",
            "(select count(*) > 4 from ordak.stage_events as e where e.task = t.id)",
        ];
        for kind in kinds {
            let sql = format!(
                "select count(distinct o.store) from ordak.tasks as t join ordak.orders as o on o.id = t.order_key
                 join ordak.stores as s on s.code = o.store
                 where t.stage <> 'Complete' and t.cancelled_at is null and {kind}"
            );
            assert_eq!(count(&database, &sql).await, 2, "{kind}");
        }
        for (what, least) in [("ordak.items", 40), ("ordak.reservations where state = 'held'", 50)] {
            assert!(count(&database, &format!("select count(*) from {what}")).await >= least, "{what}");
        }
        let low = "select string_agg(sku, ' ') from ordak.items where tracked and on_hand < minimum";
        let short = "select string_agg(sku, ' ') from ordak.items where blocked > 0";
        for (sql, sku) in [(low, "SPRINKLES"), (short, "BALLOON-GOLD")] {
            assert_eq!(database.query_one(sql, &[]).await.unwrap().get::<_, String>(0), sku);
        }
        assert_eq!(count(&database, "select count(*) from ordak.audit").await, 0);
        let there = "select (select count(*) from ordak.orders) + (select count(*) from ordak.stock_moves)";
        let before = count(&database, there).await;
        people::open_shops(&stack).await.unwrap();
        assert_eq!(count(&database, there).await, before);
        stack.stop().await;
    });
}
