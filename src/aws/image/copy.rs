//! CopyImage, to several regions at once.

use super::find::{Found, by_id, by_name, the_same};
use super::register::{code, is_final, tag_specification};
use super::wait::{Pending, wait_among};
use super::{DIGEST_TAG, Image, ImageError, RUN_TAG};
use crate::aws::all::all;
use crate::aws::nonce::nonce;
use crate::aws::{Aws, AwsError, Call, Made};
use crate::hex::hex;
use crate::observe::Observer;
use crate::sink::blocks::sha256;
use aws_sdk_ec2::types::{ImageState, ResourceType};
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// Where an AMI is copied to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// `eu-west-1`.
    pub region: String,
    /// Encrypt the copy's snapshots. They are anyway where the AMI's are, or where the account does so by default.
    pub encrypted: bool,
    /// With this key of that region: its id, alias or ARN; `None`: the account's own for EBS.
    pub kms_key_id: Option<String>,
}

/// `REGION`, or `REGION=KEY`.
impl FromStr for Destination {
    type Err = ImageError;

    fn from_str(text: &str) -> Result<Self, ImageError> {
        let (region, key) = match text.split_once('=') {
            Some((region, key)) => (region, Some(key)),
            None => (text, None),
        };
        let destination = Self {
            region: region.to_owned(),
            encrypted: key.is_some(),
            kms_key_id: key.map(ToOwned::to_owned),
        };
        destination.check()?;
        Ok(destination)
    }
}

impl Destination {
    fn check(&self) -> Result<(), ImageError> {
        let region = &self.region;
        let parts = region.split('-').count();
        let fine = parts >= 3 && region.ends_with(|c: char| c.is_ascii_digit());
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if !fine || !region.bytes().all(plain) {
            let why = "regions are called as eu-west-1 is; a key follows as in eu-west-1=alias/web";
            return Err(ImageError::value("region", region, why));
        }
        match &self.kms_key_id {
            Some(key) if key.is_empty() => {
                let why = "a key's id, alias or ARN follows the `=`";
                Err(ImageError::value("destination", &format!("{region}="), why))
            }
            Some(key) => {
                let of = key
                    .strip_prefix("arn:")
                    .and_then(|arn| arn.split(':').nth(2));
                match of {
                    Some(of) if of != region => {
                        let why =
                            format!("this key is of {of}; the copy in {region} needs one of there");
                        Err(ImageError::value("KMS key", key, why))
                    }
                    _ => Ok(()),
                }
            }
            None => Ok(()),
        }
    }
}

/// Refuses destinations that AWS would refuse, or that make no sense: twice the same, or where the AMI is.
///
/// # Errors
/// What is wrong.
pub fn check_destinations(from: &str, to: &[Destination]) -> Result<(), ImageError> {
    let mut regions = BTreeSet::from([from]);
    for destination in to {
        destination.check()?;
        if !regions.insert(&destination.region) {
            let why = match destination.region == from {
                true => "the AMI is there already",
                false => "it is named twice",
            };
            return Err(ImageError::value("region", &destination.region, why));
        }
    }
    Ok(())
}

/// Copies an available AMI to other regions, all at once, and waits for each at most for `limit`. Copies that are there
/// already are found. To be run under [`Aws::run`], which removes all copies when one fails.
///
/// Name, description and tags are those of the AMI; launch permissions and a deprecation date are not copied.
///
/// # Errors
/// When AWS would refuse or refuses, a copy fails, or the name belongs to another AMI in one of the regions.
pub async fn copy(
    aws: &Aws,
    image: &Image,
    to: &[Destination],
    limit: Duration,
    observer: &dyn Observer,
) -> Result<Vec<Image>, ImageError> {
    check_destinations(&image.region, to)?;
    let call = Call::new("ec2:DescribeImages", &image.image_id);
    let source = by_id(&aws.in_region(&image.region), &call, &image.image_id).await?;
    if source.state != ImageState::Available {
        return Err(ImageError::Failed {
            id: image.image_id.clone(),
            region: image.region.clone(),
            state: source.state.as_str().to_owned(),
            reason: "only an available AMI is copied".into(),
        });
    }
    let clients: Vec<Aws> = to.iter().map(|d| aws.in_region(&d.region)).collect();
    // All names first: nothing is copied where one of the copies cannot be.
    let looks = clients.iter().zip(to).map(async |(aws, destination)| {
        let found = by_name(aws, &source.image.name).await?;
        let Some(there) = there(&found, &source)? else {
            return Ok(None);
        };
        // A pending copy does not say yet how it is encrypted.
        if there.state == ImageState::Available {
            check_key(aws, &there.image, destination).await?;
        }
        Ok::<_, ImageError>(Some(there.image.clone()))
    });
    let there = all(looks).await?;
    // All are asked for, whatever becomes of one: a request that is dropped half way may be carried out all the same.
    let asked = clients.iter().zip(to).zip(there);
    let asked = all(asked.map(async |((aws, destination), there)| {
        let copy = match there {
            Some(there) => Ok(there),
            None => one(aws, &source.image, destination).await,
        };
        Ok::<_, Infallible>(copy)
    }));
    let Ok(asked) = asked.await;
    let copies = asked.into_iter().collect::<Result<Vec<_>, _>>()?;
    let (waits, pending) = (clients.iter().zip(&copies), Pending::default());
    let waits =
        waits.map(async |(aws, copy)| wait_among(aws, copy, limit, &pending, observer).await);
    let copies = all(waits).await?;
    for ((aws, destination), copy) in clients.iter().zip(to).zip(&copies) {
        if copy.existed {
            check_key(aws, copy, destination).await?;
        }
    }
    Ok(copies)
}

