//! Whole jobs: what is asked, and what is made of the answers.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::work::{Changed, Level, Listing, UserError, Variant};
use super::*;
use crate::json::Document as Text;

const AT: &str = "2026-11-24T10:00:00.000Z";

/// A job that is asked of a shop that answers each question as `shop` does.
struct Asking {
    job: Job,
    next: Request,
}

impl Asking {
    fn begin(work: Work) -> Asking {
        let (job, next) = Job::begin(work).expect("something to ask");
        Asking { job, next }
    }

    /// The variables of the next question.
    fn variables(&self) -> Value {
        let body: Value = serde_json::from_str(&self.next.body).unwrap();
        let query = body["query"].as_str().unwrap();
        assert!(query.contains(&format!(" {}(", self.next.name)), "{query}");
        body["variables"].clone()
    }

    /// Takes an answer; none where there is more to ask.
    fn answer(&mut self, data: Value) -> Result<Option<Outcome>, Unreadable> {
        let text = data.to_string();
        let document = Text::parse(&text).unwrap();
        Ok(match self.job.take(document.root(), AT)? {
            Next::Ask(request) => {
                self.next = request;
                None
            }
            Next::Done(outcome) => Some(outcome),
        })
    }

    /// Takes the last answer.
    fn end(&mut self, data: Value) -> Outcome {
        self.answer(data).unwrap().expect("nothing more to ask")
    }
}

fn token() -> String {
    "token".to_owned()
}

fn page(nodes: Value, after: Option<&str>) -> Value {
    json!({"nodes": nodes, "pageInfo": {"hasNextPage": after.is_some(), "endCursor": after}})
}

#[test]
fn nothing_is_asked_where_there_is_nothing_to_do() {
    for work in [
        Work::None { wait_ms: None, lost: false },
        Work::FetchOrders { token: token(), orders: Vec::new() },
        Work::FetchProducts { token: token(), products: Vec::new() },
    ] {
        assert!(Job::begin(work).is_none());
    }
}

// Pushes

fn push() -> Asking {
    let variables = r#"{"key": "k", "input": {"changes": [{"delta": -3}, {"delta": 1}]}}"#.to_owned();
    Asking::begin(Work::Push { token: token(), variables })
}

