//! Standard Webhooks 1.0, symmetric: `v1,` and the base64 of HMAC-SHA256 over `<id>.<timestamp>.<body>`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac as _;

use super::{Key, Rejection, decode, secrets};

/// How far the time of a message may be from now, either way, in seconds.
pub const TOLERANCE: u64 = 5 * 60;

/// Every secret that partners, or our own servers, sign with.
#[derive(Debug, Clone, Default)]
pub struct PartnerKeys(Vec<Key>);

impl PartnerKeys {
    /// Adds the secrets in `list`: those that begin with `whsec_` are base64 behind it, others are themselves.
    /// What cannot be decoded is no secret.
    pub fn add(&mut self, list: &str) {
        self.0.extend(secrets(list).filter_map(key));
    }

    /// Whether there is no secret at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Checks the headers `webhook-id`, `webhook-timestamp` and `webhook-signature` against the raw body. One
    /// right signature of version 1 is enough; those of other versions are passed over.
    ///
    /// # Errors
    /// [`Rejection`] says what was wrong; the body must then not be used for anything.
    pub fn verify(
        &self,
        id: Option<&str>,
        timestamp: Option<&str>,
        signatures: Option<&str>,
        body: &[u8],
        now_seconds: i64,
    ) -> Result<(), Rejection> {
        if body.is_empty() {
            return Err(Rejection::Empty);
        }
        let signatures = signatures.ok_or(Rejection::Missing)?;
        let id = id.filter(|id| is_id(id)).ok_or(Rejection::BadId)?;
        let timestamp = timestamp.unwrap_or_default();
        if now_seconds.abs_diff(seconds(timestamp).ok_or(Rejection::BadTimestamp)?) > TOLERANCE {
            return Err(Rejection::Expired);
        }
        // Hosts join headers that come twice, and which of them was meant nobody can say.
        if signatures.split(' ').any(|signature| signature.ends_with(',')) {
            return Err(Rejection::Malformed);
        }
        let ours = signatures.split(' ').filter_map(|signature| signature.strip_prefix("v1,"));
        let digests: Vec<_> = ours.filter_map(decode).collect();
        if digests.is_empty() {
            return Err(Rejection::Malformed);
        }
        for key in &self.0 {
            // The body is hashed once for each key, however many signatures there are.
            let mac = key.over(&message(id, timestamp, body));
            if digests.iter().any(|digest| mac.clone().verify_slice(digest).is_ok()) {
                return Ok(());
            }
        }
        Err(Rejection::Wrong)
    }

    /// The value of `webhook-signature` for a message, by the first of the secrets; none where there is none.
    pub fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
        Some(self.0.first()?.version_1(id, timestamp, body))
    }
}

impl Key {
    fn version_1(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        ["v1,", &self.sign(&message(id, &timestamp.to_string(), body))].concat()
    }
}

/// The value of `webhook-signature` for a message: what a partner does when it sends one. None where the
/// secret is none.
pub fn sign(secret: &str, id: &str, timestamp: i64, body: &[u8]) -> Option<String> {
    Some(key(secret)?.version_1(id, timestamp, body))
}

fn key(secret: &str) -> Option<Key> {
    match secret.strip_prefix("whsec_") {
        Some(encoded) => Key::new(&STANDARD.decode(encoded).ok()?),
        None => Key::new(secret.as_bytes()),
    }
}

fn message<'a>(id: &'a str, timestamp: &'a str, body: &'a [u8]) -> [&'a [u8]; 5] {
    [id.as_bytes(), b".", timestamp.as_bytes(), b".", body]
}

/// A full stop would leave open where the id ends: one signature would stand for two messages.
fn is_id(id: &str) -> bool {
    (1..=255).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'.')
}

