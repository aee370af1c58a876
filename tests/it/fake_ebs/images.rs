//! AMIs, as strict as the user guide: what AWS refuses is refused, what it assumes is assumed.

use super::ec2::{NAMESPACE, error};
use super::http::Response;
use super::state::{State, Status};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

type Form = BTreeMap<String, String>;
type Answer = Result<String, Response>;

pub const OPERATIONS: &[&str] = &[
    "RegisterImage",
    "DescribeImages",
    "CopyImage",
    "DeregisterImage",
    "ModifyImageAttribute",
    "ModifySnapshotAttribute",
    "EnableImageDeprecation",
    "EnableImageDeregistrationProtection",
    "DisableImageDeregistrationProtection",
    "GetImageBlockPublicAccessState",
];

/// An AMI.
pub struct Ami {
    pub id: String,
    pub region: String,
    pub name: String,
    /// What it was made by.
    pub form: Form,
    /// What AWS makes of it: all that was not said has AWS's default.
    pub machine: BTreeMap<&'static str, String>,
    pub tags: BTreeMap<String, String>,
    pub snapshots: Vec<String>,
    pub encrypted: bool,
    pub copy_of: Option<String>,
    pub shared: BTreeSet<String>,
    pub deprecated: Option<String>,
    pub created: String,
    pub launched: Option<String>,
    pub protected: bool,
    pub failed: Option<String>,
    pub gone: bool,
    pending: Duration,
    made: Instant,
}

impl Ami {
    fn state(&self) -> &'static str {
        match &self.failed {
            Some(_) if self.made.elapsed() >= self.pending => "failed",
            _ if self.made.elapsed() < self.pending => "pending",
            _ => "available",
        }
    }

    fn shown(&self) -> String {
        let mut text = format!(
            "<imageId>{}</imageId><imageState>{}</imageState><name>{}</name><rootDeviceName>{}</rootDeviceName>",
            self.id,
            self.state(),
            self.name,
            self.machine["RootDeviceName"],
        );
        let mut add = |name: &str, value: Option<&str>| {
            if let Some(value) = value.filter(|v| !v.is_empty()) {
                text.push_str(&format!("<{name}>{value}</{name}>"));
            }
        };
        add(
            "description",
            self.form.get("Description").map(String::as_str),
        );
        add(
            "architecture",
            self.machine.get("Architecture").map(String::as_str),
        );
        add("creationDate", Some(&self.created));
        add("lastLaunchedTime", self.launched.as_deref());
        let protection = if self.protected {
            "enabled-without-cooldown"
        } else {
            "disabled"
        };
        add("deregistrationProtection", Some(protection));
        add("sourceImageId", self.copy_of.as_deref());
        let public = self.shared.contains("all");
        add("isPublic", Some(if public { "true" } else { "false" }));
        if let Some(why) = &self.failed {
            add("stateReason", Some(&format!("<message>{why}</message>")));
        }
        let tags = self.tags.iter();
        let tags = tags.map(|(k, v)| format!("<item><key>{k}</key><value>{v}</value></item>"));
        add("tagSet", Some(&tags.collect::<String>()));
        let devices = self.snapshots.iter().map(|id| {
            format!(
                "<item><deviceName>/dev/xvda</deviceName><ebs><snapshotId>{id}</snapshotId>\
                 <encrypted>{}</encrypted></ebs></item>",
                self.encrypted
            )
        });
        add("blockDeviceMapping", Some(&devices.collect::<String>()));
        text
    }
}

impl State {
    /// An AMI that a request may name.
    pub fn ami(&mut self, region: &str, id: &str) -> Result<&mut Ami, Response> {
        if !id.starts_with("ami-") || id.len() != 21 {
            return Err(error(400, "InvalidAMIID.Malformed", id));
        }
        let settling = self.manner.settling;
        let mut all = self.images.iter_mut();
        let found = all.find(|a| a.id == id && a.region == region);
        match found {
            Some(ami) if ami.gone => Err(error(400, "InvalidAMIID.Unavailable", id)),
            Some(ami) if ami.made.elapsed() >= settling => Ok(ami),
            _ => {
                let text = format!("The image id '[{id}]' does not exist");
                Err(error(400, "InvalidAMIID.NotFound", &text))
            }
        }
    }

