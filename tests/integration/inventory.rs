//! `GET /api/v1/inventory`: who may ask, what for, and what is answered; every case on both hosts.

use ordak_core::route::INVENTORY;
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use xtask::stack::jwt;

use crate::support::shop::{Shop, id};
use crate::support::*;

on_both_hosts! {
    staff_are_told_what_can_be_sold
    several_skus_are_answered_in_their_order
    a_product_is_the_item_that_a_rule_names
    what_is_short_is_shown_as_none_and_never_as_less
    the_unknown_is_named_by_its_place
    what_cannot_be_asked_is_refused
    staff_of_another_store_are_refused
    nobody_gets_in_without_a_login
    a_login_that_is_over_opens_nothing
    our_own_servers_sign_their_target
    an_answer_that_is_the_same_is_not_sent_again
    what_is_no_answer_is_not_kept
    other_methods_are_refused
    keys_of_the_new_style_work
    it_says_what_is_wrong_with_its_own_environment
}

/// The store that these tests share, each with items of its own.
async fn xylo() -> &'static Shop {
    static XYLO: OnceCell<Shop> = OnceCell::const_new();
    XYLO.get_or_init(|| Shop::new("xylo", "X")).await
}

/// A SKU of no other test.
fn sku(name: &str) -> String {
    format!("{name}-{}", id())
}

fn url(host: Host, variant: Variant, query: &str) -> String {
    shared().url(host, INVENTORY.function, variant, INVENTORY.path) + "?" + query
}

fn get(host: Host, query: &str) -> reqwest::RequestBuilder {
    client().get(url(host, Variant::Plain, query))
}

/// Asks as somebody with this token.
async fn ask(host: Host, token: &str, query: &str) -> Answer {
    Answer::to(get(host, query).bearer_auth(token)).await
}

/// Asks as our own servers do, having signed this target.
async fn ask_signed(host: Host, query: &str, target: &str, seconds: i64) -> Answer {
    let secret = &shared().stack.keys.signing_secret;
    let headers = partner_headers_at(seconds, secret, &id().to_string(), target.as_bytes());
    Answer::to(headers.iter().fold(get(host, query), |request, (name, value)| request.header(*name, value)))
        .await
}

/// What an answer says of an item in numbers.
fn numbers(row: &Value) -> [Option<f64>; 4] {
    ["on_hand", "reserved", "buffer", "ats"].map(|name| row[name].as_f64())
}

async fn staff_are_told_what_can_be_sold(host: Host) {
    let (shop, sku) = (xylo().await, sku("BOX"));
    shop.item(&sku, "accessory", 12.5).await;
    shop.sell(&sku, "accessory", 3).await;
    shop.admin.does("set_buffer", json!({"sku": sku, "buffer": 2.25})).await;
    let cook = Person::staff("Staff", Some(shop.code)).await;
    let answer = ask(host, &cook.token, &format!("sku={sku}")).await;
    let expected =
        json!({"sku": sku, "store": "xylo", "on_hand": 12.5, "reserved": 3.0, "buffer": 2.25, "ats": 7});
    assert_eq!((answer.status, &answer.body), (200, &expected));
    assert_eq!(answer.header("content-type"), Some("application/json"));

    // Who works for all stores says for which, or is told what they have in common.
    for (query, store) in
        [(format!("store=xylo&sku={sku}"), json!("xylo")), (format!("sku={sku}"), json!(null))]
    {
        let answer = ask(host, &shop.admin.token, &query).await;
        assert_eq!((answer.status, &answer.body["store"]), (200, &store), "{answer:?}");
    }
}

