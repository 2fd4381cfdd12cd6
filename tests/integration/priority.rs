//! Priority and the queue's order with the clock frozen: on both sides of midnight, of UTC's midnight and of
//! the changes to and from daylight saving time.

use serde_json::{Value, json};
use tokio_postgres::GenericClient;

use crate::reading::{QUAY, ROSE, add_cakes, add_stores};
use crate::support::*;

/// Instants around which a day may change for somebody, the same for all tests here.
const INSTANTS: [&str; 10] = [
    // Midnight in Sydney, and five in the morning there, which is yesterday in UTC.
    "2026-06-10T13:59:59.999999Z",
    "2026-06-10T14:00:00Z",
    "2026-06-10T19:00:00Z",
    // Midnight in UTC.
    "2026-06-10T23:59:59Z",
    "2026-06-11T00:00:00Z",
    // The night in which clocks go back, a day of 25 hours, and its end.
    "2026-04-05T13:00:00Z",
    "2026-04-05T14:00:00Z",
    // The night in which they go forward, a day of 23 hours, and its end.
    "2026-10-03T14:00:00Z",
    "2026-10-04T12:59:59Z",
    "2026-10-04T13:00:00Z",
];

#[test]
fn a_day_begins_at_the_stores_own_midnight() {
    // The due date, and the priority at each of some instants.
    let dated = [
        ("2026-06-12", "2026-06-10T13:59:59.999999Z", "Medium"),
        ("2026-06-12", "2026-06-10T14:00:00Z", "High"),
        ("2026-06-14", "2026-06-10T13:59:59.999999Z", "Low"),
        ("2026-06-14", "2026-06-10T14:00:00Z", "Medium"),
        // At five in the morning what is due tomorrow is urgent, though UTC still says yesterday.
        ("2026-06-12", "2026-06-10T19:00:00Z", "High"),
        ("2026-06-13", "2026-06-10T23:59:59Z", "Medium"),
        ("2026-06-13", "2026-06-11T00:00:00Z", "Medium"),
        ("2026-05-01", "2026-06-11T00:00:00Z", "High"),
        // Back from daylight saving: the fifth of April has 25 hours.
        ("2026-04-06", "2026-04-04T12:59:59Z", "Medium"),
        ("2026-04-06", "2026-04-04T13:00:00Z", "High"),
        ("2026-04-07", "2026-04-05T13:00:00Z", "Medium"),
        ("2026-04-07", "2026-04-05T13:59:59Z", "Medium"),
        ("2026-04-07", "2026-04-05T14:00:00Z", "High"),
        // And to it: the fourth of October has 23.
        ("2026-10-05", "2026-10-03T13:59:59Z", "Medium"),
        ("2026-10-05", "2026-10-03T14:00:00Z", "High"),
        ("2026-10-06", "2026-10-04T12:59:59Z", "Medium"),
        ("2026-10-06", "2026-10-04T13:00:00Z", "High"),
    ];
    // When an undated task came.
    let undated = [
        ("2026-06-10T13:30:00Z", "2026-06-10T13:59:59Z", "Medium"),
        ("2026-06-10T13:30:00Z", "2026-06-10T14:00:00Z", "High"),
        ("2026-06-10T23:00:00Z", "2026-06-11T00:00:00Z", "Medium"),
        ("2026-06-10T23:00:00Z", "2026-06-11T13:59:59Z", "Medium"),
        ("2026-06-10T23:00:00Z", "2026-06-11T14:00:00Z", "High"),
    ];
    run(async {
        let database = queries().await;
        let sql = "select ordak.priority($1::text::date, $2::text::timestamptz, 'Australia/Sydney',
                                         $3::text::timestamptz)::text";
        for (due, at, expected) in dated {
            let row = database.query_one(sql, &[&Some(due), &"2026-01-01Z", &at]).await.unwrap();
            assert_eq!(row.get::<_, String>(0), expected, "due {due} at {at}");
        }
        for (came, at, expected) in undated {
            let row = database.query_one(sql, &[&None::<&str>, &came, &at]).await.unwrap();
            assert_eq!(row.get::<_, String>(0), expected, "came {came}, at {at}");
        }
    });
}

