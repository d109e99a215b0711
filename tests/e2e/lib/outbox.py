"""A sendmail that only records what it was handed."""
import email
import email.policy
import glob
import os

# takes a message as sendmail does, and keeps arguments and message
SENDMAIL = '''#!/bin/sh
folder=%s
[ ! -e "$folder/away" ] || exit 75
file=$(mktemp "$folder/XXXXXXXX")
printf '%%s\\n' "$@" > "$file.arguments"
cat > "$file.eml"
rm "$file"
'''


class Outbox:
    """What was handed to sendmail since it was asked last."""

    def __init__(self, s):
        self.folder = s.path("outbox")
        os.mkdir(self.folder)
        os.chmod(self.folder, 0o777)
        self.program = s.write("bin/sendmail", SENDMAIL % self.folder, 0o755)

    def take(self):
        found = []
        for path in sorted(glob.glob(self.folder + "/*.eml")):
            with open(path, "rb") as file:
                raw = file.read()
            arguments = path[:-4] + ".arguments"
            with open(arguments, encoding="utf-8") as file:
                words = file.read().split("\n")[:-1]
            os.unlink(path)
            os.unlink(arguments)
            found.append((words, raw, email.message_from_bytes(raw, policy=email.policy.default)))
        return found

    def fail(self, yes):
        if yes:
            open(self.folder + "/away", "w", encoding="utf-8").close()
        else:
            os.unlink(self.folder + "/away")
