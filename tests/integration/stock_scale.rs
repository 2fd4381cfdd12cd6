//! Scale of stock: what is asked of it costs what it answers, however many items, bills, moves and orders there are.

use crate::scale::bakery;
use crate::support::*;

/// A fifth are parts, the others products of five parts each.
const ITEMS: i64 = 5_000;

/// How many orders wait for stock, of many times as many.
const WAITING: i64 = 200;

/// The most rows that a page of 50 may read, which stand in two tables.
const PAGE: i64 = 150;

/// What stock stands in, and the orders that it is for.
const TABLES: &[&str] = &[
    "ordak.items",
    "ordak.bom_lines",
    "ordak.reservations",
    "ordak.stock_moves",
    "ordak.listings",
    "ordak.listing_effects",
    "ordak.orders",
    "ordak.order_lines",
];

/// Moves of one item, orders of which some wait for another, and parts of which some are low.
const STORY: &str = "
    update ordak.items set minimum = on_hand + id % 7 where kind = 'component' and id % 5 = 0;
    insert into ordak.stock_moves (item, delta, reason)
    select i.id, 1, 'restock' from ordak.items as i, generate_series(1, 5000) where i.sku = 'CANDLE';
    insert into ordak.reservations (order_key, line_key, unit, item, stage, quantity, optional, own, state, due_date, placed_at)
    select o.id, l.id, 1, i.id, 'Packing', 1, false, true, case when o.place <= :waiting then 'blocked' else 'consumed' end,
           o.due_date, o.placed_at
    from (select *, row_number() over (order by id desc) as place from ordak.orders) as o
    join ordak.order_lines as l on l.order_key = o.id and l.position = 1
    join ordak.items as i on i.sku = 'TOPPER'
    where o.place <= 50 * :waiting;
    vacuum analyze ordak.stock_moves, ordak.reservations, ordak.items";

/// What else is listed page by page, beside what a page of it is looked up in.
const LISTED: &[&str] = &[
    "ordak.items",
    "ordak.listings",
    "ordak.listing_effects",
    "ordak.work_queue",
    "ordak.alerts",
    "ordak.dead_letters",
];

/// Years of trouble, most of it of another store or over.
const TROUBLE: &str = "
    insert into ordak.work_queue (topic, store, key, state, died_at, last_error, attempts)
    select t.topic, s.code, t.id, 'dead', now(), 'refused', 8
    from (select 'find_listing' as topic, i.id from ordak.items as i
          union all select 'base_listing', g.id from ordak.listings as g) as t
    cross join ordak.stores as s;
    insert into ordak.work_queue (topic, store, key) select 'refetch_order', 'bannos', n from generate_series(1, 20000) as n;
    insert into ordak.listing_effects (listing, kind, source_id, counted, delta, shopify_at)
    select g.id, k.kind, n, 1, 0, now()
    from (select g.id from ordak.listings as g order by g.id limit 500) as g
    cross join generate_series(1, 20) as n
    cross join unnest('{push,drift}'::text[]) as k (kind);
    insert into ordak.alerts (kind, store, subject, message, resolved_at)
    select 'stock_short', s.code, n, 'over', case when n > 100 then now() end
    from generate_series(1, 5000) as n cross join ordak.stores as s;
    insert into ordak.dead_letters (store, topic, reason, body_sha256)
    select s.code, 'orders/create', 'unreadable', sha256(n::text::bytea)
    from generate_series(1, 5000) as n cross join ordak.stores as s;
    vacuum analyze ordak.work_queue, ordak.listing_effects, ordak.alerts, ordak.dead_letters, ordak.listings";

#[test]
fn what_is_asked_of_stock_reads_what_it_answers_however_much_there_is() {
    run(async {
        let (stack, mut staff) = bakery("stock_scale").await;
        xtask::bench::ingest::fill_stock(&stack.database_url(), ITEMS).await.unwrap();
        for statement in STORY.replace(":waiting", &WAITING.to_string()).split(';') {
            staff.client.batch_execute(statement).await.unwrap();
        }
        staff.tables = TABLES;
        let skus = |count: i64| (0..count).map(|n| format!("PRODUCT-{n}")).collect::<Vec<_>>().join(",");
        let inventory = |count| format!("select * from api.get_inventory('{{{}}}')", skus(count));
        // A product, and five lines of its bill with an item each, both found by an index.
        let of_items = |count: i64| 14 * count;
        let ledger = |before: &str| format!("select * from api.stock_ledger('CANDLE' {before})");
        let waiting = |arguments: &str| format!("select * from api.blocked_orders({arguments})");
        let mut too_much = staff
            .read_all([
                (inventory(1), of_items(1)),
                (inventory(100), of_items(100)),
                (ledger(""), PAGE),
                (ledger(", before => 4000"), PAGE),
                ("select * from api.list_items()".into(), PAGE),
                ("select * from api.list_items(after => 'PRODUCT-5')".into(), PAGE),
                ("select * from api.low_stock()".into(), PAGE),
                // All that are low may be put in order, where few of them are of the kind.
                ("select * from api.low_stock('component')".into(), 2 * PAGE),
                ("select * from api.get_bom('PRODUCT-1')".into(), 20),
                // All that wait are put in order for any page of them: each with its order, and the page's parts.
                (waiting(""), 3 * WAITING),
                (waiting("store => 'bannos'"), 3 * WAITING),
            ])
            .await;
        for statement in TROUBLE.split(';') {
            staff.client.batch_execute(statement).await.unwrap();
        }
        staff.client.batch_execute("update ordak.staff_shared set role = 'Admin'").await.unwrap();
        staff.tables = LISTED;
        let all = |list: &str, after: &str| {
            [
                format!("select * from api.{list}({after})"),
                format!("select * from api.{list}(store => 'bannos', {after})"),
            ]
        };
        let pages = [
            (all("list_failed_sync", "before => 9000"), PAGE),
            (all("list_failed_sync", "topic => 'base_listing'"), 2 * PAGE),
            (all("list_alerts", "before => 9000, open => null"), PAGE),
            (all("list_alerts", "before => 9000"), PAGE),
            (all("list_dead_letters", "before => now()"), PAGE),
            (all("drift_report", "before => 1000000"), PAGE),
            // Each with what can be sold of it.
            (all("list_listings", "after => 100"), of_items(50) + PAGE),
        ];
        let pages = pages.into_iter().flat_map(|(reads, most)| reads.map(|read| (read, most)));
        too_much.extend(staff.read_all(pages).await);
        staff.tables = TABLES;
        staff.role = "postgres";
        let ids = |kind: &str, count: i64| {
            format!("array(select id from ordak.items where sku like '{kind}-%' order by sku limit {count})")
        };
        let ats = |count: i64| {
            format!(
                "select count(*) from ordak.ats({}, array_fill('bannos'::text, array[{count}]))",
                ids("PRODUCT", count)
            )
        };
        too_much.extend(staff.read_all([1, 250].map(|count| (ats(count), of_items(count) + count))).await);
        assert_eq!(too_much, [""; 0]);
        stack.stop().await;
    });
}