    /// AMIs that are not gone.
    pub fn amis(&self) -> Vec<&Ami> {
        self.images.iter().filter(|a| !a.gone).collect()
    }

    /// The AMI that a snapshot is part of.
    pub fn using(&self, snapshot: &str) -> Option<&Ami> {
        let mut amis = self.images.iter().filter(|a| !a.gone);
        amis.find(|a| a.snapshots.iter().any(|s| s == snapshot))
    }

    fn add(&mut self, region: &str, form: &Form, snapshots: Vec<String>) -> &mut Ami {
        let text = |name: &str| form.get(name).cloned().unwrap_or_default();
        self.images.push(Ami {
            id: format!("ami-{:017x}", 0xa_0000_0000_u64 + self.images.len() as u64),
            region: region.to_owned(),
            name: text("Name"),
            machine: BTreeMap::new(),
            tags: tags(form, "image"),
            snapshots,
            encrypted: false,
            copy_of: None,
            shared: BTreeSet::new(),
            deprecated: None,
            created: "2026-01-01T00:00:00.000Z".to_owned(),
            launched: None,
            protected: self.manner.protects,
            failed: None,
            gone: false,
            pending: self.manner.pending,
            made: Instant::now(),
            form: form.clone(),
        });
        self.images.last_mut().unwrap()
    }
}

pub fn answer(operation: &str, region: &str, form: &Form, state: &mut State) -> Response {
    let answer = match operation {
        "RegisterImage" => register(region, form, state),
        "DescribeImages" => describe(region, form, state),
        "CopyImage" => copy(region, form, state),
        "DeregisterImage" => deregister(region, form, state),
        "ModifyImageAttribute" => share(region, form, state),
        "ModifySnapshotAttribute" => share_snapshot(form, state),
        "GetImageBlockPublicAccessState" => Ok(match state.manner.public_blocked {
            true => "<imageBlockPublicAccessState>block-new-sharing</imageBlockPublicAccessState>",
            false => "<imageBlockPublicAccessState>unblocked</imageBlockPublicAccessState>",
        }
        .to_owned()),
        _ => change(operation, region, form, state),
    };
    match answer {
        Ok(inner) => Response::new(
            200,
            format!("<{operation}Response xmlns=\"{NAMESPACE}\">{inner}</{operation}Response>"),
        ),
        Err(refused) => {
            let body = String::from_utf8_lossy(&refused.body).into_owned();
            state.refusals.push(format!("{operation}: {body}"));
            refused
        }
    }
}

/// Values of a list: `Prefix.1`, `Prefix.2` … with what follows.
pub fn list<'a>(form: &'a Form, prefix: &str, suffix: &str) -> Vec<&'a str> {
    let nth = |n: u32| {
        form.get(&format!("{prefix}.{n}{suffix}"))
            .map(String::as_str)
    };
    (1..).map_while(nth).collect()
}

fn tags(form: &Form, resource: &str) -> BTreeMap<String, String> {
    let of = list(form, "TagSpecification", ".ResourceType");
    let Some(at) = of.iter().position(|r| *r == resource) else {
        return BTreeMap::new();
    };
    let prefix = format!("TagSpecification.{}.Tag", at + 1);
    let pairs = list(form, &prefix, ".Key").into_iter();
    let pairs = pairs.zip(list(form, &prefix, ".Value"));
    pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
}

fn check_name(name: &str) -> Result<(), Response> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "()[] ./-'@_".contains(c);
    if !(3..=128).contains(&name.len()) || !name.chars().all(plain) {
        return Err(error(400, "InvalidAMIName.Malformed", name));
    }
    Ok(())
}

fn check_tags(form: &Form, resources: &[&str]) -> Result<(), Response> {
    for resource in list(form, "TagSpecification", ".ResourceType") {
        if !resources.contains(&resource) {
            return Err(error(400, "InvalidParameterValue", resource));
        }
        if tags(form, resource).len() > 50 {
            return Err(error(400, "TagLimitExceeded", "more than 50"));
        }
    }
    Ok(())
}

