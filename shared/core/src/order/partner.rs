//! The order that a partner sends to `POST /api/v1/orders`.
//!
//! The caller is a program that can be put right, so nothing is guessed or cut here: what is wrong is refused,
//! all of it at once. Not here: who the partner is, and what the database makes of the order.

use serde::Serialize;

use super::answers::{MAX_PROPERTIES, properties, wishes};
use super::date;
use super::flags::{Flags, NOTES, SHORT, same};
use super::kind::kind;
use super::{DeliveryMethod, Flag, Kind, Property};
use crate::body::{FieldError, Pairs, Part as _, Raw, document, id, integer, trim};
use crate::json::Json;

/// The most products, and the most units of them all, that are taken in one order.
const MAX_PRODUCTS: usize = 100;
const MAX_UNITS: i64 = 500;

/// The most errors that are told: whoever has more of them has the wrong document.
const MAX_ERRORS: usize = 100;

/// An order of a partner's, checked: like [`super::Order`], without what only Shopify knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartnerOrder {
    /// The code of the store.
    pub store: String,
    /// What the partner names the request by: sent again under it, it is the same order.
    pub idempotency_key: Option<String>,
    /// Shopify's number of the order, where it is one of Shopify's.
    pub shopify_order_id: Option<i64>,
    /// `gid://shopify/Order/<id>`; there where the id is.
    pub shopify_order_gid: Option<String>,
    /// The digits that people read; none where the database shall choose them.
    pub number: Option<i64>,
    /// Who it is for.
    pub customer_name: String,
    /// `YYYY-MM-DD`; none is flagged.
    pub due_date: Option<String>,
    /// How the order leaves the bakery; for pickup unless it says otherwise.
    pub delivery_method: DeliveryMethod,
    /// What else there is to know.
    pub notes: Option<String>,
    /// What a person should look at; sorted, each once.
    pub flags: Vec<Flag>,
    /// What is ordered, in the body's order.
    pub lines: Vec<PartnerLine>,
}

/// A product in it: like [`super::Line`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartnerLine {
    /// Product id at Shopify, where the partner knows it.
    pub product_id: Option<i64>,
    /// Stock keeping unit, trimmed.
    pub sku: Option<String>,
    /// The product's title.
    pub title: String,
    /// The variant's title.
    pub variant_title: Option<String>,
    /// What the title says it is: a guess, which a product's own row overrules.
    pub kind: Kind,
    /// How many.
    pub quantity: i32,
    /// Size of the cake, from the variant; none for what is ignored.
    pub size: Option<String>,
    /// Flavour of the cake, from the variant, else from a property; none for what is ignored.
    pub flavour: Option<String>,
    /// What is written on the cake, several texts joined with ` / `; none for what is ignored.
    pub cake_writing: Option<String>,
    /// The properties that are filled in, blank and technical ones left out.
    pub properties: Vec<Property>,
}

/// Reads a partner's order.
///
/// # Errors
///
/// Every [`FieldError`] there is, up to a hundred; a field that is not known is one too.
pub fn read(body: &[u8]) -> Result<PartnerOrder, Vec<FieldError>> {
    let document = document(body).map_err(|error| vec![error])?;
    let mut form = Form::default();
    let order = order(document.root(), &mut form);
    if form.errors.is_empty() { Ok(order) } else { Err(form.errors) }
}

fn order(body: Json<'_>, form: &mut Form) -> PartnerOrder {
    let [
        store,
        customer_name,
        due_date,
        products,
        shopify_id,
        shopify_gid,
        number,
        delivery_method,
        notes,
        idempotency_key,
    ] = form.object(
        body,
        [
            "store",
            "customer_name",
            "due_date",
            "products",
            "shopify_order_id",
            "shopify_order_gid",
            "number",
            "delivery_method",
            "notes",
            "idempotency_key",
        ],
    );
    let shopify_order_id = form.shopify_id(shopify_id, shopify_gid);
    PartnerOrder {
        store: form.store(store),
        customer_name: form.needed("customer_name", customer_name),
        due_date: form.due_date(due_date),
        shopify_order_id,
        shopify_order_gid: shopify_order_id.map(super::shopify::gid),
        number: form.number(number),
        delivery_method: form.delivery_method(delivery_method),
        notes: form.text("notes", notes, NOTES, "a text of at most 5000 characters"),
        idempotency_key: idempotency_key.map(|key| form.needed("idempotency_key", Some(key))),
        lines: form.lines(products),
        flags: std::mem::take(&mut form.flags.0),
    }
}

