//! Shifts and breaks: who may start and end which, that two at once make one, and what is paid.
//!
//! What depends on the time is called in the database with an instant of the test's choice.

mod adjusting;
mod pay;

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
        add_store("noshifts", "U").await;
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
