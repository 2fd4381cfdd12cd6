//! Programs of others at the other end: Shopify's own library for apps, and the reference of Standard Webhooks, run by
//! Node.

use std::process::Stdio;

use serde_json::{Map, Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio::process::Command;
use xtask::stack::order::{Line, Order};
use xtask::stack::shopify::Webhook;

use crate::support::*;

on_both_hosts! {
    what_shopifys_library_signs_is_taken
    what_standard_webhooks_signs_is_taken
}

/// Runs a script of tests/compat.
async fn node(script: &str, input: Value) -> Value {
    let mut command = Command::new("node");
    command.arg(xtask::project::root().join("tests/compat").join(script));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.to_string().as_bytes()).await.unwrap();
    let output = child.wait_with_output().await.unwrap();
    assert!(output.status.success(), "{script}: {}", output.status);
    serde_json::from_slice(&output.stdout).unwrap()
}

fn object(headers: Vec<(&'static str, String)>) -> Value {
    headers.into_iter().map(|(name, value)| (name.to_owned(), value.into())).collect::<Map<_, _>>().into()
}

/// Bodies as Shopify sends them: with what is not ASCII, and escaped otherwise than we would.
fn bodies() -> [String; 3] {
    let order = |shop, line: Line| Order::new(shop, number()).lines(vec![line]).body().to_string();
    let plain = order(BANNOS, Line::new("Fudge Cake", "Large", 1));
    let unicode = order(
        FLOURLANE,
        Line::new("Crème Brûlée Cake 🎂", "Größe 6\"", 2).with("Cake writing", "お誕生日おめでとう"),
    );
    let escaped =
        order(BANNOS, Line::new("Fudge Cake", "A/B", 1)).replace('/', "\\/").replace("Cake", "\\u0043ake");
    [plain, unicode, escaped]
}

#[test]
fn shopifys_library_believes_the_deliveries_of_the_stand_in() {
    run(async {
        let secret = &shared().stack.keys.webhook_secret;
        let mut deliveries = Vec::new();
        let mut expected = Vec::new();
        for topic in ["orders/create", "orders/updated", "app/uninstalled"] {
            for body in bodies() {
                let webhook = Webhook::new(topic, BANNOS, Value::Null);
                for (secret, valid) in [(secret.as_str(), true), ("a guess", false)] {
                    let headers = webhook.headers(secret, body.as_bytes()).unwrap();
                    deliveries.push(json!({"headers": object(headers), "body": body}));
                    expected.push((valid, valid.then(|| webhook.clone())));
                }
                let headers = webhook.headers(secret, body.as_bytes()).unwrap();
                deliveries
                    .push(json!({"headers": object(headers), "body": body.replace("Cake", "cake") + " "}));
                expected.push((false, None));
            }
        }
        let answer =
            node("shopify.mjs", json!({"secret": secret, "deliveries": deliveries, "bodies": []})).await;
        let found = answer["found"].as_array().unwrap();
        assert_eq!(found.len(), expected.len());
        for (found, (valid, webhook)) in found.iter().zip(expected) {
            assert_eq!(found["valid"], valid, "{found}");
            if let Some(webhook) = webhook {
                // It calls topics as its API does.
                let topic = webhook.topic.to_uppercase().replace("/", "_");
                let read = [&found["topic"], &found["domain"], &found["webhookId"]];
                assert_eq!(read, [&*topic, &*webhook.shop_domain, &*webhook.webhook_id], "{found}");
            } else {
                assert_eq!(found["reason"], "invalid_hmac", "{found}");
            }
        }
    });
}

async fn what_shopifys_library_signs_is_taken(host: Host) {
    let (secret, bodies) = (&shared().stack.keys.webhook_secret, bodies());
    let answer = node("shopify.mjs", json!({"secret": secret, "deliveries": [], "bodies": bodies})).await;
    let signatures = answer["signatures"].as_array().unwrap();
    for ((body, signature), shop) in bodies.iter().zip(signatures).zip([BANNOS, FLOURLANE, BANNOS]) {
        let webhook = Webhook::new("orders/create", shop, Value::Null);
        let mut headers = webhook.headers("a guess", body.as_bytes()).unwrap();
        assert_eq!(
            send_with(&shared().webhooks(host), &headers, body.as_bytes()).await.said(),
            "401 AUTH001"
        );
        headers.last_mut().unwrap().1 = signature.as_str().unwrap().to_owned();
        let answer = send_with(&shared().webhooks(host), &headers, body.as_bytes()).await;
        assert_eq!(answer.said(), "200 created", "{body}");
        let tampered = body.replace("Fudge", "Budge") + " ";
        let answer = send_with(&shared().webhooks(host), &headers, tampered.as_bytes()).await;
        assert_eq!(answer.said(), "401 AUTH001");
    }
}

async fn what_standard_webhooks_signs_is_taken(host: Host) {
    let secret = &shared().stack.keys.orders_secret;
    let order = |customer: &str| {
        let products = json!([{"title": "Crème Brûlée Cake 🎂", "quantity": 1}]);
        json!({"store": "bannos", "customer_name": customer, "due_date": "2027-03-14", "products": products})
            .to_string()
    };
    let (id, other) = (format!("compat-{}", number()), format!("compat-{}", number()));
    let requests = json!([
        {"id": id, "body": order("Zoë Ångström")},
        {"id": id, "body": order("Zoë Ångström")},
        {"id": id, "body": order("Somebody Else")},
        {"id": other, "body": order("Zoë"), "tampered": order("Zoe")},
        {"id": "with.stop", "body": order("Zoë")},
        {"id": other, "body": "{}"},
        {"id": other, "body": order("Zoë")},
    ]);
    let expected = [
        "200 created",
        "200 skipped",
        "409 ORD005",
        "401 AUTH001",
        "401 AUTH001",
        "422 VAL001",
        "200 created",
    ];
    let message = |secret: &str, body: &str, sent: &str| json!({"headers": object(partner_headers(secret, "compat", body.as_bytes())), "body": sent});
    let messages = [
        message(secret, "{\"a\": \"é\"}", "{\"a\": \"é\"}"),
        message(secret, "{\"a\": \"é\"}", "{\"a\": \"e\"}"),
        message("a guess", "{}", "{}"),
    ];
    let url = shared().orders(host);
    let input = json!({"secret": secret, "url": url, "requests": requests, "messages": messages});
    let answer = node("standardwebhooks.mjs", input).await;
    let answers = answer["answers"].as_array().unwrap().iter();
    let found: Vec<_> =
        answers.map(|answer| said(answer["status"].as_u64().unwrap() as u16, &answer["body"])).collect();
    assert_eq!(found, expected);
    assert_eq!(answer["verified"], json!([true, false, false]));
}
