//! Lists of stock that are read page by page: none of their rows is left out or shown twice.

use serde_json::{Value, json};

use crate::support::*;

/// The SKUs of a page of what is low.
async fn low(admin: &Person, after: &Value, page_size: i64) -> Vec<String> {
    let page = json!({"kind": "topper", "after": after, "page_size": page_size});
    let rows = admin.does("low_stock", page).await;
    rows.as_array().unwrap().iter().map(|row| row["sku"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn what_is_low_is_listed_page_by_page() {
    run(async {
        let admin = Person::staff("Admin", None).await;
        let item = async |sku: &str, minimum: f64| {
            let item = json!({"sku": sku, "name": sku, "kind": "topper", "minimum": minimum});
            admin.does("save_item", item).await;
        };
        // So far below what others need that nothing of theirs stands between; two are equally so.
        for (sku, minimum) in [("PGE-C", 9_000.0), ("PGE-A", 9_002.5), ("PGE-D", 9_000.0), ("PGE-B", 9_001.0)]
        {
            item(sku, minimum).await;
        }
        let mut found = low(&admin, &Value::Null, 1).await;
        assert_eq!(found, ["PGE-A"]);
        // It stands before the place that the reader has come to.
        item("PGE-0", 9_003.0).await;
        while found.len() < 4 {
            let page = low(&admin, &json!(found.last()), 1).await;
            assert_eq!(page.len(), 1);
            found.extend(page);
        }
        assert_eq!(found, ["PGE-A", "PGE-B", "PGE-C", "PGE-D"]);
        assert_eq!(low(&admin, &Value::Null, 200).await[..5], ["PGE-0", "PGE-A", "PGE-B", "PGE-C", "PGE-D"]);
        let nothing = json!({"after": "PGE-NONE"});
        assert_eq!(admin.rpc("low_stock", nothing).await.said(), "404 INV002");
        let filled = "update ordak.items set minimum = 0, active = false where sku like 'PGE-%'";
        queries().await.batch_execute(filled).await.unwrap();
    });
}

#[test]
fn a_page_of_waiting_orders_after_one_that_is_not_there_is_refused() {
    run(async {
        let admin = Person::staff("Admin", None).await;
        let after = json!({"after": "bannos-1234567890"});
        assert_eq!(admin.rpc("blocked_orders", after).await.said(), "422 VAL001");
    });
}
