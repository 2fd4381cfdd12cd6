//! Reading: the queue, the scanner's look-up, an order whole, counts, the week and a store's figures, as each
//! role and of each store.

use std::collections::BTreeSet;

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
    let mut arguments = common.clone();
    arguments.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
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

/// Cakes of one customer, who has that name alone: of every urgency, size and stage, in both states of
/// everything that the queue can be asked for.
async fn sample(client: &impl GenericClient, customer: &str, assignee: &Person) -> Vec<String> {
    let mut all = Vec::new();
    for i in 0..48 {
        let mut cake = json!({"store": ROSE, "customer": customer});
        cake["size"] = ["Small", "Large", "Medium"][i % 3].into();
        cake["stage"] = ["Filling", "Covering", "Decorating", "Packing"][i % 4].into();
        if i % 5 != 0 {
            let sql = "select (now() + ($1::int - 6) * interval '12 hours')::date::text";
            let day: String = client.query_one(sql, &[&(i as i32)]).await.unwrap().get(0);
            cake["due"] = day.into();
        } else if i % 2 == 0 {
            cake["came"] = "2026-01-01T00:00:00Z".into();
        }
        if i % 3 == 0 {
            cake["storage"] = "Store Fridge".into();
        }
        all.extend(add_cakes(client, cake).await.1);
    }
    let sql =
        "update ordak.tasks set assignee = (select id from ordak.staff_shared where user_id = $1::text::uuid)
               where number = any ($2) and size = 'Large'";
    client.execute(sql, &[&assignee.id, &all]).await.unwrap();
    all
}

#[test]
fn pages_of_any_size_are_the_whole_queue_without_a_skip_or_a_double() {
    run(async {
        add_stores().await;
        let staff = Person::staff("Staff", Some(ROSE)).await;
        let database = queries().await;
        let all = sample(database, "Paula Pages", &staff).await;
        let common = json!({"search": "paula pages"});
        let whole = page(&staff, &common, json!({"page_size": 200})).await;
        assert_eq!((whole.0.len(), &whole.1), (all.len(), &Value::Null));
        for size in [1, 7, 48] {
            assert_eq!(pages(&staff, &common, size).await, whole.0, "{size} a page");
        }
    });
}

#[test]
fn what_is_not_touched_is_on_one_page_whatever_changes_between_two() {
    run(async {
        add_stores().await;
        let staff = Person::staff("Staff", Some(ROSE)).await;
        let database = queries().await;
        sample(database, "Tom Touch", &staff).await;
        let common = json!({"search": "tom touch"});
        let whole = pages(&staff, &common, 200).await;
        let complete = "update ordak.tasks set stage = 'Complete', completed_at = now() where number = $1";
        let postpone = "update ordak.orders set due_date = current_date + 30
                        where id = (select order_key from ordak.tasks where number = $1)";
        let (mut seen, mut next) = page(&staff, &common, json!({"page_size": 7})).await;
        let mut touched = BTreeSet::new();
        for step in 0.. {
            if next.is_null() {
                break;
            }
            // Of those seen one goes and one moves to the end, one not yet seen goes, and one comes first.
            let last = whole.iter().position(|number| Some(number) == seen.last()).unwrap_or(whole.len() - 1);
            for (sql, number) in [
                (complete, seen.get(step * 2)),
                (postpone, seen.get(step * 2 + 1)),
                (complete, whole.get(last + 3)),
            ] {
                if let Some(number) = number {
                    database.execute(sql, &[number]).await.unwrap();
                    touched.insert(number.clone());
                }
            }
            let first = json!({"store": ROSE, "customer": "Tom Touch", "due": "2026-01-01"});
            touched.extend(add_cakes(database, first).await.1);
            let (more, then) = page(&staff, &common, json!({"page_size": 7, "after": next})).await;
            seen.extend(more);
            next = then;
        }
        let untouched = |list: &[String]| -> Vec<String> {
            list.iter().filter(|number| !touched.contains(*number)).cloned().collect()
        };
        assert!(untouched(&whole).len() > 20);
        assert_eq!(untouched(&seen), untouched(&whole));
    });
}

