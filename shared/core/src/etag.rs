//! Names of answers, by which a caller asks whether what it has is still so.

use sha2::{Digest as _, Sha256};

use crate::rpc::hex;

/// The strong `ETag` of a body: other bytes, another name.
pub fn etag(body: &[u8]) -> String {
    let digest = Sha256::digest(body);
    // 128 bits are plenty, for nobody gains from two bodies with one name.
    ["\"", &hex(digest.get(..16).unwrap_or_default()), "\""].concat()
}

/// Whether an `If-None-Match` names the answer. The name may be weak there: who compresses an answer on its way makes it
/// so.
pub fn names(if_none_match: &str, etag: &str) -> bool {
    let known = if_none_match.split(',').map(str::trim);
    known.map(|known| known.strip_prefix("W/").unwrap_or(known)).any(|known| known == etag || known == "*")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_known_by_its_name_alone_however_it_is_listed() {
        let tag = etag(b"{}");
        assert_eq!(tag, "\"44136fa355b3678a1146ad16f7e8649e\"");
        for known in [&*tag, "*", &format!("W/{tag}"), &format!("\"a\", {tag}"), &format!("\"a\",W/{tag},")] {
            assert!(names(known, &tag), "{known}");
        }
        for other in ["", "\"\"", tag.trim_matches('"'), &etag(b"[]"), &format!("w/{tag}"), "\"*\""] {
            assert!(!names(other, &tag), "{other}");
        }
    }
}
