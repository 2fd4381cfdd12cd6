//! What people may do with stock: correct it, define items and bills, and what is refused.

use serde_json::{Value, json};

use super::walnut;
use crate::support::shop::{audited, service};
use crate::support::*;

#[test]
fn people_correct_the_stock_and_the_ledger_shows_it() {
    run(async {
        let shop = walnut().await;
        shop.item("LED-BOX", "component", 5.0).await;
        let adjust = |delta: f64, reason: &str, key: Value| json!({"sku": "LED-BOX", "delta": delta, "reason": reason, "idempotency_key": key});
        let said = async |arguments: Value| {
            let answer = shop.admin.rpc("adjust_stock", arguments).await;
            answer.body["changed"].as_bool().map_or_else(|| answer.said(), |changed| changed.to_string())
        };
        assert_eq!(said(adjust(-6.0, "damaged", json!(null))).await, "422 INV003");
        assert_eq!(said(adjust(-1.5, "damaged", json!("a"))).await, "true");
        assert_eq!(said(adjust(-1.5, "damaged", json!("a"))).await, "false");
        assert_eq!(said(adjust(-1.0, "damaged", json!("a"))).await, "409 ORD005");
        assert_eq!(said(adjust(-5.0, "correction", json!(null))).await, "true");
        for (delta, reason) in [
            (1.0, "damaged"),
            (-1.0, "restock"),
            (0.0, "correction"),
            (1.0, "gift"),
            (0.0001, "restock"),
            (1e9, "restock"),
        ] {
            assert_eq!(said(adjust(delta, reason, json!(null))).await, "422 VAL001", "{delta} {reason}");
        }
        assert_eq!(shop.stock("LED-BOX").await, "-1.5 0 0 -2");
        for changed in [true, false] {
            let counted = shop.admin.does("count_stock", json!({"sku": "LED-BOX", "counted": 4})).await;
            assert_eq!(counted["changed"], json!(changed));
        }
        let receive = json!({"lines": [{"sku": "LED-BOX", "quantity": 2}], "idempotency_key": "b"});
        for changed in [true, false] {
            assert_eq!(shop.admin.does("receive_stock", receive.clone()).await["changed"], json!(changed));
        }
        let two = json!({"lines": [{"sku": "LED-BOX", "quantity": 2}, {"sku": "LED-NONE", "quantity": 2}]});
        assert_eq!(shop.admin.rpc("receive_stock", two).await.said(), "404 INV002");
        let page = shop.admin.does("stock_ledger", json!({"sku": "LED-BOX", "page_size": 2})).await;
        let before = page[1]["move_id"].clone();
        let rest = shop.admin.does("stock_ledger", json!({"sku": "LED-BOX", "before": before})).await;
        let moves: Vec<String> = [page, rest]
            .iter()
            .flat_map(|page| page.as_array().unwrap())
            .map(|row| format!("{} {} {}", row["reason"].as_str().unwrap(), row["delta"], row["on_hand"]))
            .collect();
        let expected = [
            "restock 2.000 6.000",
            "count 5.500 4.000",
            "correction -5.000 -1.500",
            "damaged -1.500 3.500",
            "count 5.000 5.000",
        ];
        let plain = |row: &str| row.replace(".000", "").replace(".500", ".5").replace(".0", "");
        assert_eq!(moves.iter().map(|row| plain(row)).collect::<Vec<_>>(), expected.map(plain));
        assert_eq!(audited("LED").await, [""; 0]);
    });
}

