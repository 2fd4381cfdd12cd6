//! Requests that nobody sends in good faith, to both functions that take orders, on both hosts: each is answered as
//! its table says, the function lives on, and no log says what was in them.

mod logs;

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use xtask::stack::order::{Line, Order};

use crate::support::*;

on_both_hosts! {
    header_names_of_any_case_are_read_and_doubled_ones_are_not_believed
    odd_bodies_of_shopifys_are_taken_or_kept
    odd_bodies_of_partners_are_taken_or_refused
    a_body_of_two_megabytes_is_taken_and_one_byte_more_is_not
    a_bomb_is_not_inflated
    sql_and_html_stay_text
    the_ends_of_time_are_taken_or_refused
}

const LIMIT: usize = 2 * 1024 * 1024;

type Headers = Vec<(String, String)>;

/// Sends an order's body as Shopify would.
async fn as_shopify(host: Host, body: &[u8]) -> Answer {
    let webhook = create(&Order::new(BANNOS, 1));
    send_raw(&shared().webhooks(host), &webhook, body).await
}

/// Sends an order's body as a partner would.
async fn as_partner(host: Host, body: &[u8]) -> Answer {
    let id = format!("hostile-{}", number());
    let headers = partner_headers(&shared().stack.keys.orders_secret, &id, body);
    send_with(&shared().orders(host), &headers, body).await
}

/// Shopify's body of a new order, with JSON that is written as it is given in the place of a field's.
fn shopify_body(field: &str, raw: &str) -> Vec<u8> {
    replaced(Order::new(BANNOS, number()).body(), field, raw)
}

/// A partner's body of a new order, the same way.
fn partner_body(field: &str, raw: &str) -> Vec<u8> {
    let order = json!({
        "store": "bannos", "customer_name": "Mia Sample", "due_date": "2027-03-14",
        "products": [{"title": "Vanilla Bliss Cake", "quantity": 1}],
    });
    replaced(order, field, raw)
}

fn replaced(mut body: Value, field: &str, raw: &str) -> Vec<u8> {
    body[field] = "<here>".into();
    body.to_string().replace("\"<here>\"", raw).into_bytes()
}

/// A function that has crashed, or is still busy, would not answer so; nor would health.
async fn lives(host: Host) {
    for url in [shared().webhooks(host), shared().orders(host)] {
        assert_eq!(Answer::get(url).await.said(), "405 VAL001");
    }
    assert_eq!(Answer::get(shared().health(host)).await.status, 200);
}

