//! What is set of a bucket, and buckets themselves.

use super::state::{Bucket, S3State};
use super::{REGION, error, text, xml};
use crate::fake_ebs::http::{Request, Response};
use std::time::Instant;

pub fn create(name: &str, request: &Request, state: &mut S3State) -> Response {
    let body = String::from_utf8_lossy(&request.body);
    if let Some(asked) = text(&body, "LocationConstraint") {
        // us-east-1 has no name here.
        let text = format!("{asked} is not what this endpoint makes");
        return error(400, "IllegalLocationConstraintException", &text);
    }
    if state.taken.iter().any(|taken| taken == name) {
        return error(409, "BucketAlreadyExists", "The name is not available.");
    }
    if state.buckets.contains_key(name) {
        return error(409, "BucketAlreadyOwnedByYou", "You own it already.");
    }
    let bucket = state.bucket(name);
    bucket.ownership = match request.header("x-amz-object-ownership") {
        "BucketOwnerPreferred" => Some("BucketOwnerPreferred"),
        // What a bucket is since April 2023.
        _ => Some("BucketOwnerEnforced"),
    };
    bucket.made = Some(Instant::now());
    Response::new(200, "").with("location", format!("/{name}"))
}

pub fn delete(name: &str, state: &mut S3State) -> Response {
    let bucket = &state.buckets[name];
    if !bucket.objects.is_empty() || !bucket.uploads.is_empty() {
        return error(409, "BucketNotEmpty", "The bucket is not empty.");
    }
    state.buckets.remove(name);
    Response::new(204, "").with("x-amz-bucket-region", REGION)
}

pub fn ownership(bucket: &Bucket) -> Result<Response, Response> {
    let Some(ownership) = bucket.ownership else {
        return Err(error(404, "OwnershipControlsNotFoundError", "not set"));
    };
    let rule = format!("<Rule><ObjectOwnership>{ownership}</ObjectOwnership></Rule>");
    Ok(xml("OwnershipControls", &rule))
}

pub fn encryption(bucket: &Bucket) -> Result<Response, Response> {
    let rule = format!(
        "<Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>{}</SSEAlgorithm>\
         </ApplyServerSideEncryptionByDefault></Rule>",
        bucket.encryption
    );
    Ok(xml("ServerSideEncryptionConfiguration", &rule))
}
