//! Shifts and breaks: who may start and end which, that two at once make one, and what is paid.
//!
//! What depends on the time is called in the database with an instant of the test's choice.

use serde_json::{Value, json};
use tokio_postgres::Client;

use crate::support::*;

/// What a call was answered: what it changed, else its status and code.
async fn outcome(person: &Person, name: &str, arguments: Value) -> String {
    let answer = person.rpc(name, arguments).await;
    answer.body["changed"].as_bool().map_or_else(|| answer.said(), |changed| changed.to_string())
}

/// Somebody whose shifts a test writes down itself.
struct Worker {
    database: Client,
    person: Person,
    key: i64,
}

impl Worker {
    async fn new() -> Worker {
        let person = Person::staff("Staff", Some("bannos")).await;
        let database = database(&shared().stack).await;
        let sql = format!("select id from ordak.staff_shared where user_id = '{}'", person.id);
        let key = count(&database, &sql).await;
        Worker { database, person, key }
    }

    /// The instant so many hours before the person was made, as the database writes it.
    async fn ago(&self, hours: i32) -> String {
        let sql = "select to_jsonb(created_at - make_interval(hours => $2)) #>> '{}'
                   from ordak.staff_shared where id = $1";
        self.database.query_one(sql, &[&self.key, &hours]).await.unwrap().get(0)
    }

    /// Writes a shift down, with breaks; an end of "" is still to come.
    async fn shift(&self, times: [&str; 2], breaks: &[[&str; 2]]) -> String {
        let sql = "insert into ordak.shifts (staff, store, started_at, ended_at)
                   values ($1, 'bannos', $2::text::timestamptz, nullif($3, '')::timestamptz)
                   returning id, shift_id::text";
        let row = self.database.query_one(sql, &[&self.key, &times[0], &times[1]]).await.unwrap();
        for [start, end] in breaks {
            let sql = "insert into ordak.breaks (shift, started_at, ended_at)
                       values ($1, $2::text::timestamptz, nullif($3, '')::timestamptz)";
            self.database.execute(sql, &[&row.get::<_, i64>(0), start, end]).await.unwrap();
        }
        row.get(1)
    }

    /// Days worked, shifts, minutes of shifts, of breaks and net, and the pay, for some days as of an instant.
    async fn totals(&self, days: [&str; 2], at: &str) -> String {
        let sql = "select concat_ws(' ', t.days_worked, t.shifts, t.shift_minutes, t.break_minutes, t.net_minutes, t.pay)
                   from ordak.shift_totals('{bannos}', $1::text::date, $2::text::date, $3::text::timestamptz) as t
                   where t.staff_id = $4::text::uuid";
        let rows = self.database.query(sql, &[&days[0], &days[1], &at, &self.person.id]).await.unwrap();
        rows.first().map_or_else(String::new, |row| row.get(0))
    }

    /// Calls one of the functions behind the API for this person at an instant, and answers with the change.
    async fn at(&self, call: &str, at: &str) -> Result<Value, String> {
        let sql = format!("select to_jsonb({call})::text from ordak.staff_shared as p where p.id = $1")
            .replace("at)", "$2::text::timestamptz)");
        let row = self.database.query_one(&sql, &[&self.key, &at]).await;
        let row = row.map_err(|error| error.as_db_error().unwrap().message().to_owned())?;
        Ok(serde_json::from_str(row.get(0)).unwrap())
    }
}

const START: &str = "ordak.start_shift(p, p, 'bannos', at)";
const END: &str = "ordak.end_shift(p, p, at)";
const START_BREAK: &str = "ordak.start_break(p, p, at)";
const END_BREAK: &str = "ordak.end_break(p, p, at)";

#[test]
fn everybody_starts_and_ends_their_own_shift_and_breaks_and_repeats_change_nothing() {
    run(async {
        for role in ["Staff", "Supervisor", "Admin"] {
            let person = Person::staff(role, Some("bannos")).await;
            assert_eq!(person.does("my_shift", json!({})).await, json!([]), "{role}");
            assert_eq!(
                outcome(&person, "start_break", json!({})).await,
                "403 AUTH002",
                "{role} is not at work"
            );
            for name in ["end_shift", "end_break"] {
                let answer = person.does(name, json!({})).await;
                assert_eq!(answer, json!({"changed": false, "shift": null}), "{role} {name}");
            }
            for name in ["start_shift", "start_break", "end_break", "start_break", "end_shift"] {
                for changed in [true, false] {
                    // A break ends with its shift; without one it cannot be asked for again.
                    let answer = person.does(name, json!({})).await;
                    assert_eq!(answer["changed"], json!(changed), "{role} {name}");
                    let (shift, ended) = (&answer["shift"], name == "end_shift");
                    assert_eq!(shift["staff_id"], json!(person.id), "{role} {name}");
                    assert_eq!(shift["store"], "bannos", "{role} {name}");
                    assert_eq!(shift["ended_at"].is_null(), !ended, "{role} {name}: {shift}");
                    assert_eq!(shift["on_break"], json!(name == "start_break"), "{role} {name}: {shift}");
                    let mine = person.does("my_shift", json!({})).await;
                    assert_eq!(mine.as_array().unwrap().len(), usize::from(!ended), "{role} {name}");
                }
            }
            let sql = format!(
                "select count(*) from ordak.breaks as b join ordak.shifts as s on s.id = b.shift
                 join ordak.staff_shared as p on p.id = s.staff
                 where p.user_id = '{}' and s.ended_at >= b.ended_at",
                person.id
            );
            assert_eq!(count(&database(&shared().stack).await, &sql).await, 2, "{role}");
        }
        let stranger = Person::new().await;
        for name in ["start_shift", "end_shift", "start_break", "end_break", "my_shift", "list_shifts"] {
            assert_eq!(outcome(&stranger, name, json!({})).await, "401 AUTH001", "{name}");
        }
    });
}

