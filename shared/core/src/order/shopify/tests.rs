//! The normaliser, rule by rule.

use super::super::answers::MAX_PROPERTIES;
use super::super::flags::LONG;
use super::*;
use serde_json::{Value, json};

/// A small valid body with some of its fields replaced.
fn body(changes: Value) -> Value {
    let mut body = json!({
        "id": 5001, "order_number": 1001, "total_price": "85.00", "line_items": [line_body(json!({}))],
        "created_at": "2025-12-01T09:00:00+11:00", "updated_at": "2025-12-01T09:00:05+11:00",
    });
    replace(&mut body, changes);
    body
}

fn line_body(changes: Value) -> Value {
    let mut line = json!({"id": 7001, "title": "Rainbow Cake", "quantity": 1, "price": "85.00"});
    replace(&mut line, changes);
    line
}

fn replace(body: &mut Value, changes: Value) {
    for (key, value) in changes.as_object().unwrap() {
        body[key] = value.clone();
    }
}

fn read(changes: Value) -> Order {
    normalise(body(changes).to_string().as_bytes()).unwrap()
}

fn read_line(changes: Value) -> Line {
    read(json!({"line_items": [line_body(changes)]})).lines.remove(0)
}

fn attributes(pairs: &[(&str, &str)]) -> Value {
    pairs.iter().map(|(name, value)| json!({"name": name, "value": value})).collect()
}

#[track_caller]
fn refused(body: &str, expected: &str) {
    assert_eq!(normalise(body.as_bytes()).unwrap_err().to_string(), expected, "{body}");
}

#[test]
fn what_is_missing_or_wrong_is_named_and_not_quoted() {
    let gid = "gid://shopify/Order/5002";
    for (changes, expected) in [
        (json!({"id": null}), "id: expected a value"),
        (json!({"id": 0}), "id: expected a positive 64-bit integer"),
        (json!({"id": -1}), "id: expected a positive 64-bit integer"),
        (json!({"id": 1.5}), "id: expected a positive 64-bit integer"),
        (json!({"id": "+7"}), "id: expected a positive 64-bit integer"),
        (json!({"id": "Ada"}), "id: expected a positive 64-bit integer"),
        (json!({"id": u64::MAX}), "id: expected a positive 64-bit integer"),
        (json!({"admin_graphql_api_id": gid}), "admin_graphql_api_id: expected the gid of the id"),
        (json!({"order_number": null}), "order_number: expected a positive integer, here or in name"),
        (
            json!({"order_number": 0, "name": "#B-0"}),
            "order_number: expected a positive integer, here or in name",
        ),
        (json!({"created_at": null}), "created_at: expected a value"),
        (json!({"updated_at": null}), "updated_at: expected a value"),
        (json!({"updated_at": "Ada"}), "updated_at: expected an RFC 3339 instant"),
        (json!({"cancelled_at": ""}), "cancelled_at: expected an RFC 3339 instant"),
        (json!({"currency": "dollars"}), "currency: expected three letters"),
        (
            json!({"total_price": "8,50"}),
            "total_price: expected a decimal of at most 10 digits and 6 after the point",
        ),
        (json!({"line_items": null}), "line_items: expected a list"),
        (json!({"line_items": vec![line_body(json!({})); 1001]}), "line_items: expected at most 1000 lines"),
        (
            json!({"line_items": [line_body(json!({})), line_body(json!({}))]}),
            "line_items[1].id: expected each id once",
        ),
        (
            json!({"refunds": [{}, {"refund_line_items": [{"id": 1, "line_item_id": 7001, "quantity": -1}]}]}),
            "refunds[1].refund_line_items[0].quantity: expected a 32-bit integer that is not negative",
        ),
        (
            json!({"refunds": [{"refund_line_items": [{"line_item_id": 7001, "quantity": 1}]}]}),
            "refunds[0].refund_line_items[0].id: expected a value",
        ),
        (
            json!({"refunds": [{"refund_line_items": [{"id": 1, "line_item_id": 7001, "quantity": 1}]}]}),
            "refunds[0].refund_line_items[0].processed_at of the refund: expected a value",
        ),
        (
            json!({"refunds": [{"created_at": "Ada"}]}),
            "refunds[0].processed_at: expected an RFC 3339 instant",
        ),
    ] {
        refused(&body(changes).to_string(), expected);
    }
    for (changes, expected) in [
        (json!({"id": null}), "line_items[0].id: expected a value"),
        (json!({"product_id": "x"}), "line_items[0].product_id: expected a positive 64-bit integer"),
        (json!({"quantity": null}), "line_items[0].quantity: expected a 32-bit integer that is not negative"),
        (
            json!({"quantity": 1u64 << 31}),
            "line_items[0].quantity: expected a 32-bit integer that is not negative",
        ),
        (
            json!({"current_quantity": "many"}),
            "line_items[0].current_quantity: expected a 32-bit integer that is not negative",
        ),
        (
            json!({"price": null}),
            "line_items[0].price: expected a decimal of at most 10 digits and 6 after the point",
        ),
    ] {
        refused(&body(json!({"line_items": [line_body(changes)]})).to_string(), expected);
    }
}

