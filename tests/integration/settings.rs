//! Settings: who may read and save which, and that nothing half-right or secret is ever saved.

use serde_json::{Value, json};

use crate::support::*;

/// Makes a store of a test's own, whose settings nobody else reads.
async fn store(code: &str, letter: &str) -> String {
    add_store(code, letter).await;
    code.to_owned()
}

fn save(store: &str, settings: &Value) -> Value {
    json!({"store": store, "settings": settings})
}

#[test]
fn staff_read_what_they_work_with_and_supervisors_all() {
    run(async {
        let hidden = [
            "due_offset_days",
            "due_allowed_days",
            "due_blackout_dates",
            "inventory_tracking",
            "open_from",
            "open_until",
        ];
        let shown = [
            "ticket_size",
            "ticket_copies",
            "flavours",
            "storage_locations",
            "monitor_density",
            "monitor_refresh",
            "shifts_enabled",
        ];
        for (role, all) in [("Staff", false), ("Supervisor", true), ("Admin", true)] {
            let person = Person::staff(role, Some("bannos")).await;
            let settings = person.does("get_settings", json!({"store": "bannos"})).await;
            assert_eq!(settings["store"], "bannos", "{role}");
            assert!(shown.iter().all(|key| !settings[key].is_null()), "{role}: {settings}");
            assert!(hidden.iter().all(|key| settings[key].is_null() != all), "{role}: {settings}");
            for (store, said) in [(json!("flourlane"), "403 AUTH002"), (Value::Null, "422 VAL001")] {
                let answer = person.rpc("get_settings", json!({"store": store})).await;
                assert_eq!(answer.said(), said, "{role} {store}");
            }
        }
        let everywhere = Person::staff("Staff", None).await;
        let answer = everywhere.rpc("get_settings", json!({"store": "nowhere"})).await;
        assert_eq!(answer.said(), "422 VAL001");
        let stranger = Person::new().await;
        assert_eq!(stranger.rpc("get_settings", json!({"store": "bannos"})).await.said(), "401 AUTH001");
    });
}

#[test]
fn flourlane_has_its_own_flavours_and_a_display_case() {
    run(async {
        let person = Person::staff("Staff", Some("flourlane")).await;
        let settings = person.does("get_settings", json!({"store": "flourlane"})).await;
        let has = |key: &str, name: &str| settings[key].as_array().unwrap().contains(&json!(name));
        assert!(has("flavours", "Matcha") && has("flavours", "Salted Caramel"), "{settings}");
        assert!(has("storage_locations", "Display Case"), "{settings}");
    });
}

#[test]
fn what_people_saved_outlives_the_next_seed() {
    run(async {
        let seed = std::fs::read_to_string(xtask::project::root().join("supabase/seed.sql")).unwrap();
        let mut database = database(&shared().stack).await;
        let transaction = database.transaction().await.unwrap();
        let saved = r#"select ordak.change_settings(null, 'flourlane', '{"flavours": ["Lemon"]}')"#;
        transaction.batch_execute(saved).await.unwrap();
        transaction.batch_execute(&seed).await.unwrap();
        let sql = "select flavours from ordak.settings where store = 'flourlane'";
        let flavours: Vec<String> = transaction.query_one(sql, &[]).await.unwrap().get(0);
        assert_eq!(flavours, ["Lemon"]);
        transaction.rollback().await.unwrap();
    });
}

