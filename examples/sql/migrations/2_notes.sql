create table note (
  id bigint generated always as identity primary key,
  person_id bigint not null references person on delete cascade,
  body text not null,
  created_at timestamptz not null default now()
);

create index note_person on note (person_id, created_at);
