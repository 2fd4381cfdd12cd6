//! The request with which a hosted project's database calls the sync worker: signed in SQL, checked by the worker.

use ordak_core::route::SYNC_WORKER;
use ordak_core::signature::sign;
use serde_json::Value;
use tokio_postgres::Client;

use crate::support::*;

/// The request that the database makes: its URL, its headers and the text that pg_net sends as its body.
async fn request(client: &Client, project: &str, secrets: &str) -> (String, Value, String) {
    let sql = "select url, headers::text, body::text from ordak.worker_request($1, $2)";
    let row = client.query_one(sql, &[&project, &secrets]).await.unwrap();
    (row.get(0), serde_json::from_str(row.get(1)).unwrap(), row.get(2))
}

async fn send(url: &str, headers: &Value, body: String) -> String {
    let request = client().post(url).body(body);
    let headers = headers.as_object().unwrap().iter();
    let request =
        headers.fold(request, |request, (name, value)| request.header(name, value.as_str().unwrap()));
    Answer::to(request).await.said()
}

#[test]
fn sql_signs_as_we_do() {
    run(async {
        let client = database(&shared().stack).await;
        for secret in ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "a plain secret"] {
            let sql = "select ordak.signature($1, 'msg_1', 1614265330, '{\"a\": \"ü\"}')";
            let signed: String = client.query_one(sql, &[&secret]).await.unwrap().get(0);
            let ours = sign(secret, "msg_1", 1_614_265_330, "{\"a\": \"ü\"}".as_bytes());
            assert_eq!(Some(signed), ours);
        }
    });
}

#[test]
fn the_worker_takes_what_the_database_signs_and_nothing_else() {
    run(async {
        let stack = &shared().stack;
        let client = database(stack).await;
        let secret = &stack.keys.signing_secret;
        // During a rotation the first of the list signs.
        let (url, headers, body) =
            request(&client, &format!("{}/", stack.url()), &format!("{secret}, old")).await;
        assert_eq!(url, format!("{}/functions/v1/{}", stack.url(), SYNC_WORKER.function));
        assert_eq!(send(&url, &headers, body.replace("schedule", "kick")).await, "401 AUTH001");
        assert!(send(&url, &headers, body).await.starts_with("202"));
        let (url, headers, body) = request(&client, &stack.url(), "another").await;
        assert_eq!(send(&url, &headers, body).await, "401 AUTH001");
    });
}

#[test]
fn the_worker_takes_what_the_job_has_pg_net_send() {
    run(async {
        let stack = &shared().stack;
        let client = database(stack).await;
        // As Vault's view and pg_net's function are, by their documentation: a body is sent as the text of its jsonb.
        let sql = format!(
            "begin; create schema vault; create schema net;
             create view vault.decrypted_secrets as
             select * from (values ('ordak_project_url', '{}'), ('ordak_signing_secret', '{}'))
                           as s (name, decrypted_secret);
             create table net.sent (url text, headers text, body text, timeout int);
             create function net.http_post(url text, body jsonb default '{{}}', params jsonb default '{{}}',
                                           headers jsonb default '{{\"Content-Type\": \"application/json\"}}',
                                           timeout_milliseconds int default 5000) returns bigint language sql
             as $$ insert into net.sent values (url, headers::text, body::text, timeout_milliseconds) returning 1 $$;
             select ordak.call_sync_worker()",
            stack.url(),
            stack.keys.signing_secret
        );
        client.batch_execute(&sql).await.unwrap();
        let row = client.query_one("select * from net.sent", &[]).await.unwrap();
        client.batch_execute("rollback").await.unwrap();
        let headers: Value = serde_json::from_str(row.get("headers")).unwrap();
        // pg_net refuses another.
        assert_eq!(headers["content-type"], "application/json");
        assert_eq!(row.get::<_, i32>("timeout"), 15_000);
        assert!(send(row.get("url"), &headers, row.get("body")).await.starts_with("202"));
    });
}

#[test]
fn where_pg_cron_is_missing_setting_it_up_says_so() {
    run(async {
        let client = database(&shared().stack).await;
        let made: bool = client.query_one("select ordak.schedule_sync()", &[]).await.unwrap().get(0);
        assert!(!made, "this Postgres has no pg_cron");
    });
}

#[test]
fn without_its_secrets_the_job_says_which_are_missing() {
    run(async {
        let client = database(&shared().stack).await;
        // As Vault's own view is, which this Postgres does not have.
        let sql = "begin; create schema vault;
                   create view vault.decrypted_secrets as
                   select 'ordak_project_url'::text as name, 'http://127.0.0.1:9'::text as decrypted_secret";
        client.batch_execute(sql).await.unwrap();
        let error = client.execute("select ordak.call_sync_worker()", &[]).await.unwrap_err();
        let message = error.as_db_error().unwrap().message();
        assert!(message.ends_with("in Vault, but found ordak_project_url"), "{message}");
        client.batch_execute("rollback").await.unwrap();
    });
}
