//! RegisterImage.

use super::find::{by_name, the_same};
use super::{
    DIGEST_TAG, Device, DeviceKind, Image, ImageError, RUN_TAG, Registration, Source, Volume,
};
use crate::aws::nonce::nonce;
use crate::aws::{Aws, AwsError, Call, Made};
use crate::hex::hex;
use crate::observe::Observer;
use aws_sdk_ec2::types::{
    ArchitectureValues, BlockDeviceMapping, BootModeValues, EbsBlockDevice, ImdsSupportValues,
    ResourceType, SnapshotState, Tag, TagSpecification, TpmSupportValues, VolumeType,
};
use std::sync::atomic::{AtomicU32, Ordering};

/// What AWS says of a name that is in use.
const DUPLICATE: &str = "InvalidAMIName.Duplicate";

/// Registers an AMI; finds it, if it was registered before. It may still be pending: [`super::wait`]. To be run under
/// [`Aws::run`], which deregisters it when the run fails. Its snapshot is the caller's to enter in the ledger.
///
/// # Errors
/// When AWS would refuse or refuses, or the name belongs to another AMI.
pub async fn register(
    aws: &Aws,
    registration: &Registration,
    observer: &dyn Observer,
) -> Result<Image, ImageError> {
    registration.check()?;
    let name = registration.full_name()?;
    let digest = hex(&registration.digest());
    let is_it = |found: &super::find::Found| found.tag(DIGEST_TAG) == Some(&digest);
    if let Some(there) = the_same(&by_name(aws, &name).await?, is_it)? {
        observer.note(&format!("{} is that AMI already", there.image.image_id));
        return Ok(there.image.clone());
    }
    if let Source::Snapshot { root, .. } = &registration.source {
        check_snapshot(aws, root).await?;
    }
    let run = nonce();
    let unanswered = Made::Unanswered {
        name: name.clone(),
        run: run.clone(),
        snapshots: false,
    };
    aws.made(unanswered.clone());
    let attempts = AtomicU32::new(0);
    let answer = send(aws, registration, &name, &digest, &run, &attempts).await;
    let image = match answer {
        Ok(image_id) => Image {
            image_id,
            name: name.clone(),
            ..image(aws, registration, [(DIGEST_TAG, &digest), (RUN_TAG, &run)])
        },
        Err(e) if code(&e) == Some(DUPLICATE) => {
            // The refusal of a later attempt may be due to ours, though EC2 does not show it yet.
            if is_final(&e, &attempts) {
                aws.ledger().keep(&unanswered);
            }
            let found = by_name(aws, &name).await?;
            let Some(same) = the_same(&found, is_it)? else {
                return Err(ImageError::NameHidden {
                    name,
                    region: aws.region().to_owned(),
                });
            };
            // An attempt of ours whose answer was lost, or somebody else who does the same.
            Image {
                existed: same.tag(RUN_TAG) != Some(&run),
                ..same.image.clone()
            }
        }
        Err(e) => {
            if is_final(&e, &attempts) {
                aws.ledger().keep(&unanswered);
            }
            return Err(e.into());
        }
    };
    if !image.existed {
        aws.made(Made::Image {
            id: image.image_id.clone(),
            snapshots: false,
        });
    }
    aws.ledger().keep(&unanswered);
    Ok(image)
}

/// The code of an error.
pub(super) fn code(error: &AwsError) -> Option<&str> {
    error.fault().and_then(|f| f.code.as_deref())
}

/// Whether an error says for sure that nothing was made: refused, and no attempt before was without an answer.
pub(super) fn is_final(error: &AwsError, attempts: &AtomicU32) -> bool {
    attempts.load(Ordering::Relaxed) == 1
        && matches!(error, AwsError::Refused { fault, .. } if fault.status.is_some_and(|s| s < 500))
}

/// What is known of an AMI before EC2 shows it.
fn image(aws: &Aws, registration: &Registration, ours: [(&str, &String); 2]) -> Image {
    let root = match &registration.source {
        Source::Snapshot { root, .. } => root.snapshot_id.clone(),
        Source::Bundle { .. } => None,
    };
    let others = registration.devices.iter().filter_map(|d| match &d.kind {
        DeviceKind::Volume(volume) => volume.snapshot_id.clone(),
        _ => None,
    });
    Image {
        image_id: String::new(),
        region: aws.region().to_owned(),
        name: String::new(),
        existed: false,
        snapshot_ids: root.into_iter().chain(others).collect(),
        encrypted: false,
        description: registration.description.clone(),
        tags: ours
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.clone()))
            .chain(registration.tags.iter().cloned())
            .collect(),
    }
}