fn register(region: &str, form: &Form, state: &mut State) -> Answer {
    let text = |name: &str| form.get(name).map(String::as_str);
    let name = text("Name").ok_or_else(|| error(400, "MissingParameter", "Name"))?;
    let combination = |why: &str| Err(error(400, "InvalidParameterCombination", why));
    check_name(name)?;
    check_tags(form, &["image"])?;
    if text("Description").is_some_and(|d| d.chars().count() > 255) {
        return Err(error(400, "InvalidParameterValue", "Description"));
    }
    // The defaults of another age.
    let machine = BTreeMap::from([
        (
            "Architecture",
            text("Architecture").unwrap_or("i386").to_owned(),
        ),
        (
            "VirtualizationType",
            text("VirtualizationType")
                .unwrap_or("paravirtual")
                .to_owned(),
        ),
        (
            "RootDeviceName",
            text("RootDeviceName").unwrap_or_default().to_owned(),
        ),
        ("BootMode", text("BootMode").unwrap_or_default().to_owned()),
    ]);
    let hvm = machine["VirtualizationType"] == "hvm";
    if !hvm {
        for modern in ["EnaSupport", "SriovNetSupport", "BootMode", "TpmSupport"] {
            if text(modern).is_some() {
                return combination(&format!("{modern} is for hvm"));
            }
        }
    } else if text("KernelId").is_some() || text("RamdiskId").is_some() {
        return combination("hvm takes no kernel");
    }
    let boot = machine["BootMode"].as_str();
    if machine["Architecture"] == "arm64" && boot != "uefi" {
        return combination("arm64 must be uefi");
    }
    if text("TpmSupport").is_some_and(|t| t != "v2.0" || boot != "uefi") {
        return combination("TpmSupport wants uefi");
    }
    if text("ImdsSupport").is_some_and(|t| t != "v2.0") {
        return Err(error(400, "InvalidParameterValue", "ImdsSupport"));
    }
    let snapshots = devices(form, state)?;
    match text("ImageLocation") {
        Some(location) if !location.ends_with(".manifest.xml") => {
            return Err(error(400, "InvalidManifest", location));
        }
        Some(_) if !snapshots.is_empty() => return combination("a bundle with a snapshot"),
        Some(_) => {}
        None => {
            let root = machine["RootDeviceName"].as_str();
            let devices = list(form, "BlockDeviceMapping", ".DeviceName");
            if root.is_empty() || devices.first() != Some(&root) || snapshots.is_empty() {
                return Err(error(400, "InvalidBlockDeviceMapping", "no root device"));
            }
        }
    }
    let mut amis = state.images.iter();
    if amis.any(|a| !a.gone && a.region == region && a.name == name) {
        let why = format!("AMI name {name} is already in use");
        return Err(error(400, "InvalidAMIName.Duplicate", &why));
    }
    let failed = state
        .manner
        .images_fail
        .then(|| "it did not work".to_owned());
    let encrypted = snapshots.iter().any(|s| state.get(s).encrypted);
    let ami = state.add(region, form, snapshots);
    (ami.machine, ami.failed, ami.encrypted) = (machine, failed, encrypted);
    Ok(format!("<imageId>{}</imageId>", ami.id))
}

