-- The address book as OpenLDAP's back-sql reads it (docs/addressbook.md). Run once, as PostgreSQL's
-- administrator:  psql vmail < views.sql
--
--   o=addressbook
--     ou=alice@example.com          a user; binds with the password of virtual_users
--       uid=17                      one of her contacts (inetOrgPerson)
--
-- Everything lies in a schema of its own, read only. To remove it:  DROP SCHEMA vmail_ldap CASCADE

CREATE SCHEMA vmail_ldap;
SET search_path = vmail_ldap, public;

-- Text as slapd compares it: it folds what is asked for by Unicode's rules (NFKC, lower case) and then puts
-- the letters a to z, and only these, in upper case.
CREATE FUNCTION fold(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT translate(lower(normalize($1, NFKC)), 'abcdefghijklmnopqrstuvwxyz',
                     'ABCDEFGHIJKLMNOPQRSTUVWXYZ')
$$;

-- A value inside a distinguished name (RFC 4514 2.4), escaped as slapd writes it.
CREATE FUNCTION dn_value(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT replace(replace(replace(replace(replace(replace(replace(replace($1,
        '\', '\5C'), '"', '\22'), '+', '\2B'), ',', '\2C'), ';', '\3B'), '<', '\3C'), '=', '\3D'),
        '>', '\3E')
$$;

-- And back; slapd gives names in lower case.
CREATE FUNCTION dn_text(text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT replace(replace(replace(replace(replace(replace(replace(replace($1,
        '\3e', '>'), '\3d', '='), '\3c', '<'), '\3b', ';'), '\2c', ','), '\2b', '+'), '\22', '"'),
        '\5c', '\')
$$;

-- The numbers of entries: 1 the root, a user's even, a contact's odd.
CREATE VIEW root AS SELECT 1 AS id, 'addressbook'::text AS name;

-- Dovecot's names of the crypt(3) schemes are all {CRYPT} to slapd.
CREATE VIEW users AS
SELECT id, email::text AS email,
       regexp_replace(password, '^\{(SHA512-CRYPT|SHA256-CRYPT|MD5-CRYPT|BLF-CRYPT|CRYPT)\}',
                      '{CRYPT}') AS password
FROM virtual_users WHERE enabled;

CREATE VIEW people AS
SELECT id, user_id, contact_email::text AS email, name,
       CASE WHEN name LIKE '% %' THEN regexp_replace(name, ' [^ ]*$', '') END AS given_name,
       regexp_replace(name, '^.* ', '') AS surname, NULL::text AS unknown
FROM (SELECT id, user_id, contact_email,
             coalesce(nullif(btrim(contact_name), ''), contact_email)::text AS name
      FROM contacts WHERE user_id IS NOT NULL AND contact_email <> '') named;

-- A contact's groups; one row, too, of a contact without: slapd demands the joins of all attributes that
-- a filter names, also of those that it joins by "or".
CREATE VIEW memberships AS
SELECT c.id, g.group_name::text AS group_name
FROM contacts c LEFT JOIN contact_group_members m ON m.contact_id = c.id
     LEFT JOIN contact_groups g ON g.id = m.group_id;

CREATE VIEW ldap_entries AS
SELECT 1::bigint AS id, 'o=addressbook'::text AS dn, 1 AS oc_map_id, 0::bigint AS parent,
       1 AS keyval
UNION ALL
SELECT 2 * id::bigint + 2, 'ou=' || dn_value(email) || ',o=addressbook', 2, 1, id FROM users
UNION ALL
SELECT 2 * p.id::bigint + 3, 'uid=' || p.id || ',ou=' || dn_value(u.email) || ',o=addressbook', 3,
       2 * p.user_id::bigint + 2, p.id
FROM people p JOIN users u ON u.id = p.user_id;

-- What slapd asks by: the contacts below a user, and the entry of a name.
CREATE INDEX contacts_ldap_parent ON contacts ((2 * user_id::bigint + 2));

CREATE FUNCTION entry_of(p_dn text) RETURNS SETOF ldap_entries LANGUAGE sql STABLE AS $$
    SELECT * FROM ldap_entries WHERE oc_map_id = 1 AND dn = lower(p_dn)
    UNION ALL
    SELECT e.* FROM users u JOIN ldap_entries e ON e.oc_map_id = 2 AND e.keyval = u.id
    WHERE lower(e.dn) = lower(p_dn)
      AND u.email = dn_text(substring(lower(p_dn) FROM '^ou=([^,]*),o=addressbook$'))
    UNION ALL
    SELECT * FROM ldap_entries
    WHERE oc_map_id = 3 AND lower(dn) = lower(p_dn)
      AND keyval = substring(lower(p_dn) FROM '^uid=([0-9]{1,18}),ou=')::bigint
$$;

CREATE TABLE ldap_oc_mappings (
    id INTEGER PRIMARY KEY, name VARCHAR(64), keytbl VARCHAR(64), keycol VARCHAR(64),
    create_proc VARCHAR(255), delete_proc VARCHAR(255), expect_return INTEGER NOT NULL DEFAULT 0);
INSERT INTO ldap_oc_mappings (id, name, keytbl, keycol) VALUES
    (1, 'organization', 'root', 'id'),
    (2, 'organizationalUnit', 'users', 'id'),
    (3, 'inetOrgPerson', 'people', 'id');

CREATE TABLE ldap_attr_mappings (
    id SERIAL PRIMARY KEY, oc_map_id INTEGER REFERENCES ldap_oc_mappings, name VARCHAR(255),
    sel_expr VARCHAR(255), sel_expr_u VARCHAR(255), from_tbls VARCHAR(255), join_where VARCHAR(255),
    add_proc VARCHAR(255), delete_proc VARCHAR(255), param_order INTEGER NOT NULL DEFAULT 0,
    expect_return INTEGER NOT NULL DEFAULT 0);
INSERT INTO ldap_attr_mappings (oc_map_id, name, sel_expr, from_tbls, join_where) VALUES
    (1, 'o', 'root.name', 'root', NULL),
    (2, 'ou', 'users.email', 'users', NULL),
    (2, 'userPassword', 'users.password', 'users', NULL),
    (3, 'uid', 'people.id::text', 'people', NULL),
    (3, 'cn', 'people.name', 'people', NULL),
    (3, 'sn', 'people.surname', 'people', NULL),
    (3, 'givenName', 'people.given_name', 'people', NULL),
    (3, 'displayName', 'people.name', 'people', NULL),
    (3, 'mail', 'people.email', 'people', NULL),
    -- what clients ask by too and nobody has: an attribute without a mapping fits every entry
    (3, 'o', 'people.unknown', 'people', NULL),
    (3, 'ou', 'people.unknown', 'people', NULL),
    (3, 'title', 'people.unknown', 'people', NULL),
    (3, 'description', 'people.unknown', 'people', NULL),
    (3, 'telephoneNumber', 'people.unknown', 'people', NULL),
    (3, 'departmentNumber', 'memberships.group_name', 'people,memberships',
     'memberships.id=people.id');

-- No entry has a second object class. One row all the same: slapd joins this table whenever a filter names
-- a class, and with none would find nothing.
CREATE VIEW ldap_entry_objclasses AS SELECT 0::bigint AS entry_id, 'top'::text AS oc_name;

-- slapd's role: it reads, and nothing else. Its name is that of the system user whom Debian's slapd runs
-- as, so that PostgreSQL's "peer" lets it in without a password.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'openldap') THEN
        CREATE ROLE openldap LOGIN;
    END IF;
END $$;
GRANT USAGE ON SCHEMA vmail_ldap TO openldap;
GRANT SELECT ON ALL TABLES IN SCHEMA vmail_ldap TO openldap;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA vmail_ldap TO openldap;
ALTER ROLE openldap SET search_path = vmail_ldap, public;
ALTER ROLE openldap SET default_transaction_read_only = on;
