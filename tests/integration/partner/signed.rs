//! Who is believed: signatures, their time, secrets in rotation, and what is answered to all others.

use ordak_core::route::ORDERS;

use super::{cake, unique, variant};
use crate::support::*;

on_both_hosts! {
    signatures_are_read_as_standard_webhooks_has_it
    a_message_is_good_for_five_minutes_either_way
    several_secrets_are_valid_during_a_rotation
    who_may_not_is_refused_before_anything_else
    without_its_secret_the_function_answers_500
}

async fn signatures_are_read_as_standard_webhooks_has_it(host: Host) {
    let (id, secret) = (unique("msg"), shared().stack.keys.orders_secret.as_str());
    let body = serde_json::to_vec(&cake()).unwrap();
    let good = partner_headers(secret, &id, &body);
    let (timestamp, signature) = (good[1].1.as_str(), good[2].1.as_str());
    let other = &partner_headers("other", &id, &body)[2].1;
    let refused = [
        (None, Some(timestamp), Some(signature)),
        (Some(id.as_str()), None, Some(signature)),
        (Some(&id), Some(timestamp), None),
        (Some("another"), Some(timestamp), Some(signature)),
        (Some(&id), Some(timestamp), Some(other)),
        (Some(&id), Some(timestamp), Some("")),
        (Some(&id), Some(timestamp), Some(&signature[3..])),
        (Some(&id), Some(timestamp), Some(signature.trim_end_matches('='))),
        (Some(&id), Some(timestamp), Some(&*signature.replace("v1,", "v1a,"))),
        (Some(&id), Some(timestamp), Some(&*signature.replace("v1,", "v2,"))),
        // Digits that no clock shows, and none.
        (Some(&id), Some("99999999999999999999"), Some(signature)),
        (Some(&id), Some("9223372036854775807"), Some(signature)),
        (Some(&id), Some("0"), Some(signature)),
        (Some(&id), Some(&*format!("{timestamp}.0")), Some(signature)),
        (Some(&id), Some(&*format!("+{timestamp}")), Some(signature)),
        (Some(&id), Some(&*format!("-{timestamp}")), Some(signature)),
        (Some(&id), Some("0x6553f100"), Some(signature)),
        (Some(&id), Some("now"), Some(signature)),
    ];
    for (id, timestamp, signature) in refused {
        let headers =
            [("webhook-id", id), ("webhook-timestamp", timestamp), ("webhook-signature", signature)];
        let headers: Vec<_> =
            headers.into_iter().filter_map(|(name, value)| Some((name, value?.to_owned()))).collect();
        let answer = send_with(&shared().orders(host), &headers, &body).await;
        assert_eq!(answer.said(), "401 AUTH001", "{headers:?}");
    }
    // Ids that could be read in two ways, rightly signed.
    for id in ["a.b", "a b"] {
        let answer = send_with(&shared().orders(host), &partner_headers(secret, id, &body), &body).await;
        assert_eq!(answer.said(), "401 AUTH001", "{id}");
    }
    let tampered = [&body[..body.len() - 1], b" }"].concat();
    assert_eq!(send_with(&shared().orders(host), &good, &tampered).await.said(), "401 AUTH001");

    let several = format!("v1a,AAAA v2,{} {other} v1,short {signature}", &signature[3..]);
    let headers = [good[0].clone(), good[1].clone(), ("webhook-signature", several)];
    assert_eq!(
        send_with(&shared().orders(host), &headers, &body).await.said(),
        "200 created",
        "one is right"
    );
}

async fn a_message_is_good_for_five_minutes_either_way(host: Host) {
    let (secret, body) = (&shared().stack.keys.orders_secret, serde_json::to_vec(&cake()).unwrap());
    // As near to the edge as this test may be slow; the second itself is tested where the clock is an argument.
    let offsets = [(-280, "200 created"), (300, "200 created"), (-301, "401 AUTH001"), (330, "401 AUTH001")];
    for (offset, expected) in offsets {
        let headers = partner_headers_at(seconds() + offset, secret, &unique("msg"), &body);
        assert_eq!(send_with(&shared().orders(host), &headers, &body).await.said(), expected, "{offset}");
    }
    for at in [i64::MIN + 1, -1, 0, 253_402_300_800, i64::MAX] {
        let headers = partner_headers_at(at, secret, &unique("msg"), &body);
        let answer = send_with(&shared().orders(host), &headers, &body).await;
        assert_eq!(answer.said(), "401 AUTH001", "{at}");
    }
}

async fn several_secrets_are_valid_during_a_rotation(host: Host) {
    let body = serde_json::to_vec(&cake()).unwrap();
    for (secret, expected) in [
        ("whsec_b2xkIHNlY3JldA==", "200 created"),
        ("plain secret", "200 created"),
        ("b2xkIHNlY3JldA==", "401 AUTH001"),
        ("a guess", "401 AUTH001"),
    ] {
        let headers = partner_headers(secret, &unique("msg"), &body);
        let answer = send_with(&variant(host, Variant::OwnSecret), &headers, &body).await;
        assert_eq!(answer.said(), expected, "{secret}");
    }
}

/// Before the body is read as an order, and before the database is asked, which is nowhere here.
async fn who_may_not_is_refused_before_anything_else(host: Host) {
    for body in ["{", "", "{}"] {
        let forged = partner_headers("a guess", "a", body.as_bytes());
        let answer = send_with(&variant(host, Variant::Nowhere), &forged, body.as_bytes()).await;
        assert_eq!(answer.said(), "401 AUTH001", "{body}");
    }
    let empty = partner_headers(&shared().stack.keys.orders_secret, "a", b"");
    assert_eq!(
        send_with(&shared().orders(host), &empty, b"").await.said(),
        "401 AUTH001",
        "nothing, rightly signed"
    );
}

async fn without_its_secret_the_function_answers_500(host: Host) {
    let url = variant(host, Variant::NoSecret);
    let body = serde_json::to_vec(&cake()).unwrap();
    let signed = partner_headers(&shared().stack.keys.orders_secret, "a", &body);
    for answer in [send_with(&url, &signed, &body).await, Answer::get(url.clone()).await] {
        assert_eq!(answer.said(), "500 SYS003");
        assert!(!answer.body.to_string().contains("SECRET"), "{answer:?}");
    }
    let log = shared().log(host, ORDERS.function, Variant::NoSecret);
    log_line(&log, "that names the variable", |line| {
        line["detail"] == "missing or empty: ORDAK_ORDERS_SECRET"
    })
    .await;
}
