//! Bodies under every topic and as a partner's: read or refused, and what comes out is no larger than they are.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ordak_core::content::content;
use ordak_core::order::partner;

const TOPICS: [&str; 7] = [
    "orders/updated",
    "refunds/create",
    "orders/edited",
    "products/update",
    "inventory_levels/update",
    "app/uninstalled",
    "carts/update",
];

fuzz_target!(|body: &[u8]| {
    let most = 1_000 + 12 * body.len();
    for topic in TOPICS {
        let size =
            content(topic, body).map_or_else(|refused| refused.to_string().len(), |content| size(&content));
        assert!(size <= most);
    }
    let size = partner::read(body).map_or_else(|refused| size(&refused), |order| size(&order));
    assert!(size <= most + 100 * 600);
});

fn size(value: &impl serde::Serialize) -> usize {
    serde_json::to_vec(value).map_or(0, |text| text.len())
}