#[test]
fn only_an_admin_of_the_store_saves() {
    run(async {
        let store = store("saves", "S").await;
        let arguments = save(&store, &json!({"ticket_copies": 2}));
        for role in ["Staff", "Supervisor"] {
            let own = Person::staff(role, Some(&store)).await;
            assert_eq!(own.rpc("save_settings", arguments.clone()).await.said(), "403 AUTH002", "{role}");
        }
        let other = Person::staff("Admin", Some("bannos")).await;
        assert_eq!(other.rpc("save_settings", arguments.clone()).await.said(), "403 AUTH002");
        let stranger = Person::new().await;
        assert_eq!(stranger.rpc("save_settings", arguments.clone()).await.said(), "401 AUTH001");

        let own = Person::staff("Admin", Some(&store)).await;
        for changed in [true, false] {
            let answer = own.does("save_settings", arguments.clone()).await;
            assert_eq!(
                (&answer["changed"], &answer["settings"]["ticket_copies"]),
                (&json!(changed), &json!(2))
            );
        }
        let everything = json!({
            "ticket_size": "512px", "ticket_copies": 3, "due_offset_days": 2,
            "due_allowed_days": [false, true, true, true, true, true, false],
            "due_blackout_dates": ["2026-12-25", "2026-12-26"], "flavours": ["Vanilla", "Ube"],
            "storage_locations": ["Cellar"], "monitor_density": "compact", "monitor_refresh": 15,
            "shifts_enabled": false, "open_from": "06:30:00", "open_until": "24:00:00"
        });
        let everywhere = Person::staff("Admin", None).await;
        let answer = everywhere.does("save_settings", save(&store, &everything)).await;
        for (key, value) in everything.as_object().unwrap() {
            assert_eq!(&answer["settings"][key], value, "{key}");
        }
        let read = everywhere.does("get_settings", json!({"store": store})).await;
        assert_eq!(read, answer["settings"], "what was answered is what stands there");

        let log = everywhere.read("audit_log?subject=eq.saves&order=at").await;
        let rows = log.body.as_array().unwrap();
        assert_eq!(rows.len(), 2, "a save that changes nothing is in no log");
        assert_eq!(rows[0]["old"], json!({"ticket_copies": 1}));
        assert_eq!(rows[0]["new"], json!({"ticket_copies": 2}));
        assert_eq!(rows[1]["new"], everything);
    });
}

#[test]
fn a_setting_that_cannot_be_is_refused_by_name_and_nothing_is_saved() {
    run(async {
        let admin = Person::staff("Admin", Some("bannos")).await;
        let before = admin.does("get_settings", json!({"store": "bannos"})).await;
        let long = "x y ".repeat(16) + "z";
        let wrong = [
            ("ticket_size", json!("58cm"), "512px, but found a text of 4 characters"),
            ("ticket_size", json!(80), "but found 80"),
            ("ticket_copies", json!(4), "from 1 to 3, but found 4"),
            ("ticket_copies", json!("2"), "but found a text of 1 characters"),
            ("ticket_copies", json!(1.0), "but found 1.0"),
            ("ticket_copies", Value::Null, "but found null"),
            ("due_offset_days", json!(31), "but found 31"),
            ("due_offset_days", json!(-1), "but found -1"),
            ("due_offset_days", json!(1e30), "but found 1"),
            (
                "open_from",
                json!("8:30"),
                "expected open_from to be a time such as 08:30, but found a text of 4",
            ),
            (
                "open_from",
                json!("18:00"),
                "expected open_from before open_until, but found 18:00:00 and 18:00:00",
            ),
            ("open_until", json!("24:01"), "but found a text of 5"),
            ("open_until", json!(18), "but found 18"),
            ("due_allowed_days", json!([true, true]), "but found a list of 2"),
            (
                "due_allowed_days",
                json!([false, false, false, false, false, false, false]),
                "but found a list of 7",
            ),
            ("due_allowed_days", json!([true, true, true, true, true, true, null]), "but found a list of 7"),
            (
                "due_allowed_days",
                json!([true, true, true, true, true, true, "true"]),
                "but found a list of 7",
            ),
            ("due_allowed_days", json!(vec![[true]; 7]), "but found a list of 7"),
            ("due_allowed_days", json!(true), "but found true"),
            ("due_blackout_dates", json!(["2026-02-30"]), "entry 1, which is no day"),
            ("due_blackout_dates", json!(["2026-12-25", "tomorrow"]), "entry 2, which is no day"),
            ("due_blackout_dates", json!(["2026-12-25", "2026-12-25"]), "entry 2, which stands there twice"),
            ("due_blackout_dates", json!("2026-12-25"), "but found a text of 10 characters"),
            ("due_blackout_dates", json!(vec!["2026-12-25"; 367]), "but found a list of 367"),
            ("flavours", json!([]), "but found a list of 0"),
            ("flavours", json!({}), "but found an object"),
            ("flavours", json!(["Vanilla", "vanilla"]), "entry 2, which stands there twice"),
            ("flavours", json!([" "]), "entry 1, with blanks at its ends"),
            ("flavours", json!([""]), "entry 1, a text of 0 characters"),
            ("flavours", json!(["Lemon", long]), "entry 2, a text of 65 characters"),
            ("flavours", json!(["Lemon", 7]), "entry 2, 7"),
            ("storage_locations", json!([["Cellar"]]), "entry 1, a list of 1"),
            ("storage_locations", json!((0..51).map(|n| n.to_string()).collect::<Vec<_>>()), "a list of 51"),
            ("monitor_density", json!("Cozy"), "compact or cozy, but found a text of 4 characters"),
            ("monitor_refresh", json!(45), "15, 30 or 60, but found 45"),
            ("shifts_enabled", json!("true"), "true or false, but found a text of 4 characters"),
            ("inventory_tracking", json!(true), "to be switched by start_tracking or stop_tracking"),
            ("shopify_token", json!("x"), "the name of a setting, but found shopify_token"),
            ("store", json!("flourlane"), "the name of a setting, but found store"),
            ("updated_at", json!("2026-12-25"), "the name of a setting, but found updated_at"),
        ];
        for (key, value, said) in wrong {
            // With one that is right, which must not be saved alone.
            let settings = json!({"monitor_refresh": 60, (key): value});
            let answer = admin.rpc("save_settings", save("bannos", &settings)).await;
            assert_eq!(answer.said(), "422 VAL001", "{key} {value}: {:?}", answer.body);
            let message = answer.body["message"].as_str().unwrap();
            assert!(message.contains(key) && message.contains(said), "{key} {value}: {message}");
        }
        for settings in [Value::Null, json!([]), json!("x"), json!(1)] {
            let answer = admin.rpc("save_settings", save("bannos", &settings)).await;
            assert_eq!(answer.said(), "422 VAL001", "{settings}");
        }
        let both = admin.rpc("save_settings", save("bannos", &json!({"colour": 1, "sound": 1}))).await;
        let message = both.body["message"].as_str().unwrap();
        assert!(message.contains("found colour") && message.contains("found sound"), "{message}");
        assert_eq!(admin.does("get_settings", json!({"store": "bannos"})).await, before);
    });
}

