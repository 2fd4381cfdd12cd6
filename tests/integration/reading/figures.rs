//! Figures: the stages' counts, the week, and a store's turnover.

use serde_json::{Value, json};
use tokio_postgres::GenericClient;

use super::{QUAY, ROSE, add_cakes, add_stores, numbers};
use crate::support::*;

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