#[test]
fn what_is_no_order_says_where() {
    refused("", "line 1, column 0: expected JSON");
    refused("{\"id\": 1,\n oops}", "line 2, column 2: expected JSON");
    refused("\"Ada\"", "line 1, column 5: expected the shape of an order");
    refused("{}", "id: expected a value");
    refused("{\"customer\": \"Ada\"}", "line 1, column 18: expected the shape of an order");
    let not_text = normalise(b"{\"note\": \"\xff\"}").unwrap_err();
    assert_eq!(not_text.to_string(), "the body: expected UTF-8");
}

#[test]
fn ids_are_whole_numbers_however_large() {
    let order = read(json!({"id": "9007199254740993", "admin_graphql_api_id": ""}));
    assert_eq!(order.shopify_order_id, 9_007_199_254_740_993);
    assert_eq!(order.shopify_order_gid, "gid://shopify/Order/9007199254740993");
    assert_eq!(read(json!({"id": i64::MAX})).shopify_order_id, i64::MAX);
}

#[test]
fn the_number_is_what_people_read() {
    for (changes, expected) in [
        (json!({"order_number": 25771, "name": "#B1"}), 25771),
        (json!({"order_number": "25771"}), 25771),
        (json!({"order_number": null, "name": "#B25771-A2"}), 25771),
        (json!({"order_number": -5, "name": "F00042"}), 42),
    ] {
        assert_eq!(read(changes.clone()).number, expected, "{changes}");
    }
}

#[test]
fn the_customer_is_whoever_receives_it() {
    let named = json!({"name": " Mim Quill ", "first_name": "Other"});
    let halves = json!({"first_name": " Mim", "last_name": "Quill "});
    for (shipping, customer, expected) in [
        (named.clone(), halves.clone(), "Mim Quill"),
        (json!({"name": " "}), named, "Mim Quill"),
        (json!(null), halves, "Mim Quill"),
        (json!(null), json!({"first_name": null, "last_name": "Quill"}), "Quill"),
        (json!({}), json!({"first_name": " ", "last_name": ""}), "Customer"),
        (json!(null), json!(null), "Customer"),
        (json!(null), json!({"first_name": "\0"}), "Customer"),
        (json!({"first_name": "Mim", "last_name": "Quill"}), json!({"first_name": "Other"}), "Mim Quill"),
        // What GraphQL displays of a customer without a name.
        (json!(null), json!({"displayName": "mim@example.com"}), "Customer"),
        (json!(null), json!({"displayName": "+61 (2) 5550-1234", "firstName": "Mim"}), "Mim"),
    ] {
        let changes = json!({"shipping_address": shipping, "customer": customer});
        assert_eq!(read(changes.clone()).customer_name, expected, "{changes}");
    }
}

