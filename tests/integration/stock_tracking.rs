//! How counting is switched on and off for a store with orders, that nobody waits in a ring for stock, and who sees that
//! an order waits for it.

use serde_json::{Value, json};
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use tokio_postgres::Client;

use crate::support::shop::{Shop, audited, id, line, take_level};
use crate::support::*;

/// The store of these tests, for one at a time and without open orders; counted where that is said.
async fn quince(counted: bool) -> (&'static Shop, MutexGuard<'static, ()>) {
    static TURN: Mutex<()> = Mutex::const_new(());
    static QUINCE: OnceCell<Shop> = OnceCell::const_new();
    let turn = TURN.lock().await;
    // When counting begins, orders of the last 90 days follow.
    let yesterday = "select ((now() at time zone 'UTC')::date - 1)::text";
    let day = queries().await.query_one(yesterday, &[]).await.unwrap().get(0);
    let shop = QUINCE.get_or_init(async || Shop { day, ..Shop::new("quince", "A").await }).await;
    let open =
        "select o.order_id from ordak.orders as o where o.id = any (ordak.open_orders('quince', 0, 1000))";
    for row in queries().await.query(open, &[]).await.unwrap() {
        let order_id: String = row.get(0);
        shop.admin.does("cancel_order", json!({"order_id": order_id, "reason": "Of another test"})).await;
    }
    let call = if counted { "start_tracking" } else { "stop_tracking" };
    shop.admin.does(call, json!({"store": "quince"})).await;
    (shop, turn)
}

/// Begins to count, and answers with whether that changed anything, how many orders followed, and `next`.
async fn start_tracking(shop: &Shop, after: &Value) -> (bool, i64, Value) {
    let answer = shop.admin.does("start_tracking", json!({"store": shop.code, "after": after})).await;
    (answer["changed"].as_bool().unwrap(), answer["orders"].as_i64().unwrap(), answer["next"].clone())
}

async fn flags(order_id: &str) -> String {
    let sql = "select array_to_string(flags, ' ') from ordak.orders where order_id = $1";
    queries().await.query_one(sql, &[&order_id]).await.unwrap().get(0)
}

#[test]
fn when_counting_begins_open_orders_reserve_what_they_still_need() {
    run(async {
        let (shop, _turn) = quince(false).await;
        shop.item("MED-BOARD", "component", 10.0).await;
        shop.item("MED-BOX", "component", 10.0).await;
        shop.product("MED-CAKE", &[("MED-BOARD", 1.0, "Filling"), ("MED-BOX", 1.0, "Packing")]).await;
        shop.item("MED-TOY", "accessory", 10.0).await;
        let begun = shop.sell("MED-CAKE", "cake", 2).await;
        shop.complete(&shop.tasks(&begun).await[0], &["Filling"]).await;
        let [done, off] = [shop.sell("MED-CAKE", "cake", 1).await, shop.sell("MED-CAKE", "cake", 1).await];
        shop.admin.does("complete_order", json!({"order_id": done})).await;
        shop.admin.does("cancel_order", json!({"order_id": off, "reason": "Changed their mind"})).await;
        let waits = shop.sell("MED-TOY", "accessory", 3).await;
        let (mut sent, mut counter) =
            (shop.order(&[line("MED-TOY", "accessory", 1)]), shop.order(&[line("MED-TOY", "accessory", 1)]));
        (sent["lines"][0]["fulfilled"], counter["pos"]) = (json!(true), json!(true));
        let (sent, counter) = (shop.take(&sent).await, shop.take(&counter).await);
        let unknown = shop.sell("MED-NONE", "cake", 1).await;
        assert_eq!((shop.stock("MED-BOX").await, flags(&unknown).await), ("10 0 0 10".into(), String::new()));

        for changed in [true, false] {
            assert_eq!(start_tracking(shop, &json!(null)).await, (changed, 3, json!(null)));
            assert_eq!(
                shop.reserved(&begun).await,
                "MED-BOX 1 Packing 1 held, MED-BOARD 2 Filling 1 held, MED-BOX 2 Packing 1 held",
                "the board under the first cake was gone when the others were counted"
            );
            let toys = [1, 2, 3].map(|unit| format!("MED-TOY {unit} Packing 1 held")).join(", ");
            assert_eq!(shop.reserved(&waits).await, toys);
            for order in [&done, &off, &sent, &counter, &unknown] {
                assert_eq!(shop.reserved(order).await, "", "{order}");
            }
            assert_eq!(flags(&unknown).await, "unmapped_product");
            assert_eq!(shop.stock("MED-BOARD").await, "10 1 0 9");
        }
        shop.sell("MED-TOY", "accessory", 1).await;
        assert_eq!(shop.stock("MED-TOY").await, "10 4 0 6");
        assert_eq!(audited("MED").await, [""; 0]);
    });
}

