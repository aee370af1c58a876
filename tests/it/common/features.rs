//! A tree with everything that a tar can say and ext4 can hold.

use super::member::Member;
use super::tarball::Header;

/// Bytes that differ from block to block and from file to file.
pub fn content(seed: usize, len: usize) -> Vec<u8> {
    (0..len)
        .map(|i| u8::try_from((i / 4096 * 31 + i % 251 + seed * 7) % 255 + 1).unwrap())
        .collect()
}

/// The value of `system.posix_acl_*` as system calls have it: version 2.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut value = 2_u32.to_le_bytes().to_vec();
    for (tag, perm, id) in entries {
        value.extend(tag.to_le_bytes());
        value.extend(perm.to_le_bytes());
        value.extend(id.to_le_bytes());
    }
    value
}

/// Every feature, as the members of an archive.
pub fn members() -> Vec<Vec<u8>> {
    let mut all = vec![
        Member::folder("./").mode(0o755).bytes(),
        Member::folder("usr/lib").bytes(),
        Member::folder("usr").owner(1, 2).bytes(),
        // The usr-merge: what goes to lib lands in usr/lib.
        Member::symlink("lib", "usr/lib").bytes(),
        Member::file("lib/merged.so", "through a symlinked parent").bytes(),
        Member::folder("lib/deep/deeper").bytes(),
        Member::file("missing/parents/are/made", "yes").bytes(),
    ];
    sizes(&mut all);
    links(&mut all);
    specials(&mut all);
    owners_and_times(&mut all);
    xattrs(&mut all);
    acls(&mut all);
    names(&mut all);
    sparse(&mut all);
    // The last entry of a name wins.
    all.push(Member::file("twice", content(1, 70_000)).bytes());
    all.push(Member::file("between", content(2, 9000)).bytes());
    all.push(Member::file("twice", "the second").mode(0o600).bytes());
    all.push(Member::folder("size").mode(0o2750).owner(3, 4).bytes());
    all
}

fn sizes(all: &mut Vec<Vec<u8>>) {
    for len in [
        0, 1, 511, 512, 513, 4095, 4096, 4097, 8191, 8192, 8193, 65_536, 1_048_575, 1_048_577,
        3_000_001,
    ] {
        all.push(Member::file(format!("size/{len}"), content(len, len)).bytes());
    }
    // Data that is zero is still data.
    all.push(Member::file("size/zeros", vec![0; 100_000]).bytes());
    let mut islands = vec![0; 400_000];
    islands[200_000..200_010].copy_from_slice(b"0123456789");
    all.push(Member::file("size/islands", islands).bytes());
}

fn links(all: &mut Vec<Vec<u8>>) {
    for len in [1, 59, 60, 61, 100, 101, 255, 1024, 4095] {
        // Not periodic: debugfs leaves out lines that repeat.
        let target: Vec<u8> = (0..len)
            .map(|i| b'a' + u8::try_from((i * 7 + i / 26) % 26).unwrap())
            .collect();
        all.push(Member::symlink(format!("link/{len}"), &target).bytes());
    }
    all.push(Member::symlink("link/bytes", b"\xff\xfe not utf-8").bytes());
    all.push(Member::hard_link("link/hard", "size/4097").bytes());
    all.push(Member::hard_link("link/hard2", "./link/hard").bytes());
    all.push(Member::hard_link("link/to-symlink", "link/60").bytes());
    all.push(Member::hard_link("link/to-fast-symlink", "link/59").bytes());
    all.push(Member::hard_link("link/through", "lib/merged.so").bytes());
}

fn specials(all: &mut Vec<Vec<u8>>) {
    for (name, kind, device) in [
        ("dev/null", b'3', (1, 3)),
        ("dev/sda", b'4', (8, 0)),
        ("dev/small", b'3', (255, 255)),
        ("dev/minor", b'4', (8, 256)),
        ("dev/large", b'3', (256, 3)),
        ("dev/largest", b'4', (4095, 1_048_575)),
        ("dev/fifo", b'6', (0, 0)),
    ] {
        all.push(
            Member::special(name, kind, device)
                .mode(0o660)
                .owner(0, 6)
                .bytes(),
        );
    }
    all.push(Member::hard_link("dev/zero-too", "dev/null").bytes());
}

