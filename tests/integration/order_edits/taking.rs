//! Orders that people take: numbers, dates, limits, what is wrong with a request, and repeats.

use futures_util::future::join_all;
use serde_json::{Value, json};

use super::{audited, day, own_store, pearl, request, text};
use crate::support::*;

fn numbers(answer: &Value) -> Vec<&str> {
    answer["tasks"].as_array().unwrap().iter().map(|task| task["task_number"].as_str().unwrap()).collect()
}

#[test]
fn a_person_takes_an_order_and_each_cake_becomes_a_task() {
    run(async {
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        let (number, due) = (format!("B{}", number()), day(3).await);
        let fields = json!({
            "number": number, "due_date": due, "delivery_method": "Delivery", "delivery_window": "10 to 12",
            "notes": "ring twice",
            "cakes": [
                {"product_title": "Vanilla Cake", "quantity": 2, "size": "Medium", "flavour": "Vanilla",
                 "cake_writing": "Happy birthday", "sku": "V-M", "product_id": 7_000_000_000_000_i64, "price": 80.5},
                {"product_title": "Lemon Cake", "quantity": 1, "size": null},
            ],
            "accessories": [{"title": "Candle", "quantity": 3, "sku": "C", "variant_title": "Gold", "price": 2}],
        });
        let answer = supervisor.does("create_manual_order", request("bannos", fields)).await;
        assert_eq!(answer["changed"], true);
        assert_eq!(numbers(&answer), ["A", "B", "C"].map(|letter| format!("{number}-{letter}")));
        let order = &answer["order"];
        let shown = [
            "source",
            "customer_name",
            "due_date",
            "delivery_method",
            "delivery_window",
            "notes",
            "currency",
        ];
        let expected = json!(["manual", "Ada", due, "Delivery", "10 to 12", "ring twice", "AUD"]);
        assert_eq!(json!(shown.map(|field| &order[field])), expected);
        assert_eq!(
            json!([order["total_amount"], order["shopify_order_gid"], order["flags"]]),
            json!([167.0, null, []])
        );
        let task = &answer["tasks"][1];
        let shown = ["product_title", "size", "flavour", "cake_writing", "stage", "due_date"];
        let expected = json!(["Vanilla Cake", "Medium", "Vanilla", "Happy birthday", "Filling", due]);
        assert_eq!(json!(shown.map(|field| &task[field])), expected);

        let order_id = order["order_id"].as_str().unwrap();
        let sql = "select string_agg(concat_ws(' ', l.kind, l.title, l.wanted, l.line_id, l.product_id, l.sku, l.price),
                                     ', ' order by l.position)
                   from ordak.order_lines as l join ordak.orders as o on o.id = l.order_key where o.order_id = $1";
        let lines = "cake Vanilla Cake 2 7000000000000 V-M 80.5, cake Lemon Cake 1 0, accessory Candle 3 C 2";
        assert_eq!(text(sql, order_id).await, lines);
        assert_eq!(audited(order_id).await, "create_manual_order", "without a copy of the order");
    });
}

#[test]
fn a_number_is_the_persons_own_or_the_stores_next() {
    run(async {
        pearl().await;
        let supervisor = Person::staff("Supervisor", Some("pearl")).await;
        let take = async |fields| supervisor.rpc("create_manual_order", request("pearl", fields)).await;
        assert_eq!(numbers(&take(json!({"number": "P25999"})).await.body), ["P25999"]);
        assert_eq!(take(json!({"number": "P25999"})).await.said(), "409 ORD005");
        take(json!({"number": "P900001"})).await;
        let next = [take(json!({})).await, take(json!({"number": null})).await];
        assert_eq!(next.map(|answer| numbers(&answer.body)[0].to_owned()), ["P900000", "P900002"]);
        for wrong in ["F1", "p1", "P0", "P01", "P1234567890", "P-1", "25999", "P1\n", "", "P1' or true --"] {
            let answer = take(json!({"number": wrong})).await;
            assert_eq!(answer.said(), "422 VAL001", "{wrong}");
            assert!(answer.body["message"].as_str().unwrap().contains("the letter P"), "{answer:?}");
        }
        let at_once = join_all((0..10).map(|_| take(json!({})))).await;
        let mut found: Vec<_> = at_once.iter().map(|answer| numbers(&answer.body)[0].to_owned()).collect();
        found.sort_unstable();
        assert_eq!(found, (3..13).map(|n| format!("P{}", 900_000 + n)).collect::<Vec<_>>());
    });
}

