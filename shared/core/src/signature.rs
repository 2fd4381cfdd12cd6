//! Who sent a request: keyed signatures over its raw bytes.
//!
//! Shopify signs the body alone, with the app's client secret; a store may have a secret of its own. Partners
//! sign as [Standard Webhooks](https://www.standardwebhooks.com) has it ([`PartnerKeys`]).
//! Not here: where secrets come from (the caller passes them) and what a signer may do.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

mod partner;

pub use partner::{PartnerKeys, TOLERANCE, sign};

/// The length of an HMAC-SHA256, in bytes.
const DIGEST: usize = 32;

/// A signing secret, ready for use: the key schedule is done once, not for each request.
///
/// `Debug` shows nothing of it.
#[derive(Clone)]
struct Key(Hmac<Sha256>);

impl Key {
    /// The key of a secret; none where the secret is empty, since anyone can sign with that.
    fn new(secret: &[u8]) -> Option<Key> {
        if secret.is_empty() {
            return None;
        }
        Hmac::new_from_slice(secret).ok().map(Key)
    }

    /// The signature of a message in parts, to be taken or compared.
    fn over(&self, message: &[&[u8]]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        message.iter().for_each(|part| mac.update(part));
        mac
    }

    /// The signature of a message in parts, in base64.
    fn sign(&self, message: &[&[u8]]) -> String {
        STANDARD.encode(self.over(message).finalize().into_bytes())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(redacted)")
    }
}

/// The secrets in a variable: a comma-separated list, so that two are valid during a rotation.
fn secrets(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

/// Every secret that Shopify may sign with: the app's own and those of single stores.
#[derive(Debug, Clone, Default)]
pub struct ShopifyKeys(Vec<(Option<Box<str>>, Key)>);

/// A body whose signature is right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Verified<'a> {
    /// The code of the store whose own secret signed it; none for the shared secret.
    pub store: Option<&'a str>,
    /// The signature: a keyed digest of the body, at hand for comparing bodies.
    pub digest: [u8; DIGEST],
}

/// Why a signature was not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rejection {
    /// The body is empty: Shopify never sends that, and a signature of nothing proves nothing.
    Empty,
    /// There is none.
    Missing,
    /// It is not the padded standard base64 of 32 bytes.
    Malformed,
    /// The id of the message is missing, or in a form that is not signed.
    BadId,
    /// The time of the message is missing, or no number of seconds.
    BadTimestamp,
    /// The time of the message is too far from now: an old message may have been recorded, to be sent again.
    Expired,
    /// None of the secrets made it.
    Wrong,
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Rejection::Empty => "an empty body",
            Rejection::Missing => "no signature",
            Rejection::Malformed => "a signature that is not base64 of 32 bytes",
            Rejection::BadId => "no id of 1 to 255 visible ASCII characters without a full stop",
            Rejection::BadTimestamp => "no timestamp in whole seconds",
            Rejection::Expired => "a timestamp more than five minutes from now",
            Rejection::Wrong => "a signature that no configured secret made",
        })
    }
}

impl ShopifyKeys {
    /// Adds the secrets in `list`, of one store or (none) shared by all.
    pub fn add(&mut self, store: Option<&str>, list: &str) {
        let keys = secrets(list).filter_map(|secret| Key::new(secret.as_bytes()));
        self.0.extend(keys.map(|key| (store.map(Into::into), key)));
    }

    /// Whether there is no secret at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks the `X-Shopify-Hmac-Sha256` header against the raw body.
    ///
    /// # Errors
    /// [`Rejection`] says what was wrong with it; the body must then not be used for anything.
    pub fn verify(&self, body: &[u8], header: Option<&str>) -> Result<Verified<'_>, Rejection> {
        if body.is_empty() {
            return Err(Rejection::Empty);
        }
        let digest = decode(header.ok_or(Rejection::Missing)?).ok_or(Rejection::Malformed)?;
        self.0
            .iter()
            // Takes the same time for every wrong digest.
            .find(|(_, key)| key.over(&[body]).verify_slice(&digest).is_ok())
            .map(|(store, _)| Verified { store: store.as_deref(), digest })
            .ok_or(Rejection::Wrong)
    }
}