/// Sends each body with its function, and compares the answers.
async fn answers(
    host: Host,
    send: impl AsyncFn(Host, &[u8]) -> Answer,
    cases: impl IntoIterator<Item = (&str, Vec<u8>, &str)>,
) {
    let mut wrong = Vec::new();
    for (what, body, expected) in cases {
        let answer = send(host, &body).await;
        if answer.said() != expected {
            wrong.push(format!("{what}: expected {expected}, found {answer:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    lives(host).await;
}

/// Sends a request as it stands here, names in any case and twice, with a body of which the last bytes may be missing.
async fn raw(url: &str, headers: &[(String, String)], length: usize, body: &[u8]) -> String {
    let (address, path) = url.trim_start_matches("http://").split_once('/').unwrap();
    let mut head = format!("POST /{path} HTTP/1.1\r\nHost: {address}\r\n");
    for (name, value) in headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("Content-Length: {length}\r\n\r\n");
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(&[head.as_bytes(), body].concat()).await.unwrap();
    let mut answer = Vec::new();
    loop {
        let read = stream.read_buf(&mut answer).await.unwrap();
        let text = String::from_utf8_lossy(&answer);
        let json = text.split_once("\r\n\r\n").and_then(|(_, body)| serde_json::from_str::<Value>(body).ok());
        if let Some(body) = json {
            return said(text.split(' ').nth(1).unwrap().parse().unwrap(), &body);
        }
        assert!(read > 0, "the connection closed after {text:?}");
    }
}

async fn header_names_of_any_case_are_read_and_doubled_ones_are_not_believed(host: Host) {
    let keys = &shared().stack.keys;
    let shopify = async |change: &dyn Fn(&mut Headers)| {
        let webhook = create(&Order::new(BANNOS, number()));
        let body = serde_json::to_vec(&webhook.body).unwrap();
        let mut headers = owned(webhook.headers(&keys.webhook_secret, &body).unwrap());
        change(&mut headers);
        raw(&shared().webhooks(host), &headers, body.len(), &body).await
    };
    let partner = async |change: &dyn Fn(&mut Headers)| {
        let body = partner_body("notes", "null");
        let id = format!("twice-{}", number());
        let mut headers = owned(partner_headers(&keys.orders_secret, &id, &body));
        change(&mut headers);
        raw(&shared().orders(host), &headers, body.len(), &body).await
    };
    let upper = |headers: &mut Headers| {
        headers.iter_mut().for_each(|(name, _)| name.make_ascii_uppercase());
    };
    assert_eq!(shopify(&upper).await, "200 created");
    assert_eq!(partner(&upper).await, "200 created");
    for (name, expected) in [
        ("x-shopify-hmac-sha256", "401 AUTH001"),
        ("x-shopify-shop-domain", "401 AUTH001"),
        // Signed by Shopify, so it is not lost: a person sees it.
        ("x-shopify-topic", "200 rejected"),
        // Names that nothing follows from.
        ("x-shopify-webhook-id", "200 created"),
        ("x-shopify-triggered-at", "200 created"),
    ] {
        assert_eq!(shopify(&twice(name)).await, expected, "{name} twice");
    }
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        assert_eq!(partner(&twice(name)).await, "401 AUTH001", "{name} twice");
    }
    let cut_short: fn(&mut String) = |signature| signature.truncate(signature.len() - 1);
    let cut_in_half: fn(&mut String) = |signature| signature.truncate(signature.len() / 2);
    let padded_more: fn(&mut String) = |signature| signature.push_str("==");
    for spoil in [cut_short, cut_in_half, padded_more, url_safe] {
        assert_eq!(shopify(&spoilt(spoil)).await, "401 AUTH001");
        assert_eq!(partner(&spoilt(spoil)).await, "401 AUTH001");
    }
}

fn owned(headers: Vec<(&'static str, String)>) -> Headers {
    headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn twice(name: &str) -> impl Fn(&mut Headers) {
    move |headers| {
        let again = headers.iter().find(|(known, _)| known == name).unwrap().clone();
        headers.push(again);
    }
}

/// The signature is the last header of both.
fn spoilt(spoil: fn(&mut String)) -> impl Fn(&mut Headers) {
    move |headers| spoil(&mut headers.last_mut().unwrap().1)
}

/// Another alphabet, and other padding; a signature without any of them is another signature then.
fn url_safe(signature: &mut String) {
    *signature = signature.replace(['+', '/'], "_").replacen('A', "-", 1).replace('=', "_");
}

/// Brackets within brackets.
fn deep(open: &str, close: &str) -> String {
    open.repeat(10_000) + &close.repeat(10_000)
}

async fn odd_bodies_of_shopifys_are_taken_or_kept(host: Host) {
    let lines = |count: i64, title: &str| {
        let order = Order::new(BANNOS, number());
        let line = |n| json!({"id": order.id * 2 + n, "title": title, "quantity": 1, "price": "1.00"});
        let mut body = order.body();
        body["line_items"] = (0..count).map(line).collect();
        body.to_string().into_bytes()
    };
    let cases = [
        // Taken: what Shopify may have let a customer type.
        ("an escaped NUL", shopify_body("note", r#""a\u0000b""#), "200 created"),
        ("half a surrogate pair", shopify_body("note", r#""\ud83c""#), "200 created"),
        ("a pair the wrong way round", shopify_body("note", r#""\udf82\ud83c""#), "200 created"),
        ("a note that nests 10,000 deep", shopify_body("note", &deep("[", "]")), "200 created"),
        ("a field twice, of which nobody reads", shopify_body("app_id", r#"1,"app_id":2"#), "200 created"),
        (
            "a number beyond 2^63 that nobody reads",
            shopify_body("app_id", "9223372036854775808"),
            "200 created",
        ),
        (
            "a number beyond all numbers that nobody reads",
            shopify_body("app_id", "1e999999999"),
            "200 created",
        ),
        ("five hundred cakes", lines(500, "Fudge Cake"), "200 created"),
        // Kept as dead letters: no order can be made of them, now or later.
        ("a NUL itself", shopify_body("note", "\"a\0b\""), "200 rejected"),
        ("bytes that are no UTF-8", [&b"\xff\xfe"[..], &shopify_body("note", "1")].concat(), "200 rejected"),
        (
            "a mark before the body",
            [&b"\xef\xbb\xbf"[..], &shopify_body("note", "1")].concat(),
            "200 rejected",
        ),
        ("lists 10,000 deep", deep("[", "]").into_bytes(), "200 rejected"),
        ("objects 10,000 deep", deep("{\"a\":", "}").replace(":}", ":1}").into_bytes(), "200 rejected"),
        ("brackets that are never closed", "[".repeat(LIMIT).into_bytes(), "200 rejected"),
        ("an id beyond 2^63", shopify_body("id", "9223372036854775808"), "200 rejected"),
        ("an id beyond 2^64", shopify_body("id", "-18446744073709551617"), "200 rejected"),
        ("an id with a fraction", shopify_body("id", "1.5"), "200 rejected"),
        ("an id that is an object", shopify_body("id", "{}"), "200 rejected"),
        ("an id twice", shopify_body("id", r#"1,"id":2"#), "200 rejected"),
        ("10,000 line items", lines(10_000, "Number Candle"), "200 rejected"),
        ("1,001 line items", lines(1_001, "Number Candle"), "200 rejected"),
        ("more cakes than any bakery makes", lines(501, "Fudge Cake"), "200 rejected"),
        ("a total beyond all numbers", shopify_body("total_price", "\"1e999999999\""), "200 rejected"),
        ("no total", shopify_body("total_price", "\"NaN\""), "200 rejected"),
    ];
    answers(host, as_shopify, cases).await;
}

async fn odd_bodies_of_partners_are_taken_or_refused(host: Host) {
    let products = |count: usize| json!(vec![json!({"title": "Cake", "quantity": 1}); count]).to_string();
    let properties = |count: usize| {
        let properties = vec![json!({"name": "a", "value": "b"}); count];
        json!([{"title": "Cake", "quantity": 1, "properties": properties}]).to_string()
    };
    let nesting = properties(1).replace("\"b\"", &deep("[", "]"));
    let fields = (0..10_000).fold("1".to_owned(), |text, n| format!("{text},\"f{n}\":1"));
    let cases = [
        ("an escaped NUL", partner_body("notes", r#""a\u0000b""#), "200 created"),
        ("half a surrogate pair", partner_body("notes", r#""\ud83c""#), "200 created"),
        ("a property that nests 10,000 deep", partner_body("products", &nesting), "200 created"),
        ("100 properties", partner_body("products", &properties(100)), "200 created"),
        ("a number near 2^63", partner_body("number", &(i64::MAX - number()).to_string()), "200 created"),
        ("a NUL itself", partner_body("notes", "\"a\0b\""), "422 VAL001"),
        ("bytes that are no UTF-8", b"\xff\xfe{}".to_vec(), "422 VAL001"),
        ("a note that nests 10,000 deep", partner_body("notes", &deep("[", "]")), "422 VAL001"),
        ("lists 10,000 deep", deep("[", "]").into_bytes(), "422 VAL001"),
        ("objects 10,000 deep", deep("{\"a\":", "}").replace(":}", ":1}").into_bytes(), "422 VAL001"),
        ("brackets that are never closed", "[".repeat(LIMIT).into_bytes(), "422 VAL001"),
        ("a number beyond 2^63", partner_body("number", "9223372036854775808"), "422 VAL001"),
        ("a number beyond all numbers", partner_body("number", "1e999999999"), "422 VAL001"),
        ("a field twice", partner_body("notes", r#""a","notes":"b""#), "422 VAL001"),
        ("10,000 products", partner_body("products", &products(10_000)), "422 VAL001"),
        ("10,000 properties", partner_body("products", &properties(10_000)), "422 VAL001"),
        ("10,000 fields", partner_body("notes", &fields), "422 VAL001"),
        ("no JSON", b"store=bannos&customer_name=Mia".to_vec(), "422 VAL001"),
    ];
    answers(host, as_partner, cases).await;
}

async fn a_body_of_two_megabytes_is_taken_and_one_byte_more_is_not(host: Host) {
    let long = |body: Vec<u8>, length| [body.clone(), vec![b' '; length - body.len()]].concat();
    let (shopify, partner) = (shopify_body("note", "null"), partner_body("notes", "null"));
    answers(host, as_shopify, [("of Shopify's", long(shopify.clone(), LIMIT), "200 created")]).await;
    answers(host, as_partner, [("of a partner's", long(partner.clone(), LIMIT), "200 created")]).await;
    // The answer comes before the end of the body. (To go on sending what nobody reads would reset the connection.)
    let (keys, body) = (&shared().stack.keys, long(shopify, LIMIT + 1));
    let headers = create(&Order::new(BANNOS, number())).headers(&keys.webhook_secret, &body).unwrap();
    let said = raw(&shared().webhooks(host), &owned(headers), body.len(), &body[..1000]).await;
    assert_eq!(said, "413 VAL001");
    let body = long(partner, LIMIT + 1);
    let headers = partner_headers(&keys.orders_secret, "long", &body);
    let said = raw(&shared().orders(host), &owned(headers), body.len(), &body[..1000]).await;
    assert_eq!(said, "413 VAL001");
    lives(host).await;
}

/// A hundred megabytes that weigh less than one. No host inflates a request's body by itself; a body that says that it is
/// compressed is refused before it is read, and one that does not say so is no JSON.
async fn a_bomb_is_not_inflated(host: Host) {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    let zeros = vec![0; 1 << 20];
    (0..100).for_each(|_| encoder.write_all(&zeros).unwrap());
    let bomb = encoder.finish().unwrap();
    assert!(bomb.len() < LIMIT, "{}", bomb.len());
    let webhook = create(&Order::new(BANNOS, number()));
    let keys = &shared().stack.keys;
    for encoding in ["gzip", "GZIP", "deflate", "br", "gzip, gzip", "identity, gzip"] {
        for secret in ["a guess", &keys.webhook_secret] {
            let mut headers = webhook.headers(secret, &bomb).unwrap();
            headers.push(("content-encoding", encoding.into()));
            let answer = send_with(&shared().webhooks(host), &headers, &bomb).await;
            assert_eq!(answer.said(), "415 VAL001", "{encoding}");
        }
        for secret in ["a guess", &keys.orders_secret] {
            let mut headers = partner_headers(secret, "bomb", &bomb);
            headers.push(("content-encoding", encoding.into()));
            let answer = send_with(&shared().orders(host), &headers, &bomb).await;
            assert_eq!(answer.said(), "415 VAL001", "{encoding}");
        }
    }
    answers(host, as_shopify, [("a bomb", bomb.clone(), "200 rejected")]).await;
    answers(host, as_partner, [("a bomb", bomb, "422 VAL001")]).await;
}

async fn sql_and_html_stay_text(host: Host) {
    let texts = [
        "'; drop table ordak.orders cascade; --",
        "$$; select pg_sleep(10); $$",
        "\\'; delete from ordak.tasks; --\\",
        "<script>alert('x')</script><img src=x onerror=alert(1)>",
        "{{constructor.constructor('return 1')()}} ${7*7} %s %00 \u{202e}",
    ];
    for text in texts {
        let number = number();
        let told = json!({
            "store": "bannos", "customer_name": text, "number": number, "notes": text, "idempotency_key": format!("{text}{number}"),
            "products": [{
                "title": format!("{text} Cake"), "quantity": 1, "sku": text, "variant_title": text,
                "properties": [{"name": text, "value": text}, {"name": "Cake Writing", "value": text}],
            }],
        });
        answers(host, as_partner, [(text, told.to_string().into_bytes(), "200 created")]).await;
        let sql = "select jsonb_build_array(o.customer_name, o.notes, l.title, l.sku, l.variant_title, l.properties -> 0, t.cake_writing)::text
                   from ordak.orders as o join ordak.order_lines as l on l.order_key = o.id join ordak.tasks as t on t.line_key = l.id
                   where o.store = 'bannos' and o.number = $1";
        let row = queries().await.query_one(sql, &[&number]).await.unwrap();
        let property = json!({"name": text, "value": text});
        let expected = json!([text, text, format!("{text} Cake"), text, text, property, text]);
        assert_eq!(serde_json::from_str::<Value>(row.get(0)).unwrap(), expected);
        for field in ["store", "due_date", "number", "delivery_method", "shopify_order_gid", text] {
            let body = partner_body(field, &json!(text).to_string());
            answers(host, as_partner, [(field, body, "422 VAL001")]).await;
        }

        let mut order = Order::new(BANNOS, self::number());
        order.customer = text.into();
        let order = order.lines(vec![Line::new(&format!("{text} Cake"), text, 1).with(text, text)]);
        let mut body = order.body();
        for field in ["note", "email", "phone", "tags", "source_name", "landing_site", "token"] {
            body[field] = text.into();
        }
        answers(host, as_shopify, [(text, body.to_string().into_bytes(), "200 created")]).await;
        let row = queries().await.query_one(sql, &[&order.number]).await;
        let found: Value = serde_json::from_str(row.unwrap().get(0)).unwrap();
        assert_eq!([&found[0], &found[1], &found[2]], [text, text, &*format!("{text} Cake")]);
        let headers =
            ["x-shopify-topic", "x-shopify-webhook-id", "x-shopify-event-id", "x-shopify-triggered-at"];
        for name in headers {
            let webhook = create(&Order::new(BANNOS, self::number()));
            let body = serde_json::to_vec(&webhook.body).unwrap();
            let mut signed = webhook.headers(&shared().stack.keys.webhook_secret, &body).unwrap();
            signed.iter_mut().find(|(known, _)| *known == name).unwrap().1 = text.replace('\u{202e}', "");
            let expected = if name == "x-shopify-topic" { "200 rejected" } else { "200 created" };
            assert_eq!(
                send_with(&shared().webhooks(host), &signed, &body).await.said(),
                expected,
                "{name}: {text}"
            );
        }
    }
}

async fn the_ends_of_time_are_taken_or_refused(host: Host) {
    let cases = [
        ("2000-01-01T00:00:00+15:59", "200 created"),
        ("2100-12-31T23:59:60Z", "200 created"),
        ("1999-12-31T23:59:59Z", "200 rejected"),
        ("0001-01-01T00:00:00Z", "200 rejected"),
        ("9999-12-31T23:59:59Z", "200 rejected"),
        ("-infinity", "200 rejected"),
        ("infinity", "200 rejected"),
        ("294277-01-01T00:00:00Z", "200 rejected"),
        ("now", "200 rejected"),
        ("", "200 rejected"),
    ];
    let quoted = |time: &str| json!(time).to_string();
    for field in ["created_at", "updated_at"] {
        answers(host, as_shopify, cases.map(|(time, said)| (time, shopify_body(field, &quoted(time)), said)))
            .await;
    }
    let days = [
        ("2000-01-01", "200 created"),
        ("2100-12-31", "200 created"),
        ("1999-12-31", "422 VAL001"),
        ("2101-01-01", "422 VAL001"),
        ("0000-00-00", "422 VAL001"),
        ("99999-01-01", "422 VAL001"),
        ("infinity", "422 VAL001"),
    ];
    answers(host, as_partner, days.map(|(day, said)| (day, partner_body("due_date", &quoted(day)), said)))
        .await;
}
