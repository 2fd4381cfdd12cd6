//! What is paid: hours, breaks and days, and who is shown the pay.

use serde_json::{Value, json};

use super::{Worker, outcome};
use crate::support::*;

#[test]
fn a_shift_counts_once_however_many_breaks_it_has() {
    run(async {
        let worker = Worker::new().await;
        let breaks = [
            ["2026-05-06T02:00Z", "2026-05-06T02:10Z"],
            ["2026-05-06T03:00Z", "2026-05-06T03:10Z"],
            ["2026-05-06T04:00Z", "2026-05-06T04:10Z"],
        ];
        worker.shift(["2026-05-04T00:00Z", "2026-05-04T08:00Z"], &[]).await;
        worker
            .shift(["2026-05-05T00:00Z", "2026-05-05T08:00Z"], &[["2026-05-05T02:00Z", "2026-05-05T02:30Z"]])
            .await;
        worker.shift(["2026-05-06T00:00Z", "2026-05-06T08:00Z"], &breaks).await;
        let at = "2026-05-20T00:00Z";
        for (days, expected) in [
            (["2026-05-04", "2026-05-04"], "1 1 480.00 0.00 480.00 240.00"),
            (["2026-05-05", "2026-05-05"], "1 1 480.00 30.00 450.00 225.00"),
            (["2026-05-06", "2026-05-06"], "1 1 480.00 30.00 450.00 225.00"),
            (["2026-05-01", "2026-05-31"], "3 3 1440.00 60.00 1380.00 690.00"),
            (["2026-05-07", "2026-05-31"], ""),
        ] {
            assert_eq!(worker.totals(days, at).await, expected, "{days:?}");
        }
    });
}

#[test]
fn what_lasts_counts_up_to_now() {
    run(async {
        let worker = Worker::new().await;
        worker.shift(["2026-05-04T00:00Z", ""], &[["2026-05-04T02:00Z", ""]]).await;
        let days = ["2026-05-04", "2026-05-04"];
        for (at, expected) in [
            ("2026-05-03T23:00Z", ""),
            ("2026-05-04T01:00Z", "1 1 60.00 0.00 60.00 30.00"),
            ("2026-05-04T02:30Z", "1 1 150.00 30.00 120.00 60.00"),
            ("2026-05-05T02:30Z", "1 1 720.00 120.00 600.00 300.00"),
        ] {
            assert_eq!(worker.totals(days, at).await, expected, "{at}");
        }
    });
}

#[test]
fn a_shift_belongs_to_the_day_on_which_it_began_in_sydney() {
    run(async {
        let worker = Worker::new().await;
        let at = "2026-12-31T00:00Z";
        // Two shifts of one day: one begins at its first minute, one at its last and lasts into the next day.
        worker.shift(["2026-06-10T00:00+10", "2026-06-10T04:00+10"], &[]).await;
        worker.shift(["2026-06-10T23:59+10", "2026-06-11T03:59+10"], &[]).await;
        assert_eq!(worker.totals(["2026-06-10", "2026-06-10"], at).await, "1 2 480.00 0.00 480.00 240.00");
        assert_eq!(worker.totals(["2026-06-09", "2026-06-09"], at).await, "");
        assert_eq!(worker.totals(["2026-06-11", "2026-06-11"], at).await, "");
        // The night in which clocks go back has an hour more: 22:00 to 06:00 are nine hours.
        worker
            .shift(
                ["2026-04-04T22:00+11", "2026-04-05T06:00+10"],
                &[["2026-04-05T02:30+11", "2026-04-05T02:30+10"]],
            )
            .await;
        assert_eq!(worker.totals(["2026-04-04", "2026-04-04"], at).await, "1 1 540.00 60.00 480.00 240.00");
        assert_eq!(worker.totals(["2026-04-05", "2026-04-05"], at).await, "");
        // The last minute of that day, which is 25 hours long, and the first one of the next.
        worker.shift(["2026-04-05T23:59+10", "2026-04-06T00:00+10"], &[]).await;
        worker.shift(["2026-04-06T00:00+10", "2026-04-06T00:01+10"], &[]).await;
        assert_eq!(worker.totals(["2026-04-05", "2026-04-05"], at).await, "1 1 1.00 0.00 1.00 0.50");
        // The night in which clocks go forward has an hour less: seven.
        worker.shift(["2026-10-03T22:00+10", "2026-10-04T06:00+11"], &[]).await;
        assert_eq!(worker.totals(["2026-10-03", "2026-10-03"], at).await, "1 1 420.00 0.00 420.00 210.00");
        worker.shift(["2026-10-04T23:59+11", "2026-10-05T00:00+11"], &[]).await;
        assert_eq!(worker.totals(["2026-10-04", "2026-10-04"], at).await, "1 1 1.00 0.00 1.00 0.50");
    });
}

#[test]
fn pay_is_shown_to_admins_of_the_store_alone() {
    run(async {
        let worker = Worker::new().await;
        worker.shift(["2026-07-01T00:00+10", "2026-07-01T08:00+10"], &[]).await;
        let days = json!({"first_day": "2026-07-01", "last_day": "2026-07-01"});
        let with = |key: &str, value: Value| {
            let mut arguments = days.clone();
            arguments[key] = value;
            arguments
        };
        for role in ["Staff", "Supervisor"] {
            let other = Person::staff(role, None).await;
            assert_eq!(outcome(&other, "shift_totals", days.clone()).await, "403 AUTH002", "{role}");
        }
        let mine = |list: Value| -> Option<Value> {
            list.as_array().unwrap().iter().find(|row| row["staff_id"] == json!(worker.person.id)).cloned()
        };
        for (store, asked) in [(Some("bannos"), Value::Null), (None, Value::Null), (None, json!("bannos"))] {
            let admin = Person::staff("Admin", store).await;
            let row = mine(admin.does("shift_totals", with("store", asked)).await).unwrap();
            assert_eq!((&row["days_worked"], &row["shifts"]), (&json!(1), &json!(1)));
            assert_eq!((row["hourly_rate"].as_f64(), row["pay"].as_f64()), (Some(30.0), Some(240.0)));
        }
        let other = Person::staff("Admin", Some("flourlane")).await;
        assert_eq!(mine(other.does("shift_totals", days.clone()).await), None);
        assert_eq!(outcome(&other, "shift_totals", with("store", json!("bannos"))).await, "403 AUTH002");
        for arguments in [
            with("last_day", json!("2026-06-30")),
            with("last_day", json!("2027-07-02")),
            with("first_day", Value::Null),
            with("last_day", json!("infinity")),
            with("first_day", json!("0001-01-01")),
            with("store", json!("nowhere")),
        ] {
            let admin = Person::staff("Admin", None).await;
            assert_eq!(outcome(&admin, "shift_totals", arguments.clone()).await, "422 VAL001", "{arguments}");
        }
        let sql = format!("update ordak.staff_shared set hourly_rate = null where id = {}", worker.key);
        worker.database.execute(&sql, &[]).await.unwrap();
        let row = mine(
            Person::staff("Admin", None)
                .await
                .does("shift_totals", with("last_day", json!("2027-07-01")))
                .await,
        )
        .unwrap();
        assert_eq!(
            (&row["pay"], row["net_minutes"].as_f64()),
            (&Value::Null, Some(480.0)),
            "no rate, no pay"
        );
    });
}