#[test]
fn a_push_is_sent_byte_for_byte() {
    let push = push();
    assert!(
        push.next
            .body
            .ends_with(r#","variables":{"key": "k", "input": {"changes": [{"delta": -3}, {"delta": 1}]}}}"#)
    );
    assert!(push.next.body.contains("@idempotent(key: $key)"));
    assert_eq!(push.job.pushes(), 2);
}

#[test]
fn what_shopify_says_to_a_push_is_told_apart() {
    let errors = |errors: Value| push().answer(json!({"inventoryAdjustQuantities": {"userErrors": errors}}));
    let error = |code: &str, field: Value| json!({"code": code, "field": field, "message": "why"});
    let said = |code: &str, index| UserError { index, code: code.into(), message: "why".into() };
    assert_eq!(errors(json!([])), Ok(Some(Outcome::Pushed { at: AT.into() })));
    for (code, expected) in [
        ("IDEMPOTENCY_CONCURRENT_REQUEST", Outcome::Concurrent),
        ("IDEMPOTENCY_PREVIOUS_ATTEMPT_FAILED", Outcome::Void),
        (
            "IDEMPOTENCY_KEY_PARAMETER_MISMATCH",
            Outcome::Uncertain { reason: "IDEMPOTENCY_KEY_PARAMETER_MISMATCH: why".into() },
        ),
    ] {
        assert_eq!(errors(json!([error(code, json!(null))])), Ok(Some(expected)), "{code}");
    }
    let found = errors(json!([
        error("ITEM_NOT_STOCKED_AT_LOCATION", json!(["input", "changes", "3", "locationId"])),
        error("INVALID_INVENTORY_ITEM", json!(["input", "changes", 17, "inventoryItemId"])),
        error("INVALID_REASON", json!(["input", "reason"])),
        error("SERVICE_UNAVAILABLE", json!(null)),
        error("ADJUST_QUANTITIES_FAILED", json!(["input", "changes"])),
        {"code": null, "field": null, "message": "why"},
    ]));
    let expected = vec![
        said("ITEM_NOT_STOCKED_AT_LOCATION", Some(3)),
        said("INVALID_INVENTORY_ITEM", Some(17)),
        said("INVALID_REASON", None),
        said("SERVICE_UNAVAILABLE", None),
        said("ADJUST_QUANTITIES_FAILED", None),
        said("", None),
    ];
    assert_eq!(found, Ok(Some(Outcome::Rejected(expected))));
    // Nobody knows whether it happened.
    for data in [
        json!({}),
        json!({"inventoryAdjustQuantities": null}),
        json!({"inventoryAdjustQuantities": {"userErrors": null}}),
    ] {
        assert!(push().answer(data.clone()).is_err(), "{data}");
    }
}

// Levels

fn level(item: i64, quantities: Value) -> Value {
    json!({"id": format!("gid://shopify/InventoryItem/{item}"), "tracked": true, "inventoryLevel": {"quantities": quantities}})
}

fn quantities(numbers: &[(&str, i64)]) -> Value {
    numbers.iter().map(|(name, quantity)| json!({"name": name, "quantity": quantity})).collect()
}

fn levels() -> Asking {
    let listing = |(listing_id, inventory_item_id)| Listing { listing_id, inventory_item_id };
    let listings = [(1, 51), (2, 52), (3, 53), (4, 54)].map(listing).to_vec();
    Asking::begin(Work::ReadLevels { token: token(), location: "gid://shopify/Location/71".into(), listings })
}

#[test]
fn a_level_is_what_can_be_sold_and_what_is_set_aside() {
    let mut job = levels();
    let gids = [51, 52, 53, 54].map(|id| format!("gid://shopify/InventoryItem/{id}"));
    assert_eq!(job.variables(), json!({"items": gids, "location": "gid://shopify/Location/71"}));
    let all =
        [("available", -4), ("damaged", 1), ("quality_control", 2), ("reserved", 0), ("safety_stock", 5)];
    let mut untracked = level(53, quantities(&all));
    untracked["tracked"] = json!(false);
    let not_there = json!({"id": "gid://shopify/InventoryItem/52", "tracked": true, "inventoryLevel": null});
    let nodes = json!([null, untracked, not_there, level(51, quantities(&all))]);
    let found = job.end(json!({"nodes": nodes}));
    let level = |listing_id, available, set_aside| Level { listing_id, available, set_aside };
    let levels = vec![level(1, Some(-4), 8), level(2, None, 0), level(3, None, 0), level(4, None, 0)];
    assert_eq!(found, Outcome::Levels { read_at: AT.into(), levels });
}

#[test]
fn half_a_level_is_none() {
    for nodes in [
        json!(null),
        json!([{}]),
        json!([level(51, json!(null))]),
        json!([level(51, json!([]))]),
        json!([level(51, quantities(&[("damaged", 1)]))]),
        json!([level(51, json!([{"name": "available", "quantity": null}]))]),
    ] {
        assert!(levels().answer(json!({"nodes": nodes})).is_err(), "{nodes}");
    }
}

// Variants

fn variant(id: i64, sku: &str, available: Option<i64>) -> Value {
    let level = available.map(|sold| json!({"quantities": quantities(&[("available", sold)])}));
    json!({"id": format!("gid://shopify/ProductVariant/{id}"), "sku": sku, "inventoryItem":
        {"id": format!("gid://shopify/InventoryItem/{}", id + 1), "tracked": true, "inventoryLevel": level}})
}

#[test]
fn variants_are_those_with_exactly_the_sku_on_all_pages() {
    let skus = vec!["CAKE".to_owned(), "SAY \"HI\" \\".to_owned()];
    let location = "gid://shopify/Location/71".to_owned();
    let mut job = Asking::begin(Work::FindListings { token: token(), location, skus });
    let search = r#"sku:"CAKE" OR sku:"SAY \"HI\" \\""#;
    assert_eq!(
        job.variables(),
        json!({"search": search, "location": "gid://shopify/Location/71", "after": null})
    );
    let first = page(
        json!([variant(10, "CAKE-2", Some(1)), variant(20, " CAKE ", Some(7)), variant(30, "cake", None)]),
        Some("c1"),
    );
    assert_eq!(job.answer(json!({"productVariants": first})), Ok(None));
    assert_eq!(job.variables()["after"], "c1");
    let mut none = variant(50, "", None);
    none["sku"] = json!(null);
    let last = page(json!([variant(40, "CAKE", None), none]), None);
    let found = |id, available| Variant {
        sku: "CAKE".into(),
        inventory_item_id: id + 1,
        variant_id: id,
        tracked: true,
        available,
    };
    assert_eq!(
        job.end(json!({"productVariants": last})),
        Outcome::Found(vec![found(20, Some(7)), found(40, None)])
    );
}

#[test]
fn a_search_that_finds_everything_ends() {
    let mut job =
        Asking::begin(Work::FindListings { token: token(), location: "l".into(), skus: vec!["A".into()] });
    let again = json!({"productVariants": page(json!([]), Some("c"))});
    let pages = (1..).find(|_| job.answer(again.clone()).is_err()).unwrap();
    assert_eq!(pages, 10);
}

// Lists of orders

#[test]
fn a_list_of_orders_is_one_page() {
    let work = Work::ListOrders {
        token: token(),
        since: "2026-11-24T09:00:00+00:00".into(),
        after: Some("c".into()),
    };
    let mut job = Asking::begin(work);
    assert_eq!(job.variables(), json!({"search": "updated_at:>='2026-11-24T09:00:00+00:00'", "after": "c"}));
    let node = json!({"legacyResourceId": "9007199254740993", "updatedAt": "2026-11-24T09:30:00Z"});
    let orders = vec![Changed { id: 9_007_199_254_740_993, updated_at: "2026-11-24T09:30:00Z".into() }];
    let listed = job.end(json!({"orders": page(json!([node]), Some("d"))}));
    assert_eq!(listed, Outcome::Listed { orders, after: Some("d".into()) });
    for odd in [json!({}), json!({"orders": page(json!([{}]), None)}), json!({"orders": {"nodes": []}})] {
        assert!(job.answer(odd).is_err());
    }
}

// Orders

fn line(id: i64) -> Value {
    json!({"id": format!("gid://shopify/LineItem/{id}"), "title": "Matcha Cake", "name": "Matcha Cake", "variantTitle": null,
        "sku": "M", "quantity": 1, "currentQuantity": 1, "fulfillmentStatus": "unfulfilled", "isGiftCard": false,
        "originalUnitPriceSet": {"shopMoney": {"amount": "95.0"}}, "product": null, "variant": null, "customAttributes": []})
}

fn refund_line(id: i64) -> Value {
    json!({"id": format!("gid://shopify/RefundLineItem/{id}"), "quantity": 1, "restockType": "RETURN",
        "lineItem": {"id": "gid://shopify/LineItem/1"}, "location": {"id": "gid://shopify/Location/71"}})
}

fn refund(id: i64, lines: Value) -> Value {
    json!({"id": format!("gid://shopify/Refund/{id}"), "createdAt": "2026-11-20T10:00:00Z",
        "processedAt": "2026-11-20T10:00:00Z", "refundLineItems": lines})
}

fn order(id: i64, updated_at: &str, lines: Value, refunds: Value) -> Value {
    json!({"order": {"legacyResourceId": id.to_string(), "name": format!("#B{id}"), "createdAt": "2026-11-20T08:00:00Z",
        "updatedAt": updated_at, "cancelledAt": null, "cancelReason": null, "currencyCode": "AUD",
        "totalPriceSet": {"shopMoney": {"amount": "95.0"}}, "customer": null, "shippingAddress": null,
        "customAttributes": [], "note": null, "tags": [], "sourceName": "web", "retailLocation": null,
        "statusPageUrl": "https://bannos.example/1", "test": false, "lineItems": lines, "refunds": refunds}})
}

const NOW: &str = "2026-11-24T09:30:00Z";

fn orders(ids: &[i64]) -> Asking {
    Asking::begin(Work::FetchOrders { token: token(), orders: ids.to_vec() })
}

/// What was fetched, as the database is told.
fn fetched(outcome: Outcome) -> Value {
    let report = Report { work: "fetch_orders", token: token(), calls: 1, cost: 1, outcome };
    serde_json::to_value(report).unwrap()["orders"].clone()
}

#[test]
fn orders_are_fetched_one_after_the_other() {
    let mut job = orders(&[5, 6, 7]);
    assert_eq!(job.variables(), json!({"id": "gid://shopify/Order/5", "after": null}));
    assert_eq!(job.answer(order(5, NOW, page(json!([line(1)]), None), json!([]))), Ok(None));
    assert_eq!(job.variables()["id"], "gid://shopify/Order/6");
    assert_eq!(job.answer(json!({"order": null})), Ok(None));
    assert_eq!(job.variables()["id"], "gid://shopify/Order/7");
    let mut odd = order(7, NOW, page(json!([line(1)]), None), json!([]));
    odd["order"]["totalPriceSet"]["shopMoney"]["amount"] = json!("much");
    let all = fetched(job.end(odd));
    assert_eq!(all[0]["content"]["order"]["shopify_order_id"], 5);
    assert_eq!(all[0]["content"]["order"]["lines"][0]["line_id"], 1);
    assert_eq!(all[0]["body_digest"].as_str().unwrap().len(), 64);
    assert_eq!(all[1], json!({"id": 6}));
    let reason = "total_price: expected a decimal of at most 10 digits and 6 after the point";
    assert_eq!(all[2], json!({"id": 7, "reason": reason}));
}

#[test]
fn an_order_is_whole_when_all_its_pages_are_read() {
    let mut job = orders(&[5]);
    let some = refund(31, page(json!([refund_line(61)]), Some("r1")));
    let whole = refund(32, page(json!([refund_line(71)]), None));
    let refunds = json!([some, whole]);
    assert_eq!(job.answer(order(5, NOW, page(json!([line(1)]), Some("l1")), refunds.clone())), Ok(None));
    assert_eq!(
        (job.next.name, job.variables()),
        ("FetchOrders", json!({"id": "gid://shopify/Order/5", "after": "l1"}))
    );
    assert_eq!(job.answer(order(5, NOW, page(json!([line(2)]), Some("l2")), refunds.clone())), Ok(None));
    assert_eq!(job.variables()["after"], "l2");
    assert_eq!(job.answer(order(5, NOW, page(json!([line(3)]), None), refunds)), Ok(None));
    assert_eq!(
        (job.next.name, job.variables()),
        ("FetchRefundLines", json!({"id": "gid://shopify/Refund/31", "after": "r1"}))
    );
    let more = |ids: &[i64], after| {
        let lines = ids.iter().map(|id| refund_line(*id)).collect::<Vec<_>>();
        json!({"refund": {"refundLineItems": page(json!(lines), after)}})
    };
    assert_eq!(job.answer(more(&[62], Some("r2"))), Ok(None));
    let all = fetched(job.end(more(&[63, 64], None)));
    let ids = |list: &str, id: &str| -> Vec<i64> {
        all[0]["content"]["order"][list]
            .as_array()
            .unwrap()
            .iter()
            .map(|line| line[id].as_i64().unwrap())
            .collect()
    };
    assert_eq!(ids("lines", "line_id"), [1, 2, 3]);
    assert_eq!(ids("refund_lines", "refund_line_id"), [61, 62, 63, 64, 71]);
}

#[test]
fn an_order_that_changes_between_two_pages_is_read_anew() {
    let mut job = orders(&[5]);
    assert_eq!(job.answer(order(5, NOW, page(json!([line(1)]), Some("l1")), json!([]))), Ok(None));
    let later = "2026-11-24T09:30:01Z";
    assert_eq!(job.answer(order(5, later, page(json!([line(3)]), None), json!([]))), Ok(None));
    assert_eq!(job.variables()["after"], json!(null));
    let all = fetched(job.end(order(5, later, page(json!([line(2), line(3)]), None), json!([]))));
    assert_eq!(all[0]["content"]["order"]["lines"].as_array().unwrap().len(), 2);

    let mut job = orders(&[5]);
    let mut changes = 0;
    let end = (0..).find_map(|second| {
        changes += 1;
        let at = format!("2026-11-24T09:30:{second:02}Z");
        job.answer(order(5, &at, page(json!([line(1)]), Some("l1")), json!([]))).err()
    });
    assert_eq!((end.is_some(), changes), (true, 6));
}

#[test]
fn an_order_with_more_refunds_than_can_be_asked_for_is_for_a_person() {
    let refunds: Vec<_> = (0..20).map(|id| refund(id + 1, page(json!([]), None))).collect();
    let mut job = orders(&[5]);
    let all = fetched(job.end(order(5, NOW, page(json!([line(1)]), None), json!(refunds))));
    assert_eq!(
        all,
        json!([{"id": 5, "reason": "expected fewer than 20 refunds, but found as many or more"}])
    );
}

#[test]
fn half_an_order_is_none() {
    for part in ["lineItems", "refunds"] {
        let mut half = order(5, NOW, page(json!([]), None), json!([]));
        half["order"][part] = json!(null);
        assert!(orders(&[5]).answer(half).is_err(), "{part}");
    }
    assert!(orders(&[5]).answer(json!({})).is_err());
    let cut =
        order(5, NOW, json!({"nodes": [], "pageInfo": {"hasNextPage": true, "endCursor": null}}), json!([]));
    assert!(orders(&[5]).answer(cut).is_err());
}

proptest! {
    /// However it is cut into pages, it is the same order.
    #[test]
    fn pages_do_not_show_in_an_order(lines in 1..40_i64, cuts in proptest::collection::vec(1..10_usize, 40)) {
        let all: Vec<_> = (1..=lines).map(line).collect();
        let whole = fetched(orders(&[5]).end(order(5, NOW, page(json!(all), None), json!([]))));
        let mut job = orders(&[5]);
        let (mut rest, mut cuts) = (&all[..], cuts.into_iter());
        let paged = loop {
            let (now, later) = rest.split_at(cuts.next().unwrap().min(rest.len()));
            rest = later;
            let after = (!rest.is_empty()).then_some("c");
            if let Some(outcome) = job.answer(order(5, NOW, page(json!(now), after), json!([]))).unwrap() {
                break fetched(outcome);
            }
        };
        prop_assert_eq!(paged, whole);
    }

    /// Whatever Shopify answers, a job asks on, is done, or says that it is not readable.
    #[test]
    fn no_answer_panics(text in "\\PC{0,60}", key in "nodes|order|orders|refund|productVariants|inventoryAdjustQuantities",
        inner in "\\{\"(nodes|pageInfo|lineItems|userErrors|id)\":(null|\\[\\]|\\[\\{\\}\\]|1|\"x\")\\}|\\[\\{\"id\":1\\}\\]|null|1") {
        for data in [json!({key: serde_json::from_str::<Value>(&inner).unwrap()}), json!(text)] {
            for mut job in [push(), levels(), orders(&[5, 6])] {
                let _ = job.answer(data.clone());
            }
            let mut job = Asking::begin(Work::FetchProducts { token: token(), products: vec![1] });
            let _ = job.answer(data.clone());
            let mut job = Asking::begin(Work::ListOrders { token: token(), since: "x".into(), after: None });
            let _ = job.answer(data);
        }
    }
}

// Products

fn product(id: i64, skus: Value) -> Value {
    json!({"id": format!("gid://shopify/Product/{id}"), "title": " Matcha Cake ", "updatedAt": NOW,
        "featuredMedia": {"preview": {"image": {"url": "https://cdn.example/a.jpg"}}}, "variants": skus})
}

fn skus(skus: &[&str], after: Option<&str>) -> Value {
    page(skus.iter().map(|sku| json!({"sku": sku})).collect(), after)
}

#[test]
fn products_are_fetched_ten_at_a_time_and_whole() {
    let mut job = Asking::begin(Work::FetchProducts { token: token(), products: (1..=11).collect() });
    assert_eq!(job.variables()["ids"].as_array().unwrap().len(), 10);
    assert_eq!(job.variables()["first"], 50);
    let mut bare = product(2, skus(&[" B ", ""], None));
    bare["featuredMedia"] = json!(null);
    let nodes =
        json!([product(1, skus(&["A1", "A2"], Some("v1"))), null, bare, product(3, skus(&[], Some("v3")))]);
    assert_eq!(job.answer(json!({"nodes": nodes})), Ok(None));
    let of = |id: i64, after: &str| json!({"ids": [format!("gid://shopify/Product/{id}")], "first": 250, "after": after});
    assert_eq!(job.variables(), of(3, "v3"));
    assert_eq!(job.answer(json!({"nodes": [product(3, skus(&["C"], None))]})), Ok(None));
    assert_eq!(job.variables(), of(1, "v1"));
    assert_eq!(job.answer(json!({"nodes": [product(1, skus(&["A3"], Some("v2")))]})), Ok(None));
    assert_eq!(job.variables(), of(1, "v2"));
    // Meanwhile it was deleted.
    assert_eq!(job.answer(json!({"nodes": [null]})), Ok(None));
    assert_eq!(job.variables(), json!({"ids": ["gid://shopify/Product/11"], "first": 50, "after": null}));
    let Outcome::Products(found) = job.end(json!({"nodes": [product(11, skus(&["K"], None))]})) else {
        panic!()
    };
    let found: Vec<_> = found
        .iter()
        .map(|product| (product.product_id, product.skus.join(" "), product.image_url.is_some()))
        .collect();
    assert_eq!(found, [(2, "B".into(), false), (3, "C".into(), true), (11, "K".into(), true)]);
}

// Documents

#[test]
fn an_order_is_asked_for_all_that_is_read_of_it() {
    let text = include_str!("graphql/FetchOrders.graphql");
    let asked: Vec<_> = text.split_whitespace().collect();
    let shape = include_str!("../order/shopify/body.rs");
    // GraphQL's name of a field, or the only one; what stands beside it in REST's form alone is not there.
    let rest = ["admin_graphql_api_id", "order_number", "order_id"];
    // Always there is a total.
    let spare = ["currentTotalPriceSet"];
    for field in shape.lines().filter(|line| line.contains(": ") && line.ends_with(',')) {
        let (name, _) = field.split_once(": ").unwrap();
        let name = name.rsplit(" | ").next().unwrap().trim().trim_matches('"');
        if !rest.contains(&name) && !spare.contains(&name) {
            assert!(asked.iter().any(|word| word.split('(').next() == Some(name)), "{name}");
        }
    }
}
