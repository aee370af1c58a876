#!/usr/bin/env python3
"""The tree that tar archives describe, one JSON object a file, as Python's tarfile reads them.

usage: manifest.py [--oci] [--block-size N] TAR...

Archives come lowest first; with --oci, `.wh.` names remove what lies in lower ones. It shares no code with
diskwright: pax records, sparse maps, ACLs and layers are understood here a second time. Bytes of names are
written as the characters U+0000 to U+00FF. What has no value in an archive follows the image's rules: missing
parents are root's with mode 0755, no time is later than the newest mtime, atime and ctime follow mtime.
"""

import base64
import hashlib
import json
import struct
import sys
import tarfile
import urllib.parse

# Content beyond this is not hashed: its last TAIL bytes are.
CONTENT_MAX = 1 << 30
TAIL = 64 << 10
NANOS = 10**9
TAGS = {"user": (1, 2), "group": (4, 8), "mask": (16, 16), "other": (32, 32)}


def latin(data):
    return data.decode("latin-1")


def raw(text):
    """The bytes that tarfile made `text` of."""
    return text.encode("utf-8", "surrogateescape")


def nanoseconds(text):
    negative = text.startswith("-")
    whole, _, part = text.lstrip("-").partition(".")
    value = int(whole or 0) * NANOS + int((part + "0" * 9)[:9])
    return -value if negative else value


class Acl:
    """Entries (tag, permissions, id), ids None where the tag has none."""

    def __init__(self, entries):
        self.entries = sorted(entries, key=lambda e: (e[0], e[2] or 0))

    @classmethod
    def of_xattr(cls, value):
        assert value[:4] == struct.pack("<I", 2), value
        fields = struct.iter_unpack("<HHI", value[4:])
        return cls([(tag, perm, who if tag in (2, 8) else None) for tag, perm, who in fields])

    @classmethod
    def of_text(cls, text, ids):
        """`user:NAME:rwx[:ID]`, parted by commas or newlines."""
        entries = []
        for line in text.replace("\n", ",").split(","):
            line = line.partition("#")[0].strip()
            if not line:
                continue
            kind, name, perm, *number = [field.strip() for field in line.split(":")]
            kind = {"u": "user", "g": "group", "m": "mask", "o": "other"}.get(kind, kind)
            tag = TAGS[kind][1 if name else 0]
            who = None
            if name:
                known = ids[kind].get(name)
                who = str(known) if known is not None else (number[0] if number else name)
                if not who.isdigit():
                    continue  # a stranger
                who = int(who)
            bits = sum(bit for letter, bit in (("r", 4), ("w", 2), ("x", 1)) if letter in perm)
            entries.append((tag, bits, who))
        return cls(entries)

    def xattr(self):
        none = 0xFFFFFFFF
        each = (struct.pack("<HHI", t, p, none if w is None else w) for t, p, w in self.entries)
        return struct.pack("<I", 2) + b"".join(each)

    def minimal(self):
        return len(self.entries) == 3

    def mode(self):
        """The nine bits: the mask, where there is one, stands for the group."""
        perm = {tag: p for tag, p, who in self.entries if who is None}
        return perm[1] << 6 | perm.get(16, perm[4]) << 3 | perm[32]

    def text(self, prefix=""):
        """As `getfacl --numeric --no-effective` prints it."""
        words = {1: "user", 2: "user", 4: "group", 8: "group", 16: "mask", 32: "other"}
        lines = []
        for tag, perm, who in self.entries:
            bits = "".join(c if perm & b else "-" for c, b in (("r", 4), ("w", 2), ("x", 1)))
            lines.append(f"{prefix}{words[tag]}:{'' if who is None else who}:{bits}\n")
        return "".join(lines)


class Node:
    def __init__(self, kind, mode):
        self.kind, self.mode, self.uid, self.gid = kind, mode, 0, 0
        self.size, self.sha256, self.tail, self.blocks = 0, "", "", 0
        self.target, self.device = b"", (0, 0)
        self.times = [None] * 3
        self.xattrs, self.acl_text = {}, {}
        self.links = 0


