//! Reading: the queue, the scanner's look-up, an order whole, counts, the week and a store's figures, as each
//! role and of each store.

mod figures;
mod queue;

use serde_json::{Value, json};
use tokio_postgres::GenericClient;

use crate::support::*;

/// Stores of these tests' own; nothing that is committed stands in the second one.
pub const ROSE: &str = "rose";

pub const QUAY: &str = "quay";

/// Makes those stores, whose days are not the same.
pub async fn add_stores() {
    let sql = "insert into ordak.stores (code, name, shop_domain, letter, time_zone) values
                 ('rose', 'Rose', 'rose-lane.myshopify.com', 'R', 'Australia/Sydney'),
                 ('quay', 'Quay', 'quay.myshopify.com', 'Q', 'America/Los_Angeles')
               on conflict do nothing";
    queries().await.execute(sql, &[]).await.unwrap();
}

/// Puts an order's cakes into the kitchen, and answers with the order's row and the tasks' numbers.
///
/// What may be given: store, number, due, size, cakes, product, customer, method, amount, pos, test, placed,
/// came, stage, completed, cancelled, storage, held.
pub async fn add_cakes(client: &impl GenericClient, mut cake: Value) -> (i64, Vec<String>) {
    if cake["number"].is_null() {
        cake["number"] = number().into();
    }
    let cake = cake.to_string();
    let order = "insert into ordak.orders (store, number, customer_name, due_date, delivery_method, currency,
                   total_amount, pos, test, placed_at, cancelled_at, held_at, hold_reason)
                 select c ->> 'store', (c ->> 'number')::bigint, coalesce(c ->> 'customer', 'Mia Sample'),
                   (c ->> 'due')::date, coalesce(c ->> 'method', 'Pickup'), 'AUD',
                   coalesce((c ->> 'amount')::numeric, 95),
                   coalesce((c ->> 'pos')::boolean, false),
                   coalesce((c ->> 'test')::boolean, false), coalesce((c ->> 'placed')::timestamptz, now()),
                   (c ->> 'cancelled')::timestamptz, (c ->> 'held')::timestamptz,
                   case when c ? 'held' then 'a question' end
                 from cast($1::text as jsonb) as c
                 returning id";
    let order: i64 = client.query_one(order, &[&cake]).await.unwrap().get(0);
    let line =
        "insert into ordak.order_lines (order_key, position, title, kind, quantity, current, wanted, price, size)
                select $2, 1, coalesce(c ->> 'product', 'Vanilla Bliss Cake'), 'cake', n, n, n, 95, c ->> 'size'
                from cast($1::text as jsonb) as c
                cross join coalesce((c ->> 'cakes')::int, 1) as n
                returning id";
    let line: i64 = client.query_one(line, &[&cake, &order]).await.unwrap().get(0);
    let tasks = "insert into ordak.tasks (order_key, line_key, unit, number, product_title, size, stage,
                   completed_at, storage, created_at)
                 select $2, l.id, u, upper(left(c ->> 'store', 1)) || (c ->> 'number')
                     || case when l.wanted > 1 then '-' || ordak.suffix(u) else '' end,
                   l.title, l.size, coalesce(c ->> 'stage', 'Filling')::ordak.stage,
                   (c ->> 'completed')::timestamptz, c ->> 'storage',
                   coalesce((c ->> 'came')::timestamptz, now())
                 from cast($1::text as jsonb) as c
                 join ordak.order_lines as l on l.id = $3
                 cross join generate_series(1, l.wanted) as u
                 where not coalesce((c ->> 'pos')::boolean, false)
                 order by u
                 returning number";
    let rows = client.query(tasks, &[&cake, &order, &line]).await.unwrap();
    (order, rows.iter().map(|row| row.get(0)).collect())
}

/// The numbers of the tasks in a list.
fn numbers(tasks: &Value) -> Vec<String> {
    let numbers = tasks.as_array().unwrap().iter().map(|task| task["task_number"].as_str().unwrap());
    numbers.map(str::to_owned).collect()
}

/// A page of the queue, with some arguments over others.
async fn page(person: &Person, common: &Value, more: Value) -> (Vec<String>, Value) {
    let arguments = with(common.clone(), more);
    let page = person.does("queue", arguments).await;
    (numbers(&page["tasks"]), page["next"].clone())
}

