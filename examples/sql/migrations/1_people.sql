create table person (
  id bigint generated always as identity primary key,
  name text not null check (name <> '')
);
