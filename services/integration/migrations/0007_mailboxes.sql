-- Mailboxes between agencies (hộp thư liên cơ quan): store and forward, one mailbox a direction.
--
-- Rows are seen by the sending unit (responsible_unit_id) and by the receiving one. Contents are sealed with the keyring, since
-- they may hold personal data, and are gone once the receiver has confirmed them; what stays is the receipt.
--
-- Roll-back: drop the tables; nothing else refers to them.

CREATE TABLE mailboxes (
    mailbox_id          uuid        PRIMARY KEY,
    responsible_unit_id integer     NOT NULL,
    receiver_unit_id    integer     NOT NULL,
    sender_agency       text        NOT NULL,
    receiver_agency     text        NOT NULL,
    sender_organisation_id   uuid,
    receiver_organisation_id uuid,
    max_age_seconds     bigint      NOT NULL CHECK (max_age_seconds > 0),
    max_messages        integer     NOT NULL CHECK (max_messages > 0),
    create_time         timestamptz NOT NULL,
    UNIQUE (responsible_unit_id, receiver_unit_id)
);
CREATE INDEX mailboxes_receiver ON mailboxes (receiver_unit_id, mailbox_id);
ALTER TABLE mailboxes ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY scope ON mailboxes FOR ALL
    USING (responsible_unit_id = ANY((SELECT egov.scope())::integer[]) OR (SELECT egov.scope_all())
           OR receiver_unit_id = ANY((SELECT egov.scope())::integer[]))
    WITH CHECK (responsible_unit_id = ANY((SELECT egov.scope())::integer[]) OR (SELECT egov.scope_all()));

-- States: 1 waiting, 2 fetched, 3 confirmed, 4 given up.
CREATE TABLE mailbox_messages (
    message_id          uuid        PRIMARY KEY,
    mailbox_id          uuid        NOT NULL REFERENCES mailboxes,
    responsible_unit_id integer     NOT NULL,
    receiver_unit_id    integer     NOT NULL,
    kind                text        NOT NULL,
    media_type          text        NOT NULL,
    content             bytea,
    sha256              text        NOT NULL,
    state               smallint    NOT NULL CHECK (state BETWEEN 1 AND 4),
    attempts            integer     NOT NULL DEFAULT 0,
    due_time            timestamptz NOT NULL,
    expire_time         timestamptz NOT NULL,
    send_time           timestamptz NOT NULL,
    fetch_time          timestamptz,
    confirm_time        timestamptz,
    receiver_reference  text        NOT NULL DEFAULT '',
    cause               text        NOT NULL DEFAULT '',
    version             bigint      NOT NULL,
    CHECK (state IN (3, 4) OR content IS NOT NULL)
);
CREATE INDEX mailbox_messages_waiting ON mailbox_messages (mailbox_id, due_time, message_id) WHERE state IN (1, 2);
CREATE INDEX mailbox_messages_expiring ON mailbox_messages (expire_time) WHERE state IN (1, 2);
CREATE INDEX mailbox_messages_dead ON mailbox_messages (mailbox_id, message_id) WHERE state = 4;
SELECT egov.allow_update('mailbox_messages', 'content', 'state', 'attempts', 'due_time', 'expire_time', 'fetch_time',
    'confirm_time', 'receiver_reference', 'cause', 'version');
ALTER TABLE mailbox_messages ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY scope ON mailbox_messages FOR ALL
    USING (responsible_unit_id = ANY((SELECT egov.scope())::integer[]) OR (SELECT egov.scope_all())
           OR receiver_unit_id = ANY((SELECT egov.scope())::integer[]))
    WITH CHECK (responsible_unit_id = ANY((SELECT egov.scope())::integer[]) OR (SELECT egov.scope_all())
                OR receiver_unit_id = ANY((SELECT egov.scope())::integer[]));