async fn several_skus_are_answered_in_their_order(host: Host) {
    let (shop, whole, part, odd) = (xylo().await, sku("CAKE"), sku("BOARD"), sku("ODD é+&%"));
    // 0.4 of a board for each cake: two boards are five cakes.
    shop.item(&part, "component", 2.0).await;
    shop.item(&odd, "topper", 1.0).await;
    shop.product(&whole, &[(&part, 0.4, "Filling")]).await;
    let mut form = reqwest::Url::parse("http://x/").unwrap();
    form.query_pairs_mut().extend_pairs([&whole, &part, &odd, &whole].map(|sku| ("sku", sku)));
    let query = form.query().unwrap();
    let target = format!("GET inventory?{query}");
    for answer in
        [ask(host, &shop.admin.token, query).await, ask_signed(host, query, &target, seconds()).await]
    {
        let rows = answer.body.as_array().unwrap_or_else(|| panic!("{answer:?}"));
        let found: Vec<_> =
            rows.iter().map(|row| (row["sku"].as_str().unwrap(), row["ats"].as_f64())).collect();
        assert_eq!(found, [(&*whole, Some(5.0)), (&part, Some(2.0)), (&odd, Some(1.0)), (&whole, Some(5.0))]);
    }
    let query = vec![format!("sku={part}"); 100].join("&");
    assert_eq!(ask(host, &shop.admin.token, &query).await.body.as_array().map(Vec::len), Some(100));
    assert_eq!(ask(host, &shop.admin.token, &format!("{query}&sku={part}")).await.said(), "422 VAL001");
}

async fn a_product_is_the_item_that_a_rule_names(host: Host) {
    let (shop, all, own, product) = (xylo().await, sku("ALL"), sku("OWN"), id());
    for sku in [&all, &own] {
        shop.item(sku, "accessory", 1.0).await;
    }
    shop.admin.does("set_match_rule", json!({"sku": all, "product_id": product})).await;
    shop.admin.does("set_match_rule", json!({"sku": own, "product_id": product, "store": "xylo"})).await;
    for (query, sku) in [("", &all), ("&store=bannos", &all), ("&store=xylo", &own)] {
        let answer = ask(host, &shop.admin.token, &format!("product_id={product}{query}")).await;
        assert_eq!((answer.status, answer.body["sku"].as_str()), (200, Some(&**sku)), "{answer:?}");
    }
    let answer = ask(host, &shop.admin.token, &format!("product_id={}", id())).await;
    assert_eq!(answer.said(), "404 INV002");
}

async fn what_is_short_is_shown_as_none_and_never_as_less(host: Host) {
    let (shop, sku) = (xylo().await, sku("SHORT"));
    shop.item(&sku, "accessory", 1.0).await;
    shop.sell(&sku, "accessory", 3).await;
    assert_eq!(shop.stock(&sku).await, "1 3 2 -2");
    let answer = ask(host, &shop.admin.token, &format!("sku={sku}&store=xylo")).await;
    assert_eq!(numbers(&answer.body), [1.0, 3.0, 0.0, 0.0].map(Some), "{answer:?}");
}

async fn the_unknown_is_named_by_its_place(host: Host) {
    let (shop, sku) = (xylo().await, sku("KNOWN"));
    shop.item(&sku, "accessory", 1.0).await;
    let answer = ask(
        host,
        &shop.admin.token,
        &format!("sku={sku}&sku=NONE-SUCH&sku={sku}&sku={}", sku.to_lowercase()),
    )
    .await;
    assert_eq!(answer.said(), "404 INV002");
    let message = "expected SKUs of items, but found 2 of 4 that are none, in place 2, 4";
    assert_eq!(answer.body["message"], message);
    assert!(!answer.body.to_string().contains("NONE-SUCH"));
    assert_eq!(ask(host, &shop.admin.token, "sku=NONE-SUCH").await.said(), "404 INV002");
}

async fn what_cannot_be_asked_is_refused(host: Host) {
    let shop = xylo().await;
    let long = format!("sku={}", "A".repeat(101));
    let table = [
        ("", "422 VAL001"),
        ("sku=", "422 VAL001"),
        ("store=xylo", "422 VAL001"),
        ("sku=A&product_id=1", "422 VAL001"),
        ("product_id=1.5", "422 VAL001"),
        ("product_id=9223372036854775808", "422 VAL001"),
        ("sku=A&colour=red", "422 VAL001"),
        ("sku=A%00", "422 VAL001"),
        ("sku=A&store=atlantis", "422 VAL001"),
        ("sku=A&store=xylo&store=xylo", "422 VAL001"),
        (&long, "422 VAL001"),
        ("sku=%zz", "400 VAL001"),
        ("sku=%ff", "400 VAL001"),
        ("sku=%4", "400 VAL001"),
    ];
    for (query, expected) in table {
        let answer = ask(host, &shop.admin.token, query).await;
        assert_eq!(answer.said(), expected, "{query}: {answer:?}");
        let signed = ask_signed(host, query, &format!("GET inventory?{query}"), seconds()).await;
        assert_eq!(signed.said(), expected, "{query}: {signed:?}");
    }
}