#[test]
fn an_order_has_at_most_five_hundred_cakes() {
    run(async {
        pearl().await;
        let supervisor = Person::staff("Supervisor", Some("pearl")).await;
        let take = async |more: u32| {
            let cake = |quantity: u32| json!({"product_title": "Cake", "quantity": quantity});
            let cakes = [cake(499), cake(more)];
            supervisor
                .rpc("create_manual_order", request("pearl", json!({"number": "P2", "cakes": cakes})))
                .await
        };
        assert_eq!(take(2).await.said(), "422 VAL001");
        let answer = take(1).await;
        let numbers = numbers(&answer.body);
        assert_eq!([numbers[0], numbers[26], numbers[499]], ["P2-A", "P2-AA", "P2-SF"]);
    });
}

#[test]
fn an_order_without_a_date_is_due_on_the_first_day_that_the_settings_allow() {
    run(async {
        let database = database(&shared().stack).await;
        let default = async |settings: Value, today: &str| {
            let usual = json!({"due_offset_days": 1, "due_allowed_days": [true, true, true, true, true, true, false],
                               "due_blackout_dates": []});
            let sql = "select ordak.default_due_date(
                         jsonb_populate_record(null::ordak.settings, $1::text::jsonb), $2::text::date)::text";
            let settings = with(usual, settings).to_string();
            database.query_one(sql, &[&settings, &today]).await.unwrap().get::<_, Option<String>>(0)
        };
        let week = |day: usize| json!((0..7).map(|d| d == day).collect::<Vec<_>>());
        let cases = [
            (json!({}), "2026-10-01", Some("2026-10-02")),
            (json!({}), "2026-10-03", Some("2026-10-05")), // a Saturday, in the night that summer time begins
            (json!({}), "2026-04-04", Some("2026-04-06")), // and the one in which it ends
            (json!({}), "2027-01-31", Some("2027-02-01")),
            (json!({}), "2028-02-28", Some("2028-02-29")),
            (json!({}), "2026-12-31", Some("2027-01-01")),
            (json!({"due_offset_days": 0}), "2026-10-01", Some("2026-10-01")),
            (json!({"due_offset_days": 0}), "2026-10-04", Some("2026-10-05")),
            (json!({"due_offset_days": 30}), "2027-01-30", Some("2027-03-01")),
            (json!({"due_blackout_dates": ["2026-12-25", "2026-12-26"]}), "2026-12-24", Some("2026-12-28")),
            (json!({"due_allowed_days": week(2)}), "2026-10-07", Some("2026-10-14")),
            (json!({"due_allowed_days": week(6)}), "2026-10-03", Some("2026-10-04")),
        ];
        for (settings, today, expected) in cases {
            assert_eq!(default(settings.clone(), today).await.as_deref(), expected, "{settings} on {today}");
        }
        let sundays: Vec<String> = database
            .query("select (date '2026-10-04' + 7 * n)::text from generate_series(0, 60) as n", &[])
            .await
            .unwrap()
            .iter()
            .map(|row| row.get(0))
            .collect();
        let never = json!({"due_allowed_days": week(6), "due_blackout_dates": sundays});
        assert_eq!(default(never, "2026-10-01").await, None);

        let due = "select ordak.due_date('flourlane', null, $1::text::timestamptz)::text";
        for (at, expected) in [
            ("2026-07-01 13:59:59Z", "2026-07-02"), // midnight in Sydney is 14:00 in winter
            ("2026-07-01 14:00:00Z", "2026-07-03"),
            ("2026-12-01 12:59:59Z", "2026-12-02"), // and 13:00 in summer
            ("2026-12-01 13:00:00Z", "2026-12-03"),
            ("2026-10-04 12:59:59Z", "2026-10-05"), // the day that summer time begins ends early
            ("2026-10-04 13:00:00Z", "2026-10-06"),
        ] {
            assert_eq!(text(due, at).await, expected, "{at}");
        }
        let named = "select ordak.due_date('flourlane', '2026-07-01', $1::text::timestamptz)::text";
        assert_eq!(text(named, "2026-07-01 13:59:59Z").await, "2026-07-01");
        let late =
            database.query_one(named, &[&"2026-07-01 14:00:00Z"]).await.expect_err("a day that is over");
        assert!(late.as_db_error().unwrap().message().contains("VAL001"));
    });
}

