//! Orders as Shopify sends them: the REST shape, with everything around that nobody reads, so that what is
//! tested and measured has a real body's size. The people in them are invented.

use serde_json::{Value, json};

/// An order to be made up; the defaults are one cake for pickup.
#[derive(Debug, Clone)]
pub struct Order {
    /// Shopify's id.
    pub id: i64,
    /// The number that people read.
    pub number: i64,
    /// The store's domain.
    pub shop_domain: String,
    /// The customer's name.
    pub customer: String,
    /// The due date as the shop writes it, with the window; none leaves the attribute out.
    pub due: Option<String>,
    /// What was bought.
    pub lines: Vec<Line>,
    /// Which version of it this is: how many minutes after it was placed it was changed.
    pub minute: u32,
    /// The minute at which it was cancelled.
    pub cancelled: Option<u32>,
    /// What was refunded of it.
    pub refunds: Vec<Refund>,
}

/// A line of an order to be made up.
#[derive(Debug, Clone)]
pub struct Line {
    /// The product's title.
    pub title: String,
    /// The variant's title.
    pub variant: String,
    /// How many.
    pub quantity: u32,
    /// How many of them were taken off again; the quantity keeps them.
    pub removed: u32,
    /// Its SKU; one like the others where there is none.
    pub sku: Option<String>,
    /// Answers of the product page.
    pub properties: Vec<(String, String)>,
}

/// Units of a line that were refunded.
#[derive(Debug, Clone)]
pub struct Refund {
    /// Of which line, the first being 0.
    pub line: usize,
    /// How many.
    pub units: u32,
    /// When, in minutes after the order was placed.
    pub minute: u32,
}

impl Line {
    /// A line without properties.
    pub fn new(title: &str, variant: &str, quantity: u32) -> Line {
        let (title, variant, properties) = (title.into(), variant.into(), Vec::new());
        Line { title, variant, quantity, removed: 0, sku: None, properties }
    }

    /// The same with an SKU of its own.
    pub fn sku(self, sku: String) -> Line {
        Line { sku: Some(sku), ..self }
    }

    /// The same with an answer of the product page.
    pub fn with(mut self, name: &str, value: &str) -> Line {
        self.properties.push((name.into(), value.into()));
        self
    }

    fn body(&self, id: i64) -> Value {
        let mut line = template("line");
        line["id"] = id.into();
        line["admin_graphql_api_id"] = format!("gid://shopify/LineItem/{id}").into();
        line["name"] = format!("{} - {}", self.title, self.variant).into();
        line["title"] = self.title.clone().into();
        line["variant_title"] = self.variant.clone().into();
        line["product_id"] = (7_513_594_000_000 + id % 1000).into();
        line["variant_id"] = (42_513_594_000_000 + id % 1000).into();
        line["sku"] = self.sku.clone().unwrap_or_else(|| format!("CAKE-{:03}", id % 1000)).into();
        line["quantity"] = self.quantity.into();
        for count in ["current_quantity", "fulfillable_quantity"] {
            line[count] = (self.quantity - self.removed).into();
        }
        line["properties"] =
            self.properties.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        line
    }
}

impl Order {
    /// One cake for pickup.
    pub fn new(shop_domain: &str, number: i64) -> Order {
        Order {
            // Ids are above 2^53, as Shopify's are in its own samples.
            id: 4_410_491_455_973_000_000 + number * 100,
            number,
            shop_domain: shop_domain.into(),
            customer: "Mia Sample".into(),
            due: Some("15/12/2026 between 10:00 AM and 12:00 PM".into()),
            lines: vec![Line::new("Vanilla Bliss Cake", "Medium / Vanilla", 1)],
            minute: 0,
            cancelled: None,
            refunds: Vec::new(),
        }
    }

    /// The same with other lines.
    pub fn lines(self, lines: Vec<Line>) -> Order {
        Order { lines, ..self }
    }

    /// The same as it was changed so many minutes after it was placed.
    pub fn at(self, minute: u32) -> Order {
        Order { minute, ..self }
    }

    /// The same after it was cancelled.
    pub fn cancelled(self, minute: u32) -> Order {
        Order { minute, cancelled: Some(minute), ..self }
    }

    /// The same after units of a line were refunded, the first line being 0.
    pub fn refunded(mut self, minute: u32, line: usize, units: u32) -> Order {
        self.minute = minute;
        self.lines[line].removed += units;
        self.refunds.push(Refund { line, units, minute });
        self
    }

    /// The bodies of the `refunds/create` of what was refunded of it.
    pub fn refund_bodies(&self) -> Vec<Value> {
        let body = |(index, refund): (i64, &Refund)| {
            let id = self.id * 2 + 50 + index;
            json!({
                "id": id, "order_id": self.id,
                "created_at": instant(refund.minute), "processed_at": instant(refund.minute),
                "note": "Customer changed their mind", "restock": true, "user_id": null,
                "order_adjustments": [], "duties": [],
                "refund_line_items": [{
                    "id": id, "line_item_id": self.line_id(refund.line), "quantity": refund.units,
                    "restock_type": "cancel", "location_id": 70001, "subtotal": "95.00", "total_tax": "8.64",
                }],
                "transactions": [],
            })
        };
        (0..).zip(&self.refunds).map(body).collect()
    }

    fn line_id(&self, line: usize) -> i64 {
        self.id * 2 + 1 + line as i64
    }

    /// The body of an `orders/create`, and of every other topic that carries the whole order.
    pub fn body(&self) -> Value {
        let mut body = template("order");
        body["id"] = self.id.into();
        body["admin_graphql_api_id"] = format!("gid://shopify/Order/{}", self.id).into();
        body["name"] = format!("#{}", self.number).into();
        body["order_number"] = self.number.into();
        body["number"] = (self.number - 1000).into();
        body["order_status_url"] =
            format!("https://{}/5483800/orders/c0ffee/authenticate?key=abc", self.shop_domain).into();
        let total = format!("{}.00", self.lines.iter().map(|line| 95 * line.quantity).sum::<u32>());
        for money in ["shop_money", "presentment_money"] {
            body["total_price_set"][money]["amount"] = total.clone().into();
        }
        body["total_price"] = total.into();
        for person in ["billing_address", "shipping_address", "customer"] {
            body[person]["first_name"] = self.customer.clone().into();
            body[person]["name"] = self.customer.clone().into();
        }
        body["updated_at"] = instant(self.minute).into();
        if let Some(minute) = self.cancelled {
            body["cancelled_at"] = instant(minute).into();
            body["cancel_reason"] = "customer".into();
        }
        body["refunds"] = self.refund_bodies().into();
        if let (Some(due), Some(attributes)) = (&self.due, body["note_attributes"].as_array_mut()) {
            attributes.push(json!({"name": "Local Delivery Date and Time", "value": due}));
        }
        body["line_items"] =
            self.lines.iter().enumerate().map(|(index, line)| line.body(self.line_id(index))).collect();
        body
    }
}

/// So many minutes after the orders were placed, on the same day, as Shopify writes it.
fn instant(minute: u32) -> String {
    let minute = 9 * 60 + 30 + minute;
    format!("2026-11-20T{:02}:{:02}:00+11:00", minute / 60, minute % 60)
}

/// A piece of a real-shaped body, to be filled in.
fn template(piece: &str) -> Value {
    let mut pieces: Value = serde_json::from_str(include_str!("order.json")).expect("order.json is JSON");
    pieces[piece].take()
}