fn seconds(timestamp: &str) -> Option<i64> {
    // `parse` alone would also take a sign.
    let digits = timestamp.bytes().all(|byte| byte.is_ascii_digit());
    if digits { timestamp.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use standardwebhooks::Webhook;

    use super::*;

    const NOW: i64 = 1_764_550_000;
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn keys(list: &str) -> PartnerKeys {
        let mut keys = PartnerKeys::default();
        keys.add(list);
        keys
    }

    #[track_caller]
    fn check(id: &str, timestamp: &str, signatures: &str, expected: Result<(), Rejection>) {
        let found = keys(SECRET).verify(Some(id), Some(timestamp), Some(signatures), b"{}", NOW);
        assert_eq!(found, expected, "{id:?} {timestamp:?} {signatures:?}");
    }

    fn signed(id: &str, timestamp: i64) -> String {
        sign(SECRET, id, timestamp, b"{}").unwrap()
    }

    #[test]
    fn a_known_answer_holds() {
        // The example of the specification.
        let body = br#"{"test": 2432232314}"#;
        let found = sign(SECRET, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(found.as_deref(), Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="));
    }

    #[test]
    fn one_right_signature_among_others_is_enough() {
        let good = signed("a", NOW);
        let now = NOW.to_string();
        let other = sign("other", "a", NOW, b"{}").unwrap();
        check("a", &now, &good, Ok(()));
        check("a", &now, &format!("v1a,xyz v2,{good} {other} v1,short {good}"), Ok(()));
        check("a", &now, &other, Err(Rejection::Wrong));
        check("b", &now, &good, Err(Rejection::Wrong));
        check("a", &(NOW + 1).to_string(), &good, Err(Rejection::Wrong));
        for signatures in
            ["", " ", "v1", "v1,", "v1a,AAAA", good.trim_start_matches("v1,"), &good.replace(',', "=")]
        {
            check("a", &now, signatures, Err(Rejection::Malformed));
        }
        check("a", &now, good.trim_end_matches('='), Err(Rejection::Malformed));
        check("a", &now, &format!("{good}, {good}"), Err(Rejection::Malformed));
    }

    #[test]
    fn a_message_is_good_for_five_minutes_either_way() {
        for (offset, expected) in
            [(-300, Ok(())), (300, Ok(())), (-301, Err(Rejection::Expired)), (301, Err(Rejection::Expired))]
        {
            check("a", &(NOW + offset).to_string(), &signed("a", NOW + offset), expected);
        }
        check("a", &i64::MAX.to_string(), &signed("a", i64::MAX), Err(Rejection::Expired));
        let far = keys(SECRET).verify(Some("a"), Some("1"), Some("v1,"), b"{}", i64::MIN);
        assert_eq!(far, Err(Rejection::Expired));
    }

    #[test]
    fn headers_are_read_strictly() {
        let good = signed("a", NOW);
        for timestamp in ["", "now", "+1764550000", "-1764550000", " 1764550000", "1764550000.0", "1e9", "١"]
        {
            check("a", timestamp, &good, Err(Rejection::BadTimestamp));
        }
        check("a", "9223372036854775808", &good, Err(Rejection::BadTimestamp));
        for id in ["", " ", "a.b", "a b", "é", &"a".repeat(256)] {
            check(id, &NOW.to_string(), &signed(id, NOW), Err(Rejection::BadId));
        }
        let longest = "a".repeat(255);
        check(&longest, &NOW.to_string(), &signed(&longest, NOW), Ok(()));
        let (id, now) = (Some("a"), NOW.to_string());
        let verify =
            |id, timestamp, signatures, body| keys(SECRET).verify(id, timestamp, signatures, body, NOW);
        assert_eq!(verify(id, Some(&now), None, b"{}"), Err(Rejection::Missing));
        assert_eq!(verify(None, Some(&now), Some(&good), b"{}"), Err(Rejection::BadId));
        assert_eq!(verify(id, None, Some(&good), b"{}"), Err(Rejection::BadTimestamp));
        assert_eq!(verify(id, Some(&now), Some(&good), b""), Err(Rejection::Empty));
    }

    #[test]
    fn secrets_are_raw_or_encoded_and_several_are_valid() {
        let now = NOW.to_string();
        let all = keys("plain, whsec_c2VjcmV0,,whsec_, whsec_no base64");
        for secret in ["plain", "whsec_c2VjcmV0", "secret"] {
            let signature = sign(secret, "a", NOW, b"x").unwrap();
            assert_eq!(all.verify(Some("a"), Some(&now), Some(&signature), b"x", NOW), Ok(()), "{secret}");
        }
        // Of several, the first signs.
        assert_eq!(all.sign("a", NOW, b"x"), sign("plain", "a", NOW, b"x"));
        assert!(keys(",whsec_, whsec_*").is_empty());
        assert_eq!(keys(",").sign("a", NOW, b"x"), None);
        assert_eq!(sign("whsec_*", "a", NOW, b"x"), None);
        assert!(!format!("{all:?}").contains("plain"));
    }

    fn now() -> i64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        since.as_secs().try_into().unwrap()
    }

    proptest! {
        #[test]
        fn the_reference_signs_as_we_do_and_takes_what_we_sign(
            secret in proptest::collection::vec(any::<u8>(), 24..64), body in "\\PC{1,64}", id in "[a-zA-Z0-9_-]{1,32}",
        ) {
            let secret = format!("whsec_{}", STANDARD.encode(secret));
            let (reference, now) = (Webhook::new(&secret).unwrap(), now());
            let ours = sign(&secret, &id, now, body.as_bytes()).unwrap();
            prop_assert_eq!(&ours, &reference.sign(&id, now, body.as_bytes()).unwrap());
            let mut headers = http::HeaderMap::new();
            headers.insert("webhook-id", id.parse().unwrap());
            headers.insert("webhook-timestamp", now.into());
            headers.insert("webhook-signature", ours.parse().unwrap());
            prop_assert!(reference.verify(body.as_bytes(), &headers).is_ok());
            let stated = now.to_string();
            let verified = keys(&secret).verify(Some(&id), Some(&stated), Some(&ours), body.as_bytes(), now);
            prop_assert_eq!(verified, Ok(()));
        }

        #[test]
        fn no_headers_panic_or_pass(
            id in any::<Option<String>>(), timestamp in "\\PC{0,20}|17645[0-9]{5}", list in "(v1[,a]|[A-Za-z0-9+/= ]){0,80}",
            now in any::<i64>(),
        ) {
            for (timestamp, now) in [(&timestamp, now), (&NOW.to_string(), NOW)] {
                let found = keys(SECRET).verify(id.as_deref(), Some(timestamp), Some(&list), b"{}", now);
                prop_assert!(found.is_err());
            }
        }
    }
}
