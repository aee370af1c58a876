//! Objects that are put in parts.

use super::object::{Answer, canned, checked};
use super::state::{Bucket, Object, Upload};
use super::{error, text, xml};
use crate::fake_ebs::http::{Request, Response};
use diskwright::hex::hex;
use md5::{Digest, Md5};
use std::collections::BTreeMap;

/// Every part but the last has as many bytes at least.
const LEAST: usize = 5 << 20;

fn absent() -> Response {
    error(404, "NoSuchUpload", "The specified upload does not exist.")
}

fn id(request: &Request) -> &str {
    request.query.get("uploadId").map_or("", String::as_str)
}

fn known<'a>(
    key: &str,
    request: &Request,
    bucket: &'a mut Bucket,
) -> Result<&'a mut Upload, Response> {
    let upload = bucket.uploads.get_mut(id(request));
    upload.filter(|u| u.key == key).ok_or_else(absent)
}

pub fn create(key: &str, request: &Request, bucket: &mut Bucket) -> Answer {
    canned(request, bucket)?;
    bucket.begun += 1;
    let id = format!("upload-{}", bucket.begun);
    let upload = Upload {
        key: key.to_owned(),
        parts: BTreeMap::new(),
    };
    bucket.uploads.insert(id.clone(), upload);
    let inside = format!("<Key>{key}</Key><UploadId>{id}</UploadId>");
    Ok(xml("InitiateMultipartUploadResult", &inside))
}

pub fn part(key: &str, request: &Request, bucket: &mut Bucket) -> Answer {
    let number = request.query.get("partNumber").and_then(|n| n.parse().ok());
    let Some(number) = number.filter(|n| (1..=10_000).contains(n)) else {
        return Err(error(400, "InvalidArgument", "partNumber"));
    };
    let etag = hex(&checked(request)?);
    let upload = known(key, request, bucket)?;
    upload
        .parts
        .insert(number, (request.body.clone(), etag.clone()));
    Ok(Response::new(200, "").with("etag", format!("\"{etag}\"")))
}

pub fn complete(key: &str, request: &Request, bucket: &mut Bucket) -> Answer {
    let body = String::from_utf8_lossy(&request.body);
    let upload = known(key, request, bucket)?;
    let (mut bytes, mut digests, mut last) = (Vec::new(), Vec::new(), 0);
    let told: Vec<&str> = body.split("<Part>").skip(1).collect();
    if told.is_empty() {
        return Err(error(400, "MalformedXML", "no part"));
    }
    for (nr, part) in told.iter().enumerate() {
        let number: u32 = text(part, "PartNumber").unwrap().parse().unwrap();
        let etag = text(part, "ETag").unwrap().replace("&quot;", "");
        if number <= last {
            return Err(error(400, "InvalidPartOrder", "not in ascending order"));
        }
        last = number;
        let Some((data, known)) = upload.parts.get(&number) else {
            return Err(error(400, "InvalidPart", "a part could not be found"));
        };
        if *known != etag.trim_matches('"') {
            return Err(error(400, "InvalidPart", "its entity tag does not match"));
        }
        if data.len() < LEAST && nr + 1 < told.len() {
            return Err(error(400, "EntityTooSmall", "smaller than the minimum"));
        }
        bytes.extend_from_slice(data);
        digests.extend_from_slice(&Md5::digest(data));
    }
    let etag = format!("{}-{}", hex(&Md5::digest(&digests)), told.len());
    bucket.uploads.remove(id(request));
    let object = Object {
        bytes,
        etag: etag.clone(),
        acl: "private".into(),
    };
    bucket.objects.insert(key.to_owned(), object);
    let inside = format!("<Key>{key}</Key><ETag>&quot;{etag}&quot;</ETag>");
    Ok(xml("CompleteMultipartUploadResult", &inside))
}

pub fn abort(key: &str, request: &Request, bucket: &mut Bucket) -> Answer {
    known(key, request, bucket)?;
    bucket.uploads.remove(id(request));
    Ok(Response::new(204, ""))
}

pub fn list(request: &Request, bucket: &Bucket) -> Answer {
    let prefix = request.query.get("prefix").map_or("", String::as_str);
    let all = bucket.uploads.iter();
    let under_way = all.filter(|(_, upload)| upload.key.starts_with(prefix));
    let inside: String = under_way
        .map(|(id, upload)| {
            let key = &upload.key;
            format!("<Upload><Key>{key}</Key><UploadId>{id}</UploadId></Upload>")
        })
        .collect();
    Ok(xml("ListMultipartUploadsResult", &inside))
}

pub fn parts(key: &str, request: &Request, bucket: &mut Bucket) -> Answer {
    let upload = known(key, request, bucket)?;
    let inside: String = upload
        .parts
        .iter()
        .map(|(number, (bytes, etag))| {
            format!(
                "<Part><PartNumber>{number}</PartNumber><Size>{}</Size><ETag>&quot;{etag}&quot;</ETag></Part>",
                bytes.len()
            )
        })
        .collect();
    Ok(xml("ListPartsResult", &inside))
}
