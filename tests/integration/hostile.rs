//! Whoever should not get in: nobody, strangers, who waits, who has left, and staff of the other store, at
//! every relation and every function that there is now or will be.

use reqwest::Method;
use serde_json::{Value, json};

use crate::catalogue::{found, tables, views};
use crate::support::*;

/// An order of one store with what only it says, and somebody who works there.
struct Target {
    order_id: String,
    tasks: Vec<String>,
    customer: String,
    cook: String,
}

impl Target {
    async fn new() -> Target {
        let (order_id, tasks) = take_order(BANNOS, 2).await;
        let customer = format!("Only {order_id}");
        let database = database(&shared().stack).await;
        let name = "update ordak.orders set customer_name = $2 where order_id = $1";
        database.execute(name, &[&order_id, &customer]).await.unwrap();
        let audit = "select ordak.audit(null, 'bannos', 'test', $1, null, null)";
        database.execute(audit, &[&order_id]).await.unwrap();
        let cook = Person::staff("Staff", Some("bannos")).await.id;
        Target { order_id, tasks, customer, cook }
    }

    /// Whether an answer says anything of them.
    fn is_in(&self, answer: &Answer) -> bool {
        let text = answer.body.to_string();
        let secrets = [&self.order_id, &self.customer, &self.cook];
        self.tasks.iter().chain(secrets).any(|secret| text.contains(secret))
    }

    /// A hash of every row that belongs to them.
    async fn hash(&self) -> String {
        let sql = "
            with o as (select * from ordak.orders where order_id = $1),
                 t as (select * from ordak.tasks where order_key in (select id from o))
            select md5(string_agg(row, '' order by row)) from (
              select o::text from o union all select t::text from t
              union all select l::text from ordak.order_lines as l where order_key in (select id from o)
              union all select s::text from ordak.stage_times as s where task in (select id from t)
              union all select e::text from ordak.stage_events as e where task in (select id from t)
              union all select a::text from ordak.audit_log as a
                        where subject in (select order_id from o union all select number from t)
              union all select s::text from ordak.staff_shared as s where user_id::text = $2
            ) as rows (row)";
        database(&shared().stack).await.query_one(sql, &[&self.order_id, &self.cook]).await.unwrap().get(0)
    }

    /// An example's arguments, turned on this order: its id, a task of it, its store and its cook, wherever
    /// the like stands.
    fn aim(&self, arguments: &Value) -> Value {
        match arguments {
            Value::Array(items) => items.iter().map(|item| self.aim(item)).collect(),
            Value::Object(fields) => {
                fields.iter().map(|(name, value)| (name.clone(), self.aim(value))).collect()
            }
            Value::String(text) => self.aim_text(text).into(),
            other => other.clone(),
        }
    }

    fn aim_text<'a>(&'a self, text: &'a str) -> &'a str {
        let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let printed = text.strip_prefix(['B', 'F']).map(|rest| rest.split('-').next().unwrap());
        match text.split_once('-') {
            Some(("bannos" | "flourlane", number)) if is_number(number) => &self.order_id,
            _ if printed.is_some_and(is_number) => &self.tasks[0],
            _ if is_uuid(text) => &self.cook,
            None if ["bannos", "flourlane"].contains(&text) => "bannos",
            _ => text,
        }
    }

    /// Whether arguments name the order or a task of it.
    fn is_named(&self, arguments: &Value) -> bool {
        let text = arguments.to_string();
        self.tasks.iter().chain([&self.order_id]).any(|name| text.contains(&format!("\"{name}\"")))
    }
}

fn is_uuid(text: &str) -> bool {
    text.split('-').map(str::len).eq([8, 4, 4, 4, 12])
}

/// Somebody who tries, by the token they have.
#[derive(Clone)]
struct Caller {
    who: &'static str,
    key: String,
    token: String,
}

impl Caller {
    fn with_key(who: &'static str, key: &str) -> Caller {
        Caller { who, key: key.to_owned(), token: key.to_owned() }
    }

    fn person(who: &'static str, person: Person) -> Caller {
        Caller { who, key: shared().stack.keys.publishable.clone(), token: person.token }
    }

    async fn ask(&self, method: &Method, schema: &str, path: &str, body: &Value) -> Answer {
        let url = format!("{}/rest/v1/{path}", shared().stack.url());
        let request =
            client().request(method.clone(), url).header("apikey", &self.key).bearer_auth(&self.token);
        let request = request.header("accept-profile", schema).header("content-profile", schema);
        Answer::to(if method == Method::GET { request } else { request.json(body) }).await
    }

