//! What a delivery of Shopify's says, by topic.
//!
//! The topic is a header and not signed: it only names the shape in which the body is read, and the body
//! decides. Not here: what the database makes of it.

use std::borrow::Cow;

use serde::Serialize;

use crate::body::{
    FieldError, Part as _, document, filled, host, id, integer, list, misshapen, needed_id, needed_instant,
};
use crate::json::{Document, Json};
use crate::order::shopify::body::RefundBody;
use crate::order::shopify::{normalise, refund_lines};
use crate::order::{Flags, Kind, Order, RefundLine, SHORT, kind};

/// What a delivery says: the `content` of the `ingest` RPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Content {
    /// An order, whole, as it is now.
    Order(Box<Order>),
    /// What was refunded of an order.
    Refund(Refund),
    /// That an order was edited: how, it does not say.
    Edit(Edit),
    /// A product, as it is now.
    Product(Product),
    /// The stock that Shopify shows of an item at a location.
    Level(Level),
    /// That the app was removed from the store: nothing will be delivered any more.
    Uninstalled(Uninstalled),
    /// A topic that is not acted on.
    Ignored,
}

/// A refund.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refund {
    /// The order that it takes from.
    pub shopify_order_id: i64,
    /// What was refunded; empty where it was only money.
    pub refund_lines: Vec<RefundLine>,
}

/// An edited order, which must be fetched to know what it is now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Edit {
    /// The order.
    pub shopify_order_id: i64,
}

/// A product of the shop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Product {
    /// Shopify's id of it.
    pub product_id: i64,
    /// Its title; "Untitled" where it has none.
    pub title: String,
    /// What the title says it is: a guess.
    pub kind: Kind,
    /// Where its first picture is, over HTTPS.
    pub image_url: Option<String>,
    /// The version of this body, RFC 3339.
    pub updated_at: String,
    /// The stock keeping units of its variants, in their order, blank ones left out.
    pub skus: Vec<String>,
}

/// A stock level.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Level {
    /// Shopify's id of what is counted.
    pub inventory_item_id: i64,
    /// Shopify's id of where.
    pub location_id: i64,
    /// How many can be sold; none where Shopify does not count it there.
    pub available: Option<i64>,
    /// When Shopify changed it, RFC 3339.
    pub updated_at: String,
}

/// The app was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Uninstalled {
    /// The store's `myshopify.com` domain, lower case, where the body names it.
    pub myshopify_domain: Option<String>,
}

/// The most variants of a product that are looked at: Shopify's own limit.
pub(crate) const MAX_VARIANTS: usize = 2_048;

/// The longest address of a picture that is kept, in bytes.
const MAX_URL: usize = 2_000;

/// Reads a delivery's body in the shape that the topic names; what an unknown topic carries is not looked at.
///
/// # Errors
///
/// [`FieldError`] when the body is not JSON or lacks what its shape must have. Sending it again cannot help.
pub fn content(topic: &str, body: &[u8]) -> Result<Content, FieldError> {
    let read = match topic {
        "orders/create"
        | "orders/updated"
        | "orders/cancelled"
        | "orders/cancel"
        | "orders/paid"
        | "orders/fulfilled"
        | "orders/partially_fulfilled" => {
            return Ok(Content::Order(Box::new(normalise(body)?)));
        }
        "refunds/create" => refund,
        "orders/edited" => edit,
        "products/update" => product,
        "inventory_levels/update" => level,
        "app/uninstalled" => uninstalled,
        _ => return Ok(Content::Ignored),
    };
    read(&document(body)?)
}

fn refund(document: &Document<'_>) -> Result<Content, FieldError> {
    of_kind(document.root(), "Refund")?;
    let body = RefundBody::read(document.root()).map_err(|part| misshapen(part, "the shape of a refund"))?;
    Ok(Content::Refund(Refund {
        shopify_order_id: needed_id("order_id", body.order_id, "Order")?,
        refund_lines: refund_lines(&[body], &mut Flags::default())?,
    }))
}

/// Refuses a body that says itself that it is something else: the topic is not signed.
fn of_kind(root: Json<'_>, kind: &str) -> Result<(), FieldError> {
    id("admin_graphql_api_id", root.field("admin_graphql_api_id"), kind).map(drop)
}

fn edit(document: &Document<'_>) -> Result<Content, FieldError> {
    let order = document.root().field("order_edit").and_then(|edit| edit.field("order_id"));
    Ok(Content::Edit(Edit { shopify_order_id: needed_id("order_edit.order_id", order, "Order")? }))
}