/// Strict base64: padded, standard alphabet, no blanks, no stray bits, exactly one digest long.
fn decode(text: &str) -> Option<[u8; DIGEST]> {
    // The length is checked first, so that a long header costs nothing.
    (text.len() == DIGEST.div_ceil(3) * 4).then(|| STANDARD.decode(text).ok()).flatten()?.try_into().ok()
}

/// The value of `X-Shopify-Hmac-Sha256` for a body: what Shopify does when it sends one.
/// None where the secret is empty.
pub fn sign_shopify(secret: &str, body: &[u8]) -> Option<String> {
    Some(Key::new(secret.as_bytes())?.sign(&[body]))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shared(list: &str) -> ShopifyKeys {
        let mut keys = ShopifyKeys::default();
        keys.add(None, list);
        keys
    }

    fn check(header: Option<&str>, expected: Result<(), Rejection>) {
        assert_eq!(shared("hush").verify(b"{}", header).map(drop), expected, "{header:?}");
    }

    #[test]
    fn signatures_are_read_strictly() {
        let good = sign_shopify("hush", b"{}").unwrap();
        check(Some(&good), Ok(()));
        check(None, Err(Rejection::Missing));
        check(Some(""), Err(Rejection::Malformed));
        check(Some(good.trim_end_matches('=')), Err(Rejection::Malformed));
        check(Some(&format!("{good}=")), Err(Rejection::Malformed));
        check(Some(&format!(" {good}")), Err(Rejection::Malformed));
        check(Some(&format!("{good}, {good}")), Err(Rejection::Malformed));
        check(Some(&good.replace('=', "A")), Err(Rejection::Malformed));
        check(Some(&"é".repeat(22)), Err(Rejection::Malformed));
        check(Some(&sign_shopify("hush!", b"{}").unwrap()), Err(Rejection::Wrong));
        let empty = sign_shopify("hush", b"").unwrap();
        assert_eq!(shared("hush").verify(b"", Some(&empty)), Err(Rejection::Empty));
        check(Some(&sign_shopify("hush", b"{ }").unwrap()), Err(Rejection::Wrong));
    }

    #[test]
    fn a_known_answer_holds() {
        // RFC 4231, test case 2, in base64.
        assert_eq!(
            sign_shopify("Jefe", b"what do ya want for nothing?").unwrap(),
            "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM="
        );
    }

    #[test]
    fn two_secrets_are_valid_during_a_rotation_and_empty_ones_never() {
        let keys = shared("new, old,,");
        for secret in ["new", "old"] {
            assert!(keys.verify(b"x", sign_shopify(secret, b"x").as_deref()).is_ok());
        }
        assert!(shared(" , ").is_empty());
        assert_eq!(sign_shopify("", b"x"), None);
    }

    #[test]
    fn the_store_whose_secret_signed_is_named() {
        let mut keys = shared("hush");
        keys.add(Some("bannos"), "cake");
        let signed = |secret| sign_shopify(secret, b"x");
        assert_eq!(keys.verify(b"x", signed("cake").as_deref()).unwrap().store, Some("bannos"));
        assert_eq!(keys.verify(b"x", signed("hush").as_deref()).unwrap().store, None);
    }

    #[test]
    fn a_secret_is_never_shown() {
        assert!(!format!("{:?}", shared("hush")).contains("hush"));
    }

    proptest! {
        #[test]
        fn what_is_signed_passes_and_any_changed_bit_does_not(
            body in proptest::collection::vec(any::<u8>(), 1..200), bit in any::<prop::sample::Index>(),
        ) {
            let keys = shared("hush");
            let header = sign_shopify("hush", &body).unwrap();
            prop_assert!(keys.verify(&body, Some(&header)).is_ok());
            let mut changed = body.clone();
            let bit = bit.index(body.len() * 8);
            changed[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(keys.verify(&changed, Some(&header)), Err(Rejection::Wrong));
        }

        #[test]
        fn no_header_panics_or_passes(header in "\\PC{0,80}") {
            let keys = shared("hush");
            let found = keys.verify(b"{}", Some(&header));
            prop_assert!(found.is_err());
        }
    }
}
