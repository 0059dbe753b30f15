-- Frozen: one group commit, the least that a batch of sixteen records costs: one insert, one commit. Run by one client.
INSERT INTO bench_commits (content) SELECT decode(repeat('ab', 300), 'hex') FROM generate_series(1, 16);
