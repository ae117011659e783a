/**
 * Returns migrations, each as its statements: the first makes both tables, and the others are those of a service that
 * grows: further tables, columns, indexes and rows.
 */
export function migrations(count: number): readonly (readonly string[])[] {
  return Array.from({ length: count }, (_, place) => (place === 0 ? tables : later(place)))
}

const tables = [
  'create table user_account (id serial primary key, name varchar(255) not null, fullname varchar(255))',
  `create table address (id serial primary key, email_address varchar(255) not null,
     user_id int not null references user_account)`,
]

/** Every fifth is a new table; those after it change that table. */
function later(place: number): readonly string[] {
  const table = `thing_${Math.floor(place / 5)}`
  switch (place % 5) {
    case 0:
      return [`create table ${table} (id serial primary key, title varchar(255) not null)`]
    case 1:
      return [`alter table user_account add column note_${place} text`]
    case 2:
      return [`insert into user_account (name) values ('user ${place}')`]
    case 3:
      return [`update user_account set fullname = name where fullname is null`]
    default:
      return [`create index user_account_${place} on user_account (name, id)`]
  }
}
