//! Tag expressions, and the metadata of records that they are held against.

use logstore_api::frame::Meta;
use logstore_store::log::find::expression::Expression;

/// An expression up to the first zero byte, then a record's metadata.
pub(crate) fn run(bytes: &[u8]) {
    let (text, meta) = bytes.split_at(bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len()));
    let meta = Meta::decode(meta.get(1..).unwrap_or_default()).unwrap_or_default();
    let mut encoded = Vec::new();
    meta.encode(&mut encoded);
    assert_eq!(Meta::decode(&encoded).as_ref(), Ok(&meta));
    let Ok(text) = std::str::from_utf8(text) else { return };
    match Expression::parse(text) {
        Ok(expression) => {
            let negated = Expression::Not(Box::new(expression.clone()));
            assert_ne!(expression.fits(&meta.tags), negated.fits(&meta.tags));
        }
        Err(malformed) => assert!(malformed.at <= text.len(), "{malformed}"),
    }
}