/// What was found wrong, and where in the body the reading is.
#[derive(Default)]
struct Form {
    errors: Vec<FieldError>,
    flags: Flags,
    /// The product that is read now.
    product: Option<usize>,
}

impl Form {
    fn wrong(&mut self, path: &str, expected: &'static str) {
        let error = FieldError::new(path, expected);
        if self.errors.len() < MAX_ERRORS {
            self.errors.push(match self.product {
                Some(index) => error.of_item("products", index),
                None if path.is_empty() => FieldError::new("the body", expected),
                None => error,
            });
        }
    }

    /// The fields of these names, and nothing else.
    fn object<'a, const N: usize>(&mut self, json: Json<'a>, names: [&str; N]) -> [Raw<'a>; N] {
        for (name, _) in json.entries().into_iter().flatten() {
            let name = name.text();
            if !names.contains(&&*name) {
                let name: String = name.chars().take(64).collect();
                self.wrong(&name, "no field of this name");
            }
        }
        json.fields(names).unwrap_or_else(|| {
            self.wrong("", "an object with each field once");
            [None; N]
        })
    }

    /// A text that is not too long; none where it is absent or blank.
    fn text(&mut self, path: &str, raw: Raw<'_>, most: usize, expected: &'static str) -> Option<String> {
        let text = raw?.string();
        match text.as_deref().map(trim) {
            Some("") => None,
            Some(text) if text.chars().count() <= most => Some(self.flags.keep(text, most)),
            _ => {
                self.wrong(path, expected);
                None
            }
        }
    }

    fn short(&mut self, path: &str, raw: Raw<'_>) -> Option<String> {
        self.text(path, raw, SHORT, "a text of at most 255 characters")
    }

    /// The same, which must be there.
    fn needed(&mut self, path: &str, raw: Raw<'_>) -> String {
        const EXPECTED: &str = "a text of 1 to 255 characters";
        let before = self.errors.len();
        self.text(path, raw, SHORT, EXPECTED).unwrap_or_else(|| {
            if self.errors.len() == before {
                self.wrong(path, EXPECTED);
            }
            String::new()
        })
    }

    fn store(&mut self, raw: Raw<'_>) -> String {
        let text = raw.and_then(Json::string).unwrap_or_default();
        let form = (1..=32).contains(&text.len())
            && text.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
        if !form {
            self.wrong("store", "the code of a store");
            return String::new();
        }
        text.into_owned()
    }

    fn id(&mut self, path: &str, raw: Raw<'_>, kind: &str) -> Option<i64> {
        id(path, raw, kind).unwrap_or_else(|error| {
            self.wrong(path, error.expected);
            None
        })
    }

    /// A number, not in a string; none where it is another value or out of range.
    fn within(raw: Raw<'_>, most: i64) -> Option<i64> {
        raw.filter(|raw| raw.string().is_none()).and_then(integer).filter(|found| (1..=most).contains(found))
    }

    fn number(&mut self, raw: Raw<'_>) -> Option<i64> {
        let number = Form::within(raw, i64::MAX);
        if raw.is_some() && number.is_none() {
            self.wrong("number", "a positive integer");
        }
        number
    }

    /// The id of Shopify's order, whichever way it is told; told both ways, they must agree.
    fn shopify_id(&mut self, id: Raw<'_>, gid: Raw<'_>) -> Option<i64> {
        let told = gid.is_some();
        let gid = gid.and_then(Json::string).filter(|gid| gid.starts_with("gid://")).and(gid);
        let of_gid = crate::body::id("", gid, "Order").ok().flatten();
        if told && of_gid.is_none() {
            self.wrong("shopify_order_gid", "gid://shopify/Order/ and the id");
        }
        let id = self.id("shopify_order_id", id, "Order");
        if id.is_some() && of_gid.is_some() && id != of_gid {
            self.wrong("shopify_order_gid", "the gid of shopify_order_id");
        }
        id.or(of_gid)
    }

    fn due_date(&mut self, raw: Raw<'_>) -> Option<String> {
        let Some(raw) = raw else {
            self.flags.raise(Flag::NoDueDate);
            return None;
        };
        let day = raw.string().and_then(|text| date::parse_iso(&text).ok());
        if day.is_none() {
            self.wrong("due_date", "a day from 2000 to 2100 as YYYY-MM-DD");
        }
        day.map(|day| day.to_string())
    }

    fn delivery_method(&mut self, raw: Raw<'_>) -> DeliveryMethod {
        let text = raw.and_then(Json::string);
        match text.as_deref() {
            Some(text) if same(text, "delivery") => return DeliveryMethod::Delivery,
            Some(text) if same(text, "pickup") => {}
            _ if raw.is_none() => {}
            _ => self.wrong("delivery_method", "Pickup or Delivery"),
        }
        DeliveryMethod::Pickup
    }

    fn lines(&mut self, raw: Raw<'_>) -> Vec<PartnerLine> {
        let products: Vec<_> =
            raw.and_then(Json::items).into_iter().flatten().take(MAX_PRODUCTS + 1).collect();
        if !(1..=MAX_PRODUCTS).contains(&products.len()) {
            self.wrong("products", "a list of 1 to 100 products");
            return Vec::new();
        }
        let mut lines = Vec::with_capacity(products.len());
        for (index, product) in products.into_iter().enumerate() {
            self.product = Some(index);
            lines.push(self.line(product));
        }
        self.product = None;
        if lines.iter().map(|line| i64::from(line.quantity)).sum::<i64>() > MAX_UNITS {
            self.wrong("products", "at most 500 units in all");
        }
        lines
    }

    fn line(&mut self, product: Json<'_>) -> PartnerLine {
        let [title, quantity, sku, product_id, variant_title, answers] =
            self.object(product, ["title", "quantity", "sku", "product_id", "variant_title", "properties"]);
        let title = self.needed("title", title);
        let variant_title = self.short("variant_title", variant_title);
        let properties = self.properties(answers);
        let kind = kind(&title);
        let wishes = match kind {
            Kind::Ignored => Default::default(),
            _ => wishes(variant_title.as_deref(), &properties, &mut self.flags),
        };
        PartnerLine {
            product_id: self.id("product_id", product_id, "Product"),
            sku: self.short("sku", sku),
            kind,
            title,
            variant_title,
            quantity: self.quantity(quantity),
            size: wishes.size,
            flavour: wishes.flavour,
            cake_writing: wishes.writing,
            properties,
        }
    }

    fn quantity(&mut self, raw: Raw<'_>) -> i32 {
        let units = Form::within(raw, MAX_UNITS).and_then(|units| units.try_into().ok());
        units.unwrap_or_else(|| {
            self.wrong("quantity", "an integer from 1 to 500");
            0
        })
    }

    fn properties(&mut self, raw: Raw<'_>) -> Vec<Property> {
        let count = raw.and_then(Json::items).map_or(0, Iterator::count);
        let pairs = raw.map(|raw| {
            let objects = raw.items().is_some_and(|mut items| items.all(|item| item.entries().is_some()));
            if objects { Pairs::read(raw) } else { Err(raw) }
        });
        match pairs.transpose() {
            Ok(pairs) if count <= MAX_PROPERTIES => return properties(pairs.as_ref(), &mut self.flags),
            _ => self.wrong("properties", "a list of at most 100 objects with a name and a value"),
        }
        Vec::new()
    }
}

#[cfg(test)]
mod tests;
