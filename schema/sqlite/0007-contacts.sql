-- The address book beyond the mission's columns: who is used, when, where it came from, and the form
-- in which an address is compared.

ALTER TABLE contacts ADD COLUMN use_count INTEGER NOT NULL DEFAULT 0;
ALTER TABLE contacts ADD COLUMN last_used TIMESTAMP;                     -- UTC
ALTER TABLE contacts ADD COLUMN source VARCHAR(16) NOT NULL DEFAULT 'manual'; -- import, sent, received
-- Lower case, the domain in Unicode. NULL: a row that an application wrote and vmail has not met yet;
-- then contact_email in lower case is compared.
ALTER TABLE contacts ADD COLUMN address_key VARCHAR(320);
CREATE UNIQUE INDEX contacts_address ON contacts (user_id, address_key);

-- An application changed the address: the key is made again when vmail meets the row.
CREATE TRIGGER contacts_address_changed AFTER UPDATE OF contact_email ON contacts
WHEN NEW.contact_email IS NOT OLD.contact_email AND NEW.address_key IS OLD.address_key
BEGIN
    UPDATE contacts SET address_key = NULL WHERE id = NEW.id;
END;
