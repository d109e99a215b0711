"""What a disk may hold after a power cut: made from what was there before and the recorder's log.

Two file systems are played. "journal" keeps the order of names as ext4, XFS and Btrfs do: when any file
is flushed, every name made, changed or removed before that is on the disk; of what came after the last
flush any first part may be there. "strict" is what POSIX promises: a name is on the disk when its
directory was flushed after it was made, and not before.

In both the bytes of a file are on the disk when the file was flushed after they were written. Bytes that
were not: "dropped", "kept", or "torn" (of each write the first half).
"""
import hashlib
import os
import shutil
import time


class File:
    def __init__(self, is_dir, content=b"", mode=0o600):
        self.is_dir = is_dir
        self.content = content  # at the beginning
        self.mode = mode


def skipped(name):
    return name.endswith("-shm")


class Disk:
    """The folder @root as it is now; log() adds what happened since."""

    def __init__(self, root):
        self.root = root
        self.files = {}             # key: File
        self.before = {}            # key of a directory: {name: key}
        self.ops = []               # (what, …)
        self.top = self._read(root)
        self.now = {key: dict(names) for key, names in self.before.items()}

    @staticmethod
    def _key(st):
        return "%x:%x" % (st.st_dev, st.st_ino)

    def _read(self, path):
        st = os.lstat(path)
        key = self._key(st)
        if os.path.isdir(path):
            self.files[key] = File(True, mode=st.st_mode & 0o777)
            self.before[key] = {name: self._read(os.path.join(path, name))
                                for name in sorted(os.listdir(path)) if not skipped(name)}
        elif key not in self.files:
            with open(path, "rb") as file:
                self.files[key] = File(False, file.read(), st.st_mode & 0o777)
        return key

    # ---------------------------------------------------------------- the log

    def _place(self, path):
        """(directory, name) of a path, or None outside of the root."""
        path = os.path.normpath(path)
        if not path.startswith(self.root + "/") or skipped(path):
            return None
        words = path[len(self.root) + 1:].split("/")
        here = self.top
        for word in words[:-1]:
            here = self.now[here][word]
        return here, words[-1]

    def log(self, path):
        with open(path, "rb") as file:
            text = file.read()
        at = 0
        self.live = {}
        while at < len(text):
            end = text.index(b"\n", at)
            words = text[at:end].decode().split("\t")
            length = int(words[-1])
            self._add(words[0], words[1:-1], text[end + 1:end + 1 + length])
            at = end + 1 + length + 1
        return self

    def _add(self, what, words, data):
        if what in ("send", "recv"):
            self.ops.append((what, data))
        elif what == "nameless":
            self.live[words[0]] = words[0] + "/%d" % len(self.ops)
            self.files[self.live[words[0]]] = File(False)
        elif what in ("create", "mkdir", "link"):
            place = self._place(words[1])
            if place is None:
                return
            key = words[0]
            if what != "link":
                # inode numbers are used again
                self.live[key] = key + "/%d" % len(self.ops)
                self.files[self.live[key]] = File(what == "mkdir",
                                                  mode=0o700 if what == "mkdir" else 0o600)
                if what == "mkdir":
                    self.now[self.live[key]] = {}
            self._name("add", place, self.live.get(key, key))
        elif what == "unlink":
            place = self._place(words[0])
            if place is not None:
                self._name("remove", place, None)
        elif what == "rename":
            old, new = self._place(words[0]), self._place(words[1])
            if old is not None and new is not None:
                key = self.now[old[0]].pop(old[1])
                self.now[new[0]][new[1]] = key
                self.ops.append(("rename", old, new, key))
        else:
            key = self.live.get(words[0], words[0])
            if key not in self.files:
                return
            if what == "sync":
                self.ops.append(("sync", key))
            else:
                self.ops.append((what, key, int(words[1]), data))

    def _name(self, what, place, key):
        directory, name = place
        if what == "add":
            self.now[directory][name] = key
        else:
            self.now[directory].pop(name)
        self.ops.append((what, place, key))

    # ---------------------------------------------------------------- states

    def flushes(self):
        return [i for i, op in enumerate(self.ops) if op[0] == "sync"]

    def cuts(self):
        """Instants worth a power cut: just before and just behind each flush, and the end."""
        return sorted({c for i in self.flushes() for c in (i, i + 1)} | {len(self.ops)})

    def _flushed(self, key, cut):
        """Index behind the last flush of that file before the cut."""
        return max((i + 1 for i in self.flushes() if i < cut and self.ops[i][1] == key), default=0)

    def _content(self, key, cut, names, loose):
        flushed = self._flushed(key, cut)
        content = bytearray(self.files[key].content)
        for i, op in enumerate(self.ops[:cut]):
            if op[0] == "write" and op[1] == key:
                _, _, offset, data = op
                if i >= flushed:
                    if loose == "dropped":
                        continue
                    if loose == "torn":
                        data = data[:len(data) // 2]
                if len(content) < offset:
                    content.extend(bytes(offset - len(content)))
                content[offset:offset + len(data)] = data
            elif op[0] == "truncate" and op[1] == key and i < max(flushed, names):
                size = op[2]
                content = content[:size] + bytes(max(0, size - len(content)))
        return bytes(content)

    def _apply(self, tree, op, removed=True, added=True):
        if op[0] == "rename":
            _, (old_dir, old), (new_dir, new), key = op
            if removed:
                tree.setdefault(old_dir, {}).pop(old, None)
            if added:
                tree.setdefault(new_dir, {})[new] = key
        elif op[0] == "add":
            tree.setdefault(op[1][0], {})[op[1][1]] = op[2]
        else:
            tree.setdefault(op[1][0], {}).pop(op[1][1], None)

    def journal(self, cut, names, loose):
        """All names up to @names; bytes flushed before @cut."""
        tree = {key: dict(entries) for key, entries in self.before.items()}
        for op in self.ops[:names]:
            if op[0] in ("add", "remove", "rename"):
                self._apply(tree, op)
        return State(self, tree, lambda key: self._content(key, cut, names, loose))

    def strict(self, cut, loose):
        tree = {key: dict(entries) for key, entries in self.before.items()}
        for i, op in enumerate(self.ops[:cut]):
            if op[0] in ("add", "remove") and i < self._flushed(op[1][0], cut):
                self._apply(tree, op)
            elif op[0] == "rename":
                self._apply(tree, op, removed=i < self._flushed(op[1][0], cut),
                            added=i < self._flushed(op[2][0], cut))
        return State(self, tree, lambda key: self._content(key, cut, 0, loose))

    def states(self):
        """(description, cut, state), each state once per cut's side of COMMIT."""
        for cut in self.cuts():
            last = max((i + 1 for i in self.flushes() if i < cut), default=0)
            named = [i + 1 for i in range(last, cut)
                     if self.ops[i][0] in ("add", "remove", "rename", "truncate")]
            for loose in ("dropped", "kept", "torn"):
                for names in [last] + named:
                    yield ("cut at %d, names up to %d, loose bytes %s" % (cut, names, loose), cut,
                           self.journal(cut, names, loose))
                yield ("cut at %d, POSIX, loose bytes %s" % (cut, loose), cut,
                       self.strict(cut, loose))


class State:
    def __init__(self, disk, tree, content_of):
        self.disk = disk
        self.paths = {}     # path: key
        self.contents = {}  # key: bytes
        self._walk(tree, disk.top, "", content_of)

    def _walk(self, tree, key, path, content_of):
        self.paths[path] = key
        if not self.disk.files[key].is_dir:
            if key not in self.contents:
                self.contents[key] = content_of(key)
            return
        for name, child in tree.get(key, {}).items():
            self._walk(tree, child, path + "/" + name, content_of)

    def print(self):
        """Equal for equal states."""
        digest = hashlib.sha256()
        for path, key in sorted(self.paths.items()):
            digest.update(("%s %s\n" % (path, key)).encode())
            digest.update(hashlib.sha256(self.contents.get(key, b"/")).digest())
        return digest.hexdigest()

    def make(self, user):
        """Makes the root folder so; all belongs to @user, and is ten minutes old: so long it takes
        until the machine is up and the MTA tries again."""
        root = self.disk.root
        then = time.time() - 600
        for name in os.listdir(root):
            path = os.path.join(root, name)
            if os.path.isdir(path):
                shutil.rmtree(path)
            else:
                os.unlink(path)
        made = {}
        for path, key in sorted(self.paths.items()):
            here, file = root + path, self.disk.files[key]
            if path == "":
                continue
            if file.is_dir:
                os.mkdir(here)
            elif key in made:
                os.link(made[key], here)
            else:
                with open(here, "wb") as output:
                    output.write(self.contents[key])
                made[key] = here
            os.chmod(here, file.mode)
            if user:
                shutil.chown(here, user, user)
            if not file.is_dir:
                os.utime(here, (then, then))

    def differs(self):
        """How the root folder differs from this state; empty: not at all."""
        real = Disk(self.disk.root)
        there = State(real, real.before, lambda key: real.files[key].content)
        wanted = {path: self.contents.get(key) for path, key in self.paths.items()}
        found = {path: there.contents.get(key) for path, key in there.paths.items()}
        return [path for path in sorted({*wanted, *found})
                if path not in wanted or path not in found or wanted[path] != found[path]]