#[test]
fn no_secret_is_saved_and_none_is_repeated_in_a_message() {
    run(async {
        let admin = Person::staff("Admin", Some("bannos")).await;
        let secrets = [
            "shpat_1",
            "shpss_abc",
            "shpca_abc",
            "sb_secret_guess",
            "xoxb-12-ab",
            "eyJhbGciOi.eyJpc3M.c2ln",
            "https://hooks.slack.com/services/T0/B0/x",
            "0123456789abcdef0123456789abcdef",
            "deadbeefdeadbeefdeadbeefdeadbeef",
            "q83vEjRWeJCrze/+q83vEjRWeJCrze/+q83vEjQ=",
            "8f14e45f-ceea-467f-ab1c-c8b2a1b6e9d0",
        ];
        let mut database = database(&shared().stack).await;
        for secret in secrets {
            for settings in [
                json!({"flavours": ["Lemon", format!("see {secret}")]}),
                json!({"storage_locations": [secret]}),
                json!({"ticket_size": secret}),
                json!({(secret): true}),
            ] {
                let answer = admin.rpc("save_settings", save("bannos", &settings)).await;
                assert_eq!(answer.said(), "422 VAL001", "{settings}");
                let body = answer.body.to_string();
                assert!(body.contains("looks like a secret") && !body.contains(secret), "{settings}: {body}");
            }
            let transaction = database.transaction().await.unwrap();
            let update = "update ordak.settings set flavours = array[$1] where store = 'bannos'";
            let error = transaction.execute(update, &[&secret]).await.expect_err(secret);
            assert!(error.to_string().contains("db error"), "{error}");
            transaction.rollback().await.unwrap();
        }
        let names =
            "select value from unnest(array['Chocolate-Raspberry-Hazelnut-Praline', 'Crème Brûlée', 'No. 5',
                     'Chocolate/Vanilla/Strawberry/Lemon', 'Basement Coolroom 2']) as value
                     where ordak.looks_secret(value)";
        assert!(database.query(names, &[]).await.unwrap().is_empty(), "a name that people give is no secret");
    });
}

#[test]
fn two_who_save_at_once_both_keep_what_they_saved() {
    run(async {
        let store = store("twosaves", "T").await;
        let admin = Person::staff("Admin", Some(&store)).await;
        let one = json!({"ticket_copies": 3});
        let other = json!({"monitor_refresh": 15});
        let (one, other) = (save(&store, &one), save(&store, &other));
        tokio::join!(admin.does("save_settings", one), admin.does("save_settings", other));
        let settings = admin.does("get_settings", json!({"store": store})).await;
        assert_eq!((&settings["ticket_copies"], &settings["monitor_refresh"]), (&json!(3), &json!(15)));
    });
}
