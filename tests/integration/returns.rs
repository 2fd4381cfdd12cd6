//! What customers bring back: it counts once, whether we hear of it after the order or with it. What is on the shelf
//! again after a known order: [`crate::stock`].

use serde_json::{Value, json};

use crate::stock::walnut;
use crate::support::shop::{Shop, audited, id, line};
use crate::support::*;

/// An order of two pieces that Shopify has handed over, and the same after one came back.
fn brought_back(shop: &Shop, sku: &str, pos: bool) -> (Value, Value) {
    let mut order = shop.order(&[line(sku, "accessory", 2)]);
    order["pos"] = json!(pos);
    order["lines"][0]["fulfilled"] = json!(true);
    let mut refunded = order.clone();
    refunded["updated_at"] = json!("2026-11-21T10:00:00Z");
    refunded["refund_lines"] = json!([{
        "refund_line_id": id(), "line_id": order["lines"][0]["line_id"], "quantity": 1, "restock_type": "return",
        "location_id": 71, "refunded_at": "2026-11-21T09:00:00Z",
    }]);
    (order, refunded)
}

#[test]
fn what_came_back_before_we_knew_of_its_order_is_not_put_on_the_shelf_a_second_time() {
    run(async {
        let shop = walnut().await;
        for (sku, pos) in [("BACK-SENT", false), ("BACK-POS", true)] {
            shop.item(sku, "accessory", 10.0).await;
            // Two left and one came back: by two webhooks, and by the second alone.
            let (order, refunded) = brought_back(shop, sku, pos);
            shop.take(&order).await;
            assert_eq!(shop.stock(sku).await, "8 0 0 8");
            shop.take(&refunded).await;
            assert_eq!(shop.stock(sku).await, "9 0 0 9");
            shop.take(&brought_back(shop, sku, pos).1).await;
            assert_eq!(shop.stock(sku).await, "8 0 0 8", "{sku}");
        }
        assert_eq!(audited("BACK-").await, [""; 0]);
    });
}

#[test]
fn what_came_back_before_it_is_packed_here_is_free_once() {
    run(async {
        let shop = walnut().await;
        shop.item("BACK-EARLY", "accessory", 10.0).await;
        let (mut order, mut refunded) = brought_back(shop, "BACK-EARLY", false);
        for order in [&mut order, &mut refunded] {
            order["lines"][0]["fulfilled"] = json!(false);
        }
        shop.take(&order).await;
        assert_eq!(shop.stock("BACK-EARLY").await, "10 2 0 8");
        shop.take(&refunded).await;
        assert_eq!(shop.stock("BACK-EARLY").await, "10 1 0 9");
        refunded["lines"][0]["fulfilled"] = json!(true);
        refunded["updated_at"] = json!("2026-11-21T11:00:00Z");
        shop.take(&refunded).await;
        assert_eq!(shop.stock("BACK-EARLY").await, "9 0 0 9");
    });
}
