-- The queues every installation has: one a media type, and one for what needs no provider.
insert into kiln.queue (name, description) values
    ('image', 'Pictures.'),
    ('video', 'Films: slow and dear.'),
    ('audio', 'Speech and sound.'),
    ('local', 'Post-processing on the runner''s machine.');