#[test]
fn the_due_date_comes_from_the_attribute_else_from_older_names_else_from_a_tag() {
    let app = "Local Delivery Date and Time";
    for (pairs, tags, date, window, flag) in [
        (
            vec![(app, "08/12/2025 between 10:00 AM and 12:00 PM")],
            "",
            Some("2025-12-08"),
            Some("10:00 AM and 12:00 PM"),
            None,
        ),
        (vec![(app, "Mon 8 Dec 2025")], "", Some("2025-12-08"), None, None),
        (vec![(app, "Mon 8 Dec 2025 between ")], "", Some("2025-12-08"), None, None),
        (vec![(app, "Tue 8 Dec 2025 between 9 and 10")], "", None, Some("9 and 10"), Some(Flag::BadDueDate)),
        (vec![(app, "12/25/2025")], "", None, None, Some(Flag::BadDueDate)),
        (vec![(app, "8/12/2025 10:00 AM")], "", Some("2025-12-08"), Some("10:00 AM"), None),
        (vec![("Delivery Date", "2025-12-08T10:00")], "", Some("2025-12-08"), Some("10:00"), None),
        // At midnight in Sydney it is still the day before in UTC.
        (vec![("Delivery Date", "2025-12-07T13:00:00Z")], "", None, None, Some(Flag::BadDueDate)),
        (
            vec![("Delivery Date", "1/1/2026"), (app, "soon")],
            "Fri 14 Nov 2025",
            None,
            None,
            Some(Flag::BadDueDate),
        ),
        (vec![(app, " "), ("PICKUP date", "2025-12-08")], "", Some("2025-12-08"), None, None),
        (vec![("local delivery date and time", "8/12/2025")], "", None, None, Some(Flag::NoDueDate)),
        (vec![], "vip, Fri 14 Nov 2025,Sat 15 Nov 2025", Some("2025-11-14"), None, None),
        (vec![], "2025-11-14, 14/11/2025, Mon special order now", None, None, Some(Flag::NoDueDate)),
        (vec![], "Sat 14 Nov 2025", None, None, Some(Flag::BadDueDate)),
        (vec![], "", None, None, Some(Flag::NoDueDate)),
    ] {
        let order = read(json!({"note_attributes": attributes(&pairs), "tags": tags}));
        let found = (order.due_date.as_deref(), order.delivery_window.as_deref(), order.flags);
        assert_eq!(found, (date, window, Vec::from_iter(flag)), "{pairs:?} {tags}");
    }
}

#[test]
fn the_delivery_method_is_what_was_chosen_else_what_the_address_suggests() {
    use DeliveryMethod::{Delivery, Pickup};
    for (stated, address, expected) in [
        ("Local Delivery", false, Delivery),
        ("Store Pick Up", true, Pickup),
        ("PICKUP", true, Pickup),
        ("pick-up instead of delivery", true, Pickup),
        ("drone", true, Delivery),
        ("", true, Delivery),
        ("", false, Pickup),
    ] {
        let address = if address { json!({}) } else { json!(null) };
        let attributes = attributes(&[("DELIVERY method", stated)]);
        let order = read(json!({"note_attributes": attributes, "shipping_address": address}));
        assert_eq!(order.delivery_method, expected, "{stated:?}");
    }
}

#[test]
fn notes_end_with_the_delivery_instructions() {
    for (note, instructions, expected) in [
        (json!(" Ring twice\n"), "", Some("Ring twice")),
        (json!("Ring"), "Side gate ", Some("Ring\nDelivery instructions: Side gate")),
        (json!(null), "Side gate", Some("Delivery instructions: Side gate")),
        (json!(" \n"), " ", None),
    ] {
        let attributes = attributes(&[("Delivery Instructions", instructions)]);
        let order = read(json!({"note": note, "note_attributes": attributes}));
        assert_eq!(order.notes.as_deref(), expected, "{note} {instructions}");
    }
}

#[test]
fn a_line_is_what_its_title_says_unless_it_is_a_gift_card_or_nothing() {
    assert_eq!(read_line(json!({})).kind, Kind::Cake);
    assert_eq!(read_line(json!({"gift_card": true})).kind, Kind::Ignored);
    assert_eq!(read_line(json!({"title": "Mystery", "quantity": 0})).kind, Kind::Ignored);
    assert_eq!(read_line(json!({"title": " ", "name": "Named Cake"})).title, "Named Cake");
    let unknown = read(json!({"line_items": [line_body(json!({"title": null}))]}));
    assert_eq!((unknown.lines[0].title.as_str(), unknown.lines[0].kind), ("Untitled", Kind::Unknown));
    assert_eq!(unknown.flags, [Flag::NoDueDate]);
}

