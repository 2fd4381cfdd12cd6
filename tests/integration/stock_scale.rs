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
                ("select * from api.low_stock('component')".into(), PAGE),
                ("select * from api.get_bom('PRODUCT-1')".into(), 20),
                // All that wait are put in order for any page of them: each with its order, and the page's parts.
                (waiting(""), 3 * WAITING),
                (waiting("store => 'bannos'"), 3 * WAITING),
            ])
            .await;
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
