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
            let mut request = reqwest::Client::new().post(url("/rest/v1/rpc/ready")).json(&json!({}));
            if let Some(key) = key {
                request = request.header("apikey", key);
            }
            Answer::of(request.send().await.unwrap()).await
        };
        for key in [&keys.service_role, &keys.secret] {
            let answer = ready(Some(key)).await;
            assert_eq!((answer.status, answer.body), (200, json!(true)));
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

#[test]
fn a_person_signs_up_logs_in_and_is_still_nobody_to_the_functions_rpcs() {
    run(async {
        let keys = &shared().stack.keys;
        let client = reqwest::Client::new();
        let credentials =
            json!({"email": format!("cook{}@example.com", number()), "password": "a long password"});
        for path in ["/auth/v1/signup", "/auth/v1/token?grant_type=password"] {
            let answer = client
                .post(url(path))
                .header("apikey", &keys.publishable)
                .json(&credentials)
                .send()
                .await
                .unwrap();
            let answer = Answer::of(answer).await;
            assert_eq!(answer.status, 200, "{answer:?}");
            let token = answer.body["access_token"].as_str().unwrap().to_owned();
            let request =
                client.post(url("/rest/v1/rpc/ready")).header("apikey", &keys.publishable).bearer_auth(token);
            let answer = Answer::of(request.json(&json!({})).send().await.unwrap()).await;
            assert_eq!((answer.status, answer.body["code"].as_str()), (403, Some("42501")));
        }
    });
}

#[test]
fn browsers_of_any_origin_may_ask() {
    run(async {
        let request = reqwest::Client::new().request(reqwest::Method::OPTIONS, url("/rest/v1/rpc/ready"));
        let answer = request.header("origin", "http://localhost:5173").send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 204);
        assert_eq!(answer.headers()["access-control-allow-origin"], "*");
    });
}