    async fn call(&self, name: &str, arguments: &Value) -> Answer {
        self.ask(&Method::POST, "api", &format!("rpc/{name}"), arguments).await
    }
}

/// Those whom we do not know, or not any more; whoever has left was of the very store.
async fn unknown() -> Vec<Caller> {
    let waiting = Person::new().await;
    waiting.does("register", json!({"full_name": "Ada Waiting", "store": "bannos"})).await;
    let left = Person::staff("Admin", Some("bannos")).await;
    let leave = "update ordak.staff_shared set is_active = false where user_id::text = $1";
    database(&shared().stack).await.execute(leave, &[&left.id]).await.unwrap();
    vec![
        Caller::with_key("nobody", &shared().stack.keys.anon),
        Caller::person("a stranger", Person::new().await),
        Caller::person("who waits", waiting),
        Caller::person("who has left", left),
    ]
}

/// Staff of the other store, of every role.
async fn foreign() -> Vec<Caller> {
    let mut callers = Vec::new();
    for role in ["Staff", "Supervisor", "Admin"] {
        callers.push(Caller::person(role, Person::staff(role, Some("flourlane")).await));
    }
    callers
}

#[test]
fn nothing_can_be_written_past_the_functions() {
    run(async {
        let target = Target::new().await;
        let before = target.hash().await;
        let names = [tables().await, views().await].concat();
        let mut callers = [unknown().await, foreign().await].concat();
        callers.push(Caller::with_key("our own functions", &shared().stack.keys.service_role));
        callers.push(Caller::person("an Admin", Person::staff("Admin", None).await));
        let body = json!({"store": "flourlane"});
        for caller in &callers {
            for name in &names {
                for method in [Method::POST, Method::PATCH, Method::PUT, Method::DELETE] {
                    for schema in ["api", "ordak"] {
                        let path = format!("{name}?store=eq.bannos");
                        let answer = caller.ask(&method, schema, &path, &body).await;
                        let (who, status) = (caller.who, answer.status);
                        let refused = if schema == "ordak" { status == 406 } else { status >= 400 };
                        assert!(refused, "{who}: {method} {schema}.{path}: {answer:?}");
                        assert!(!target.is_in(&answer), "{who}: {method} {schema}.{path}: {answer:?}");
                    }
                }
            }
        }
        assert_eq!(target.hash().await, before);
    });
}

#[test]
fn nothing_of_another_store_can_be_read() {
    run(async {
        let target = Target::new().await;
        let (views, names) = (views().await, [views().await, tables().await].concat());
        // Without a filter, where an answer may hold what is the caller's own; and with one, where none may.
        let mut open = names.clone();
        let mut narrow: Vec<_> = names.iter().map(|name| format!("{name}?store=eq.bannos")).collect();
        for view in &views {
            // Whatever PostgREST can reach from a view by a foreign key of its tables.
            for other in &views {
                open.push(format!("{view}?select=*,{other}(*)"));
                narrow.push(format!("{view}?select=*,{other}!inner(*)&{other}.store=eq.bannos"));
            }
            narrow.push(format!("{view}?select=*,staff_shared(hourly_rate)"));
        }
        let known = foreign().await;
        let mut callers = [unknown().await, known.clone()].concat();
        callers.push(Caller::with_key("our own functions", &shared().stack.keys.service_role));
        for caller in callers {
            for name in &names {
                let answer = caller.ask(&Method::GET, "ordak", name, &Value::Null).await;
                assert_eq!(answer.status, 406, "{}: {name}", caller.who);
            }
            let has_own = known.iter().any(|known| known.token == caller.token);
            let paths =
                open.iter().map(|path| (path, has_own)).chain(narrow.iter().map(|path| (path, false)));
            for (path, own) in paths {
                let answer = caller.ask(&Method::GET, "api", path, &Value::Null).await;
                let nothing = answer.status >= 400 || answer.body == json!([]) || own;
                let clean = !target.is_in(&answer) && !answer.body.to_string().contains("hourly_rate\":");
                assert!(nothing && clean, "{}: {path}: {answer:?}", caller.who);
            }
        }
        // And it could have been found: whoever may read it does.
        let admin = Person::staff("Admin", Some("bannos")).await;
        for (view, column) in [("orders", "order_id"), ("tasks", "order_id"), ("audit_log", "subject")] {
            let path = format!("{view}?{column}=eq.{}", target.order_id);
            assert!(target.is_in(&admin.read(&path).await), "{path}");
        }
    });
}