/// All pages of the queue.
async fn pages(person: &Person, common: &Value, size: i32) -> Vec<String> {
    let (mut all, mut next) = page(person, common, json!({"page_size": size})).await;
    while !next.is_null() {
        let (more, then) = page(person, common, json!({"page_size": size, "after": next})).await;
        all.extend(more);
        next = then;
    }
    all
}

#[test]
fn everybody_reads_their_own_stores_and_nobody_else_anything() {
    run(async {
        add_stores().await;
        let database = queries().await;
        let (order, tasks) = add_cakes(database, json!({"store": ROSE, "customer": "Olga Own"})).await;
        let sql = format!("select order_id from ordak.orders where id = {order}");
        let order_id: String = database.query_one(&sql, &[]).await.unwrap().get(0);
        let calls = [
            ("queue", json!({"store": ROSE})),
            ("find_task", json!({"code": tasks[0]})),
            ("get_order", json!({"order_id": order_id})),
            ("stage_counts", json!({"store": ROSE})),
            ("week", json!({"store": ROSE})),
            ("store_analytics", json!({"store": ROSE})),
        ];
        let stranger = Person::new().await;
        for role in ["Staff", "Supervisor", "Admin"] {
            let (own, both) = (Person::staff(role, Some(ROSE)).await, Person::staff(role, None).await);
            let other = Person::staff(role, Some(QUAY)).await;
            for (name, arguments) in &calls {
                let said = async |person: &Person| person.rpc(name, arguments.clone()).await.said();
                assert_eq!(said(&stranger).await, "401 AUTH001", "{name}");
                let allowed =
                    if *name == "store_analytics" && role != "Admin" { "403 AUTH002" } else { "200 " };
                assert_eq!([said(&own).await, said(&both).await], [allowed; 2], "{role} {name}");
                // A look-up tells nobody what another store has.
                let refused = if *name == "find_task" { "404 ORD001" } else { "403 AUTH002" };
                assert_eq!(said(&other).await, refused, "{role} of another store: {name}");
            }
            assert_eq!(pages(&own, &json!({"search": "Olga Own"}), 9).await, tasks);
            assert_eq!(pages(&both, &json!({"search": "Olga Own"}), 9).await, tasks);
            assert_eq!(pages(&other, &json!({"search": "Olga Own"}), 9).await, [""; 0]);
            for (person, seen) in [(&own, 1), (&both, 1), (&other, 0), (&stranger, 0)] {
                for view in ["tasks", "orders"] {
                    let rows = person.read(&format!("{view}?order_id=eq.{order_id}")).await.body;
                    assert_eq!(rows.as_array().unwrap().len(), seen, "{role} {view}");
                }
            }
            let stores = |rows: Value| -> Vec<Value> {
                rows.as_array().unwrap().iter().map(|row| row["store"].clone()).collect()
            };
            assert_eq!(stores(own.does("stage_counts", json!({})).await), [ROSE]);
            assert!(stores(both.does("stage_counts", json!({})).await).contains(&json!(QUAY)));
            for name in ["queue", "week", "stage_counts"] {
                assert_eq!(both.rpc(name, json!({"store": "nowhere"})).await.said(), "422 VAL001", "{name}");
            }
            assert_eq!(both.rpc("week", json!({"store": null})).await.said(), "422 VAL001");
        }
    });
}