#[test]
fn only_an_admin_of_their_store_acts_for_others_and_the_audit_log_says_so() {
    run(async {
        let cook = Person::staff("Staff", Some("bannos")).await;
        let arguments = json!({"staff_id": cook.id});
        let calls = ["start_shift", "start_break", "end_break", "end_shift"];
        let refused = [("Staff", Some("bannos")), ("Supervisor", None), ("Admin", Some("flourlane"))];
        for (role, store) in refused {
            let other = Person::staff(role, store).await;
            for name in calls {
                assert_eq!(outcome(&other, name, arguments.clone()).await, "403 AUTH002", "{role} {name}");
            }
        }
        let admin = Person::staff("Admin", Some("bannos")).await;
        for name in calls {
            assert_eq!(outcome(&admin, name, arguments.clone()).await, "true", "{name}");
            assert_eq!(outcome(&admin, name, arguments.clone()).await, "false", "{name}");
            let nobody = json!({"staff_id": "00000000-0000-0000-0000-000000000000"});
            assert_eq!(outcome(&admin, name, nobody).await, "422 VAL001", "{name}");
        }
        let shift = cook.does("end_shift", json!({})).await["shift"]["shift_id"].clone();
        let log = admin.read(&format!("audit_log?subject=eq.{}&order=at", shift.as_str().unwrap())).await;
        let log: Vec<_> = log.body.as_array().unwrap().iter().map(|row| row["action"].clone()).collect();
        assert_eq!(log, calls, "what was done for another, and no repeat");

        let everywhere = Person::staff("Staff", None).await;
        let arguments = json!({"staff_id": everywhere.id, "store": "bannos"});
        assert_eq!(
            outcome(&admin, "start_shift", arguments).await,
            "403 AUTH002",
            "who works for all stores"
        );
        admin.does("set_active", json!({"staff_id": cook.id, "active": false})).await;
        let arguments = json!({"staff_id": cook.id});
        assert_eq!(outcome(&admin, "start_shift", arguments).await, "422 VAL001", "who has left");
    });
}

#[test]
fn a_shift_is_in_one_store_and_who_works_for_all_names_it() {
    run(async {
        let own = Person::staff("Staff", Some("bannos")).await;
        assert_eq!(outcome(&own, "start_shift", json!({"store": "flourlane"})).await, "403 AUTH002");
        assert_eq!(outcome(&own, "start_shift", json!({"store": "bannos"})).await, "true");

        let everywhere = Person::staff("Staff", None).await;
        assert_eq!(outcome(&everywhere, "start_shift", json!({})).await, "422 VAL001");
        assert_eq!(outcome(&everywhere, "start_shift", json!({"store": "nowhere"})).await, "422 VAL001");
        assert_eq!(outcome(&everywhere, "start_shift", json!({"store": "flourlane"})).await, "true");
        assert_eq!(outcome(&everywhere, "start_shift", json!({"store": "bannos"})).await, "403 AUTH002");
        assert_eq!(outcome(&everywhere, "end_shift", json!({})).await, "true");
        assert_eq!(outcome(&everywhere, "start_shift", json!({"store": "bannos"})).await, "true");

        let admin = Person::staff("Admin", None).await;
        let elsewhere = json!({"staff_id": own.id, "store": "flourlane"});
        assert_eq!(outcome(&admin, "start_shift", elsewhere).await, "403 AUTH002");
    });
}

#[test]
fn a_store_that_keeps_no_shifts_lets_nobody_start_one_and_everybody_end_it() {
    run(async {
        let sql = "insert into ordak.stores (code, name, shop_domain, letter, time_zone)
                   values ('noshifts', 'No shifts', 'noshifts.myshopify.com', 'U', 'Australia/Sydney')";
        database(&shared().stack).await.execute(sql, &[]).await.unwrap();
        let admin = Person::staff("Admin", Some("noshifts")).await;
        let cook = Person::staff("Staff", Some("noshifts")).await;
        assert_eq!(outcome(&cook, "start_shift", json!({})).await, "true");
        let off = json!({"store": "noshifts", "settings": {"shifts_enabled": false}});
        admin.does("save_settings", off).await;
        for (name, said) in
            [("start_shift", "422 VAL001"), ("start_break", "422 VAL001"), ("end_shift", "true")]
        {
            assert_eq!(outcome(&cook, name, json!({})).await, said, "{name}");
        }
    });
}

