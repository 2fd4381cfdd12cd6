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
