//! Shifts that an Admin sees and adjusts afterwards.

use serde_json::{Value, json};

use super::{Worker, outcome};
use crate::support::*;

#[test]
fn an_admin_adjusts_a_shift_and_the_log_keeps_old_new_and_note() {
    run(async {
        let worker = Worker::new().await;
        let ago = async |hours: i32| worker.ago(hours).await;
        let times = [ago(10).await, ago(2).await];
        let breaks = [ago(8).await, ago(7).await];
        let shift = worker.shift([&times[0], &times[1]], &[[&breaks[0], &breaks[1]]]).await;
        worker.shift([&ago(30).await, &ago(20).await], &[]).await;
        let adjust = async |start: i32, end: i32| json!({"shift_id": shift, "started_at": ago(start).await, "ended_at": ago(end).await, "note": "He told me"});
        let right = adjust(9, 1).await;
        for (role, store) in [("Staff", "bannos"), ("Supervisor", "bannos"), ("Admin", "flourlane")] {
            let other = Person::staff(role, Some(store)).await;
            assert_eq!(outcome(&other, "adjust_shift", right.clone()).await, "403 AUTH002", "{role} {store}");
        }
        assert_eq!(outcome(&worker.person, "adjust_shift", right.clone()).await, "403 AUTH002", "one's own");
        assert_eq!(outcome(&Person::new().await, "adjust_shift", right.clone()).await, "401 AUTH001");

        let admin = Person::staff("Admin", Some("bannos")).await;
        for (start, end, what) in [
            (1, 9, "the end before the start"),
            (9, 9, "no length"),
            (9, -1, "an end in the future"),
            (26, 1, "longer than a day"),
            (21, 1, "over another shift"),
            (31, 19, "around another shift"),
            (200, 190, "an end too long ago"),
        ] {
            let answer = outcome(&admin, "adjust_shift", adjust(start, end).await).await;
            assert_eq!(answer, "422 VAL001", "{what}");
        }
        for (key, value) in [
            ("note", json!("")),
            ("note", Value::Null),
            ("note", json!("x".repeat(501))),
            ("started_at", Value::Null),
            ("ended_at", Value::Null),
            ("started_at", json!("-infinity")),
            ("ended_at", json!("infinity")),
            ("shift_id", json!("00000000-0000-0000-0000-000000000000")),
        ] {
            let mut arguments = right.clone();
            arguments[key] = value;
            assert_eq!(outcome(&admin, "adjust_shift", arguments.clone()).await, "422 VAL001", "{arguments}");
        }
        assert_eq!(outcome(&admin, "adjust_shift", adjust(10, 2).await).await, "false", "as it is");
        assert_eq!(outcome(&admin, "adjust_shift", right.clone()).await, "true");
        assert_eq!(outcome(&admin, "adjust_shift", right.clone()).await, "false");
        let log = admin.read(&format!("audit_log?subject=eq.{shift}")).await;
        let row = &log.body[0];
        assert_eq!(row["old"], json!({"started_at": times[0], "ended_at": times[1]}));
        assert_eq!(
            row["new"],
            json!({"started_at": right["started_at"], "ended_at": right["ended_at"], "note": "He told me"})
        );
        assert_eq!((log.body.as_array().unwrap().len(), &row["actor_id"]), (1, &json!(admin.id)));

        let old = worker.shift([&ago(200).await, &ago(190).await], &[]).await;
        let mut arguments = adjust(199, 100).await;
        arguments["shift_id"] = json!(old);
        arguments["started_at"] = json!(ago(101).await);
        assert_eq!(outcome(&admin, "adjust_shift", arguments).await, "403 AUTH002", "final after seven days");
    });
}

#[test]
fn a_shift_can_be_moved_to_wholly_other_hours() {
    run(async {
        let worker = Worker::new().await;
        let admin = Person::staff("Admin", Some("bannos")).await;
        let shift = worker.shift([&worker.ago(10).await, &worker.ago(6).await], &[]).await;
        for hours in [[20, 16], [4, 1], [6, 3]] {
            let times = [worker.ago(hours[0]).await, worker.ago(hours[1]).await];
            let arguments = json!({"shift_id": shift, "started_at": times[0], "ended_at": times[1], "note": "Wrong hours"});
            let answer = admin.does("adjust_shift", arguments).await;
            assert_eq!(answer["changed"], json!(true), "{hours:?}");
            assert_eq!(
                (&answer["shift"]["started_at"], &answer["shift"]["ended_at"]),
                (&json!(times[0]), &json!(times[1]))
            );
        }
    });
}