async fn staff_of_another_store_are_refused(host: Host) {
    let (shop, sku) = (xylo().await, sku("THEIRS"));
    shop.item(&sku, "accessory", 1.0).await;
    let cook = Person::staff("Staff", Some("bannos")).await;
    let answer = ask(host, &cook.token, &format!("sku={sku}&store=xylo")).await;
    assert_eq!(answer.said(), "403 AUTH002");
    // An item is of no store: what is theirs is where it is sold.
    assert_eq!(ask(host, &cook.token, &format!("sku={sku}")).await.body["store"], "bannos");
    let stranger = Person::new().await;
    assert_eq!(ask(host, &stranger.token, &format!("sku={sku}")).await.said(), "401 AUTH001");
}

async fn nobody_gets_in_without_a_login(host: Host) {
    let (shop, sku) = (xylo().await, sku("SHUT"));
    shop.item(&sku, "accessory", 1.0).await;
    let query = format!("sku={sku}");
    let keys = &shared().stack.keys;
    let bearers =
        [&keys.anon, &keys.publishable, &keys.service_role, &keys.secret].map(|key| format!("Bearer {key}"));
    let others = ["", "Bearer", "Bearer ", "Bearer x", "Bearer a.b.c", "Basic YTpi", &shop.admin.token];
    for value in bearers.iter().map(String::as_str).chain(others) {
        for key in [None, Some(&keys.anon), Some(&keys.service_role)] {
            let request = get(host, &query).header("authorization", value);
            let request = key.into_iter().fold(request, |request, key| request.header("apikey", key));
            let answer = Answer::to(request).await;
            assert_eq!(answer.said(), "401 AUTH001", "{value} {key:?}");
        }
    }
    assert_eq!(Answer::to(get(host, &query)).await.said(), "401 AUTH001");
    assert_eq!(
        Answer::to(get(host, &query).header("apikey", &keys.service_role)).await.said(),
        "401 AUTH001"
    );
}

async fn a_login_that_is_over_opens_nothing(host: Host) {
    let shop = xylo().await;
    let secret = &shared().stack.keys.jwt_secret;
    for (offset, expected) in [(3600, "404 INV002"), (-3600, "401 AUTH001")] {
        let claims = json!({"sub": shop.admin.id, "role": "authenticated", "aud": "authenticated", "exp": seconds() + offset});
        let token = jwt(secret, &claims).unwrap();
        assert_eq!(ask(host, &token, "sku=NONE-SUCH").await.said(), expected);
        let forged = jwt("a guess", &claims).unwrap();
        assert_eq!(ask(host, &forged, "sku=NONE-SUCH").await.said(), "401 AUTH001");
    }
}

async fn our_own_servers_sign_their_target(host: Host) {
    let (shop, sku) = (xylo().await, sku("SIGNED"));
    shop.item(&sku, "accessory", 4.0).await;
    let query = format!("sku={sku}&store=xylo");
    let target = format!("GET inventory?{query}");
    let answer = ask_signed(host, &query, &target, seconds()).await;
    assert_eq!((answer.status, &answer.body["store"]), (200, &json!("xylo")), "{answer:?}");
    let wrong = [
        format!("POST inventory?{query}"),
        format!("GET sync?{query}"),
        format!("GET inventory?sku={sku}"),
        format!("GET inventory?store=xylo&sku={sku}"),
        format!("GET /api/v1/inventory?{query}"),
        "{}".to_owned(),
        String::new(),
    ];
    for target in &wrong {
        assert_eq!(ask_signed(host, &query, target, seconds()).await.said(), "401 AUTH001", "{target}");
    }
    for offset in [-400, 400] {
        assert_eq!(ask_signed(host, &query, &target, seconds() + offset).await.said(), "401 AUTH001");
    }
    let partner = partner_headers(&shared().stack.keys.orders_secret, "1", target.as_bytes());
    let right = partner_headers(&shared().stack.keys.signing_secret, "1", target.as_bytes());
    // A host may put its own Authorization beside a signature; and a login does not mend one that is wrong.
    for (headers, bearer, expected) in [
        (&right, &shared().stack.keys.anon, "200 "),
        (&partner, &shared().stack.keys.anon, "401 AUTH001"),
        (&partner, &shop.admin.token, "401 AUTH001"),
    ] {
        let request =
            headers.iter().fold(get(host, &query), |request, (name, value)| request.header(*name, value));
        assert_eq!(Answer::to(request.bearer_auth(bearer)).await.said(), expected);
    }
}