#[test]
fn a_request_that_is_wrong_is_told_where_and_nothing_is_written() {
    run(async {
        own_store("opal", "O").await;
        let supervisor = Person::staff("Supervisor", None).await;
        let cake = |fields| json!({"cakes": [with(json!({"product_title": "Cake", "quantity": 1}), fields)]});
        let accessory =
            |fields| json!({"accessories": [with(json!({"title": "Candle", "quantity": 1}), fields)]});
        let many = |n: usize, quantity: u32| vec![json!({"product_title": "Cake", "quantity": quantity}); n];
        let cases = [
            (json!({"store": null}), "the code of a store"),
            (json!({"store": "nowhere"}), "the code of a store"),
            (json!({"customer_name": null}), "customer_name: "),
            (json!({"customer_name": ""}), "customer_name: "),
            (json!({"customer_name": " Ada"}), "customer_name: "),
            (
                json!({"customer_name": "x".repeat(101)}),
                "customer_name: expected a text of 1 to 100 characters",
            ),
            (json!({"delivery_method": "pickup"}), "delivery_method: expected Pickup or Delivery"),
            (json!({"delivery_method": null}), "delivery_method: "),
            (json!({"delivery_window": "x".repeat(101)}), "delivery_window: "),
            (json!({"notes": "x".repeat(5001)}), "notes: "),
            (json!({"total_amount": -1}), "total_amount: "),
            (json!({"total_amount": 0.001}), "total_amount: "),
            (json!({"total_amount": "NaN"}), "total_amount: "),
            (json!({"total_amount": "Infinity"}), "total_amount: "),
            (json!({"idempotency_key": ""}), "idempotency_key: "),
            (json!({"idempotency_key": "x".repeat(256)}), "idempotency_key: "),
            (json!({"due_date": "24/12/2026"}), "due_date: expected a day as YYYY-MM-DD"),
            (json!({"due_date": "2026-02-30"}), "due_date: "),
            (json!({"due_date": "today"}), "due_date: "),
            (json!({"due_date": "infinity"}), "due_date: "),
            (json!({"due_date": day(-1).await}), "due_date: expected a day from"),
            (json!({"due_date": day(732).await}), "due_date: expected a day from"),
            (json!({"due_date": day(10).await}), "due_date: expected a day that is not blacked out"),
            (json!({"cakes": null}), "cakes: expected a list of 1 to 50"),
            (json!({"cakes": []}), "cakes: expected a list of 1 to 50, but found a list of 0"),
            (json!({"cakes": {}}), "cakes: "),
            (json!({"cakes": "cake"}), "cakes: "),
            (json!({"cakes": [7]}), "cakes[0]: expected an object, but found 7"),
            (json!({"cakes": [null]}), "cakes[0]: "),
            (json!({"cakes": many(51, 1)}), "cakes: expected a list of 1 to 50, but found a list of 51"),
            (json!({"cakes": many(2, 251)}), "cakes: expected at most 500 of them, but found 502"),
            (json!({"cakes": [{"quantity": 1}]}), "cakes[0].product_title: "),
            (json!({"cakes": [{"product_title": "Cake"}]}), "cakes[0].quantity: "),
            (cake(json!({"product_title": null})), "cakes[0].product_title: "),
            (cake(json!({"product_title": ["Cake"]})), "cakes[0].product_title: "),
            (cake(json!({"product_title": "x".repeat(256)})), "cakes[0].product_title: "),
            (
                cake(json!({"quantity": 0})),
                "cakes[0].quantity: expected a whole number of 1 to 500, but found 0",
            ),
            (cake(json!({"quantity": 501})), "cakes[0].quantity: "),
            (cake(json!({"quantity": -1})), "cakes[0].quantity: "),
            (cake(json!({"quantity": 1.5})), "cakes[0].quantity: "),
            (cake(json!({"quantity": 1.0})), "cakes[0].quantity: "),
            (cake(json!({"quantity": "1"})), "cakes[0].quantity: "),
            (cake(json!({"quantity": true})), "cakes[0].quantity: "),
            (cake(json!({"quantity": 1e300})), "cakes[0].quantity: "),
            (cake(json!({"size": 5})), "cakes[0].size: "),
            (cake(json!({"flavour": {"a": 1}})), "cakes[0].flavour: "),
            (cake(json!({"cake_writing": "x".repeat(501)})), "cakes[0].cake_writing: "),
            (cake(json!({"product_id": 9_223_372_036_854_775_808_u64})), "cakes[0].product_id: "),
            (cake(json!({"price": 0.999})), "cakes[0].price: "),
            (cake(json!({"price": "12"})), "cakes[0].price: "),
            (cake(json!({"colour": "red"})), "cakes[0].colour: expected no such field"),
            (cake(json!({"wanted": 1000, "kind": "ignored"})), "cakes[0].wanted: "),
            (json!({"accessories": null}), "accessories: "),
            (json!({"accessories": vec![json!({"title": "C", "quantity": 1}); 51]}), "accessories: "),
            (accessory(json!({"title": ""})), "accessories[0].title: "),
            (accessory(json!({"quantity": 2_147_483_648_u32})), "accessories[0].quantity: "),
            (accessory(json!({"size": "Large"})), "accessories[0].size: "),
        ];
        for (fields, expected) in cases {
            let answer = supervisor.rpc("create_manual_order", request("opal", fields.clone())).await;
            assert_eq!(answer.said(), "422 VAL001", "{fields}");
            let message = answer.body["message"].as_str().unwrap();
            assert!(message.contains(expected) && message.len() < 2000, "{fields}: {message}");
        }
        let cakes = json!([{"product_title": "Cake", "quantity": 1}, {"quantity": 0, "x": 1}]);
        let all = json!({"customer_name": "", "cakes": cakes});
        let answer = supervisor.rpc("create_manual_order", request("opal", all)).await;
        let message = answer.body["message"].as_str().unwrap().to_owned();
        let paths: Vec<_> = message.split("; ").map(|error| error.split(':').next().unwrap()).collect();
        assert_eq!(paths, ["customer_name", "cakes[1].x", "cakes[1].product_title", "cakes[1].quantity"]);
        let nul = request("opal", json!({"notes": "a\u{0}b"}));
        assert_eq!(
            supervisor.rpc("create_manual_order", nul).await.status,
            400,
            "Postgres itself refuses it"
        );

        let rows = "select (select count(*) from ordak.orders where store = 'opal')
                         + (select count(*) from ordak.tasks where store = 'opal')
                         + (select count(*) from ordak.audit_log where store = 'opal')
                         + (select next_number - 900000 from ordak.stores where code = 'opal')";
        assert_eq!(count(&database(&shared().stack).await, rows).await, 0);
    });
}