#[test]
fn of_many_starts_at_once_one_changes_something() {
    run(async {
        let person = Person::staff("Staff", Some("bannos")).await;
        for name in ["start_shift", "start_break", "end_shift"] {
            let call = || person.does(name, json!({}));
            let answers = tokio::join!(call(), call(), call(), call(), call(), call());
            let answers: [Value; 6] = answers.into();
            let changed = answers.iter().filter(|answer| answer["changed"] == json!(true)).count();
            assert_eq!(changed, 1, "{name}: {answers:?}");
            let sql = format!(
                "select count(*) from ordak.shifts as s join ordak.staff_shared as p on p.id = s.staff
                 left join ordak.breaks as b on b.shift = s.id where p.user_id = '{}'",
                person.id
            );
            assert_eq!(count(&database(&shared().stack).await, &sql).await, 1, "{name}");
        }
    });
}

#[test]
fn a_shift_that_nobody_ended_ends_after_twelve_hours_with_its_break() {
    run(async {
        let worker = Worker::new().await;
        worker.at(START, "2026-03-02T06:00Z").await.unwrap();
        worker.at(START_BREAK, "2026-03-02T17:30Z").await.unwrap();
        let again = worker.at(START, "2026-03-02T17:59:59Z").await.unwrap();
        assert_eq!((&again["changed"], &again["shift"]["on_break"]), (&json!(false), &json!(true)));

        // Over, though nobody has written it down: nothing is left to end, and no break can start.
        for call in [END, END_BREAK] {
            let answer = worker.at(call, "2026-03-02T18:00Z").await.unwrap();
            assert_eq!(answer["changed"], json!(false), "{call}");
            assert_eq!(answer["shift"]["ended_at"], "2026-03-02T18:00:00+00:00", "{call}");
            assert_eq!(answer["shift"]["on_break"], json!(false), "{call}");
            assert_eq!(answer["shift"]["break_minutes"].as_f64(), Some(30.0), "{call}");
        }
        assert!(worker.at(START_BREAK, "2026-03-02T18:00Z").await.unwrap_err().contains("AUTH002"));
        assert_eq!(
            worker.totals(["2026-03-02", "2026-03-02"], "2026-03-09Z").await,
            "1 1 720.00 30.00 690.00 345.00"
        );

        let next = worker.at(START, "2026-03-03T06:00Z").await.unwrap();
        assert_eq!(next["changed"], json!(true));
        let sql = format!(
            "select count(*) from ordak.shifts as s join ordak.breaks as b on b.shift = s.id
             where s.staff = {} and s.ended_at = '2026-03-02T18:00Z' and b.ended_at = s.ended_at",
            worker.key
        );
        assert_eq!(count(&worker.database, &sql).await, 1, "written down when the next one starts");
        let mine = worker.person.does("my_shift", json!({})).await;
        assert_eq!(mine, json!([]), "that one is over by now as well");
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        let list = supervisor.does("list_shifts", json!({})).await;
        assert!(!list.as_array().unwrap().iter().any(|row| row["staff_id"] == json!(worker.person.id)));
    });
}

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
fn who_is_on_shift_is_shown_to_supervisors_of_the_store() {
    run(async {
        let cooks =
            [Person::staff("Staff", Some("bannos")).await, Person::staff("Staff", Some("flourlane")).await];
        for cook in &cooks {
            cook.does("start_shift", json!({})).await;
        }
        let seen = async |person: &Person, store: Value| {
            let list = person.does("list_shifts", json!({"store": store})).await;
            let rows = list.as_array().unwrap().clone();
            cooks.each_ref().map(|cook| rows.iter().any(|row| row["staff_id"] == json!(cook.id)))
        };
        for role in ["Supervisor", "Admin"] {
            let (own, everywhere) =
                (Person::staff(role, Some("bannos")).await, Person::staff(role, None).await);
            assert_eq!(seen(&own, Value::Null).await, [true, false], "{role}");
            assert_eq!(seen(&own, json!("bannos")).await, [true, false], "{role}");
            assert_eq!(
                outcome(&own, "list_shifts", json!({"store": "flourlane"})).await,
                "403 AUTH002",
                "{role}"
            );
            assert_eq!(seen(&everywhere, Value::Null).await, [true, true], "{role}");
            assert_eq!(seen(&everywhere, json!("flourlane")).await, [false, true], "{role}");
            assert_eq!(outcome(&everywhere, "list_shifts", json!({"store": "nowhere"})).await, "422 VAL001");
        }
        assert_eq!(outcome(&cooks[0], "list_shifts", json!({})).await, "403 AUTH002");
        cooks[0].does("end_shift", json!({})).await;
        let supervisor = Person::staff("Supervisor", Some("bannos")).await;
        assert_eq!(seen(&supervisor, Value::Null).await, [false, false]);
    });
}

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