fn product(document: &Document<'_>) -> Result<Content, FieldError> {
    const SHAPE: &str = "the shape of a product";
    let root = document.root();
    let fields = root.fields(["id", "title", "image", "images", "updated_at", "variants"]);
    let [product, title, image, images, updated_at, variants] =
        fields.ok_or_else(|| misshapen(root, SHAPE))?;
    let items = |raw| match raw {
        Some(raw) => list(raw).map_err(|part| misshapen(part, SHAPE)),
        None => Ok(Vec::new()),
    };
    of_kind(root, "Product")?;
    let mut sources = Vec::from_iter(image);
    sources.extend(items(images)?);
    let pictures = sources.into_iter().filter_map(|source| source.field("src"));
    let mut product = product_of(needed_id("id", product, "Product")?, title, pictures, updated_at)?;
    let mut flags = Flags::default();
    for variant in items(variants)?.into_iter().take(MAX_VARIANTS) {
        product.skus.extend(flags.text(variant.field("sku"), SHORT));
    }
    Ok(Content::Product(product))
}

/// A product without its SKUs, with the first of the pictures that can be kept.
pub(crate) fn product_of<'a>(
    product_id: i64,
    title: Option<Json<'a>>,
    pictures: impl IntoIterator<Item = Json<'a>>,
    updated_at: Option<Json<'a>>,
) -> Result<Product, FieldError> {
    let mut flags = Flags::default();
    let title = flags.text(title, SHORT).unwrap_or_else(|| "Untitled".to_owned());
    let secure = |url: &Cow<'_, str>| url.starts_with("https://") && url.len() <= MAX_URL;
    let image_url = pictures.into_iter().find_map(|url| filled(Some(url)).filter(secure));
    Ok(Product {
        product_id,
        kind: kind(&title),
        title,
        image_url: image_url.map(|url| flags.keep(&url, MAX_URL)),
        updated_at: needed_instant("updated_at", updated_at)?,
        skus: Vec::new(),
    })
}

fn level(document: &Document<'_>) -> Result<Content, FieldError> {
    let root = document.root();
    let available = match root.field("available") {
        None => None,
        Some(units) => Some(integer(units).ok_or_else(|| FieldError::new("available", "a 64-bit integer"))?),
    };
    Ok(Content::Level(Level {
        inventory_item_id: needed_id("inventory_item_id", root.field("inventory_item_id"), "InventoryItem")?,
        location_id: needed_id("location_id", root.field("location_id"), "Location")?,
        available,
        updated_at: needed_instant("updated_at", root.field("updated_at"))?,
    }))
}