#[test]
fn an_admin_of_the_store_sees_each_shift_of_a_person() {
    run(async {
        let worker = Worker::new().await;
        let first = ["2026-10-04T00:00+10", "2026-10-04T04:00+11"];
        let shift = worker.shift(first, &[["2026-10-04T03:10+11", "2026-10-04T03:25+11"]]).await;
        worker.shift(["2026-10-04T23:59+11", "2026-10-05T04:00+11"], &[]).await;
        worker.shift(["2026-10-05T22:00+11", ""], &[]).await;
        let arguments = |first: &str, last: &str| json!({"staff_id": worker.person.id, "first_day": first, "last_day": last});
        let one_day = arguments("2026-10-04", "2026-10-04");
        for store in [Some("bannos"), None] {
            let admin = Person::staff("Admin", store).await;
            let list = admin.does("shifts_of", one_day.clone()).await;
            let list = list.as_array().unwrap();
            assert_eq!((list.len(), &list[0]["shift_id"]), (2, &json!(shift)));
            assert_eq!(list[0]["break_minutes"].as_f64(), Some(15.0));
            let list = admin.does("shifts_of", arguments("2026-10-05", "2026-10-31")).await;
            assert_eq!(list[0]["ended_at"], "2026-10-05T23:00:00+00:00", "nobody ended it");
            let wrong = admin.rpc("shifts_of", arguments("2026-10-05", "2026-10-04")).await;
            assert_eq!(wrong.said(), "422 VAL001");
        }
        let other = Person::staff("Admin", Some("flourlane")).await;
        assert_eq!(other.does("shifts_of", one_day.clone()).await, json!([]));
        for role in ["Staff", "Supervisor"] {
            let other = Person::staff(role, Some("bannos")).await;
            assert_eq!(outcome(&other, "shifts_of", one_day.clone()).await, "403 AUTH002", "{role}");
        }
    });
}

#[test]
fn adjusting_a_shift_that_lasts_ends_it_and_its_break() {
    run(async {
        let worker = Worker::new().await;
        let (start, pause, end) = tokio::join!(worker.ago(5), worker.ago(3), worker.ago(1));
        let shift = worker.shift([&start, ""], &[[&pause, ""]]).await;
        let admin = Person::staff("Admin", None).await;
        let arguments =
            json!({"shift_id": shift, "started_at": start, "ended_at": end, "note": "Forgot to clock out"});
        let answer = admin.does("adjust_shift", arguments).await;
        assert_eq!(answer["shift"]["ended_at"], json!(end));
        assert_eq!(answer["shift"]["on_break"], json!(false));
        assert_eq!(answer["shift"]["break_minutes"].as_f64(), Some(120.0));
        assert_eq!(worker.person.does("my_shift", json!({})).await, json!([]));
    });
}

#[test]
fn adjusting_a_shift_cuts_what_lies_outside_off_its_breaks() {
    run(async {
        let worker = Worker::new().await;
        let ago = async |hours: i32| worker.ago(hours).await;
        let (early, late, open) =
            ([ago(12).await, ago(10).await], [ago(6).await, ago(5).await], [ago(2).await, String::new()]);
        let [early, late, open] = [&early, &late, &open].map(|[start, end]| [start.as_str(), end.as_str()]);
        let shift = worker.shift([&ago(13).await, ""], &[early, late, open]).await;
        let admin = Person::staff("Admin", None).await;
        let arguments = json!({"shift_id": shift, "started_at": ago(11).await, "ended_at": ago(3).await, "note": "He left at noon"});
        let answer = admin.does("adjust_shift", arguments).await;
        assert_eq!(
            answer["shift"]["break_minutes"].as_f64(),
            Some(120.0),
            "an hour of each that lies within"
        );
        let log = admin.read(&format!("audit_log?subject=eq.{shift}")).await;
        assert_eq!(log.body[0]["old"]["breaks"].as_array().unwrap().len(), 2, "{log:?}");
    });
}
