//! The queue: its pages, filters and searches, and what it cannot be asked.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio_postgres::GenericClient;

use super::{ROSE, add_cakes, add_stores, numbers, page, pages};
use crate::support::*;

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