/// The copy that is there already.
fn there<'a>(found: &'a [Found], source: &Found) -> Result<Option<&'a Found>, ImageError> {
    let digest = source.tag(DIGEST_TAG);
    the_same(found, |f| {
        f.copy_of.as_ref() == Some(&source.image.image_id)
            || (digest.is_some() && f.tag(DIGEST_TAG) == digest)
    })
}

/// That an available copy that was there before is encrypted, and by the key that is asked for.
async fn check_key(aws: &Aws, copy: &Image, destination: &Destination) -> Result<(), ImageError> {
    let other = |why: String| ImageError::NameTaken {
        name: copy.name.clone(),
        id: copy.image_id.clone(),
        region: copy.region.clone(),
        why,
    };
    if destination.encrypted && !copy.encrypted {
        return Err(other("is a copy, but not encrypted".into()));
    }
    // What key an alias stands for, KMS alone says.
    let key = destination.kms_key_id.as_deref();
    let Some(key) = key.filter(|key| !key.contains("alias/")) else {
        return Ok(());
    };
    for id in &copy.snapshot_ids {
        let call = Call::new("ec2:DescribeSnapshots", id);
        let request = || aws.ec2().describe_snapshots().snapshot_ids(id).send();
        let answer = aws.call(&call, request).await?;
        let of = answer.snapshots().first().and_then(|s| s.kms_key_id());
        let of = of.unwrap_or("a key that EC2 does not tell");
        if of != key && of.rsplit_once(":key/").is_none_or(|(_, id)| id != key) {
            return Err(other(format!("is a copy, but encrypted with {of}")));
        }
    }
    Ok(())
}

async fn one(aws: &Aws, source: &Image, destination: &Destination) -> Result<Image, ImageError> {
    let run = nonce();
    let unanswered = Made::Unanswered {
        name: source.name.clone(),
        run: run.clone(),
        snapshots: true,
    };
    aws.made(unanswered.clone());
    let attempts = AtomicU32::new(0);
    let image_id = match send(aws, source, destination, &run, &attempts).await {
        Ok(id) => id,
        Err(e) => {
            if is_final(&e, &attempts) {
                aws.ledger().keep(&unanswered);
            }
            return Err(match code(&e) {
                Some("InvalidAMIName.Duplicate") => ImageError::NameHidden {
                    name: source.name.clone(),
                    region: aws.region().to_owned(),
                },
                _ => e.into(),
            });
        }
    };
    aws.made(Made::Image {
        id: image_id.clone(),
        snapshots: true,
    });
    aws.ledger().keep(&unanswered);
    Ok(Image {
        image_id,
        region: aws.region().to_owned(),
        existed: false,
        snapshot_ids: Vec::new(),
        ..source.clone()
    })
}

async fn send(
    aws: &Aws,
    source: &Image,
    destination: &Destination,
    run: &str,
    attempts: &AtomicU32,
) -> Result<String, AwsError> {
    let call = Call::new(
        "ec2:CopyImage",
        format!("{} to {}", source.image_id, aws.region()),
    );
    // Not by CopyImageTags: the mark of the run is the copy's own, and its snapshots are to have them too.
    let theirs = source.tags.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    let theirs = theirs.filter(|(k, _)| *k != RUN_TAG && !k.starts_with("aws:"));
    // Policies let the account delete what has it: a copy of somebody else's AMI is ours.
    let digest = hex(&sha256(source.image_id.as_bytes()));
    let has = source.tags.iter().any(|(k, _)| k == DIGEST_TAG);
    let ours = (!has).then_some((DIGEST_TAG, digest.as_str()));
    let tags = theirs.chain(ours).chain([(RUN_TAG, run)]);
    let image_tags = tag_specification(ResourceType::Image, tags.clone());
    let snapshot_tags = tag_specification(ResourceType::Snapshot, tags);
    let request = || {
        attempts.fetch_add(1, Ordering::Relaxed);
        let request = aws.ec2().copy_image().name(&source.name).client_token(run);
        request
            .source_image_id(&source.image_id)
            .source_region(&source.region)
            .set_description((!source.description.is_empty()).then(|| source.description.clone()))
            .set_encrypted(destination.encrypted.then_some(true))
            .set_kms_key_id(destination.kms_key_id.clone())
            .tag_specifications(image_tags.clone())
            .tag_specifications(snapshot_tags.clone())
            .send()
    };
    let answer = aws.call(&call, request).await?;
    let id = answer.image_id().map(ToOwned::to_owned);
    id.ok_or(AwsError::Answer {
        call,
        missing: "ImageId",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_regions_with_their_keys() {
        let arn = "arn:aws:kms:eu-west-1:111122223333:key/1";
        let parsed: Destination = format!("eu-west-1={arn}").parse().unwrap();
        assert_eq!(parsed.kms_key_id.as_deref(), Some(arn));
        assert!(parsed.encrypted);
        let plain: Destination = "us-gov-west-1".parse().unwrap();
        assert!(!plain.encrypted);
        for bad in [
            "",
            "euwest1",
            "eu-west-1=",
            "Eu-west-1",
            "eu-west",
            &format!("eu-west-2={arn}"),
        ] {
            assert!(bad.parse::<Destination>().is_err(), "{bad}");
        }
        let to = |names: &[&str]| -> Vec<Destination> {
            names.iter().map(|n| n.parse().unwrap()).collect()
        };
        assert!(check_destinations("us-east-1", &to(&["eu-west-1", "eu-west-2"])).is_ok());
        for bad in [to(&["us-east-1"]), to(&["eu-west-1", "eu-west-1"])] {
            assert!(check_destinations("us-east-1", &bad).is_err());
        }
    }
}