#[test]
fn each_filter_alone_and_all_together_keep_what_they_say() {
    run(async {
        add_stores().await;
        let staff = Person::staff("Staff", Some(ROSE)).await;
        let database = queries().await;
        sample(database, "Fay Filter", &staff).await;
        let all = staff.does("queue", json!({"search": "Fay Filter", "page_size": 200})).await;
        let filters = [
            json!({}),
            json!({"store": ROSE}),
            json!({"stage": "Packing"}),
            json!({"storage": "Store Fridge"}),
            json!({"priority": "High"}),
            json!({"priority": "Medium"}),
            json!({"priority": "Low"}),
            json!({"assignee": staff.id}),
            json!({"unassigned": true}),
            json!({"unassigned": null}),
        ];
        let keeps = |filter: &Value, task: &Value| {
            filter.as_object().unwrap().iter().all(|(name, value)| match name.as_str() {
                "assignee" => task["assignee_id"] == *value,
                "unassigned" => value.is_null() || task["assignee_id"].is_null(),
                _ => task[name] == *value,
            })
        };
        for (i, one) in filters.iter().enumerate() {
            for other in &filters[i..] {
                let mut filter = one.clone();
                filter.as_object_mut().unwrap().extend(other.as_object().unwrap().clone());
                if filter["unassigned"] == true && !filter["assignee"].is_null() {
                    continue;
                }
                let expected: Vec<_> =
                    all["tasks"].as_array().unwrap().iter().filter(|task| keeps(&filter, task)).collect();
                let mut arguments = filter.clone();
                arguments["search"] = "FAY FILTER".into();
                assert_eq!(pages(&staff, &arguments, 20).await, numbers(&json!(expected)), "{filter}");
            }
        }
        assert_eq!(all["tasks"].as_array().unwrap().len(), 48);
    });
}

#[test]
fn what_is_complete_is_read_newest_first_and_what_is_cancelled_not_at_all() {
    run(async {
        add_stores().await;
        let staff = Person::staff("Staff", Some(ROSE)).await;
        let database = queries().await;
        let mut expected = Vec::new();
        for i in 0..9 {
            // Two at each instant.
            let done = format!("2026-06-0{}T01:00:00Z", i / 2 + 1);
            let cake =
                json!({"store": ROSE, "customer": "Cora Complete", "stage": "Complete", "completed": done});
            expected.splice(..0, add_cakes(database, cake).await.1);
        }
        for stage in ["Filling", "Complete"] {
            let mut cake = json!({"store": ROSE, "customer": "Cora Complete", "stage": stage});
            cake["cancelled"] = "2026-06-01Z".into();
            if stage == "Complete" {
                cake["completed"] = "2026-06-01Z".into();
            }
            add_cakes(database, cake).await;
        }
        let common = json!({"search": "Cora Complete", "stage": "Complete"});
        for size in [1, 2, 200] {
            assert_eq!(pages(&staff, &common, size).await, expected, "{size} a page");
        }
        assert_eq!(pages(&staff, &json!({"search": "Cora Complete"}), 200).await, [""; 0]);
        let done = staff
            .does("queue", json!({"search": "Cora Complete", "stage": "Complete", "page_size": 1}))
            .await;
        assert_eq!(done["tasks"][0]["priority"], Value::Null);
        let other = staff.rpc("queue", json!({"stage": "Filling", "after": done["next"]})).await;
        assert_eq!(other.said(), "422 VAL001", "a cursor leads on where it came from");
    });
}