/// Cakes in two stores whose days are not the same, due around each instant and undated; their orders.
async fn cakes(client: &impl GenericClient) -> Vec<i64> {
    let mut orders = Vec::new();
    for at in INSTANTS {
        for store in [ROSE, QUAY] {
            for (offset, size) in [
                (-2, "Large"),
                (0, "Small"),
                (0, "Gift Size"),
                (1, "Medium"),
                (2, "Large"),
                (3, "Small"),
                (4, "Medium"),
                (9, "Small"),
            ] {
                let sql = "select (left($1, 10)::date + $2::int)::text";
                let due: String = client.query_one(sql, &[&at, &offset]).await.unwrap().get(0);
                let cake = json!({"store": store, "due": due, "size": size, "cakes": 2});
                orders.push(add_cakes(client, cake).await.0);
            }
            orders.push(add_cakes(client, json!({"store": store, "came": at, "size": "Large"})).await.0);
        }
    }
    orders
}

/// A page of those orders' tasks as `number priority`, and what leads to the next one.
async fn page(
    client: &impl GenericClient,
    orders: &[i64],
    at: &str,
    after: Option<&str>,
    size: i32,
) -> (Vec<String>, Option<String>) {
    let sql = "select to_jsonb(p)::text from ordak.queue_page(
                 $1::text::timestamptz,
                 row('{rose,quay}', null, null, false, null, null, null, $2::bigint[])::ordak.queue_filter,
                 $3, $4) as p";
    let row = client.query_one(sql, &[&at, &orders, &after, &size]).await.unwrap();
    let page: Value = serde_json::from_str(row.get(0)).unwrap();
    let text = |task: &Value| {
        format!("{} {}", task["task_number"].as_str().unwrap(), task["priority"].as_str().unwrap())
    };
    (page["tasks"].as_array().unwrap().iter().map(text).collect(), page["next"].as_str().map(str::to_owned))
}

/// The same tasks sorted by what the order says, without any index or band.
async fn sorted(client: &impl GenericClient, orders: &[i64], at: &str) -> Vec<String> {
    let sql = "select t.number || ' ' || p
               from ordak.tasks as t
               join ordak.stores as s on s.code = t.store
               cross join ordak.priority(t.due_date, t.created_at, s.time_zone, $1::text::timestamptz) as p
               where t.order_key = any ($2)
               order by p, t.due_date nulls last, t.size_rank, t.order_number, t.id";
    client.query(sql, &[&at, &orders]).await.unwrap().iter().map(|row| row.get(0)).collect()
}

#[test]
fn the_queue_is_in_order_at_every_instant() {
    run(async {
        add_stores().await;
        let mut database = database(&shared().stack).await;
        // Rolled back, for the other tests count what is in these stores.
        let transaction = database.transaction().await.unwrap();
        let orders = cakes(&transaction).await;
        for at in INSTANTS {
            let expected = sorted(&transaction, &orders, at).await;
            let (whole, next) = page(&transaction, &orders, at, None, 1000).await;
            assert_eq!(whole, expected, "at {at}");
            assert_eq!(next, None);
        }
        transaction.rollback().await.unwrap();
    });
}

#[test]
fn a_midnight_between_two_pages_skips_and_doubles_nothing() {
    run(async {
        add_stores().await;
        let mut database = database(&shared().stack).await;
        let transaction = database.transaction().await.unwrap();
        let orders = cakes(&transaction).await;
        for [before, later] in [
            ["2026-06-10T13:59:59.999999Z", "2026-06-10T14:00:00Z"],
            ["2026-04-05T13:59:59Z", "2026-04-05T14:00:00Z"],
            ["2026-10-04T12:59:59Z", "2026-10-04T13:00:00Z"],
            ["2026-06-10T23:59:59Z", "2026-06-14T00:00:00Z"],
        ] {
            let expected = sorted(&transaction, &orders, before).await;
            assert_ne!(expected, sorted(&transaction, &orders, later).await, "something moves");
            let (mut seen, mut next) = page(&transaction, &orders, before, None, 23).await;
            while let Some(after) = next {
                let (more, then) = page(&transaction, &orders, later, Some(&after), 23).await;
                seen.extend(more);
                next = then;
            }
            assert_eq!(seen, expected, "{before}, then {later}");
        }
        transaction.rollback().await.unwrap();
    });
}
