"""The address book for LDAP clients: OpenLDAP's slapd over docs/ldap's views, as they stand."""
import base64
import glob
import os
import shutil
import urllib.parse

from lib.servers import Postgres, Server
from lib.story import SOURCE, Skip, run, want, want_equal

ALICE, BOB, PLUS = "alice@example.com", "bob@example.com", "a+b@example.com"
PASSWORD = "비밀 geheim"


def documented(name):
    with open("%s/docs/ldap/%s" % (SOURCE, name), encoding="utf-8") as file:
        return file.read()


class Slapd(Server):
    """OpenLDAP with docs/ldap/slapd.conf and odbc.ini (paths moved), on a Unix socket."""
    name = "slapd"
    owner = "openldap"

    def __init__(self, story):
        super().__init__(story)
        folder = story.path("ldap")
        os.mkdir(folder)
        os.chmod(folder, 0o777)
        story.place("/run/slapd", folder)
        self.etc = folder
        story.write(folder + "/odbc.ini", story.moved(documented("odbc.ini")))
        shutil.copy("/etc/odbcinst.ini", folder)
        self.config = story.write(folder + "/slapd.conf", story.moved(documented("slapd.conf")))
        self.uri = "ldapi://" + urllib.parse.quote(folder + "/ldapi", safe="")

    def command(self):
        # -d: does not leave the terminal; "none" is what is logged whatever the level
        return ["/usr/sbin/slapd", "-d", "none", "-h", self.uri, "-f", self.config]

    def environment(self):
        return {"ODBCSYSINI": self.etc}

    def ready(self):
        return self.search(None, "", "-s", "base").status == 0

    def search(self, user, base, *words):
        """ldapsearch, bound as @user."""
        who = ["-D", entry(user), "-w", PASSWORD] if user else []
        return self.story.run("ldapsearch", "-x", "-LLL", "-o", "ldif-wrap=no", "-H", self.uri,
                              *who, "-b", base, *words)


def entry(user):
    return "ou=%s,o=addressbook" % user.replace("+", "\\+")


def values(ldif, attribute):
    """The values of an attribute in all entries, sorted."""
    found = []
    for line in ldif.splitlines():
        name, _, value = line.partition(": ")
        if name == attribute + ":":
            found.append(base64.b64decode(value).decode("utf-8"))
        elif name == attribute:
            found.append(value)
    return sorted(found)


def story(s):
    if not os.path.exists("/usr/lib/ldap/back_sql.so") or not glob.glob("/usr/lib/*/odbc/psqlodbcw.so"):
        raise Skip("needs OpenLDAP and ODBC: apt install slapd ldap-utils odbc-postgresql")
    postgres = Postgres(s).start()
    s.configure(database=postgres.uri)
    s.vmail("migrate")
    hashed = s.run("openssl", "passwd", "-6", "-stdin", input=PASSWORD, status=0).out.strip()
    for user in (ALICE, BOB, PLUS):
        s.vmail("user", "add", user)
    s.execute("UPDATE virtual_users SET password = '{SHA512-CRYPT}%s'" % hashed)

    def add(user, email, name):
        s.vmail("contacts", "-u", user, "add", email, name)

    add(ALICE, "chulsoo@remote.example", "김철수")
    add(ALICE, "dora@remote.example", "Dora D'Arcy")
    add(ALICE, "nobody@remote.example", "")
    add(BOB, "secret@remote.example", "김 Secret")
    add(PLUS, "plus@remote.example", "Plus")
    s.vmail("contacts", "-u", ALICE, "group", "add", "회사", "chulsoo@remote.example")

    s.step("the views of docs/ldap/views.sql, and slapd over them")
    postgres.admin("SELECT 1")
    s.psql(documented("views.sql"), postgres.uri.replace("user=vmail", "user=postgres"))
    slapd = Slapd(s).start()

    def find(words, user=ALICE, base=None, attribute="mail"):
        done = slapd.search(user, base or entry(user), "-s", "one", words)
        want_equal(done.status, 0, "ldapsearch %s: %s" % (words, done.err))
        return [value.split("@")[0] for value in values(done.out, attribute)]

    s.step("found by name, in every script, by address and by group; letters' case does not matter")
    for words, wanted in (
            ("(cn=*철수*)", ["chulsoo"]), ("(cn=김철수)", ["chulsoo"]), ("(sn=김*)", ["chulsoo"]),
            ("(cn=dora*)", ["dora"]), ("(cn=*D'ARCY)", ["dora"]), ("(givenName=dora)", ["dora"]),
            ("(mail=CHUL*)", ["chulsoo"]), ("(mail=dora@remote.example)", ["dora"]),
            ("(departmentNumber=회사)", ["chulsoo"]), ("(cn=nobody*)", ["nobody"]),
            ("(objectClass=inetOrgPerson)", ["chulsoo", "dora", "nobody"]),
            ("(cn=*x'; DROP TABLE contacts; --*)", []), ("(mail=*%*)", [])):
        want_equal(find(words), wanted, words)
    # what Thunderbird and Outlook ask: any of many attributes, some of which nobody has
    many = "(|(cn=*{0}*)(mail=*{0}*)(givenName=*{0}*)(sn=*{0}*)(mozillaNickname=*{0}*)" \
           "(departmentNumber=*{0}*)(ou=*{0}*)(o=*{0}*)(title=*{0}*))"
    want_equal(find(many.format("arc")), ["dora"], many)
    want_equal(find(many.format("회사")), ["chulsoo"], many)
    want_equal(find("(cn=*철수*)", attribute="cn"), ["김철수"], "the name comes as it was written")

    s.step("each user sees what is his")
    want_equal(find("(cn=김*)", user=BOB), ["secret"], "bob's own")
    want_equal(find("(cn=*)", user=PLUS), ["plus"], "an address with a plus")
    other = slapd.search(ALICE, entry(BOB), "(cn=*)")
    want(other.status == 32 and "secret" not in other.out, "alice at bob's", other)
    whole = slapd.search(ALICE, "o=addressbook", "-s", "sub")
    want_equal([m.split("@")[0] for m in values(whole.out, "mail")], ["chulsoo", "dora", "nobody"],
               "alice at the root")
    want("userPassword" not in whole.out, "nobody reads a password", whole)
    want("mail:" not in slapd.search(None, "o=addressbook").out, "without a name: nothing")
    s.execute("UPDATE virtual_users SET enabled = FALSE WHERE email = '%s'" % BOB)
    want_equal(slapd.search(BOB, entry(BOB)).status, 49, "a disabled account cannot bind")

    s.step("what vmail or an application changes is there at the next question")
    add(ALICE, "neu@remote.example", "Jürgen Groß")
    s.execute("UPDATE contacts SET contact_name = '이영희' "
              "WHERE contact_email = 'chulsoo@remote.example'")
    for words in ("(cn=jürgen*)", "(cn=JÜRGEN*)", "(cn=*groß)", "(cn=Jürgen Groß)", "(cn=*ＲＧＥＮ*)"):
        want_equal(find(words), ["neu"], "a new contact by %s" % words)
    want_equal(find("(cn=*영희)"), ["chulsoo"], "a new name")
    want_equal(find("(cn=*철수*)"), [], "not by the old one")


if __name__ == "__main__":
    run(story, needs=["postgres"])