#[test]
fn size_and_flavour_come_from_the_variant() {
    let gelato = attributes(&[("Choose your Gelato Flavour", " Pistachio "), ("Gelato flavour 2", "Fig")]);
    for (variant, properties, size, flavour) in [
        (json!("Medium Tall / Vanilla"), json!([]), Some("Medium Tall"), Some("Vanilla")),
        (json!("Small/Vanilla / Rose"), json!([]), Some("Small"), Some("Vanilla / Rose")),
        (json!("Gift Size"), json!([]), Some("Gift Size"), None),
        (json!("Large /"), gelato.clone(), Some("Large"), Some("Pistachio")),
        (json!("/ Lemon"), gelato.clone(), None, Some("Lemon")),
        (json!("Default Title"), gelato, None, Some("Pistachio")),
        (json!(null), json!(null), None, None),
    ] {
        let line = read_line(json!({"variant_title": variant, "properties": properties}));
        assert_eq!((line.size.as_deref(), line.flavour.as_deref()), (size, flavour), "{variant}");
    }
    // What is no cake by its title may be found to be one later; what is ignored never is.
    for (title, gift_card, size, flavour, writing) in [
        ("Candle", false, Some("Gold"), Some("6"), Some("Six")),
        ("Mystery box", false, Some("Gold"), Some("6"), Some("Six")),
        ("Cake", true, None, None, None),
    ] {
        let line = read_line(json!({
            "title": title, "gift_card": gift_card, "variant_title": "Gold / 6",
            "properties": [{"name": "Writing", "value": "Six"}],
        }));
        let found = (line.size.as_deref(), line.flavour.as_deref(), line.cake_writing.as_deref());
        assert_eq!(found, (size, flavour, writing), "{title}");
        assert_eq!(line.variant_title.as_deref(), Some("Gold / 6"));
    }
    assert_eq!(read_line(json!({"variant_title": "Default Title"})).variant_title, None);
}