async fn an_answer_that_is_the_same_is_not_sent_again(host: Host) {
    let (shop, sku) = (xylo().await, sku("TAGGED"));
    shop.item(&sku, "accessory", 4.0).await;
    let query = format!("sku={sku}&store=xylo");
    let first = ask(host, &shop.admin.token, &query).await;
    let tag = first.header("etag").unwrap().to_owned();
    assert!(tag.starts_with('"') && tag.ends_with('"') && tag.len() == 34, "{tag}");
    let again = async |known: &str| {
        let request = get(host, &query).bearer_auth(&shop.admin.token).header("if-none-match", known);
        let answer = Answer::to(request).await;
        assert_eq!(answer.header("cache-control"), Some("private, no-cache"));
        (answer.status, answer.header("etag").unwrap().to_owned(), answer.body)
    };
    for known in [&*tag, &format!("\"other\", W/{tag}"), "*"] {
        assert_eq!(again(known).await, (304, tag.clone(), json!("")), "{known}");
    }
    assert_eq!(again("\"other\"").await, (200, tag.clone(), first.body));
    // Somebody who may not see it is not told that it is the same either.
    let stranger = get(host, &query).bearer_auth(&Person::new().await.token).header("if-none-match", &tag);
    assert_eq!(Answer::to(stranger).await.said(), "401 AUTH001");

    shop.admin.does("adjust_stock", json!({"sku": sku, "delta": -1, "reason": "damaged"})).await;
    let (status, newer, body) = again(&tag).await;
    assert_eq!((status, numbers(&body)[3]), (200, Some(3.0)));
    assert_ne!(newer, tag);
}

async fn what_is_no_answer_is_not_kept(host: Host) {
    let shop = xylo().await;
    for answer in [ask(host, &shop.admin.token, "sku=NONE-SUCH").await, Answer::to(get(host, "sku=A")).await]
    {
        assert_eq!(
            (answer.header("cache-control"), answer.header("etag")),
            (Some("no-store"), None),
            "{answer:?}"
        );
    }
}

async fn other_methods_are_refused(host: Host) {
    for method in ["POST", "PUT", "DELETE", "HEAD", "OPTIONS"] {
        let url = url(host, Variant::Plain, "sku=A");
        let answer = Answer::to(client().request(method.parse().unwrap(), url)).await;
        assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")), "{method}");
    }
}

async fn keys_of_the_new_style_work(host: Host) {
    let (shop, sku) = (xylo().await, sku("NEWKEY"));
    shop.item(&sku, "accessory", 4.0).await;
    let request = || client().get(url(host, Variant::NewKey, &format!("sku={sku}")));
    assert_eq!(Answer::to(request().bearer_auth(&shop.admin.token)).await.status, 200);
    let target = format!("GET inventory?sku={sku}");
    let headers = partner_headers(&shared().stack.keys.signing_secret, "1", target.as_bytes());
    let signed = headers.iter().fold(request(), |request, (name, value)| request.header(*name, value));
    assert_eq!(Answer::to(signed).await.status, 200);
    for key in [&shared().stack.keys.publishable, &shared().stack.keys.secret] {
        assert_eq!(Answer::to(request().bearer_auth(key)).await.said(), "401 AUTH001");
    }
}

async fn it_says_what_is_wrong_with_its_own_environment(host: Host) {
    let token = &xylo().await.admin.token;
    for (variant, expected) in [
        (Variant::NoSecret, "500 SYS003"),
        (Variant::WrongKey, "500 SYS003"),
        (Variant::Nowhere, "503 SYS001"),
    ] {
        let answer = Answer::to(client().get(url(host, variant, "sku=A")).bearer_auth(token)).await;
        assert_eq!(answer.said(), expected, "{variant:?}");
    }
}
