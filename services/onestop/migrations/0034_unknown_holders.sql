-- Chưa rõ nơi có người giữ vai trò: why a definition was published although nobody could say where the roles of its steps are held.
--
-- Who may see the rows stays as it was: whoever sees the draft. Empty where it was known, or for changes of before. The bytes of a leaf
-- have the reason only where there is one, so that the leaves of before still stand for their rows.
-- Expand only: the version before neither reads nor writes it, and publishes as it did. Way back: drop the column.

ALTER TABLE procedure_draft_changes
    ADD COLUMN accepted_unknown_holders text NOT NULL DEFAULT '' CHECK (length(accepted_unknown_holders) <= 2000);
