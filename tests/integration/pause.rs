//! While an operator has paused writing, nothing is written and everything is read.

use std::collections::HashSet;

use serde_json::{Value, json};
use xtask::api::Call;
use xtask::stack::Stack;
use xtask::stack::order::Order;
use xtask::stack::shopify::Webhook;

use crate::support::*;

/// What goes on meanwhile: an operator's own calls, and telling people what is wrong.
const PASSING: &[&str] = &[
    "pause_writers",
    "resume_writers",
    "replay_dead_letter",
    "claim_alerts",
    "alerts_sent",
    "alerts_deferred",
];

/// Calls a function of the API as somebody.
async fn call(stack: &Stack, token: &str, name: &str, arguments: &Value) -> Answer {
    let key = if token == stack.keys.service_role { token } else { &stack.keys.publishable };
    let request = client().post(format!("{}/rest/v1/rpc/{name}", stack.url())).header("apikey", key);
    Answer::to(request.bearer_auth(token).json(arguments)).await
}

/// An Admin of all stores, on a stack of a test's own.
async fn admin(stack: &Stack) -> String {
    let request =
        client().post(format!("{}/auth/v1/signup", stack.url())).header("apikey", &stack.keys.publishable);
    let credentials = json!({"email": "operator@example.com", "password": "a long password"});
    let answer = Answer::to(request.json(&credentials)).await;
    let insert = "insert into ordak.staff_shared (user_id, full_name, email, role, approved)
                  values ($1::text::uuid, 'An Operator', 'operator@example.com', 'Admin', true)";
    database(stack).await.execute(insert, &[&answer.body["user"]["id"].as_str()]).await.unwrap();
    answer.body["access_token"].as_str().unwrap().to_owned()
}

#[test]
fn while_writing_is_paused_nothing_is_written_and_everything_is_read() {
    run(async {
        let stack = start("pause").await;
        let admin = admin(&stack).await;
        let letter = rejected(&stack).await;
        pausing_waits_for_who_is_writing(&stack, &admin).await;
        let again = call(&stack, &admin, "pause_writers", &json!({"reason": "again"})).await;
        assert_eq!(again.body, false);
        every_function_that_writes_refuses(&stack, &admin).await;

        let webhook = Webhook::new("orders/create", BANNOS, Order::new(BANNOS, number()).body());
        let send = async || said_to_shopify(&stack.shopify.send(&webhook).await.unwrap());
        assert_eq!(send().await, "503 SYS004");
        let replayed = call(&stack, &admin, "replay_dead_letter", &json!({"letter_id": letter})).await;
        assert_eq!(json!([replayed.body["changed"], replayed.body["status"]]), json!([true, "recorded"]));
        assert_eq!(call(&stack, &admin, "resume_writers", &json!({})).await.body, true);
        assert_eq!(call(&stack, &admin, "resume_writers", &json!({})).await.body, false);
        assert_eq!(send().await, "200 created");
        stack.stop().await;
    });
}

/// A dead letter whose cause is gone.
async fn rejected(stack: &Stack) -> String {
    let body = json!({"myshopify_domain": "bannos-cakes.myshopify.com"});
    let sent = stack.shopify.send(&Webhook::new("app/uninstalled", BANNOS, body)).await.unwrap();
    assert_eq!(said_to_shopify(&sent), "200 rejected");
    let database = database(stack).await;
    let sql = "update ordak.dead_letters set content = '{\"uninstalled\": {\"myshopify_domain\": \"bannos.myshopify.com\"}}'
               returning letter_id::text";
    database.query_one(sql, &[]).await.unwrap().get(0)
}

/// Once it is answered, nothing more is written: whoever was let through before has written by then.
async fn pausing_waits_for_who_is_writing(stack: &Stack, admin: &str) {
    let (watcher, mut writer) = (database(stack).await, database(stack).await);
    let writing = writer.transaction().await.unwrap();
    writing.batch_execute("select ordak.require_running()").await.unwrap();
    let write = async {
        let waits = "select count(*) from pg_locks where relation = 'ordak.pause'::regclass and not granted";
        let waiting = async || (count(&watcher, waits).await > 0).then_some(());
        until("the pause behind the writer", waiting).await;
        // Those who come now wait, and are refused.
        let ada = json!({"full_name": "Ada"});
        let late = call(stack, admin, "register", &ada);
        let commit = async {
            let waiting = async || (count(&watcher, waits).await > 1).then_some(());
            until("a writer behind the pause", waiting).await;
            writing.commit().await.unwrap();
        };
        tokio::join!(late, commit).0
    };
    let reason = json!({"reason": "restore"});
    let (paused, late) = tokio::join!(call(stack, admin, "pause_writers", &reason), write);
    assert_eq!((paused.status, &paused.body), (200, &json!(true)));
    assert_eq!(late.said(), "503 SYS004");
}

/// By the catalogue, so for those that are yet to come too.
async fn every_function_that_writes_refuses(stack: &Stack, admin: &str) {
    let database = database(stack).await;
    let sql =
        "select proname::text from pg_proc where pronamespace = 'api'::regnamespace and provolatile = 'v'";
    let writing: HashSet<String> =
        database.query(sql, &[]).await.unwrap().iter().map(|row| row.get(0)).collect();
    let calls = xtask::api::calls(&database).await.unwrap();
    assert!(writing.len() > 20 && calls.len() > writing.len() + 10, "{writing:?}");
    for Call { name, role, arguments } in calls {
        let token = if role == "service" { &stack.keys.service_role } else { admin };
        if PASSING.contains(&name.as_str()) {
            continue;
        }
        let answer = call(stack, token, &name, &arguments).await;
        if writing.contains(&name) {
            assert_eq!(answer.said(), "503 SYS004", "{name}");
            // PostgREST puts a 0 of its own beside it.
            let told: Vec<_> = answer.headers.get_all("retry-after").iter().collect();
            assert!(told.contains(&&"5".parse().unwrap()), "{name}: {told:?}");
        } else {
            assert_ne!(answer.status, 503, "{name}: {answer:?}");
            assert_ne!(answer.body["code"], "SYS004", "{name}");
        }
    }
}
