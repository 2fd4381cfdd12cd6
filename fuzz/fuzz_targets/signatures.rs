//! The signature headers: none of them may pass, for nobody here knows the secrets.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ordak_core::signature::{PartnerKeys, ShopifyKeys};

fuzz_target!(|input: (Option<String>, Option<String>, Option<String>, Vec<u8>, i64)| {
    let (id, timestamp, signatures, body, now) = input;
    let mut shopify = ShopifyKeys::default();
    shopify.add(None, "8d4f1c,27b0ae");
    assert!(shopify.verify(&body, signatures.as_deref()).is_err());
    let mut partners = PartnerKeys::default();
    partners.add("8d4f1c,whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    let found = partners.verify(id.as_deref(), timestamp.as_deref(), signatures.as_deref(), &body, now);
    assert!(found.is_err());
    partners.add(signatures.as_deref().unwrap_or_default());
});
