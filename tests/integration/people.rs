//! People: who may do what, over PostgREST with real tokens.

use serde_json::{Value, json};

use crate::support::*;

/// What a call was answered: `true` or `false` for what it changed, else its status and code.
fn outcome(answer: &Answer) -> String {
    answer.body["changed"].as_bool().map_or_else(|| answer.said(), |changed| changed.to_string())
}

#[test]
fn somebody_new_registers_waits_and_is_let_in_by_an_admin() {
    run(async {
        let (admin, person) = (Person::staff("Admin", None).await, Person::new().await);
        assert_eq!(person.rpc("me", json!({})).await.said(), "401 AUTH001");
        let register = json!({"full_name": "Ada New", "store": "bannos", "phone": "0255501234"});
        for changed in ["true", "false"] {
            let answer = person.rpc("register", register.clone()).await;
            assert_eq!(outcome(&answer), changed, "{answer:?}");
            assert_eq!(
                (&answer.body["staff"]["role"], &answer.body["staff"]["approved"]),
                (&json!("Staff"), &json!(false))
            );
        }
        assert_eq!(person.rpc("me", json!({})).await.said(), "401 AUTH001");
        for changed in ["true", "false"] {
            let answer = admin.rpc("approve_staff", json!({"staff_id": person.id})).await;
            assert_eq!(outcome(&answer), changed, "{answer:?}");
        }
        let me = person.rpc("me", json!({})).await;
        assert_eq!(
            (me.status, &me.body["staff_id"], &me.body["store"]),
            (200, &json!(person.id), &json!("bannos"))
        );
        assert_eq!(me.body["hourly_rate"], Value::Null);

        admin.rpc("set_active", json!({"staff_id": person.id, "active": false})).await;
        assert_eq!(person.rpc("me", json!({})).await.said(), "401 AUTH001", "who has left is nobody at once");
        admin.rpc("set_active", json!({"staff_id": person.id, "active": true})).await;
        assert_eq!(person.rpc("me", json!({})).await.status, 200);
    });
}

#[test]
fn what_a_person_cannot_be_is_refused_and_nothing_is_written() {
    run(async {
        let person = Person::new().await;
        let wrong = [
            json!({"full_name": ""}),
            json!({"full_name": null}),
            json!({"full_name": "x".repeat(101)}),
            json!({"full_name": "Ada", "store": "nowhere"}),
            json!({"full_name": "Ada", "phone": "1".repeat(41)}),
        ];
        for arguments in wrong {
            let answer = person.rpc("register", arguments.clone()).await;
            assert_eq!(answer.said(), "422 VAL001", "{arguments}");
        }
        let rows = format!("select count(*) from ordak.staff_shared where user_id = '{}'", person.id);
        assert_eq!(count(&database(&shared().stack).await, &rows).await, 0);
    });
}

#[test]
fn only_an_admin_changes_people() {
    run(async {
        let somebody = Person::staff("Staff", Some("bannos")).await;
        let calls = [
            ("set_role", json!({"staff_id": somebody.id, "role": "Supervisor", "store": "flourlane"})),
            ("approve_staff", json!({"staff_id": somebody.id})),
            ("set_active", json!({"staff_id": somebody.id, "active": true})),
        ];
        for role in ["Staff", "Supervisor"] {
            let caller = Person::staff(role, None).await;
            for (name, arguments) in &calls {
                assert_eq!(caller.rpc(name, arguments.clone()).await.said(), "403 AUTH002", "{role} {name}");
            }
        }
        let stranger = Person::new().await;
        let admin = Person::staff("Admin", None).await;
        for (name, arguments) in &calls {
            assert_eq!(stranger.rpc(name, arguments.clone()).await.said(), "401 AUTH001", "{name}");
            assert_eq!(admin.rpc(name, arguments.clone()).await.status, 200, "{name}");
        }
        let me = somebody.rpc("me", json!({})).await;
        assert_eq!((&me.body["role"], &me.body["store"]), (&json!("Supervisor"), &json!("flourlane")));
        for (name, arguments) in [
            ("set_role", json!({"staff_id": somebody.id, "role": "King", "store": null})),
            ("set_role", json!({"staff_id": somebody.id, "role": "Staff", "store": "nowhere"})),
            ("approve_staff", json!({"staff_id": "00000000-0000-0000-0000-000000000000"})),
            ("set_active", json!({"staff_id": somebody.id, "active": null})),
        ] {
            assert_eq!(admin.rpc(name, arguments.clone()).await.said(), "422 VAL001", "{name} {arguments}");
        }
    });
}

