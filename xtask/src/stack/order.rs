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
    /// Answers of the product page.
    pub properties: Vec<(String, String)>,
}

impl Line {
    /// A line without properties.
    pub fn new(title: &str, variant: &str, quantity: u32) -> Line {
        Line { title: title.into(), variant: variant.into(), quantity, properties: Vec::new() }
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
        line["sku"] = format!("CAKE-{:03}", id % 1000).into();
        for count in ["quantity", "current_quantity", "fulfillable_quantity"] {
            line[count] = self.quantity.into();
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
        }
    }

    /// The same with other lines.
    pub fn lines(self, lines: Vec<Line>) -> Order {
        Order { lines, ..self }
    }

    /// The body of an `orders/create`.
    pub fn body(&self) -> Value {
        let mut body = template("order");
        body["id"] = self.id.into();
        body["admin_graphql_api_id"] = format!("gid://shopify/Order/{}", self.id).into();
        body["name"] = format!("#{}", self.number).into();
        body["order_number"] = self.number.into();
        body["number"] = (self.number - 1000).into();
        body["order_status_url"] =
            format!("https://{}/5483800/orders/c0ffee/authenticate?key=abc", self.shop_domain).into();
        body["total_price"] =
            format!("{}.00", self.lines.iter().map(|line| 95 * line.quantity).sum::<u32>()).into();
        for person in ["billing_address", "shipping_address", "customer"] {
            body[person]["first_name"] = self.customer.clone().into();
            body[person]["name"] = self.customer.clone().into();
        }
        if let (Some(due), Some(attributes)) = (&self.due, body["note_attributes"].as_array_mut()) {
            attributes.push(json!({"name": "Local Delivery Date and Time", "value": due}));
        }
        body["line_items"] =
            (1..).zip(&self.lines).map(|(position, line)| line.body(self.id * 2 + position)).collect();
        body
    }
}

/// A piece of a real-shaped body, to be filled in.
fn template(piece: &str) -> Value {
    let mut pieces: Value = serde_json::from_str(include_str!("order.json")).expect("order.json is JSON");
    pieces[piece].take()
}