/// That the root's snapshot is completed, and fits.
async fn check_snapshot(aws: &Aws, root: &Volume) -> Result<(), ImageError> {
    let id = root.snapshot_id.as_deref().unwrap_or_default();
    let call = Call::new("ec2:DescribeSnapshots", id);
    let request = || aws.ec2().describe_snapshots().snapshot_ids(id).send();
    let answer = aws.call(&call, request).await?;
    let shown = answer.snapshots().first();
    let state = shown.and_then(|s| s.state()).ok_or(AwsError::Answer {
        call,
        missing: "snapshot's state",
    })?;
    if *state != SnapshotState::Completed {
        return Err(ImageError::Snapshot {
            id: id.to_owned(),
            state: state.as_str().to_owned(),
        });
    }
    let needed = shown.and_then(|s| s.volume_size());
    let needed = needed.and_then(|n| u64::try_from(n).ok()).unwrap_or(0);
    match root.size {
        Some(asked) if asked < needed => Err(ImageError::TooSmall {
            asked,
            needed,
            id: id.to_owned(),
        }),
        _ => Ok(()),
    }
}

async fn send(
    aws: &Aws,
    registration: &Registration,
    name: &str,
    digest: &str,
    run: &str,
    attempts: &AtomicU32,
) -> Result<String, AwsError> {
    let call = Call::new("ec2:RegisterImage", name);
    let r = registration;
    let ours = [(DIGEST_TAG, digest), (RUN_TAG, run)];
    let theirs = r.tags.iter().map(|(k, v)| (k.as_str(), v.as_str()));
    let tags = tag_specification(ResourceType::Image, ours.into_iter().chain(theirs));
    let mappings = mappings(r);
    let request = || {
        attempts.fetch_add(1, Ordering::Relaxed);
        let mut request = aws
            .ec2()
            .register_image()
            .name(name)
            // Without these two an AMI is for i386 and paravirtual.
            .architecture(ArchitectureValues::from(r.architecture.word()))
            .virtualization_type(r.virtualization.word())
            .set_description((!r.description.is_empty()).then(|| r.description.clone()))
            .set_boot_mode(r.boot_mode.map(|b| BootModeValues::from(b.word())))
            .set_root_device_name(r.root_device().map(ToOwned::to_owned))
            .set_block_device_mappings((!mappings.is_empty()).then(|| mappings.clone()))
            .set_ena_support(r.ena.then_some(true))
            .set_sriov_net_support(r.sriov_net.then(|| "simple".to_owned()))
            .set_imds_support(r.imds_v2.then_some(ImdsSupportValues::V20))
            .set_tpm_support(r.tpm.then_some(TpmSupportValues::V20))
            .set_uefi_data(r.uefi_data.clone())
            .set_kernel_id(r.kernel_id.clone())
            .set_ramdisk_id(r.ramdisk_id.clone())
            .tag_specifications(tags.clone());
        if !r.billing_products.is_empty() {
            request = request.set_billing_products(Some(r.billing_products.clone()));
        }
        if let Source::Bundle { location } = &r.source {
            request = request.image_location(location);
        }
        request.send()
    };
    let answer = aws.call(&call, request).await?;
    let id = answer.image_id().map(ToOwned::to_owned);
    id.ok_or(AwsError::Answer {
        call,
        missing: "ImageId",
    })
}

pub(super) fn tag_specification<'a>(
    resource: ResourceType,
    tags: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> TagSpecification {
    let tags = tags
        .into_iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build());
    TagSpecification::builder()
        .resource_type(resource)
        .set_tags(Some(tags.collect()))
        .build()
}

fn mappings(registration: &Registration) -> Vec<BlockDeviceMapping> {
    let mut list = Vec::new();
    if let (Some(name), Source::Snapshot { root, .. }) =
        (registration.root_device(), &registration.source)
    {
        let mapping = BlockDeviceMapping::builder().device_name(name);
        list.push(mapping.ebs(ebs(root)).build());
    }
    list.extend(registration.devices.iter().map(|Device { name, kind }| {
        let mapping = BlockDeviceMapping::builder().device_name(name);
        match kind {
            DeviceKind::None => mapping.no_device(""),
            DeviceKind::Ephemeral(disk) => mapping.virtual_name(disk),
            DeviceKind::Volume(volume) => mapping.ebs(ebs(volume)),
        }
        .build()
    }));
    list
}

fn ebs(volume: &Volume) -> EbsBlockDevice {
    let number = |n: Option<u32>| n.map(|n| i32::try_from(n).expect("checked to be in its range"));
    let size = volume
        .size
        .map(|n| i32::try_from(n).expect("checked to be in its range"));
    EbsBlockDevice::builder()
        .set_snapshot_id(volume.snapshot_id.clone())
        .set_volume_size(size)
        .volume_type(VolumeType::from(volume.kind.word()))
        .set_iops(number(volume.iops))
        .set_throughput(number(volume.throughput))
        .set_volume_initialization_rate(number(volume.initialization_rate))
        .delete_on_termination(volume.delete_on_termination)
        // With a snapshot, AWS refuses any value.
        .set_encrypted(volume.encrypted.then_some(true))
        .build()
}