#[test]
fn a_request_under_a_key_makes_one_order_however_often_it_is_sent() {
    run(async {
        let supervisor = Person::staff("Supervisor", None).await;
        let key = format!("telephone {}", number());
        let take =
            async |store: &str, fields| supervisor.rpc("create_manual_order", request(store, fields)).await;
        let again = || take("bannos", json!({"idempotency_key": key, "notes": "twice?"}));
        let answers = join_all((0..20).map(|_| again())).await;
        let ids: Vec<_> = answers.iter().map(|answer| &answer.body["order"]["order_id"]).collect();
        assert!(ids[0].is_string() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
        assert_eq!(answers.iter().filter(|answer| answer.body["changed"] == true).count(), 1);
        let rows = format!("select count(*) from ordak.orders where idempotency_key = '{key}'");
        assert_eq!(count(&database(&shared().stack).await, &rows).await, 1);

        assert_eq!(
            take("bannos", json!({"idempotency_key": key})).await.said(),
            "409 ORD005",
            "without the note"
        );
        let other_store = take("flourlane", json!({"idempotency_key": key, "notes": "twice?"})).await;
        assert_eq!(other_store.body["changed"], true, "a key is the store's own");
        let without = [take("bannos", json!({})).await, take("bannos", json!({})).await];
        assert_ne!(without[0].body["order"]["order_id"], without[1].body["order"]["order_id"]);
    });
}
