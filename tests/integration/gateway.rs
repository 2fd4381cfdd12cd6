//! The gateway: what a client of a Supabase project meets.

use serde_json::json;

use crate::support::*;

fn url(path: &str) -> String {
    shared().stack.url() + path
}

#[test]
fn functions_answer_on_their_mount_and_on_the_public_path() {
    run(async {
        for path in ["/api/health", "/functions/v1/health"] {
            assert_eq!(Answer::get(url(path)).await.status, 200, "{path}");
        }
        for path in ["/", "/api", "/api/v1/nothing", "/functions/v1/nothing", "/functions/v1"] {
            assert_eq!(Answer::get(url(path)).await.said(), "404 VAL001", "{path}");
        }
    });
}

#[test]
fn both_styles_of_keys_open_the_database_and_no_other_does() {
    run(async {
        let keys = &shared().stack.keys;
        let ready = async |key: Option<&str>| {
            let mut request = client().post(url("/rest/v1/rpc/ready")).json(&json!({}));
            if let Some(key) = key {
                request = request.header("apikey", key);
            }
            Answer::to(request).await
        };
        for key in [&keys.service_role, &keys.secret] {
            let answer = ready(Some(key)).await;
            assert!(answer.status == 200 && answer.body.is_string(), "{answer:?}");
        }
        for key in [&keys.anon, &keys.publishable] {
            let status = ready(Some(key)).await.status;
            assert!([401, 403, 404].contains(&status), "{status}");
        }
        for key in [None, Some("sb_secret_guess")] {
            let answer = ready(key).await;
            assert_eq!((answer.status, &answer.body["code"]), (401, &json!(null)), "{answer:?}");
        }
    });
}

/// Signs a person up and in; answers with both tokens.
async fn person() -> [String; 2] {
    let credentials =
        json!({"email": format!("cook{}@example.com", number()), "password": "a long password"});
    let token = async |path: &str| {
        let request = client().post(url(path)).header("apikey", &shared().stack.keys.publishable);
        let answer = Answer::to(request.json(&credentials)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.body["access_token"].as_str().unwrap().to_owned()
    };
    [token("/auth/v1/signup").await, token("/auth/v1/token?grant_type=password").await]
}

#[test]
fn a_person_signs_up_logs_in_and_is_nobody_until_an_admin_says_otherwise() {
    run(async {
        let key = &shared().stack.keys.publishable;
        let database = database(&shared().stack).await;
        let sql = "select proname::text, proargnames from pg_proc where pronamespace = 'api'::regnamespace";
        let rpcs = database.query(sql, &[]).await.unwrap();
        assert!(rpcs.len() >= 4);
        for token in person().await {
            for rpc in &rpcs {
                let names: Option<Vec<String>> = rpc.get(1);
                let arguments: serde_json::Map<_, _> =
                    names.unwrap_or_default().into_iter().map(|name| (name, json!(null))).collect();
                let path = format!("/rest/v1/rpc/{}", rpc.get::<_, String>(0));
                let request = client().post(url(&path)).header("apikey", key).bearer_auth(&token);
                let answer = Answer::to(request.json(&arguments)).await;
                // Not granted, or refused by its own check; `register` alone is for them, with a name.
                let expected = if path.ends_with("/register") { "422 VAL001" } else { "401 AUTH001" };
                assert!([expected, "403 42501"].contains(&answer.said().as_str()), "{path}: {answer:?}");
            }
        }
    });
}

#[test]
fn browsers_of_any_origin_may_ask() {
    run(async {
        let request = client().request(reqwest::Method::OPTIONS, url("/rest/v1/rpc/ready"));
        let answer = request.header("origin", "http://localhost:5173").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 204);
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    });
}
