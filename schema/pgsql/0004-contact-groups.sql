-- Groups of contacts.

CREATE TABLE IF NOT EXISTS contact_groups (
    id SERIAL PRIMARY KEY,
    user_id INTEGER NOT NULL REFERENCES virtual_users(id),
    group_name VARCHAR(255) NOT NULL,
    UNIQUE (user_id, group_name)
);

CREATE TABLE IF NOT EXISTS contact_group_members (
    user_id INTEGER NOT NULL,
    group_id INTEGER NOT NULL REFERENCES contact_groups(id) ON DELETE CASCADE,
    contact_id INTEGER NOT NULL REFERENCES contacts(id) ON DELETE CASCADE,
    PRIMARY KEY (user_id, group_id, contact_id)
);
CREATE INDEX IF NOT EXISTS contact_group_members_contact ON contact_group_members (contact_id);
CREATE INDEX IF NOT EXISTS contacts_user ON contacts (user_id, contact_email);