fn owners_and_times(all: &mut Vec<Vec<u8>>) {
    for (n, mode) in [0, 0o400, 0o777, 0o4755, 0o2755, 0o1777, 0o7777]
        .into_iter()
        .enumerate()
    {
        all.push(Member::file(format!("mode/{n}"), "").mode(mode).bytes());
    }
    for id in [1, 65_535, 65_536, 100_000, 4_294_967_294] {
        all.push(
            Member::file(format!("owner/{id}"), "")
                .owner(id, id - 1)
                .bytes(),
        );
    }
    for (n, time) in [
        "0",
        "1.000000001",
        "1699999999.999999999",
        "-1",
        "-0.5",
        "-1000000000.000000001",
        "-2147483648",
        "2147483647.999999999",
        "2147483648",
        "4294967296.25",
        "10000000000.75",
        "15032385535.5",
    ]
    .into_iter()
    .enumerate()
    {
        let member = Member::file(format!("time/{n}"), "").mtime(time);
        all.push(member.bytes());
    }
    let three = Member::file("time/three", "").mtime("1500000000.5");
    let three = three
        .record("atime", "1600000000.25")
        .record("ctime", "1650000000.125");
    all.push(three.bytes());
}

fn xattrs(all: &mut Vec<Vec<u8>>) {
    let file = |name: &str| Member::file(format!("xattr/{name}"), name);
    let capability = [
        1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    all.push(
        file("user")
            .xattr("user.a", "b")
            .xattr("user.empty", "")
            .bytes(),
    );
    all.push(file("binary").xattr("user.bin", b"\0\xff=\n\x01").bytes());
    all.push(
        file("trusted")
            .xattr("trusted.t", "x")
            .xattr("security.selinux", "u:r:t:s0\0")
            .bytes(),
    );
    all.push(
        file("capability")
            .xattr("security.capability", capability)
            .bytes(),
    );
    // Version 3: of a user namespace whose root is uid 100000.
    let mut namespaced = [&capability[..], &100_000_u32.to_le_bytes()].concat();
    namespaced[3] = 3;
    all.push(
        file("capability3")
            .xattr("security.capability", namespaced)
            .bytes(),
    );
    let label = file("selinux").record("RHT.security.selinux", "system_u:object_r:etc_t:s0");
    all.push(label.xattr("security.ima", [3, 2, 4]).bytes());
    // libarchive's form: a name URL-encoded, a value in base64 without padding.
    let libarchive = file("libarchive").record("LIBARCHIVE.xattr.user.%41%3D%25", "AP8K");
    all.push(libarchive.xattr("user.a%3Db%25", "GNU tar's").bytes());
    all.push(
        file("name")
            .xattr(&format!("user.{}", "n".repeat(250)), "255 bytes")
            .bytes(),
    );
    // Block and inode filled to the last byte.
    let full = file("full").xattr("trusted.a", content(8, 68));
    all.push(full.xattr("user.b", content(9, 4096 - 32 - 4 - 20)).bytes());
    let many = (0..20).fold(file("many"), |m, n| {
        m.xattr(&format!("user.name{n}"), content(n, 40))
    });
    all.push(many.bytes());
    all.push(file("block").xattr("user.big", content(3, 2000)).bytes());
    all.push(
        file("both")
            .xattr("user.small", "s")
            .xattr("user.big", content(4, 3500))
            .bytes(),
    );
    // The same set: one block for all of them.
    for n in 0..5 {
        all.push(
            file(&format!("shared{n}"))
                .xattr("user.shared", content(5, 1000))
                .bytes(),
        );
    }
    let named = acl(&[
        (1, 6, u32::MAX),
        (2, 4, 1000),
        (4, 4, u32::MAX),
        (16, 6, u32::MAX),
        (32, 4, u32::MAX),
    ]);
    all.push(
        file("acl")
            .mode(0o664)
            .xattr("system.posix_acl_access", &named)
            .bytes(),
    );
    let folder = Member::folder("xattr/default").xattr("system.posix_acl_default", &named);
    all.push(folder.xattr("user.on", "a folder").bytes());
    let link = Member::symlink("xattr/link", "user").xattr("trusted.on", "a symlink");
    all.push(link.bytes());
    let device = Member::special("xattr/device", b'3', (1, 5)).xattr("security.selinux", "dev");
    all.push(device.bytes());
}

/// ACLs as text, in every writer's form.
fn acls(all: &mut Vec<Vec<u8>>) {
    let access = |name: &str, text: &str| {
        let member = Member::file(format!("acl/{name}"), name).mode(0o640);
        member.record("SCHILY.acl.access", text)
    };
    // Read behind the files that they matter to, the later one counts.
    all.push(Member::file("etc/passwd", "lisa:x:1:1::/:\n").bytes());
    for (name, text) in [
        (
            "gnu",
            "user::rw-\nuser:lisa:rwx\t#effective:r-x\ngroup::r--\ngroup:adm:r-x\nmask::r-x\nother::---\n",
        ),
        (
            "star",
            "user::rw-,user:lisa:rwx:502,user:other:r--:503,group::r--,group:adm:r-x:9,mask::rw-,other::r--",
        ),
        (
            "libarchive",
            "user::rwx,group::r-x,other::--x,user:root:rw-:0,user:77:r--:77,group:1000000:-wx:1000000,mask::rwx",
        ),
        (
            "stranger",
            "user::rwx,user:nemo:---,group::r-x,mask::rwx,other::---",
        ),
        ("minimal", "user::rwx,group::r-x,other::--x"),
        ("mask", "user::rwx,group::r-x,mask::--x,other::--x"),
    ] {
        all.push(access(name, text).bytes());
    }
    let named = "user::rwx,user:lisa:rwx:502,group::r-x,mask::rwx,other::---";
    let folder = Member::folder("acl/default").record("SCHILY.acl.default", named);
    all.push(folder.bytes());
    let folder = Member::folder("acl/both").record("SCHILY.acl.default", named);
    all.push(
        folder
            .record("SCHILY.acl.access", named)
            .mode(0o2750)
            .bytes(),
    );
    let minimal = "user::rwx,group::r-x,other::---";
    let folder = Member::folder("acl/plain").record("SCHILY.acl.default", minimal);
    all.push(folder.bytes());
    let device = Member::special("acl/device", b'3', (1, 7)).record("SCHILY.acl.access", named);
    all.push(device.bytes());
    // As an attribute: to be sorted, to be folded into the mode, to stand above the text.
    let none = u32::MAX;
    let shuffled = acl(&[
        (32, 1, none),
        (16, 7, none),
        (8, 5, 20),
        (8, 4, 3),
        (4, 0, none),
        (2, 6, 1000),
        (2, 2, 4_294_967_294),
        (1, 7, none),
    ]);
    let file = |name: &str| Member::file(format!("acl/{name}"), "");
    let attribute = "system.posix_acl_access";
    all.push(file("shuffled").xattr(attribute, &shuffled).bytes());
    let minimal = acl(&[(1, 7, none), (4, 1, none), (32, 2, none)]);
    all.push(file("folded").xattr(attribute, &minimal).bytes());
    let above = file("above").record("SCHILY.acl.access", named);
    all.push(above.xattr(attribute, &shuffled).bytes());
    // More than an inode holds.
    let many: Vec<(u16, u16, u32)> = [(1, 7, none), (4, 0, none), (16, 7, none), (32, 0, none)]
        .into_iter()
        .chain((0..300).map(|n| (if n % 2 > 0 { 2 } else { 8 }, 5, n * 1000)))
        .collect();
    let folder = Member::folder("acl/many").xattr("system.posix_acl_default", acl(&many));
    all.push(folder.bytes());
    all.push(Member::file("etc/passwd", "root:x:0:0::/:\nlisa:x:1000:1000::/:\n").bytes());
    all.push(Member::file("etc/group", "root:x:0:\nadm:x:4:lisa\n").bytes());
}

fn names(all: &mut Vec<Vec<u8>>) {
    for name in [
        &b"\xff\xfe\x80 not utf-8"[..],
        "grüße/日本語".as_bytes(),
        b"a space, a \"quote\" and a \\",
        b"*?[x]",
        b"-f",
        b"...",
    ] {
        all.push(Member::file([b"name/", name].concat(), name).bytes());
    }
    all.push(Member::file(format!("name/{}", "n".repeat(255)), "255 bytes").bytes());
    let deep = (0..60).map(|n| format!("level-{n}/")).collect::<String>();
    all.push(Member::file(format!("deep/{deep}end"), "deep").bytes());
    // More than one leaf of an htree, and names of many lengths.
    for n in 0..5000 {
        let name = format!("many/{n}{}", "x".repeat(n % 83));
        all.push(Header::new(&name, b'0', 0).block());
    }
}

fn sparse(all: &mut Vec<Vec<u8>>) {
    // Old GNU: the map in the header, four runs.
    let runs: [(u64, u64); 3] = [(8192, 5000), (100_000, 512), (1_000_000, 0)];
    let data = [content(6, 5000), content(7, 512)].concat();
    let mut header = Header::new("sparse/gnu", b'S', data.len().try_into().unwrap()).gnu();
    for (n, (offset, len)) in runs.iter().enumerate() {
        header = header
            .with(386 + 24 * n, format!("{offset:011o}\0").as_bytes())
            .with(398 + 24 * n, format!("{len:011o}\0").as_bytes());
    }
    all.push(
        header
            .with(483, format!("{:011o}\0", 1_000_000).as_bytes())
            .data(&data),
    );
    // pax 0.1: the map in a record.
    let data = [content(8, 4096), content(9, 10)].concat();
    let member = Member::file("GNUSparseFile.0/old", data)
        .record("GNU.sparse.major", "0")
        .record("GNU.sparse.minor", "1")
        .record("GNU.sparse.name", "sparse/pax01")
        .record("GNU.sparse.size", "60000000")
        .record("GNU.sparse.numblocks", "2")
        .record("GNU.sparse.map", "4096,4096,59999990,10");
    all.push(member.bytes());
    // pax 1.0: the map before the data.
    let mut data = b"3\n0\n100\n40960\n8192\n200000\n0\n".to_vec();
    data.resize(512, 0);
    data.extend(content(10, 100));
    data.extend(content(11, 8192));
    let member = Member::file("GNUSparseFile.0/new", data)
        .record("GNU.sparse.major", "1")
        .record("GNU.sparse.minor", "0")
        .record("GNU.sparse.name", "sparse/pax10")
        .record("GNU.sparse.realsize", "200000");
    all.push(member.bytes());
    // More extents than an inode holds.
    let mut map = String::new();
    for n in 0..500_u32 {
        map += &format!("{}{},4096", if n > 0 { "," } else { "" }, n * 12_288);
    }
    let member = Member::file("GNUSparseFile.0/comb", content(12, 500 * 4096))
        .record("GNU.sparse.major", "0")
        .record("GNU.sparse.minor", "1")
        .record("GNU.sparse.name", "sparse/comb")
        .record("GNU.sparse.size", (500 * 12_288).to_string())
        .record("GNU.sparse.numblocks", "500")
        .record("GNU.sparse.map", map);
    all.push(member.bytes());
    let empty = Member::file("GNUSparseFile.0/hole", "")
        .record("GNU.sparse.major", "0")
        .record("GNU.sparse.minor", "1")
        .record("GNU.sparse.name", "sparse/hole")
        .record("GNU.sparse.size", "70000")
        .record("GNU.sparse.numblocks", "1")
        .record("GNU.sparse.map", "70000,0");
    all.push(empty.bytes());
    // Past 32 bits of size, and of blocks.
    let huge = Member::file("GNUSparseFile.0/huge", content(13, 5000))
        .record("GNU.sparse.major", "0")
        .record("GNU.sparse.minor", "1")
        .record("GNU.sparse.name", "sparse/huge")
        .record("GNU.sparse.size", "9000000000000")
        .record("GNU.sparse.numblocks", "1")
        .record("GNU.sparse.map", "8999999995000,5000");
    all.push(huge.bytes());
}
