//! What a request asks of the inventory: its query string, read strictly.

use serde::Serialize;

use crate::error::{Code, Error};

/// The most SKUs of one request, and the most characters of one.
const MOST: usize = 100;

/// What is asked for: items by their SKUs, or the one that a product of Shopify's is.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
pub struct Asked {
    /// The SKUs, in the order that they are answered in.
    pub skus: Option<Vec<String>>,
    /// In their place, Shopify's id of a product.
    pub product_id: Option<i64>,
    /// In which store.
    pub store: Option<String>,
}

impl Asked {
    /// Whether the answer is a list.
    pub fn several(&self) -> bool {
        self.skus.as_ref().is_some_and(|skus| skus.len() > 1)
    }
}

/// Reads a query string: `sku`, up to 100 times, or `product_id`; and `store`.
///
/// # Errors
/// VAL001 with what was expected; 400 where it cannot even be decoded.
pub fn read(query: &str) -> Result<Asked, Error> {
    let (mut skus, mut products, mut stores) = (Vec::new(), Vec::new(), Vec::new());
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (Some(name), Some(value)) = (decode(name), decode(value)) else {
            return Err(invalid("percent-encoded UTF-8", "something else").status(400));
        };
        let values = match &*name {
            "sku" => &mut skus,
            "product_id" => &mut products,
            "store" => &mut stores,
            _ => return Err(invalid("the parameters sku, product_id and store alone", "another")),
        };
        if !(1..=MOST).contains(&value.chars().count()) || value.contains(char::is_control) {
            return Err(invalid("1 to 100 characters, none of them a control, in each parameter", "others"));
        }
        values.push(value);
    }
    if stores.len() > 1 {
        return Err(invalid("one store at most", &stores.len().to_string()));
    }
    let store = stores.pop();
    match (skus.len(), &*products) {
        (1..=MOST, []) => Ok(Asked { skus: Some(skus), product_id: None, store }),
        (0, [product]) => Ok(Asked { skus: None, product_id: Some(id(product)?), store }),
        (named, _) => {
            let found = format!("{named} and {}", products.len());
            Err(invalid("1 to 100 times sku, or once product_id", &found))
        }
    }
}

fn invalid(expected: &str, found: &str) -> Error {
    Error::new(Code::VAL001, format!("expected {expected}, but found {found}"))
        .hint("ask as in ?sku=CAKE-1&sku=CAKE-2&store=bannos, each value percent-encoded")
}

fn id(text: &str) -> Result<i64, Error> {
    // `parse` alone would also take a sign.
    let digits = Some(text).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    let id = digits.and_then(|digits| digits.parse().ok()).filter(|id| *id > 0);
    id.ok_or_else(|| invalid("Shopify's id of a product, a whole number from 1", "another product_id"))
}

/// A part of a query string as what it says, the way forms write it; none where it says nothing.
fn decode(part: &str) -> Option<String> {
    let mut bytes = part.bytes();
    let mut decoded = Vec::with_capacity(part.len());
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => digit(bytes.next()?)? << 4 | digit(bytes.next()?)?,
            _ => byte,
        });
    }
    String::from_utf8(decoded).ok()
}

fn digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn skus(skus: &[&str]) -> Asked {
        Asked { skus: Some(skus.iter().map(|sku| sku.to_string()).collect()), ..Asked::default() }
    }

    #[test]
    fn parameters_are_decoded_and_keep_their_order() {
        assert_eq!(read("sku=B&sku=A&sku=B"), Ok(skus(&["B", "A", "B"])));
        assert_eq!(read("&sku=a+b&&%73ku=a%2Bb%26%C3%a9=&"), Ok(skus(&["a b", "a+b&é="])));
        assert_eq!(read("sku=é"), Ok(skus(&["é"])));
        let store = Some("bannos".to_owned());
        assert_eq!(read("store=bannos&sku=A"), Ok(Asked { store: store.clone(), ..skus(&["A"]) }));
        let product = Asked { product_id: Some(7), store, skus: None };
        assert_eq!(read("product_id=7&store=bannos"), Ok(product));
    }

    #[test]
    fn anything_else_is_refused() {
        let long = format!("sku={}", "é".repeat(101));
        let many = "sku=A&".repeat(101);
        let table = [
            ("", 422),
            ("sku", 422),
            ("sku=", 422),
            ("store=bannos", 422),
            ("sku=A&product_id=1", 422),
            ("product_id=1&product_id=2", 422),
            ("sku=A&store=bannos&store=bannos", 422),
            ("sku=A&shop=bannos", 422),
            ("SKU=A", 422),
            ("sku=%00", 422),
            ("sku=A%0A", 422),
            (&*long, 422),
            (&*many, 422),
            ("product_id=0", 422),
            ("product_id=-1", 422),
            ("product_id=%2B1", 422),
            ("product_id=1.0", 422),
            ("product_id=9223372036854775808", 422),
            ("sku=%", 400),
            ("sku=%4", 400),
            ("sku=%zz", 400),
            ("sku=%+1", 400),
            ("sku=%ff", 400),
            ("%f=A", 400),
        ];
        for (query, status) in table {
            let error = read(query).unwrap_err();
            assert_eq!((error.code, error.status), (Code::VAL001, status), "{query}");
        }
        assert!(read(&many[..many.len() - 6]).is_ok());
        assert!(read(&long.replacen('é', "", 1)).is_ok());
    }

    proptest! {
        #[test]
        fn nothing_panics_and_what_is_encoded_is_read(text in "\\PC{1,100}", any in "[%+&=a-f0-9sku]{0,60}") {
            let _ = read(&any);
            let encoded: String = text.bytes().map(|byte| format!("%{byte:02x}")).collect();
            prop_assert_eq!(read(&format!("sku={encoded}")), Ok(skus(&[&text])));
        }
    }
}
