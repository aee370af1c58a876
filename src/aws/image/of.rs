//! What the image behind a snapshot or a bundle says of its AMI.

use super::{Architecture, Derived, ImageError};
use crate::aws::{Aws, Call, snapshot};
use crate::bundle::Signed;
use aws_smithy_runtime_api::client::result::{ConnectorError, SdkError};

/// What a completed snapshot says of its AMI: a few of its blocks are read (EBS direct).
///
/// # Errors
/// When AWS refuses, or what is on the snapshot cannot be made out.
pub async fn of_snapshot(aws: &Aws, id: &str) -> Result<Derived, ImageError> {
    super::check::identifier("snapshot", id, "snap-")?;
    Ok(Derived::of_info(&snapshot::look(aws, id).await?))
}

/// What a bundle's manifest at `bucket/key` says of its AMI: the processor alone.
///
/// # Errors
/// When S3 refuses, or it is no manifest.
pub async fn of_manifest(aws: &Aws, location: &str) -> Result<Derived, ImageError> {
    let (bucket, key) = location.split_once('/').unwrap_or((location, ""));
    let call = Call::new("s3:GetObject", format!("s3://{location}"));
    let request = async || {
        let request = aws.s3().get_object().bucket(bucket).key(key);
        let body = request.send().await?.body.collect().await;
        // A body that is cut off is a failed attempt like any other.
        body.map_err(|e| SdkError::dispatch_failure(ConnectorError::io(e.into())))
    };
    let body = aws.call(&call, request).await?;
    let signed = Signed::parse(&body.into_bytes());
    let manifest = signed.map_err(|source| ImageError::Manifest {
        location: location.to_owned(),
        source,
    })?;
    Ok(Derived {
        architecture: manifest.manifest.architecture.parse::<Architecture>().ok(),
        ..Derived::default()
    })
}