fn uninstalled(document: &Document<'_>) -> Result<Content, FieldError> {
    Ok(Content::Uninstalled(Uninstalled {
        myshopify_domain: host(document.root().field("myshopify_domain")),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[track_caller]
    fn check(topic: &str, body: Value, expected: Value) {
        let found = match content(topic, body.to_string().as_bytes()) {
            Ok(content) => serde_json::to_value(content).unwrap(),
            Err(refused) => json!(refused.to_string()),
        };
        assert_eq!(found, expected, "{topic} {body}");
    }

    #[test]
    fn the_body_decides_and_the_topic_names_its_shape() {
        let body = json!({
            "id": 5001, "order_number": 1001, "total_price": "85.00", "line_items": [],
            "created_at": "2025-12-01T09:00:00+11:00", "updated_at": "2025-12-01T09:00:05+11:00",
        })
        .to_string();
        let expected = normalise(body.as_bytes()).unwrap();
        assert_eq!(expected.cancelled_at, None);
        for topic in ["create", "updated", "cancelled", "cancel", "paid", "fulfilled", "partially_fulfilled"]
        {
            let found = content(&["orders/", topic].concat(), body.as_bytes());
            assert_eq!(found, Ok(Content::Order(Box::new(expected.clone()))), "{topic}");
        }
        for topic in ["", "orders", "orders/delete", "Orders/create", "carts/update", "\0"] {
            assert_eq!(content(topic, b"\xff"), Ok(Content::Ignored));
        }
        check("carts/update", json!(null), json!("ignored"));
    }

    #[test]
    fn a_refund_names_its_order_and_lines() {
        check(
            "refunds/create",
            json!({"id": 1, "order_id": 5001, "created_at": "2025-12-02T09:00:00Z", "processed_at": null,
                "refund_line_items": [{"id": 61, "line_item_id": 7001, "quantity": 1, "restock_type": "return",
                    "location_id": 71, "line_item": {"id": 7001, "title": "Cake"}}]}),
            json!({"refund": {"shopify_order_id": 5001, "refund_lines": [{"refund_line_id": 61, "line_id": 7001,
                "quantity": 1, "restock_type": "return", "location_id": 71, "refunded_at": "2025-12-02T09:00:00Z"}]}}),
        );
        check(
            "refunds/create",
            json!({"order_id": 5001, "refund_line_items": []}),
            json!({"refund": {"shopify_order_id": 5001, "refund_lines": []}}),
        );
        check("refunds/create", json!({}), json!("order_id: expected a value"));
        check("refunds/create", json!([]), json!("line 1, column 2: expected the shape of a refund"));
    }

    #[test]
    fn an_edit_names_its_order_alone() {
        let edit = json!({"order_edit": {"id": 1, "order_id": 5001, "line_items": {"additions": [], "removals": []}}});
        check("orders/edited", edit, json!({"edit": {"shopify_order_id": 5001}}));
        check("orders/edited", json!({"order_edit": {}}), json!("order_edit.order_id: expected a value"));
        check("orders/edited", json!({"order_edit": 1}), json!("order_edit.order_id: expected a value"));
    }

    #[test]
    fn a_product_has_a_kind_a_picture_and_skus() {
        let image = |src: &str| json!({"src": src});
        for (image_, images, expected) in [
            (
                image("https://cdn.example/a.jpg"),
                json!([image("https://cdn.example/b.jpg")]),
                Some("https://cdn.example/a.jpg"),
            ),
            (
                json!(null),
                json!([image("http://cdn.example/b.jpg"), image("https://cdn.example/c.jpg")]),
                Some("https://cdn.example/c.jpg"),
            ),
            (image(&format!("https://{}", "a".repeat(2_000))), json!([]), None),
            (image("javascript:alert(1)"), json!(null), None),
        ] {
            check(
                "products/update",
                json!({"id": 8, "title": " Matcha Cake ", "updated_at": "2025-12-02T09:00:00Z", "image": image_, "images": images,
                    "variants": [{"sku": " MC-1 "}, {"sku": ""}, {"sku": null}, {}, {"sku": "MC-2"}]}),
                json!({"product": {"product_id": 8, "title": "Matcha Cake", "kind": "cake", "image_url": expected,
                    "updated_at": "2025-12-02T09:00:00Z", "skus": ["MC-1", "MC-2"]}}),
            );
        }
        check("products/update", json!({"id": 8}), json!("updated_at: expected a value"));
        let order = json!({"id": 8, "admin_graphql_api_id": "gid://shopify/Order/8", "updated_at": "2025-12-02T09:00:00Z"});
        check("products/update", order, json!("admin_graphql_api_id: expected a positive 64-bit integer"));
    }

    #[test]
    fn a_level_may_be_negative_or_not_counted() {
        for (available, expected) in
            [(json!(-3), json!(-3)), (json!("12"), json!(12)), (json!(null), json!(null))]
        {
            check(
                "inventory_levels/update",
                json!({"inventory_item_id": 5, "location_id": 71, "available": available, "updated_at": "2025-12-02T09:00:00Z"}),
                json!({"level": {"inventory_item_id": 5, "location_id": 71, "available": expected, "updated_at": "2025-12-02T09:00:00Z"}}),
            );
        }
        let half = json!({"inventory_item_id": 5, "location_id": 71, "available": 0.5, "updated_at": "2025-12-02T09:00:00Z"});
        check("inventory_levels/update", half, json!("available: expected a 64-bit integer"));
        check(
            "inventory_levels/update",
            json!({"location_id": 7}),
            json!("inventory_item_id: expected a value"),
        );
    }

    #[test]
    fn an_uninstalled_app_may_name_the_store() {
        for (domain, expected) in [
            (json!("Bannos.myshopify.com"), json!("bannos.myshopify.com")),
            (json!(null), json!(null)),
            (json!("not a host"), json!(null)),
        ] {
            let body = json!({"id": 1, "myshopify_domain": domain});
            check("app/uninstalled", body, json!({"uninstalled": {"myshopify_domain": expected}}));
        }
    }
}