#[test]
fn properties_are_what_people_filled_in() {
    let line = read_line(json!({"properties": [
        {"name": "Cake Writing", "value": "Happy 6th\n"},
        {"name": "Plaque writing", "value": " Mim "},
        {"name": "_writing", "value": "technical"},
        {"name": "photo_origin", "value": "x"},
        {"name": "photo_RAW", "value": "x"},
        {"name": "GWP", "value": "x"},
        {"name": "Blank", "value": " \u{0}"},
        {"name": "Null", "value": null},
        {"name": "Absent"},
        {"name": " ", "value": "nameless"},
        {"name": "Candles", "value": 6},
        {"name": "Gluten free", "value": false},
        {"name": "Colours", "value": ["pink, \" [x]\\", {"and": null}]},
    ]}));
    assert_eq!(line.cake_writing.as_deref(), Some("Happy 6th / Mim"));
    let found: Vec<_> = line.properties.iter().map(|p| (p.name.as_str(), p.value.as_str())).collect();
    assert_eq!(
        found,
        [
            ("Cake Writing", "Happy 6th\n"),
            ("Plaque writing", " Mim "),
            ("Candles", "6"),
            ("Gluten free", "false"),
            ("Colours", r#"["pink, \" [x]\\",{"and":null}]"#),
        ]
    );
}

#[test]
fn properties_may_be_an_object_of_names_and_values() {
    let line =
        read_line(json!({"properties": {"Cake Writing": "Hi", "_x": "1", "Null": null, "Candles": 6}}));
    let found: Vec<_> = line.properties.iter().map(|p| (p.name.as_str(), p.value.as_str())).collect();
    assert_eq!(found, [("Cake Writing", "Hi"), ("Candles", "6")]);
    assert_eq!(read_line(json!({"properties": {}})).properties, []);
    // What is no pair is kept under its own name.
    let line = read_line(json!({"properties": ["Hi", 7, null, {"name": "A", "value": [1]}]}));
    let found: Vec<_> = line.properties.iter().map(|p| (p.name.as_str(), p.value.as_str())).collect();
    assert_eq!(found, [("Hi", "Hi"), ("7", "7"), ("null", "null"), ("A", "[1]")]);
}

#[test]
fn units_are_told_as_the_body_tells_them() {
    for (quantity, current, status, expected) in [
        (3, json!(null), json!(null), (3, 3, false)),
        (3, json!(2), json!("partial"), (3, 2, false)),
        (3, json!(0), json!("fulfilled"), (3, 0, true)),
        (1, json!("5"), json!("FULFILLED"), (1, 5, true)),
    ] {
        let line = read_line(json!({
            "quantity": quantity, "current_quantity": current, "fulfillment_status": status,
        }));
        assert_eq!((line.quantity, line.current, line.fulfilled), expected);
    }
    // A cancelled order keeps them: the database knows that nothing is wanted.
    let order = read(json!({"cancelled_at": "2025-12-02T09:00:00Z", "cancel_reason": "INVENTORY"}));
    assert_eq!((order.lines[0].current, order.cancel_reason.as_deref()), (1, Some("inventory")));
}

#[test]
fn refund_lines_are_gathered_from_all_refunds() {
    let order = read(json!({"refunds": [
        {"processed_at": "2025-12-02T09:00:00Z", "created_at": "2025-12-02T08:00:00Z", "refund_line_items": [
            {"id": 61, "line_item_id": 7001, "quantity": 1, "restock_type": "RETURN", "location_id": 71},
            {"id": "62", "line_item_id": "9", "quantity": 2, "restock_type": "legacy_restock", "location_id": null},
        ]},
        {"created_at": "2025-12-03T09:00:00Z", "refund_line_items": [
            {"id": 63, "line_item_id": 7001, "quantity": 0}]},
        {"refund_line_items": []},
        {},
    ]}));
    let refund = |id, line, quantity, word: &str, location_id, at: &str| RefundLine {
        refund_line_id: id,
        line_id: line,
        quantity,
        restock_type: word.to_owned(),
        location_id,
        refunded_at: at.to_owned(),
    };
    assert_eq!(
        order.refund_lines,
        [
            refund(61, 7001, 1, "return", Some(71), "2025-12-02T09:00:00Z"),
            refund(62, 9, 2, "legacy_restock", None, "2025-12-02T09:00:00Z"),
            refund(63, 7001, 0, "no_restock", None, "2025-12-03T09:00:00Z"),
        ]
    );
    assert_eq!(order.flags, [Flag::NoDueDate]);
}

#[test]
fn the_shops_host_is_read_from_the_status_page() {
    for (url, expected) in [
        (
            json!("https://Bannos.MyShopify.com/548/orders/c0/authenticate?key=a"),
            Some("bannos.myshopify.com"),
        ),
        (json!("https://cakes.example:443/x"), Some("cakes.example")),
        (json!("https://cakes.example?x"), Some("cakes.example")),
        (json!("https://who@cakes.example/x"), None),
        (json!("https:///x"), None),
        (json!("/x"), None),
        (json!(5), None),
        (json!(null), None),
    ] {
        let order = read(json!({"order_status_url": url}));
        assert_eq!(order.shop_host.as_deref(), expected, "{url}");
    }
}

#[test]
fn a_wrapped_order_is_read_and_half_a_list_is_refused() {
    let bare = body(json!({}));
    let expected = normalise(bare.to_string().as_bytes()).unwrap();
    for wrapped in [json!({"order": bare}), json!({"data": {"order": bare}, "extensions": {}})] {
        assert_eq!(normalise(wrapped.to_string().as_bytes()).as_ref(), Ok(&expected));
    }
    refused(r#"{"data":{"order":null}}"#, "id: expected a value");
    let lines =
        |more| json!({"line_items": {"nodes": [line_body(json!({}))], "pageInfo": {"hasNextPage": more}}});
    assert_eq!(read(lines(false)), expected);
    let refused = normalise(body(lines(true)).to_string().as_bytes()).unwrap_err();
    assert_eq!(refused.expected, "the shape of an order");
    for list in [json!({}), json!({"edges": [{"cursor": "a"}]}), json!({"nodes": 1}), json!("x")] {
        let body = body(json!({"line_items": list}));
        assert_eq!(
            normalise(body.to_string().as_bytes()).unwrap_err().expected,
            "the shape of an order",
            "{list}"
        );
    }
}

#[test]
fn gids_are_ids_of_their_kind() {
    let line = json!({"id": "gid://shopify/LineItem/7", "product": {"id": "gid://shopify/Product/8"},
        "variant": {"id": "gid://shopify/ProductVariant/9", "title": "Small / Fig"}});
    let line = read_line(line);
    assert_eq!((line.line_id, line.product_id, line.variant_id), (7, Some(8), Some(9)));
    assert_eq!(line.size.as_deref(), Some("Small"));
    for id in [
        "gid://shopify/Order/7",
        "gid://shopify/LineItem/",
        "gid://shopify/LineItem7",
        "gid://shopify/LineItem/+7",
    ] {
        let body = body(json!({"line_items": [line_body(json!({"id": id}))]}));
        refused(&body.to_string(), "line_items[0].id: expected a positive 64-bit integer");
    }
    refused(&body(json!({"id": {"id": {"id": 5}}})).to_string(), "id: expected a positive 64-bit integer");
}

#[test]
fn amounts_stay_as_they_were_written() {
    for (raw, expected) in [
        ("\"85.00\"", Some("85.00")),
        ("85.00", Some("85.00")),
        ("0", Some("0")),
        ("\"-4.5\"", Some("-4.5")),
        ("9999999999.99", Some("9999999999.99")),
        ("10000000000", None),
        ("1e3", None),
        ("\"1.\"", None),
        ("\".5\"", None),
        ("\"--1\"", None),
        ("\"\"", None),
        ("\"$5\"", None),
    ] {
        let text = body(json!({})).to_string().replacen("\"85.00\"", raw, 2);
        let found = normalise(text.as_bytes()).ok().map(|order| order.total_amount);
        assert_eq!(found.as_deref(), expected, "{raw}");
    }
    assert_eq!(read(json!({"currency": "nzd"})).currency, "NZD");
    assert_eq!(read(json!({"currency": " "})).currency, "AUD");
}

#[test]
fn what_is_too_long_is_cut_on_a_character_and_flagged() {
    let long = "é".repeat(6_000);
    let many: Vec<Value> = (0..101).map(|n| json!({"name": format!("q{n}"), "value": "a"})).collect();
    let order = read(json!({
        "note": long, "customer": {"name": long},
        "line_items": [line_body(json!({"title": long, "properties": [{"name": long, "value": long}]})),
                       line_body(json!({"id": 2, "properties": many}))],
    }));
    assert_eq!(order.notes.unwrap().chars().count(), NOTES);
    assert_eq!(order.customer_name.chars().count(), SHORT);
    assert_eq!(order.lines[0].title.chars().count(), SHORT);
    assert_eq!(order.lines[0].properties[0].name.chars().count(), SHORT);
    assert_eq!(order.lines[0].properties[0].value.chars().count(), LONG);
    assert_eq!(order.lines[1].properties.len(), MAX_PROPERTIES);
    assert_eq!(order.flags, [Flag::NoDueDate, Flag::Truncated]);
    let fits = read(json!({"note": "é".repeat(NOTES)}));
    assert_eq!(fits.flags, [Flag::NoDueDate]);
}

#[test]
fn no_text_holds_what_postgres_cannot() {
    let order = read(json!({"note": "\u{0} a\u{0}b \u{0}", "customer": {"name": "M\u{0}im"}}));
    assert_eq!((order.notes.as_deref(), order.customer_name.as_str()), (Some("ab"), "Mim"));
    let half = body(json!({"note": "HALF"})).to_string().replace("HALF", r"half \ud83c");
    assert_eq!(normalise(half.as_bytes()).unwrap().notes.as_deref(), Some(r"half \ud83c"));
}