class Tree:
    def __init__(self, block_size):
        self.block_size = block_size
        self.names = {b"": Node("d", 0o755)}
        self.newest = None
        self.ids = {"user": {}, "group": {}}

    def remove(self, path, itself=True):
        below = path + b"/" if path else b""
        gone = [p for p in self.names if p != path and p.startswith(below)]
        for name in gone + ([path] if itself and path in self.names else []):
            del self.names[name]

    def put(self, path, node):
        old = self.names.get(path)
        if old and old.kind == "d" and node.kind == "d":
            # Names below it stay, and it stays one folder.
            old.__dict__.update(node.__dict__)
            return
        if old and old.kind == "d":
            self.remove(path)
        self.names[path] = node

    def resolve(self, path):
        """Without `.` and `//`; parents followed where they are symbolic links, made where they miss."""
        parts = [p for p in path.split(b"/") if p not in (b"", b".")]
        if not parts:
            return b""
        at = b""
        for part in parts[:-1]:
            step = at + b"/" + part if at else part
            node = self.names.get(step)
            if node is None:
                self.names[step] = Node("d", 0o755)
            elif node.kind == "l":
                assert b".." not in node.target.split(b"/"), node.target
                base = at if not node.target.startswith(b"/") else b""
                step = b"/".join(p for p in [base, *node.target.split(b"/")] if p)
            at = step
        return at + b"/" + parts[-1] if at else parts[-1]

    def layer(self, tar, oci):
        members = tar.getmembers()
        for member in members if oci else ():
            folder, _, name = raw(member.name).rpartition(b"/")
            if name == b".wh..wh..opq":
                self.remove(self.resolve(folder), itself=False)
            elif name.startswith(b".wh."):
                self.remove(self.resolve(folder + b"/" + name[4:]))
        for member in members:
            path = raw(member.name)
            if oci and path.rpartition(b"/")[2].startswith(b".wh."):
                continue
            self.member(tar, member, self.resolve(path))

    def member(self, tar, member, path):
        pax = member.pax_headers
        mtime = nanoseconds(pax.get("mtime", str(int(member.mtime))))
        self.newest = mtime if self.newest is None else max(self.newest, mtime)
        if member.islnk():
            node = self.names[self.resolve(raw(member.linkname))]
            if self.names.get(path) is not node:
                assert path not in self.names or self.names[path].kind != "d", path
                self.names[path] = node
            return
        kinds = ((member.isdir, "d"), (member.issym, "l"), (member.ischr, "c"), (member.isblk, "b"), (member.isfifo, "p"))
        kind = next((letter for test, letter in kinds if test()), "f")
        node = Node(kind, member.mode & 0o7777)
        node.uid, node.gid = member.uid, member.gid
        node.times = [mtime] + [nanoseconds(pax[k]) if k in pax else mtime for k in ("atime", "ctime")]
        if kind == "f":
            self.content(tar, member, node)
        elif kind == "l":
            node.target = raw(member.linkname)
        elif kind in "cb":
            node.device = (member.devmajor, member.devminor)
        for key, value in pax.items():
            if key.startswith("SCHILY.xattr."):
                # GNU tar writes `=` and `%` of names so.
                name = raw(key[13:]).replace(b"%3D", b"=").replace(b"%25", b"%")
                node.xattrs[name] = raw(value)
            elif key.startswith("LIBARCHIVE.xattr."):
                value = raw(value)
                name = urllib.parse.unquote_to_bytes(key[17:])
                node.xattrs[name] = base64.b64decode(value + b"=" * (-len(value) % 4))
            elif key == "RHT.security.selinux":
                node.xattrs[b"security.selinux"] = raw(value) + b"\0"  # as setfilecon sets it
            elif key in ("SCHILY.acl.access", "SCHILY.acl.default"):
                node.acl_text[key[11:]] = value
        self.put(path, node)

    def content(self, tar, member, node):
        node.size = member.size
        runs = member.sparse if member.sparse is not None else [(0, member.size)]
        blocks, last = 0, -1
        for start, length in runs:
            if length:
                first = max(start // self.block_size, last + 1)
                last = (start + length - 1) // self.block_size
                blocks += last + 1 - first
        node.blocks = blocks
        data = tar.extractfile(member)
        digest = hashlib.sha256()
        if node.size <= CONTENT_MAX:
            while piece := data.read(1 << 20):
                digest.update(piece)
            node.sha256 = digest.hexdigest()
        else:
            data.seek(node.size - TAIL)
            node.tail = hashlib.sha256(data.read(TAIL)).hexdigest()

    def accounts(self, tar):
        """The tree's own names of users and groups, for ACLs that name them; the last file of each wins."""
        files = {"etc/passwd": "user", "etc/group": "group"}
        for member in tar.getmembers():
            kind = files.get(member.name.removeprefix("./"))
            if kind and member.isreg():
                rows = tar.extractfile(member).read().decode("latin-1").splitlines()
                rows = [row.split(":") for row in rows]
                self.ids[kind] = {row[0]: int(row[2]) for row in rows if len(row) > 2 and row[2].isdigit()}

    def finish(self):
        firsts = {}
        for path in sorted(self.names):
            node = self.names[path]
            firsts.setdefault(id(node), path)
            node.links += 1
            if node.kind == "d":
                node.links += 1
                if path:
                    self.names[path.rpartition(b"/")[0]].links += 1
        self.names[b""].links += 1  # lost+found
        return [self.line(path, node, firsts[id(node)]) for path, node in sorted(self.names.items())]

    def line(self, path, node, first):
        acls = {}
        for kind in ("access", "default"):
            name = b"system.posix_acl_" + kind.encode()
            if kind == "default" and node.kind != "d":
                continue
            if name in node.xattrs:
                acls[kind] = Acl.of_xattr(node.xattrs[name])
            elif kind in node.acl_text:
                acls[kind] = Acl.of_text(node.acl_text[kind], self.ids)
        posix = (b"system.posix_acl_access", b"system.posix_acl_default")
        xattrs, mode = {k: v for k, v in node.xattrs.items() if k not in posix}, node.mode
        for kind, acl in acls.items():
            xattrs[b"system.posix_acl_" + kind.encode()] = acl.xattr()
        if access := acls.get("access"):
            mode = mode & 0o7000 | access.mode()
            if access.minimal():
                del xattrs[b"system.posix_acl_access"], acls["access"]
        text = ""
        if acls:
            base = [(1, mode >> 6 & 7, None), (4, mode >> 3 & 7, None), (32, mode & 7, None)]
            text = acls.get("access", Acl(base)).text()
            if "default" in acls:
                text += acls["default"].text("default:")
        # A folder that nobody described is of the image's own time.
        times = [self.newest if t is None else min(t, self.newest) for t in node.times]
        return {
            "path": latin(path), "kind": node.kind, "mode": mode, "uid": node.uid, "gid": node.gid,
            "size": node.size, "sha256": node.sha256, "tail": node.tail, "target": latin(node.target),
            "device": node.device, "times": [divmod(t, NANOS) for t in times], "links": node.links,
            "xattrs": {latin(k): v.hex() for k, v in xattrs.items()}, "first": latin(first),
            "blocks": node.blocks, "acl": text,
        }


def main(arguments):
    oci = "--oci" in arguments
    arguments = [a for a in arguments if a != "--oci"]
    block_size = 4096
    if arguments[0] == "--block-size":
        block_size, arguments = int(arguments[1]), arguments[2:]
    tree = Tree(block_size)
    for path in arguments:
        with tarfile.open(path) as tar:
            tree.accounts(tar)
            tree.layer(tar, oci)
    for line in tree.finish():
        print(json.dumps(line))


main(sys.argv[1:])
