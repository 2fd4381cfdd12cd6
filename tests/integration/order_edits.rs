//! Orders that people take, and what they correct in orders and tasks.

mod editing;
mod taking;

use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::support::*;

/// A request for an order of one cake, with other fields in place of its own.
fn request(store: &str, fields: Value) -> Value {
    let cakes = json!([{"product_title": "Vanilla Cake", "quantity": 1}]);
    with(json!({"store": store, "customer_name": "Ada", "cakes": cakes}), fields)
}

/// A store of a test's own, with a date in ten days that is blacked out.
async fn own_store(code: &str, letter: &str) {
    add_store(code, letter).await;
    let update = "update ordak.settings set due_blackout_dates = array[$2::text::date] where store = $1";
    queries().await.execute(update, &[&code, &day(10).await]).await.unwrap();
}

/// The store of the tests that number its orders.
async fn pearl() {
    static PEARL: OnceCell<()> = OnceCell::const_new();
    PEARL.get_or_init(|| own_store("pearl", "P")).await;
}

/// The day so many days after today in Sydney.
async fn day(offset: i32) -> String {
    let sql = "select (ordak.local_day('Australia/Sydney', now()) + $1::int)::text";
    database(&shared().stack).await.query_one(sql, &[&offset]).await.unwrap().get(0)
}

/// One text out of the database about something of this name.
async fn text(sql: &str, name: &str) -> String {
    database(&shared().stack).await.query_one(sql, &[&name]).await.unwrap().get(0)
}

/// The last entry of the audit log about something, as its action with what was and what is.
async fn audited(subject: &str) -> String {
    let sql = "select concat_ws(' ', l.action, l.old, l.new) from ordak.audit_log as l
               where l.subject = $1 order by l.id desc limit 1";
    text(sql, subject).await
}

#[test]
fn only_supervisors_of_the_store_take_and_edit_orders() {
    run(async {
        let (order_id, tasks) = take_order(BANNOS, 1).await;
        let calls = [
            ("create_manual_order", request("bannos", json!({}))),
            ("edit_order", json!({"order_id": order_id, "version": 1, "changes": {}})),
            ("edit_task", json!({"task_number": tasks[0], "version": 1, "changes": {}})),
        ];
        let people = [
            ("Staff", None, "403 AUTH002"),
            ("Staff", Some("bannos"), "403 AUTH002"),
            ("Supervisor", Some("flourlane"), "403 AUTH002"),
            ("Admin", Some("flourlane"), "403 AUTH002"),
            ("Supervisor", Some("bannos"), "200 "),
            ("Supervisor", None, "200 "),
            ("Admin", Some("bannos"), "200 "),
            ("Admin", None, "200 "),
        ];
        for (role, store, expected) in people {
            let person = Person::staff(role, store).await;
            for (name, arguments) in &calls {
                let said = person.rpc(name, arguments.clone()).await.said();
                assert_eq!(said, expected, "{role} of {store:?}: {name}");
            }
        }
        let stranger = Person::new().await;
        for (name, arguments) in &calls {
            assert_eq!(stranger.rpc(name, arguments.clone()).await.said(), "401 AUTH001", "{name}");
        }
        let admin = Person::staff("Admin", None).await;
        for (name, arguments) in [
            ("edit_order", json!({"order_id": "bannos-1", "version": 1, "changes": {}})),
            ("edit_order", json!({"order_id": null, "version": 1, "changes": {}})),
            ("edit_task", json!({"task_number": "B1-A", "version": 1, "changes": {}})),
        ] {
            assert_eq!(admin.rpc(name, arguments).await.said(), "404 ORD001", "{name}");
        }
    });
}

#[test]
fn any_text_is_kept_as_it_was_written() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        for hostile in [
            "Robert'); drop table ordak.orders; --",
            "<script>alert(1)</script>",
            "{\"a\": \"$1 %s %I \\\\\"}",
            "Zoë 🎂 \u{202e}שלום",
            "two\nlines",
        ] {
            let cakes = json!([{"product_title": hostile, "quantity": 1, "cake_writing": hostile}]);
            let key = format!("{hostile}{}", number());
            let fields = json!({"customer_name": hostile, "cakes": cakes, "idempotency_key": key});
            let answer = supervisor.does("create_manual_order", request("bannos", fields)).await;
            assert_eq!(answer["order"]["customer_name"], hostile);
            assert_eq!(answer["tasks"][0]["cake_writing"], hostile);
            let changes = json!({"notes": hostile});
            let arguments =
                json!({"order_id": answer["order"]["order_id"], "version": 1, "changes": changes});
            assert_eq!(supervisor.does("edit_order", arguments).await["order"]["notes"], hostile);
        }
    });
}