/// The snapshots of the devices, each of them looked at.
fn devices(form: &Form, state: &mut State) -> Result<Vec<String>, Response> {
    let mut snapshots = Vec::new();
    for nr in 1.. {
        let prefix = format!("BlockDeviceMapping.{nr}");
        if !form.contains_key(&format!("{prefix}.DeviceName")) {
            return Ok(snapshots);
        }
        let text = |name: &str| {
            form.get(&format!("{prefix}.Ebs.{name}"))
                .map(String::as_str)
        };
        let number = |name: &str| text(name).and_then(|n| n.parse::<u64>().ok());
        let bad = |why: &str| Err(error(400, "InvalidBlockDeviceMapping", why));
        if let Some(id) = text("SnapshotId") {
            if text("Encrypted").is_some() {
                return Err(error(
                    400,
                    "InvalidParameter",
                    "the parameter encrypted is invalid with a snapshot",
                ));
            }
            let Some(snapshot) = state.known(id) else {
                return Err(error(400, "InvalidSnapshot.NotFound", id));
            };
            if snapshot.status() != Status::Completed {
                return Err(error(
                    400,
                    "IncorrectState",
                    "the snapshot is not completed",
                ));
            }
            if number("VolumeSize").is_some_and(|n| n < snapshot.gibibytes) {
                return bad("smaller than its snapshot");
            }
            snapshots.push(id.to_owned());
        }
        if text("VolumeType") == Some("gp3") {
            if number("Iops").is_some_and(|n| !(3000..=80_000).contains(&n)) {
                return bad("Iops");
            }
            if number("Throughput").is_some_and(|n| !(125..=2000).contains(&n)) {
                return bad("Throughput");
            }
        }
    }
    unreachable!("a form has an end")
}

fn describe(region: &str, form: &Form, state: &mut State) -> Answer {
    let (mut shown, mut more) = (Vec::new(), String::new());
    let ids = list(form, "ImageId", "");
    for id in &ids {
        let found = state.ami(region, id);
        // Of one that was deregistered EC2 shows nothing, or says that it is not there.
        shown.push(found?.id.clone());
    }
    if ids.is_empty() && !form.contains_key("Filter.1.Name") {
        // All of the account's, two to a page.
        let amis = state
            .images
            .iter()
            .filter(|a| !a.gone && a.region == region);
        let all: Vec<_> = amis.map(|a| a.id.clone()).collect();
        let at: usize = form.get("NextToken").map_or(0, |t| t.parse().unwrap());
        shown.extend(all.iter().skip(at).take(2).cloned());
        if at + 2 < all.len() {
            more = format!("<nextToken>{}</nextToken>", at + 2);
        }
    } else if ids.is_empty() {
        let settling = state.manner.settling;
        let names = match form.get("Filter.1.Name").map(String::as_str) {
            Some("name") => list(form, "Filter.1.Value", ""),
            _ => return Err(error(400, "InvalidParameterValue", "Filter")),
        };
        let amis = state.images.iter();
        let amis = amis.filter(|a| !a.gone && a.region == region && a.made.elapsed() >= settling);
        let amis = amis.filter(|a| names.contains(&a.name.as_str()));
        shown.extend(amis.map(|a| a.id.clone()));
    }
    let items = shown.iter().map(|id| {
        let ami = state.images.iter().find(|a| a.id == *id).unwrap();
        format!("<item>{}</item>", ami.shown())
    });
    Ok(format!(
        "<imagesSet>{}</imagesSet>{more}",
        items.collect::<String>()
    ))
}

fn copy(region: &str, form: &Form, state: &mut State) -> Answer {
    let text = |name: &str| form.get(name).map(String::as_str).unwrap_or_default();
    check_name(text("Name"))?;
    check_tags(form, &["image", "snapshot"])?;
    let encrypted = text("Encrypted") == "true";
    if !text("KmsKeyId").is_empty() && !encrypted {
        return Err(error(
            400,
            "InvalidParameterCombination",
            "KmsKeyId without Encrypted",
        ));
    }
    let token = text("ClientToken");
    let same = state.images.iter().find(|a| {
        let of = a.form.get("ClientToken").map(String::as_str);
        a.region == region && of == Some(token) && !token.is_empty()
    });
    if let Some(same) = same {
        return match same.form == *form {
            true => Ok(format!("<imageId>{}</imageId>", same.id)),
            false => Err(error(400, "IdempotentParameterMismatch", token)),
        };
    }
    let source = state.ami(text("SourceRegion"), text("SourceImageId"))?;
    let (id, machine) = (source.id.clone(), source.machine.clone());
    let (of, was_encrypted) = (source.snapshots.clone(), source.encrypted);
    let source = state.images.iter().find(|a| a.id == id).unwrap();
    if source.state() != "available" {
        return Err(error(400, "InvalidAMIID.Unavailable", &id));
    }
    let mut snapshots = Vec::new();
    for of in of {
        let tags = tags(form, "snapshot").into_iter();
        let tags: Vec<_> = tags.map(|(k, v)| json!({ "Key": k, "Value": v })).collect();
        let size = state.get(&of).gibibytes;
        let request = json!({ "VolumeSize": size, "Tags": tags, "KmsKeyArn": text("KmsKeyId") });
        let made = state.start(request, encrypted || was_encrypted).id.clone();
        let made = state.snapshots.iter_mut().find(|s| s.id == made).unwrap();
        made.completed = Some(Instant::now());
        snapshots.push(made.id.clone());
    }
    // The key is looked at when the request was answered long ago.
    let failed = text("KmsKeyId").contains("missing");
    let ami = state.add(region, form, snapshots);
    ami.failed = failed.then(|| "Given key ID is not accessible".to_owned());
    (ami.machine, ami.copy_of) = (machine, Some(id));
    ami.encrypted = encrypted || was_encrypted;
    Ok(format!("<imageId>{}</imageId>", ami.id))
}