#[test]
fn everybody_sees_names_supervisors_contacts_and_admins_wages() {
    run(async {
        let other = Person::staff("Staff", None).await;
        let shown = async |person: &Person| {
            let list = person.rpc("list_staff", json!({})).await;
            let list = list.body.as_array().unwrap().clone();
            let row = list.iter().find(|row| row["staff_id"] == json!(other.id)).unwrap();
            ["full_name", "email", "hourly_rate"].map(|field| !row[field].is_null())
        };
        let expected =
            [("Staff", [true, false, false]), ("Supervisor", [true, true, false]), ("Admin", [true; 3])];
        for (role, fields) in expected {
            assert_eq!(shown(&Person::staff(role, None).await).await, fields, "{role}");
        }
        let [bannos, flourlane] =
            [Person::staff("Staff", Some("bannos")).await, Person::staff("Staff", Some("flourlane")).await];
        let list = bannos.rpc("list_staff", json!({})).await;
        assert!(!list.body.as_array().unwrap().iter().any(|row| row["staff_id"] == json!(flourlane.id)));
    });
}

#[test]
fn a_change_is_in_the_audit_log_and_stays_there() {
    run(async {
        let (admin, somebody) = (Person::staff("Admin", None).await, Person::staff("Staff", None).await);
        admin
            .rpc("set_role", json!({"staff_id": somebody.id, "role": "Supervisor", "store": "bannos"}))
            .await;
        let database = database(&shared().stack).await;
        let row = database
            .query_one(
                "select l.old::text, l.new::text, a.user_id::text from ordak.audit_log as l
                 join ordak.staff_shared as a on a.id = l.actor
                 where l.action = 'set_role' and l.subject = $1 || '@example.com'",
                &[&somebody.id],
            )
            .await
            .unwrap();
        let texts: [String; 3] = [row.get(0), row.get(1), row.get(2)];
        let expected =
            [r#"{"role": "Staff", "store": null}"#, r#"{"role": "Supervisor", "store": "bannos"}"#];
        assert_eq!(texts, [expected[0], expected[1], &admin.id]);
        for change in [
            "update ordak.audit_log set action = 'x'",
            "delete from ordak.audit_log",
            "truncate ordak.audit_log",
        ] {
            assert!(database.batch_execute(change).await.is_err(), "{change}");
        }
    });
}

#[test]
fn the_last_admin_stays() {
    run(async {
        let admin = Person::staff("Admin", None).await;
        let mut database = database(&shared().stack).await;
        let alone =
            "update ordak.staff_shared set is_active = false where user_id::text <> $1 and role = 'Admin'";
        for change in [r#"{"role": "Supervisor"}"#, r#"{"is_active": false}"#, r#"{"store": "bannos"}"#] {
            // In a transaction that is rolled back, for the other tests need their own Admins.
            let transaction = database.transaction().await.unwrap();
            transaction.execute(alone, &[&admin.id]).await.unwrap();
            let call = "select ordak.change_staff(s, s.user_id, 'test', $2::text::jsonb)
                        from ordak.staff_shared as s where s.user_id::text = $1";
            let error = transaction.query(call, &[&admin.id, &change]).await.expect_err(change);
            assert!(error.as_db_error().unwrap().message().contains("AUTH002"), "{change}: {error}");
            transaction.rollback().await.unwrap();
        }
    });
}

#[test]
fn an_admin_of_one_store_decides_about_its_people_alone() {
    run(async {
        let admin = Person::staff("Admin", Some("bannos")).await;
        let role = async |person: &Person, store: Option<&str>| {
            let arguments = json!({"staff_id": person.id, "role": "Supervisor", "store": store});
            outcome(&admin.rpc("set_role", arguments).await)
        };
        let own = Person::staff("Staff", Some("bannos")).await;
        assert_eq!(role(&own, None).await, "403 AUTH002", "nobody becomes more than the Admin is");
        assert_eq!(role(&own, Some("bannos")).await, "true");
        for store in [Some("flourlane"), None] {
            let other = Person::staff("Staff", store).await;
            assert_eq!(role(&other, Some("bannos")).await, "403 AUTH002", "{store:?}");
        }
    });
}

#[test]
fn an_e_mail_that_is_another_persons_does_not_register() {
    run(async {
        let person = Person::new().await;
        let database = database(&shared().stack).await;
        let insert = "insert into ordak.staff_shared (user_id, full_name, email)
                      select gen_random_uuid(), 'Old Account', email from auth.users where id::text = $1";
        database.execute(insert, &[&person.id]).await.unwrap();
        let answer = person.rpc("register", json!({"full_name": "Ada"})).await;
        assert_eq!(answer.said(), "401 AUTH001");
    });
}

/// Waits until a call waits for a lock on a table of ours.
async fn waits_for_a_lock(table: &str) {
    let database = database(&shared().stack).await;
    let sql = format!(
        "select count(*) from pg_locks where not granted and relation = 'ordak.{table}'::regclass and locktype = 'relation'"
    );
    until("a call that waits for the lock", async || (count(&database, &sql).await > 0).then_some(())).await;
}

/// The role is looked at again behind the lock: whoever waited may have lost it meanwhile.
#[test]
fn an_admin_who_is_deactivated_while_their_call_waits_changes_nobody() {
    run(async {
        let (admin, friend) = (Person::staff("Admin", None).await, Person::staff("Staff", None).await);
        let mut other = database(&shared().stack).await;
        let transaction = other.transaction().await.unwrap();
        transaction.batch_execute("lock table ordak.staff_shared in share row exclusive mode").await.unwrap();
        let leave = "update ordak.staff_shared set is_active = false where user_id::text = $1";
        transaction.execute(leave, &[&admin.id]).await.unwrap();
        let call = tokio::spawn({
            let (admin, friend) = (admin.clone(), friend.id.clone());
            async move {
                admin
                    .rpc("set_role", json!({"staff_id": friend, "role": "Admin", "store": null}))
                    .await
                    .said()
            }
        });
        waits_for_a_lock("staff_shared").await;
        transaction.commit().await.unwrap();
        assert_eq!(call.await.unwrap(), "401 AUTH001");
        assert_eq!(friend.does("me", json!({})).await["role"], "Staff");
    });
}

#[test]
fn who_leaves_is_on_shift_no_more_and_has_no_task() {
    run(async {
        let (admin, cook) =
            (Person::staff("Admin", None).await, Person::staff("Staff", Some("bannos")).await);
        let (_, tasks) = take_order(BANNOS, 2).await;
        cook.does("start_shift", json!({})).await;
        admin.does("assign_many", json!({"task_numbers": tasks, "staff_id": cook.id})).await;
        admin.does("set_active", json!({"staff_id": cook.id, "active": false})).await;
        for task in &tasks {
            let row = admin.read(&format!("tasks?task_number=eq.{task}")).await;
            assert_eq!(row.body[0]["assignee_id"], Value::Null, "{row:?}");
        }
        let open = format!(
            "select count(*) from ordak.shifts as s join ordak.staff_shared as p on p.id = s.staff
             where p.user_id::text = '{}' and s.ended_at is null",
            cook.id
        );
        assert_eq!(count(&database(&shared().stack).await, &open).await, 0);
        let assign = json!({"task_number": tasks[0], "staff_id": cook.id});
        assert_eq!(admin.rpc("assign", assign).await.said(), "422 VAL001");
    });
}

#[test]
fn a_wage_is_said_by_an_admin_alone() {
    run(async {
        let (admin, cook) = (Person::staff("Admin", None).await, Person::staff("Staff", None).await);
        let wage = |rate: Value| json!({"staff_id": cook.id, "hourly_rate": rate});
        assert_eq!(
            Person::staff("Supervisor", None).await.rpc("set_wage", wage(json!(40))).await.said(),
            "403 AUTH002"
        );
        for rate in [json!(-1), json!(1001)] {
            assert_eq!(admin.rpc("set_wage", wage(rate)).await.said(), "422 VAL001");
        }
        for changed in ["true", "false"] {
            let answer = admin.rpc("set_wage", wage(json!(41.256))).await;
            assert_eq!(outcome(&answer), changed);
            assert_eq!(answer.body["staff"]["hourly_rate"], json!(41.26));
        }
    });
}
