-- Kết luận of steps: to which outcome whoever did a step came, by which the next step follows.
--
-- Of the case it is that of the step that was done last; of a task what its step came to. The history keeps it in the details of the act.
-- Who may see the rows stays as it was; applicants see neither.
--
-- Expand only: the version before knows no outcomes and takes the first branch. A step that it records meanwhile leaves the outcome of the
-- one before, which opens no branch of the new step; the verification names it until the next step. Way back: drop both columns.

ALTER TABLE cases ADD COLUMN step_outcome text NOT NULL DEFAULT '';
ALTER TABLE case_tasks ADD COLUMN outcome text NOT NULL DEFAULT '';
SELECT egov.allow_update('case_tasks', 'outcome');