#[test]
fn counting_begins_page_by_page_and_misses_no_order_that_comes_meanwhile() {
    run(async {
        let (shop, _turn) = quince(false).await;
        shop.item("LOQ-TOY", "accessory", 1000.0).await;
        let toy = || shop.order(&[line("LOQ-TOY", "accessory", 1)]);
        let put = "select p.outcome from ordak.stores as s, jsonb_array_elements($1::text::jsonb) as o
                   cross join lateral ordak.put_order(s, o, true) as p where s.code = 'quince'";
        let orders: Vec<Value> = (0..51).map(|_| toy()).collect();
        queries().await.query(put, &[&json!(orders).to_string()]).await.unwrap();

        // Somebody is taking an order, and has asked already whether stock is counted.
        let mut client = database(&shared().stack).await;
        let pid = backend(&client).await;
        let taking = client.transaction().await.unwrap();
        taking.query(put, &[&json!([toy()]).to_string()]).await.unwrap();
        let none = json!(null);
        let commit = async {
            until("somebody who waits for the order", async || waits_for(pid).await.then_some(())).await;
            taking.commit().await.unwrap();
        };
        let ((changed, orders, next), ()) = tokio::join!(start_tracking(shop, &none), commit);
        assert_eq!((changed, orders), (true, 50));
        // One that comes between two pages reserves by itself.
        shop.take(&toy()).await;
        assert_eq!(shop.stock("LOQ-TOY").await, "1000 51 0 949");
        assert_eq!(start_tracking(shop, &next).await, (false, 3, none));
        assert_eq!(shop.stock("LOQ-TOY").await, "1000 53 0 947");

        let nowhere = json!({"store": "quince", "after": "bannos-1"});
        assert_eq!(shop.admin.rpc("start_tracking", nowhere).await.said(), "422 VAL001");
        assert_eq!(audited("LOQ").await, [""; 0]);
    });
}

#[test]
fn while_nothing_is_counted_no_level_is_taken_for_known() {
    run(async {
        let (shop, _turn) = quince(true).await;
        shop.item("PER-TOY", "accessory", 10.0).await;
        let listing =
            json!({"sku": "PER-TOY", "store": "quince", "inventory_item_id": id(), "location_id": 71});
        let listing =
            shop.admin.does("set_listing", listing).await["listing"]["listing_id"].as_i64().unwrap();
        let level = async |hour: u32, level: i64| {
            take_level(listing, level, &format!("{}T{hour:02}:00:00Z", shop.day), 0).await;
        };
        let shown = async || {
            let list = shop.admin.does("list_listings", json!({"store": "quince"})).await;
            json!([list[0]["expected"], list[0]["owed"]])
        };
        level(8, 10).await;
        let mut order = shop.order(&[line("PER-TOY", "accessory", 1)]);
        shop.take(&order).await;
        assert_eq!(shown().await, json!([9, 0]));

        shop.admin.does("stop_tracking", json!({"store": "quince"})).await;
        (order["lines"][0]["quantity"], order["lines"][0]["current"]) = (json!(3), json!(3));
        order["updated_at"] = json!(format!("{}T10:00:00Z", shop.day));
        shop.take(&order).await;
        assert_eq!(shown().await, json!([null, null]), "nobody has counted the two that were sold");
        level(11, 7).await;
        assert_eq!(shown().await, json!([null, null]));
        assert_eq!(audited("quince").await, [""; 0]);

        assert_eq!(start_tracking(shop, &json!(null)).await, (true, 1, json!(null)));
        assert_eq!(shown().await, json!([null, null]));
        level(12, 7).await;
        assert_eq!((shown().await, shop.stock("PER-TOY").await), (json!([7, 0]), "10 3 0 7".into()));
        assert_eq!(audited("quince").await, [""; 0]);
        let log = shop.admin.read("audit_log?store=eq.quince&order=id.desc&limit=2").await;
        let said = |row: usize| json!([log.body[row]["action"], log.body[row]["new"]["inventory_tracking"]]);
        assert_eq!((said(0), said(1)), (json!(["start_tracking", true]), json!(["stop_tracking", false])));
        let settings = shop.admin.does("get_settings", json!({"store": "quince"})).await;
        assert_eq!(settings["inventory_tracking"], json!(true));
    });
}

#[test]
fn counting_is_switched_by_an_admin_of_the_store_alone() {
    run(async {
        let (shop, _turn) = quince(true).await;
        let stranger = Person::new().await;
        let other = Person::staff("Admin", Some("bannos")).await;
        let supervisor = Person::staff("Supervisor", Some("quince")).await;
        for name in ["start_tracking", "stop_tracking"] {
            let store = json!({"store": "quince"});
            assert_eq!(stranger.rpc(name, store.clone()).await.said(), "401 AUTH001", "{name}");
            assert_eq!(other.rpc(name, store.clone()).await.said(), "403 AUTH002", "{name}");
            assert_eq!(supervisor.rpc(name, store).await.said(), "403 AUTH002", "{name}");
            assert_eq!(
                shop.admin.rpc(name, json!({"store": "nowhere"})).await.said(),
                "422 VAL001",
                "{name}"
            );
        }
    });
}