#[test]
fn a_task_is_found_by_every_form_that_is_printed() {
    run(async {
        add_stores().await;
        let (rose, both) = (Person::staff("Staff", Some(ROSE)).await, Person::staff("Staff", None).await);
        let database = queries().await;
        let (_, one) =
            add_cakes(database, json!({"store": ROSE, "stage": "Complete", "completed": "2026-06-01Z"}))
                .await;
        let (_, split) = add_cakes(database, json!({"store": ROSE, "cakes": 28})).await;
        let found = async |person: &Person, code: &str| {
            let answer = person.rpc("find_task", json!({"code": code})).await;
            if answer.status != 200 {
                return vec![answer.said()];
            }
            let candidates = numbers(&answer.body["candidates"]);
            if answer.body["task"].is_null() {
                candidates
            } else {
                assert_eq!(candidates, [""; 0]);
                numbers(&json!([answer.body["task"]]))
            }
        };
        let digits = &one[0][1..];
        for form in [
            "#R{}",
            "R{}",
            "r{}",
            " \t#r{}\r\n",
            "rose-{}",
            "ROSE-{}",
            "rose-lane-{}",
            "Rose-Lane-{}",
            "{}",
            "#{}",
            "R0{}",
        ] {
            let code = form.replace("{}", digits);
            assert_eq!(found(&rose, &code).await, one, "{code}");
        }
        let digits = &split[0][1..split[0].len() - 2];
        for (suffix, at) in [("A", 0), ("B", 1), ("Z", 25), ("AA", 26), ("AB", 27)] {
            let forms = ["#R{}-S", "R{}-S", "R{}S", "rose-{}-S", "rose-lane-{}-S", "{}-S", "{}S"];
            for form in forms {
                let code = form.replace('S', suffix).replace("{}", digits);
                assert_eq!(found(&rose, &code).await, [split[at].as_str()], "{code}");
                assert_eq!(found(&rose, &code.to_lowercase()).await, [split[at].as_str()], "{code}");
            }
        }
        for form in ["#R{}", "rose-{}", "{}"] {
            let code = form.replace("{}", digits);
            assert_eq!(found(&rose, &code).await, split, "{code} never means just one of them");
        }
        let none = [
            "#R{}-AC",
            "Q{}",
            "quay-{}",
            "B{}-A",
            "X{}",
            "nowhere-{}",
            "R{}-",
            "R{}-1",
            "-{}",
            "R {}",
            "R{}é",
        ];
        for form in
            none.into_iter().chain(["R", "#", "https://example.com/", "99999999999999999999", "%", "🎂"])
        {
            let code = form.replace("{}", digits);
            assert_eq!(found(&rose, &code).await, ["404 ORD001"], "{code}");
        }
        for code in [json!(null), json!(""), json!("  "), json!("1".repeat(101))] {
            assert_eq!(rose.rpc("find_task", json!({"code": code})).await.said(), "422 VAL001", "{code}");
        }

        let number: i64 = number();
        let (_, here) =
            add_cakes(database, json!({"store": ROSE, "number": number, "cancelled": "2026-06-01Z"})).await;
        let (_, there) = add_cakes(database, json!({"store": "bannos", "number": number})).await;
        assert_eq!(
            found(&both, &number.to_string()).await,
            [there[0].as_str(), &here[0]],
            "the same digits in two stores"
        );
        assert_eq!(found(&rose, &number.to_string()).await, here, "but one of them is not this caller's");
        assert_eq!(found(&both, &format!("B{number}")).await, there);
        let (_, many) = add_cakes(database, json!({"store": ROSE, "cakes": 60})).await;
        assert_eq!(found(&rose, many[0].trim_end_matches("-A")).await, many[..50]);
    });
}

#[test]
fn an_order_is_shown_with_all_that_belongs_to_it() {
    run(async {
        let staff = Person::staff("Staff", Some("bannos")).await;
        let (order_id, tasks) = take_order(BANNOS, 2).await;
        let database = queries().await;
        let event = "insert into ordak.stage_events (task, actor, action, from_stage, to_stage, pass, reason)
                     select t.id, s.id, 'print', 'Filling', 'Filling', 1, g.i::text
                     from ordak.tasks as t, ordak.staff_shared as s, generate_series(1, 201) as g (i)
                     where t.number = $1 and s.user_id = $2::text::uuid
                     order by g.i";
        database.execute(event, &[&tasks[1], &staff.id]).await.unwrap();
        let details = staff.does("get_order", json!({"order_id": order_id})).await;
        assert_eq!(
            (&details["order"]["order_id"], numbers(&details["tasks"])),
            (&json!(order_id), tasks.clone())
        );
        let line = &details["lines"][0];
        assert_eq!(
            (&line["title"], &line["kind"], &line["wanted"]),
            (&json!("Vanilla Bliss Cake"), &json!("cake"), &json!(2))
        );
        let events = details["events"].as_array().unwrap();
        assert_eq!(
            (events.len(), &events[0]["reason"], &events[199]["reason"]),
            (200, &json!("2"), &json!("201"))
        );
        assert_eq!((&events[0]["task_number"], &events[0]["actor_id"]), (&json!(tasks[1]), &json!(staff.id)));
        let delivery = &details["deliveries"][0];
        assert_eq!((&delivery["topic"], &delivery["outcome"]), (&json!("orders/create"), &json!("created")));
        assert!(delivery["received_at"].is_string() && delivery["reason"].is_null());
        assert_eq!(staff.rpc("get_order", json!({"order_id": "bannos-1"})).await.said(), "404 ORD001");
        for order_id in [json!(null), json!(""), json!("x".repeat(101))] {
            assert_eq!(staff.rpc("get_order", json!({"order_id": order_id})).await.said(), "422 VAL001");
        }
    });
}