#[test]
fn a_search_takes_every_sign_as_it_is() {
    run(async {
        add_stores().await;
        let staff = Person::staff("Staff", Some(ROSE)).await;
        let database = queries().await;
        let customers = [r"O'Hara 100%_\ \% ", "Zoë 🎂🎂🎂 Ünal", r#"Quote "Qx" '; --"#];
        let mut tasks = Vec::new();
        for customer in customers {
            let cake = json!({"store": ROSE, "customer": customer, "product": "Peculiar Pavlova Cake"});
            tasks.extend(add_cakes(database, cake).await.1);
        }
        let found = async |search: &str| pages(&staff, &json!({"search": search}), 200).await;
        for (search, task) in [
            ("o'hara", 0),
            ("100%_", 0),
            (r"100%_\ \%", 0),
            ("🎂 Üna", 1),
            ("zOË 🎂", 1),
            ("ünAL", 1),
            (r#"quote "qx" ';"#, 2),
        ] {
            assert_eq!(found(search).await, [tasks[task].as_str()], "{search}");
        }
        for search in [r"%_\", r"\%", "🎂🎂🎂", "'; --", "a b c d"] {
            assert_eq!(staff.rpc("queue", json!({"search": search})).await.said(), "422 VAL001", "{search}");
        }
        let all: BTreeSet<_> = found("peculiar PAVLOVA").await.into_iter().collect();
        assert_eq!(all, tasks.iter().cloned().collect());
        for nothing in ["P%Pavlova", "Pec_liar", "' or true --"] {
            assert!(!found(nothing).await.iter().any(|number| tasks.contains(number)), "{nothing}");
        }
        let number = tasks[0].clone();
        for form in [format!("#{number}"), number.to_lowercase(), format!("rose-{}", &number[1..])] {
            assert_eq!(found(&form).await, [number.as_str()], "{form}");
        }
        let (_, short) = add_cakes(database, json!({"store": ROSE, "number": 42, "cakes": 2})).await;
        assert_eq!(found("42").await, short, "two digits are a whole number");
        assert_eq!(found(" 42 ").await, short);
        assert_eq!(found("41").await, [""; 0]);
    });
}

#[test]
fn what_the_queue_cannot_be_asked_is_refused() {
    run(async {
        add_stores().await;
        let staff = Person::staff("Staff", Some(ROSE)).await;
        // What a stranger would make: base64 of anything.
        let cursor = |text: &str| {
            const SIGNS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
            let mut out = String::new();
            for three in text.as_bytes().chunks(3) {
                let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
                    << (8 * (3 - three.len()));
                for i in 0..4 {
                    let sign = char::from(SIGNS[(bits >> (18 - 6 * i) & 63) as usize]);
                    out.push(if i <= three.len() { sign } else { '=' });
                }
            }
            json!({"after": out})
        };
        let key = |as_of: &str, band: i64, due: &str| {
            let key = json!({"band": band, "due_date": due, "size_rank": 1, "order_number": 1, "id": 1});
            cursor(&json!({"as_of": as_of, "key": key}).to_string())
        };
        let wrong = [
            json!({"page_size": 0}),
            json!({"page_size": 201}),
            json!({"page_size": null}),
            json!({"stage": "filling"}),
            json!({"stage": ""}),
            json!({"priority": "Urgent"}),
            json!({"priority": "High", "stage": "Complete"}),
            json!({"storage": ""}),
            json!({"storage": "x".repeat(101)}),
            json!({"search": ""}),
            json!({"search": "ab"}),
            json!({"search": "  a  "}),
            json!({"search": "x".repeat(101)}),
            json!({"search": "🎂🎂"}),
            json!({"assignee": "00000000-0000-0000-0000-000000000000"}),
            json!({"assignee": staff.id, "unassigned": true}),
            json!({"after": ""}),
            json!({"after": "!"}),
            json!({"after": "AAAA".repeat(1000)}),
            cursor("[]"),
            cursor("{}"),
            cursor("null"),
            cursor("\u{0}"),
            key("soon", 1, "2026-06-01"),
            key("infinity", 1, "2026-06-01"),
            key("2026-06-01Z", 7, "2026-06-01"),
            key("2026-06-01Z", 2, "2026-06-01"),
            key("2026-06-01Z", 1, "soon"),
            key("2026-06-01Z", 99_999_999_999, "2026-06-01"),
        ];
        for arguments in wrong {
            assert_eq!(staff.rpc("queue", arguments.clone()).await.said(), "422 VAL001", "{arguments}");
        }
        staff.does("queue", key("2026-06-01Z", 1, "2026-06-01")).await;
    });
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

/// One row of a query, which is JSON.
async fn row(client: &impl GenericClient, sql: &str) -> Value {
    serde_json::from_str(client.query_one(sql, &[]).await.unwrap().get(0)).unwrap()
}

#[test]
fn stages_are_counted_over_the_stores_own_day() {
    run(async {
        add_stores().await;
        let mut database = database(&shared().stack).await;
        // Rolled back: the store stays as empty as its tests want it.
        let transaction = database.transaction().await.unwrap();
        let cakes = [
            json!({"due": "2026-06-10", "stage": "Covering"}),
            json!({"due": "2026-06-11", "stage": "Packing", "cakes": 2, "held": "2026-06-01Z"}),
            json!({"due": "2026-06-12"}),
            json!({"stage": "Decorating"}),
            json!({"due": "2026-06-10", "cancelled": "2026-06-01Z", "held": "2026-06-01Z"}),
            // The eleventh of June in Los Angeles is from seven to seven in UTC.
            json!({"stage": "Complete", "completed": "2026-06-11T06:59:59Z"}),
            json!({"stage": "Complete", "completed": "2026-06-11T07:00:00Z"}),
            json!({"stage": "Complete", "completed": "2026-06-12T06:59:59Z"}),
            json!({"stage": "Complete", "completed": "2026-06-12T07:00:00Z"}),
            json!({"stage": "Complete", "completed": "2026-06-11T12:00:00Z", "cancelled": "2026-06-12Z"}),
        ];
        for mut cake in cakes {
            cake["store"] = QUAY.into();
            add_cakes(&transaction, cake).await;
        }
        for (at, overdue, due_today, completed_today) in [
            ("2026-06-11T06:59:59Z", 0, 1, 1),
            ("2026-06-11T07:00:00Z", 1, 2, 2),
            ("2026-06-12T06:59:59Z", 1, 2, 2),
        ] {
            let sql = format!("select to_jsonb(c)::text from ordak.stage_counts('{at}', '{{quay}}') as c");
            let expected = json!({
                "store": QUAY, "filling": 1, "covering": 1, "decorating": 1, "packing": 2, "unassigned": 5,
                "held": 2, "overdue": overdue, "due_today": due_today, "completed_today": completed_today,
                "total_open": 5,
            });
            assert_eq!(row(&transaction, &sql).await, expected, "at {at}");
        }
        transaction.rollback().await.unwrap();
    });
}

#[test]
fn a_week_is_seven_days_from_monday_with_the_first_of_each_ones_cakes() {
    run(async {
        add_stores().await;
        let staff = Person::staff("Staff", Some(ROSE)).await;
        let database = queries().await;
        // A week that no other test uses.
        let day = |cake: Value| {
            let mut cake = cake;
            cake["store"] = ROSE.into();
            cake
        };
        add_cakes(
            database,
            day(json!({"due": "2031-03-03", "stage": "Complete", "completed": "2026-06-01Z"})),
        )
        .await;
        add_cakes(database, day(json!({"due": "2031-03-03", "cancelled": "2026-06-01Z"}))).await;
        let (_, large) = add_cakes(database, day(json!({"due": "2031-03-03", "size": "Large"}))).await;
        let (_, small) = add_cakes(database, day(json!({"due": "2031-03-03", "size": "Small"}))).await;
        let (_, many) = add_cakes(database, day(json!({"due": "2031-03-09", "cakes": 60}))).await;
        add_cakes(database, day(json!({"due": "2031-03-10"}))).await;
        for first_day in ["2031-03-03", "2031-03-05", "2031-03-09"] {
            let week = staff.does("week", json!({"store": ROSE, "first_day": first_day})).await;
            let week = week.as_array().unwrap();
            assert_eq!((week.len(), &week[6]["due_date"]), (7, &json!("2031-03-09")));
            let counts =
                |day: &Value| ["total", "complete", "pending"].map(|name| day[name].as_i64().unwrap());
            assert_eq!(week.iter().map(counts).collect::<Vec<_>>()[..2], [[3, 1, 2], [0, 0, 0]]);
            assert_eq!(numbers(&week[0]["tasks"]), [small[0].as_str(), &large[0]]);
            assert_eq!((counts(&week[6]), numbers(&week[6]["tasks"])), ([60, 0, 60], many[..50].to_vec()));
        }
        let sql = "select to_jsonb(ordak.monday(ordak.local_day('Australia/Sydney', now())))::text";
        let now = staff.does("week", json!({"store": ROSE})).await;
        assert_eq!(now[0]["due_date"], row(database, sql).await);
        for first_day in ["1999-12-31", "infinity", "5000-01-01"] {
            let answer = staff.rpc("week", json!({"store": ROSE, "first_day": first_day})).await;
            assert_eq!(answer.said(), "422 VAL001", "{first_day}");
        }
    });
}

#[test]
fn figures_leave_out_what_is_cancelled_or_a_test_and_show_the_counter_apart() {
    run(async {
        add_stores().await;
        let mut database = database(&shared().stack).await;
        let transaction = database.transaction().await.unwrap();
        // Seven days up to Thursday the eleventh of June in Los Angeles, which ends at seven in UTC.
        let cakes = [
            json!({"placed": "2026-06-05T06:59:59Z", "amount": "1000"}),
            json!({"placed": "2026-06-05T07:00:00Z", "amount": "100.10", "product": "Berry Cake",
                   "due": "2026-06-08", "method": "Delivery"}),
            json!({"placed": "2026-06-12T06:59:59Z", "amount": "50.05", "product": "Apple Cake", "cakes": 3,
                   "due": "2026-06-11"}),
            json!({"placed": "2026-06-12T07:00:00Z", "amount": "1000"}),
            json!({"placed": "2026-06-10Z", "amount": "50", "product": "Berry Cake", "cakes": 2,
                   "due": "2026-06-11", "stage": "Complete", "completed": "2026-06-11Z"}),
            json!({"placed": "2026-06-10Z", "amount": "70", "pos": true, "due": "2026-06-11",
                   "method": "Delivery"}),
            json!({"placed": "2026-06-10Z", "amount": "70", "test": true, "due": "2026-06-11",
                   "method": "Delivery"}),
            json!({"placed": "2026-06-10Z", "amount": "70", "cancelled": "2026-06-11Z", "due": "2026-06-11"}),
            json!({"placed": "2026-05-01Z", "due": "2026-06-14"}),
            json!({"placed": "2026-05-01Z", "due": "2026-06-15"}),
        ];
        for mut cake in cakes {
            cake["store"] = QUAY.into();
            add_cakes(&transaction, cake).await;
        }
        let sql = "select to_jsonb(ordak.store_analytics('2026-06-12T06:59:59Z', s, 7))::text
                   from ordak.stores as s where s.code = 'quay'";
        let day =
            |day: &str, orders: i64, revenue: f64| json!({"day": day, "orders": orders, "revenue": revenue});
        let due = |day: &str, total: i64, complete: i64| {
            let pending = total - complete;
            json!({"due_date": day, "total": total, "complete": complete, "pending": pending})
        };
        let expected = json!({
            "revenue": 200.15, "orders": 3, "average_order": 66.72, "pos_revenue": 70, "pos_orders": 1,
            "by_day": [
                day("2026-06-05", 1, 100.10), day("2026-06-06", 0, 0.0), day("2026-06-07", 0, 0.0),
                day("2026-06-08", 0, 0.0), day("2026-06-09", 1, 50.0), day("2026-06-10", 0, 0.0),
                day("2026-06-11", 1, 50.05),
            ],
            "top_products": [
                {"product_title": "Apple Cake", "cakes": 3}, {"product_title": "Berry Cake", "cakes": 3},
            ],
            "pending_today": 3,
            "week": [
                due("2026-06-08", 1, 0), due("2026-06-09", 0, 0), due("2026-06-10", 0, 0),
                due("2026-06-11", 5, 2), due("2026-06-12", 0, 0), due("2026-06-13", 0, 0),
                due("2026-06-14", 1, 0),
            ],
            "delivery_percent": 25.0,
        });
        let mut figures = row(&transaction, sql).await;
        // PostgreSQL writes a whole amount without a point, which is another number to JSON.
        for total in figures["by_day"].as_array_mut().unwrap() {
            total["revenue"] = total["revenue"].as_f64().unwrap().into();
        }
        assert_eq!(figures, expected);
        transaction.rollback().await.unwrap();

        let admin = Person::staff("Admin", Some(QUAY)).await;
        let empty = admin.does("store_analytics", json!({"store": QUAY, "days": 90})).await;
        assert_eq!((&empty["revenue"], &empty["average_order"]), (&json!(0), &Value::Null));
        assert_eq!(empty["by_day"].as_array().unwrap().len(), 90, "days without an order are there too");
        for arguments in
            [json!({"store": QUAY, "days": 8}), json!({"store": QUAY, "days": null}), json!({"store": null})]
        {
            assert_eq!(
                admin.rpc("store_analytics", arguments.clone()).await.said(),
                "422 VAL001",
                "{arguments}"
            );
        }
    });
}
