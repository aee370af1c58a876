//! Objects that are put in one piece, and lists of them.

use super::state::{Bucket, Object};
use super::{error, xml};
use crate::fake_ebs::http::{Request, Response};
use aws_smithy_types::base64;
use diskwright::hex::hex;
use md5::{Digest, Md5};
use sha2::Sha256;

pub type Answer = Result<Response, Response>;

/// Objects in one answer: few, so that more than one is needed.
const PAGE: usize = 3;

/// The body's MD5, after the digests that came with it.
pub fn checked(request: &Request) -> Result<[u8; 16], Response> {
    let md5: [u8; 16] = Md5::digest(&request.body).into();
    let told = request.header("content-md5");
    if told.is_empty() {
        // As S3 does for a bucket with object lock.
        let text = "Content-MD5 is required";
        return Err(error(400, "InvalidRequest", text));
    }
    match base64::decode(told) {
        Ok(told) if told == md5 => {}
        Ok(told) if told.len() == 16 => {
            return Err(error(400, "BadDigest", "The Content-MD5 did not match."));
        }
        _ => return Err(error(400, "InvalidDigest", "no MD5")),
    }
    let sha256 = request.header("x-amz-content-sha256");
    if sha256.len() == 64 && sha256 != hex(&Sha256::digest(&request.body)) {
        return Err(error(400, "XAmzContentSHA256Mismatch", "did not match"));
    }
    Ok(md5)
}

/// The canned ACL of a request, where the bucket takes one.
pub fn canned(request: &Request, bucket: &Bucket) -> Result<String, Response> {
    let acl = request.header("x-amz-acl");
    if !acl.is_empty() && bucket.ownership == Some("BucketOwnerEnforced") {
        let text = "The bucket does not allow ACLs";
        return Err(error(400, "AccessControlListNotSupported", text));
    }
    match acl {
        "" => Ok("private".into()),
        "private" | "public-read" | "aws-exec-read" => Ok(acl.into()),
        _ => Err(error(400, "InvalidArgument", acl)),
    }
}

pub fn put(key: &str, request: &Request, bucket: &mut Bucket) -> Answer {
    if key.len() > 1024 {
        return Err(error(400, "KeyTooLongError", "Your key is too long"));
    }
    if request.header("content-length").is_empty() {
        return Err(error(411, "MissingContentLength", "no Content-Length"));
    }
    let (md5, acl) = (checked(request)?, canned(request, bucket)?);
    // With a key of KMS it is something else.
    let etag = match bucket.encryption {
        "AES256" => hex(&md5),
        _ => hex(&Sha256::digest(md5)[..16]),
    };
    let object = Object {
        bytes: request.body.clone(),
        etag: etag.clone(),
        acl,
    };
    bucket.objects.insert(key.to_owned(), object);
    Ok(Response::new(200, "").with("etag", format!("\"{etag}\"")))
}

pub fn acl(key: &str, request: &Request, bucket: &mut Bucket) -> Answer {
    let acl = canned(request, bucket)?;
    let Some(object) = bucket.objects.get_mut(key) else {
        return Err(error(404, "NoSuchKey", key));
    };
    object.acl = acl;
    Ok(Response::new(200, ""))
}

pub fn delete(key: &str, bucket: &mut Bucket) -> Answer {
    bucket.objects.remove(key);
    Ok(Response::new(204, ""))
}

pub fn list(request: &Request, bucket: &Bucket) -> Answer {
    let asked = |name: &str| request.query.get(name).map_or("", String::as_str);
    let (prefix, from) = (asked("prefix"), asked("continuation-token"));
    let all = bucket.objects.iter();
    let mut rest = all.filter(|(key, _)| key.starts_with(prefix) && key.as_str() > from);
    let page: Vec<_> = rest.by_ref().take(PAGE).collect();
    let more = rest.next().is_some();
    let mut inside = format!("<IsTruncated>{more}</IsTruncated>");
    if let (true, Some((key, _))) = (more, page.last()) {
        inside.push_str(&format!(
            "<NextContinuationToken>{key}</NextContinuationToken>"
        ));
    }
    for (key, object) in page {
        inside.push_str(&format!(
            "<Contents><Key>{key}</Key><Size>{}</Size><ETag>&quot;{}&quot;</ETag></Contents>",
            object.bytes.len(),
            object.etag
        ));
    }
    Ok(xml("ListBucketResult", &inside))
}