fn deregister(region: &str, form: &Form, state: &mut State) -> Answer {
    let ami = state.ami(region, &form["ImageId"])?;
    if ami.protected {
        return Err(error(400, "OperationNotPermitted", "it is protected"));
    }
    ami.gone = true;
    let mut results = String::new();
    if form
        .get("DeleteAssociatedSnapshots")
        .is_some_and(|d| d == "true")
    {
        for id in ami.snapshots.clone() {
            let code = match (state.using(&id), state.manner.leaves_snapshots) {
                (Some(_), _) => "skipped",
                (None, true) => "internal-error",
                (None, false) => {
                    state.known(&id).unwrap().deleted = true;
                    "success"
                }
            };
            results.push_str(&format!(
                "<item><snapshotId>{id}</snapshotId><returnCode>{code}</returnCode></item>"
            ));
        }
    }
    Ok(format!(
        "<return>true</return><deleteSnapshotResultSet>{results}</deleteSnapshotResultSet>"
    ))
}

fn share(region: &str, form: &Form, state: &mut State) -> Answer {
    let blocked = state.manner.public_blocked;
    let id = state.ami(region, &form["ImageId"])?.id.clone();
    let ami = state.images.iter().find(|a| a.id == id).unwrap();
    if ami.state() != "available" {
        return Err(error(400, "InvalidAMIID.Unavailable", "it is pending"));
    }
    let encrypted = ami.encrypted;
    let mut add = Vec::new();
    for nr in 1.. {
        let prefix = format!("LaunchPermission.Add.{nr}.");
        let mut of = form.iter().filter(|(name, _)| name.starts_with(&prefix));
        let Some((_, whom)) = of.next() else { break };
        add.push(whom.clone());
    }
    if add.is_empty() {
        return Err(error(
            400,
            "InvalidParameterCombination",
            "nothing to change",
        ));
    }
    if add.iter().any(|w| w == "all") && (blocked || encrypted) {
        return Err(error(400, "OperationNotPermitted", "it cannot be public"));
    }
    state.ami(region, &id)?.shared.extend(add);
    Ok("<return>true</return>".to_owned())
}

fn share_snapshot(form: &Form, state: &mut State) -> Answer {
    let id = &form["SnapshotId"];
    let Some(snapshot) = state.known(id) else {
        return Err(error(400, "InvalidSnapshot.NotFound", id));
    };
    if form
        .get("Attribute")
        .is_none_or(|a| a != "createVolumePermission")
    {
        return Err(error(400, "InvalidParameterValue", "Attribute"));
    }
    let whom = list(form, "CreateVolumePermission.Add", ".UserId");
    snapshot
        .shared
        .extend(whom.into_iter().map(ToOwned::to_owned));
    Ok("<return>true</return>".to_owned())
}

fn change(operation: &str, region: &str, form: &Form, state: &mut State) -> Answer {
    let ami = state.ami(region, &form["ImageId"])?;
    match operation {
        "EnableImageDeprecation" => ami.deprecated = form.get("DeprecateAt").cloned(),
        _ => ami.protected = operation.starts_with("Enable"),
    }
    Ok("<return>true</return>".to_owned())
}
