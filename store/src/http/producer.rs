//! The headers of an idempotent producer.

use http::{HeaderMap, HeaderName};
use logstore_api::frame::Producer;
use logstore_api::{Code, Problem, header};
use uuid::Uuid;

use super::query;

static ID: HeaderName = HeaderName::from_static(header::PRODUCER_ID);
static EPOCH: HeaderName = HeaderName::from_static(header::PRODUCER_EPOCH);
static SEQ: HeaderName = HeaderName::from_static(header::PRODUCER_SEQ);

/// Reads the three headers: all of them, or none.
pub fn parse(headers: &HeaderMap) -> Result<Option<Producer>, Problem> {
    match (text(headers, &ID)?, text(headers, &EPOCH)?, text(headers, &SEQ)?) {
        (None, None, None) => Ok(None),
        (Some(id), Some(epoch), Some(seq)) => {
            let epoch = query::number(epoch, "Producer-Epoch", u64::from(u32::MAX))?;
            // The last sequence of a batch must still be a number.
            let seq = query::number(seq, "Producer-Seq", u64::MAX - u64::from(u32::MAX))?;
            Ok(Some(Producer { id: parse_id(id)?, seq, epoch: u32::try_from(epoch).unwrap_or(u32::MAX) }))
        }
        (id, epoch, _) => {
            let missing = match (id, epoch) {
                (None, _) => "Producer-Id",
                (_, None) => "Producer-Epoch",
                _ => "Producer-Seq",
            };
            let detail =
                format!("{missing} is missing; a producer sends Producer-Id, Producer-Epoch and Producer-Seq together");
            Err(Problem::new(Code::InvalidArgument, detail).field(missing))
        }
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let value = values.next();
    let text = value.map(|value| value.to_str()).transpose().ok().filter(|_| values.next().is_none());
    text.ok_or_else(|| {
        Problem::new(Code::InvalidArgument, format!("{name} is given twice or is no text")).field(name.as_str())
    })
}

fn parse_id(text: &str) -> Result<u128, Problem> {
    let shaped = matches!(text.len(), 32 | 36);
    Uuid::try_parse(text).ok().filter(|_| shaped).map(|id| id.as_u128()).ok_or_else(|| {
        let detail = format!("Producer-Id is {text:?}; give a UUID or 32 hexadecimal digits");
        Problem::new(Code::InvalidArgument, detail).field("Producer-Id").got(text)
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: [Option<&'static str>; 3]) -> HeaderMap {
        let names = [header::PRODUCER_ID, header::PRODUCER_EPOCH, header::PRODUCER_SEQ];
        let pairs = names.into_iter().zip(values);
        pairs.filter_map(|(name, value)| Some((name.parse().unwrap(), HeaderValue::from_static(value?)))).collect()
    }

    const ID: &str = "00112233445566778899aabbccddeeff";

    #[test]
    fn an_id_is_a_uuid_or_32_digits() {
        let expected = Producer { id: 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff, seq: 7, epoch: 2 };
        for id in [ID, "00112233-4455-6677-8899-AABBCCDDEEFF"] {
            assert_eq!(parse(&headers([Some(id), Some("2"), Some("7")])), Ok(Some(expected)));
        }
        for id in ["1", "{00112233-4455-6677-8899-aabbccddeeff}", "zz112233445566778899aabbccddeeff"] {
            let problem = parse(&headers([Some(id), Some("2"), Some("7")])).unwrap_err();
            assert_eq!(problem.field.as_deref(), Some("Producer-Id"));
        }
    }

    #[test]
    fn the_three_come_together() {
        assert_eq!(parse(&headers([None, None, None])), Ok(None));
        for (given, missing) in [
            ([None, Some("1"), Some("1")], "Producer-Id"),
            ([Some(ID), None, Some("1")], "Producer-Epoch"),
            ([Some(ID), Some("1"), None], "Producer-Seq"),
        ] {
            assert_eq!(parse(&headers(given)).unwrap_err().field.as_deref(), Some(missing));
        }
        assert_eq!(
            parse(&headers([Some(ID), Some("-1"), Some("1")])).unwrap_err().field.as_deref(),
            Some("Producer-Epoch")
        );
    }
}