#[test]
fn every_function_refuses_whom_we_do_not_know() {
    run(async {
        let target = Target::new().await;
        let before = target.hash().await;
        let calls = xtask::api::calls(&database(&shared().stack).await).await.unwrap();
        for caller in unknown().await {
            // The way in stands open to whoever has logged in.
            let refusing = calls.iter().filter(|call| call.role != "logged in" || caller.who == "nobody");
            for call in refusing {
                let answer = caller.call(&call.name, &target.aim(&call.arguments)).await;
                let expected = if call.role == "service" && caller.who != "nobody" { 403 } else { 401 };
                assert_eq!(answer.status, expected, "{}: {}: {answer:?}", caller.who, call.name);
            }
        }
        assert_eq!(target.hash().await, before);
    });
}

#[test]
fn every_function_keeps_an_order_to_its_store() {
    run(async {
        let target = Target::new().await;
        let before = target.hash().await;
        let calls = xtask::api::calls(&database(&shared().stack).await).await.unwrap();
        for caller in foreign().await {
            for call in calls.iter().filter(|call| call.role != "logged in") {
                let arguments = target.aim(&call.arguments);
                let answer = caller.call(&call.name, &arguments).await;
                let context = format!("{}: {} {arguments}: {answer:?}", caller.who, call.name);
                if target.is_named(&arguments) {
                    assert!(["403 AUTH002", "404 ORD001"].contains(&answer.said().as_str()), "{context}");
                } else if ["bannos", &target.cook].iter().any(|name| arguments.to_string().contains(name)) {
                    assert!(answer.status >= 400 || answer.body == json!([]), "{context}");
                }
                assert!(answer.status < 400 || !target.is_in(&answer), "{context}");
            }
        }
        assert_eq!(target.hash().await, before);
    });
}

#[test]
fn functions_that_are_not_of_the_api_cannot_be_called() {
    run(async {
        let sql = "select proname::text from pg_proc where pronamespace = 'ordak'::regnamespace
                   except select proname from pg_proc where pronamespace = 'api'::regnamespace";
        let names = found(sql).await;
        let callers = [
            Caller::person("an Admin", Person::staff("Admin", None).await),
            Caller::with_key("our own functions", &shared().stack.keys.service_role),
        ];
        for caller in callers {
            for name in &names {
                for (schema, expected) in [("ordak", 406), ("api", 404)] {
                    for method in [Method::GET, Method::POST] {
                        let answer = caller.ask(&method, schema, &format!("rpc/{name}"), &json!({})).await;
                        assert_eq!(answer.status, expected, "{}: {method} {schema}.{name}", caller.who);
                    }
                }
            }
        }
    });
}

/// As PostgREST would, for somebody who found a way to write the SQL themselves.
#[test]
fn staff_can_select_neither_wages_nor_contacts_nor_the_audit_log() {
    run(async {
        let person = Person::staff("Staff", Some("bannos")).await;
        let target = Target::new().await;
        let mut database = database(&shared().stack).await;
        let mut select = async |sql: &str| {
            let transaction = database.transaction().await.unwrap();
            let claims = json!({"sub": person.id, "role": "authenticated"}).to_string();
            let log_in = "select set_config('role', 'authenticated', true), set_config('request.jwt.claims', $1, true)";
            transaction.execute(log_in, &[&claims]).await.unwrap();
            let rows = transaction.query(sql, &[]).await.map(|rows| rows.len());
            rows.map_err(|error| error.as_db_error().unwrap().code().code().to_owned())
        };
        for column in ["*", "hourly_rate", "email", "phone", "role"] {
            let sql = format!("select {column} from ordak.staff_shared");
            assert_eq!(select(&sql).await, Err("42501".into()), "{sql}");
        }
        for table in ["ordak.audit_log", "api.audit_log"] {
            assert_eq!(select(&format!("select from {table}")).await, Ok(0), "{table}");
        }
        let own = format!("select from api.tasks where order_id = '{}'", target.order_id);
        assert_eq!(select(&own).await, Ok(2), "and yet they read what they work on");
    });
}