#[test]
fn who_may_do_what_with_stock() {
    run(async {
        let shop = walnut().await;
        shop.item("ROL-BOX", "component", 5.0).await;
        let order = shop.sell("ROL-BOX", "accessory", 1).await;
        let calls = [
            ("Staff", "list_items", json!({})),
            ("Staff", "low_stock", json!({})),
            ("Staff", "blocked_orders", json!({"store": "walnut"})),
            ("Staff", "stock_ledger", json!({"sku": "ROL-BOX"})),
            ("Staff", "get_inventory", json!({"skus": ["ROL-BOX"]})),
            ("Staff", "get_bom", json!({"sku": "ROL-BOX"})),
            ("Staff", "list_match_rules", json!({})),
            ("Supervisor", "adjust_stock", json!({"sku": "ROL-BOX", "delta": 1, "reason": "restock"})),
            ("Supervisor", "count_stock", json!({"sku": "ROL-BOX", "counted": 5})),
            ("Supervisor", "receive_stock", json!({"lines": [{"sku": "ROL-BOX", "quantity": 1}]})),
            ("Supervisor", "recheck_blocked", json!({"sku": "ROL-BOX"})),
            ("Supervisor", "remap_order", json!({"order_id": order})),
            ("Supervisor", "list_listings", json!({"store": "walnut"})),
            ("Supervisor", "drift_report", json!({"store": "walnut"})),
            ("Admin", "save_item", json!({"sku": "ROL-BOX", "name": "Box", "kind": "component"})),
            ("Admin", "set_buffer", json!({"sku": "ROL-BOX", "buffer": 1})),
            ("Admin", "set_bom", json!({"sku": "ROL-BOX", "lines": []})),
            ("Admin", "set_match_rule", json!({"sku": "ROL-BOX", "variant_sku": "ROL-BOX"})),
            ("Admin", "delete_match_rule", json!({"rule_id": 0})),
            ("Admin", "delete_item", json!({"sku": "ROL-NONE"})),
            (
                "Admin",
                "set_listing",
                json!({"sku": "ROL-BOX", "store": "walnut", "inventory_item_id": 1, "location_id": 1}),
            ),
        ];
        let roles = ["Staff", "Supervisor", "Admin"];
        let stranger = Person::new().await;
        for (at, role) in roles.iter().enumerate() {
            let person = Person::staff(role, Some("walnut")).await;
            for (least, name, arguments) in &calls {
                let allowed = at >= roles.iter().position(|role| role == least).unwrap();
                let answer = person.rpc(name, arguments.clone()).await;
                assert_eq!(answer.status, if allowed { 200 } else { 403 }, "{role} {name}: {answer:?}");
                assert_eq!(stranger.rpc(name, arguments.clone()).await.said(), "401 AUTH001", "{name}");
            }
        }
        let other = Person::staff("Admin", Some("bannos")).await;
        for name in ["blocked_orders", "list_listings", "drift_report"] {
            assert_eq!(other.rpc(name, json!({"store": "walnut"})).await.said(), "403 AUTH002", "{name}");
        }
        assert_eq!(other.rpc("remap_order", json!({"order_id": order})).await.said(), "403 AUTH002");
        assert_ne!(shop.admin.rpc("inventory", json!({"skus": ["ROL-BOX"]})).await.status, 200);
        assert_eq!(service("inventory", json!({"skus": ["ROL-BOX"]})).await.status, 200);
    });
}

#[test]
fn what_an_item_or_a_bill_cannot_be_is_refused() {
    run(async {
        let shop = walnut().await;
        for sku in ["BAD-A", "BAD-B"] {
            shop.item(sku, "product", 1.0).await;
        }
        let said = async |name: &str, arguments: Value| shop.admin.rpc(name, arguments).await.said();
        let bom = |sku: &str, lines: Value| json!({"sku": sku, "lines": lines});
        shop.admin.does("set_bom", bom("BAD-A", json!([{"sku": "BAD-B", "quantity": 1}]))).await;
        for lines in [
            json!([{"sku": "BAD-A", "quantity": 1}]),
            json!([{"sku": "BAD-B", "quantity": 1}]),
            json!({}),
            json!([{"sku": "BAD-A"}]),
            json!([{"sku": "BAD-A", "quantity": 0}]),
            json!([{"sku": "BAD-A", "quantity": 1, "stage": "Complete"}]),
            json!([{"sku": "BAD-A", "quantity": 1, "store": "nowhere"}]),
            json!([{"sku": "BAD-A", "quantity": 1, "colour": "red"}]),
        ] {
            assert_eq!(said("set_bom", bom("BAD-B", lines.clone())).await, "422 VAL001", "{lines}");
        }
        assert_eq!(
            said("set_bom", bom("BAD-B", json!([{"sku": "BAD-NONE", "quantity": 1}]))).await,
            "404 INV002"
        );
        for fields in [
            json!({"kind": "cloud"}),
            json!({"sku": " x"}),
            json!({"name": ""}),
            json!({"tracked": false}),
            json!({"buffer": -1}),
            json!({"active": null}),
        ] {
            let mut item = json!({"sku": "BAD-C", "name": "C", "kind": "component"});
            item.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            assert_eq!(said("save_item", item).await, "422 VAL001", "{fields}");
        }
        let untracked = json!({"sku": "BAD-A", "name": "A", "kind": "product", "tracked": false});
        assert_eq!(said("save_item", untracked).await, "422 INV003", "there is some");
        assert_eq!(said("delete_item", json!({"sku": "BAD-A"})).await, "422 INV003");
        assert_eq!(said("get_inventory", json!({"skus": ["BAD-A", "BAD-NONE"]})).await, "404 INV002");
        assert_eq!(said("get_inventory", json!({})).await, "422 VAL001");
        let rule = json!({"sku": "BAD-A", "keyword": "ab", "product_id": 1});
        assert_eq!(said("set_match_rule", rule).await, "422 VAL001");
        let direct = "update ordak.items set on_hand = 99 where sku = 'BAD-A'";
        assert!(queries().await.execute(direct, &[]).await.is_err(), "only moves change what is on hand");
    });
}