async fn backend(client: &Client) -> i32 {
    client.query_one("select pg_backend_pid()", &[]).await.unwrap().get(0)
}

/// Whether somebody waits for a lock that a backend holds.
async fn waits_for(pid: i32) -> bool {
    let sql = "select exists (select from pg_locks where not granted and $1 = any (pg_blocking_pids(pid)))";
    queries().await.query_one(sql, &[&pid]).await.unwrap().get(0)
}

/// Has somebody call a function while the first of two items is locked, and finds that they do not hold the second one
/// while they wait: the other way round, whoever takes both would wait for them, and they for those.
async fn waits_without(first: &str, second: &str, shop: &Shop, name: &str, arguments: Value) -> Value {
    let mut client = database(&shared().stack).await;
    let pid = backend(&client).await;
    let holder = client.transaction().await.unwrap();
    let lock = "select from ordak.items where sku = $1 for no key update nowait";
    holder.query(lock, &[&first]).await.unwrap();
    let release = async {
        until("somebody who waits for the item", async || waits_for(pid).await.then_some(())).await;
        holder.query(lock, &[&second]).await.unwrap_or_else(|error| panic!("{name}: {error:?}"));
        holder.commit().await.unwrap();
    };
    tokio::join!(shop.admin.does(name, arguments), release).0
}

#[test]
fn who_needs_items_of_several_orders_takes_them_all_in_one_go() {
    run(async {
        let (shop, _turn) = quince(true).await;
        for sku in ["RNG-A", "RNG-B", "RNG-PARTY"] {
            shop.item(sku, "accessory", 5.0).await;
        }
        let mut party = line("RNG-PARTY", "unknown", 1);
        party["product_id"] = json!(id());
        for sku in ["RNG-B", "RNG-A"] {
            party["line_id"] = json!(id());
            shop.take(&shop.order(&[party.clone(), line(sku, "accessory", 1)])).await;
        }
        let classify = json!({"store": "quince", "product_id": party["product_id"], "kind": "accessory"});
        let answer = waits_without("RNG-A", "RNG-B", shop, "classify_product", classify).await;
        assert_eq!(answer["orders"], json!(2));
        // When counting begins too, which reserves once more what is reserved already.
        let start = json!({"store": "quince"});
        waits_without("RNG-A", "RNG-B", shop, "start_tracking", start).await;
        assert_eq!(audited("RNG").await, [""; 0]);
    });
}

#[test]
fn who_has_a_cake_decorated_anew_takes_what_it_needs_in_one_go() {
    run(async {
        let (shop, _turn) = quince(true).await;
        shop.item("ROS-ROSE", "component", 9.0).await;
        shop.item("ROS-BOX", "component", 9.0).await;
        shop.product("ROS-CAKE", &[("ROS-ROSE", 3.0, "Decorating"), ("ROS-BOX", 1.0, "Packing")]).await;
        let order = shop.sell("ROS-CAKE", "cake", 1).await;
        let task = &shop.tasks(&order).await[0];
        shop.complete(task, &["Filling", "Covering", "Decorating"]).await;
        // The rose is used up and the box is not: the box alone follows the stage.
        let back = json!({"task_number": task, "reason": "Dropped", "remake": true});
        waits_without("ROS-ROSE", "ROS-BOX", shop, "return_to_decorating", back).await;
        assert_eq!(shop.stock("ROS-ROSE").await, "6 3 0 3");
    });
}

#[test]
fn an_order_and_its_cakes_show_that_they_wait_for_stock() {
    run(async {
        let (shop, _turn) = quince(true).await;
        shop.item("BLO-BOX", "component", 1.0).await;
        shop.product("BLO-CAKE", &[("BLO-BOX", 1.0, "Packing")]).await;
        let order = shop.sell("BLO-CAKE", "cake", 2).await;
        let tasks = shop.tasks(&order).await;
        let staff = Person::staff("Staff", Some("quince")).await;
        let shown = async || {
            let blocked = |rows: &Value| {
                let rows = rows.as_array().unwrap().iter().filter(|row| row["order_id"] == json!(order));
                rows.map(|row| row["inventory_blocked"].clone()).collect::<Vec<_>>()
            };
            let [orders, read] =
                ["orders", "tasks"].map(|view| format!("{view}?order_id=eq.{order}&order=order_id"));
            let (orders, read) = (staff.read(&orders).await.body, staff.read(&read).await.body);
            let queue =
                staff.does("queue", json!({"store": "quince", "search": tasks[0].split('-').next()})).await;
            assert_eq!(blocked(&read), blocked(&queue["tasks"]));
            (blocked(&orders), blocked(&queue["tasks"]))
        };
        assert_eq!(shown().await, (vec![json!(true)], vec![json!(false), json!(true)]));
        shop.admin.does("receive_stock", json!({"lines": [{"sku": "BLO-BOX", "quantity": 1}]})).await;
        assert_eq!(shown().await, (vec![json!(false)], vec![json!(false), json!(false)]));
    });
}
